"""The motion of each kind of system: from the labels of some samples to places, velocities, angles and momenta."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepbench.dynamics.systems import pendulums
from deepbench.dynamics.systems.equations import DOUBLE, DRIVEN, GRAVITY
from deepbench.dynamics.systems.integrators import (
    ENERGY_CHANGED,
    MAXIMUM_STEPS,
    NOT_FINITE,
    TOO_MANY_STEPS,
    follow,
)
from deepbench.dynamics.systems.orbits import revolve
from deepbench.dynamics.systems.pendulums import RADIAN
from deepbench.dynamics.systems.systems import body_names
from deepbench.numerics.mathfast import cos, sin

if TYPE_CHECKING:
    from deepbench.dynamics.systems.moved import Moved

NEWTON = 6.6743e-11
"""Gravitational constant in m³ / (kg s²), CODATA 2018 (Tiesinga et al. 2021, Rev. Mod. Phys. 93, 025010)."""

ASTRONOMICAL = 39.47841760435743
"""The same in au³ / (solar mass yr²), 4π²: a body without mass goes round the Sun at 1 au in a year."""

SOLUTIONS = {"exact": pendulums.EXACT, "small_angle": pendulums.SMALL_ANGLE}

TOO_MANY = f"takes too many steps; {MAXIMUM_STEPS:,} are allowed"
BEYOND = "its values are too large or too small for float64; narrow the priors"

CLOSE = (
    "bodies come too close to each other, or the duration is too long; "
    "narrow the priors, shorten the duration, or soften the gravity of bodies"
)
BUSY = {
    DRIVEN: (
        "its friction, its torque or its rotation is too fast for the duration; narrow the priors of damping, "
        "drive_amplitude, drive_frequency, angular_velocity, gravity or length, or shorten the duration"
    ),
    DOUBLE: (
        "its arms turn too fast for the duration; narrow the priors of the angular velocities, of gravity, and of "
        "lengths and masses that differ much, or shorten the duration"
    ),
    GRAVITY: CLOSE,
}
"""Why a motion takes too many steps, by its equations."""

Floats = NDArray[np.float64]
Arrays = dict[str, Floats]
"""The variables that are wanted, of all samples: ``position`` and ``velocity``, float64[n, t, bodies, axes]; ``q``,
``p``, ``dq_dt`` and ``dp_dt``, float64[n, t, degrees]."""


def move(moved: Moved, times: Floats, arrays: Arrays) -> Floats | None:
    """Write the motion of some samples of one class into their rows, for the bodies that the system has.

    Whether it is finite is not looked at.

    Parameters
    ----------
    moved : Moved
        The k samples.
    times : float64[t]
    arrays : Arrays
        Written.

    Returns
    -------
    float64[k] or None
        Of a chaotic system, the logarithm by which a small difference grew.

    Raises
    ------
    LabelError
        A value with its error leaves its range, or a motion cannot be followed accurately.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the caller refuses it
        return MOTIONS[moved.kind](moved, times, arrays)


def _places(arrays: Arrays, count: int, times: Floats, axes: int) -> tuple[Floats, Floats]:
    """Return the arrays of places and velocities; one that is not wanted has room for no body."""
    nowhere = np.empty((count, len(times), 0, axes))
    return arrays.get("position", nowhere), arrays.get("velocity", nowhere)


def _gravity(moved: Moved) -> Floats:
    """Return the gravitational acceleration in m/s²; g = G M / r² on a planet."""
    if "gravity" in moved:
        return moved.true("gravity")
    radius = moved.true("planet_radius")
    return NEWTON * moved.true("planet_mass") / (radius * radius)


# pendulums


def _swing(moved: Moved, times: Floats, arrays: Arrays) -> None:
    """Write the motion of pendulums on one arm that nothing drives."""
    solution = SOLUTIONS.get(getattr(moved.system, "solution", ""), pendulums.SYMPLECTIC)
    length, gravity = moved.true("length"), _gravity(moved)
    parameters = np.column_stack(
        [length, gravity, moved.true("angle"), moved.true("angular_velocity")]
    )
    if solution == pendulums.SYMPLECTIC:
        _check_steps(moved, pendulums.symplectic_steps(parameters, times[-1]))
    positions, velocities = _places(arrays, len(moved.labels), times, 2)
    canonical = arrays.keys() - {"position", "velocity"}
    angles = np.empty((len(moved), len(times), 1 if canonical else 0))
    rates = np.empty_like(angles)
    pendulums.swing(solution, parameters, times, moved.rows, angles, rates, positions, velocities)
    if canonical:
        mass = moved.true("mass")
        fall = angles if solution == pendulums.SMALL_ANGLE else sin(angles)
        forces = -_column(mass * gravity * length) * fall
        momenta = _column(mass * length * length) * rates
        _write_canonical(moved, arrays, angles, rates, momenta, forces)


def _check_steps(moved: Moved, steps: Floats) -> None:
    """Refuse pendulums that need too many steps of one length."""
    far = np.flatnonzero(~(steps <= MAXIMUM_STEPS))
    if far.size:
        raise moved.refusal(
            int(far[0]),
            f"the motion of '{moved.name}' {TOO_MANY}, and it needs {steps[far[0]]:.3g}: it swings or turns too often; "
            "shorten the duration, or narrow the priors of angular_velocity, gravity or length",
        )


def _swing_driven(moved: Moved, times: Floats, arrays: Arrays) -> Floats:
    """Write the motion of pendulums with friction and a periodic torque."""
    length, gravity, damping = moved.true("length"), _gravity(moved), moved.true("damping")
    amplitude, phase = moved.true("drive_amplitude"), RADIAN * moved.true("drive_phase")
    pace, stiffness = 2.0 * np.pi * moved.true("drive_frequency"), gravity / length
    parameters = np.column_stack([stiffness, damping, amplitude, pace, phase])
    starts = RADIAN * np.column_stack([moved.true("angle"), moved.true("angular_velocity")])
    floors = np.column_stack([np.ones(len(moved)), np.sqrt(stiffness)])
    states, growths = _followed(DRIVEN, moved, parameters, starts, floors, times)
    angles, rates = states[..., :1], states[..., 1:]
    positions, velocities = _places(arrays, len(moved.labels), times, 2)
    pendulums.hang_all(length[:, None], angles, rates, moved.rows, positions, velocities)
    if arrays.keys() - {"position", "velocity"}:
        inertia = _column(moved.true("mass") * length * length)
        torque = _column(amplitude) * cos(_column(pace) * times[:, None] + _column(phase))
        forces = _column(stiffness) * (torque - sin(angles)) - _column(damping) * rates
        _write_canonical(moved, arrays, angles, rates, inertia * rates, inertia * forces)
    return growths


def _swing_double(moved: Moved, times: Floats, arrays: Arrays) -> Floats:
    """Write the motion of double pendulums."""
    names = ("length_1", "length_2", "mass_1", "mass_2")
    parameters = np.column_stack([*(moved.true(name) for name in names), _gravity(moved)])
    names = ("angle_1", "angle_2", "angular_velocity_1", "angular_velocity_2")
    starts = RADIAN * np.column_stack([moved.true(name) for name in names])
    rates = np.sqrt(parameters[:, 4:] / parameters[:, :2])
    floors = np.column_stack([np.ones_like(rates), rates])
    states, growths = _followed(DOUBLE, moved, parameters, starts, floors, times)
    angles, rates = states[..., :2], states[..., 2:]
    positions, velocities = _places(arrays, len(moved.labels), times, 2)
    pendulums.hang_all(parameters[:, :2], angles, rates, moved.rows, positions, velocities)
    if arrays.keys() - {"position", "velocity"}:
        l1, l2, m1, m2, g = (each[:, None] for each in parameters.T)
        q1, q2, r1, r2 = (states[..., each] for each in range(4))
        total, shared = m1 + m2, m2 * l1 * l2
        mixed, twist = shared * cos(q1 - q2), shared * sin(q1 - q2) * r1 * r2
        momenta = (total * l1 * l1 * r1 + mixed * r2, m2 * l2 * l2 * r2 + mixed * r1)
        forces = (-twist - total * g * l1 * sin(q1), twist - m2 * g * l2 * sin(q2))
        own = np.stack(momenta, axis=-1), np.stack(forces, axis=-1)
        _write_canonical(moved, arrays, angles, rates, *own)
    return growths


def _column(values: Floats) -> Floats:
    return values[:, None, None]


def _write_canonical(
    moved: Moved, arrays: Arrays, angles: Floats, rates: Floats, momenta: Floats, forces: Floats
) -> None:
    """Write the canonical variables that are wanted, each float64[k, t, degrees]."""
    degrees = angles.shape[2]
    found = {"q": angles, "p": momenta, "dq_dt": rates, "dp_dt": forces}
    for name in arrays.keys() & found.keys():
        arrays[name][moved.rows, :, :degrees] = found[name]


# orbits


def _constant(moved: Moved) -> float:
    """Return the gravitational constant in the units of the orbits."""
    system: Any = moved.system
    return ASTRONOMICAL if system.units == "astronomical" else 1.0


def _revolve(moved: Moved, times: Floats, arrays: Arrays) -> None:
    """Write the motion of two bodies."""
    names = (
        *("mass_1", "mass_2", "semi_major_axis", "eccentricity", "inclination"),
        *("longitude_of_ascending_node", "argument_of_periastron", "time_of_periastron"),
    )
    constant = np.full(len(moved), _constant(moved))
    parameters = np.column_stack([constant, *(moved.true(name) for name in names)])
    revolve(parameters, times, moved.rows, *_places(arrays, len(moved.labels), times, 3))


def _attract(moved: Moved, times: Floats, arrays: Arrays) -> Floats:
    """Write the motion of a few bodies."""
    system: Any = moved.system
    names, constant = body_names(system.bodies), _constant(moved)
    masses = np.column_stack([moved.of_body(name, "mass") for name in names])
    starts = np.column_stack(
        [
            moved.of_body(name, f"{kind}{axis}")
            for kind in ("", "v")
            for name in names
            for axis in "xyz"
        ]
    )
    count, places = len(names), 3 * len(names)
    weight, square = np.zeros(len(moved)), np.zeros(len(moved))
    for body in range(count):
        weight += constant * masses[:, body]
        for axis in range(3):
            own = starts[:, 3 * body + axis] - starts[:, axis]
            square += own * own
    width = np.sqrt(square / count)  # how far the bodies are from the first one
    empty = np.flatnonzero((width == 0.0) | (weight == 0.0))
    if empty.size:
        raise moved.refusal(int(empty[0]), "its bodies are all in one place, or have no mass")
    far = np.flatnonzero(~np.isfinite(width) | ~np.isfinite(weight))
    if far.size:
        raise moved.refusal(
            int(far[0]),
            f"the bodies of '{moved.name}' are too far apart, or too heavy: squares of distances, and sums of masses, "
            "must stay below 1.8e308; narrow the priors",
        )
    floors = np.repeat(np.column_stack([width, np.sqrt(weight / width)]), places, axis=1)
    softening = moved.true("softening")
    parameters = np.column_stack([np.full(len(moved), constant), softening, masses])
    states, growths = _followed(GRAVITY, moved, parameters, starts, floors, times)
    shape = len(moved), len(times), count, 3
    for name, part in (("position", slice(places)), ("velocity", slice(places, None))):
        if name in arrays:
            arrays[name][moved.rows, :, :count] = states[..., part].reshape(shape)
    return growths


# what is integrated


def _followed(
    code: int,
    moved: Moved,
    parameters: Floats,
    starts: Floats,
    floors: Floats,
    times: Floats,
) -> tuple[Floats, Floats]:
    """Return the states at the times, and the logarithms by which differences grew.

    Raises
    ------
    LabelError
        A motion cannot be followed accurately.
    """
    results = np.empty((len(moved), len(times), starts.shape[1]))
    growths, ends = np.empty(len(moved)), np.empty(len(moved), np.int64)
    follow(code, parameters, starts, floors, times, results, growths, ends)
    bad = np.flatnonzero(ends)
    if bad.size:
        reasons = {
            TOO_MANY_STEPS: f"{TOO_MANY}: {BUSY[code]}",
            ENERGY_CHANGED: f"does not keep its energy: {CLOSE}",
            NOT_FINITE: f"cannot be computed: {BEYOND}",
        }
        raise moved.refusal(
            int(bad[0]), f"the motion of '{moved.name}' {reasons[int(ends[bad[0]])]}"
        )
    return results, growths


MOTIONS: dict[str, Callable[[Moved, Floats, Arrays], Floats | None]] = {
    "pendulum": _swing,
    "hamiltonian_pendulum": _swing,
    "driven_pendulum": _swing_driven,
    "double_pendulum": _swing_double,
    "two_body": _revolve,
    "few_body": _attract,
}
"""What writes the motion of each kind of system."""
