"""Images per CPU-second of one core: shapes of 64 × 64 with blur and Gaussian noise, rendering only.

Alternates with the original DeepBench when an interpreter that has it is given:

    python3.12 -m venv /tmp/original && /tmp/original/bin/pip install deepbench==0.2.3
    python benchmarks/rendering.py --original /tmp/original/bin/python
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
BATCH, BATCHES = 4096, 5


def ours(recipe: deepbench.Recipe) -> tuple[float, float]:
    """Return images per CPU-second of rendering alone, and of labels and rendering: medians of some batches."""
    rates = []
    for batch in range(BATCHES):
        begun = time.process_time()
        labels = draw_labels(recipe.table("images"), batch * BATCH, (batch + 1) * BATCH)
        drawn = time.process_time()
        render_arrays(recipe.table("images"), labels)
        done = time.process_time()
        rates.append((BATCH / (done - drawn), BATCH / (done - begun)))
    return statistics.median(each[0] for each in rates), statistics.median(
        each[1] for each in rates
    )


def original(python: str, count: int = 300) -> float:
    """Return images per CPU-second of the original DeepBench."""
    command = [python, str(HERE / "original_shapes.py"), str(count)]
    return float(
        subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout
    )


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--original", help="interpreter that has the original DeepBench 0.2.3")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    for name in ("shapes", "all_shapes"):
        recipe = deepbench.load_recipe(HERE.parent / "workflows" / f"{name}.yaml")
        ours(recipe)  # compiles
        rounds = []
        for _ in range(options.rounds):
            peer = original(options.original) if options.original and name == "shapes" else None
            rounds.append((*ours(recipe), peer))
        rendering = statistics.median(each[0] for each in rounds)
        both = statistics.median(each[1] for each in rounds)
        print(
            f"{name}: {rendering:,.0f} images per CPU-second rendered, {both:,.0f} with their labels"
        )
        if rounds[0][2] is not None:
            ratio = statistics.median(each[0] / each[2] for each in rounds)
            peers = statistics.median(each[2] for each in rounds)
            print(
                f"{name}: the original {peers:,.0f}, ratio {ratio:,.0f} (median of {options.rounds} alternating rounds)"
            )


if __name__ == "__main__":
    main()
