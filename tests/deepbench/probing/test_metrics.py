"""Metrics equal those of scikit-learn, torchmetrics and scoringrules; what these lack has a law or another formula."""

import numpy as np
import pytest
from scipy import integrate, stats

from deepbench.probing import classification, posterior, regression, searches
from deepbench.probing.by_label import equal_count_bins
from deepbench.probing.intervals import Groups, Resampler
from deepbench.probing.score import score_truth

EXACT = {"rel": 1e-12, "abs": 1e-12}
SINGLE = {"rel": 1e-6, "abs": 1e-6}
"""Where the peer computes in float32."""


@pytest.fixture(scope="module")
def classified():
    """Return classes and probabilities of 3,000 samples of three classes, one of them rare."""
    rng = np.random.default_rng(1)
    truth = rng.choice(3, 3000, p=[0.6, 0.35, 0.05])
    logits = rng.normal(size=(3000, 3)) + 1.5 * np.eye(3)[truth]
    given = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return truth, given


@pytest.fixture(scope="module")
def valued():
    """Return truths, means, standard deviations and draws of 500 samples."""
    rng = np.random.default_rng(2)
    mean, sigma = rng.normal(size=500), rng.uniform(0.2, 2, 500)
    truth = mean + sigma * rng.normal(size=500)
    return truth, mean, sigma, mean[:, None] + sigma[:, None] * rng.normal(size=(500, 40))


@pytest.fixture(scope="module")
def scored(make_truth, classified):
    truth, given = classified
    known = make_truth(classes=truth)
    return score_truth(known, {"id": known.ids, "class.probabilities": given})


@pytest.fixture(scope="module")
def regressed(make_truth, valued):
    truth, mean, sigma, _ = valued
    known = make_truth(classes=np.zeros(500, dtype=int), labels={"y": truth})
    return score_truth(known, {"id": known.ids, "y": mean, "y.sigma": sigma})


def test_classes_equal_scikit_learn(classified, scored):
    metrics = pytest.importorskip("sklearn.metrics")
    truth, given = classified
    called = given.argmax(axis=1)
    assert scored["accuracy"].value == pytest.approx(metrics.accuracy_score(truth, called), **EXACT)
    balanced = metrics.balanced_accuracy_score(truth, called)
    assert scored["balanced_accuracy"].value == pytest.approx(balanced, **EXACT)
    assert scored["log_loss"].value == pytest.approx(metrics.log_loss(truth, given), **EXACT)
    brier = metrics.brier_score_loss(truth, given, scale_by_half=False)
    assert scored["brier"].value == pytest.approx(brier, **EXACT)
    expected = metrics.confusion_matrix(truth, called)
    np.testing.assert_array_equal(scored.confusion.to_numpy(), expected)


def test_a_certain_mistake_costs_as_much_as_in_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    truth, given = np.array([0, 1]), np.array([[0.0, 1.0], [0.25, 0.75]])
    expected = metrics.log_loss(truth, given)
    assert classification.log_losses(truth, given).mean() == pytest.approx(expected, **EXACT)


def test_calibration_equals_torchmetrics(classified, scored):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    truth, given = classified
    expected = functional.multiclass_calibration_error(
        torch.tensor(given), torch.tensor(truth), num_classes=3, n_bins=15, norm="l1"
    )
    assert scored["calibration_error"].value == pytest.approx(float(expected), **SINGLE)


def test_areas_under_curves_equal_scikit_learn_with_ties():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    positive = rng.random(2000) < 0.3
    scores = np.round(rng.normal(size=2000) + positive, 1)
    found = classification.auroc(scores, positive, Groups(np.arange(2000)))
    assert found.value == pytest.approx(metrics.roc_auc_score(positive, scores), **EXACT)


def test_the_interval_of_the_area_is_that_of_other_samples():
    """DeLong's standard error against the spread over 400 sets of samples, whose own error is 4 %."""
    rng = np.random.default_rng(4)
    values, widths = [], []
    for _ in range(400):
        positive = np.arange(300) < 100
        found = classification.auroc(
            rng.normal(size=300) + positive, positive, Groups(np.arange(300))
        )
        values.append(found.value)
        widths.append((found.high - found.low) / 2 / 1.96)
    assert np.mean(widths) == pytest.approx(np.std(values), rel=0.12)


def test_debiased_calibration_is_zero_for_a_calibrated_model_and_true_for_another():
    """Squares of the error over 40 sets: mean 0 for a calibrated model, unlike the plain error; 0.1 is found."""
    rng = np.random.default_rng(5)
    plain, debiased, biased = [], [], []
    draws = Resampler(Groups(np.arange(600)))
    for _ in range(40):
        confidence = rng.uniform(0.6, 0.9, 600)
        hits = (rng.random(600) < confidence).astype(float)
        plain.append(classification.calibration_error(confidence, hits))
        debiased.append(classification.debiased_error([(confidence, hits)], draws).value ** 2)
        hits = (rng.random(600) < confidence - 0.1).astype(float)
        biased.append(classification.debiased_error([(confidence, hits)], draws).value ** 2)
    assert np.mean(plain) > 0.025
    assert np.mean(debiased) < 0.0012
    assert np.mean(biased) == pytest.approx(0.01, abs=0.0015)


def test_values_equal_scikit_learn(valued, regressed):
    metrics = pytest.importorskip("sklearn.metrics")
    truth, mean, *_ = valued
    expected = {
        "mae": metrics.mean_absolute_error(truth, mean),
        "rmse": metrics.root_mean_squared_error(truth, mean),
        "r2": metrics.r2_score(truth, mean),
        "bias": np.mean(mean - truth),
    }
    for name, value in expected.items():
        assert regressed[name].value == pytest.approx(value, **EXACT)


@pytest.mark.slow
def test_scores_of_distributions_equal_scoringrules(valued, regressed):
    rules = pytest.importorskip("scoringrules")
    truth, mean, sigma, draws = valued
    each = regression.gaussian_crps(truth, mean, sigma)
    np.testing.assert_allclose(each, rules.crps_normal(truth, mean, sigma), rtol=1e-12, atol=1e-12)
    assert regressed["crps"].value == pytest.approx(each.mean(), **EXACT)
    logs = rules.logs_normal(truth, mean, sigma)
    np.testing.assert_allclose(regression.gaussian_log_loss(truth, mean, sigma), logs, rtol=1e-12)
    fair = rules.crps_ensemble(truth, draws, estimator="fair", backend="numpy")
    np.testing.assert_allclose(regression.ensemble_crps(truth, draws), fair, rtol=1e-12, atol=1e-12)
    levels = np.array([0.05, 0.25, 0.5, 0.9])
    table = stats.norm.ppf(levels, mean[:, None], sigma[:, None])
    expected = rules.crps_quantile(truth, table, levels, backend="numpy")
    np.testing.assert_allclose(regression.quantile_crps(truth, levels, table), expected, rtol=1e-12)


def test_the_score_of_a_normal_distribution_is_its_integral():
    def integrand(x):
        return (stats.norm.cdf(x, 1, 2) - (x > 2.3)) ** 2

    parts = [integrate.quad(integrand, *ends)[0] for ends in ((-30, 2.3), (2.3, 40))]
    found = regression.gaussian_crps(np.array([2.3]), np.array([1.0]), np.array([2.0]))
    assert found[0] == pytest.approx(sum(parts), rel=1e-9)


def test_transforms_of_what_is_true_are_uniform():
    """σ, quantiles with equal ones among them, and draws with ties: Kolmogorov and Smirnov at 1 in 1,000."""
    rng = np.random.default_rng(6)
    truth = np.round(rng.normal(size=4000), 1)  # ties
    smooth = rng.normal(size=4000)
    levels = np.linspace(0.05, 0.95, 19)
    table = np.tile(stats.norm.ppf(levels), (4000, 1))
    discrete = rng.integers(0, 3, 4000).astype(float)
    steps = np.tile(np.floor(3 * levels), (4000, 1))  # quantiles of 0, 1 and 2, equally likely
    for pit in (
        regression.gaussian_pit(smooth, np.zeros(4000), np.ones(4000)),
        regression.quantile_pit(smooth, levels, table, rng),
        regression.ensemble_pit(truth, np.round(rng.normal(size=(4000, 30)), 1), rng),
    ):
        assert stats.kstest(pit, "uniform").pvalue > 0.001
    assert np.mean(regression.quantile_pit(discrete, levels, steps, rng)) == pytest.approx(
        0.5, abs=0.03
    )


def test_coverage_and_pulls_say_that_a_sigma_is_too_small(make_truth):
    rng = np.random.default_rng(7)
    truth = rng.normal(size=4000)
    known = make_truth(classes=np.zeros(4000, dtype=int), labels={"y": truth})
    noisy = truth + rng.normal(size=4000)
    found = score_truth(known, {"id": known.ids, "y": noisy, "y.sigma": np.full(4000, 0.5)})
    assert found["pull_spread"].low < 2 < found["pull_spread"].high
    coverage = found.details["y"]["coverage"]["sigma"]
    assert len(coverage) == 17
    assert coverage[0]["level"] == pytest.approx(0.1)
    for each in coverage:
        expected = 2 * stats.norm.cdf(0.5 * stats.norm.ppf((1 + each["level"]) / 2)) - 1
        assert each["value"] == pytest.approx(expected, abs=0.025)


def test_ranks_of_exact_posteriors_are_uniform_and_of_narrow_ones_not(make_truth):
    rng = np.random.default_rng(8)
    mean = rng.normal(size=2000)
    truth = mean + rng.normal(size=2000)
    groups = Groups(np.arange(2000))
    draws = rng.normal(size=(2000, 99))
    histograms = [
        posterior.rank_histogram(
            posterior.ranks(truth, mean[:, None] + width * draws, rng), 99, groups
        )
        for width in (1.0, 0.5)
    ]
    assert histograms[0].p_value > 0.01
    assert histograms[0].spread == pytest.approx(1, abs=0.1)
    assert histograms[1].p_value < 1e-9
    assert histograms[1].spread > 1.5
    assert sum(histograms[0].counts) == 2000
    assert sum(histograms[0].expected) == pytest.approx(2000)


def test_tarp_holds_for_exact_posteriors_of_two_labels_and_not_for_narrow_ones():
    """The middle half of exact posteriors holds half of the truths; narrow ones do not."""
    rng = np.random.default_rng(9)
    mean = rng.normal(size=(3000, 1, 2))
    truth = (mean + rng.normal(size=mean.shape))[:, 0]
    draws = rng.normal(size=(3000, 100, 2))
    exact = posterior.tarp(truth, mean + draws, rng)
    assert stats.kstest(exact, "uniform").pvalue > 0.001
    narrow = posterior.tarp(truth, mean + 0.3 * draws, rng)
    assert stats.kstest(narrow, "uniform").pvalue < 1e-6
    assert posterior.coverage(exact, Groups(np.arange(3000)))[10]["value"] == pytest.approx(
        0.5, abs=0.03
    )


def test_a_search_is_scored_before_its_false_alarms():
    """Scores by hand: with none false two of four are found, with nine all four."""
    scores = np.array([9, 8, 6, 5, 7, *range(-20, 0)], dtype=float)
    positive = np.arange(25) < 4
    groups = Groups(np.arange(25))
    for alarms, expected in ((0, 0.5), (1, 1.0), (9, 1.0)):
        assert searches.true_positive_rate(scores, positive, groups, alarms).value == expected
    x = equal_count_bins("a", np.array([0.0, 0, 1, 1]))
    y = equal_count_bins("b", np.array([0.0, 1, 0, np.nan]))
    found = searches.completeness(scores[:4] > 7, groups.take(positive), x, y)
    rows = found[["x_low", "y_low", "value", "n"]].to_numpy().tolist()
    assert rows == [[0, 0, 1, 1], [0, 1, 1, 1], [1, 0, 0, 1]]


def test_a_perfect_search_of_few_has_no_threshold_below_which_it_stops():
    positive = np.array([True, False])
    assert searches.threshold(np.array([1.0, 2.0]), positive, 1) == -np.inf
