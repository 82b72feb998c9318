"""Statistics of the training split against numpy, for every kind of table, and as the text of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepbench.catalog import find
from deepbench.errors import CatalogError, ReleaseError
from deepbench.numerics.summaries import PROBABILITIES, QUANTILE_ERROR
from deepbench.recipe import load_recipe, parse_recipe
from deepbench.samples import labels, render
from deepbench.statistics import (
    CHANNELS,
    Statistics,
    Tally,
    channel_names,
    statistics_of,
    training_rows,
)

KEPT = Path(__file__).parents[1] / "releases"
WORKFLOWS = Path(__file__).parents[2] / "workflows"
RECIPE = """
name: shifts
version: 1.0.0
title: Circles in two domains
seed: 5
splits: {source: 0.5, target: 0.5}
tables:
  images:
    kind: image
    samples: 60
    size: [9, 12]
    classes:
      dim: {objects: [{circle: {x: 4, y: 4, radius: {uniform: [1, 3]}}}]}
      bright: {objects: [{circle: {x: 4, y: 4, radius: 2, amplitude: {uniform: [2, 3]}}}]}
    noise: [{gaussian: {sigma: 0.1}}]
"""


@pytest.fixture(scope="module")
def kinds():
    """A release of format version 1 with every kind of table."""
    return find("kinds", "2.0.0", KEPT)


def agrees(entry, values):
    """Check a summary against numpy."""
    values = np.asarray(values, np.float64)
    numbers = values[np.isfinite(values)]
    assert (entry.count, entry.missing) == (numbers.size, np.isnan(values).sum())
    if not numbers.size:
        assert entry.mean is entry.quantiles is None
        return
    scale = np.abs(numbers).max()
    assert (entry.minimum, entry.maximum) == (numbers.min(), numbers.max())
    assert entry.mean == pytest.approx(numbers.mean(), rel=1e-12, abs=1e-13 * scale)
    assert entry.std == pytest.approx(numbers.std(), rel=1e-9, abs=1e-12 * scale)
    assert entry.rms == pytest.approx(np.sqrt((numbers**2).mean()), rel=1e-12)
    expected = np.quantile(numbers, PROBABILITIES, method="inverted_cdf")
    np.testing.assert_allclose(entry.quantiles, expected, rtol=QUANTILE_ERROR, atol=1e-41)


@pytest.mark.parametrize("name", ["curves", "films", "galaxies", "patches", "phase", "sky"])
def test_every_kind_of_table(kinds, name):
    data = kinds.open()[name].to_dataset()
    train = data.isel(sample=np.flatnonzero(data["split"] == 0))
    found = kinds.statistics(name)
    assert (found.table, found.split, found.samples) == (name, "train", train.sizes["sample"])
    assert list(found.variables) == list(kinds.manifest.tables[name].variables)
    for key, entry in found.variables.items():
        agrees(entry, train[key].values)
        axes = [each for each in CHANNELS if each in train[key].dims]
        if not axes:
            assert entry.channels == {}
            continue
        stacked = train[key].stack(channel_=[each for each in train[key].dims if each in axes])
        assert len(entry.channels) == stacked.sizes["channel_"]
        for i, each in enumerate(entry.channels.values()):
            agrees(each, stacked.isel(channel_=i).values)
    assert set(found.labels) == set(kinds.manifest.tables[name].columns) - {"id", "group", "split"}
    for key, entry in found.labels.items():
        if entry.classes:
            names = train[key].attrs["flag_meanings"].split()
            counts = np.bincount(train[key].values, minlength=len(names))
            assert entry.classes == dict(zip(names, counts.tolist(), strict=True))
        else:
            agrees(entry, train[key].values)
            assert entry.units == train[key].attrs["units"]


def test_channels_have_the_names_of_their_axes(kinds):
    films, phase = kinds.statistics("films").variables, kinds.statistics("phase").variables
    assert list(films["position"].channels) == ["0 x", "0 y", "1 x", "1 y"]
    assert list(phase["q"].channels) == ["0"]
    survey = load_recipe(WORKFLOWS / "galaxies.yaml").table("images")
    assert channel_names(survey, survey.variables[0]) == ["g", "r", "i"]


def test_they_read_back_as_they_were(kinds):
    found = kinds.statistics("galaxies")
    text = found.to_json()
    again = Statistics.from_json(text, "s")
    assert again == found
    assert again.to_json() == text
    assert repr(found).startswith("<Statistics of 'train' of 'galaxies', ")


@pytest.mark.parametrize(
    "change", [("{", ""), ('"table"', '"chart"'), ("0.001", "0.002"), ('"mean"', '"mode"')]
)
def test_what_are_no_statistics_is_refused(kinds, change):
    with pytest.raises(ReleaseError, match="^s does not hold statistics: "):
        Statistics.from_json(kinds.statistics("galaxies").to_json().replace(*change, 1), "s")


def test_without_a_split_called_train_it_is_the_first():
    recipe = parse_recipe(RECIPE)
    table, data, drawn = recipe.table("images"), render(recipe, "images"), labels(recipe, "images")
    found = statistics_of(table, data)
    assert found.split == "source"
    source = (drawn["split"] == "source").to_numpy()
    assert found.samples == source.sum()
    agrees(found.variables["image"], data["image"].values[source])
    agrees(found.labels["circle.radius"], drawn["circle.radius"][source])


def test_an_empty_training_split_has_no_numbers():
    table = parse_recipe(RECIPE).table("images")
    data = render(parse_recipe(RECIPE), "images", 0, 8)
    tally, none = Tally(), np.empty(0, np.intp)
    tally.add_values(table.variables[0], data["image"].values, none)
    columns = {each.name: data[each.name].values for each in table.plan.columns}
    tally.add_labels(table.plan.columns, columns, none)
    found = tally.statistics(table)
    assert found.samples == found.variables["image"].count == 0
    assert found.variables["image"].mean is None
    assert (
        '"image": {"units": "1", "count": 0, "missing": 0, "infinite": 0, "mean": null'
        in found.to_json()
    )
    assert Statistics.from_json(found.to_json(), "s") == found


def test_parts_add_up_to_the_whole():
    recipe = parse_recipe(RECIPE)
    table, data = recipe.table("images"), render(recipe, "images")
    whole, joined = statistics_of(table, data), Tally()
    for start, stop in ((40, 60), (0, 1), (1, 40)):
        part, some = Tally(), data.isel(sample=slice(start, stop))
        chosen = training_rows(table.plan.splits, some["split"].values)
        part.add_labels(table.plan.columns, {k: some[k].values for k in some}, chosen)
        part.add_values(table.variables[0], some["image"].values, chosen)
        joined.add(part)
    assert joined.statistics(table).to_json() == whole.to_json()


def test_there_are_none_of_a_table_that_is_not_there(kinds):
    with pytest.raises(CatalogError, match="there is no table 'galaxy' in kinds@2.0.0; did you"):
        kinds.statistics("galaxy")
    assert kinds.statistics("sky") is kinds.statistics("sky")
    assert replace(kinds).statistics("sky") == kinds.statistics("sky")
