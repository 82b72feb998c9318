"""Clusters that a file describes: what is refused, TLS, signals, and jobs that end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import dask
import psutil
import pytest
from distributed import Scheduler, Security, SpecCluster
from distributed.deploy.spec import ProcessInterface

from deepbench.errors import ClusterError
from pipeline.execution import ClusterOptions, described, executor
from pipeline.execution import window as windows
from pipeline.execution.cluster import check_workers, connect
from pipeline.execution.described import Replacements, described_cluster

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests

BENCHMARKS = str(Path(__file__).parents[3] / "benchmarks")

THREADS = """
class: distributed.LocalCluster
workers: 1
arguments: {{n_workers: 0, threads_per_worker: 2, processes: false, silence_logs: 100{}}}
"""
"""A cluster of threads of this process, for more arguments."""


@pytest.fixture
def describe(tmp_path):
    """Write a description; return its path."""

    def write(text):
        (tmp_path / "cluster.yaml").write_text(text)
        return str(tmp_path / "cluster.yaml")

    return write


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Make ``library``, a module with the classes of this one; ``head`` is Python that runs when it is imported."""

    def write(head=""):
        (tmp_path / "library.py").write_text(head)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "library", raising=False)
        if not head:
            monkeypatch.setitem(sys.modules, "library", sys.modules[__name__])

    return write


def able():
    return []


# --- what a file may say -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class: [", "not valid YAML"),
        ("workers: 2", "must have `class`, and may have `arguments` and `workers`; it has workers"),
        ("class: a.B\nkwargs: {}", "it has class, kwargs"),
        (
            "class: absent_module.Cluster",
            "absent_module.Cluster cannot be made: ModuleNotFoundError",
        ),
        ("class: distributed.Absent", "distributed.Absent cannot be made: AttributeError"),
        ("class: LocalCluster", "LocalCluster cannot be made: ValueError"),
        ("class: builtins.dict\narguments: [1]", "builtins.dict cannot be made: TypeError"),
    ],
)
def test_a_description_that_cannot_be_used(describe, text, message):
    with (
        pytest.raises(ClusterError, match=message),
        connect(ClusterOptions(description=describe(text))),
    ):
        pass


def test_a_description_that_is_not_there(tmp_path):
    with (
        pytest.raises(ClusterError, match="absent.yaml: the .* cannot be read: No such file"),
        connect(ClusterOptions(description=str(tmp_path / "absent.yaml"))),
    ):
        pass


# --- TLS -----------------------------------------------------------------------------------------


def test_the_scheduler_has_tls_and_its_dashboard_is_for_this_machine(describe):
    own = psutil.Process()
    before = {each.laddr for each in own.net_connections(kind="inet")}
    options = ClusterOptions(description=describe(THREADS.format("")))
    assert options.worker_memory() is None
    with connect(options) as client:
        assert check_workers(client, able, 1) == 2
        assert client.scheduler.address.startswith("tls://")
        opened = {
            each.laddr.ip
            for each in own.net_connections(kind="inet")
            if each.status == psutil.CONN_LISTEN and each.laddr not in before
        }
        assert opened == {"127.0.0.1"}
    assert client.status == "closed"


def test_credentials_in_files(describe, tmp_path):
    found = Security.temporary()
    for name in ("tls_ca_file", "tls_scheduler_cert", "tls_scheduler_key"):
        (tmp_path / name).write_text(getattr(found, name))
    files = {"tls_ca_file": tmp_path / "tls_ca_file"}
    for role in ("client", "scheduler", "worker"):
        files[f"tls_{role}_cert"] = tmp_path / "tls_scheduler_cert"
        files[f"tls_{role}_key"] = tmp_path / "tls_scheduler_key"
    words = ", ".join(f"{name}: {path}" for name, path in files.items())
    with connect(
        ClusterOptions(description=describe(THREADS.format(f", security: {{{words}}}")))
    ) as client:
        assert client.scheduler.address.startswith("tls://")
        assert client.security.tls_ca_file == str(files["tls_ca_file"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "protocol: 'tcp://'",
            "with `protocol: tcp://` whoever reaches .* runs code as you; write `protocol: tls://`",
        ),
        ("protocol: tcp", "with `protocol: tcp` whoever reaches the scheduler"),
        ("host: 'tcp://0.0.0.0'", "with `host: tcp://0.0.0.0` whoever .*, or leave out `host`"),
        (
            "security: false",
            "`security` must be true, for temporary credentials, or a mapping of files .*, not False",
        ),
        ("security: {}", "`security` must be true, .*, not {}"),
        ("security: {ca: a.pem}", "TypeError: Unknown parameters: \\['ca'\\]"),
    ],
)
def test_a_description_without_tls(describe, arguments, message):
    with (
        pytest.raises(
            ClusterError, match=f"cluster.yaml: distributed.LocalCluster cannot be made: {message}"
        ),
        described_cluster(describe(THREADS.format(f", {arguments}")), None),
    ):
        pass


class Plain(SpecCluster):
    """A cluster that takes no credentials, whose scheduler listens at whatever protocol."""

    made = None

    def __init__(self, protocol="tcp://"):
        place = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "protocol": protocol}
        super().__init__(scheduler={"cls": Scheduler, "options": place}, silence_logs=100)
        type(self).made = self


def test_a_class_that_cannot_have_tls(describe, library):
    library()
    with (
        pytest.raises(
            ClusterError,
            match=r"cluster.yaml: the scheduler of library.Plain listens at tcp://127.0.0.1:\d+ without TLS: whoever "
            "reaches it runs code as you; write `security: true` and `protocol: tls://` under `arguments`",
        ),
        described_cluster(describe("class: library.Plain"), 2),
    ):
        pass
    assert Plain.made.status.name == "closed"


class Jobs:
    """Takes what clusters of dask-jobqueue take, and keeps it."""

    job_cls = SimpleNamespace(config_name="ours")
    scheduler_address = "tls://10.0.0.1:8786"

    def __init__(self, security=None, scheduler_options=None, dashboard_address=None):
        assert dashboard_address is None  # it raises an error there
        self.security, self.options = security, scheduler_options

    def close(self):
        self.options = "closed"


@pytest.mark.parametrize(
    ("given", "there", "options"),
    [
        ("", None, {"dashboard_address": "127.0.0.1:0"}),
        ("", {"port": 1}, {"dashboard_address": "127.0.0.1:0", "port": 1}),
        ("{port: 2}", {"port": 1}, {"dashboard_address": "127.0.0.1:0", "port": 2}),
        ("{dashboard_address: ':8787'}", None, {"dashboard_address": ":8787"}),
    ],
)
def test_the_dashboard_of_a_queue(describe, library, given, there, options):
    """Options of the scheduler may stand in Dask's own settings; those that are given to the class replace them."""
    library()
    arguments = f"\narguments: {{scheduler_options: {given}}}" if given else ""
    with (
        dask.config.set({"jobqueue.ours.scheduler-options": there}),
        described_cluster(describe(f"class: library.Jobs{arguments}"), None) as cluster,
    ):
        assert cluster.options == options
        assert cluster.security.require_encryption
        assert "BEGIN CERTIFICATE" in cluster.security.tls_worker_cert
    assert cluster.options == "closed"


# --- signals -------------------------------------------------------------------------------------

RUDE = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit())

class Jobs:
    scheduler_address = "tls://127.0.0.1:1"
    def __init__(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def close(self):
        pass
"""


def test_a_library_that_replaces_the_handlers_of_signals(describe, library):
    library(RUDE)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with described_cluster(describe("class: library.Jobs"), None):
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


# --- jobs that cannot be submitted ---------------------------------------------------------------


class Refused(ProcessInterface):
    """A job that the queue takes when ``refuse`` does not have its name."""

    refuse = ()
    asked = ()

    def __init__(self, scheduler, name):
        super().__init__()
        self._name = name

    async def start(self):
        type(self).asked += (self._name,)
        if self._name in self.refuse:
            raise RuntimeError("sbatch: error: Invalid account")
        await super().start()

    async def close(self):
        await super().close()


class Queue(SpecCluster):
    """A cluster of such jobs."""

    def __init__(self, security=None):
        place = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "protocol": "tls://"}
        super().__init__(
            scheduler={"cls": Scheduler, "options": place | {"security": security}},
            worker={"cls": Refused, "options": {}},
            security=security,
            silence_logs=100,
        )


@pytest.fixture
def queue(describe, library, monkeypatch):
    """A description of a queue that refuses jobs by name."""
    library()

    def refusing(*names):
        monkeypatch.setattr(Refused, "refuse", names)
        monkeypatch.setattr(Refused, "asked", ())
        return describe("class: library.Queue")

    return refusing


def test_a_queue_that_takes_no_job(queue, capfd):
    with (
        pytest.raises(
            ClusterError, match="cannot ask for 2 workers: sbatch: error: Invalid account"
        ),
        connect(ClusterOptions(2, description=queue(0, 1))),
    ):
        pass
    assert capfd.readouterr().err == ""


def test_a_queue_that_takes_some_jobs(queue, monkeypatch, caplog):
    """The build begins with what there is; what was refused is asked for again."""
    with described_cluster(queue(1), 2) as cluster:
        assert "1 workers cannot be asked for: sbatch: error: Invalid account" in caplog.text
        replace = Replacements(cluster)
        asked = Refused.asked
        replace(0)
        assert Refused.asked == asked  # not so soon
        monkeypatch.setattr(described, "GRACE", 0.0)
        replace(0)
        assert Refused.asked == (*asked, 1)
        Refused.refuse = ()
        replace(0)
        replace(0)
        assert Refused.asked == (*asked, 1, 1)


# --- jobs that end -------------------------------------------------------------------------------


class Farm:
    """A cluster in name only, with jobs of two workers."""

    plan = ("a-0", "a-1", "b-0", "b-1")

    def __init__(self):
        self.worker_spec = {job: {"group": ["-0", "-1"]} for job in ("a", "b")}
        self.workers, self.closed = {}, []
        self.scale(4)

    def here(self, *names):
        self.scheduler_info = {"workers": {f"tls://{name}": {"name": name} for name in names}}

    def scale(self, workers):
        for job in self.worker_spec:
            self.workers.setdefault(job, SimpleNamespace(close=partial(self.close, job)))
        self.scaled = [workers]

    async def close(self, job):
        self.closed.append(job)

    def sync(self, function, *arguments):
        return asyncio.run(function(*arguments))


@pytest.fixture
def farm(monkeypatch):
    """The farm, what replaces its jobs, and a function that lets time pass, with workers of these names."""

    async def asked(_):
        return []

    found, now = Farm(), [0.0]
    monkeypatch.setattr(described, "_asked", asked)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    replace = Replacements(found)

    def wait(seconds, *names, done=0):
        found.closed.clear()
        now[0] += seconds
        found.here(*names)
        replace(done)
        return found.closed

    return found, wait


def test_jobs_are_replaced_when_all_their_workers_are_gone(farm):
    farm, wait = farm
    assert wait(1000) == []  # they stand in the queue
    assert wait(5, "a-0", "a-1", "b-0", "b-1") == []
    assert wait(50, "a-0", "b-0") == []
    assert wait(50, "a-0") == []  # b-0 may come back
    farm.scaled = []
    assert wait(9, "a-0") == []
    assert wait(2, "a-0") == ["b"]
    assert farm.scaled == [4]
    assert wait(1000, "a-0") == []
    assert wait(5, "a-0", "b-1") == []
    assert wait(61) == ["a", "b"]


def test_jobs_that_end_before_a_call_does_are_not_replaced_for_ever(farm):
    farm, wait = farm

    def live_and_die(done):
        assert wait(5, *farm.plan, done=done) == []
        assert wait(61, done=done) == ["a", "b"]

    for _ in range(3):
        live_and_die(0)
    for _ in range(3):
        live_and_die(1)
    with pytest.raises(
        ClusterError,
        match="jobs of the cluster end before a block is done: 6 were replaced in vain",
    ):
        live_and_die(1)


def live(subject, number):
    time.sleep(0.4)
    return os.getpid()


@pytest.mark.slow
def test_work_of_several_lives_of_a_worker(describe, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(described, "GRACE", 0.2)
    monkeypatch.setattr(windows, "TICK", 0.2)
    text = f"class: short_lived.ShortLived\narguments: {{queue: {tmp_path}/queue, lifetime: 2.0}}\nworkers: 1"
    failures = []
    with executor(
        ClusterOptions(description=describe(text)),
        None,
        probe=able,
        work=0,
        task_bytes=1,
        failures=failures,
    ) as run:
        found = dict(run(live, ((number,) for number in range(12))))
    assert failures == []
    assert sorted(found) == list(range(12))
    assert len(set(found.values())) >= 3
    assert [each for each in found.values() if psutil.pid_exists(each)] == []
    assert list(tmp_path.glob("queue/job-*")) == []
