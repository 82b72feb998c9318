"""Motions that are integrated: steps of DOP853 that end at every time that is stored, and the growth of a difference.

A step is taken again, shorter, until its estimated error is below TOLERANCE of the size of every number. The estimate
does not look at the neighbour, so that a motion is the same whether its Lyapunov exponent is measured or not. The next
step follows from the last one by the root of degree 8, three square roots.

Equations of motion are three functions, called inside kernels:

- ``derivative(t, y, p, n, out)`` writes the time derivative of the state y of n numbers, or of the state and the
  difference to a neighbour, 2n numbers, with the parameters p, a row of one sample;
- ``energy(y, p, n)`` returns the kinetic and the potential energy, which must be kept; ``no_energy`` where it is not;
- ``part(k)`` returns by what the usual size of the number k of positions or angles is divided in the first difference.

A kernel of their own calls ``follow_all`` with them: kernels that take functions cannot be cached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.dynamics.systems.dop853 import ERROR_3, ERROR_5, NODES, RESULT, STAGES, WEIGHTS
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import log64

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepbench.dynamics.systems.class_batch import ClassBatch

TOLERANCE = 1e-14
"""Error of a step over the size of a number; float64 has 2.2e-16."""

MAXIMUM_STEPS = 200_000
"""Steps of one sample, those that are taken again included."""

ENERGY_TOLERANCE = 1e-9
"""Largest change of the energy, over the sum of kinetic and potential energy without signs."""

SAFETY, LEAST_FACTOR, LARGEST_FACTOR = 0.9, 0.333, 6.0
"""Bounds of the change of a step, as in dop853.f."""

DONE, TOO_MANY_STEPS, ENERGY_CHANGED, NOT_FINITE = 0, 1, 2, 3
"""Codes of what became of a motion."""

TOO_MANY = f"takes too many steps; {MAXIMUM_STEPS:,} are allowed"
BEYOND = "its values are too large or too small for float64; narrow the priors"
"""Words about motions that cannot be followed."""


@inline
def no_energy(y, p, n):
    """Return no energy, where it is not kept or not looked at."""
    return 0.0, 0.0


@inline
def _trial(derivative, t, h, y, p, n, stages, new):
    """Write the state after a step; its derivative is the last row of ``stages``, of which the first is known."""
    for stage in range(1, STAGES):
        for k in range(y.size):
            total = 0.0
            for before in range(stage):
                total += WEIGHTS[stage, before] * stages[before, k]
            new[k] = y[k] + h * total
        derivative(t + NODES[stage] * h, new, p, n, stages[stage])
    for k in range(y.size):
        total = 0.0
        for stage in range(STAGES):
            total += RESULT[stage] * stages[stage, k]
        new[k] = y[k] + h * total


@inline
def _error(h, y, new, floors, n, stages):
    """Return the estimated error of a step over what is allowed (Hairer, Nørsett and Wanner 1993, II.10)."""
    fifth, third = 0.0, 0.0
    for k in range(n):
        one, other = 0.0, 0.0
        for stage in range(STAGES):
            one += ERROR_5[stage] * stages[stage, k]
            other += ERROR_3[stage] * stages[stage, k]
        allowed = TOLERANCE * (floors[k] + max(abs(y[k]), abs(new[k])))
        fifth += (one / allowed) * (one / allowed)
        third += (other / allowed) * (other / allowed)
    if fifth == 0.0:
        return 0.0
    return abs(h) * fifth / np.sqrt((fifth + 0.01 * third) * n)


@inline
def _size(difference, floors):
    """Return the size of a difference, its numbers over those that are usual."""
    total = 0.0
    for k in range(floors.size):
        total += (difference[k] / floors[k]) * (difference[k] / floors[k])
    return np.sqrt(total)


@inline
def _follow(derivative, energy, p, y, floors, times, result, stages, new):
    """Write one motion; return what became of it and the logarithm by which the difference grew."""
    n, t, growth, taken = floors.size, 0.0, 0.0, 0
    derivative(t, y, p, n, stages[0])
    first = _size(stages[0, :n], floors)
    if not first < np.inf:
        return NOT_FINITE, growth
    h = 0.01 / first if first > 0.0 else times[-1]
    first_kinetic, first_potential = energy(y, p, n)
    for j in range(times.size):
        while t < times[j]:
            last = t + 1.01 * h >= times[j]
            step = times[j] - t if last else h
            if taken == MAXIMUM_STEPS or t + step == t:
                return TOO_MANY_STEPS, growth
            taken += 1
            _trial(derivative, t, step, y, p, n, stages, new)
            error = _error(step, y, new, floors, n, stages)
            factor = SAFETY / np.sqrt(np.sqrt(np.sqrt(error))) if error > 0.0 else LARGEST_FACTOR
            factor = min(max(factor, LEAST_FACTOR), LARGEST_FACTOR)
            if not error <= 1.0:
                h = step * (factor if factor < 1.0 else LEAST_FACTOR)
                continue
            h = max(h, step * factor) if last else step * factor
            t = times[j] if last else t + step
            y[:] = new
            derivative(t, y, p, n, stages[0])
        result[j] = y[:n]
        size = _size(y[n:], floors)
        growth += log64(size)
        y[n:] /= size
        stages[0, n:] /= size
    kinetic, potential = energy(y, p, n)
    change = abs(kinetic + potential - first_kinetic - first_potential)
    if not change <= ENERGY_TOLERANCE * (kinetic - potential + first_kinetic - first_potential):
        return ENERGY_CHANGED, growth
    return DONE, growth


@inline
def follow_all(derivative, energy, part, parameters, starts, floors, times, results, growths, ends):
    """Integrate the motions of some samples.

    Parameters
    ----------
    derivative, energy, part : function
        The equations.
    parameters : record[k]
    starts, floors : float64[k, n]
        States at time 0; and the sizes of their numbers that are usual, positive.
    times : float64[t]
        From 0 on, increasing.
    results : float64[k, t, n]
        Written: the states at the times.
    growths : float64[k]
        Written: the logarithm by which a difference grew. It begins in the positions or angles alone: with equal parts
        in all angles; with 1, 1/2, 1/3, … along each axis for the bodies in their order, so that all distances change.
    ends : int64[k]
        Written: what became of each.
    """
    n = starts.shape[1]
    y, new, stages = np.empty(2 * n), np.empty(2 * n), np.empty((STAGES, 2 * n))
    for i in range(starts.shape[0]):
        y[:n], y[n:] = starts[i], 0.0
        for k in range(n // 2):
            y[n + k] = floors[i, k] / part(k)
        y[n:] /= _size(y[n:], floors[i])
        ends[i], growths[i] = _follow(
            derivative, energy, parameters[i], y, floors[i], times, results[i], stages, new
        )


def integrate(
    follow: Callable[..., None],
    batch: ClassBatch,
    parameters: NDArray[np.void],
    starts: NDArray[np.float64],
    floors: NDArray[np.float64],
    busy: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the states of some samples at their times, and the logarithms by which differences grew.

    Parameters
    ----------
    follow : kernel
        It calls ``follow_all`` with the equations.
    batch : ClassBatch
        The k samples.
    parameters, starts, floors
        As for ``follow_all``.
    busy : str
        Why such a motion takes too many steps, or loses its energy, and what to do.

    Raises
    ------
    LabelError
        A motion cannot be followed accurately.
    """
    results = np.empty((len(batch), len(batch.times), starts.shape[1]))
    growths, ends = np.empty(len(batch)), np.empty(len(batch), np.int64)
    follow(parameters, starts, floors, batch.times, results, growths, ends)
    bad = np.flatnonzero(ends)
    if bad.size:
        reasons = {
            TOO_MANY_STEPS: f"{TOO_MANY}: {busy}",
            ENERGY_CHANGED: f"does not keep its energy: {busy}",
            NOT_FINITE: f"cannot be computed: {BEYOND}",
        }
        reason = reasons[int(ends[bad[0]])]
        raise batch.refusal(int(bad[0]), f"the motion of '{batch.name}' {reason}")
    return results, growths
