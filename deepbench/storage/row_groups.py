"""Single rows of a Parquet file, without decoding the rows around them for each one."""

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

        with self._opened() as opened, pq.ParquetFile(opened) as file:
            return file.read_row_group(group, self._columns)


def _ends(opened: BinaryIO) -> list[int]:
    """Return for each group of rows the number of rows up to its end."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(opened) as file:
        counts = [file.metadata.row_group(each).num_rows for each in range(file.num_row_groups)]
    return list(accumulate(counts))
