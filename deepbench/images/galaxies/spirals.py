"""Spiral arms: how the light of an exponential disk is gathered into arms, without a change of its flux.

In the plane of a disk, with the polar coordinates R and θ, the arms add to the light I of a smooth disk

    I(R) contrast w(R) (Q(ψ) − 1),    ψ = arms (θ − handedness φ(R) − arm_angle),    w = exp(−(inner_radius / R)²),

where Q = exp(κ cos ψ) / I0(κ) is von Mises' pulse, with a mean of 1 on every circle and its full width at half maximum,
``arm_width``, measured in distances between neighbouring arms. φ is the angle at which an arm is at R:

===================  =========================  =====================================================================
form                 φ                          parameters
===================  =========================  =====================================================================
logarithmic          ln(R / R0) / tan(pitch)    pitch_angle in degrees; R0 is the disk's semi-major half-light radius
ringermacher_mead    2 N atan(B exp(−A / R))    N, A in pixels, B
===================  =========================  =====================================================================

The latter is r = A / ln(B tan(φ / 2N)) (Ringermacher & Mead 2009, MNRAS 397, 164), whose φ falls from N π to
2 N atan(1 / B) as r grows, with φ counted backwards from N π, so that for both forms arms of handedness 1 turn
counter-clockwise outwards. It has a straight bar along arm_angle at R ≪ A.

The pulse is summed as a series of cosines, 1 + 2 Σ I_j(κ) / I0(κ) cos jψ. A term fades where its waves are too fine for
the grid: behind a point spread function they cannot be seen. That fails near the centre, where the light changes within
a wave, and the more the narrower the ellipse; there the light is drawn on finer grids, each on half of the radius of
the one before, which pass into one another smoothly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.galaxies.oversampled import (
    CHUNK,
    REACH,
    convolve,
    grid_period,
    halve,
    refinement,
)
from deepbench.images.galaxies.sersic import (
    LEAST_AXIS_RATIO,
    ellipse,
    sersic_tables,
    shape_constants,
)
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import atan2_32, cos32, cos64, exp32, log32, log64, tand64

LOGARITHMIC, RINGERMACHER_MEAD = 0, 1

FORMS: dict[str, int] = {"logarithmic": LOGARITHMIC, "ringermacher_mead": RINGERMACHER_MEAD}
"""Code of each form of the arms."""

ARMS_ROW = (
    *("flux", "x", "y", "half_light_radius", "axis_ratio", "position_angle", "arms", "form"),
    *("winding", "A", "B", "contrast", "arm_width", "inner_radius", "arm_angle", "handedness"),
)
"""The columns of a row of arms, in pixels and degrees; ``winding`` is the pitch angle or N."""

ARM_WIDTH = (0.05, 0.95)
"""Range of the width of arms; values outside are drawn as the nearest."""

PITCH = (1.0, 89.0)
"""Range of the pitch angle in degrees; values outside are drawn as the nearest."""

MOST_TERMS = 64
"""Of the series of cosines."""

LEAST_TERM = 1e-5
"""Smaller terms are left out."""

SCALES = 14.0
"""Light beyond this many scale lengths of the disk is left out."""

CORE = 12.0, 48.0
"""Each finer grid reaches at least and at most this many of its steps along the minor axis: the first, and a step for
each radian of ψ's change along the way R, times √(1 + κ), as narrow arms have shorter waves."""

FINEST = 0.04
"""The finest grid has steps of at most this many pixels in the plane of the disk."""

DARK_CENTRE = 0.3
"""No finer grid is needed that ends within this part of the inner radius."""

_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_TINY = np.float32(1e-12)
_NYQUIST = np.float32(1.0 / math.pi**2)


class Disk(NamedTuple):
    """What the light depends on; lengths in pixels, ``scale`` is 1/h, ``turn`` cot(pitch) or 2 N."""

    x: float
    y: float
    sine: float
    cosine: float
    axis_ratio: float
    end: float
    amplitude: float
    scale: np.float32
    inner: np.float32
    form: int
    turn: np.float32
    log_start: np.float32
    a: np.float32
    b: np.float32
    core: float
    arms: np.float32
    angle: np.float32
    handedness: np.float32


@inline
def _concentration(width):
    """Return κ of a pulse of this full width at half maximum, in distances between pulses."""
    width = min(max(width, ARM_WIDTH[0]), ARM_WIDTH[1])
    return math.log(2.0) / (1.0 - cos64(math.pi * width))


@inline
def _make_disk(row, tables):
    """Return the ``Disk`` of a row."""
    shape = ellipse(row[3], row[4], row[5])
    rate = shape_constants(1.0, tables)[0]
    h = shape.a / rate
    q = shape.b / shape.a
    kappa = _concentration(row[12])
    form = int(row[7])
    if form == LOGARITHMIC:
        turn = 1.0 / tand64(min(max(row[8], PITCH[0]), PITCH[1]))
        wind = turn
    else:
        turn = 2.0 * row[8]
        wind = row[8] * (1.0 + max(log64(row[10]), 0.0))
    return Disk(
        row[1],
        row[2],
        shape.sine,
        shape.cosine,
        q,
        SCALES * h,
        row[0] * row[11] / (2.0 * np.pi * h * h * q),
        np.float32(1.0 / h),
        np.float32(row[13] * row[13]),
        form,
        np.float32(turn),
        np.float32(log64(shape.a)),
        np.float32(row[9]),
        np.float32(row[10]),
        min(CORE[0] + row[6] * np.sqrt((1.0 + wind * wind) * (1.0 + kappa)), CORE[1]),
        np.float32(row[6]),
        np.float32(row[6] * (row[14] - 360.0 * np.floor(row[14] / 360.0)) * np.pi / 180.0),
        np.float32(1.0 if row[15] >= 0.0 else -1.0),
    )


@inline
def write_series(width, terms):
    """Write 2 I_j(κ) / I0(κ) of a pulse for j from 1; return how many there are.

    The ratios r_j = I_j / I_(j−1) follow from r_j = 1 / (2j / κ + r_(j+1)), downwards (Gautschi 1967, SIAM Rev. 9, 24).
    """
    kappa = _concentration(width)
    ratio = 0.0
    for j in range(2 * terms.size, 0, -1):
        ratio = 1.0 / (2.0 * j / kappa + ratio)
        if j <= terms.size:
            terms[j - 1] = ratio
    product, count = 2.0, 0
    while count < terms.size:
        product *= terms[count]
        terms[count] = product
        if product < LEAST_TERM:
            break
        count += 1
    return max(count, 1)


@inline
def _smooth_step(x):
    """Return a polynomial that rises from 0 to 1 with x, with three derivatives."""
    x = _ZERO if x < _ZERO else (_ONE if x > _ONE else x)
    square = x * x
    return (
        square
        * square
        * (
            np.float32(35.0)
            + x * (np.float32(-84.0) + x * (np.float32(70.0) - np.float32(20.0) * x))
        )
    )


@inline
def _chord(disk, dx, dy, step, count, end):
    """Return the first and last + 1 of the points dx + i step of a row within a radius of the disk."""
    end = min(end, disk.end)
    c, s, q2 = disk.cosine, disk.sine, disk.axis_ratio * disk.axis_ratio
    xx, xy, yy = c * c + s * s / q2, c * s * (1.0 - 1.0 / q2), s * s + c * c / q2
    middle = -xy * dy / xx
    rest = (end * end - yy * dy * dy) / xx + middle * middle
    if rest <= 0.0:
        return 0, 0
    half = np.sqrt(rest)
    first = np.ceil((middle - half - dx) / step)
    last = np.floor((middle + half - dx) / step) + 1.0
    first = int(min(max(first, 0.0), float(count)))
    return first, int(min(max(last, float(first)), float(count)))


@inline
def _add_light(disk, terms, x, y, step, inside, outside, lines, target):
    """Add the arms' light per point along a row of points, from the one at (x, y); return the first and last + 1.

    Parameters
    ----------
    disk : Disk
    terms : float64[n]
        Of the pulse.
    x, y, step : float
        Pixels.
    inside, outside : float
        The light fades out towards ``inside`` from twice that radius, and towards ``outside`` from half of it.
    lines : float32[9, :]
        Scratch.
    target : float32[m]
    """
    dx, dy = x - disk.x, y - disk.y
    first, last = _chord(disk, dx, dy, step, target.size, outside)
    count = last - first
    if count == 0:
        return first, last
    dx += first * step
    target = target[first:last]
    us, vs, squares, turns = lines[0], lines[1], lines[2], lines[3]
    waves, cosines, before, sums, light = lines[4], lines[5], lines[6], lines[7], lines[8]
    u0, du = np.float32(dx * disk.cosine + dy * disk.sine), np.float32(step * disk.cosine)
    v0 = np.float32((dy * disk.cosine - dx * disk.sine) / disk.axis_ratio)
    dv = np.float32(-step * disk.sine / disk.axis_ratio)
    for i in range(count):
        place = np.float32(np.int32(i))
        u, v = u0 + du * place, v0 + dv * place
        us[i], vs[i] = u, v
        squares[i] = u * u + v * v + _TINY
    # turns: φ; waves: dφ / d ln R
    if disk.form == LOGARITHMIC:
        half = np.float32(0.5)
        for i in range(count):
            turns[i] = disk.turn * (half * log32(squares[i]) - disk.log_start)
            waves[i] = disk.turn
    else:
        for i in range(count):
            inverse = disk.a / np.sqrt(squares[i])
            tangent = disk.b * exp32(-inverse)
            turns[i] = disk.turn * atan2_32(tangent, _ONE)
            waves[i] = disk.turn * inverse * tangent / (_ONE + tangent * tangent)
    amplitude = np.float32(disk.amplitude * step * step)
    near, far = np.float32(1.0 / inside if inside > 0.0 else 1e30), np.float32(2.0 / outside)
    inverse_q2 = np.float32(1.0 / (disk.axis_ratio * disk.axis_ratio))
    fineness = np.float32(step * step) * disk.arms * disk.arms * _NYQUIST
    for i in range(count):
        u, v, square = us[i], vs[i], squares[i]
        bend = disk.handedness * waves[i]
        along, across = v + bend * u, u - bend * v
        waves[i] = fineness * (along * along + across * across * inverse_q2) / (square * square)
        angle = atan2_32(v, u) - disk.handedness * turns[i]
        cosine = cos32(disk.arms * angle - disk.angle)
        cosines[i], before[i], turns[i], sums[i] = cosine, _ONE, cosine, _ZERO
        radius = np.sqrt(square)
        window = _smooth_step(radius * near - _ONE) * (_ONE - _smooth_step(radius * far - _ONE))
        light[i] = amplitude * window * exp32(-disk.scale * radius - disk.inner / square)
    for j in range(terms.size):
        term, order = np.float32(terms[j]), np.float32((j + 1) * (j + 1))
        for i in range(count):
            cosine = turns[i]
            fine = order * waves[i]
            fine *= fine
            fine *= fine
            sums[i] += term * cosine / (_ONE + fine * fine)
            turns[i] = _TWO * cosines[i] * cosine - before[i]
            before[i] = cosine
    for i in range(count):
        target[i] += light[i] * sums[i]
    return first, last


class Core(NamedTuple):
    """Arrays for the finer grids, all of the same shape, and a row."""

    fine: NDArray[np.float32]
    coarse: NDArray[np.float32]
    half: NDArray[np.float32]


def _core_half_size(axis_ratio: float) -> int:
    return int(CORE[1] / max(axis_ratio, LEAST_AXIS_RATIO)) + 2 * REACH + 2


def _make_core(least_axis_ratio: float) -> Core:
    """Return the arrays for disks of at least this axis ratio."""
    most = 2 * _core_half_size(least_axis_ratio)
    return Core(
        fine=np.empty((most, most), np.float32),
        coarse=np.empty((most, most), np.float32),
        half=np.empty(most // 2, np.float32),
    )


@inline
def _extent(disk):
    """Return the half-sizes along x and y, in points, of the boxes that hold the finer grids' light."""
    a, b = disk.core / disk.axis_ratio, disk.core
    c, s = disk.cosine, disk.sine
    width = int(np.sqrt(a * a * c * c + b * b * s * s))
    height = int(np.sqrt(a * a * s * s + b * b * c * c))
    return width + 2 * REACH, height + 2 * REACH


@inline
def _add_core(grid, disk, terms, start, refined, core, lines):
    """Add what the finer grids hold to a grid whose first point is at ``start``."""
    wide, high = _extent(disk)
    levels, points = 1, 2 * refined
    end = DARK_CENTRE * np.sqrt(disk.inner) * disk.axis_ratio
    while points * FINEST * disk.axis_ratio < 1.0 and 0.5 * disk.core > end * points:
        levels, points = levels + 1, 2 * points
    fine, coarse = core.fine, core.coarse
    fine[: 2 * high, : 2 * wide] = _ZERO
    half = core.half[:wide]
    for level in range(levels, 0, -1):
        points = refined * 2**level
        step = 1.0 / points
        # points and rows are counted from the grid's first; boxes start at even ones
        left = 2 * int(np.floor(0.5 * ((disk.x - start) * points - wide)))
        bottom = 2 * int(np.floor(0.5 * ((disk.y - start) * points - high)))
        next_left = 2 * int(np.floor(0.5 * ((disk.x - start) * 0.5 * points - wide)))
        next_bottom = 2 * int(np.floor(0.5 * ((disk.y - start) * 0.5 * points - high)))
        shift, rise = left // 2 - next_left, bottom // 2 - next_bottom
        coarse[: 2 * high, : 2 * wide] = _ZERO
        outside = disk.core * step / disk.axis_ratio
        inside = 0.0 if level == levels else 0.25 * outside
        for row in range(REACH, 2 * high - REACH):
            y, line = start + (bottom + row) * step, fine[row, : 2 * wide]
            first, last = _add_light(
                disk, terms, start + left * step, y, step, inside, outside, lines, line
            )
            if last > first:
                halve(line, first, last, coarse[rise:, shift : shift + wide], row, half)
        fine, coarse = coarse, fine
        if level == 1:
            _add_box(grid, fine, next_left, next_bottom, 2 * wide, 2 * high)


@inline
def _add_box(grid, box, left, bottom, width, height):
    """Add the part of a box that lies on a grid."""
    size = grid.shape[0]
    first, last = max(left, 0), min(left + width, size)
    for row in range(max(bottom, 0), min(bottom + height, size)):
        target, source = grid[row], box[row - bottom]
        for i in range(first, last):
            target[i] += source[i - left]


@kernel
def write_arms(grids, rows, start, refined, tables, core, lines):
    """Write the arms' light per point of fine grids; see ``gridded.convolve``."""
    terms = np.empty(MOST_TERMS)
    step = 1.0 / refined
    for image in range(grids.shape[0]):
        disk = _make_disk(rows[image], tables)
        count = write_series(rows[image, 12], terms)
        inside = 0.25 * disk.core * step / disk.axis_ratio
        for row in range(grids.shape[1]):
            _add_light(
                disk, terms[:count], start, start + row * step, step, inside, 1e9,
                lines, grids[image, row],
            )  # fmt: skip
        _add_core(grids[image], disk, terms[:count], start, refined, core, lines)


def light_of_arms(
    rows: NDArray[np.float64], refined: int, side: int
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the light of spiral arms on fine grids for stamps, some at a time; see ``gridded.convolve``.

    ``rows`` is float64[m, 16], as ``ARMS_ROW`` says, in pixels and degrees; x and y are near the pixel side // 2.
    """
    size = grid_period(side)
    core = _make_core(rows[:, 4].min(initial=1.0))
    lines = np.empty((9, max(refined * size, len(core.fine))), np.float32)
    for begin in range(0, len(rows), CHUNK):
        some = slice(begin, begin + CHUNK)
        own = rows[some]
        grids = np.zeros((len(own), refined * size, refined * size), np.float32)
        start = float(side // 2 - size // 2)
        write_arms(grids, own, start, refined, sersic_tables(), core, lines)
        yield some, grids


def add_arms(
    stamps: NDArray[np.float32], rows: NDArray[np.float64], psf_rows: NDArray[np.float64]
) -> None:
    """Add spiral arms behind point spread functions to stamps.

    Parameters
    ----------
    stamps : float32[m, side, side]
        Changed in place.
    rows : float64[m, 16]
        As ``ARMS_ROW`` says, in pixels and degrees; x and y are near the pixel side // 2.
    psf_rows : float64[m, 5]
        As ``PSF_ROW`` says, in pixels and degrees.
    """
    refinements = np.array([refinement(row) for row in psf_rows])
    for refined in np.unique(refinements):
        chosen = np.flatnonzero(refinements == refined)
        for some, grids in light_of_arms(rows[chosen], refined, stamps.shape[1]):
            stamps[chosen[some]] += convolve(grids, psf_rows[chosen[some]], stamps.shape[1])
