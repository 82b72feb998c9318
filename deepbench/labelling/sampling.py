"""Specifications of which samples there are: weights of classes, fractions and rules of splits, selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, GetCoreSchemaHandler, Tag, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from deepbench.language.composed_forms import numbers_by
from deepbench.language.plain import digits
from deepbench.language.specification import Name, Number, Specification, as_number, problem
from deepbench.language.values import DISTRIBUTIONS, AnyValue, By, Condition, Constant


class _Weight(AnyValue):
    """Type of the weight of a class: a number above 0, or one for each split."""

    def parse(self, data: Any, info: ValidationInfo) -> Any:
        """Return the weight that ``data`` describes."""
        plain = not isinstance(data, Mapping | Constant | By)
        given = numbers_by(data) if isinstance(data, Mapping) else data
        weight = Constant(as_number(data)) if plain else super().parse(given, info)
        if isinstance(weight, Constant):
            if not weight.value > 0:
                raise problem(f"must be greater than 0, not {digits(weight.value)}")
        elif not isinstance(weight, By) or weight.key != "split":
            raise problem(
                "must be a number, or one for each split: {by: split, train: 3, otherwise: 1}"
            )
        elif not all(isinstance(part, Constant) and part.value >= 0 for part in weight.parts):
            raise problem("the weights of the splits must be numbers, at least 0")
        return weight

    def forms(self, handler: GetCoreSchemaHandler) -> list[CoreSchema]:
        """Return the schemas of what may be written, for the JSON Schema of the recipe."""
        number = core_schema.float_schema(ge=0)
        by = {"by": core_schema.typed_dict_field(core_schema.literal_schema(["split"]))}
        return [
            core_schema.float_schema(gt=0),
            core_schema.typed_dict_schema(by, extra_behavior="allow", extras_schema=number),
        ]


Weight = Annotated[Constant | By, _Weight(DISTRIBUTIONS, "weight")]
"""Weight of a class: a number above 0, or one for each split."""


class SplitRule(Specification):
    """A split that holds the samples for which a condition is true, whatever split they would have."""

    where: Condition = Field(description="condition on drawn labels, such as circle.radius > 20")


def _of_split(data: Any) -> str:
    return "rule" if isinstance(data, Mapping | SplitRule) else "fraction"


Splits = Annotated[
    dict[
        Name,
        Annotated[
            Annotated[Number, Field(gt=0, le=1), Tag("fraction")]
            | Annotated[SplitRule, Tag("rule")],
            Discriminator(_of_split),
        ],
    ],
    Field(min_length=1, max_length=100),
]
"""Splits by name: a fraction, or a rule; the first rule that is true decides."""


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse fractions of splits that do not add up to 1."""
    total = sum(fractions)
    if not fractions:
        raise problem("needs a split for the samples that meet no rule, such as rest: 1")
    if abs(total - 1) > 1e-9:
        raise problem(f"the fractions must add up to 1; they add up to {total:.10g}")


class Selection(Specification):
    """A condition that samples meet: each is the first attempt that does."""

    where: Condition = Field(
        description="condition on drawn or measured labels, such as star.snr > 5"
    )
    redraw: Literal["values", "all"] = Field(
        "values",
        description="what an attempt draws again: the values, or the class, too; never split and group",
    )
