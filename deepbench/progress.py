"""Progress of long work: who does it tells a function."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Function that is told of each step: its name, how much of it is done, and how much there is; 0 where none knows."""


def silent(step: str, done: int, total: int) -> None:
    """Take progress and say nothing."""
