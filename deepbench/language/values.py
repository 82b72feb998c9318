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
from deepbench.language import composed_forms
from deepbench.language.composed import By, Composed, Compound, Mixture, PerGroup
from deepbench.language.distribution import Distribution
from deepbench.language.distributions import DISTRIBUTIONS
from deepbench.language.draws import Independent, Uniforms
from deepbench.language.expressions import Expression, parse
from deepbench.language.functions import CONSTANTS, FUNCTIONS, LATER
from deepbench.language.joints.joint import Joint
from deepbench.language.joints.registry import JOINTS
from deepbench.language.plain import digits, show
from deepbench.language.specification import (
    Name,
    Named,
    Number,
    Parameter,
    Specification,
    Whole,
    as_number,
    in_short,
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
    "free_names",
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

        if any(key in data for key in composed_forms.KEYS):
            return composed_forms.read(data, inside)
        if len(data) == 1:
            ((name, body),) = data.items()
            family = DISTRIBUTIONS.get(name)
            if family is not None and composed_forms.is_compound(body):
                with placed((name,), body):
                    return composed_forms.read_compound(family, body, inside)
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
            return composed_forms.dump(value, lambda part: self.dump(part, info), _name_of_family)
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
    entry = {
        "weight": _key("how often, against the others; 1 when absent", _WEIGHT, required=False),
        "value": _key("value of the component", value),
    }
    entries = core_schema.list_schema(
        core_schema.typed_dict_schema(entry, extra_behavior="forbid"), min_length=2
    )
    by = {"by": _key("class, split, or the name of a discrete value", core_schema.str_schema())}
    mixture = {"mixture": _key("components, each with a weight", entries)}
    per = {"per": _key("one draw for each group", core_schema.literal_schema(["group"]))}
    optional = {
        name: _key(in_short(family), handler.generate_schema(family), required=False)
        for name, family in DISTRIBUTIONS.items()
    } | {"mixture": _key("components, each with a weight", entries, required=False)}
    two = {"pydantic_js_updates": {"minProperties": 2, "maxProperties": 2}}
    return [
        core_schema.typed_dict_schema(by, extra_behavior="allow", extras_schema=value),
        core_schema.typed_dict_schema(mixture, extra_behavior="forbid"),
        core_schema.typed_dict_schema(per | optional, extra_behavior="forbid", metadata=two),
        core_schema.typed_dict_schema(per | by, extra_behavior="allow", extras_schema=value),
    ]


_WEIGHT = core_schema.float_schema(ge=0)


def _key(
    description: str, schema: CoreSchema, *, required: bool = True
) -> core_schema.TypedDictField:
    """Return the schema of a key of a mapping, with what it means."""
    said = {"pydantic_js_updates": {"description": description}}
    return core_schema.typed_dict_field(schema, required=required, metadata=said)


@dataclass(frozen=True, eq=False)
class _Condition:
    """Type of a field that holds a condition, written without the ``=`` of expressions."""

    def parse(self, data: Any) -> Expression:
        """Return the condition that ``data`` describes."""
        if isinstance(data, Expression):
            return data
        if not isinstance(data, str):
            raise problem(f"must be a condition, such as 'star.snr > 5', not {show(data)}")
        try:
            condition = parse(data if data.startswith("=") else f"= {data}")
        except ExpressionError as error:
            raise problem(str(error), "expression") from None
        if not condition.is_condition:
            raise problem(f"must be a condition, such as 'star.snr > 5', not {show(data)}")
        return condition

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda condition: condition.text.removeprefix("= "),
                return_schema=core_schema.str_schema(),
            ),
        )


Condition = Annotated[Expression, _Condition()]
"""A condition as a recipe may write it: ``star.snr > 5 and class == star``."""

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


def free_names(variables: dict[str, Any]) -> dict[str, Any]:
    """Return variables; refuse those that no expression could use.

    Raises
    ------
    PydanticCustomError
    """
    for name in variables:
        if name in CONSTANTS or name in FUNCTIONS.keys() - LATER:
            what = "constant" if name in CONSTANTS else "function"
            raise problem(f"'{name}' is a {what} of expressions; give the variable another name")
    return variables
