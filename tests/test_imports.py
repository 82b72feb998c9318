"""Imports point one way, and nothing heavy is imported before it is used."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("deepbench", "pipeline", "workflows", "benchmarks")

LAYERS = [
    r"errors|words|notebook|progress",
    r"numerics(\..*)?",
    r"lensing(\..*)?",
    r"storage(\..*)?|language(\..*)?",
    r"labelling(\..*)?|arrays|tables|authors",
    r"deflectors(\..*)?",
    r"images(\..*)?|light_curves(\..*)?",
    r"sphere(\..*)?|dynamics(\..*)?",
    r"kinds|panels",
    r"recipe_problems|recipe",
    r"format",
    r"statistics|selection",
    r"samples",
    r"stored_recipe|release_cards|release",
    r"catalog",
    r"reading(\..*)?|counterfactuals",
    r"lazy_samples|virtual|ground_truth",
    r"probing(\..*)?|torch(\..*)?",
]
"""The modules of ``deepbench`` from the lowest to the highest; each may import its own layer and lower ones."""

PIPELINE_LAYERS = [
    r"units|secrets|software|progress",
    r"target(\..*)?|execution(\..*)?|plan|encoding|parquet|parts",
    r"staging",
    r"files|block|metadata|documents(\..*)?",
    r"diff(\..*)?|verify(\..*)?",
    r"claims|growth",
    r"publish",
    r"build|repair|upkeep|caches|export(\..*)?|report(\..*)?|warm|deposit",
    r"cli(\..*)?",
]
"""The modules of ``pipeline``, as those of ``deepbench``; here what is imported for types alone counts as well."""

KINDS = {"images": (), "light_curves": (), "sphere": ("images",), "dynamics": ("images",)}
"""Which other kinds a kind may import."""

HEAVY = (
    *("numpy", "pandas", "xarray", "numba", "scipy", "zarr", "dask", "distributed", "matplotlib"),
    *("pyarrow", "pydantic", "yaml", "h5py", "healpy", "ducc0", "torch"),
)


def modules():
    """Return the source of every module by its name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


class Imports(ast.NodeVisitor):
    """Collects what a module imports: when it is imported, when it runs, and for type checking only."""

    def __init__(self):
        self.inside = 0
        self.checking = False
        self.at_import, self.at_run, self.for_types = set(), set(), set()

    def add(self, *names):
        run = self.at_run if self.inside else self.at_import
        (self.for_types if self.checking else run).update(names)

    def visit_FunctionDef(self, node):
        self.inside += 1
        self.generic_visit(node)
        self.inside -= 1

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # noqa: N815

    def visit_If(self, node):
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)
        else:
            assert ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
            self.checking = True
            for each in node.body:
                self.visit(each)
            self.checking = False
            for each in node.orelse:
                self.visit(each)

    def visit_Import(self, node):
        self.add(*(alias.name for alias in node.names))

    def visit_ImportFrom(self, node):
        assert node.level == 0, "imports are absolute"
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            self.add(name if name in MODULES else node.module)

    def visit_Call(self, node):
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        if called == "import_module" and isinstance(node.args[0], ast.Constant):
            self.add(node.args[0].value)
        self.generic_visit(node)


def imports(text):
    """Return what is imported when a module is imported, what when it runs, and what for types only."""
    found = Imports()
    found.visit(ast.parse(text))
    return found.at_import, found.at_run, found.for_types


@cache
def imported(module):
    """Return what a module imports when it is imported, when it runs, and for types only."""
    return imports(MODULES[module].read_text(encoding="utf-8"))


def used(module, types=False):
    """Return all that a module imports; what it imports for types only, too, where ``types`` says so."""
    return set.union(*imported(module)[: 3 if types else 2])


def layer(module):
    """Return the number of the layer of a module of ``deepbench`` or ``pipeline``."""
    top, _, name = module.partition(".")
    layers = {"deepbench": LAYERS, "pipeline": PIPELINE_LAYERS}[top]
    found = [index for index, pattern in enumerate(layers) if re.fullmatch(pattern, name)]
    assert len(found) == 1, f"put {module} into one layer of tests/test_imports.py"
    return found[0]


def package(module):
    return module.split(".")[0]


# --- the direction of imports --------------------------------------------------------------------


def test_the_reader_of_imports_sees_what_it_should():
    text = """
import os.path
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import pandas
else:
    import json
from deepbench.numerics import streams
from deepbench import load_recipe
from deepbench.errors import LabelError
def f():
    import zarr
    from pipeline import build
    return lambda: importlib.import_module("deepbench.samples")
class A:
    import abc
    async def g(self):
        import dask
"""
    at_import, at_run, for_types = imports(text)
    assert at_import == {
        *(
            "os.path",
            "typing",
            "json",
            "deepbench.numerics.streams",
            "deepbench",
            "deepbench.errors",
            "abc",
        )
    }
    assert at_run == {"zarr", "pipeline.build", "deepbench.samples", "dask"}
    assert for_types == {"pandas"}


def test_there_is_something_to_look_at():
    assert {"deepbench", "deepbench.recipe", "pipeline.build"} <= set(MODULES)
    assert "deepbench.images.model.table" in imported("deepbench.kinds")[0]


@pytest.mark.parametrize("module", [name for name in MODULES if package(name) == "deepbench"])
def test_imports_inside_deepbench_point_down(module):
    if module == "deepbench":
        return
    for name in used(module):
        assert package(name) not in PACKAGES or package(name) == "deepbench", f"imports {name}"
        assert name != "deepbench", "import the module that has it"
        if package(name) == "deepbench":
            assert layer(name) <= layer(module), f"{module} imports {name}"


@pytest.mark.parametrize("module", [name for name in MODULES if package(name) == "pipeline"])
def test_imports_inside_the_pipeline_point_down(module):
    if module == "pipeline":
        return
    for name in used(module, types=True):
        if package(name) == "pipeline":
            assert layer(name) <= layer(module), f"{module} imports {name}"


def test_execution_knows_nothing_of_the_work():
    """No block, plan or staging is imported, not even for the types."""
    for module in MODULES:
        if module.startswith("pipeline.execution"):
            for name in used(module, types=True):
                assert not name.startswith("pipeline.") or name.startswith(
                    ("pipeline.execution", "pipeline.software")
                ), f"{module} imports {name}"


@pytest.mark.parametrize("module", [name for name in MODULES if package(name) == "pipeline"])
def test_the_pipeline_does_not_import_what_uses_it(module):
    assert not {package(name) for name in used(module)} & {"workflows", "benchmarks", "tests"}


def test_nothing_imports_tests_or_one_script_another():
    for module in MODULES:
        for name in used(module):
            assert package(name) != "tests", f"{module} imports {name}"
            if package(name) in ("workflows", "benchmarks"):
                assert package(module) == package(name), f"{module} imports {name}"


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_do_not_import_each_other(kind):
    others = {each for each in KINDS if each != kind} - set(KINDS[kind])
    for module in MODULES:
        if module.startswith(f"deepbench.{kind}"):
            for name in used(module):
                assert not name.startswith(tuple(f"deepbench.{each}" for each in others)), module


def circles(graph):
    """Return a circle in a graph of modules, None where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_there_are_no_circles():
    """Imports inside functions hide a circle, they do not open it: they count, and in ``pipeline`` those for types."""
    graph = {
        module: used(module, types=package(module) == "pipeline") & (MODULES.keys() - {module})
        for module in MODULES
    }
    assert circles(graph) is None
    assert circles({**graph, "deepbench.errors": {"deepbench.catalog"}}) is not None


# --- what is loaded when -------------------------------------------------------------------------


def loaded(code):
    """Run code in a fresh interpreter and return which of the heavy packages it loaded."""
    report = f"import sys; sys.stderr.write(' '.join(m for m in {HEAVY} if m in sys.modules))"
    code = f"try:\n    {code}\nfinally:\n    {report}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split()), done.stdout


def test_importing_deepbench_loads_nothing_heavy():
    assert loaded("import deepbench; assert dir(deepbench)")[0] == set()


def test_errors_can_be_caught_without_anything_heavy():
    assert loaded("from deepbench import DeepBenchError")[0] == set()


def test_the_test_of_loading_sees_what_is_loaded():
    assert "numpy" in loaded("from deepbench import load_recipe")[0]


def test_reading_a_recipe_loads_no_cluster_and_no_tables():
    code = "import deepbench; deepbench.load_recipe('workflows/all_shapes.yaml')"
    found = loaded(code)[0]
    assert not found & {"dask", "distributed", "xarray", "zarr", "matplotlib", "pandas", "pyarrow"}


def test_reading_recipes_loads_no_kernels():
    code = (
        "import deepbench, pathlib; "
        "[deepbench.load_recipe(path) for path in pathlib.Path('workflows').glob('*.yaml')]"
    )
    assert not loaded(code)[0] & {"numba", "scipy", "healpy", "ducc0"}


def test_the_help_of_the_command_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['deepbench', '--help']; from pipeline.cli.main import main; main()"
    )
    found, output = loaded(code)
    assert "Usage: deepbench" in output
    assert not found & {"dask", "distributed", "xarray", "zarr", "numba", "pandas", "matplotlib"}


@pytest.mark.parametrize("command", ["'list'", "'info', 'kinds'"])
def test_looking_at_releases_loads_no_model_of_recipes(command):
    code = (
        f"import sys; sys.argv = ['deepbench', {command}, '--catalog', 'tests/releases']; "
        "from pipeline.cli.main import app; app(standalone_mode=False); "
        "assert not {'deepbench.recipe', 'deepbench.tables', 'deepbench.kinds'} & set(sys.modules)"
    )
    found, output = loaded(code)
    assert "kinds@2.0.0" in output
    assert not found & {"dask", "distributed", "xarray", "zarr", "numba", "pandas", "pyarrow"}


def test_rendering_loads_no_cluster_and_no_store():
    code = (
        "import deepbench; recipe = deepbench.load_recipe('workflows/shapes.yaml'); "
        "deepbench.render(recipe, 'images', 0, 1)"
    )
    assert not loaded(code)[0] & {"distributed", "zarr", "matplotlib"}


def test_torch_is_imported_by_its_package_alone():
    users = {
        module
        for module in MODULES
        if package(module) in ("deepbench", "pipeline")
        and any(
            re.match(r"(torch|deepbench\.torch)(\.|$)", name) for name in used(module, types=True)
        )
    }
    assert "deepbench.torch.batches" in users
    assert all(re.match(r"deepbench\.torch(\.|$)", module) for module in users)


def test_without_torch_its_package_says_how_to_install_it():
    code = (
        "import sys, traceback; sys.modules['torch'] = None; import deepbench.catalog, deepbench.reading.order\n"
        "    try: import deepbench.torch\n"
        "    except ModuleNotFoundError as error: print(error)"
    )
    output = loaded(code)[1]
    assert "deepbench.torch needs the package `torch`" in output
    assert "torch>=2.6" in output


def test_xarray_finds_the_engine_without_the_model_of_recipes():
    code = (
        "import sys, deepbench.virtual; "
        "assert not {'deepbench.recipe', 'deepbench.tables', 'deepbench.kinds'} & set(sys.modules)"
    )
    assert not loaded(code)[0] & {"dask", "distributed", "zarr", "numba", "scipy"}


def test_files_have_plain_names():
    for package in (*PACKAGES, "tests", "docs"):
        for path in (ROOT / package).rglob("*"):
            assert re.fullmatch(r"[\w.+-]+", path.name), path
