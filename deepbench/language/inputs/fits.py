"""Images in FITS files (Pence et al. 2010, A&A 524, A42), as far as a point spread function needs them.

The first image of two dimensions is read, be it the primary one or an extension; neither compressed images nor tables.
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

BLOCK, CARD = 2880, 80

TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""Types of the pixels by BITPIX."""

_TEXT = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EeDd][+-]?\d+)?")


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
        if len(axes) == 2 and (start == 0 or _text(cards, "XTENSION") == "IMAGE"):
            if max(axes) > most:
                raise ValueError(f"has {axes[1]} × {axes[0]} pixels, at most {most} × {most}")
            if data + size > len(content):
                raise ValueError("is damaged: it ends within its image")
            return _physical(cards, np.frombuffer(content[data : data + size], dtype), axes)
        start = data + -(-size // BLOCK) * BLOCK
    raise ValueError("has no image of two dimensions; compressed ones are not read")


def _header(content: bytes, start: int) -> tuple[dict[str, str], int]:
    """Return the values of a header's cards, as text, and where its data begin."""
    cards: dict[str, str] = {}
    while start + BLOCK <= len(content):
        block = content[start : start + BLOCK].decode("latin-1")
        start += BLOCK
        for card in (block[i : i + CARD] for i in range(0, BLOCK, CARD)):
            if card.rstrip() == "END":
                return cards, start
            if card[8:10] == "= ":
                cards.setdefault(card[:8].rstrip(), card[10:].strip())
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
    return _whole(cards, "GCOUNT", 1) * (_whole(cards, "PCOUNT", 0) + math.prod(axes))


def _physical(cards: dict[str, str], pixels: NDArray, axes: list[int]) -> NDArray[np.float64]:
    if len(pixels) != math.prod(axes):
        raise ValueError("is damaged: an image has no groups and no heap")
    scale, zero = _number(cards, "BSCALE", 1.0), _number(cards, "BZERO", 0.0)
    image = zero + scale * pixels.astype(np.float64)
    if "BLANK" in cards and pixels.dtype.kind != "f":
        image[pixels == _whole(cards, "BLANK")] = np.nan
    return image.reshape(axes[1], axes[0])
