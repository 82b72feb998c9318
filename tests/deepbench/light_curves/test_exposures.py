"""Quadrature over exposures."""

import mpmath
import numpy as np
import pytest

from deepbench.light_curves.exposures import (
    ERROR,
    MOST_NODES,
    count_nodes,
    lay_nodes,
    mean_over,
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


def test_the_fastest_change_decides_the_number_of_nodes():
    _, _, reach = rules()
    exposures = np.array([0.1, 0.2, 0.1, 0.4])
    nodes = np.array([1, 1, 7, 1])
    rates = np.array([2 * reach[2] / 0.1, 2 * reach[3] / 0.4])
    count_nodes(np.array([0, 2, 4]), exposures, rates * (1 - 1e-9), reach, nodes)
    assert nodes.tolist() == [2, np.searchsorted(reach, 2 * reach[2] * 0.99), 7, 3]


def test_a_mean_over_exposures_of_different_numbers_of_nodes():
    places, weights, _ = rules()
    firsts = np.array([0, 1, 4, 9])
    times, exposures = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 0.125])
    node_times, bands = np.empty(9), np.empty(9, np.int8)
    lay_nodes(firsts, places, times, exposures, np.array([0, 2, 1], np.int8), node_times, bands)
    assert bands.tolist() == [0, 2, 2, 2, 1, 1, 1, 1, 1]
    assert (np.diff(node_times) > 0).all()
    means = np.empty(3)
    mean_over(firsts, weights, node_times**5, means)
    exact = ((times + exposures / 2) ** 6 - (times - exposures / 2) ** 6) / 6 / exposures
    np.testing.assert_allclose(means[1:], exact[1:], rtol=1e-14)
    assert means[0] == 1.0
