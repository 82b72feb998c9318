"""Two revisions side by side: CPU time of rendering, labels and reading, in alternation, and whether the bits agree.

    python benchmarks/compare.py main .                 # a branch, a tag or a commit; "." is the folder as it is now
    python benchmarks/compare.py v0.1.0 HEAD --only shapes stars

Both render the workflows of the first revision, by what users import. An alternation starts a process of each revision,
which take turns, batch by batch; its ratio is the median over the batches of the first revision's time over the
second's. Above 1 the second is faster. Printed are the median of the alternations and their quartiles.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]

RENDERING = {
    "shapes": ("shapes.yaml", "images", 4096),
    "stars": ("stars.yaml", "images", 1024),
    "galaxies": ("galaxies.yaml", "images", 32),
    "transits": ("transits.yaml", "curves", 128),
    "pendulums": ("pendulums.yaml", "series", 4096),
}
"""Workflow, table, and samples in a batch, of what is rendered with its labels."""

LABELS = ("stars.yaml", "images", 4096)
"""Workflow, table, and samples in a batch, of the labels."""

RELEASE = Path("tests", "releases", "kinds", "1.0.0")
"""Folder of the release that is read."""

WARM = 2
"""Batches that are not counted: the heap of a process grows in them."""

NAMES = (*RENDERING, "labels", "recipes", "reading")


def make_benchmarks(folder: Path) -> dict[str, Callable[[int], Any]]:
    """Return the benchmarks: functions of the number of a batch, which return what they have made."""
    import deepbench

    workflows = folder / "workflows"

    def render(workflow: str, table: str, size: int) -> Callable[[int], Any]:
        recipe = deepbench.load_recipe(workflows / workflow)
        return lambda batch: deepbench.render(recipe, table, batch * size, (batch + 1) * size)

    def read_recipes(batch: int) -> list[str]:
        return [deepbench.load_recipe(path).hash for path in sorted(workflows.glob("*.yaml"))]

    def draw_labels(batch: int) -> Any:
        _, table, size = LABELS
        return deepbench.labels(recipe, table, batch * size, (batch + 1) * size)

    def read_release(batch: int) -> list[Any]:
        catalog = str(folder / RELEASE.parents[1])
        tree = deepbench.open(RELEASE.parent.name, version=RELEASE.name, catalog=catalog)
        return [node.to_dataset().load() for node in tree.leaves]

    recipe = deepbench.load_recipe(workflows / LABELS[0])
    found: dict[str, Callable[[int], Any]] = {
        name: render(*work) for name, work in RENDERING.items()
    }
    return found | {"labels": draw_labels, "recipes": read_recipes, "reading": read_release}


def digest(made: Any) -> str:
    """Return a hash of the values of datasets and frames, and of what else a benchmark returns."""
    if isinstance(made, list):
        return hashlib.sha256("".join(map(digest, made)).encode()).hexdigest()
    if isinstance(made, str):
        return made
    arrays = {str(name): made[name].to_numpy() for name in (*getattr(made, "coords", ()), *made)}
    found = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        found.update(f"{name} {values.dtype.str} {values.shape}".encode())
        found.update(repr(values.tolist()).encode() if values.dtype == object else values.tobytes())
    return found.hexdigest()


def serve(folder: Path) -> None:
    """Answer each line of JSON (a benchmark's name and a batch) with CPU seconds and, for batch 0, the values' hash."""
    benchmarks = make_benchmarks(folder)
    for line in sys.stdin:
        name, batch = json.loads(line)
        begun = time.process_time()
        made = benchmarks[name](batch)
        seconds = time.process_time() - begun
        print(json.dumps([seconds, digest(made) if batch == 0 else None]), flush=True)


class Revision:
    """A process that runs the benchmarks of one revision."""

    def __init__(self, sources: Path, recipes: Path) -> None:
        command = [sys.executable, "-P", __file__, "--serve", str(recipes)]
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "NUMBA", "BLOSC")}
        self.process = subprocess.Popen(
            command,
            env=os.environ | threads | {"PYTHONPATH": str(sources)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str, batch: int) -> tuple[float, str | None]:
        """Return CPU seconds of a batch, and the hash of its values."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, batch]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} ended")
        seconds, found = json.loads(line)
        return seconds, found

    def end(self) -> None:
        """End the process."""
        self.process.communicate()


@contextlib.contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """Yield a folder with the sources of a revision; ``.`` is the repository as it is now."""
    if revision == ".":
        yield REPOSITORY
        return
    git = ["git", "-C", str(REPOSITORY), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), revision], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def alternate(
    sources: tuple[Path, Path], names: list[str], batches: int, swapped: bool
) -> dict[str, tuple[list[tuple[float, ...]], bool]]:
    """Return, of each benchmark, the seconds of both revisions batch by batch, and whether their bits agree."""
    pair = [Revision(each, sources[0]) for each in sources]
    found = {}
    for name in names:
        first = [each.run(name, 0) for each in pair]  # loads kernels, and fills what is cached
        for batch in range(WARM):
            for each in pair:
                each.run(name, batch)
        seconds = []
        for batch in range(1, batches + 1):
            turn = (0, 1) if (batch % 2 == 0) == swapped else (1, 0)
            took = {which: pair[which].run(name, batch)[0] for which in turn}
            seconds.append((took[0], took[1]))
        found[name] = (seconds, first[0][1] == first[1][1])
    for each in pair:
        each.end()
    return found


def compare(revisions: tuple[str, str], names: list[str], alternations: int, batches: int) -> None:
    """Print a row for each benchmark."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        one, two = (
            stack.enter_context(checked_out(revision, Path(scratch, str(number))))
            for number, revision in enumerate(revisions)
        )
        alternate((one, two), names, 0, False)  # both compile their kernels
        rounds = [
            alternate((one, two), names, batches, number % 2 == 1) for number in range(alternations)
        ]
    print(
        f"{'':10} {'ms, ' + revisions[0]:>16} {'ms, ' + revisions[1]:>16}  ratio  quartiles      bits"
    )
    for name in names:
        seconds = [pair for found in rounds for pair in found[name][0]]
        ratios = [statistics.median(a / b for a, b in found[name][0]) for found in rounds]
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        times = (1000 * statistics.median(each) for each in zip(*seconds, strict=True))
        same = "same" if all(found[name][1] for found in rounds) else "differ"
        print(
            f"{name:10} "
            + " ".join(f"{each:16.1f}" for each in times)
            + f"  {middle:.3f}  {low:.3f}–{high:.3f}    {same}"
        )


def main() -> None:
    """Compare two revisions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revisions", nargs="*", metavar="REVISION", help="two: before and after")
    parser.add_argument("--alternations", type=int, default=9)
    parser.add_argument("--batches", type=int, default=5, help="batches in an alternation")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    if len(options.revisions) != 2:
        parser.error("give two revisions: before and after")
    one, two = options.revisions
    compare((one, two), options.only, options.alternations, options.batches)


if __name__ == "__main__":
    main()
