"""Gaussian copulas and shifted Sobol sequences as joint draws."""

import pickle

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy.stats import expon, kstest, lognorm, norm, qmc, spearmanr, uniform

from deepbench.language.canonical import canonical
from deepbench.language.ordered import CANONICAL
from deepbench.language.values import Joint, Variable
from tests.given_uniforms import GivenUniforms

VARIABLE = TypeAdapter(Variable)
COLUMNS = {
    "size": {"log_normal": [2, 0.5]},
    "flux": {"scipy": {"name": "expon"}},
    "angle": {"uniform": [0, 180]},
    "count": {"integers": [1, 4]},
}
RHO = [[1, 0.7, -0.4, 0.2], [0.7, 1, 0, 0.1], [-0.4, 0, 1, 0.3], [0.2, 0.1, 0.3, 1]]
TWO = {"a": {"uniform": [0, 1]}, "b": {"normal": [0, 1]}}


def copula(columns=None, correlation=None):
    data = {"columns": columns or COLUMNS, "correlation": correlation or RHO}
    return VARIABLE.validate_python({"copula": data})


def sobol(columns):
    return VARIABLE.validate_python({"sobol": {"columns": columns}})


def uniforms(numbers, seed=1):
    """Return random numbers of which those of the samples depend on their numbers."""

    def several(count):
        return np.array([np.random.default_rng([seed, n]).random(count) for n in numbers])

    def of_table(count):
        return np.random.default_rng(seed).random(count)

    return GivenUniforms(numbers, several, of_table)


# --- copula --------------------------------------------------------------------------------------


def test_marginals_and_ranks_of_a_copula():
    u = np.random.default_rng(5).random((50_000, 4))
    drawn = copula().draw(u)
    laws = {"size": lognorm(0.5, scale=2), "flux": expon(), "angle": uniform(0, 180)}
    for name, law in laws.items():
        assert kstest(drawn[name], law.cdf).pvalue > 1e-3
    counts = np.bincount(drawn["count"].astype(int), minlength=5)[1:]
    assert np.abs(counts / len(u) - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / len(u))
    continuous = list(laws)
    found = spearmanr(np.stack([drawn[name] for name in continuous], axis=1)).statistic
    expected = 6 / np.pi * np.arcsin(np.array(RHO)[:3, :3] / 2)
    assert np.abs(found - expected).max() < 5 / np.sqrt(len(u))


def test_a_copula_is_normals_through_their_cdf():
    u = np.random.default_rng(6).random((1000, 2))
    drawn = copula(TWO, [[1, 0.6], [0.6, 1]]).draw(u)
    z = norm.ppf(u) @ np.linalg.cholesky([[1, 0.6], [0.6, 1]]).T
    np.testing.assert_allclose(drawn["a"], norm.cdf(z[:, 0]), rtol=1e-13)
    np.testing.assert_allclose(drawn["b"], z[:, 1], rtol=1e-10, atol=1e-12)


def test_one_draw_of_a_copula_alone():
    u = np.random.default_rng(3).random((10, 4))
    together = copula().draw(u)
    alone = [copula().draw(u[row : row + 1]) for row in range(10)]
    assert all(alone[row][name][0] == together[name][row] for row in range(10) for name in COLUMNS)


def test_ends_of_the_unit_interval_give_finite_draws():
    drawn = copula(TWO, [[1, -0.999], [-0.999, 1]]).draw(np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert all(np.isfinite(values).all() for values in drawn.values())


@pytest.mark.parametrize(
    ("columns", "correlation", "message"),
    [
        (TWO, [[1, 0.5]], "the correlation of 2 columns must be 2 lists of 2 numbers"),
        (TWO, [[1, 0.5], [0.4, 1]], "the correlation is not symmetric: row 0, column 1 is 0.5"),
        (TWO, [[1, 0.5], [0.5, 2]], "the correlation of 'b' with itself is 1, not 2; a covariance"),
        (TWO, [[1, 1.5], [1.5, 1]], "the correlation of 'a' and 'b' must be from -1 to 1, not 1.5"),
        (TWO, [[1, 1], [1, 1]], "not positive definite: those of 'b' with 'a' contradict"),
        (
            TWO | {"c": {"uniform": [0, 1]}},
            [[1, 0.9, 0.9], [0.9, 1, -0.9], [0.9, -0.9, 1]],
            "not positive definite: those of 'c' with 'a', 'b' contradict each other",
        ),
        ({"a": {"uniform": [0, 1]}}, [[1]], "needs two or more columns, not 'a' alone"),
        (TWO, [[1, "x"], ["x", 1]], "must be a number, not 'x'"),
        ({"a": 3, "b": 4}, [[1, 0], [0, 1]], r"must be one distribution \{name: ...\} of uniform"),
        (
            TWO | {"a": {"normal": ["= b", 1]}},
            [[1, 0], [0, 1]],
            "constants alone, but '= b' uses 'b'",
        ),
        ({"A": {"uniform": [0, 1]}}, [[1]], "must match pattern"),
    ],
)
def test_a_copula_refuses(columns, correlation, message):
    with pytest.raises(ValidationError, match=message):
        copula(columns, correlation)


# --- Sobol ---------------------------------------------------------------------------------------


def test_a_prefix_covers_space_better_than_random_numbers():
    flat = {name: {"uniform": [0, 1]} for name in "abcd"}
    for count in (64, 200, 1024):
        drawn = sobol(flat).fill(uniforms(np.arange(count)))
        even = qmc.discrepancy(np.stack(list(drawn.values()), axis=1))
        others = [qmc.discrepancy(np.random.default_rng(k).random((count, 4))) for k in range(5)]
        assert even < 0.5 * min(others)


def test_parts_of_equal_probability_are_balanced():
    drawn = sobol({"a": {"normal": [3, 2]}, "n": {"integers": [0, 7]}}).fill(
        uniforms(np.arange(64))
    )
    edges = norm(3, 2).ppf(np.arange(1, 64) / 64)
    np.testing.assert_array_equal(np.bincount(np.searchsorted(edges, drawn["a"])), np.ones(64))
    np.testing.assert_array_equal(np.bincount(drawn["n"].astype(int)), np.full(8, 8))


def test_a_point_depends_on_its_number_and_the_table_alone():
    value = sobol(TWO)
    together = value.fill(uniforms(np.arange(20)))
    for number in (0, 7, 19):
        alone = value.fill(uniforms([number]))
        assert all(alone[name][0] == together[name][number] for name in TWO)
    assert (value.fill(uniforms(np.arange(20), seed=2))["a"] != together["a"]).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "must have at least 1 item"),
        ({f"c{n}": {"uniform": [0, 1]} for n in range(65)}, "must have at most 64 items, not 65"),
    ],
)
def test_sobol_refuses(columns, message):
    with pytest.raises(ValidationError, match=message):
        sobol(columns)


# --- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [copula(), sobol(TWO)])
def test_what_they_are(value):
    assert isinstance(value, Joint)
    assert value.dimension == len(value.columns)
    assert pickle.loads(pickle.dumps(value)) == value
    assert hash(pickle.loads(pickle.dumps(value))) == hash(value)
    assert VARIABLE.validate_python(VARIABLE.dump_python(value, mode="json")) == value
    assert value.marginal(next(iter(value.columns))).support() is not None
    assert value.tolerance is ("flux" in value.columns)


@pytest.mark.parametrize("kind", ["copula", "sobol"])
def test_the_order_of_columns_is_in_the_canonical_form(kind):
    rest = {"correlation": [[1, 0.5], [0.5, 1]]} if kind == "copula" else {}
    one, other = (
        VARIABLE.validate_python({kind: {"columns": columns} | rest})
        for columns in (TWO, dict(reversed(TWO.items())))
    )
    assert one != other
    forms = [
        canonical(VARIABLE.dump_python(each, mode="json", context=CANONICAL))
        for each in (one, other)
    ]
    assert forms[0] != forms[1]
