"""A new object is one place: throw-away ones are added to a copy of the packages, and releases are made with them.

Each addition touches two source files at most, three for a kind of table. A new file counts, and so does the line in a
registry.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deepbench.numerics.kernels import source_digest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Addition:
    """What is added: new files by their paths, and lines that are put before others in files that are there.

    ``entries`` has pairs of an anchor and what is put before it, by path.
    """

    files: dict[str, str] = field(default_factory=dict)
    entries: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    most: int = 2

    def apply(self, root):
        assert len(self.files.keys() | self.entries.keys()) <= self.most
        for path, text in self.files.items():
            assert not (root / path).exists()
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_text(text)
        for path, pairs in self.entries.items():
            text = (root / path).read_text()
            for anchor, line in pairs:
                assert text.count(anchor) == 1, f"{anchor!r} in {path}"
                text = text.replace(anchor, line + anchor)
            (root / path).write_text(text)


ADDITIONS = {
    "shape": Addition(
        entries={
            "deepbench/images/shapes/model.py": [
                (
                    "SHAPES: dict[str, type[Shape]] = {",
                    '''class Square(Shape):
    """A square."""

    diagonal: Value = parameter("diagonal", unit="pixel", above=0)

    @classmethod
    def boundary(cls, values):
        side = values["diagonal"] / 2**0.5
        return box(side, side, 0.0, 0.0 * side)


''',
                ),
                ('    "line": Line,\n', '    "square": Square,\n'),
            ]
        },
    ),
    "point spread function": Addition(
        entries={
            "deepbench/images/psf/model.py": [
                (
                    "PSFS: dict[str, type[Psf]] = {",
                    '''class WingedPsf(SkyPsf):
    """A Moffat with the wings of β = 2."""

    family = MOFFAT

    def rows(self, columns, scale, count):
        rows = super().rows(columns, scale, count)
        rows["shape"] = 2.0
        return rows


''',
                ),
                ('    "image": ImagePsf,\n', '    "winged": WingedPsf,\n'),
            ]
        }
    ),
    "galaxy": Addition(
        entries={
            "deepbench/images/galaxies/model.py": [
                (
                    "GALAXIES: dict[str, type[Galaxy]] = {",
                    '''class Exponential(Galaxy):
    """A round exponential disk."""

    half_light_radius: Value = _radius("half-light radius")

    def profiles(self, columns, scale):
        radius = columns["half_light_radius"] / scale
        return [Piece(COMPONENTS, _component(columns, 1.0, radius, 1.0, 1.0))]


''',
                ),
                ('    "bulge_disk": BulgeDisk,\n', '    "exponential": Exponential,\n'),
            ]
        }
    ),
    "light-curve family": Addition(
        {
            "deepbench/light_curves/families/dimming.py": '''
"""Sources that fade for ever."""

import numpy as np

from deepbench.language.specification import parameter
from deepbench.language.values import Value
from deepbench.light_curves.families.family import NumpyModulation, record


class Dimming(NumpyModulation):
    """A source that loses light at a rate."""

    row = record("half_life")
    half_life: Value = parameter("time after which half of the light is left", unit="d", above=0)

    def factors(self, times, rows):
        return 1.0 / (1.0 + np.abs(times) / rows["half_life"])
'''
        },
        {
            "deepbench/light_curves/families/registry.py": [
                (
                    "from deepbench.light_curves.families.eclipsing_binary",
                    "from deepbench.light_curves.families.dimming import Dimming\n",
                ),
                ('    "gap": Gap,\n', '    "dimming": Dimming,\n'),
            ]
        },
    ),
    "system": Addition(
        {
            "deepbench/dynamics/systems/drifting.py": '''
"""Free bodies."""

import numpy as np

from deepbench.dynamics.systems.system import Setting, System
from deepbench.language.specification import parameter
from deepbench.language.values import Value


class Drifting(System):
    """A body on which no force acts."""

    speed: Value = parameter("speed along x", unit="m/s")

    @property
    def setting(self):
        return Setting("metres and seconds", 2, {"time": "s", "position": "m", "velocity": "m/s"})

    def move(self, batch):
        speed = batch.true("speed")[:, None, None, None] * np.array([1.0, 0.0])
        shape = (len(batch), len(batch.times), 1, 2)
        times = batch.times[:, None, None]
        batch.write(position=np.broadcast_to(speed * times, shape), velocity=np.broadcast_to(speed, shape))
'''
        },
        {
            "deepbench/dynamics/systems/systems.py": [
                (
                    "from deepbench.dynamics.systems.orbits",
                    "from deepbench.dynamics.systems.drifting import Drifting\n",
                ),
                ("**ORBITS}", '"drifting": Drifting, '),
            ]
        },
    ),
    "export": Addition(
        {
            "pipeline/export/text.py": '''
"""Numbers as text."""

import numpy as np

from pipeline.export.checks import compare


def write_text(request):
    view, [variable] = request.view, request.view.variables
    labels = view.read_labels(0, view.samples).values()
    np.savetxt(request.path, np.column_stack([view.read(variable.name, 0, view.samples), *labels]))


def read_text(request):
    view, [variable] = request.view, request.view.variables
    rows, width = np.loadtxt(request.path, ndmin=2), variable.shape[0]
    found = [(variable.name, rows[:, :width].astype(variable.dtype))]
    for column, values in zip(view.labels, rows[:, width:].T, strict=True):
        found.append((column.name, values.astype(column.dtype)))
    compare(view, found, request.report)
'''
        },
        {
            "pipeline/export/__init__.py": [
                (
                    "from pipeline.progress",
                    "from pipeline.export.text import read_text, write_text\n",
                ),
                (
                    '    "CF ragged arrays"',
                    '    "text": Export(("dice",), (".txt",), write_text, read_text),\n',
                ),
            ]
        },
    ),
    "kind of table": Addition(
        {
            "deepbench/dice/model.py": '''
"""Tables of dice: what a recipe may say about them."""

from typing import Annotated, Literal

from pydantic import Field

from deepbench.labelling.scopes import scope_of, variables_scope
from deepbench.language.specification import Name, parameter
from deepbench.language.values import Value
from deepbench.arrays import Coordinate, DataVariable
from deepbench.tables import ClassSpecification, TableSpecification


class DiceClass(ClassSpecification):
    """One class of dice."""

    faces: Value = parameter("number of faces", minimum=2, integer=True)


class DiceTable(TableSpecification):
    """A table of throws."""

    kind: Literal["dice"]
    throws: Annotated[int, Field(ge=1, le=100)] = Field(description="number of throws")
    classes: Annotated[dict[Name, DiceClass], Field(min_length=1)]

    def scopes(self):
        found = [variables_scope(self.variables, ("variables",))]
        for name, each in self.classes.items():
            path = ("classes", name)
            found.append(variables_scope(each.variables, (*path, "variables"), name))
            scope = scope_of(each, "die", path, name)
            chosen = {"faces": scope.values["faces"]}
            found.append(type(scope)("die", path, chosen, scope.parameters, name))
        return [each for each in found if each.values]

    def pixel_streams(self):
        return ["*/throws"]

    def data_variables(self):
        return (DataVariable("throw", "number on top", "1", ("throw_number",), (self.throws,), "float32"),)

    def coordinates(self):
        return (Coordinate("throw_number", "number of the throw", "1", self.throws),)

    def working_bytes(self, plan):
        return 8 * self.throws
''',
            "deepbench/dice/render.py": '''
"""Throws of dice."""

import numpy as np

from deepbench.numerics import streams


def render(table, labels):
    (variable,) = table.variables
    count, throws = len(labels), variable.shape[0]
    samples = np.repeat(labels.samples, throws)
    elements = np.tile(np.arange(throws), count)
    drawn = streams.uniforms(table.seed, table.stream("*/throws"), samples, elements)
    faces = np.repeat(labels.columns["die.faces"], throws)
    return {"throw": (1 + np.floor(drawn * faces)).astype("float32").reshape(count, throws)}, labels
''',
        },
        {
            "deepbench/kinds.py": [
                (
                    "from deepbench.dynamics.model",
                    "from deepbench.dice.model import DiceTable\n",
                ),
                ('    "image": Kind', '    "dice": Kind(DiceTable, "deepbench.dice.render"),\n'),
            ]
        },
        most=3,
    ),
}

RECIPE = """
name: extended
version: 1.0.0
title: One of each addition
seed: 3
tables:
  shapes:
    kind: image
    samples: 4
    size: [16, 16]
    classes: {one: {objects: [{square: {x: 8, y: 8, diagonal: {uniform: [4, 8]}}}]}}
  skies:
    kind: image
    samples: 4
    size: [16, 16]
    pixel_scale: 0.2
    psf: {winged: {fwhm: {uniform: [0.6, 0.9]}}}
    classes:
      one:
        objects:
          - exponential: {dx: 0, dy: 0, flux: 100, half_light_radius: {uniform: [0.2, 0.4]}}
          - star: {x: 3, y: 3, flux: 10}
  curves:
    kind: light_curve
    samples: 4
    survey: {preset: tess_30min, cadence: {regular: {interval: 1800, duration: 2, start: 1325}}}
    classes: {one: {objects: [{source: {magnitude: 10}}, {dimming: {half_life: {uniform: [1000, 2000]}}}]}}
  motions:
    kind: dynamics
    samples: 4
    times: {duration: 2, steps: 5}
    classes: {one: {system: {drifting: {speed: {uniform: [1, 2]}}}}}
  throws:
    kind: dice
    samples: 4
    throws: 5
    classes: {cube: {faces: 6}, coin: {faces: 2}}
"""

CHECK = """
import numpy as np, deepbench
release = deepbench.find("extended", catalog="releases")
tree, truth = release.open(), {name: release.labels(name) for name in release.manifest.tables}
areas = tree["shapes"]["image"].values.sum((1, 2))
np.testing.assert_allclose(areas, truth["shapes"]["square.diagonal"] ** 2 / 2, rtol=1e-5)
assert 90 < tree["skies"]["image"].values.sum((1, 2)).min() < 110
curves = tree["curves"]["flux"].values
assert (np.nanmean(curves, axis=1) > 0).all()
speed = truth["motions"]["drifting.speed"].values
np.testing.assert_allclose(tree["motions"]["position"].values[:, -1, 0, 0], 2 * speed, rtol=1e-12)
throws, faces = tree["throws"]["throw"].values, truth["throws"]["die.faces"].values
assert (throws >= 1).all() and (throws.max(axis=1) <= faces).all()
np.testing.assert_array_equal(np.loadtxt("throws.txt")[:, : throws.shape[1]], throws)
"""


def run(folder, *arguments):
    """Run Python on the copy of the packages."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_each_addition_is_validated_built_verified_and_exported(tmp_path):
    for package in ("deepbench", "pipeline"):
        ignored = shutil.ignore_patterns("*.pyc*", "*.tmp.*", "*.lock")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    with (tmp_path / "deepbench/numerics/kernels.py").open("a") as file:
        # No addition changes a kernel: those that are compiled are copied, and belong to the copy.
        file.write(f"\n\nsource_digest = lambda: {source_digest()!r}\n")
    for addition in ADDITIONS.values():
        addition.apply(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    command = "-c", "from pipeline.cli import main; main()"
    run(tmp_path, *command, "validate", "recipe.yaml")
    run(tmp_path, *command, "build", "recipe.yaml", "--workers", "1")
    run(tmp_path, *command, "verify", "extended", "--rerender", "1")
    run(tmp_path, *command, "export", "extended", "throws.txt", "--table", "throws")
    run(tmp_path, "-c", CHECK)
