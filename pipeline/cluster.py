"""The Dask cluster of a build: a local one by default, or any that runs already."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepbench.errors import ClusterError
from pipeline import block
from pipeline.software import versions
from pipeline.staging import Staging

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

CONNECT_SECONDS = 15
"""How long to wait for a scheduler, and then for its first worker."""

ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Of the workers' processes. Dask's default trims memory so eagerly that it halves the speed of writing Zarr."""

MUST_AGREE = ("deepbench", "render", "format")
"""What must be equal on the coordinator and on each worker; numbers of other packages may differ."""


@dataclass(frozen=True)
class ClusterOptions:
    """Which cluster a build uses; never part of a recipe, because no result depends on it.

    Attributes
    ----------
    workers : int, optional
        Processes of a local cluster; one per core when absent.
    scheduler : str, optional
        Address of a running scheduler, such as ``tcp://host:8786``; a local cluster is made when absent.
    """

    workers: int | None = None
    scheduler: str | None = None

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

        return None if self.scheduler else int(MEMORY_LIMIT) // self.worker_count()


@contextlib.contextmanager
def connect(options: ClusterOptions) -> Iterator[Client]:
    """Yield a client of the cluster; a local cluster ends with the block, one that ran before goes on.

    Raises
    ------
    ClusterError
        The scheduler cannot be reached.
    """
    import dask
    from distributed import Client, LocalCluster

    settings: dict[str, Any] = {
        "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
        "distributed.scheduler.allowed-failures": 3,
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
        "distributed.worker.memory.terminate": False,
        "distributed.admin.log-length": 100,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        if options.scheduler is None:
            cluster = LocalCluster(
                n_workers=options.worker_count(),
                threads_per_worker=1,
                host="tls://127.0.0.1",
                dashboard_address="127.0.0.1:0",
                security=True,
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
            client = Client(cluster)
        else:
            try:
                client = Client(options.scheduler, timeout=CONNECT_SECONDS)
            except (OSError, ValueError) as error:
                raise ClusterError(
                    f"no Dask scheduler answers at '{options.scheduler}': {error or type(error).__name__}; "
                    "check the address, or leave out --scheduler to build on this machine"
                ) from error
        stack.enter_context(client)
        yield client


def probe(client: Client, staging: Staging, needed_bytes: int) -> int:
    """Ask every worker whether it can do the work; return the number of threads.

    Raises
    ------
    ClusterError
        There is no worker, or one lacks DeepBench, has another version of it, does not see the catalog's folder, or has
        too little memory for a block.
    """
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise ClusterError(
            "the Dask scheduler has no workers; start some, then run the same command again"
        ) from None
    answers = client.run(block.probe, staging, on_error="return")
    own = versions()
    problems = []
    for address, answer in sorted(answers.items()):
        if isinstance(answer, ModuleNotFoundError):
            problems.append(
                f"worker {address} lacks a module: {answer}; install deepbench {own['deepbench']} there"
            )
        elif isinstance(answer, BaseException):
            problems.append(f"worker {address} cannot answer: {type(answer).__name__}: {answer}")
        else:
            problems += _differences(address, answer, own)
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


def _differences(address: str, answer: dict[str, Any], own: dict[str, str]) -> list[str]:
    problems = [
        f"worker {address} has {name} version {answer['versions'].get(name)}, not {own[name]}; install the same"
        for name in MUST_AGREE
        if answer["versions"].get(name) != own[name]
    ]
    if not answer["sees_catalog"]:
        problems.append(
            f"worker {address} does not see the catalog's folder {answer['folder']}; "
            "use a folder that all machines share"
        )
    return problems
