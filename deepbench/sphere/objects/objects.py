"""What a recipe may say about objects on the sphere: stars, galaxies and shapes, at their longitude and latitude.

Galaxies and shapes lie in the plane of Lambert's azimuthal equal-area projection about their centre: their areas and
fluxes are true. Position angles are measured from north through east.
"""

from __future__ import annotations

from deepbench.language.one_of import RepeatedOneOf, one_of
from deepbench.language.specification import Specification, parameter
from deepbench.language.values import Value


class SphereObject(Specification):
    """What all objects share."""

    lon: Value = parameter("longitude", unit="degree")
    lat: Value = parameter("latitude", unit="degree", minimum=-90, maximum=90)


class Star(SphereObject):
    """A point, seen through a Gaussian."""

    flux: Value = parameter("sum over the sphere, in units of the map × arcmin²")
    fwhm: Value = parameter(
        "full width at half maximum of the Gaussian; 0: all light falls into one pixel",
        unit="arcmin",
        minimum=0,
        maximum=3600,
        default=0.0,
    )


class Sersic(SphereObject):
    """A galaxy whose light falls as exp(−b r^(1/n)) (Sérsic 1963)."""

    flux: Value = parameter("sum over the sphere, in units of the map × arcmin²")
    half_light_radius: Value = parameter(
        "circularised radius √(ab) of the ellipse that holds half of the light",
        unit="arcmin",
        above=0,
        maximum=120,
    )
    sersic_index: Value = parameter(
        "n: 1 is exponential, 4 de Vaucouleurs", minimum=0.3, maximum=6.2
    )
    axis_ratio: Value = parameter("minor over major axis", minimum=0.05, maximum=1, default=1.0)
    position_angle: Value = parameter(
        "direction of the major axis, from north through east", unit="degree", default=0.0
    )


class Shape(SphereObject):
    """An area of one brightness."""

    amplitude: Value = parameter("added to pixels that are wholly covered", default=1.0)


class Disk(Shape):
    """A disk."""

    radius: Value = parameter("radius", unit="degree", above=0, maximum=60)


class Annulus(Shape):
    """A ring given by its hole and its width."""

    inner_radius: Value = parameter("radius of the hole", unit="degree", minimum=0, maximum=60)
    thickness: Value = parameter(
        "width of the ring, outward from the hole", unit="degree", above=0, maximum=60
    )


class Ellipse(Shape):
    """An ellipse."""

    semi_major_axis: Value = parameter("semi-major axis", unit="degree", above=0, maximum=60)
    axis_ratio: Value = parameter("minor over major axis", minimum=0.01, maximum=1)
    position_angle: Value = parameter(
        "direction of the major axis, from north through east", unit="degree", default=0.0
    )


class Rectangle(Shape):
    """A rectangle about its centre."""

    width: Value = parameter("side across the position angle", unit="degree", above=0, maximum=60)
    height: Value = parameter("side along the position angle", unit="degree", above=0, maximum=60)
    position_angle: Value = parameter(
        "direction of the height, from north through east", unit="degree", default=0.0
    )


OBJECTS: dict[str, type[Specification]] = {
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
