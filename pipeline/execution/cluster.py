"""The Dask cluster of a build: a local one by default, one that runs already, or any that Dask can start."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from deepbench.errors import ClusterError
from pipeline.execution.described import described_cluster
from pipeline.software import versions

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

CONNECT_SECONDS = 15
"""Seconds to wait for a scheduler to answer."""

WORKER_SECONDS = 60
"""Seconds to wait for the first worker of a cluster of ours or of a running one."""

QUEUE_SECONDS = 24 * 3600
"""Seconds to wait for the first worker of a described cluster: it may stand in a queue."""

ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Environment of the workers' processes. Dask's default trims memory so eagerly that it halves the speed of Zarr."""


@dataclass(frozen=True)
class ClusterOptions:
    """The choice of a cluster; never part of a recipe, because no result depends on it.

    Attributes
    ----------
    workers : int, optional
        Processes of a local cluster, one per core when absent; workers to ask a described cluster for.
    scheduler : str, optional
        Address of a running scheduler, such as ``tcp://host:8786``.
    description : str, optional
        YAML file that names any Dask cluster class with its arguments. It can import any class, so it comes from the
        command line and never from a recipe.
    """

    workers: int | None = None
    scheduler: str | None = None
    description: str | None = None

    @property
    def local(self) -> bool:
        """Whether the cluster is one of our own on this machine."""
        return self.scheduler is None and self.description is None

    @property
    def patience(self) -> float:
        """Seconds to wait for the first worker, and later while the cluster is without any."""
        return WORKER_SECONDS if self.description is None else QUEUE_SECONDS

    def worker_count(self) -> int:
        """Return the number of processes of a local cluster."""
        from dask.system import CPU_COUNT

        count = int(CPU_COUNT) if self.workers is None else self.workers
        if count < 1:
            raise ClusterError(f"--workers must be at least 1, not {count}")
        return count

    def worker_memory(self) -> int | None:
        """Return the bytes of memory of one worker of a local cluster; None when the cluster runs elsewhere."""
        from distributed.system import MEMORY_LIMIT

        return int(MEMORY_LIMIT) // self.worker_count() if self.local else None


@contextlib.contextmanager
def connect(options: ClusterOptions) -> Iterator[Client]:
    """Yield a client of the cluster; a cluster that is started here ends here, one that ran before goes on.

    Raises
    ------
    ClusterError
        The scheduler cannot be reached, or the described cluster cannot be made or used.
    """
    import dask
    from distributed import Client
    from distributed.utils import silence_logging_cmgr

    settings: dict[str, Any] = {
        "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
        "distributed.scheduler.allowed-failures": 3,
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
        "distributed.deploy.lost-worker-timeout": "1000 days",  # else a worker that dies twice may be given up
        "distributed.worker.memory.target": False,  # results are receipts: there is nothing to spill
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
    }
    with contextlib.ExitStack() as stack:
        stack.callback(_restore, {name: os.environ.get(name) for name in ENVIRONMENT})
        stack.enter_context(dask.config.set(settings))
        for name in ("distributed", "tornado.application"):  # errors of ours say it
            stack.enter_context(silence_logging_cmgr(logging.CRITICAL, name))
        loop = logging.getLogger(
            "asyncio"
        )  # Dask's, which tells of each worker that leaves in the middle of a talk
        stack.callback(loop.setLevel, loop.level)
        loop.setLevel(logging.CRITICAL)
        if options.scheduler is not None:
            try:
                client = Client(options.scheduler, timeout=CONNECT_SECONDS)
            except (OSError, ValueError, TypeError, RuntimeError) as error:
                secure = str(options.scheduler).startswith("tls:")
                remedy = "and Dask's settings distributed.comm.tls, " if secure else ""
                raise ClusterError(
                    f"no Dask scheduler answers at '{options.scheduler}': {error or type(error).__name__}; "
                    f"check the address, {remedy}or leave out --scheduler to build on this machine"
                ) from error
        else:
            file = options.description
            made = (
                local_cluster(options) if file is None else described_cluster(file, options.workers)
            )
            client = Client(stack.enter_context(made))
        if not options.local or find_spec("bokeh"):  # which Dask's dashboard needs
            log.info("dashboard: %s", client.dashboard_link)
        yield stack.enter_context(client)


def forward_logs(client: Client) -> None:
    """Hand what ``deepbench`` logs on the workers to the loggers of this process."""
    client.run(_log_everything, on_error="ignore")
    client.forward_logging("deepbench", logging.INFO)


def _log_everything() -> None:
    logging.getLogger("deepbench").setLevel(logging.INFO)


def _restore(environment: dict[str, str | None]) -> None:
    """Set variables of the environment back: Dask's nannies set those of their workers in this process, too."""
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def local_cluster(options: ClusterOptions) -> Any:
    """Return a cluster of processes on this machine that listens on the loopback interface only, with TLS.

    Ctrl-C reaches all processes of a terminal. The thread that starts the workers is made while the signal is blocked,
    so they, and those that replace them, never see it: the coordinator ends them.
    """
    from distributed import LocalCluster

    _quiet_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return LocalCluster(
            n_workers=options.worker_count(),
            threads_per_worker=1,
            host="tls://127.0.0.1",
            dashboard_address="127.0.0.1:0",
            security=True,
            silence_logs=logging.CRITICAL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _quiet_tracker() -> None:
    """Start Python's tracker of semaphores so that it removes those of killed workers without a warning."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning:multiprocessing.resource_tracker"
    try:
        resource_tracker.ensure_running()
    finally:
        _restore({"PYTHONWARNINGS": before})


def check_workers(
    client: Client,
    probe: Callable[[], list[str]],
    needed_bytes: int,
    patience: float = WORKER_SECONDS,
) -> int:
    """Ask every worker whether it can do the work; return the number of threads.

    Parameters
    ----------
    client : distributed.Client
    probe : callable
        Runs on every worker; returns what keeps the worker from the work, each as the end of a sentence.
    needed_bytes : int
        Memory that one call needs.
    patience : float
        Seconds to wait for the first worker.

    Raises
    ------
    ClusterError
        There is no worker, or one lacks DeepBench, has another version of it, does not see the files, or has
        too little memory for a block.
    """
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError:
        raise ClusterError(
            "the Dask scheduler has no workers; start some, then run the same command again"
        ) from None
    answers = client.run(probe, on_error="return")
    problems = []
    for address, answer in sorted(answers.items()):
        if isinstance(answer, BaseException) and "ModuleNotFoundError" in repr(answer):
            own = versions()["deepbench"]
            problems.append(
                f"worker {address} lacks a module: {answer}; install DeepBench {own} there"
            )
        elif isinstance(answer, BaseException):
            problems.append(f"worker {address} cannot answer: {type(answer).__name__}: {answer}")
        else:
            problems += [f"worker {address} {each}" for each in answer]
    if problems:
        raise ClusterError("\n".join(problems))
    workers = client.scheduler_info(n_workers=-1)["workers"]
    for address, worker in workers.items():
        limit = worker["memory_limit"] / worker["nthreads"] if worker["memory_limit"] else None
        if limit is not None and needed_bytes > limit:
            raise ClusterError(
                f"a block needs {needed_bytes / 2**20:.0f} MiB, but worker {address} has {limit / 2**20:.0f} MiB per "
                "thread; use workers with more memory or fewer threads, or a smaller storage.shard_bytes"
            )
    return sum(worker["nthreads"] for worker in workers.values())
