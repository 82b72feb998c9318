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
from deepbench.catalog import Release, reading
from deepbench.errors import CatalogError, ReleaseError
from deepbench.reading.codecs import single_threaded
from deepbench.reading.shards import shard_of
from deepbench.reading.stored_variable import StoredVariable

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
        Where they go.
    count : int
        Their number.
    """

    row: int
    inside: Rows
    place: Rows
    count: int


class TableReader:
    """Samples of a table of a release, read straight from its shards.

    It has no threads and no event loop, and can be used after a fork or sent to another process. Files that were used
    last stay open in each process. Every checksum is checked.

    Parameters
    ----------
    release : Release
    table : str
        Name of the table.

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

    def __init__(self, release: Release, table: str) -> None:
        self._release, self._table = release, release.check_table(table)
        release.warn_if_deprecated(stacklevel=3)

    def __repr__(self) -> str:
        return f"<TableReader of '{self._table}' of {self._release}: {self.samples:,} samples>"

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: the name of the table, and nothing that was read."""
        release = self._release
        return {
            "_release": Release(release.name, release.version, release.catalog),
            "_table": self._table,
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

    def read(self, name: str, start: int, stop: int) -> NDArray:
        """Return the samples ``start`` … ``stop - 1`` of a variable.

        Parameters
        ----------
        name : str
        start, stop : int

        Returns
        -------
        ndarray, shape (stop - start, *shape)

        Raises
        ------
        CatalogError
            There is no such variable, or the range is not one of the table.
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
        return self._gather(variable, _range(start, stop, variable.chunk[0]), stop - start)

    def take(self, name: str, indices: ArrayLike) -> NDArray:
        """Return samples of a variable in the order of their numbers, which may repeat.

        Parameters
        ----------
        name : str
        indices : int[n]
            Numbers of samples.

        Returns
        -------
        ndarray, shape (n, *shape)

        Raises
        ------
        CatalogError
            There is no such variable or sample.
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
        wanted = _scattered(numbers.astype(np.int64), variable.chunk[0])
        return self._gather(variable, wanted, len(numbers))

    def _variable(self, name: str) -> StoredVariable:
        if name not in self.variables:
            raise CatalogError(
                f"'{self._table}' of {self._release} has no data variable '{name}'; it has: {', '.join(self.variables)}"
            )
        return self.variables[name]

    @cached_property
    def _files(self) -> dict[str, fmt.StoredObject]:
        """Shards of the table by their names."""
        inside = f"{fmt.DATA}/{self._table}/"
        return {
            each.path: each
            for each in self._release.manifest.objects
            if each.path.startswith(inside)
        }

    def _gather(self, variable: StoredVariable, wanted: Iterable[Wanted], count: int) -> NDArray:
        """Return samples, of which those of the same shards follow one another."""
        out = np.empty((count, *variable.shape), variable.dtype)
        rows, location = variable.grid[0], self._release.location
        scratch = np.empty(variable.chunk, variable.dtype)
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
                            _decode(variable, shard, some, pieces, out, scratch)
                        except ValueError:
                            shard_of.cache_clear()  # it may be mended
                            raise
        return out


def _decode(
    variable: StoredVariable,
    shard: Shard,
    wanted: list[Wanted],
    pieces: list[Piece],
    out: NDArray,
    scratch: NDArray,
) -> None:
    """Decode the chunks of a shard that are wanted to their places in ``out``."""
    rows, steps = variable.grid[0], math.prod(variable.grid[1:])
    numbers = [each.row % rows * steps + piece.number for each in wanted for piece in pieces]
    stored = iter(shard.chunks(numbers))
    for each in wanted:
        for piece in pieces:
            content = next(stored)
            place = (each.place, *piece.inside)
            if content is None:
                out[place] = variable.fill
            elif (
                variable.whole and each.count == variable.chunk[0] and isinstance(each.place, slice)
            ):
                variable.codecs.decode(content, out[each.place])
            else:
                variable.codecs.decode(content, scratch)
                cut = (slice(0, part.stop - part.start) for part in piece.inside)
                out[place] = scratch[(each.inside, *cut)]


def _range(start: int, stop: int, length: int) -> Iterator[Wanted]:
    """Yield the rows of chunks that hold a range of samples."""
    for row in range(start // length, -(-stop // length)):
        first, last = max(start, row * length), min(stop, (row + 1) * length)
        yield Wanted(
            row,
            slice(first - row * length, last - row * length),
            slice(first - start, last - start),
            last - first,
        )


def _scattered(numbers: NDArray[np.int64], length: int) -> Iterator[Wanted]:
    """Yield the rows of chunks that hold some samples, in order; runs of samples that stay together as slices."""
    if not numbers.size:
        return
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    rows = ordered // length
    broken = np.cumsum((np.diff(ordered) != 1) | (np.diff(order) != 1), dtype=np.int64)
    breaks = [0, *broken.tolist()]
    bounds = [0, *(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(numbers)]
    inside = ordered - rows * length
    for first, last in pairwise(bounds):
        if breaks[first] == breaks[last - 1]:
            at, to = int(inside[first]), int(order[first])
            count = last - first
            yield Wanted(int(rows[first]), slice(at, at + count), slice(to, to + count), count)
        else:
            yield Wanted(int(rows[first]), inside[first:last], order[first:last], last - first)
