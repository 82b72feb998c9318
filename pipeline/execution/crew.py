"""Who does the work that is cut into ranges: the workers of a cluster, or this process where there is little to do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from deepbench.errors import BuildError, DeepBenchError
from pipeline.execution.cluster import QUEUE_SECONDS, WORKER_SECONDS, ClusterOptions, connect, probe
from pipeline.execution.window import Window

if TYPE_CHECKING:
    from deepbench.storage.locations import Location
    from pipeline.plan import Block

SMALL = 2**28
"""Bytes of work that take less time than starting a cluster."""


class Here:
    """Runs calls in this process, one after another, as a ``Window`` runs them on a cluster."""

    def __init__(self, subject: Any) -> None:
        self._subject = subject

    def run(
        self, function: Callable[..., Any], calls: Iterator[tuple[Any, ...]]
    ) -> Iterator[tuple[Block, Any]]:
        """Call ``function(subject, *arguments)`` for each tuple of arguments, the first of which is a block."""
        for arguments in calls:
            yield arguments[0], function(self._subject, *arguments)


class Crew:
    """Runs calls on a cluster; what fails there is an error here."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def run(
        self, function: Callable[..., Any], calls: Iterator[tuple[Any, ...]]
    ) -> Iterator[tuple[Block, Any]]:
        """Call ``function(subject, *arguments)`` for each tuple of arguments, the first of which is a block."""
        yield from self._window.run(function, calls)
        for failure in self._window.failures:
            if isinstance(failure.error, DeepBenchError):
                raise failure.error
            raise BuildError(f"{failure.block}: {failure}") from failure.error


@contextlib.contextmanager
def crew(
    options: ClusterOptions | None, subject: Any, location: Location, work: int, worker_bytes: int
) -> Iterator[Here | Crew]:
    """Yield who runs calls: this process when no cluster is asked for and there is little to do, else a cluster.

    Parameters
    ----------
    options : ClusterOptions, optional
    subject : object
        First argument of each call.
    location : Location
        What every worker must see.
    work : int
        Bytes to be read.
    worker_bytes : int
        Memory that a call needs.

    Raises
    ------
    ClusterError
        The cluster cannot be reached, or its workers cannot do the work.
    """
    if options is None and work < SMALL:
        yield Here(subject)
        return
    options = options or ClusterOptions()
    with connect(options) as client:
        patience = WORKER_SECONDS if options.description is None else QUEUE_SECONDS
        threads = probe(client, location, worker_bytes, patience)
        yield Crew(Window(client, subject, threads, patience))
