"""Quadrature over exposures."""

import mpmath
import numpy as np
import pytest

from deepbench.light_curves.survey.exposures import (
    ERROR,
    MOST_NODES,
    MOST_PANELS,
    count_nodes,
    error_constants,
    lay_nodes,
    mean_over,
    row_of,
    rules,
)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13, 21, 32])
def test_the_rules_are_those_of_gauss_and_legendre(n):
    nodes, weights, _ = rules()
    expected, _ = np.polynomial.legendre.leggauss(n)
    np.testing.assert_allclose(nodes[n, :n], 0.5 * expected, atol=1e-15)
    with mpmath.workdps(30):  # numpy's weights err by up to 3e-13
        for node, weight in zip(expected, weights[n, :n], strict=True):
            root = mpmath.findroot(lambda x: mpmath.legendre(n, x), mpmath.mpf(node))
            slope = mpmath.diff(lambda x: mpmath.legendre(n, x), root)
            assert weight == pytest.approx(float(1 / ((1 - root**2) * slope**2)), rel=5e-14)
    assert (nodes[n, n:] == 0).all()
    assert (weights[n, n:] == 0).all()


@pytest.mark.parametrize("n", range(1, MOST_NODES + 1))
def test_a_rule_reaches_as_far_as_it_says(n):
    """At its end, the mean of a sinusoid of any phase errs by ERROR at most; a tenth beyond, by more.

    The bound is sharp for few nodes, and too strict by up to a quarter of the reach for many.
    """
    nodes, weights, reach = rules()
    half = reach[n]

    def error(half):
        phases = np.linspace(0, 2 * np.pi, 181)[:, None]
        found = (weights[n, :n] * np.cos(2 * half * nodes[n, :n] + phases)).sum(axis=1)
        return np.abs(found - np.cos(phases[:, 0]) * np.sin(half) / half).max()

    assert error(half) <= ERROR
    assert error((1.1 if n <= 20 else 1.25) * half) > ERROR


def nodes_for(exposure, amplitudes, rates, given=1):
    nodes = np.array([given])
    starts = np.array([0, len(rates)])
    terms = np.array(amplitudes, float), np.array(rates, float)
    count_nodes(np.array([0, 1]), np.array([exposure]), starts, *terms, error_constants(), nodes)
    return nodes[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_a_product_of_smooth_factors_gets_the_nodes_that_it_needs(seed):
    """Stars of one to five modes of up to 2 mag: their mean is found within 1e-6, and not with half of the nodes."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 6)
    amplitudes, rates = 10 ** rng.uniform(-4, 0.2, size), 10 ** rng.uniform(-1, 1.3, size)
    n = nodes_for(2.0, amplitudes, rates)
    abscissae, weights, _ = rules()

    def means(row):
        times = 2 * abscissae[row][:, None, None]
        phases = np.random.default_rng(7).uniform(0, 2 * np.pi, (300, size))
        exponent = (amplitudes * np.cos(rates * times + phases)).sum(axis=2)
        return weights[row] @ np.exp(exponent)

    exact = means(len(abscissae) - 1)
    error = np.abs(means(row_of(n)) - exact)
    assert error.max() < ERROR
    if 3 < n <= MOST_NODES:
        assert np.abs(means(n // 2) - exact).max() > 1e-2 * ERROR


def test_nodes_of_events_and_of_what_is_smooth_add_up():
    assert nodes_for(1.0, [], []) == 1
    assert nodes_for(1.0, [], [], given=7) == 7
    smooth = nodes_for(1.0, [0.01], [5.0])
    assert 1 < smooth < MOST_NODES
    assert nodes_for(1.0, [0.01], [5.0], given=7) == smooth + 6
    assert nodes_for(1.0, [], [], given=33) == 64
    assert nodes_for(1.0, [], [], given=10**6) == MOST_NODES * MOST_PANELS
    assert nodes_for(1.0, [1.0], [300.0]) % MOST_NODES == 0
    assert nodes_for(0.0, [1.0], [300.0]) == 1


@pytest.mark.parametrize("panels", [2, 3, MOST_PANELS])
def test_panels_are_rules_side_by_side(panels):
    nodes, weights, _ = rules()
    row, size = MOST_NODES + panels - 1, MOST_NODES * panels
    assert (np.diff(nodes[row, :size]) > 0).all()
    assert (weights[row, size:] == 0).all()
    assert weights[row].sum() == pytest.approx(1, abs=1e-13)
    exact = np.sin(panels * 20.0) / (panels * 20.0)
    assert weights[row] @ np.cos(panels * 40.0 * nodes[row]) == pytest.approx(exact, abs=1e-12)


def test_a_mean_over_exposures_of_different_numbers_of_nodes():
    abscissae, weights, _ = rules()
    firsts = np.array([0, 1, 4, 9])
    times, exposures = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 0.125])
    node_times, bands = np.empty(9), np.empty(9, np.int8)
    lay_nodes(firsts, abscissae, times, exposures, np.array([0, 2, 1], np.int8), node_times, bands)
    assert bands.tolist() == [0, 2, 2, 2, 1, 1, 1, 1, 1]
    assert (np.diff(node_times) > 0).all()
    means = np.empty(3)
    mean_over(firsts, weights, node_times**5, means)
    exact = ((times + exposures / 2) ** 6 - (times - exposures / 2) ** 6) / 6 / exposures
    np.testing.assert_allclose(means[1:], exact[1:], rtol=1e-14)
    assert means[0] == 1.0
