"""The area of shapes inside a frame, and the part of the whole that this is: exact, without pixels.

Above each x, the length inside a polygon between two heights is the sum over the edges there, each with its sign, of
the edge's height clipped to these two (Green's theorem). An edge is clipped to the frame's columns; its height there is
linear but for the two corners of the clip.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepbench.images.shapes.boundaries import SHAPE_ROW
from deepbench.images.shapes.outlines import boundary_frame, boundary_polygon, reach
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincosd64

FINER = 8
"""Factor by which the polygons of curves have more sides here than where they are drawn: no point is further than
2e-5 pixels from the curve."""

AREAS = np.dtype([("area", np.float64), ("frame_fraction", np.float64)], align=True)
"""Row of what is measured of a shape: the area inside the frame (square pixels), and its part of the whole area."""


def areas_of(rows: NDArray[np.void], size: tuple[int, int]) -> NDArray[np.void]:
    """Return the ``AREAS`` of shapes, each alone, as if no other hid it, and without blur.

    Parameters
    ----------
    rows : SHAPE_ROW[m]
    size : tuple of int
        Number of pixels of the frame along y and x; pixel (0, 0) is centred at the origin.

    Returns
    -------
    AREAS[m]
        A shape without area has the fraction 0.
    """
    finer = rows.astype(SHAPE_ROW)
    curved = np.flatnonzero(finer["curved"])
    finer["sides"][curved] *= FINER
    finer["step_degrees"][curved] /= FINER
    result = np.zeros(len(rows), AREAS)
    _measure(finer, float(size[0]), float(size[1]), result)
    return result


@kernel
def _measure(rows, height, width, result):
    for i in range(len(rows)):
        row, measured = rows[i], result[i]
        polygon = boundary_polygon(row)
        turn = sincosd64(row.turn_degrees)
        hollow = row.inner_a > 0.0 and row.inner_b > 0.0
        corner = polygon.first_x * polygon.first_x + polygon.first_y * polygon.first_y
        axes = row.a * row.b - (row.inner_a * row.inner_b if hollow else 0.0)
        whole = 0.5 * row.sides * polygon.step_sin * corner * axes
        x, y = row.x + 0.5, row.y + 0.5
        along = reach(row.a * turn[1], row.b * turn[0], polygon)
        across = reach(row.a * turn[0], row.b * turn[1], polygon)
        inside = whole
        if not (along <= x <= width - along and across <= y <= height - across):
            inside = min(max(_clipped(row, polygon, turn, x, y, hollow, height, width), 0.0), whole)
        measured.area = inside
        measured.frame_fraction = inside / whole if whole > 0.0 else 0.0


@kernel
def _clipped(row, polygon, turn, x, y, hollow, height, width):
    """Return the area of a boundary in [0, width] × [0, height]; (x, y) is its centre."""
    outer = boundary_frame(x, y, row.a, row.b, turn)
    area, x0, y0, x1, y1 = _under(polygon, outer, height, width)
    x -= row.inner_shift * turn[0]
    y += row.inner_shift * turn[1]
    u0, v0, u1, v1 = x, y, x, y
    if hollow:
        inner = boundary_frame(x, y, row.inner_a, row.inner_b, turn)
        within, u0, v0, u1, v1 = _under(polygon, inner, height, width)
        area -= within
    if not row.closed:
        area += _under_edge(x1, y1, u1, v1, height, width)
        area += _under_edge(u0, v0, x0, y0, height, width)
    return area


@kernel
def _under(polygon, frame, height, width):
    """Return the sum over the sides of a polygon, and its first and last point."""
    u, v = polygon.first_x, polygon.first_y
    first_x = frame.x + (frame.xu * u + frame.xv * v)
    first_y = frame.y + (frame.yu * u + frame.yv * v)
    x, y = first_x, first_y
    area = 0.0
    for side in range(1, polygon.sides + 1):
        u, v = (
            u * polygon.step_cos - v * polygon.step_sin,
            v * polygon.step_cos + u * polygon.step_sin,
        )
        next_x = frame.x + (frame.xu * u + frame.xv * v)
        next_y = frame.y + (frame.yu * u + frame.yv * v)
        if polygon.closed and side == polygon.sides:
            next_x, next_y = first_x, first_y
        area += _under_edge(x, y, next_x, next_y, height, width)
        x, y = next_x, next_y
    return area, first_x, first_y, x, y


@inline
def _under_edge(x0, y0, x1, y1, height, width):
    """Return minus the integral over x of an edge's height, both clipped to the frame."""
    sign = -1.0
    if x1 < x0:
        x0, y0, x1, y1, sign = x1, y1, x0, y0, 1.0
    left, right = max(x0, 0.0), min(x1, width)
    if left >= right:
        return 0.0
    slope = (y1 - y0) / (x1 - x0)
    low, high = y0 + (left - x0) * slope, y0 + (right - x0) * slope
    if low > high:
        low, high = high, low
    # The heights from low to high are passed evenly: the mean of what is clipped, piece by piece.
    if low >= 0.0 and high <= height:
        mean = 0.5 * (low + high)
    elif high <= 0.0:
        mean = 0.0
    elif low >= height:
        mean = height
    else:
        bottom, top = max(low, 0.0), min(high, height)
        mean = (0.5 * (top - bottom) * (top + bottom) + (high - top) * height) / (high - low)
    return sign * (right - left) * mean
