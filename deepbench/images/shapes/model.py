"""Shapes: their specifications, and the boundary of the area that each covers.

Lengths are pixels, angles degrees counter-clockwise from +x. A pixel's centre has integer coordinates; that of the
lower left pixel is the origin.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.images.model.image_object import ImageObject
from deepbench.images.shapes.boundaries import (
    LIMIT,
    MAXIMUM_SIDES,
    SHAPE_ROW,
    Boundary,
    box,
    chords,
    hole,
    ring,
)
from deepbench.language.specification import parameter, problem
from deepbench.language.values import Value

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable


class Shape(ImageObject):
    """Parameters of all shapes, and the way from labels to the rows that kernels read.

    A subclass adds its own parameters and says how its boundary follows from them.
    """

    x: Value = parameter(
        "position of the centre along x, from the centre of the lower left pixel", unit="pixel"
    )
    y: Value = parameter(
        "position of the centre along y, from the centre of the lower left pixel", unit="pixel"
    )
    amplitude: Value = parameter("value of a pixel that is wholly covered", default=1.0)

    def check(self, kind: str, table: ImageTable) -> None:
        """Refuse a PSF that cannot blur shapes."""
        preset = table.instrument.preset if table.instrument is not None else None
        for name, psf in table.psfs.items():
            if psf is not None and not psf.chosen.is_round_gaussian:
                origin = f" of the preset '{preset}'" if preset and name != "psf" else ""
                raise problem(
                    f"a {kind} can be blurred by a round `psf: {{gaussian: …}}` only, and '{name}'{origin} is another, "
                    f"of kind {psf.kind}; write such a psf into the table, or give shapes a table of their own"
                )

    @classmethod
    @abstractmethod
    def boundary(cls, values: Mapping[str, NDArray[np.float64]]) -> Boundary:
        """Return the boundaries of shapes.

        Parameters
        ----------
        values : mapping of str to float64[m]
            Parameters in pixels and degrees, none beyond ±``LIMIT``; the thickness is 0 where there is none.
        """

    @classmethod
    def rows(
        cls, values: Mapping[str, NDArray[np.float64]], covers: bool = False
    ) -> NDArray[np.void]:
        """Return the rows of shapes, as ``SHAPE_ROW`` says.

        Parameters
        ----------
        values : mapping of str to float64[m]
            Finite parameters in pixels and degrees; a missing amplitude is 1, a missing thickness 0.
        covers : bool, optional
            Whether the shapes hide what lies below.
        """
        rows = np.zeros(len(values["x"]), SHAPE_ROW)
        limited = {"thickness": np.zeros(len(rows))}
        limited |= {name: np.clip(each, -LIMIT, LIMIT) for name, each in values.items()}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            boundary = cls.boundary(limited)
        for name, numbers in zip(boundary._fields, boundary, strict=True):
            rows[name] = numbers
        rows["x"], rows["y"] = limited["x"], limited["y"]
        rows["amplitude"], rows["covers"] = values.get("amplitude", 1.0), covers
        return rows


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

    @classmethod
    def boundary(cls, values: Mapping[str, NDArray[np.float64]]) -> Boundary:
        """Return the boundaries of disks or rings."""
        inner = hole(values["radius"], values["thickness"])
        return ring(values["radius"], values["radius"], inner, inner)


class Ellipse(Outlined):
    """An ellipse; as an outline, the region between semi-axes a, b and a − thickness, b − thickness."""

    semi_major_axis: Value = parameter("semi-major axis", unit="pixel", above=0)
    axis_ratio: Value = parameter("minor over major axis", above=0, maximum=1)
    position_angle: Value = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=0.0
    )

    @classmethod
    def boundary(cls, values: Mapping[str, NDArray[np.float64]]) -> Boundary:
        """Return the boundaries of ellipses."""
        a = values["semi_major_axis"]
        b = a * values["axis_ratio"]
        inner = hole(a, values["thickness"]), hole(b, values["thickness"])
        return ring(a, b, *inner, values["position_angle"])


class Rectangle(Outlined):
    """A rectangle about its centre."""

    width: Value = parameter("length of the side along the angle", unit="pixel", above=0)
    height: Value = parameter("length of the side across the angle", unit="pixel", above=0)
    angle: Value = parameter(
        "direction of the width, counter-clockwise from +x", unit="degree", default=0.0
    )

    @classmethod
    def boundary(cls, values: Mapping[str, NDArray[np.float64]]) -> Boundary:
        """Return the boundaries of rectangles."""
        return box(values["width"], values["height"], values["thickness"], values["angle"])


class RegularPolygon(Outlined):
    """A regular polygon about its centre."""

    sides: Value = parameter("number of sides", minimum=3, maximum=1000, integer=True)
    radius: Value = parameter("distance from the centre to a vertex", unit="pixel", above=0)
    angle: Value = parameter(
        "direction of a vertex, counter-clockwise from +x", unit="degree", default=0.0
    )

    @classmethod
    def boundary(cls, values: Mapping[str, NDArray[np.float64]]) -> Boundary:
        """Return the boundaries of regular polygons."""
        from deepbench.numerics.mathfast import cosd

        radius = values["radius"]
        sides = np.clip(values["sides"], 3.0, MAXIMUM_SIDES).astype(np.int64)
        inner = hole(radius, values["thickness"] / cosd(180.0 / sides))
        return Boundary(
            sides, 360.0 / sides, radius, radius, inner, inner, turn_degrees=values["angle"]
        )


class Triangle(Outlined):
    """An isosceles triangle about its centroid; at angle 0 its base is along +x and its apex towards +y."""

    base: Value = parameter("length of the base", unit="pixel", above=0)
    height: Value = parameter("distance of the apex from the base", unit="pixel", above=0)
    angle: Value = parameter(
        "direction of the base, counter-clockwise from +x", unit="degree", default=0.0
    )

    @classmethod
    def boundary(cls, values: Mapping[str, NDArray[np.float64]]) -> Boundary:
        """Return the boundaries of isosceles triangles: the equilateral one, apex up, stretched.

        Sides moved inward by t are those of the triangle shrunk by 1 − t/ρ about the centre of its inscribed circle,
        which has the radius ρ and lies ρ − height/3 above the centroid.
        """
        base, height, thickness = values["base"], values["height"], values["thickness"]
        perimeter = base + np.sqrt(base * base + 4.0 * height * height)
        inradius = np.where(perimeter > 0.0, base * height / perimeter, 0.0)
        is_outline = (thickness > 0.0) & (thickness < inradius)
        part = np.where(is_outline, thickness / inradius, 1.0)
        a, b = base / math.sqrt(3.0), height / 1.5
        return Boundary(
            3,
            120.0,
            a,
            b,
            inner_a=a * (1.0 - part),
            inner_b=b * (1.0 - part),
            inner_shift=part * (inradius - height / 3.0),
            turn_degrees=values["angle"],
            first_x=0.0,
            first_y=1.0,
        )


class Annulus(Shape):
    """A ring given by its hole and its width."""

    inner_radius: Value = parameter("radius of the hole", unit="pixel", minimum=0)
    thickness: Value = parameter("width of the ring, outward from the hole", unit="pixel", above=0)

    @classmethod
    def boundary(cls, values: Mapping[str, NDArray[np.float64]]) -> Boundary:
        """Return the boundaries of rings."""
        inner = values["inner_radius"]
        outer = inner + values["thickness"]
        return ring(outer, outer, inner, inner)


class Arc(Shape):
    """A part of a ring, centred on its radius, with straight ends; a sector where the stroke reaches the centre."""

    radius: Value = parameter("radius of the centre line", unit="pixel", above=0)
    thickness: Value = parameter("width of the stroke", unit="pixel", above=0)
    sweep: Value = parameter("angle that the arc covers", unit="degree", above=0, maximum=360)
    angle: Value = parameter(
        "direction of the start of the arc, counter-clockwise from +x", unit="degree", default=0.0
    )

    @classmethod
    def boundary(cls, values: Mapping[str, NDArray[np.float64]]) -> Boundary:
        """Return the boundaries of parts of rings."""
        radius, thickness = values["radius"], values["thickness"]
        outer, inner = radius + 0.5 * thickness, radius - 0.5 * thickness
        sweep = np.clip(values["sweep"], 0.0, 360.0)
        sides = chords(outer, sweep)
        return Boundary(
            sides,
            sweep / sides,
            outer,
            outer,
            inner,
            inner,
            turn_degrees=values["angle"],
            closed=values["sweep"] >= 360.0,
            curved=True,
        )


class Line(Shape):
    """A straight stroke about its middle, with straight ends."""

    length: Value = parameter("length", unit="pixel", above=0)
    thickness: Value = parameter("width of the stroke", unit="pixel", above=0)
    angle: Value = parameter(
        "direction of the line, counter-clockwise from +x", unit="degree", default=0.0
    )

    @classmethod
    def boundary(cls, values: Mapping[str, NDArray[np.float64]]) -> Boundary:
        """Return the boundaries of straight strokes."""
        return box(values["length"], values["thickness"], 0.0, values["angle"])


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
