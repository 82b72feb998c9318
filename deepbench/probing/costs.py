"""The number of samples that an audit renders where none is asked for: as many as take about half a minute."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from deepbench.arrays import power_of_two
from deepbench.counterfactuals import unchanged

if TYPE_CHECKING:
    from deepbench.recipe import Recipe

SECONDS = 30.0
"""CPU time that each part of an audit renders for, about, where no number of samples is asked for."""

MEASURED = 0.5
"""CPU time (second) of samples from which the cost of one is known."""

FEWEST = 8
"""Number of samples from which it is known, at least: some take much longer than others."""

BLOCK_BYTES = 2**26
"""Bytes of samples that are rendered together, about."""


def block_of(recipe: Recipe, table: str) -> int:
    """Return the number of samples that are rendered together."""
    each = sum(variable.sample_bytes for variable in recipe.table(table).variables)
    return max(1, BLOCK_BYTES // each)


def affordable(recipe: Recipe, table: str, ids: NDArray) -> int:
    """Return how many samples of a table are rendered in about ``SECONDS``, measured on the first of them.

    A power of two, so that two runs seldom differ; it depends on the machine. No recipe tells how long its samples
    take: the light of a lens can take a thousand times as long as a shape of as many pixels.
    """
    most = min(len(ids), block_of(recipe, table))
    count = min(FEWEST, most)
    while True:
        unchanged(recipe, table, ids[:count])  # compiles what these samples need
        start = time.process_time()
        unchanged(recipe, table, ids[:count])
        taken = time.process_time() - start
        if taken >= MEASURED or count == most:
            return power_of_two(SECONDS * count / max(taken, 1e-3))
        count = min(2 * count, most)
