"""Specification of stars."""

from __future__ import annotations

from typing import ClassVar

from deepbench.images.model.sky import SkyObject
from deepbench.language.specification import parameter
from deepbench.language.values import Value


class Star(SkyObject):
    """A point source, seen through the PSF."""

    is_point: ClassVar[bool] = True

    stamp_flux: Value = parameter(
        "part of the flux that is held by the square in which it is drawn",
        minimum=0.5,
        below=1,
        default=0.9999,
    )


STARS: dict[str, type[SkyObject]] = {"star": Star}
"""Point sources by the name that a recipe has for them."""
