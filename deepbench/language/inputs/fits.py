"""Images in FITS files (Pence et al. 2010, A&A 524, A42), as far as a point spread function needs them.

The first image of two dimensions is read, be it the primary one or an extension; neither compressed images nor tables.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK, CARD = 2880, 80

MAXIMUM_HEADER = 1000 * BLOCK
"""Bytes of a header: 36,000 cards."""

TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""Types of the pixels by BITPIX."""

_TEXT = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EeDd][+-]?\d+)?")


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
    def is_image(self) -> bool:
        """Whether it may hold an image, of any number of dimensions."""
        return self.is_primary or _text(self.cards, "XTENSION") == "IMAGE"

    @property
    def is_table(self) -> bool:
        """Whether it is a binary table."""
        plain = len(self.axes) == 2 and self.dtype.itemsize == 1
        return plain and _text(self.cards, "XTENSION") == "BINTABLE"


def hdus_of(content: bytes) -> Iterator[Hdu]:
    """Yield the headers of a FITS file; raises ValueError with words that follow on the file's name."""
    if not content.startswith(b"SIMPLE  ="):
        raise ValueError("is not a FITS file: it does not begin with SIMPLE")
    start = 0
    while start < len(content):
        cards, data = _header(content, start)
        dtype = TYPES.get(_whole(cards, "BITPIX"))
        if dtype is None:
            raise ValueError(f"is damaged: its BITPIX is {cards['BITPIX']}")
        axes = [_whole(cards, f"NAXIS{i + 1}") for i in range(_whole(cards, "NAXIS"))]
        if min(axes, default=0) < 0:
            raise ValueError("is damaged: an axis has a negative length")
        size = np.dtype(dtype).itemsize * _pixels(cards, axes)
        yield Hdu(cards, axes, np.dtype(dtype), data, size, start == 0)
        start = data + -(-size // BLOCK) * BLOCK


def read_image(content: bytes, most: int) -> NDArray[np.float64]:
    """Return the first image of two dimensions in a FITS file, in physical values: BZERO + BSCALE × pixel.

    Parameters
    ----------
    content : bytes
        Of the file.
    most : int
        The largest number of pixels along an axis.

    Returns
    -------
    float64[NAXIS2, NAXIS1]
        Undefined pixels (BLANK) are NaN.

    Raises
    ------
    ValueError
        With what is wrong, in words that follow on the file's name.
    """
    for hdu in hdus_of(content):
        if len(hdu.axes) == 2 and hdu.is_image:
            axes = hdu.axes
            if max(axes) > most:
                raise ValueError(f"has {axes[1]} × {axes[0]} pixels, at most {most} × {most}")
            if hdu.start + hdu.size > len(content):
                raise ValueError("is damaged: it ends within its image")
            pixels = np.frombuffer(content[hdu.start : hdu.start + hdu.size], hdu.dtype)
            return _physical(hdu.cards, pixels, axes)
    raise ValueError("has no image of two dimensions; compressed ones are not read")


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


def _text(cards: dict[str, str], name: str) -> str:
    found = _TEXT.match(cards.get(name, ""))
    return found[1].rstrip() if found else ""


def _number(cards: dict[str, str], name: str, default: float) -> float:
    """Return the number on a card."""
    text = cards.get(name)
    if text is None:
        return float(default)
    value = text.partition("/")[0].strip()
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"is damaged: its {name} is {value[:20]!r}")
    return float(value.upper().replace("D", "E"))


def _whole(cards: dict[str, str], name: str, default: float = math.nan) -> int:
    value = _number(cards, name, default)
    if value % 1 or abs(value) > 2**53:
        raise ValueError(f"is damaged: its {name} is missing, or no whole number")
    return int(value)


def _pixels(cards: dict[str, str], axes: list[int]) -> int:
    """Return the number of elements behind a header."""
    if not axes:
        return 0
    groups, heap = _whole(cards, "GCOUNT", 1), _whole(cards, "PCOUNT", 0)
    if groups < 0 or heap < 0:  # what follows would begin before this header
        raise ValueError(
            f"is damaged: its GCOUNT is {groups}, its PCOUNT {heap}; neither is negative"
        )
    return groups * (heap + math.prod(axes))


def _physical(cards: dict[str, str], pixels: NDArray, axes: list[int]) -> NDArray[np.float64]:
    if len(pixels) != math.prod(axes):
        raise ValueError("is damaged: an image has no groups and no heap")
    scale, zero = _number(cards, "BSCALE", 1.0), _number(cards, "BZERO", 0.0)
    with np.errstate(all="ignore"):  # what is not finite is refused by who reads it
        image = pixels.astype(np.float64)
        image *= scale
        image += zero
    if "BLANK" in cards and pixels.dtype.kind != "f":
        image[pixels == _whole(cards, "BLANK")] = np.nan
    return image.reshape(axes[1], axes[0])
