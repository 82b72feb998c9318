"""Forms in which recipes write composed values: ``by``, ``mixture``, ``per`` and expressions in distributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deepbench.language.composed import (
    By,
    Composed,
    Compound,
    Mixture,
    PerGroup,
    has_components,
    number_of,
    walk,
)
from deepbench.language.distribution import Distribution
from deepbench.language.expressions import CODES
from deepbench.language.plain import digits, nearest, show, unknown
from deepbench.language.specification import (
    as_number,
    check_range,
    parameters_of,
    placed,
    problem,
)

KEYS = ("by", "mixture", "per")
"""Keys of the mappings that are such values."""


def read(data: Mapping[str, Any], parse: Callable[[Any], Any]) -> Composed:
    """Return the value that a mapping with one of ``KEYS`` describes; ``parse`` reads the values inside."""
    if "per" in data and ("by" not in data or isinstance(data["per"], str)):
        return _read_per_group(data, parse)  # a class may be called per, but no value is a word
    if "by" in data:
        return _read_by(data, parse)
    return _read_mixture(data, parse)


def dump(value: Composed, dump_part: Callable[[Any], Any], name_of: Callable[[Any], str]) -> Any:
    """Return the recipe form of a value, every default filled in."""
    if isinstance(value, By):
        branches = {name: dump_part(part) for name, part in value.branches}
        last = {} if value.otherwise is None else {"otherwise": dump_part(value.otherwise)}
        return {"by": value.key, **branches, **last}
    if isinstance(value, Mixture):
        pairs = zip(value.weights, value.parts, strict=True)
        return {"mixture": [{"weight": each, "value": dump_part(part)} for each, part in pairs]}
    if isinstance(value, PerGroup):
        return {"per": "group", **dump_part(value.value)}
    assert isinstance(value, Compound)
    return {name_of(value.family): {name: dump_part(part) for name, part in value.parameters}}


def _inside(path: tuple[str | int, ...], data: Any, parse: Callable[[Any], Any]) -> Any:
    """Return a value inside another one; its errors are told at its path."""
    with placed(path, data):
        return parse(data)


def _read_by(data: Mapping[str, Any], parse: Callable[[Any], Any]) -> By:
    key = data["by"]
    if not isinstance(key, str):
        raise problem(f"`by` must be class, split or the name of a value, not {show(key)}")
    given = {name: value for name, value in data.items() if name not in ("by", "otherwise")}
    if not given:
        raise problem(f"needs a value for some {key}, such as {{by: {key}, NAME: 1, otherwise: 2}}")
    wrong = [name for name in given if key not in CODES and number_of(name) is None]
    if wrong:
        near = nearest(key, CODES)
        hint = f"; did you mean `by: {near}`?" if near else ""
        raise problem(f"a value by '{key}' has numbers as branches, not {show(wrong[0])}{hint}")
    branches: dict[str, Any] = {}
    for name, value in given.items():
        branch = name if key in CODES else digits((number_of(name) or 0.0) + 0.0)
        if branch in branches:
            raise problem(f"has two values for {key} {branch}, one of them as {show(name)}")
        branches[branch] = _inside((name,), value, parse)
    otherwise = data.get("otherwise")
    last = None if otherwise is None else _inside(("otherwise",), otherwise, parse)
    return By(key, tuple(branches.items()), last)


def numbers_by(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return data of a `by` whose branches are numbers, with these for expressions of numbers alone."""
    found = {}
    for name, value in data.items():
        with placed((name,), value):
            is_expression = isinstance(value, str) and name != "by"
            found[name] = as_number(value) if is_expression else value
    return found


def _read_mixture(data: Mapping[str, Any], parse: Callable[[Any], Any]) -> Mixture:
    entries = data["mixture"]
    if len(data) > 1:
        raise problem(f"a mixture has no other key than `mixture`, not {show(list(data))}")
    if not isinstance(entries, list | tuple) or len(entries) < 2:
        raise problem("a mixture is a list of two or more {weight: ..., value: ...}")
    weights, parts = [], []
    for index, entry in enumerate(entries):
        path = ("mixture", index)
        with placed(path, entry):
            if not isinstance(entry, Mapping) or "value" not in entry:
                raise problem(f"must be {{weight: ..., value: ...}}, not {show(entry)}")
            for name in entry:
                if name not in ("weight", "value"):
                    raise problem(unknown("key", name, ("weight", "value")), "unknown_key")
            weight = as_number(entry.get("weight", 1.0))
            if weight < 0:
                raise problem(f"the weight must be at least 0, not {digits(weight)}")
        part = _inside((*path, "value"), entry["value"], parse)
        with placed((*path, "value"), entry["value"]):
            if has_components(part):
                raise problem(
                    "a mixture inside a mixture: write its components here, with their weights"
                )
            if any(isinstance(each, PerGroup) for each in walk(part)):
                raise problem(
                    "a value per group inside a mixture: write {per: group, mixture: [...]}"
                )
        weights.append(weight)
        parts.append(part)
    if not 0 < sum(weights) < np.inf:
        raise problem("the weights must have a finite sum above 0")
    return Mixture(tuple(weights), tuple(parts))


def _read_per_group(data: Mapping[str, Any], parse: Callable[[Any], Any]) -> PerGroup:
    if data["per"] != "group":
        raise problem(f"`per` can be group, not {show(data['per'])}")
    value = parse({name: each for name, each in data.items() if name != "per"})
    if isinstance(value, PerGroup):
        raise problem("is drawn per group already")
    return PerGroup(value)


def read_compound(family: type[Distribution], body: Any, parse: Callable[[Any], Any]) -> Compound:
    """Return the distribution that has expressions among its parameters, as a list or a mapping."""
    fields = family.model_fields
    if not family.may_be_compound:
        raise problem("takes numbers, no expressions; use `where` or `by`, or another distribution")
    given = dict(zip(fields, body, strict=False)) if isinstance(body, list | tuple) else dict(body)
    if isinstance(body, list | tuple) and len(body) > len(fields):
        raise problem(
            f"takes {len(fields)} values ({', '.join(fields)}), not {len(body)}: {show(body)}"
        )
    steps = {
        name: index if isinstance(body, list | tuple) else name for index, name in enumerate(given)
    }
    meanings = parameters_of(family)
    parameters = []
    for name, data in given.items():
        with placed((steps[name],), data):
            if name not in fields:
                raise problem(unknown("key", name, fields), "unknown_key")
            if data is None:
                continue
            value = parse(data)
            if isinstance(value, Distribution | Composed):
                raise problem(
                    "must be a number or an expression; give the drawn number a name among `variables`"
                )
            check_range(meanings[name], value)
        parameters.append((name, value))
    missing = [name for name, field in fields.items() if field.is_required() and name not in given]
    if missing:
        raise problem(
            f"{missing[0]!r} is missing: {meanings[missing[0]].description}", "missing_key"
        )
    if family.needs_an_end and not {"low", "high"} & {name for name, _ in parameters}:
        raise problem("needs low, high or both; without an end, use normal")
    return Compound(family, tuple(parameters))


def is_compound(body: Any) -> bool:
    """Return whether the parameters of a distribution have an expression among them."""
    values = body.values() if isinstance(body, Mapping) else body
    return isinstance(body, Mapping | list | tuple) and any(
        isinstance(each, str) and each.startswith("=") for each in values
    )
