"""Exhaustive designs, and other variables that go through a table one sample after another."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml

from deepbench.errors import RecipeError
from deepbench.labelling.draw import draw
from deepbench.labelling.plan import LabelPlan
from deepbench.numerics import streams
from deepbench.numerics.permutation import permuted
from deepbench.numerics.sobol import points, shifted
from deepbench.numerics.stream_names import stream_number
from deepbench.recipe import Recipe, load_recipe, parse_recipe
from deepbench.samples import labels, objects, render

ROOT = Path(__file__).parents[2]

TEXT = """\
name: things
version: 1.0.0
title: Every combination
seed: 7
tables:
  images:
    kind: image
    size: [12, 16]
    factors:
      radius: {grid: {low: 1, high: 4, count: 3, spacing: log}}
      angle: [0, 90, 45]
      class: all
      n: {integers: [1, 2]}
    variables:
      pair: {copula: {columns: {a: {uniform: [0, 1]}, n: {integers: [1, 3]}}, correlation: [[1, 0.5], [0.5, 1]]}}
      even: {sobol: {columns: {a: {uniform: [0, 1]}, b: {choice: [1, 2]}}}}
      contrast: {by: angle, "0": 1, "45": {uniform: [1, 2]}, otherwise: "= 2 + n"}
      other: {by: even.b, "1": 3, "2": 4}
    classes:
      a: {objects: [{circle: {x: {uniform: [2, 9]}, y: 5, radius: "= radius"}, repeat: "= pair.n"}]}
      b: {objects: [{rectangle: {x: 5, y: 5, width: 3, height: "= 1 + even.a", angle: "= angle"}}]}
    psf: {gaussian: {sigma: "= 0.5 * radius"}}
    noise: [{gaussian: {sigma: 0.1}}]
"""
RECIPE = parse_recipe(TEXT)
SHUFFLED = RECIPE.replace({"tables.images.factor_order": "shuffled"})
N = 3 * 3 * 2 * 2
FACTORS = ["variables.radius", "variables.angle", "class", "variables.n"]
T = "tables.images"


def refusal(changes, recipe=RECIPE):
    with pytest.raises(RecipeError) as caught:
        recipe.replace({f"{T}.{path}": value for path, value in changes.items()})
    return str(caught.value)


def same(one, other):
    pd.testing.assert_frame_equal(
        one.reset_index(drop=True), other.reset_index(drop=True), check_exact=True
    )


# --- combinations --------------------------------------------------------------------------------


def test_the_written_order_has_the_last_factor_fastest():
    assert RECIPE.tables["images"].samples == N
    frame = labels(RECIPE, "images")[FACTORS]
    expected = itertools.product([1, 2, 4], [0, 90, 45], "ab", [1, 2])
    found = [tuple(row) for row in frame.itertuples(index=False)]
    for row, wanted in zip(found, expected, strict=True):
        assert row[1:] == wanted[1:]
        assert row[0] == pytest.approx(wanted[0], rel=1e-15)


@pytest.mark.parametrize("recipe", [RECIPE, SHUFFLED], ids=["written", "shuffled"])
def test_each_combination_comes_once_in_n_and_as_often_as_others(recipe):
    frame = labels(recipe, "images", 0, 2 * N + 7)[FACTORS].astype({"class": str})
    for start in (0, 5, N):
        assert not frame[start : start + N].duplicated().any()
    assert set(frame.value_counts()) == {2, 3}


def test_a_shuffled_order_is_keyed_by_the_seed_and_the_table():
    order = labels(SHUFFLED, "images")[FACTORS]
    assert not order.equals(labels(RECIPE, "images")[FACTORS])
    assert not order.equals(labels(SHUFFLED.replace({"seed": 8}), "images")[FACTORS])
    key = streams.uniforms(7, stream_number("images/*/sample/factors"), [0, 0], [0, 1])
    rows = permuted(np.arange(N), N, key)
    same(labels(RECIPE, "images")[FACTORS].iloc[rows], order)


def test_a_twin_has_the_order_of_the_table_from_which_it_is_drawn():
    plan = SHUFFLED.table("images").plan
    sizes = {"stream_table": "images", "design": plan.design}
    twin = LabelPlan("twin", plan.scopes, {"a": 1, "b": 1}, SHUFFLED.splits, **sizes)
    one, other = (draw(each, 7, 0, 50).columns for each in (plan, twin))
    assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)


@pytest.mark.parametrize("recipe", [RECIPE, SHUFFLED], ids=["written", "shuffled"])
def test_labels_do_not_depend_on_blocks(recipe):
    whole = labels(recipe, "images", 0, 100)
    same(pd.concat([labels(recipe, "images", a, a + 20) for a in range(0, 100, 20)]), whole)
    same(labels(recipe, "images", 77, 78), whole[77:78])
    same(labels(recipe.replace({f"{T}.samples": 1000}), "images")[:100], whole)


def test_a_row_renders_its_sample():
    whole = render(SHUFFLED, "images", 0, 12)
    frame, copies = labels(SHUFFLED, "images", 0, 12), objects(SHUFFLED, "images", 0, 12)
    again = render(SHUFFLED, "images", labels=frame, objects=copies)
    np.testing.assert_array_equal(again.image, whole.image)
    np.testing.assert_array_equal(render(SHUFFLED, "images", 7, 8).image[0], whole.image[7])


def test_factors_are_variables():
    frame = labels(RECIPE, "images")
    np.testing.assert_array_equal(frame["psf.sigma"], 0.5 * frame["variables.radius"])
    angle = frame["variables.angle"]
    assert (frame["variables.contrast"][angle == 0] == 1).all()
    assert (frame["variables.contrast"][angle == 90] == 2 + frame["variables.n"][angle == 90]).all()
    assert (frame["variables.other"] == 2 + frame["variables.even.b"]).all()
    rows = frame["class"] == "b"
    np.testing.assert_array_equal(frame["rectangle.angle"][rows], angle[rows])


def test_levels_beyond_those_that_are_listed():
    recipe = parse_recipe(TEXT.replace("{integers: [1, 2]}", "{integers: [-5, 99994]}"))
    assert recipe.tables["images"].samples == 18 * 100_000
    frame = labels(recipe, "images", 1000, 1010)
    np.testing.assert_array_equal(frame["variables.n"], np.arange(995, 1005))


def test_groups_span_combinations_and_split_as_before():
    grouped = RECIPE.replace({f"{T}.group_size": 4})
    same(labels(grouped, "images")[FACTORS], labels(RECIPE, "images")[FACTORS])
    assert (labels(grouped, "images").groupby("group")["split"].nunique() == 1).all()


def test_the_other_labels_are_those_without_factors():
    few = {"radius": [1], "angle": [0], "n": [2]}
    other = RECIPE.replace({f"{T}.factors": few, f"{T}.variables.contrast": 1})
    columns = ["split", "variables.pair.a", "variables.even.a"]
    same(labels(RECIPE, "images")[columns], labels(other, "images", 0, N)[columns])


def test_patches_of_a_map_have_one_combination():
    recipe = parse_recipe("""
name: maps
version: 1.0.0
title: Maps in patches
seed: 2
tables:
  maps:
    kind: sphere
    nside: 4
    patches: 1
    factors: {level: [1, 2, 3], class: all}
    classes:
      a: {field: {gaussian: {spectrum: {power_law: {amplitude: 1, slope: -2}}}}}
      b: {field: {gaussian: {spectrum: {power_law: {amplitude: 1, slope: -1}}}}}
""")
    assert recipe.tables["maps"].samples == 12 * 6
    frame = labels(recipe, "maps", 0, 144)
    np.testing.assert_array_equal(frame["variables.level"], np.tile(np.repeat([1, 2, 3], 24), 2))
    assert (frame["class"] == np.tile(np.repeat(["a", "b"], 12), 6)).all()


# --- Sobol sequences in a table ------------------------------------------------------------------


def test_the_points_of_a_table():
    frame = labels(RECIPE, "images", 0, 64)
    stream = stream_number("images/*/variables/even")
    shifts = streams.uniforms(7, stream, [0, 0], [0, 1])
    expected = shifted(points(np.arange(64), 2), shifts)
    np.testing.assert_array_equal(frame["variables.even.a"], expected[:, 0])
    np.testing.assert_array_equal(frame["variables.even.b"], 1 + (expected[:, 1] > 0.5))


def test_a_sobol_sequence_is_for_all_samples_of_a_table():
    message = refusal(
        {"classes.a.variables": {"s": {"sobol": {"columns": {"q": {"uniform": [0, 1]}}}}}}
    )
    assert "classes.a.variables.s" in message
    assert "move it to the variables of the table" in message


def test_rows_of_a_file_in_turn(tmp_path):
    (tmp_path / "rows.csv").write_text("r\n1\n2\n3\n")
    path = tmp_path / "recipe.yaml"
    text = TEXT.replace(
        "even: {sobol", "row: {catalog: {file: rows.csv, order: shuffled}}\n      even: {sobol"
    )
    path.write_text(text)
    recipe = load_recipe(path)
    rows = labels(recipe, "images", 0, 9)["variables.row.r"].to_numpy()
    assert sorted(rows[:3]) == [1, 2, 3]
    assert (rows[3:] == np.tile(rows[:3], 2)).all()
    row = {"catalog": {"file": "rows.csv", "order": "sequential"}}
    assert "move it to the variables of the table" in refusal(
        {"classes.b.variables": {"w": row}}, recipe
    )


# --- hashes --------------------------------------------------------------------------------------


def test_what_changes_the_hash_of_a_table():
    def table_hash(**changes):
        changed = {f"{T}.{path.replace('__', '.')}": value for path, value in changes.items()}
        return RECIPE.replace(changed).table("images").hash

    same_hash = RECIPE.table("images").hash
    factors = yaml.safe_load(TEXT)["tables"]["images"]["factors"]
    assert table_hash(samples=1000) == same_hash
    assert table_hash(factor_order="written") == same_hash
    assert table_hash(factors__angle={"choice": [0, 90, 45]}) == same_hash
    assert table_hash(factors=dict(reversed(factors.items()))) != same_hash
    assert table_hash(factors__angle=[0, 45, 90]) != same_hash
    assert table_hash(factors__n=[1, 3]) != same_hash
    assert SHUFFLED.table("images").hash != same_hash
    assert parse_recipe(SHUFFLED.to_yaml()).hash == SHUFFLED.hash


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors.angle": {"integers": [1, 2**31]}}, "take 25,769,803,776 samples, and a table has at most"),
        ({"factors.angle": []}, "must have at least 1 item"),
        ({"factors.angle": [1, 2, 1]}, "the level 1 is there twice"),
        ({"factors.angle": {"choice": {"values": [0, 45, 90], "weights": [1, 1, 2]}}}, "levels have no weights"),
        ({"factors.angle": {"uniform": [0, 1]}}, "unknown kind of levels 'uniform'; allowed: grid, integers, choice"),
        ({"factors.angle": 3}, "a list of numbers, or one kind of levels {name: ...} of grid, integers, choice"),
        ({"factors.angle": "= 2"}, "must be a list of numbers, or one kind of levels"),
        ({"factors.angle": ["x"]}, "must be a number, not 'x'"),
        ({"factors.angle": "all"}, "`all` is for the factor 'class'"),
        ({"factors.class": ["a"]}, "the factor 'class' has the levels `all`, not ['a']"),
        ({"factors.split": [1, 2]}, "'split' cannot be a factor"),
        ({"factors.sin": [1, 2]}, "'sin' is a function of expressions"),
        ({"factors.even": [1, 2]}, "'even' is a factor and a variable; give one of them another name"),
        ({"factors": {}}, "must have at least 1 item"),
        ({"factor_order": "random"}, "must be 'written' or 'shuffled', not 'random'"),
        ({"factors": None, "samples": 5, "factor_order": "written"}, "is the order of `factors`, and there are none"),
        ({"factors": None}, "'samples' is missing: number of samples"),
        ({"classes.b.weight": 2}, "the factor 'class' gives every class equally often; leave out the weight"),
        ({"classes.b.weight": {"by": "split", "train": 1, "otherwise": 2}}, "gives every class equally often"),
        ({"classes.b.variables": {"angle": 3}}, "the name 'angle' has two meanings in class 'b'"),
        ({"factors.angle": [0, 90]}, "'angle' is never 45; it can be 0, 90"),
    ],
)  # fmt: skip
def test_refusals(changes, message):
    assert message in refusal(changes)


def test_missing_samples_are_told_with_other_mistakes():
    text = TEXT.replace("size: [12, 16]", "size: [12, -16]")
    text = re.sub(r"    factors:\n(      .*\n)+?    variables", "    variables", text)
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text)
    assert "'samples' is missing: number of samples" in str(caught.value)
    assert "greater than or equal to" in str(caught.value)


def test_reading_loads_no_kernels():
    code = "import deepbench, sys; deepbench.parse_recipe(sys.stdin.read()); assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], input=TEXT, text=True, check=True)


# --- schema and documents ------------------------------------------------------------------------

VALIDATOR = jsonschema.Draft202012Validator(Recipe.json_schema())


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"samples": 5, "factor_order": "shuffled"}, True),
        ({"factors": None}, False),
        ({"factors": {"angle": {"choice": [1, 2]}}}, True),
        ({"factors": {"angle": {"uniform": [1, 2]}}}, False),
        ({"factors": {"angle": "all"}}, False),
        ({"factors": {"class": [1]}}, False),
        ({"factors": {"split": [1]}}, False),
        ({"factors": {"A": [1]}}, False),
        ({"factors": {}}, False),
        ({"factor_order": "random"}, False),
        ({"variables": {"g": {"grid": {"low": 1, "high": 2, "count": 2, "endpoint": False}}}}, True),
        ({"variables": {"g": {"grid": {"low": 1, "high": 2, "count": 2, "endpoint": "no"}}}}, False),
        ({"variables": {"s": {"sobol": {"columns": {"a": {"uniform": [0, 1]}}}}}}, True),
        ({"variables": {"s": {"sobol": {"columns": {"a": 3}}}}}, False),
        ({"variables": {"s": {"sobol": {"columns": {}}}}}, False),
        ({"variables": {"s": {"copula": {"columns": {"a": {"uniform": [0, 1]}}}}}}, False),
    ],
)  # fmt: skip
def test_the_json_schema_accepts_what_is_read(changes, fits):
    data = yaml.safe_load(TEXT)
    data["tables"]["images"] |= changes
    assert VALIDATOR.is_valid(data) is fits


EXAMPLES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/recipes.md").read_text(), re.DOTALL)


@pytest.mark.parametrize(
    "example", [text for text in EXAMPLES if "sobol" in text or "factors" in text]
)
def test_the_examples_of_the_documents(example):
    table = {"kind": "image", "size": [64, 64]} | yaml.safe_load(example)
    words = {"name": "example", "version": "1.0.0", "title": "Example", "seed": 1}
    recipe = parse_recipe(yaml.safe_dump(words | {"tables": {"images": table}}, sort_keys=False))
    assert VALIDATOR.is_valid(words | {"tables": {"images": table}})
    assert np.isfinite(render(recipe, "images", 0, 8).image).all()
    if "factors" in table:
        assert recipe.tables["images"].samples == 6 * 40 * 17 * 3 * 2
