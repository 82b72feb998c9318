"""The workflows of light curves: their bytes, which change only together with RENDER_VERSION, and what they hold."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from astropy.timeseries import LombScargle

from deepbench import format as fmt
from deepbench.recipe import load_recipe
from deepbench.samples import labels, objects, render

WORKFLOWS = Path(__file__).parents[3] / "workflows"

GOLDEN = {
    "light_curves": ("716f05929bc90653", "e3f82dc7c331769507abf7e9f8c8cd72"),
    "transits": ("a87d42213057272d", "cefead59387477689307b7b51e2b1657"),
    "transients": ("01089dad1e46fb43", "03bb537c9a51a06a24ecb172575d1473"),
}


def recipe_of(name):
    return load_recipe(WORKFLOWS / f"{name}.yaml")


@pytest.mark.parametrize("name", GOLDEN)
def test_released_bytes_are_what_they_were(name):
    recipe = recipe_of(name)
    data, digest = render(recipe, "curves", 0, 24), hashlib.sha256()
    for variable in recipe.tables["curves"].data_variables():
        digest.update(b"".join(fmt.sample_digests(variable, data[variable.name].values)))
    digest.update(labels(recipe, "curves", 0, 24).to_csv(index=False).encode())
    assert (recipe.table("curves").hash[:16], digest.hexdigest()[:32]) == GOLDEN[name]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_row_renders_its_sample(name):
    recipe = recipe_of(name)
    every, frame = render(recipe, "curves", 0, 12), labels(recipe, "curves", 0, 12)
    copies = objects(recipe, "curves", 0, 12)
    for sample in (0, 7):
        own = copies[copies["sample"] == sample]
        again = render(recipe, "curves", labels=frame.iloc[[sample]], objects=own).isel(sample=0)
        for variable in recipe.tables["curves"].data_variables():
            found, expected = again[variable.name].values, every[variable.name].values
            if expected.ndim > 1:
                expected = expected[sample]
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", GOLDEN)
def test_every_class_is_drawn_and_seen(name):
    recipe = recipe_of(name)
    count = 100 if name == "transits" else 160
    frame = labels(recipe, "curves", 0, count)
    assert set(frame["class"]) == set(recipe.tables["curves"].classes)
    quiet = frame["class"].isin(["constant", "quiet"])
    assert (frame["observed.n_observations"] > 50).all()
    assert (frame.loc[~quiet, "observed.variability_snr"] > 3).mean() > 0.6
    if name == "light_curves":
        assert (frame.loc[quiet, "observed.variability_snr"] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rr_lyrae_ab", "rr_lyrae_c", "cepheid"])
def test_lomb_and_scargle_find_the_period(kind):
    recipe = recipe_of("light_curves")
    frame = labels(recipe, "curves", 0, 150)
    data = render(recipe, "curves", 0, 150)
    rows = frame.index[frame["class"] == kind][:5]
    assert len(rows) == 5
    for row in rows:
        period = frame[f"{kind}.period"][row]
        flux, error = (data[name].values[row].astype(float) for name in ("flux", "flux_error"))
        frequencies = np.linspace(0.5 / period, 2.5 / period, 4000)
        power = LombScargle(data["time"].values, flux, error, nterms=2).power(frequencies)
        found = frequencies[power.argmax()]
        ratio = found * period
        assert min(abs(ratio - 1), abs(ratio - 0.5), abs(ratio - 2)) < 0.01
        assert power.max() > 0.8
