"""Point sources that a point lens passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepbench.language.specification import parameter
from deepbench.language.values import Value
from deepbench.light_curves.families.family import (
    BandValues,
    Modulation,
    ObjectLabels,
    in_bands,
    record,
)

if TYPE_CHECKING:
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.survey.exposures import Nodes, Observations

MICROLENSING = record("peak_time", "einstein_time", "impact_parameter", "source_fraction")
"""Row of an event in a band: days, days, Einstein radii, and the part of the light (of the band) that is lensed."""


class Microlensing(Modulation):
    """A point that passes before a point (Paczyński 1986); an event where they are closer than the Einstein radius."""

    row: ClassVar[np.dtype] = MICROLENSING
    by_band: ClassVar[tuple[str, ...]] = ("source_fractions",)
    measured: ClassVar[tuple[str, ...]] = ("snr", "n_in_event")

    peak_time: Value = parameter("time at which lens and source are closest", unit="d")
    einstein_time: Value = parameter(
        "time in which the lens moves an Einstein radius", unit="d", above=0
    )
    impact_parameter: Value = parameter(
        "least distance of lens and source, in Einstein radii", minimum=1e-3, maximum=10
    )
    source_fraction: Value | None = parameter(
        "part of the light that is lensed; all when absent", minimum=0, maximum=1, default=None
    )
    source_fractions: BandValues | None = in_bands(
        "part of the light that is lensed", minimum=0, maximum=1
    )

    def derived(self, labels: ObjectLabels, band: str) -> Mapping[str, NDArray[np.float64] | float]:
        """Return all light as lensed where no part is given."""
        return {"source_fraction": labels.value("source_fraction", band, absent=1.0)}

    def fastest(self, rows: NDArray) -> NDArray[np.float64]:
        """Return one over the time in which the source crosses the peak, rad/day."""
        first = rows[:, 0]
        crossing = first["einstein_time"] * np.minimum(first["impact_parameter"], 1.0)
        return np.asarray(1.0 / crossing, dtype=np.float64)

    def event_nodes(self, batch: ObjectBatch, seen: Observations) -> NDArray[np.int64]:
        """Return the nodes of exposures near the peak."""
        from deepbench.light_curves.families.microlensing_kernels import count_microlensing

        return batch.count_events(count_microlensing, seen)

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Multiply by the light of lensed stars, in units of their unlensed flux."""
        from deepbench.light_curves.families.microlensing_kernels import multiply_microlensing

        batch.write_nodes(multiply_microlensing, nodes, values)
