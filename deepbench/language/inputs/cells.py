"""Cells of a table's column as numbers, identifiers or words, each refused where it is not what is asked for."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.language.plain import EXACT, show

if TYPE_CHECKING:
    import pyarrow

NOTHING = ("", "NA", "N/A", "n/a", "null", "NULL", "None", "--")
"""Texts that stand for a missing number."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")


class Rounded(NamedTuple):
    """An integer that float64 does not hold: the number of its row, from 1, and what the file says."""

    row: int
    value: int


def _nothing() -> pyarrow.StringArray:
    """Return the texts that stand for nothing; ``pyarrow.array`` would import pandas, which takes 40 MiB."""
    import pyarrow

    ends = np.cumsum([0, *map(len, NOTHING)], dtype=np.int32)
    buffers = pyarrow.py_buffer(ends), pyarrow.py_buffer("".join(NOTHING).encode())
    return pyarrow.StringArray.from_buffers(len(NOTHING), *buffers)


def are_numbers(cells: pyarrow.Array) -> bool | None:
    """Return whether texts are numbers, but for those that stand for nothing; None where all do."""
    import pyarrow
    from pyarrow import compute

    is_missing = compute.is_in(cells, value_set=_nothing())
    filled = cells.filter(compute.invert(is_missing))
    if not len(filled):
        return None
    try:
        compute.cast(filled, "float64")
    except pyarrow.ArrowInvalid:
        return all(_number(text) is not None for text in filled.to_pylist())
    return True


def numbers(
    cells: pyarrow.Array, what: str, first: int
) -> tuple[NDArray[np.float64], Rounded | None]:
    """Return cells as numbers, and the first integer among them that was rounded.

    Parameters
    ----------
    cells : pyarrow.Array
        Texts or numbers.
    what : str
        What messages call the column.
    first : int
        Number of the first row.

    Raises
    ------
    LabelError
        A cell is not a finite number.
    """
    import pyarrow
    from pyarrow import types

    if types.is_string(cells.type):
        values = _numbers_in(cells)
    elif types.is_integer(cells.type) or types.is_floating(cells.type):
        with np.errstate(all="ignore"):
            values = _floats(cells.cast(pyarrow.float64(), safe=False))
    else:
        raise LabelError(f"{what} must hold numbers, not {cells.type}")
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argmax(bad))
        found = show(cells[row].as_py())
        raise LabelError(f"{what} must hold finite numbers, but row {first + row} is {found}")
    return values, _first_rounded(cells, values, first)


def identifiers(cells: pyarrow.Array, what: str, first: int) -> NDArray[np.int64]:
    """Return cells as identifiers; takes what ``numbers`` does.

    Raises
    ------
    LabelError
        A cell is not a whole number from 0 to 2⁶³ − 1.
    """
    import pyarrow
    from pyarrow import types

    if not types.is_string(cells.type) and not types.is_integer(cells.type):
        raise LabelError(f"{what} must hold identifiers, whole numbers, not {cells.type}")
    try:
        values = cells.cast(pyarrow.int64())
    except pyarrow.ArrowInvalid:
        values = pyarrow.array([_identifier(cell) for cell in cells.to_pylist()], pyarrow.int64())
    found = values.fill_null(-1).to_numpy(zero_copy_only=False)
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise LabelError(
            f"{what} must hold identifiers, whole numbers from 0 to 2**63 - 1, "
            f"but row {first + row} is {show(cells[row].as_py())}"
        )
    return found


def words(cells: pyarrow.Array, what: str, first: int) -> pyarrow.Array:
    """Return cells as words, as a dictionary array without nulls; takes what ``numbers`` does.

    Raises
    ------
    LabelError
        The column holds no text, or a cell is empty.
    """
    from pyarrow import types

    is_coded = types.is_dictionary(cells.type)
    kind = cells.type.value_type if is_coded else cells.type
    if not types.is_string(kind) and not types.is_large_string(kind):
        raise LabelError(f"{what} must hold words, not {kind}")
    if cells.null_count:
        row = int(np.argmax(cells.is_null().to_numpy(zero_copy_only=False)))
        raise LabelError(f"{what} must hold words, but row {first + row} has none")
    return cells if is_coded else cells.dictionary_encode()


def _floats(cells: pyarrow.DoubleArray) -> NDArray[np.float64]:
    """Return numbers, NaN where there is none, read-only; ``to_numpy`` would import pandas."""
    filled = cells.fill_null(math.nan) if cells.null_count else cells
    first = filled.offset
    return np.frombuffer(filled.buffers()[1], np.float64, first + len(filled))[first:]


def _numbers_in(texts: pyarrow.Array) -> NDArray[np.float64]:
    """Return the numbers that texts say; NaN where they say none."""
    import pyarrow

    try:
        return _floats(texts.cast(pyarrow.float64()))
    except pyarrow.ArrowInvalid:
        found = (_number(text) for text in texts.to_pylist())
        return np.array([math.nan if each is None else each for each in found])


def _number(text: str) -> float | None:
    """Return the number that a text says; None where it says none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _identifier(cell: Any) -> int:
    """Return the identifier in a cell; −1 where there is none."""
    text = "" if cell is None else str(cell)
    number = int(text) if len(text) <= 20 and _WHOLE.fullmatch(text) else -1
    return number if 0 <= number < 2**63 else -1


def _first_rounded(cells: pyarrow.Array, values: NDArray[np.float64], first: int) -> Rounded | None:
    """Return the first integer that is not the number that was made of it."""
    from pyarrow import types

    if types.is_floating(cells.type):
        return None
    large = np.flatnonzero(np.abs(values) >= EXACT).tolist()
    given = cells.to_pylist() if large else []
    for row in large:
        cell = given[row]
        if isinstance(cell, str) and not _WHOLE.fullmatch(cell):
            continue
        if int(cell) != int(values[row]):
            return Rounded(first + row, int(cell))
    return None
