"""What the specifications of stars and galaxies share: position, light, and the PSF that shows them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from deepbench.images.psf.model import PsfEntry
from deepbench.language.specification import Name, Specification, parameter, problem
from deepbench.language.values import Value

BandValues = Annotated[dict[Name, Value], Field(min_length=1, max_length=100)]
"""A value for each band of the instrument."""


class SkyObject(Specification):
    """What objects of the sky share. The place is given in pixels, or in arcseconds from the frame's centre."""

    x: Value | None = parameter(
        "place, to the right from the centre of the lower left pixel", unit="pixel", default=None
    )
    y: Value | None = parameter(
        "place, upwards from the centre of the lower left pixel", unit="pixel", default=None
    )
    dx: Value | None = parameter(
        "place, to the right from the centre of the frame", unit="arcsec", default=None
    )
    dy: Value | None = parameter(
        "place, upwards from the centre of the frame", unit="arcsec", default=None
    )
    flux: Value | None = parameter("sum over the infinite plane", minimum=0, default=None)
    fluxes: BandValues | None = parameter("the same in each band", minimum=0, default=None)
    magnitude: Value | None = parameter("AB magnitude", unit="mag", default=None)
    magnitudes: BandValues | None = parameter("AB magnitude in each band", unit="mag", default=None)
    colors: BandValues | None = parameter(
        "what is added to `magnitude` in some of the bands", unit="mag", default=None
    )
    psf: PsfEntry | None = Field(
        None, description="what it is seen through, if not the table's PSF"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [name for name in ("x", "y", "dx", "dy") if getattr(self, name) is not None]
        if given not in (["x", "y"], ["dx", "dy"]):
            found = ", ".join(given) or "none of them"
            raise problem(
                f"must have either x and y (pixels) or dx and dy (arcsec); it has {found}"
            )
        return self

    @model_validator(mode="after")
    def _one_light(self) -> Self:
        names = ("flux", "fluxes", "magnitude", "magnitudes")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise problem(f"must have exactly one of {', '.join(names)}; it has {found}")
        if self.colors is not None and self.magnitude is None:
            raise problem("colors are added to `magnitude`, which is missing")
        return self
