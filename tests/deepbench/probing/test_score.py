"""Scores as a whole: by label, by split, searches, novelty, known noise, and as plain data."""

import json

import numpy as np
import pandas as pd
import pytest

from deepbench.errors import PredictionError
from deepbench.probing.by_label import equal_count_bins, smooth_curve
from deepbench.probing.score import score_truth


@pytest.fixture(scope="module")
def small_circles(make_truth):
    """Return the score of a model that calls small circles rectangles: errors exp(-radius / 4) for a, 5 % for b."""
    rng = np.random.default_rng(1)
    n = 6000
    classes = rng.integers(0, 2, n)
    radius = np.where(classes == 0, rng.uniform(1, 20, n), np.nan)
    labels = {"circle.radius": radius, "psf.sigma": rng.uniform(0.5, 2, n), "one": np.ones(n)}
    labels["k"] = rng.integers(0, 2, n)
    truth = make_truth(classes, labels)
    wrong = rng.random(n) < np.where(
        classes == 0, np.exp(-np.nan_to_num(radius, nan=1.0) / 4), 0.05
    )
    return score_truth(truth, {"id": truth.ids, "class": np.where(wrong, 1 - classes, classes)})


def test_the_error_is_told_by_label(small_circles):
    bins = small_circles.by("circle.radius")
    assert len(bins) == 10
    assert set(bins["n"]) <= set(range(295, 305))
    expected = np.exp(-bins["mean"] / 4)
    assert (abs(bins["value"] - expected) < 0.08).all()
    assert ((bins["low"] < bins["value"]) & (bins["value"] < bins["high"])).all()
    assert len(small_circles.by("psf.sigma")) == 10
    assert small_circles.by("k")[["from", "to"]].to_numpy().tolist() == [[0, 0], [1, 1]]
    recall = small_circles.by("class").set_index("category")["value"]
    assert recall["b"] == pytest.approx(0.05, abs=0.02)
    counts = small_circles.confusion
    assert 1 - recall["a"] == pytest.approx(counts.loc["a", "a"] / counts.loc["a"].sum())


def test_a_label_that_is_constant_is_left_out_and_an_unknown_one_refused(small_circles):
    with pytest.raises(PredictionError, match="unknown label of the score 'one'"):
        small_circles.by("one")
    with pytest.raises(PredictionError, match="'circle.radiu'; did you mean 'circle.radius'"):
        small_circles.curve("circle.radiu")


def test_the_curve_follows_the_error_within_its_bounds(small_circles):
    """Bounds are of the curve at each point; local lines cut the bend at the ends by 0.02."""
    curve = small_circles.curve("circle.radius")
    expected = np.exp(-curve["at"] / 4)
    inside = (curve["low"] - 0.02 < expected) & (expected < curve["high"] + 0.02)
    assert inside.mean() > 0.9
    assert (curve["at"].diff().dropna() > 0).all()
    assert (curve["high"] - curve["low"]).max() < 0.15


def test_the_slice_is_of_small_circles(small_circles):
    first = small_circles.slices["class"][0]
    assert first.conditions[0].label == "circle.radius"
    assert first.conditions[0].low == -np.inf


def test_the_worst_samples_and_the_worst_group(small_circles):
    worst = small_circles.worst(5)
    assert (worst["class"] != worst["predicted"]).all()
    assert worst["id"].is_monotonic_increasing
    note = small_circles.summary.set_index("metric")["note"]["worst_group_accuracy"]
    assert note.startswith("a, k == ")
    accuracy, lowest = small_circles["accuracy"], small_circles["worst_group_accuracy"]
    assert lowest.low < lowest.value < lowest.high
    assert lowest.low < lowest.value < accuracy.low
    with pytest.raises(PredictionError, match="target of the score"):
        small_circles.worst(target="y")
    with pytest.raises(KeyError, match="class.accuracy"):
        small_circles["f1"]
    assert small_circles["class.accuracy"] == accuracy


def test_a_score_is_plain_data(small_circles):
    data = json.loads(json.dumps(small_circles.to_dict(), allow_nan=False))
    assert data["samples"] == 6000
    assert data["metrics"][0]["metric"] == "accuracy"
    assert data["metrics"][0]["value"] == small_circles["accuracy"].value
    assert len(data["bins"]) == len(small_circles.bins)
    assert data["slices"]["class"]["found"][0]["where"] == str(small_circles.slices["class"][0])
    assert repr(small_circles).startswith("<Score of 6,000 samples")


def test_equal_seeds_give_equal_scores(make_truth):
    rng = np.random.default_rng(2)
    truth = make_truth(rng.integers(0, 2, 300), {"y": rng.normal(size=300)})
    given = {"id": truth.ids, "y": rng.normal(size=300), "class": rng.integers(0, 2, 300)}
    given["y.samples"] = rng.normal(size=(300, 20))
    first, second = (score_truth(truth, given).to_dict() for _ in range(2))
    assert first == second
    shuffled = rng.permutation(300)
    other = score_truth(truth, {name: values[shuffled] for name, values in given.items()})
    assert other.to_dict() == first


def test_labels_that_some_classes_lack_are_scored_where_they_are(make_truth):
    rng = np.random.default_rng(3)
    classes = rng.integers(0, 2, 400)
    radius = np.where(classes == 0, rng.uniform(1, 20, 400), np.nan)
    truth = make_truth(classes, {"circle.radius": radius, "x": rng.normal(size=400)})
    found = score_truth(truth, {"id": truth.ids, "circle.radius": radius + 1})
    assert found["bias"].value == pytest.approx(1)
    assert found["bias"].n == np.sum(classes == 0)
    assert found.confusion is None
    assert set(found.by("class")["category"]) == {"a"}
    worst = found.worst(2)
    assert worst.columns.tolist() == ["id", "class", "truth", "predicted", "loss"]


def test_groups_make_intervals_wider(make_truth):
    rng = np.random.default_rng(4)
    wrong = np.repeat(rng.random(100) < 0.2, 10)
    classes = rng.integers(0, 2, 1000)
    widths = []
    for groups in (np.arange(1000), np.arange(1000) // 10):
        truth = make_truth(classes, {"x": rng.normal(size=1000)}, groups=groups)
        found = score_truth(
            truth, {"id": truth.ids, "class": np.where(wrong, 1 - classes, classes)}
        )
        widths.append(found["accuracy"].high - found["accuracy"].low)
    assert widths[1] == pytest.approx(np.sqrt(10) * widths[0], rel=0.1)


@pytest.fixture(scope="module")
def search(make_truth):
    """Return truth and scores of a search for the rare class b; faint ones are not found."""
    rng = np.random.default_rng(5)
    classes = (rng.random(3000) < 0.1).astype(int)
    flux = rng.uniform(0, 5, 3000)
    truth = make_truth(classes, {"flux": flux, "x": rng.normal(size=3000)})
    return truth, rng.normal(size=3000) + 2 * classes * flux


def test_a_search_has_rates_and_a_map_of_completeness(search):
    truth, scores = search
    found = score_truth(truth, {"id": truth.ids, "score": scores}, positive="b")
    assert 0.5 < found["tpr0"].value <= found["tpr10"].value < 1
    assert found["auroc"].value > 0.9
    bins = found.by("flux", "score")
    assert bins["value"].iloc[0] < 0.2
    assert bins["value"].iloc[-1] == 1
    cells = found.details["score"]["completeness"]
    assert {(cell["x"], cell["y"]) for cell in cells} == {("flux", "x")}
    assert sum(cell["n"] for cell in cells) == np.sum(truth.codes == 1)


def test_a_search_says_what_it_needs(search):
    truth, scores = search
    with pytest.raises(PredictionError, match="name that class with --positive"):
        score_truth(truth, {"id": truth.ids, "score": scores})
    with pytest.raises(PredictionError, match="unknown class .* 'c'"):
        score_truth(truth, {"id": truth.ids, "score": scores}, positive="c")
    with pytest.raises(PredictionError, match="needs `score` or probabilities"):
        score_truth(truth, {"id": truth.ids, "class": truth.codes}, positive="b")


def test_probabilities_serve_a_search_as_scores_do(search):
    truth, scores = search
    chance = 1 / (1 + np.exp(-scores))
    given = {"id": truth.ids, "class.a": 1 - chance, "class.b": chance}
    found = score_truth(truth, given, positive="b")
    same = score_truth(truth, {"id": truth.ids, "score": scores}, positive="b")
    assert found["score.auroc"].value == pytest.approx(same["auroc"].value, abs=1e-6)


def test_novelty_tells_splits_apart(make_truth):
    rng = np.random.default_rng(6)
    splits = np.repeat([1, 2], 500)
    truth = make_truth(rng.integers(0, 2, 1000), splits=splits)
    novelty = rng.normal(size=1000) + (splits == 2)
    given = {"id": truth.ids, "novelty": novelty}
    found = score_truth(truth, given, split=["test", "other"])
    assert found["auroc.other"].low < 0.76 < found["auroc.other"].high
    assert found.splits == ("test", "other")
    certain = np.where(splits == 2, 0.6, 0.9)
    given = {"id": truth.ids, "class.a": certain, "class.b": 1 - certain}
    found = score_truth(truth, given, split=["test", "other"])
    assert found["auroc.other"].value == 1
    assert set(found.by("split")["category"]) == {"test", "other"}


def test_a_predicted_sigma_is_scored_against_the_noise_that_the_release_knows(make_truth):
    """Labels y = 2 x + noise of a known σ; a model that knows it has the ratio 1, one that doubles it 2."""
    rng = np.random.default_rng(7)
    n = 2000
    x, sigma = rng.normal(size=n), rng.uniform(0.2, 1, n)
    truth = make_truth(
        np.zeros(n, dtype=int), {"y": 2 * x + sigma * rng.normal(size=n), "s": sigma}
    )
    noisy = sigma * np.exp(0.1 * rng.normal(size=n))
    given = {"id": truth.ids, "y": 2 * x, "y.sigma": noisy}
    found = score_truth(truth, given, noise={"y": "s"})
    assert found["sigma_ratio"].low < 1 < found["sigma_ratio"].high
    assert found["sigma_log_rms"].value == pytest.approx(0.1, rel=0.1)
    assert found["coverage_90.sigma"].value == pytest.approx(0.9, abs=0.03)
    twice = score_truth(truth, given | {"y.sigma": 2 * noisy}, noise={"y": "s"})
    assert twice["sigma_ratio"].value == pytest.approx(2 * found["sigma_ratio"].value)
    bounds = pd.Series(sigma, index=truth.ids)
    same = score_truth(truth, given, noise={"y": bounds[::-1]})
    assert same["sigma_ratio"].value == found["sigma_ratio"].value
    with pytest.raises(PredictionError, match="'the given σ' is nan for sample 7"):
        score_truth(truth, given, noise={"y": bounds.drop(7)})
    with pytest.raises(PredictionError, match="unknown label"):
        score_truth(truth, given, noise={"y": "t"})
    with pytest.raises(PredictionError, match="'y' is -.*a true σ is above 0"):
        score_truth(truth, given, noise={"y": "y"})
    with pytest.raises(PredictionError, match="predicted σ"):
        score_truth(truth, {"id": truth.ids, "y": x}, noise={"y": "s"})


def test_quantiles_and_draws_have_scores_of_their_own(make_truth):
    rng = np.random.default_rng(8)
    mean = rng.normal(size=(1000, 1))
    truth = make_truth(np.zeros(1000, dtype=int), {"y": mean[:, 0] + rng.normal(size=1000)})
    from scipy import stats

    levels = [5, 25, 50, 75, 95]
    given = {f"y.q{level:02d}": mean[:, 0] + stats.norm.ppf(level / 100) for level in levels}
    given |= {"id": truth.ids, "y.samples": mean + rng.normal(size=(1000, 99))}
    found = score_truth(truth, given)
    assert found["coverage_90.quantiles"].low < 0.9 < found["coverage_90.quantiles"].high
    assert found["coverage_50.draws"].low < 0.5 < found["coverage_50.draws"].high
    # Half the mean distance of two draws, 1 / sqrt(pi), is the score of a normal posterior.
    assert found["crps.draws"].value == pytest.approx(1 / np.sqrt(np.pi), rel=0.1)
    assert found.details["y"]["ranks"]["p_value"] > 0.001
    assert len(found.details["draws"]["tarp"]) == 21
    assert sum(found.details["y"]["pit"]["draws"]) == 1000


@pytest.mark.parametrize(
    ("split", "message"), [("tset", "did you mean 'test'"), ("", "there is no split")]
)
def test_unknown_splits_and_labels_are_refused(split, message, make_truth):
    truth = make_truth([0, 1], {"x": [1.0, 2.0]})
    with pytest.raises(PredictionError, match=message):
        score_truth(truth, {"id": [0, 1], "class": [0, 1]}, split=split)
    with pytest.raises(PredictionError, match="unknown label"):
        score_truth(truth, {"id": [0, 1], "class": [0, 1]}, by=["y"])


def test_bins_of_a_label():
    values = np.array([3.0, 1, np.nan, 2, 1, 1])
    bins = equal_count_bins("a", values, 10)
    assert bins.codes.tolist() == [2, 0, -1, 1, 0, 0]
    assert bins.exact
    assert equal_count_bins("a", np.array([1.0, np.nan])) is None
    many = np.concatenate([np.zeros(500), np.arange(1, 501)])
    bins = equal_count_bins("a", many, 10)
    assert not bins.exact
    assert (bins.lows[0], bins.highs[0]) == (0, 0) or bins.lows[0] == 0
    assert np.bincount(bins.codes).sum() == 1000
    assert (bins.lows[1:] > bins.highs[:-1]).all()


def test_a_curve_of_a_line_is_the_line():
    rng = np.random.default_rng(9)
    values = rng.exponential(size=3000)
    cells = equal_count_bins("a", values, 256)
    curve = smooth_curve(cells, values, 2 * values + 1)
    np.testing.assert_allclose(curve["value"], 2 * curve["at"] + 1, rtol=1e-9)


def test_a_worst_group_that_there_is_not_has_a_reason(make_truth):
    found = score_truth(
        make_truth([0, 1] * 4), {"id": np.arange(8), "class": np.array(["a", "b"] * 4)}
    )
    notes = found.summary.set_index("metric")["note"]
    assert np.isnan(found["worst_group_accuracy"].value)
    assert notes["worst_group_accuracy"] == "no class or group has 10 samples"
