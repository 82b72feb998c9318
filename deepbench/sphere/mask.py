"""Masks of maps: a belt about the equator, and the pixels that a HEALPix map in a file leaves out."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepbench.errors import InputWarning, LabelError
from deepbench.language.inputs.files import FileName, FileSpecification, Sha256, check_unchanged
from deepbench.language.inputs.healpix import HealpixMap, read_healpix
from deepbench.language.specification import Number, parameter, problem
from deepbench.language.values import Value

THRESHOLD = 0.5
"""Least part of a pixel that is seen where the mask does not say another."""

UNSEEN = -1e30
"""Values of HEALPix maps below this stand for nothing: healpy writes −1.6375e30."""


class Mask(FileSpecification):
    """Where nothing is seen: in a belt, or where the map in a file says so."""

    what: ClassVar[str] = "mask"
    most: ClassVar[int] = 2**28

    latitude: Value | None = parameter(
        "latitude up to which the equator is masked: pixels nearer to it are NaN",
        unit="degree",
        minimum=0,
        below=90,
        default=None,
    )
    file: FileName | None = Field(
        None,
        description="FITS file of a HEALPix map, from the folder of the recipe: 1 where the sky is seen, 0 elsewhere",
    )
    sha256: Sha256 | None = Field(None, description="SHA-256 of the file; filled in when absent")
    column: str | None = Field(None, description="column of its table; the only one when absent")
    threshold: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None,
        description=f"pixels are NaN where the mean of the file's map over them is less; {THRESHOLD} when absent",
    )

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if self.latitude is None and self.file is None:
            raise problem("must have latitude, or the file of a mask")
        if self.file is None and (self.column is not None or self.threshold is not None):
            raise problem("column and threshold go with file, not with latitude")
        return self

    def check_file(self) -> None:
        """Read the map, and refuse values that are no mask; warn of one that hides nothing."""
        seen = seen_part(self._path, self.sha256 or "", self.column)
        if seen == 1.0 and not self.is_kept:
            warnings.warn(
                f"{self._path} hides nothing: all its values are 1", InputWarning, stacklevel=2
            )

    def read(self) -> HealpixMap:
        """Return the map in the file; raises LabelError where the file has changed, or holds none."""
        return map_of(self._path, self.sha256 or "", self.column)


def map_of(path: Path, sha256: str, column: str | None) -> HealpixMap:
    """Return the map in a file whose content has a given SHA-256; raises LabelError where there is none."""
    content = Mask.content(path)
    check_unchanged(path, content, sha256)
    try:
        return read_healpix(content, column)
    except ValueError as error:
        raise LabelError(f"{path} {error}") from error


@lru_cache(maxsize=8)
def seen_part(path: Path, sha256: str, column: str | None) -> float:
    """Return the part of the sky that a mask in a file lets be seen.

    Raises
    ------
    LabelError
        The file has changed, holds no map, values beyond 0 … 1, or nothing that is seen.
    """
    found = map_of(path, sha256, column)
    total = 0.0
    for numbers, values in found.pieces():
        part = seen_of(values)
        bad = np.flatnonzero((part < 0.0) | (part > 1.0))
        if bad.size:
            raise LabelError(
                f"{path} must hold a mask, values from 0 (hidden) to 1 (seen), but its pixel {numbers[bad[0]]} is "
                f"{values[bad[0]]:g}"
            )
        total += float(part.sum())
    if not total > 0.0:
        raise LabelError(f"{path} hides the whole sky: none of its values is above 0")
    return total / (12 * found.nside**2)


def seen_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with 0 where there are none."""
    return np.where(np.isnan(values) | (values < UNSEEN), 0.0, values)
