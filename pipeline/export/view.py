"""Views of tables of releases: the chosen samples and labels, read in blocks of bounded size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deepbench import format as fmt
from deepbench.errors import ReleaseError
from deepbench.format import DIGEST
from deepbench.reading import TableReader
from deepbench.storage.damage import reading
from pipeline.export.selection import Selection
from pipeline.parquet import digest_bytes, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.arrays import Coordinate, DataVariable
    from deepbench.labelling.scopes import Column
    from deepbench.release import Release
    from deepbench.tables import Table

DIGEST_ROW = "V16"
"""Type of a digest in an array."""

BLOCK_BYTES = 2**23
"""Size of the data of a block, unless a sample is larger."""


class View:
    """The chosen samples of a table of a release, in their order there, and the chosen labels.

    Parameters
    ----------
    release : Release
    table : str
    selection : Selection, optional
        All samples and labels when absent.
    rows : int64[n], optional
        Numbers of the samples, ascending, where they are known already.

    Raises
    ------
    CatalogError
        There is no such table.
    ExportError
        As ``Selection``.
    """

    def __init__(
        self,
        release: Release,
        table: str,
        selection: Selection | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self.release, self.name = release, release.check_table(table)
        self.selection = selection or Selection()
        self.summary = release.manifest.tables[table]
        self.labels = self.columns(self.selection.columns(release, table))
        self.rows = self.selection.rows(release, table) if rows is None else rows

    def __str__(self) -> str:
        return f"table '{self.name}' of {self.release}"

    @property
    def kind(self) -> str:
        """Name of its kind, as in ``deepbench.kinds.KINDS``."""
        return self.summary.kind

    @property
    def samples(self) -> int:
        """Number of the chosen samples."""
        return self.summary.samples if self.rows is None else len(self.rows)

    @cached_property
    def table(self) -> Table[Any]:
        """The table of the recipe."""
        return self.release.recipe.table(self.name)

    @property
    def variables(self) -> tuple[DataVariable, ...]:
        """Its data variables."""
        return self.table.variables

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Its coordinates."""
        return self.table.coordinates

    @property
    def sample_bytes(self) -> int:
        """Bytes of all variables of a sample."""
        return sum(each.sample_bytes for each in self.variables)

    def attributes(self) -> dict[str, str]:
        """Return what a file says of the release and of what was chosen of it."""
        manifest, recipe = self.release.manifest, self.release.recipe
        software = f"DeepBench {manifest.software['deepbench']}"
        chosen = {"split": self.selection.split, "where": self.selection.where}
        return {
            "title": recipe.title,
            "license": recipe.license,
            "name": recipe.name,
            "version": recipe.version,
            "recipe_hash": recipe.hash,
            "table": self.name,
            "source": f"simulated by {software}",
            "history": f"{manifest.created} {self.release} built by {software}",
            **{f"selected_{name}": words for name, words in chosen.items() if words is not None},
        }

    def columns(self, names: Iterable[str]) -> tuple[Column, ...]:
        """Return the columns of labels of these names."""
        known = {each.name: each for each in self.table.plan.columns}
        return tuple(known[name] for name in names)

    def parts(self) -> dict[str, View]:
        """Return the views of the splits that have chosen samples, by their names."""
        [column] = self.columns(["split"])
        codes = np.empty(self.samples, column.dtype)
        for start, stop in self.label_blocks():
            codes[start:stop] = self.read_labels(start, stop, ("split",))["split"]
        rows = np.arange(self.samples) if self.rows is None else self.rows
        return {
            name: View(
                self.release, self.name, replace(self.selection, split=name), rows[codes == code]
            )
            for code, name in enumerate(column.meanings)
            if (codes == code).any()
        }

    # the order of reading

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield the first sample and the end of each block, counted in the view: whole shards, or equal parts of them
        where all variables of a shard are more than ``BLOCK_BYTES``.
        """
        step = self.summary.shard_length
        while step % 2 == 0 and step * self.sample_bytes > BLOCK_BYTES:
            step //= 2
        for first in range(0, self.summary.samples, step):
            start, stop = self._within(first, min(first + step, self.summary.samples))
            if start < stop:
                yield start, stop

    def read_blocks(
        self, names: Iterable[str] | None = None
    ) -> Iterator[tuple[int, int, dict[str, NDArray]]]:
        """Yield ``blocks`` with the values of some variables by their names, all variables where none are named.

        A thread reads the next block while one is used: decompression, and most of what writes files, run without the
        lock of Python.
        """
        wanted = [each.name for each in self.variables] if names is None else [*names]

        def read(start: int, stop: int) -> tuple[int, int, dict[str, NDArray]]:
            return start, stop, {name: self.read(name, start, stop) for name in wanted}

        coming: list[Future[tuple[int, int, dict[str, NDArray]]]] = []
        with ThreadPoolExecutor(1) as thread:
            for block in self.blocks():
                coming.append(thread.submit(read, *block))
                if len(coming) > 1:
                    yield coming.pop(0).result()
            for last in coming:
                yield last.result()

    def label_blocks(self) -> Iterator[tuple[int, int]]:
        """Yield the first sample and the end of blocks of labels, counted in the view."""
        for first, last in zip(self._ends, self._ends[1:], strict=False):
            start, stop = self._within(first, last)
            if start < stop:
                yield start, stop

    def _within(self, first: int, last: int) -> tuple[int, int]:
        """Return which chosen samples are among those of a range."""
        if self.rows is None:
            return first, last
        start, stop = np.searchsorted(self.rows, [first, last])
        return int(start), int(stop)

    def _numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the numbers of chosen samples."""
        return np.arange(start, stop) if self.rows is None else self.rows[start:stop]

    # data

    @cached_property
    def _reader(self) -> TableReader:
        return TableReader(self.release, self.name, cached=False)

    def read(self, name: str, start: int, stop: int) -> NDArray:
        """Return a variable of chosen samples, ``stop - start`` of them.

        Raises
        ------
        ReleaseError
            A file of the release is missing or damaged.
        """
        if self.rows is None:
            return self._reader.read(name, start, stop)
        return self._reader.take(name, self.rows[start:stop])

    # labels and digests

    def read_labels(
        self, start: int, stop: int, names: tuple[str, ...] | None = None
    ) -> dict[str, NDArray]:
        """Return labels of chosen samples by their names, words as codes: the chosen ones where none are named.

        Raises
        ------
        ReleaseError
            A file of the release is missing or damaged.
        """
        columns = self.labels if names is None else self.columns(names)
        wanted = tuple(each.name for each in columns)
        found = [
            {each.name: numbers(group.column(each.name), each)[rows] for each in columns}
            for group, rows in self._groups(wanted, start, stop)
        ]
        if len(found) == 1:
            return found[0]
        return {each.name: np.concatenate([some[each.name] for some in found]) for each in columns}

    def digests(self, name: str, start: int, stop: int) -> NDArray[np.void]:
        """Return the digests that the release has of a variable of chosen samples, 16 bytes each."""
        found = [
            np.frombuffer(digest_bytes(group.column(DIGEST + name)), DIGEST_ROW)[rows]
            for group, rows in self._groups((DIGEST + name,), start, stop)
        ]
        return np.concatenate(found)

    def _groups(
        self, columns: tuple[str, ...], start: int, stop: int
    ) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
        """Yield rows of the metadata, of one group at a time, and which of them are those of chosen samples."""
        wanted = self._numbers(start, stop)
        if len(wanted) and wanted[-1] >= self._ends[-1]:
            raise ReleaseError(
                f"{self.release.location.locate(self._path)} ends before sample {wanted[-1]}; restore the release "
                "from a copy, or mend it with `deepbench repair`"
            )
        owners = np.searchsorted(self._ends, wanted, side="right") - 1
        for number in np.unique(owners):
            with reading(self.release.location, self._path):
                rows = wanted[owners == number] - self._ends[number]
                first = int(rows[0])
                yield (
                    self._group(int(number), columns).slice(first, int(rows[-1]) + 1 - first),
                    rows - first,
                )

    @cached_property
    def _ends(self) -> list[int]:
        """Numbers of the rows up to each group of the metadata; 0 is the first."""
        with reading(self.release.location, self._path), self._metadata() as file:
            groups = range(file.num_row_groups)
            return [0, *accumulate(file.metadata.row_group(each).num_rows for each in groups)]

    def _group(self, number: int, columns: tuple[str, ...]) -> pa.Table:
        """Return columns of a group of rows of the metadata; those of the last group are kept."""
        if self._kept[0] != number:
            self._kept = number, {}
        if columns not in self._kept[1]:
            with self._metadata() as file:
                self._kept[1][columns] = file.read_row_group(number, [*columns])
        return self._kept[1][columns]

    @property
    def _path(self) -> str:
        return f"{fmt.METADATA}/{self.name}.parquet"

    @contextlib.contextmanager
    def _metadata(self) -> Iterator[pq.ParquetFile]:
        """Open the labels and digests of the table."""
        with (
            self.release.location.open(self._path) as opened,
            pq.ParquetFile(opened, pre_buffer=False) as file,
        ):
            yield file

    _kept: tuple[int, dict[tuple[str, ...], pa.Table]] = -1, {}
