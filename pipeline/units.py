"""Rates and numbers in words, and words without orders for a terminal."""

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


def number_text(*values: float, form: str = ".4g", between: str = " … ") -> str:
    """Return a number, or the ends of an interval, as a text: a dash where there is none.

    Examples
    --------
    >>> number_text(0.25, 0.5), number_text(float("nan"))
    ('0.25 … 0.5', '–')
    """
    known = all(value == value for value in values)
    return between.join(format(value, form) for value in values) if known else "–"


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
