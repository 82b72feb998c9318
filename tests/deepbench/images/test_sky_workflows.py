"""The workflows of the sky: each sample renders again from its row, alone and in any batch, and each class is drawn."""

from pathlib import Path

import numpy as np
import pytest

from deepbench.recipe import load_recipe
from deepbench.samples import labels, objects, render

FOLDER = Path(__file__).parents[3] / "workflows"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stars", "galaxies", "star_galaxy", "survey_field"])
def test_a_row_renders_its_sample(name):
    recipe = load_recipe(FOLDER / f"{name}.yaml")
    ((table, described),) = recipe.tables.items()
    count = 2 if name == "survey_field" else 12
    every, frame = render(recipe, table, 0, count), labels(recipe, table, 0, count)
    copies = objects(recipe, table, 0, count)
    for sample in (0, count - 1):
        row = frame.iloc[[sample]]
        own = copies[copies["sample"] == sample] if len(copies) else None
        again = render(recipe, table, labels=row, objects=own).isel(sample=0)
        for variable in described.data_variables():
            stored = every[variable.name].values[sample]
            np.testing.assert_array_equal(again[variable.name].values, stored)
        for column in frame.columns:
            assert again[column].values == every[column].values[sample] or np.isnan(
                every[column].values[sample]
            )


@pytest.mark.parametrize("name", ["stars", "galaxies", "star_galaxy"])
def test_classes_and_splits_are_drawn_and_images_hold_light(name):
    recipe = load_recipe(FOLDER / f"{name}.yaml")
    ((table, described),) = recipe.tables.items()
    frame = labels(recipe, table, 0, 120)
    assert set(frame["class"]) == set(described.classes)
    images = render(recipe, table, 0, 20).image.values
    assert np.isfinite(images).all()
    if described.measure:
        snr = frame.filter(regex=r"\.snr(\.|$)").max(axis=1)
        assert (snr > 1).mean() > 0.9
