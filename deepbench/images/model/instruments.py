"""Instruments that images are taken with: their bands, and what presets know of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from deepbench.images.psf.model import PsfEntry
from deepbench.labelling.scopes import EVERY_CLASS
from deepbench.language.presets import FromPreset, Presets, check_bands, named_preset, read_presets
from deepbench.language.specification import Name, Number, Specification, parameter, problem
from deepbench.language.values import Value

MAGNITUDE = -0.4 * math.log(10.0)
"""A source of magnitude m has the flux exp(MAGNITUDE × (m − zero point))."""


class Band(Specification):
    """One band of an instrument, and how it was exposed."""

    zero_point: Value = parameter("AB magnitude of a source of 1 electron per second", unit="mag")
    exposure_time: Value = parameter("time of one exposure", unit="s", above=0)
    exposures: Value = parameter(
        "number of exposures that are added up", minimum=1, integer=True, default=1
    )
    sky_brightness: Value = parameter("AB surface brightness of the sky", unit="mag/arcsec2")
    dark_current: Value = parameter(
        "dark current of a pixel", unit="electron/s", minimum=0, default=0.0
    )
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


class Instrument(FromPreset):
    """A camera behind a telescope: its pixels, its bands, and what it gives.

    Per band and pixel: (light + sky + dark current) × time → Poisson → read noise → full well → unit.
    """

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
        if given is None:
            names = list(preset["bands"])
            raise problem(
                f"'bands' is missing: name those that you want, such as bands: {{{names[0]}: {{}}}}; "
                f"'{data['preset']}' has {', '.join(names)}"
            )
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
