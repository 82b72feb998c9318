from __future__ import annotations

import functools
import gc
import os
import socket
import subprocess
import sys

import cloudpickle
import dask
import psutil
import pytest

from deepbench.errors import ClusterError
from pipeline.execution import cluster
from pipeline.execution.cluster import ENVIRONMENT, ClusterOptions, check_workers, connect
from pipeline.files import prepare
from pipeline.software import MUST_AGREE, obstacles, probe_of, versions

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests


@pytest.fixture(autouse=True)
def _failed_clients_are_gone():
    """Let the collector close clients that never connected now, not in the thread of another client's loop."""
    yield
    gc.collect()


@pytest.fixture
def staging(staging_of, recipe, tmp_path):
    found = staging_of(tmp_path, recipe)
    prepare(found, recipe)
    return found


@pytest.fixture
def empty_scheduler():
    """The address of a scheduler that has no workers."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=0,
        host="tcp://127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=100,
    ) as running:
        yield running.scheduler_address


# --- options -------------------------------------------------------------------------------------


def test_number_of_workers():
    from dask.system import CPU_COUNT

    assert ClusterOptions().worker_count() == CPU_COUNT
    assert ClusterOptions(workers=3).worker_count() == 3


def test_no_workers_at_all():
    with pytest.raises(ClusterError, match="--workers must be at least 1, not 0"):
        ClusterOptions(workers=0).worker_count()


def test_workers_share_the_memory():
    from distributed.system import MEMORY_LIMIT

    assert ClusterOptions(workers=4).worker_memory() == MEMORY_LIMIT // 4
    assert ClusterOptions(scheduler="tcp://127.0.0.1:8786").worker_memory() is None


# --- the local cluster ---------------------------------------------------------------------------


def environment(name):
    return os.environ.get(name)


def listening(processes):
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_the_local_cluster_is_for_this_machine_and_this_user_only(monkeypatch):
    """A Dask scheduler runs any code that it is sent."""
    from distributed import Client

    for name in ENVIRONMENT:  # what is set outside, also by an earlier cluster, has precedence
        monkeypatch.delenv(name, raising=False)
    own = psutil.Process()
    children = set(own.children(recursive=True))
    before = {each.laddr for each in own.net_connections(kind="inet")}
    config = dask.config.config.copy()
    variables = dict(os.environ)
    with connect(ClusterOptions(workers=1)) as client:
        client.wait_for_workers(1, timeout=60)
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        info = client.scheduler_info()["workers"]
        assert len(info) == 1
        for worker, details in info.items():
            assert worker.startswith("tls://127.0.0.1:")
            assert details["nanny"].startswith("tls://127.0.0.1:")
            assert details["nthreads"] == 1
            assert details["memory_limit"] == ClusterOptions(workers=1).worker_memory()
        assert client.dashboard_link.startswith(("http://127.0.0.1:", "https://127.0.0.1:"))

        new = set(own.children(recursive=True)) - children
        assert listening(new) == {"127.0.0.1"}
        ours = [
            each.laddr
            for each in own.net_connections(kind="inet")
            if each.laddr not in before and each.status == psutil.CONN_LISTEN
        ]
        assert ours
        assert {each.ip for each in ours} == {"127.0.0.1"}

        with pytest.raises(OSError, match=r"."):  # without the key nobody gets in
            Client(address.replace("tls", "tcp"), timeout=1)
        for name, value in ENVIRONMENT.items():
            assert list(client.run(environment, name).values()) == [value]
    assert dask.config.config == config
    assert dict(os.environ).get("PYTHONWARNINGS") == variables.get("PYTHONWARNINGS")
    _, alive = psutil.wait_procs(
        [each for each in new if "resource_tracker" not in " ".join(cmdline(each))], timeout=30
    )
    assert alive == []


def cmdline(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


# --- a scheduler that runs already ---------------------------------------------------------------


@pytest.fixture
def closed_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield found.getsockname()[1]  # bound, and nobody listens


@pytest.mark.slow
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{}", "127.0.0.1:{}"])
def test_a_scheduler_that_cannot_be_reached(monkeypatch, closed_port, address):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    address = address.format(closed_port)
    with (
        pytest.raises(ClusterError, match=f"no Dask scheduler answers at '{address}': .*; check"),
        connect(ClusterOptions(scheduler=address)),
    ):
        pass


@pytest.mark.parametrize("address", ["nonsense", "host:port", "http://127.0.0.1:80", "tcp://:0"])
def test_an_address_that_is_none(monkeypatch, address):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with (
        pytest.raises(ClusterError, match=f"no Dask scheduler answers at '{address}': .*; check"),
        connect(ClusterOptions(scheduler=address)),
    ):
        pass


def test_a_scheduler_goes_on_after_us(options, client, staging):
    with connect(options) as ours:
        assert check_workers(ours, probe_of(staging.release), 1) == 2
    assert len(client.nthreads()) == 2


def test_a_scheduler_without_workers(empty_scheduler, staging):
    with (
        connect(ClusterOptions(scheduler=empty_scheduler)) as client,
        pytest.raises(
            ClusterError, match="the Dask scheduler has no workers; start some, then run"
        ),
    ):
        check_workers(client, probe_of(staging.release), 1, 0.2)


# --- what is asked of workers --------------------------------------------------------------------


def test_workers_that_can_do_the_work(client, staging):
    assert check_workers(client, probe_of(staging.release), 1) == 2


@pytest.mark.parametrize("name", MUST_AGREE)
def test_a_worker_with_another_version(client, staging, name):
    own = versions()
    probe = functools.partial(obstacles, staging.release, own | {name: "9.9"})
    with pytest.raises(
        ClusterError,
        match=f"worker tcp.* has {name} version {own[name]}, not 9.9; install the same",
    ) as info:
        check_workers(client, probe, 1)
    assert len(str(info.value).splitlines()) == 2  # one line per worker


def test_a_worker_with_other_versions_of_libraries(client, staging):
    coordinator = versions() | {"pandas": "9.9", "python": "9.9"}
    probe = functools.partial(obstacles, staging.release, coordinator)
    assert check_workers(client, probe, 1) == 2


def test_a_worker_that_does_not_see_the_catalog(client, staging_of, recipe, tmp_path):
    staging = staging_of(tmp_path, recipe)  # nobody has prepared it
    with pytest.raises(
        ClusterError, match=r"worker tcp.* does not see what is in .*\.building/small"
    ):
        check_workers(client, probe_of(staging.release), 1)


def test_a_worker_with_too_little_memory(client, staging):
    with pytest.raises(
        ClusterError,
        match=r"needs 1073741824 MiB, but worker tcp.* has \d+ MiB per thread; use workers",
    ):
        check_workers(client, probe_of(staging.release), 2**50)


def unable():
    raise ZeroDivisionError("no answer")


def test_a_worker_that_cannot_answer(client):
    with pytest.raises(
        ClusterError, match="worker tcp.* cannot answer: ZeroDivisionError: no answer"
    ):
        check_workers(client, unable, 1)


WORKER = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("deepbench", "pipeline"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())

import asyncio
from distributed import Worker

async def run():
    async with Worker(sys.argv[1], nthreads=1, dashboard_address="127.0.0.1:0", host="127.0.0.1") as worker:
        await worker.finished()

asyncio.run(run())
"""


def test_a_worker_without_our_software(empty_scheduler, staging, tmp_path):
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, empty_scheduler],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"DASK_TEMPORARY_DIRECTORY": str(tmp_path / "dask")},
    )
    try:
        with (
            connect(ClusterOptions(scheduler=empty_scheduler)) as client,
            pytest.raises(
                ClusterError,
                match=rf"worker tcp.* lacks a module: .*No module named .*pipeline.*; "
                rf"install DeepBench {versions()['deepbench']} there",
            ),
        ):
            check_workers(client, probe_of(staging.release), 1)
    finally:
        worker.kill()
        worker.wait()


def test_the_environment_is_as_before(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with connect(ClusterOptions(workers=1)) as client:
        trim = client.run(os.getenv, "MALLOC_TRIM_THRESHOLD_").popitem()[1]
        assert trim == cluster.ENVIRONMENT["MALLOC_TRIM_THRESHOLD_"]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MALLOC_TRIM_THRESHOLD_" not in os.environ
