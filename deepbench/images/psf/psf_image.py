"""Specification of a point spread function that is an image in a file; ``psf_files`` reads it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from deepbench.images.psf.psf import Psf
from deepbench.images.psf.psf_checks import check_centres, check_light
from deepbench.images.psf.psf_files import (
    KEPT_PLANES,
    MAXIMUM_BYTES,
    MAXIMUM_EDGE,
    MAXIMUM_OVERSAMPLING,
    PsfFile,
    centre_of,
    extent_of,
    stack_of,
)
from deepbench.language.discrete import Choice
from deepbench.language.inputs.files import FileName, FileSpecification, Sha256
from deepbench.language.plain import digits, show
from deepbench.language.specification import Number, Whole, parameter, problem
from deepbench.language.values import Value


class ImagePsf(FileSpecification, Psf):
    """An image of the point spread function in a file, which is identified by its SHA-256.

    Its samples are taken as band-limited, and its sum is made 1. Its centre is that of the array, unless ``center``
    says otherwise.
    """

    what: ClassVar[str] = "point spread function"
    most: ClassVar[int] = MAXIMUM_BYTES

    file: FileName = Field(
        description=".npy or FITS file of an image, from the folder of the recipe"
    )
    oversampling: Annotated[Whole, Field(ge=1, le=MAXIMUM_OVERSAMPLING)] | None = Field(
        None, description="samples per pixel of the table along each axis"
    )
    includes_pixel: Annotated[bool, Field(strict=True)] = Field(
        description="whether the samples hold the response of the table's pixel already"
    )
    sha256: Sha256 = Field("", description="SHA-256 of the file; filled in when absent")
    sample_scale: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="arcsec from sample to sample, instead of `oversampling`"
    )
    hdu: int | str | None = Field(
        None,
        description="number, from 0, or EXTNAME of the HDU of a FITS file; the first with such an image when absent",
    )
    index: Value | None = parameter(
        "number, from 0, of the point spread function in a file of several, an array [psf, y, x]",
        minimum=0,
        maximum=MAXIMUM_EDGE - 1,
        integer=True,
        default=None,
    )
    center: Literal["array", "peak", "centroid"] | None = Field(
        None,
        description="what lies where a star is: the middle of the array, the peak or the centroid; when absent, the "
        "middle, and a peak and a centroid elsewhere are refused",
    )
    subtract: Literal["border"] | None = Field(
        None, description="border: the median of the samples on the border is subtracted first"
    )

    @field_validator("hdu", mode="before")
    @classmethod
    def _number_or_name(cls, hdu: Any) -> Any:
        number = isinstance(hdu, int) and not isinstance(hdu, bool) and hdu >= 0
        if hdu is not None and not number and not (isinstance(hdu, str) and hdu):
            raise problem(f"must be the number of an HDU, from 0, or its EXTNAME, not {show(hdu)}")
        return hdu

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        if (self.oversampling is None) == (self.sample_scale is None):
            found = "neither" if self.oversampling is None else "both"
            raise problem(
                f"must have either oversampling (samples per pixel) or sample_scale (arcsec); it has {found}"
            )
        return self

    @property
    def is_image(self) -> bool:
        """Whether it is an image in a file."""
        return True

    @property
    def in_arcsec(self) -> bool:
        """Whether its samples are so many arcseconds apart."""
        return self.sample_scale is not None

    def check_file(self) -> None:
        """Read every point spread function that may be drawn, and look at it; one alone in a file that is kept."""
        files = [self._file(1, index) for index in self._indices()]
        for file in files[:1] if self.is_kept else files:
            centre_of(file)
        if not self.is_kept:
            check_light(files)
        if self.oversampling is not None:
            self._check_centres(self.oversampling)

    def check(self, scale: float) -> None:
        """Refuse samples that do not fit the pixels, and a centre that is not where it is taken to be."""
        if self.sample_scale is None:
            return
        oversampling = self.per_pixel(scale)
        if not 1 <= oversampling <= MAXIMUM_OVERSAMPLING:
            raise problem(
                f"sample_scale is {digits(self.sample_scale)} arcsec, {oversampling:.4g} samples per pixel of "
                f"{digits(scale)} arcsec; allowed are 1 to {MAXIMUM_OVERSAMPLING}"
            )
        self._check_centres(oversampling)

    def _check_centres(self, oversampling: float) -> None:
        """Look at the centres where the recipe does not say which is meant and the file is new."""
        if self.center is None and not self.is_kept:
            files = (self._file(oversampling, index) for index in self._indices())
            check_centres(files, oversampling)

    def per_pixel(self, scale: float | None) -> float:
        """Return the number of samples per pixel along each axis, whole where it is so but for rounding."""
        if self.oversampling is not None:
            return self.oversampling
        found = (scale or math.nan) / (self.sample_scale or math.nan)
        whole = round(min(found, 2.0 * MAXIMUM_OVERSAMPLING))  # which is more than is allowed
        return whole if abs(found - whole) < 1e-9 * found < math.inf else found

    def _file(self, oversampling: float, index: int = -1) -> PsfFile:
        """Return one of the point spread functions of the file."""
        center = self.center or "array"
        of_file = self._path, self.sha256, oversampling, self.includes_pixel
        return PsfFile(*of_file, self.hdu, index, center, self.subtract)

    def _indices(self) -> Iterable[int]:
        """Return the numbers in the file of those that may be drawn; −1 where it holds one only."""
        if self.index is None:
            return [-1]
        if isinstance(self.index, Choice):
            return sorted({int(value) for value in self.index.values})
        if not self.index.known:
            stack = stack_of(self._path, self.sha256, self.hdu, True)
            return range(len(stack.pixels))
        low, high = self.index.support()
        return range(int(low), int(high) + 1)

    def files(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.object_]:
        """Return the ``PsfFile`` of each sample, object[count], from columns of its labels."""
        numbers = columns["index"] if "index" in columns else np.full(count, -1.0)
        found, places = np.unique(numbers, return_inverse=True)
        each = np.full(len(found), None, object)
        for place, index in enumerate(found.tolist()):
            each[place] = self._file(self.per_pixel(scale), int(index))
        return each[places]

    def working_bytes(self, edge: int, cutout_edge: float, scale: float | None) -> int:
        """Return the bytes of its samples, of its transforms, and of the FFTs behind it."""
        oversampling, indices = self.per_pixel(scale), list(self._indices())
        extent = extent_of(self._file(oversampling, indices[0])) / oversampling
        side = min(max(edge, 16), max(extent, cutout_edge))
        period = 1.2 * (side + max(side, extent))
        together = max(1, min(16, 2**18 // int(side * side)))  # stamps or frames drawn at once
        finest = (period * oversampling) ** 2 * min(len(indices), KEPT_PLANES)
        samples = (extent * oversampling) ** 2
        return int(8 * samples + 4 * finest + 16 * together * period**2)
