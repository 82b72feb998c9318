"""Execution of work: on a Dask cluster, or in this process where there is little. ``executor`` is the door to both.

Work is a function and its calls: tuples of arguments, the first of which says what the call is about (a block of
samples, some files) and comes back with the result. Nothing here knows more of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from deepbench.errors import BuildError, DeepBenchError
from pipeline.execution.cluster import ClusterOptions, check_workers, connect, forward_logs
from pipeline.execution.described import Replacements
from pipeline.execution.local import SMALL, Local
from pipeline.execution.window import Failure, Window

__all__ = ["ClusterOptions", "Executor", "Failure", "executor"]


class Executor(Protocol):
    """Runs calls of a function."""

    def __call__(
        self, function: Callable[..., Any], calls: Iterator[tuple[Any, ...]]
    ) -> Iterator[tuple[Any, Any]]:
        """Call ``function(subject, *arguments)`` for each tuple of arguments.

        Yields
        ------
        tuple of two objects
            First argument and result of each call, in the order in which they end.
        """


@contextlib.contextmanager
def executor(
    options: ClusterOptions | None,
    subject: Any,
    *,
    probe: Callable[[], list[str]],
    work: int,
    task_bytes: int,
    failures: list[Failure] | None = None,
) -> Iterator[Executor]:
    """Yield what runs calls: this process when no cluster is asked for and there is little to do, else a cluster.

    Parameters
    ----------
    options : ClusterOptions, optional
    subject : object
        First argument of each call.
    probe : callable
        Runs on every worker before the work; returns what keeps the worker from it, each as the end of a sentence.
    work : int
        Bytes to be read or rendered.
    task_bytes : int
        Memory that one call needs.
    failures : list of Failure, optional
        At the end holds the calls that failed on a cluster. Without it the first of them is raised after the others.

    Raises
    ------
    ClusterError
        The cluster cannot be reached, or its workers cannot do the work.

    Examples
    --------
    >>> with executor(None, staging, probe=probe, work=size, task_bytes=0) as run:     # doctest: +SKIP
    ...     for block, seconds in run(make_block, ((block,) for block in plan)):
    ...         print(block, seconds)
    """
    if options is None and work < SMALL:
        yield Local(subject)
        return
    options = options or ClusterOptions()
    with connect(options) as client:
        threads = check_workers(client, probe, task_bytes, options.patience)
        forward_logs(client)
        window = Window(client, subject, threads, options.patience, _replacements(options, client))
        if failures is None:
            yield _raising(window)
        else:
            yield window.run
            failures += window.failures


def _replacements(options: ClusterOptions, client: Any) -> Replacements | None:
    """Return what replaces the jobs of a described cluster; None where that is not ours to do."""
    from distributed import SpecCluster

    ours = options.description is not None and isinstance(client.cluster, SpecCluster)
    return Replacements(client.cluster) if ours else None


def _raising(window: Window) -> Executor:
    """Return the executor of a window that raises the first failure after the other calls."""

    def run(
        function: Callable[..., Any], calls: Iterator[tuple[Any, ...]]
    ) -> Iterator[tuple[Any, Any]]:
        yield from window.run(function, calls)
        for failure in window.failures:
            if isinstance(failure.error, DeepBenchError):
                raise failure.error
            raise BuildError(f"{failure.block}: {failure}") from failure.error

    return run
