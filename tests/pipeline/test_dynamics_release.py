"""A release of dynamics: built, read, verified; what a class does not have is missing, and infinity is not."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from deepbench.catalog import find
from deepbench.recipe import parse_recipe
from deepbench.samples import render
from pipeline.verify import verify

TOOLS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "corruption.py"))

RECIPE = """\
name: tiny
version: 1.0.0
title: Pendulums of one and two arms
seed: 7
tables:
  swings:
    kind: dynamics
    samples: 40
    times: {duration: 2, steps: 21}
    store: [position, q, position_true]
    noise: {position: 0.1}
    classes:
      one: {system: {pendulum: {length: 1, angle: {uniform: [10, 90]}, gravity: 9.81}}}
      two:
        system:
          double_pendulum:
            length_1: 1
            length_2: {uniform: [0.5, 1]}
            mass_1: 1
            mass_2: 1
            angle_1: {uniform: [10, 90]}
            angle_2: 0
            gravity: 9.81
    frames: {size: [16, 16], every: 5, scale: 4, disks: [{radius: 1}]}
storage: {chunk_bytes: 4096, shard_bytes: 16384}
"""


@pytest.fixture(scope="module")
def recipe():
    return parse_recipe(RECIPE)


@pytest.fixture
def release(recipe, make, tmp_path, compile_kernels):
    compile_kernels(RECIPE)
    make(recipe, tmp_path / "releases")
    return find("tiny", "1.0.0", tmp_path / "releases")


def test_a_release_of_dynamics_is_what_is_rendered(recipe, release):
    found = xr.open_datatree(f"{release.path}/data.zarr", engine="zarr")["swings"]
    expected = render(recipe, "swings")
    for name in ("position", "position_true", "q", "frames", "double_pendulum.lyapunov_times"):
        np.testing.assert_array_equal(found[name].values, expected[name].values)
    np.testing.assert_array_equal(found.time, np.arange(21) * 2 / 20)
    np.testing.assert_array_equal(found.frame, [0, 0.5, 1, 1.5, 2])
    assert found.position.attrs == {"long_name": "position of each body", "units": "m"}
    assert np.isnan(found.position.values).any()
    assert verify(release, rerender=1.0).ok


def test_a_missing_body_may_be_nothing_but_not_infinite(release):
    def change(values):
        values[3].flat[0] = np.inf

    TOOLS["edit_array"](Path(release.path), "swings/position", change)
    checks = {(each.check, each.samples) for each in verify(release).findings}
    assert ("values", (3,)) in checks
