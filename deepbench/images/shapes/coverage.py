"""The area that polygons cover, cell by cell.

The cover follows from the edges alone (Green's theorem), as in the rasterisers of fonts: an edge
that crosses a cell from x to x + dx at the mean height f above the cell's floor leaves dx (1 − f)
in the cell and dx f in the cell above it. The running sum along y of what all edges of a closed
path left, counter-clockwise, is the covered area. Edges beyond the cells are clipped exactly: those
to the left, to the right and above leave nothing, those below leave their dx in the lowest cell.
The time follows the number of cells that the edges cross, and of the cells themselves.

The cells of a window are a flat float64 array, row after row along y, with one row more than the
window; they are zero before the first edge, and zero again once they are painted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deepbench.numerics.kernels import inline, kernel

SNAP = 1e-9
"""Distance from 0 or 1 below which covers are exactly 0 or 1: this absorbs the rounding of the sums."""


class Window(NamedTuple):
    """Cells in a rectangle: (j, i) spans left + i to left + i + 1, bottom + j to bottom + j + 1."""

    bottom: int
    left: int
    rows: int
    columns: int


class Polygon(NamedTuple):
    """Vertices around the origin: the first, turned by the step again and again.

    The last side of a closed polygon ends at the first vertex, that of an open one a step further.
    """

    sides: int
    closed: bool
    first_x: float
    first_y: float
    step_sin: float
    step_cos: float


class Frame(NamedTuple):
    """Position and axes of a polygon: (u, v) goes to (x + xu·u + xv·v, y + yu·u + yv·v)."""

    x: float
    y: float
    xu: float
    xv: float
    yu: float
    yv: float


@kernel
def _add_cell(cells, window, column, row, dx, moment):
    """Add edges within one cell: their signed dx, and its sum times the height over the origin."""
    i = int(column) - window.left
    j = int(row) - window.bottom
    if 0 <= i < window.columns and j < window.rows:
        if j < 0:
            cells[i] += dx
        else:
            above = moment - dx * row
            cells[j * window.columns + i] += dx - above
            cells[(j + 1) * window.columns + i] += above


@inline
def _spread(cells, window, column, dx, low, high):
    """Add an edge within one column, of signed dx, that rises evenly from low to high or falls."""
    rate = dx / (high - low)
    floor = float(window.bottom)
    bottom = low
    done = 0.0
    if low < floor:
        done = dx if high <= floor else (floor - low) * rate
        _add_cell(cells, window, column, floor - 1.0, done, 0.0)
        if high <= floor:
            return
        bottom = floor
    row = np.floor(bottom)
    while row < window.bottom + window.rows:
        top = min(row + 1.0, high)
        reached = dx if top == high else (top - low) * rate
        part = reached - done
        _add_cell(cells, window, column, row, part, part * 0.5 * (bottom + top))
        if top == high:
            return
        done = reached
        bottom = top
        row += 1.0


@kernel
def add_edge(cells, window, x0, y0, x1, y1, sign):
    """Add the edge from (x0, y0) to (x1, y1), of any length; the sign −1 adds it reversed."""
    if x1 < x0:
        x0, y0, x1, y1, sign = x1, y1, x0, y0, -sign
    left = float(window.left)
    end = min(x1, left + window.columns)
    if x0 == x1 or x1 <= left or x0 >= end:
        return
    low, high = min(y0, y1), max(y0, y1)
    slope = (y1 - y0) / (x1 - x0)
    x, y = x0, y0
    if x0 < left:
        x = left
        y = min(max(y0 + (left - x0) * slope, low), high)
    column = np.floor(x)
    while x < end:
        next_x = min(column + 1.0, end)
        next_y = min(max(y0 + (next_x - x0) * slope, low), high) if next_x < x1 else y1
        _spread(cells, window, column, sign * (next_x - x), min(y, next_y), max(y, next_y))
        x, y = next_x, next_y
        column += 1.0


@kernel
def add_polygon(cells, window, polygon, frame, sign):
    """Add the sides of a polygon; return its first and its last point, x0, y0, x1, y1.

    Most sides of a curve are shorter than a cell. Those within one cell are summed as they come,
    and added together where the curve leaves it.
    """
    u, v = polygon.first_x, polygon.first_y
    first_x = frame.x + (frame.xu * u + frame.xv * v)
    first_y = frame.y + (frame.yu * u + frame.yv * v)
    x, y = first_x, first_y
    column, row = np.floor(x), np.floor(y)
    entry = x
    moment = 0.0  # twice the sum of dx times height
    for side in range(1, polygon.sides + 1):
        u, v = (
            u * polygon.step_cos - v * polygon.step_sin,
            v * polygon.step_cos + u * polygon.step_sin,
        )
        next_x = frame.x + (frame.xu * u + frame.xv * v)
        next_y = frame.y + (frame.yu * u + frame.yv * v)
        if polygon.closed and side == polygon.sides:
            next_x, next_y = first_x, first_y
        next_column, next_row = np.floor(next_x), np.floor(next_y)
        crossed = abs(next_column - column) + abs(next_row - row)
        if crossed == 0.0:
            moment += (next_x - x) * (y + next_y)
        elif crossed == 1.0:
            if next_row == row:
                cross_x = max(column, next_column)
                cross_y = y + (cross_x - x) / (next_x - x) * (next_y - y)
            else:
                cross_y = max(row, next_row)
                cross_x = x + (cross_y - y) / (next_y - y) * (next_x - x)
            moment += (cross_x - x) * (y + cross_y)
            _add_cell(cells, window, column, row, sign * (cross_x - entry), 0.5 * sign * moment)
            entry = cross_x
            moment = (next_x - cross_x) * (cross_y + next_y)
        else:
            _add_cell(cells, window, column, row, sign * (x - entry), 0.5 * sign * moment)
            add_edge(cells, window, x, y, next_x, next_y, sign)
            entry = next_x
            moment = 0.0
        x, y = next_x, next_y
        column, row = next_column, next_row
    _add_cell(cells, window, column, row, sign * (x - entry), 0.5 * sign * moment)
    return first_x, first_y, x, y


@inline
def paint(cells, rows, columns, plane, bottom, left, amplitude, over):
    """Paint the covered area onto the plane from pixel (bottom, left), and leave the cells zero.

    ``over`` False adds amplitude × cover; True covers: plane × (1 − cover) + amplitude × cover.
    """
    hides = 1.0 if over else 0.0
    for row in range(rows):
        here = cells[row * columns : (row + 1) * columns]
        above = cells[(row + 1) * columns : (row + 2) * columns]
        target = plane[bottom + row, left : left + columns]
        for i in range(columns):
            cover = here[i]
            above[i] += cover
            here[i] = 0.0
            cover = 0.0 if cover < SNAP else cover
            cover = 1.0 if cover > 1.0 - SNAP else cover
            target[i] = target[i] * (1.0 - hides * cover) + amplitude * cover
    for i in range(rows * columns, (rows + 1) * columns):
        cells[i] = 0.0
