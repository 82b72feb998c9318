"""Images of point sources behind power laws with shear, against lenstronomy: microseconds of CPU time per system.

    python benchmarks/lens_equation.py

θ_E U(0.7, 1.6), q U(0.35, 1), shear U(0, 0.15), sources within 0.6 arcsec of the centre, most with two or four images.
All solvers have the same systems, in turns, in one process and on one core; medians of the rounds. The numerical
solver of lenstronomy looks on a grid of 0.05 arcsec. Ours finds all images with |μ| ≥ 1e-3, their magnifications, types
and Fermat potentials; lenstronomy's positions alone are timed. "Fewer" are systems in which a solver finds fewer images
than ours above 1e-3; the tests look at each on a fine grid. The last figures are the time of Einstein radii and of
distances from both caustics.
"""

from __future__ import annotations

import time

import numpy as np
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver

from deepbench.lensing.critical_curves import measure_caustics
from deepbench.lensing.deflector import DEFLECTOR_ROW, EXTERNAL
from deepbench.lensing.lens_equation import find_images

ROUNDS, SYSTEMS, NUMERICAL = 7, 200, 4
GRID = {"solver": "lenstronomy", "min_distance": 0.05, "search_window": 8}
LENS = LensModel(["EPL", "SHEAR"])
SOLVER = LensEquationSolver(LENS)


def draw_systems(slopes, rng):
    """Return offsets, rows, sources and owners of systems."""
    rows = np.zeros((SYSTEMS, 2), DEFLECTOR_ROW)
    rows["angle"] = rng.uniform(0, np.pi, (SYSTEMS, 2))
    rows["strength"][:, 0] = rng.uniform(0.7, 1.6, SYSTEMS)
    rows["strength"][:, 1] = rng.uniform(0, 0.15, SYSTEMS)
    rows["axis_ratio"][:, 0] = rng.uniform(0.35, 1, SYSTEMS)
    rows["slope"][:, 0] = rng.uniform(*slopes, SYSTEMS)
    rows["family"][:, 1] = EXTERNAL
    r, angle = 0.6 * np.sqrt(rng.uniform(0, 1, SYSTEMS)), rng.uniform(0, 2 * np.pi, SYSTEMS)
    sources = np.stack([r * np.cos(angle), r * np.sin(angle)], 1)
    return 2 * np.arange(SYSTEMS + 1), rows.ravel(), sources, np.arange(SYSTEMS)


def peers_arguments(main, shear):
    """Return what lenstronomy calls a power law with shear."""
    flattening = (1 - main["axis_ratio"]) / (1 + main["axis_ratio"])
    c, s = np.cos(2 * main["angle"]), np.sin(2 * main["angle"])
    return [
        {"theta_E": main["strength"], "gamma": main["slope"], "e1": flattening * c,
         "e2": flattening * s, "center_x": 0, "center_y": 0},
        {"gamma1": shear["strength"] * np.cos(2 * shear["angle"]),
         "gamma2": shear["strength"] * np.sin(2 * shear["angle"])},
    ]  # fmt: skip


def solve(arguments, sources, **options):
    """Return the places of lenstronomy's images of each system."""
    with np.errstate(invalid="ignore"):
        return [
            SOLVER.image_position_from_source(*source, own, **options)
            for own, source in zip(arguments, sources, strict=True)
        ]


def count_fewer(found, arguments, counts):
    """Return in how many systems lenstronomy finds fewer images than ours with |μ| ≥ 1e-3."""
    bright = [
        np.count_nonzero(np.abs(LENS.magnification(x, y, own)) >= 1e-3)
        for (x, y), own in zip(found, arguments, strict=True)
    ]
    return int((np.array(bright) < counts[: len(bright)]).sum())


def alternating(*works):
    """Return the median microseconds of each function for each of its systems."""
    times = [[] for _ in works]
    for function, _ in works:
        function()
    for _ in range(ROUNDS):
        for (function, count), found in zip(works, times, strict=True):
            start = time.process_time()
            function()
            found.append((time.process_time() - start) / count)
    return [1e6 * float(np.median(found)) for found in times]


def main():
    """Print the table."""
    rng = np.random.default_rng(1)
    for name, slopes in (("isothermal", (2, 2)), ("slope 1.5 to 2.5", (1.5, 2.5))):
        systems = draw_systems(slopes, rng)
        rows, sources = systems[1].reshape(-1, 2), systems[2]
        arguments = [peers_arguments(*own) for own in rows]
        works = (
            (lambda s=systems: find_images(*s), SYSTEMS),
            (lambda a=arguments, s=sources: solve(a, s, solver="analytical"), SYSTEMS),
            (lambda a=arguments, s=sources: solve(a[:NUMERICAL], s[:NUMERICAL], **GRID), NUMERICAL),
            (lambda s=systems: measure_caustics(*s), SYSTEMS),
        )
        ours, analytical, numerical, caustics = alternating(*works)
        counts = np.diff(find_images(*systems).offsets)
        fewer = [
            count_fewer(solve(arguments, sources, solver="analytical"), arguments, counts),
            count_fewer(solve(arguments, sources, **GRID), arguments, counts),
        ]
        print(
            f"{name}: ours {ours:.1f} µs; analytical {analytical:.0f} µs, ratio "
            f"{analytical / ours:.1f}, fewer in {fewer[0]}; numerical {numerical:.0f} µs, ratio "
            f"{numerical / ours:.0f}, fewer in {fewer[1]} of {SYSTEMS}; caustics {caustics:.0f} µs"
        )


if __name__ == "__main__":
    main()
