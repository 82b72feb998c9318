"""Damped random walks: against celerite2 with the same normals, and their statistics against theory."""

import celerite2
import mpmath
import numpy as np
import pytest
from scipy.integrate import dblquad

from deepbench.light_curves.families.random_walk import RANDOM_WALK
from deepbench.light_curves.families.random_walk_kernels import multiply_random_walks, walk
from deepbench.numerics.streams import key_words, normals, stream_words

KEY = np.array(key_words(2020), np.uint32)
WORDS = np.array(stream_words(12345), np.uint32)


def process(times, z, timescale, lengths=(0.0,), bands=None):
    bands = np.zeros(times.size, np.int8) if bands is None else bands
    means, work = np.empty(times.size), np.empty((2, times.size))
    walk(times, bands, np.asarray(lengths, float), z, timescale, work, means)
    return means


def of_instants(z):
    """Return normals of which a walk of instants, where an exposure has no length, uses each third alone."""
    all_three = np.full(3 * z.size, 1e9)
    all_three[::3] = z
    return all_three


def magnitudes(rows, times, samples, bands=None, lengths=(0.0, 0.0, 0.0)):
    """Return the magnitudes of walks that share their times."""
    samples = np.atleast_1d(samples)
    rows = np.array([[tuple(row) for row in of_bands] for of_bands in rows], RANDOM_WALK)
    n, m = samples.size, times.size
    bands = np.zeros(m, np.int8) if bands is None else np.asarray(bands, np.int8)
    factors, offsets = np.ones(n * m), np.arange(n + 1) * m
    multiply_random_walks(
        rows, np.arange(n), np.full(n, m), times[None], bands[None], np.array(lengths),
        offsets, np.tile(np.arange(m), n), np.tile(bands, n), samples, KEY, WORDS, factors,
    )  # fmt: skip
    return -2.5 * np.log10(factors.reshape(n, m))


@pytest.mark.slow
@pytest.mark.parametrize("timescale", [3.0, 200.0, 5000.0])
def test_the_walk_is_that_of_celerite_with_the_same_normals(timescale):
    rng = np.random.default_rng(3)
    times, z = np.sort(rng.uniform(0.0, 3650.0, 1000)), rng.standard_normal(1000)
    gp = celerite2.GaussianProcess(celerite2.terms.RealTerm(a=1.0, c=1.0 / timescale))
    gp.compute(times, diag=1e-13)
    # celerite2 loses digits in 1 − exp(−2Δt/τ) and needs a small diagonal
    found = process(times, of_instants(z), timescale)
    assert found == pytest.approx(gp.dot_tril(z), abs=2e-8)


def test_the_walk_is_the_cholesky_factor_of_its_covariance_times_the_normals():
    rng = np.random.default_rng(4)
    times, z = np.sort(rng.uniform(0.0, 500.0, 60)), rng.standard_normal(60)
    covariance = np.exp(-np.abs(times[:, None] - times) / 70.0)
    found = process(times, of_instants(z), 70.0)
    assert found == pytest.approx(np.linalg.cholesky(covariance) @ z, abs=1e-10)


@pytest.mark.parametrize("lengths", [[1.0, 0.5, 0.0], [0.8, 0.8, 0.8], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("timescale", [0.02, 0.7, 6.0, 40.0, 1e4])
def test_means_over_exposures_have_the_covariance_of_the_integrated_process(timescale, lengths):
    """The walk is linear in its normals, so unit vectors give its factor; its square against double integrals."""
    times, bands = np.array([0.0, 1.0, 3.0, 4.5, 9.0]), np.array([0, 1, 0, 1, 2], np.int8)
    lengths = np.array(lengths)
    factor = np.array([process(times, unit, timescale, lengths, bands) for unit in np.eye(15)]).T

    def covariance(i, j):
        one, two = lengths[bands[i]], lengths[bands[j]]
        if i != j:
            parts = [
                (2 * timescale / length) * np.sinh(length / timescale / 2) if length else 1.0
                for length in (one, two)
            ]
            return np.exp(-abs(times[i] - times[j]) / timescale) * parts[0] * parts[1]
        if not one:
            return 1.0
        inside = dblquad(
            lambda v, u: np.exp(-(u - v) / timescale), 0, one, 0, lambda u: u, epsabs=1e-12
        )
        return 2 * inside[0] / one**2

    expected = np.array([[covariance(i, j) for j in range(5)] for i in range(5)])
    np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-9)


@pytest.mark.parametrize("h", [1e-7, 1e-4, 0.0099, 0.0101, 0.0499, 0.0501, 1.0, 30.0])
def test_the_mean_over_one_exposure_has_its_variance_on_both_sides_of_the_series(h):
    """2 (h − 1 + exp(−h)) / h², in 40 digits; the sum of the squares of its three coefficients."""
    with mpmath.workdps(40):
        x = mpmath.mpf(h)
        exact = float(2 * (x - 1 + mpmath.exp(-x)) / x**2)
    found = [process(np.zeros(1), unit, 1.0, [h])[0] for unit in np.eye(3)]
    assert np.square(found).sum() == pytest.approx(exact, rel=1e-11)


def test_very_short_steps_keep_their_variance():
    """1 − exp(−2Δt/τ) is taken from its series where the difference would lose digits."""
    steps = np.geomspace(1e-9, 1e-2, 15)
    for step in steps:
        out = process(np.array([0.0, step]), np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0]), 1.0)
        assert out[1] == pytest.approx(np.sqrt(-np.expm1(-2.0 * step)), rel=1e-11)


def test_magnitudes_are_the_walk_of_the_streams_normals_scaled_in_each_band():
    times, bands = np.sort(np.random.default_rng(5).uniform(0.0, 1000.0, 400)), np.arange(400) % 3
    rows = [[[150.0, 0.2], [0.0, 0.1], [0.0, 0.0]]]
    drawn = normals(2020, 12345, 77, 1200).astype(float)
    expected = process(times, drawn, 150.0) * np.sqrt(0.5)
    found = magnitudes(rows, times, 77, bands)[0]
    assert found == pytest.approx(expected * np.array([0.2, 0.1, 0.0])[bands], abs=1e-12)


def test_a_sample_does_not_depend_on_its_block():
    times = np.sort(np.random.default_rng(6).uniform(0.0, 1000.0, 300))
    rows = np.array([[[100.0, 0.3]], [[50.0, 0.2]], [[70.0, 0.1]]])
    together = magnitudes(rows, times, [4, 9, 6])
    alone = [magnitudes(rows[i : i + 1], times, s)[0] for i, s in enumerate([4, 9, 6])]
    assert np.all(together == np.array(alone))
    assert not np.allclose(alone[0] / 0.3, alone[1] / 0.2)


def test_variance_and_structure_function_follow_the_law_from_the_first_observation_on():
    """4000 walks; the structure function of n pairs has a relative scatter of √(2/n) / 2."""
    n, tau, sf = 4000, 30.0, 0.25
    times = np.array([0.0, 1.0, 5.0, 30.0, 100.0, 400.0])
    m = magnitudes(np.tile([[[tau, sf]]], (n, 1, 1)), times, np.arange(n))
    scatter = np.sqrt(2.0 / n)
    assert m.var(axis=0) == pytest.approx(np.full(6, sf**2 / 2.0), rel=4.0 * scatter)
    assert np.abs(m.mean(axis=0)).max() < 4.0 * sf / np.sqrt(2.0 * n)
    lag = times - times[0]
    measured = np.sqrt(((m - m[:, :1]) ** 2).mean(axis=0))
    assert measured[1:] == pytest.approx(
        (sf * np.sqrt(1.0 - np.exp(-lag / tau)))[1:], rel=2.0 * scatter
    )


def test_one_long_walk_is_stationary():
    times = np.arange(200000.0)
    m = magnitudes([[[20.0, 0.3]]], times, 1)[0]
    independent = times.size / 40.0  # the correlation time of squares is τ
    for half in (m[:100000], m[100000:]):
        assert half.var() == pytest.approx(0.045, rel=4.0 * np.sqrt(2.0 / (independent / 2.0)))
    correlation = np.corrcoef(m[:-20], m[20:])[0, 1]
    assert correlation == pytest.approx(np.exp(-1.0), abs=0.05)
