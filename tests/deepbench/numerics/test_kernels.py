"""The cache of compiled kernels follows the sources of the package."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

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
