"""The samples that differ: labels and digests of two sides as numbers, and the count of what is not the same."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from deepbench.format import DIGEST
from pipeline.diff.difference import Changed
from pipeline.parquet import digest_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.labelling.scopes import Column


class Words:
    """Turns columns into numbers that can be compared: the same name is the same number on both sides."""

    def __init__(self) -> None:
        self._codes: defaultdict[str | None, int] = defaultdict()
        self._codes.default_factory = self._codes.__len__

    def numbers(self, rows: pa.Table) -> dict[str, NDArray]:
        """Return the columns of rows that were read; digests have two numbers each."""
        return {name: self._column(rows.column(name)) for name in rows.column_names}

    def drawn(self, columns: tuple[Column, ...], labels: dict[str, NDArray]) -> dict[str, NDArray]:
        """Return the columns of labels that were drawn."""
        return {
            each.name: self._coded(each.meanings)[labels[each.name]]
            if each.meanings
            else labels[each.name]
            for each in columns
        }

    def _column(self, column: pa.ChunkedArray) -> NDArray:
        if pa.types.is_dictionary(column.type):
            chunks = [
                self._coded([*each.dictionary.to_pylist(), None])[
                    each.indices.fill_null(-1).to_numpy(zero_copy_only=False)
                ]
                for each in column.chunks
            ]
            return np.concatenate([np.zeros(0, np.int64), *chunks])
        if pa.types.is_fixed_size_binary(column.type):
            return pairs(digest_bytes(column))
        return column.to_numpy()

    def _coded(self, names: Iterable[str | None]) -> NDArray[np.int64]:
        return np.array([self._codes[name] for name in names], dtype=np.int64)


def pairs(digests: bytes) -> NDArray[np.uint64]:
    """Return digests as two numbers each."""
    return np.frombuffer(digests, np.uint64).reshape(-1, 2)


def _differ(old: NDArray, new: NDArray) -> NDArray[np.bool_]:
    """Return in which rows two columns differ; NaN is equal to NaN."""
    differs = (old != new) & ((old == old) | (new == new))
    return differs if differs.ndim == 1 else differs.any(axis=1)


class Tally:
    """Counts the samples that differ, as samples are looked at some at a time.

    Attributes
    ----------
    changed : Changed, optional
        In anything.
    parameters, pixels : dict of str to Changed
        In each label column, and in each data variable.
    """

    def __init__(self) -> None:
        self.changed: Changed | None = None
        self.parameters: dict[str, Changed] = {}
        self.pixels: dict[str, Changed] = {}

    @contextlib.contextmanager
    def samples(self, numbers: NDArray[np.int64]) -> Iterator[None]:
        """Look at samples of which these are the numbers; all samples of an earlier time have lower ones."""
        self._numbers, self._any = numbers, np.zeros(len(numbers), np.bool_)
        yield
        if self._any.any():
            self.changed = _more(self.changed, numbers[self._any])

    def labels(
        self, names: Iterable[str], old: dict[str, NDArray], new: dict[str, NDArray]
    ) -> None:
        """Compare label columns."""
        for name in names:
            self._note(self.parameters, name, np.flatnonzero(_differ(old[name], new[name])))

    def digests(
        self, names: Iterable[str], old: dict[str, NDArray], new: dict[str, NDArray]
    ) -> None:
        """Compare data variables by their digests."""
        for name in names:
            differs = _differ(old[DIGEST + name], new[DIGEST + name])
            self._note(self.pixels, name, np.flatnonzero(differs))

    def copies(
        self,
        names: Iterable[str],
        old: dict[str, NDArray],
        new: dict[str, NDArray],
        start: int,
        stop: int,
    ) -> None:
        """Compare the copies of repeated objects of consecutive samples ``start`` … ``stop - 1``."""
        owners, others = old["sample"] - start, new["sample"] - start
        count = stop - start
        same = np.bincount(owners, minlength=count) == np.bincount(others, minlength=count)
        offset = start - int(self._numbers[0])
        self._note(self.parameters, "objects/sample", np.flatnonzero(~same) + offset)
        mine, theirs = same[owners], same[others]
        rows = owners[mine] + offset
        for name in names:
            differs = _differ(old[name][mine], new[name][theirs])
            self._note(self.parameters, f"objects/{name}", np.unique(rows[differs]))

    def _note(self, found: dict[str, Changed], name: str, rows: NDArray[np.intp]) -> None:
        if len(rows):
            found[name] = _more(found.get(name), self._numbers[rows])
            self._any[rows] = True


def _more(known: Changed | None, numbers: NDArray[np.int64]) -> Changed:
    """Return the count with further samples."""
    if known is None:
        return Changed(len(numbers), int(numbers[0]))
    return Changed(known.count + len(numbers), known.first)
