"""Shapes: what a recipe may say about them, and the boundary of the area that each covers.

Lengths are pixels, angles degrees counter-clockwise from +x. A pixel's centre has integer coordinates; that of the
lower left pixel is the origin.
"""

from __future__ import annotations

from deepbench.language.specification import Specification, parameter
from deepbench.language.values import Value


class Shape(Specification):
    """What all shapes have."""

    x: Value = parameter(
        "centre, to the right from the centre of the lower left pixel", unit="pixel"
    )
    y: Value = parameter("centre, upwards from the centre of the lower left pixel", unit="pixel")
    amplitude: Value = parameter("value of a pixel that is wholly covered", default=1.0)


class Outlined(Shape):
    """A shape that is filled, or drawn as an outline inside its boundary."""

    thickness: Value | None = parameter(
        "width of the outline, inward from the boundary; filled when absent",
        unit="pixel",
        above=0,
        default=None,
    )


class Circle(Outlined):
    """A disk, or a ring."""

    radius: Value = parameter("radius", unit="pixel", above=0)


class Ellipse(Outlined):
    """An ellipse; as an outline, the region between semi-axes a, b and a − thickness, b − thickness."""

    semi_major_axis: Value = parameter("semi-major axis", unit="pixel", above=0)
    axis_ratio: Value = parameter("minor over major axis", above=0, maximum=1)
    position_angle: Value = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=0.0
    )


class Rectangle(Outlined):
    """A rectangle about its centre."""

    width: Value = parameter("side along the angle", unit="pixel", above=0)
    height: Value = parameter("side across the angle", unit="pixel", above=0)
    angle: Value = parameter(
        "direction of the width, counter-clockwise from +x", unit="degree", default=0.0
    )


class RegularPolygon(Outlined):
    """A regular polygon about its centre."""

    sides: Value = parameter("number of sides", minimum=3, maximum=1000, integer=True)
    radius: Value = parameter("distance from the centre to a vertex", unit="pixel", above=0)
    angle: Value = parameter(
        "direction of a vertex, counter-clockwise from +x", unit="degree", default=0.0
    )


class Triangle(Outlined):
    """An isosceles triangle about its centroid; at angle 0 its base is along +x and its apex towards +y."""

    base: Value = parameter("length of the base", unit="pixel", above=0)
    height: Value = parameter("distance of the apex from the base", unit="pixel", above=0)
    angle: Value = parameter(
        "direction of the base, counter-clockwise from +x", unit="degree", default=0.0
    )


class Annulus(Shape):
    """A ring given by its hole and its width."""

    inner_radius: Value = parameter("radius of the hole", unit="pixel", minimum=0)
    thickness: Value = parameter("width of the ring, outward from the hole", unit="pixel", above=0)


class Arc(Shape):
    """A part of a ring, centred on its radius, with straight ends; a sector where the stroke reaches the centre."""

    radius: Value = parameter("radius of the centre line", unit="pixel", above=0)
    thickness: Value = parameter("width of the stroke", unit="pixel", above=0)
    sweep: Value = parameter("angle that the arc covers", unit="degree", above=0, maximum=360)
    angle: Value = parameter(
        "direction of its start, counter-clockwise from +x", unit="degree", default=0.0
    )


class Line(Shape):
    """A straight stroke about its middle, with straight ends."""

    length: Value = parameter("length", unit="pixel", above=0)
    thickness: Value = parameter("width of the stroke", unit="pixel", above=0)
    angle: Value = parameter("direction, counter-clockwise from +x", unit="degree", default=0.0)


SHAPES: dict[str, type[Shape]] = {
    "circle": Circle,
    "ellipse": Ellipse,
    "rectangle": Rectangle,
    "regular_polygon": RegularPolygon,
    "triangle": Triangle,
    "annulus": Annulus,
    "arc": Arc,
    "line": Line,
}
"""Shapes by the name that a recipe has for them."""
