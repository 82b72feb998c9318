"""Objects of spherical maps, as recipes place them."""

import healpy
import numpy as np
import pytest

from deepbench.errors import RecipeError
from deepbench.language.specification import parameters_of
from deepbench.samples import labels, objects, render
from deepbench.sphere.objects.objects import ObjectEntry
from tests.deepbench.sphere.test_render import LENSING, TURNS, gaussian, maps, recipe
from tests.ranges import ends

NSIDE = 64
AREA = healpy.nside2pixarea(NSIDE, degrees=True) * 3600
OBJECTS = {
    "star": {"lon": 40, "lat": 30, "flux": 500, "fwhm": 150},
    "sersic": {
        "lon": 310, "lat": -20, "flux": 800, "half_light_radius": 110, "sersic_index": 1.5,
        "axis_ratio": 0.5, "position_angle": 30,
    },
    "disk": {"lon": 10, "lat": 80, "radius": 12, "amplitude": 2},
    "annulus": {"lon": 200, "lat": 5, "inner_radius": 8, "thickness": 5, "amplitude": 2},
    "ellipse": {"lon": 120, "lat": -50, "semi_major_axis": 15, "axis_ratio": 0.4, "position_angle": 70, "amplitude": 2},
    "rectangle": {"lon": 359, "lat": -85, "width": 8, "height": 20, "position_angle": 20, "amplitude": 2},
}  # fmt: skip


def sky_of(kind, **changes):
    made = recipe(objects=[{kind: {**OBJECTS[kind], **changes}}], samples=1, nside=NSIDE)
    return maps(made)[0].astype(float)


def centroid(sky):
    vectors = np.array(healpy.pix2vec(NSIDE, np.arange(sky.size), nest=True))
    mean = (vectors * sky).sum(axis=1)
    longitude, latitude = healpy.vec2ang(mean, lonlat=True)
    return longitude[0], latitude[0]


def test_every_kind_is_tried_here():
    assert set(OBJECTS) == set(ObjectEntry.registry)


@pytest.mark.parametrize("kind", ["star", "sersic"])
def test_flux_is_conserved(kind):
    assert sky_of(kind).sum() * AREA == pytest.approx(OBJECTS[kind]["flux"], rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "area"),
    [
        ("disk", np.pi * 12**2),
        ("annulus", np.pi * (13**2 - 8**2)),
        ("ellipse", np.pi * 15**2 * 0.4),
        ("rectangle", 8 * 20),
    ],
)
def test_shapes_have_their_area(kind, area):
    assert sky_of(kind).sum() * AREA / 3600 == pytest.approx(2 * area, rel=2e-3)
    assert sky_of(kind).max() == pytest.approx(2, rel=1e-5)


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_are_where_their_labels_say(kind):
    longitude, latitude = centroid(sky_of(kind))
    shift = (longitude - OBJECTS[kind]["lon"] + 180) % 360 - 180
    assert abs(shift) * np.cos(np.radians(latitude)) < 0.05
    assert abs(latitude - OBJECTS[kind]["lat"]) < 0.05


FIELDS = [
    (kind, field)
    for kind in ObjectEntry.registry
    for field in parameters_of(ObjectEntry.model_fields[kind].annotation.__args__[0])
]


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_every_parameter_matters(kind, field):
    value = OBJECTS[kind][field]
    before, after = sky_of(kind), sky_of(kind, **{field: value * 1.05})
    assert np.abs(after - before).max() > 1e-3 * before.max()


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_change_up_to_the_ends_of_ranges(kind):
    for field, end, inside in ends(ObjectEntry.registry[kind]):
        if field in OBJECTS[kind]:
            at_end, further = (sky_of(kind, **{field: value}) for value in (end, inside))
            assert np.abs(at_end - further).max() > 1e-4 * further.max(), (field, end)


def test_objects_add_to_the_field_and_to_each_other():
    entries = [{kind: values} for kind, values in OBJECTS.items()]
    field = maps(recipe(gaussian(), samples=1, nside=NSIDE))[0]
    both = maps(recipe(gaussian(), objects=entries, samples=1, nside=NSIDE))[0]
    alone = sum(sky_of(kind) for kind in OBJECTS)
    np.testing.assert_allclose(both - field, alone, atol=3e-6 * np.abs(both).max())


def test_copies_have_their_rows():
    star = {
        "star": {**OBJECTS["star"], "lon": {"uniform": [0, 360]}, "flux": {"uniform": [1, 9]}},
        "repeat": 7,
    }
    made = recipe(objects=[star], samples=3, nside=NSIDE)
    long, sky = objects(made, "t"), maps(made)
    for sample in range(3):
        total = long.loc[long["sample"] == sample, "flux"].sum()
        assert sky[sample].astype(float).sum() * AREA == pytest.approx(total, rel=1e-4)
    row, own = labels(made, "t", 1, 2), long[long["sample"] == 1]
    again = render(made, "t", labels=row, objects=own)["map"].values[0]
    np.testing.assert_array_equal(again, sky[1])


def test_the_patches_of_a_map_have_its_objects():
    disk = {"disk": {**OBJECTS["disk"], "lon": {"uniform": [0, 360]}}}
    whole = maps(recipe(objects=[disk], samples=2, nside=NSIDE))
    parts = maps(recipe(objects=[disk], samples=24, nside=NSIDE, patches=1))
    np.testing.assert_array_equal(parts.reshape(2, -1), whole)


def test_objects_turn_with_their_map():
    """A star, and the direction of an ellipse, of a twin are those of the other at R n̂."""
    entries = [{"star": OBJECTS["star"]}, {"ellipse": OBJECTS["ellipse"]}]
    made = recipe(objects=entries, samples=2, nside=NSIDE, rotation={"twins": 2, **TURNS})
    sky, frame = maps(made).astype(float), labels(made, "t")
    plain = sky_of("star") + sky_of("ellipse")
    for one, row in zip(sky, frame.to_dict("records"), strict=True):
        c, s = np.cos, np.sin
        a, g = np.radians(row["rotation.alpha"]), np.radians(row["rotation.gamma"])
        b = np.arccos(row["rotation.cos_beta"])
        z1 = np.array([[c(a), -s(a), 0], [s(a), c(a), 0], [0, 0, 1]])
        y = np.array([[c(b), 0, s(b)], [0, 1, 0], [-s(b), 0, c(b)]])
        z2 = np.array([[c(g), -s(g), 0], [s(g), c(g), 0], [0, 0, 1]])
        vectors = np.array(healpy.pix2vec(NSIDE, np.arange(one.size), nest=True))
        turned = z2 @ y @ z1 @ vectors
        there = healpy.vec2pix(NSIDE, *turned, nest=True)
        inside = healpy.query_disc(
            NSIDE, healpy.ang2vec(120, -50, lonlat=True), np.radians(3), nest=True
        )
        np.testing.assert_allclose(one[there[inside]], plain[inside], rtol=1e-5)
        shared = np.corrcoef(one[there], plain)[0, 1]
        assert shared > 0.97  # pixels of both are shifted by up to half a pixel
        assert one.sum() == pytest.approx(plain.sum(), rel=1e-3)


def test_smoothing_after_spreads_objects():
    disk = {"disk": {**OBJECTS["disk"], "radius": 6}}
    sharp = maps(recipe(objects=[disk], samples=1, nside=NSIDE))[0].astype(float)
    made = recipe(objects=[disk], samples=1, nside=NSIDE, beam={"sigma": 120, "apply": "after"})
    smooth = maps(made)[0]
    expected = healpy.smoothing(
        healpy.reorder(sharp, n2r=True), sigma=np.radians(2), lmax=128, iter=3
    )
    assert np.abs(smooth - healpy.reorder(expected, r2n=True)).max() < 0.02
    assert smooth.max() < 0.995 * sharp.max()


def test_objects_need_one_channel():
    with pytest.raises(RecipeError, match="objects have one channel only"):
        recipe(gaussian(LENSING), objects=[{"star": OBJECTS["star"]}], channels="shear")
