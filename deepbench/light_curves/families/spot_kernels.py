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

from deepbench.light_curves.families.loops import CHUNK, count_each, multiply_chunks
from deepbench.light_curves.survey.exposures import nodes_for_bend, nodes_for_kink
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, sincos64, sincosd64

VISIBLE = 0.01
"""Part of its largest size at which a spot counts as in view."""

_LOG_VISIBLE = math.log(VISIBLE)
_TURN = 2.0 * math.pi


@inline
def _geometry(row):
    """Return turns per day, turns at t = 0, and the two parts of cos β: of cos φ, and constant."""
    sine, cosine = sincosd64(row.inclination_degrees)
    up, along = sincosd64(row.latitude_degrees)
    rate = (1.0 - row.shear * up * up) / row.rotation_period
    return rate, row.longitude_degrees / 360.0, along * sine, up * cosine


@inline
def _cos_beta(time, rate, start, swing, level):
    """Return cos β at a time."""
    turns = rate * time + start
    return swing * sincos64(_TURN * (turns - np.floor(turns)))[1] + level


@inline
def _fading(scale):
    """Return 1 / (2 scale²), or 0 for a spot that lasts."""
    return 0.5 / (scale * scale) if scale > 0.0 else 0.0


@inline
def _prepare(rows, depths):
    row = rows[0]
    for band in range(depths.size):
        depths[band] = rows[band].depth
    rate, start, swing, level = _geometry(row)
    rising, falling = _fading(row.emergence), _fading(row.decay)
    return rate, start, swing, level, row.peak_time, rising, falling


@inline
def _write(prepared, times, work):
    rate, start, swing, level, peak_time, rising, falling = prepared
    for j in range(times.size):
        work[j] *= max(_cos_beta(times[j], rate, start, swing, level), 0.0)
    if not (rising == 0.0 and falling == 0.0):
        for j in range(times.size):
            age = times[j] - peak_time
            work[j] *= exp64(-(rising if age < 0.0 else falling) * age * age)
    for j in range(times.size):
        work[j] = 1.0 - work[j]


@kernel
def multiply_spots(rows, owners, offsets, times, bands, factors):
    """Multiply by the light of stars with one spot each.

    ``rows`` is ``SPOT[k, b]``, of which all but the depth is read in band 0; the rest is as in
    ``loops.multiply_chunks``.
    """
    multiply_chunks(_prepare, _write, rows, owners, offsets, times, bands, factors)


@inline
def _count(rows, times, exposures, nodes):
    row, work = rows[0], np.empty(CHUNK)
    rate, start, swing, level = _geometry(row)
    peak_time, rising, falling = row.peak_time, _fading(row.emergence), _fading(row.decay)
    lasting = rising == 0.0 and falling == 0.0
    bend = 2.0 * abs(rising - falling)
    depth = 0.0
    for band in range(rows.size):
        depth = max(depth, abs(rows[band].depth))
    speed = 0.5 * _TURN * abs(rate * swing)  # the largest change of cos β in half a day
    seen = 0
    for first in range(0, times.size, CHUNK):
        count = min(CHUNK, times.size - first)
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
    return seen


@kernel
def count_spots(rows, owners, offsets, times, exposures, nodes, counts):
    """Count the observations in whose middle each spot is in view, and raise the nodes where the light is not smooth.

    Where the spot may cross the limb, max(cos β, 0) has a kink; where its growth ends and its decay begins, the second
    derivative jumps. ``rows`` is ``SPOT[k, b]``; the rest is as in ``loops.count_each``.
    """
    count_each(_count, rows, owners, offsets, times, exposures, nodes, counts)
