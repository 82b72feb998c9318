"""What sources are seen with: surveys, their cadences, their bands, and the laws of their noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from deepbench.labelling.scopes import EVERY_CLASS
from deepbench.language.one_of import OneOf, one_of
from deepbench.language.plain import show, unknown
from deepbench.language.specification import Name, Number, Specification, parameter, problem
from deepbench.language.values import Value
from deepbench.light_curves.survey.cadences import DAY, Cadence

MAGNITUDE = -0.4 * math.log(10.0)
"""A source of magnitude m has the flux exp(MAGNITUDE × (m − zero point))."""

PHOTONS = f"{EVERY_CLASS}/survey.noise/observations"
DEPTHS = f"{EVERY_CLASS}/survey.depth/observations"
"""Streams of the noise and of the scatter of the depth, without the table's name."""


class DepthNoise(Specification):
    """The law of Ivezić et al. (2019, ApJ 873, 111), eq. 4 and 5, in flux: with F5 the flux at the depth,

    σ² = (systematic ln 10 / 2.5)² F² + (0.04 − gamma) max(F, 0) F5 + gamma F5².
    """

    depth: Value = parameter("AB magnitude that is detected at 5σ in one exposure", unit="mag")
    scatter: Value = parameter(
        "standard deviation of the depth from exposure to exposure",
        unit="mag",
        minimum=0,
        maximum=3,
        default=0.0,
    )
    gamma: Value = parameter(
        "share of sky and detector in the noise", minimum=0, maximum=0.04, default=0.039
    )
    systematic: Value = parameter("error that is left for bright sources", unit="mag", minimum=0)


class ApertureNoise(Specification):
    """Photons in an aperture on a detector (Sullivan et al. 2015, ApJ 809, 77): with t the effective time,

    σ² = (systematic F)² + max(F, 0) / t + pixels (sky t + read_noise²) / t², flux in electrons per second. The aperture
    has pixels × 10^(pixel_slope × (m − 10)) pixels, at least ``pixel_floor``, m being the source's magnitude.
    """

    effective_time: Value = parameter("in which photons are counted", unit="s", above=0)
    pixels: Value = parameter("number of pixels for a source of magnitude 10", above=0)
    pixel_slope: Value = parameter(
        "decimal logarithm of the number of pixels, per magnitude", unit="mag-1", default=0.0
    )
    pixel_floor: Value = parameter("least number of pixels", minimum=0, default=1.0)
    sky: Value = parameter("background in a pixel", unit="electron/s", minimum=0)
    read_noise: Value = parameter(
        "standard deviation of the noise of reading a pixel, of all reads of an exposure together",
        unit="electron",
        minimum=0,
    )
    systematic: Value = parameter(
        "relative error of one exposure that is left for bright sources", minimum=0
    )


class KeplerNoise(Specification):
    """Kepler's long cadences: relative σ = √(c + background (14 / m)⁵) / c, with c electrons in an exposure.

    The lower envelope of Jenkins et al. (2010, ApJ 713, L120), in which the background is 9.5e5; m is the source's
    magnitude.
    """

    effective_time: Value = parameter("in which photons are counted", unit="s", above=0)
    background: Value = parameter(
        "variance of the background at magnitude 14", unit="electron2", minimum=0, default=9.5e5
    )


class ConstantNoise(Specification):
    """The same standard deviation for all observations, in units of the flux."""

    sigma: Value = parameter("standard deviation", unit="", above=0)


LAWS: dict[str, type[Specification]] = {
    "depth": DepthNoise,
    "aperture": ApertureNoise,
    "kepler": KeplerNoise,
    "constant": ConstantNoise,
}
"""Laws of the noise of a survey by the name that a recipe has for them."""


@one_of(LAWS)
class Law(OneOf):
    """The noise of an observation."""

    @property
    def needs_magnitude(self) -> bool:
        """Whether it depends on the magnitude of the source."""
        return self.aperture is not None or self.kepler is not None


class SurveyBand(Specification):
    """One band of a survey."""

    zero_point: Value = parameter("magnitude of a source whose flux is 1", unit="mag")
    wavelengths: tuple[Annotated[Number, Field(gt=0)], Annotated[Number, Field(gt=0)]] | None = (
        Field(None, description="ends of the filter, taken as a top hat, nm; transients need it")
    )
    exposure: Annotated[Number, Field(ge=0, le=DAY)] = Field(
        description="from the beginning to the end of an observation, seconds"
    )
    noise: Law = Field(description="law of the noise")

    @field_validator("wavelengths")
    @classmethod
    def _ascending(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is not None and ends[0] >= ends[1]:
            raise problem(f"must be [shortest, longest], not {show([*ends])}")
        return ends


class Survey(Specification):
    """What takes light curves: when, in which bands, with which noise."""

    preset: str | None = Field(None, description="fills in what is not given here")
    time_scale: Literal["TDB", "TAI", "UTC", "TT"] = Field(
        description="time scale of the observations"
    )
    epoch: Annotated[Number, Field(ge=0, le=1e7)] = Field(description="Julian date of time 0")
    unit: Annotated[str, Field(min_length=1, max_length=40)] = Field(description="of the flux")
    cadence: Cadence = Field(description="when it looks")
    bands: Annotated[dict[Name, SurveyBand], Field(min_length=1, max_length=100)] = Field(
        description="in the order of their numbers"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Complete what a preset says."""
        if not isinstance(data, Mapping) or data.get("preset") is None:
            return data
        if not isinstance(data["preset"], str) or data["preset"] not in presets():
            raise problem(unknown("preset", data["preset"], presets()), "unknown_name")
        preset = presets()[data["preset"]]
        given = data.get("bands")
        if isinstance(given, Mapping):
            missing = [name for name in given if name not in preset["bands"]]
            if missing:
                what = f"band of '{data['preset']}'"
                raise problem(unknown(what, missing[0], preset["bands"]), "unknown_name")
            preset = {**preset, "bands": {name: preset["bands"][name] for name in given}}
            preset["cadence"] = _in_bands(preset["cadence"], set(given))
        return _merged(preset, data)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        nights, regular = self.cadence.nights, self.cadence.regular
        longest = max(band.exposure for band in self.bands.values())
        if regular is not None and len(self.bands) > 1:
            raise problem(
                "a regular cadence has one band; name it in `bands`, or give the times of several in a file"
            )
        if regular is not None and longest > regular.interval * (1 + 1e-9):
            raise problem(
                f"an exposure of {longest:g} s does not end before the next begins, {regular.interval:g} s later"
            )
        if nights is not None:
            unseen = [name for name in nights.fractions if name not in self.bands]
            if unseen:
                raise problem(unknown("band", unseen[0], self.bands), "unknown_name")
            if longest > nights.pair_interval[0] * 60.0:
                raise problem(
                    f"an exposure of {longest:g} s does not end before the second visit of a night; "
                    "make pair_interval longer"
                )
        if self.cadence.file is not None:
            times = self.cadence.file.times(self.names)
            half = 0.5 * np.array([band.exposure for band in self.bands.values()])[times.bands]
            early = np.diff(times.days) * DAY < (half[1:] + half[:-1]) * (1 - 1e-9)
            if early.any():
                raise problem(
                    f"the exposure at the time {times.days[np.argmax(early)]:.10g} does not end before the next begins"
                )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the bands."""
        return tuple(self.bands)

    @property
    def exposures(self) -> NDArray[np.float64]:
        """Length of an exposure in each band, days."""
        return np.array([band.exposure for band in self.bands.values()]) / DAY

    def edges(self) -> NDArray[np.float64]:
        """Return the ends of the filters, float64[b, 2], nm; NaN where they are not given."""
        ends = [band.wavelengths or (math.nan, math.nan) for band in self.bands.values()]
        return np.array(ends, np.float64)


def _in_bands(cadence: dict[str, Any], bands: set[str]) -> dict[str, Any]:
    """Return a preset's cadence with the visits of some bands."""
    if "nights" not in cadence:
        return cadence
    shares = cadence["nights"]["fractions"]
    kept = {name: share for name, share in shares.items() if name in bands}
    return {"nights": {**cadence["nights"], "fractions": kept}}


def _merged(preset: Any, given: Any) -> Any:
    """Return a preset with what is given in its place; what is one of several kinds, and shares, as a whole."""
    if not isinstance(preset, Mapping) or not isinstance(given, Mapping):
        return given
    kinds = set(Cadence.registry) | set(Law.registry)
    if set(preset) <= kinds and set(given) <= kinds and set(given) != set(preset):
        return given
    filled = {
        name: given.get(name, value)
        if name == "fractions"
        else _merged(value, given.get(name, value))
        for name, value in preset.items()
    }
    return {**given, **filled}


@lru_cache(maxsize=1)
def presets() -> dict[str, dict[str, Any]]:
    """Return what is known of surveys, by their names; ``presets.yaml`` has where it comes from."""
    return yaml.safe_load(Path(__file__).with_name("presets.yaml").read_text("utf-8"))
