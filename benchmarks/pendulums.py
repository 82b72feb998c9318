"""Series of pendulums per CPU-second of one core, rendering only, in alternation with the original DeepBench.

The original has the motion of small angles, x alone, by numpy; and the Hamiltonian pendulum by ``solve_ivp``. Ours
write x and y.

    python3.12 -m venv /tmp/original && /tmp/original/bin/pip install deepbench==0.2.3
    python benchmarks/pendulums.py --original /tmp/original/bin/python
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from pathlib import Path

import deepbench
from deepbench.samples import draw_labels, render_arrays

HERE = Path(__file__).parent

RECIPE = """
name: pendulums
version: 1.0.0
title: Pendulums
seed: 1
tables:
  series:
    kind: dynamics
    samples: 1
    times: {{duration: 10, steps: {steps}}}
    store: [{store}]
    classes:
      swing:
        system: {{{system}: {{length: {{uniform: [0.5, 2]}}, angle: {{uniform: [3, 86]}}, gravity: 9.81{more}}}}}
"""

WORK = {
    "small angles": ("pendulum", ", solution: small_angle", "position", "newtonian", 4096, 2000),
    "exact": ("pendulum", "", "position", "newtonian", 4096, 2000),
    "Hamiltonian": ("hamiltonian_pendulum", "", "q, p, dq_dt, dp_dt", "hamiltonian", 256, 5),
}
"""System, its further fields, what is stored, the peer, and how many series are rendered by us and by the peer."""


def ours(recipe: deepbench.Recipe, count: int) -> float:
    """Return series per CPU-second of rendering: the median of five blocks."""
    rates = []
    for block in range(5):
        labels = draw_labels(recipe.table("series"), block * count, (block + 1) * count)
        begun = time.process_time()
        render_arrays(recipe.table("series"), labels)
        rates.append(count / (time.process_time() - begun))
    return statistics.median(rates)


def original(python: str, kind: str, count: int, steps: int) -> float:
    """Return series per CPU-second of the original DeepBench."""
    command = [python, "-E", str(HERE / "original_pendulums.py"), kind, str(count), str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    return float(done.stdout)


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--original", help="interpreter that has the original DeepBench 0.2.3")
    parser.add_argument("--steps", type=int, default=100, help="times of a series")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for name, (system, more, store, peer, count, of_peer) in WORK.items():
        text = RECIPE.format(steps=options.steps, store=store, system=system, more=more)
        recipe = deepbench.parse_recipe(text)
        ours(recipe, count)  # compiles
        rounds = []
        for _ in range(options.rounds):
            other = None
            if options.original:
                other = original(options.original, peer, of_peer, options.steps)
            rounds.append((ours(recipe, count), other))
        rate = statistics.median(each[0] for each in rounds)
        print(f"{name}: {rate:,.0f} series of {options.steps} times per CPU-second")
        if options.original:
            peers = statistics.median(each[1] for each in rounds)
            ratio = statistics.median(each[0] / each[1] for each in rounds)
            print(
                f"{name}: the original {peers:,.0f}, ratio {ratio:,.0f} "
                f"(median of {options.rounds} alternating rounds)"
            )


if __name__ == "__main__":
    main()
