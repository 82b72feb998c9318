"""Cosmic rays, bad pixels and smooth noise: labelled, marked, and where the detector has them."""

import json

import numpy as np
import pytest

from deepbench.errors import LabelError, RecipeError
from deepbench.images.shapes.outlines import cover
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, objects, render

RAY = {"x": 20.0, "y": 14.0, "length": 9.0, "thickness": 1.5, "angle": 30.0, "charge": 700.0}
BLOCK = {"x": 5, "y": 3, "width": 2, "height": 4, "level": -7.0}
STAR = {"x": 12.0, "y": 15.0, "flux": 100.0}
BAND = {
    "zero_point": 27.0,
    "exposure_time": 100.0,
    "sky_brightness": 21.0,
    "read_noise": 5.0,
    "full_well": 1e5,
    "gain": 2.0,
}


def recipe(entries, size=(30, 40), samples=1, **table):
    described = {"kind": "image", "samples": samples, "size": list(size), "pixel_scale": 1.0}
    described |= {"psf": {"gaussian": {"sigma": 1.5}}, "classes": {"a": {"objects": entries}}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    return parse_recipe(json.dumps({**head, "tables": {"t": described | table}}))


def made(entries, **options):
    return render(recipe(entries, **options), "t").isel(sample=0)


def test_a_cosmic_ray_is_sharp_and_holds_its_charge():
    found = made([{"cosmic_ray": RAY}], planes=["mask"])
    image = found.image.values
    assert image.sum(dtype=float) == pytest.approx(700.0, rel=1e-5)
    shape = {key: value for key, value in RAY.items() if key != "charge"}
    part = cover("line", (30, 40), **shape)
    np.testing.assert_allclose(image, 700.0 / (9.0 * 1.5) * part, atol=1e-4)
    np.testing.assert_array_equal(found["mask"].values, 2 * (part > 0))


@pytest.mark.parametrize("field", RAY)
def test_every_parameter_of_a_cosmic_ray_matters(field):
    changed = made([{"cosmic_ray": RAY | {field: RAY[field] * 1.1}}]).image
    assert np.abs(changed - made([{"cosmic_ray": RAY}]).image).max() > 1


def test_bad_pixels_hide_what_is_below():
    found = made([{"star": STAR | {"x": 5, "y": 4}}, {"bad_pixels": BLOCK}], planes=["mask"])
    expected = np.zeros((30, 40), int)
    expected[3:7, 5:7] = 4
    np.testing.assert_array_equal(found["mask"].values, expected)
    assert (found.image.values[3:7, 5:7] == -7).all()
    assert (found.image.values[3:7, 4] > 0).all()
    for field in BLOCK:
        other = made([{"bad_pixels": BLOCK | {field: BLOCK[field] + 1}}]).image
        assert (other != made([{"bad_pixels": BLOCK}]).image).any(), field


def test_bad_pixels_beyond_the_edge_are_cut():
    entries = [{"bad_pixels": BLOCK | {"x": -1, "y": 28, "width": 3, "height": 9}}]
    marked = made(entries, planes=["mask"])["mask"].values
    assert marked.sum() == 4 * 2 * 2
    assert marked[28:, :2].all()


def test_defects_are_not_seen_through_the_psf_and_do_not_hide_the_truth():
    ray, star = {"cosmic_ray": RAY}, {"star": STAR}
    found = made([star, ray], planes=["image_true"])
    np.testing.assert_allclose(found.image_true, made([star]).image, atol=1e-6)
    difference = (found.image - found.image_true).values
    np.testing.assert_allclose(difference, made([ray]).image, atol=1e-4)


def test_copies_of_defects_are_rows():
    drawn = RAY | {"x": {"uniform": [0, 39]}, "charge": {"log_uniform": [10, 1000]}}
    entries = [{"cosmic_ray": drawn, "repeat": {"integers": [0, 5]}}]
    described = recipe(entries, samples=20, planes=["mask"])
    rows, frame = objects(described, "t"), labels(described, "t")
    sums = render(described, "t").image.sum(("y", "x"), dtype="f8").values
    kept = rows[(rows["x"] > 8) & (rows["x"] < 31)]
    assert len(kept) < len(rows) == frame["cosmic_ray.repeat"].sum()
    whole = ~np.isin(np.arange(20), rows[~rows.index.isin(kept.index)]["sample"])
    charge = rows.groupby("sample")["charge"].sum().reindex(range(20), fill_value=0)
    np.testing.assert_allclose(sums[whole], charge[whole], rtol=1e-5)
    assert whole.sum() > 3


def test_a_detector_takes_charge_before_it_is_full_and_counts_it():
    instrument = {"pixel_scale": 1.0, "bands": {"r": BAND}, "unit": "adu"}
    table = {"instrument": instrument, "pixel_scale": None, "planes": ["mask"], "size": (60, 60)}
    star = {"star": STAR | {"flux": 0.0}}
    without = made([star], **table)
    found = made([star, {"cosmic_ray": RAY}], **table)
    extra = (found.image - without.image).sum(dtype="f8")
    assert float(extra) == pytest.approx(350.0, rel=1e-3)  # at two electrons per count
    full = made([star, {"cosmic_ray": RAY | {"charge": 1e8}}], **table)
    assert (full["mask"].values == 3).any()
    assert float(full.image.max()) < 1e5 / 2


def test_a_defect_may_be_in_one_band_alone():
    instrument = {"pixel_scale": 1.0, "bands": {"g": BAND, "r": BAND}}
    table = {"instrument": instrument, "pixel_scale": None, "planes": ["mask"]}
    star = {"star": STAR | {"flux": 0.0}}
    entries = [star, {"cosmic_ray": RAY | {"band": 1}}, {"bad_pixels": BLOCK | {"band": 0}}]
    g, r = made(entries, **table)["mask"].values
    assert set(np.unique(g)) == {0, 4}
    assert set(np.unique(r)) == {0, 2}
    with pytest.raises(RecipeError, match="the band of a cosmic_ray must be below 2"):
        recipe([star, {"cosmic_ray": RAY | {"band": {"integers": [0, 2]}}}], **table)
    with pytest.raises(RecipeError, match="the band of a cosmic_ray needs an `instrument`"):
        recipe([star, {"cosmic_ray": RAY | {"band": 0}}])
    with pytest.raises(LabelError, match="the band of a defect is 5, but there are 2 bands"):
        made([star, {"cosmic_ray": RAY | {"band": "= 5"}}], **table)


# --- smooth noise --------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0.5, 1.0, 2.5])
def test_smooth_noise_has_its_variance_and_its_correlation(length):
    entries = [{"circle": {"x": -900, "y": 0, "radius": 1}}]
    noise = [{"correlated": {"sigma": 3.0, "length": length}}]
    image = made(entries, size=(600, 600), noise=noise, psf=None).image.values.astype(float)
    independent = image.size / (4 * np.pi * max(length, 0.5) ** 2 + 1)
    assert image.var() == pytest.approx(9.0, rel=6 * np.sqrt(2 / independent))
    for shift in (1, 2, 4):
        found = (image[:, shift:] * image[:, :-shift]).mean() / 9.0
        expected = np.exp(-(shift**2) / (4 * length**2))
        tolerance = 0.1 if length < 1 else 0.0  # below a pixel, the Gaussian is sampled coarsely
        assert found == pytest.approx(expected, abs=tolerance + 6 / np.sqrt(independent))


def test_smooth_noise_of_a_sky_is_counted_as_light():
    instrument = {"pixel_scale": 1.0, "bands": {"r": BAND}}
    entries = [{"star": STAR | {"flux": 0.0}}]
    table = {"instrument": instrument, "pixel_scale": None, "size": (400, 400)}
    table["planes"] = ["variance_true", "image_true"]
    noise = [{"correlated": {"sigma": 0.8, "length": 2.0}}]
    found = made(entries, noise=noise, **table)
    variance = 10 ** (0.4 * 6) * 100 + 25 + 80.0**2
    np.testing.assert_allclose(found.variance_true, variance, rtol=1e-5)
    assert float(found.image.var()) == pytest.approx(variance, rel=0.2)
    np.testing.assert_allclose(found.image_true, 0.0, atol=1e-2)
