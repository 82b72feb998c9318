"""Microlensing of the images of a point source by the stars of its lens."""

from __future__ import annotations

from deepbench.language.specification import Group, parameter
from deepbench.language.values import Value


class Microlensing(Group):
    """Stars of the lens, which change the light of each image by a factor: log-normal, with a mean of 1 in flux."""

    minima: Value = parameter(
        "standard deviation of ln(flux) of images that are minima of the arrival time, or maxima",
        minimum=0,
        maximum=3,
        default=0.0,
    )
    saddles: Value = parameter(
        "standard deviation of ln(flux) of images that are saddles of the arrival time",
        minimum=0,
        maximum=3,
        default=0.0,
    )
