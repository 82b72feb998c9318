"""The light of a limb-darkened star that a dark disc hides.

The star has the radius 1 and the brightness 1 − u1 (1 − μ) − u2 (1 − μ)², where μ = √(1 − ρ²) at
the distance ρ from its centre; the disc has the radius r, and their centres are b apart. Its light
is the sum of three integrals over the hidden part: of 1, of μ and of μ² (Mandel & Agol 2002, ApJ
580, L171), in the form that keeps its digits of Agol, Luger & Foreman-Mackey (2020, AJ 159, 123).
Here all angles come from the half-angle formulas of the triangle with the sides 1, r and b, and the
differences that vanish at the contacts are free of rounding errors, so that nothing is lost there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepbench.numerics.elliptic_integrals import cel_pair64
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import atan2_64

_PI = 3.141592653589793
_THIRD = 1.0 / 3.0


@inline
def _sum_of_three(a, b, c):
    """Return a + b + c, as if added exactly and then rounded, or a last place from it."""
    first = a + b
    part = first - a
    error = (a - (first - part)) + (b - part)
    total = first + c
    part = total - first
    return total + (error + ((first - (total - part)) + (c - part)))


@inline
def _linear_outside(b, r, inner, outer, wide):
    """Return their Λ (section 4) where the disc crosses the limb.

    ``inner`` = 1 − (b − r)², ``outer`` = (b + r)² − 1, ``wide`` = 4 b r.
    """
    kc2 = outer / wide
    if b == r:
        # cel(kc, 1, 1 − 3m, m − 1) with m = 1 − kc²
        integral, _ = cel_pair64(np.sqrt(kc2), 1.0, 3.0 * kc2 - 2.0, -kc2, 0.0, 0.0)
        return _THIRD + 4.0 * r / (9.0 * _PI) * integral
    apart = b - r
    third, second = cel_pair64(
        np.sqrt(kc2), apart * apart * kc2, 0.0, 3.0, 6.0 * r * r - 3.0 - 0.5 * wide, -outer
    )
    both = kc2 * apart * (b + r) * third + second
    return inner / (4.5 * _PI * np.sqrt(wide)) * both


@inline
def _linear_inside(b, r, inner, outer):
    """Return their Λ (section 4) where the disc is inside the limb; ``outer`` = (b + r)² − 1 < 0."""
    kc2 = -outer / inner
    if b == r:
        # cel(kc, 1, m − 3, (1 − m)(2m − 3)) with m = 1 − kc²
        low = kc2 * (-1.0 - 2.0 * kc2)
        integral, _ = cel_pair64(np.sqrt(kc2), 1.0, -2.0 - kc2, low, 0.0, 0.0)
        return _THIRD + 2.0 / (9.0 * _PI) * integral
    ratio = (b - r) / (b + r)
    p = ratio * ratio * kc2
    q = 3.0 * ratio / inner
    third, second = cel_pair64(np.sqrt(kc2), p, 1.0 + q, p + q, 1.0, kc2)
    both = -outer * third - (4.0 - 7.0 * r * r - b * b) * second
    return 2.0 / (9.0 * _PI) * np.sqrt(inner) * both


@inline
def _linear_at_contact(b, r):
    """Return their Λ (section 4) where the disc touches the limb from inside, b + r = 1."""
    angle = 2.0 * atan2_64(np.sqrt(r), np.sqrt(b))  # acos(1 − 2r)
    both = 3.0 * angle - 2.0 * (3.0 + 2.0 * r - 8.0 * r * r) * np.sqrt(r * b)
    both -= 3.0 * _PI if r > 0.5 else 0.0
    return 2.0 / (9.0 * _PI) * both


@inline
def hidden64(b, r, u1, u2):
    """Return the part of the star's light that is hidden, 0 … 1.

    Parameters
    ----------
    b : float64
        Distance of the centres in radii of the star, 0 <= b.
    r : float64
        Radius of the disc in radii of the star, 0 <= r.
    u1, u2 : float64
        Limb darkening, where the brightness is nowhere negative.
    """
    past_edge = _sum_of_three(1.0, r, -b)  # > 0 before the last contact
    if not (past_edge > 0.0 and r > 0.0):
        return 0.0 if past_edge <= 0.0 or r <= 0.0 else np.nan
    within = _sum_of_three(1.0, -r, b)  # > 0 unless the star is behind the disc
    if within <= 0.0:
        return 1.0
    crossing = _sum_of_three(-1.0, r, b)  # > 0 where the disc crosses the limb
    inner = past_edge * within
    outer = crossing * (1.0 + r + b)
    if crossing > 0.0:
        edge = np.sqrt(inner * outer)  # twice the area of the kite between the crossings
        at_disc = 2.0 * atan2_64(inner, edge)  # half of the disc's arc, seen from its centre
        at_star = 2.0 * atan2_64(past_edge * crossing, edge)
        area = at_star + r * r * at_disc - 0.5 * edge
        eta = at_star + r * r * (r * r + 2.0 * b * b) * at_disc
        eta = (eta - 0.25 * (1.0 + 5.0 * r * r + b * b) * edge) / (2.0 * _PI)
        linear = _linear_outside(b, r, inner, outer, 4.0 * b * r)
    else:
        area = _PI * r * r
        eta = 0.5 * r * r * (r * r + 2.0 * b * b)
        linear = _linear_inside(b, r, inner, outer) if crossing < 0.0 else _linear_at_contact(b, r)
    linear += 2.0 * _THIRD if r > b else 0.0
    darkening = u1 + 2.0 * u2
    hidden = (1.0 - darkening) * (area / _PI) + darkening * linear + u2 * eta
    return min(max(hidden / (1.0 - u1 / 3.0 - u2 / 6.0), 0.0), 1.0)


@kernel
def _hide(separations, radius, u1, u2, out):
    for i in range(out.size):
        out[i] = hidden64(separations[i], radius, u1, u2)


def hidden(separations: ArrayLike, radius: float, u1: float, u2: float) -> NDArray[np.float64]:
    """Return the part of a star's light that a dark disc hides.

    Parameters
    ----------
    separations : array_like of float64
        Distances of the centres, in radii of the star.
    radius : float
        Radius of the disc, in radii of the star.
    u1, u2 : float
        Quadratic limb darkening.

    Returns
    -------
    float64[...]
        0 where the disc does not touch the star, 1 where it covers it.

    Examples
    --------
    >>> hidden([0.0, 1.0, 2.0], 0.1, 0.4, 0.2).round(6)
    array([0.011988, 0.003512, 0.      ])
    """
    flat = np.array(separations, dtype=np.float64, order="C")
    out = np.empty(flat.shape)
    _hide(flat.reshape(-1), float(radius), float(u1), float(u2), out.reshape(-1))
    return out
