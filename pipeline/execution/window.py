"""A bounded window of tasks on a cluster: a million blocks need no graph of a million tasks.

A few tasks are in flight at a time; each that ends lets the next one in. Errors are tried again, a task that
kills its worker is tried alone (its neighbours die with the worker and are innocent), and a task that hangs has
its worker restarted and is tried alone, too.

What a call is about, its block, is opaque here: it stands first among the arguments and names the call.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from deepbench.errors import BuildError, ClusterError, DeepBenchError, is_full_disk

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)

RETRIES = 2
"""Number of times that a block that raised an error is tried again."""

FAILURES = 3
"""Number of failed blocks after which no further ones are begun."""

LOST = 10
"""Number of times that a block may be lost with its worker's connection before it counts as failed."""

SLOWEST = 20
"""Multiple of the median time after which the worker of a block in flight is restarted."""

PATIENCE = 120.0
"""Seconds that a block may be in flight, and a cluster without workers, in any case."""

FIRST = 4 * 3600.0
"""Seconds that a block may be in flight while none has finished yet: nobody knows how long they take."""

TICK = 5.0
"""Seconds between looks at the blocks in flight."""


@dataclass(frozen=True)
class Failure:
    """A block whose call failed, and the last error."""

    block: Any
    error: BaseException

    def __str__(self) -> str:
        if type(self.error).__name__ == "KilledWorker":
            return "the worker died each time it was tried, alone too; it may need more memory than the worker has"
        return f"{type(self.error).__name__}: {self.error}"


@dataclass
class _Task:
    """One call in flight, or waiting to be tried again."""

    block: Any
    arguments: tuple[Any, ...]
    errors: int = 0
    lost: int = 0
    alone: bool = False
    hung: bool = False
    since: float = field(default_factory=time.monotonic)


class Window:
    """Runs calls on the workers of a cluster, a few at a time.

    Parameters
    ----------
    client : distributed.Client
    subject : object
        First argument of each call.
    threads : int
        Threads of the cluster when the work begins.
    patience : float
        Seconds that the cluster may be without workers.
    replace : callable, optional
        Called every few seconds with the number of calls that have ended; replaces workers that are gone.

    Attributes
    ----------
    failures : list of Failure
        Blocks whose calls failed.
    """

    def __init__(
        self,
        client: Client,
        subject: Any,
        threads: int,
        patience: float | None = None,
        replace: Callable[[int], None] | None = None,
    ) -> None:
        self.failures: list[Failure] = []
        self._client = client
        self._subject = subject
        self._threads = threads
        self._patience = PATIENCE if patience is None else patience
        self._looked = time.monotonic()
        self._spans: deque[float] = deque(maxlen=101)
        self._workers_seen = time.monotonic()
        self._idle = False
        self._replace = replace
        self._done = 0

    def run(
        self, function: Callable[..., Any], calls: Iterator[tuple[Any, ...]]
    ) -> Iterator[tuple[Any, Any]]:
        """Call ``function(subject, *arguments)`` for each tuple of arguments, the first of which is a block.

        Yields
        ------
        tuple of block and result
            In the order in which they end. Blocks that fail are in ``failures`` afterwards.

        Raises
        ------
        BuildError
            The disk is full.
        ClusterError
            The scheduler is gone, or its workers.
        """
        from distributed import CancelledError

        self._spans.clear()  # other work takes another time
        running: dict[Future, _Task] = {}
        again: deque[_Task] = deque()
        suspects: deque[_Task] = deque()
        while True:
            if time.monotonic() - self._looked > TICK:
                self._look()
            while len(running) < 2 * self._threads + 2 and len(self.failures) < FAILURES:
                task = again.popleft() if again else self._next(calls)
                if task is None:
                    break
                running[self._submit(function, task)] = task
            if not running and suspects and len(self.failures) < FAILURES:
                task = suspects.popleft()
                task.alone = True
                running[self._submit(function, task)] = task
            if not running:
                return
            for future in self._wait(running):
                task = running.pop(future)
                if future.status != "finished":
                    self._handle(task, future, again, suspects)
                else:
                    try:
                        result = future.result(timeout=PATIENCE)  # its worker may hang by now
                    except (OSError, CancelledError):
                        self._look()
                        self._handle(task, future, again, suspects)
                    else:
                        self._done += 1
                        self._spans.append(time.monotonic() - task.since)
                        yield task.block, result
                future.release()

    @staticmethod
    def _next(calls: Iterator[tuple[Any, ...]]) -> _Task | None:
        arguments = next(calls, None)
        return None if arguments is None else _Task(arguments[0], arguments)

    def _submit(self, function: Callable[..., Any], task: _Task) -> Future:
        task.since = time.monotonic()
        task.hung = False
        key = f"{function.__name__}-{task.block}-{uuid4().hex[:8]}"
        return self._client.submit(function, self._subject, *task.arguments, key=key, pure=False)

    def _wait(self, running: dict[Future, _Task]) -> list[Future]:
        """Return futures that have ended; none when nothing ended within a tick."""
        from distributed import CancelledError, wait

        try:
            return list(wait(list(running), timeout=TICK, return_when="FIRST_COMPLETED").done)
        except CancelledError:  # by us, or because the scheduler forgot them
            self._look()
            return [future for future in running if future.status == "cancelled"]
        except TimeoutError:
            self._look()
            self._restart_slow(running)
            return []

    def _look(self) -> None:
        """Count the cluster's threads, and let lost workers be replaced.

        Raises
        ------
        ClusterError
            The scheduler is gone, or the workers are for long.
        """
        self._looked = now = time.monotonic()
        try:
            threads = self._client.nthreads() if self._client.status == "running" else None
        except OSError:
            threads = None
        self._idle = not threads
        if threads:
            self._threads = sum(threads.values())
            self._workers_seen = now
        elif threads is None or now - self._workers_seen > self._patience:
            what = "scheduler is gone" if threads is None else "workers are gone"
            raise ClusterError(
                f"the Dask {what}; what was finished is kept, and the same command goes on from there"
            )
        if self._replace is not None:
            self._replace(self._done)

    def _handle(
        self, task: _Task, future: Future, again: deque[_Task], suspects: deque[_Task]
    ) -> None:
        """Decide what becomes of a task that did not finish."""
        error = future.exception() if future.status == "error" else None
        if task.hung:
            if task.alone:
                hopeless = RuntimeError("it did not end, and neither did it alone on a new worker")
                self.failures.append(Failure(task.block, hopeless))
            else:
                suspects.append(task)
        elif error is None:  # cancelled or lost with its connection
            task.lost += 1
            if task.lost <= LOST:
                again.append(task)
            else:
                self.failures.append(
                    Failure(task.block, ClusterError("its worker's connection was lost each time"))
                )
        elif is_full_disk(error):
            raise BuildError.of_full_disk() from error
        elif type(error).__name__ == "KilledWorker":
            log.warning("the worker of %s died", task.block)
            if task.alone:
                self.failures.append(Failure(task.block, error))
            else:
                suspects.append(task)
        else:
            task.errors += 1
            if task.errors > RETRIES or isinstance(error, DeepBenchError):
                self.failures.append(Failure(task.block, error))
            else:
                log.warning("%s is tried again after %r", task.block, error)
                again.append(task)

    def _restart_slow(self, running: dict[Future, _Task]) -> None:
        """Restart the workers of blocks that are in flight far longer than blocks usually are."""
        now = time.monotonic()
        if self._idle:  # they wait for a worker, which may stand in a queue
            for task in running.values():
                task.since = now
        limit = max(PATIENCE, SLOWEST * statistics.median(self._spans)) if self._spans else FIRST
        limit *= max(1.0, len(running) / (2 * self._threads + 2))  # of workers that are gone
        slow = {future.key: future for future, task in running.items() if now - task.since > limit}
        if not slow:
            return
        for address, keys in self._client.processing().items():
            hung = [slow[key] for key in keys if key in slow]
            if hung:
                log.warning("%s hangs: its worker %s is restarted", running[hung[0]].block, address)
                for future in hung:
                    running[future].hung = True
                self._client.cancel(hung)
                keys = {future.key for future in hung}
                for _ in range(100):  # else the scheduler gives them to another worker
                    if keys.isdisjoint(self._client.processing().get(address, ())):
                        break
                    time.sleep(0.05)
                self._client.restart_workers([address], raise_for_error=False)
