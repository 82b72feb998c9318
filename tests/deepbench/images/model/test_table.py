"""Tables of images: names, variables, coordinates and the memory that rendering takes."""

import json

import pytest

from deepbench.deflectors.masses import DEFLECTORS
from deepbench.images.detector.noise import NoiseEntry
from deepbench.images.model.objects import ObjectEntry
from deepbench.images.psf.model import MAXIMUM_SIGMA, PsfEntry
from deepbench.images.shapes.gaussian_blur import margin
from deepbench.images.shapes.model import SHAPES, Outlined, Shape
from deepbench.images.shapes.outlines import work_size
from deepbench.labelling.plan import LabelPlan
from deepbench.language.one_of import NamedOneOf, names_of
from deepbench.language.specification import parameters_of
from deepbench.recipe import parse_recipe

CIRCLE = {"x": 1, "y": 1, "radius": 1}


def view(objects=({"circle": CIRCLE},), **more):
    described = {"kind": "image", "samples": 5, "size": [10, 20]}
    described |= {"classes": {"a": {"objects": list(objects)}}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 1}
    recipe = parse_recipe(json.dumps({**head, "tables": {"images": described | more}}))
    return recipe.table("images")


def table(*arguments, **more):
    return view(*arguments, **more).specification


def test_names_follow_the_written_order():
    other = {"line": {"x": 1, "y": 1, "length": 1, "thickness": 1}}
    circle = {"circle": CIRCLE}
    objects = table([circle, other, circle | {"name": "sun"}, circle, circle, other]).classes["a"]
    names = names_of(objects.objects)
    assert names == ["circle", "line", "sun", "circle.2", "circle.3", "line.2"]


SKY = {"star", "sersic", "bulge_disk", "spiral", "ringermacher_mead"}
DEFECTS = {"cosmic_ray", "bad_pixels"}


def test_every_shape_is_an_object_and_all_its_fields_are_parameters():
    assert set(SHAPES) == set(ObjectEntry.registry) - SKY - DEFECTS - {"lens", *DEFLECTORS}
    for kind, shape in SHAPES.items():
        assert ObjectEntry.model_fields[kind].annotation.__args__[0] is shape
        assert parameters_of(shape).keys() == shape.model_fields.keys()
        assert {*Shape.model_fields, "thickness"} <= shape.model_fields.keys()
        assert shape.model_fields["thickness"].is_required() != issubclass(shape, Outlined)


ANY, POSITIVE = "a number", "a number above 0"
PLACE = {"x": f"{ANY} (pixel)", "y": f"{ANY} (pixel)", "amplitude": ANY}
SHAPE = PLACE | {"thickness": f"{POSITIVE} (pixel)"}
LENGTH, ANGLE = f"{POSITIVE} (pixel)", f"{ANY} (degree)"
RANGES = {
    "circle": {"radius": LENGTH},
    "ellipse": {
        "semi_major_axis": LENGTH,
        "axis_ratio": f"{POSITIVE} and at most 1",
        "position_angle": ANGLE,
    },
    "rectangle": {"width": LENGTH, "height": LENGTH, "angle": ANGLE},
    "regular_polygon": {
        "sides": "a whole number at least 3 and at most 1000",
        "radius": LENGTH,
        "angle": ANGLE,
    },
    "triangle": {"base": LENGTH, "height": LENGTH, "angle": ANGLE},
    "annulus": {"inner_radius": f"{ANY} at least 0 (pixel)"},
    "arc": {
        "radius": LENGTH,
        "sweep": f"{POSITIVE} and at most 360 (degree)",
        "angle": ANGLE,
    },
    "line": {"length": LENGTH, "angle": ANGLE},
}


def ranges(entry, kind):
    cls = entry.model_fields[kind].annotation.__args__[0]
    return {name: each.range_text() for name, each in parameters_of(cls).items()}


def test_ranges_and_units_of_parameters():
    assert {kind: ranges(ObjectEntry, kind) for kind in RANGES} == {
        kind: SHAPE | own for kind, own in RANGES.items()
    }
    sky = {
        "x": f"{ANY} (pixel)",
        "y": f"{ANY} (pixel)",
        "dx": f"{ANY} (arcsec)",
        "dy": f"{ANY} (arcsec)",
        "flux": f"{ANY} at least 0",
        "fluxes": f"{ANY} at least 0",
        "magnitude": f"{ANY} (mag)",
        "magnitudes": f"{ANY} (mag)",
        "colors": f"{ANY} (mag)",
    }
    assert ranges(ObjectEntry, "star") == sky | {"stamp_flux": f"{ANY} at least 0.5 and below 1"}
    galaxy = sky | {
        "position_angle": ANGLE,
        "stamp_flux": f"{ANY} at least 0.5 and at most 0.99999",
    }
    index, radius = f"{ANY} at least 0.3 and at most 6.2", f"{POSITIVE} (arcsec)"
    ratio = f"{ANY} at least 0.05 and at most 1"
    assert ranges(ObjectEntry, "sersic") == galaxy | {
        "sersic_index": index,
        "half_light_radius": radius,
        "semi_major_half_light_radius": radius,
        "axis_ratio": ratio,
        "truncation": radius,
    }
    assert ranges(ObjectEntry, "bulge_disk") == galaxy | {
        "bulge_fraction": f"{ANY} at least 0 and at most 1",
        "bulge_half_light_radius": radius,
        "bulge_sersic_index": index,
        "bulge_axis_ratio": ratio,
        "disk_half_light_radius": radius,
        "disk_axis_ratio": ratio,
    }
    spiral = galaxy | {
        "bulge_fraction": f"{ANY} at least 0 and at most 1",
        "bulge_half_light_radius": radius,
        "bulge_sersic_index": index,
        "disk_half_light_radius": radius,
        "inclination": f"{ANY} at least 0 and at most 84 (degree)",
        "arms": "a whole number at least 1 and at most 8",
        "arm_contrast": f"{ANY} at least 0 and at most 1",
        "arm_width": f"{ANY} at least 0.05 and at most 0.95",
        "arm_angle": ANGLE,
        "inner_radius": radius,
        "handedness": "a whole number at least -1 and at most 1",
    }
    pitch = f"{ANY} at least 5 and at most 60 (degree)"
    assert ranges(ObjectEntry, "spiral") == spiral | {"pitch_angle": pitch}
    assert ranges(ObjectEntry, "ringermacher_mead") == spiral | {
        "arm_scale": radius,
        "arm_opening": POSITIVE,
        "winding": f"{POSITIVE} and at most 50",
    }
    width = {
        "fwhm": f"{POSITIVE} (arcsec)",
        "axis_ratio": f"{ANY} at least 0.1 and at most 1",
        "position_angle": ANGLE,
    }
    assert ranges(PsfEntry, "kolmogorov") == width
    assert ranges(PsfEntry, "airy") == width | {
        "obscuration": f"{ANY} at least 0 and at most 0.8",
        "jitter": f"{ANY} at least 0 (arcsec)",
    }
    assert ranges(PsfEntry, "moffat") == width | {
        "beta": "a number above 1.1 and at most 100",
        "truncation": f"{POSITIVE} (arcsec)",
    }
    assert ranges(PsfEntry, "gaussian") == width | {
        "sigma": f"{ANY} at least 0 and at most 1000 (pixel)"
    }
    assert {kind: ranges(NoiseEntry, kind) for kind in NoiseEntry.registry} == {
        "background": {"level": ANY},
        "poisson": {"gain": POSITIVE, "background": f"{ANY} at least 0"},
        "gaussian": {"sigma": f"{ANY} at least 0"},
        "correlated": {
            "sigma": f"{ANY} at least 0",
            "length": f"{ANY} at least 0.5 and at most 100 (pixel)",
        },
    }


def test_an_entry_knows_its_kind():
    (entry,) = table().classes["a"].objects
    assert isinstance(entry, NamedOneOf)
    assert entry.kind == "circle"
    assert entry.chosen is entry.circle
    assert "name" not in ObjectEntry.registry
    assert "repeat" not in ObjectEntry.registry


def test_steps_of_the_noise_have_streams_of_their_own():
    steps = [{"gaussian": {"sigma": 1}}, {"poisson": {}}, {"gaussian": {"sigma": 2}}]
    steps.append({"gaussian": {"sigma": 2}, "name": "read"})
    assert table(noise=steps).pixel_streams() == [
        "*/noise.gaussian/pixels",
        "*/noise.poisson/pixels",
        "*/noise.gaussian.2/pixels",
        "*/noise.read/pixels",
    ]


def test_variables_and_coordinates():
    (image,) = table().data_variables()
    assert (image.name, image.dtype, image.units) == ("image", "float32", "1")
    assert (image.dimensions, image.shape) == (("y", "x"), (10, 20))
    y, x = table().coordinates()
    assert (y.name, y.size, y.units) == ("y", 10, "pixel")
    assert (x.name, x.size, x.units) == ("x", 20, "pixel")


@pytest.mark.parametrize(
    ("repeat", "most"),
    [(None, 0), (0, 0), (7, 7), ({"integers": [1, 30]}, 30), ({"choice": [2, 9, 4]}, 9)],
)
def test_the_largest_number_of_copies(repeat, most):
    entry = {"circle": CIRCLE} | ({} if repeat is None else {"repeat": repeat})
    described = view([entry, {"circle": CIRCLE, "repeat": 3}])
    first = described.specification.classes["a"].objects[0]
    assert described.plan.most_copies_of(first) == most
    assert described.plan.most_copies == most + 3
    assert view([entry]).plan.most_copies == most


def test_the_class_with_most_copies_counts():
    few, many = ({"objects": [{"circle": CIRCLE, "repeat": n}]} for n in (2, 40))
    assert view(classes={"few": few, "many": many, "none": few}).plan.most_copies == 40


@pytest.mark.parametrize(
    ("sigma", "widest"),
    [
        (None, 0.0),
        (0, 0.0),
        (2.3, 2.3),
        ({"uniform": [1, 3]}, 3.0),
        ({"choice": [1, 5]}, 5.0),
        ("= 2 * b", MAXIMUM_SIGMA),
        ({"truncated_normal": {"mean": 1, "sigma": 1, "low": 0, "high": 2}}, 2.0),
    ],
)
def test_the_memory_of_the_widest_plane_is_declared(sigma, widest):
    psf = {} if sigma is None else {"psf": {"gaussian": {"sigma": sigma}}}
    described = table(variables={"b": {"uniform": [0, 1]}}, **psf)
    height, width = (edge + 2 * margin(widest) for edge in (10, 20))
    taken = 4 * height * width + 8 * work_size(height, width) + 4 * 10 * 20
    declared = described.working_bytes(
        LabelPlan("images", described.scopes(), {"a": 1.0}, {"all": 1.0})
    )
    assert taken - 8 * width <= declared < 1.3 * taken + 12 * 40**2
