"""Objects of images: shapes, stars and galaxies, the masses that lens them, and defects.

Shapes live in pixels; the sky lives in arcseconds, which ``pixel_scale`` turns into pixels. Angles are degrees
counter-clockwise from +x. A pixel's centre has integer coordinates; that of the lower left pixel is the origin.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from deepbench.deflectors.lens import Lens
from deepbench.deflectors.masses import DEFLECTORS
from deepbench.images.detector.defects import DEFECTS, Defect
from deepbench.images.galaxies.model import GALAXIES
from deepbench.images.model.sky import SkyObject
from deepbench.images.shapes.model import SHAPES, Shape
from deepbench.images.stars.model import STARS
from deepbench.language.one_of import RepeatedOneOf, one_of
from deepbench.language.specification import Specification, problem

OBJECTS: dict[str, type[Specification]] = {
    **SHAPES,
    **STARS,
    **GALAXIES,
    **DEFECTS,
    "lens": Lens,
    **DEFLECTORS,
}
"""Objects of images by the name that a recipe has for them."""


@one_of(OBJECTS)
class AnyObject(RepeatedOneOf):
    """One object of any kind."""


class ObjectEntry(AnyObject):
    """One object of a class."""

    blend: Literal["add", "over"] = Field("add", description="add to what lies below, or cover it")

    lensed: Literal[True] | None = Field(
        None, description="whether it is seen through the masses of its class"
    )

    @field_validator("lensed", mode="before")
    @classmethod
    def _not_lensed(cls, lensed: Any) -> Any:
        return None if lensed is False else lensed

    @model_validator(mode="after")
    def _only_the_sky_is_lensed(self) -> Self:
        if self.lensed and not self.is_sky:
            raise problem(f"`lensed` is for stars and galaxies: leave it out of a {self.kind}")
        if not self.lensed and getattr(self.chosen, "microlensing", None) is not None:
            raise problem(
                f"microlensing is of the images of a {self.kind} that is lensed: add `lensed: true`"
            )
        return self

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

    @property
    def is_defect(self) -> bool:
        """Whether it is in the image but not in the scene."""
        return isinstance(self.chosen, Defect)
