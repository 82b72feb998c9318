"""Kepler's equation against solutions in 40 digits."""

import mpmath
import numpy as np
import pytest

from deepbench.numerics.kepler import solve

COUNT = 60


def in_40_digits(mean, eccentricity):
    """Return E, sin E, cos E, sin ν, cos ν and the distance, by bisection."""
    with mpmath.workdps(45):
        e = mpmath.mpf(float(eccentricity))
        m = mpmath.mpf(float(mean))
        m -= 2 * mpmath.pi * mpmath.nint(m / (2 * mpmath.pi))
        low, high = m - e, m + e
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if middle - e * mpmath.sin(middle) < m else (low, middle)
            )  # fmt: skip
        for _ in range(4):  # now within Newton's reach
            low -= (low - e * mpmath.sin(low) - m) / (1 - e * mpmath.cos(low))
        sine, cosine = mpmath.sin(low), mpmath.cos(low)
        r = 1 - e * cosine
        along = (cosine - e) / r
        across = mpmath.sqrt(1 - e * e) * sine / r
        return [low, sine, cosine, across, along, r]


def anomalies(seed=1):
    rng = np.random.default_rng(seed)
    near = 10 ** rng.uniform(-9, 0, COUNT) * rng.choice([-1, 1], COUNT)
    return np.concatenate([rng.uniform(-np.pi, np.pi, COUNT), near, [0.0, 3.1, -3.1]])


@pytest.mark.parametrize("eccentricity", [0.0, 1e-9, 0.1, 0.5, 0.9, 0.95, 0.99, 0.9999])
def test_solutions_are_those_in_40_digits(eccentricity):
    means = anomalies()
    found = solve(means, eccentricity)
    expected = np.array([in_40_digits(m, eccentricity) for m in means])
    error = np.abs((found - expected).astype(float))
    size = np.abs(expected.astype(float))
    near = found[:, 4] > 0.1  # on the side of periastron, sines are small with M
    for column in (0, 5):
        assert (error[:, column] <= 2e-15 * size[:, column]).all(), column
    for column in (1, 3):
        assert (error[near, column] <= 2e-15 * size[near, column]).all(), column
    assert error.max() < 2e-15


def test_large_anomalies_keep_the_digits_they_have():
    means = np.random.default_rng(2).uniform(-1e5, 1e5, 100)
    expected = np.array([in_40_digits(m, 0.7) for m in means])
    assert np.abs((solve(means, 0.7) - expected).astype(float)).max() < 4e-15


def test_the_orbit_is_symmetric_about_periastron_and_closed():
    means = anomalies(3)
    found, mirrored = solve(means, 0.6), solve(-means, 0.6)
    signs = [-1, -1, 1, -1, 1, 1]
    np.testing.assert_array_equal(mirrored, found * signs)
    np.testing.assert_allclose(solve(means + 4 * np.pi, 0.6), found, rtol=0, atol=2e-14)


def test_a_circle_has_three_equal_anomalies():
    means = anomalies(4)
    found = solve(means, 0.0)
    np.testing.assert_allclose(found[:, 0], means, rtol=4e-16)
    np.testing.assert_allclose(found[:, 3:5], found[:, 1:3], rtol=0, atol=4e-16)
    np.testing.assert_array_equal(found[:, 5], 1.0)


def test_arguments_broadcast_and_what_is_no_number_stays_none():
    found = solve(np.zeros((3, 1)), [0.0, 0.5])
    assert found.shape == (3, 2, 6)
    np.testing.assert_array_equal(found[0], [[0, 0, 1, 0, 1, 1], [0, 0, 1, 0, 1, 0.5]])
    assert np.isnan(solve(np.nan, 0.5)).all()
