"""Specification of stars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from numpy.typing import NDArray
from pydantic import Field

from deepbench.deflectors.microlensing import Microlensing
from deepbench.images.model.sky import (
    COMPONENT_ROW,
    COMPONENTS,
    POINT,
    Piece,
    SkyObject,
    rows_of,
)
from deepbench.language.specification import parameter
from deepbench.language.values import Value

MICROLENSING = "microlensing"
"""Stream of the microlensing, inside the object."""


class Star(SkyObject):
    """A point source, seen through the PSF."""

    is_point: ClassVar[bool] = True

    stamp_flux: Value = parameter(
        "part of the flux that is held by the square in which it is drawn",
        minimum=0.5,
        below=1,
        default=0.9999,
    )
    microlensing: Microlensing | None = Field(
        None, description="what stars of a lens do to the images of a star that is lensed"
    )

    def pieces(self, columns: Mapping[str, NDArray], scale: float) -> list[Piece]:
        """Return components that stand for points."""
        count = len(columns["stamp_flux"])
        fields = {"flux": 1.0, "half_light_radius": POINT, "axis_ratio": 1.0, "sersic_index": 1.0}
        return [Piece(COMPONENTS, rows_of(COMPONENT_ROW, count, **fields))]


STARS: dict[str, type[SkyObject]] = {"star": Star}
"""Point sources by the name that a recipe has for them."""
