"""Pendulums on one arm: the exact motion, that of small angles, and a symplectic integrator.

With w² = g / L and the energy k² = sin²(θ₀/2) + (θ₀′ / 2w)², the motion θ″ = −w² sin θ is

    k < 1 (swinging)       sin(θ/2) = k sn(wt + u₀ | k²),    cos(θ/2) = dn,   θ′ = 2wk cn
    k > 1 (turning over)   sin(θ/2) = ± sn(kwt + u₀ | k⁻²),  cos(θ/2) = cn,   θ′ = ± 2wk dn

(Abramowitz and Stegun 1964, 16.1 and 17.1). The angle of a pendulum that turns over goes on growing.
"""

from __future__ import annotations

import numpy as np

from deepbench.dynamics.systems.system import RADIAN
from deepbench.numerics.elliptic_functions import LEVELS, TWO_PI, incomplete, jacobi, landen
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import atan2_64, sin64, sincos64, sincosd64

ARM = np.dtype(
    [
        ("length", np.float64),
        ("gravity", np.float64),
        ("angle_degrees", np.float64),
        ("angular_velocity_degrees", np.float64),
    ]
)
"""Row of a pendulum on one arm: metres and m/s², positive; degrees and degrees per second at time 0."""

STAGES = (
    0.13020248308889008, 0.56116298177510838, -0.38947496264484729, 0.15884190655515560,
    -0.39590389413323757, 0.18453964097831570, 0.25837438768632205, 0.29501172360931030,
    -0.60550853383003451, 0.29501172360931030, 0.25837438768632205, 0.18453964097831570,
    -0.39590389413323757, 0.15884190655515560, -0.38947496264484729, 0.56116298177510838,
    0.13020248308889008,
)  # fmt: skip
"""Fractions of a step of Kahan and Li's composition of order 8 (1997, Math. Comp. 66, 1089; table 2, s17odr8a)."""

LONGEST_STEP = 0.1
"""Steps of the symplectic integrator are at most this times 1 / w, for an energy error far below 1e-10 g L m."""

LARGEST_TURN = 0.4
"""Radian by which a pendulum may turn in such a step; twice as much errs by 3e-10 g L m."""


EXACT, SMALL_ANGLE, SYMPLECTIC = 0, 1, 2
"""Codes of the ways to find the motion of a pendulum."""


@inline
def _exact(w, angle, velocity, times, need_angles, angles, rates, sines, cosines, moduli, work):
    """Write the exact motion of one pendulum; angle and velocity at time 0 are in degrees."""
    turns = np.rint(angle / 360.0)
    s, c = sincosd64(0.5 * (angle - 360.0 * turns))
    y = 0.5 * velocity * RADIAN / w
    if y == 0.0 and c == 0.0:  # upright at rest: it stays
        angles[:], rates[:], sines[:], cosines[:] = angle * RADIAN, 0.0, 0.0, -1.0
        return
    k = np.sqrt(s * s + y * y)
    excess = (abs(y) - c) * (abs(y) + c)  # k² − 1
    turning = excess > 0.0
    side = -1.0 if turning and y < 0.0 else 1.0
    complement = np.sqrt(excess) / k if turning else np.sqrt(-excess)
    pace = k * w if turning else w
    amplitude = side * 0.5 * (angle - 360.0 * turns) * RADIAN if turning else atan2_64(s, y)
    count, mean = landen(complement, moduli)
    start, pace = mean * incomplete(amplitude, complement), mean * pace
    phases, deltas = work[0], work[1]
    for j in range(times.size):
        phases[j] = start + pace * times[j]
    for j in range(times.size):
        sines[j], cosines[j] = sincos64(phases[j])
    jacobi(count, moduli, sines, cosines, deltas)
    if turning:
        for j in range(times.size):
            rates[j] = side * 2.0 * w * k * deltas[j]
    else:
        for j in range(times.size):
            rates[j] = 2.0 * w * k * cosines[j]
            sines[j], cosines[j] = k * sines[j], deltas[j]
    if need_angles:
        for j in range(times.size):
            half = atan2_64(sines[j], cosines[j])
            half += TWO_PI * np.rint((phases[j] - half) / TWO_PI) if turning else 0.0
            angles[j] = side * 2.0 * half + TWO_PI * turns
    for j in range(times.size):
        s, c = sines[j], cosines[j]
        sines[j], cosines[j] = side * 2.0 * s * c, (c - s) * (c + s)


@inline
def _small_angle(w, angle, velocity, times, angles, rates):
    """Write the motion θ″ = −w² θ of one pendulum."""
    begin, ratio = angle * RADIAN, velocity * RADIAN / w
    for j in range(times.size):
        s, c = sincos64(w * times[j])
        angles[j] = begin * c + ratio * s
        rates[j] = w * (ratio * c - begin * s)


@inline
def _step(angle, rate, h):
    """Return angle and rate after a step h of θ″ = −sin θ: drift, kick, drift of each stage."""
    drift = 0.5 * h * STAGES[0]
    for stage in range(len(STAGES)):
        angle += drift * rate
        rate -= h * STAGES[stage] * sin64(angle)
        after = STAGES[stage + 1] if stage + 1 < len(STAGES) else 0.0
        drift = 0.5 * h * (STAGES[stage] + after)
    return angle + drift * rate, rate


@inline
def _longest_step(w, velocity):
    """Return the longest step of a motion, over 1 / w; its energy allows no faster θ′ than √(θ₀′² + 4 w²)."""
    rate = velocity * RADIAN / w
    return min(LONGEST_STEP, LARGEST_TURN / np.sqrt(rate * rate + 4.0))


@inline
def _symplectic(w, angle, velocity, times, angles, rates):
    """Write the motion of one pendulum by steps that keep areas in phase space."""
    longest = _longest_step(w, velocity)
    angle, rate, before = angle * RADIAN, velocity * RADIAN / w, 0.0
    for j in range(times.size):
        span = w * (times[j] - before)
        before = times[j]
        steps = int(np.ceil(span / longest))
        for _ in range(steps):
            angle, rate = _step(angle, rate, span / steps)
        angles[j] = angle
        rates[j] = w * rate


@inline
def hang(lengths, sines, cosines, rates, position, velocity):
    """Write where the bobs of a chain of arms are; each arm hangs from the bob of the one before.

    Parameters
    ----------
    lengths : float64[d]
        Metres.
    sines, cosines, rates : float64[d, t]
        Sines and cosines of the arms' angles from straight down, and their rates in radian per second.
    position, velocity : float64[t, bodies, 2]
        Bodies 0 … d − 1 are written, in metres and metres per second; an array without bodies is left alone.
    """
    arms, steps = sines.shape
    for arm in range(arms):
        length, sine, cosine, rate = lengths[arm], sines[arm], cosines[arm], rates[arm]
        if position.shape[1] > 0:
            for j in range(steps):
                position[j, arm, 0] = length * sine[j]
                position[j, arm, 1] = -length * cosine[j]
            if arm > 0:
                position[:, arm] += position[:, arm - 1]
        if velocity.shape[1] > 0:
            for j in range(steps):
                velocity[j, arm, 0] = length * rate[j] * cosine[j]
                velocity[j, arm, 1] = length * rate[j] * sine[j]
            if arm > 0:
                velocity[:, arm] += velocity[:, arm - 1]


@kernel
def symplectic_steps(arms, duration):
    """Return how many steps the symplectic integrator needs for pendulums, ARM[n]; float64[n]."""
    steps = np.empty(len(arms))
    for i in range(steps.size):
        w = np.sqrt(arms[i].gravity / arms[i].length)
        steps[i] = w * duration / _longest_step(w, arms[i].angular_velocity_degrees)
    return steps


@kernel
def swing(solution, arms, times, rows, result_angles, result_rates, positions, velocities):
    """Write the motion of pendulums on one arm.

    Parameters
    ----------
    solution : int
        EXACT, SMALL_ANGLE or SYMPLECTIC.
    arms : ARM[n]
    times : float64[t]
        Seconds, from 0 on, increasing.
    rows : int64[n]
        Row of each pendulum in the positions and velocities.
    result_angles, result_rates : float64[n, t, 1]
        Written, in radian and radian per second; or float64[n, t, 0].
    positions, velocities : float64[m, t, bodies, 2]
        Body 0 is written, in metres and metres per second; or float64[m, t, 0, 2].
    """
    moduli, work, lengths = np.empty(LEVELS), np.empty((2, times.size)), np.empty(1)
    shape = 1, times.size
    angles, rates, sines, cosines = (
        np.empty(shape), np.empty(shape), np.empty(shape), np.empty(shape),
    )  # fmt: skip
    for i in range(rows.size):
        arm, row = arms[i], rows[i]
        angle, velocity = arm.angle_degrees, arm.angular_velocity_degrees
        w = np.sqrt(arm.gravity / arm.length)
        if solution == EXACT:
            _exact(
                w, angle, velocity, times, result_angles.shape[2] > 0,
                angles[0], rates[0], sines[0], cosines[0], moduli, work,
            )  # fmt: skip
        else:
            if solution == SMALL_ANGLE:
                _small_angle(w, angle, velocity, times, angles[0], rates[0])
            else:
                _symplectic(w, angle, velocity, times, angles[0], rates[0])
            for j in range(times.size):
                sines[0, j], cosines[0, j] = sincos64(angles[0, j])
        lengths[0] = arm.length
        hang(lengths, sines, cosines, rates, positions[row], velocities[row])
        for degree in range(result_angles.shape[2]):
            result_angles[i, :, degree] = angles[degree]
        for degree in range(result_rates.shape[2]):
            result_rates[i, :, degree] = rates[degree]


@kernel
def hang_all(lengths, angles, rates, rows, positions, velocities):
    """Write where the bobs of chains of arms are.

    Parameters
    ----------
    lengths : float64[n, d]
        Metres.
    angles, rates : float64[n, t, d]
        Radian and radian per second.
    rows, positions, velocities
        As for ``swing``; bodies 0 … d − 1 are written.
    """
    count, steps, arms = angles.shape
    sines, cosines, paces = (
        np.empty((arms, steps)),
        np.empty((arms, steps)),
        np.empty((arms, steps)),
    )
    for i in range(count):
        for arm in range(arms):
            for j in range(steps):
                sines[arm, j], cosines[arm, j] = sincos64(angles[i, j, arm])
                paces[arm, j] = rates[i, j, arm]
        hang(lengths[i], sines, cosines, paces, positions[rows[i]], velocities[rows[i]])
