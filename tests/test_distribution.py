"""The distribution: its name, its version, its extras; a wheel of it holds all that a clone needs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

import deepbench
from deepbench.errors import EXTRAS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEVELOPERS = ("test", "lint")
"""Extras that only a clone needs."""


def test_the_name_is_free_and_the_version_above_the_originals():
    assert PROJECT["name"] == "deepbench-pipeline"
    assert Version(deepbench.__version__) > Version("0.2.3")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == deepbench.__version__


def test_messages_install_what_the_extras_install():
    extras = PROJECT["optional-dependencies"]
    assert {name: list(packages) for name, packages in EXTRAS.items()} == {
        name: packages for name, packages in extras.items() if name not in DEVELOPERS
    }


def test_nothing_asks_for_an_extra_of_the_original():
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "pyproject.toml"]
    for folder in ("deepbench", "pipeline", "workflows", "docs"):
        files += [
            each for each in (ROOT / folder).rglob("*.*") if each.suffix in (".py", ".md", ".yaml")
        ]
    for path in files:
        assert not re.search(r"install[^\n]*\bdeepbench(\[| |'|`|=|$)", path.read_text()), path
        assert not re.search(r"\bdeepbench\[[a-z]", path.read_text()), path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build a wheel of the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.iterdir()
    return path


def test_a_wheel_holds_the_packages_and_the_workflows(wheel):
    homes = {"deepbench": "deepbench", "pipeline": "pipeline", "workflows": "pipeline/workflows"}
    expected = {
        f"{home}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, home in homes.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    there = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert there == expected
    assert wheel.name == f"deepbench_pipeline-{deepbench.__version__}-py3-none-any.whl"


def test_make_names_a_python_that_is_too_old(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python3.10"
    pretends = "import sys; sys.version_info = (3, 10, 1); exec(sys.argv[1])"
    old.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{pretends}' \"$2\"\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", "demo", f"PYTHON={old}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    first, *_ = done.stderr.splitlines()
    assert first == (
        f"DeepBench needs Python 3.11 or newer, {old} is 3.10; name another: make demo PYTHON=python3.12"
    )
    assert done.stdout == ""
    assert not (tmp_path / ".venv").exists()


@pytest.mark.slow
def test_a_wheel_in_a_fresh_environment_builds_the_demo(wheel, tmp_path):
    """Other packages are those of this environment; DeepBench is that of the wheel alone."""
    fresh = tmp_path / "fresh"
    venv.create(fresh)
    (site,) = fresh.glob("lib/python*/site-packages")
    others = [each for each in sys.path if each.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command):
        done = subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    python = fresh / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel)
    asked = "import pipeline, importlib.metadata as m; print(pipeline.__file__, m.version('deepbench-pipeline'))"
    assert run(python, "-c", asked).split() == [
        str(site / "pipeline/__init__.py"),
        deepbench.__version__,
    ]
    command, recipe = fresh / "bin" / "deepbench", "workflows/shapes.yaml"
    run(command, "validate", recipe)
    built = run(command, "build", recipe, "--set", "tables.images.samples=20", "--json")
    manifest = json.loads(Path(tmp_path, json.loads(built)["path"], "manifest.json").read_text())
    assert manifest["software"]["deepbench"] == deepbench.__version__
    run(command, "plan", "workflows/shapes.yaml")
