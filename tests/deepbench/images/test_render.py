"""Rendering: each parameter matters, in its place, and a frame is a window onto a plane."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from deepbench.errors import LabelError
from deepbench.images.detector.noise import NoiseEntry
from deepbench.images.model.objects import ObjectEntry
from deepbench.images.psf.model import PsfEntry
from deepbench.images.shapes.gaussian_blur import margin
from deepbench.images.shapes.outlines import cover
from deepbench.language.specification import parameters_of
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, render

FLOAT32 = 3e-7  # a few roundings to float32, of the largest pixel


def images(objects, *, size=(24, 30), samples=1, seed=5, **table):
    """Render a table with one class of these objects."""
    described = {"kind": "image", "samples": samples, "size": list(size), **table}
    described["classes"] = {"a": {"objects": objects}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": seed}
    recipe = parse_recipe(json.dumps({**head, "tables": {"images": described}}))
    return render(recipe, "images").image.values


def blur(sigma):
    return {"gaussian": {"sigma": sigma}}


# --- every parameter matters ---------------------------------------------------------------------

SHAPES = {
    "circle": {"x": 14.3, "y": 11.6, "amplitude": 2.0, "radius": 5.2, "thickness": 1.5},
    "ellipse": {
        "x": 14.3,
        "y": 11.6,
        "amplitude": 2.0,
        "semi_major_axis": 7.0,
        "axis_ratio": 0.6,
        "position_angle": 20.0,
        "thickness": 1.5,
    },
    "rectangle": {
        "x": 14.3,
        "y": 11.6,
        "amplitude": 2.0,
        "width": 9.0,
        "height": 5.0,
        "angle": 20.0,
        "thickness": 1.5,
    },
    "regular_polygon": {
        "x": 14.3,
        "y": 11.6,
        "amplitude": 2.0,
        "sides": 5,
        "radius": 8.0,
        "angle": 20.0,
        "thickness": 1.5,
    },
    "triangle": {
        "x": 14.3,
        "y": 11.6,
        "amplitude": 2.0,
        "base": 12.0,
        "height": 9.0,
        "angle": 20.0,
        "thickness": 1.5,
    },
    "annulus": {"x": 14.3, "y": 11.6, "amplitude": 2.0, "inner_radius": 4.0, "thickness": 2.0},
    "arc": {
        "x": 14.3,
        "y": 11.6,
        "amplitude": 2.0,
        "radius": 6.0,
        "thickness": 2.0,
        "sweep": 120.0,
        "angle": 20.0,
    },
    "line": {
        "x": 14.3,
        "y": 11.6,
        "amplitude": 2.0,
        "length": 9.0,
        "thickness": 2.0,
        "angle": 20.0,
    },
}
STEPS = {
    "background": {"level": 3.0},
    "poisson": {"gain": 2.0, "background": 4.0},
    "gaussian": {"sigma": 0.5},
    "correlated": {"sigma": 0.5, "length": 2.0},
}
STAR = {"x": 14.3, "y": 11.6, "flux": 50.0, "stamp_flux": 0.9}
PSFS = {
    "gaussian": {"sigma": 1.2},
    "moffat": {
        "fwhm": 3.0,
        "axis_ratio": 0.6,
        "position_angle": 30.0,
        "beta": 2.5,
        "truncation": 4.0,
    },
    "airy": {
        "fwhm": 3.0,
        "axis_ratio": 0.6,
        "position_angle": 30.0,
        "obscuration": 0.3,
        "jitter": 1.5,
    },
    "kolmogorov": {"fwhm": 3.0, "axis_ratio": 0.6, "position_angle": 30.0},
}


def fields(entry):
    """Return every field of every kind of an entry, as the specifications declare them."""
    return [
        (kind, field)
        for kind in entry.registry
        for field in parameters_of(entry.model_fields[kind].annotation.__args__[0])
    ]


def other(field, value):
    """Return a slightly larger value."""
    return value + 1 if field == "sides" else value * 1.05


@pytest.mark.parametrize(
    ("kind", "field"), [each for each in fields(ObjectEntry) if each[0] in SHAPES]
)
@pytest.mark.parametrize("blend", ["add", "over"])
def test_every_parameter_of_a_shape_changes_the_image(kind, field, blend):
    def draw(body):
        return images([{kind: body, "blend": blend}])

    body = SHAPES[kind]
    changed = draw(body | {field: other(field, body[field])})
    assert np.abs(changed - draw(body)).max() > 0.02
    if field in ("x", "y"):  # a whole pixel moves the whole image
        moved = draw(body | {field: body[field] + 1})
        rolled = np.roll(draw(body), 1, axis={"y": 1, "x": 2}[field])
        np.testing.assert_allclose(moved, rolled, atol=2 * FLOAT32)
    if field == "amplitude":
        np.testing.assert_allclose(changed, 1.05 * draw(body), rtol=1e-6)


@pytest.mark.parametrize("kind", ["circle", "ellipse", "rectangle", "regular_polygon", "triangle"])
def test_without_thickness_a_shape_is_filled(kind):
    filled = {field: value for field, value in SHAPES[kind].items() if field != "thickness"}
    image = images([{kind: filled}])[0]
    assert image[11, 14] == pytest.approx(2.0, abs=1e-6)
    assert images([{kind: filled | {"thickness": 0.8}}])[0][11, 14] == 0


GAUSSIAN_OF_THE_SKY = {"fwhm": 3.0, "axis_ratio": 0.6, "position_angle": 30.0}


@pytest.mark.parametrize(("kind", "field"), [each for each in fields(PsfEntry) if each[0] in PSFS])
def test_every_parameter_of_a_psf_changes_the_image(kind, field):
    for objects in ([{"circle": SHAPES["circle"]}], [{"star": STAR}]):
        if (kind, field) != ("gaussian", "sigma") and "circle" in objects[0]:
            continue
        body = PSFS[kind] if field in PSFS[kind] else GAUSSIAN_OF_THE_SKY
        before = images(objects, psf={kind: body}, pixel_scale=1)
        after = images(
            objects, psf={kind: body | {field: other(field, body[field])}}, pixel_scale=1
        )
        assert np.abs(after - before).max() > 0.01


@pytest.mark.parametrize(("kind", "field"), fields(NoiseEntry))
def test_every_parameter_of_the_noise_changes_the_image(kind, field):
    objects = [{"circle": SHAPES["circle"]}]
    body = STEPS[kind]
    before = images(objects, noise=[{kind: body}])
    after = images(objects, noise=[{kind: body | {field: other(field, body[field])}}])
    assert np.abs(after - before).max() > 0.02
    assert np.abs(before - images(objects)).max() > 0.1


def test_every_kind_of_object_is_in_these_tests():
    for entry, bodies in ((ObjectEntry, SHAPES), (PsfEntry, PSFS), (NoiseEntry, STEPS)):
        known = {
            each for each in fields(entry) if each[0] in bodies or entry is NoiseEntry
        }  # objects of the sky and images of PSFs have tests of their own
        found = {(kind, field) for kind, body in bodies.items() for field in body}
        more = (
            {("gaussian", field) for field in GAUSSIAN_OF_THE_SKY} if entry is PsfEntry else set()
        )
        assert found | more == known


def test_every_field_of_an_entry_matters():
    circle = {"circle": SHAPES["circle"]}
    box = {"rectangle": SHAPES["rectangle"] | {"amplitude": {"uniform": [1, 2]}}}
    before = images([circle, box])
    assert set(ObjectEntry.model_fields) == {
        "name",
        "blend",
        "repeat",
        "variables",
        "lensed",  # of the sky; see lensing/
        *ObjectEntry.registry,
    }
    assert (images([circle, box | {"blend": "over"}]) != before).any()
    assert (images([circle, box | {"repeat": 2}]) != before).any()
    assert (images([circle, box | {"name": "other"}]) != before).any()  # another stream
    noise = {"gaussian": {"sigma": 1}}
    assert set(NoiseEntry.model_fields) == {"name", *NoiseEntry.registry}
    assert (
        images([circle], noise=[noise]) != images([circle], noise=[noise | {"name": "other"}])
    ).any()


def test_the_same_object_has_the_same_labels_by_another_name():
    # so what a name moves are the draws alone
    circle = {"circle": SHAPES["circle"]}
    np.testing.assert_array_equal(images([circle]), images([circle | {"name": "other"}]))


# --- against references --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("sigma", [0, 1.2, 2.4])
def test_an_image_is_the_blurred_cover(kind, sigma):
    body = SHAPES[kind]
    image = images([{kind: body}], psf=blur(sigma))[0]
    edge = margin(sigma)
    shifted = {name: value for name, value in body.items() if name != "amplitude"}
    shifted |= {"x": body["x"] + edge, "y": body["y"] + edge}
    plane = 2.0 * cover(kind, (24 + 2 * edge, 30 + 2 * edge), **shifted).astype(np.float64)
    expected = gaussian_filter(plane, sigma, mode="constant") if sigma else plane
    expected = expected[edge : edge + 24, edge : edge + 30]
    np.testing.assert_allclose(image, expected, atol=2 * 5e-7)


def test_x_is_to_the_right_and_y_is_up():
    image = images([{"rectangle": {"x": 7, "y": 3, "width": 1, "height": 1, "amplitude": 5}}])[0]
    assert image.shape == (24, 30)
    assert image[3, 7] == 5
    assert np.count_nonzero(image) == 1


# --- several objects -----------------------------------------------------------------------------

FIRST = {"circle": {"x": 9, "y": 9, "radius": 6, "amplitude": 3}}
SECOND = {"rectangle": {"x": 13, "y": 11, "width": 8, "height": 9, "amplitude": 2, "angle": 30}}


def test_objects_add():
    alone = images([FIRST]) + images([SECOND])
    both = images([FIRST, SECOND])
    np.testing.assert_allclose(both, alone, atol=5 * FLOAT32)
    np.testing.assert_allclose(images([SECOND, FIRST]), both, atol=5 * FLOAT32)
    blurred = images([FIRST], psf=blur(1.5)) + images([SECOND], psf=blur(1.5))
    np.testing.assert_allclose(images([FIRST, SECOND], psf=blur(1.5)), blurred, atol=5 * 1e-6)


def test_objects_cover_what_lies_below():
    part = cover("rectangle", (24, 30), x=13, y=11, width=8, height=9, angle=30)
    over = images([FIRST, SECOND | {"blend": "over"}])[0]
    expected = images([FIRST])[0] * (1 - part) + 2 * part
    np.testing.assert_allclose(over, expected, atol=3 * FLOAT32)
    assert over.max() == 3
    assert images([FIRST, SECOND])[0].max() == 5
    # written order is painting order: what comes later does not know what lay below
    turned = images([SECOND | {"blend": "over"}, FIRST])[0]
    np.testing.assert_allclose(turned, images([FIRST, SECOND])[0], atol=5 * FLOAT32)


def test_copies_are_painted_one_after_another():
    three = images([FIRST | {"repeat": 3}])
    np.testing.assert_allclose(three, 3 * images([FIRST]), atol=9 * FLOAT32)
    none = images([FIRST | {"repeat": 0}])
    np.testing.assert_array_equal(none, np.zeros((1, 24, 30)))
    level = {"grid": [1, 1000, 1000]}
    flat = {"x": 10, "y": 10, "width": 40, "height": 40, "amplitude": level}
    recipe_objects = [{"rectangle": flat, "repeat": 4, "blend": "over"}, FIRST]
    image = images(recipe_objects, samples=5)
    assert (image[:, 0, 0] == np.round(image[:, 0, 0])).all()
    assert len(np.unique(image[:, 0, 0])) == 5
    # the last copy wins, and the object written after it lies above
    np.testing.assert_allclose(image[:, 9, 9], image[:, 0, 0] + 3, rtol=1e-6)


def test_the_last_copy_lies_on_top():
    flat = {"x": 10, "y": 10, "width": 80, "height": 80, "amplitude": {"grid": [1, 1000, 1000]}}
    described = {
        "kind": "image",
        "samples": 20,
        "size": [3, 3],
        "classes": {"a": {"objects": [{"rectangle": flat, "repeat": 4, "blend": "over"}]}},
    }
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 1}
    recipe = parse_recipe(json.dumps({**head, "tables": {"images": described}}))
    import deepbench

    copies = deepbench.objects(recipe, "images")
    last = copies[copies["copy"] == 3]["amplitude"].to_numpy()
    np.testing.assert_array_equal(render(recipe, "images").image[:, 1, 1], last)
    turned = copies.sort_values("copy", ascending=False)  # the number counts, not the row
    frame = labels(recipe, "images")
    again = render(recipe, "images", labels=frame, objects=turned)
    np.testing.assert_array_equal(again.image[:, 1, 1], last)


def test_objects_outside_leave_no_trace():
    far = {"circle": {"x": -500, "y": 900, "radius": 20, "amplitude": 3}}
    np.testing.assert_array_equal(images([far]), np.zeros((1, 24, 30)))
    np.testing.assert_array_equal(images([FIRST, far], psf=blur(2)), images([FIRST], psf=blur(2)))


# --- a frame is a window -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("sigma", [0, 0.4, 3.0])
@pytest.mark.parametrize("place", [(14.25, 11.5), (-1.75, 2.25), (29.5, 25.0)])
def test_a_larger_frame_holds_the_smaller(kind, sigma, place):
    # binary fractions, so that the shift of the centre is exact
    x, y = place
    body = SHAPES[kind] | {"x": x, "y": y}
    ring = {"circle": {"x": 2.5, "y": 20.25, "radius": 9, "thickness": 2}, "blend": "over"}
    small = images([{kind: body}, ring], psf=blur(sigma))
    body = body | {"x": x + 11, "y": y + 7}
    ring = {"circle": ring["circle"] | {"x": 13.5, "y": 27.25}, "blend": "over"}
    large = images([{kind: body}, ring], psf=blur(sigma), size=(50, 61))
    np.testing.assert_array_equal(small, large[:, 7:31, 11:41])
    assert small.max() > 0


def test_light_from_outside_blurs_in():
    outside = {"circle": {"x": -6, "y": 12, "radius": 5}}
    assert images([outside]).max() == 0
    assert images([outside], psf=blur(2))[0, :, 0].max() > 0.1


def test_samples_of_a_block_leave_nothing_behind():
    wide = {"circle": {"x": {"uniform": [-9, 40]}, "y": 12, "radius": {"uniform": [1, 9]}}}
    sigma = {"choice": [0, 0.3, 1, 4, 9]}
    block = images([wide, SECOND], psf=blur(sigma), samples=40)
    turned = {"kind": "image", "samples": 40, "size": [24, 30], "psf": blur(sigma)}
    turned["classes"] = {"a": {"objects": [wide, SECOND]}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    recipe = parse_recipe(json.dumps({**head, "tables": {"images": turned}}))
    rows = labels(recipe, "images").iloc[::-1]
    backwards = render(recipe, "images", labels=rows).image.values
    np.testing.assert_array_equal(backwards[::-1], block)


@pytest.mark.parametrize(
    "noise", ["[{poisson: {gain: 1.0e+12}}]", "[{gaussian: {sigma: 1.0e+300}}]"]
)
def test_an_image_that_is_not_finite_is_refused(noise):
    text = """
name: large
version: 1.0.0
title: Too bright
seed: 1
tables:
  images:
    kind: image
    samples: 3
    size: [4, 4]
    classes: {a: {objects: [{circle: {x: 2, y: 2, radius: 3, amplitude: 1.0e+6}}]}}
    noise: NOISE
"""
    recipe = parse_recipe(text.replace("NOISE", noise))
    with pytest.raises(
        LabelError,
        match="sample 1: its image is not finite; amplitudes, fluxes, levels or gain are too large",
    ):
        render(recipe, "images", 1, 3)


def test_lengths_that_cannot_be_drawn_are_refused():
    with pytest.raises(
        LabelError, match="sample 0: an object has a length, a position or an angle beyond ±1e"
    ):
        images([{"circle": {"x": -3e9, "y": 3, "radius": 3e9 + 10}}])
