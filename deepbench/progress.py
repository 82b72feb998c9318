"""Progress of long work, as a function that is told of it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Function that is told of each step: its name, how much is done, and how much there is, 0 where that is unknown."""


def silent(step: str, done: int, total: int) -> None:
    """Take progress and say nothing."""
