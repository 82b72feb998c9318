"""Quantities in words."""

from __future__ import annotations


def bytes_text(count: float) -> str:
    """Return a number of bytes in words.

    Examples
    --------
    >>> bytes_text(1536)
    '1.5 KiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
