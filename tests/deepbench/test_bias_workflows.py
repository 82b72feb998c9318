"""The workflows of bias, shift, groups, twins, selection and factors: each does what its description says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from deepbench.recipe import load_recipe
from deepbench.samples import labels, objects, render

WORKFLOWS = Path(__file__).parents[2] / "workflows"

TABLES = [
    ("biased_shapes", "images"),
    ("factors", "images"),
    ("shifted_stars", "images"),
    ("hierarchical_pendulums", "series"),
    ("two_instruments", "des"),
    ("two_instruments", "hst"),
    ("selected_transients", "curves"),
]


def recipe_of(name):
    return load_recipe(WORKFLOWS / f"{name}.yaml")


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_a_row_renders_its_sample(name, table):
    recipe = recipe_of(name)
    every, frame = render(recipe, table, 0, 8), labels(recipe, table, 0, 8)
    copies = objects(recipe, table, 0, 8)
    for sample in (0, 7):
        own = copies[copies["sample"] == sample] if len(copies) else None
        again = render(recipe, table, labels=frame.iloc[[sample]], objects=own)
        for variable in recipe.tables[table].data_variables():
            found = again[variable.name].values[0]
            np.testing.assert_array_equal(found, every[variable.name].values[sample])


@pytest.mark.parametrize("rho", [0.9, 0.7])
def test_the_blur_predicts_the_class_with_the_probability_of_the_split(rho):
    recipe = recipe_of("biased_shapes").replace({"constants.rho": rho})
    frame = labels(recipe, "images", 0, 20_000)
    blurred = frame["psf.sigma"] > 1.75
    assert (blurred == frame["variables.blurred"]).all()
    expected = {"train": rho, "validation": rho, "test_fair": 0.5, "test_opposed": 1 - rho}
    called = frame.assign(hit=blurred == (frame["class"] == "rectangle"))
    groups = called.groupby(["split", "class"], observed=True)
    for (split, _), hits in groups["hit"]:
        p = expected[split]
        assert abs(hits.mean() - p) < 4 * np.sqrt(p * (1 - p) / len(hits))
    for column in ("circle.radius", "rectangle.width"):
        parts = [frame.loc[frame["split"] == split, column].dropna() for split in expected]
        assert stats.kruskal(*parts).pvalue > 1e-3


def test_seeing_and_noise_shift_and_nothing_else():
    recipe = recipe_of("shifted_stars")
    frame = labels(recipe, "images", 0, 20_000)
    target = frame["split"].str.startswith("target")
    assert (frame["variables.domain"] == target).all()
    for column in ("variables.light", "variables.separation", "star.dx"):
        source, shifted = (frame.loc[which, column].dropna() for which in (~target, target))
        assert stats.ks_2samp(source, shifted).pvalue > 1e-3
    assert frame.loc[target, "psf.fwhm"].mean() - frame.loc[~target, "psf.fwhm"].mean() > 0.35
    images = render(recipe, "images", 0, 60).image.values[:, :8]
    frame = frame[:60]
    empty = frame["class"] != "crowd"
    for domain, variance in ((0, 200 + 5**2), (1, 800 + 12**2)):
        corner = images[(empty & (frame["variables.domain"] == domain)).values]
        spread = np.subtract(*np.percentile(corner, [84.13, 15.87])) / 2
        assert (
            abs(spread / np.sqrt(variance) - 1) < 0.03
        )  # wings of stars, and 5,000 pixels or more


def test_a_group_of_pendulums_has_one_gravity_and_one_noise():
    recipe = recipe_of("hierarchical_pendulums")
    frame = labels(recipe, "series")
    groups = frame.groupby("group")
    for column in ("pendulum.gravity", "noise.position", "split"):
        assert (groups[column].nunique() == 1).all()
    assert (groups.size() == 16).all()
    assert frame["pendulum.length"].nunique() == len(frame)
    gravity, count = groups["pendulum.gravity"].first(), len(groups)
    assert abs(gravity.mean() - 10) < 4 * 2 / np.sqrt(count)
    assert abs(gravity.std() - 2) < 4 * 2 / np.sqrt(2 * count)
    data = render(recipe, "series", 0, 64)
    noise = (data.position - data.position_true).values.reshape(4, -1)
    error = frame["noise.position"].values[:64:16]
    np.testing.assert_allclose(noise.std(axis=1), error, rtol=4 / np.sqrt(2 * noise.shape[1]))


def test_two_instruments_see_the_same_galaxies():
    recipe = recipe_of("two_instruments")
    count = 24
    des, hst = (render(recipe, name, 0, count) for name in ("des", "hst"))
    frames = [labels(recipe, name, 0, count) for name in ("des", "hst")]
    shared = [name for name in frames[0] if name in frames[1]]
    assert {"class", "split", "spiral.arm_angle", "sersic.sersic_index"} <= set(shared)
    for name in shared:
        assert frames[0][name].equals(frames[1][name]), name
    light = []
    for name, data, band in (("des", des, "i"), ("hst", hst, "f814w")):
        own = recipe.tables[name].instrument.bands[band]
        seconds = own.exposure_time.value * own.exposures.value
        total = data.image_true.values.sum(axis=(1, 2, 3)) / seconds
        light.append(total * 10 ** (-0.4 * own.zero_point.value))
    small = (frames[0]["variables.radius"] < 0.5).values
    assert small.sum() > 5
    np.testing.assert_allclose(
        light[0][small], light[1][small], rtol=0.02
    )  # wings leave the frames
    for data in (des, hst):
        assert (data.image - data.image_true).values.std() > 1


def test_the_trigger_and_the_spectra_select_as_written():
    recipe = recipe_of("selected_transients")
    frame = labels(recipe, "curves", 0, 1500)
    assert (frame["observed.n_detections"] >= 5).all()
    assert (frame["attempt"] > 0).any()
    peak, train = frame["variables.peak"], frame["split"] == "train"
    assert peak[~train].median() - peak[train].median() > 1
    chance = 1 / (1 + np.exp((peak - 19) / 0.3))
    for low, high in ((17, 18.7), (18.7, 19), (19, 19.3), (19.3, 20)):
        rows = (peak > low) & (peak < high)
        spread = np.sqrt((chance * (1 - chance))[rows].sum())
        assert abs(train[rows].sum() - chance[rows].sum()) < 4 * spread
    weights = {name: each.weight_given for name, each in recipe.tables["curves"].classes.items()}
    fractions = frame["class"].value_counts(normalize=True)
    assert fractions["ibc_like"] < 0.5 * weights["ibc_like"] / sum(weights.values())
    assert fractions["ia_like"] > 1.2 * weights["ia_like"] / sum(weights.values())


def test_each_combination_of_the_factors_comes_once_and_keeps_its_area():
    recipe = recipe_of("factors")
    assert recipe.tables["images"].samples == 3 * 6 * 40 * 32 * 32
    parts = [labels(recipe, "images", start, start + 3000) for start in (0, 500_000)]
    for frame in parts:
        assert abs(frame["class"].value_counts(normalize=True) - 1 / 3).max() < 0.04
        assert frame["variables.orientation"].nunique() == 40
    names = ["class", *(name for name in parts[0] if name.startswith("variables."))]
    assert len(names) == 5
    assert not pd.concat(parts)[names].duplicated().any()
    rows = parts[0][:400]
    images = render(recipe, "images", 0, 400).image.values
    expected = 144 * rows["variables.scale"] ** 2
    np.testing.assert_allclose(images.sum(axis=(1, 2)), expected, rtol=1e-5)
