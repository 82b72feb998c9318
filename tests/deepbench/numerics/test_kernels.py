"""The cache of compiled kernels follows the sources of the package."""

import fcntl
import logging
import os
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numba
import pytest

from deepbench.numerics import kernels

PROGRAM = """
import numpy as np
from deepbench.images.shapes.outlines import cover
print(cover("circle", (9, 9), x=4.0, y=4.0, radius=2.0).sum())
"""


def run(folder):
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


CHANGES = {
    "a constant": ("images/shapes/coverage.py", "SNAP = 1e-9", "SNAP = 0.45"),
    "an inlined function of another room": (
        "numerics/mathfast/float64.py",
        "return (s if valid else np.nan), (c if valid else np.nan)",
        "return (0.5 * s if valid else np.nan), (c if valid else np.nan)",
    ),
}
"""What a kernel uses from other files: the path, the text there, and another text."""


@pytest.mark.slow
def test_a_change_in_another_file_is_compiled_again(tmp_path):
    package = tmp_path / "deepbench"
    source = Path(kernels.__file__).parents[1]
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    first = run(tmp_path)
    for name, old, new in CHANGES.values():
        path = package / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        assert run(tmp_path) != first, name
        path.write_text(text)
    assert run(tmp_path) == first


def twice(x):
    return 2 * x


def test_kernels_compile_where_nothing_can_be_cached(monkeypatch):
    import numba.core.caching as caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    assert kernels.kernel(twice)(4) == 8


def test_a_cache_whose_types_are_gone_counts_as_empty(tmp_path):
    """Numba would unpickle the index of an older version, and fail at a record type that has another home now."""
    run_cover = kernels.kernel(twice)
    index = run_cover._cache._cache_file
    index._index_path = str(tmp_path / "index.nbi")
    Path(index._index_path).write_bytes(pickle.dumps("0.0 other sources") + b"not a pickle")
    assert index._load_index() == {}


def without_end(x):
    return x + "no type has this"


@pytest.fixture
def lock_of(tmp_path, monkeypatch):
    """Cache kernels in a folder of the test; return a function that opens the lock of a kernel."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def open_lock(dispatcher):
        path = Path(dispatcher._cache.cache_path, f"{dispatcher._cache._impl.filename_base}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")

    return open_lock


def test_one_process_compiles_and_the_others_wait_and_load(lock_of, tmp_path, monkeypatch, caplog):
    """A lock of the file is another process to a thread that opens the file again."""
    first, second = kernels.kernel(twice), kernels.kernel(twice)
    with caplog.at_level(logging.INFO, kernels.__name__):
        assert first(4) == 8
        index = Path(first._cache._cache_file._index_path)
        index.rename(tmp_path / "not yet")
        waits, flock = threading.Event(), fcntl.flock
        monkeypatch.setattr(kernels.fcntl, "flock", lambda *of: (waits.set(), flock(*of)))
        with lock_of(second) as lock:
            flock(lock, fcntl.LOCK_EX)
            found = []
            waiting = threading.Thread(target=lambda: found.append(second(4)))
            waiting.start()
            assert waits.wait(60)
            (tmp_path / "not yet").rename(index)
        waiting.join()
    assert found == [8]
    assert caplog.messages == ["compiling twice"]
    assert (sum(second._cache_hits.values()), sum(second._cache_misses.values())) == (1, 0)


@pytest.mark.parametrize(("function", "fails"), [(twice, False), (without_end, True)])
def test_nobody_waits_for_what_is_compiled_or_cannot_be(lock_of, function, fails):
    made = kernels.kernel(function)
    if fails:
        with pytest.raises(numba.core.errors.TypingError):
            made(4)
    else:
        made(4)
    with lock_of(made) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_kernels_compile_on_a_disk_without_locks(lock_of, monkeypatch):
    def refuse(*_):
        raise OSError("no locks available")

    monkeypatch.setattr(kernels.fcntl, "flock", refuse)
    assert kernels.kernel(twice)(4) == 8
