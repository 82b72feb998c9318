"""Densities of values: those of scipy, of integral 1, and −∞ where nothing is drawn."""

import math
from itertools import pairwise

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import stats
from scipy.integrate import quad

from deepbench.language.density import log_density, log_density_of_joint
from deepbench.language.values import Value, Variable

VALUE = TypeAdapter(Value)
U = np.linspace(0.001, 0.999, 41)


def read(**written):
    return VALUE.validate_python(written)


CONTINUOUS = [
    ({"uniform": [16, 48]}, stats.uniform(16, 32)),
    ({"log_uniform": [1e-3, 1e4]}, stats.loguniform(1e-3, 1e4)),
    ({"power_law": [1, 0.3, 20]}, stats.loguniform(0.3, 20)),
    ({"power_law": [1.0001, 0.3, 20]}, stats.truncpareto(1e-4, 20 / 0.3, scale=0.3)),
    ({"power_law": [2.5, 1, 9]}, stats.truncpareto(1.5, 9)),
    ({"power_law": [0, 1, 3]}, stats.uniform(1, 2)),
    ({"normal": [-1e5, 1e3]}, stats.norm(-1e5, 1e3)),
    ({"log_normal": [20, 0.7]}, stats.lognorm(0.7, scale=20)),
    ({"truncated_normal": [2, 0.5, 1, 4]}, stats.truncnorm(-2, 4, 2, 0.5)),
    ({"truncated_normal": [0, 1, -30, -20]}, stats.truncnorm(-30, -20)),
    ({"truncated_normal": {"mean": 5, "sigma": 2, "high": 5}}, stats.truncnorm(-np.inf, 0, 5, 2)),
    (
        {"histogram": [[0, 1, 3, 7], [1, 0, 0.5]]},
        stats.rv_histogram(([1, 0, 0.5], [0, 1, 3, 7]), density=False),
    ),
    ({"scipy": {"name": "gamma", "arguments": {"a": 2, "scale": 3}}}, stats.gamma(2, scale=3)),
    ({"scipy": {"name": "norm", "low": -1, "high": 2}}, stats.truncnorm(-1, 2)),
]


@pytest.mark.parametrize(("written", "law"), CONTINUOUS, ids=[str(w) for w, _ in CONTINUOUS])
def test_densities_are_those_of_scipy(written, law):
    value = read(**written)
    x = value.quantile(U)
    np.testing.assert_allclose(value.log_density(x), law.logpdf(x), rtol=1e-9, atol=1e-9)
    low, high = value.support()
    beyond = np.array([low - 1, high + 1, np.nan])
    assert np.all(value.log_density(beyond[~np.isinf(beyond)]) == -np.inf)


@pytest.mark.parametrize("slope", [-50, -3, 0.95, 1.0, 1.002, 1.05, 4, 50])
def test_power_laws_integrate_to_one(slope):
    value = read(power_law=[slope, 1e-5, 1e5])
    edges = value.quantile(np.linspace(1e-12, 1 - 1e-12, 30))
    total = sum(
        quad(lambda y: math.exp(float(value.log_density(np.exp(y))) + y), *np.log(ends))[0]
        for ends in pairwise(edges)
    )
    assert total == pytest.approx(1, abs=1e-9)


DISCRETE = [
    ({"integers": [-5, 5]}, stats.randint(-5, 6)),
    (
        {"choice": {"values": [1, 2, 5, 2], "weights": [2, 4, 1, 1]}},
        stats.rv_discrete(values=([1, 2, 5], [0.25, 0.625, 0.125])),
    ),
    ({"scipy": {"name": "poisson", "arguments": {"mu": 4}}}, stats.poisson(4)),
]


@pytest.mark.parametrize(("written", "law"), DISCRETE, ids=[str(w) for w, _ in DISCRETE])
def test_discrete_values_have_their_probability(written, law):
    value = read(**written)
    x = np.arange(-8.0, 9)
    np.testing.assert_allclose(value.log_density(x), law.logpmf(x), rtol=1e-12)
    assert value.log_density(np.array([1.5])) == -np.inf


@pytest.mark.parametrize("spacing", ["linear", "log"])
@pytest.mark.parametrize(("low", "count"), [(0.1, 7), (0.1, 2**40), (1e-9, 1000)])
def test_values_of_a_grid_have_equal_probabilities(spacing, low, count):
    value = read(grid={"low": low, "high": 30, "count": count, "spacing": spacing})
    x = value.quantile(np.concatenate([U, [1e-17, 1 - 1e-17]]))
    np.testing.assert_allclose(value.log_density(x), -math.log(count))
    if count < 2**20:
        assert np.all(value.log_density(x * (1 + 1e-12)) == -np.inf)


def test_a_mixture_sums_its_components():
    """Constants and discrete components have probabilities at their numbers, the others a density elsewhere."""
    parts = [(2, {"normal": [0, 1]}), (1, {"uniform": [0, 4]}), (0, 9), (3, 1), (2, [1, 2])]
    value = read(
        mixture=[
            {"weight": w, "value": {"choice": v} if isinstance(v, list) else v} for w, v in parts
        ]
    )
    x = np.array([-0.5, 0.5, 1, 2, 7, 9])
    smooth = 0.25 * stats.norm.pdf(x) + 0.125 * stats.uniform(0, 4).pdf(x)
    expected = np.where(x == 1, 3 / 8 + 1 / 8, np.where(x == 2, 1 / 8, smooth))
    np.testing.assert_allclose(log_density(value, x, {}), np.log(expected), rtol=1e-12)


def test_branches_and_parameters_are_those_of_the_sample():
    law = {"by": "class", "a": {"normal": ["= m", 2]}, "b": 3, "otherwise": {"uniform": [0, "= m"]}}
    value = read(mixture=[{"value": law}, {"weight": 3, "value": "= 2 * m"}])
    columns = {"class": np.array(["a", "a", "b", "c", "c"]), "m": np.array([1.0, 1, 1, 4, -1])}
    x = np.array([2.5, 2, 3, 0.5, 0.5])
    expected = [stats.norm(1, 2).pdf(2.5) / 4, 0.75, 0.25, 1 / 16, 0]
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(log_density(value, x, columns), np.log(expected), rtol=1e-12)
    branch = {key: each[2:3] for key, each in columns.items()}
    assert log_density(read(**law), np.array([8.0]), branch) == 0  # a constant says nothing


def test_joint_densities(tmp_path):
    adapter = TypeAdapter(Variable)
    mean, covariance = [1.0, 20, 3], [[4, 3, 0], [3, 9, 1], [0, 1, 2]]
    normal = adapter.validate_python(
        {
            "multivariate_normal": {
                "columns": ["a", "b", "c"],
                "mean": mean,
                "covariance": covariance,
            }
        }
    )
    x = np.random.default_rng(1).normal(5, 9, (20, 3))
    found = log_density_of_joint(normal, dict(zip("abc", x.T, strict=True)))
    law = stats.multivariate_normal(mean, covariance)
    np.testing.assert_allclose(found, law.logpdf(x), rtol=1e-11)

    (tmp_path / "rows.csv").write_text("p,q,id\n1,2,7\n1,2,8\n1,2,8\n0.5,-0.0,9\n")
    written = {"catalog": {"file": "rows.csv", "columns": ["p", "q"], "identifiers": ["id"]}}
    rows = adapter.validate_python(written, context={"folder": tmp_path})
    given = {
        "p": np.array([1, 1, 0.5, 1]),
        "q": np.array([2.0, 2, 0, 3]),
        "id": np.array([7, 8, 9, 8]),
    }
    expected = [math.log(1 / 4), math.log(2 / 4), math.log(1 / 4), -math.inf]
    np.testing.assert_allclose(log_density_of_joint(rows, given), expected)


def test_the_density_of_a_copula():
    law = stats.multivariate_normal([3, -1], [[4, 1.2], [1.2, 1]])
    columns = {"a": {"normal": [3, 2]}, "b": {"normal": [-1, 1]}}
    value = TypeAdapter(Variable).validate_python(
        {"copula": {"columns": columns, "correlation": [[1, 0.6], [0.6, 1]]}}
    )
    x = law.rvs(200, random_state=1)
    found = log_density_of_joint(value, {"a": x[:, 0], "b": x[:, 1]})
    np.testing.assert_allclose(found, law.logpdf(x), rtol=1e-9, atol=1e-9)
    columns = {"a": {"log_uniform": [1, 8]}, "b": {"uniform": [0, 2]}}
    value = TypeAdapter(Variable).validate_python(
        {"copula": {"columns": columns, "correlation": [[1, -0.7], [-0.7, 1]]}}
    )

    z = np.linspace(-7, 7, 281)  # the integral over b, along the normal behind it
    steps = 2 * stats.norm.pdf(z) * (z[1] - z[0])
    for a in (1.3, 4.0):
        found = log_density_of_joint(value, {"a": np.full(281, a), "b": 2 * stats.norm.cdf(z)})
        assert np.exp(found) @ steps == pytest.approx(1 / (a * math.log(8)), rel=1e-8)
