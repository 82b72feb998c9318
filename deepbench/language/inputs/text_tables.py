"""Tables as text: CSV, and ECSV (Astropy Proposal for Enhancement 6), read in pieces of whole lines.

Lines that begin with # and empty ones are left out, wherever they stand; the first line that is left names the columns.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from deepbench.language.inputs.cells import are_numbers

if TYPE_CHECKING:
    import pyarrow

PIECE = 2**18
"""Bytes that are read at a time."""

MAXIMUM_LINE = 2**22
"""Bytes of a line."""

MAXIMUM_COLUMNS = 10_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COMMAS = re.compile(rb"^# delimiter: *['\"]?,", re.MULTILINE)
_COMMENT = re.compile(rb"#[^\n]*")
_ROW = re.compile(r"Row #\d+: ")
_TO_CLEAN = (b"#", b"\n\n", b"\n ", b"\n\t")


class TextTable:
    """A CSV or ECSV file.

    Parameters
    ----------
    file : binary file
    inline_comments : bool
        Whether the rest of any line behind a # is a comment.

    Attributes
    ----------
    names : tuple of str
        Names of the columns.
    rows : int, optional
        Number of rows; None, as it is known when all are read.

    Raises
    ------
    ValueError
        With what is wrong, in words that follow on the file's name.
    """

    def __init__(self, file: BinaryIO, inline_comments: bool = False) -> None:
        self._file = file
        self._inline = inline_comments
        self.rows: int | None = None
        head = file.read(2**16).removeprefix(_BYTE_ORDER_MARK)
        enhanced = head.startswith(b"# %ECSV")
        self._delimiter = " " if enhanced and not _COMMAS.search(head) else ","
        self.names = self._header()

    def numeric(self) -> list[int]:
        """Return the columns whose cells are numbers, or nothing; there is a number in each of them."""
        possible, found, is_empty = set(range(len(self.names))), set(), True
        for cells in self.chunks(list(possible)):
            for column in sorted(possible):
                state = are_numbers(cells[column])
                if state is False:
                    possible.remove(column)
                elif state:
                    found.add(column)
            is_empty = False
        if is_empty:
            raise ValueError("has no rows")
        return sorted(found & possible)

    def chunks(self, columns: list[int]) -> Iterator[list[pyarrow.Array]]:
        """Yield the cells of columns, as text without the space around it, some rows at a time."""
        import pyarrow
        from pyarrow import compute
        from pyarrow import csv as reader

        everything = [str(number) for number in range(len(self.names))]
        wanted = [str(column) for column in columns]
        parsing = reader.ParseOptions(delimiter=self._delimiter)
        for piece in self._rows():
            reading = reader.ReadOptions(
                column_names=everything, use_threads=False, block_size=len(piece) + 1
            )
            converting = reader.ConvertOptions(
                column_types=dict.fromkeys(wanted, pyarrow.string()),
                include_columns=wanted,
                strings_can_be_null=False,
            )
            try:
                table = reader.read_csv(pyarrow.BufferReader(piece), reading, parsing, converting)
            except pyarrow.ArrowException as error:
                raise ValueError(f"is no CSV file: {_ROW.sub('', str(error))}") from error
            yield [compute.utf8_trim_whitespace(table[name].combine_chunks()) for name in wanted]

    def _header(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        line = next(self._lines(), b"").partition(b"\n")[0]
        if not line:
            raise ValueError("is empty: a table begins with the names of its columns")
        try:
            text = line.decode("utf-8")
            names = next(csv.reader([text], delimiter=self._delimiter, skipinitialspace=True))
        except UnicodeDecodeError as error:
            raise ValueError("is no CSV file: its first line is no text in UTF-8") from error
        except csv.Error as error:
            raise ValueError(f"is no CSV file: {error}") from error
        if len(names) > MAXIMUM_COLUMNS:
            raise ValueError(f"has {len(names):,} columns, at most {MAXIMUM_COLUMNS:,}")
        return tuple(name.strip() for name in names)

    def _rows(self) -> Iterator[bytes]:
        """Yield the lines behind the header, some at a time."""
        is_first = True
        for lines in self._lines():
            rows = lines.partition(b"\n")[2] if is_first else lines
            is_first = False
            if rows:
                yield rows

    def _lines(self) -> Iterator[bytes]:
        """Yield lines that are neither comments nor empty, some at a time, and no empty piece."""
        self._file.seek(0)
        held, is_first, is_last = b"", True, False
        while not is_last:
            read = self._file.read(PIECE)
            is_last = not read
            if is_first:
                read, is_first = read.removeprefix(_BYTE_ORDER_MARK), False
            read = held + read
            end = len(read) if is_last else max(read.rfind(b"\n"), read.rfind(b"\r")) + 1
            held = read[end:]
            if len(held) > MAXIMUM_LINE:
                raise ValueError(f"has a line of more than {MAXIMUM_LINE:,} bytes")
            lines = self._cleaned(read[:end])
            if lines:
                yield lines

    def _cleaned(self, lines: bytes) -> bytes:
        """Return lines that end as in Unix, without comments and empty ones."""
        if b"\r" in lines:
            lines = lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if lines[:1] in (b"\n", b" ", b"\t") or any(mark in lines for mark in _TO_CLEAN):
            if self._inline:
                lines = _COMMENT.sub(b"", lines)
            kept = [line for line in lines.split(b"\n") if line.lstrip()[:1] not in (b"", b"#")]
            lines = b"\n".join(kept)
        return lines
