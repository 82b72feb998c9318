"""The boundaries of shapes: the named rows from which kernels draw them.

Every shape is a regular polygon of the unit circle, stretched along two axes, turned and moved: a square for
rectangles and lines, a triangle, and for a curve a polygon of so many sides that no point is further than ``TOLERANCE``
pixels from the curve. An outline is the polygon minus a smaller one with as many sides; an arc is the same with both
curves open and their ends joined.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOLERANCE = 1e-3
"""Largest distance (pixel) between a curve, of a radius up to 1e6 pixels, and its polygon."""

MAXIMUM_SIDES = 65536
"""Largest number of sides of a polygon; larger curves are drawn with a larger tolerance."""

LIMIT = 1e9
"""Largest length and position (pixel) and angle (degree); what is beyond ±LIMIT is drawn as ±LIMIT."""

RADIANS = math.pi / 180.0
"""Radians per degree."""

SHAPE_ROW = np.dtype(
    [
        ("x", np.float64),
        ("y", np.float64),
        ("amplitude", np.float64),
        ("sides", np.int64),
        ("step_degrees", np.float64),
        ("first_x", np.float64),
        ("first_y", np.float64),
        ("turn_degrees", np.float64),
        ("a", np.float64),
        ("b", np.float64),
        ("inner_a", np.float64),
        ("inner_b", np.float64),
        ("inner_shift", np.float64),
        ("closed", np.bool_),
        ("curved", np.bool_),
        ("covers", np.bool_),
    ],
    align=True,
)
"""Row of a shape: its centre (pixel), the value of a pixel that is wholly covered, its ``Boundary``, and whether it
covers what lies below instead of being added.
"""


class Boundary(NamedTuple):
    """The edges of shapes around the origin; each field is one number, or an array with one for each shape.

    Attributes
    ----------
    sides : int
        Number of sides. A boundary that is not closed stops after these, where its two curves are joined.
    step_degrees : float
        Angle by which each vertex is turned to give the next.
    a, b : float
        Factors (pixel) that stretch the vertices along the shape's own x and y.
    inner_a, inner_b : float
        Factors that stretch the same vertices to the inner curve; there is none unless both are positive.
    inner_shift : float
        Distance (pixel) by which the inner curve is moved along the shape's own y.
    turn_degrees : float
        Angle by which the stretched curves are turned.
    first_x, first_y : float
        First vertex, before it is stretched.
    closed : bool
        Whether the last side ends at the first vertex.
    curved : bool
        Whether the polygon stands for a curve: it is then magnified to the area inside the curve.
    """

    sides: ArrayLike
    step_degrees: ArrayLike
    a: ArrayLike
    b: ArrayLike
    inner_a: ArrayLike = 0.0
    inner_b: ArrayLike = 0.0
    inner_shift: ArrayLike = 0.0
    turn_degrees: ArrayLike = 0.0
    first_x: ArrayLike = 1.0
    first_y: ArrayLike = 0.0
    closed: ArrayLike = True
    curved: ArrayLike = False


def hole(size: NDArray[np.float64], thickness: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return what an outline of this thickness leaves of a size; 0 of a filled shape, whose thickness is 0."""
    return np.where(thickness > 0.0, size - thickness, 0.0)


def chords(radius: NDArray[np.float64], sweep: ArrayLike) -> NDArray[np.int64]:
    """Return the number of sides that stand for arcs, a multiple of 4.

    The sagitta of a chord is radius × angle² / 8. ``radius`` is in pixels, ``sweep`` in degrees.
    """
    count = np.multiply(sweep, RADIANS) * np.sqrt(np.maximum(radius, 0.0) / (8.0 * TOLERANCE))
    whole = np.ceil(np.minimum(np.maximum(count, 8.0), MAXIMUM_SIDES)).astype(np.int64)
    return (whole + 3) & -4


def ring(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    inner_a: ArrayLike,
    inner_b: ArrayLike,
    turn_degrees: ArrayLike = 0.0,
) -> Boundary:
    """Return the boundaries between two ellipses of the same axes."""
    sides = chords(a, 360.0)  # symmetric about both axes, so that the inner one stays inside
    return Boundary(
        sides, 360.0 / sides, a, b, inner_a, inner_b, turn_degrees=turn_degrees, curved=True
    )


def box(
    width: NDArray[np.float64],
    height: NDArray[np.float64],
    thickness: NDArray[np.float64] | float,
    turn_degrees: ArrayLike,
) -> Boundary:
    """Return the boundaries of rectangles: the square (±1, ±1), stretched."""
    a, b = 0.5 * width, 0.5 * height
    inner = hole(a, thickness), hole(b, thickness)
    return Boundary(4, 90.0, a, b, *inner, turn_degrees=turn_degrees, first_y=1.0)
