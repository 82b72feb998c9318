"""Released bytes: they change only together with RENDER_VERSION, and the changelog says so."""

import hashlib
from pathlib import Path

import pytest

import deepbench
from deepbench import format as fmt

WORKFLOWS = Path(__file__).parents[2] / "workflows"
SAMPLES = 64

GOLDEN = {
    "shapes": {
        "recipe_hash": "a4bd5b00952752118f63a963d2687aac8ece14ca90c2cf0cee8dcaedb5013a8b",
        "table_hash": "5ba53fc8d12ce2c0df7bcbe2465a47923bda6246f86f8c735bbea47b6a4438ef",
        "images": "c44c3b969b184479360d03113bf4d3eaf93a198455880340eb96250f15a215f7",
        "labels": "d9afcf738fc0b6320861169c6249acaf72b0a72e1908fe228b19cd781b3a49cf",
        "objects": "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b",
    },
    "all_shapes": {
        "recipe_hash": "76aa833b2ae2c2ab694ec984ccf66a00592d08c8573e61ed6167875ca3d4a8c5",
        "table_hash": "a4daa3f1dacd913b63084c9c5c96233ed72a8e1fb6e1f48178fb145195563ed6",
        "images": "34844e7ecc1cd1a3368b9dc7768e6d087b7bdb35d74313bf73a8d854f9f29236",
        "labels": "0330b9d0e4d93c3bded986b9def3d79c8177f7855b2e81f9ae1014c283fcfa10",
        "objects": "580063a8e60a6ccc6e1c9cafc1e45a323ab973de43c533140343e219ddc62fa0",
    },
}


@pytest.mark.parametrize("name", GOLDEN)
def test_released_bytes_are_what_they_were(name):
    assert (fmt.FORMAT_VERSION, fmt.RENDER_VERSION) == (1, 1)
    recipe = deepbench.load_recipe(WORKFLOWS / f"{name}.yaml")
    variable = recipe.tables["images"].data_variables()[0]
    images = deepbench.render(recipe, "images", 0, SAMPLES)["image"].values
    labels = deepbench.labels(recipe, "images", 0, SAMPLES)
    objects = deepbench.objects(recipe, "images", 0, SAMPLES)
    found = {
        "recipe_hash": recipe.hash,
        "table_hash": recipe.table_hash("images"),
        "images": hashlib.sha256(b"".join(fmt.sample_digests(variable, images))).hexdigest(),
        "labels": hashlib.sha256(labels.to_csv(index=False).encode()).hexdigest(),
        "objects": hashlib.sha256(objects.to_csv(index=False).encode()).hexdigest(),
    }
    assert found == GOLDEN[name]


def test_first_labels_of_the_poster():
    recipe = deepbench.load_recipe(WORKFLOWS / "shapes.yaml")
    first = deepbench.labels(recipe, "images", 0, 1).iloc[0].dropna().to_dict()
    assert first == {
        "id": 0,
        "class": "rectangle",
        "split": "train",
        "group": 0,
        "rectangle.x": 36.74807192877923,
        "rectangle.y": 23.827529099743217,
        "rectangle.amplitude": 1.0,
        "rectangle.width": 9.405985098906502,
        "rectangle.height": 5.704647187767842,
        "rectangle.angle": 146.0779731485378,
        "psf.sigma": 0.5616868206984204,
        "noise.gaussian.sigma": 0.05,
    }
