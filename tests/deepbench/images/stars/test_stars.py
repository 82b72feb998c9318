"""Stars in recipes: their places, fluxes and stamps, behind each PSF, alone, in crowds and beside shapes."""

import json

import numpy as np
import pytest

from deepbench.errors import LabelError, RecipeError
from deepbench.images.psf.model import FWHM_OF_SIGMA
from deepbench.images.stars.point_sources import add_point, stamp_radius
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, objects, render
from tests.sky_rows import light_table, psf_row

PSFS = {
    "gaussian": {"sigma": 1.3},
    "moffat": {"fwhm": 0.7, "beta": 2.5},
    "airy": {"fwhm": 0.5, "obscuration": 0.3},
    "kolmogorov": {"fwhm": 0.8, "axis_ratio": 0.7, "position_angle": 25.0},
}
MOFFAT = {"moffat": PSFS["moffat"]}
SCALE = 0.2
SIZE = (33, 40)


def recipe(star, psf=MOFFAT, *, samples=4, repeat=None, more=(), **table):
    entry = {"star": star} | ({} if repeat is None else {"repeat": repeat})
    described = {
        "kind": "image",
        "samples": samples,
        "size": list(SIZE),
        "pixel_scale": SCALE,
        "psf": psf,
        "classes": {"a": {"objects": [entry, *more]}},
    } | table
    described = {key: value for key, value in described.items() if value is not None}
    data = {"name": "a", "version": "1.0.0", "title": "A", "seed": 3, "tables": {"t": described}}
    return parse_recipe(json.dumps(data))


def draw(*arguments, **keywords):
    return render(recipe(*arguments, **keywords), "t")["image"].values


def expected(x, y, flux, kind="moffat", part=0.9999):
    """Return a star as its kernel draws it."""
    body = PSFS[kind]
    width = body["sigma"] * FWHM_OF_SIGMA if kind == "gaussian" else body["fwhm"] / SCALE
    shape = body.get("beta", body.get("obscuration", 0.0))
    ratio, angle = body.get("axis_ratio", 1.0), body.get("position_angle", 0.0)
    (psf,) = psf_row(kind, width, shape, ratio, angle)
    image = np.zeros(SIZE, np.float32)
    place = float(x), float(y), float(flux)  # whole numbers are another kernel to numba
    add_point(image, *place, psf, stamp_radius(psf, part), light_table(psf))
    return image


@pytest.mark.parametrize("kind", PSFS)
def test_a_star_is_what_its_psf_shows(kind):
    image = draw({"x": 17.3, "y": 12.8, "flux": 500.0}, {kind: PSFS[kind]})[0]
    np.testing.assert_array_equal(image, expected(17.3, 12.8, 500.0, kind))
    assert image.sum(dtype=np.float64) == pytest.approx(
        500, rel=0.05
    )  # the rest is outside the frame


def test_places_in_arcsec_are_from_the_centre_of_the_frame():
    one = draw({"dx": 0.4, "dy": -0.3, "flux": 10.0})[0]
    np.testing.assert_array_equal(one, expected(19.5 + 2.0, 16 - 0.3 / SCALE, 10.0))


def test_a_whole_pixel_moves_the_star():
    here, there = (
        draw({"x": x, "y": 12.8, "flux": 10.0, "stamp_flux": 0.9})[0] for x in (15.3, 16.3)
    )
    np.testing.assert_allclose(np.roll(here, 1, axis=1), there, atol=1e-6)


@pytest.mark.parametrize("field", ["x", "y", "dx", "dy", "flux", "stamp_flux"])
def test_every_parameter_of_a_star_changes_the_image(field):
    place = {"dx": 0.1, "dy": 0.2} if field.startswith("d") else {"x": 15.3, "y": 16.1}
    star = place | {"flux": 100.0, "stamp_flux": 0.7}
    changed = star | {field: star[field] * 1.2}
    assert np.abs(draw(changed) - draw(star)).max() > 0.1
    if field == "flux":
        np.testing.assert_allclose(draw(changed), 1.2 * draw(star), rtol=1e-6)


def test_a_smaller_stamp_only_cuts():
    star = {"x": 20.2, "y": 16.7, "flux": 100.0}
    whole, cut = draw(star)[0], draw(star | {"stamp_flux": 0.8})[0]
    inside = cut != 0
    np.testing.assert_array_equal(cut[inside], whole[inside])
    assert 0.8 <= cut.sum() / 100 < 0.95
    assert inside.sum() < 200


def test_stars_off_the_frame_shine_in():
    image = draw({"x": -2.0, "y": 16.0, "flux": 1000.0})[0]
    assert image[16, 0] == image.max() > 5
    assert draw({"x": "= -2000", "y": 16.0, "flux": 1000.0}).max() == 0
    with pytest.raises(RecipeError, match="a star is never in the frame: its x is from -2000 to"):
        draw({"x": -2000.0, "y": 16.0, "flux": 1000.0})
    with pytest.raises(RecipeError, match="never in the frame: its dy is from 90 to 95"):
        draw({"dx": 0, "dy": {"uniform": [90, 95]}, "flux": 1000.0})


@pytest.mark.slow
def test_light_adds():
    both = draw(
        {"x": 10.0, "y": 10.0, "flux": 10.0}, more=[{"star": {"x": 14.5, "y": 11.0, "flux": 7.0}}]
    )[0]
    np.testing.assert_allclose(both, expected(10, 10, 10) + expected(14.5, 11, 7), atol=1e-6)


def test_stars_lie_on_top_of_blurred_shapes():
    disk = {"circle": {"x": 20, "y": 16, "radius": 5}}
    star = {"x": 12.0, "y": 9.0, "flux": 20.0}
    gaussian = {"gaussian": PSFS["gaussian"]}
    both = draw(star, gaussian, more=[disk])[0]
    alone = draw({"x": 0.0, "y": 0.0, "flux": 0.0}, gaussian, more=[disk])[0]
    np.testing.assert_allclose(both, alone + expected(12, 9, 20, "gaussian"), atol=1e-6)


CROWD = {
    "x": {"uniform": [0, 39]},
    "y": {"uniform": [0, 32]},
    "flux": {"log_uniform": [10, 1000]},
}
NOISE = [{"poisson": {"background": 2.0}}]


def test_a_crowd_is_the_sum_of_its_rows():
    made = recipe(CROWD, repeat={"integers": [0, 20]}, samples=30)
    rows = objects(made, "t")
    image = render(made, "t")["image"].values
    for sample in range(30):
        summed = np.zeros(SIZE)
        for row in rows[rows["sample"] == sample].itertuples():
            summed += expected(row.x, row.y, row.flux)
        np.testing.assert_allclose(image[sample], summed, atol=1e-5 * max(summed.max(), 1))


def test_a_row_renders_its_sample_again():
    made = recipe(CROWD, repeat={"integers": [1, 9]}, samples=20, noise=NOISE)
    every = render(made, "t")["image"].values
    again = render(made, "t", labels=labels(made, "t").iloc[::-1], objects=objects(made, "t"))
    np.testing.assert_array_equal(again["image"].values[::-1], every)
    np.testing.assert_array_equal(render(made, "t", 7, 9)["image"].values, every[7:9])


def test_batches_do_not_matter(monkeypatch):
    from deepbench.images import render as module

    made = recipe(CROWD, repeat={"integers": [0, 9]}, samples=23, noise=NOISE)
    every = render(made, "t")["image"].values
    monkeypatch.setattr(module, "BATCH_PIXELS", 3 * SIZE[0] * SIZE[1])
    np.testing.assert_array_equal(render(made, "t")["image"].values, every)


def test_labels_have_units():
    frame = labels(recipe({"dx": 0.1, "dy": 0.2, "flux": 3.0}), "t")
    units = frame.attrs["units"]
    assert units["star.dx"] == units["star.dy"] == units["psf.fwhm"] == "arcsec"
    assert frame["star.stamp_flux"].tolist() == [0.9999] * 4


@pytest.mark.parametrize(
    ("star", "table", "message"),
    [
        ({"x": 1, "flux": 1}, {}, "must have either x and y .* or dx and dy .*; it has x"),
        ({"x": 1, "y": 1, "dx": 1, "flux": 1}, {}, "it has x, y, dx"),
        ({"flux": 1}, {}, "it has none of them"),
        ({"x": 1, "y": 1, "flux": -1}, {}, "flux: must be a number at least 0"),
        ({"x": 1, "y": 1, "flux": 1, "stamp_flux": 1}, {}, "stamp_flux: must be .* below 1"),
        ({"x": 1, "y": 1, "flux": 1}, {"psf": None}, "seen through a PSF: add `psf`"),
        ({"x": 1, "y": 1, "flux": 1}, {"pixel_scale": None}, "the width of the PSF is given in arcsec"),
        (
            {"dx": 1, "dy": 1, "flux": 1},
            {"pixel_scale": None, "psf": {"gaussian": {"sigma": 1}}},
            "the position of a star is given in arcsec: add `pixel_scale`",
        ),
        ({"x": 1, "y": 1, "flux": 1}, {"pixel_scale": 0}, "pixel_scale: .*greater than 0"),
        ({"x": 1, "y": 1, "flux": 1}, {"psf": {"moffat": {"fwhm": 1, "beta": 1}}}, "beta: must be"),
        ({"x": 1, "y": 1, "flux": 1}, {"psf": {"airy": {"fwhm": 1, "obscuration": 1}}}, "obscuration: must"),
        ({"x": 1, "y": 1, "flux": 1}, {"psf": {"kolmogorov": {"fwhm": 0}}}, "fwhm: must be a number above 0"),
        ({"x": 1, "y": 1, "flux": 1}, {"psf": {"mofat": {"fwhm": 1}}}, "did you mean 'moffat'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(star, table, message):
    with pytest.raises(RecipeError, match=message):
        recipe(star, **table)


def test_shapes_behind_a_psf_of_the_sky_are_refused():
    disk = {"circle": {"x": 20, "y": 16, "radius": 5}}
    with pytest.raises(
        RecipeError, match="a circle can be blurred by a round `psf: {gaussian: …}` only"
    ):
        recipe({"x": 1, "y": 1, "flux": 1}, more=[disk])


def test_light_that_would_cover_is_refused():
    with pytest.raises(RecipeError, match="`blend` is for shapes: leave it out of a star"):
        recipe(
            {"x": 1, "y": 1, "flux": 1},
            more=[{"star": {"x": 1, "y": 1, "flux": 1}, "blend": "over"}],
        )


def test_places_beyond_the_limit_are_refused():
    with pytest.raises(LabelError, match="sample 0: an object has a length, a position .* beyond"):
        draw({"x": "= 1e12", "y": 1, "flux": 1})


@pytest.mark.parametrize("psf", [{"gaussian": {"sigma": 0}}, {"moffat": {"fwhm": 1e-4, "beta": 3}}])
def test_a_psf_too_narrow_to_be_drawn_is_refused(psf):
    star = {"x": 1, "y": 1, "flux": 1}
    with pytest.raises(RecipeError, match="the PSF of a star can be .* pixels wide .* it must be"):
        recipe(star, psf)
    ((kind, body),) = psf.items()
    unknown = {kind: {key: f"= {value}" for key, value in body.items()}}
    with pytest.raises(
        LabelError, match="table 't', sample 0: the full width .* of the PSF is .* pixels, it must"
    ):
        draw(star, unknown)
