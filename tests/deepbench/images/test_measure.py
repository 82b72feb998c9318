"""Labels that are measured on the image without noise, and the segmentation map."""

import json

import numpy as np
import pytest

from deepbench.errors import LabelError, RecipeError
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, objects, render

MOFFAT = {"moffat": {"fwhm": 3.0, "beta": 3.0}}
NOISE = [{"poisson": {"background": 50.0}}, {"gaussian": {"sigma": 4.0}}]
SKY = 50.0 + 16.0
STAR = {"x": 30.0, "y": 32.0, "flux": 4000.0, "stamp_flux": 0.99}
GALAXY = {
    "x": 60.5,
    "y": 30.2,
    "flux": 6000.0,
    "sersic_index": 1.0,
    "half_light_radius": 3.0,
    "axis_ratio": 0.6,
    "stamp_flux": 0.98,
}


def recipe(entries, samples=1, **table):
    described = {"kind": "image", "samples": samples, "size": [64, 96], "pixel_scale": 1.0}
    described |= {"psf": MOFFAT, "noise": NOISE, "measure": True}
    described["classes"] = {"a": {"objects": entries}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    return parse_recipe(json.dumps({**head, "tables": {"t": described | table}}))


def truth(*entries):
    """Return the light of objects, without noise."""
    described = recipe(list(entries), noise=[], measure=None)
    return render(described, "t").image.values[0].astype(float)


def measured(*entries, **table):
    return labels(recipe(list(entries), **table), "t").iloc[0]


def test_signal_to_noise_is_that_of_its_definition():
    star, galaxy = {"star": STAR}, {"sersic": GALAXY}
    row = measured(star, galaxy)
    one, other = truth(star), truth(galaxy)
    for name, light in (("star", one), ("sersic", other)):
        variance = one + other + SKY
        assert row[f"{name}.snr"] == pytest.approx(np.sqrt((light**2 / variance).sum()), rel=1e-5)
        alone = np.sqrt((light**2).sum() / SKY)
        assert row[f"{name}.snr_sky"] == pytest.approx(alone, rel=1e-5)
        assert row[f"{name}.frame_flux"] == pytest.approx(light.sum(), rel=1e-5)


def test_the_signal_to_noise_is_what_a_matched_filter_finds():
    """The best weights for the light of a known object find its flux with this signal-to-noise ratio."""
    described = recipe([{"star": STAR}], samples=400)
    light = truth({"star": STAR})
    weights = light / (light + SKY)
    images = render(described, "t").image.values.astype(float)
    found = (images * weights).sum((1, 2))
    expected = labels(described, "t")["star.snr"].iloc[0]
    assert found.mean() / found.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * 400))


def test_the_light_inside_the_frame():
    inside = measured({"star": STAR})["star.frame_flux"]
    assert inside == pytest.approx(4000 * 0.99, rel=0.01)
    half = measured({"star": STAR | {"x": -0.5}})["star.frame_flux"]
    assert half == pytest.approx(inside / 2, rel=1e-3)
    outside = measured({"star": STAR | {"x": "= -300"}})
    assert outside[["star.snr", "star.frame_flux", "star.neighbour_share"]].tolist() == [0, 0, 0]


def test_the_share_of_the_brightest_neighbour():
    near, far = STAR | {"x": 33.0, "flux": 8000.0}, STAR | {"x": 39.0, "flux": 2000.0}
    entries = [{"star": STAR}, {"name": "near", "star": near}, {"name": "far", "star": far}]
    row = measured(*entries)
    light, close, distant = (truth(each) for each in entries)
    footprint = light >= 0.1 * light.max()
    total = (light + close + distant)[footprint].sum()
    assert row["star.neighbour_share"] == pytest.approx(close[footprint].sum() / total, rel=1e-5)
    assert measured(entries[0])["star.neighbour_share"] == 0


def test_what_a_pixel_belongs_to():
    entries = [{"star": STAR}, {"sersic": GALAXY}]
    found = render(recipe(entries, planes=["segmentation"]), "t").isel(sample=0)
    star, galaxy = truth(entries[0]), truth(entries[1])
    threshold = np.sqrt(SKY)
    expected = np.where(star >= galaxy, 1, 2) * (np.maximum(star, galaxy) > threshold)
    wrong = found.segmentation.values != expected
    edge = np.abs(np.maximum(star, galaxy) - threshold) < 1e-3 * threshold
    assert not (wrong & ~edge).any()
    assert float(found["star.segment"]) == 1
    assert float(found["sersic.segment"]) == 2


def test_copies_are_measured_in_their_rows():
    place = {"x": {"uniform": [0, 95]}, "y": {"uniform": [0, 63]}, "flux": {"uniform": [1, 5e3]}}
    entry = {"star": place, "repeat": {"integers": [0, 6]}}
    described = recipe([{"sersic": GALAXY}, entry], samples=30, planes=["segmentation"])
    copies, rows = objects(described, "t"), labels(described, "t")
    assert len(copies) == rows["star.repeat"].sum()
    assert (copies["snr"] > 0).all()
    for sample, own in copies.groupby("sample"):
        assert own["segment"].tolist() == list(range(2, 2 + len(own)))
        alone = recipe([{"sersic": GALAXY}, entry], samples=30)
        np.testing.assert_array_equal(objects(alone, "t", sample, sample + 1)["snr"], own["snr"])
    brighter = copies["flux"].rank().corr(copies["snr_sky"].rank())
    assert brighter > 0.9


@pytest.mark.filterwarnings("ignore::deepbench.errors.RangeWarning")
def test_a_row_renders_and_measures_again():
    described = recipe([{"star": STAR | {"flux": {"uniform": [1e3, 1e4]}}}], samples=5)
    frame = labels(described, "t")
    again = render(described, "t", labels=frame.iloc[[3]])
    assert float(again["star.snr"][0]) == frame["star.snr"].iloc[3]
    frame.loc[3, "star.flux"] *= 4
    changed = render(described, "t", labels=frame.iloc[[3]])
    assert float(changed["star.snr"][0]) > 1.9 * frame["star.snr"].iloc[3]


def test_every_band_is_measured():
    band = {
        "zero_point": 27.0,
        "exposure_time": 100.0,
        "sky_brightness": 21.0,
        "read_noise": 5.0,
        "full_well": 1e5,
        "gain": 1.0,
    }
    instrument = {"pixel_scale": 0.3, "bands": {"g": band, "r": band | {"exposure_time": 400.0}}}
    star = {"dx": 0, "dy": 0, "magnitude": 22.0}
    table = {"instrument": instrument, "noise": [], "pixel_scale": None}
    table["psf"] = {"moffat": {"fwhm": 0.9, "beta": 3.0}}
    row = measured({"star": star}, **table)
    assert row["star.frame_flux.g"] == pytest.approx(10 ** (0.4 * 5) * 0.9999, rel=1e-3)
    sky = 10 ** (0.4 * 6) * 0.09
    one = row["star.snr_sky.g"] ** 2 * (sky * 100 + 25)
    four = row["star.snr_sky.r"] ** 2 * (sky * 400 + 25)
    assert four / one == pytest.approx(16.0, rel=1e-6)
    assert row["star.snr.g"] < row["star.snr_sky.g"]


def test_nothing_can_be_measured_without_noise():
    with pytest.raises(RecipeError, match="measure needs noise"):
        recipe([{"star": STAR}], noise=[])
    with pytest.raises(RecipeError, match="measure needs stars, galaxies or shapes"):
        recipe([{"bad_pixels": {"x": 3, "y": 3, "level": 2}}], psf=None)
    with pytest.raises(RecipeError, match="measure needs stars or galaxies"):
        recipe([{"circle": {"x": 3, "y": 3, "radius": 2}}], psf=None, measure=["sky"])
    described = recipe([{"star": STAR}], noise=[{"gaussian": {"sigma": 0.0}}])
    with pytest.raises(LabelError, match="sample 0: its noise is zero"):
        labels(described, "t")
    with pytest.raises(RecipeError, match="no value is called 'star.snr'"):
        recipe([{"star": STAR}, {"name": "b", "star": STAR | {"flux": "= star.snr"}}])
