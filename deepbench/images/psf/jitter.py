"""The light of an Airy pattern behind a Gaussian: what pointing and the diffusion of charge make of the optics' image.

The transform is the product of both. The light as a function of the radius is a table: the Gaussian becomes a sum over
a square grid, whose step is so fine that no wave of the pattern (it has none shorter than λ/D) is mistaken for another:
the error of this trapezoid rule falls as exp(−½ σ² (2π / step − 2π D/λ)²). Beyond the table the rings are left out, and
the mean of the wing remains, c x^−3 (1 + 9 σ² / 2 x²), σ in units of x. The pattern is 6e-7 of its peak there.
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.images.psf.psf_profiles import evaluate, make_profile
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64

STEP = 0.05
"""Step of the table in units of x = π r D/λ, or of the Gaussian's standard deviation where that is more than 1."""

NODES = 3072
"""Number of values in a table: the first is that at −1 steps."""

REACH = 5.7
"""Standard deviations to which the Gaussian is summed, and to which waves are told apart: 1e-7."""

_ONE, _TWO, _SIX = np.float32(1.0), np.float32(2.0), np.float32(6.0)
_LAST = np.float32(NODES - 4)


@inline
def spread_of(psf, profile):
    """Return the standard deviation of the Gaussian in units of the profile's scale; 0 for none."""
    return psf.jitter / profile.scale


@inline
def _table_step(spread):
    return STEP * max(1.0, spread)


@kernel
def write_table(psf, table):
    """Write the light at (i − 1) steps from the centre, in units of the pattern's peak without the Gaussian.

    Parameters
    ----------
    psf : PSF_ROW
    table : float32[NODES]
    """
    profile = make_profile(psf)
    spread = spread_of(psf, profile)
    step = _table_step(spread)
    side = 2.0 * math.pi / (2.0 + REACH / spread)
    count = int(np.ceil(REACH * spread / side))
    values, sums = np.empty(table.size, np.float32), np.zeros(table.size)
    total = 0.0
    for b in range(count + 1):
        for a in range(-count, count + 1):
            square = (side / spread) * (side / spread) * (a * a + b * b)
            if square > REACH * REACH:
                continue
            weight = (1.0 if b == 0 else 2.0) * exp64(-0.5 * square)
            total += weight
            across = side * b * (side * b)
            for i in range(table.size):
                along = (i - 1) * step - side * a
                values[i] = along * along + across
            evaluate(profile, values, table.size)
            for i in range(table.size):
                sums[i] += weight * values[i]
    for i in range(table.size):
        table[i] = sums[i] / total


@kernel
def evaluate_jittered(profile, spread, table, values, count):
    """Replace the first ``count`` t in ``values`` (float32, not negative) by the light there; see ``write_table``."""
    obscuration = profile.shape
    wing = np.float32(4.0 / (math.pi * (1.0 - obscuration) * (1.0 - obscuration * obscuration)))
    bend = np.float32(4.5 * spread * spread)
    per_step = np.float32(1.0 / _table_step(spread))
    for i in range(count):
        t = values[i]
        steps = np.sqrt(t) * per_step
        if steps >= _LAST:
            values[i] = wing / (t * np.sqrt(t)) * (_ONE + bend / t)
            continue
        at = np.uint32(np.int32(steps))
        p = steps - np.float32(np.int32(steps))
        before, after, beyond = p + _ONE, p - _ONE, p - _TWO
        outer = (table[at + 3] * before - table[at] * beyond) * p * after / _SIX
        inner = (table[at + 1] * after - table[at + 2] * p) * before * beyond / _TWO
        values[i] = outer + inner
