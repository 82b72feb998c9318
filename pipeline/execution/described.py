"""Clusters that a YAML file describes: any class that Dask can start, always with TLS, its lost workers replaced."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import signal
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from deepbench.errors import ClusterError, RecipeError
from deepbench.language.load import read_document

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1:0"
"""Address of a dashboard that only this machine reaches, at a free port."""

SECURE = ("tls", "wss", "gateway", "inproc")
"""Protocols that let nobody in without a key: TLS, over websockets or dask-gateway too, and one that opens no port."""

SUBMISSION = 600.0
"""Seconds within which a cluster must have asked for its workers."""

GRACE = 60.0
"""Seconds that all workers of a job are away before the job counts as ended: a nanny restarts its worker sooner."""

VAIN = 3
"""Number of times that every job may be replaced while no call ends."""


@contextlib.contextmanager
def described_cluster(file: str, workers: int | None) -> Iterator[Any]:
    """Yield the cluster that a YAML file describes: ``class``, ``arguments``, and ``workers`` to scale to.

    Parameters
    ----------
    file : str
    workers : int, optional
        Workers to ask for in place of the file's.

    Raises
    ------
    ClusterError
        The file cannot be read, its class cannot be imported or made, its scheduler would listen without TLS, or no
        worker can be asked for.
    """
    try:
        description = read_document(file).data
    except RecipeError as error:
        raise ClusterError(str(error)) from error
    unknown = set(description) - {"class", "arguments", "workers"}
    if unknown or "class" not in description:
        raise ClusterError(
            f"{file} must have `class`, and may have `arguments` and `workers`; it has {', '.join(description)}"
        )
    name = str(description["class"])
    try:
        cluster = _made(name, description.get("arguments", {}))
    except Exception as error:  # anything: the class is foreign
        kind = "" if isinstance(error, ClusterError) else f"{type(error).__name__}: "
        raise ClusterError(f"{file}: {name} cannot be made: {kind}{error}") from error
    try:
        _check_secure(file, name, cluster)
        _ask(file, cluster, workers or description.get("workers"))
        yield cluster
    finally:
        try:
            cluster.close()
        except Exception:
            log.warning("%s cannot be closed; its jobs may still be there", name, exc_info=True)


def _made(name: str, given: Any) -> Any:
    """Import a class and make a cluster of it, with TLS and a dashboard on the loopback interface."""
    arguments = dict(given)
    module, _, last = name.rpartition(".")
    with _kept_signals():
        cls = getattr(import_module(module), last)
    takes = inspect.signature(cls).parameters
    if "security" in takes or "security" in arguments:
        arguments["security"] = _credentials(arguments.get("security", True))
    for key in ("protocol", "host"):
        scheme, colon, _ = str(arguments.get(key) or "").partition("://")
        if scheme and (colon or key == "protocol") and scheme not in SECURE:
            raise ClusterError(
                f"with `{key}: {arguments[key]}` whoever reaches the scheduler runs code as you; write "
                f"`protocol: tls://`, or leave out `{key}`"
            )
    if "scheduler_options" in takes:  # of dask-jobqueue
        import dask

        options = arguments.get("scheduler_options")
        if options is None:  # they may stand in Dask's own settings
            jobs = getattr(cls, "job_cls", None)
            config = arguments.get("config_name") or getattr(jobs, "config_name", None)
            options = dask.config.get(f"jobqueue.{config}.scheduler-options", None) or {}
        arguments["scheduler_options"] = {"dashboard_address": LOOPBACK} | options
    elif "dashboard_address" in takes:
        arguments.setdefault("dashboard_address", LOOPBACK)
    if "silence_logs" in takes:
        arguments.setdefault("silence_logs", logging.CRITICAL)
    with _kept_signals():
        return cls(**arguments)


def _credentials(given: Any) -> Any:
    """Return credentials for TLS: temporary ones for ``True``, or those in files, by the names that Dask has."""
    from distributed.security import Security

    if given is True:
        return Security.temporary()
    if not isinstance(given, dict) or not given:
        raise ClusterError(
            "`security` must be true, for temporary credentials, or a mapping of files such as `tls_ca_file`, "
            f"not {given!r}"
        )
    return Security(**given | {"require_encryption": True})


def _check_secure(file: str, name: str, cluster: Any) -> None:
    address = str(cluster.scheduler_address)
    if address.partition("://")[0] not in SECURE:
        raise ClusterError(
            f"{file}: the scheduler of {name} listens at {address} without TLS: whoever reaches it runs code as you; "
            "write `security: true` and `protocol: tls://` under `arguments`, or choose a class that takes `security`"
        )


@contextlib.contextmanager
def _kept_signals() -> Iterator[None]:
    """Keep the handlers of signals: importing the library of a cluster may replace them, as dask-jobqueue does."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {each: signal.getsignal(each) for each in numbers}
    try:
        yield
    finally:
        for each, handler in handlers.items():
            if signal.getsignal(each) is not handler:
                signal.signal(each, handler)


def _ask(file: str, cluster: Any, workers: Any) -> None:
    """Ask for workers, and see that at least one could be asked for."""
    from distributed import SpecCluster

    try:
        if workers is not None:
            cluster.scale(int(workers))
        errors = cluster.sync(_asked, cluster) if isinstance(cluster, SpecCluster) else []
        if errors and len(errors) >= len(cluster.workers):
            raise errors[0]
    except Exception as error:
        raise ClusterError(f"{file}: cannot ask for {workers!r} workers: {error}") from error
    if errors:
        log.warning("%d workers cannot be asked for: %s", len(errors), errors[0])


async def _asked(cluster: Any) -> list[Exception]:
    """Wait until a cluster has asked for its workers, once more for those that failed; return the errors."""
    try:
        async with asyncio.timeout(SUBMISSION):
            while not set(cluster.worker_spec) <= set(cluster.workers):
                await asyncio.sleep(0.05)
            outcomes = await asyncio.gather(*cluster.workers.values(), return_exceptions=True)
    except TimeoutError:
        return [TimeoutError(f"they were not asked for within {SUBMISSION:.0f} s")]
    return [each for each in outcomes if isinstance(each, Exception)]


class Replacements:
    """Replaces the jobs of a cluster that have ended: Dask asks for each once, and a queue's jobs end in time.

    A job is what a ``SpecCluster`` starts, with one worker or more. Clusters of other classes, such as those of
    Kubernetes, replace their workers by themselves.

    Parameters
    ----------
    cluster : distributed.SpecCluster
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._workers = len(cluster.plan)
        self._seen: dict[Any, float] = {}
        self._failed = True  # perhaps, when the cluster was made
        self._asked = time.monotonic()
        self._done = self._vain = 0

    def __call__(self, done: int) -> None:
        """Ask again for the jobs that have ended, and for those that could not be asked for.

        Parameters
        ----------
        done : int
            Number of calls that have ended on the cluster.

        Raises
        ------
        ClusterError
            Jobs are replaced again and again, and no call ends.
        """
        now = time.monotonic()
        workers = self._cluster.scheduler_info["workers"].copy()
        names = {str(each["name"]) for each in workers.values()}
        jobs = self._cluster.workers.copy()
        for job in jobs:
            spec = self._cluster.worker_spec[job]
            if names & {f"{job}{suffix}" for suffix in spec.get("group", ("",))}:
                self._seen[job] = now
        ended = [job for job in jobs if now - self._seen.get(job, now) > GRACE]
        if not ended and not (self._failed and now - self._asked > GRACE):
            return
        self._vain = len(ended) + (self._vain if done == self._done else 0)
        self._done = done
        if self._vain > VAIN * len(jobs):
            raise ClusterError(
                f"the jobs of the cluster end before a block is done: {self._vain - len(ended)} were replaced in vain; "
                "give them more time, or the recipe a smaller storage.shard_bytes; what was finished is kept, and the "
                "same command goes on from there"
            )
        if ended:
            log.warning(
                "%d of %d jobs of the cluster have ended and are replaced", len(ended), len(jobs)
            )
        for job in ended:
            del self._seen[job]
        errors = self._cluster.sync(self._replace, ended)
        self._failed, self._asked = bool(errors), time.monotonic()
        if errors:
            log.warning("%d jobs cannot be asked for: %s", len(errors), errors[0])

    async def _replace(self, ended: list[Any]) -> list[Exception]:
        gone = [self._cluster.workers.pop(job) for job in ended]
        await asyncio.gather(*(job.close() for job in gone), return_exceptions=True)
        self._cluster.scale(self._workers)
        return await _asked(self._cluster)
