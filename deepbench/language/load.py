"""Read a recipe from YAML, with the line and column of everything in it.

The reader builds plain data from the events of a YAML parser in one pass without recursion, and
stops at limits that no recipe reaches, so that no text can exhaust time or memory. What scalars
mean is in ``plain``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from deepbench.errors import Problem, RecipeError
from deepbench.language.document import Document, Node, Steps
from deepbench.language.plain import (
    MAX_DEPTH,
    MAX_KEY,
    UNPRINTABLE,
    is_text,
    nearest,
    resolve_scalar,
    show,
    write_document,
)

__all__ = [
    "Document",
    "nearest",
    "parse_document",
    "read_document",
    "resolve_scalar",
    "write_document",
]

MAX_BYTES = 2**20
MAX_ALIASES = 100
MAX_NODES = 100_000
MAX_PROBLEMS = 100

LOOK_AHEAD = 8192
"""How far beyond its last event a parser may have read when it refuses a text (characters)."""

_OPENING = (yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken)
_CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(path: str | Path) -> Document:
    """Return the document in a file, which is also where its ``folder`` is.

    Raises
    ------
    RecipeError
        If the file cannot be read or is no valid document; see ``parse_document``.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        near = nearest(path.name, sorted(each.name for each in path.parent.glob("*.yaml")))
        hint = f"; did you mean '{path.with_name(near)}'?" if near and near != path.name else ""
        message = f"the recipe cannot be read: {error.strerror or error}{hint}"
        raise RecipeError.from_problems(str(path), [Problem(message)]) from error
    document = parse_document(content, str(path))
    return replace(document, folder=path.parent)


def parse_document(text: str | bytes, name: str = "<recipe>") -> Document:
    r"""Return the document in a text.

    Parameters
    ----------
    text : str or bytes
        YAML, UTF-8 if bytes, at most 1 MiB.
    name : str
        What messages call it.

    Raises
    ------
    RecipeError
        If the text is not YAML, goes beyond a limit, has tags, duplicate keys or keys that are not
        strings, merges that hide a key, or numbers that are not finite. It holds all problems found,
        with line and column.

    Examples
    --------
    >>> document = parse_document("seed: 1\ntables:\n  images: {samples: 1e3}")
    >>> document.data["tables"], document.position(("tables", "images", "samples"))
    ({'images': {'samples': 1000.0}}, (3, 12))
    """
    builder = _Builder()
    try:
        root = builder.build(_decode(text))
    except _DocumentError as error:
        raise RecipeError.from_problems(name, [*builder.problems, error.problem]) from None
    if builder.problems:
        raise RecipeError.from_problems(name, builder.problems)
    return Document(root.value, name, None, root)


class _DocumentError(Exception):
    """A problem after which reading makes no sense."""

    def __init__(self, message: str, line: int = 1, column: int = 1, path: Steps = ()) -> None:
        super().__init__(message)
        self.problem = Problem(message, path, line, column)


def _decode(text: str | bytes) -> str:
    """Return the text without byte order mark, after checking its size and its characters."""
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise _DocumentError(f"is larger than {MAX_BYTES:,} bytes, the most a recipe may have")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            position = _line_column(error.object[: error.start].decode("utf-8"))
            message = f"is not UTF-8: byte 0x{error.object[error.start]:02x}"
            raise _DocumentError(message, *position) from None
    text = text.removeprefix("\ufeff")
    found = UNPRINTABLE.search(text)
    if found:
        position = _line_column(text[: found.start()])
        code = f"{ord(found[0]):04X}"
        raise _DocumentError(
            f'character U+{code} is not allowed; in quotes: "\\u{code}"', *position
        )
    return text


def _line_column(before: str) -> tuple[int, int]:
    lines = re.split("\r\n|\r|\n", before)
    return len(lines), len(lines[-1]) + 1


@dataclass(slots=True)
class _Open:
    """A collection that is being read, and of a mapping the key that waits for its value, and what it has of merges.

    Attributes
    ----------
    merge : Node or None
        The first merge key.
    merged : set of str
        Keys that were merged, and not yet written beside the merge.
    """

    node: Node
    key: Node | None = None
    merge: Node | None = None
    merged: set[str | int] = field(default_factory=set)


class _Builder:
    """Builds nodes from the events of a YAML parser."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.open: list[_Open] = []
        self.root: Node | None = None
        self.nodes = 0
        self.characters = 0
        self.aliases = 0

    def build(self, text: str) -> Node:
        """Return the node of the only document of a text."""
        for event in _events(text):
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            if isinstance(event, yaml.DocumentStartEvent):
                if self.root is not None:
                    raise _DocumentError(
                        "a second document begins here: a recipe is one document", line, column
                    )
            elif isinstance(event, yaml.AliasEvent):
                self.add(self.alias(str(event.anchor), line, column))
            elif isinstance(event, yaml.CollectionEndEvent):
                node = self.open.pop().node
                node.complete = True
                self.add(node)
            elif isinstance(event, yaml.NodeEvent):
                self.start(event, line, column)
        if self.root is None or self.root.value is None:
            raise _DocumentError("is empty: a recipe has name, version, title, seed and tables")
        if not isinstance(self.root.value, dict):
            message = "must be a mapping at the top, such as 'name: shapes'"
            raise _DocumentError(message, self.root.line, self.root.column)
        return self.root

    def start(self, event: Any, line: int, column: int) -> None:
        """Take a scalar, or open a mapping or sequence."""
        if event.tag is not None:
            self.report(
                f"the tag {show(event.tag)} is not allowed: a recipe has no tags", line, column
            )
        characters = len(event.value) if isinstance(event, yaml.ScalarEvent) else 0
        self.count(1, 0, characters, line, column)
        if self.is_merge_key(event):
            self.start_merge(line, column)
            return
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self.scalar(event, line, column), line, column, characters=characters)
        else:
            empty: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            node = Node(empty, line, column, complete=False)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        if node.complete:
            self.add(node)
        else:
            self.open.append(_Open(node))

    def is_merge_key(self, event: Any) -> bool:
        """Return whether an event is ``<<``, without quotes, where a key of a mapping stands."""
        if not (isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]):
            return False
        inside = self.open[-1] if self.open else None
        return inside is not None and isinstance(inside.node.value, dict) and inside.key is None

    def start_merge(self, line: int, column: int) -> None:
        """Take a merge key, of which a mapping has one."""
        inside = self.open[-1]
        inside.key = Node("<<", line, column)
        if inside.merge is not None:
            self.report(
                f"duplicate key '<<': first in line {inside.merge.line}; merge several mappings by one list",
                line,
                column,
            )
        inside.merge = inside.key

    def scalar(self, event: yaml.ScalarEvent, line: int, column: int) -> Any:
        """Return the value of a scalar."""
        if not is_text(event.value):  # only the parser in Python lets it pass
            self.report(f"{show(event.value)} is not a text that UTF-8 can hold", line, column)
        if not event.implicit[0]:
            return event.value
        try:
            return resolve_scalar(event.value)
        except ValueError as error:
            self.report(str(error), line, column)
            return 0

    def alias(self, anchor: str, line: int, column: int) -> Node:
        """Return the node that an alias stands for."""
        self.aliases += 1
        node = self.anchors.get(anchor)
        message = ""
        if self.aliases > MAX_ALIASES:
            message = f"more than {MAX_ALIASES} aliases"
        elif node is None:
            message = f"the alias *{anchor[:40]} has no anchor before it"
        elif not node.complete:
            message = f"the alias *{anchor[:40]} stands inside its own anchor"
        if message or node is None:
            raise _DocumentError(message, line, column, self.path())
        self.count(node.size, node.height, node.characters, line, column)
        return node.at(line, column)

    def add(self, node: Node) -> None:
        """Put a complete node where it belongs: top, item of a list, key or value of a mapping."""
        if not self.open:
            self.root = node
            return
        inside = self.open[-1]
        parent, key = inside.node, inside.key
        if isinstance(parent.value, list):
            parent.add(len(parent.value), node)
        elif key is None:
            self.check_key(inside, node)
            inside.key = node
        else:
            if key is inside.merge:
                self.merge(inside, key, node)
            elif isinstance(key.value, str):
                self.put(inside, key.value, node.at(key.line, key.column), key)
                inside.merged.discard(key.value)
            inside.key = None

    def merge(self, inside: _Open, key: Node, given: Node) -> None:
        """Put the keys of one mapping, or of several, where a merge key stands."""
        several = isinstance(given.value, list)
        for node in given.children.values() if several else [given]:
            if not isinstance(node.value, dict):
                message = f"'<<' merges a mapping or a list of mappings, not {show(node.value)}"
                self.report(message, node.line, node.column)
                continue
            for step, child in node.children.items():
                written = step in inside.node.children
                self.put(inside, str(step), child, key)
                if not written:
                    inside.merged.add(step)

    def put(self, inside: _Open, key: str, child: Node, place: Node) -> None:
        """Put a value under a key of a mapping, and refuse that it or another one would be hidden by a merge."""
        other = inside.node.children.get(key)
        if other is None:
            inside.node.add(key, child)
        elif (place is inside.merge or key in inside.merged) and _differ(other.value, child.value):
            message = (
                f"the merge hides {show(key)}: it is {show(other.value)} in line {other.line} and "
                f"{show(child.value)} in line {child.line}; leave it out of what is merged, so that it stands once"
            )
            self.report(message, place.line, place.column)

    def check_key(self, inside: _Open, key: Node) -> None:
        """Report a key that is not a string or was there before, and stop at one too long for messages."""
        if not isinstance(key.value, str):
            what = "a collection" if isinstance(key.value, dict | list) else show(key.value)
            self.report(
                f"a key must be a string, not {what}: write it in quotes", key.line, key.column
            )
        elif len(key.value) > MAX_KEY:
            message = f"a key has at most {MAX_KEY} characters, this one has {len(key.value)}"
            raise _DocumentError(message, key.line, key.column)
        elif key.value in inside.node.value and key.value not in inside.merged:
            first = inside.node.children[key.value].line
            self.report(
                f"duplicate key {show(key.value)}: first in line {first}", key.line, key.column
            )

    def count(self, size: int, height: int, characters: int, line: int, column: int) -> None:
        """Count nodes and characters, and stop at the limits of both and of depth."""
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise _DocumentError(
                f"more than {MAX_NODES:,} values, aliases written out", line, column
            )
        self.characters += characters
        if self.characters > MAX_BYTES:
            raise _DocumentError(
                f"more than {MAX_BYTES:,} characters, aliases written out", line, column
            )
        if len(self.open) + height >= MAX_DEPTH:
            raise _DocumentError(f"nested more than {MAX_DEPTH} deep", line, column)

    def report(self, message: str, line: int, column: int) -> None:
        """Keep a problem, and stop if there are too many."""
        self.problems.append(Problem(message, self.path(), line, column))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _DocumentError(
                f"{MAX_PROBLEMS} problems; the rest of the file was not read", line, column
            )

    def path(self) -> Steps:
        """Return the path to what is read now."""
        steps: list[str | int] = []
        for inside in self.open:
            if isinstance(inside.node.value, list):
                steps.append(len(inside.node.value))
            elif inside.key is not None and isinstance(inside.key.value, str):
                steps.append(inside.key.value)
        return tuple(steps)


def _differ(one: Any, other: Any) -> bool:
    """Return whether plain data differ, in the order of keys and in the types of numbers too."""
    return repr(one) != repr(other)


def _events(text: str) -> Iterator[Any]:
    """Yield the parser's events, its errors turned into ours.

    A parser may look ahead, and refuse what lies far inside brackets by a limit of its own before it tells of them.
    """
    done, opened = 0, 0
    event: Any
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            yield event
            done = event.end_mark.index
            opened += isinstance(event, yaml.CollectionStartEvent)
            opened -= isinstance(event, yaml.CollectionEndEvent)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        deep = _first_too_deep(text[done : mark.index + 1], opened) if mark else None
        if deep is not None:
            message = f"nested more than {MAX_DEPTH} deep"
            raise _DocumentError(message, *_line_column(text[: done + deep])) from None
        context = f" ({error.context})" if error.context else ""
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _DocumentError(f"not valid YAML: {error.problem}{context}", *position) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: parser in Python
        raise _DocumentError(f"not valid YAML: {error}") from None


def _first_too_deep(text: str, opened: int) -> int | None:
    """Return where a text, which goes on inside so many open collections, first goes beyond the limit of depth."""
    opened -= 1  # the bracket put before the text, so that it is read as the inside of a collection
    with contextlib.suppress(yaml.YAMLError, ValueError, OverflowError):
        for token in yaml.scan("[" + text[:LOOK_AHEAD], Loader=yaml.SafeLoader):
            if opened >= MAX_DEPTH and isinstance(token, (*_OPENING, yaml.ScalarToken)):
                return token.start_mark.index - 1
            opened += isinstance(token, _OPENING)
            opened -= isinstance(token, _CLOSING)
    return None
