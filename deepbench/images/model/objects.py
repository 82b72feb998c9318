"""What a recipe may say about an object in an image: shapes, stars, galaxies.

Shapes live in pixels; the sky lives in arcseconds, which ``pixel_scale`` turns into pixels. Angles are degrees
counter-clockwise from +x. A pixel's centre has integer coordinates; that of the lower left pixel is the origin.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from deepbench.images.galaxies.model import GALAXIES
from deepbench.images.model.sky import SkyObject
from deepbench.images.stars.model import STARS
from deepbench.language.one_of import RepeatedOneOf, one_of
from deepbench.language.specification import Specification, parameter, problem
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


class Defect(Specification):
    """What is in the image but not in the scene: it is not seen through the PSF, and the mask tells where it is."""

    band: Value | None = parameter(
        "number of the band that has it, from 0; all when absent",
        minimum=0,
        integer=True,
        default=None,
    )


class CosmicRay(Defect):
    """The straight track of a particle through the detector, which leaves a charge."""

    x: Value = parameter(
        "middle, to the right from the centre of the lower left pixel", unit="pixel"
    )
    y: Value = parameter("middle, upwards from the centre of the lower left pixel", unit="pixel")
    length: Value = parameter("length of the track", unit="pixel", minimum=0.01)
    thickness: Value = parameter("width of the track", unit="pixel", minimum=0.01, default=1.0)
    angle: Value = parameter("direction, counter-clockwise from +x", unit="degree", default=0.0)
    charge: Value = parameter(
        "sum over the track, in electrons behind an instrument, else in units of the image",
        minimum=0,
    )


class BadPixels(Defect):
    """A block of pixels that are read as one level, whatever falls on them."""

    x: Value = parameter("its left column; the nearest whole number counts", unit="pixel")
    y: Value = parameter("its lowest row; the nearest whole number counts", unit="pixel")
    width: Value = parameter("number of columns", unit="pixel", minimum=1, integer=True, default=1)
    height: Value = parameter("number of rows", unit="pixel", minimum=1, integer=True, default=1)
    level: Value = parameter("what is read, in units of the image")


OBJECTS: dict[str, type[Specification]] = {
    "circle": Circle,
    "ellipse": Ellipse,
    "rectangle": Rectangle,
    "regular_polygon": RegularPolygon,
    "triangle": Triangle,
    "annulus": Annulus,
    "arc": Arc,
    "line": Line,
    **STARS,
    **GALAXIES,
    "cosmic_ray": CosmicRay,
    "bad_pixels": BadPixels,
}
"""Objects of images by the name that a recipe has for them."""


class ObjectEntry(one_of(OBJECTS, RepeatedOneOf)):
    """One object of a class."""

    blend: Literal["add", "over"] = Field("add", description="add to what lies below, or cover it")

    @model_validator(mode="after")
    def _light_adds(self) -> Self:
        if self.blend == "over" and not self.is_shape:
            raise problem(f"`blend` is for shapes: leave it out of a {self.kind}")
        return self

    @property
    def is_shape(self) -> bool:
        """Whether it is drawn in pixels, and blurred afterwards; the sky's objects are drawn as the PSF shows them."""
        return isinstance(self.chosen, Shape)

    @property
    def is_sky(self) -> bool:
        """Whether it is a star or a galaxy."""
        return isinstance(self.chosen, SkyObject)
