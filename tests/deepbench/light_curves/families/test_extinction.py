"""Milky Way extinction against the dust_extinction package."""

import astropy.units as u
import numpy as np
import pytest
from dust_extinction.parameter_averages import F99

from deepbench.light_curves.families.extinction import extinctions


def test_the_curve_is_fitzpatricks():
    wavelengths = np.concatenate(
        [np.geomspace(100.5, 3300.0, 2000), [270.0, 411.0, 467.0, 547.0, 600.0, 1220.0]]
    )
    expected = 3.1 * F99(Rv=3.1)(wavelengths * u.nm)
    assert extinctions(wavelengths) == pytest.approx(expected, rel=1e-10)


def test_the_excess_between_b_and_v_is_close_to_one():
    blue, visual = extinctions(np.array([440.0, 547.0]))
    assert blue - visual == pytest.approx(1.0, abs=0.07)  # at single wavelengths, not in the bands
    assert visual == pytest.approx(3.1, abs=0.1)


def test_extinction_vanishes_in_the_far_infrared():
    assert 0.0 < extinctions(np.array([1e5]))[0] < 0.01
