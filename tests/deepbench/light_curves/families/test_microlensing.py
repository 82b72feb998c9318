"""Microlensing: known magnifications, limits, symmetry, and blending."""

import numpy as np
import pytest

from deepbench.light_curves.families.microlensing import MICROLENSING, Microlensing
from deepbench.light_curves.families.microlensing_kernels import (
    count_microlensing,
    multiply_microlensing,
)


def records(rows):
    return np.array([[tuple(row) for row in of_bands] for of_bands in rows], MICROLENSING)


def light(rows, times, bands=None):
    factors = np.ones(times.size)
    bands = np.zeros(times.size, np.int8) if bands is None else np.asarray(bands, np.int8)
    rows = records(rows)
    multiply_microlensing(
        rows, np.zeros(len(rows), int), np.array([0, times.size]), times, bands, factors
    )
    return factors


def images(u):
    """Return the summed magnification of the two images of a point lens, from the lens equation y = x − 1 / x."""
    x = 0.5 * (u + np.array([1.0, -1.0])[:, None] * np.sqrt(u * u + 4.0))
    return np.abs(1.0 / (1.0 - x**-4)).sum(axis=0)


def test_the_magnification_is_that_of_the_two_images():
    times = np.linspace(-80.0, 90.0, 1001)
    u = np.hypot(0.2, (times - 3.0) / 20.0)
    assert light([[[3.0, 20.0, 0.2, 1.0]]], times) == pytest.approx(images(u), rel=1e-12)


def test_known_values():
    at = np.array([0.0])
    assert light([[[0.0, 20.0, 1.0, 1.0]]], at)[0] == pytest.approx(
        3.0 / np.sqrt(5.0), rel=1e-15
    )  # 1.3416
    assert light([[[0.0, 20.0, 1e-3, 1.0]]], at)[0] == pytest.approx(1000.0, rel=1e-6)  # 1 / u
    far = light([[[0.0, 1.0, 0.1, 1.0]]], np.array([100.0]))[0]
    assert far - 1.0 == pytest.approx(2e-8, rel=1e-2)  # 2 / u⁴


def test_the_curve_is_symmetric_and_highest_at_the_peak():
    times = np.linspace(-50.0, 50.0, 2001)
    m = light([[[0.0, 15.0, 0.4, 0.7]]], times)
    assert m == pytest.approx(m[::-1], rel=1e-13)
    assert m.argmax() == 1000
    assert np.all(np.diff(m[:1001]) > 0.0)


def test_blended_light_is_not_magnified_and_bands_differ():
    times, bands = np.linspace(-50.0, 50.0, 200), np.arange(200) % 2
    rows = [[[0.0, 15.0, 0.4, 0.7], [0.0, 0.0, 0.0, 0.2]]]
    A = light([[[0.0, 15.0, 0.4, 1.0]]], times)
    f = np.where(bands == 0, 0.7, 0.2)
    assert light(rows, times, bands) == pytest.approx(f * A + 1.0 - f, rel=1e-14)
    assert np.all(light([[[0.0, 15.0, 0.4, 0.0]]], times) == 1.0)


def test_the_event_is_counted_within_one_einstein_radius():
    times, exposures = np.linspace(-50.0, 50.0, 1001), np.full(1001, 0.02)
    rows = records([[[0.0, 15.0, 0.6, 1.0]], [[0.0, 15.0, 1.2, 1.0]], [[500.0, 15.0, 0.1, 1.0]]])
    counts = np.empty(3, np.int64)
    count_microlensing(
        rows, np.zeros(3, int), np.array([0, 1001]), times, exposures, np.ones(1001, int), counts
    )
    assert list(counts) == [241, 0, 0]  # |t| ≤ 12 + 0.01


def test_the_fastest_rate_is_the_crossing_of_the_peak():
    rows = records([[[0.0, 20.0, 0.1, 1.0]], [[0.0, 20.0, 3.0, 1.0]]])
    any_event = Microlensing(peak_time=0, einstein_time=1, impact_parameter=1)
    assert any_event.fastest(rows) == pytest.approx([0.5, 0.05])
