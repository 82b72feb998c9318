"""Caches: plain arrays of the samples of a table, or of one of its splits, outside of the release.

``deepbench cache`` writes them. A cache is used when its description agrees with the manifest of the release, and its
files have the sizes of the description. Only ``deepbench cache`` compares their digests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.storage.locations import Folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.release import Release
    from deepbench.storage.stored_variable import StoredVariable

FOLDER = ".cache"
"""Folder of caches in a catalog: never listed, never read as a release."""

PLACE = "DEEPBENCH_CACHE"
"""Variable of the environment: a folder for caches elsewhere, such as a fast disk, or for catalogs in object stores."""

DESCRIPTION = "cache.json"
"""File that says of what a cache is. It is written last."""

NUMBERS = "samples.npy"
"""File with the numbers of the samples of a split."""


def place_of(release: Release) -> Folder | None:
    """Return the folder of all caches; None where a catalog is in an object store and no other place is named."""
    if os.environ.get(PLACE):
        return Folder(os.path.abspath(os.environ[PLACE]))  # noqa: PTH100  as of catalogs
    catalog = release.catalog
    return Folder(catalog.locate(FOLDER)) if isinstance(catalog, Folder) else None


def folder_of(name: str, version: Any, table: str = "", split: str | None = None) -> str:
    """Return the name, in the folder of all caches, of that of a release, or of one table or split of it."""
    parts = [name, str(version), table if split is None else f"{table}.{split}"]
    return "/".join(filter(None, parts))


def description(release: Release, table: str, split: str | None) -> dict[str, Any]:
    """Return what a cache says of what it is."""
    manifest = release.manifest
    summary = manifest.tables[table]
    return {
        "release": str(release),
        "recipe_hash": manifest.recipe_hash,
        "table": table,
        "table_hash": summary.table_hash,
        "data_digest": summary.data_digest,
        "samples": summary.samples if split is None else summary.splits[split],
        "split": split,
    }


@dataclass(frozen=True)
class Cache:
    """A cache that can be used.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Data variables, mapped from their files.
    numbers : int64[n] or None
        Numbers of the samples, ascending; None where they are all samples of the table.
    files : dict of str to dict
        Size and digest of each of its files: ``bytes`` and ``xxh3_128``.
    """

    arrays: dict[str, NDArray]
    numbers: NDArray[np.int64] | None
    files: dict[str, dict[str, Any]]

    def rows(self, samples: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return where samples stand in the arrays; None where some of them do not."""
        if self.numbers is None:
            return samples
        rows = np.searchsorted(self.numbers, samples)
        rows[rows == len(self.numbers)] = 0
        return rows if np.array_equal(self.numbers[rows], samples) else None


def open_cache(
    release: Release, table: str, split: str | None, variables: Mapping[str, StoredVariable]
) -> Cache | None:
    """Return the cache of a table or of one of its splits; None where there is none that is whole and of these data."""
    place, wanted = place_of(release), description(release, table, split)
    if place is None:
        return None
    folder = place.folder / folder_of(release.name, release.version, table, split)
    try:
        described = json.loads((folder / DESCRIPTION).read_bytes())
        files = described.pop("files")
        if described != wanted or any(
            (folder / file).stat().st_size != each["bytes"] for file, each in files.items()
        ):
            return None
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in variables}
        numbers = None if split is None else np.load(folder / NUMBERS)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    count = wanted["samples"]
    fits = all(
        (arrays[name].dtype, arrays[name].shape) == (each.dtype, (count, *each.shape))
        for name, each in variables.items()
    )
    if not fits or (numbers is not None and numbers.shape != (count,)):
        return None
    return Cache({name: np.asarray(each) for name, each in arrays.items()}, numbers, files)


def caches_of(
    release: Release, table: str, variables: Mapping[str, StoredVariable]
) -> Iterator[Cache]:
    """Yield the caches of a table: that of all samples alone, if it is there, or those of splits."""
    for split in (None, *release.manifest.tables[table].splits):
        found = open_cache(release, table, split, variables)
        if found is not None:
            yield found
            if split is None:
                return
