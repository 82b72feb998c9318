"""Exports beside those that users would write themselves: time, size, and memory for a long table.

    python benchmarks/exports.py                      # 32,768 images of shapes.yaml, 512 MiB, built for it
    python benchmarks/exports.py --rows 1000000       # also the memory of exports of a table of so many rows

HDF5: reading the release and writing it with all labels, without reading back, against ``file["image"] = array`` of the
images that are in memory. Hugging Face: the same against ``Dataset.to_parquet`` of a dataset that is made already. CPU
seconds of one process, in alternation, smallest of some rounds.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deepbench
from deepbench.catalog import Release, find
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions
from pipeline.export import export_table

SHAPES = Path(__file__).parent.parent / "workflows" / "shapes.yaml"

LONG = """\
name: long
version: 1.0.0
title: Many rows
seed: 1
tables:
  images:
    kind: image
    samples: {rows}
    size: [4, 4]
    variables: {{place: {{uniform: [1, 3]}}, size: {{uniform: [1, 2]}}}}
    classes: {{dot: {{objects: [{{circle: {{x: "= place", y: 2, radius: "= size"}}}}]}}}}
    psf: {{gaussian: {{sigma: {{uniform: [0.5, 2.0]}}}}}}
"""

EXPORT = """
import resource, sys
from deepbench.catalog import find
from pipeline.export import export_table
release = find("long", sys.argv[2], sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
export_table(release, None, sys.argv[3])
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
"""Prints the most memory of a process before and after an export with its check, in KiB."""


def seconds(job: Callable[[], Any], path: Path) -> float:
    """Return the CPU seconds of a job, and remove what it wrote."""
    before = time.process_time()
    job()
    taken = time.process_time() - before
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return taken


def speed(release: Release, folder: Path, rounds: int) -> None:
    """Print times and ratios of the exports and their peers."""
    import h5py
    from datasets import Array2D, Dataset, Features

    images = release.open()["images"]["image"].values
    features = Features({"image": Array2D(images.shape[1:], "float32")})
    dataset = Dataset.from_generator(
        lambda: ({"image": each} for each in images), features=features, cache_dir=str(folder)
    )

    def plainly() -> None:
        with h5py.File(folder / "peer.h5", "w") as file:
            file["image"] = images

    jobs = {
        "HDF5": (
            (lambda: export_table(release, None, str(folder / "ours.h5"), check=False), "ours.h5"),
            (plainly, "peer.h5"),
        ),
        "Hugging Face": (
            (lambda: export_table(release, None, f"{folder}/ours/", check=False), "ours"),
            (lambda: dataset.to_parquet(folder / "peer.parquet"), "peer.parquet"),
        ),
    }
    for name, pair in jobs.items():
        taken: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for own, (job, file) in zip(taken, pair, strict=True):
                own.append(seconds(job, folder / file))
        ours, peer = map(min, taken)
        print(f"{name}: {ours:.2f} s, peer {peer:.2f} s; {ours / peer:.2f} times the peer's time")
    export_table(release, None, f"{folder}/ours/", check=False)
    size = sum(each.stat().st_size for each in (folder / "ours").rglob("*.parquet"))
    raw = images.nbytes
    print(
        f"Hugging Face: {size / raw:.3f} of the raw bytes, with all labels ({raw / 2**20:.0f} MiB)"
    )


def memory(catalog: str, folder: Path, rows: int, options: ClusterOptions) -> None:
    """Print how much memory exports of a table take, and of one with a tenth of its rows."""
    sizes = {"1.0.0": rows // 10, "1.1.0": rows}
    for version, count in sizes.items():
        recipe = deepbench.parse_recipe(LONG.format(rows=count)).replace({"version": version})
        build(recipe, catalog, cluster=options)
    for file in ("out.h5", "out.nc", "out.npz", "out.fits", "out/"):
        used = []
        for version in sizes:
            command = (sys.executable, "-c", EXPORT, catalog, version, f"{folder}/{version}-{file}")
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            before, after = map(int, done.stdout.split())
            used.append((after - before) / 1024)
        print(f"{file}: {used[0]:.0f} MiB for {rows // 10:,} rows, {used[1]:.0f} MiB for {rows:,}")


def main() -> None:
    """Build what is exported, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=32_768)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0)
    chosen = parser.parse_args()
    options = ClusterOptions(workers=2)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        catalog = str(folder / "releases")
        recipe = deepbench.load_recipe(SHAPES).replace({"tables.images.samples": chosen.samples})
        if chosen.samples:
            build(recipe, catalog, cluster=options)
            speed(find("shapes", catalog=catalog), folder, chosen.rounds)
        if chosen.rows:
            memory(catalog, folder, chosen.rows, options)


if __name__ == "__main__":
    main()
