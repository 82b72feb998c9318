"""Values of a recipe: constants, expressions and distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import GetCoreSchemaHandler, SerializationInfo, ValidationInfo
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeAliasType

from deepbench.errors import ExpressionError
from deepbench.language import composed
from deepbench.language.composed import By, Composed, Compound, Mixture, PerGroup
from deepbench.language.distribution import Distribution
from deepbench.language.distributions import DISTRIBUTIONS
from deepbench.language.draws import Independent, Uniforms
from deepbench.language.expressions import Expression, parse
from deepbench.language.joints.joint import Joint
from deepbench.language.joints.registry import JOINTS
from deepbench.language.plain import digits
from deepbench.language.specification import (
    Name,
    Named,
    Number,
    Parameter,
    Specification,
    Whole,
    as_number,
    out_of_range,
    parameter,
    parameter_of,
    parameters_of,
    placed,
    problem,
)

__all__ = [
    "DISTRIBUTIONS",
    "JOINTS",
    "By",
    "Composed",
    "Compound",
    "Constant",
    "Distribution",
    "Expression",
    "Joint",
    "Mixture",
    "Name",
    "Named",
    "Number",
    "Parameter",
    "PerGroup",
    "Specification",
    "Value",
    "Variable",
    "Whole",
    "out_of_range",
    "parameter",
    "parameter_of",
    "parameters_of",
]


@dataclass(frozen=True)
class Constant(Independent):
    """One number for every sample; it answers the questions that a distribution answers.

    Examples
    --------
    >>> Constant(2.0).support()
    (2.0, 2.0)
    """

    value: float
    continuous: ClassVar[bool] = False
    tolerance: ClassVar[bool] = False

    @property
    def integer(self) -> bool:
        """Whether the number is whole."""
        return self.value.is_integer()

    def support(self) -> tuple[float, float]:
        """Return the number twice, as the ends of its range."""
        return self.value, self.value

    def values_listed(self) -> tuple[float, ...]:
        """Return the number."""
        return (self.value,)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Return the number once for each element of ``u``; float64, same shape."""
        return np.full(np.shape(u), self.value)

    def draw(self, uniforms: Uniforms, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the number once for each sample, float64[n]; it takes no random numbers."""
        return np.full(len(uniforms), self.value)

    def misfit(self, allowed: str) -> str:
        """Return the message for a parameter that does not allow this number."""
        return f"must be {allowed}, not {digits(self.value)}"


class AnyValue(Named):
    """Type of a field that may hold a number, an expression or one member of a registry."""

    def parse(self, data: Any, info: ValidationInfo) -> Any:
        """Return the value that ``data`` describes."""
        if isinstance(data, Constant | Expression | Composed):
            return data
        if isinstance(data, str):
            try:
                return parse(data)
            except ExpressionError as error:
                raise problem(str(error), "expression") from None
        if isinstance(data, Mapping):
            return self._parse_mapping(data, info)
        if isinstance(data, Specification):
            return super().parse(data, info)
        if isinstance(data, int | float | np.number) and not isinstance(data, bool):
            return Constant(as_number(data))
        raise problem(f"must be {self.expected(data)}")

    def _parse_mapping(self, data: Mapping[str, Any], info: ValidationInfo) -> Any:
        """Return the value that a mapping describes: a distribution, or a value made of others."""

        def inside(part: Any) -> Any:
            return SINGLE.parse(part, info)

        if any(key in data for key in composed.KEYS):
            return composed.read(data, inside)
        if len(data) == 1:
            ((name, body),) = data.items()
            family = DISTRIBUTIONS.get(name)
            if family is not None and composed.is_compound(body):
                with placed((name,), body):
                    return composed.read_compound(family, body, inside)
        return super().parse(data, info)

    def expected(self, data: Any) -> str:
        """Return the message about data that are no value."""
        return f"a number, an expression such as '= 0.5 * radius', or {super().expected(data)}"

    def dump(self, value: Any, info: SerializationInfo) -> Any:
        """Return the recipe form of a value, every default filled in."""
        if isinstance(value, Constant):
            return value.value
        if isinstance(value, Expression):
            return value.text
        if isinstance(value, Composed):
            return composed.dump(value, lambda part: self.dump(part, info), _name_of_family)
        return super().dump(value, info)

    def forms(self, handler: GetCoreSchemaHandler) -> list[CoreSchema]:
        """Return the schemas of what may be written, for the JSON Schema of the recipe."""
        return [
            core_schema.float_schema(),
            core_schema.str_schema(pattern="^="),
            *super().forms(handler),
            *_composed_forms(handler),
        ]


SINGLE = AnyValue(DISTRIBUTIONS, "distribution")
"""Reads one value, as it may stand inside another one."""


def _name_of_family(family: type[Distribution]) -> str:
    """Return the name of a distribution in recipes."""
    return next(name for name, cls in DISTRIBUTIONS.items() if cls is family)


def _composed_forms(handler: GetCoreSchemaHandler) -> list[CoreSchema]:
    """Return the schemas of values that are made of others, for the JSON Schema of the recipe."""
    value = handler.generate_schema(Value)
    field, text = core_schema.typed_dict_field, core_schema.str_schema
    entry = {
        "weight": field(core_schema.float_schema(ge=0), required=False),
        "value": field(value),
    }
    entries = core_schema.list_schema(
        core_schema.typed_dict_schema(entry, extra_behavior="forbid"), min_length=2
    )
    families = {
        name: field(core_schema.any_schema(), required=False)
        for name in (*DISTRIBUTIONS, "mixture", "by")
    }
    group = {"per": field(core_schema.literal_schema(["group"])), **families}
    return [
        core_schema.typed_dict_schema(
            {"by": field(text())}, extra_behavior="allow", extras_schema=value
        ),
        core_schema.typed_dict_schema({"mixture": field(entries)}, extra_behavior="forbid"),
        core_schema.typed_dict_schema(group, extra_behavior="allow"),
    ]


Value = TypeAliasType(
    "Value",
    Annotated[Constant | Expression | Distribution | Composed, SINGLE],
)
"""A number as a recipe may write it: a constant, an expression or a distribution."""

Variable = TypeAliasType(
    "Variable",
    Annotated[
        Constant | Expression | Distribution | Composed | Joint,
        AnyValue(DISTRIBUTIONS | JOINTS, "distribution"),
    ],
)
"""A variable as a recipe may write it: a value, or a joint draw of several columns."""
