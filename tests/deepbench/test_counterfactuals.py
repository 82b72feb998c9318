"""Counterfactuals: what is changed changes, what follows from it follows on request, and all else keeps its bits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import deepbench
from deepbench.counterfactuals import twin, vary
from deepbench.errors import CatalogError, LabelError, RangeWarning
from deepbench.labelling.changes import dependents, derive_of
from deepbench.samples import draw_labels

WORKFLOWS = Path(__file__).parents[2] / "workflows"
TEXT = """\
name: things
version: 1.0.0
title: Values that follow from others
seed: 7
tables:
  images:
    kind: image
    samples: 60
    size: [16, 16]
    variables: {scale: {uniform: [1, 2]}, wide: "= 2 * scale", number: {choice: [1, 2]}}
    classes:
      dot: {objects: [{circle: {x: {uniform: [4, 12]}, y: 8, radius: "= wide"}}]}
      crowd:
        variables: {level: {uniform: [1, 2]}}
        objects:
          - rectangle: {x: {uniform: [4, 12]}, y: 8, width: {uniform: ["= scale", 4]}, height: 2, angle: 0}
            repeat: "= number"
    psf: {gaussian: {sigma: {uniform: [0.5, 2]}}}
    noise: [{gaussian: {sigma: 0.1}}]
"""


@pytest.fixture(scope="module")
def recipe():
    return deepbench.parse_recipe(TEXT)


@pytest.fixture(scope="module")
def shapes():
    return deepbench.load_recipe(WORKFLOWS / "shapes.yaml")


def test_a_sweep_is_what_changed_rows_give(shapes):
    samples, sigmas = [77, 41, 6001], np.array([0.5, 1.0, 2.0])
    sweep = vary(shapes, "images", samples, {"psf.sigma": sigmas})
    assert sweep["image"].dims == ("sample", "step", "y", "x")
    assert sweep["id"].dims == sweep["class"].dims == ("sample",)
    assert sweep["id"].values.tolist() == samples
    for row, sample in enumerate(samples):
        for step, sigma in enumerate(sigmas):
            labels = deepbench.labels(shapes, "images", sample, sample + 1)
            labels["psf.sigma"] = sigma
            wanted = deepbench.render(shapes, "images", labels=labels).isel(sample=0)
            found = sweep.isel(sample=row, step=step)
            assert all(found[name].identical(wanted[name]) for name in wanted.variables)


def test_steps_of_each_sample_and_two_columns_at_once(shapes):
    labels = deepbench.labels(shapes, "images", 0, 4)
    sigmas = labels["psf.sigma"].to_numpy()[:, None] + [0, 0.1]
    changes = {"psf.sigma": sigmas, "noise.gaussian.sigma": [0.05, 0.0]}
    with pytest.warns(RangeWarning, match=r"noise.gaussian.sigma = 0 and in 3 other rows"):
        sweep = vary(shapes, "images", range(4), changes)
    assert np.array_equal(sweep["psf.sigma"], sigmas)
    assert sweep.isel(step=0)["image"].equals(deepbench.render(shapes, "images", 0, 4)["image"])


@pytest.mark.parametrize(
    ("workflow", "table"),
    [
        ("selected_transients", "detected"),
        ("few_body", "motions"),
        ("time_delays", "apart"),
        pytest.param("rotations", "images", marks=pytest.mark.slow),
    ],
)
def test_values_that_are_drawn_again_unchanged_give_the_same_bits(workflow, table):
    recipe = deepbench.load_recipe(WORKFLOWS / f"{workflow}.yaml")
    table = table if table in recipe.tables else next(iter(recipe.tables))
    samples = np.array([5, 2, 9])
    rows = deepbench.labels(recipe, table, 0, 10).iloc[samples]
    plan = recipe.table(table).plan
    value = next(
        scope.column(name)
        for scope in plan.scopes
        if scope.repeat is None
        for name in scope.values
        if len(scope.columns(name)) == 1 and rows[scope.column(name)].notna().all()
    )
    again = twin(recipe, table, samples, {value: rows[value].to_numpy()}, derive="again")
    whole = deepbench.render(recipe, table, 0, 10).isel(sample=samples)
    assert again.equals(whole)


def test_what_follows_is_drawn_again_with_its_random_numbers(recipe):
    samples = range(20)
    base = deepbench.render(recipe, "images", 0, 20)
    sweep = vary(recipe, "images", samples, {"variables.scale": [1.5, 2.0]}, derive="again")
    assert np.array_equal(sweep["variables.wide"], np.tile([3.0, 4.0], (20, 1)))
    dots = np.flatnonzero(base["class"] == 0)
    assert np.array_equal(sweep["circle.radius"][dots], np.tile([3.0, 4.0], (len(dots), 1)))
    assert np.array_equal(sweep["psf.sigma"][:, 0], base["psf.sigma"])
    own = base["variables.scale"].values
    assert twin(recipe, "images", samples, {"variables.scale": own}, derive="again").equals(base)


@pytest.mark.parametrize(
    ("workflow", "column"),
    [
        ("stars", "psf.fwhm"),
        ("stars", "member.repeat"),
        ("all_shapes", "psf.sigma"),
        ("light_curves", "variables.magnitude"),
        pytest.param("transients", "variables.z", marks=pytest.mark.slow),
        pytest.param("transits", "spot.repeat", marks=pytest.mark.slow),
        pytest.param("lensed_quasars", "variables.sigma", marks=pytest.mark.slow),
        pytest.param("strong_lenses", "companion.repeat", marks=pytest.mark.slow),
        pytest.param("substructure", "variables.sigma", marks=pytest.mark.slow),
        pytest.param("survey_field", "psf.fwhm", marks=pytest.mark.slow),
        pytest.param("sky_catalogue", "field.spectrum.amplitude", marks=pytest.mark.slow),
    ],
)
def test_steps_that_are_rendered_together_are_those_that_are_rendered_alone(workflow, column):
    """Where objects repeat, each step has its sample's copies, or those that follow from its own change."""
    recipe = deepbench.load_recipe(WORKFLOWS / f"{workflow}.yaml")
    table = next(iter(recipe.tables))
    plan = recipe.table(table).plan
    labels = draw_labels(recipe.table(table), 0, 64).columns
    copies = sum(labels[f"{name}.repeat"] for name in plan.repeated_names)
    has = plan.own_columns[column].present(labels[column])
    chosen = np.flatnonzero((copies > 0) & has)[[1, 0]]
    own = labels[column][chosen]
    steps, derive = np.stack([own, own[::-1]], axis=1), derive_of(plan, [column])
    together = vary(recipe, table, chosen, {column: steps}, derive=derive)
    for row, sample in enumerate(chosen):
        for step in (0, 1):
            alone = twin(recipe, table, [sample], {column: steps[row, step]}, derive=derive)
            found = together.isel(sample=[row], step=step)
            assert all(found[name].equals(alone[name]) for name in alone.variables)


def test_many_steps_are_rendered_in_blocks_where_objects_repeat(recipe):
    changes = {"variables.scale": np.linspace(1, 2, 5)}
    small = recipe.replace({"storage.shard_bytes": 4096})
    assert small.table("images").shard_length == 4
    wanted = vary(recipe, "images", [7, 3, 5], changes, derive="again")
    assert vary(small, "images", [7, 3, 5], changes, derive="again").equals(wanted)


def test_joint_draws_follow_from_nothing():
    recipe = deepbench.load_recipe(WORKFLOWS / "all_shapes.yaml")
    assert dependents(recipe.table("images").plan, ["psf.sigma"]) == []


def test_another_class_of_the_same_sample(recipe):
    classes = [["dot", "crowd"]]
    sweep = vary(recipe, "images", range(12), {"class": classes}, derive="again")
    base = deepbench.render(recipe, "images", 0, 12)
    for step in (0, 1):
        same = np.flatnonzero(base["class"] == step)
        assert sweep["image"][same, step].equals(base["image"][same])
        assert (sweep["class"][:, step] == step).all()
    assert np.array_equal(sweep["psf.sigma"][:, 0], base["psf.sigma"])
    assert sweep["circle.x"][:, 0].notnull().all()
    assert (sweep["rectangle.repeat"][:, 1] > 0).all()


def test_more_copies(recipe):
    samples = np.flatnonzero(deepbench.labels(recipe, "images", 0, 60)["class"] == "crowd")[:5]
    more = twin(recipe, "images", samples, {"rectangle.repeat": 4}, derive="again")
    base = twin(recipe, "images", samples, {"psf.sigma": 1.0})
    assert (more["rectangle.repeat"] == 4).all()
    assert (more["image"] != base["image"]).any()


def test_what_depends_on_a_column(recipe):
    plan = recipe.table("images").plan
    wanted = {"variables.wide", "rectangle.width", "circle.radius"}
    assert set(dependents(plan, ["variables.scale"])) == wanted
    assert dependents(plan, ["variables.number"]) == ["rectangle.repeat"]
    assert dependents(plan, ["psf.sigma"]) == []


def test_nothing_else_changes_when_derived_values_are_kept(recipe):
    dot = int(np.flatnonzero(deepbench.labels(recipe, "images", 0, 60)["class"] == "dot")[0])
    kept = twin(recipe, "images", [dot], {"circle.radius": 2.5}, derive="keep")
    row = deepbench.labels(recipe, "images", dot, dot + 1)
    row["circle.radius"] = 2.5
    assert kept.equals(deepbench.render(recipe, "images", labels=row))


@pytest.mark.parametrize(
    ("samples", "changes", "options", "message"),
    [
        ([1], {"psf.sgima": [1]}, {}, "no label 'psf.sgima'; did you mean 'psf.sigma'"),
        ([1], {}, {}, "`changes` is empty"),
        ([1], {"psf.sigma": [-1.0]}, {}, "must be a number at least 0"),
        ([1], {"psf.sigma": ["wide"]}, {}, "must be numbers"),
        ([1], {"psf.sigma": np.ones((2, 3))}, {}, r"shape \(2, 3\); allowed are \(steps,\) and"),
        ([1], {"psf.sigma": [1], "circle.x": [1, 2]}, {}, "psf.sigma 1, circle.x 2"),
        ([1, 1], {"psf.sigma": [1]}, {}, "sample 1 is given twice"),
        ([2**32], {"psf.sigma": [1]}, {}, "there is no sample 4294967296"),
        ([2**63, -1], {"psf.sigma": [1]}, {}, "there is no sample 9223372036854775808: numbers"),
        ([1, -1], {"psf.sigma": [1]}, {}, "there is no sample -1: numbers are 0 … 4294967295"),
        ([2**70], {"psf.sigma": [1]}, {}, "there is no sample 1180591620717411303424"),
        ([0.5], {"psf.sigma": [1]}, {}, r"list of whole numbers, such as \[41, 77\], not \[0.5\]$"),
        ([1, True], {"psf.sigma": [1]}, {}, r"whole numbers.*not \[1, True\]$"),
        (np.ones(3, bool), {"psf.sigma": [1]}, {}, "np.flatnonzero gives those of a mask"),
        (["1"], {"psf.sigma": [1]}, {}, r"not \['1'\]"),
        ([[1], [2, 3]], {"psf.sigma": [1]}, {}, r"not \[\[1\], \[2, 3\]\]"),
        (None, {"psf.sigma": [1]}, {}, r"whole numbers.*not \[None\]"),
        ([], {"psf.sigma": [1]}, {}, "no samples are given"),
        (range(60), {"circle.x": [1]}, {}, "class 'crowd' has no such parameter"),
        ([1], {"rectangle.width": [1]}, {}, "a value for each copy of 'rectangle'"),
        ([1], {"split": [1]}, {}, "says which sample this is"),
        ([1], {"class": ["dot"]}, {}, 'derive="again" draws them'),
        ([1], {"class": ["spot"]}, {"derive": "again"}, "'spot' is no class of 'images'"),
        ([1], {"rectangle.repeat": [2.5]}, {"derive": "again"}, "'rectangle.repeat' must be whole"),
        ([1], {"rectangle.repeat": [2]}, {"derive": "keep"}, 'derive="again" draws them'),
        ([1], {"variables.scale": [1]}, {}, "derives variables.wide.* from variables.scale"),
        ([1], {"variables.wide": [1]}, {}, r"derives 'variables.wide' .*\(= 2 \* scale\)"),
        ([1], {"variables.scale": [1]}, {"derive": "keep"}, "shapes a sample through other values"),
        ([1], {"psf.sigma": [1]}, {"derive": "all"}, "derive must be one of refuse, keep, again"),
        (range(10**5), {"psf.sigma": np.ones(10**5)}, {}, "more than the memory"),
    ],
)
def test_changes_that_are_refused(recipe, samples, changes, options, message):
    with pytest.raises(LabelError, match=message):
        vary(recipe, "images", samples, changes, **options)


@pytest.mark.parametrize(
    "samples", [range(1, 3), (np.int64(1), 2), np.array([1, 2], "uint8"), pd.Index([1, 2])]
)
def test_samples_by_any_whole_numbers(recipe, samples):
    assert vary(recipe, "images", samples, {"psf.sigma": [1]})["id"].values.tolist() == [1, 2]


@pytest.mark.parametrize("values", [np.ones(3), np.ones((2, 1)), np.ones((1, 2))])
def test_twins_take_one_value_or_one_for_each_sample(recipe, values):
    with pytest.raises(LabelError, match=r"allowed are one value and \(2,\)"):
        twin(recipe, "images", [1, 2], {"psf.sigma": values})


def test_sources_that_are_refused(recipe):
    with pytest.raises(CatalogError, match="a recipe or a release is needed, not 'things@1.0.0'"):
        vary("things@1.0.0", "images", [1], {"psf.sigma": [1]})
    with pytest.raises(CatalogError, match="no table 'image'"):
        vary(recipe, "image", [1], {"psf.sigma": [1]})


def test_values_beyond_the_recipe_are_warned_of_where_they_are_asked_for(recipe):
    with pytest.warns(RangeWarning, match=r"psf.sigma = 5 and in 1 other rows, beyond") as caught:
        vary(recipe, "images", [1, 0], {"psf.sigma": [5.0]})
    assert caught[0].filename == __file__
    with pytest.warns(RangeWarning) as caught:
        twin(recipe, "images", [1, 0], {"psf.sigma": 5.0})
    assert caught[0].filename == __file__
