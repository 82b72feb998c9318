"""Hashes, labels and pixels of every workflow and every kind of object: what a release was, it stays.

They change only together with ``RENDER_VERSION``, and the changelog says so. ``python tests/test_goldens.py`` writes
them anew.
"""

import hashlib
import json
from pathlib import Path

import pytest

from deepbench import format as fmt
from deepbench import labels, load_recipe, objects, render

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests" / "goldens" / "goldens.json"
RECIPES = {
    path.stem: path
    for path in sorted(
        [*(ROOT / "workflows").glob("*.yaml"), ROOT / "tests/goldens/every_kind.yaml"]
    )
}
SAMPLES = {"every_kind": 80, "survey_field": 1}
HEAVY = {
    ("cosmology_maps", "maps"),
    ("cosmology_maps", "small"),
    ("sky_catalogue", "maps"),
    ("cmb_like", "maps"),
}
"""Maps whose pixels tests of their own render; here, their labels alone are looked at."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def hashes(recipe):
    """Return what identifies a recipe and its tables."""
    return {
        "recipe": recipe.hash,
        "resolved": sha256(recipe.to_yaml().encode()),
        "tables": {name: recipe.table(name).hash for name in recipe.tables},
    }


def bytes_of(recipe, name, table):
    """Return digests of the first labels of a table, of its repeated objects, and of its data.

    Maps through ducc0 differ in their last bits between processors, so their data are left out.
    """
    described = recipe.tables[table]
    count = min(SAMPLES.get(name, 6), described.samples)
    found = {}
    for what, frame in (("labels", labels), ("objects", objects)):
        if not (described.tolerance and what == "labels" and recipe.table(table).plan.is_measured):
            found[what] = sha256(frame(recipe, table, 0, count).to_csv(index=False).encode())
    if not described.tolerance and (name, table) not in HEAVY:
        data = render(recipe, table, 0, count)
        for variable in described.data_variables():
            digests = fmt.sample_digests(variable, data[variable.name].values)
            found[variable.name] = sha256(b"".join(digests))
    return found


def made(name):
    recipe = load_recipe(RECIPES[name])
    tables = {table: bytes_of(recipe, name, table) for table in recipe.tables}
    return {"hashes": hashes(recipe), "bytes": tables}


GOLDENS = json.loads(FILE.read_text()) if FILE.exists() else {}
TABLES = [(name, table) for name, each in GOLDENS.items() for table in each["bytes"]]


def test_every_workflow_has_goldens():
    assert set(GOLDENS) == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_keeps_its_hashes(name):
    assert hashes(load_recipe(RECIPES[name])) == GOLDENS[name]["hashes"]


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_a_table_keeps_its_labels_and_its_data(name, table):
    recipe = load_recipe(RECIPES[name])
    assert bytes_of(recipe, name, table) == GOLDENS[name]["bytes"][table]


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: made(name) for name in RECIPES}, indent=1) + "\n")
