"""Software: what a manifest lists of it, and what keeps a worker from the work."""

from __future__ import annotations

import sys

import cloudpickle
import numpy as np
import pytest

from deepbench import format as fmt
from deepbench.storage.locations import location_of
from pipeline.software import MUST_AGREE, obstacles, probe_of, versions


def test_software_is_recorded():
    found = versions()
    assert found["format"] == str(fmt.FORMAT_VERSION)
    assert found["render"] == str(fmt.RENDER_VERSION)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["numpy"] == np.__version__


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "file").write_text("")
    return location_of(tmp_path)


def test_nothing_keeps_this_process_from_the_work(folder):
    assert obstacles(folder, versions() | {"pandas": "9.9"}) == []
    assert cloudpickle.loads(cloudpickle.dumps(probe_of(folder)))() == []


@pytest.mark.parametrize("name", MUST_AGREE)
def test_other_software_does(folder, name):
    (problem,) = obstacles(folder, versions() | {name: "9.9"})
    assert problem == f"has {name} version {versions()[name]}, not 9.9; install the same"


def test_files_that_are_not_seen_do(tmp_path):
    (problem,) = obstacles(location_of(tmp_path / "absent"), versions())
    assert problem.startswith(f"does not see what is in {tmp_path}/absent; use a folder that all")
