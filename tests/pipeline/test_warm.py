"""The kernels that recipes reach: no more than they need, all of them compiled by ``warm``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOWS = Path(__file__).parents[2] / "workflows"

CALLED = """
import json, sys
from numba.core.dispatcher import Dispatcher
from deepbench.recipe import load_recipe
from pipeline.warm import warm

called, dispatchers, compile_or_load = [], set(), Dispatcher._compile_for_args

def note(dispatcher, *arguments, **more):
    function = dispatcher.py_func
    called.append(f"{function.__module__.removeprefix('deepbench.')}.{function.__qualname__}")
    dispatchers.add(dispatcher)
    return compile_or_load(dispatcher, *arguments, **more)

Dispatcher._compile_for_args = note
for path in sys.argv[1:]:
    warm(load_recipe(path))
    print(json.dumps(sorted(called)))
    called.clear()
    for dispatcher in dispatchers:
        dispatcher._reset_overloads()
"""
"""Prints the kernels that Python calls for each recipe, once for each signature: what is compiled on a new machine."""


def called(*names):
    """Return the kernels that each workflow calls."""
    paths = [str(WORKFLOWS / f"{name}.yaml") for name in names]
    words = [sys.executable, "-c", CALLED, *paths]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=WORKFLOWS.parent)
    return dict(zip(names, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.slow
def test_the_demo_compiles_what_it_needs():
    """Each takes seconds on a new machine: one more needs a reason."""
    assert called("shapes")["shapes"] == [
        "images.detector.noise_steps.add_gaussian",
        "images.render.first_bad",
        "images.shapes.draw._draw",
        "numerics.streams._uniforms",
    ]


DRAWING = {
    "shapes": "images.shapes.draw._draw",
    "stars": "images.stars.point_sources.add_stars",
    "galaxies": "images.galaxies.fourier.write_spectra",
    "arms": "images.galaxies.spirals.write_arms",
    "photons": "images.detector.noise_steps.count_photons",
    "smooth noise": "images.detector.noise_steps.add_correlated",
    "detector": "images.detector.detector.expose",
    "bad pixels": "images.detector.defect_planes.mark_blocks",
    "objects on the sphere": "sphere.objects.projection._add_objects",
}
"""Kernels that take longest to compile, by what needs them."""

NEEDED = {
    "all_shapes": {"shapes", "photons"},
    "stars": {"stars", "photons"},
    "star_galaxy": {"galaxies", "detector"},
    "galaxies": {"galaxies", "arms", "detector"},
    "pendulums": {"shapes"},
    "transits": set(),
    "rotations": set(),
}


@pytest.mark.slow
def test_workflows_compile_what_they_need():
    for name, kernels in called(*NEEDED).items():
        assert {what for what, kernel in DRAWING.items() if kernel in kernels} == NEEDED[name], name
        assert len(set(kernels)) == len(kernels), f"{name} compiles a kernel for two signatures"


def test_nothing_is_left_to_compile_after_warming(run, recipe_file):
    path = recipe_file()
    assert run("warm", path)[0] == 0
    assert run("warm", path, path) == (0, f"{path}: ready\n" * 2, "")
