"""Defects, which are in an image but not in the scene: their specifications, and the rows that kernels read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.images.model.image_object import ImageObject
from deepbench.images.shapes.model import Line
from deepbench.language.specification import parameter, problem
from deepbench.language.values import Value

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable

BLOCK_ROW = np.dtype(
    [(name, np.float64) for name in ("x", "y", "width", "height", "level")], align=True
)
"""Row of a block of bad pixels: its left column, lowest row and sides (pixel), and the level that is read there."""


class Defect(ImageObject):
    """Base of defects: they are not seen through the PSF, and the mask tells where they are."""

    band: Value | None = parameter(
        "number of the band that has it, from 0; all when absent",
        minimum=0,
        integer=True,
        default=None,
    )

    def check(self, kind: str, table: ImageTable) -> None:
        """Refuse a band that the table does not have."""
        if self.band is None:
            return
        highest = self.band.support()[1] if self.band.known else 0.0
        count = len(table.bands)
        if highest >= count:
            allowed = f"must be below {count}" if count else "needs an `instrument`"
            raise problem(f"the band of a {kind} {allowed}: it is the number of a band, from 0")


class CosmicRay(Defect):
    """The straight track of a particle through the detector, which leaves a charge."""

    x: Value = parameter(
        "position of the middle along x, from the centre of the lower left pixel", unit="pixel"
    )
    y: Value = parameter(
        "position of the middle along y, from the centre of the lower left pixel", unit="pixel"
    )
    length: Value = parameter("length of the track", unit="pixel", minimum=0.01)
    thickness: Value = parameter("width of the track", unit="pixel", minimum=0.01, default=1.0)
    angle: Value = parameter(
        "direction of the track, counter-clockwise from +x", unit="degree", default=0.0
    )
    charge: Value = parameter(
        "charge, summed over the track, in electrons behind an instrument, else in units of the image",
        minimum=0,
    )

    @classmethod
    def rows(cls, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.void]:
        """Return the rows of tracks, as ``SHAPE_ROW`` says: lines, with their charge spread over them."""
        area = values["length"] * values["thickness"]
        return Line.rows({**values, "amplitude": values["charge"] / area})


class BadPixels(Defect):
    """A block of pixels that are read as one level, whatever falls on them."""

    x: Value = parameter("leftmost column; the nearest whole number counts", unit="pixel")
    y: Value = parameter("lowest row; the nearest whole number counts", unit="pixel")
    width: Value = parameter("number of columns", unit="pixel", minimum=1, integer=True, default=1)
    height: Value = parameter("number of rows", unit="pixel", minimum=1, integer=True, default=1)
    level: Value = parameter("value that is read, in units of the image")

    @classmethod
    def rows(cls, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.void]:
        """Return the rows of blocks, as ``BLOCK_ROW`` says."""
        rows = np.empty(len(values["x"]), BLOCK_ROW)
        for name in BLOCK_ROW.names or ():
            rows[name] = values[name]
        return rows


DEFECTS: dict[str, type[Defect]] = {"cosmic_ray": CosmicRay, "bad_pixels": BadPixels}
"""Defects by the name that a recipe has for them."""
