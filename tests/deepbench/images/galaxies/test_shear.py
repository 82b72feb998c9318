"""Weakly lensed galaxies: against GalSim, a quadrature of spiral arms, the map of points, and laws."""

import json
import math

import galsim
import numpy as np
import pytest

from deepbench.errors import LabelError, RecipeError
from deepbench.images.galaxies.model import ARMS_ROW, LOGARITHMIC, RINGERMACHER_MEAD
from deepbench.images.galaxies.shear import sheared
from deepbench.images.galaxies.spirals import add_to_stamps
from deepbench.images.model.sky import Piece, rows_of
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, objects, render
from tests.reference.spirals import _gaussian, points
from tests.sky_rows import psf_row

SCALE = 0.2
SIZE = (56, 64)
FWHM = 0.7
SERSIC = {"sersic_index": 1.0, "half_light_radius": 0.9, "axis_ratio": 0.6}
CUT = {"sersic_index": 2.0, "half_light_radius": 0.8, "axis_ratio": 0.5, "truncation": 2.0}
BULGE_DISK = {
    "bulge_fraction": 0.3,
    "bulge_half_light_radius": 0.5,
    "bulge_axis_ratio": 0.9,
    "disk_half_light_radius": 1.0,
    "disk_axis_ratio": 0.4,
}
BODIES = {"sersic": SERSIC, "bulge_disk": BULGE_DISK}
SPIRAL = {
    "bulge_fraction": 0.2,
    "bulge_half_light_radius": 0.4,
    "disk_half_light_radius": 1.5,
    "inclination": 50,
    "pitch_angle": 20,
    "inner_radius": 0.3,
}
SHEAR = {"g1": -0.15, "g2": 0.2, "magnification": 1.3}
STRICT = galsim.GSParams(
    folding_threshold=2e-4, maxk_threshold=2e-5, kvalue_accuracy=1e-6, maximum_fft_size=16384
)


def body(kind="sersic", shear=SHEAR, **changes):
    shared = {"dx": 0.31, "dy": -0.23, "flux": 1000.0, "position_angle": 37.0}
    own = shared | BODIES.get(kind, SPIRAL) | changes
    return own if shear is None else own | {"shear": shear}


def recipe(kind, own, **table):
    entry = {kind: own} | ({"repeat": table.pop("repeat")} if "repeat" in table else {})
    described = {
        "kind": "image",
        "samples": 2,
        "size": list(SIZE),
        "pixel_scale": SCALE,
        "psf": {"moffat": {"fwhm": FWHM, "beta": 3.0}},
        "classes": {"a": {"objects": [entry]}},
    } | table
    data = {"name": "a", "version": "1.0.0", "title": "A", "seed": 3, "tables": {"t": described}}
    return parse_recipe(json.dumps(data))


def draw(kind, own, **table):
    return render(recipe(kind, own, **table), "t", 0, 1)["image"].values[0]


def matrix(g1, g2, magnification=1.0):
    """Return the map of points, float64[2, 2]."""
    root = math.sqrt(magnification / (1 - g1 * g1 - g2 * g2))
    return root * np.array([[1 + g1, g2], [g2, 1 - g1]])


# --- against GalSim ------------------------------------------------------------------------------


def profile(index, radius, flux, own, ratio, truncation=0.0):
    light = galsim.Sersic(
        index,
        half_light_radius=radius,
        trunc=truncation,
        flux_untruncated=truncation > 0,
        gsparams=STRICT,
    ).withFlux(flux)
    return light.shear(q=own[ratio], beta=own["position_angle"] * galsim.degrees)


def galsim_image(kind, own, shear):
    if kind == "sersic":
        index, radius = own["sersic_index"], own["half_light_radius"]
        light = profile(index, radius, 1000.0, own, "axis_ratio", own.get("truncation", 0.0))
    else:
        bulge = 1000.0 * own["bulge_fraction"]
        light = galsim.Add(
            profile(4.0, own["bulge_half_light_radius"], bulge, own, "bulge_axis_ratio"),
            profile(1.0, own["disk_half_light_radius"], 1000 - bulge, own, "disk_axis_ratio"),
        )
    if "magnification" in shear:
        light = light.lens(shear["g1"], shear["g2"], shear["magnification"])
    else:
        light = light.shear(**shear)
    seen = galsim.Convolve(
        light.shift(own["dx"], own["dy"]), galsim.Moffat(3.0, fwhm=FWHM), gsparams=STRICT
    )
    return seen.drawImage(nx=SIZE[1], ny=SIZE[0], scale=SCALE).array


@pytest.mark.parametrize(
    "shear", [{"g1": 0.03, "g2": -0.02}, SHEAR, {"g1": 0.2, "g2": 0.3, "magnification": 0.6}]
)
@pytest.mark.parametrize(
    ("kind", "changes", "most"),
    [("sersic", {}, 1e-4), ("sersic", CUT, 2e-5), ("bulge_disk", {}, 1e-4)],
    ids=["sersic", "truncated", "bulge_disk"],
)
def test_a_sheared_galaxy_is_that_of_galsim(kind, changes, most, shear):
    own = body(kind, shear, **changes)
    image, other = draw(kind, own), galsim_image(kind, own, shear)
    assert np.abs(image - other).max() < most * other.max()


# --- spiral arms ---------------------------------------------------------------------------------


def arms_rows(count, rng):
    return rows_of(
        ARMS_ROW,
        count,
        flux=1.0,
        x=32 + rng.uniform(-0.5, 0.5, count),
        y=32 + rng.uniform(-0.5, 0.5, count),
        half_light_radius=rng.uniform(3, 7, count),
        axis_ratio=rng.uniform(0.3, 1.0, count),
        position_angle_degrees=rng.uniform(-400, 400, count),
        arms=rng.integers(1, 4, count),
        form=np.where(np.arange(count) % 2, RINGERMACHER_MEAD, LOGARITHMIC),
        pitch_angle_degrees=rng.uniform(15, 35, count),
        winding=rng.uniform(2, 4, count),
        arm_scale=rng.uniform(6, 12, count),
        arm_opening=1.5,
        contrast=1.0,
        arm_width=0.4,
        inner_radius=rng.uniform(1, 2, count),
        arm_angle_degrees=rng.uniform(0, 360, count),
        handedness=rng.choice([-1, 1], count),
    )


def columns_of(shears):
    names = ("shear.g1", "shear.g2", "shear.magnification")
    return dict(zip(names, np.transpose(shears), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_sheared_arms_are_their_points_moved(number):
    """The quadrature's points of the arms that are not sheared go through the matrix, and then through the PSF."""
    rng = np.random.default_rng(8)
    before, fwhm, side = arms_rows(2, rng)[number : number + 1], 2.0, 64
    shear = (0.2, -0.15, 1.2)
    after = sheared(Piece("arms", before), columns_of([shear])).rows
    image = np.zeros((1, side, side), np.float32)
    add_to_stamps(image, after, psf_row("gaussian", fwhm))
    xs, ys, light = points(before[0], side, 1.0)
    moved = matrix(*shear) @ np.stack([xs, ys])
    x, y, sigma = before["x"][0], before["y"][0], fwhm / 2 / math.sqrt(2 * math.log(2))
    near = np.abs(moved).max(axis=0) < side / 2 + 8 * sigma + 2
    exact = _gaussian(moved[0][near] + x, moved[1][near] + y, light[near], sigma, side)
    assert np.abs(image[0] - exact).max() < 1e-3 * exact.max()


def places(rows, radius, turn):
    """Return where on the sky a disk has its points, in units of its inner radius and from its arm angle."""
    theta = turn + np.radians(rows["arm_angle_degrees"])
    r, angle = radius * rows["inner_radius"], np.radians(rows["position_angle_degrees"])
    u, v = r * np.cos(theta), r * np.sin(theta) * rows["axis_ratio"]
    return np.array([u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)])


def test_points_of_a_disk_go_where_the_shear_carries_them():
    rng = np.random.default_rng(1)
    before = arms_rows(60, rng)
    before["axis_ratio"][:20] = 1.0
    sizes, angles = rng.uniform(0, 0.6, 60), rng.uniform(0, 2 * np.pi, 60)
    sizes[:4] = sizes[30] = 0.0
    sizes[31:33] = 1e-9
    mu = rng.uniform(0.5, 2, 60)
    shears = np.stack([sizes * np.cos(angles), sizes * np.sin(angles), mu], axis=1)
    after = sheared(Piece("arms", before), columns_of(shears)).rows
    for radius, turn in ((1.0, 0.0), (3.0, 1.0), (0.5, 4.0)):
        old, new = places(before, radius, turn), places(after, radius, turn)
        moved = [matrix(*shear) @ each for shear, each in zip(shears, old.T, strict=True)]
        np.testing.assert_allclose(new.T, moved, atol=1e-12)
    size = before["half_light_radius"] / np.sqrt(before["axis_ratio"]) / before["inner_radius"]
    new_size = after["half_light_radius"] / np.sqrt(after["axis_ratio"]) / after["inner_radius"]
    np.testing.assert_allclose(new_size, size, rtol=1e-13)
    np.testing.assert_allclose(
        after["arm_scale"] / after["inner_radius"], before["arm_scale"] / before["inner_radius"]
    )


# --- laws ----------------------------------------------------------------------------------------


def moments(image):
    y, x = np.indices(image.shape) * SCALE
    weight = image / image.sum(dtype=float)
    x, y = x - (x * weight).sum(), y - (y * weight).sum()
    return np.array([[(weight * each * other).sum() for each in (x, y)] for other in (x, y)])


def test_second_moments_change_as_the_shear_says():
    """Behind a Gaussian, moments of an image are those of the galaxy and of the PSF; they are not weighted."""
    table = {"psf": {"gaussian": {"fwhm": 0.5}}}
    own = {"sersic_index": 0.5, "half_light_radius": 0.6}
    plain = draw("sersic", body(shear=None, **own), **table)
    image = draw("sersic", body(**own), **table)
    width = (0.5 / (2 * math.sqrt(2 * math.log(2)))) ** 2 + SCALE**2 / 12
    before = moments(plain) - width * np.eye(2)
    moved = matrix(**SHEAR)
    np.testing.assert_allclose(moments(image) - width * np.eye(2), moved @ before @ moved.T, atol=2e-5)  # fmt: skip
    assert image.sum(dtype=float) == pytest.approx(1.3 * plain.sum(dtype=float), rel=1e-5)


@pytest.mark.parametrize("kind", ["sersic", "bulge_disk", "spiral"])
def test_no_shear_changes_nothing(kind):
    plain = draw(kind, body(kind, None))
    image = draw(kind, body(kind, {"g1": 0, "g2": 0, "magnification": 1}))
    np.testing.assert_allclose(image, plain, atol=2e-6 * plain.max())


def test_a_spiral_is_sheared_as_one():
    """Its sum is magnified, and each value of the shear moves its light."""
    images = [
        draw("spiral", body("spiral", shear))
        for shear in ({"g1": 0.1, "g2": 0}, {"g1": 0.1}, {"g2": 0.1}, {"magnification": 1.2})
    ]
    assert (images[0] == images[1]).all()
    plain = draw("spiral", body("spiral", None))
    for image in images[1:]:
        assert np.abs(image - plain).max() > 0.02 * plain.max()
    stamp = draw("spiral", body("spiral", SHEAR, stamp_flux=0.98, disk_half_light_radius=0.5))
    assert 0.98 * 1300 < stamp.sum(dtype=float) < 1301


def test_magnification_is_of_the_light_in_every_band():
    bands = {"zero_point": 27, "exposure_time": 100, "psf": {"gaussian": {"fwhm": 0.7}}}
    band = bands | {"sky_brightness": 21, "read_noise": 5, "gain": 2, "full_well": 1e6}
    own = {key: value for key, value in body(shear=None).items() if key != "flux"}
    own["magnitudes"] = {"g": 20, "r": 19}
    described = {"pixel_scale": SCALE, "bands": {"g": band, "r": band}}
    table = {"psf": None, "pixel_scale": None, "instrument": described, "measure": ["sky"]}
    made = [
        labels(recipe("sersic", own | {"shear": {"magnification": mu}}, **table), "t", 0, 1)
        for mu in (1.0, 1.21)
    ]
    for each in "gr":
        light = [frame[f"sersic.frame_flux.{each}"][0] for frame in made]
        assert light[1] / light[0] == pytest.approx(1.21, rel=2e-3)


# --- recipes -------------------------------------------------------------------------------------


def test_labels_are_those_of_the_galaxy():
    drawn = {"g1": {"uniform": [-0.1, 0.1]}, "g2": "= shear.g1 / 2"}
    frame = labels(recipe("sersic", body(shear=drawn)), "t")
    assert (frame["sersic.shear.g2"] == frame["sersic.shear.g1"] / 2).all()
    assert (frame["sersic.flux"] == 1000).all()
    assert "sersic.shear.magnification" not in frame
    copies = objects(recipe("sersic", body(shear=drawn), repeat=3), "t")
    assert copies["shear.g1"].nunique() == 6
    plain = recipe("sersic", body(shear=None))
    assert "shear" not in json.dumps(plain.resolved())


@pytest.mark.parametrize(
    ("shear", "changes", "message"),
    [
        ({"g1": 1}, {}, "shear.g1: must be a number above -1 and below 1"),
        ({"g1": 0.8, "g2": {"uniform": [-0.7, 0]}}, {}, "can be 1.06; .* must stay below 1"),
        ({"magnification": 0}, {}, "magnification: must be a number above 0"),
        ({"kappa": 0.1}, {}, "unknown key 'kappa'"),
        (
            {"g1": 0.3},
            {"axis_ratio": {"uniform": [0.08, 1]}},
            "an axis_ratio of 0.08 can be sheared below 0.05.*keep its axis_ratio above 0.0929",
        ),
    ],
)
def test_what_cannot_be_is_refused(shear, changes, message):
    with pytest.raises(RecipeError, match=message):
        recipe("sersic", body(shear=shear, **changes))


def test_a_shear_needs_a_galaxy():
    with pytest.raises(RecipeError, match="unknown key 'shear'"):
        recipe("star", {"dx": 0, "dy": 0, "flux": 1, "shear": SHEAR})


@pytest.mark.parametrize(
    ("shear", "message"),
    [
        ({"g1": "= 0.8 + 0 * flux", "g2": 0.7}, r"√\(g1² \+ g2²\), is not below 1"),
        ({"g1": "= 0.9 + 0 * flux"}, "sheared to an axis ratio of 0.03"),
        ({"magnification": "= flux - 1000"}, "magnification .* above 0"),
    ],
)
def test_samples_that_cannot_be_are_refused(shear, message):
    with pytest.raises(LabelError, match=message):
        draw("sersic", body(shear=shear, position_angle=0.0))
