"""Released bytes of dynamics: they change only together with RENDER_VERSION, and the changelog says so."""

import hashlib
from pathlib import Path

import pytest

from deepbench import format as fmt
from deepbench.recipe import load_recipe
from deepbench.samples import render

WORKFLOWS = Path(__file__).parents[3] / "workflows"
SAMPLES = 24

GOLDEN = {
    ("pendulums", "series"): ("9eb69100dbd0a295", "a761bd5d6d345453149f3ead5e5db5d6"),
    ("pendulums", "phase"): ("717de9a091ad17a9", "8bff5c219510d1f3d6164e991e3b409f"),
    ("pendulums", "films"): ("3c0a02bf279d681a", "19af9a3d847635e0731ef41b8cae0874"),
    ("few_body", "binaries"): ("b0b8181575036f08", "804cc8bd8ed3a7bfadb3021edcd824bc"),
    ("few_body", "planets"): ("ec042771dc99b5a9", "104eb5e1a595bb2cbf3424a2e85f3272"),
    ("few_body", "three_bodies"): ("bbef0c4e98866189", "012fd25fa226c982e970c6f02fabc465"),
}


@pytest.mark.parametrize(("name", "table"), GOLDEN)
def test_released_bytes_are_what_they_were(name, table):
    recipe = load_recipe(WORKFLOWS / f"{name}.yaml")
    data = render(recipe, table, 0, SAMPLES)
    digest = hashlib.sha256()
    for variable in recipe.tables[table].data_variables():
        digest.update(b"".join(fmt.sample_digests(variable, data[variable.name].values)))
    assert (recipe.table(table).hash[:16], digest.hexdigest()[:32]) == GOLDEN[name, table]
