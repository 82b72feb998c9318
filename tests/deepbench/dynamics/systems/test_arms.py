"""Pendulums on one arm against elliptic integrals, and what every motion keeps."""

import mpmath
import numpy as np
import pytest
from scipy.special import ellipj, ellipk

from deepbench.dynamics.systems.arms import (
    ARM,
    EXACT,
    LARGEST_TURN,
    LONGEST_STEP,
    SMALL_ANGLE,
    STAGES,
    SYMPLECTIC,
    swing,
    symplectic_steps,
)


def motion(solution, times, *, length=1.3, gravity=9.81, angle=50.0, velocity=0.0):
    """Return angles, rates, places and velocities of one pendulum."""
    arms = np.array([(length, gravity, angle, velocity)], ARM)
    times = np.asarray(times, float)
    angles, rates = np.empty((2, 1, len(times), 1))
    places, velocities = np.empty((2, 1, len(times), 1, 2))
    swing(solution, arms, times, np.zeros(1, int), angles, rates, places, velocities)
    return angles[0, :, 0], rates[0, :, 0], places[0, :, 0], velocities[0, :, 0]


def energy(angles, rates, length=1.3, gravity=9.81):
    """Return the energy over g L m."""
    return rates**2 * length / (2 * gravity) - np.cos(angles)


@pytest.mark.parametrize("angle", [1e-6, 1, 30, 90, 150, 179])
def test_the_angle_is_that_of_elliptic_integrals_after_a_hundred_periods(angle):
    k, w = np.sin(np.radians(angle) / 2), np.sqrt(9.81 / 1.3)
    quarter = ellipk(k * k)
    times = np.linspace(0, 100 * 4 * quarter / w, 4001)
    angles, rates, _, _ = motion(EXACT, times, angle=angle)
    sn, cn, _, _ = ellipj(w * times + quarter, k * k)
    # required; scipy's own phase has the rounding of 600 radian, and at 179° of k
    np.testing.assert_allclose(angles, 2 * np.arcsin(k * sn), rtol=0, atol=1e-9)
    np.testing.assert_allclose(rates, 2 * w * k * cn, rtol=0, atol=4e-9)
    assert np.abs(np.diff(energy(angles, rates))).max() < 1e-10
    change = energy(angles, rates) - energy(angles[0], rates[0])
    assert np.abs(change).max() < 1e-13  # the rounding of angles of some radian


@pytest.mark.parametrize("angle", [-179.0, -20.0, 0.0, 75.0, 160.0, 500.0])
@pytest.mark.parametrize("share", [0, 0.4, 0.999999, 1.000001, 1.5, -0.9, -1.0001, -3])
def test_any_motion_is_that_of_mpmath(angle, share):
    """``share`` is the initial velocity over that of the motion which ends upright."""
    length, gravity = 1.3, 9.81
    with mpmath.workdps(40):
        w = mpmath.sqrt(mpmath.mpf(gravity) / mpmath.mpf(length))
        half = mpmath.mpf(angle) * mpmath.pi / 360
        velocity = float(share * 2 * w * mpmath.cos(half) * 180 / mpmath.pi)
        s, c, y = (
            mpmath.sin(half),
            mpmath.cos(half),
            mpmath.mpf(velocity) * mpmath.pi / 360 / w,
        )
        m = s * s + y * y
        times = np.array([0.0, 0.3, 1.0, 4.0, 21.0, 100.0])
        angles, rates, places, _ = motion(EXACT, times, angle=angle, velocity=velocity)
        for i, time in enumerate(times):
            u = w * mpmath.mpf(float(time))
            if m < 1:
                sn, cn, dn = (mpmath.ellipfun(name, u, m=m) for name in ("sn", "cn", "dn"))
            else:  # the reciprocal parameter (Abramowitz and Stegun 16.11)
                k = mpmath.sqrt(m)
                sn, dn, cn = (mpmath.ellipfun(name, k * u, m=1 / m) for name in ("sn", "cn", "dn"))
                sn /= k
            under = 1 - s * s * sn * sn  # the addition theorems (16.17)
            sine = (s * cn * dn + y * c * sn) / under
            cosine = (c * dn - s * y * sn * cn) / under
            rate = 2 * w * (y * cn - s * c * sn * dn) / under
            theta = 2 * mpmath.atan2(sine, cosine)
            off = (mpmath.mpf(angles[i]) - theta) / (2 * mpmath.pi)
            # near the separatrix, rounding of the start is magnified by 1 / |1 − k²|
            allowed = 1e-12 + 2e-15 / float(abs(1 - m))
            assert abs(off - mpmath.nint(off)) < allowed
            assert abs(rates[i] - rate) < 10 * allowed
            assert abs(places[i, 0] - length * mpmath.sin(theta)) < 10 * allowed


def test_a_pendulum_that_turns_over_goes_on_turning():
    times = np.linspace(0, 30, 3001)
    for side in (1, -1):
        angles, rates, _, _ = motion(EXACT, times, angle=170, velocity=side * 400)
        assert (side * rates > 0).all()
        assert angles[0] == pytest.approx(np.radians(170), abs=1e-15)
        assert np.abs(np.diff(angles)).max() < 0.2  # no jump of a turn
        assert abs(angles[-1]) > 30
        # the angle is the integral of the rate: Simpson's rule, its error that of h⁴
        steps = (rates[:-2:2] + 4 * rates[1:-1:2] + rates[2::2]) * 0.01 / 3
        np.testing.assert_allclose(np.diff(angles[::2]), steps, atol=1e-8)


def test_an_upright_pendulum_at_rest_stays():
    for angle in (180, -180, 540):
        angles, rates, places, velocities = motion(EXACT, np.linspace(0, 100, 11), angle=angle)
        np.testing.assert_array_equal(angles, np.radians(angle))
        np.testing.assert_array_equal(places, [[0, 1.3]] * 11)
        assert not rates.any()
        assert not velocities.any()
    assert not motion(EXACT, [0, 9.0], angle=0)[0].any()


@pytest.mark.parametrize("solution", [EXACT, SMALL_ANGLE, SYMPLECTIC])
def test_small_angles_have_one_motion(solution):
    w, times = np.sqrt(9.81 / 1.3), np.linspace(0, 10, 101)
    angles, rates, _, _ = motion(solution, times, angle=0.01, velocity=0.02)
    start, speed = np.radians(0.01), np.radians(0.02)
    expected = start * np.cos(w * times) + speed / w * np.sin(w * times)
    # the period differs by θ²/16, over 28 radian of phase
    np.testing.assert_allclose(angles, expected, rtol=0, atol=2e-11)
    np.testing.assert_allclose(rates[0], speed, rtol=1e-12)
    if solution == SMALL_ANGLE:
        large = motion(solution, times, angle=100, velocity=200)[0]
        np.testing.assert_allclose(large, 1e4 * expected, rtol=0, atol=1e-13 * 1e4)


@pytest.mark.parametrize("solution", [EXACT, SMALL_ANGLE, SYMPLECTIC])
def test_places_are_on_the_arm_and_velocities_along_it(solution):
    times = np.linspace(0, 5, 51)
    angles, rates, places, velocities = motion(solution, times, angle=140, velocity=60)
    expected = 1.3 * np.column_stack([np.sin(angles), -np.cos(angles)])
    np.testing.assert_allclose(places, expected, rtol=0, atol=3e-15)
    turned = rates[:, None] * places[:, ::-1] * [-1, 1]
    np.testing.assert_allclose(velocities, turned, rtol=0, atol=2e-14)


# --- the symplectic integrator -------------------------------------------------------------------


@pytest.mark.parametrize(("angle", "velocity"), [(10, 0), (90, 0), (175, 0), (100, 400)])
def test_the_symplectic_integrator_keeps_the_energy(angle, velocity):
    times = np.linspace(0, 230, 2001)  # a hundred periods of small angles
    angles, rates, _, _ = motion(SYMPLECTIC, times, angle=angle, velocity=velocity)
    change = energy(angles, rates) - energy(angles[0], rates[0])
    assert np.abs(change).max() < 1e-10  # required
    exact = motion(EXACT, times, angle=angle, velocity=velocity)[0]
    np.testing.assert_allclose(angles, exact, rtol=0, atol=1e-7)


@pytest.mark.parametrize("velocity", [600, 800, 3000, -1e4, 1e5])
def test_the_symplectic_integrator_keeps_the_energy_of_fast_rotation(velocity):
    start = {"length": 1, "gravity": 9.81, "angle": 20, "velocity": velocity}
    angles, rates, _, _ = motion(SYMPLECTIC, np.linspace(0, 10, 101), **start)
    found = energy(angles, rates, 1)
    # 3e-11 g L m of the method; and of the rounding of the rate, some hundred times that of the kinetic energy
    allowed = 3e-11 + 3e-13 * found[0]
    assert np.abs(found - found[0]).max() < allowed
    exact = motion(EXACT, np.linspace(0, 10, 101), **start)[0]
    np.testing.assert_allclose(angles, exact, rtol=1e-12, atol=1e-9)


def test_a_slow_pendulum_has_the_steps_it_had():
    slow = [(1, 9.81, 170, 600), (1, 9.81, 20, -600), (2, 1, 0, 100)]
    fast = [(1, 9.81, 20, 1e4)]
    steps = symplectic_steps(np.array(slow + fast, ARM), 10.0)
    w = np.sqrt([9.81, 9.81, 0.5])
    np.testing.assert_allclose(steps[:3], 10 * w / LONGEST_STEP, rtol=1e-15)
    assert steps[3] == pytest.approx(10 * np.radians(1e4) / LARGEST_TURN, rel=1e-3)


def test_the_composition_has_order_eight():
    assert sum(STAGES) == pytest.approx(1, abs=1e-15)
    assert tuple(reversed(STAGES)) == STAGES
    errors = []
    for steps in (8, 16):
        # gravity and length such that w = 1 and each interval is one step of LONGEST_STEP × 8 / steps
        h = np.longdouble(8.0) / steps
        angle, rate = np.longdouble(1.0), np.longdouble(0.5)
        for _ in range(steps):
            for stage in STAGES:
                half = h * np.longdouble(stage) / 2
                angle += half * rate
                rate -= 2 * half * np.sin(angle)
                angle += half * rate
        exact = motion(
            EXACT, [8.0], length=1, gravity=1, angle=np.degrees(1.0), velocity=np.degrees(0.5)
        )
        errors.append(abs(float(angle) - exact[0][0]))
    assert 2**7 < errors[0] / errors[1] < 2**10
    assert LONGEST_STEP <= 0.1


def test_the_symplectic_integrator_goes_back_the_way_it_came():
    times = np.linspace(0, 20, 41)
    angles, rates, _, _ = motion(SYMPLECTIC, times, angle=120)
    back, _, _, _ = motion(
        SYMPLECTIC, times, angle=np.degrees(angles[-1]), velocity=-np.degrees(rates[-1])
    )
    np.testing.assert_allclose(back, angles[::-1], rtol=0, atol=1e-11)
