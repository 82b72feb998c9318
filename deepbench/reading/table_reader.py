"""Reader of a table of a release, for training: any samples of any data variable as arrays."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepbench import format as fmt
from deepbench.errors import CatalogError, ReleaseError
from deepbench.reading.caches import Cache, caches_of
from deepbench.reading.codecs import Decoder, single_threaded
from deepbench.reading.shards import shard_of
from deepbench.reading.stored_variable import StoredVariable
from deepbench.release import Release, reading

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from deepbench.reading.shards import Shard
    from deepbench.reading.stored_variable import Piece

Rows = slice | np.ndarray


class Wanted(NamedTuple):
    """The samples of one row of chunks that are wanted.

    Attributes
    ----------
    row : int
        Number of the row: chunks of the same samples.
    inside : slice or int64[n]
        Where they lie in the row.
    place : slice or int64[n]
        Where they stand in the array that is returned.
    number : int
        How many they are.
    """

    row: int
    inside: Rows
    place: Rows
    number: int


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

    @cached_property
    def variables(self) -> dict[str, StoredVariable]:
        """The data variables by name, each with ``dtype``, and ``shape`` and ``dims`` of one sample.

        Raises
        ------
        ReleaseError
            The metadata is missing or damaged, or a variable is stored as no release is.
        """
        arrays = json.loads(self._release.zarr_metadata())["consolidated_metadata"]["metadata"]
        found = {}
        for name in self._release.manifest.tables[self._table].variables:
            try:
                found[name] = StoredVariable.parse(name, arrays[f"{self._table}/{name}"])
            except (ValueError, LookupError, TypeError) as error:
                raise ReleaseError(
                    f"'{name}' of '{self._table}' of {self._release} cannot be read: {error}; a newer DeepBench may"
                ) from error
        return found

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
        return self._gather(variable, _range(start, stop, variable.chunk[0]), room)

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
        if len(numbers) > 1:
            wanted = _scattered(numbers, variable.chunk[0])
        else:
            first = int(numbers[0]) if len(numbers) else 0
            wanted = _range(first, first + len(numbers), variable.chunk[0])
        return self._gather(variable, wanted, room)

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

    def _from_cache(self, name: str, numbers: NDArray[np.int64], out: NDArray) -> bool:
        """Write samples to ``out`` if a cache has all of them; return whether one has."""
        for cache in self._caches:
            rows = cache.rows(numbers)
            if rows is not None:
                np.take(cache.arrays[name], rows, axis=0, out=out, mode="clip")  # else it buffers
                return True
        return False

    @cached_property
    def _files(self) -> dict[str, fmt.StoredObject]:
        """Shards of the table by their names."""
        inside = f"{fmt.DATA}/{self._table}/"
        return {
            each.path: each
            for each in self._release.manifest.objects
            if each.path.startswith(inside)
        }

    def _gather(self, variable: StoredVariable, wanted: Iterable[Wanted], out: NDArray) -> NDArray:
        """Write samples, of which those of the same shards follow one another, to ``out`` and return it."""
        rows, location = variable.grid[0], self._release.location
        decoder = Decoder(variable.codecs, variable.chunk, variable.dtype)
        with single_threaded():
            for number, of_shard in groupby(wanted, lambda each: each.row // rows):
                some = list(of_shard)
                for ending, pieces in variable.pieces.items():
                    path = f"{fmt.DATA}/{self._table}/{variable.name}/c/{number}{ending}"
                    with reading(location, path):
                        if path not in self._files:
                            raise LookupError("the manifest does not list it")
                        try:
                            shard = shard_of(location, self._files[path], math.prod(variable.grid))
                            _decode(variable, shard, some, pieces, decoder, out)
                        except ValueError:
                            shard_of.cache_clear()  # it may be mended
                            raise
        return out


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


def _decode(
    variable: StoredVariable,
    shard: Shard,
    wanted: list[Wanted],
    pieces: list[Piece],
    decoder: Decoder,
    out: NDArray,
) -> None:
    """Decode the chunks of a shard that are wanted to their places in ``out``."""
    rows, steps = variable.grid[0], math.prod(variable.grid[1:])
    numbers = [each.row % rows * steps + piece.number for each in wanted for piece in pieces]
    stored = iter(shard.chunks(numbers))
    for each in wanted:
        contiguous = each.number == variable.chunk[0] and isinstance(each.inside, slice)
        for piece in pieces:
            content = next(stored)
            place = (each.place, *piece.inside)
            if content is None:
                out[place] = variable.fill
                continue
            if contiguous and isinstance(each.place, slice):
                target = out[place]
                if target.shape == variable.chunk and target.flags.c_contiguous:
                    decoder.decode(content, target)
                    continue
            cut = (slice(part.stop - part.start) for part in piece.inside)
            out[place] = decoder.rows(content, each.inside, each.number)[(slice(None), *cut)]


def _range(start: int, stop: int, length: int) -> Iterator[Wanted]:
    """Yield the rows of chunks that hold a range of samples."""
    for row in range(start // length, -(-stop // length) if start < stop else 0):
        first, last = max(start, row * length), min(stop, (row + 1) * length)
        yield Wanted(
            row,
            slice(first - row * length, last - row * length),
            slice(first - start, last - start),
            last - first,
        )


def _scattered(numbers: NDArray[np.int64], length: int) -> Iterator[Wanted]:
    """Yield the rows of chunks that hold some samples, in order; samples that follow one another are a slice."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    rows = ordered // length
    inside = ordered - rows * length
    bounds = [0, *(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(numbers)]
    insides, places = _slices(inside, bounds), _slices(order, bounds)
    for first, last, some, place in zip(bounds[:-1], bounds[1:], insides, places, strict=True):
        yield Wanted(int(rows[first]), some, place, last - first)


def _slices(numbers: NDArray[np.int64], bounds: list[int]) -> Iterator[Rows]:
    """Yield the numbers between one bound and the next, as a slice where each is one more than the one before."""
    breaks = [0, *np.cumsum(np.diff(numbers) != 1).tolist()]
    for first, last in pairwise(bounds):
        if breaks[first] == breaks[last - 1]:
            start = int(numbers[first])
            yield slice(start, start + last - first)
        else:
            yield numbers[first:last]
