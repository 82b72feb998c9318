"""Surveys: cadence, bands with their noise, and presets of real ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from deepbench.labelling.scopes import EVERY_CLASS
from deepbench.language.plain import show
from deepbench.language.presets import FromPreset, Presets, check_bands, named_preset, read_presets
from deepbench.language.specification import Name, Number, Specification, parameter, problem
from deepbench.language.values import Value
from deepbench.light_curves.survey.cadences import CADENCES, Cadence, cadence_in_bands
from deepbench.light_curves.survey.noise_models import NOISE_MODELS, NoiseModel
from deepbench.light_curves.units import DAY

PHOTONS = f"{EVERY_CLASS}/survey.noise/observations"
DEPTHS = f"{EVERY_CLASS}/survey.depth/observations"
"""Streams of the noise and of the scatter of the depth, without the table's name."""


def noise_stream(image: int) -> str:
    """Return the stream of the noise of an image, counted from 0, where images of a source are apart."""
    return PHOTONS if image == 0 else f"{PHOTONS}_{image + 1}"


class SurveyBand(Specification):
    """One band of a survey."""

    zero_point: Value = parameter("magnitude of a source whose flux is 1", unit="mag")
    wavelengths: tuple[Annotated[Number, Field(gt=0)], Annotated[Number, Field(gt=0)]] | None = (
        Field(None, description="ends of the filter, taken as a top hat, nm; transients need it")
    )
    exposure: Annotated[Number, Field(ge=0, le=DAY)] = Field(
        description="from the beginning to the end of an observation, seconds"
    )
    noise: NoiseModel = Field(description="law of the noise")

    @field_validator("wavelengths")
    @classmethod
    def _ascending(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is not None and ends[0] >= ends[1]:
            raise problem(f"must be [shortest, longest], not {show([*ends])}")
        return ends


class Survey(FromPreset):
    """A survey, which takes light curves: when, in which bands, with which noise."""

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
        preset = named_preset(data, presets())
        if preset is None:
            return data
        given = data.get("bands")
        if isinstance(given, Mapping):
            check_bands(given, data["preset"], preset)
            preset = {
                **preset,
                "bands": {name: preset["bands"][name] for name in given},
                "cadence": cadence_in_bands(preset["cadence"], set(given)),
            }
        return _merged(preset, data)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.cadence.chosen.check(
            {name: band.exposure for name, band in self.bands.items()},
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


def _merged(preset: Any, given: Any) -> Any:
    """Return a preset with what is given instead of its own; other kinds, and shares, are replaced as a whole."""
    if not isinstance(preset, Mapping) or not isinstance(given, Mapping):
        return given
    kinds = set(CADENCES) | set(NOISE_MODELS)
    if set(preset) <= kinds and set(given) <= kinds and set(given) != set(preset):
        return given
    filled = {
        name: given.get(name, value)
        if name == "fractions"
        else _merged(value, given.get(name, value))
        for name, value in preset.items()
    }
    return {**given, **filled}


def presets() -> Presets:
    """Return what is known of surveys, by their names; ``presets.yaml`` has where it comes from."""
    return read_presets(Path(__file__).with_name("presets.yaml"))
