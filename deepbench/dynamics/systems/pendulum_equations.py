"""Driven and double pendulums: their equations, those of a small difference between two motions, and their integration.

The state y holds n numbers; where it holds 2n, the last n are the difference to a neighbour, which obeys the equations'
derivative. Angles are radian.
"""

from __future__ import annotations

import numpy as np

from deepbench.dynamics.systems.integrators import follow_all, no_energy
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import cos64, sincos64

DRIVEN = np.dtype(
    [
        ("stiffness", np.float64),
        ("damping", np.float64),
        ("amplitude", np.float64),
        ("pace", np.float64),
        ("phase", np.float64),
    ]
)
"""Row of a driven pendulum: w², γ, a, Ω and φ of its equation."""

DOUBLE = np.dtype(
    [
        ("length_1", np.float64),
        ("length_2", np.float64),
        ("mass_1", np.float64),
        ("mass_2", np.float64),
        ("gravity", np.float64),
    ]
)
"""Row of a double pendulum: L₁, L₂, m₁, m₂ and g."""


@inline
def _equal(k):
    """Return by what the usual size of an angle is divided in the first difference: angles have equal parts."""
    return 1


@kernel
def _driven(t, y, p, n, out):
    """θ″ = w² (a cos(Ω t + φ) − sin θ) − γ θ′; y = θ, θ′."""
    sine, cosine = sincos64(y[0])
    out[0] = y[1]
    out[1] = p.stiffness * (p.amplitude * cos64(p.pace * t + p.phase) - sine) - p.damping * y[1]
    if y.size > n:
        out[2] = y[3]
        out[3] = -p.stiffness * cosine * y[2] - p.damping * y[3]


@kernel
def _double(t, y, p, n, out):
    """Two arms; y = θ₁, θ₂, θ₁′, θ₂′.

    With a = L₁ θ₁″, b = L₂ θ₂″, M = m₁ + m₂ and s, c of θ₁ − θ₂, Lagrange's equations are
    M a + m₂ c b = f = −m₂ s L₂ θ₂′² − M g sin θ₁ and c a + b = h = s L₁ θ₁′² − g sin θ₂.
    """
    l1, l2, m1, m2, g = p.length_1, p.length_2, p.mass_1, p.mass_2, p.gravity
    total = m1 + m2
    s1, c1 = sincos64(y[0])
    s2, c2 = sincos64(y[1])
    s, c = s1 * c2 - c1 * s2, c1 * c2 + s1 * s2
    f = -m2 * s * l2 * y[3] * y[3] - total * g * s1
    h = s * l1 * y[2] * y[2] - g * s2
    d = m1 + m2 * s * s
    a = (f - m2 * c * h) / d
    b = h - c * a
    out[0], out[1], out[2], out[3] = y[2], y[3], a / l1, b / l2
    if y.size > n:
        delta = y[4] - y[5]
        df = -m2 * l2 * (c * delta * y[3] * y[3] + 2.0 * s * y[3] * y[7]) - total * g * c1 * y[4]
        dh = l1 * (c * delta * y[2] * y[2] + 2.0 * s * y[2] * y[6]) - g * c2 * y[5]
        dc, dd = -s * delta, 2.0 * m2 * s * c * delta
        da = (df - m2 * (dc * h + c * dh) - a * dd) / d
        db = dh - dc * a - c * da
        out[4], out[5], out[6], out[7] = y[6], y[7], da / l1, db / l2


@kernel
def follow_driven(parameters, starts, floors, times, results, growths, ends):
    """Integrate driven pendulums, DRIVEN[k], as ``integrators.follow_all`` does."""
    follow_all(
        _driven, no_energy, _equal, parameters, starts, floors, times, results, growths, ends
    )


@kernel
def follow_double(parameters, starts, floors, times, results, growths, ends):
    """Integrate double pendulums, DOUBLE[k], as ``integrators.follow_all`` does."""
    follow_all(
        _double, no_energy, _equal, parameters, starts, floors, times, results, growths, ends
    )
