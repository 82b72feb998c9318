"""Damped random walks: the light of quasars.

The magnitude is an Ornstein-Uhlenbeck process (Kelly, Bechtold & Siemiginowska 2009, ApJ 698, 895), named by its time
scale τ and the structure function at long lags SF∞ (MacLeod et al. 2010, ApJ 721, 1014)::

    SF(Δt) = SF∞ √(1 − exp(−|Δt| / τ)),  variance SF∞² / 2,  covariance SF∞² / 2 exp(−|Δt| / τ).

It is a Markov process, so that a value follows exactly from the one before it and one unit normal, whatever the steps
(Gillespie 1996, Phys. Rev. E 54, 2084). The first value is drawn from the stationary distribution. The bands of one
source share one process, each scaled by its own SF∞.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from deepbench.kernels import inline, kernel
from deepbench.mathfast import exp64
from deepbench.streams import fill_normals

RANDOM_WALK = ("timescale", "structure_function")
"""Days, and SF∞ in magnitudes (of each band)."""

_TO_LOG_FLUX = -0.4 * math.log(10.0) * math.sqrt(0.5)  # and from SF∞ to the standard deviation


@inline
def _drawn(y, kept):
    """Return 1 − exp(−2 y), given exp(−y); from its series where the difference would lose digits."""
    z = 2.0 * y
    series = z * (1.0 - z * (0.5 - z * (1.0 / 6.0 - z * (1.0 / 24.0))))
    return series if z < 1e-3 else 1.0 - kept * kept


@kernel
def walk(times, normals, timescale, kept, out):
    """Write a process of unit variance at ascending times.

    Parameters
    ----------
    times : float64[m]
        Days.
    normals : float32[m] or float64[m]
        One unit normal for each time.
    timescale : float
        τ, days.
    kept, out : float64[m]
        Written: the part of the value before that is kept, and the process.
    """
    if times.size == 0:
        return
    rate = 1.0 / timescale
    for j in range(1, times.size):
        step = max(times[j] - times[j - 1], 0.0) * rate
        part = exp64(-step)
        kept[j] = part
        out[j] = np.sqrt(_drawn(step, part)) * normals[j]
    value = np.float64(normals[0])
    out[0] = value
    for j in range(1, times.size):
        value = kept[j] * value + out[j]
        out[j] = value


@kernel
def multiply_random_walks(rows, owners, offsets, times, bands, factors, samples, key, words):
    """Multiply the factors by the light of randomly walking sources, in units of the flux of the mean magnitude.

    The normal of the e-th node of a sample is element e of the sample's stream.

    Parameters
    ----------
    rows : float64[k, b, 2]
        The columns of ``RANDOM_WALK`` of k objects in b bands; the time scale of band 0 is read.
    owners : int64[k]
        The sample of each object, as a number of the block.
    offsets : int64[n + 1]
        The nodes of sample i are offsets[i] … offsets[i + 1] − 1.
    times : float64[m]
        Days, ascending within a sample.
    bands : int8[m]
        Band of each node.
    factors : float64[m]
        Multiplied in place.
    samples : int64[k]
        The sample of each object, as a number of the table.
    key, words : uint32[2]
        Those of the seed and of the object's stream (``streams.key_words``, ``streams.stream_words``).
    """
    longest = 0
    for i in range(owners.size):
        longest = max(longest, offsets[owners[i] + 1] - offsets[owners[i]])
    normals = np.empty(longest, np.float32)
    kept, values = np.empty(longest), np.empty(longest)
    scales = np.empty(rows.shape[1])
    for i in range(owners.size):
        first, stop = offsets[owners[i]], offsets[owners[i] + 1]
        count = stop - first
        fill_normals(normals[:count], samples[i], key[0], key[1], words[0], words[1])
        walk(times[first:stop], normals[:count], rows[i, 0, 0], kept[:count], values[:count])
        for b in range(scales.size):
            scales[b] = _TO_LOG_FLUX * rows[i, b, 1]
        for j in range(count):
            values[j] *= scales[bands[first + j]]
        for j in range(count):
            values[j] = exp64(values[j])
        for j in range(count):
            factors[first + j] *= values[j]


def fastest_random_walks(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one over the time scale (rad/day); rows as in ``multiply_random_walks``.

    The process is nowhere differentiable: more nodes refine its mean over an exposure by the square root of their
    number only, and the means of few nodes are themselves such a process. Its time scale is what can be followed.
    """
    return np.asarray(1.0 / rows[:, 0, 0], dtype=np.float64)
