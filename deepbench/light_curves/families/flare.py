"""Flares of cool stars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepbench.language.specification import parameter
from deepbench.language.values import Value
from deepbench.light_curves.families.family import (
    BandValues,
    Effect,
    Modulation,
    ObjectLabels,
    ratios,
    record,
)
from deepbench.light_curves.units import MINUTES

if TYPE_CHECKING:
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.survey.exposures import Nodes

FLARE = record("peak_time", "fwhm", "relative_amplitude")
"""Row of a flare in a band: days, days, and the light at the peak over that of the source (of the band)."""


class Flare(Modulation):
    """A flare of a cool star (Davenport et al. 2014)."""

    row: ClassVar[np.dtype] = FLARE
    effect: ClassVar[Effect] = Effect.MEAN_LIGHT
    by_band: ClassVar[tuple[str, ...]] = ("relative_amplitude_ratios",)
    measured: ClassVar[tuple[str, ...]] = ("snr", "n_in_event")

    peak_time: Value = parameter("time of the maximum", unit="d")
    fwhm: Value = parameter(
        "scale that the paper calls the full width at half maximum; that of its template is 0.913 of it",
        unit="min",
        above=0,
    )
    relative_amplitude: Value = parameter(
        "light of the flare at its peak over that of the source", minimum=0, maximum=1e4
    )
    relative_amplitude_ratios: BandValues | None = ratios("amplitude")

    def derived(self, labels: ObjectLabels, band: str) -> Mapping[str, NDArray[np.float64] | float]:
        """Return the width in days."""
        return {"fwhm": labels.columns["fwhm"] / MINUTES}

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Add the mean light of flares, and count the observations that see them."""
        from deepbench.light_curves.families.flare_kernels import add_flares

        seen, events = nodes.seen, np.zeros(len(batch.owners), np.int64)
        where = seen.offsets, seen.times, seen.exposures, seen.bands
        add_flares(batch.rows, batch.owners, *where, values, events)
        batch.measure("n_in_event", events)
