"""Samples rendered again with one label changed, against plain rendering of as many samples: CPU time.

    OMP_NUM_THREADS=1 python benchmarks/counterfactuals.py

Each row is a recipe, the label that is swept through the values of other samples, and the medians of rounds in which
both take turns in one process. In the last four, objects repeat.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import deepbench
from deepbench.errors import RangeWarning

WORKFLOWS = Path(__file__).parent.parent / "workflows"
ROUNDS = 5
CASES = (
    ("shapes", "psf.sigma", "keep", 64, 32),
    ("biased_shapes", "variables.blurred", "again", 64, 32),
    ("stars", "psf.fwhm", "keep", 64, 32),
    ("light_curves", "variables.magnitude", "again", 64, 8),
    ("strong_lenses", "psf.fwhm", "keep", 64, 8),
    ("survey_field", "psf.fwhm", "keep", 2, 4),
)


def cpu(job: Callable[[], object]) -> float:
    """Return the CPU seconds of a job."""
    start = time.process_time()
    job()
    return time.process_time() - start


def main() -> None:
    """Measure all cases."""
    warnings.simplefilter("ignore", RangeWarning)
    print("milliseconds of CPU")
    for workflow, label, derive, samples, steps in CASES:
        recipe = deepbench.load_recipe(WORKFLOWS / f"{workflow}.yaml")
        table = next(iter(recipe.tables))
        own = deepbench.labels(recipe, table, 0, samples)[label].to_numpy()
        swept = {label: np.stack([np.roll(own, step) for step in range(steps)], axis=1)}
        jobs = {
            "vary": partial(deepbench.vary, recipe, table, range(samples), swept, derive=derive),
            "render": partial(deepbench.render, recipe, table, 0, samples * steps),
        }
        for job in jobs.values():
            job()
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(ROUNDS):
            for name, job in jobs.items():
                times[name].append(cpu(job))
        ours, plain = (statistics.median(each) for each in times.values())
        size = f"{samples} × {steps}"
        print(
            f"{workflow:<14} {label:<20} {size:<8} {1e3 * ours:8.1f} {1e3 * plain:8.1f}  {ours / plain:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
