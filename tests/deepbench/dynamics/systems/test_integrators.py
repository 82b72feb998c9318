"""What is integrated, against extended precision, against what is conserved, and against neighbours."""

import numpy as np
import pytest

from deepbench.dynamics.systems.gravity_equations import ATTRACTION, follow_gravity
from deepbench.dynamics.systems.integrators import DONE, TOO_MANY_STEPS
from deepbench.dynamics.systems.pendulum_equations import (
    DOUBLE,
    DRIVEN,
    follow_double,
    follow_driven,
)
from tests.reference.extrapolation import follow as reference

EXTENDED = np.finfo(np.longdouble).eps < 1e-18
extended = pytest.mark.skipif(not EXTENDED, reason="longdouble is float64 here")
TIMES = np.linspace(0, 6, 25)


def integrate(follow, parameters, start, times=TIMES, floors=None):
    """Return states, the logarithm of the growth, and what became of the motion."""
    if follow is follow_gravity:
        row = np.zeros(1, ATTRACTION)
        row["constant"], row["softening"], *masses = parameters
        row["masses"][0, : len(masses)] = masses
    else:
        row = np.array([tuple(parameters)], DRIVEN if follow is follow_driven else DOUBLE)
    start = np.asarray(start, float)[None]
    floors = np.ones_like(start) if floors is None else np.asarray(floors, float)[None]
    times = np.asarray(times, float)
    results = np.empty((1, len(times), start.shape[1]))
    growths, ends = np.empty(1), np.empty(1, np.int64)
    follow(row, start, floors, times, results, growths, ends)
    return results[0], growths[0], ends[0]


# --- pendulums -----------------------------------------------------------------------------------


def driven(stiffness, damping, amplitude, pace, phase):
    def derivative(t, y):
        force = stiffness * (amplitude * np.cos(pace * t + phase) - np.sin(y[0]))
        return np.array([y[1], force - damping * y[1]])

    return derivative


def double(l1, l2, m1, m2, g):
    """Return the equations as textbooks solve them, with the sine of θ₁ − 2 θ₂ and the cosine of 2 θ₁ − 2 θ₂."""

    def derivative(_, y):
        a, b, u, v = y
        s, c, under = np.sin(a - b), np.cos(a - b), 2 * m1 + m2 - m2 * np.cos(2 * a - 2 * b)
        first = -g * (2 * m1 + m2) * np.sin(a) - m2 * g * np.sin(a - 2 * b)
        first -= 2 * s * m2 * (v * v * l2 + u * u * l1 * c)
        second = u * u * l1 * (m1 + m2) + g * (m1 + m2) * np.cos(a) + v * v * l2 * m2 * c
        return np.array([u, v, first / (l1 * under), 2 * s * second / (l2 * under)])

    return derivative


@extended
@pytest.mark.parametrize(
    "parameters",
    [
        (9.81, 0.0, 0.0, 0.0, 0.0),
        (9.81, 1.5, 0.0, 0.0, 0.0),
        (4.0, 0.1, 0.7, 1.3, 0.4),
        (9.0, 1.5, 1.15, 2.0, 2.0),
    ],
)
@pytest.mark.parametrize("start", [(0.3, 0.0), (2.8, -1.0), (-1.0, 9.0)])
def test_driven_and_damped_pendulums_are_those_of_extended_precision(parameters, start):
    states, growth, end = integrate(
        follow_driven, parameters, start, floors=(1, parameters[0] ** 0.5)
    )
    expected = reference(driven(*map(np.longdouble, parameters)), start, TIMES, 0.1)
    assert end == DONE
    assert growth < 10
    np.testing.assert_allclose(states, expected.astype(float), rtol=0, atol=1e-8)  # required
    # tolerance 1e-14 of some hundred steps, magnified by the growth
    assert np.abs(states - expected).max() < 1e-11 * np.exp(max(growth, 0))


@extended
@pytest.mark.parametrize("angles", [(0.5, 0.7), (1.5, -0.4), (2.0, 2.0), (3.0, 2.9)])
@pytest.mark.parametrize("parameters", [(1, 1, 1, 1, 9.81), (0.7, 1.4, 2.0, 0.3, 3.7)])
def test_a_double_pendulum_is_that_of_extended_precision(angles, parameters):
    start = (*angles, 0.3, -0.5)
    pace = np.sqrt(parameters[4] / np.array(parameters[:2]))
    states, growth, end = integrate(follow_double, parameters, start, TIMES[:17], (1, 1, *pace))
    expected = reference(double(*map(np.longdouble, parameters)), start, TIMES[:17], 0.02)
    assert end == DONE
    assert growth < 10
    assert np.abs(states - expected).max() < 1e-8  # required
    l1, l2, m1, m2, g = parameters
    a, b, u, v = states.T
    kinetic = 0.5 * (m1 + m2) * (l1 * u) ** 2 + 0.5 * m2 * (l2 * v) ** 2
    kinetic += m2 * l1 * l2 * u * v * np.cos(a - b)
    energy = kinetic - (m1 + m2) * g * l1 * np.cos(a) - m2 * g * l2 * np.cos(b)
    assert np.abs(energy - energy[0]).max() < 1e-11 * (m1 + m2) * g * (l1 + l2)


@pytest.mark.parametrize(
    ("follow", "parameters", "start", "moved"),
    [
        (follow_driven, (9.0, 0.5, 1.15, 2.0, 0.3), (1.0, 0.0), (1, 0)),
        (follow_double, (0.7, 1.2, 1.0, 0.4, 9.81), (2.0, 1.0, 0.5, 0.0), (1, 1, 0, 0)),
        (
            follow_gravity,
            (1.0, 0.05, 1.0, 0.7, 0.4),
            (1, 0, 0.1, -0.5, 0.8, 0, -0.6, -0.9, 0.2, 0, 0.3, 0, -0.2, 0, 0, 0.1, -0.2, 0.1),
            (1, 1, 1, 1 / 2, 1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3, *[0] * 9),
        ),
    ],
)
def test_the_growth_is_that_of_a_neighbour(follow, parameters, start, moved):
    times = np.linspace(0, 3, 13)
    floors = np.full(len(start), 1.3)
    _, growth, _ = integrate(follow, parameters, start, times, floors)
    direction = np.array(moved) / np.linalg.norm(moved)
    size = 1e-7
    after = integrate(follow, parameters, start + size * 1.3 * direction, times, floors)[0]
    before = integrate(follow, parameters, start - size * 1.3 * direction, times, floors)[0]
    found = np.linalg.norm((after - before)[-1] / 1.3) / (2 * size)
    # central differences err by size² and by 1e-13 / size
    assert growth == pytest.approx(np.log(found), abs=1e-5)
    few = integrate(follow, parameters, start, times[[0, -1]], floors)[1]
    assert few == pytest.approx(
        growth, abs=1e-9
    )  # however often the difference is made small again


def test_a_point_at_rest_stays_and_friction_brings_others_to_it():
    states, growth, end = integrate(follow_driven, (9.0, 0.5, 0, 0, 0), (0, 0))
    assert end == DONE
    assert not states.any()
    assert growth < 0
    states, _, _ = integrate(follow_driven, (9.0, 2.0, 0, 0, 0), (2.5, 0), [0, 40.0])
    assert np.abs(states[-1]).max() < 1e-12


# --- gravity -------------------------------------------------------------------------------------

EIGHT = (
    *(0.97000436, -0.24308753, 0, -0.97000436, 0.24308753, 0, 0, 0, 0),
    *(0.466203685, 0.43236573, 0, 0.466203685, 0.43236573, 0, -0.93240737, -0.86473146, 0),
)
PERIOD = 6.32591398
"""The figure-eight of Chenciner and Montgomery (2000, Ann. Math. 152, 881), as Simó computed it."""

RANDOM = np.random.default_rng(3).normal(size=(2, 4, 3))


def unpacked(states):
    n = states.shape[1] // 6
    return states[:, : 3 * n].reshape(-1, n, 3), states[:, 3 * n :].reshape(-1, n, 3)


def invariants(states, masses, softening=0.0):
    """Return energy, momentum and angular momentum at each time."""
    x, v = unpacked(states)
    m = np.array(masses)
    energy = 0.5 * (m * (v**2).sum(axis=2)).sum(axis=1)
    for i in range(len(m)):
        for j in range(i):
            square = ((x[:, i] - x[:, j]) ** 2).sum(axis=1) + softening**2
            energy -= m[i] * m[j] / np.sqrt(square)
    momentum = (m[:, None] * v).sum(axis=1)
    return energy, momentum, (m[:, None] * np.cross(x, v)).sum(axis=1)


@pytest.mark.parametrize("softening", [0.0, 0.2])
def test_energy_momentum_and_angular_momentum_are_kept(softening):
    masses = (1.0, 0.5, 2.0, 0.0)
    start = np.concatenate([2 * RANDOM[0].ravel(), 0.3 * RANDOM[1].ravel()])
    states, _, end = integrate(
        follow_gravity, (1.0, softening, *masses), start, np.linspace(0, 5, 51)
    )
    assert end == DONE
    energy, momentum, angular = invariants(states, masses, softening)
    # tolerance 1e-14 of a few hundred steps
    np.testing.assert_allclose(energy, energy[0], rtol=0, atol=1e-11)
    np.testing.assert_allclose(momentum, momentum[0] + 0 * momentum, rtol=0, atol=1e-12)
    np.testing.assert_allclose(angular, angular[0] + 0 * angular, rtol=0, atol=1e-11)


def test_motions_go_back_the_way_they_came():
    masses, times = (1.0, 0.5, 2.0), np.linspace(0, 4, 9)
    start = np.concatenate([2 * RANDOM[0, :3].ravel(), 0.3 * RANDOM[1, :3].ravel()])
    there, growth, _ = integrate(follow_gravity, (1.0, 0.0, *masses), start, times)
    turned = there[-1] * np.repeat([1, -1], 9)
    back, _, _ = integrate(follow_gravity, (1.0, 0.0, *masses), turned, times)
    difference = back[::-1] * np.repeat([1, -1], 9) - there
    assert np.abs(difference).max() < 1e-11 * np.exp(max(growth, 0))


def test_the_figure_eight_closes():
    states, _, _ = integrate(
        follow_gravity, (1, 0, 1, 1, 1), EIGHT, np.linspace(0, PERIOD, 4), np.ones(18)
    )
    # the starting point is known to eight digits
    np.testing.assert_allclose(states[-1], EIGHT, rtol=0, atol=1e-7)
    x, _ = unpacked(states)
    for third in (1, 2):  # after a third of the period each body is where another one was
        places = {tuple(np.round(place, 6) + 0.0) for place in x[third]}
        assert places == {tuple(np.round(place, 6) + 0.0) for place in x[0]}
    energy, momentum, angular = invariants(states, (1, 1, 1))
    assert np.abs(energy - energy[0]).max() < 1e-12
    assert np.abs(momentum).max() < 1e-9
    assert np.abs(angular).max() < 1e-9


@extended
def test_gravity_is_that_of_extended_precision():
    masses = np.array([1.0, 0.5, 2.0])

    def derivative(_, y):
        x, v = y[:9].reshape(3, 3), y[9:]
        apart = x[None] - x[:, None]
        cube = ((apart**2).sum(axis=2) + np.longdouble(0.1) ** 2) ** np.longdouble(1.5)
        pull = (masses[None, :, None] * apart / cube[..., None]).sum(axis=1)
        return np.concatenate([v, pull.ravel()])

    start = np.concatenate([2 * RANDOM[0, :3].ravel(), 0.3 * RANDOM[1, :3].ravel()])
    times = np.linspace(0, 4, 9)
    states, growth, _ = integrate(follow_gravity, (1.0, 0.1, *masses), start, times)
    expected = reference(derivative, start, times, 0.0125)
    assert np.abs(states - expected).max() < 1e-11 * np.exp(max(growth, 0))


def test_a_collision_ends():
    start = [1, 0, 0, -1, 0, 0, *[0] * 6]
    _, _, end = integrate(follow_gravity, (1, 0, 1, 1), start, [0, 5.0])
    assert end == TOO_MANY_STEPS
