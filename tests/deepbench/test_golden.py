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
        "images": "fe3c5aa397df62aa91a1c6f889cef18b688589008d5a37ad77afd70a806046ba",
        "labels": "d9afcf738fc0b6320861169c6249acaf72b0a72e1908fe228b19cd781b3a49cf",
        "objects": "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b",
    },
    "all_shapes": {
        "recipe_hash": "34d347bdb0bbc0b11b710f02ed49abea385c413c7bd8261e70e42f1d1384b5ae",
        "table_hash": "c1c9fe6afea60508615b882a71b218a16455dd819f280674e73145323f8c9ac5",
        "images": "d80fce251bcf8f48a887832726517d089b8a6083fe2a0789059c2f43be20d325",
        "labels": "b2631a3c349955cf00ec3f16a5075afae265fa07da8bbc6deea585b9130eb9b8",
        "objects": "24f0ca260a2681ff29447ff6a99c4353a8f77c09acd36435aa572f84d2a6c927",
    },
}


@pytest.mark.parametrize("name", GOLDEN)
def test_released_bytes_are_what_they_were(name):
    assert (fmt.FORMAT_VERSION, fmt.RENDER_VERSION) == (2, 3)
    recipe = deepbench.load_recipe(WORKFLOWS / f"{name}.yaml")
    variable = recipe.tables["images"].data_variables()[0]
    images = deepbench.render(recipe, "images", 0, SAMPLES)["image"].values
    labels = deepbench.labels(recipe, "images", 0, SAMPLES)
    objects = deepbench.objects(recipe, "images", 0, SAMPLES)
    found = {
        "recipe_hash": recipe.hash,
        "table_hash": recipe.table("images").hash,
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
