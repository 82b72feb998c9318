"""What the data give away: planted leaks come first, and nothing comes from clean data."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

import deepbench
from deepbench.errors import LabelError
from deepbench.probing import audit as audits
from deepbench.probing import near
from deepbench.probing.audit import audit_truth, first_split
from deepbench.probing.near import unresolved
from deepbench.probing.overlap import Shared, parameter_keys, shared_keys
from deepbench.probing.telling import Samples, tell_class, tell_class_together
from deepbench.probing.trivial import is_seen, trivial_statistics
from deepbench.probing.truth import Truth
from deepbench.progress import silent

RECIPE = """\
name: clean
version: 1.0.0
title: Two shapes of one area on a background
seed: 4
splits: {train: 0.7, test: 0.3}
tables:
  images:
    kind: image
    samples: 2000
    size: [16, 16]
    variables: {side: {uniform: [4, 8]}, x: {uniform: [5, 11]}, y: {uniform: [5, 11]}, sky: {uniform: [0, 1]}}
    classes:
      disk: {objects: [{circle: {x: "= x", y: "= y", radius: "= side / sqrt(pi)"}}]}
      square: {objects: [{rectangle: {x: "= x", y: "= y", width: "= side", height: "= side"}}]}
    noise: [{background: {level: "= sky"}}, {gaussian: {sigma: 0.1}}]
"""


def audited(recipe, samples=None):
    """Return the audit of a recipe, rendered in memory, as of its release."""
    view = recipe.table("images")
    frame = deepbench.labels(recipe, "images", 0, samples)
    truth = Truth.from_frame(frame)
    data = deepbench.render(recipe, "images", 0, len(frame))
    statistics = trivial_statistics("image", data["image"].to_numpy(), ("y", "x"))
    drawn = [each.name for each in view.plan.columns if each.name in truth.labels]
    first = first_split(truth)
    overlaps = shared_keys("parameters", "", parameter_keys(truth, drawn), truth, first)
    overlaps += unresolved(recipe, "images", truth, first, len(truth)).found
    return audit_truth(truth, statistics, drawn, overlaps)


@pytest.fixture(scope="module")
def clean():
    return deepbench.parse_recipe(RECIPE)


def test_nothing_is_found_in_a_clean_recipe(clean):
    """Nor in nine others with other seeds: shapes of one area on one sky differ in their outline alone."""
    for seed in range(10):
        *_, findings = audited(clean.replace({"seed": seed}))
        assert findings == ()


def test_a_background_that_depends_on_the_class_is_the_first_finding(clean):
    change = {"tables.images.variables.sky": "= where(class == disk, 0.3, 0.6) + 0.1 * side / 8"}
    leaking = clean.replace(change)
    tellings, _, _, findings = audited(leaking)
    assert findings[0].kind == "label"
    assert findings[0].name in ("variables.sky", "noise.background.level")
    assert "disk, square are told apart by" in findings[0].message
    assert "chance 0.50" in findings[0].message
    assert {"image.border", "image.q05"} <= {each.name for each in tellings if each.skill > 0.5}


def test_a_weak_leak_is_found_too(clean):
    """The sky is a tenth brighter on average: 0.55 beside 0.5."""
    change = {"tables.images.variables.sky": {"uniform": ["= where(class == disk, 0.1, 0)", 1]}}
    *_, findings = audited(clean.replace(change), 6000)
    assert {each.name for each in findings} <= {"variables.sky", "noise.background.level"}
    assert findings


@pytest.mark.slow
def test_the_blur_of_biased_shapes_is_found_without_a_network():
    recipe = deepbench.load_recipe("workflows/biased_shapes.yaml")
    tellings, shifts, _, findings = audited(recipe, 4000)
    names = [each.name for each in findings if each.kind == "label"]
    assert set(names) == {"variables.blurred", "psf.sigma"}
    assert [each.kind for each in findings[:2]] == ["label", "label"]
    found = next(each for each in tellings if each.name == "psf.sigma")
    means = {split: each.value for split, each in found.accuracy.items()}
    assert means["train"] == pytest.approx(0.9, abs=0.03)
    assert means["test_fair"] == pytest.approx(0.5, abs=0.05)
    assert means["test_opposed"] == pytest.approx(0.1, abs=0.05)
    assert found.skill == pytest.approx(0.8, abs=0.06)
    moved = {each.name for each in findings if each.kind == "shift"}
    assert {"psf.sigma", "variables.follows", "variables.blurred"} == moved
    assert shifts[0].split == "test_opposed"


# --- parts -----------------------------------------------------------------------------------------


def samples_of(codes, seed=0, groups=None, splits=None):
    n = len(codes)
    names = tuple("abcdef"[: codes.max() + 1])
    parts = np.zeros(n, dtype=int) if splits is None else splits
    groups = np.arange(n) if groups is None else groups
    return Samples(codes, parts, groups, names, ("train", "test"), 0, seed)


def test_chance_is_told_as_chance():
    """200 numbers that say nothing, of three classes: p-values are uniform, so that 5 % are below 5 %, within 3 σ."""
    rng = np.random.default_rng(1)
    codes = rng.choice(3, 1500, p=[0.6, 0.3, 0.1])
    p = []
    for seed in range(200):
        found = tell_class("x", "drawn", rng.normal(size=1500), samples_of(codes, seed))
        assert found.chance == pytest.approx(1 / 3)
        p.append(found.p_value)
    assert np.mean(np.array(p) < 0.05) < 0.05 + 3 * 0.0154


def test_a_normal_shift_tells_as_much_as_the_best_cut():
    """Two normals a distance d apart are told by the cut between them in Φ(d / 2) of cases."""
    from scipy import stats

    rng = np.random.default_rng(2)
    codes = rng.integers(0, 2, 20_000)
    values = rng.normal(size=20_000) + codes
    splits = rng.integers(0, 2, 20_000)
    found = tell_class("x", "drawn", values, samples_of(codes, splits=splits))
    for each in found.accuracy.values():
        assert each.value == pytest.approx(stats.norm.cdf(0.5), abs=0.012)
        assert each.low < stats.norm.cdf(0.5) < each.high + 0.005
    assert found.eta_squared == pytest.approx(0.25 / 1.25, abs=0.02)
    assert found.p_value < 1e-10


def test_a_label_that_one_class_has_is_no_leak():
    codes = np.arange(400) % 2
    radius = np.where(codes == 0, np.arange(400.0), np.nan)
    assert tell_class("circle.radius", "drawn", radius, samples_of(codes)) is None
    assert tell_class("one", "drawn", np.ones(400), samples_of(codes)).skill == pytest.approx(0)


def test_groups_that_are_alike_are_no_proof():
    """Twelve groups, each with a number and a class of its own: a perfect rule within groups is chance across them."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(24), 50)
    codes = (rng.permutation(24) % 2)[groups]
    values = rng.normal(size=24)[groups]
    assert tell_class("x", "drawn", values, samples_of(codes, groups=groups)).p_value > 0.001


def test_several_numbers_tell_what_none_tells_alone():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 4000))
    codes = (x + y > 0).astype(int)
    samples = samples_of(codes)
    alone = tell_class("x", "statistic", x, samples)
    y[::50] = np.nan
    together = tell_class_together("both", [x, y], samples)
    assert alone.skill < 0.6
    assert together.skill > 0.9
    assert together.to_dict()["eta_squared"] is None


def test_trivial_statistics_are_what_they_say():
    rng = np.random.default_rng(5)
    images = rng.normal(size=(6, 5, 7)).astype(np.float32)
    found = trivial_statistics("image", images, ("y", "x"))
    flat = images.reshape(6, -1).astype(float)
    np.testing.assert_allclose(found["image.mean"], flat.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found["image.deviation"], flat.std(axis=1), rtol=1e-10)
    expected = np.quantile(flat, [0.05, 0.5, 0.95], axis=1, method="lower")
    for name, each in zip(("q05", "q50", "q95"), expected, strict=True):
        np.testing.assert_array_equal(found[f"image.{name}"], each)
    steps = np.abs(np.diff(images.astype(float), axis=2)).mean(axis=(1, 2))
    np.testing.assert_allclose(found["image.roughness"], steps, rtol=1e-12)
    inner = np.ones((5, 7), dtype=bool)
    inner[1:-1, 1:-1] = False
    np.testing.assert_allclose(found["image.border"], images[:, inner].mean(axis=1), rtol=1e-5)
    assert "image.count" not in found


def test_statistics_of_curves_leave_out_what_was_not_observed():
    flux = np.array([[1.0, 2, np.nan, 6], [np.nan, np.nan, np.nan, np.nan]])
    found = trivial_statistics("flux", flux, ("observation",))
    assert found["flux.count"].tolist() == [3, 0]
    assert found["flux.sum"][0] == 9
    assert found["flux.q50"][0] == 2
    assert found["flux.roughness"][0] == 1
    assert np.isnan(found["flux.mean"][1])
    assert np.isnan(found["flux.q95"][1])
    bands = trivial_statistics("image", np.ones((2, 3, 4, 4)), ("band", "y", "x"))
    assert {"image.0.mean", "image.2.border"} <= set(bands)
    assert is_seen("image")
    assert not is_seen("image_true")
    assert not is_seen("segmentation")


def test_what_splits_share_is_counted_and_named(make_truth):
    splits = [0, 0, 0, 1, 1, 2]
    labels = {"x": [1.0, 2, 3, 2, 4, 3], "y": [np.nan] * 6}
    truth = make_truth([0] * 6, labels, splits=splits)
    keys = parameter_keys(truth, ["x", "y"])
    found = shared_keys("parameters", "", keys, truth, 0)
    assert found == [
        Shared("parameters", "", "test", 1, 2, 3, 1),
        Shared("parameters", "", "other", 1, 1, 5, 2),
    ]
    assert str(found[0]) == (
        "1 of 2 samples of 'test' have all parameters of a training sample; only noise differs (sample 3 and 1)"
    )
    assert shared_keys("group", "", np.arange(6), truth, 0) == []


def test_samples_that_noise_does_not_tell_apart_are_found(clean):
    """Sides that differ by a thousandth are one image in noise of 0.1, and two on skies that are far apart."""
    path = "tables.images.variables"
    alike = clean.replace({f"{path}.side": {"uniform": [5, 5.001]}, f"{path}.x": 8, f"{path}.y": 8})
    dark = alike.replace({f"{path}.sky": 0.5})
    truth = Truth.from_frame(deepbench.labels(alike, "images", 0, 300))
    tests = int(np.sum(truth.split_codes == 1))
    found, searched = unresolved(dark, "images", truth, 0, 300)
    assert [(each.samples, each.of) for each in found] == [(tests, tests)]
    assert searched == (
        f"Each of {tests} samples of other splits was compared with all {300 - tests} of 'train', without noise: no "
        "pair nearer than the noise is missed."
    )
    assert "but the 200 samples after these" in unresolved(dark, "images", truth, 0, 100).searched
    quiet = clean.replace({"tables.images.noise": []})
    assert unresolved(quiet, "images", truth, 0, 300).found == []
    assert "have no noise" in unresolved(quiet, "images", truth, 0, 300).searched


def test_a_search_says_which_samples_it_compares(clean, monkeypatch):
    """All where they are cheap, the first ones where they are slow; and none where the first are of one split."""
    truth = Truth.from_frame(deepbench.labels(clean, "images", 0, 300))
    monkeypatch.setattr(near, "affordable", lambda *_: 64)
    steps = []
    searched = unresolved(clean, "images", truth, 0, progress=lambda *each: steps.append(each))
    assert "the 236 samples after these were not searched (`--samples 300` " in searched.searched
    assert ("searching near-duplicates", 60, 64) in steps
    train = truth.take(np.flatnonzero(truth.split_codes == 0))
    assert unresolved(clean, "images", train, 0).searched.endswith("there is one split.")
    ordered = truth.take(np.argsort(truth.split_codes))
    for first, where in ((0, "outside 'train'"), (1, "in 'test'")):
        searched = unresolved(clean, "images", ordered, first, 50).searched
        assert f"none of the first 50 of 300 samples is {where}; `--samples 300` searches all" in (
            searched
        )


def test_images_without_noise_are_near_to_none(clean):
    """A deviation of 0 divides nothing, and warns of nothing."""
    images = near._Images(clean, "images", silent)
    sketches = near._Sketches(np.zeros((2, 3)), np.zeros(2))
    ids = np.array([4, 5])
    twins, left = near._twins(images, sketches, ids, np.array([0]), np.array([1]))
    assert (twins.tolist(), left) == ([-1, -1], 0)
    alike = images.sketches(ids)._replace(sigma=np.zeros(2))
    twins, _ = near._twins(images, alike, ids, np.array([0]), np.array([0]))
    assert twins.tolist() == [-1, -1]


@pytest.mark.parametrize("given", [{"most": 0}, {"most": 2.5}, {"ceiling_samples": -1}])
def test_numbers_of_samples_that_are_refused(given):
    name = next(iter(given))
    with pytest.raises(LabelError, match=f"`{name}` must be a whole number of at least"):
        deepbench.audit("any", **given)


@pytest.mark.parametrize("noise", [0.1, 2.0, 6.0])
def test_no_pair_within_the_noise_is_missed(noise, clean):
    """Against the distances of all pairs of images, from none that are near to most."""
    recipe = clean.replace({"tables.images.noise.1.gaussian.sigma": noise})
    truth = Truth.from_frame(deepbench.labels(recipe, "images", 0, 700))
    found, _ = unresolved(recipe, "images", truth, 0, 700)
    kept = recipe.replace({"tables.images.planes": ["image_true"]})
    images = deepbench.render(kept, "images", 0, 700)["image_true"].values.reshape(700, -1)
    sigma = (
        deepbench.render(recipe, "images", 0, 700)["image"].values.reshape(700, -1) - images
    ).std(axis=1)
    test, train = (np.flatnonzero(truth.split_codes == code) for code in (1, 0))
    gaps = cdist(images[test].astype(float), images[train].astype(float)) / sigma[test, None]
    close = gaps.min(axis=1) < 1
    assert sum(each.samples for each in found) == close.sum()
    for each in found:
        assert (
            gaps[np.flatnonzero(test == each.first)[0], np.flatnonzero(train == each.twin)[0]] < 1
        )
    assert close.any() == (noise > 0.1)


@pytest.mark.slow
def test_every_planted_pair_is_found_among_thirty_thousand():
    """Disks at 200 places, each in 150 sizes once; two sizes differ by 1e-4 pixel, others far more."""
    radii = [*np.linspace(2, 10, 149).tolist(), 2 + 5 * 8 / 148 + 1e-4]
    described = {
        "kind": "image",
        "size": [24, 40],
        "factors": {
            "radius": radii,
            "across": {"grid": {"low": 11, "high": 29, "count": 200}},
        },
        "classes": {
            "disk": {"objects": [{"circle": {"x": "= across", "y": 12, "radius": "= radius"}}]}
        },
        "noise": [{"gaussian": {"sigma": 0.05}}],
    }
    head = {"name": "planted", "version": "1.0.0", "title": "Pairs", "seed": 1}
    recipe = deepbench.parse_recipe(json.dumps({**head, "tables": {"images": described}}))
    frame = deepbench.labels(recipe, "images")
    assert len(frame) == 30_000
    truth = Truth.from_frame(frame)
    pair = frame[np.isin(frame["circle.radius"], [radii[5], radii[149]])]
    assert len(pair) == 400
    expected = dict.fromkeys(truth.splits[1:], 0)
    for _, two in pair.groupby("variables.across"):
        splits = sorted(two["split"], key=truth.splits.index)
        if splits[0] == "train" and splits[1] != "train":
            expected[splits[1]] += 1
    found, searched = unresolved(recipe, "images", truth, 0, 30_000)
    assert {each.split: each.samples for each in found} == expected
    assert min(expected.values()) > 0
    assert searched.endswith("no pair nearer than the noise is missed.")


def test_classes_that_are_rarer_in_the_test_are_a_shift(make_truth):
    rng = np.random.default_rng(6)
    splits = np.repeat([0, 1], 1000)
    codes = (rng.random(2000) < np.where(splits == 0, 0.5, 0.2)).astype(int)
    truth = make_truth(codes, {"x": rng.normal(size=2000)}, splits=splits)
    shifts = list(audits._shifts(truth, 0))
    assert (shifts[0].name, shifts[0].split) == ("class", "test")
    assert shifts[0].distance == pytest.approx(0.3, abs=0.05)
    assert shifts[0].p_value < 1e-6
    assert {(each.name, each.category) for each in shifts[1:]} == {("x", "a"), ("x", "b")}
    *_, findings = audit_truth(truth, {}, ["x"], [])
    assert [each.name for each in findings] == ["class"]


def test_the_shift_of_a_label_is_that_of_kolmogorov_and_smirnov(make_truth):
    from scipy import stats

    rng = np.random.default_rng(7)
    splits = np.repeat([0, 1], [300, 200])
    values = np.round(rng.normal(size=500) + 0.3 * splits, 1)
    truth = make_truth(np.zeros(500, dtype=int), {"x": values}, splits=splits)
    found = next(each for each in audits._shifts(truth, 0) if each.name == "x")
    expected = stats.ks_2samp(values[:300], values[300:], method="asymp")
    assert found.distance == pytest.approx(expected.statistic, rel=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.15)


def test_the_split_that_is_trained_on_is_known_by_its_name():
    frame = pd.DataFrame({"id": [0, 1], "class": ["a", "a"], "group": [0, 1]})
    for names, first in ((("test", "train"), 1), (("train_a", "train"), 1), (("fit", "test"), 0)):
        truth = Truth.from_frame(frame.assign(split=list(names)), splits=names)
        assert first_split(truth) == first
