"""Tables in files that recipes name, for catalogues, cadences and spectra alike: CSV, ECSV, Parquet and FITS.

A column is found by its name, whatever the case of its letters. Where several differ in case only, the one that is
written as asked for is taken.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, field_validator

from deepbench.errors import LabelError
from deepbench.language.inputs.binary_tables import FitsTable, ParquetTable
from deepbench.language.inputs.cells import Rounded, identifiers, numbers, words
from deepbench.language.inputs.files import NamedFile, check_same, hash_of, opened
from deepbench.language.inputs.fits import ENDINGS as FITS_ENDINGS
from deepbench.language.inputs.text_tables import TextTable
from deepbench.language.plain import nearest, show, unknown
from deepbench.language.specification import Name, problem

if TYPE_CHECKING:
    import pyarrow

MAXIMUM_CELLS = 2**22
"""Numbers that are taken from a table: 32 MiB."""

MAXIMUM_WORDS = 1000
"""Different words in a column."""

LISTED = 40
"""Largest number of columns that a message lists."""


class Renames(dict[str, str]):
    """Names of columns in a file by those that they have in a recipe; never changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


RenamedColumns = Annotated[
    dict[Name, Annotated[str, Field(min_length=1, max_length=200)]], AfterValidator(Renames)
]
"""Columns under other names than the file's, ``{mag: MAG_AUTO}``."""


TEXT_ENDINGS = (".csv", ".ecsv", ".txt", ".dat")
"""Endings of the names of files whose lines have cells between commas."""


class Wanted(NamedTuple):
    """A column that is asked for.

    Attributes
    ----------
    name, column : str
        Its name in the recipe, and in the file.
    kind : str
        What its cells are taken as.
    needed : bool
        Whether it must be there.
    key : str
        How a recipe says which column is meant, with NAME for its name in the file.
    """

    name: str
    column: str
    kind: Literal["number", "identifier", "word"] = "number"
    needed: bool = True
    key: str = "columns: {{{name}: NAME}}"


class Words(NamedTuple):
    """A column of words: which there are, and the number of each cell's."""

    names: tuple[str, ...]
    codes: NDArray[np.int16]


class Source(NamedTuple):
    """A file with a table.

    Attributes
    ----------
    path : Path
    what : str
        What messages call it.
    most : int
        Its largest size in bytes.
    kept : bool
        Whether it is the copy in a release, which has as many rows as were accepted then.
    inline_comments : bool
        Whether the rest of any line of text behind a # is a comment.
    """

    path: Path
    what: str
    most: int
    kept: bool = False
    inline_comments: bool = False


class Columns(NamedTuple):
    """Columns of a table by the names that they have in the recipe.

    Attributes
    ----------
    numbers : dict of str to float64[n]
    identifiers : dict of str to int64[n]
    words : dict of str to Words
    rounded : str
        What is to be said of an integer that float64 does not hold exactly; nothing where there is none.
    """

    numbers: dict[str, NDArray[np.float64]]
    identifiers: dict[str, NDArray[np.int64]]
    words: dict[str, Words]
    rounded: str


class AnyTable(Protocol):
    """Table of any format; what is wrong with it is a ValueError in words that follow on the file's name.

    Attributes
    ----------
    names : tuple of str
        Names of the columns.
    rows : int, optional
        Number of rows, where it is known before they are read.
    """

    names: tuple[str, ...]
    rows: int | None

    def numeric(self) -> list[int]:
        """Return the columns of numbers."""

    def chunks(self, columns: list[int]) -> Iterator[list[pyarrow.Array]]:
        """Yield the cells of columns, some rows at a time."""


@contextmanager
def table_in(source: Source, sha256: str) -> Iterator[AnyTable]:
    """Open the table in a file whose content has a given SHA-256.

    Raises
    ------
    LabelError
        The file cannot be read, has changed, or holds no table.
    """
    path = source.path
    with opened(path, source.what, source.most) as file:
        check_same(path, hash_of(file), sha256)
        ending = path.suffix.lower()
        if ending not in (*TEXT_ENDINGS, ".parquet", *FITS_ENDINGS):
            raise LabelError(f"{path} must be a .csv, .ecsv, .txt, .dat, .parquet or .fits file")
        try:
            if ending == ".parquet":
                yield ParquetTable(file)
            elif ending in FITS_ENDINGS:
                yield FitsTable(file)
            else:
                yield TextTable(file, source.inline_comments)
        except LabelError:
            raise
        except ValueError as error:
            raise LabelError(f"{path} {error}") from error


def numeric_columns(source: Source, sha256: str) -> list[str]:
    """Return the names of the columns of numbers; raises what ``table_in`` does."""
    with table_in(source, sha256) as table:
        return [table.names[column] for column in table.numeric()]


def columns_of(source: Source, sha256: str, wanted: tuple[Wanted, ...]) -> Columns:
    """Return columns of a table.

    Raises
    ------
    LabelError
        The file cannot be read, has changed, or holds no table; it lacks a column, has no or too many rows, or a cell
        is not what it is taken as.
    """
    path = source.path
    with table_in(source, sha256) as table:
        found = [(each, _find(table.names, each, path)) for each in wanted]
        present = [(each, column) for each, column in found if column is not None]
        held = {each.name: _Held(each.kind) for each, _ in present}
        counted = sum(each.kind != "word" for each, _ in present)
        rows, rounded = 0, ""
        _check_size(source, table.rows or 0, counted)
        read = sorted({column for _, column in present})
        for chunk in table.chunks(read):
            cells = dict(zip(read, chunk, strict=True))
            _check_size(source, rows + len(chunk[0]), counted)
            for each, column in present:
                what = f"column {table.names[column]!r} of {path.name}"
                first_rounded = held[each.name].add(cells[column], what, rows + 1)
                if first_rounded is not None and not rounded:
                    rounded = _rounded_text(what, first_rounded)
            rows += len(chunk[0])
        if not rows:
            raise LabelError(f"{path} has no rows")
        return Columns(
            {name: each.values() for name, each in held.items() if each.kind == "number"},
            {name: each.values() for name, each in held.items() if each.kind == "identifier"},
            {name: each.words() for name, each in held.items() if each.kind == "word"},
            rounded,
        )


class _Held:
    """A column, held as it is read; it grows in place, so that it is never in memory twice."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._bytes = bytearray()
        self._codes: dict[str, int] = {}

    def add(self, cells: pyarrow.Array, what: str, first: int) -> Rounded | None:
        """Add cells; return the first integer that was rounded. Takes and raises what ``cells.numbers`` does."""
        rounded: Rounded | None = None
        values: NDArray
        if self.kind == "number":
            values, rounded = numbers(cells, what, first)
        elif self.kind == "identifier":
            values = identifiers(cells, what, first)
        else:
            values = self._coded(words(cells, what, first), what)
        self._bytes += values.tobytes()
        return rounded

    def values(self) -> NDArray:
        """Return numbers or identifiers, read-only."""
        dtype = np.float64 if self.kind == "number" else np.int64
        found = np.frombuffer(self._bytes, dtype)
        found.flags.writeable = False
        return found

    def words(self) -> Words:
        """Return words."""
        return Words(tuple(self._codes), np.frombuffer(self._bytes, np.int16))

    def _coded(self, part: pyarrow.DictionaryArray, what: str) -> NDArray[np.int16]:
        """Return words, whose dictionary is that of a part, as the numbers that they have in all."""
        own: list[int] = []
        if len(part.dictionary) <= MAXIMUM_WORDS:
            names = map(str, part.dictionary.to_pylist())
            own = [self._codes.setdefault(name, len(self._codes)) for name in names]
        if max(len(part.dictionary), len(self._codes)) > MAXIMUM_WORDS:
            raise LabelError(f"{what} holds more than {MAXIMUM_WORDS:,} different words")
        return np.array(own, np.int16)[part.indices.to_numpy(zero_copy_only=False)]


def _rounded_text(what: str, rounded: Rounded) -> str:
    return (
        f"{what} holds integers beyond 2**53, which numbers round: row {rounded.row} is {rounded.value}; "
        "if it identifies something, list it in `identifiers`, else leave it out of `columns`"
    )


def _check_size(source: Source, rows: int, columns: int) -> None:
    """Refuse more numbers than are taken from a table."""
    if rows * columns > MAXIMUM_CELLS and not source.kept:
        raise LabelError(
            f"{source.path} has {rows:,} rows or more and {columns} columns of numbers to take; "
            f"at most {MAXIMUM_CELLS:,} numbers are taken: give a file with fewer rows, or take fewer columns"
        )


def _find(names: tuple[str, ...], wanted: Wanted, path: Path) -> int | None:
    """Return the number of a column; None where it is not there and need not be."""
    word = wanted.column
    equal = [number for number, name in enumerate(names) if name == word]
    alike = [number for number, name in enumerate(names) if name.lower() == word.lower()]
    found = equal or alike
    if len(found) == 1:
        return found[0]
    if not found and not wanted.needed:
        return None
    if found:
        same = ", ".join(show(names[number]) for number in found)
        raise LabelError(f"{path} has several columns {word!r}: {same}; give them other names")
    near = nearest(word.lower(), [name.lower() for name in names])
    hint = "." if near is None else f"; did you mean {near!r}?"
    raise LabelError(
        f"{path} has no column {word!r}{hint} Its columns: {listed(names)}; "
        f"`{wanted.key.format(name=wanted.name)}` says which is meant"
    )


def listed(names: tuple[str, ...]) -> str:
    """Return names of columns for a message."""
    few = ", ".join(show(name) for name in names[:LISTED])
    return few + (f", … ({len(names):,} in all)" if len(names) > LISTED else "")


class TableFile(NamedFile):
    """Base of what is read from some columns of a table in a file.

    Attributes
    ----------
    wanted : tuple of Wanted
        Its columns.
    """

    wanted: ClassVar[tuple[Wanted, ...]]

    columns: RenamedColumns | None = Field(
        None, description="columns that have other names in the file, such as {time: BJD}"
    )

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: Renames | None) -> Renames | None:
        names = [each.name for each in cls.wanted]
        for name in columns or ():
            if name not in names:
                raise problem(unknown("column", name, names), "unknown_name")
        return columns

    @classmethod
    @abstractmethod
    def read(
        cls, path: Path, sha256: str, columns: Renames | None = None, kept: bool = False
    ) -> Any:
        """Return what is in a file of this SHA-256; raises LabelError where it has changed or cannot be used.

        Parameters
        ----------
        path : Path
        sha256 : str
        columns : Renames, optional
        kept : bool
            Whether it is the copy in a release.
        """

    @classmethod
    def columns_in(cls, path: Path, sha256: str, columns: Renames | None, kept: bool) -> Columns:
        """Return its columns of a file; takes what ``read`` does."""
        names: Mapping[str, str] = columns or {}
        wanted = tuple(each._replace(column=names.get(each.name, each.name)) for each in cls.wanted)
        source = Source(path, cls.what, cls.most, kept, inline_comments=True)
        return columns_of(source, sha256, wanted)

    def loaded(self) -> Any:
        """Return what is in its file; raises LabelError where it has changed or cannot be used."""
        columns = None if self.columns is None else Renames(self.columns)
        return self.read(self._path, self.sha256, columns, self.is_kept)

    def check_file(self) -> None:
        """Read the file; raises LabelError where it cannot be used."""
        self.loaded()


def is_renaming(data: Any) -> bool:
    """Return whether data of a recipe give columns other names."""
    return isinstance(data, Mapping) and all(isinstance(name, str) for name in data.values())
