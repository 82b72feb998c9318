"""Which check of `deepbench verify` finds which damage: every corruption on every kind of file of a small release.

python benchmarks/corruption.py             # prints a table; exit code 1 when something is missed
python benchmarks/corruption.py --flips 100 # so many flipped bits in each file
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deepbench import format as fmt
from deepbench import load_recipe
from deepbench.catalog import find
from pipeline import encoding
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions
from pipeline.verify import Report, verify

RADII = "radius\n1.5\n2.5\n3.25\n"

RECIPE = """\
name: tiny
version: 1.0.0
title: One of each kind of file
seed: 11
tables:
  images:
    kind: image
    samples: 50
    size: [8, 12]
    variables: {row: {catalog: {file: radii.csv}}}
    classes:
      circle: {objects: [{circle: {x: {uniform: [3, 9]}, y: {uniform: [2, 6]}, radius: "= row.radius"}}]}
      crowd:
        objects:
          - rectangle: {x: {uniform: [3, 9]}, y: {uniform: [2, 6]}, width: 3, height: {uniform: [1, 4]}}
            repeat: {integers: [1, 3]}
    noise: [{gaussian: {sigma: 0.05}}]
storage: {chunk_bytes: 1536, shard_bytes: 6144}
"""
"""16 images to a shard, four to a chunk."""

ZARR = f"{fmt.DATA}/images"
ROWS = f"{fmt.METADATA}/images"
CATALOGUE = f"{fmt.INPUTS}/{hashlib.sha256(RADII.encode()).hexdigest()[:12]}.csv"

KINDS = {
    "shard": f"{ZARR}/image/c/1/0/0",
    "label chunk": f"{ZARR}/circle.x/c/0",
    "coordinate chunk": f"{ZARR}/x/c/0",
    "`zarr.json` of the root": f"{fmt.DATA}/zarr.json",
    "`zarr.json` of a group": f"{ZARR}/zarr.json",
    "`zarr.json` of an array": f"{ZARR}/image/zarr.json",
    "Parquet of samples": f"{ROWS}.parquet",
    "Parquet of objects": f"{ROWS}.objects.parquet",
    "CSV": f"{ROWS}.csv",
    "statistics": fmt.statistics_file("images"),
    "`recipe.yaml`": fmt.RECIPE,
    "catalogue": CATALOGUE,
    "`README.md`": fmt.CARD,
    "`manifest.json`": fmt.MANIFEST,
}
"""A file of each kind."""

SIBLINGS = {
    "shard": f"{ZARR}/image/c/2/0/0",
    "label chunk": f"{ZARR}/circle.y/c/0",
    "coordinate chunk": f"{ZARR}/y/c/0",
    "`zarr.json` of the root": f"{ZARR}/zarr.json",
    "`zarr.json` of a group": f"{ZARR}/x/zarr.json",
    "`zarr.json` of an array": f"{ZARR}/id/zarr.json",
    "Parquet of samples": f"{ROWS}.objects.parquet",
    "Parquet of objects": f"{ROWS}.parquet",
    "CSV": CATALOGUE,
    "statistics": f"{ROWS}.csv",
    "`recipe.yaml`": fmt.CARD,
    "catalogue": f"{ROWS}.csv",
    "`README.md`": fmt.RECIPE,
    "`manifest.json`": fmt.RECIPE,
}
"""The file that each is swapped with."""


def make_release(folder: Path, cluster: ClusterOptions | None = None) -> Path:
    """Build the release in a folder; return its catalog."""
    (folder / "radii.csv").write_text(RADII)
    (folder / "tiny.yaml").write_text(RECIPE)
    catalog = folder / "releases"
    build(load_recipe(folder / "tiny.yaml"), str(catalog), cluster=cluster or ClusterOptions(1))
    return catalog


# what the disk, or somebody who does not know the format, does to a file


def overwrite(path: Path, content: bytes) -> None:
    """Put other bytes where a file is; files of releases are read-only."""
    path.chmod(0o644)
    path.write_bytes(content)


def flip(path: Path, bit: int) -> None:
    """Flip a bit."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    overwrite(path, content)


def bits_of(path: Path, number: int) -> Iterator[int]:
    """Yield bits to flip: one of the first byte, one of the last, and others anywhere."""
    size = path.stat().st_size
    chosen = random.Random(path.as_posix().rpartition("/1.0.0/")[2])
    yield chosen.randrange(8)
    yield 8 * size - 1 - chosen.randrange(8)
    for _ in range(number - 2):
        yield chosen.randrange(8 * size)


def zero(path: Path) -> None:
    """Zero 64 bytes in the middle, or all where there are fewer."""
    content = path.read_bytes()
    start = max(0, len(content) // 2 - 32)
    zeros = bytes(min(64, len(content)))
    overwrite(path, content[:start] + zeros + content[start + len(zeros) :])


def shorten(path: Path, size: Callable[[int], int]) -> None:
    """Cut a file."""
    content = path.read_bytes()
    overwrite(path, content[: size(len(content))])


def link(path: Path) -> None:
    """Put a link to the same bytes elsewhere in place of a file."""
    elsewhere = Path(str(path).partition("/releases/")[0], "elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def swap(path: Path, other: Path) -> None:
    """Swap two files."""
    one, two = path.read_bytes(), other.read_bytes()
    overwrite(path, two)
    overwrite(other, one)


CORRUPTIONS: dict[str, Callable[[Path, Path], object]] = {
    "zeroed block": lambda path, _: zero(path),
    "one byte less": lambda path, _: shorten(path, lambda size: size - 1),
    "half": lambda path, _: shorten(path, lambda size: size // 2),
    "empty": lambda path, _: shorten(path, lambda size: 0),
    "deleted": lambda path, _: path.unlink(),
    "bytes added": lambda path, _: overwrite(path, path.read_bytes() + b"\0more"),
    "link": lambda path, _: link(path),
    "swapped": swap,
}


# what somebody does who knows the format: the file is whole, and the manifest says what it is


def sign(release: Path, *names: str) -> None:
    """Let the manifest say size and SHA-256 of files as they are."""
    data = json.loads((release / fmt.MANIFEST).read_bytes())
    for each in data["objects"]:
        if each["path"] in names:
            content = (release / each["path"]).read_bytes()
            each |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_manifest(release, lambda _: data)


def edit_manifest(release: Path, change: Callable[[dict], dict | None]) -> None:
    """Change a manifest, and sign it."""
    data = json.loads((release / fmt.MANIFEST).read_bytes())
    data = change(data) or data
    data.pop("checksum", None)
    overwrite(release / fmt.MANIFEST, fmt.signed(data).encode())


def edit_array(release: Path, array: str, change: Callable[[np.ndarray], object]) -> None:
    """Change values of an array of the Zarr store, and write its chunks or shards again."""
    location = find("tiny", catalog=release.parents[1]).location
    contents = {
        name.removeprefix(f"{fmt.DATA}/"): location.read(name) for name in location.files(fmt.DATA)
    }
    length = json.loads(contents[f"{array}/zarr.json"])["shape"][0]
    edge = json.loads(contents[f"{array}/zarr.json"])["chunk_grid"]["configuration"]["chunk_shape"][
        0
    ]
    with encoding.single_threaded():
        values = encoding.decode(contents, array, contents, 0, length).copy()
        change(values)
        for start in range(0, length, edge):
            some = values[start : start + edge]
            for key, content in encoding.encode(contents, array, start, some):
                overwrite(release / fmt.DATA / key, bytes(content))
    sign(release, *(f"{fmt.DATA}/{key}" for key in contents if key.startswith(f"{array}/c/")))


def edit_parquet(release: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(change(pq.ParquetFile(release / name).read()), buffer, compression="zstd")
    overwrite(release / name, buffer.getvalue())
    sign(release, name)


def edit_text(release: Path, name: str, old: str, new: str) -> None:
    """Change a word of a text."""
    text = (release / name).read_text()
    if old not in text:
        raise ValueError(f"{name} does not hold {old!r}")
    overwrite(release / name, text.replace(old, new, 1).encode())
    sign(release, name)


def _first(column: str, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[0] = value
        number = table.schema.get_field_index(column)
        field = table.schema.field(column)
        return table.set_column(number, field, pa.array(values, field.type))

    return change


def _put(index: int, value: float) -> Callable[[np.ndarray], None]:
    return lambda values: values.__setitem__(index, value)


def _count(data: dict) -> None:
    data["tables"]["images"]["classes"]["circle"] += 1


EDITS: dict[str, Callable[[Path], None]] = {
    "shard": lambda at: edit_array(at, "images/image", _put(17, 0.5)),
    "label chunk": lambda at: edit_array(at, "images/circle.x", _put(3, 4.0)),
    "coordinate chunk": lambda at: edit_array(at, "images/x", _put(3, 4)),
    "`zarr.json` of the root": lambda at: edit_text(
        at, f"{fmt.DATA}/zarr.json", "One of", "Two of"
    ),
    "`zarr.json` of a group": lambda at: edit_text(at, f"{ZARR}/zarr.json", '"image"', '"chart"'),
    "`zarr.json` of an array": lambda at: edit_text(
        at, f"{ZARR}/image/zarr.json", "float32", "int32"
    ),
    "Parquet of samples": lambda at: edit_parquet(
        at, f"{ROWS}.parquet", _first("variables.row.radius", 9.0)
    ),
    "Parquet of objects": lambda at: edit_parquet(
        at, f"{ROWS}.objects.parquet", _first("width", 99.0)
    ),
    "CSV": lambda at: edit_text(at, f"{ROWS}.csv", "\n0,", "\n1,"),
    "statistics": lambda at: edit_text(at, fmt.statistics_file("images"), '"mean": 0', '"mean": 1'),
    "`recipe.yaml`": lambda at: edit_text(at, fmt.RECIPE, "seed: 11", "seed: 12"),
    "catalogue": lambda at: edit_text(at, CATALOGUE, "3.25", "3.50"),
    "`manifest.json`": lambda at: edit_manifest(at, _count),
}
"""The data card is left out: it is words for people, and what has become of it is a note."""


def examine(
    catalog: Path, damage: Callable[..., object], *names: str, rerender: float = 0.0
) -> Report:
    """Damage files of a copy of the release, or its folder; return what is found."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "releases")
        shutil.copytree(catalog, copy)
        release = find("tiny", catalog=copy)
        damage(*(Path(release.path, name) for name in names or ("",)))
        return verify(release, rerender=rerender)


def found(report: Report, *names: str) -> str:
    """Return which checks name all of some files; any check where no file is given."""
    missed = set(names) - {each.file for each in report.findings}
    checks = {each.check for each in report.findings if not names or each.file in names}
    return "**missed**" if missed or not checks else ", ".join(sorted(checks))


def rows(catalog: Path, flips: int) -> Iterator[list[str]]:
    """Yield the rows of the table: a kind of file, and for each corruption what found it."""
    for kind, name in KINDS.items():
        bits = bits_of(catalog / "tiny" / "1.0.0" / name, flips)
        cells = {found(examine(catalog, partial(flip, bit=bit), name), name) for bit in bits}
        row = [kind, " or ".join(sorted(cells))]
        row += [
            found(examine(catalog, damage, name, SIBLINGS[kind]), name)
            for damage in CORRUPTIONS.values()
        ]
        edit = EDITS.get(kind)
        row.append("—" if edit is None else found(examine(catalog, edit, rerender=0.1)))
        yield row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flips", type=int, default=10)
    options = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        catalog = make_release(Path(folder))
        header = ["", "bit flip", *CORRUPTIONS, "edited, signed, `--rerender 0.1`"]
        print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
        for row in rows(catalog, options.flips):
            print(f"| {' | '.join(row)} |", flush=True)
            missed += sum("missed" in cell for cell in row)
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
