"""Shapes drawn by the area they cover.

The cover of a pixel, between 0 and 1, is the part of its square that lies inside the shape: the
pixel (y = j, x = i) is the square [i − ½, i + ½] × [j − ½, j + ½]. ``amplitude`` times the cover is
added to the image, or covers what is there.

The polygon that stands for a curve has exactly the area inside the curve, so the sum over the
pixels is the analytic area.

``deepbench.images.shapes.coverage`` finds the cover of a polygon. The time follows the length of the edges
and the bounding box, not the image, and the cut at the image's border is exact: a frame holds what
a larger frame holds there.
"""

from __future__ import annotations

import difflib

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.shapes.boundaries import RADIANS
from deepbench.images.shapes.coverage import Frame, Polygon, Window, add_edge, add_polygon, paint
from deepbench.images.shapes.model import SHAPES, Shape
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincosd64


@inline
def boundary_polygon(row):
    """Return the vertices of a boundary, before they are stretched."""
    step_sin, step_cos = sincosd64(row.step_degrees)
    grow = 1.0
    if row.curved and row.step_degrees > 0.0:
        # With its vertices on the circle it would have sin(step) / step of the area.
        grow = np.sqrt(row.step_degrees * RADIANS / step_sin)
    return Polygon(
        row.sides, row.closed, row.first_x * grow, row.first_y * grow, step_sin, step_cos
    )


@inline
def boundary_frame(x, y, a, b, turn):
    """Return the frame of a polygon that is stretched by a and b and turned; ``turn`` is the sine and cosine."""
    return Frame(x, y, a * turn[1], -b * turn[0], a * turn[0], b * turn[1])


@inline
def _add_boundary(cells, window, row, polygon, x, y, turn):
    """Add all edges of a boundary around (x, y)."""
    outer = boundary_frame(x, y, row.a, row.b, turn)
    x0, y0, x1, y1 = add_polygon(cells, window, polygon, outer, 1.0)
    x -= row.inner_shift * turn[0]
    y += row.inner_shift * turn[1]
    u0, v0, u1, v1 = x, y, x, y
    if row.inner_a > 0.0 and row.inner_b > 0.0:
        inner = boundary_frame(x, y, row.inner_a, row.inner_b, turn)
        u0, v0, u1, v1 = add_polygon(cells, window, polygon, inner, -1.0)
    if not row.closed:
        add_edge(cells, window, x1, y1, u1, v1, 1.0)
        add_edge(cells, window, u0, v0, x0, y0, 1.0)


@inline
def reach(along, across, polygon):
    """Return how far a stretched and turned polygon extends along x or y, or a little more."""
    u, v = polygon.first_x, polygon.first_y
    norm = np.sqrt(u * u + v * v)
    corner = (abs(along) + abs(across)) * max(abs(u), abs(v))
    return min(corner, norm * np.sqrt(along * along + across * across))


@inline
def work_size(height, width):
    """Return the length of the scratch array that ``draw_object`` needs for a plane."""
    return (height + 1) * width


@kernel
def draw_object(plane, y_origin, x_origin, row, work):
    """Draw one shape, inside a kernel.

    Parameters
    ----------
    plane : float32[h, w]
        The image, changed in place. Its pixel (j, i) is centred at (y_origin + j, x_origin + i).
    y_origin, x_origin : float
        Position of the pixel (0, 0). Shifting a shape and the origin by the same whole number
        changes no bit.
    row : SHAPE_ROW
        What is drawn: added, or hiding what lies below.
    work : float64[work_size(h, w)] or longer
        Scratch: zeros, and zeros again afterwards.

    Returns
    -------
    bottom, top, left, right : int
        The part plane[bottom:top, left:right] that may have changed; (h, 0, w, 0) if none.
    """
    height, width = plane.shape
    polygon = boundary_polygon(row)
    turn = sincosd64(row.turn_degrees)
    reach_x = reach(row.a * turn[1], row.b * turn[0], polygon)
    reach_y = reach(row.a * turn[0], row.b * turn[1], polygon)

    # The shape's grid starts near its centre, so that whole shifts leave the grid the same.
    x, y = row.x, row.y
    grid_x, grid_y = np.floor(x), np.floor(y)
    corner_x, corner_y = np.floor(x_origin), np.floor(y_origin)
    shift_x, shift_y = int(grid_x - corner_x), int(grid_y - corner_y)
    x = (x - grid_x) - (x_origin - corner_x) + 0.5
    y = (y - grid_y) - (y_origin - corner_y) + 0.5
    left = max(int(np.floor(x - reach_x)), -shift_x)
    right = min(int(np.floor(x + reach_x)) + 1, width - shift_x)
    bottom = max(int(np.floor(y - reach_y)), -shift_y)
    top = min(int(np.floor(y + reach_y)) + 1, height - shift_y)
    if left >= right or bottom >= top:
        return height, 0, width, 0

    window = Window(bottom, left, top - bottom, right - left)
    _add_boundary(work, window, row, polygon, x, y, turn)
    bottom, top, left, right = bottom + shift_y, top + shift_y, left + shift_x, right + shift_x
    paint(work, top - bottom, right - left, plane, bottom, left, row.amplitude, row.covers)
    return bottom, top, left, right


def cover(
    name: str,
    size: tuple[int, int],
    *,
    x: float,
    y: float,
    thickness: float = 0.0,
    **parameters: float,
) -> NDArray[np.float32]:
    """Return the part of every pixel that a shape covers.

    Parameters
    ----------
    name : str
        One of ``SHAPES``.
    size : tuple of int
        Number of pixels along y and x.
    x, y : float
        Centre of the shape (of a triangle the centroid, of a line the middle), in pixels from the
        centre of the pixel at the lower left.
    thickness : float
        Width of the outline or stroke, in pixels; 0 fills a shape that is not a stroke.
    **parameters : float
        All other parameters of the shape, in pixels and degrees.

    Returns
    -------
    float32[y, x]
        Between 0 and 1, dimensionless.

    Raises
    ------
    LabelError
        If the shape is unknown, if its parameters are not exactly those given, or if one is not
        finite.

    Examples
    --------
    >>> from deepbench.images.shapes.outlines import cover
    >>> cover("rectangle", (3, 4), x=1.0, y=1.0, width=3.0, height=1.0, angle=0.0)
    array([[0., 0., 0., 0.],
           [1., 1., 1., 0.],
           [0., 0., 0., 0.]], dtype=float32)
    """
    if name not in SHAPES:
        near = difflib.get_close_matches(name, SHAPES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        allowed = ", ".join(SHAPES)
        raise LabelError(f"no shape is called {name!r}; there are {allowed}{hint}", name=name)
    fields = SHAPES[name].model_fields
    own = [each for each in fields if each != "thickness" and each not in Shape.model_fields]
    if set(parameters) != set(own):
        needed, given = ", ".join(own), ", ".join(parameters) or "nothing"
        raise LabelError(f"a {name} needs the parameters {needed}; given: {given}", name=name)
    if fields["thickness"].is_required() and not thickness > 0.0:
        raise LabelError(f"a {name} needs a thickness above 0, not {thickness}", name=name)
    values = {"x": x, "y": y, "thickness": thickness, **parameters}
    if not np.isfinite([*values.values()]).all():
        raise LabelError(f"the parameters of a {name} must be finite, not {values}", name=name)
    (row,) = SHAPES[name].rows({key: np.array([value]) for key, value in values.items()})
    plane = np.zeros(size, np.float32)
    draw_object(plane, 0.0, 0.0, row, np.zeros(work_size(*size)))
    return plane
