"""Intervals hold what they say, and there is none where nothing can be said."""

import numpy as np
import pytest
from scipy import stats

from deepbench.probing import intervals
from deepbench.probing.intervals import (
    Estimate,
    Groups,
    Resampler,
    effective_size,
    linearised,
    mean,
    means_of_bins,
    proportion,
    wilson,
)
from deepbench.probing.regression import ratio, root_mean


def test_wilson_is_scipys_for_many_groups():
    """With as many groups as samples Student's t is the normal distribution."""
    expected = stats.binomtest(37, 400).proportion_ci(method="wilson")
    low, high = wilson(37 / 400, 400, 10**9)
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-6)


@pytest.mark.parametrize("likeness", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("size", [2, 10])
def test_intervals_hold_over_groups(likeness, size):
    """300 trials for each of 19 values of p: 95 +- 1 % in the mean, whose error is 0.3 %, never below 90 %."""
    rng = np.random.default_rng(1)
    trials, count = 300, 100
    held = []
    for p in np.linspace(0.05, 0.95, 19):
        share = np.full((trials, count), p)
        if likeness == 1:
            share = (rng.random((trials, count)) < p).astype(float)
        elif likeness:
            share = rng.beta(p * (1 / likeness - 1), (1 - p) * (1 / likeness - 1), (trials, count))
        hits = rng.random((trials, count, size)) < share[..., None]
        trial, group, _ = np.indices(hits.shape)
        found = means_of_bins(
            hits.ravel(), trial.ravel(), trials, Groups((trial * count + group).ravel()), hits=True
        )
        held.append(np.mean((found["low"] <= p) & (p <= found["high"])))
    # Groups whose samples are as different as chance makes them have intervals a little too wide.
    assert 0.94 - 0.006 < np.mean(held) < 0.96 + 0.006
    assert min(held) > 0.90


def test_a_proportion_is_that_of_one_bin_and_near_zero_and_one_stays_inside():
    rng = np.random.default_rng(2)
    groups = Groups(np.repeat(np.arange(40), 5))
    for share in (0.0, 0.02, 0.5, 1.0):
        hits = rng.random(200) < share
        own = proportion(hits, groups)
        found = means_of_bins(hits, np.zeros(200, dtype=int), 1, groups, hits=True)
        assert own.value == pytest.approx(found["value"][0])
        assert (own.low, own.high) == pytest.approx((found["low"][0], found["high"][0]))
        assert 0 <= own.low <= own.value <= own.high <= 1
        assert own.high - own.low > 0


def test_samples_that_are_alike_count_once():
    """40 groups of 25 equal samples say as much as 40 samples, but for the correction of 40 / 39."""
    hits = np.arange(40) % 4 == 0
    alone = proportion(hits, Groups(np.arange(40)))
    together = proportion(np.repeat(hits, 25), Groups(np.repeat(np.arange(40), 25)))
    assert together.n == 1000
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))


def test_where_no_miss_was_seen_groups_count():
    assert effective_size(1.0, 100, 1000.0, 0.0) == 10
    assert effective_size(0.5, 100, 1000.0, 1e9) == 10
    assert effective_size(0.5, 100, 1000.0, 1.0) == 100


def test_there_is_no_interval_below_ten_groups():
    values, codes = np.arange(90.0), np.repeat(np.arange(9), 10)
    groups = Groups(codes)
    draws = Resampler(groups)
    for found in (
        proportion(values > 20, groups),
        mean(values, groups),
        draws.estimate(ratio, draws.sums([values, np.ones(90)])),
        linearised(0.0, values, groups),
    ):
        assert np.isnan(found.low)
        assert np.isnan(found.high)
        assert found.groups == 9
    assert found.to_dict() == {"value": 0.0, "low": None, "high": None, "n": 90, "groups": 9}
    assert proportion(np.zeros(0), Groups(np.zeros(0, dtype=int))).n == 0


@pytest.mark.parametrize("count", [30, 3000])
def test_the_bootstrap_agrees_with_students_t(count):
    """For a mean over groups of two, put together where they are many; ends differ by 15 % of the width at most."""
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(count), 2)
    values = rng.normal(size=count)[codes] + 0.5 * rng.normal(size=2 * count)
    groups = Groups(codes)
    draws = Resampler(groups)
    found = draws.estimate(ratio, draws.sums([values, np.ones(len(values))]))
    expected = mean(values, groups)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.15 * width)
    assert found.high == pytest.approx(expected.high, abs=0.15 * width)


def test_intervals_of_other_statistics_hold():
    """A root-mean-square of 60 groups of 3, 300 trials: 95 % within 3 standard errors of 1.3 % below."""
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(60), 3)
    held = 0
    draws = Resampler(Groups(codes))
    for _ in range(300):
        values = np.sqrt(0.5) * (rng.normal(size=60)[codes] + rng.normal(size=180))
        found = draws.estimate(root_mean, draws.sums([values**2, np.ones(180)]))
        held += found.low <= 1 <= found.high
    assert held / 300 > 0.95 - 3 * 0.013


def test_equal_seeds_give_equal_intervals_and_other_seeds_nearly_so():
    values = np.random.default_rng(5).normal(size=200)
    found = []
    for seed in (0, 0, 1):
        draws = Resampler(Groups(np.arange(200)), seed)
        found.append(draws.estimate(ratio, draws.sums([values, np.ones(200)])))
    assert found[0] == found[1]
    assert found[0].low != found[2].low
    assert found[0].low == pytest.approx(found[2].low, abs=0.02)


def test_bins_have_the_means_and_intervals_of_their_samples():
    rng = np.random.default_rng(6)
    values, bins = rng.normal(size=600), rng.integers(0, 3, 600)
    for numbers in (np.arange(600), np.arange(600) // 4):
        found = means_of_bins(values, bins, 3, Groups(numbers), hits=False)
        for k in range(3):
            own = mean(values[bins == k], Groups(numbers).take(bins == k))
            ends = Estimate(*(found[key][k] for key in ("value", "low", "high", "n", "groups")))
            assert (ends.value, ends.low, ends.high) == pytest.approx(
                (own.value, own.low, own.high)
            )
            assert (ends.n, ends.groups) == (own.n, own.groups)


def test_the_design_effect_is_one_for_samples_alone_and_the_size_for_equal_ones():
    values = np.random.default_rng(7).normal(size=500)
    assert intervals.design_effect(values, Groups(np.arange(500))) == 1
    groups = Groups(np.repeat(np.arange(500), 4))
    assert intervals.design_effect(np.repeat(values, 4), groups) == pytest.approx(4, rel=0.01)
