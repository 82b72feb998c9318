"""Damped random walks: the light of active nuclei."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepbench.language.specification import parameter
from deepbench.language.values import Value
from deepbench.light_curves.families.family import BandValues, Effect, Modulation, ratios, record

if TYPE_CHECKING:
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.streams import TableStreams
    from deepbench.light_curves.survey.exposures import Nodes
    from deepbench.light_curves.survey.surveys import Survey

RANDOM_WALK = record("timescale", "structure_function")
"""Row of a walk in a band: days, and SF∞ in magnitudes (of the band)."""

STEPS = "steps"
"""Stream of the steps, inside the object."""


class RandomWalk(Modulation):
    """A damped random walk in magnitudes, as of an active nucleus (Kelly et al. 2009; MacLeod et al. 2010)."""

    row: ClassVar[np.dtype] = RANDOM_WALK
    effect: ClassVar[Effect] = Effect.MEAN_FACTORS
    repeatable: ClassVar[bool] = False
    streams: ClassVar[tuple[str, ...]] = (STEPS,)
    by_band: ClassVar[tuple[str, ...]] = ("structure_function_ratios",)

    timescale: Value = parameter("timescale of the damping, as observed", unit="d", above=0)
    structure_function: Value = parameter(
        "structure function at infinity: √2 times the standard deviation",
        unit="mag",
        minimum=0,
        maximum=3,
    )
    structure_function_ratios: BandValues | None = ratios("structure function")

    def inputs(
        self, survey: Survey, streams: TableStreams, columns: ObjectColumns
    ) -> tuple[NDArray, ...]:
        """Return the words of the seed and of the stream of the steps."""
        return streams.key, streams.of_object(columns, STEPS)

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Multiply by the factors of randomly walking sources at their observations."""
        from deepbench.light_curves.families.random_walk_kernels import multiply_random_walks

        seen = nodes.seen
        walked = *seen.scheduled, seen.offsets, seen.positions, seen.bands
        multiply_random_walks(
            batch.rows, batch.owners, *walked, batch.samples, *batch.inputs, values
        )
