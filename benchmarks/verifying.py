"""The cost of trust: the speed of ``verify`` beside plain reading, and publishing of many objects.

python benchmarks/verifying.py                       # 12,000 images, in one process, three rounds in alternation
python benchmarks/verifying.py --publish             # 1e3, 1e4 and 1e5 synthetic objects
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deepbench import format as fmt
from deepbench.catalog import find
from deepbench.recipe import load_recipe, parse_recipe
from deepbench.release import Release
from deepbench.samples import draw_labels
from pipeline import encoding, publish
from pipeline.build import build
from pipeline.files import prepare
from pipeline.parquet import digest_array
from pipeline.parts import part_table
from pipeline.plan import make_plan
from pipeline.staging import Receipt, Staging
from pipeline.target import Hold, target_of
from pipeline.verify import verify

WORKFLOWS = Path(__file__).parent.parent / "workflows"

MANY = """
name: many
version: 1.0.0
title: One image per shard
seed: 1
tables:
  images:
    kind: image
    samples: 1000
    size: [32, 32]
    classes: {circle: {objects: [{circle: {x: {uniform: [2, 30]}, y: {uniform: [2, 30]}, radius: {uniform: [1, 6]}}}]}}
storage: {shard_bytes: 4096, chunk_bytes: 4096}
"""


def read_all(release: Release) -> int:
    """Read every array of a release with xarray, as a user would; return the bytes."""
    tree = release.open()
    return sum(
        variable.load().nbytes
        for node in tree.children.values()
        for variable in node.data_vars.values()
    )


def speed(samples: int, rounds: int) -> None:
    """Print MB per CPU-second of verify, with and without rendering again, and of plain reading."""
    with tempfile.TemporaryDirectory(dir=".") as catalog:
        recipe = load_recipe(WORKFLOWS / "shapes.yaml").replace({"tables.images.samples": samples})
        build(recipe, catalog)
        release = find(recipe.name, catalog=catalog)
        jobs = {
            "plain reading": lambda: read_all(release),
            "verify": lambda: verify(release),
            "verify --rerender 0.1": lambda: verify(release, rerender=0.1),
        }
        spent: dict[str, list[float]] = {name: [] for name in jobs}
        with encoding.single_threaded():
            for job in jobs.values():
                job()
            for _ in range(rounds):
                for name, job in jobs.items():
                    begun = time.process_time()
                    job()
                    spent[name].append(time.process_time() - begun)
        size = read_all(release) / 1e6
        plain = statistics.median(spent["plain reading"])
        for name, seconds in spent.items():
            median = statistics.median(seconds)
            print(
                f"{name}: {size / median:,.0f} MB per CPU-second, {plain / median:.2f} of plain reading"
            )


def publish_objects(count: int) -> None:
    """Print time and peak memory of publishing so many shards, which hold nothing."""
    with tempfile.TemporaryDirectory(dir=".") as catalog:
        recipe = parse_recipe(MANY).replace({"tables.images.samples": count})
        staging = Staging.of(target_of(catalog), recipe)
        prepare(staging, recipe)
        table = recipe.table("images")
        digests = {"digest.image": digest_array([b"0" * 16])}
        for block in (plan := make_plan(recipe)):
            name = f"{fmt.DATA}/images/image/c/{block.start}/0/0"
            staging.release.write(name, b"nothing", sync=False)
            shard = fmt.StoredObject(name, 7, "0" * 64)
            labels = draw_labels(table, block.start, block.stop)
            receipt = Receipt(block, table.hash, fmt.RENDER_VERSION, (shard,))
            staging.write_part(receipt, part_table(table, labels, digests))
        before = resource.getrusage(resource.RUSAGE_SELF)
        begun = time.perf_counter()
        publish.publish(staging, recipe, plan, Hold(lambda: None), lambda *_: None)
        seconds = time.perf_counter() - begun
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"{count:,} shards: published in {seconds:.1f} s ({cpu:.1f} s of CPU), peak memory "
            f"{after.ru_maxrss / 1024:.0f} MiB ({before.ru_maxrss / 1024:.0f} before)"
        )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--publish", action="store_true", help="time and memory of publishing")
    parser.add_argument("--objects", type=int, help="of one number of objects, in this process")
    chosen = parser.parse_args()
    if chosen.objects:
        publish_objects(chosen.objects)
    elif chosen.publish:
        for count in (1_000, 10_000, 100_000):
            subprocess.run([sys.executable, __file__, "--objects", str(count)], check=True)
    else:
        speed(chosen.samples, chosen.rounds)


if __name__ == "__main__":
    main()
