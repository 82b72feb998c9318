"""Exact sums against fractions, summaries against numpy, and the same bits in whatever parts the numbers come."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepbench.numerics.exact import UNIT, exact_products, exact_sum, split
from deepbench.numerics.summaries import PROBABILITIES, QUANTILE_ERROR, Sums

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40)


@given(NUMBERS)
def test_a_sum_is_exact(values):
    total = exact_sum(np.array(values, np.float64))
    assert Fraction(total, 1 << UNIT) == sum(map(Fraction, values))


@given(st.lists(st.tuples(*2 * [st.floats(-1e100, 1e100)]), max_size=20))
def test_products_are_exact(pairs):
    one, other = np.array(pairs, np.float64).reshape(-1, 2).T
    one, other = one + 0.0, split(other)[0]
    large = np.abs(one * other) > 1e-250
    one, other = one[large], other[large]
    expected = sum(
        Fraction(x) * Fraction(y) for x, y in zip(one.tolist(), other.tolist(), strict=True)
    )
    assert Fraction(exact_products(one, other), 1 << UNIT) == expected


def all_of(rows):
    return Sums.of_rows(rows, np.arange(len(rows)))


def equal(one, other):
    """Return whether two sums have the same bits."""
    same = one.middles.tobytes() == other.middles.tobytes()
    same = same and one.counts.tobytes() == other.counts.tobytes()
    keys = ("count", "missing", "infinite", "total", "squares", "low", "high")
    return same and [getattr(one, key) for key in keys] == [getattr(other, key) for key in keys]


RNG = np.random.default_rng(5)
ROWS = {
    "noise": RNG.normal(0.3, 2.0, (60, 5000)).astype(np.float32),
    "counts": RNG.poisson(300.0, (60, 1100)).astype(np.uint16),
    "large integers": RNG.integers(-(2**31), 2**31 - 1, (9, 4100), np.int32),
    "few": RNG.normal(size=(7, 33)),
    "float64": RNG.lognormal(0.0, 9.0, (90, 900)),
    "far from zero": (1e4 + RNG.normal(size=(30, 4097))).astype(np.float32),
    "gaps": np.where(RNG.random((40, 3000)) < 0.4, np.nan, RNG.random((40, 3000))),
    "one value": np.full((3, 5000), np.float32(0.1)),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_summary_is_what_numpy_says(name):
    rows = ROWS[name]
    found = all_of(rows).summary()
    numbers = rows[np.isfinite(rows)].astype(np.float64)
    exact = math.fsum(numbers) / numbers.size
    assert (found.count, found.missing, found.infinite) == (
        numbers.size,
        rows.size - numbers.size,
        0,
    )
    assert (found.minimum, found.maximum) == (numbers.min(), numbers.max())
    # a sum of 4096 deviations has an error below 4096 half units in its last place, against the deviations
    std = math.sqrt(math.fsum((numbers - exact) ** 2) / numbers.size)
    assert found.mean == pytest.approx(exact, rel=1e-15, abs=1e-13 * std)
    assert found.std == pytest.approx(std, rel=1e-12, abs=1e-16)
    assert found.rms == pytest.approx(math.sqrt(math.fsum(numbers**2) / numbers.size), rel=1e-12)
    expected = np.quantile(numbers, PROBABILITIES, method="inverted_cdf")
    np.testing.assert_allclose(found.quantiles, expected, rtol=QUANTILE_ERROR, atol=0)


@pytest.mark.parametrize("name", ROWS)
def test_bits_do_not_depend_on_the_parts(name):
    """The parts are small ones, whose bins are found by sorting, and the whole is mostly counted in a table."""
    rows = ROWS[name]
    whole, parts = all_of(rows), Sums()
    for chosen in np.array_split(np.random.default_rng(1).permutation(len(rows)), 5):
        parts.add(Sums.of_rows(rows, chosen))
    assert equal(whole, parts)


def test_numbers_alone_are_summed_without_any_rounding():
    numbers = RNG.lognormal(0.0, 30.0, 1000)
    found = Sums.of_numbers(numbers)
    assert Fraction(found.total, 1 << UNIT) == sum(map(Fraction, numbers.tolist()))
    squares = sum(Fraction(x) ** 2 for x in numbers.tolist())
    assert Fraction(found.squares, 1 << UNIT) == squares
    backwards = Sums.of_numbers(numbers[500:])
    backwards.add(Sums.of_numbers(numbers[:500]))
    assert equal(found, backwards)
    rows = Sums.of_rows(numbers[:, None], np.arange(1000))
    assert equal(found, rows)


def test_small_integers_are_their_own_quantiles():
    numbers = np.arange(4097.0)
    found = Sums.of_numbers(numbers).summary()
    assert found.quantiles == tuple(np.quantile(numbers, PROBABILITIES, method="inverted_cdf"))


def test_what_is_no_number_is_counted_apart():
    rows = np.array([[1.0, np.nan, np.inf, 3.0], [-np.inf, np.nan, np.nan, -0.0]], np.float32)
    found = all_of(rows).summary()
    assert (found.count, found.missing, found.infinite) == (3, 3, 2)
    assert (found.mean, found.minimum, found.maximum) == (4 / 3, 0.0, 3.0)
    assert math.copysign(1, found.minimum) == 1
    alone = Sums.of_numbers(np.float64(rows.ravel())).summary()
    assert alone == found


def test_nothing_has_no_mean():
    found = Sums.of_rows(np.full((4, 3), np.nan), np.arange(2)).summary()
    assert (found.count, found.missing) == (0, 6)
    assert {found.mean, found.std, found.rms, found.minimum, found.maximum, found.quantiles} == {
        None
    }
    assert Sums().summary().count == 0


def test_squares_beyond_float64_are_not_told():
    found = Sums.of_numbers(np.array([1e200, 2e200])).summary()
    assert (found.mean, found.std, found.rms) == (None, None, None)
    assert (found.minimum, found.maximum) == (1e200, 2e200)
