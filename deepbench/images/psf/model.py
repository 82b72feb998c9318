"""Specifications of point spread functions: what a recipe says of each, and the registry of them.

A profile of a family becomes rows of ``PSF_ROW``, from which ``psf_profiles`` reads its light as a function of the
radius and its transform. An image of a point spread function has no row: ``psf_files`` reads it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

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
from deepbench.language.one_of import OneOf, one_of
from deepbench.language.plain import digits, show
from deepbench.language.specification import Number, Specification, Whole, parameter, problem
from deepbench.language.values import Value

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
        ("jitter", np.float64),
    ]
)
"""Row of a profile, in pixels and radians.

``fwhm`` is the geometric mean of the full widths at half maximum along both axes, before the pixel. ``shape`` is the β
of a Moffat and the obscuration of an Airy pattern, else unused. ``truncation`` is the circularised radius where the
profile ends; 0 for none. ``jitter`` is the standard deviation of the Gaussian that an Airy pattern is convolved with,
the geometric mean along both axes; 0 for none.
"""

MAXIMUM_SIGMA = 1000.0
"""Largest standard deviation of a Gaussian PSF (pixel)."""

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian with standard deviation 1."""

NARROWEST = 0.02
"""Least full width at half maximum of a PSF that stars are drawn behind (pixel)."""

MOST_JITTER = 5.0
"""Largest jitter of an Airy pattern, in its full widths at half maximum."""


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
    def is_image(self) -> bool:
        """Whether it is an image in a file."""
        return False

    def check(self, scale: float) -> None:
        """Refuse what does not fit pixels of so many arcseconds; raises pydantic's error or LabelError."""

    def files(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.object_]:
        """Return the ``PsfFile`` of each sample, object[count], from columns of its labels; None for a family's."""
        return np.full(count, None, object)

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

    def working_bytes(self, edge: int, cutout_edge: float, scale: float | None) -> int:
        """Return the bytes that rendering behind it takes, beside those of the table.

        Parameters
        ----------
        edge : int
            Longer edge of the frame, in pixels.
        cutout_edge : float
            Edge of a typical stamp, in pixels.
        scale : float, optional
            Arcseconds per pixel.
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
        if self.sigma is None or not self.sigma.known:
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

    beta: Value = parameter(
        "exponent β; the intensity falls as radius^(−2 β)", above=1.1, maximum=100
    )
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
    """Diffraction by a round aperture, with a round obstacle before its centre, convolved with a Gaussian.

    The ``fwhm`` is that of the pattern alone. The Gaussian has the pattern's axis ratio and direction.
    """

    family = AIRY
    narrowest_of_galaxies = 0.5

    obscuration: Value = parameter(
        "diameter of the obstacle over that of the aperture", minimum=0, maximum=0.8, default=0.0
    )
    jitter: Value | None = parameter(
        "standard deviation of a Gaussian that the pattern is convolved with: pointing, diffusion of charge; none when "
        "absent",
        unit="arcsec",
        minimum=0,
        default=None,
    )

    @model_validator(mode="after")
    def _jitter_is_small(self) -> Self:
        if self.jitter is None or not self.jitter.known:
            return self
        most, width = self.jitter.support()[1], least(self.fwhm)
        if most > MOST_JITTER * width:
            raise problem(
                f"the jitter can be {most:g} arcsec, more than {MOST_JITTER:g} times the fwhm, which can be {width:g}; "
                "such a PSF is a `gaussian`"
            )
        return self

    def rows(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.void]:
        """Return its rows, ``PSF_ROW[count]``, from columns of its labels."""
        rows = super().rows(columns, scale, count)
        rows["shape"] = columns["obscuration"]
        if "jitter" in columns:
            rows["jitter"] = columns["jitter"] / scale
        return rows


class KolmogorovPsf(SkyPsf):
    """Light through turbulent air in a long exposure (Fried 1966)."""

    family = KOLMOGOROV


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
    """Return the least number that a value can be; infinity where that is known when it is drawn."""
    return value.support()[0] if value.known else math.inf
