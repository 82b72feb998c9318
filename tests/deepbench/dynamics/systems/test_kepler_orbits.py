"""Two bodies against the analytic orbit."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from deepbench.dynamics.systems.kepler_orbits import PAIR, revolve

ELEMENTS = {
    "constant": 4 * np.pi**2,
    "mass_1": 1.2,
    "mass_2": 0.4,
    "a": 1.7,
    "e": 0.6,
    "inclination": 50.0,
    "node": 110.0,
    "argument": 250.0,
    "begin": 0.3,
}


def orbit(times, **changes):
    """Return places and velocities of both bodies, float64[t, 2, 3]."""
    pairs = np.array([tuple((ELEMENTS | changes).values())], PAIR)
    times = np.asarray(times, float)
    places, velocities = np.empty((2, 1, len(times), 2, 3))
    revolve(pairs, times, np.zeros(1, int), places, velocities)
    return places[0], velocities[0]


def period(**changes):
    e = ELEMENTS | changes
    return 2 * np.pi * np.sqrt(e["a"] ** 3 / (e["constant"] * (e["mass_1"] + e["mass_2"])))


@pytest.mark.parametrize("e", [0.0, 1e-9, 0.1, 0.6, 0.97, 0.9999])
@pytest.mark.parametrize("tilt", [0.0, 50.0, 90.0, 170.0])
def test_the_relative_place_is_on_the_analytic_orbit(e, tilt):
    times = np.linspace(0, 7, 41)
    places, _ = orbit(times, e=e, inclination=tilt)
    turned = Rotation.from_euler("ZXZ", [110.0, tilt, 250.0], degrees=True)
    for i, time in enumerate(times):
        mean = (2 * np.pi * (time - 0.3) / period()) % (2 * np.pi)
        anomaly = brentq(lambda x, m=mean: x - e * np.sin(x) - m, 0, 7, xtol=1e-15, rtol=1e-15)
        flat = [np.cos(anomaly) - e, np.sqrt(1 - e * e) * np.sin(anomaly), 0]
        expected = 1.7 * turned.apply(flat)
        # the anomaly's last places over 1 − e: dE = dM / (1 − e cos E)
        error = np.abs(places[i, 1] - places[i, 0] - expected).max()
        assert error < 1e-13 + 2e-14 / (1 - e * np.cos(anomaly))


def test_the_centre_of_mass_rests():
    places, velocities = orbit(np.linspace(0, 5, 33))
    for values in (places, velocities):
        sums = 1.2 * values[:, 0] + 0.4 * values[:, 1]
        np.testing.assert_allclose(sums, 0, atol=1e-14)


def test_energy_and_angular_momentum_are_those_of_the_elements():
    places, velocities = orbit(np.linspace(0, 5, 101))
    x, v = places[:, 1] - places[:, 0], velocities[:, 1] - velocities[:, 0]
    weight = ELEMENTS["constant"] * 1.6
    energy = (v**2).sum(axis=1) / 2 - weight / np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(energy, -weight / (2 * 1.7), rtol=1e-13)
    angular = np.cross(x, v)
    size = np.sqrt(weight * 1.7 * (1 - 0.36))
    tilt, node = np.radians([50.0, 110.0])
    normal = [np.sin(tilt) * np.sin(node), -np.sin(tilt) * np.cos(node), np.cos(tilt)]
    np.testing.assert_allclose(angular, size * np.array(normal) + 0 * angular, rtol=1e-13)


def test_periastron_is_when_and_where_it_should_be():
    places, velocities = orbit([0.3, 0.3 + period() / 2, 0.3 + period(), 0.3 + 1000 * period()])
    apart = np.linalg.norm(places[:, 1] - places[:, 0], axis=1)
    # 1000 periods have the rounding of a time of 1800
    np.testing.assert_allclose(apart, 1.7 * np.array([0.4, 1.6, 0.4, 0.4]), rtol=1e-11)
    assert (velocities[0, 1] * (places[0, 1] - places[0, 0])).sum() == pytest.approx(0, abs=1e-13)
    # the argument is counted from the ascending node: at 0, periastron is the node itself
    places, velocities = orbit([0.3], argument=0.0)
    direction = (places[0, 1] - places[0, 0]) / (1.7 * 0.4)
    expected = [np.cos(np.radians(110)), np.sin(np.radians(110)), 0]
    np.testing.assert_allclose(direction, expected, atol=1e-14)
    assert velocities[0, 1, 2] > 0


def test_the_earth_goes_round_in_a_year():
    places, _ = orbit([0, 1.0], mass_1=1.0, mass_2=0.0, a=1.0)
    np.testing.assert_allclose(places[0], places[1], atol=1e-13)
    assert not places[:, 0].any()


@pytest.mark.parametrize("e", [0.0, 0.5, 0.9])
def test_velocities_are_derivatives_of_places(e):
    h = 1e-4
    times = np.array([0.1, 0.9, 1.6])
    ahead, behind = orbit(times + h, e=e)[0], orbit(times - h, e=e)[0]
    _, velocities = orbit(times, e=e)
    # of central differences: h² / 6 of the third derivative
    np.testing.assert_allclose((ahead - behind) / (2 * h), velocities, rtol=0, atol=2e-5)
