"""Tables in binary files: Parquet by pyarrow, and the first binary table of a FITS file by astropy.

What a file says of its own size is checked before anything is decoded: a small file may stand for gigabytes.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from deepbench.errors import install
from deepbench.language.inputs.fits import BLOCK, hdus_of

if TYPE_CHECKING:
    import pyarrow

MAXIMUM_FOOTER = 2**24
"""Bytes of the footer of a Parquet file."""

MAXIMUM_TEXT = 2**26
"""Bytes of a column of words in a Parquet file, decoded."""

MAXIMUM_FITS_BYTES = 2**25
"""Size of a FITS file, which is read whole."""

BATCH = 2**16
"""Rows that are read at a time."""

_MAGIC = b"PAR1"
_NUMBER = re.compile("1?[BIJKED]")
_WORD = re.compile("[0-9]*A.*")


class ParquetTable:
    """A Parquet file; attributes and errors are those of ``TextTable``."""

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow
        from pyarrow import parquet

        size = file.seek(0, 2)
        file.seek(max(size - 8, 0))
        end = file.read()
        if size < 12 or end[4:] != _MAGIC:
            raise ValueError("is no Parquet file: it does not end with PAR1")
        footer = int.from_bytes(end[:4], "little")
        if footer > MAXIMUM_FOOTER:
            raise ValueError(f"has a footer of {footer:,} bytes, at most {MAXIMUM_FOOTER:,}")
        self._file = file
        try:
            self._parquet = parquet.ParquetFile(file, pre_buffer=False)
            self._schema = self._parquet.schema_arrow
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise ValueError(f"is no Parquet file: {error}") from error
        self.names = tuple(self._schema.names)
        self.rows: int | None = self._parquet.metadata.num_rows

    def numeric(self) -> list[int]:
        """Return the columns of numbers."""
        from pyarrow import types

        return [
            number
            for number, field in enumerate(self._schema)
            if types.is_integer(field.type) or types.is_floating(field.type)
        ]

    def chunks(self, columns: list[int]) -> Iterator[list[pyarrow.Array]]:
        """Yield the cells of columns, some rows at a time; those of words as codes with their dictionary."""
        import pyarrow
        from pyarrow import parquet, types

        names = [self.names[number] for number in columns]
        coded = [name for name in names if types.is_string(self._schema.field(name).type)]
        self._check_words(set(coded))
        try:
            opened = parquet.ParquetFile(
                self._file, pre_buffer=False, buffer_size=BATCH, read_dictionary=coded
            )
            for batch in opened.iter_batches(BATCH, columns=names, use_threads=False):
                yield [batch.column(batch.schema.get_field_index(name)) for name in names]
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"is damaged: {error}") from error

    def _check_words(self, names: set[str]) -> None:
        """Refuse columns of words that take more memory than a column may."""
        if not names:
            return
        sizes = dict.fromkeys(names, 0)
        metadata = self._parquet.metadata
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                if column.path_in_schema in names:
                    sizes[column.path_in_schema] += column.total_uncompressed_size
        for name, size in sizes.items():
            if size > MAXIMUM_TEXT:
                raise ValueError(
                    f"decodes column {name!r} to {size:,} bytes, at most {MAXIMUM_TEXT:,}"
                )


class FitsTable:
    """The first binary table of a FITS file; attributes and errors are those of ``TextTable``."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            from astropy.io import fits
        except ImportError as error:
            raise ValueError(
                f"is a FITS table, which astropy reads; install it with `{install('fits')}`, "
                "or write the table as Parquet"
            ) from error
        content = _table_of(file)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is odd in a header, but does not matter
                self._table = fits.BinTableHDU.fromstring(content, uint=True)
                self.names = tuple(map(str, self._table.columns.names))
                self.rows: int | None = len(self._table.data)
        except Exception as error:  # astropy raises errors of every kind about a damaged file
            raise ValueError(f"is damaged: {error}") from error

    def numeric(self) -> list[int]:
        """Return the columns of numbers."""
        return [i for i in range(len(self.names)) if _NUMBER.fullmatch(self._format(i))]

    def chunks(self, columns: list[int]) -> Iterator[list[pyarrow.Array]]:
        """Yield the cells of columns, some rows at a time."""
        for start in range(0, self.rows or 0, BATCH):
            yield [self._cells(number, slice(start, start + BATCH)) for number in columns]

    def _format(self, number: int) -> str:
        return str(self._table.columns[number].format)

    def _cells(self, number: int, part: slice) -> pyarrow.Array:
        """Return some rows of a column; whole numbers that stand for none are null."""
        import pyarrow
        from pyarrow import compute

        name, kind = self.names[number], self._format(number)
        if not _NUMBER.fullmatch(kind) and not _WORD.fullmatch(kind):
            raise ValueError(
                f"has the format {kind!r} in column {name!r}; formats of numbers are B, I, J, K, E and D, of words A"
            )
        null = self._table.columns[number].null
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = self._table.data[part]
                rows = data.view(np.ndarray)
                stored = np.ascontiguousarray(rows[rows.dtype.names[number]])
                if stored.dtype.kind == "S":
                    return compute.utf8_rtrim_whitespace(pyarrow.array(stored).cast("string"))
                values = data.field(number)
                values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
                is_null = stored == null if null is not None and stored.dtype.kind in "iu" else None
                return pyarrow.array(values, mask=is_null)
        except Exception as error:  # as above
            raise ValueError(f"is damaged: column {name!r}: {error}") from error


def _table_of(file: BinaryIO) -> bytes:
    """Return header and data of the first binary table that is not a compressed image."""
    size = file.seek(0, 2)
    if size > MAXIMUM_FITS_BYTES:
        raise ValueError(
            f"has {size:,} bytes, a FITS file at most {MAXIMUM_FITS_BYTES:,}; write the table as Parquet"
        )
    file.seek(0)
    content, start = file.read(), 0
    for hdu in hdus_of(content):
        stop = hdu.start + -(-hdu.size // BLOCK) * BLOCK
        if hdu.is_table and "ZIMAGE" not in hdu.cards:
            if stop > len(content):
                raise ValueError("is damaged: it ends within its table")
            return content[start:stop]
        start = stop
    raise ValueError("has no binary table")
