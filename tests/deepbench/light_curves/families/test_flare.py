"""Flares: the published template, and its exact mean over exposures against fine sums."""

import numpy as np
import pytest
from scipy.integrate import quad

from deepbench.light_curves.families.flare import FLARE
from deepbench.light_curves.families.flare_kernels import (
    TAIL,
    VISIBLE,
    add_flares,
    flare_integral,
    flare_shape,
    mean_flare,
)
from deepbench.numerics.kernels import kernel

MINUTE = 1.0 / 1440.0


@kernel
def _evaluate(h, shape, integral):
    for i in range(h.size):
        shape[i] = flare_shape(h[i])
        integral[i] = flare_integral(h[i])


def evaluate(h):
    shape, integral = np.empty(h.size), np.empty(h.size)
    _evaluate(h, shape, integral)
    return shape, integral


def template(h):
    """Return equations 1 and 4 of Davenport et al. (2014)."""
    rise = np.polyval([-1.125, -2.246, -0.175, 1.941, 1.0], h)
    with np.errstate(over="ignore"):
        fall = 0.6890 * np.exp(-1.6 * h) + 0.3030 * np.exp(-0.2783 * h)
    return np.where((h < -1.0) | (h > TAIL), 0.0, np.where(h < 0.0, rise, fall))


def add(rows, times, exposures, bands=None, owners=None, offsets=None):
    rows = np.array([[tuple(row) for row in of_bands] for of_bands in rows], FLARE)
    light, counts = np.zeros(times.size), np.zeros(len(rows), np.int64)
    bands = np.zeros(times.size, np.int8) if bands is None else np.asarray(bands, np.int8)
    owners = np.zeros(len(rows), np.int64) if owners is None else owners
    offsets = np.array([0, times.size]) if offsets is None else offsets
    exposures = np.broadcast_to(exposures, times.shape).astype(float)
    add_flares(rows, owners, offsets, times, exposures, bands, light, counts)
    return light, counts


def test_the_template_is_the_published_one():
    h = np.linspace(-1.5, 70.0, 5001)
    assert evaluate(h)[0] == pytest.approx(template(h), abs=1e-15)


def test_the_printed_template_is_a_little_narrower_than_its_scale():
    h = np.linspace(-1.0, 3.0, 400001)
    above = h[evaluate(h)[0] > 0.5]
    assert above[-1] - above[0] == pytest.approx(0.913, abs=1e-3)


def test_the_integral_is_that_of_the_template():
    for h in (-1.0, -0.6, -0.1, 0.3, 2.0, 10.0, 60.0):
        exact = quad(template, 0.0, h, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
        assert evaluate(np.array([h]))[1][0] == pytest.approx(exact, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("fwhm", [2.0, 10.0, 60.0, 500.0])
@pytest.mark.parametrize("exposure", [20.0 / 60.0, 2.0, 29.4244])
def test_means_over_exposures_are_those_of_fine_sums(fwhm, exposure):
    """A flare of 2 minutes under a long cadence of 29.4 minutes is among them."""
    middles = np.arange(-60.0, 60.0) * 0.37 * fwhm * MINUTE
    rows = [[[0.013 * MINUTE, fwhm * MINUTE, 3.0]]]
    light, _ = add(rows, middles, exposure * MINUTE)
    n = 200000
    parts = ((np.arange(n) + 0.5) / n - 0.5) * exposure
    expected = [3.0 * template((m / MINUTE - 0.013 + parts) / fwhm).mean() for m in middles]
    # the sums err at the two steps of the template, by half a part times their height
    assert light == pytest.approx(expected, abs=3.0 * 0.01 / n)


def test_a_whole_flare_keeps_its_energy_whatever_the_exposures():
    rows = [[[0.31, 0.01, 2.0]]]
    energies = []
    for n in (10, 333, 20000):
        edges = np.linspace(0.0, 2.0, n + 1)
        light, _ = add(rows, 0.5 * (edges[1:] + edges[:-1]), 2.0 / n)
        energies.append(light.sum() * 2.0 / n)
    total = 2.0 * 0.01 * (evaluate(np.array([TAIL]))[1][0] - evaluate(np.array([-1.0]))[1][0])
    assert energies == pytest.approx([total] * 3, rel=1e-11)


def test_an_instant_has_the_value_of_the_template():
    times = np.linspace(-0.02, 0.3, 100)
    assert add([[[0.0, 0.01, 1.0]]], times, 0.0)[0] == pytest.approx(
        template(times / 0.01), abs=1e-13
    )
    assert mean_flare(0.5, 0.5) == pytest.approx(template(0.5), abs=1e-15)


def test_flares_add_in_their_own_samples_and_bands():
    times = np.tile(np.linspace(0.0, 1.0, 200), 2)
    bands = np.tile(np.arange(200) % 2, 2)
    rows = [[[0.2, 0.01, 1.0], [0.0, 0.0, 5.0]], [[0.21, 0.02, 2.0], [0.0, 0.0, 3.0]]]
    light, _ = add(rows, times, 0.001, bands, np.array([1, 1]), np.array([0, 200, 400]))
    assert np.all(light[:200] == 0.0)
    one = add([[[0.2, 0.01, 1.0]]], times[:200], 0.001)[0]
    two = add([[[0.21, 0.02, 1.0]]], times[:200], 0.001)[0]
    expected = np.where(bands[:200] == 0, one + 2.0 * two, 5.0 * one + 3.0 * two)
    assert light[200:] == pytest.approx(expected, rel=1e-13)


def test_exposures_of_different_lengths_are_all_found():
    times = np.linspace(-1.0, 1.0, 41)
    exposures = np.where(np.arange(41) % 2, 0.001, 1.5)
    light, _ = add([[[0.0, 0.001, 1.0]]], times, exposures)
    single = [add([[[0.0, 0.001, 1.0]]], times[i : i + 1], exposures[i])[0][0] for i in range(41)]
    assert np.all(light == single)
    assert np.count_nonzero(light) > 14


def test_observations_are_counted_while_the_flare_is_above_a_hundredth():
    times, fwhm = np.linspace(-1.0, 5.0, 6001), 0.05
    _, counts = add([[[0.0, fwhm, 1.0]], [[100.0, fwhm, 1.0]]], times, 0.01)
    inside = (times + 0.005 >= -fwhm) & (times - 0.005 <= VISIBLE * fwhm)
    assert list(counts) == [np.count_nonzero(inside), 0]
    assert evaluate(np.array([VISIBLE]))[0][0] == pytest.approx(0.01, rel=1e-3)
