"""Constants of a recipe: names for numbers, ``constants: {sigma_max: 2}``, that its expressions use.

They are written out when the recipe is read, so that nothing later knows of them: an expression of constants and
numbers alone becomes a number, wherever it stands; in others a constant's name becomes its number, as if it were
written there. The numbers have the bits that expressions of samples have; the numerics are imported only where a number
needs them (``exp``, ``sin``, a power that is not whole).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic_core import PydanticCustomError

from deepbench.errors import ExpressionError, Problem, RecipeError
from deepbench.language.document import Document, Node, Steps
from deepbench.language.expressions import CONSTANTS, FUNCTIONS, number_of, parse, with_numbers
from deepbench.language.plain import EXACT, nearest, show
from deepbench.language.specification import NAME_PATTERN, as_number

KEY = "constants"

RULES = "where"
"""Key of a condition, an expression that does not begin with ``=``."""

NAMED = ("variables", "factors", "classes", "splits")
"""Keys of mappings whose keys are names in expressions."""

WORDS = (
    *("name", "version", "title", "description", "license", "authors", "references"),
    *("keywords", "url", "doi"),
)
"""Keys at the top of a recipe under which there are words."""

GRAMMAR = ("and", "or", "not", "where", "class", "split")
"""Words of expressions that are neither functions nor numbers."""


@dataclass(frozen=True)
class WrittenOut:
    """A document with its constants written out.

    Attributes
    ----------
    document : Document
        Under ``constants`` there are numbers alone.
    uses : tuple of (path, name)
        Where constants stood.
    problems : tuple of Problem
        About every constant that nothing uses, such as a misspelled one.
    """

    document: Document
    uses: tuple[tuple[Steps, str], ...] = ()
    problems: tuple[Problem, ...] = ()

    def explained(self, problem: Problem) -> Problem:
        """Return a problem with the constant that may be meant by the name of which it tells in an expression."""
        known = self.document.data.get(KEY)
        if not isinstance(known, dict):
            return problem
        inside = _all_nodes(self.document.node(problem.path))
        for name in (name for each in inside for name in _names(each.value)):
            near = nearest(name, known)
            if near is not None and f"'{name}'" in problem.message:
                message = f"{problem.message}; did you mean the constant '{near}'?"
                return replace(problem, message=message)
        return problem


def write_out(document: Document) -> WrittenOut:
    """Return a document with its constants written out.

    Raises
    ------
    RecipeError
        With every constant that is no number, has the name of something else or depends on itself, and every
        expression of constants that has no finite value.

    Examples
    --------
    >>> from deepbench.language.load import parse_document
    >>> text = '{constants: {a: 2, b: "= a / 4"}, x: "= b * a", y: "= a * radius"}'
    >>> write_out(parse_document(text)).document.data
    {'constants': {'a': 2, 'b': 0.5}, 'x': 1, 'y': '= 2 * radius'}
    """
    given = document.data.get(KEY)
    if given is None:
        return WrittenOut(document)
    if not isinstance(given, dict):
        message = (
            f"must be a mapping of names to numbers, such as {{sigma_max: 2}}, not {show(given)}"
        )
        raise RecipeError.from_problems(document.file, [document.problem(message, (KEY,))])
    writing = _Writing(document)
    writing.check_names()
    writing.evaluate()
    if not writing.problems:
        root = document.root
        root = root.holding(
            {step: writing.written(step, root.children[step]) for step in root.children}
        )
        document = Document(root.value, document.file, document.folder, root)
    if writing.problems:
        raise RecipeError.from_problems(document.file, writing.problems)
    return WrittenOut(document, tuple(writing.uses), tuple(writing.unused()))


def _all_nodes(node: Node) -> Iterator[Node]:
    """Yield a node and all nodes inside it."""
    yield node
    for child in node.children.values():
        yield from _all_nodes(child)


def _names(text: object) -> tuple[str, ...]:
    """Return the names in plain data that are an expression."""
    try:
        return parse(text).names if isinstance(text, str) and text.startswith("=") else ()
    except ExpressionError:
        return ()


@dataclass
class _Writing:
    """The constants of a document, while they are written out."""

    document: Document
    numbers: dict[str, int | float] = field(default_factory=dict)
    uses: list[tuple[Steps, str]] = field(default_factory=list)
    inner_uses: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def report(self, message: str, *path: str | int) -> None:
        """Keep a problem."""
        self.problems.append(self.document.problem(message, path))

    def check_names(self) -> None:
        """Refuse constants that no expression can mean, or that can be mistaken for something else."""
        taken = dict.fromkeys(GRAMMAR, "a word of expressions")
        taken |= dict.fromkeys(FUNCTIONS, "a function of expressions")
        taken |= dict.fromkeys(CONSTANTS, "a number that expressions know")
        for kind, name in _given_names(self.document.root):
            taken.setdefault(name, f"a name under `{kind}`, too")
        for name in self.document.data[KEY]:
            if not re.fullmatch(NAME_PATTERN, name):
                self.report(
                    "must be 1 to 63 lower-case letters, digits and '_', beginning with a letter, "
                    f"not {show(name)}",
                    KEY,
                    name,
                )
            elif name in taken:
                self.report(f"'{name}' is {taken[name]}; give the constant another name", KEY, name)

    def evaluate(self) -> None:
        """Find the numbers of the constants, each after those that it uses."""
        given = self.document.data[KEY]
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for name, value in given.items():
            unknown = [used for used in _names(value) if used not in given]
            for used in unknown:
                near = nearest(used, given)
                hint = f"; did you mean '{near}'?" if near else ""
                self.report(f"no constant is called '{used}'{hint}", KEY, name)
            self.inner_uses.update(_names(value))
            sorter.add(name, *(used for used in _names(value) if used in given))
        try:
            order = [*sorter.static_order()]
        except CycleError as error:
            names = " → ".join(reversed(error.args[1]))
            self.report(
                f"constants depend on each other in a circle: {names}", KEY, error.args[1][0]
            )
        if self.problems:
            return
        for name in order:
            value = given[name]
            try:
                number = as_number(
                    with_numbers(value, self.numbers) if isinstance(value, str) else value
                )
            except PydanticCustomError as error:
                self.report(error.message(), KEY, name)
                return
            self.numbers[name] = value if isinstance(value, int) else _shortest(number)

    def written(self, step: str | int, node: Node) -> Node:
        """Return what is under a key at the top, the constants in it written out."""
        if step == KEY:
            return node.holding(
                {
                    name: child.with_value(self.numbers[str(name)])
                    for name, child in node.children.items()
                }
            )
        return node if step in WORDS else node.mapped(self.replaced, (step,))

    def replaced(self, node: Node, path: Steps) -> Node:
        """Return a node, a number where it was an expression of constants alone."""
        text = node.value
        if not isinstance(text, str) or not (path[-1] == RULES or text.startswith("=")):
            return node
        begin = "" if text.startswith("=") else "= "
        names = _names(begin + text)
        used = [name for name in names if name in self.numbers]
        if not used:
            return node  # also where it is no expression: its field says what it must be
        self.uses += [(path, name) for name in used]
        value: object = with_numbers(begin + text, self.numbers)[len(begin) :]
        if len(used) == len(names) and not begin:
            value = self.number(text, str(value), path)
        return node.with_value(value)

    def number(self, text: str, written: str, path: Steps) -> int | float | str:
        """Return the value of an expression at a path, written out; report that it has none."""
        try:
            number = number_of(written)
        except (
            ExpressionError
        ):  # with its numbers it is too long, say: its field says what it must be
            return written
        if not math.isfinite(number):
            said = ", ".join(f"{name} = {self.numbers[name]}" for name in _names(text))
            self.report(f"{show(text)} has no finite value where {said}", *path)
        return _shortest(number)

    def unused(self) -> Iterator[Problem]:
        """Yield the problem about each constant that nothing uses."""
        used = self.inner_uses | {name for _, name in self.uses}
        for name in self.numbers:
            if name not in used:
                near = nearest(name, [each for each in self.numbers if each != name])
                hint = f"; did you mean '{near}'? else" if near else ";"
                message = f"no expression uses the constant '{name}'{hint} leave it out"
                yield self.document.problem(message, (KEY, name))


def _given_names(node: Node) -> Iterator[tuple[str, str]]:
    """Yield each name that a recipe gives to variables, classes and splits, with the key under which it does."""
    for step, child in node.children.items():
        if step in NAMED and isinstance(child.value, dict):
            yield from ((str(step), str(name)) for name in child.children)
        yield from _given_names(child)


def _shortest(number: float) -> int | float:
    """Return a number as an integer where it is one that every float holds."""
    return int(number) if number.is_integer() and abs(number) <= EXACT else number


def allow_expressions(schema: Any) -> None:
    """Let a JSON Schema allow expressions wherever it allows numbers."""
    for each in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(each, dict | list):
            allow_expressions(each)
    if isinstance(schema, dict) and schema.get("type") in ("number", "integer"):
        schema["type"] = [schema["type"], "string"]
        schema["pattern"] = "^="
