"""The equations of motion that are integrated, with the equations of a small difference between two motions.

A state holds n numbers; where it holds 2n, the last n are the difference to a neighbour, which obeys the equations'
derivative. Angles are radian.
"""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import cos64, sincos64

DRIVEN, DOUBLE, GRAVITY = 0, 1, 2
"""Codes of the equations."""


@inline
def _driven(t, y, p, n, out):
    """θ″ = w² (a cos(Ω t + φ) − sin θ) − γ θ′; y = θ, θ′ and p = w², γ, a, Ω, φ."""
    sine, cosine = sincos64(y[0])
    out[0] = y[1]
    out[1] = p[0] * (p[2] * cos64(p[3] * t + p[4]) - sine) - p[1] * y[1]
    if y.size > n:
        out[2] = y[3]
        out[3] = -p[0] * cosine * y[2] - p[1] * y[3]


@inline
def _double(y, p, n, out):
    """Two arms; y = θ₁, θ₂, θ₁′, θ₂′ and p = L₁, L₂, m₁, m₂, g.

    With a = L₁ θ₁″, b = L₂ θ₂″, M = m₁ + m₂ and s, c of θ₁ − θ₂, Lagrange's equations are
    M a + m₂ c b = f = −m₂ s L₂ θ₂′² − M g sin θ₁ and c a + b = h = s L₁ θ₁′² − g sin θ₂.
    """
    l1, l2, m1, m2, g = p[0], p[1], p[2], p[3], p[4]
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


@inline
def _gravity(y, p, n, out):
    """Bodies of masses m: y = all places (x, y, z of each), then all velocities; p = G, ε, m₁, m₂, …"""
    places = n // 2
    out[:places] = y[places:n]
    out[places:n] = 0.0
    tangent = y.size > n
    if tangent:
        out[n : n + places] = y[n + places :]
        out[n + places :] = 0.0
    for i in range(places // 3):
        for j in range(i):
            a, b = 3 * i, 3 * j
            x, v, z = y[b] - y[a], y[b + 1] - y[a + 1], y[b + 2] - y[a + 2]
            square = x * x + v * v + z * z + p[1] * p[1]
            pull = p[0] / (square * np.sqrt(square))
            mine, other = p[2 + j] * pull, p[2 + i] * pull
            a, b = places + a, places + b
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
                a, b = a + places, b + places
                out[a], out[a + 1], out[a + 2] = (
                    out[a] + mine * dx, out[a + 1] + mine * dv, out[a + 2] + mine * dz,
                )  # fmt: skip
                out[b], out[b + 1], out[b + 2] = (
                    out[b] - other * dx, out[b + 1] - other * dv, out[b + 2] - other * dz,
                )  # fmt: skip


@kernel
def derivative(code, t, y, p, n, out):
    """Write the time derivative of a state, inside a kernel.

    Parameters
    ----------
    code : int
        Which equations.
    t : float
        Time.
    y : float64[n] or float64[2 n]
        The state, or the state and the difference to a neighbour.
    p : float64[…]
        Parameters of the equations.
    n : int
        Numbers of a state.
    out : float64[n] or float64[2 n]
        Written.
    """
    if code == DRIVEN:
        _driven(t, y, p, n, out)
    elif code == DOUBLE:
        _double(y, p, n, out)
    else:
        _gravity(y, p, n, out)


@inline
def kinetic_and_potential(y, p, n):
    """Return the kinetic and the potential energy of bodies; the arguments are those of GRAVITY."""
    places, kinetic, potential = n // 2, 0.0, 0.0
    for i in range(places // 3):
        u, v, w = y[places + 3 * i], y[places + 3 * i + 1], y[places + 3 * i + 2]
        kinetic += 0.5 * p[2 + i] * (u * u + v * v + w * w)
        for j in range(i):
            x, v, z = y[3 * j] - y[3 * i], y[3 * j + 1] - y[3 * i + 1], y[3 * j + 2] - y[3 * i + 2]
            distance = np.sqrt(x * x + v * v + z * z + p[1] * p[1])
            potential -= p[0] * p[2 + i] * p[2 + j] / distance
    return kinetic, potential
