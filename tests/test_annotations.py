"""Every function says what it takes and returns; only kernels, which are compiled for the types they meet, do not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPILED = {"kernel", "inline", "intrinsic"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def bare_functions(tree, method=False):
    """Yield the functions with an argument or a result that has no type, apart from kernels."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, FUNCTIONS):
            yield from bare_functions(node, isinstance(node, ast.ClassDef))
            continue
        decorators = {ast.unparse(each).partition("(")[0] for each in node.decorator_list}
        if decorators & COMPILED:
            continue
        given = node.args
        named = [*given.posonlyargs, *given.args][method and "staticmethod" not in decorators :]
        others = [*given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
        if node.returns is None or any(each.annotation is None for each in (*named, *others)):
            yield node.name
        yield from bare_functions(node)


MODULES = sorted(
    path for package in ("deepbench", "pipeline") for path in (ROOT / package).rglob("*.py")
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_functions_have_types(path):
    assert list(bare_functions(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_functions_without_types_are_found():
    text = """
def no_types(a): ...
def no_result(a: int): ...
def no_argument(*a) -> int: ...
def typed(a: int, *b: int) -> int:
    def inside(c): ...
class Some:
    def typed(self, a: int) -> int: ...
    def no_result(self): ...
    @staticmethod
    def static(a) -> int: ...
@kernel
def a_kernel(a): ...
if True:
    async def late(a): ...
"""
    found = list(bare_functions(ast.parse(text)))
    assert found == [
        "no_types",
        "no_result",
        "no_argument",
        "inside",
        "no_result",
        "static",
        "late",
    ]
