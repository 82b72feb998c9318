"""The cost of the parts of an audit that render: CPU seconds of near-duplicates and of the ceiling, kernels compiled.

python benchmarks/auditing.py biased_shapes=20000 einstein_radius=300 strong_lenses=300

Each recipe of ``workflows/`` comes with the number of samples that the audit is given; its first table is looked at.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

import deepbench
from deepbench.probing.ceiling import ceiling
from deepbench.probing.near import unresolved
from deepbench.probing.truth import Truth

WORKFLOWS = Path(__file__).parents[1] / "workflows"

T = TypeVar("T")


def timed(job: Callable[[], T]) -> tuple[T, float]:
    """Return what a job returns, and its CPU time in seconds."""
    start = time.process_time()
    found = job()
    return found, time.process_time() - start


def measure(name: str, samples: int) -> None:
    """Print what the first table of a recipe takes."""
    recipe = deepbench.load_recipe(WORKFLOWS / f"{name}.yaml")
    table = next(iter(recipe.tables))
    plan = recipe.table(table).plan
    truth = Truth.from_frame(deepbench.labels(recipe, table, 0, samples), plan.classes, plan.splits)
    largest = int(np.bincount(truth.split_codes).argmax())
    near, of_near = timed(lambda: unresolved(recipe, table, truth, largest))
    limits, of_ceiling = timed(lambda: ceiling(recipe, table, truth))
    print(
        f"{name}, {table}, {samples:,} samples\n"
        f"  near-duplicates {of_near:.1f} s: {near.searched}\n"
        f"  ceiling {of_ceiling:.1f} s: samples of a class {sorted({each.n for each in limits.bounds})}"
    )


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        recipe_name, _, count = argument.partition("=")
        measure(recipe_name, int(count))
