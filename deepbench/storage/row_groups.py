"""Parquet files that are read by the thread that asks: whole, or single rows without decoding those around them.

Threads of Arrow can still let go of a Python file while the interpreter ends, and then abort the process
(https://github.com/apache/arrow/issues/34314).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = 2**26
"""Bytes of decoded rows that are kept; the last group of rows is kept whatever its size."""


def read_columns(opened: BinaryIO, columns: list[str] | None = None) -> pa.Table:
    """Read columns of a Parquet file, all when absent."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(opened, pre_buffer=False) as file:
        rows = file.read(columns, use_threads=False)
    return rows if columns is None else rows.select(columns)  # "a" reads "a.b", too


def read_between(opened: BinaryIO, column: str, start: int, stop: int) -> pa.Table:
    """Read the rows of a Parquet file in which a column of whole numbers is ``start`` … ``stop - 1``."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(opened, pre_buffer=False) as file:
        place, groups = file.schema_arrow.names.index(column), []
        for group in range(file.num_row_groups):
            known = file.metadata.row_group(group).column(place).statistics
            if known is None or not known.has_min_max or (known.min < stop and known.max >= start):
                groups.append(group)
        rows = file.read_row_groups(groups, use_threads=False)
    values = rows[column]
    return rows.filter(pc.and_(pc.greater_equal(values, start), pc.less(values, stop)))


class RowGroups:
    """Rows of a Parquet file. The groups that were decoded last are kept.

    Parameters
    ----------
    opened : callable
        Opens the file.
    columns : list of str
        Columns to read.
    """

    def __init__(
        self, opened: Callable[[], AbstractContextManager[BinaryIO]], columns: list[str]
    ) -> None:
        self._opened, self._columns = opened, columns
        self._ends: list[int] | None = None
        self._kept: dict[int, pa.Table] = {}

    def row(self, index: int) -> pa.Table | None:
        """Return a row as a table; None where the file ends before it."""
        if self._ends is None:
            with self._opened() as file:
                self._ends = _ends(file)
        group = int(np.searchsorted(self._ends, index, side="right"))
        if group == len(self._ends):
            return None
        rows = self._kept.pop(group, None)
        if rows is None:
            rows = self._read(group)
        self._kept[group] = rows  # the order is that of use
        while len(self._kept) > 1 and sum(each.nbytes for each in self._kept.values()) > KEPT:
            del self._kept[next(iter(self._kept))]
        return rows.slice(index - self._ends[group] + len(rows), 1)

    def _read(self, group: int) -> pa.Table:
        import pyarrow.parquet as pq

        with self._opened() as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
            return file.read_row_group(group, self._columns, use_threads=False)


def _ends(opened: BinaryIO) -> list[int]:
    """Return for each group of rows the number of rows up to its end."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(opened, pre_buffer=False) as file:
        counts = [file.metadata.row_group(each).num_rows for each in range(file.num_row_groups)]
    return list(accumulate(counts))
