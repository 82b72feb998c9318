"""Defects: what a recipe may say about what is in an image but not in the scene."""

from __future__ import annotations

from deepbench.language.specification import Specification, parameter
from deepbench.language.values import Value


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


DEFECTS: dict[str, type[Defect]] = {"cosmic_ray": CosmicRay, "bad_pixels": BadPixels}
"""Defects by the name that a recipe has for them."""
