"""The workflows of spherical maps: each renders, each sample again from its row, each class is drawn."""

from pathlib import Path

import numpy as np
import pytest

from deepbench.recipe import load_recipe
from deepbench.samples import labels, objects, render
from deepbench.sphere.fields.cosmology import Cosmology, convergence_spectrum
from deepbench.sphere.fields.lognormal import variance_of
from deepbench.sphere.fields.spectra import gaussian_beam

WORKFLOWS = Path(__file__).parents[3] / "workflows"
CASES = [
    ("cosmology_maps", "small", 96),
    ("matched_spectra", "maps", 36),
    ("sigma8_regression", "maps", 4),
    ("cmb_like", "maps", 2),
    ("rotations", "maps", 8),
    ("sky_catalogue", "maps", 2),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "table", "count"), CASES)
def test_a_row_renders_its_sample(name, table, count):
    recipe = load_recipe(WORKFLOWS / f"{name}.yaml")
    every, frame = render(recipe, table, 0, count), labels(recipe, table, 0, count)
    copies = objects(recipe, table, 0, count)
    row = frame.iloc[[count - 1]]
    own = copies[copies["sample"] == count - 1] if len(copies) else None
    again = render(recipe, table, labels=row, objects=own)
    np.testing.assert_array_equal(again["map"].values[0], every["map"].values[count - 1])
    values = every["map"].values
    assert np.isfinite(values).all() or recipe.tables[table].mask is not None
    assert np.nanstd(values) > 0


def test_spectra_of_matched_maps_match_and_their_skewness_does_not():
    recipe = load_recipe(WORKFLOWS / "matched_spectra.yaml")
    frame, data = (
        labels(recipe, "maps", 0, 144),
        render(recipe, "maps", 0, 144)["map"].values.astype(float),
    )
    assert frame["map.sigma"].nunique() == 1
    skewness = {
        name: np.mean([(each**3).mean() / each.std() ** 3 for each in data[frame["class"] == name]])
        for name in ("gaussian", "mild", "strong")
    }
    assert abs(skewness["gaussian"]) < 0.1
    assert skewness["gaussian"] + 0.1 < skewness["mild"] < skewness["strong"] - 0.3


def test_the_scale_of_the_cosmologies_is_the_standard_deviation_behind_the_beam():
    recipe = load_recipe(WORKFLOWS / "cosmology_maps.yaml")
    for name, table in recipe.tables.items():
        spectra = [
            convergence_spectrum(Cosmology(*values), 1.0, table.lmax)
            * gaussian_beam(np.radians(3 / 60), table.lmax) ** 2
            for values in ((0.26, 0.91), (0.31, 0.82))
        ]
        mean = np.sqrt(np.mean([variance_of(each) for each in spectra]))
        assert table.scale == pytest.approx(mean, rel=0.01), name
