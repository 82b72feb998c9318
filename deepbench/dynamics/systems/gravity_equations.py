"""A few bodies under their gravity: their equations, those of a small difference, their energy, and their integration.

The state y holds the n numbers of all positions (x, y, z of each body), then of all velocities; where it holds 2n, the
last n are the difference to a neighbour, which obeys the equations' derivative.
"""

from __future__ import annotations

import numpy as np

from deepbench.dynamics.systems.integrators import follow_all
from deepbench.dynamics.systems.system import MAXIMUM_BODIES
from deepbench.numerics.kernels import inline, kernel

ATTRACTION = np.dtype(
    [
        ("constant", np.float64),
        ("softening", np.float64),
        ("masses", np.float64, (MAXIMUM_BODIES,)),
    ]
)
"""Row of bodies that attract each other: G, ε and the masses, of which those beyond the bodies are not read."""


@inline
def _by_body(k):
    """Return by what the usual size of a coordinate is divided in the first difference: 1, 2, 3, … by its body."""
    return 1 + k // 3


@kernel
def _gravity(t, y, p, n, out):
    """Write the velocities, and the accelerations by all other bodies."""
    half, constant, softening, masses = n // 2, p.constant, p.softening, p.masses
    out[:half] = y[half:n]
    out[half:n] = 0.0
    tangent = y.size > n
    if tangent:
        out[n : n + half] = y[n + half :]
        out[n + half :] = 0.0
    for i in range(half // 3):
        for j in range(i):
            a, b = 3 * i, 3 * j
            x, v, z = y[b] - y[a], y[b + 1] - y[a + 1], y[b + 2] - y[a + 2]
            square = x * x + v * v + z * z + softening * softening
            pull = constant / (square * np.sqrt(square))
            mine, other = masses[j] * pull, masses[i] * pull
            a, b = half + a, half + b
            out[a], out[a + 1], out[a + 2] = (
                out[a] + mine * x, out[a + 1] + mine * v, out[a + 2] + mine * z,
            )  # fmt: skip
            out[b], out[b + 1], out[b + 2] = (
                out[b] - other * x, out[b + 1] - other * v, out[b + 2] - other * z,
            )  # fmt: skip
            if tangent:
                a, b = n + 3 * i, n + 3 * j
                dx, dv, dz = y[b] - y[a], y[b + 1] - y[a + 1], y[b + 2] - y[a + 2]
                along = 3.0 * (x * dx + v * dv + z * dz) / square
                dx, dv, dz = dx - along * x, dv - along * v, dz - along * z
                a, b = a + half, b + half
                out[a], out[a + 1], out[a + 2] = (
                    out[a] + mine * dx, out[a + 1] + mine * dv, out[a + 2] + mine * dz,
                )  # fmt: skip
                out[b], out[b + 1], out[b + 2] = (
                    out[b] - other * dx, out[b + 1] - other * dv, out[b + 2] - other * dz,
                )  # fmt: skip


@inline
def _energy(y, p, n):
    """Return the kinetic and the potential energy."""
    half, masses, kinetic, potential = n // 2, p.masses, 0.0, 0.0
    for i in range(half // 3):
        u, v, w = y[half + 3 * i], y[half + 3 * i + 1], y[half + 3 * i + 2]
        kinetic += 0.5 * masses[i] * (u * u + v * v + w * w)
        for j in range(i):
            x, v, z = y[3 * j] - y[3 * i], y[3 * j + 1] - y[3 * i + 1], y[3 * j + 2] - y[3 * i + 2]
            distance = np.sqrt(x * x + v * v + z * z + p.softening * p.softening)
            potential -= p.constant * masses[i] * masses[j] / distance
    return kinetic, potential


@kernel
def follow_gravity(parameters, starts, floors, times, results, growths, ends):
    """Integrate bodies, ATTRACTION[k], as ``integrators.follow_all`` does."""
    follow_all(
        _gravity, _energy, _by_body, parameters, starts, floors, times, results, growths, ends
    )
