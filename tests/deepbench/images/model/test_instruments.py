"""Instruments: magnitudes, bands, the detector's chain in its order, planes, presets."""

import copy
import json

import numpy as np
import pytest

from deepbench.errors import RecipeError
from deepbench.images.model.instruments import Band, Instrument, presets
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, objects, render

BAND = {
    "zero_point": 27.0,
    "exposure_time": 30.0,
    "exposures": 4,
    "sky_brightness": 21.5,
    "dark_current": 0.05,
    "read_noise": 6.0,
    "full_well": 90000.0,
    "gain": 2.5,
    "bias": 100.0,
}
PSF = {"moffat": {"fwhm": 0.8, "beta": 3.0}}
SCALE = 0.25
TIME = 120.0
SKY = (10 ** (-0.4 * (21.5 - 27.0)) * SCALE**2 + 0.05) * TIME
STAR = {"star": {"dx": 0, "dy": 0, "magnitude": 20.0}}
EMPTY = {"star": {"x": 0, "y": 0, "flux": 0}}


def recipe(objects, bands=None, instrument=None, **table):
    described = {"kind": "image", "samples": 1, "size": [64, 64]}
    described["instrument"] = {"pixel_scale": SCALE, "bands": bands or {"r": BAND}}
    described["instrument"] |= instrument or {}
    described |= {"psf": PSF, "classes": {"a": {"objects": objects}}} | table
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    return parse_recipe(json.dumps({**head, "tables": {"images": described}}))


def made(objects, *arguments, **options):
    return render(recipe(objects, *arguments, **options), "images").isel(sample=0)


def band(**changes):
    return {"r": BAND | changes}


# --- light ---------------------------------------------------------------------------------------


def test_a_magnitude_is_that_of_the_zero_point():
    true = made([STAR], planes=["image_true"]).image_true
    assert true.dims == ("band", "y", "x")
    expected = 10 ** (-0.4 * (20 - 27)) * TIME
    assert float(true.sum(dtype="f8")) == pytest.approx(0.9999 * expected, rel=1e-4)
    flux = STAR["star"] | {"flux": 10 ** (-0.4 * (20 - 27))}
    del flux["magnitude"]
    same = made([{"star": flux}], planes=["image_true"]).image_true
    np.testing.assert_allclose(same, true, rtol=1e-6)


def test_each_band_has_its_light_its_exposure_and_its_psf():
    bands = {"g": BAND | {"psf": {"gaussian": {"fwhm": 1.5}}}, "r": BAND | {"psf": PSF}}
    bands["r"]["exposure_time"] = 60.0
    star = {"dx": 0, "dy": 0, "magnitudes": {"g": 21.0, "r": "= magnitudes.g - 1"}}
    image = made([{"star": star}], bands, psf=None, planes=["image_true"])
    assert image.band.attrs["flag_meanings"] == "g r"
    g, r = image.image_true.values
    assert r.sum() / g.sum() == pytest.approx(2 * 10**0.4, rel=1e-3)
    assert r.max() / r.sum() > 1.5 * g.max() / g.sum()
    alone = made([{"star": star | {"magnitudes": {"r": 20.0}}}], {"r": bands["r"]}, psf=None)
    np.testing.assert_array_equal(alone.image[0], image.image[1])  # a band moves no other's noise


def test_colours_are_priors():
    star = {
        "dx": 0,
        "dy": 0,
        "magnitudes": {"r": {"uniform": [18, 20]}, "g": "= magnitudes.r + gr"},
    }
    described = recipe(
        [{"star": star}],
        {"g": BAND, "r": BAND},
        samples=50,
        variables={"gr": {"normal": [0.6, 0.1]}},
    )
    found = labels(described, "images")
    colour = found["star.magnitudes.g"] - found["star.magnitudes.r"]
    np.testing.assert_allclose(colour, found["variables.gr"], atol=1e-12)
    assert colour.std() > 0.05


def test_each_copy_has_a_colour_of_its_own():
    star = {
        "x": {"uniform": [5, 59]},
        "y": {"uniform": [5, 59]},
        "magnitude": {"uniform": [18, 20]},
    }
    star |= {"colors": {"g": {"normal": [0.6, 0.1]}, "i": "= -0.5 * colors.g"}}
    bands = {"g": BAND, "r": BAND, "i": BAND}
    described = recipe([{"star": star, "repeat": 1}], bands, samples=20, planes=["image_true"])
    rows = objects(described, "images")
    np.testing.assert_allclose(rows["colors.i"], -0.5 * rows["colors.g"])
    assert rows["colors.g"].std() > 0.03
    sums = render(described, "images").image_true.sum(("y", "x"), dtype="f8").values
    for band_number, color in ((0, rows["colors.g"]), (2, rows["colors.i"])):
        found = -2.5 * np.log10(sums[:, band_number] / sums[:, 1])
        np.testing.assert_allclose(found, color, atol=1e-4)
    with pytest.raises(RecipeError, match="colors are added to `magnitude`, which is missing"):
        recipe([{"star": {"x": 1, "y": 1, "flux": 1, "colors": {"r": 1}}}])
    with pytest.raises(RecipeError, match="the colors of a star must be given for the bands r"):
        recipe([{"star": {"x": 1, "y": 1, "magnitude": 1, "colors": {"z": 1}}}])


# --- the detector --------------------------------------------------------------------------------


def statistics(**options):
    """Return mean and variance of a frame that shows the sky alone."""
    image = made([EMPTY], size=[400, 400], **options).image.values.astype(float)
    return image.mean(), image.var(), image.size


@pytest.mark.parametrize("background", ["kept", "subtracted"])
@pytest.mark.parametrize("unit", ["electron", "adu", "flux"])
def test_mean_and_variance_are_those_of_theory(unit, background):
    mean, variance, count = statistics(instrument={"unit": unit, "background": background})
    scale = {"electron": 1.0, "adu": 1 / 2.5, "flux": 1 / TIME}[unit]
    expected = (SKY + 4 * 36.0) * scale**2
    level = SKY * scale + (100.0 if unit == "adu" else 0.0) if background == "kept" else 0.0
    rounding = 1 / 12 if (unit, background) == ("adu", "kept") else 0.0
    assert mean == pytest.approx(level, abs=5 * np.sqrt(expected / count))
    assert variance == pytest.approx(expected + rounding, rel=5 * np.sqrt(2 / count))


@pytest.mark.parametrize(
    ("changes", "factor"),
    [
        ({"exposures": 16}, 4.0),
        ({"exposure_time": 120.0}, (4 * SKY + 144) / (SKY + 144)),
        ({"sky_brightness": 20.5}, None),
        ({"dark_current": 3.0}, (SKY + 2.95 * TIME + 144) / (SKY + 144)),
        ({"read_noise": 12.0}, (SKY + 4 * 144) / (SKY + 144)),
    ],
)
def test_each_term_adds_its_variance(changes, factor):
    _, before, count = statistics()
    _, after, _ = statistics(bands=band(**changes))
    if factor is None:
        sky = (SKY - 0.05 * TIME) * 10**0.4 + 0.05 * TIME
        factor = (sky + 144) / (SKY + 144)
    assert after / before == pytest.approx(factor, rel=8 * np.sqrt(2 / count))


def test_the_shape_of_the_noise_is_poisson_then_normal():
    faint = band(sky_brightness=27.5, dark_current=0.0, read_noise=0.0)
    image = made([EMPTY], faint, size=[400, 400], instrument={"background": "kept"}).image.values
    mean = 10 ** (0.2 - 0.4) * SCALE**2 * TIME  # a few electrons
    assert (image == np.round(image)).all()
    for count in range(4):
        part = (image == count).mean()
        expected = np.exp(-mean) * mean**count / np.prod(np.arange(1, count + 1))
        assert part == pytest.approx(expected, abs=5 * np.sqrt(expected / image.size))


def test_full_pixels_are_cut_and_marked():
    bright = {"star": STAR["star"] | {"magnitude": 13.0}}
    found = made([bright], planes=["mask", "image_true"], instrument={"background": "kept"})
    full = found["mask"].values == 1
    assert full.any()
    np.testing.assert_array_equal(found.image.values[full], 4 * 90000.0)
    assert (found.image.values[~full] < 4 * 90000.0).all()
    assert found.image_true.values.max() > 4 * 90000.0


def test_counts_are_whole_numbers_where_the_background_is_kept():
    counts = made([STAR], instrument={"unit": "adu", "background": "kept"}).image.values
    np.testing.assert_array_equal(counts, np.round(counts))
    assert made([STAR], instrument={"unit": "adu"}).image.attrs["units"] == "adu"


@pytest.mark.parametrize("unit", ["electron", "adu", "flux"])
def test_the_planes_fit_the_image(unit):
    planes = ["image_true", "variance", "variance_true", "mask"]
    bright = {"star": STAR["star"] | {"magnitude": 16.0}}
    found = made([bright], planes=planes, size=[300, 300], instrument={"unit": unit})
    difference = found.image - found.image_true
    score = (difference / np.sqrt(found.variance_true)).values
    assert score.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * score.size))
    assert score.mean() == pytest.approx(0.0, abs=5 / np.sqrt(score.size))
    assert not np.array_equal(found.variance, found.variance_true)
    ratio = found.variance / found.variance_true - 1
    scale = {"electron": 1.0, "adu": 1 / 2.5, "flux": 1 / TIME}[unit]
    expected = difference * scale / found.variance_true  # what is estimated follows the noise
    np.testing.assert_allclose(ratio, expected, atol=2e-4)
    without = made([bright], size=[300, 300], instrument={"unit": unit})
    np.testing.assert_array_equal(without.image, found.image)


def test_every_value_of_a_band_is_a_label_and_may_be_drawn():
    drawn = band(sky_brightness={"uniform": [20, 22]}, exposures={"integers": [1, 9]})
    found = labels(recipe([STAR], drawn, samples=30), "images")
    for name in set(Band.model_fields) - {"psf"}:
        assert f"instrument.r.{name}" in found
    assert found["instrument.r.sky_brightness"].nunique() == 30
    assert set(found["instrument.r.exposures"]) <= set(range(1, 10))


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"instrument": {"preset": "dse"}}, "unknown preset 'dse'; did you mean 'des'"),
        ({"instrument": {"unit": "dn"}}, "must be 'electron', 'adu' or 'flux'"),
        ({"pixel_scale": 1}, "the instrument has its own pixel_scale"),
        ({"noise": [{"gaussian": {"sigma": 1}}]}, "the instrument has its own noise"),
        ({"bands": {"r": {**BAND, "gain": 0}}}, "must be a number above 0"),
        ({"instrument": {"bands": {}}}, "must have at least 1 item"),
        ({"psf": None}, "a star is seen through a PSF: add `psf`"),
        ({"planes": ["image_true", "image_true"]}, "names a plane twice"),
    ],
)
def test_a_wrong_instrument_is_refused(options, message):
    with pytest.raises(RecipeError, match=message):
        recipe([STAR], **options)


def test_bands_must_fit():
    star = {"dx": 0, "dy": 0, "magnitudes": {"g": 20.0}}
    with pytest.raises(RecipeError, match="must be given for the bands r, not for g"):
        recipe([{"star": star}])
    described = {"preset": "des", "bands": {"q": {}}}
    with pytest.raises(RecipeError, match="unknown band of 'des' 'q'; allowed: g, r, i, z, y"):
        recipe([STAR], instrument=described)
    with pytest.raises(RecipeError, match="such as bands: {g: {}}; 'des' has g, r, i, z, y"):
        recipe([STAR], instrument={"preset": "des", "bands": None})
    text = recipe([STAR]).to_yaml()
    head, _, _ = text.partition("instrument:")
    assert "magnitude: 20" in head
    plain = {"kind": "image", "samples": 1, "size": [9, 9], "pixel_scale": 1, "psf": PSF}
    plain["classes"] = {"a": {"objects": [STAR]}}
    for more, message in (
        ({}, "the magnitude of a star needs an `instrument`"),
        ({"planes": ["variance"]}, "the plane 'variance' needs an `instrument`"),
        ({"planes": ["mask"]}, "needs an `instrument`, a cosmic_ray or bad_pixels"),
        ({"measure": True}, "measure needs noise"),
    ):
        described = copy.deepcopy(plain | more)
        if more:
            described["classes"]["a"]["objects"] = [EMPTY]
        head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
        with pytest.raises(RecipeError, match=message):
            parse_recipe(json.dumps({**head, "tables": {"t": described}}))


def test_the_preset_whose_psf_blurs_no_shape_is_named():
    shape = {"circle": {"x": 4, "y": 4, "radius": 2}}
    described = {"preset": "des", "bands": {"r": {}}}
    with pytest.raises(
        RecipeError,
        match="and 'psf.r' of the preset 'des' is another, of kind moffat; write such a psf into the table",
    ):
        recipe([shape], instrument=described, psf=None)
    assert recipe([shape], instrument=described, psf={"gaussian": {"sigma": 1.5}})


# --- presets -------------------------------------------------------------------------------------


def test_there_are_the_instruments_that_people_ask_for():
    assert {"des", "lsst", "hst_acs", "euclid_vis", "roman_wfi", "sdss"} <= set(presets())


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_complete_and_draws(name):
    bands = {band: {} for band in presets()[name]["bands"]}
    assert presets()[name]["pixels"] in ("native", "coadd")
    instrument = Instrument.model_validate({"preset": name, "bands": bands})
    assert all(band.psf is not None for band in instrument.bands.values())
    galaxy = {"dx": 0, "dy": 0, "magnitude": 19, "sersic_index": 1, "half_light_radius": 0.5}
    described = {"kind": "image", "samples": 1, "size": [48, 48]}
    described |= {"instrument": {"preset": name, "bands": bands}}
    described["classes"] = {"a": {"objects": [{"sersic": galaxy}]}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    made_of = parse_recipe(json.dumps({**head, "tables": {"t": described}}))
    image = render(made_of, "t").image.values[0]
    assert np.isfinite(image).all()
    assert (image.max((1, 2)) > 5 * np.std(image[:, :8], axis=(1, 2))).all()
    again = parse_recipe(made_of.to_yaml())  # the release keeps every number of the preset
    assert again.hash == made_of.hash
    assert "zero_point" in made_of.to_yaml()


def test_what_is_given_goes_before_the_preset():
    given = {"preset": "des", "bands": {"r": {"exposures": 3, "psf": PSF}}, "pixel_scale": 0.3}
    instrument = Instrument.model_validate(given)
    assert instrument.pixel_scale == 0.3
    assert instrument.bands["r"].exposures.value == 3
    assert instrument.bands["r"].psf.kind == "moffat"
    assert instrument.bands["r"].zero_point.value == presets()["des"]["bands"]["r"]["zero_point"]


def test_the_sky_of_the_presets_is_as_bright_as_published():
    """Electrons per second and pixel, from DES's and Rubin's own figures."""
    for name, expected in (
        ("des", {"g": 5.1, "r": 13.1, "i": 39.0, "z": 83.4, "y": 66.4}),
        ("lsst", {"u": 1.51, "g": 15.5, "r": 33.0, "i": 52.9, "z": 79.4, "y": 90.6}),
    ):
        scale = presets()[name]["pixel_scale"]
        for band_name, rate in expected.items():
            each = presets()[name]["bands"][band_name]
            sky = 10 ** (-0.4 * (each["sky_brightness"] - each["zero_point"])) * scale**2
            assert sky == pytest.approx(rate, rel=0.12), (name, band_name)
