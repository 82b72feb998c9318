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
the grid on which the light is sampled: behind a point spread function they cannot be seen. ``spirals`` draws what is
too fine near the centre.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from deepbench.images.galaxies.model import LOGARITHMIC
from deepbench.images.galaxies.sersic import component_ellipse, shape_constants
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import atan2_32, cos32, cos64, exp32, log32, log64, tand64

ARM_WIDTH = (0.05, 0.95)
"""Range of the width of arms; values outside are drawn as the nearest."""

PITCH = (1.0, 89.0)
"""Range of the pitch angle in degrees; values outside are drawn as the nearest."""

MOST_TERMS = 64
"""Largest number of terms of the series of cosines."""

LEAST_TERM = 1e-5
"""Least term of the series of cosines that is kept."""

SCALES = 14.0
"""Scale lengths of the disk beyond which light is left out."""

CORE = 12.0, 48.0
"""Each finer grid reaches at least and at most this many of its steps along the minor axis: the first, and a step for
each radian of ψ's change along the way R, times √(1 + κ), as narrow arms have shorter waves."""

_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_TINY = np.float32(1e-12)
_NYQUIST = np.float32(1.0 / math.pi**2)


class Disk(NamedTuple):
    """Numbers from which the light follows; lengths in pixels, ``scale`` is 1/h, ``turn`` cot(pitch) or 2 N."""

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
def make_disk(row, tables):
    """Return the ``Disk`` of a row."""
    shape = component_ellipse(row)
    rate = shape_constants(1.0, tables)[0]
    h = shape.a / rate
    q = shape.b / shape.a
    kappa = _concentration(row.arm_width)
    if row.form == LOGARITHMIC:
        turn = 1.0 / tand64(min(max(row.pitch_angle_degrees, PITCH[0]), PITCH[1]))
        wind = turn
    else:
        turn = 2.0 * row.winding
        wind = row.winding * (1.0 + max(log64(row.arm_opening), 0.0))
    angle = row.arm_angle_degrees
    return Disk(
        row.x,
        row.y,
        shape.sine,
        shape.cosine,
        q,
        SCALES * h,
        row.flux * row.contrast / (2.0 * np.pi * h * h * q),
        np.float32(1.0 / h),
        np.float32(row.inner_radius * row.inner_radius),
        row.form,
        np.float32(turn),
        np.float32(log64(shape.a)),
        np.float32(row.arm_scale),
        np.float32(row.arm_opening),
        min(CORE[0] + row.arms * np.sqrt((1.0 + wind * wind) * (1.0 + kappa)), CORE[1]),
        np.float32(row.arms),
        np.float32(row.arms * (angle - 360.0 * np.floor(angle / 360.0)) * np.pi / 180.0),
        np.float32(1.0 if row.handedness >= 0.0 else -1.0),
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
def add_light(disk, terms, x, y, step, inside, outside, lines, target):
    """Add the arms' light per point along a row of points, from the one at (x, y); return the first and last + 1.

    Parameters
    ----------
    disk : Disk
    terms : float64[n]
        Terms of the pulse.
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
    us, vs, squares = lines[0], lines[1], lines[2]
    u0, du = np.float32(dx * disk.cosine + dy * disk.sine), np.float32(step * disk.cosine)
    v0 = np.float32((dy * disk.cosine - dx * disk.sine) / disk.axis_ratio)
    dv = np.float32(-step * disk.sine / disk.axis_ratio)
    for i in range(count):
        steps = np.float32(np.int32(i))
        u, v = u0 + du * steps, v0 + dv * steps
        us[i], vs[i] = u, v
        squares[i] = u * u + v * v + _TINY
    add_at(disk, terms, step, inside, outside, lines, target[first:last])
    return first, last


@inline
def add_at(disk, terms, step, inside, outside, lines, target):
    """Add the arms' light per point, a square with the edge ``step``, at points in the plane of the disk.

    The first two of the ``lines`` have the coordinates along the major and the minor axis, the third the sum of their
    squares; the other parameters are those of ``add_light``.
    """
    count = target.size
    us, vs, squares, turns = lines[0], lines[1], lines[2], lines[3]
    waves, cosines, before, sums, light = lines[4], lines[5], lines[6], lines[7], lines[8]
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
