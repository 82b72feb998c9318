"""Exports beside those that users would write themselves: time, size, and memory for a long table.

    python benchmarks/exports.py                      # 32,768 images of shapes.yaml, 512 MiB, built for it
    python benchmarks/exports.py --rows 1000000       # also the memory of exports of a table of so many rows

HDF5: reading the release and writing it with all labels, without reading back, against ``file["image"] = array`` of the
images that are in memory. Parquet: the same against ``Dataset.to_parquet``, of a dataset that is made already, and with
the making of it from arrays. All is forced to the disk. Medians of rounds in alternation, in one process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import deepbench
from deepbench.catalog import find
from deepbench.release import Release
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
import sys
from deepbench.catalog import find
from pipeline.export import export_table

def most():
    with open("/proc/self/status") as file:  # getrusage has that of the process that started this one
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

release = find("long", sys.argv[2], sys.argv[1])
before = most()
export_table(release, None, sys.argv[3])
print(before, most())
"""
"""Prints the most memory of a process before and after an export with its check, in KiB; of Linux."""


def seconds(job: Callable[[], Any], path: Path) -> tuple[float, float]:
    """Return the seconds of the processor and of the clock that a job takes; what it wrote is removed."""
    before = time.process_time(), time.perf_counter()
    job()
    taken = time.process_time() - before[0], time.perf_counter() - before[1]
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return taken


def to_disk(path: Path) -> None:
    """Force a file to the disk, as exports do."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def speed(release: Release, folder: Path, rounds: int) -> None:
    """Print times and ratios of the exports and their peers."""
    import datasets
    import h5py

    datasets.disable_progress_bars()
    images = release.open()["images"]["image"].values
    features = datasets.Features({"image": datasets.Array2D(images.shape[1:], "float32")})

    def made() -> datasets.Dataset:
        return datasets.Dataset.from_dict({"image": images}, features=features)

    dataset = made()

    def plainly() -> None:
        with h5py.File(folder / "peer.h5", "w") as file:
            file["image"] = images
        to_disk(folder / "peer.h5")

    def to_parquet() -> None:
        dataset.to_parquet(folder / "peer.parquet")
        to_disk(folder / "peer.parquet")

    def from_arrays() -> None:
        made().to_parquet(folder / "peer.parquet")
        to_disk(folder / "peer.parquet")

    ours = {file: folder / file for file in ("ours.h5", "ours")}
    hdf5 = partial(export_table, release, None, str(ours["ours.h5"]), check=False)
    hub = partial(export_table, release, None, f"{ours['ours']}/", check=False)
    for name, job, path, peer, peer_path in (
        ("HDF5, h5py's plain write", hdf5, ours["ours.h5"], plainly, folder / "peer.h5"),
        ("Parquet, to_parquet", hub, ours["ours"], to_parquet, folder / "peer.parquet"),
        (
            "Parquet, from_dict and to_parquet",
            hub,
            ours["ours"],
            from_arrays,
            folder / "peer.parquet",
        ),
    ):
        pairs = [(seconds(job, path), seconds(peer, peer_path)) for _ in range(rounds)]
        for place, words in enumerate(("of the processor", "of the clock")):
            own, other = (statistics.median(each[side][place] for each in pairs) for side in (0, 1))
            print(f"{name}: {own:.2f} s {words}, peer {other:.2f} s; ratio {own / other:.2f}")
    hub()
    to_parquet()
    size = sum(each.stat().st_size for each in ours["ours"].rglob("*.parquet")) / images.nbytes
    peer_size = (folder / "peer.parquet").stat().st_size / images.nbytes
    print(f"Parquet: {size:.3f} of the raw bytes, with all labels; peer {peer_size:.3f}, without")


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
        if chosen.samples:
            recipe = deepbench.load_recipe(SHAPES).replace(
                {"tables.images.samples": chosen.samples}
            )
            build(recipe, catalog, cluster=options)
            speed(find("shapes", catalog=catalog), folder, chosen.rounds)
        if chosen.rows:
            memory(catalog, folder, chosen.rows, options)


if __name__ == "__main__":
    main()
