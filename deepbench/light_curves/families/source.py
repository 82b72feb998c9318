"""The constant light of a source."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from deepbench.language.specification import parameter, problem
from deepbench.language.values import Value
from deepbench.light_curves.families.family import BandValues, LightObject, ObjectLabels


class Source(LightObject):
    """A source that shines constantly."""

    by_band: ClassVar[tuple[str, ...]] = ("magnitudes", "colors")
    some_bands: ClassVar[tuple[str, ...]] = ("colors",)
    repeatable: ClassVar[bool] = False
    shines: ClassVar[bool] = True

    magnitude: Value | None = parameter(
        "magnitude, in the system of the zero point", unit="mag", default=None
    )
    magnitudes: BandValues | None = parameter("magnitude in each band", unit="mag", default=None)
    colors: BandValues | None = parameter(
        "what is added to `magnitude` in some of the bands", unit="mag", default=None
    )

    @model_validator(mode="after")
    def _one_magnitude(self) -> Self:
        if (self.magnitude is None) == (self.magnitudes is None):
            found = "neither" if self.magnitude is None else "both"
            raise problem(f"must have either magnitude or magnitudes; it has {found}")
        if self.colors is not None and self.magnitude is None:
            raise problem("colors are added to `magnitude`, which is missing")
        return self

    def magnitudes_of(self, labels: ObjectLabels) -> NDArray[np.float64]:
        """Return the magnitudes of k sources in b bands, float64[k, b]."""
        found = np.empty((len(labels), len(labels.bands)))
        for number, band in enumerate(labels.bands):
            color = labels.columns.get(f"colors.{band}", 0.0)
            found[:, number] = labels.value("magnitude", band) + color
        return found
