"""The cost of the recipes of ``workflows/``, and the score of trivial statistics: the rows of ``docs/benchmarks.md``.

python benchmarks/ready.py shapes star_galaxy        # without names: all of them, one after another

For each table: samples, size of the release, CPU-seconds of the build (kernels compiled before), and the balanced
accuracy of "all statistics together" of ``deepbench audit`` in each test split beside chance. Releases are made in a
temporary folder (``--folder`` names where it lies), and removed when they are measured.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import deepbench
from deepbench.probing.audit import TOGETHER
from deepbench.release import Release
from deepbench.words import bytes_text

WORKFLOWS = Path(__file__).parent.parent / "workflows"


def run(command: str, *arguments: str | Path) -> float:
    """Run a command of DeepBench and return its CPU-seconds, those of its workers among them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-c", "from pipeline.cli import main; main()", command, *arguments]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def baseline(release: Release, table: str) -> str:
    """Return the score of trivial statistics in each test split, beside chance; a dash where there is one class."""
    for telling in deepbench.audit(release, table).tellings:
        if telling.name == TOGETHER:
            tests = {split: each for split, each in telling.accuracy.items() if "test" in split}
            scores = (f"{split} {each.value:.2f}" for split, each in tests.items())
            return ", ".join([*scores, f"chance {telling.chance:.2f}"])
    return "–"


def main() -> None:
    """Print one row for each table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="recipes of workflows/; all of them when absent")
    parser.add_argument("--folder", help="folder in which the temporary one is made")
    options = parser.parse_args()
    print("| release | table | samples | size | CPU-s | trivial statistics |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in options.names or sorted(path.stem for path in WORKFLOWS.glob("*.yaml")):
        recipe = WORKFLOWS / f"{name}.yaml"
        run("warm", recipe)
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            seconds = run("build", recipe, "--catalog", folder)
            release = deepbench.find(name, catalog=folder)
            size = bytes_text(release.manifest.size)
            for table, summary in release.manifest.tables.items():
                row = (name, table, f"{summary.samples:,}", size, f"{seconds:.0f}")
                print(f"| {' | '.join(row)} | {baseline(release, table)} |", flush=True)


if __name__ == "__main__":
    main()
