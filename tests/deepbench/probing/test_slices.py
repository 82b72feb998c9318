"""Slices: a planted failure comes first and alone, and nothing comes without one."""

import numpy as np
import pytest

from deepbench.probing import slices
from deepbench.probing.intervals import Groups
from deepbench.probing.slices import find_slices


def labels_of(n, seed):
    """Return classes, and labels: a radius of class a, a width of class b, a σ and two that do not matter."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 2, n)
    labels = {
        "circle.radius": np.where(classes == 0, rng.uniform(1, 24, n), np.nan),
        "rectangle.width": np.where(classes == 1, rng.uniform(2, 48, n), np.nan),
        "psf.sigma": rng.uniform(0.5, 2, n),
        "x": rng.normal(size=n),
        "k": rng.integers(0, 3, n).astype(float),
    }
    return classes, labels, rng


def find(losses, classes, labels, groups=None, **more):
    groups = Groups(np.arange(len(losses)) if groups is None else groups)
    return find_slices(losses, labels, classes, ["circle", "rectangle"], groups, **more)


@pytest.mark.parametrize("seed", range(20))
def test_a_planted_failure_is_the_first_slice_and_the_only_one(seed):
    """Wrong half of the time where the radius is below 3 and σ above 1.5, 5 % elsewhere; ends are found within 15 %."""
    classes, labels, rng = labels_of(20_000, seed)
    small = (labels["circle.radius"] < 3) & (labels["psf.sigma"] > 1.5)
    losses = (rng.random(20_000) < np.where(small, 0.5, 0.05)).astype(float)
    found = find(losses, classes, labels, seed=seed)
    assert len(found) == 1
    ends = {each.label: each for each in found[0].conditions}
    assert set(ends) == {"circle.radius", "psf.sigma"}
    assert ends["circle.radius"].low < 1.5
    assert ends["circle.radius"].high == pytest.approx(3, rel=0.15)
    assert ends["psf.sigma"].low == pytest.approx(1.5, rel=0.15)
    assert found[0].error.value == pytest.approx(0.5, abs=0.12)  # three standard errors
    assert found[0].elsewhere == pytest.approx(0.05, abs=0.01)


def test_one_label_of_one_class_is_searched():
    _, labels, rng = labels_of(4000, 0)
    wide = labels["psf.sigma"] > 1.5
    losses = (rng.random(4000) < np.where(wide, 0.5, 0.05)).astype(float)
    sigma = {"psf.sigma": labels["psf.sigma"]}
    (found,) = find_slices(losses, sigma, np.zeros(4000, int), ["star"], Groups(np.arange(4000)))
    (condition,) = found.conditions
    assert condition.low == pytest.approx(1.5, rel=0.05)


@pytest.mark.parametrize("kind", ["hits", "groups", "values"])
def test_nothing_is_told_where_nothing_is_planted(kind):
    """40 sets of samples, at 5 % each: 7 or more would come once in 300."""
    told = 0
    for seed in range(40):
        classes, labels, rng = labels_of(1500, seed)
        groups = np.arange(1500) // (10 if kind == "groups" else 1)
        share = np.clip(0.1 + (kind == "groups") * 0.1 * rng.normal(size=1500)[groups], 0, 1)
        losses = (rng.random(1500) < share).astype(float)
        if kind == "values":
            losses = np.abs(rng.standard_t(3, 1500))
        told += len(find(losses, classes, labels, groups, seed=seed, hits=kind != "values")) > 0
    assert told <= 6


def test_two_failures_are_two_slices_and_the_clearer_one_comes_first():
    classes, labels, rng = labels_of(20_000, 1)
    wrong = np.full(20_000, 0.05)
    wrong[(labels["k"] == 2) & (classes == 1)] = 0.4
    wrong[labels["circle.radius"] > 20] = 0.3
    found = find((rng.random(20_000) < wrong).astype(float), classes, labels)
    assert str(found[0]) in ("class == rectangle and k == 2", "has rectangle.width and k == 2")
    assert [each.label for each in found[1].conditions] == ["circle.radius"]
    assert len(found) == 2
    assert found.to_frame()["where"].tolist() == [str(each) for each in found]
    assert found.to_dict()["found"][0]["error"]["value"] == pytest.approx(0.4, abs=0.05)


def test_values_fail_where_their_errors_are_larger():
    classes, labels, rng = labels_of(10_000, 2)
    scale = np.where((labels["psf.sigma"] > 1.7) & (labels["x"] > 0), 2.0, 1.0)
    found = find(np.abs(scale * rng.normal(size=10_000)), classes, labels, hits=False, target="y")
    assert {each.label for each in found[0].conditions} == {"psf.sigma", "x"}
    assert found[0].target == "y"


def test_an_excess_that_is_too_small_is_not_told():
    classes, labels, rng = labels_of(40_000, 3)
    wrong = np.where(labels["psf.sigma"] > 1.5, 0.12, 0.05)
    losses = (rng.random(40_000) < wrong).astype(float)
    assert len(find(losses, classes, labels)) == 1
    found = find(losses, classes, labels, least_effect=0.1)
    assert len(found) == 0
    assert found.detectable >= found.least_effect == 0.1


def test_too_few_samples_or_groups_are_not_searched():
    classes, labels, _ = labels_of(60, 4)
    assert np.isnan(find(np.ones(60), classes, labels).detectable)
    classes, labels, _ = labels_of(1000, 4)
    losses = (labels["x"] > 0).astype(float)
    assert np.isnan(find(losses, classes, labels, np.arange(1000) // 100).detectable)
    assert len(find(losses, classes, labels)) == 1


def test_a_model_that_is_never_wrong_has_no_slices():
    classes, labels, _ = labels_of(1000, 5)
    found = find(np.zeros(1000), classes, labels)
    assert len(found) == 0
    assert found.to_dict()["detectable"] == found.least_effect


def test_the_best_pair_is_that_of_sliceline():
    """On three integer labels and errors of 0 and 1, where the worst pair of values is planted."""
    sliceline = pytest.importorskip("sliceline.slicefinder")
    rng = np.random.default_rng(6)
    values = rng.integers(0, 4, (6000, 3))
    wrong = np.where((values[:, 0] == 1) & (values[:, 2] == 3), 0.6, 0.1)
    losses = (rng.random(6000) < wrong).astype(float)
    peer = sliceline.Slicefinder(alpha=0.95, k=1, max_l=2, min_sup=60, verbose=False)
    peer.fit(values, losses)
    assert peer.top_slices_.tolist() == [[1, None, 3]]
    labels = {name: values[:, k].astype(float) for k, name in enumerate("abc")}
    found = find(losses, np.zeros(6000, dtype=int), labels)
    assert str(found[0]) == "a == 1 and c == 3"


def test_words_of_conditions():
    said = [
        slices.Condition("a", -np.inf, 2.5),
        slices.Condition("a", 2.5, np.inf),
        slices.Condition("a", 1, 2),
        slices.Condition("a", 2, 2),
        slices.Condition("a", -np.inf, np.inf),
        slices.Condition("class", category="circle"),
    ]
    words = ["a <= 2.5", "a >= 2.5", "1 <= a <= 2", "a == 2", "has a", "class == circle"]
    assert [str(each) for each in said] == words
    assert said[0].to_dict() == {"label": "a", "low": None, "high": 2.5}


def test_benjamini_and_yekutieli_by_hand():
    """Of three p-values the k-th smallest may be 0.05 k / (3 (1 + 1/2 + 1/3))."""
    limit = 0.05 / (3 * (1 + 1 / 2 + 1 / 3))
    assert slices.discoveries([0.9 * limit, 1.9 * limit, 0.5]) == [True, True, False]
    assert slices.discoveries([1.1 * limit, 2.1 * limit, 0.5]) == [False, False, False]
    assert slices.discoveries([]) == []
