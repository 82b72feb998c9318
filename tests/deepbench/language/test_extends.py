"""Recipes that extend others."""

import pickle
import re

import pytest

from deepbench import load_recipe, parse_recipe
from deepbench.errors import RecipeError
from deepbench.language.extends import MAX_BASES, extended
from deepbench.language.load import parse_document, read_document

BASE = """\
name: things
version: 1.0.0
title: Things
seed: 7
constants: {width: 2}
splits: {train: 0.75, test: 0.25}
tables:
  images:
    kind: image
    samples: 40
    size: [16, 16]
    classes:
      dot: {objects: [{circle: {x: 8, y: 8, radius: "= width"}}]}
    variables:
      star: {catalog: {file: stars.csv}}
    noise: [{poisson: {}}, {gaussian: {sigma: 0.1}}]
"""
OVER = """\
extends: shared/base.yaml
title: Others
tables:
  images:
    samples: 20
    noise: [{gaussian: {sigma: 0.2}}]
"""
WHOLE = BASE.replace("title: Things", "title: Others").replace("samples: 40", "samples: 20")
WHOLE = WHOLE.replace("{poisson: {}}, ", "").replace("sigma: 0.1", "sigma: 0.2")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a recipe, in another one what it extends, and there the file that this names; we are elsewhere."""
    (tmp_path / "shared/elsewhere").mkdir(parents=True)
    (tmp_path / "shared/stars.csv").write_text("MAG,x\n1,2\n")
    (tmp_path / "stars.csv").write_text("MAG,x\n3,4\n")
    (tmp_path / "shared/base.yaml").write_text(BASE)
    (tmp_path / "recipe.yaml").write_text(OVER)
    (tmp_path / "whole.yaml").write_text(WHOLE.replace("stars.csv", "shared/stars.csv"))
    monkeypatch.chdir(tmp_path / "shared/elsewhere")
    return tmp_path


def refusal(folder, text, name="recipe.yaml"):
    (folder / name).write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(folder / "recipe.yaml")
    return str(caught.value).replace(f"{folder}/", "")


def test_a_recipe_that_extends_is_the_one_written_out(folder):
    recipe, whole = load_recipe(folder / "recipe.yaml"), load_recipe(folder / "whole.yaml")
    assert recipe == whole
    assert recipe.hash == whole.hash
    assert "extends" not in recipe.to_yaml()
    assert "constants" not in recipe.to_yaml()
    assert recipe.tables["images"].variables["star"].file == "shared/stars.csv"
    for other in (recipe, pickle.loads(pickle.dumps(recipe))):
        changed = other.replace({"constants.width": 3, "tables.images.samples": 9})
        assert changed == whole.replace({"constants.width": 3, "tables.images.samples": 9})
    own = recipe.replace({"tables.images.variables.star.catalog.file": "stars.csv"})
    assert own.hash != recipe.hash
    assert own.tables["images"].variables["star"].file == "stars.csv"


def test_bases_extend_further_from_folder_to_folder(folder):
    (folder / "middle").mkdir()
    (folder / "middle/more.yaml").write_text("extends: ../shared/base.yaml\nseed: 8\n")
    (folder / "recipe.yaml").write_text("extends: middle/more.yaml\nversion: 2.0.0\n")
    recipe = load_recipe(folder / "recipe.yaml")
    assert (recipe.seed, recipe.version, recipe.title) == (8, "2.0.0", "Things")
    assert recipe.tables["images"].variables["star"].file == "middle/../shared/stars.csv"
    assert parse_recipe(f"extends: {folder}/middle/more.yaml").hash == recipe.hash


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ("a: {b: {c: 1, d: 2}}", "a: {b: {d: 3, e: 4}}", {"a": {"b": {"c": 1, "d": 3, "e": 4}}}),
        ("a: {b: [1, 2], c: 1}", "a: {b: [3]}", {"a": {"b": [3], "c": 1}}),
        ("a: {b: 1}", "a: 5", {"a": 5}),
        ("a: 5\nz: 1", "a: {b: 1}", {"a": {"b": 1}, "z": 1}),
        ("a: {b: 1, c: 2}", "a: {b: null}", {"a": {"c": 2}}),
        ("a: {b: 1}", "a: null\nc: 1", {"c": 1}),
        ("a: 1", "c: {d: null}", {"a": 1, "c": {"d": None}}),
        ("a: 1", "c: [null]", {"a": 1, "c": [None]}),
        (
            "c: {file: 5, columns: {file: MAG}}",
            "a: 1",
            {"c": {"file": 5, "columns": {"file": "MAG"}}, "a": 1},
        ),
    ],
)
def test_mappings_are_merged_and_null_removes(tmp_path, base, over, merged):
    (tmp_path / "base.yaml").write_text(base)
    (tmp_path / "recipe.yaml").write_text(f"extends: base.yaml\n{over}")
    document = extended(read_document(tmp_path / "recipe.yaml"))
    assert document.data == merged
    assert list(document.data) == list(merged)


def test_a_column_may_be_called_file(folder):
    text = BASE.replace("stars.csv", "stars.csv, columns: {file: MAG}")
    (folder / "shared/base.yaml").write_text(text)
    drawn = load_recipe(folder / "recipe.yaml").tables["images"].variables["star"]
    assert (drawn.file, drawn.columns) == ("shared/stars.csv", {"file": "MAG"})


def test_messages_name_the_file_where_the_value_stands(folder):
    message = refusal(folder, BASE.replace("samples: 40", "sampels: 40"), "shared/base.yaml")
    assert message.startswith("shared/base.yaml:10:5: tables.images.sampels: unknown key 'sampels'")
    message = refusal(folder, OVER.replace("0.2", "-1"))
    assert message.splitlines()[0].startswith(
        "recipe.yaml:6:25: tables.images.noise.0.gaussian.sigma"
    )
    assert message.splitlines()[1].startswith("shared/base.yaml:10:5: ")
    message = refusal(folder, BASE.replace("stars.csv", "none.csv"), "shared/base.yaml")
    assert "shared/base.yaml:15:14: tables.images.variables.star.catalog: the catalog" in message
    assert "shared/none.csv cannot be read: No such file" in message
    message = refusal(folder, "a: [", "shared/base.yaml")
    assert re.match(r"shared/base\.yaml:\d:\d: not valid YAML", message)
    (folder / "shared/base.yaml").write_text(BASE)
    (folder / "recipe.yaml").write_text(OVER.replace("0.2", "0.3"))
    with pytest.raises(
        RecipeError, match=r"shared/base\.yaml:13:45: .*circle\.radius: must be a number above 0"
    ):
        load_recipe(folder / "recipe.yaml").replace(
            {"tables.images.classes.dot.objects.0.circle.radius": -1, "constants": None}
        )


def test_extends_in_a_circle_is_refused(folder):
    text = "extends: ../recipe.yaml\n" + BASE
    message = refusal(folder, text, "shared/base.yaml")
    assert message == (
        "shared/base.yaml:1:1: extends: recipes extend each other in a circle: recipe.yaml → shared/base.yaml → "
        "shared/../recipe.yaml"
    )
    assert "in a circle: recipe.yaml → recipe.yaml" in refusal(folder, "extends: recipe.yaml")
    for number in range(MAX_BASES + 1):
        (folder / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml")
    assert refusal(folder, "extends: 0.yaml").startswith(
        f"7.yaml:1:1: extends: extends more than {MAX_BASES} recipes, one through the other"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "none.yaml",
            "recipe.yaml:1:1: extends: the recipe to extend none.yaml cannot be read: No such file",
        ),
        ("shared", "cannot be read: it is not a regular file"),
        ("/dev/zero", "cannot be read: it is not a regular file"),
        ('"\\0"', "is no name of a file"),
        ("https://example.org/a.yaml", "must be a local file, not 'https://example.org/a.yaml'"),
        ("[a.yaml]", r"must be the name of a file, such as 'base.yaml', not ['a.yaml']"),
        ("~", "must be the name of a file, such as 'base.yaml', not None"),
    ],
)
def test_what_cannot_be_extended_is_refused(folder, name, message):
    assert message in refusal(folder, f"extends: {name}\n")


def test_limits_hold_for_all_files_together(folder):
    many = "".join(f"k{i}: 1\n" for i in range(40_000))
    (folder / "many.yaml").write_text(f"extends: more.yaml\n{many}")
    (folder / "more.yaml").write_text(many)
    assert refusal(folder, f"extends: many.yaml\n{many}") == (
        "recipe.yaml:1:1: extends: more than 100,000 values with what the recipe extends, aliases written out"
    )
    (folder / "long.yaml").write_text(f"description: {'x' * 600_000}")
    assert "more than 1,048,576 characters with" in refusal(
        folder, f"extends: long.yaml\ntitle: {'x' * 600_000}"
    )
    (folder / "long.yaml").write_text("#" * 2**21)
    assert "has 2,097,152 bytes, a recipe to extend at most 1,048,576" in refusal(
        folder, "extends: long.yaml"
    )


def test_extends_is_no_value_that_can_be_set(folder):
    recipe = load_recipe(folder / "recipe.yaml")
    with pytest.raises(
        RecipeError, match="extends: stands only in the file of a recipe; it cannot be set"
    ):
        recipe.replace({"extends": "shared/base.yaml"})
    assert extended(parse_document("a: 1")).data == {"a": 1}
