"""Processes that are killed, stopped or misled at random moments: the release is that of a build without faults."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deepbench.catalog import releases
from deepbench.recipe import parse_recipe
from pipeline.target import target_of

MANY = {"storage__shard_bytes": 4096, "storage__chunk_bytes": 4096}
"""Four images to a block: 75 blocks of the first table and 5 of the second."""


# --- processes of a local build ------------------------------------------------------------------


@pytest.mark.slow
def test_ten_kills_in_one_build(
    command, make_recipe, recipe_file, tmp_path, parts_in, wait_until, unharmed
):
    """``benchmarks/faults.py`` kills more of them, at other moments."""
    catalog = tmp_path / "releases"
    changes = MANY | {"tables__images__samples": 2000}
    arguments = ("build", recipe_file(**changes), "--catalog", catalog, "--workers", 2, "--json")
    chance = random.Random(1)
    running = command(*arguments)
    killed = []
    while len(killed) < 10:
        if chance.random() < 0.7:  # else perhaps while it starts, or looks at what there is
            before = len(parts_in(catalog))
            wait_until(lambda before=before: len(parts_in(catalog)) > before)
        time.sleep(chance.uniform(0, 0.5))
        assert running.process.poll() is None
        assert not Path(catalog, "small").exists()
        workers = running.workers()
        if not workers or chance.random() < 0.3:
            running.process.kill()
            running.process.wait(timeout=30)
            running = command(*arguments)
            killed.append("coordinator")
        elif end(chance.choice(workers)):
            killed.append("worker")
    assert set(killed) == {"coordinator", "worker"}
    code, out, err = running.end()
    assert (code, err) == (0, "")
    assert json.loads(out)["built"]
    unharmed(catalog, make_recipe(**changes))


def end(process):
    """Kill a process; return whether it lived."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


IMPATIENT = """
from distributed import Client
from pipeline.execution import window
window.PATIENCE, window.TICK, window.SLOWEST = 10.0, 0.2, 1
restart_workers = Client.restart_workers

def restart(*arguments, **options):
    window.PATIENCE = 100.0
    return restart_workers(*arguments, **options)

Client.restart_workers = restart
"""
"""A block on the new worker, which imports everything first, must not seem to hang: on a busy machine it takes 10 s."""


@pytest.mark.slow
def test_a_stopped_worker(command, make_recipe, recipe_file, tmp_path, half_way, unharmed):
    """It neither works nor answers, and its connections stay open."""
    catalog = tmp_path / "releases"
    arguments = ("build", recipe_file(**MANY), "--catalog", catalog, "--workers", 2, "--json")
    running = command(*arguments, before=IMPATIENT)
    half_way(running, catalog)
    stopped = running.workers()[0]
    stopped.suspend()
    code, out, err = running.end()
    assert (code, err) == (0, "")
    assert json.loads(out)["new_blocks"] == 80
    assert not stopped.is_running()
    unharmed(catalog, make_recipe(**MANY))


BACKWARDS = """
import time
time.time = lambda: 2e9 + time.monotonic() - 1.5 * (time.monotonic() // 2)
"""
"""Every other second the clock goes back by one and a half."""


@pytest.mark.slow
def test_a_clock_that_goes_backwards(
    command, make_recipe, recipe_file, tmp_path, half_way, unharmed
):
    catalog = tmp_path / "releases"
    arguments = ("build", recipe_file(**MANY), "--catalog", catalog, "--workers", 1, "--json")
    first = command(*arguments)
    half_way(first, catalog)
    first.process.kill()
    first.process.wait(timeout=30)
    future = time.time() + 10 * 365 * 86400
    for path in catalog.rglob("*"):
        os.utime(path, (future, future))
    code, out, err = command(*arguments, before=BACKWARDS).end()
    assert (code, err) == (0, "")
    assert json.loads(out)["resumed_blocks"] >= 5
    unharmed(catalog, make_recipe(**MANY))


# --- a cluster that runs already -----------------------------------------------------------------


class DaskProcesses:
    """A scheduler and workers as Dask's own commands start them, on the loopback interface."""

    def __init__(self, folder, wait_until):
        self._folder, self._wait_until = folder, wait_until
        self._started = []

    def _start(self, name, *arguments):
        place = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard")
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{name}", *place, *arguments],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._started.append(process)
        return process

    def scheduler(self):
        """Start a scheduler; return its process and address."""
        file = self._folder / f"scheduler-{len(self._started)}.json"
        process = self._start("scheduler", "--port", "0", "--scheduler-file", str(file))
        self._wait_until(lambda: file.exists() and file.read_text().endswith("}"))
        return process, json.loads(file.read_text())["address"]

    def nanny(self, address):
        """Start a nanny with its worker."""
        scratch = ("--local-directory", str(self._folder / "dask"))
        return self._start("worker", address, "--nworkers", "1", "--nthreads", "1", *scratch)

    @staticmethod
    def workers(nanny):
        """Return the processes of a nanny's worker."""
        children = psutil.Process(nanny.pid).children()
        return [each for each in children if "spawn_main" in " ".join(each.cmdline())]

    def end(self):
        """End all of them."""
        for process in reversed(self._started):
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def dask_processes(tmp_path, wait_until):
    running = DaskProcesses(tmp_path, wait_until)
    yield running
    running.end()


@pytest.mark.slow
def test_a_nanny_and_its_neighbours_worker_are_killed(
    command, make_recipe, recipe_file, tmp_path, parts_in, wait_until, unharmed, dask_processes
):
    catalog = tmp_path / "releases"
    changes = MANY | {"tables__images__samples": 1200}
    _, address = dask_processes.scheduler()
    nannies = [dask_processes.nanny(address) for _ in range(2)]
    running = command(
        "build", recipe_file(**changes), "--catalog", catalog, "--scheduler", address, "--json"
    )
    for kill in (nannies[0].kill, lambda: dask_processes.workers(nannies[1])[0].kill()):
        before = len(parts_in(catalog))
        wait_until(lambda before=before: len(parts_in(catalog)) >= before + 5)
        kill()
    code, out, err = running.end()
    assert (code, err) == (0, "")
    assert json.loads(out)["new_blocks"] == 305
    assert nannies[0].wait() == -signal.SIGKILL
    assert nannies[1].poll() is None
    unharmed(catalog, make_recipe(**changes))


@pytest.mark.slow
def test_a_killed_scheduler(
    command,
    run,
    make,
    make_recipe,
    recipe_file,
    tmp_path,
    half_way,
    parts_in,
    unharmed,
    dask_processes,
):
    catalog = tmp_path / "releases"
    arguments = ("build", recipe_file(**MANY), "--catalog", catalog, "--json", "--scheduler")
    scheduler, address = dask_processes.scheduler()
    dask_processes.nanny(address)
    running = command(*arguments, address)
    half_way(running, catalog)
    scheduler.kill()
    code, out, err = running.end()
    assert (code, out) == (2, "")
    assert err == (
        "error: the Dask scheduler is gone; what was finished is kept, and the same command goes on from there\n"
    )
    assert not Path(catalog, "small").exists()
    done = len(parts_in(catalog))

    code, out, err = run(*arguments, address)
    assert (code, out) == (2, "")
    assert f"no Dask scheduler answers at '{address}'" in err

    assert make(make_recipe(**MANY), catalog).resumed_blocks >= done  # on another cluster
    unharmed(catalog, make_recipe(**MANY))


# --- between any two steps of a publish ----------------------------------------------------------

TINY = """
name: small
version: 1.0.0
title: A few squares
seed: 7
tables:
  squares:
    kind: image
    samples: 20
    size: [8, 12]
    classes:
      square:
        objects:
          - rectangle: {x: {uniform: [2, 9]}, y: 4, width: 3, height: 3}
            repeat: {integers: [0, 3]}
storage: {chunk_bytes: 4096, shard_bytes: 4096}
"""

DYING = Path(__file__).parents[2] / "benchmarks" / "dying.py"


@pytest.fixture
def attempt(tmp_path):
    """Publish in a process that dies at a step; return how it ended."""
    started = []

    def run(catalog, step):
        if not started:
            path = tmp_path / "tiny.yaml"
            path.write_text(TINY)
            started.append(
                subprocess.Popen(
                    [sys.executable, DYING, path, catalog],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        process = started[0]
        process.stdin.write(f"{step}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield run
    for process in started:
        process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("location", ["folder", "bucket"])
def test_a_publish_that_is_killed_between_any_two_steps(
    make, tmp_path, request, attempt, location, undated
):
    recipe = parse_recipe(TINY)
    make(recipe, tmp_path / "undisturbed")
    (expected,) = releases(tmp_path / "undisturbed")
    catalog = (
        request.getfixturevalue("bucket") if location == "bucket" else str(tmp_path / "releases")
    )
    target_of(catalog).check_writable("probe")  # makes the folder
    steps = {"before": 0, "after": 0}  # the release is there
    while True:
        when = "after" if releases(catalog) else "before"
        steps[when] += 1
        code = attempt(catalog, steps[when])
        for release in releases(catalog):
            assert release.manifest.tables == expected.manifest.tables
            assert undated(release.manifest) == undated(expected.manifest)
            for each in release.manifest.objects:
                assert release.location.sha256(each.path) == each.sha256
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert min(steps.values()) > 1
    there = {f"small/1.0.0/{each.path}" for each in expected.manifest.objects}
    assert set(target_of(catalog).files()) == there | {"small/1.0.0/manifest.json"}
