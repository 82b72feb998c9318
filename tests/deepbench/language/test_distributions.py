from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from deepbench.errors import LabelError
from deepbench.language import scipy_stats
from deepbench.language.distribution import pick
from deepbench.language.values import DISTRIBUTIONS, Value

VALUE = TypeAdapter(Value)
TAIL = 2.0 ** -np.arange(54, 3, -1.0)
U = np.concatenate([TAIL, np.linspace(0.07, 0.93, 87), 1 - TAIL[::-1][:-1]])
EVEN = (np.arange(200_000) + 0.5) / 200_000


def read(**written):
    return VALUE.validate_python(written)


# --- reference: scipy.stats ----------------------------------------------------------------------

REFERENCE = [
    ({"uniform": [16, 48]}, stats.uniform(16, 32)),
    ({"uniform": [-1e-3, 1e3]}, stats.uniform(-1e-3, 1e3 + 1e-3)),
    ({"log_uniform": [1e-3, 1e4]}, stats.loguniform(1e-3, 1e4)),
    ({"power_law": [1, 0.3, 20]}, stats.loguniform(0.3, 20)),
    ({"power_law": [0, 1, 3]}, stats.uniform(1, 2)),
    ({"power_law": [2.5, 1, 9]}, stats.truncpareto(1.5, 9)),
    ({"normal": [3, 0.5]}, stats.norm(3, 0.5)),
    ({"normal": [-1e5, 1e3]}, stats.norm(-1e5, 1e3)),
    ({"log_normal": [20, 0.7]}, stats.lognorm(0.7, scale=20)),
    ({"truncated_normal": [2, 0.5, 1, 4]}, stats.truncnorm(-2, 4, 2, 0.5)),
    ({"truncated_normal": [0, 1, 3]}, stats.truncnorm(3, np.inf)),
    ({"truncated_normal": [0, 1, 8, 9]}, stats.truncnorm(8, 9)),
    ({"truncated_normal": [0, 1, -30, -20]}, stats.truncnorm(-30, -20)),
    ({"truncated_normal": {"mean": 5, "sigma": 2, "high": 5}}, stats.truncnorm(-np.inf, 0, 5, 2)),
    (
        {"histogram": [[0, 1, 3, 7], [1, 3, 0.5]]},
        stats.rv_histogram(([1, 3, 0.5], [0, 1, 3, 7]), density=False),
    ),
    ({"integers": [1, 6]}, stats.randint(1, 7)),
    ({"integers": [-5, 5]}, stats.randint(-5, 6)),
    (
        {"choice": {"values": [1, 2, 5], "weights": [2, 5, 1]}},
        stats.rv_discrete(values=([1, 2, 5], [0.25, 0.625, 0.125])),
    ),
    ({"scipy": {"name": "gamma", "arguments": {"a": 2, "scale": 3}}}, stats.gamma(2, scale=3)),
    ({"scipy": {"name": "poisson", "arguments": {"mu": 4}}}, stats.poisson(4)),
    ({"scipy": {"name": "norm", "low": -1, "high": 2}}, stats.truncnorm(-1, 2)),
]


@pytest.mark.parametrize(("written", "law"), REFERENCE, ids=[str(w) for w, _ in REFERENCE])
def test_quantiles_are_those_of_scipy(written, law):
    expected = law.ppf(U)
    # 1e-12: the condition of log and of the tails. The second term is the rounding of sums near
    # zero; a cut law of scipy is cut through its cdf, which near 1 is rounded to 1e-16.
    rounding = 1e-15 * np.max(np.abs(law.ppf([0.1, 0.9])))
    if "low" in written.get("scipy", {}):
        rounding = 1e-16 / law.pdf(expected)
    difference = np.abs(VALUE.validate_python(written).quantile(U) - expected)
    assert np.all(difference <= 1e-12 * np.abs(expected) + rounding)


@pytest.mark.parametrize(("written", "law"), REFERENCE, ids=[str(w) for w, _ in REFERENCE])
def test_moments(written, law):
    drawn = VALUE.validate_python(written).quantile(EVEN)
    # Midpoints of 200,000 strata: the rest lies in the outermost strata.
    assert np.mean(drawn) == pytest.approx(law.mean(), abs=1e-4 * law.std())
    assert np.var(drawn) == pytest.approx(law.var(), rel=1e-3)


def test_grid():
    np.testing.assert_array_equal(
        read(grid=[0, 1, 11]).quantile((np.arange(11) + 0.5) / 11), np.arange(11) / 10
    )
    log = read(grid=[1, 1000, 4, "log"])
    np.testing.assert_allclose(log.quantile(np.arange(4) / 4 + 0.1), [1, 10, 100, 1000], rtol=1e-14)
    counts = np.unique(read(grid=[0.1, 0.7, 7]).quantile(EVEN), return_counts=True)[1]
    assert len(counts) == 7
    assert np.ptp(counts) <= 1
    assert log.support() == (1, 1000)
    assert set(log.quantile(np.array([0, 1.0]))) == {1.0, 1000.0}


def test_grid_without_its_end():
    turns = read(grid={"low": 0, "high": 360, "count": 40, "endpoint": False})
    np.testing.assert_array_equal(turns.values_listed(), np.arange(0, 360, 9))
    assert turns.support() == (0, 351)
    assert turns.integer
    log = read(grid=[1, 1000, 3, "log", False])
    np.testing.assert_allclose(log.values_listed(), [1, 10, 100], rtol=1e-14)
    assert not log.integer
    fine = read(grid={"low": 0.1, "high": 0.7, "count": 7, "endpoint": False})
    assert max(fine.values_listed()) == fine.support()[1] < 0.7
    assert read(grid=[0, 1, 3, "linear", True]) == read(grid=[0, 1, 3])


def test_integers_are_equally_frequent():
    values, counts = np.unique(read(integers=[-2, 4]).quantile(EVEN), return_counts=True)
    np.testing.assert_array_equal(values, np.arange(-2, 5))
    assert np.ptp(counts) <= 1


def test_choice_follows_the_weights_and_never_takes_a_weight_of_zero():
    value = read(choice={"values": [7, 8, 9, 10], "weights": [0, 1, 3, 0]})
    values, counts = np.unique(value.quantile(EVEN), return_counts=True)
    np.testing.assert_array_equal(values, [8, 9])
    np.testing.assert_array_equal(counts, [50_000, 150_000])
    assert value.support() == (8, 9)
    assert set(value.quantile(np.array([0.0, 1.0]))) == {8.0, 9.0}
    tiny = read(choice={"values": [1, 2, 3], "weights": [1e-300, 1, 0]})
    assert tiny.quantile(np.array([1.0])) == 2


def test_histogram_density_follows_the_weights():
    edges, weights = [0, 1, 1.5, 4, 9], [1, 4, 0, 5]
    value = read(histogram={"edges": edges, "weights": weights})
    counts, _ = np.histogram(value.quantile(EVEN), edges)
    np.testing.assert_array_equal(counts, 20_000 * np.array(weights))
    halves, _ = np.histogram(value.quantile(EVEN), [4, 6.5, 9])
    np.testing.assert_array_equal(halves, [50_000, 50_000])
    cut = read(histogram=[[0, 1, 2, 3], [0, 1, 0]])
    assert cut.support() == (1, 2)


def test_pick_gives_entry_and_how_far_into_it():
    entry, inside = pick(np.array([0.125, 0.25, 0.625, 0.75]), (1.0, 0.0, 3.0))
    np.testing.assert_array_equal(entry, [0, 2, 2, 2])
    np.testing.assert_allclose(inside, [0.5, 0, 0.5, 2 / 3], atol=1e-16)


# --- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "law"), REFERENCE, ids=[str(w) for w, _ in REFERENCE])
def test_draws_are_finite_ordered_and_inside(written, law):
    value = VALUE.validate_python(written)
    low, high = value.support()
    u = np.concatenate([[0.0, 5e-324], U, [1 - 2.0**-53, 1.0]])
    drawn = value.quantile(u)
    assert drawn.dtype == np.float64
    assert np.all(np.isfinite(drawn))
    assert np.all(np.diff(drawn) >= 0)
    if value.continuous:
        assert np.all((drawn > low) & (drawn < high))
    else:
        assert np.all((drawn >= low) & (drawn <= high))
    if value.integer:
        np.testing.assert_array_equal(drawn, np.round(drawn))
    assert value.quantile(u.reshape(-1, 1)).shape == (len(u), 1)


def test_the_whole_range_of_uniforms_never_reaches_an_open_end():
    # low + u (high - low) rounds to high for the largest u; the clip takes it back inside.
    value = read(uniform=[100, 180])
    assert 100 + (1 - 2.0**-53) * 80 == 180
    assert value.quantile(np.array([1 - 2.0**-53])) == np.nextafter(180, 0)
    assert read(uniform=[5, 6]).quantile(np.array([2.0**-54])) == np.nextafter(5, 6)


def test_overflow_is_clipped_to_finite_numbers():
    assert np.isfinite(read(normal=[1e308, 1e308]).quantile(np.array([0.0, 1.0]))).all()
    assert np.isfinite(read(log_normal=[1e300, 100]).quantile(np.array([0.0, 1.0]))).all()
    assert read(log_normal=[1e-300, 100]).quantile(np.array([0.0])) > 0


@settings(deadline=None)
@given(
    st.floats(-100, 100),
    st.floats(0.01, 10),
    st.floats(-20, 20),
    st.floats(0.001, 40),
    st.floats(0, 1),
)
def test_truncated_normal_stays_inside_and_matches_its_cdf(mean, sigma, start, width, u):
    low, high = mean + start * sigma, mean + (start + width) * sigma
    try:
        value = read(truncated_normal=[mean, sigma, low, high])
    except ValidationError:
        return
    x = value.quantile(np.array([u]))
    assert low < x < high
    a, b = (low - mean) / sigma, (high - mean) / sigma
    if 0.001 < u < 0.999:
        # 1e-9: the rounding of low and high, magnified by the steepness of the tail
        assert stats.truncnorm(a, b).cdf((x - mean) / sigma) == pytest.approx(u, abs=1e-9)


def test_whole_numbers():
    whole = [
        {"integers": [0, 5]},
        {"choice": [1, 4]},
        {"grid": [0, 10, 6]},
        {"scipy": {"name": "binom", "arguments": {"n": 5, "p": 0.5}}},
    ]
    assert all(VALUE.validate_python(written).integer for written in whole)
    other = [
        {"uniform": [0, 5]},
        {"choice": [1, 4.5]},
        {"grid": [0, 10, 7]},
        {"grid": [1, 100, 3, "log"]},
        {"scipy": {"name": "binom", "arguments": {"n": 5, "p": 0.5, "loc": 0.5}}},
        {"scipy": {"name": "norm"}},
    ]
    assert not any(VALUE.validate_python(written).integer for written in other)


def test_only_scipy_is_stamped_tolerance():
    assert [name for name, cls in DISTRIBUTIONS.items() if cls.tolerance] == ["scipy"]
    assert read(scipy={"name": "norm"}).tolerance
    assert not read(normal=[0, 1]).tolerance
    assert not VALUE.validate_python("= a").tolerance


def test_a_discrete_law_of_scipy_is_cut_with_its_ends():
    value = read(scipy={"name": "poisson", "arguments": {"mu": 3}, "low": 2, "high": 5})
    values, counts = np.unique(value.quantile(EVEN), return_counts=True)
    np.testing.assert_array_equal(values, [2, 3, 4, 5])
    expected = stats.poisson(3).pmf(values) / stats.poisson(3).pmf(values).sum()
    np.testing.assert_allclose(counts / EVEN.size, expected, atol=1e-5)


def test_nan_of_scipy_is_an_error(monkeypatch):
    value = read(scipy={"name": "gamma", "arguments": {"a": 2}})
    monkeypatch.setattr(scipy_stats.Scipy, "_inverse", lambda self, u: u * np.nan)
    with pytest.raises(
        LabelError, match=r"scipy.stats.gamma gives NaN with the arguments {'a': 2.0}"
    ):
        value.quantile(np.array([0.5]))


# --- refusals ------------------------------------------------------------------------------------

REFUSED = [
    ({"uniform": [1, 0]}, "low must be below high, not 1 and 0"),
    ({"uniform": [1, 1]}, "low must be below high, not 1 and 1"),
    ({"uniform": [-1e308, 1e308]}, "low and high are too far apart"),
    ({"uniform": [1, np.nextafter(1, 2)]}, "there is no number between low and high"),
    ({"log_uniform": [0, 1]}, "must be a number above 0, not 0"),
    ({"log_uniform": [2, 1]}, "low must be below high"),
    ({"power_law": [2, 3, 1]}, "low must be below high"),
    ({"power_law": [2, 0, 1]}, "must be a number above 0, not 0"),
    ({"normal": [0, 0]}, "must be a number above 0, not 0"),
    ({"normal": [0, -1]}, "must be a number above 0, not -1"),
    ({"truncated_normal": [0, 1]}, "needs low, high or both; without an end, use normal"),
    ({"truncated_normal": [0, 1, 2, 1]}, "low must be below high"),
    ({"truncated_normal": [0, 1, 31]}, "more than 30 sigma from the mean: use uniform"),
    (
        {"truncated_normal": {"mean": 0, "sigma": 1, "high": -31}},
        "more than 30 sigma from the mean",
    ),
    ({"log_normal": [0, 1]}, "must be a number above 0, not 0"),
    ({"log_normal": [1, 0]}, "must be a number above 0, not 0"),
    ({"integers": [2, 1]}, "low must not be above high: 2 and 1"),
    ({"integers": [1, 2.5]}, "must be a whole number, not 2.5"),
    ({"integers": [0, 2**53 + 1]}, "at most 9007199254740992"),
    ({"choice": []}, "must have at least 1 item, not 0"),
    ({"choice": [1, "x"]}, "must be a number, not 'x'"),
    ({"choice": {"values": [1], "weights": [1, 2]}}, "one weight for each of the 1 values, not 2"),
    ({"choice": {"values": [1, 2], "weights": [1, -1]}}, "greater than or equal to 0, not -1"),
    (
        {"choice": {"values": [1, 2], "weights": [0, 0]}},
        "the weights must have a finite sum above 0",
    ),
    ({"choice": {"values": [1, 2], "weights": [1e308, 1e308]}}, "must have a finite sum above 0"),
    ({"choice": 3}, "must be a list or a mapping of values, weights, not 3"),
    ({"grid": [0, 1, 1]}, "must be a number at least 2"),
    ({"grid": [1, 0, 3]}, "low must be below high"),
    ({"grid": [0, 1, 3, "linear", 0]}, "must be true or false, not 0"),
    ({"grid": [0, 1, 3, "cubic"]}, "must be 'linear' or 'log', not 'cubic'"),
    ({"grid": [0, 1, 3, "log"]}, "low must be above 0, not 0"),
    ({"histogram": [[0, 1, 1], [1, 1]]}, "edges must increase, not go from 1 to 1"),
    ({"histogram": [[0, 1], [1, 1]]}, "one weight for each of the 1 bins between the edges, not 2"),
    ({"histogram": [[0], []]}, "must have at least 2 items, not 1"),
    ({"histogram": [[0, 1], [0]]}, "the weights must have a finite sum above 0"),
    (
        {"scipy": {"name": "gama"}},
        "unknown distribution of scipy.stats 'gama'; did you mean 'gamma'",
    ),
    ({"scipy": {"name": "linregress"}}, "unknown distribution of scipy.stats 'linregress'"),
    ({"scipy": {"name": "gamma"}}, "scipy.stats.gamma needs the arguments a"),
    ({"scipy": ["gamma", {"shape": 1}]}, "unknown argument of scipy.stats.gamma 'shape'"),
    (
        {"scipy": ["poisson", {"mu": 1, "scale": 1}]},
        "unknown argument .* 'scale'; allowed: mu, loc",
    ),
    ({"scipy": ["gamma", {"a": -1}]}, "does not allow the arguments {'a': -1.0}"),
    ({"scipy": ["gamma", [1]]}, r"must be a mapping of arguments to numbers, not \[1\]"),
    ({"scipy": ["gamma", {"a": "x"}]}, "must be a number, not 'x'"),
    ({"scipy": {"name": "norm", "low": 2, "high": 1}}, "low must be below high"),
    ({"scipy": {"name": "norm", "low": 100}}, "scipy.stats.norm has no values between 100 and inf"),
    ({"scipy": ["beta", {"a": 1, "b": 2}, 2]}, "scipy.stats.beta has no values between 2 and 1"),
]


@pytest.mark.parametrize(("written", "message"), REFUSED, ids=[str(w) for w, _ in REFUSED])
def test_refusals(written, message):
    with pytest.raises(ValidationError, match=message) as caught:
        VALUE.validate_python(written)
    assert caught.value.error_count() == 1


def test_scipy_without_finite_values_is_refused(monkeypatch):
    monkeypatch.setattr(scipy_stats.Scipy, "_inverse", lambda self, u: u * np.inf)
    with pytest.raises(ValidationError, match=r"gives no finite values with the arguments \{\}"):
        read(scipy={"name": "norm"})


@pytest.mark.parametrize("slope", [-3, 0.9, 1 - 1e-4, 1 + 1e-9, 1.0003, 2.5, 40])
def test_a_power_law_inverts_the_integral_of_its_density(slope):
    """In 40 digits; across the slope 1, too, where the integral is a logarithm."""
    law = read(power_law=[slope, 0.3, 2e3])
    u = np.array([1e-9, 0.01, 0.5, 0.999, 1 - 1e-9])
    with mpmath.workdps(40):
        power = 1 - mpmath.mpf(slope)
        low, high = mpmath.mpf(0.3) ** power, mpmath.mpf(2000) ** power
        exact = [float((low + mpmath.mpf(each) * (high - low)) ** (1 / power)) for each in u]
    np.testing.assert_allclose(law.quantile(u), exact, rtol=1e-11)
