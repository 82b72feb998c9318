"""Ground truth: observations are renderings of their levels, and the interface is the one that metrics take."""

from pathlib import Path

import numpy as np
import pytest

import deepbench
from deepbench.errors import CatalogError, LabelError
from deepbench.ground_truth import factors

WORKFLOWS = Path(__file__).parents[2] / "workflows"
RANDOM = np.random.RandomState


@pytest.fixture(scope="module")
def shapes():
    return deepbench.load_recipe(WORKFLOWS / "shapes.yaml")


@pytest.mark.parametrize("noise", ["fixed", "drawn"])
def test_an_observation_is_a_rendering_of_its_levels(shapes, noise):
    truth = factors(shapes, "images", ["circle.x", "circle.radius"], levels=4, noise=noise)
    assert (truth.num_factors, truth.factors_num_values, len(truth)) == (2, [4, 4], 16)
    latents, images = truth.sample(6, RANDOM(3))
    assert latents.shape == (6, 2)
    assert images.shape == (6, *truth.observation_shape) == (6, 64, 64, 1)
    again = RANDOM(3)
    assert np.array_equal(latents, truth.sample_factors(6, again))
    numbers = again.randint(2**31, size=6) if noise == "drawn" else [truth.base] * 6
    row = deepbench.labels(shapes, "images", truth.base, truth.base + 1)
    for (across, size), image, number in zip(latents, images, numbers, strict=True):
        row["circle.x"], row["circle.radius"] = 16 + 8 * (across + 0.5), 1 + 5.75 * (size + 0.5)
        row["id"] = number
        wanted = deepbench.render(shapes, "images", labels=row)["image"].values[0]
        assert np.array_equal(image[..., 0], wanted)


def test_a_number_of_copies_is_a_factor():
    recipe = deepbench.parse_recipe(
        """\
name: crowd
version: 1.0.0
title: Squares
seed: 7
tables:
  images:
    kind: image
    samples: 4
    size: [16, 16]
    classes:
      crowd:
        objects:
          - rectangle: {x: {uniform: [2, 14]}, y: {uniform: [2, 14]}, width: 1, height: 1, angle: 0}
            repeat: {choice: [1, 2, 3]}
"""
    )
    truth = factors(recipe, "images", {"rectangle.repeat": [1, 3]})
    images = truth.sample_observations_from_factors([[0], [1]], RANDOM(0))
    assert np.allclose(images.sum(axis=(1, 2, 3)), [1, 3], rtol=1e-6)  # sums in float32


def test_the_factors_of_a_design_are_its_own():
    recipe = deepbench.load_recipe(WORKFLOWS / "factors.yaml")
    truth = factors(recipe, "images")
    assert truth.names[:2] == ("class", "variables.scale")
    assert truth.factors_num_values == [3, 6, 40, 32, 32]
    assert len(truth) == 737280
    labels = deepbench.labels(recipe, "images", 0, 5)
    values = [labels["class"].cat.codes, *(labels[name] for name in truth.names[1:])]
    latents = np.stack(
        [
            np.abs(np.asarray(own)[:, None] - levels).argmin(1)
            for own, levels in zip(values, truth.levels, strict=True)
        ],
        1,
    )
    found = truth.sample_observations_from_factors(latents, RANDOM(0))[..., 0]
    assert np.array_equal(found, deepbench.render(recipe, "images", 0, 5)["image"])


def test_objects_that_repeat_and_values_that_follow():
    recipe = deepbench.parse_recipe(
        """\
name: copies
version: 1.0.0
title: Copies whose number is a factor
seed: 3
tables:
  images:
    kind: image
    samples: 10
    size: [16, 16]
    variables: {number: {choice: [1, 2, 3]}}
    classes:
      crowd: {objects: [{circle: {x: {uniform: [4, 12]}, y: {uniform: [4, 12]}, radius: 1}, repeat: "= number"}]}
"""
    )
    truth = factors(recipe, "images", ["variables.number"])
    images = truth.sample_observations_from_factors([[0], [1], [2], [0]], RANDOM(0))
    light = images.sum(axis=(1, 2, 3))
    assert np.allclose(light / light[0], [1, 2, 3, 1], rtol=1e-5)
    assert np.array_equal(images[0], images[3])


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (None, {}, "no `factors` of its own"),
        (
            ["circle.x", "rectangle.x"],
            {},
            "none of the first 4096 samples .* circle.x, rectangle.x",
        ),
        (["circle.radius"], {"variable": "picture"}, "no data variable 'picture': use image"),
        (["circle.radius"], {"noise": "some"}, "noise must be drawn or fixed"),
        (["circle.amplitude"], {}, "does not say what 'circle.amplitude' may be alone"),
        ({"circle.radius": [3]}, {}, "at least two numbers"),
        ({"circle.radius": ["a", "b"]}, {}, "at least two numbers"),
        (["split"], {}, "says which sample this is"),
        (["circle.size"], {}, "no label 'circle.size'"),
    ],
)
def test_factors_that_are_refused(shapes, names, options, message):
    with pytest.raises(LabelError, match=message):
        factors(shapes, "images", names, **options)


def test_levels_that_are_refused(shapes):
    truth = factors(shapes, "images", {"circle.radius": [3, 4]})
    for wrong in ([[2]], [[-1]], [[0.5]], [0], [[0, 1]]):
        with pytest.raises(LabelError, match="levels 0 … 1, not|must be whole numbers, shape"):
            truth.sample_observations_from_factors(wrong, RANDOM(0))
    with pytest.raises(CatalogError, match="no table 'image'"):
        factors(shapes, "image", ["circle.radius"])
