"""Damped random walks: against celerite2 with the same normals, and their statistics against theory."""

import celerite2
import numpy as np
import pytest

from deepbench.light_curves.random_walks import fastest_random_walks, multiply_random_walks, walk
from deepbench.streams import key_words, normals, stream_words

KEY = np.array(key_words(2020), np.uint32)
WORDS = np.array(stream_words(12345), np.uint32)


def process(times, z, timescale):
    kept, out = np.empty(times.size), np.empty(times.size)
    walk(times, z, timescale, kept, out)
    return out


def render(rows, times, samples, bands=None, offsets=None):
    samples = np.atleast_1d(samples)
    bands = np.zeros(times.size, np.int8) if bands is None else np.asarray(bands, np.int8)
    offsets = np.array([0, times.size]) if offsets is None else offsets
    factors, owners = np.ones(times.size), np.arange(samples.size)
    multiply_random_walks(
        np.asarray(rows, float), owners, offsets, times, bands, factors, samples, KEY, WORDS
    )
    return -2.5 * np.log10(factors)


@pytest.mark.parametrize("timescale", [3.0, 200.0, 5000.0])
def test_the_walk_is_that_of_celerite_with_the_same_normals(timescale):
    rng = np.random.default_rng(3)
    times, z = np.sort(rng.uniform(0.0, 3650.0, 1000)), rng.standard_normal(1000)
    gp = celerite2.GaussianProcess(celerite2.terms.RealTerm(a=1.0, c=1.0 / timescale))
    gp.compute(times, diag=1e-13)
    # celerite2 loses digits in 1 − exp(−2Δt/τ) and needs a small diagonal
    assert process(times, z, timescale) == pytest.approx(gp.dot_tril(z), abs=2e-8)


def test_the_walk_is_the_cholesky_factor_of_its_covariance_times_the_normals():
    rng = np.random.default_rng(4)
    times, z = np.sort(rng.uniform(0.0, 500.0, 60)), rng.standard_normal(60)
    covariance = np.exp(-np.abs(times[:, None] - times) / 70.0)
    assert process(times, z, 70.0) == pytest.approx(np.linalg.cholesky(covariance) @ z, abs=1e-10)


def test_very_short_steps_keep_their_variance():
    """1 − exp(−2Δt/τ) is taken from its series where the difference would lose digits."""
    steps = np.geomspace(1e-9, 1e-2, 15)
    for step in steps:
        out = process(np.array([0.0, step]), np.array([0.0, 1.0]), 1.0)
        assert out[1] == pytest.approx(np.sqrt(-np.expm1(-2.0 * step)), rel=1e-11)
    assert process(np.array([5.0, 5.0]), np.array([0.3, 9.0]), 1.0) == pytest.approx([0.3, 0.3])


def test_magnitudes_are_the_walk_of_the_streams_normals_scaled_in_each_band():
    times, bands = np.sort(np.random.default_rng(5).uniform(0.0, 1000.0, 400)), np.arange(400) % 3
    rows = [[[150.0, 0.2], [0.0, 0.1], [0.0, 0.0]]]
    expected = process(times, normals(2020, 12345, 77, 400), 150.0) * np.sqrt(0.5)
    assert render(rows, times, 77, bands) == pytest.approx(
        expected * np.array([0.2, 0.1, 0.0])[bands], abs=1e-12
    )


def test_a_sample_does_not_depend_on_its_block():
    times = np.sort(np.random.default_rng(6).uniform(0.0, 1000.0, 300))
    rows = [[[100.0, 0.3]], [[50.0, 0.2]], [[70.0, 0.1]]]
    together = render(rows, np.tile(times, 3), [4, 9, 6], offsets=np.arange(4) * 300)
    alone = [render(rows[i : i + 1], times, s) for i, s in enumerate([4, 9, 6])]
    assert np.all(together == np.concatenate(alone))
    assert not np.allclose(alone[0] / 0.3, alone[1] / 0.2)


def test_variance_and_structure_function_follow_the_law_from_the_first_node_on():
    """4000 walks; the structure function of n pairs has a relative scatter of √(2/n) / 2."""
    n, tau, sf = 4000, 30.0, 0.25
    times = np.array([0.0, 1.0, 5.0, 30.0, 100.0, 400.0])
    m = render(
        np.tile([[[tau, sf]]], (n, 1, 1)),
        np.tile(times, n),
        np.arange(n),
        offsets=np.arange(n + 1) * 6,
    )
    m = m.reshape(n, 6)
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
    m = render([[[20.0, 0.3]]], times, 1)
    independent = times.size / 40.0  # the correlation time of squares is τ
    for half in (m[:100000], m[100000:]):
        assert half.var() == pytest.approx(0.045, rel=4.0 * np.sqrt(2.0 / (independent / 2.0)))
    correlation = np.corrcoef(m[:-20], m[20:])[0, 1]
    assert correlation == pytest.approx(np.exp(-1.0), abs=0.05)


def test_the_rate_is_one_over_the_time_scale():
    assert fastest_random_walks(np.array([[[50.0, 0.2]]])) == pytest.approx([0.02])
