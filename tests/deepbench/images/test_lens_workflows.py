"""The workflows of lenses: their priors are those that they name, and only the place of light tells classes apart."""

from pathlib import Path

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from scipy import stats

from deepbench.recipe import load_recipe
from deepbench.samples import draw_labels, render
from deepbench.selection import draw_first_attempts

FOLDER = Path(__file__).parents[3] / "workflows"
IMAGES = {
    "strong_lenses": "lsst",
    "lensed_quasars": "lsst",
    "einstein_radius": "euclid",
    "substructure": "hst",
}


def recipe_of(name):
    return load_recipe(FOLDER / f"{name}.yaml")


def variables(labels):
    start = "variables."
    return {
        name.removeprefix(start): values
        for name, values in labels.columns.items()
        if name.startswith(start)
    }


@pytest.mark.parametrize("name", ["strong_lenses", "substructure"])
def test_velocity_dispersions_and_axis_ratios_are_those_of_collett(name):
    drawn = variables(draw_first_attempts(recipe_of(name).table(IMAGES[name]), np.arange(4000)))
    sigma, q = drawn["sigma"], drawn["q"]
    law = stats.gengamma((2.32 + 4) / 2.67, 2.67, scale=161)  # dn/dσ of Choi et al. (2007) times σ⁴
    low, high = law.cdf(160), law.cdf(400)
    statistic = stats.kstest(sigma, lambda x: (law.cdf(x) - low) / (high - low)).statistic
    assert statistic < 1.63 / np.sqrt(len(sigma)) + 2e-3  # in bins, the density is constant
    spread = 0.378 - 0.000572 * sigma
    part = (1 - np.exp(-0.5 * ((1 - q) / spread) ** 2)) / (1 - np.exp(-0.32 / spread**2))
    assert stats.kstest(part, "uniform").pvalue > 1e-3
    assert q.min() >= 0.2


@pytest.mark.slow
def test_einstein_radii_and_sizes_follow_from_redshifts():
    view = recipe_of("strong_lenses").table("lsst")
    drawn = variables(draw_labels(view, 0, 300))
    sky = FlatLambdaCDM(70, 0.3, Tcmb0=0)
    lens, source = drawn["z_lens"], drawn["z_source"]
    efficiency = 1 - (sky.comoving_distance(lens) / sky.comoving_distance(source)).value
    theta = 4 * np.pi * (drawn["sigma"] / 299792.458) ** 2 * efficiency * 648000 / np.pi
    np.testing.assert_allclose(drawn["theta"], theta, rtol=1e-9)
    kpc = drawn["lens_radius"] / sky.arcsec_per_kpc_proper(lens).value
    v = np.log10(drawn["sigma"])
    np.testing.assert_allclose(
        np.log10(kpc), 2.46 - 2.79 * v + 0.84 * v * v + drawn["size"], atol=1e-6
    )
    absolute = drawn["source_r"] - sky.distmod(source).value + 2.5 * np.log10(1 + source)
    np.testing.assert_allclose(drawn["source_absolute"], absolute, rtol=1e-9)


def separation(values, chosen):
    """Return the probability that a value of those chosen is larger than one of the others."""
    ranks, count = stats.rankdata(values), chosen.sum()
    return (ranks[chosen].sum() - count * (count + 1) / 2) / count / (~chosen).sum()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["strong_lenses", "lensed_quasars"])
def test_neither_light_nor_peak_nor_color_tells_lenses(name):
    recipe = recipe_of(name)
    made = render(recipe, "lsst", 0, 2000)
    images = made.image.values.astype(float)
    lenses = made["class"].values == 0
    sums, peaks = images.sum(axis=(2, 3)), images.max(axis=(2, 3))
    for value in (*sums.T, *peaks.T, sums[:, 0] / sums[:, 1], sums[:, 1] / sums[:, 2]):
        assert abs(separation(value, lenses) - 0.5) < 0.05  # 4 sigma of 2,000 samples


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
def test_lenses_are_drawn_in_every_class(name):
    recipe = recipe_of(name)
    made = render(recipe, IMAGES[name], 0, 24)
    for variable in recipe.tables[IMAGES[name]].data_variables():
        assert np.isfinite(made[variable.name].values).all()
    radii = made["lens.einstein_radius"].values
    theta, lens = made["variables.theta"].values, np.isfinite(radii)
    assert lens.any()
    assert (np.abs(radii[lens] / theta[lens] - 1) < 0.4).all()
