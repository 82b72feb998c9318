"""The mean of a point spread function over each pixel.

How it is found follows from how smooth the profile is in the pixel:

- far out, from the values f at the centres of the pixel and of its neighbours. Along each axis the
  mean is f + δ²f/24 − 17 δ⁴f/5760 + …, where δ² is the second difference;
- nearer, by 3 × 3 or 5 × 5 Gauss–Legendre points;
- where 5 × 5 points are too few, by those in each quarter of the pixel, quartered again as needed.

Profiles are evaluated in float32, many at a time; positions are float64. A pixel's bits depend on the
source alone. No image of a point spread function is made, and nothing wraps around.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.psf.jitter import evaluate_jittered, spread_of
from deepbench.images.psf.psf_profiles import (
    Profile,
    differences,
    evaluate,
    make_profile,
    smoothness,
)
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincos64

LIMIT = 1e9
"""Largest coordinate of a position (pixel); those beyond ±LIMIT are taken as ±LIMIT."""

FEW, MANY = 1.3, 0.55
"""Least standard deviations, in sides of a cell, of a Gaussian that 3 × 3 and 5 × 5 points integrate."""

BAND, CELLS = 8, 128
"""Rows far out, and cells near the centre, that are evaluated together."""

DEPTH = 12
"""Largest number of times that a pixel is quartered."""

_FAR_NODE, _NEAR_NODE = (
    math.sqrt(5.0 + sign * 2.0 * math.sqrt(10.0 / 7.0)) / 3.0 for sign in (1, -1)
)
_FAR_WEIGHT, _NEAR_WEIGHT = ((322.0 - sign * 13.0 * math.sqrt(70.0)) / 1800.0 for sign in (1, -1))
NODES_5 = np.array([-_FAR_NODE, -_NEAR_NODE, 0.0, _NEAR_NODE, _FAR_NODE])
WEIGHTS_5 = np.array([_FAR_WEIGHT, _NEAR_WEIGHT, 64.0 / 225.0, _NEAR_WEIGHT, _FAR_WEIGHT])
"""Gauss–Legendre's five points on [−1, 1], and their weights for a mean."""

NODES_3 = np.array([-math.sqrt(0.6), 0.0, math.sqrt(0.6)])
WEIGHTS_3 = np.array([5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0])
"""Gauss–Legendre's three points on [−1, 1], and their weights for a mean."""

_MANY_NODES, _MANY_WEIGHTS = NODES_5.astype(np.float32), WEIGHTS_5.astype(np.float32)
_FEW_NODES, _FEW_WEIGHTS = NODES_3.astype(np.float32), WEIGHTS_3.astype(np.float32)
_ZERO = np.float32(0.0)


class Source(NamedTuple):
    """A profile around a position: t = (ux dx + uy dy)² + (vx dx + vy dy)² = xx dx² + 2 xy dx dy + yy dy².

    ``small`` is the length of t = 1 along the minor axis in pixels. From ``sparse`` on pixels follow from values at
    centres: the mean along an axis is ``tap0`` f, plus ``tap1`` f and ``tap2`` f of the next neighbours. Where the
    profile is convolved with a Gaussian of the standard deviation ``spread``, f is that of ``table``; see ``jitter``.
    """

    profile: Profile
    x: float
    y: float
    ux: float
    uy: float
    vx: float
    vy: float
    xx: float
    xy: float
    yy: float
    small: float
    sparse: float
    tap0: np.float32
    tap1: np.float32
    tap2: np.float32
    spread: float
    table: NDArray[np.float32]


@inline
def make_source(x, y, psf, table):
    """Return the ``Source`` of a row of a point spread function, and the table of its jitter, around (x, y)."""
    profile, axis_ratio = make_profile(psf), psf.axis_ratio
    sine, cosine = sincos64(psf.position_angle) if axis_ratio != 1.0 else (0.0, 1.0)
    root = np.sqrt(axis_ratio)
    small = profile.scale * root
    ux, uy = cosine * root / profile.scale, sine * root / profile.scale
    vx, vy = -sine / small, cosine / small
    xx, xy, yy = ux * ux + vx * vx, ux * uy + vx * vy, uy * uy + vy * vy
    sparse, a, b = differences(profile, axis_ratio)
    return Source(
        profile,
        min(max(x, -LIMIT), LIMIT),
        min(max(y, -LIMIT), LIMIT),
        ux, uy, vx, vy, xx, xy, yy, small,
        sparse,
        np.float32(1.0 + a + 1.5 * b), np.float32(-0.5 * a - b), np.float32(0.25 * b),
        spread_of(psf, profile), table,
    )  # fmt: skip


@inline
def _evaluate(source, values, count):
    """Replace the first ``count`` t in ``values`` by f(t)."""
    if source.spread > 0.0:
        evaluate_jittered(source.profile, source.spread, source.table, values, count)
    else:
        evaluate(source.profile, values, count)


@inline
def square(source, dx, dy):
    """Return t at an offset from the centre."""
    u, v = source.ux * dx + source.uy * dy, source.vx * dx + source.vy * dy
    return u * u + v * v


@inline
def span(source, t, dy, left, right):
    """Return the columns first to last − 1 of left to right − 1 with a centre inside t, for a row dy above."""
    if t == np.inf:
        return left, right
    scale = source.profile.scale
    across = dy / (scale * scale)
    rest = source.xx * t - across * across
    if t < 0.0 or rest < 0.0:
        return left, left
    reach = np.sqrt(rest) / source.xx
    middle = source.x - source.xy * dy / source.xx
    first = int(min(max(np.ceil(middle - reach), float(left)), float(right)))
    last = int(min(max(np.floor(middle + reach) + 1.0, float(first)), float(right)))
    return first, last


# --- far out ---


@inline
def _average(source, values, stride, means, count):
    """Write the means over a pixel along one axis, from the values in five pixels, ``stride`` apart."""
    tap0, tap1, tap2 = source.tap0, source.tap1, source.tap2
    below1, middle = values[stride:], values[2 * stride :]
    above1, above2 = values[3 * stride :], values[4 * stride :]
    for i in range(count):
        near, far = below1[i] + above1[i], values[i] + above2[i]
        means[i] = tap0 * middle[i] + tap1 * near + tap2 * far


@kernel
def add_far(image, source, amplitude, bottom, left, spans):
    """Add the pixels from spans[k, 0] to spans[k, 3] − 1 without those from spans[k, 1] to spans[k, 2] − 1.

    Rows are taken BAND at a time, with two more on each side. Unsigned indices let loops vectorise; views would
    take longer to make than the short rows to add.
    """
    height = spans.shape[0]
    columns = spans[:, 3].max() - left + 4
    size = BAND * columns
    ux, vx = np.float32(source.ux), np.float32(source.vx)
    offsets = np.empty(columns, np.float32)
    for i in range(columns):
        offsets[i] = np.float32(float(left + i - 2) - source.x)
    values, means = np.empty(size, np.float32), np.zeros(size, np.float32)
    rows = np.zeros(size + 4 * columns, np.float32)  # averaged along x
    for band in range((height + 4 + BAND - 1) // BAND):
        for row in range(BAND):
            dy = float(bottom + BAND * band + row - 2) - source.y
            u0, v0 = np.float32(source.uy * dy), np.float32(source.vy * dy)
            start = np.uint64(row * columns)
            for i in range(columns):
                u, v = u0 + ux * offsets[i], v0 + vx * offsets[i]
                values[start + np.uint64(i)] = u * u + v * v
        _evaluate(source, values, size)
        rows[: 4 * columns] = rows[size:]
        _average(source, values, 1, rows[4 * columns :], size - 4)
        _average(source, rows, columns, means, size - 4)
        for row in range(BAND):
            k = BAND * band + row - 4
            if not 0 <= k < height:
                continue
            line = np.uint64(bottom + k)
            for part in range(2):
                first = spans[k, 2 * part]
                to, start = np.uint64(first), np.uint64(row * columns + first - left)
                for i in range(spans[k, 2 * part + 1] - first):
                    value = means[start + np.uint64(i)]
                    image[line, to + np.uint64(i)] += amplitude * (
                        value if value > _ZERO else _ZERO
                    )


# --- near the centre ---


@kernel
def _means(source, cells, count, nodes, weights, work, means):
    """Write the means of f over ``count`` squares: cells[0:3] are their dx, dy and half sides."""
    ux, uy = np.float32(source.ux), np.float32(source.uy)
    vx, vy = np.float32(source.vx), np.float32(source.vy)
    dx, dy, half = cells[0], cells[1], cells[2]
    order = nodes.size
    for a in range(order):
        for b in range(order):
            start = np.uint64((a * order + b) * count)
            for k in range(count):
                x, y = dx[k] + nodes[b] * half[k], dy[k] + nodes[a] * half[k]
                u, v = ux * x + uy * y, vx * x + vy * y
                work[start + np.uint64(k)] = u * u + v * v
    _evaluate(source, work, order * order * count)
    means[:count] = _ZERO
    for a in range(order):
        for b in range(order):
            weight = weights[a] * weights[b]
            start = np.uint64((a * order + b) * count)
            for k in range(count):
                means[k] += weight * work[start + np.uint64(k)]


@kernel
def _add_smooth(
    image, source, amplitude, bottom, spans, least, below, nodes, weights, cells, work, means
):
    """Add the pixels of the spans where the profile's smoothness is between ``least`` and ``below``."""
    rows, columns = np.empty(CELLS, np.int64), np.empty(CELLS, np.int64)
    cells[2] = 0.5
    count = 0
    for k in range(spans.shape[0]):
        dy = float(bottom + k) - source.y
        for i in range(spans[k, 1], spans[k, 2]):
            dx = float(i) - source.x
            width = source.small * smoothness(source.profile, square(source, dx, dy))
            if least <= width < below:
                cells[0, count], cells[1, count] = dx, dy
                rows[count], columns[count] = bottom + k, i
                count += 1
            if count == CELLS:
                _means(source, cells, count, nodes, weights, work, means)
                for c in range(count):
                    image[rows[c], columns[c]] += amplitude * means[c]
                count = 0
    _means(source, cells, count, nodes, weights, work, means)
    for c in range(count):
        image[rows[c], columns[c]] += amplitude * means[c]


@inline
def _is_smooth(source, x, y, half):
    """Tell whether 5 × 5 points integrate a square."""
    width = source.small * smoothness(source.profile, square(source, x, y))
    return width >= 2.0 * MANY * half


@kernel
def _refined(source, dx, dy, cells, work, means):
    """Return the mean of f over the pixel at an offset, quartered until 5 × 5 points suffice."""
    stack = np.empty((3 * DEPTH + 4, 3))
    stack[0] = dx, dy, 0.5
    waiting, count, total = 1, 0, 0.0
    while waiting > 0:
        waiting -= 1
        x, y, half = stack[waiting]
        if half < 0.5**DEPTH or _is_smooth(source, x, y, half):
            cells[0, count], cells[1, count], cells[2, count] = x, y, half
            count += 1
        else:
            half *= 0.5
            for quarter in range(4):
                stack[waiting, 0] = x + (half if quarter % 2 else -half)
                stack[waiting, 1] = y + (half if quarter // 2 else -half)
                stack[waiting, 2] = half
                waiting += 1
        if count == CELLS or waiting == 0:
            _means(source, cells, count, _MANY_NODES, _MANY_WEIGHTS, work, means)
            for k in range(count):
                side = 2.0 * np.float64(cells[2, k])
                total += side * side * np.float64(means[k])
            count = 0
    return total


@kernel
def add_near(image, source, amplitude, bottom, spans):
    """Add the pixels from spans[k, 1] to spans[k, 2] − 1 of each row."""
    cells = np.empty((3, CELLS), np.float32)
    work, means = np.empty(25 * CELLS, np.float32), np.empty(CELLS, np.float32)
    _add_smooth(
        image, source, amplitude, bottom, spans, FEW, np.inf, _FEW_NODES, _FEW_WEIGHTS,
        cells, work, means,
    )  # fmt: skip
    roughest = source.small * source.profile.width
    if roughest >= FEW:
        return
    _add_smooth(
        image, source, amplitude, bottom, spans, MANY, FEW, _MANY_NODES, _MANY_WEIGHTS,
        cells, work, means,
    )  # fmt: skip
    if roughest >= MANY:
        return
    for k in range(spans.shape[0]):
        dy = float(bottom + k) - source.y
        for i in range(spans[k, 1], spans[k, 2]):
            dx = float(i) - source.x
            if not _is_smooth(source, dx, dy, 0.5):
                mean = _refined(source, dx, dy, cells, work, means)
                image[bottom + k, i] += amplitude * np.float32(mean)
