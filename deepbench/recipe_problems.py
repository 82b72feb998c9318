"""Messages about a recipe: each error of the validation library with its place in the document, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from deepbench.errors import Problem
from deepbench.kinds import KINDS
from deepbench.labelling.derived import LINE
from deepbench.language.document import Document
from deepbench.language.plain import show
from deepbench.language.specification import NAME_PATTERN, Specification
from deepbench.storage.names import RELEASE_NAME, VERSION

_LEVELS = ("tables", "classes", "objects")
"""Keys under which the levels of a recipe are."""

_PATTERNS = {
    RELEASE_NAME: "must be 1 to 63 lower-case letters, digits, '-' and '_', beginning with a letter or digit",
    VERSION: "must be a semantic version MAJOR.MINOR.PATCH, such as 1.0.0",
    LINE: "must be one line without '|'",
    NAME_PATTERN: "must be 1 to 63 lower-case letters, digits and '_', beginning with a letter",
}
"""Sentences that say in words what a pattern asks for, by the pattern."""


def problem_at(document: Document, details: Any, recipe: type[Specification]) -> Problem:
    """Return an error of pydantic with its place in the document.

    Parameters
    ----------
    document : Document
    details : ErrorDetails
        The error, as ``ValidationError.errors`` has it.
    recipe : type of Specification
        The specification of the whole document.
    """
    path: list[str | int] = []
    data = document.data
    for step in details["loc"]:
        inside = isinstance(data, dict) and step in data
        inside = inside or (isinstance(data, list) and step in range(len(data)))
        if inside:  # the location also names validators and members of unions
            data = data[step]
            path.append(step)
    message = details["msg"]
    if details["type"] == "unknown_key" and path:
        message = _at_its_level(path, document.data, recipe) or message
    if path == ["version"] and not isinstance(details["input"], str):  # 1.0 is a number in YAML
        message = f"{_PATTERNS[VERSION]}, not {show(details['input'])}"
    for pattern, words in _PATTERNS.items():
        message = message.replace(f"must match pattern '{pattern}'", words)
    return document.problem(message, path)


def _at_its_level(path: list[str | int], data: dict[str, Any], recipe: type[Specification]) -> str:
    """Return where a key belongs that is unknown where it stands; empty where it is known nowhere.

    A recipe has four levels, two steps apart: its top, a table, a class, and the entry of an object.
    """
    *outer, key = path
    depth = 0
    while depth < len(_LEVELS) and outer[2 * depth : -1][:1] == [_LEVELS[depth]]:
        depth += 1
    tables = _mapping(data.get("tables"))
    table = outer[1] if depth else next(iter(tables), "NAME")
    described = _mapping(tables.get(str(table)))
    class_name = outer[3] if depth > 1 else next(iter(_mapping(described.get("classes"))), "NAME")
    models: list[type[Specification] | None] = [recipe]
    kind = KINDS.get(str(described.get("kind")))
    if kind is not None:
        models.append(kind.specification)
        for field in _LEVELS[1:]:
            fields = {} if models[-1] is None else models[-1].model_fields
            models.append(_inside(fields[field].annotation) if field in fields else None)
    inside = len(outer) > 2 * depth
    having = [
        level
        for level, model in enumerate(models)
        if model is not None and key in model.model_fields and (level != depth or inside)
    ]
    if not having:
        return ""
    level = min(having, key=lambda each: abs(each - depth))
    whole = ("tables", table, "classes", class_name, "objects", 0)
    steps = [*outer[: 2 * level], *whole[len(outer) : 2 * level], key]
    return f"unknown key {show(key)} here; write it as {'.'.join(map(str, steps))}"


def _mapping(data: Any) -> Mapping[str, Any]:
    """Return data if it is a mapping, else an empty one."""
    return data if isinstance(data, Mapping) else {}


def _inside(annotation: Any) -> type[Specification] | None:
    """Return the specification that the annotation of a field has for its items or values."""
    if isinstance(annotation, type) and issubclass(annotation, Specification):
        return annotation
    return next(filter(None, map(_inside, get_args(annotation))), None)
