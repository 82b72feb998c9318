"""Recipes that extend others: ``extends: base.yaml`` at the top.

What a recipe writes is merged into what it extends. Mappings are merged key by key; everything else, lists too,
replaces what the base has; ``null`` removes it. Every value remembers the file in which it was written.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import Any

from deepbench.errors import LabelError, RecipeError
from deepbench.language.document import BaseFile, Document, Node
from deepbench.language.inputs.files import content_of
from deepbench.language.load import MAX_BYTES, MAX_NODES, parse_document
from deepbench.language.plain import show

EXTENDS = "extends"

MAX_BASES = 8
"""Largest number of recipes that a recipe extends, one through the other."""


def extended(document: Document) -> Document:
    """Return a document with what it extends merged in, and without ``extends``.

    Raises
    ------
    RecipeError
        A file cannot be read or is no valid document, the files extend each other in a circle or are too many, or
        they hold more than one recipe may.
    """
    if EXTENDS not in document.data:
        return document
    root, name = _separated(document)
    read, layers, place = [document], [root], PurePath()
    while name is not None:
        if len(read) > MAX_BASES:
            raise _refusal(
                read[-1], f"extends more than {MAX_BASES} recipes, one through the other"
            )
        base = _read(read[-1], (document.folder or Path()) / place / name)
        place /= PurePath(name).parent
        _check_circle(read, base)
        read.append(base)
        _check_limits(read)
        root, name = _separated(base)
        layers.append(_located(root, base.file, place))
    merged = layers.pop()
    while layers:
        merged = _merged(merged, layers.pop())
    return Document(merged.value, document.file, document.folder, merged)


def _refusal(document: Document, message: str) -> RecipeError:
    """Return the error about the ``extends`` of a document."""
    return RecipeError.from_problems(document.file, [document.problem(message, (EXTENDS,))])


def _separated(document: Document) -> tuple[Node, str | None]:
    """Return the root of a document without ``extends``, and what it extends."""
    if EXTENDS not in document.data:
        return document.root, None
    name: Any = document.data[EXTENDS]
    if not isinstance(name, str) or not name:
        raise _refusal(
            document, f"must be the name of a file, such as 'base.yaml', not {show(name)}"
        )
    if "://" in name:
        raise _refusal(document, f"must be a local file, not {show(name)}: download it first")
    children = {step: child for step, child in document.root.children.items() if step != EXTENDS}
    return document.root.holding(children), name


def _read(document: Document, path: Path) -> Document:
    """Return the document in a file that another one extends."""
    try:
        content = content_of(path, "recipe to extend", MAX_BYTES)
    except LabelError as error:
        raise _refusal(document, str(error)) from None
    except ValueError:  # a name that no file can have
        raise _refusal(document, f"{show(str(path))} is no name of a file") from None
    return parse_document(content, str(path))


def _check_circle(read: list[Document], base: Document) -> None:
    """Refuse a recipe to extend that was read already."""
    if any(os.path.realpath(each.file) == os.path.realpath(base.file) for each in read):
        files = " → ".join(each.file for each in (*read, base))
        raise _refusal(read[-1], f"recipes extend each other in a circle: {files}")


def _check_limits(read: list[Document]) -> None:
    """Refuse recipes that together hold more than one may."""
    roots = [document.root for document in read]
    for what, most, count in (
        ("values", MAX_NODES, sum(root.size for root in roots)),
        ("characters", MAX_BYTES, sum(root.characters for root in roots)),
    ):
        if count > most:
            message = f"more than {most:,} {what} with what the recipe extends, aliases written out"
            raise _refusal(read[0], message)


def _located(node: Node, file: str, place: PurePath) -> Node:
    """Return a node of a base that remembers its file; the names of files in it, that they lie beside this one."""
    if not node.children:
        return Node(node.value, node.line, node.column, file=file)
    children: dict[str | int, Node] = {}
    for step, child in node.children.items():
        child = _located(child, file, place)
        if step == "file" and isinstance(child.value, str):
            child.value = BaseFile(child.value, place)
        children[step] = child
    located = node.holding(children)
    located.file = file
    return located


def _merged(base: Node, over: Node) -> Node:
    """Return what one node says over what another one says: keys in the base's order, then new ones."""
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    children = dict(base.children)
    for step, child in over.children.items():
        if child.value is None and step in children:
            del children[step]
        else:
            children[step] = _merged(children[step], child) if step in children else child
    return over.holding(children)
