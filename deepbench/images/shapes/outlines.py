"""Shapes drawn by the area they cover.

The cover of a pixel, between 0 and 1, is the part of its square that lies inside the shape: the
pixel (y = j, x = i) is the square [i − ½, i + ½] × [j − ½, j + ½]. ``amplitude`` times the cover is
added to the image, or covers what is there.

Every shape is a regular polygon of the unit circle, stretched along two axes, turned and moved: a
square for rectangles and lines, a triangle, and for a curve a polygon of so many sides that no
point is further than ``TOLERANCE`` pixels from the curve. That polygon has exactly the area inside
the curve, so the sum over the pixels is the analytic area. An outline is the polygon minus a
smaller one with as many sides; an arc is the same with both curves open and their ends joined.

``deepbench.images.shapes.coverage`` finds the cover of a polygon. The time follows the length of the edges
and the bounding box, not the image, and the cut at the image's border is exact: a frame holds what
a larger frame holds there.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.shapes.coverage import Frame, Polygon, Window, add_edge, add_polygon, paint
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincosd64

TOLERANCE = 1e-3
"""Largest distance (pixels) between a curve, of a radius up to 1e6 pixels, and its polygon."""

MAXIMUM_SIDES = 65536.0
"""Polygons have at most so many sides; larger curves are drawn with a larger tolerance."""

LIMIT = 1e9
"""Lengths and positions (pixels) and angles (degrees) beyond ±LIMIT are drawn as ±LIMIT."""

ROW = ("amplitude", "thickness", "x", "y")
"""The first columns of a kernel's row; the shape's own parameters follow, then zeros."""

ROW_SIZE = 7

RADIANS = math.pi / 180.0


@dataclass(frozen=True)
class Shape:
    """How the kernel knows a shape.

    Attributes
    ----------
    code : int
        The number that ``draw_object`` takes.
    parameters : tuple of str
        Names of the shape's own parameters, in the order in which they follow ``ROW``.
    needs_thickness : bool
        Whether the shape is a stroke; the others are filled where the thickness is 0.
    """

    code: int
    parameters: tuple[str, ...]
    needs_thickness: bool = False


SHAPES: dict[str, Shape] = {
    "circle": Shape(0, ("radius",)),
    "ellipse": Shape(1, ("semi_major_axis", "axis_ratio", "position_angle")),
    "rectangle": Shape(2, ("width", "height", "angle")),
    "regular_polygon": Shape(3, ("radius", "sides", "angle")),
    "triangle": Shape(4, ("base", "height", "angle")),
    "annulus": Shape(5, ("inner_radius",), needs_thickness=True),
    "arc": Shape(6, ("radius", "sweep", "angle"), needs_thickness=True),
    "line": Shape(7, ("length", "angle"), needs_thickness=True),
}


# --- the boundaries ---


class Boundary(NamedTuple):
    """The edges of a shape around the origin.

    The vertices ``first``, turned by multiples of ``step`` degrees, are stretched by ``a`` along
    the shape's own x and by ``b`` along its y, then turned by ``turn`` degrees. The inner curve has
    the same vertices stretched by ``inner_a`` and ``inner_b`` and moved by ``inner_shift`` along
    the shape's y; there is none unless both are positive. A boundary that is not ``closed`` stops
    after ``sides`` steps, where its two curves are joined. The polygon of a ``curved`` one is
    magnified to the area inside the curve.
    """

    sides: int
    step: float
    first_x: float
    first_y: float
    closed: bool
    curved: bool
    turn: float
    a: float
    b: float
    inner_a: float
    inner_b: float
    inner_shift: float


@inline
def _hole(size, thickness):
    """Return what an outline of this thickness leaves of a size; 0 of a filled shape."""
    return size - thickness if thickness > 0.0 else 0.0


@kernel
def _sides(radius, sweep):
    """Return the number of chords of an arc, a multiple of 4."""
    # The sagitta of a chord is radius × angle² / 8.
    count = sweep * RADIANS * np.sqrt(max(radius, 0.0) / (8.0 * TOLERANCE))
    return (int(np.ceil(min(max(count, 8.0), MAXIMUM_SIDES))) + 3) // 4 * 4


@inline
def _ring(a, b, inner_a, inner_b, turn):
    """Return the boundary between two ellipses of the same axes."""
    sides = _sides(a, 360.0)  # symmetric about both axes, so that the inner one stays inside
    return Boundary(
        sides, 360.0 / sides, 1.0, 0.0, True, True, turn, a, b, inner_a, inner_b, 0.0
    )  # fmt: skip


@inline
def _box(width, height, thickness, turn):
    """Return the boundary of a rectangle: the square (±1, ±1), stretched."""
    a, b = 0.5 * width, 0.5 * height
    inner_a, inner_b = _hole(a, thickness), _hole(b, thickness)
    return Boundary(4, 90.0, 1.0, 1.0, True, False, turn, a, b, inner_a, inner_b, 0.0)


@inline
def _ellipse(a, axis_ratio, turn, thickness):
    b = a * axis_ratio
    return _ring(a, b, _hole(a, thickness), _hole(b, thickness), turn)


@inline
def _regular_polygon(radius, sides, turn, thickness):
    count = int(min(max(sides, 3.0), MAXIMUM_SIDES))
    inner = _hole(radius, thickness / sincosd64(180.0 / count)[1])
    return Boundary(
        count, 360.0 / count, 1.0, 0.0, True, False, turn, radius, radius, inner, inner, 0.0
    )  # fmt: skip


@inline
def _triangle(base, height, turn, thickness):
    """Return the boundary of an isosceles triangle: the equilateral one, apex up, stretched.

    Sides moved inward by t are those of the triangle shrunk by 1 − t/ρ about the centre of its
    inscribed circle, which has the radius ρ and lies ρ − height/3 above the centroid.
    """
    perimeter = base + np.sqrt(base * base + 4.0 * height * height)
    inradius = base * height / perimeter if perimeter > 0.0 else 0.0
    part = thickness / inradius if 0.0 < thickness < inradius else 1.0
    a, b = base / math.sqrt(3.0), height / 1.5
    inner_a, inner_b = a * (1.0 - part), b * (1.0 - part)
    shift = part * (inradius - height / 3.0)
    return Boundary(3, 120.0, 0.0, 1.0, True, False, turn, a, b, inner_a, inner_b, shift)


@inline
def _arc(radius, sweep, turn, thickness):
    outer, inner = radius + 0.5 * thickness, radius - 0.5 * thickness
    closed = sweep >= 360.0
    sweep = min(max(sweep, 0.0), 360.0)
    sides = _sides(outer, sweep)
    return Boundary(
        sides, sweep / sides, 1.0, 0.0, closed, True, turn, outer, outer, inner, inner, 0.0
    )  # fmt: skip


@inline
def _within_limit(value):
    return min(max(value, -LIMIT), LIMIT)


@inline
def _boundary(code, row):
    """Return the boundary of the shape with this code."""
    thickness = _within_limit(row[1])
    p0, p1, p2 = _within_limit(row[4]), _within_limit(row[5]), _within_limit(row[6])
    if code == 0:
        return _ellipse(p0, 1.0, 0.0, thickness)
    if code == 1:
        return _ellipse(p0, p1, p2, thickness)
    if code == 2:
        return _box(p0, p1, thickness, p2)
    if code == 3:
        return _regular_polygon(p0, p1, p2, thickness)
    if code == 4:
        return _triangle(p0, p1, p2, thickness)
    if code == 5:
        return _ring(p0 + thickness, p0 + thickness, p0, p0, 0.0)
    if code == 6:
        return _arc(p0, p1, p2, thickness)
    return _box(p0, thickness, 0.0, p1)


# --- drawing ---


@inline
def _polygon(boundary):
    """Return the vertices of a boundary, before they are stretched."""
    step_sin, step_cos = sincosd64(boundary.step)
    grow = 1.0
    if boundary.curved and boundary.step > 0.0:
        # With its vertices on the circle it would have sin(step) / step of the area.
        grow = np.sqrt(boundary.step * RADIANS / step_sin)
    return Polygon(
        boundary.sides,
        boundary.closed,
        boundary.first_x * grow,
        boundary.first_y * grow,
        step_sin,
        step_cos,
    )


@inline
def _frame(x, y, a, b, turn):
    return Frame(x, y, a * turn[1], -b * turn[0], a * turn[0], b * turn[1])


@inline
def _add_boundary(cells, window, boundary, polygon, x, y, turn):
    """Add all edges of a boundary around (x, y)."""
    outer = _frame(x, y, boundary.a, boundary.b, turn)
    x0, y0, x1, y1 = add_polygon(cells, window, polygon, outer, 1.0)
    x -= boundary.inner_shift * turn[0]
    y += boundary.inner_shift * turn[1]
    u0, v0, u1, v1 = x, y, x, y
    if boundary.inner_a > 0.0 and boundary.inner_b > 0.0:
        inner = _frame(x, y, boundary.inner_a, boundary.inner_b, turn)
        u0, v0, u1, v1 = add_polygon(cells, window, polygon, inner, -1.0)
    if not boundary.closed:
        add_edge(cells, window, x1, y1, u1, v1, 1.0)
        add_edge(cells, window, u0, v0, x0, y0, 1.0)


@inline
def _reach(along, across, polygon):
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
def draw_object(plane, y_origin, x_origin, code, over, row, work):
    """Draw one shape, inside a kernel.

    Parameters
    ----------
    plane : float32[h, w]
        The image, changed in place. Its pixel (j, i) is centred at (y_origin + j, x_origin + i).
    y_origin, x_origin : float
        Position of the pixel (0, 0). Shifting a shape and the origin by the same whole number
        changes no bit.
    code : int
        ``SHAPES[name].code``.
    over : bool
        False adds amplitude × cover; True covers: plane × (1 − cover) + amplitude × cover.
    row : float64[7]
        (amplitude, thickness, x, y, and the shape's own parameters), finite, in pixels and degrees.
    work : float64[work_size(h, w)] or longer
        Scratch: zeros, and zeros again afterwards.

    Returns
    -------
    bottom, top, left, right : int
        The part plane[bottom:top, left:right] that may have changed; (h, 0, w, 0) if none.
    """
    height, width = plane.shape
    boundary = _boundary(code, row)
    polygon = _polygon(boundary)
    turn = sincosd64(boundary.turn)
    reach_x = _reach(boundary.a * turn[1], boundary.b * turn[0], polygon)
    reach_y = _reach(boundary.a * turn[0], boundary.b * turn[1], polygon)

    # The shape's grid starts near its centre, so that whole shifts leave the grid the same.
    x, y = _within_limit(row[2]), _within_limit(row[3])
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
    _add_boundary(work, window, boundary, polygon, x, y, turn)
    bottom, top, left, right = bottom + shift_y, top + shift_y, left + shift_x, right + shift_x
    paint(work, top - bottom, right - left, plane, bottom, left, row[0], over)
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
        All parameters of the shape, as ``SHAPES[name].parameters`` lists them, in pixels and
        degrees.

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
    shape = SHAPES[name]
    if set(parameters) != set(shape.parameters):
        needed, given = ", ".join(shape.parameters), ", ".join(parameters) or "nothing"
        raise LabelError(f"a {name} needs the parameters {needed}; given: {given}", name=name)
    if shape.needs_thickness and not thickness > 0.0:
        raise LabelError(f"a {name} needs a thickness above 0, not {thickness}", name=name)
    row = np.zeros(ROW_SIZE)
    row[: len(ROW)] = 1.0, thickness, x, y
    row[len(ROW) : len(ROW) + len(parameters)] = [parameters[key] for key in shape.parameters]
    if not np.isfinite(row).all():
        values = {"x": x, "y": y, "thickness": thickness, **parameters}
        raise LabelError(f"the parameters of a {name} must be finite, not {values}", name=name)
    plane = np.zeros(size, np.float32)
    draw_object(plane, 0.0, 0.0, shape.code, False, row, np.zeros(work_size(*size)))
    return plane
