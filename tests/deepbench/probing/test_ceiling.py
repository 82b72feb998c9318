"""Ceilings hold for the best of models, and where there is none it is said why."""

import json

import numpy as np
import pytest

import deepbench
from deepbench.probing import ceiling as ceilings
from deepbench.probing.ceiling import ceiling
from deepbench.probing.truth import Truth

RECIPE = """\
name: faint
version: 1.0.0
title: A disk and a square that the noise nearly hides
seed: 11
tables:
  images:
    kind: image
    samples: 3000
    size: [12, 12]
    variables: {light: 0.5, place: 6}
    classes:
      disk: {objects: [{circle: {x: "= place", y: 6, radius: 3, amplitude: "= light"}}]}
      square: {objects: [{rectangle: {x: "= place", y: 6, width: 4, height: 4, amplitude: "= light"}}]}
    noise: [{gaussian: {sigma: 0.5}}]
"""


@pytest.fixture(scope="module")
def faint():
    return deepbench.parse_recipe(RECIPE)


def found_in(recipe, samples=64):
    table = next(iter(recipe.tables))
    plan = recipe.table(table).plan
    truth = Truth.from_frame(deepbench.labels(recipe, table), plan.classes, plan.splits)
    return ceiling(recipe, table, truth, samples)


def test_a_matched_filter_is_as_good_as_the_ceiling_of_two_known_signals(faint):
    found = found_in(faint)
    (pair,) = found.separations
    assert pair.known
    assert pair.classes == ("disk", "square")
    data = deepbench.render(faint.replace({"tables.images.planes": ["image_true"]}), "images")
    images = data["image"].values.reshape(3000, -1).astype(float)
    square = data["class"].values == 1
    signals = [data["image_true"].values.reshape(3000, -1)[each][0] for each in (~square, square)]
    called = ((images - signals[0]) ** 2).sum(axis=1) > ((images - signals[1]) ** 2).sum(axis=1)
    right = np.mean([np.mean(called[square]), np.mean(~called[~square])])
    assert 0.6 < pair.accuracy.value < 0.95
    assert right == pytest.approx(pair.accuracy.value, abs=4 * 0.5 / np.sqrt(3000))
    assert found.bounds == ()
    assert found.reasons == tuple(
        f"No continuous label that is drawn changes the samples of {name}."
        for name in ("disk", "square")
    )


def test_a_model_that_is_told_less_is_not_better_than_the_ceiling(faint):
    """Signals of unknown place: the best rule, which averages the likelihood over places, stays below the ceiling."""
    recipe = faint.replace({"tables.images.variables.place": {"uniform": [5, 7]}})
    (pair,) = found_in(recipe).separations
    assert not pair.known
    kept = recipe.replace({"tables.images.planes": ["image_true"]})
    data, models = (
        deepbench.render(kept, "images", 0, 2000),
        deepbench.render(kept, "images", 2000, 3000),
    )
    images = data["image"].values.reshape(2000, -1).astype(float)
    likelihoods = []
    for code in (0, 1):
        own = (
            models["image_true"].values[models["class"].values == code].reshape(-1, images.shape[1])
        )
        exponents = (images @ own.T - np.sum(own**2, axis=1) / 2) / 0.5**2
        likelihoods.append(np.logaddexp.reduce(exponents, axis=1) - np.log(len(own)))
    square = data["class"].values == 1
    called = likelihoods[1] > likelihoods[0]
    right = np.mean([np.mean(called[square]), np.mean(~called[~square])])
    assert right < pair.accuracy.high + 2 * 0.5 / np.sqrt(2000)
    assert right > 0.6


def test_bounds_stand_beside_the_spread_of_their_labels(faint):
    path = "tables.images.variables"
    recipe = faint.replace(
        {f"{path}.place": {"uniform": [5, 7]}, f"{path}.light": {"uniform": [0, 4]}}
    )
    bounds = found_in(recipe).bounds
    assert {(each.label, each.category) for each in bounds} == {
        (f"variables.{name}", category)
        for name in ("place", "light")
        for category in ("disk", "square")
    }
    light, place = (
        next(each for each in bounds if name in each.label) for name in ("light", "place")
    )
    assert light.spread == pytest.approx(4 / np.sqrt(12), rel=0.05)
    assert light.rmse == pytest.approx(0.5 / np.sqrt(9 * np.pi), rel=0.1)  # edges weigh less
    assert (light.resolved, light.n) == (64, 64)
    assert 0 < place.resolved < 64  # the place of a disk without light is not known
    assert place.rmse < place.spread


@pytest.mark.parametrize(("room", "bounds", "pairs"), [(1, 2, 2), (96, 4, 12), (10**6, 64, 64)])
def test_fewer_samples_are_looked_at_where_they_are_slow(room, bounds, pairs, faint, monkeypatch):
    """Of two classes with two labels each, which take about 12 renderings a sample; a pair takes 4."""
    path = "tables.images.variables"
    recipe = faint.replace(
        {f"{path}.place": {"uniform": [5, 7]}, f"{path}.light": {"uniform": [1, 4]}}
    )
    monkeypatch.setattr(ceilings, "affordable", lambda *_: room)
    found = found_in(recipe, None)
    assert {each.n for each in found.bounds} == {bounds}
    assert found.separations[0].accuracy.n == 2 * pairs
    cut = [each for each in found.reasons if "`--ceiling-samples 64` looks at 64" in each]
    assert len(cut) == (2 if room < 1000 else 0)
    assert found_in(recipe, 4).bounds[0].n == 4


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        (
            {"noise": [{"correlated": {"sigma": 1, "length": 2}}]},
            ["No limit is known: its images have correlated"],
        ),
        ({"noise": []}, ["No limit is known: its images have no noise."]),
        (
            {"noise": [{"poisson": {"background": 9}}]},
            [
                "No continuous",
                "No continuous",
                "How well classes can be told apart is not known: the likelihood",
            ],
        ),
        (
            {"noise": [{"gaussian": {"sigma": "= where(class == disk, 1, 2)"}}]},
            ["No continuous", "No continuous", "is not known: the noise depends on the class"],
        ),
        (
            {"variables.place": {"uniform": [5, 7]}, "require": {"where": "place > 5.5"}},
            ["How well classes can be told apart is not known: its samples are selected."],
        ),
    ],
)
def test_it_is_said_why_a_ceiling_is_not_known(changes, reasons, faint):
    recipe = faint.replace({f"tables.images.{key}": each for key, each in changes.items()})
    found = found_in(recipe.replace({"tables.images.samples": 60}), 4)
    assert len(found.reasons) == len(reasons)
    assert all(part in said for part, said in zip(reasons, found.reasons, strict=True))
    assert found.separations == ()


def test_labels_of_whole_numbers_have_no_bound_however_few_samples_show_them(faint):
    disk = {
        "objects": [
            {
                "regular_polygon": {
                    "x": "= place",
                    "y": 6,
                    "sides": {"integers": [3, 12]},
                    "radius": 3,
                }
            }
        ]
    }
    recipe = faint.replace(
        {
            "tables.images.classes.disk": disk,
            "tables.images.variables.place": {"uniform": [5, 7]},
            "tables.images.samples": 8,
        }
    )
    found = found_in(recipe, 2)
    assert [each.label for each in found.bounds] == ["variables.place"] * 2
    assert found.reasons == ()


def test_a_ceiling_that_is_not_asked_for_says_so(faint):
    assert found_in(faint, 0).reasons == ("It was not asked for.",)


def test_an_error_of_a_label_is_the_least_error_of_its_estimate():
    """No measurement tells a pendulum's length from its error: what is left is the root of the sum of squares."""
    pendulum = {"length": {"uniform": [1, 2]}, "angle": 30, "gravity": 9.8}
    described = {
        "kind": "dynamics",
        "samples": 200,
        "times": {"duration": 5, "steps": 51},
        "store": ["position"],
        "noise": {"position": 0.01},
        "classes": {"swing": {"system": {"pendulum": pendulum}}},
    }
    head = {"name": "swings", "version": "1.0.0", "title": "Swings", "seed": 2}
    exact = deepbench.parse_recipe(json.dumps({**head, "tables": {"swings": described}}))
    path = "tables.swings.classes.swing.system.pendulum.length_error"
    (alone,) = found_in(exact).bounds
    (found,) = found_in(exact.replace({path: {"normal": [0, 0.03]}})).bounds
    assert alone.rmse < 0.003
    assert found.label == "pendulum.length"
    assert found.rmse == pytest.approx(
        np.hypot(alone.rmse, 0.03), rel=0.15
    )  # the deviation of 200 errors
