"""Spots carried around by the rotation of their star.

The model of Aigrain, Pont & Zucker (2012, MNRAS 419, 3147): a spot small against the star takes
f max(cos β, 0) of its light, where β is the angle between the spot's normal and the line of sight,

    cos β = cos φ cos δ sin i + sin δ cos i,  φ = 2π t / P + λ,

δ and λ are the spot's latitude and longitude (it crosses the central meridian where φ is a multiple of 2π), and i is
the inclination of the axis, 90 degrees where the star is seen from its equator. f, of each band, is the light that the
spot takes at the centre of the disc: its area on the disc times its contrast. A bright spot has a negative f.

In the paper the losses of several spots add. Here each spot is a factor 1 − f max(cos β, 0), and factors multiply: the
two differ by the products of two losses, 1e-4 of the flux where each spot takes a hundredth.

Beyond the paper's equations: spots at other latitudes turn with the rate (1 − shear sin² δ) / P, as the Sun's do; and f
may grow and fade as Gaussians of time, exp(−(t − t_peak)² / (2 τ²)), with τ = emergence before the peak and τ = decay
after it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from deepbench.light_curves.survey.exposures import nodes_for_bend, nodes_for_kink
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, sincos64, sincosd64

SPOT = (
    *("rotation_period", "inclination", "latitude", "longitude", "depth"),
    *("shear", "peak_time", "emergence", "decay"),
)
"""Days, degrees, degrees, degrees, f (of each band), part of the rate, days, days and days.

``rotation_period`` is that of the equator. A spot whose ``emergence`` or ``decay`` is 0 does not change on that side of
its ``peak_time``."""

CHUNK = 256
"""Nodes worked on at a time: the loops over them vectorise, which the look-up of a band's value would stop."""

VISIBLE = 0.01
"""A spot counts as in view where it has grown to this part of its largest, or has not faded to less."""

_LOG_VISIBLE = math.log(VISIBLE)
_TURN = 2.0 * math.pi
_WIDTH = 5.0
"""The angular rates in a Gaussian of time scale τ, times τ: there is less than 1e-6 above them."""


@inline
def _geometry(row):
    """Return turns per day, turns at t = 0, and the two parts of cos β: of cos φ, and constant."""
    sine, cosine = sincosd64(row[1])
    up, along = sincosd64(row[2])
    return (1.0 - row[5] * up * up) / row[0], row[3] / 360.0, along * sine, up * cosine


@inline
def _cos_beta(time, rate, start, swing, level):
    """Return cos β at a time."""
    turns = rate * time + start
    return swing * sincos64(_TURN * (turns - np.floor(turns)))[1] + level


@inline
def _fading(scale):
    """Return 1 / (2 scale²), or 0 for a spot that lasts."""
    return 0.5 / (scale * scale) if scale > 0.0 else 0.0


@kernel
def multiply_spots(rows, owners, offsets, times, bands, factors):
    """Multiply the factors by the light of stars with one spot each.

    Parameters
    ----------
    rows : float64[k, b, 9]
        The columns of ``SPOT`` of k spots in b bands; but for the depth those of band 0 are read.
    owners : int64[k]
        The sample of each spot.
    offsets : int64[n + 1]
        The nodes of sample i are offsets[i] … offsets[i + 1] − 1.
    times : float64[m]
        Days.
    bands : int8[m]
        Band of each node.
    factors : float64[m]
        Multiplied in place.
    """
    work = np.empty(CHUNK)
    for i in range(owners.size):
        row = rows[i, 0]
        rate, start, swing, level = _geometry(row)
        peak_time, rising, falling = row[6], _fading(row[7]), _fading(row[8])
        lasting = rising == 0.0 and falling == 0.0
        stop = offsets[owners[i] + 1]
        for first in range(offsets[owners[i]], stop, CHUNK):
            count = min(CHUNK, stop - first)
            chunk = times[first : first + count]
            for j in range(count):
                work[j] = rows[i, bands[first + j], 4]
            for j in range(count):
                work[j] *= max(_cos_beta(chunk[j], rate, start, swing, level), 0.0)
            if not lasting:
                for j in range(count):
                    age = chunk[j] - peak_time
                    work[j] *= exp64(-(rising if age < 0.0 else falling) * age * age)
            for j in range(count):
                factors[first + j] *= 1.0 - work[j]


@kernel
def count_spots(rows, owners, offsets, times, exposures, nodes, counts):
    """Count the observations that see each spot, and raise the nodes of exposures where the light is not smooth.

    Where the spot may cross the limb, max(cos β, 0) has a kink; where its growth ends and its decay begins, the second
    derivative jumps.

    Parameters
    ----------
    rows, owners, offsets
        As in ``multiply_spots``, with the offsets of observations.
    times, exposures : float64[m]
        Middles and lengths of the observations, days.
    nodes : int64[m]
        Raised.
    counts : int64[k]
        Written: the observations in whose middle the spot is in view, with ``VISIBLE`` of its size or more.
    """
    work = np.empty(CHUNK)
    for i in range(owners.size):
        rate, start, swing, level = _geometry(rows[i, 0])
        peak_time, rising, falling = rows[i, 0, 6], _fading(rows[i, 0, 7]), _fading(rows[i, 0, 8])
        lasting = rising == 0.0 and falling == 0.0
        bend = 2.0 * abs(rising - falling)
        depth = 0.0
        for b in range(rows.shape[1]):
            depth = max(depth, abs(rows[i, b, 4]))
        speed = 0.5 * _TURN * abs(rate * swing)  # the largest change of cos β in half a day
        seen = 0
        stop = offsets[owners[i] + 1]
        for first in range(offsets[owners[i]], stop, CHUNK):
            count = min(CHUNK, stop - first)
            chunk = times[first : first + count]
            for j in range(count):
                work[j] = _cos_beta(chunk[j], rate, start, swing, level)
            for j in range(count):
                change = speed * exposures[first + j]
                if abs(work[j]) <= change:
                    kinks = 1.0 + np.floor(2.0 * abs(rate) * exposures[first + j])
                    needed = nodes_for_kink(depth * change * kinks)
                    nodes[first + j] = max(nodes[first + j], needed)
            if lasting:
                for j in range(count):
                    seen += 1 if work[j] > 0.0 else 0
                continue
            for j in range(count):
                age, half = chunk[j] - peak_time, 0.5 * exposures[first + j]
                faded = -(rising if age < 0.0 else falling) * age * age
                seen += 1 if work[j] > 0.0 and faded >= _LOG_VISIBLE else 0
                if abs(age) <= half:
                    needed = nodes_for_bend(depth * bend * half * half)
                    nodes[first + j] = max(nodes[first + j], needed)
        counts[i] = seen


def _rates(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the angular rates of rotation, and one over the shorter scale of growth and decay; per day."""
    turning = _TURN * (1.0 + np.maximum(-rows[:, 0, 5], 0.0)) / rows[:, 0, 0]
    scales = rows[:, 0, 7:9]
    fading = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales > 0.0)
    return turning, fading.max(axis=1)


def fastest_spots(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angular rate (rad/day) of each spot, or that of its growth; rows as in ``multiply_spots``."""
    return np.maximum(*_rates(rows))


def smooth_spots(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return amplitudes and angular rates (rad/day) of each spot within the disc; see ``families.Family``."""
    turning, fading = _rates(rows)
    tilts, latitudes = np.radians(rows[:, 0, 1]), np.radians(rows[:, 0, 2])
    depths = np.abs(rows[:, :, 4]).max(axis=1)
    turns = depths * np.abs(np.cos(latitudes) * np.sin(tilts)), turning + _WIDTH * fading
    rests = depths * np.abs(np.sin(latitudes) * np.cos(tilts)), _WIDTH * fading
    return np.stack([np.stack(turns, axis=-1), np.stack(rests, axis=-1)], axis=1)
