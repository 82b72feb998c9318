"""The light of a galaxy far from its centre, and its sum over the points of a lattice.

A transform sampled at multiples of 2π/N is that of the galaxy and its copies at all multiples of N pixels. The copies
are outside the frame, so that their light inside it is smooth. It is found on few points, Chebyshev's, and the
polynomials through them are subtracted.

Far from the centre the point spread function stands for a Gaussian that has the same transform at a small wave number;
what it scatters further is flux × its wing. Across the ellipse, which may be narrow, the convolution is a sum over the
abscissae of Gauss and Hermite. Along it the profile exp(−φ), behind a Gaussian of the variance v, is

    exp(−φ + ½ v φ'² / (1 + v φ'')) / √(1 + v φ''),

exact for a quadratic φ (Laplace's method); a negative φ'' is small here, and taken as 0. It is never more than the
profile at half the distance, where this would fail: galaxies much smaller than the point spread function.

The eight nearest copies count most and are found with care; the 72 around them without the blur. The light of all
further ones is even: what lies outside of a square of 9 N pixels, spread over the N² pixels of a period.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.galaxies.sersic import (
    component_ellipse,
    light_outside,
    shape_constants,
    within_range,
)
from deepbench.images.psf.psf_profiles import psf_wing, transform_size, variance
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import cos, exp32, exp64, log32, log64, pow64, sincosd64

NODE_COUNTS = (3, 5, 9, 16, 32)
"""Points along each axis: 3 for further copies, for near ones the more the narrower the ellipse."""

AXIS_RATIOS = (0.45, 0.25)
"""Axis ratios from which on 9 and 16 points are enough; 5 and 9 where the copies are faint."""

FAINT = 3e-5
"""Copies are faint where they are below this part of the peak; their blur is left out."""

NEGLIGIBLE = 1e-6
"""Copies that bring less than this part of the flux into the frame are left out."""

ANGLES = 16
"""Directions in which the light outside of a square is found."""

MOST_POINTS = 8 * NODE_COUNTS[-1] ** 2
"""Largest number of values that are computed at once: eight copies at all points."""

_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_TINY = np.float32(1e-20)
# abscissae and weights for a normal distribution, exact for polynomials of degree 9
_HERMITE = np.float32(1.3556261799742657), np.float32(2.8569700138728056)
_WEIGHTS = np.float32(8.0 / 15.0), np.float32(0.22207592200561263), np.float32(0.011257411327720691)


class Nodes(NamedTuple):
    """Points along an axis of ``size`` pixels, float32[n], and the polynomials through them, float32[n, size]."""

    positions: NDArray[np.float32]
    polynomials: NDArray[np.float32]


@lru_cache(maxsize=64)
def chebyshev_nodes(count: int, size: int) -> Nodes:
    """Return the Chebyshev points of an axis, and each one's polynomial at the pixels."""
    half = 0.5 * (size - 1)
    points = cos(np.pi * (np.arange(count) + 0.5) / count)[:, None]
    pixels = np.arange(size) / half - 1.0 if half > 0.0 else np.zeros(1)
    total = np.ones((count, size))
    before, now = (np.ones_like(points), np.ones(size)), (points, pixels)
    for _ in range(1, count):
        total += 2.0 * now[0] * now[1]
        before, now = now, (2.0 * points * now[0] - before[0], 2.0 * pixels * now[1] - before[1])
    positions = half * (1.0 + points[:, 0])
    return Nodes(positions.astype(np.float32), (total / count).astype(np.float32))


def all_nodes(ny: int, nx: int) -> tuple[tuple[Nodes, Nodes], ...]:
    """Return the points along y and along x for each of ``NODE_COUNTS``."""
    return tuple((chebyshev_nodes(n, ny), chebyshev_nodes(n, nx)) for n in NODE_COUNTS)


class FarLight(NamedTuple):
    """Numbers from which the light far from the centre follows; ``xx``, ``yy`` are 1/a² and 1/b², ``power`` 1/(2n)."""

    sine: np.float32
    cosine: np.float32
    xx: np.float32
    yy: np.float32
    b: np.float32
    power: np.float32
    most_gain: np.float32
    norm: np.float32
    sigma: np.float32
    psf_norm: np.float32
    psf_core: np.float32
    psf_power: np.float32


@kernel
def make_far_light(component, psf, psf_table, tables, period):
    """Return the ``FarLight`` of a component behind a point spread function."""
    shape, flux = component_ellipse(component), component.flux
    inverse_index = 1.0 / within_range(component.sersic_index)
    b, norm = shape_constants(component.sersic_index, tables)
    c, psf_core, psf_power = psf_wing(psf)
    spread = variance(psf_table, transform_size(psf), 8.0 * np.pi / period) + 1.0 / 12.0
    return FarLight(
        np.float32(shape.sine),
        np.float32(shape.cosine),
        np.float32(1.0 / (shape.a * shape.a)),
        np.float32(1.0 / (shape.b * shape.b)),
        np.float32(b),
        np.float32(0.5 * inverse_index),
        np.float32(1.0 - pow64(0.5, inverse_index)),
        np.float32(flux * norm / (shape.a * shape.b)),
        np.float32(np.sqrt(spread)),
        np.float32(flux * c),
        np.float32(psf_core),
        np.float32(psf_power),
    )


@inline
def _profile(w, along, across):
    """Return the profile, blurred along the major axis only."""
    x, y = along * w.xx, across * w.yy
    inverse = _ONE / (along * x + across * y + _TINY)
    phi = w.b * exp32(-w.power * log32(inverse))
    rate = _TWO * w.power * phi * inverse * w.sigma * w.sigma
    bend = w.xx + _TWO * (w.power - _ONE) * inverse * x * x
    spread = _ONE + rate * (bend if bend > _ZERO else _ZERO)
    gain = w.power * phi * inverse * rate * x * x / spread
    most = w.most_gain * phi
    return exp32((gain if gain < most else most) - phi) / np.sqrt(spread)


@inline
def _psf_light(w, dx, dy):
    return w.psf_norm * exp32(-w.psf_power * log32(dx * dx + dy * dy + w.psf_core))


@inline
def _brightness(w, dx, dy):
    """Return the light per pixel at (dx, dy) from the centre."""
    along = dx * w.cosine + dy * w.sine
    across = dy * w.cosine - dx * w.sine
    near, far = _HERMITE[0] * w.sigma, _HERMITE[1] * w.sigma
    total = _WEIGHTS[0] * _profile(w, along, across)
    total += _WEIGHTS[1] * (_profile(w, along, across - near) + _profile(w, along, across + near))
    total += _WEIGHTS[2] * (_profile(w, along, across - far) + _profile(w, along, across + far))
    return w.norm * total + _psf_light(w, dx, dy)


@inline
def faint_brightness(w, dx, dy):
    """Return the light per pixel at (dx, dy) from the centre, without the blur across the ellipse."""
    along = dx * w.cosine + dy * w.sine
    across = dy * w.cosine - dx * w.sine
    return w.norm * _profile(w, along, across) + _psf_light(w, dx, dy)


@inline
def _bound(w, distance):
    """Return the most light per pixel at a distance, in float64."""
    square = distance * distance
    phi = w.b * exp64(w.power * log64(square * min(w.xx, w.yy) + 1e-30))
    far = exp64(-w.psf_power * log64(square + w.psf_core))
    return abs(w.norm) * exp64(-phi) + abs(w.psf_norm) * far


@inline
def _gap(centre, size):
    """Return how far a position is outside of an axis."""
    return max(max(-centre, centre - (size - 1)), 0.0)


class CopyScratch(NamedTuple):
    """Arrays that are written over: copies, points float32[3, MOST_POINTS], values at the nodes, lines of the frame."""

    copies: NDArray[np.float32]
    points: NDArray[np.float32]
    values: NDArray[np.float32]
    lines: NDArray[np.float32]


def copy_scratch(nx: int) -> CopyScratch:
    """Return the arrays for frames of ``nx`` columns."""
    most = NODE_COUNTS[-1]
    shapes = (2, 72), (3, MOST_POINTS), (most * most,), (most * nx,)
    return CopyScratch(*(np.empty(shape, np.float32) for shape in shapes))


@inline
def _write_light(w, count, faint, nodes, scratch):
    """Write the sum of the light of the first copies at the nodes."""
    copies, values = scratch.copies, scratch.values
    xs, ys, light = scratch.points[0], scratch.points[1], scratch.points[2]
    along_y, along_x = nodes[0].positions, nodes[1].positions
    size = along_y.size * along_x.size
    point = 0
    for copy in range(count):
        for row in range(along_y.size):
            for column in range(along_x.size):
                xs[point] = along_x[column] - copies[0, copy]
                ys[point] = along_y[row] - copies[1, copy]
                point += 1
    if faint:
        for i in range(point):
            light[i] = faint_brightness(w, xs[i], ys[i])
    else:
        for i in range(point):
            light[i] = _brightness(w, xs[i], ys[i])
    values[:size] = light[:size]
    for copy in range(1, count):
        part = light[copy * size : (copy + 1) * size]
        for node in range(size):
            values[node] += part[node]


@inline
def _add_to_frame(frame, nodes, sign, scratch):
    """Add the polynomials through the values at the nodes to a frame."""
    height, width = frame.shape
    along_y, along_x = nodes[0].polynomials, nodes[1].polynomials
    rows, columns = along_y.shape[0], along_x.shape[0]
    lines = scratch.lines[: rows * width]
    lines[:] = 0.0
    for row in range(rows):
        target = lines[row * width : (row + 1) * width]
        for column in range(columns):
            value = sign * scratch.values[row * columns + column]
            polynomial = along_x[column]
            for i in range(width):
                target[i] += value * polynomial[i]
    for j in range(height):
        target = frame[j]
        for row in range(rows):
            factor = along_y[row, j]
            source = lines[row * width : (row + 1) * width]
            for i in range(width):
                target[i] += factor * source[i]


@inline
def _nodes_of(axis_ratio, faint, nodes):
    """Return the nodes for copies of an ellipse."""
    more = 0 if faint else 1
    if axis_ratio >= AXIS_RATIOS[0]:
        return nodes[1 + more]
    return nodes[2 + more] if axis_ratio >= AXIS_RATIOS[1] else nodes[3 + more]


@inline
def _near_copies(w, x, y, period, frame_shape, least, copies):
    """Write the centres of the nearest copies that are not negligible; return how many, and the most light of one."""
    height, width = frame_shape
    count, most = 0, 0.0
    for my in range(-1, 2):
        for mx in range(-1, 2):
            cx, cy = x + mx * period, y + my * period
            gap_x, gap_y = _gap(cx, width), _gap(cy, height)
            bound = _bound(w, np.sqrt(gap_x * gap_x + gap_y * gap_y))
            if (mx != 0 or my != 0) and bound > least:
                copies[0, count], copies[1, count] = cx, cy
                count += 1
                most = max(most, bound)
    return count, most


@inline
def _far_copies(x, y, period, copies):
    """Write the centres of the 72 copies around the nearest; return how many."""
    count = 0
    for my in range(-4, 5):
        for mx in range(-4, 5):
            if abs(mx) > 1 or abs(my) > 1:
                copies[0, count], copies[1, count] = x + mx * period, y + my * period
                count += 1
    return count


@kernel
def galaxy_outside(component, half, tables):
    """Return about which part of a profile's light lies outside of a square of this half-width around it."""
    shape, index = component_ellipse(component), component.sersic_index
    total = 0.0
    if light_outside(half / shape.a, index, tables) > NEGLIGIBLE:
        for i in range(ANGLES):
            sine, cosine = sincosd64((i + 0.5) * 180.0 / ANGLES)
            x = shape.a * cosine * shape.cosine - shape.b * sine * shape.sine
            y = shape.a * cosine * shape.sine + shape.b * sine * shape.cosine
            total += light_outside(half / max(abs(x), abs(y)), index, tables)
    return total / ANGLES


@kernel
def psf_outside(psf, half):
    """Return about which part of its light a point spread function has outside of a square of this half-width."""
    c, core, power = psf_wing(psf)
    if c == 0.0:
        return 0.0
    square = 4.0 / np.pi * half * half + core  # of the circle with the square's area
    return np.pi * c * pow64(square, 1.0 - power) / (power - 1.0)


@kernel
def subtract_copies(frame, w, component, psf, period, tables, nodes, scratch):
    """Subtract the light of all copies of a galaxy from a frame.

    Parameters
    ----------
    frame : float32[ny, nx]
        Changed in place.
    w : FarLight
    component, psf : COMPONENT_ROW, PSF_ROW
    period : int
        Distance of the copies, in pixels: they are centred at multiples of this from the galaxy.
    tables : SersicTables
    nodes : tuple of pairs of Nodes
        ``all_nodes(ny, nx)``.
    scratch : CopyScratch
        Arrays of any content.
    """
    x, y, size = component.x, component.y, frame.shape[0] * frame.shape[1]
    flux, radius, width = component.flux, component.half_light_radius, transform_size(psf)
    least = NEGLIGIBLE * abs(flux) / size
    count, most = _near_copies(w, x, y, period, frame.shape, least, scratch.copies)
    if count > 0:
        extent = radius * radius + 0.5 * width * width
        faint = most < FAINT * abs(flux) / (2.0 * np.pi * extent)
        near = _nodes_of(component.axis_ratio, faint, nodes)
        _write_light(w, count, faint, near, scratch)
        _add_to_frame(frame, near, np.float32(-1.0), scratch)
    if 72.0 * _bound(w, 1.5 * period) > least:
        count = _far_copies(x, y, period, scratch.copies)
        _write_light(w, count, True, nodes[0], scratch)
        half = 4.5 * period
        even = flux * (galaxy_outside(component, half, tables) + psf_outside(psf, half))
        even /= float(period) * period
        scratch.values[:9] += np.float32(even)
        _add_to_frame(frame, nodes[0], np.float32(-1.0), scratch)
