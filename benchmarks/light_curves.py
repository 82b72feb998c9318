"""Whole light curves per CPU-second: times, light averaged over exposures, noise, labels; and damped random walks.

    python benchmarks/light_curves.py

Every class of light_curves.yaml has 1,000 points in the noise of TESS, of two minutes or of half an hour, without red
noise; those of transients.yaml have about 270 visits in six bands. They are drawn and rendered as in a build, but not
written. The damped random walk is timed beside celerite2, in turns and with given normals; ours is averaged over its
exposures, too. Medians, one process, one core.
"""

import statistics
import time
from pathlib import Path

import celerite2
import numpy as np
import yaml

import deepbench
from deepbench.light_curves.families.random_walk_kernels import walk
from deepbench.samples import draw_labels, render_arrays

WORKFLOWS = Path(__file__).parents[1] / "workflows"
ROUNDS = 7
CURVES = 1500
CASES = {
    "two minutes": (
        "light_curves",
        {"preset": "tess_2min", "cadence": {"regular": {"duration": 1.389, "gaps": []}}},
    ),
    "half an hour": (
        "light_curves",
        {"preset": "tess_30min", "cadence": {"regular": {"duration": 20.84, "gaps": []}}},
    ),
    "six bands": ("transients", None),
}
"""Recipe, and its survey where that is another."""


def measure(*functions):
    """Return the median CPU time of a call of each function, called in turns."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(ROUNDS):
        for function, found in zip(functions, times, strict=True):
            start = time.process_time()
            function()
            found.append(time.process_time() - start)
    return [statistics.median(found) for found in times]


def of_class(case, wanted):
    """Return what renders the light curves of one class of a workflow."""
    name, survey = CASES[case]
    data = deepbench.load_recipe(WORKFLOWS / f"{name}.yaml").resolved()
    table = {key: value for key, value in data["tables"]["curves"].items() if key != "red_noise"}
    table |= {"samples": CURVES, "classes": {wanted: table["classes"][wanted]}}
    data["tables"]["curves"] = table | ({} if survey is None else {"survey": survey})
    alone = deepbench.parse_recipe(yaml.safe_dump(data, sort_keys=False))
    return lambda: render_arrays(
        alone.table("curves"), draw_labels(alone.table("curves"), 0, CURVES)
    )


def main():
    """Print the tables."""
    for case, (name, _) in CASES.items():
        classes = deepbench.load_recipe(WORKFLOWS / f"{name}.yaml").tables["curves"].classes
        rates = {}
        for wanted in classes:
            (taken,) = measure(of_class(case, wanted))
            rates[wanted] = CURVES / taken
            print(f"{case:<13} {wanted:<18} {rates[wanted]:9,.0f} per CPU-second", flush=True)
        print(f"{case:<13} median class       {statistics.median(rates.values()):9,.0f}")

    rng = np.random.default_rng(1)
    times, normals = np.sort(rng.uniform(0, 3650, 1000)), rng.standard_normal(3000)
    bands, work, means = np.zeros(1000, np.int8), np.empty((2, 1000)), np.empty(1000)
    lengths = np.array([30 / 86400])

    def ours():
        for _ in range(1000):
            walk(times, bands, lengths, normals, 200.0, work, means)

    def celerites():
        for _ in range(1000):
            process = celerite2.GaussianProcess(celerite2.terms.RealTerm(a=1.0, c=1 / 200))
            process.compute(times, diag=1e-12)
            process.dot_tril(normals[:1000])

    theirs, own = measure(celerites, ours)
    print(
        f"damped random walk, 1,000 times: celerite2 {1e3 * theirs:.1f} µs, ours {1e3 * own:.1f} µs, "
        f"ratio {theirs / own:.1f}"
    )


if __name__ == "__main__":
    main()
