"""Specifications of profiles of point spread functions, and the registry of all point spread functions.

A profile of a family becomes rows of ``PSF_ROW``, from which ``psf_profiles`` reads its light as a function of the
radius and its transform.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from deepbench.images.psf.psf import Psf, empty_rows
from deepbench.images.psf.psf_image import ImagePsf
from deepbench.language.one_of import OneOf, one_of
from deepbench.language.specification import parameter, problem
from deepbench.language.values import Value

GAUSSIAN, MOFFAT, AIRY, KOLMOGOROV = range(4)
"""Codes of the families of profiles."""

MAXIMUM_SIGMA = 1000.0
"""Largest standard deviation of a Gaussian PSF (pixel)."""

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian with standard deviation 1."""

NARROWEST = 0.02
"""Least full width at half maximum of a PSF that stars are drawn behind (pixel)."""

MOST_JITTER = 5.0
"""Largest jitter of an Airy pattern, in its full widths at half maximum."""


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
