"""Objects on the sphere: stars, galaxies and shapes, at their longitude and latitude, and the rows that kernels read.

Galaxies and shapes lie in the plane of Lambert's azimuthal equal-area projection about their centre: their areas and
fluxes are true. Position angles are measured from north through east.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deepbench.language.one_of import RepeatedOneOf, one_of
from deepbench.language.specification import Specification, parameter
from deepbench.language.values import Value

DEGREE, ARCMIN = math.pi / 180.0, math.pi / 10800.0
"""Radian of a degree, and of an arcminute."""

LEAST_AXIS_RATIO = 0.05
"""Smallest axis ratio of a galaxy."""

OBJECT = np.dtype(
    [
        ("longitude_degrees", np.float64),
        ("latitude_degrees", np.float64),
        ("position_angle_degrees", np.float64),
        ("amount", np.float64),
        ("a", np.float64),
        ("b", np.float64),
        ("inner", np.float64),
        ("sersic_index", np.float64),
        ("is_box", np.bool_),
    ],
    align=True,
)
"""Row of an object.

``sersic_index`` is 0 of a shape; its ``amount`` is an amplitude per arcmin², as the map is, ``a`` and ``b`` are half of
its size along and across the position angle, ``inner`` is the radius of its hole, and ``is_box`` tells a rectangle from
an ellipse. Of all else, ``amount`` is the flux, and ``a`` and ``b`` are the semi-axes of the ellipse that holds half of
the light; where they are 0, the light falls into one pixel. Lengths are radian on the plane.
"""

Columns = Mapping[str, NDArray[np.float64]]
"""Values of some objects of one kind by the names of their fields, float64[k] each."""


class SphereObject(Specification, ABC):
    """Base of all objects; a subclass says what a map shows of them."""

    lon: Value = parameter("longitude", unit="degree")
    lat: Value = parameter("latitude", unit="degree", minimum=-90, maximum=90)

    @classmethod
    def write(cls, rows: NDArray[np.void], columns: Columns) -> None:
        """Write the rows of some objects, OBJECT[k], zeros at first."""
        rows["longitude_degrees"], rows["latitude_degrees"] = columns["lon"], columns["lat"]
        if "position_angle" in columns:
            rows["position_angle_degrees"] = columns["position_angle"]
        cls.fill(rows, columns)

    @staticmethod
    @abstractmethod
    def fill(rows: NDArray[np.void], columns: Columns) -> None:
        """Write the rest of the rows, beside positions and position angles."""


class Star(SphereObject):
    """A point, seen through a Gaussian."""

    flux: Value = parameter("total flux, over the sphere, in units of the map × arcmin²")
    fwhm: Value = parameter(
        "full width at half maximum of the Gaussian; 0: all light falls into one pixel",
        unit="arcmin",
        minimum=0,
        maximum=3600,
        default=0.0,
    )

    @staticmethod
    def fill(rows: NDArray[np.void], columns: Columns) -> None:
        """Write a Gaussian, the profile of the index ½, of which half the FWHM is the half-light radius."""
        rows["amount"], rows["sersic_index"] = columns["flux"], 0.5
        rows["a"] = rows["b"] = ARCMIN * (0.5 * columns["fwhm"])


class Sersic(SphereObject):
    """A galaxy whose light falls as exp(−b r^(1/n)) (Sérsic 1963)."""

    flux: Value = parameter("total flux, over the sphere, in units of the map × arcmin²")
    half_light_radius: Value = parameter(
        "circularised radius √(ab) of the ellipse that holds half of the light",
        unit="arcmin",
        above=0,
        maximum=120,
    )
    sersic_index: Value = parameter(
        "Sérsic index n; 1 is exponential, 4 de Vaucouleurs", minimum=0.3, maximum=6.2
    )
    axis_ratio: Value = parameter(
        "minor over major axis", minimum=LEAST_AXIS_RATIO, maximum=1, default=1.0
    )
    position_angle: Value = parameter(
        "direction of the major axis, from north through east", unit="degree", default=0.0
    )

    @staticmethod
    def fill(rows: NDArray[np.void], columns: Columns) -> None:
        """Write a profile of light; the radius is that of the circle with the area of its ellipse."""
        size = ARCMIN * columns["half_light_radius"]
        root = np.sqrt(np.clip(columns["axis_ratio"], LEAST_AXIS_RATIO, 1.0))
        rows["amount"], rows["sersic_index"] = columns["flux"], columns["sersic_index"]
        rows["a"], rows["b"] = size / root, size * root


class Shape(SphereObject):
    """An area of one brightness."""

    amplitude: Value = parameter(
        "value that is added to pixels that are wholly covered", default=1.0
    )


class Disk(Shape):
    """A disk."""

    radius: Value = parameter("radius", unit="degree", above=0, maximum=60)

    @staticmethod
    def fill(rows: NDArray[np.void], columns: Columns) -> None:
        """Write a disk."""
        rows["amount"] = columns["amplitude"]
        rows["a"] = rows["b"] = DEGREE * columns["radius"]


class Annulus(Shape):
    """A ring given by its hole and its width."""

    inner_radius: Value = parameter("radius of the hole", unit="degree", minimum=0, maximum=60)
    thickness: Value = parameter(
        "width of the ring, outward from the hole", unit="degree", above=0, maximum=60
    )

    @staticmethod
    def fill(rows: NDArray[np.void], columns: Columns) -> None:
        """Write a disk with a hole."""
        hole = DEGREE * columns["inner_radius"]
        rows["amount"], rows["inner"] = columns["amplitude"], hole
        rows["a"] = rows["b"] = hole + DEGREE * columns["thickness"]


class Ellipse(Shape):
    """An ellipse."""

    semi_major_axis: Value = parameter("semi-major axis", unit="degree", above=0, maximum=60)
    axis_ratio: Value = parameter("minor over major axis", minimum=0.01, maximum=1)
    position_angle: Value = parameter(
        "direction of the major axis, from north through east", unit="degree", default=0.0
    )

    @staticmethod
    def fill(rows: NDArray[np.void], columns: Columns) -> None:
        """Write an ellipse."""
        size = DEGREE * columns["semi_major_axis"]
        rows["amount"] = columns["amplitude"]
        rows["a"], rows["b"] = size, size * columns["axis_ratio"]


class Rectangle(Shape):
    """A rectangle about its centre."""

    width: Value = parameter(
        "length of the side across the position angle", unit="degree", above=0, maximum=60
    )
    height: Value = parameter(
        "length of the side along the position angle", unit="degree", above=0, maximum=60
    )
    position_angle: Value = parameter(
        "direction of the height, from north through east", unit="degree", default=0.0
    )

    @staticmethod
    def fill(rows: NDArray[np.void], columns: Columns) -> None:
        """Write a rectangle; its height lies along the position angle."""
        width, height = DEGREE * columns["width"], DEGREE * columns["height"]
        rows["amount"], rows["is_box"] = columns["amplitude"], True
        rows["a"], rows["b"] = 0.5 * height, 0.5 * width


OBJECTS: dict[str, type[SphereObject]] = {
    "star": Star,
    "sersic": Sersic,
    "disk": Disk,
    "annulus": Annulus,
    "ellipse": Ellipse,
    "rectangle": Rectangle,
}
"""Objects on the sphere by the name that a recipe has for them."""


@one_of(OBJECTS)
class ObjectEntry(RepeatedOneOf):
    """One object of a class."""
