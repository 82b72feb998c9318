"""What images are seen through and taken with: point spread functions, bands, instruments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from deepbench.images.psf.psf_files import (
    MAXIMUM_OVERSAMPLING,
    PsfFile,
    content_of_psf,
    samples_of,
)
from deepbench.labelling.scopes import EVERY_CLASS
from deepbench.language.inputs.files import folder_of, sha256_of
from deepbench.language.one_of import one_of
from deepbench.language.presets import Presets, check_bands, named_preset, read_presets
from deepbench.language.specification import Name, Number, Specification, parameter, problem
from deepbench.language.values import Expression, Value

MAXIMUM_SIGMA = 1000.0
"""Of a Gaussian PSF, in pixels."""

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian with standard deviation 1."""

MAGNITUDE = -0.4 * math.log(10.0)
"""A source of magnitude m has the flux exp(MAGNITUDE × (m − zero point))."""

NARROWEST = 0.02
"""Full width at half maximum of the narrowest PSF that stars are drawn behind, in pixels."""

NARROWEST_OF_GALAXIES = 1.2
NARROWEST_AIRY_OF_GALAXIES = 0.5
"""The same for galaxies, along the minor axis: a narrower one lets more waves pass than are added up."""


class GaussianPsf(Specification):
    """A Gaussian: circular, given in pixels, or of the sky, given in arcseconds."""

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


class SkyPsf(Specification):
    """What the PSFs of the sky share: the width before the pixel, the geometric mean of that along both axes."""

    fwhm: Value = parameter("full width at half maximum, before the pixel", unit="arcsec", above=0)
    axis_ratio: Value = parameter("minor over major axis", minimum=0.1, maximum=1, default=1.0)
    position_angle: Value = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=0.0
    )


class MoffatPsf(SkyPsf):
    """Light through the air (Moffat 1969): wings that fall as a power of the radius."""

    beta: Value = parameter("the intensity falls as radius^(−2 beta)", above=1.1, maximum=100)
    truncation: Value | None = parameter(
        "radius beyond which there is no light; none when absent",
        unit="arcsec",
        above=0,
        default=None,
    )


class AiryPsf(SkyPsf):
    """Diffraction by a round aperture, with a round obstacle before its centre."""

    obscuration: Value = parameter(
        "diameter of the obstacle over that of the aperture", minimum=0, maximum=0.8, default=0.0
    )


class KolmogorovPsf(SkyPsf):
    """Light through turbulent air in a long exposure (Fried 1966)."""


class ImagePsf(Specification):
    """An image of the point spread function in a file, which is identified by its SHA-256.

    Its samples are taken as band-limited, its centre is that of the array, and its sum is made 1.
    """

    file: Annotated[str, Field(min_length=1)] = Field(
        description=".npy or FITS file of an image, from the folder of the recipe"
    )
    oversampling: Annotated[int, Field(ge=1, le=MAXIMUM_OVERSAMPLING, strict=True)] = Field(
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
        """What rendering needs of it."""
        return PsfFile(self._path, self.sha256, self.oversampling, self.includes_pixel)

    @property
    def extent(self) -> float:
        """The longer side of the image, in pixels of the table."""
        return max(samples_of(self._path, self.sha256).shape) / self.oversampling


PSFS: dict[str, type[Specification]] = {
    "gaussian": GaussianPsf,
    "moffat": MoffatPsf,
    "airy": AiryPsf,
    "kolmogorov": KolmogorovPsf,
    "image": ImagePsf,
}
"""Point spread functions by the name that a recipe has for them."""


class PsfEntry(one_of(PSFS)):
    """A point spread function."""

    @property
    def is_round_gaussian(self) -> bool:
        """Whether shapes can be blurred by it."""
        return self.gaussian is not None and self.gaussian.axis_ratio is None

    @property
    def in_arcsec(self) -> bool:
        """Whether its width is given in arcseconds."""
        return self.image is None and (self.gaussian is None or self.gaussian.sigma is None)

    def least_widths(self, scale: float) -> tuple[float, float]:
        """Return the least full width at half maximum, in pixels, and that along the minor axis.

        Expressions are known when they are drawn only, and count as infinite here.
        """
        described = self.chosen
        sigma = getattr(described, "sigma", None)
        width = least(sigma) * FWHM_OF_SIGMA if sigma is not None else least(described.fwhm) / scale
        ratio = getattr(described, "axis_ratio", None)
        return width, width * math.sqrt(1.0 if ratio is None else min(least(ratio), 1.0))


def least(value: Value) -> float:
    """Return the least number that a value can be; infinity for expressions."""
    return math.inf if isinstance(value, Expression) else value.support()[0]


class Band(Specification):
    """One band of an instrument, and how it was exposed."""

    zero_point: Value = parameter("AB magnitude of a source of 1 electron per second", unit="mag")
    exposure_time: Value = parameter("of one exposure", unit="s", above=0)
    exposures: Value = parameter(
        "number of exposures that are added up", minimum=1, integer=True, default=1
    )
    sky_brightness: Value = parameter("AB surface brightness of the sky", unit="mag/arcsec2")
    dark_current: Value = parameter("of a pixel", unit="electron/s", minimum=0, default=0.0)
    read_noise: Value = parameter(
        "standard deviation of the noise of reading a pixel once", unit="electron", minimum=0
    )
    full_well: Value = parameter(
        "electrons that a pixel holds in one exposure", unit="electron", above=0
    )
    gain: Value = parameter("electrons per count", unit="electron/adu", above=0)
    bias: Value = parameter("counts of a pixel without electrons", unit="adu", default=0.0)
    psf: PsfEntry | None = Field(
        None, description="what is seen in this band, if not the table's PSF"
    )


class Instrument(Specification):
    """A camera behind a telescope: its pixels, its bands, and what it gives.

    Per band and pixel: (light + sky + dark current) × time → Poisson → read noise → full well → unit.
    """

    preset: str | None = Field(None, description="fills in what is not given here")
    pixel_scale: Annotated[Number, Field(gt=0)] = Field(description="arcsec per pixel")
    bands: Annotated[dict[Name, Band], Field(min_length=1, max_length=100)] = Field(
        description="in the order of the image"
    )
    unit: Literal["electron", "adu", "flux"] = Field(
        "electron",
        description="electrons; counts with bias, rounded; or electrons per second",
    )
    background: Literal["subtracted", "kept"] = Field(
        "subtracted", description="whether the level of sky, dark current and bias stays"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Complete what a preset says."""
        preset = named_preset(data, presets())
        if preset is None:
            return data
        filled = {"pixel_scale": preset["pixel_scale"], **data}
        given = data.get("bands")
        if not isinstance(given, Mapping):
            return filled
        check_bands(given, data["preset"], preset)
        filled["bands"] = {
            name: {**preset["bands"][name], **(band or {})}
            if band is None or isinstance(band, Mapping)
            else band
            for name, band in given.items()
        }
        return filled


def presets() -> Presets:
    """Return what is known of instruments, by their names; ``presets.yaml`` has the sources."""
    return read_presets(Path(__file__).with_name("presets.yaml"))


def band_streams(band: str) -> tuple[str, str]:
    """Return the streams of a band's photons and of its noise of reading, without the table's name."""
    return f"{EVERY_CLASS}/instrument.{band}/photons", f"{EVERY_CLASS}/instrument.{band}/reading"
