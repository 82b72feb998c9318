"""Complete elliptic integrals, for kernels.

The general one of Bulirsch (1969, Numer. Math. 13, 305) is cel(kc, p, a, b) = ∫ from 0 to π/2 of
(a cos²φ + b sin²φ) / (cos²φ + p sin²φ) / √(cos²φ + kc² sin²φ) dφ. It is linear in (a, b), and holds
the usual ones with the parameter m = 1 − kc²: K = cel(kc, 1, 1, 1), E = cel(kc, 1, 1, kc²),
Π(n) = cel(kc, 1 − n, 1, 1).
"""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kernels import inline

_HALF_PI = 1.5707963267948966
_CLOSE = 1e-8  # the square root of the precision: each step squares the error
_MOST_STEPS = 16  # enough for kc = 1e-150


@inline
def cel_pair64(kc, p, a, b, c, d):
    """Return cel(kc, p, a, b) and cel(kc, 1, c, d), for 0 < kc and 0 < p.

    Both follow the same arithmetic-geometric mean (Bartky's transformation, as in Bulirsch 1969).
    """
    k, e, m = kc, kc, 1.0
    p = np.sqrt(p)
    b /= p
    q = 1.0
    for _ in range(_MOST_STEPS):
        before = a
        a += b / p
        g = e / p
        b = 2.0 * (b + before * g)
        p += g
        before = c
        c += d / q
        g = e / q
        d = 2.0 * (d + before * g)
        q += g
        g = m
        m += k
        if abs(g - k) <= g * _CLOSE:
            break
        k = 2.0 * np.sqrt(e)
        e = k * m
    return _HALF_PI * (b + a * m) / (m * (m + p)), _HALF_PI * (d + c * m) / (m * (m + q))
