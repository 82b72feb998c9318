"""The recipes of pendulums and of a few bodies: what they promise holds."""

from pathlib import Path

import numpy as np
import pytest

from deepbench.recipe import load_recipe
from deepbench.samples import labels, render

WORKFLOWS = Path(__file__).parents[3] / "workflows"
RECIPES = {name: load_recipe(WORKFLOWS / f"{name}.yaml") for name in ("pendulums", "few_body")}
TABLES = [(name, table) for name, recipe in RECIPES.items() for table in recipe.tables]


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_samples_can_be_rendered_alone(name, table):
    block = render(RECIPES[name], table, 30, 50)
    for sample in (30, 41, 49):
        alone = render(RECIPES[name], table, sample, sample + 1)
        for variable in alone.variables:
            if "sample" in alone[variable].dims:
                there = block[variable].isel(sample=slice(sample - 30, sample - 29))
                np.testing.assert_array_equal(alone[variable].values, there.values)


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_bodies_are_in_the_frames(name, table):
    data = render(RECIPES[name], table, 0, 100)
    if "frames" not in data:
        return
    ny, nx = data.frames.shape[2:]
    scale = data["frames.scale"].values[0]
    places = data.position.values[..., :2] * scale
    assert np.nanmax(np.abs(places)) < 0.5 * max(ny, nx)
    assert data.frames.values.max(axis=(2, 3)).min() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("name", "table"), TABLES)
def test_every_motion_of_a_recipe_is_accurate_within_ten_lyapunov_times(name, table):
    assert RECIPES[name].tables[table].lyapunov_limit == 10
    found = labels(RECIPES[name], table)  # those beyond are refused
    for column in found:
        if column.endswith("lyapunov_times"):
            assert 0 < found[column].max() < 10
