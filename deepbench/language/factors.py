"""Factors of an exhaustive design, and their levels, as recipes write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    SerializationInfo,
    ValidationInfo,
)
from pydantic_core import CoreSchema, core_schema

from deepbench.language.discrete import Choice, Grid, Integers
from deepbench.language.distribution import Distribution
from deepbench.language.ordered import IN_ORDER, Ordered
from deepbench.language.plain import digits, show
from deepbench.language.specification import Name, Named, placed, problem

ALL = "all"
"""Levels of the factor ``class``: every class of the table."""


class _Levels(Named):
    """Type of the levels of a factor: a list of numbers, a grid, integers or a choice; ``all`` for classes."""

    def parse(self, data: Any, info: ValidationInfo) -> Any:
        """Return the levels that ``data`` describes."""
        if data == ALL:
            return ALL
        if isinstance(data, list | tuple):
            levels = Choice.model_validate(data, context=info.context)
        elif isinstance(data, str) or not isinstance(data, Mapping | Distribution):
            raise problem(f"must be {self.expected(data)}")
        else:
            levels = super().parse(data, info)
        if isinstance(levels, Choice):
            _check_once(levels)
        return levels

    def expected(self, data: Any) -> str:
        """Return the message about data that are no levels."""
        return f"a list of numbers, or {super().expected(data)}"

    def dump(self, value: Any, info: SerializationInfo) -> Any:
        """Return the recipe form of levels."""
        if isinstance(value, Choice):
            return list(value.values)
        return value if value == ALL else super().dump(value, info)

    def forms(self, handler: GetCoreSchemaHandler) -> list[CoreSchema]:
        """Return the schemas of what may be written, for the JSON Schema of the recipe."""
        numbers = core_schema.list_schema(core_schema.float_schema(), min_length=1)
        return [numbers, *super().forms(handler)]


def _check_once(levels: Choice) -> None:
    """Refuse levels that would not come equally often."""
    twice = [each for each in levels.values if levels.values.count(each) > 1]
    if twice:
        raise problem(f"the level {digits(twice[0])} is there twice; each combination comes once")
    if len(set(levels.weights)) > 1:
        raise problem("levels have no weights: each combination comes equally often")


def _check_class(factors: Any) -> Any:
    """Refuse levels of the class other than all, before they are read as numbers."""
    if isinstance(factors, Mapping) and factors.get("class", ALL) != ALL:
        with placed(("class",), factors["class"]):
            raise problem(f"the factor 'class' has the levels `all`, not {show(factors['class'])}")
    return factors


def _check_names(factors: dict[str, Any]) -> Ordered[Any]:
    """Refuse the split as a factor, and all of something other than classes."""
    for name, levels in factors.items():
        with placed((name,), levels):
            if name == "split":
                raise problem("'split' cannot be a factor: splits are drawn for groups of samples")
            if name != "class" and levels == ALL:
                raise problem("`all` is for the factor 'class'; write a list of numbers")
    return Ordered(factors)


def _only_class_has_all(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema that ``class`` has other levels than the rest."""
    ((pattern, levels),) = schema.pop("patternProperties").items()
    schema["properties"] = {"class": {"const": ALL}}
    schema["propertyNames"] = {"pattern": pattern, "not": {"const": "split"}}
    schema["additionalProperties"] = levels


Factors = Annotated[
    dict[
        Name,
        Annotated[
            Distribution | str,
            _Levels({"grid": Grid, "integers": Integers, "choice": Choice}, "kind of levels"),
        ],
    ],
    Field(min_length=1, json_schema_extra=_only_class_has_all),
    BeforeValidator(_check_class),
    AfterValidator(_check_names),
    IN_ORDER,
]
"""The levels of each factor by its name; a combination is counted with the last factor fastest."""


def values_of(factors: Mapping[str, Any]) -> dict[str, Distribution]:
    """Return the factors that are values, which is all but the class."""
    return {name: levels for name, levels in factors.items() if levels != ALL}


def level_counts(factors: Mapping[str, Any], classes: int) -> Iterator[tuple[str, int]]:
    """Yield each factor and the number of its levels, in written order."""
    for name, levels in factors.items():
        if isinstance(levels, Grid):
            yield name, levels.count
        elif isinstance(levels, Integers):
            yield name, levels.high - levels.low + 1
        else:
            yield name, len(levels.values) if isinstance(levels, Choice) else classes
