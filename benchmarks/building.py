"""The whole line: a build on local workers, compressed, checksummed and published, as the command does it.

python benchmarks/building.py                          # 100,000 images of the poster's recipe, three times
python benchmarks/building.py --samples 200000 --rounds 1
python benchmarks/building.py --memory                 # the coordinator's memory for 1e4 and 1e6 planned samples
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORKFLOWS = Path(__file__).parent.parent / "workflows"

SMALL = """
name: small
version: 1.0.0
title: Small images, many blocks
seed: 1
tables:
  images:
    kind: image
    samples: 10000
    size: [16, 16]
    classes: {circle: {objects: [{circle: {x: {uniform: [2, 14]}, y: {uniform: [2, 14]}, radius: {uniform: [1, 6]}}}]}}
    noise: [{gaussian: {sigma: 0.05}}]
storage: {shard_bytes: 4194304}
"""


def build(recipe: Path, samples: int, workers: int) -> dict[str, Any]:
    """Build a release in a process of its own; return what it says, and its peak memory and CPU time."""
    with tempfile.TemporaryDirectory(dir=".") as catalog:
        command = [
            sys.executable, "-c", "from pipeline.cli import main; main()", "build", str(recipe), "--json",
            "--set", f"tables.images.samples={samples}", "--catalog", catalog, "--workers", str(workers),
        ]  # fmt: skip
        before, begun = os.times(), time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(status)
        after = os.times()
        report = json.loads(text)
        report["wall"] = time.perf_counter() - begun
        report["peak"] = usage.ru_maxrss / 1024
        report["cpu"] = sum(after[2:4]) - sum(before[2:4])
    return report


def speed(samples: int, rounds: int, workers: int) -> None:
    """Print images per second, from the first submission to the end of publish, and where the CPU time goes."""
    rates, overheads = [], []
    least = build(WORKFLOWS / "shapes.yaml", 4096 * workers, workers)
    for _ in range(rounds):
        report = build(WORKFLOWS / "shapes.yaml", samples, workers)
        seconds = report["seconds"]
        steps = {
            key.removeprefix("cpu."): value
            for key, value in seconds.items()
            if key.startswith("cpu.")
        }
        rates.append(samples / (seconds["blocks"] + seconds["publish"]))
        work = sum(steps.values())
        overheads.append(1 - (work - sum(_steps(least).values())) / (report["cpu"] - least["cpu"]))
        print(
            f"{samples:,} images: {rates[-1]:,.0f} per second; start {seconds['start']:.1f} s, blocks "
            f"{seconds['blocks']:.1f} s, publish {seconds['publish']:.1f} s, process {report['wall']:.1f} s; "
            f"{report['bytes'] / 1e6:,.0f} MB; CPU {report['cpu']:.1f} s of all processes, {work:.1f} s in blocks: "
            + ", ".join(f"{step} {spent:.2f}" for step, spent in steps.items())
        )
    print(
        f"median {statistics.median(rates):,.0f} images per second; {statistics.median(overheads):.1%} of the CPU time "
        "that grows with the samples is outside the blocks (scheduling, publish); one block per worker takes "
        f"{least['cpu']:.1f} s of CPU, mostly imports"
    )


def _steps(report: dict[str, Any]) -> dict[str, float]:
    """Return the CPU seconds of the steps of the blocks."""
    seconds = report["seconds"]
    return {
        key.removeprefix("cpu."): spent for key, spent in seconds.items() if key.startswith("cpu.")
    }


def memory(workers: int) -> None:
    """Print the coordinator's peak memory for few and many samples."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "small.yaml"
        recipe.write_text(SMALL)
        for samples in (10_000, 1_000_000):
            report = build(recipe, samples, workers)
            print(
                f"{samples:>9,} samples, {report['new_blocks']:>3} blocks: coordinator's peak {report['peak']:.0f} MiB"
            )


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    if options.memory:
        memory(options.workers)
    else:
        speed(options.samples, options.rounds, options.workers)


if __name__ == "__main__":
    main()
