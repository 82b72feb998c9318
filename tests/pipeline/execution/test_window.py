from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import pytest

from deepbench.errors import BuildError, ClusterError, LabelError
from pipeline.execution import window as windows
from pipeline.execution.window import Failure, Window
from pipeline.plan import Block

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests

# Each of these runs on a worker with a folder in place of a staging folder, where it counts its calls.


def called(folder, block):
    with Path(folder, f"{block.start}").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len(Path(folder, f"{block.start}").read_text().split())


def fine(folder, block):
    called(folder, block)
    return block.start


def sometimes(folder, block):
    if block.start % 2 == 0 and called(folder, block) <= 2:
        raise OSError(errno.EIO, "a passing trouble")
    return block.start


def never(folder, block):
    if block.start == 3:
        called(folder, block)
        raise RuntimeError("broken for good")
    return fine(folder, block)


def wrong(folder, block):
    if block.start == 3:
        called(folder, block)
        raise LabelError("sample 3 leaves its range")
    return fine(folder, block)


def all_wrong(folder, block):
    called(folder, block)
    raise LabelError("out of range")


def full(folder, block):
    if block.start == 3:
        raise OSError(errno.ENOSPC, "No space left on device")
    return block.start


def deadly(folder, block):
    called(folder, block)
    if block.start == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return block.start


def deadly_once(folder, block):
    if block.start == 3 and called(folder, block) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return block.start


def hangs_once(folder, block):
    if block.start == 3 and called(folder, block) == 1:
        time.sleep(3600)
    return block.start


def hangs(folder, block):
    called(folder, block)
    if block.start == 3:
        time.sleep(3600)
    return block.start


def slow(folder, block):
    time.sleep(0.2)
    return block.start


def calls(count):
    return ((Block("images", number, number + 1),) for number in range(count))


def count(folder, number):
    return len(Path(folder, f"{number}").read_text().split())


@pytest.fixture
def run(client, tmp_path):
    """Run a function over some blocks; return the results and the window."""

    def go(function, number=8):
        window = Window(client, str(tmp_path), threads=2)
        results = {block.start: result for block, result in window.run(function, calls(number))}
        return results, window

    return go


def test_every_block_runs_once_and_returns_its_result(run, tmp_path):
    results, window = run(fine, 40)
    assert results == {number: number for number in range(40)}
    assert window.failures == []
    assert all(count(tmp_path, number) == 1 for number in range(40))


def test_no_blocks(run):
    assert run(fine, 0)[0] == {}


def test_calls_are_taken_only_as_there_is_room(client, tmp_path):
    taken = itertools.count()

    def endless():
        for number in taken:
            yield (Block("images", number, number + 1),)

    window = Window(client, str(tmp_path), threads=2)
    results = window.run(fine, endless())
    for _ in range(10):
        next(results)
    results.close()
    assert next(taken) <= 10 + 2 * 2 + 2 + 1


def test_finished_blocks_leave_nothing_on_the_scheduler(run, cluster):
    run(fine, 10)
    deadline = time.monotonic() + 30
    while cluster.scheduler.tasks and time.monotonic() < deadline:
        time.sleep(0.01)
    assert cluster.scheduler.tasks == {}


def test_a_passing_error_is_tried_again(run, tmp_path):
    results, window = run(sometimes)
    assert sorted(results) == list(range(8))
    assert window.failures == []
    assert [count(tmp_path, number) for number in (0, 2, 4, 6)] == [3, 3, 3, 3]


def test_a_lasting_error_is_named_and_its_neighbours_finish(run, tmp_path):
    results, window = run(never)
    assert sorted(results) == [0, 1, 2, 4, 5, 6, 7]
    assert [failure.block for failure in window.failures] == [Block("images", 3, 4)]
    assert str(window.failures[0]) == "RuntimeError: broken for good"
    assert count(tmp_path, 3) == 1 + windows.RETRIES


def test_the_recipes_own_fault_is_not_tried_again(run, tmp_path):
    results, window = run(wrong)
    assert len(results) == 7
    assert str(window.failures[0]) == "LabelError: sample 3 leaves its range"
    assert count(tmp_path, 3) == 1


def test_after_some_failures_no_further_blocks_are_begun(run, tmp_path):
    results, window = run(all_wrong, 100)
    assert results == {}
    assert windows.FAILURES <= len(window.failures) <= windows.FAILURES + 2 * 2 + 2
    assert len(list(tmp_path.iterdir())) == len(window.failures)


def test_a_full_disk_stops_everything(run):
    with pytest.raises(
        BuildError, match="the disk is full; .* make room, then run the same"
    ) as info:
        run(full)
    assert info.value.__cause__.errno == errno.ENOSPC


def test_a_block_that_kills_its_worker_is_named_and_its_neighbours_finish(run):
    results, window = run(deadly)
    assert sorted(results) == [0, 1, 2, 4, 5, 6, 7]
    assert [failure.block for failure in window.failures] == [Block("images", 3, 4)]
    assert "the worker died each time it was tried, alone too" in str(window.failures[0])


def test_a_worker_that_dies_once_costs_nothing_but_time(run, tmp_path):
    results, window = run(deadly_once)
    assert sorted(results) == list(range(8))
    assert window.failures == []
    assert count(tmp_path, 3) == 2


@pytest.mark.slow
def test_a_block_that_hangs_has_its_worker_restarted(run, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "PATIENCE", 4.0)
    monkeypatch.setattr(windows, "TICK", 0.2)
    monkeypatch.setattr(windows, "SLOWEST", 1)
    results, window = run(hangs_once)
    assert sorted(results) == list(range(8))
    assert window.failures == []
    assert len(set(Path(tmp_path, "3").read_text().split())) == count(tmp_path, 3) == 2


@pytest.mark.slow
def test_a_block_that_always_hangs_is_named_and_its_neighbours_finish(run, monkeypatch):
    monkeypatch.setattr(windows, "PATIENCE", 4.0)
    monkeypatch.setattr(windows, "TICK", 0.2)
    monkeypatch.setattr(windows, "SLOWEST", 1)
    results, window = run(hangs)
    assert sorted(results) == [0, 1, 2, 4, 5, 6, 7]
    assert [failure.block for failure in window.failures] == [Block("images", 3, 4)]


def test_a_block_is_not_taken_to_hang_while_blocks_usually_take_as_long(client, monkeypatch):
    monkeypatch.setattr(windows, "PATIENCE", 0.0)
    window = Window(client, None, 2)
    window._spans.extend([10.0, 10.0, 10.0])
    restarted, cancelled = [], []
    monkeypatch.setattr(client, "restart_workers", lambda *each, **_: restarted.append(each))

    class Future:
        key = "k"

    task = windows._Task(Block("images", 0, 1), ())
    task.since = time.monotonic() - 190
    monkeypatch.setattr(client, "cancel", lambda futures: cancelled.extend(futures))
    monkeypatch.setattr(client, "processing", lambda: {"tcp://w": () if cancelled else ("k",)})
    future = Future()
    window._restart_slow({future: task})
    assert restarted == cancelled == []
    task.since = time.monotonic() - 210
    window._restart_slow({future: task})
    assert restarted == [(["tcp://w"],)]
    assert cancelled == [future]


def test_quick_work_does_not_make_slow_work_after_it_seem_to_hang(client, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "PATIENCE", 0.1)
    monkeypatch.setattr(windows, "TICK", 0.02)
    monkeypatch.setattr(windows, "SLOWEST", 1)
    window = Window(client, str(tmp_path), threads=2)
    window._spans.extend([0.001] * 101)
    found = [result for _, result in window.run(slow, calls(1))]
    assert [str(failure) for failure in window.failures] == []
    assert found == [0]


SCHEDULER = """
import sys, time
from distributed import LocalCluster
if __name__ == "__main__":
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", processes=False, protocol="tcp",
                           dashboard_address="127.0.0.1:0")
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def scheduler():
    """A scheduler with a worker, in a process that the test may kill; its process and address."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()
    process.stdin.close()


def test_a_scheduler_that_dies_is_one_clear_error(scheduler, tmp_path, monkeypatch):
    from distributed import Client

    monkeypatch.setattr(windows, "TICK", 0.2)
    process, address = scheduler
    with Client(address, timeout=2) as client:
        window = Window(client, str(tmp_path), threads=1)
        results = window.run(slow, calls(100))
        next(results)
        process.kill()
        with pytest.raises(
            ClusterError, match="the Dask scheduler is gone; what was finished is kept"
        ):
            list(results)


def test_a_cluster_that_loses_all_its_workers_is_one_clear_error(scheduler, tmp_path, monkeypatch):
    from distributed import Client

    monkeypatch.setattr(windows, "PATIENCE", 1.0)
    monkeypatch.setattr(windows, "TICK", 0.2)
    with Client(scheduler[1], timeout=5) as client:
        client.retire_workers(list(client.nthreads()))
        window = Window(client, str(tmp_path), threads=1)
        with pytest.raises(
            ClusterError, match="the Dask workers are gone; what was finished is kept"
        ):
            list(window.run(fine, calls(3)))


@pytest.mark.slow
def test_a_scheduler_that_restarts_its_workers_costs_nothing_but_time(client, tmp_path):
    """``Client.restart`` cancels the futures of every client."""
    from distributed import Client

    window = Window(client, str(tmp_path), threads=2)
    results = window.run(slow, calls(12))
    found = [next(results)]
    with Client(client.scheduler.address) as other:
        other.restart()
    found += results
    assert sorted(result for _, result in found) == list(range(12))
    assert window.failures == []


def test_a_result_that_is_lost_with_its_connection(run, tmp_path, monkeypatch):
    from distributed import Future
    from distributed.comm import CommClosedError

    lost, original = [], Future.result

    def result(future, timeout):
        if not lost:
            lost.append(future)
            raise CommClosedError("in <TCP (closed)>: Connection reset by peer")
        return original(future, timeout)

    monkeypatch.setattr(Future, "result", result)
    results, window = run(fine)
    assert sorted(results) == list(range(8))
    assert window.failures == []
    assert sum(count(tmp_path, number) for number in range(8)) == 9


def test_a_failure_tells_what_happened():
    assert str(Failure(Block("t", 0, 1), ValueError("no"))) == "ValueError: no"
