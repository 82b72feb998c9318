"""Progress of long work: what it tells while it runs."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Function that is told of each step: its name, how much of it is done, and how much there is."""


def silent(step: str, done: int, total: int) -> None:
    """Take progress and say nothing."""
