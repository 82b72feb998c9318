"""Reading for training: CPU time per sample of `deepbench.reading` and of others, which take turns in one process.

    python benchmarks/loading.py                             # images, light curves and maps, built for it
    python benchmarks/loading.py --tables images --codec none
    python benchmarks/loading.py --forks 1000                # processes forked after their parent has read
    python benchmarks/loading.py --rendered                  # batches of a recipe, and rendering alone

Every reader gives all data variables of the same samples. *HDF5* is a file of contiguous arrays, without compression,
that h5py reads by sorted batches, or one sample after another as most datasets of PyTorch do. *tensorstore* reads the
shards of the release, with one thread where it lets us choose (`pip install tensorstore`). Our shuffled batches come
from windows: 256 chunks in random order, decoded into memory that is used again, samples in random order inside; where
a chunk has one sample, and by all others, random samples are taken. *cached* is our reader on the plain arrays that
`deepbench cache` writes. *Batches* are those of `deepbench.torch` as they are by default, shuffled, with a label, also
of that cache and with `cache="memory"`; their other rows are of our reader. Files are in the page cache. Figures are
medians of rounds, in µs of the process's CPU time per sample.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

import deepbench
from deepbench.catalog import find
from deepbench.reading import TableReader
from deepbench.release import Release
from pipeline.build import build
from pipeline.caches import write_cache
from pipeline.execution.cluster import ClusterOptions

WORKFLOWS = Path(__file__).parent.parent / "workflows"
TABLES = {
    "images": ("shapes.yaml", "images", 32_768),
    "curves": ("light_curves.yaml", "curves", 16_384),
    "maps": ("cmb_like.yaml", "maps", 32),
}
"""Workflow, table and number of samples of each benchmark."""

BATCH = 64
WINDOW = 256
"""Number of chunks in a window."""

ROUND = 100e6
"""Nanoseconds that each job may take in a round, about."""

Batch = dict[str, NDArray]


@dataclass
class Reader:
    """A way to read a table.

    Attributes
    ----------
    take : callable
        Returns samples by their numbers.
    read : callable
        Returns samples from a first one up to a last one.
    shuffled : callable, optional
        Yields batches without end, and what it takes to make them; random samples are taken where it is absent.
    unit : int, optional
        Number of samples of which a round of shuffled batches has one, or several, and no part.
    """

    take: Callable[[NDArray[np.int64]], Batch]
    read: Callable[[int, int], Batch]
    shuffled: Callable[[np.random.Generator, int], Iterator[Batch]] | None = None
    unit: int = 1


def ours(reader: TableReader) -> Reader:
    """Return our reader."""
    length, names = reader.chunk_length, list(reader.variables)

    def windows(random: np.random.Generator, size: int) -> Iterator[Batch]:
        kept: Batch = {}
        while True:
            chunks = random.permutation(reader.samples // length)  # those that are full
            for some in np.array_split(chunks, -(-len(chunks) // WINDOW)):
                rows = (some[:, None] * length + np.arange(length)).ravel()
                if not kept or len(next(iter(kept.values()))) != len(rows):
                    kept = dict.fromkeys(names)
                kept = {each: reader.take(each, rows, out=kept[each]) for each in names}
                order = random.permutation(len(rows))
                for start in range(0, len(rows) - size + 1, size):
                    yield {each: kept[each][order[start : start + size]] for each in names}

    if length == 1:
        return by_reader(reader)
    chunks = reader.samples // length
    unit = chunks // -(-chunks // WINDOW) * length
    return replace(by_reader(reader), shuffled=windows, unit=unit - unit % size_of(reader.samples))


def batches(reader: TableReader, **given: Any) -> Reader:
    """Return the batches of ``deepbench.torch`` by a reader of ours; a round has whole epochs."""
    from deepbench.torch import Batches

    own = Batches(
        reader.release,
        reader.table,
        split=None,
        inputs=list(reader.variables),
        batch_size=size_of(reader.samples),
        **given,
    )
    own.source.reader = reader

    def epochs(random: np.random.Generator, size: int) -> Iterator[Batch]:
        for number in itertools.count():
            own.set_epoch(number)
            yield from own

    return replace(by_reader(reader), shuffled=epochs, unit=len(own) * own.order.batch_size)


def size_of(samples: int) -> int:
    """Return the number of samples of a batch."""
    return min(BATCH, samples // 4)


def by_reader(reader: TableReader) -> Reader:
    """Return a reader of ours without windows."""
    return Reader(
        lambda numbers: {each: reader.take(each, numbers) for each in reader.variables},
        lambda start, stop: {each: reader.read(each, start, stop) for each in reader.variables},
    )


def by_arrays(arrays: dict[str, Any], value: Callable[[Any], NDArray] = np.asarray) -> Reader:
    """Return the reader of arrays that are indexed; ``value`` reads what an index gives."""
    return Reader(
        lambda numbers: {name: value(each[numbers]) for name, each in arrays.items()},
        lambda start, stop: {name: value(each[start:stop]) for name, each in arrays.items()},
    )


def hdf5(reader: TableReader, path: Path) -> tuple[Reader, Reader]:
    """Return the reader of contiguous HDF5, by sorted batches and one sample after another."""
    with h5py.File(path, "w") as file:
        for name in reader.variables:
            file[name] = reader.read(name, 0, reader.samples)
    arrays = dict(h5py.File(path))
    read = by_arrays(arrays).read
    return Reader(
        lambda numbers: {name: each[np.sort(numbers)] for name, each in arrays.items()}, read
    ), Reader(
        lambda numbers: {
            name: np.stack([each[number] for number in np.sort(numbers)])
            for name, each in arrays.items()
        },
        read,
    )


def tensorstore(reader: TableReader) -> Reader:
    """Return the reader of the release by tensorstore."""
    import tensorstore as ts

    one = {"data_copy_concurrency": {"limit": 1}, "file_io_concurrency": {"limit": 1}}
    folder = f"{reader.release.path}/data.zarr/{reader.table}"
    files = {name: {"driver": "file", "path": f"{folder}/{name}/"} for name in reader.variables}
    arrays = {
        name: ts.open({"driver": "zarr3", "kvstore": each, "context": one}, read=True).result()
        for name, each in files.items()
    }
    return by_arrays(arrays, lambda found: found.read().result())


def readers_of(reader: TableReader, folder: Path) -> dict[str, Reader]:
    """Return all readers of a table by their names."""
    sorted_, singly = hdf5(reader, folder / f"{reader.release.name}.h5")
    write_cache(reader.release, reader.table)
    found = {
        "ours": ours(reader),
        "Batches": batches(reader),
        "cached": by_reader(TableReader(reader.release, reader.table)),
        "Batches, cached": batches(TableReader(reader.release, reader.table)),
        "Batches, in memory": batches(reader, cache="memory"),
        "HDF5": sorted_,
        "HDF5 singly": singly,
    }
    try:
        found["tensorstore"] = tensorstore(reader)
    except ImportError:
        print("tensorstore is not installed, and is left out: pip install tensorstore\n")
    node = reader.release.open()[reader.table]
    arrays = {name: node[name] for name in reader.variables}
    found["deepbench.open"] = by_arrays(arrays, lambda found: found.values)
    return found


# patterns of access: each yields the number of samples that it has read, without end


def shuffled(reader: Reader, samples: int, random: np.random.Generator) -> Iterator[int]:
    """Read batches in random order as a loader does."""
    if reader.shuffled is None:
        yield from scattered(reader, samples, random)
    else:
        size = size_of(samples)
        for _ in reader.shuffled(random, size):
            yield size


def scattered(reader: Reader, samples: int, random: np.random.Generator) -> Iterator[int]:
    """Read batches of random samples."""
    size = size_of(samples)
    while True:
        reader.take(random.choice(samples, size, replace=False))
        yield size


def sequential(reader: Reader, samples: int, random: np.random.Generator) -> Iterator[int]:
    """Read batches that follow one another."""
    size = size_of(samples)
    while True:
        for start in range(0, samples - size + 1, size):
            reader.read(start, start + size)
            yield size


def single(reader: Reader, samples: int, random: np.random.Generator) -> Iterator[int]:
    """Read single random samples."""
    while True:
        index = int(random.integers(samples))
        reader.read(index, index + 1)
        yield 1


PATTERNS = {
    "shuffled batches": shuffled,
    "random batches": scattered,
    "batches in a row": sequential,
    "one random sample": single,
}


def measure(
    readers: dict[str, Reader], pattern: Any, samples: int, rounds: int
) -> dict[str, list[float]]:
    """Return the µs per sample of each reader in each round; one before the first warms caches."""
    jobs = {
        name: pattern(each, samples, np.random.default_rng(1)) for name, each in readers.items()
    }
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name in sorted(jobs, reverse=bool(number % 2)):
            unit = readers[name].unit if pattern is shuffled else 1
            begun, elapsed, count = time.process_time_ns(), 0, 0
            while elapsed < ROUND or count % unit:
                count += next(jobs[name])
                elapsed = time.process_time_ns() - begun
            if number:
                spent[name].append(elapsed / count / 1e3)
    return spent


def show(reader: TableReader, readers: dict[str, Reader], rounds: int) -> None:
    """Print medians of all rounds, and of the ratios of ours to the others in each round."""
    numbers = np.sort(np.random.default_rng(2).choice(reader.samples, 8, replace=False))
    expected, *others = (each.take(numbers) for each in readers.values())
    for other in others:
        for name, values in other.items():
            if values.tobytes() != expected[name].tobytes():
                raise SystemExit(f"readers differ in {name}")
    size = sum(each.nbytes for each in expected.values()) // len(numbers)
    names = list(readers)
    print(
        f"{reader.release}, {reader.samples:,} samples of {size:,} bytes, batches of 64, or fewer\n"
    )
    print(f"| | {' | '.join(names)} | ours / {' | ours / '.join(names[1:])} |")
    print("|---" * (2 * len(names)) + "|")
    for words, pattern in PATTERNS.items():
        found = measure(readers, pattern, reader.samples, rounds)
        cells = [f"{statistics.median(found[name]):.1f}" for name in names]
        for name in names[1:]:
            pairs = zip(found["ours"], found[name], strict=True)
            cells.append(f"{statistics.median(own / other for own, other in pairs):.2f}")
        print(f"| {words} | {' | '.join(cells)} |", flush=True)
    print()


def rendered(workflow: str, rounds: int) -> None:
    """Print the µs per sample of batches of a recipe, and of drawing and rendering blocks of as many samples alone."""
    from deepbench.samples import draw_labels, render_arrays
    from deepbench.torch import Batches

    recipe = deepbench.load_recipe(WORKFLOWS / workflow)
    table = recipe.table(next(iter(recipe.tables)))
    loader = Batches(recipe, table.name, samples=None, split=None)

    def blocks() -> Iterator[int]:
        size = loader.order.window
        for start in itertools.count(0, size):
            render_arrays(table, draw_labels(table, start, start + size))
            yield size

    jobs = {"Batches": (len(each["id"]) for each in loader), "rendering": blocks()}
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name in sorted(jobs, reverse=bool(number % 2)):
            begun, count = time.process_time_ns(), 0
            while count < 8 * loader.order.window:
                count += next(jobs[name])
            if number:
                spent[name].append((time.process_time_ns() - begun) / count / 1e3)
    own, alone = (statistics.median(spent[name]) for name in jobs)
    ratio = statistics.median(a / b for a, b in zip(*spent.values(), strict=True))
    print(f"| {recipe.name} | {own:.1f} | {alone:.1f} | {ratio:.2f} |", flush=True)


def fork(reader: TableReader, count: int) -> None:
    """Fork processes that read, one after another, after this one has read; print what came of them."""
    names, random = list(reader.variables), np.random.default_rng(3)
    for name in names:
        reader.read(name, 0, reader.samples)
    failed, begun = 0, time.monotonic()
    for _ in range(count):
        numbers = random.integers(0, reader.samples, 4)
        expected = [reader.take(name, numbers).tobytes() for name in names]
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                found = [reader.take(name, numbers).tobytes() for name in names]
                os._exit(0 if found == expected else 1)
            os._exit(2)
        failed += os.waitpid(child, 0)[1] != 0
    seconds = time.monotonic() - begun
    print(f"{reader.release}: {count:,} forks have ended, {failed} of them failed; {seconds:.1f} s")


def release_of(
    name: str, catalog: str, samples: int | None, storage: dict[str, Any]
) -> tuple[Release, str]:
    """Return the release of a benchmark and its table; it is built where the catalog does not have it."""
    workflow, table, count = TABLES[name]
    change = {f"tables.{table}.samples": samples or count, "storage": storage}
    recipe = deepbench.load_recipe(WORKFLOWS / workflow).replace(change)
    build(recipe, catalog, cluster=ClusterOptions(workers=1))
    return find(recipe.name, catalog=catalog), table


def main() -> None:
    """Print a table for each kind of data."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--samples", type=int, help="of each table, instead of as many as usual")
    parser.add_argument("--codec", choices=("lz4", "none"), default="lz4")
    parser.add_argument("--chunk-bytes", type=int, default=2**18)
    parser.add_argument("--readers", nargs="+", help="only these, ours first")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--forks", type=int, default=0)
    parser.add_argument("--rendered", action="store_true")
    parser.add_argument("--catalog", help="where releases are built, and kept")
    chosen = parser.parse_args()
    if chosen.rendered:
        print("| | Batches | rendering | Batches / rendering |\n|---|---|---|---|")
        for workflow in ("shapes.yaml", "stars.yaml", "light_curves.yaml"):
            rendered(workflow, chosen.rounds)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.tables:
            catalog = chosen.catalog or folder
            storage = {"codec": chosen.codec, "chunk_bytes": chosen.chunk_bytes}
            release, table = release_of(name, catalog, chosen.samples, storage)
            reader = TableReader(release, table, cached=False)
            if chosen.forks:
                fork(reader, chosen.forks)
            else:
                readers = readers_of(reader, Path(folder))
                show(
                    reader,
                    {each: readers[each] for each in chosen.readers or readers},
                    chosen.rounds,
                )


if __name__ == "__main__":
    main()
