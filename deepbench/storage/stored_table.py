"""Samples of a table of a release, read straight from its shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepbench.storage.codecs import Decoder, single_threaded
from deepbench.storage.damage import reading
from deepbench.storage.shards import shard_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.format import StoredObject
    from deepbench.storage.locations import Location
    from deepbench.storage.shards import Shard
    from deepbench.storage.stored_variable import Piece, StoredVariable

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


class StoredTable:
    """A table of a release in its shards. Every checksum is checked; there are no threads and no event loop.

    Parameters
    ----------
    location : Location
        The release.
    folder : str
        Folder of the table in it.
    variables : dict of str to StoredVariable
        Its data variables.
    files : mapping of str to StoredObject
        What the manifest lists, by the names of the files.
    """

    def __init__(
        self,
        location: Location,
        folder: str,
        variables: dict[str, StoredVariable],
        files: Mapping[str, StoredObject],
    ) -> None:
        self.variables = variables
        self._location, self._folder, self._files = location, folder, files

    def read(self, name: str, start: int, stop: int, out: NDArray) -> NDArray:
        """Write the samples ``start`` … ``stop - 1`` of a variable to an array, and return it.

        Parameters
        ----------
        name : str
        start, stop : int
        out : ndarray, shape (stop - start, *shape)
            A contiguous one.

        Raises
        ------
        ReleaseError
            A file is missing, or damaged.
        """
        variable = self.variables[name]
        return self._gather(variable, _range(start, stop, variable.chunk[0]), out)

    def take(self, name: str, numbers: NDArray[np.int64], out: NDArray) -> NDArray:
        """Write samples of a variable to an array, in the order of their numbers, and return it.

        Parameters
        ----------
        name : str
        numbers : int64[n]
            They may repeat.
        out : ndarray, shape (n, *shape)
            A contiguous one.

        Raises what ``read`` does.
        """
        variable = self.variables[name]
        return self._gather(variable, _scattered(numbers, variable.chunk[0]), out)

    def _gather(self, variable: StoredVariable, wanted: Iterable[Wanted], out: NDArray) -> NDArray:
        """Write samples, of which those of the same shards follow one another, to ``out`` and return it."""
        rows, location = variable.grid[0], self._location
        decoder = Decoder(variable.codecs, variable.chunk, variable.dtype)
        with single_threaded():
            for number, of_shard in groupby(wanted, lambda each: each.row // rows):
                some = list(of_shard)
                for ending, pieces in variable.pieces.items():
                    path = f"{self._folder}/{variable.name}/c/{number}{ending}"
                    with reading(location, path):
                        if path not in self._files:
                            raise LookupError("the manifest does not list it")
                        try:
                            shard = shard_of(location, self._files[path], variable.chunks)
                            _decode(variable, shard, some, pieces, decoder, out)
                        except ValueError:
                            shard_of.cache_clear()  # it may be mended
                            raise
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
    rows, steps = variable.grid[0], variable.chunks // variable.grid[0]
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
    if not len(numbers):
        return
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    rows = ordered // length
    inside = ordered - rows * length
    firsts = np.flatnonzero(np.diff(rows, prepend=-1))
    lasts = np.append(firsts[1:], len(numbers))
    parts = zip(firsts.tolist(), lasts.tolist(), rows[firsts].tolist(), strict=True)
    insides, places = _runs(inside, firsts, lasts), _runs(order, firsts, lasts)
    for (first, last, row), at, to in zip(parts, insides, places, strict=True):
        count = last - first
        yield Wanted(
            row,
            inside[first:last] if at < 0 else slice(at, at + count),
            order[first:last] if to < 0 else slice(to, to + count),
            count,
        )


def _runs(
    numbers: NDArray[np.int64], firsts: NDArray[np.int64], lasts: NDArray[np.int64]
) -> list[int]:
    """Return the first number of each part, ``firsts`` up to ``lasts``, or −1 where the part does not count by ones."""
    breaks = np.cumsum(np.diff(numbers, prepend=0) != 1)
    return np.where(breaks[firsts] == breaks[lasts - 1], numbers[firsts], -1).tolist()
