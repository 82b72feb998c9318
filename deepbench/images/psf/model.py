"""Specifications of point spread functions: what a recipe says of each, and the registry of them.

A profile of a family becomes rows of ``PSF_ROW``, from which ``psf_profiles`` reads its light as a function of the
radius and its transform. An image of a point spread function has no row: ``psf_files`` reads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from deepbench.images.psf.psf_files import (
    MAXIMUM_OVERSAMPLING,
    PsfFile,
    content_of_psf,
    samples_of,
)
from deepbench.language.inputs.files import folder_of, sha256_of
from deepbench.language.one_of import OneOf, one_of
from deepbench.language.specification import Specification, Whole, parameter, problem
from deepbench.language.values import Expression, Value

GAUSSIAN, MOFFAT, AIRY, KOLMOGOROV = range(4)
"""Codes of the families of profiles."""

PSF_ROW = np.dtype(
    [
        ("family", np.int64),
        ("fwhm", np.float64),
        ("shape", np.float64),
        ("truncation", np.float64),
        ("axis_ratio", np.float64),
        ("position_angle", np.float64),
    ]
)
"""Row of a profile, in pixels and radians.

``fwhm`` is the geometric mean of the full widths at half maximum along both axes, before the pixel. ``shape`` is the β
of a Moffat and the obscuration of an Airy pattern, else unused. ``truncation`` is the circularised radius where the
profile ends; 0 for none.
"""

MAXIMUM_SIGMA = 1000.0
"""Largest standard deviation of a Gaussian PSF (pixel)."""

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian with standard deviation 1."""

NARROWEST = 0.02
"""Least full width at half maximum of a PSF that stars are drawn behind (pixel)."""


def empty_rows(count: int) -> NDArray[np.void]:
    """Return rows of round Gaussians without any width, ``PSF_ROW[count]``."""
    rows = np.zeros(count, PSF_ROW)
    rows["family"], rows["axis_ratio"] = GAUSSIAN, 1.0
    return rows


class Psf(Specification):
    """Base of point spread functions: what each says of itself to its table and to rendering."""

    @property
    def is_round_gaussian(self) -> bool:
        """Whether shapes can be blurred by it."""
        return False

    @property
    def in_arcsec(self) -> bool:
        """Whether its width is given in arcseconds."""
        return False

    @property
    def is_truncated(self) -> bool:
        """Whether its light ends at a radius, so that galaxies cannot be seen through it."""
        return False

    @property
    def source(self) -> PsfFile | None:
        """File of its image; None for a profile of a family."""
        return None

    def too_narrow(self, scale: float, *, for_galaxies: bool) -> tuple[float, float] | None:
        """Return its least width and the least that is allowed, in pixels, where it can be too narrow to be drawn.

        Parameters
        ----------
        scale : float
            Arcseconds per pixel.
        for_galaxies : bool
            Whether galaxies are seen through it, whose limit is one of the width along the minor axis.
        """
        return None

    def most_sigma(self) -> float:
        """Return the largest standard deviation of the Gaussian that blurs shapes, in pixels; 0 where none does."""
        return 0.0

    def sigmas(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.float64]:
        """Return the standard deviations of the Gaussians that blur shapes, float64[count], in pixels; 0 for none."""
        return np.zeros(count)

    def rows(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.void]:
        """Return its rows, ``PSF_ROW[count]``, from columns of its labels; an image has rows without any width."""
        return empty_rows(count)

    def working_bytes(self, edge: int, cutout_edge: float) -> int:
        """Return the bytes that rendering behind it takes, beside those of the table.

        Parameters
        ----------
        edge : int
            Longer edge of the frame, in pixels.
        cutout_edge : float
            Edge of a typical stamp, in pixels.
        """
        return 0


class ProfilePsf(Psf):
    """A profile of a family, which is known as a function of the radius and as a transform.

    Attributes
    ----------
    family : int
        Its code, as ``psf_profiles`` reads it.
    narrowest_of_galaxies : float
        Least full width at half maximum along the minor axis behind which galaxies are drawn, in pixels: a narrower one
        lets more waves pass than are added up.
    """

    family: ClassVar[int]
    narrowest_of_galaxies: ClassVar[float] = 1.2

    @property
    def in_arcsec(self) -> bool:
        """Whether its width is given in arcseconds."""
        return True

    def least_width(self, scale: float) -> float:
        """Return the least full width at half maximum, in pixels; infinity for expressions."""
        return least(self.fwhm) / scale  # type: ignore[attr-defined]

    def too_narrow(self, scale: float, *, for_galaxies: bool) -> tuple[float, float] | None:
        """Return its least width and the least that is allowed, in pixels, where it can be too narrow to be drawn."""
        width, allowed = self.least_width(scale), NARROWEST
        if for_galaxies:
            ratio = getattr(self, "axis_ratio", None)
            width *= math.sqrt(1.0 if ratio is None else min(least(ratio), 1.0))
            allowed = self.narrowest_of_galaxies
        return (width, allowed) if width < allowed else None

    def widths(self, columns: Mapping[str, NDArray], scale: float | None) -> NDArray[np.float64]:
        """Return full widths at half maximum, in pixels."""
        return columns["fwhm"] / scale

    def rows(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.void]:
        """Return its rows, ``PSF_ROW[count]``, from columns of its labels."""
        rows = empty_rows(count)
        rows["family"] = self.family
        rows["fwhm"] = self.widths(columns, scale)
        rows["axis_ratio"] = columns.get("axis_ratio", 1.0)
        rows["position_angle"] = columns.get("position_angle", 0.0) / (180 / np.pi)
        return rows


class GaussianPsf(ProfilePsf):
    """A Gaussian: circular, given in pixels, or of the sky, given in arcseconds."""

    family = GAUSSIAN

    sigma: Value | None = parameter(
        "standard deviation", unit="pixel", minimum=0, maximum=MAXIMUM_SIGMA, default=None
    )
    fwhm: Value | None = parameter(
        "full width at half maximum, before the pixel", unit="arcsec", above=0, default=None
    )
    axis_ratio: Value | None = parameter(
        "minor over major axis", minimum=0.1, maximum=1, default=None
    )
    position_angle: Value | None = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=None
    )

    @model_validator(mode="after")
    def _one_width(self) -> Self:
        if (self.sigma is None) == (self.fwhm is None):
            found = "neither" if self.sigma is None else "both"
            raise problem(f"must have either sigma (pixels) or fwhm (arcsec); it has {found}")
        if self.sigma is not None and (self.axis_ratio, self.position_angle) != (None, None):
            raise problem("axis_ratio and position_angle go with fwhm, not with sigma")
        return self

    @property
    def is_round_gaussian(self) -> bool:
        """Whether shapes can be blurred by it."""
        return self.axis_ratio is None

    @property
    def in_arcsec(self) -> bool:
        """Whether its width is given in arcseconds."""
        return self.sigma is None

    def least_width(self, scale: float) -> float:
        """Return the least full width at half maximum, in pixels; infinity for expressions."""
        if self.sigma is not None:
            return least(self.sigma) * FWHM_OF_SIGMA
        return least(self.fwhm) / scale

    def most_sigma(self) -> float:
        """Return the largest standard deviation of the Gaussian that blurs shapes, in pixels; 0 where none does."""
        if not self.is_round_gaussian:
            return 0.0
        if self.sigma is None or isinstance(self.sigma, Expression):
            return MAXIMUM_SIGMA
        return min(self.sigma.support()[1], MAXIMUM_SIGMA)

    def sigmas(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.float64]:
        """Return the standard deviations of the Gaussians that blur shapes, float64[count], in pixels; 0 for none."""
        if not self.is_round_gaussian:
            return np.zeros(count)
        if "sigma" in columns:
            return np.ascontiguousarray(columns["sigma"], np.float64)
        return columns["fwhm"] / scale / FWHM_OF_SIGMA

    def widths(self, columns: Mapping[str, NDArray], scale: float | None) -> NDArray[np.float64]:
        """Return full widths at half maximum, in pixels."""
        if "sigma" in columns:
            return columns["sigma"] * FWHM_OF_SIGMA
        return columns["fwhm"] / scale


class SkyPsf(ProfilePsf):
    """Base of the PSFs of the sky: the width before the pixel, the geometric mean of that along both axes."""

    fwhm: Value = parameter("full width at half maximum, before the pixel", unit="arcsec", above=0)
    axis_ratio: Value = parameter("minor over major axis", minimum=0.1, maximum=1, default=1.0)
    position_angle: Value = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=0.0
    )


class MoffatPsf(SkyPsf):
    """Light through the air (Moffat 1969): wings that fall as a power of the radius."""

    family = MOFFAT

    beta: Value = parameter("the intensity falls as radius^(−2 beta)", above=1.1, maximum=100)
    truncation: Value | None = parameter(
        "radius beyond which there is no light; none when absent",
        unit="arcsec",
        above=0,
        default=None,
    )

    @property
    def is_truncated(self) -> bool:
        """Whether its light ends at a radius, so that galaxies cannot be seen through it."""
        return self.truncation is not None

    def rows(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.void]:
        """Return its rows, ``PSF_ROW[count]``, from columns of its labels."""
        rows = super().rows(columns, scale, count)
        rows["shape"] = columns["beta"]
        if "truncation" in columns:
            rows["truncation"] = columns["truncation"] / scale
        return rows


class AiryPsf(SkyPsf):
    """Diffraction by a round aperture, with a round obstacle before its centre."""

    family = AIRY
    narrowest_of_galaxies = 0.5

    obscuration: Value = parameter(
        "diameter of the obstacle over that of the aperture", minimum=0, maximum=0.8, default=0.0
    )

    def rows(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.void]:
        """Return its rows, ``PSF_ROW[count]``, from columns of its labels."""
        rows = super().rows(columns, scale, count)
        rows["shape"] = columns["obscuration"]
        return rows


class KolmogorovPsf(SkyPsf):
    """Light through turbulent air in a long exposure (Fried 1966)."""

    family = KOLMOGOROV


class ImagePsf(Psf):
    """An image of the point spread function in a file, which is identified by its SHA-256.

    Its samples are taken as band-limited, its centre is that of the array, and its sum is made 1.
    """

    file: Annotated[str, Field(min_length=1)] = Field(
        description=".npy or FITS file of an image, from the folder of the recipe"
    )
    oversampling: Annotated[Whole, Field(ge=1, le=MAXIMUM_OVERSAMPLING)] = Field(
        description="samples per pixel of the table along each axis"
    )
    includes_pixel: Annotated[bool, Field(strict=True)] = Field(
        description="whether the samples hold the response of the table's pixel already"
    )
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = Field(
        "", description="SHA-256 of the file; filled in when absent"
    )

    _path: Path = PrivateAttr(default=Path())

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any, info: ValidationInfo) -> Any:
        """Fill in the SHA-256, and check the samples."""
        if not isinstance(data, Mapping) or not isinstance(data.get("file"), str):
            return data
        path = folder_of(info) / data["file"]
        found = sha256_of(path, content_of_psf(path), data.get("sha256"))
        samples_of(path, found)
        return {**data, "sha256": found}

    @model_validator(mode="after")
    def _set_path(self, info: ValidationInfo) -> Self:
        self._path = folder_of(info) / self.file
        return self

    @property
    def source(self) -> PsfFile:
        """File of its image, and how its samples stand to the pixels."""
        return PsfFile(self._path, self.sha256, self.oversampling, self.includes_pixel)

    def working_bytes(self, edge: int, cutout_edge: float) -> int:
        """Return the bytes of its samples, of its transform, and of the FFTs behind it."""
        extent = max(samples_of(self._path, self.sha256).shape) / self.oversampling
        side = min(max(edge, 16), max(extent, cutout_edge))
        period = 1.2 * (side + max(side, extent))
        together = max(1, min(16, 2**18 // int(side * side)))  # stamps or frames drawn at once
        finest = (period * self.oversampling) ** 2
        samples = (extent * self.oversampling) ** 2
        return int(8 * samples + 4 * finest + 16 * together * period**2)


PSFS: dict[str, type[Psf]] = {
    "gaussian": GaussianPsf,
    "moffat": MoffatPsf,
    "airy": AiryPsf,
    "kolmogorov": KolmogorovPsf,
    "image": ImagePsf,
}
"""Point spread functions by the name that a recipe has for them."""

FAMILIES: dict[str, type[ProfilePsf]] = {
    name: psf for name, psf in PSFS.items() if issubclass(psf, ProfilePsf)
}
"""Profiles among them; the codes of their families count from 0."""


@one_of(PSFS)
class PsfEntry(OneOf):
    """A point spread function."""


def least(value: Any) -> float:
    """Return the least number that a value can be; infinity for expressions, which are known when they are drawn."""
    return math.inf if isinstance(value, Expression) else value.support()[0]
