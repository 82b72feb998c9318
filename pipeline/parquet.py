"""The Parquet files of a release: the fields of their columns, and their rows read back by ranges of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deepbench import format as fmt
from deepbench.errors import ReleaseError
from deepbench.labelling.scopes import Column, Labels
from deepbench.storage.row_groups import read_between

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from deepbench.storage.locations import Location
    from deepbench.tables import Table

DIGEST_TYPE = pa.binary(16)
"""Type of the columns of digests."""


def read_rows(
    location: Location, table: str, columns: list[str], start: int, stop: int
) -> pa.Table:
    """Return columns of the samples ``start`` … ``stop - 1`` of a table of a release.

    Raises
    ------
    ReleaseError
        The file holds fewer rows.
    """
    path = f"{fmt.METADATA}/{table}.parquet"
    with location.open(path) as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
        counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        ends = np.cumsum([0, *counts])
        if stop > ends[-1]:
            raise ReleaseError(f"{location.locate(path)} ends before sample {stop - 1}")
        first = int(np.searchsorted(ends, start, side="right")) - 1
        last = int(np.searchsorted(ends, stop, side="left"))
        rows = file.read_row_groups(list(range(first, last)), columns=columns)
        return rows.slice(start - int(ends[first]), stop - start)


def batches(location: Location, table: str, columns: list[str]) -> Iterator[pa.Table]:
    """Yield columns of a table of a release, ``ROW_GROUP`` samples at a time."""
    path = f"{fmt.METADATA}/{table}.parquet"
    with location.open(path) as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns)


def row_count(location: Location, path: str) -> int:
    """Return the number of rows of a Parquet file of a release."""
    with location.open(path) as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
        return file.metadata.num_rows


def read_labels(location: Location, table: Table[Any], start: int, stop: int) -> Labels:
    """Return the labels of the samples ``start`` … ``stop - 1`` of a table of a release.

    Raises
    ------
    ReleaseError
        A column holds a word that the recipe does not know, or rows are missing.
    """
    plan = table.plan
    rows = read_rows(location, table.name, [column.name for column in plan.columns], start, stop)
    columns = {column.name: numbers(rows.column(column.name), column) for column in plan.columns}
    if not plan.object_columns:
        return Labels(columns)
    with location.open(f"{fmt.METADATA}/{table.name}.objects.parquet") as opened:
        long = read_between(opened, "sample", start, stop)
    objects = {each.name: numbers(long.column(each.name), each) for each in plan.object_columns}
    return Labels(columns, objects, plan.repeated_names)


def numbers(values: pa.ChunkedArray, column: Column) -> NDArray:
    """Return a column as numbers: words as their codes.

    Raises
    ------
    ReleaseError
        It holds a word that is no meaning of the column, or nothing.
    """
    array = values.combine_chunks()
    if column.meanings:
        array = pc.index_in(array.cast(pa.string()), pa.array(column.meanings))
    if array.null_count:
        raise ReleaseError(f"column '{column.name}' holds something that the recipe does not know")
    return array.to_numpy(zero_copy_only=False).astype(column.dtype, copy=False)


def digest_array(digests: list[bytes]) -> pa.Array:
    """Return digests as a column."""
    buffers = [None, pa.py_buffer(b"".join(digests))]
    return pa.FixedSizeBinaryArray.from_buffers(DIGEST_TYPE, len(digests), buffers)


def digest_bytes(column: pa.ChunkedArray) -> bytes:
    """Return the digests of some samples, one after another."""
    array = column.combine_chunks()
    return array.buffers()[1].slice(16 * array.offset, 16 * len(array)).to_pybytes()


def plain_type(column: Column) -> pa.DataType:
    """Return the type of a column in CSV."""
    return pa.string() if column.meanings else pa.from_numpy_dtype(column.dtype)


def field_of(column: Column) -> pa.Field:
    """Return the field of a column in Parquet: words as a dictionary, with unit and description."""
    kind = pa.dictionary(pa.int16(), pa.string()) if column.meanings else plain_type(column)
    return pa.field(column.name, kind, metadata=notes_of(column))


def description_of(field: pa.Field) -> str | None:
    """Return what a field in Parquet says of its column; None where it says nothing."""
    words = (field.metadata or {}).get(b"description")
    return None if words is None else words.decode()


def notes_of(column: Column) -> dict[str, str]:
    """Return what a column's field in Parquet says of it."""
    notes = {"description": column.description}
    return notes if column.meanings else notes | {"unit": column.unit}
