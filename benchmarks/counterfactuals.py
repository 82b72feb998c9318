"""Samples rendered again with one label changed, against plain rendering of as many samples: CPU time.

    OMP_NUM_THREADS=1 python benchmarks/counterfactuals.py

Each row is a recipe, the label that is swept through the values of other samples, and the medians of rounds in which
both take turns in one process. Where objects repeat, as in the last one, each step is rendered for itself.
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
SAMPLES, STEPS, ROUNDS = 64, 32, 5
CASES = (
    ("shapes", "psf.sigma", "keep"),
    ("biased_shapes", "variables.blurred", "again"),
    ("stars", "psf.fwhm", "keep"),
)


def cpu(job: Callable[[], object]) -> float:
    """Return the CPU seconds of a job."""
    start = time.process_time()
    job()
    return time.process_time() - start


def main() -> None:
    """Measure all cases."""
    warnings.simplefilter("ignore", RangeWarning)
    print(f"{SAMPLES} samples in {STEPS} steps; milliseconds of CPU")
    for workflow, label, derive in CASES:
        recipe = deepbench.load_recipe(WORKFLOWS / f"{workflow}.yaml")
        own = deepbench.labels(recipe, "images", 0, SAMPLES)[label].to_numpy()
        steps = np.stack([np.roll(own, step) for step in range(STEPS)], axis=1)
        vary = partial(
            deepbench.vary, recipe, "images", range(SAMPLES), {label: steps}, derive=derive
        )
        jobs = {
            "vary": vary,
            "render": partial(deepbench.render, recipe, "images", 0, SAMPLES * STEPS),
        }
        for job in jobs.values():
            job()
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(ROUNDS):
            for name, job in jobs.items():
                times[name].append(cpu(job))
        ours, plain = (statistics.median(each) for each in times.values())
        print(
            f"{workflow:<14} {label:<18} {1e3 * ours:8.1f} {1e3 * plain:8.1f}  {ours / plain:.2f}"
        )


if __name__ == "__main__":
    main()
