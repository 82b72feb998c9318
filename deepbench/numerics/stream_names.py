"""The names of random streams, and the numbers that stand for them in the counter."""

from __future__ import annotations

import hashlib

MOST_ATTEMPTS = 2**15
"""Number of attempts that a selection of samples can tell apart."""


def stream_number(name: str) -> int:
    """Return the number of the stream called ``name``: the first 48 bits of the SHA-256 of its UTF-8 text.

    Examples
    --------
    >>> hex(stream_number("images/circle/circle/radius"))
    '0x5602ed1a8aed'
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")


def at_attempt(stream: int, attempt: int) -> int:
    """Return the number of a stream from which an attempt of a selection draws: its bits lie above those of the stream.

    Examples
    --------
    >>> hex(at_attempt(0x5602ed1a8aed, 3))
    '0x65602ed1a8aed'
    """
    return stream | attempt << 49
