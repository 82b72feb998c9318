"""Rates in words, and words without orders for a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    r"""Return a text in which a terminal finds no orders: escape, bell and the like as JSON writes them.

    Examples
    --------
    >>> printable("red \x1b[31m")
    'red \\u001b[31m'
    """
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def rates(counts: Mapping[str, tuple[int, int]]) -> str:
    """Return accepted parts of what was tried, by name, in words.

    Examples
    --------
    >>> rates({"star": (200, 50), "galaxy": (0, 0)})
    '25 % (star), none tried (galaxy)'
    """
    return ", ".join(
        f"{100 * accepted / tried:.3g} % ({name})" if tried else f"none tried ({name})"
        for name, (tried, accepted) in counts.items()
    )
