"""The names of random streams, and the numbers that stand for them in the counter."""

from __future__ import annotations

import hashlib


def stream_number(name: str) -> int:
    """Return the number of the stream called ``name``: the first 48 bits of the SHA-256 of its UTF-8 text.

    Examples
    --------
    >>> hex(stream_number("images/circle/circle/radius"))
    '0x5602ed1a8aed'
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
