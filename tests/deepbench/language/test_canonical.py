"""Hashes: what shapes the data changes them, and nothing else does."""

import hashlib
import json

import pytest

from deepbench.errors import RecipeError
from deepbench.language.canonical import canonical, canonical_hash, is_file, pairs
from deepbench.recipe import load_recipe, parse_recipe

TEXT = """\
name: things
version: 1.0.0
title: Two tables
seed: 7
splits: {train: 0.75, test: 0.25}
tables:
  images:
    kind: image
    samples: 40
    group_size: 2
    size: [12, 16]
    variables:
      brightness: {log_uniform: [1, 2]}
      pair: {multivariate_normal: {columns: [u, v], mean: [1, 2], covariance: [[4, 1], [1, 9]]}}
    classes:
      dot:
        weight: 2
        variables: {shift: {truncated_normal: {mean: 0, sigma: 1, low: -2}}}
        objects:
          - circle:
              x: {uniform: [2, 9]}
              y: "= 5 + shift"
              radius: {choice: {values: [1, 2], weights: [1, 3]}}
              amplitude: "= brightness"
          - rectangle: {x: 3, y: 4, width: 2, height: 3, thickness: 0.5}
            name: box
            blend: over
      many:
        objects:
          - line: {x: 4, y: 5, length: {grid: [3, 9, 4]}, thickness: {normal: [9, 1]}}
            repeat: {integers: [1, 3]}
    psf: {gaussian: {sigma: {histogram: {edges: [1, 2, 4], weights: [1, 2]}}}}
    noise:
      - background: {level: 3}
      - poisson: {gain: 2}
      - gaussian: {sigma: 0.125}
  others:
    kind: image
    samples: 8
    size: [4, 4]
    classes: {a: {objects: [{circle: {x: 1, y: 2, radius: 3}}]}}
""".replace("{normal: [9, 1]}", "{log_normal: {median: 2, sigma: 0.5}}")


def leaves(data, path=()):
    """Yield every number and text inside plain data with its path."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def names(data, path=()):
    """Yield the path of every name that a user chose: keys of splits, tables, classes, variables."""
    for key, value in data.items():
        if key in ("splits", "tables", "classes", "variables"):
            yield from ((*path, key, name) for name in value)
        if isinstance(value, dict):
            yield from names(value, (*path, key))


def changed(data, path, value):
    """Return a deep copy of plain data in which one value is another."""
    copy = json.loads(json.dumps(data))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


def renamed(data, path, name):
    """Return a deep copy of plain data in which one key is another, in the same place."""
    copy = json.loads(json.dumps(data))
    place = copy
    for step in path[:-1]:
        place = place[step]
    items = [(name if key == path[-1] else key, value) for key, value in place.items()]
    place.clear()
    place.update(items)
    return copy


def others(value):
    """Return values like this one to try instead."""
    if isinstance(value, str):
        return [f"{value} + 1", f"{value}x", "add", "over", "log"]
    return [value + 1, value - 1, value + 0.5, value / 2]


def read(data):
    return parse_recipe(json.dumps(data))


RECIPE = parse_recipe(TEXT)
RESOLVED = RECIPE.resolved()
WORDS = ("name", "version", "title", "description", "license", "authors", "references", "storage")
LEAVES = [path for path, _ in leaves(RESOLVED) if path[0] not in WORDS and path[-1] != "kind"]


def show(path):
    return ".".join(map(str, path))


# --- what changes nothing ------------------------------------------------------------------------

SPELLINGS = [
    ("seed: 7", "seed: 0x7"),
    ("splits: {train: 0.75, test: 0.25}", "splits: {train: 7.5e-1, test: .25}"),
    ("{log_uniform: [1, 2]}", "{log_uniform: {low: 1.0, high: 2.0}}"),
    ("{log_uniform: [1, 2]}", "{log_uniform: {high: 2, low: 1}}"),
    ("mean: [1, 2], covariance: [[4, 1]", "mean: [1.0, 2], covariance: [[4, 1.00]"),
    ("weight: 2", "weight: 2.0"),
    ("= 5 + shift", "=(5.0+shift)"),
    ("= brightness", "= (brightness)"),
    ("mean: 0, sigma: 1, low", "mean: -0.0, sigma: 1, low"),
    ("{choice: {values: [1, 2], weights: [1, 3]}}", "{choice: {weights: [1, 3], values: [1, 2]}}"),
    ("x: 3, y: 4, width: 2", "width: 2, angle: 0, amplitude: 1, y: 4, x: 3"),
    ("{grid: [3, 9, 4]}", "{grid: {low: 3, high: 9, count: 4, spacing: linear}}"),
    ("{gain: 2}", "{background: 0, gain: 2.0}"),
    (
        "{x: 1, y: 2, radius: 3}}]",
        "{x: 1, y: 2, radius: 3}, blend: add}], weight: 1, variables: {}",
    ),
    ("    size: [4, 4]", "    size: [4, 4]\n    group_size: 1\n    noise: []\n    psf:"),
    ("samples: 8\n    size: [4, 4]", "size: [4, 4]\n    samples: 8"),
]


@pytest.mark.parametrize(("here", "there"), SPELLINGS, ids=[pair[1][:30] for pair in SPELLINGS])
def test_spelling_and_the_order_of_keys_change_nothing(here, there):
    assert here in TEXT
    other = parse_recipe(TEXT.replace(here, there))
    assert other.hash == RECIPE.hash
    assert all(other.table(name).hash == RECIPE.table(name).hash for name in RECIPE.tables)


def reversed_maps(data, path=()):
    """Return plain data with the keys of all maps reversed but those whose order has a meaning."""
    if isinstance(data, list):
        return [reversed_maps(item, (*path, index)) for index, item in enumerate(data)]
    if not isinstance(data, dict):
        return data
    items = list(data.items())
    if path[-1:] not in (("splits",), ("classes",)):
        items.reverse()
    return {key: reversed_maps(value, (*path, key)) for key, value in items}


def test_the_order_of_other_keys_changes_nothing():
    other = reversed_maps(RESOLVED)
    assert list(other) == list(RESOLVED)[::-1]
    assert list(other["tables"]) == ["others", "images"]
    assert list(other["tables"]["images"]["variables"]) == ["pair", "brightness"]
    assert read(other).hash == RECIPE.hash


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"version": "2.0.0"},
        {"title": "Other"},
        {"description": "Long."},
        {"license": "MIT"},
        {"authors": ["A", "B"]},
        {"references": ["https://example.org"]},
        {"storage": {"chunk_bytes": 2**14, "shard_bytes": 2**20}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_words_and_storage_change_nothing(changes):
    assert set(changes) <= set(WORDS)
    other = RECIPE.replace(changes)
    assert other.hash == RECIPE.hash
    assert other.table("images").hash == RECIPE.table("images").hash


def test_the_resolved_recipe_has_the_same_hash():
    assert parse_recipe(RECIPE.to_yaml()).hash == RECIPE.hash


# --- what changes the hash -----------------------------------------------------------------------


@pytest.mark.parametrize("path", LEAVES, ids=show)
def test_everything_else_changes_the_hash(path):
    value = dict(leaves(RESOLVED))[path]
    tried = 0
    for other in others(value):
        data = changed(RESOLVED, path, other)
        if path[0] == "splits":
            data = changed(data, ("splits", "train"), 1 - data["splits"]["test"])
            data = changed(data, path, other) if path[1] == "test" else data
        if "covariance" in path:
            data = changed(data, (*path[:-2], path[-1], path[-2]), other)
        try:
            recipe = read(data)
        except RecipeError:
            continue
        if recipe.resolved() == RESOLVED:
            continue
        tried += 1
        assert recipe.hash != RECIPE.hash
        mine = path[1] if path[0] == "tables" else None
        for name in RECIPE.tables:
            moves = mine in (None, name) and path[2:] != ("samples",)
            assert (recipe.table(name).hash != RECIPE.table(name).hash) == moves
    assert tried or path == ("splits", "train")  # that one follows from the other


@pytest.mark.parametrize("path", list(names(RESOLVED)), ids=show)
def test_names_change_the_hash(path):
    data = renamed(RESOLVED, path, f"{path[-1]}2")
    text = json.dumps(data)
    if path[-2] == "variables":  # and what uses them
        text = text.replace(f"= {path[-1]}", f"= {path[-1]}2").replace(
            f"+ {path[-1]}", f"+ {path[-1]}2"
        )
    assert parse_recipe(text).hash != RECIPE.hash


def test_a_renamed_table_is_another_table():
    data = renamed(RESOLVED, ("tables", "others"), "rest")
    assert read(data).table("rest").hash != RECIPE.table("others").hash
    assert read(data).table("images").hash == RECIPE.table("images").hash


@pytest.mark.parametrize("name", ["images", "splits", "classes"])
@pytest.mark.parametrize("path", [("splits",), ("tables", "images", "classes")], ids=show)
def test_the_order_of_splits_and_classes_changes_the_hash(path, name):
    # whatever the table is called
    start = renamed(RESOLVED, ("tables", "images"), name)
    path = tuple(name if step == "images" else step for step in path)
    inside = start
    for step in path:
        inside = inside[step]
    turned = changed(start, path, dict(reversed(inside.items())))
    assert read(turned).hash != read(start).hash
    assert read(turned).table(name).hash != read(start).table(name).hash


@pytest.mark.parametrize("key", ["noise", "classes.dot.objects"])
def test_the_order_of_lists_changes_the_hash(key):
    inside = RESOLVED["tables"]["images"]
    for step in key.split("."):
        inside = inside[step]
    other = RECIPE.replace({f"tables.images.{key}": inside[::-1]})
    assert other.hash != RECIPE.hash


@pytest.mark.parametrize(
    "changes",
    [
        {"tables.images.classes.dot.objects.0.circle.thickness": 1},
        {"tables.images.classes.dot.objects.0.name": "circle2"},
        {"tables.images.classes.ring": {"objects": [{"circle": {"x": 1, "y": 1, "radius": 1}}]}},
        {"tables.images.noise": []},
        {"tables.images.variables.more": 1},
        {"tables.others.psf": {"gaussian": {"sigma": 1}}},
        {"tables.images.classes.many.objects.0.blend": "over"},
        {"tables.others.classes.a.objects.0.repeat": 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_additions_change_the_hash(changes):
    assert RECIPE.replace(changes).hash != RECIPE.hash


def test_variables_may_be_called_like_keys_of_a_catalogue():
    text = TEXT.replace(
        "pair: {", "file: {uniform: [0, 1]}\n      sha256: '= 2 * file'\n      pair: {"
    )
    other = text.replace("{uniform: [0, 1]}", "{uniform: [0, 2]}")
    assert parse_recipe(text).hash != parse_recipe(other).hash


# --- tables --------------------------------------------------------------------------------------


def test_the_table_hash_ignores_samples_and_other_tables():
    other = RECIPE.replace({"tables.images.samples": 41})
    assert other.table("images").hash == RECIPE.table("images").hash
    assert other.hash != RECIPE.hash
    alone = changed(RESOLVED, ("tables",), {"others": RESOLVED["tables"]["others"]})
    assert read(alone).table("others").hash == RECIPE.table("others").hash
    assert read(alone).hash != RECIPE.hash


@pytest.mark.parametrize("changes", [{"seed": 8}, {"splits": {"train": 1}}], ids=str)
def test_seed_and_splits_are_part_of_the_table_hash(changes):
    for name in RECIPE.tables:
        assert RECIPE.replace(changes).table(name).hash != RECIPE.table(name).hash


# --- files ---------------------------------------------------------------------------------------


def test_a_catalogue_is_known_by_its_content(tmp_path):
    def recipe(file, content, more=""):
        (tmp_path / file).write_text(content)
        text = TEXT.replace(
            "brightness:", f"stars: {{catalog: {{file: {file}{more}}}}}\n      brightness:"
        )
        (tmp_path / "recipe.yaml").write_text(text)
        return load_recipe(tmp_path / "recipe.yaml")

    rows = "mass,age\n1,2\n3,4\n"
    start = recipe("a.csv", rows)
    digest = hashlib.sha256(rows.encode()).hexdigest()
    assert start.hash != RECIPE.hash
    assert recipe("b.csv", rows).hash == start.hash
    assert recipe("a.csv", rows, f", sha256: {digest}").hash == start.hash
    assert recipe("a.csv", rows, ", columns: [mass, age]").hash == start.hash
    assert recipe("a.csv", rows, ", columns: [mass]").hash != start.hash
    assert recipe("a.csv", rows + "5,6\n").hash != start.hash


# --- the canonical form --------------------------------------------------------------------------


def test_canonical_text():
    assert canonical({"b": [1, 2.0, -0.0], "a": {"d": None, "c": "é"}}) == (
        '{"a":{"c":"é","d":null},"b":[1,2.0,0.0]}'
    )
    assert canonical_hash({"a": -0.0}) == hashlib.sha256(b'{"a":0.0}').hexdigest()
    assert canonical((0.1, 1e-7, 1e22, True)) == "[0.1,1e-07,1e+22,true]"


def test_a_file_is_its_sha256():
    digest = "0a" * 32
    assert canonical({"file": "a.csv", "sha256": digest}) == f'{{"sha256":"{digest}"}}'
    assert is_file({"file": "a.csv", "sha256": digest, "columns": ["a"]})
    for other in ({"file": "a", "sha256": "= 1"}, {"file": "a"}, {"sha256": digest[:-1]}, [digest]):
        assert not is_file(other)
        assert json.loads(canonical(other)) == other


def test_pairs_keep_the_order():
    assert pairs({"b": 1, "a": {"c": 2}}) == [["b", 1], ["a", {"c": 2}]]
    assert canonical(pairs({"b": 1, "a": 2})) != canonical(pairs({"a": 2, "b": 1}))


def test_canonical_refuses_what_is_not_finite():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": float("nan")})


def test_hashes_are_sha256_in_hexadecimal():
    for text in (RECIPE.hash, RECIPE.table("images").hash):
        assert len(bytes.fromhex(text)) == 32
        assert text == text.lower()
    assert len({RECIPE.hash, RECIPE.table("images").hash, RECIPE.table("others").hash}) == 3
