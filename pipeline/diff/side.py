"""One of two releases that are compared: its schema, and its rows of labels and digests in order of the samples."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deepbench import format as fmt
from deepbench.errors import ReleaseError
from deepbench.storage.damage import reading
from pipeline.parquet import DIGEST_TYPE

if TYPE_CHECKING:
    from deepbench.labelling.scopes import Column
    from deepbench.recipe import Recipe
    from deepbench.release import Release
    from deepbench.storage.locations import Location
    from deepbench.tables import Table

BATCH_VALUES = 2**21
"""Number of values of a Parquet file that are held at a time, about."""

Attributes = dict[str, dict[str, Any]]
"""Dtype, unit and the like of each variable or column, by its name."""


@dataclass(frozen=True)
class TableSchema:
    """The schema of a table.

    Attributes
    ----------
    samples : int
    variables : Attributes
        ``dtype``, ``dims``, ``shape`` of a sample and ``unit`` of each data variable.
    columns, object_columns : Attributes
        ``dtype``, ``unit`` and ``meanings`` of each label column, and of those of repeated objects.
    """

    samples: int
    variables: Attributes
    columns: Attributes
    object_columns: Attributes


@dataclass(frozen=True)
class Side:
    """A release that is compared; it may be one that is not yet published.

    Attributes
    ----------
    name : str
        Name in messages, such as ``shapes@1.0.0``.
    location : Location
        Where its files are read.
    recipe : Recipe
    tables : dict of str to TableSummary
    render_version : int
        The version of rendering that made it.
    """

    name: str
    location: Location
    recipe: Recipe
    tables: dict[str, fmt.TableSummary]
    render_version: int

    @classmethod
    def of(cls, release: Release) -> Side:
        """Return the side of a published release.

        Raises
        ------
        ReleaseError
            Its manifest or recipe cannot be read.
        """
        manifest = release.manifest
        name = f"{release.name}@{release.version}"
        return cls(name, release.location, release.recipe, manifest.tables, manifest.render_version)

    def schema(self, table: str) -> TableSchema:
        """Return what a table has, as it stands in the files.

        Raises
        ------
        ReleaseError
            A file is missing or damaged.
        """
        plan, summary = self.recipe.table(table).plan, self.tables[table]
        root = f"{fmt.DATA}/zarr.json"
        with reading(self.location, root):
            nodes = json.loads(self.location.read(root))["consolidated_metadata"]["metadata"]
            variables = {
                name: {
                    "dtype": each["dtype"],
                    "dims": each["dims"],
                    "shape": each["shape"][1:],
                    "unit": nodes[f"{table}/{name}"]["attributes"]["units"],
                }
                for name, each in summary.variables.items()
            }
        columns = self._stored(table, _planned(plan.columns))
        objects = self._stored(f"{table}.objects", _planned(plan.object_columns))
        return TableSchema(summary.samples, variables, columns, objects)

    def _stored(self, name: str, planned: Attributes) -> Attributes:
        """Return the columns of a Parquet file; the meanings of codes are those of the recipe."""
        if not planned:
            return {}
        found = {}
        with self.parquet(name) as file, reading(self.location, _path(name)):
            for each in file.schema_arrow:
                if pa.types.is_dictionary(each.type):
                    found[each.name] = planned[each.name]
                elif not pa.types.is_fixed_size_binary(each.type):  # not a digest
                    dtype = np.dtype(each.type.to_pandas_dtype()).name
                    unit = (each.metadata or {}).get(b"unit", b"").decode()
                    found[each.name] = {"dtype": dtype, "unit": unit, "meanings": ()}
        return found

    @contextlib.contextmanager
    def parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """Open the labels of a table, or as ``<table>.objects`` those of its repeated objects.

        Nothing is read ahead: what Arrow has read so, it keeps until the file is closed.

        Raises
        ------
        ReleaseError
            The file is missing or damaged.
        """
        with contextlib.ExitStack() as stack:
            with reading(self.location, _path(name)):
                opened = stack.enter_context(self.location.open(_path(name)))
                file = stack.enter_context(pq.ParquetFile(opened, pre_buffer=False))
            yield file

    def damaged(self, path: str, reason: str) -> ReleaseError:
        """Return the error about a damaged file."""
        return ReleaseError(
            f"{self.location.locate(path)} is damaged: {reason}; {self.name} cannot be compared before it is restored "
            "from a copy"
        )


def planned_schema(table: Table[Any]) -> TableSchema:
    """Return what a table of a recipe will have."""
    variables = {
        each.name: {
            "dtype": each.dtype,
            "dims": ["sample", *each.dimensions],
            "shape": list(each.shape),
            "unit": each.units,
        }
        for each in table.variables
    }
    columns, objects = _planned(table.plan.columns), _planned(table.plan.object_columns)
    return TableSchema(table.samples, variables, columns, objects)


def _planned(columns: tuple[Column, ...]) -> Attributes:
    return {
        each.name: {
            "dtype": each.dtype.name,
            "unit": "" if each.meanings else each.unit,
            "meanings": each.meanings,
        }
        for each in columns
    }


def _path(name: str) -> str:
    return f"{fmt.METADATA}/{name}.parquet"


class Rows:
    """The rows of a table, or of its repeated objects, taken in order of the samples; a batch is held at a time.

    Parameters
    ----------
    stack : ExitStack
        Closes the file.
    side : Side
    name : str
        ``<table>``, or ``<table>.objects``.
    columns : list of str
        Columns that are read besides that of the sample numbers, which comes first.
    """

    def __init__(
        self, stack: contextlib.ExitStack, side: Side, name: str, columns: list[str]
    ) -> None:
        self._side, self._path = side, _path(name)
        self._repeated = name.endswith(".objects")
        self._columns = list(dict.fromkeys(["sample" if self._repeated else "id", *columns]))
        file = stack.enter_context(side.parquet(name))
        with reading(side.location, self._path):
            schema = pa.schema([file.schema_arrow.field(each) for each in self._columns])
            for each in schema:
                if pa.types.is_fixed_size_binary(each.type) and each.type != DIGEST_TYPE:
                    raise TypeError(f"column '{each.name}' is of the type {each.type}")
            size = min(fmt.ROW_GROUP, max(1, BATCH_VALUES // len(self._columns)))
            self._batches = file.iter_batches(batch_size=size, columns=self._columns)
        self._held = schema.empty_table()
        self._samples = np.zeros(0, np.int64)
        self.complete: float = 0
        """All rows of samples below this number are held."""

    def more(self) -> None:
        """Hold another batch."""
        with reading(self._side.location, self._path):
            batch = next(self._batches, None)
            if batch is None:
                self.complete = math.inf
                return
            rows = pa.Table.from_batches([batch]).select(self._columns)
            samples = np.concatenate([self._samples, rows.column(0).to_numpy()])
            if (np.diff(samples, prepend=0) < 0).any():
                raise self._side.damaged(self._path, "its rows are not in order of the samples")
            self._held, self._samples = pa.concat_tables([self._held, rows]), samples
            self.complete = int(samples[-1]) + (0 if self._repeated else 1)

    def until(self, stop: int) -> pa.Table:
        """Return the rows of all samples below ``stop``, where none has been taken."""
        while self.complete < stop:
            self.more()
        return self.take(0, stop)

    def take(self, start: int, stop: int) -> pa.Table:
        """Return the rows of the samples ``start`` … ``stop - 1``, of which all are held and those before are taken.

        Raises
        ------
        ReleaseError
            There is not one row for each sample, where that must be so.
        """
        count = int(np.searchsorted(self._samples, stop))
        if not self._repeated and count != stop - start:
            raise self._side.damaged(
                self._path, f"it has {count} rows of the samples {start} … {stop - 1}"
            )
        taken = self._held.slice(0, count)
        self._held, self._samples = self._held.slice(count), self._samples[count:]
        return taken


def together(
    old: Rows, new: Rows, start: int, stop: int
) -> Iterator[tuple[int, int, pa.Table, pa.Table]]:
    """Yield the rows that two sides have of the same samples, a range of samples after another."""
    while start < stop:
        behind = old if old.complete <= new.complete else new
        if behind.complete <= start:
            behind.more()
            continue
        end = int(min(behind.complete, stop))
        yield start, end, old.take(start, end), new.take(start, end)
        start = end
