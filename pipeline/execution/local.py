"""Work in this process, where there is too little of it for a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

SMALL = 2**28
"""Bytes of work that take less time than starting a cluster."""


class Local:
    """Runs calls in this process, one after another; what fails is raised at once.

    Parameters
    ----------
    subject : object
        First argument of each call.
    """

    def __init__(self, subject: Any) -> None:
        self._subject = subject

    def __call__(
        self, function: Callable[..., Any], calls: Iterator[tuple[Any, ...]]
    ) -> Iterator[tuple[Any, Any]]:
        """Call ``function(subject, *arguments)`` for each tuple of arguments; yield the first one and the result."""
        for arguments in calls:
            yield arguments[0], function(self._subject, *arguments)
