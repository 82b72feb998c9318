"""A recipe as plain data that remembers where each part of it was written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from deepbench.errors import Problem, RecipeError
from deepbench.language.plain import nearest, plain, show, unknown

Steps = tuple[str | int, ...]


class BaseFile(str):
    """Name of a file as a recipe gives it that others extend: the file lies beside that recipe.

    Attributes
    ----------
    place : PurePath
        Folder of that recipe, from the folder of the recipe that is read.

    Examples
    --------
    >>> name = BaseFile("psf.fits", PurePath("../shared"))
    >>> name, name.from_recipe
    ('psf.fits', '../shared/psf.fits')
    """

    place: PurePath

    def __new__(cls, name: str, place: PurePath) -> BaseFile:
        """Return a name with its place."""
        file = super().__new__(cls, name)
        file.place = place
        return file

    def __getnewargs__(self) -> tuple[str, PurePath]:  # type: ignore[override]
        return str(self), self.place

    @property
    def from_recipe(self) -> str:
        """Its name from the folder of the recipe that is read."""
        return (self.place / self).as_posix()


@dataclass(slots=True)
class Node:
    """A value of the document with its line and column, and the nodes inside it by key or index.

    ``file`` names the file in which it was written, where that is another than the document's.
    """

    value: Any
    line: int
    column: int
    children: dict[str | int, Node] = field(default_factory=dict)
    size: int = 1
    height: int = 0
    characters: int = 0
    complete: bool = True
    file: str = ""

    def at(self, line: int, column: int) -> Node:
        """Return the node at another line and column: a value of a mapping has those of its key."""
        return Node(
            self.value, line, column, self.children, self.size, self.height, self.characters
        )

    def add(self, step: str | int, child: Node) -> None:
        """Put a node inside this one."""
        if isinstance(self.value, list):
            self.value.append(child.value)
        else:
            self.value[step] = child.value
            self.characters += len(str(step))
        self.children[step] = child
        self.size += child.size
        self.characters += child.characters
        self.height = max(self.height, child.height + 1)

    def with_value(self, value: Any) -> Node:
        """Return a node at the same place of another value, which is no mapping and no list."""
        return Node(value, self.line, self.column, file=self.file)

    def holding(self, children: dict[str | int, Node]) -> Node:
        """Return a mapping or list at the same place with other nodes inside."""
        values = {step: child.value for step, child in children.items()}
        value = values if isinstance(self.value, dict) else [*values.values()]
        return Node(value, self.line, self.column, children, file=self.file)

    def mapped(self, change: Callable[[Node, Steps], Node], path: Steps = ()) -> Node:
        """Return the node with each node that holds no others changed; ``change`` takes it and its path."""
        if not self.children:
            return change(self, path)
        children = {
            step: child.mapped(change, (*path, step)) for step, child in self.children.items()
        }
        if all(child is self.children[step] for step, child in children.items()):
            return self
        return self.holding(children)


@dataclass(frozen=True, eq=False)
class Document:
    """A recipe as plain data that remembers where each part of it was written.

    Attributes
    ----------
    data : dict
        Mappings, lists, strings, numbers, booleans and None only. Not to be changed; see
        ``replace``.
    file : str
        Name of the recipe in messages.
    folder : Path or None
        Where files named in the recipe are looked for.
    root : Node
        The data with their lines and columns.
    """

    data: dict[str, Any]
    file: str
    folder: Path | None
    root: Node = field(repr=False)

    def node(self, path: Iterable[str | int]) -> Node:
        """Return the node of the longest part of a path that is in the document."""
        node = self.root
        for step in path:
            child = node.children.get(step)
            if child is None:
                break
            node = child
        return node

    def position(self, path: Iterable[str | int]) -> tuple[int, int]:
        """Return line and column, from 1, of the longest part of a path that is in the document."""
        node = self.node(path)
        return node.line, node.column

    def problem(self, message: str, path: Iterable[str | int] = ()) -> Problem:
        """Return a problem at a path of this document, with its file, line and column."""
        path = tuple(path)
        node = self.node(path)
        return Problem(message, path, node.line, node.column, node.file)

    def replace(self, changes: Mapping[str, object]) -> Document:
        """Return a document with some values set to others.

        Parameters
        ----------
        changes : mapping
            Plain data by dotted path, such as ``{"tables.images.samples": 100}``; steps into lists
            are numbers. Mappings on the way are made when they are absent and no key is like theirs.

        Raises
        ------
        RecipeError
            If a path leads nowhere, or a value is no plain data.
        """
        root, problems = self.root, []
        for dotted, value in changes.items():
            steps = _steps(root, dotted)
            try:
                root = _replaced(root, steps, plain(value))
            except _StepError as error:
                problems.append(self.problem(str(error), steps))
            except RecipeError as error:
                problems += [self.problem(p.message, (*steps, *p.path)) for p in error.problems]
        if problems:
            raise RecipeError.from_problems(self.file, problems)
        return Document(root.value, self.file, self.folder, root)


class _StepError(Exception):
    """A path leads to nothing."""


def _steps(node: Node, dotted: str) -> Steps:
    """Return a dotted path as keys and, where the document has lists, indices."""
    steps: list[str | int] = []
    for word in dotted.split("."):
        step: str | int = word
        if isinstance(node.value, list) and word.isascii() and word.isdigit() and len(word) < 10:
            step = int(word)
        steps.append(step)
        node = node.children.get(step, Node(None, 0, 0))
    return tuple(steps)


def _replaced(node: Node, steps: Steps, value: Any) -> Node:
    """Return a copy of a node in which the value at a path is another."""
    step, *rest = steps
    child = node.children.get(step)
    if not isinstance(node.value, dict | list):
        raise _StepError(f"there is nothing to set inside {show(node.value)}")
    if child is None and isinstance(node.value, list):
        count = len(node.value)
        raise _StepError(f"{step!r} is no index of a list of {count}: allowed are 0 to {count - 1}")
    if child is None and rest:
        if nearest(str(step), map(str, node.children)):
            raise _StepError(unknown("key", step, node.children))
        child = Node({}, node.line, node.column, file=node.file)
    inner = (
        _replaced(child, tuple(rest), value) if child and rest else _marked(value, child or node)
    )
    return node.holding({**node.children, step: inner})


def _marked(value: Any, place: Node) -> Node:
    """Return the node of plain data that are in no file: all have the line and column of another node."""
    node = Node(value, place.line, place.column, file=place.file)
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    node.children = {step: _marked(item, place) for step, item in items}
    return node
