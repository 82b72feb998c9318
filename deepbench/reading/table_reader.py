"""Reader of a table of a release, for training: any samples of any data variable as arrays."""

from __future__ import annotations

import math
import operator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import CatalogError
from deepbench.reading.caches import Cache, caches_of
from deepbench.release import Release

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from deepbench.storage.stored_variable import StoredVariable


class TableReader:
    """Samples of a table of a release, read straight from its shards.

    It has no threads and no event loop, and can be used after a fork or sent to another process. Files that were used
    last stay open in each process. Every checksum of a shard is checked.

    Parameters
    ----------
    release : Release
    table : str
        Name of the table.
    cached : bool, optional
        Whether plain arrays are read instead that ``deepbench cache`` has written of the same data.

    Raises
    ------
    CatalogError
        There is no such table.

    Warns
    -----
    DeprecatedReleaseWarning
        The release should not be used any more.

    Examples
    --------
    >>> reader = TableReader(deepbench.find("shapes"), "images")     # doctest: +SKIP
    >>> reader.take("image", [4, 1, 65_000]).shape                   # doctest: +SKIP
    (3, 64, 64)
    """

    def __init__(self, release: Release, table: str, *, cached: bool = True) -> None:
        self._release, self._table, self._cached = release, release.check_table(table), cached
        release.warn_if_deprecated(stacklevel=3)

    def __repr__(self) -> str:
        return f"<TableReader of '{self._table}' of {self._release}: {self.samples:,} samples>"

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: the name of the table, and nothing that was read."""
        release = self._release
        return {
            "_release": Release(release.name, release.version, release.catalog),
            "_table": self._table,
            "_cached": self._cached,
        }

    @property
    def release(self) -> Release:
        """The release."""
        return self._release

    @property
    def table(self) -> str:
        """Name of the table."""
        return self._table

    @cached_property
    def samples(self) -> int:
        """Number of samples."""
        return self._release.manifest.tables[self._table].samples

    @property
    def variables(self) -> dict[str, StoredVariable]:
        """The data variables by name, each with ``dtype``, and ``shape`` and ``dims`` of one sample.

        Raises
        ------
        ReleaseError
            The metadata is missing or damaged, or a variable is stored as no release is.
        """
        return self._release.stored(self._table).variables

    @property
    def chunk_length(self) -> int:
        """Number of samples that are decoded together; shuffle blocks of this many, or a multiple."""
        return math.lcm(*(each.chunk[0] for each in self.variables.values()))

    def read(self, name: str, start: int, stop: int, *, out: NDArray | None = None) -> NDArray:
        """Return the samples ``start`` … ``stop - 1`` of a variable.

        Parameters
        ----------
        name : str
        start, stop : int
        out : ndarray, shape (stop - start, *shape), optional
            Where to write them; memory that was used before is faster than new.

        Returns
        -------
        ndarray, shape (stop - start, *shape)

        Raises
        ------
        CatalogError
            There is no such variable, the range is not one of the table, or ``out`` does not fit.
        ReleaseError
            A file is missing, or damaged.
        """
        variable = self._variable(name)
        start, stop = operator.index(start), operator.index(stop)
        if not 0 <= start <= stop <= self.samples:
            raise CatalogError(
                f"samples {start} … {stop} are not a range of '{self._table}' of {self._release}, which has "
                f"{self.samples:,}: use 0 <= start <= stop <= {self.samples}"
            )
        room = _room(variable, stop - start, out)
        if self._caches and self._from_cache(name, np.arange(start, stop), room):
            return room
        return self._release.stored(self._table).read(name, start, stop, room)

    def take(self, name: str, indices: ArrayLike, *, out: NDArray | None = None) -> NDArray:
        """Return samples of a variable in the order of their numbers, which may repeat.

        Parameters
        ----------
        name : str
        indices : int[n]
            Numbers of samples.
        out : ndarray, shape (n, *shape), optional
            Where to write them; memory that was used before is faster than new.

        Returns
        -------
        ndarray, shape (n, *shape)

        Raises
        ------
        CatalogError
            There is no such variable or sample, or ``out`` does not fit.
        ReleaseError
            A file is missing, or damaged.
        """
        variable = self._variable(name)
        numbers = np.asarray(indices)
        if numbers.size == 0:
            numbers = numbers.astype(np.int64)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise CatalogError(
                f"samples are taken by a list of their numbers, not by {numbers.dtype} of shape {numbers.shape}"
            )
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.samples):
            wrong = numbers[(numbers < 0) | (numbers >= self.samples)][0]
            raise CatalogError(
                f"'{self._table}' of {self._release} has the samples 0 … {self.samples - 1}, not {wrong}"
            )
        numbers, room = numbers.astype(np.int64), _room(variable, len(numbers), out)
        if self._from_cache(name, numbers, room):
            return room
        return self._release.stored(self._table).take(name, numbers, room)

    def _variable(self, name: str) -> StoredVariable:
        if name not in self.variables:
            raise CatalogError(
                f"'{self._table}' of {self._release} has no data variable '{name}'; it has: {', '.join(self.variables)}"
            )
        return self.variables[name]

    @cached_property
    def _caches(self) -> tuple[Cache, ...]:
        """Caches of the table that are there when it is first read."""
        if not self._cached:
            return ()
        return tuple(caches_of(self._release, self._table, self.variables))

    def is_cached(self, numbers: NDArray[np.int64]) -> bool:
        """Return whether a cache has all of some samples."""
        return any(cache.rows(numbers) is not None for cache in self._caches)

    def _from_cache(self, name: str, numbers: NDArray[np.int64], out: NDArray) -> bool:
        """Write samples to ``out`` if a cache has all of them; return whether one has."""
        for cache in self._caches:
            rows = cache.rows(numbers)
            if rows is not None:
                np.take(cache.arrays[name], rows, axis=0, out=out, mode="clip")  # else it buffers
                return True
        return False


def _room(variable: StoredVariable, count: int, out: NDArray | None) -> NDArray:
    """Return an array for some samples: the one that is given, if it fits."""
    shape = (count, *variable.shape)
    if out is None:
        return np.empty(shape, variable.dtype)
    if (out.shape, out.dtype) != (shape, variable.dtype) or not out.flags.c_contiguous:
        raise CatalogError(
            f"`out` is {out.dtype} of shape {out.shape}; '{variable.name}' needs a C-contiguous array of "
            f"{variable.dtype} and shape {shape}"
        )
    return out
