"""Images and columns of numbers in FITS files (Pence et al. 2010, A&A 524, A42), without copies of the file.

They are what point spread functions, HEALPix maps and beams come in; compressed images are not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ENDINGS = (".fits", ".fit", ".fts")
"""Endings of the names of FITS files."""

BLOCK, CARD = 2880, 80

MAXIMUM_HEADER = 1000 * BLOCK
"""Bytes of a header: 36,000 cards."""

TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""Types of the pixels by BITPIX."""

FORMS = {
    letter: np.dtype(form)
    for letters, form in (
        ("LXBA", "u1"),
        ("I", ">i2"),
        ("J", ">i4"),
        ("K", ">i8"),
        ("E", ">f4"),
        ("D", ">f8"),
        ("PC", ">c8"),
        ("QM", ">c16"),
    )
    for letter in letters
}
"""Types of the elements of a table's cells by the letter of TFORM; those of P and Q have their size alone."""

NUMBERS = "LBIJKED"
"""Letters of the formats that are read: logical values and numbers."""

COUNTS = {1: "one", 2: "two", 3: "three"}

_FORM = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])(?:\(\d*\))?\S*")
_TEXT = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EeDd][+-]?\d+)?")


class Image(NamedTuple):
    """An array of numbers as it stands in a file.

    Attributes
    ----------
    pixels : ndarray of int or float, read-only
    scale, zero : float
        Physical values are zero + scale × pixel.
    blank : int, optional
        The pixel that stands for none.
    """

    pixels: NDArray
    scale: float = 1.0
    zero: float = 0.0
    blank: int | None = None

    def physical(self) -> NDArray[np.float64]:
        """Return the physical values, float64 in C order; those of ``blank`` are NaN."""
        with np.errstate(all="ignore"):  # what is not finite is refused by who reads it
            image = self.pixels.astype(np.float64, order="C")
            image *= self.scale
            image += self.zero
        if self.blank is not None:
            image[self.pixels == self.blank] = np.nan
        return image


class Hdu(NamedTuple):
    """A header and the data behind it.

    Attributes
    ----------
    cards : dict of str to str
        Values of the header's cards, as text.
    axes : list of int
        Lengths of the axes, the fastest first.
    dtype : dtype
        Type of the elements.
    start, size : int
        Where the data begin in the file, and how many bytes they have.
    is_primary : bool
    """

    cards: dict[str, str]
    axes: list[int]
    dtype: np.dtype
    start: int
    size: int
    is_primary: bool

    @property
    def name(self) -> str:
        """Its EXTNAME."""
        return text_of(self.cards, "EXTNAME")

    @property
    def is_image(self) -> bool:
        """Whether it may hold an image, of any number of dimensions."""
        return self.is_primary or text_of(self.cards, "XTENSION") == "IMAGE"

    @property
    def is_table(self) -> bool:
        """Whether it is a binary table."""
        plain = len(self.axes) == 2 and self.dtype.itemsize == 1
        return plain and text_of(self.cards, "XTENSION") == "BINTABLE"


def hdus_of(content: bytes) -> Iterator[Hdu]:
    """Yield the headers of a FITS file; raises ValueError with words that follow on the file's name."""
    if not content.startswith(b"SIMPLE  ="):
        raise ValueError("is not a FITS file: it does not begin with SIMPLE")
    start = 0
    while start < len(content):
        cards, data = _header(content, start)
        dtype = TYPES.get(whole_of(cards, "BITPIX"))
        if dtype is None:
            raise ValueError(f"is damaged: its BITPIX is {cards['BITPIX']}")
        axes = [whole_of(cards, f"NAXIS{i + 1}") for i in range(whole_of(cards, "NAXIS"))]
        if min(axes, default=0) < 0:
            raise ValueError("is damaged: an axis has a negative length")
        size = np.dtype(dtype).itemsize * _pixels(cards, axes)
        yield Hdu(cards, axes, np.dtype(dtype), data, size, start == 0)
        start = data + -(-size // BLOCK) * BLOCK


def read_image(
    content: bytes, most: int, dimensions: int = 2, hdu: int | str | None = None
) -> Image:
    """Return an image of a FITS file.

    Parameters
    ----------
    content : bytes
        Of the file.
    most : int
        The largest number of pixels along an axis.
    dimensions : int
        How many axes it has.
    hdu : int or str, optional
        The number of its HDU, from 0, or its EXTNAME; the first with an image of so many axes when absent.

    Returns
    -------
    Image
        Its pixels have the shape (…, NAXIS2, NAXIS1).

    Raises
    ------
    ValueError
        With what is wrong, in words that follow on the file's name.
    """
    wanted, found = hdu.casefold() if isinstance(hdu, str) else hdu, []
    for number, each in enumerate(hdus_of(content)):
        if each.is_table and each.name == "PSF_DATA":
            raise ValueError(
                "is a model of PSFEx, which is not read: draw it at a place, for instance by galsim.des.DES_PSFEx, and "
                "save that image"
            )
        if each.axes and each.is_image:
            found.append(f"HDU {number} has {' × '.join(map(str, each.axes[::-1]))}")
        if wanted not in (None, number, each.name.casefold()):
            continue
        if each.is_image and len(each.axes) == dimensions:
            return _image(content, each, most)
        if wanted is not None:
            break
    where = "" if hdu is None else f" in the HDU {hdu}"
    known = f"; {', '.join(found[:9])}" if found else "; compressed ones are not read"
    raise ValueError(f"has no image of {COUNTS[dimensions]} dimensions{where}{known}")


def _image(content: bytes, hdu: Hdu, most: int) -> Image:
    cards, shape = hdu.cards, hdu.axes[::-1]
    if max(shape) > most:
        sides = [" × ".join(map(str, each)) for each in (shape, [most] * len(shape))]
        raise ValueError(f"has {sides[0]} pixels, at most {sides[1]}")
    if hdu.start + hdu.size > len(content):
        raise ValueError("is damaged: it ends within its image")
    pixels = np.frombuffer(content, hdu.dtype, hdu.size // hdu.dtype.itemsize, hdu.start)
    if len(pixels) != math.prod(shape):
        raise ValueError("is damaged: an image has no groups and no heap")
    blank = whole_of(cards, "BLANK") if "BLANK" in cards and pixels.dtype.kind != "f" else None
    scale, zero = number_of(cards, "BSCALE", 1.0), number_of(cards, "BZERO", 0.0)
    return Image(pixels.reshape(shape), scale, zero, blank)


def read_columns(content: bytes, table: Hdu) -> dict[str, Image]:
    """Return the columns of numbers in a binary table of a FITS file, by name.

    Returns
    -------
    dict of str to Image
        Their pixels have the shape (rows, elements of a cell); logical values are flags.

    Raises
    ------
    ValueError
        The table is damaged, with words that follow on the file's name.
    """
    cards, (width, rows) = table.cards, table.axes
    if table.start + table.size > len(content):
        raise ValueError("is damaged: it ends within its table")
    columns, offset = {}, 0
    for number in range(1, whole_of(cards, "TFIELDS") + 1):
        form = _FORM.fullmatch(text_of(cards, f"TFORM{number}"))
        if form is None:
            raise ValueError(f"is damaged: its TFORM{number} is missing, or is no format")
        count, letter = int(form[1] or 1), form[2]
        dtype = FORMS[letter]
        size = -(-count // 8) if letter == "X" else count * dtype.itemsize
        if offset + size > width:
            raise ValueError("is damaged: its columns are wider than its rows")
        if letter in NUMBERS and count * rows:
            strides = (width, dtype.itemsize)
            cells = np.ndarray((rows, count), dtype, content, table.start + offset, strides)
            columns[text_of(cards, f"TTYPE{number}")] = Image(
                cells == ord("T") if letter == "L" else cells,
                number_of(cards, f"TSCAL{number}", 1.0),
                number_of(cards, f"TZERO{number}", 0.0),
                whole_of(cards, f"TNULL{number}")
                if letter in "BIJK" and f"TNULL{number}" in cards
                else None,
            )
        offset += size
    return columns


def _header(content: bytes, start: int) -> tuple[dict[str, str], int]:
    """Return the values of a header's cards, as text, and where its data begin."""
    cards: dict[str, str] = {}
    end = min(start + MAXIMUM_HEADER, len(content))
    while start + BLOCK <= end:
        block = content[start : start + BLOCK].decode("latin-1")
        start += BLOCK
        for card in (block[i : i + CARD] for i in range(0, BLOCK, CARD)):
            if card.rstrip() == "END":
                return cards, start
            if card[8:10] == "= ":
                cards.setdefault(card[:8].rstrip(), card[10:].strip())
    if end < len(content):
        raise ValueError(f"is damaged: a header is longer than {MAXIMUM_HEADER:,} bytes")
    raise ValueError("is damaged: it ends within a header")


def text_of(cards: dict[str, str], name: str) -> str:
    """Return the text on a card; empty where there is none."""
    found = _TEXT.match(cards.get(name, ""))
    return found[1].rstrip() if found else ""


def number_of(cards: dict[str, str], name: str, default: float) -> float:
    """Return the number on a card."""
    text = cards.get(name)
    if text is None:
        return float(default)
    value = text.partition("/")[0].strip()
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"is damaged: its {name} is {value[:20]!r}")
    return float(value.upper().replace("D", "E"))


def whole_of(cards: dict[str, str], name: str, default: float = math.nan) -> int:
    """Return the whole number on a card; raises ValueError where there is none, and no default."""
    value = number_of(cards, name, default)
    if value % 1 or abs(value) > 2**53:
        raise ValueError(f"is damaged: its {name} is missing, or no whole number")
    return int(value)


def _pixels(cards: dict[str, str], axes: list[int]) -> int:
    """Return the number of elements behind a header."""
    if not axes:
        return 0
    groups, heap = whole_of(cards, "GCOUNT", 1), whole_of(cards, "PCOUNT", 0)
    if groups < 0 or heap < 0:  # what follows would begin before this header
        raise ValueError(
            f"is damaged: its GCOUNT is {groups}, its PCOUNT {heap}; neither is negative"
        )
    return groups * (heap + math.prod(axes))
