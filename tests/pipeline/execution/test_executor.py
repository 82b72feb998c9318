"""The one door to execution: who runs the calls, and what becomes of those that fail."""

from __future__ import annotations

import logging
import os
import sys
import threading

import cloudpickle
import pytest

from deepbench.errors import BuildError, ClusterError, LabelError
from pipeline.execution import ClusterOptions, Failure, executor, local
from pipeline.progress import COMPILING, KERNELS, compilations

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests

LITTLE = {"work": 0, "task_bytes": 1}


def able():
    return []


def unable():
    return ["is asleep"]


def process(subject, name):
    return subject, os.getpid()


def odd(subject, name):
    if name == "wrong":
        raise LabelError("out of range")
    if name == "broken":
        raise RuntimeError("for good")
    return name


def calls(*names):
    return ((name,) for name in names)


def log_a_kernel(subject, name):
    logging.getLogger(KERNELS).info("compiling %s", name)


def test_little_work_runs_in_this_process():
    with executor(None, "subject", probe=unable, **LITTLE) as run:
        found = list(run(process, calls("a", "b")))
    assert found == [(name, ("subject", os.getpid())) for name in "ab"]


def test_in_this_process_a_failure_is_raised_at_once():
    with executor(None, None, probe=able, **LITTLE) as run:
        results = run(odd, calls("a", "broken", "b"))
        assert next(results) == ("a", "a")
        with pytest.raises(RuntimeError, match="for good"):
            next(results)


def test_more_work_runs_on_a_cluster_of_its_own(monkeypatch):
    begun = []
    monkeypatch.setattr("pipeline.execution.connect", lambda options: begun.append(options))
    with (
        pytest.raises(TypeError, match="context manager"),
        executor(None, None, probe=able, work=local.SMALL, task_bytes=1),
    ):
        pass
    assert begun == [ClusterOptions()]


def test_a_cluster_that_is_asked_for_runs_even_little_work(options):
    with executor(options, "subject", probe=able, **LITTLE) as run:
        found = dict(run(process, calls("a", "b")))
    assert {subject for subject, _ in found.values()} == {"subject"}
    assert os.getpid() not in {number for _, number in found.values()}


def test_workers_are_asked_before_the_work(options):
    with (
        pytest.raises(ClusterError, match=r"worker tcp.* is asleep\nworker tcp.* is asleep"),
        executor(options, None, probe=unable, **LITTLE),
    ):
        pass


def test_kernels_that_workers_compile_are_heard_of(options):
    told, heard = [], threading.Event()

    def report(*step):
        told.append(step)
        heard.set()

    with compilations(report), executor(options, None, probe=able, **LITTLE) as run:
        assert list(run(log_a_kernel, calls("a"))) == [("a", None)]
        assert heard.wait(60)
    assert told == [(COMPILING, 1, 0)]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [("wrong", LabelError, "^out of range$"), ("broken", BuildError, "^broken: RuntimeError: for")],
)
def test_the_first_failure_is_raised_after_the_other_calls(options, name, error, message):
    found = []
    with (
        executor(options, None, probe=able, **LITTLE) as run,
        pytest.raises(error, match=message),
    ):
        found += run(odd, calls("a", name, "b", "c"))
    assert sorted(found) == [("a", "a"), ("b", "b"), ("c", "c")]


def test_failures_are_collected_where_that_is_asked_for(options):
    failures: list[Failure] = []
    with executor(options, None, probe=able, failures=failures, **LITTLE) as run:
        found = sorted(run(odd, calls("a", "wrong", "b", "broken")))
        found += run(odd, calls("c"))
    assert found == [("a", "a"), ("b", "b"), ("c", "c")]
    assert {failure.block: str(failure) for failure in failures} == {
        "wrong": "LabelError: out of range",
        "broken": "RuntimeError: for good",
    }
