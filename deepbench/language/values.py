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
from deepbench.language.continuous import (
    Histogram,
    LogNormal,
    LogUniform,
    Normal,
    PowerLaw,
    TruncatedNormal,
    Uniform,
)
from deepbench.language.discrete import Choice, Grid, Integers
from deepbench.language.distribution import Distribution
from deepbench.language.expressions import Expression, parse
from deepbench.language.joint import JOINTS, Joint
from deepbench.language.plain import digits
from deepbench.language.scipy_stats import Scipy
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
    problem,
)

__all__ = [
    "DISTRIBUTIONS",
    "JOINTS",
    "Constant",
    "Distribution",
    "Expression",
    "Joint",
    "Name",
    "Named",
    "Number",
    "Parameter",
    "Specification",
    "Value",
    "Variable",
    "Whole",
    "is_tolerance",
    "out_of_range",
    "parameter",
    "parameter_of",
    "parameters_of",
]


DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "power_law": PowerLaw,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
    "log_normal": LogNormal,
    "integers": Integers,
    "choice": Choice,
    "grid": Grid,
    "histogram": Histogram,
    "scipy": Scipy,
}
"""The distributions by the names that recipes use. A new one is a class in ``continuous`` or
``discrete``, and a line here."""


@dataclass(frozen=True)
class Constant:
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

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Return the number once for each element of ``u``; float64, same shape."""
        return np.full(np.shape(u), self.value)

    def misfit(self, allowed: str) -> str:
        """Return the message for a parameter that does not allow this number."""
        return f"must be {allowed}, not {digits(self.value)}"


class AnyValue(Named):
    """Type of a field that may hold a number, an expression or one member of a registry."""

    def parse(self, data: Any, info: ValidationInfo) -> Any:
        """Return the value that ``data`` describes."""
        if isinstance(data, Constant | Expression):
            return data
        if isinstance(data, str):
            try:
                return parse(data)
            except ExpressionError as error:
                raise problem(str(error), "expression") from None
        if isinstance(data, Mapping | Specification):
            return super().parse(data, info)
        if isinstance(data, int | float | np.number) and not isinstance(data, bool):
            return Constant(as_number(data))
        raise problem(f"must be {self.expected(data)}")

    def expected(self, data: Any) -> str:
        """Return the message about data that are no value."""
        return f"a number, an expression such as '= 0.5 * radius', or {super().expected(data)}"

    def dump(self, value: Any, info: SerializationInfo) -> Any:
        """Return the recipe form of a value, every default filled in."""
        if isinstance(value, Constant):
            return value.value
        if isinstance(value, Expression):
            return value.text
        return super().dump(value, info)

    def forms(self, handler: GetCoreSchemaHandler) -> list[CoreSchema]:
        """Return the schemas of what may be written, for the JSON Schema of the recipe."""
        return [
            core_schema.float_schema(),
            core_schema.str_schema(pattern="^="),
            *super().forms(handler),
        ]


Value = TypeAliasType(
    "Value",
    Annotated[Constant | Expression | Distribution, AnyValue(DISTRIBUTIONS, "distribution")],
)
"""A number as a recipe may write it: a constant, an expression or a distribution."""

Variable = TypeAliasType(
    "Variable",
    Annotated[
        Constant | Expression | Distribution | Joint,
        AnyValue(DISTRIBUTIONS | JOINTS, "distribution"),
    ],
)
"""A variable as a recipe may write it: a value, or a joint draw of several columns."""


def is_tolerance(value: Constant | Expression | Distribution | Joint) -> bool:
    """Return whether the draws of a value may differ by rounding between computers."""
    return getattr(value, "tolerance", False)
