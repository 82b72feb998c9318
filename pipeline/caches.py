"""Caches of releases: plain arrays for training, beside the catalog and never in a release."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import xxhash

from deepbench.errors import CatalogError
from deepbench.language.plain import absent
from deepbench.reading.caches import (
    DESCRIPTION,
    NUMBERS,
    PLACE,
    description,
    folder_of,
    open_cache,
    place_of,
)
from deepbench.reading.table_reader import TableReader
from pipeline.progress import Progress, silent
from pipeline.target import FolderTarget

if TYPE_CHECKING:
    from deepbench.release import Release
    from deepbench.storage.stored_variable import StoredVariable

PIECE = 2**26
"""Bytes of a variable that are read and written at a time, about."""

UNFINISHED = ".unfinished"
"""Ending of the folder of a cache that is being written."""


def write_cache(
    release: Release, table: str, split: str | None = None, *, progress: Progress = silent
) -> tuple[str, bool]:
    """Write the samples of a table, or of a split of it, as plain arrays that ``TableReader`` then uses.

    Parameters
    ----------
    release : Release
    table : str
    split : str, optional
        All samples when absent.
    progress : callable, optional

    Returns
    -------
    path : str
        Folder of the cache.
    written : bool
        False where it was there already, and its files are what they were when it was written.

    Raises
    ------
    CatalogError
        There is no such table or split, or nothing in it; there is no place for caches; another process writes it.
    ReleaseError
        A file of the release is missing or damaged.
    """
    target = _place(release)
    counts = release.manifest.tables[release.check_table(table)].splits
    if split is not None and not counts.get(split):
        filled = [name for name, count in counts.items() if count]
        what = "split" if split not in counts else "sample of a split"
        raise CatalogError(absent(what, split, filled, f"'{table}' of {release}"))
    reader = TableReader(release, table, cached=False)
    folder = folder_of(release.name, release.version, table, split)
    with target.lock(f"{folder}.lock") as held:
        if held is None:
            raise CatalogError(f"another process writes {target.locate(folder)}; wait for it")
        cache = open_cache(release, table, split, reader.variables)
        if cache is not None and _sums(target, folder, cache.files) == cache.files:
            return target.locate(folder), False
        staged = folder + UNFINISHED
        target.remove(staged)
        try:
            _write(target, staged, reader, split, progress)
            target.sync(staged)
            if target.exists(folder):  # of other data, or damaged
                target.withdraw(folder, DESCRIPTION, f"{folder}.removed")
            target.publish(staged, folder, DESCRIPTION)
        except BaseException:
            target.remove(staged)
            raise
    return target.locate(folder), True


def remove_caches(
    release: Release, table: str | None = None, split: str | None = None
) -> list[str]:
    """Remove the caches of a release, or those of one table, or of one split; return their folders."""
    target, removed = _place(release), []
    tables = release.manifest.tables
    for name in tables if table is None else [release.check_table(table)]:
        for each in (None, *tables[name].splits) if split is None else (split,):
            folder = folder_of(release.name, release.version, name, each)
            for found in filter(target.exists, (folder, folder + UNFINISHED)):
                target.remove(found)
                removed.append(target.locate(found))
    return removed


def _place(release: Release) -> FolderTarget:
    """Return where caches are written.

    Raises
    ------
    CatalogError
        The catalog is in an object store, and no other place is named.
    """
    place = place_of(release)
    if place is None:
        raise CatalogError(
            f"caches are files, and '{release.catalog.root}' is in an object store; name a folder for them: "
            f"{PLACE}=/scratch/caches"
        )
    return FolderTarget(place.root)


def _write(
    target: FolderTarget, folder: str, reader: TableReader, split: str | None, progress: Progress
) -> None:
    """Write the arrays of a cache, and last what it is."""
    release, table = reader.release, reader.table
    numbers = np.arange(reader.samples)
    if split is not None:
        numbers = np.flatnonzero(release.labels(table)["split"] == split)
        with target.writing(f"{folder}/{NUMBERS}") as file:
            np.save(file, numbers.astype(np.int64))
    files = [NUMBERS] if split is not None else []
    total, done = len(numbers) * len(reader.variables), 0
    for variable in reader.variables.values():
        files.append(f"{variable.name}.npy")
        with target.writing(f"{folder}/{variable.name}.npy") as file:
            _write_header(file, variable, len(numbers))
            for some in _pieces(numbers, variable):
                progress("caching", done, total)
                file.write(reader.take(variable.name, some).data)
                done += len(some)
    described = description(release, table, split) | {"files": _sums(target, folder, files)}
    text = json.dumps(described, indent=1)
    target.write(f"{folder}/{DESCRIPTION}", f"{text}\n".encode())


def _sums(target: FolderTarget, folder: str, files: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return sizes and digests of files."""
    found = {}
    for name in files:
        digest, size = xxhash.xxh3_128(), 0
        with target.open(f"{folder}/{name}") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
        found[name] = {"bytes": size, "xxh3_128": digest.hexdigest()}
    return found


def _write_header(file: BinaryIO, variable: StoredVariable, count: int) -> None:
    described = {
        "descr": np.lib.format.dtype_to_descr(variable.dtype),
        "fortran_order": False,
        "shape": (count, *variable.shape),
    }
    np.lib.format.write_array_header_1_0(file, described)


def _pieces(numbers: np.ndarray, variable: StoredVariable) -> Iterator[np.ndarray]:
    """Yield the numbers of samples, some at a time: whole chunks."""
    each = variable.dtype.itemsize * int(np.prod(variable.shape, dtype=np.int64))
    length = variable.chunk[0]
    rows = max(1, PIECE // (each * length)) * length
    ends = np.searchsorted(numbers, np.arange(rows, numbers[-1] + 1, rows))
    yield from filter(len, np.split(numbers, ends))
