"""HEALPix maps in FITS files: a column of a binary table that says NSIDE and ORDERING (Górski et al. 2005)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.language.inputs.fits import Hdu, Image, hdus_of, read_columns, text_of, whole_of
from deepbench.language.plain import unknown

MAXIMUM_NSIDE = 8192

SCHEMES = {"RING": False, "NEST": True, "NESTED": True}
"""Whether pixels are in NEST order, by what ORDERING says."""

ELEMENTS = 2**20
"""Number of pixels that are looked at together."""


class HealpixMap(NamedTuple):
    """A map in a file.

    Attributes
    ----------
    nside : int
    nest : bool
        Whether its pixels are in NEST order; else in RING order.
    column : Image
        Its values as they stand in the file, of shape (rows, elements).
    numbers : Image, optional
        Numbers of the pixels, one a row; all pixels in order when absent.
    """

    nside: int
    nest: bool
    column: Image
    numbers: Image | None

    def pieces(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Yield numbers of pixels and their values, some at a time; NaN and UNSEEN stand as they are."""
        rows, width = self.column.pixels.shape
        step = max(1, ELEMENTS // width)
        for first in range(0, rows, step):
            some = slice(first, min(first + step, rows))
            values = self.column._replace(pixels=self.column.pixels[some]).physical().ravel()
            if self.numbers is None:
                yield np.arange(some.start * width, some.stop * width), values
            else:
                numbers = self.numbers._replace(pixels=self.numbers.pixels[some, 0])
                yield numbers.physical().astype(np.int64), values


def read_healpix(content: bytes, column: str | None) -> HealpixMap:
    """Return a map of a FITS file.

    Parameters
    ----------
    content : bytes
        Of the file.
    column : str, optional
        Which column of its table; the only one when absent.

    Raises
    ------
    ValueError
        With what is wrong, in words that follow on the file's name.
    """
    for table in hdus_of(content):
        if table.is_table and (
            "NSIDE" in table.cards or text_of(table.cards, "PIXTYPE") == "HEALPIX"
        ):
            return _map(content, table, column)
    raise ValueError("has no HEALPix map: no binary table says NSIDE")


def _map(content: bytes, table: Hdu, column: str | None) -> HealpixMap:
    cards, columns = table.cards, read_columns(content, table)
    explicit = text_of(cards, "INDXSCHM") == "EXPLICIT" or text_of(cards, "OBJECT") == "PARTIAL"
    numbers = columns.pop("PIXEL", None) if explicit else None
    chosen = only_column(columns, column)
    scheme = text_of(cards, "ORDERING").upper()
    if scheme not in SCHEMES:
        raise ValueError(
            f"does not say in which order its pixels are: its ORDERING is {scheme!r}, not RING or NESTED"
        )
    count = chosen.pixels.size
    nside = whole_of(cards, "NSIDE", math.isqrt(count // 12))
    if not 1 <= nside <= MAXIMUM_NSIDE or (SCHEMES[scheme] and nside & (nside - 1)):
        raise ValueError(
            f"has the nside {nside}; allowed is 1 to {MAXIMUM_NSIDE}, in NEST order powers of two"
        )
    if explicit:
        _check_numbers(numbers, chosen, 12 * nside**2)
    elif count != 12 * nside**2:
        raise ValueError(f"has {count:,} pixels, a map of nside {nside} has {12 * nside**2:,}")
    return HealpixMap(nside, SCHEMES[scheme], chosen, numbers)


def _check_numbers(numbers: Image | None, column: Image, count: int) -> None:
    """Refuse a part of a map whose pixels are not numbered as they should be."""
    if numbers is None or numbers.pixels.shape[1] != 1 or column.pixels.shape[1] != 1:
        raise ValueError(
            "is a part of a map, but has no column PIXEL with the number of each pixel"
        )
    found = numbers.physical()
    if not (found.min() >= 0 and found.max() < count):
        raise ValueError(f"has a pixel with a number outside of 0 … {count - 1:,}")


def only_column(columns: dict[str, Image], name: str | None) -> Image:
    """Return the column of that name, or the only one; raises ValueError where there is none, or a choice."""
    if not columns:
        raise ValueError("has no column of numbers")
    if name is None:
        if len(columns) > 1:
            raise ValueError(f"has the columns {', '.join(columns)}: choose one with `column`")
        return next(iter(columns.values()))
    if name not in columns:
        raise ValueError(f"cannot be used: {unknown('column', name, columns)}")
    return columns[name]
