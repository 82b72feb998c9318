"""Labels that follow from all others: formulas of a recipe, the log-density of what is drawn, classes with noise.

They are computed last, used by nothing, and never read from rows that are given.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import (
    Field,
    GetCoreSchemaHandler,
    SerializationInfo,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import CoreSchema, core_schema

from deepbench.errors import LabelError
from deepbench.labelling.plan import LabelPlan, thresholds
from deepbench.labelling.scopes import IDENTITY, VARIABLES, Column, Labels
from deepbench.language.composed_forms import numbers_by
from deepbench.language.expressions import CODES
from deepbench.language.plain import digits, nearest, show, some, unknown
from deepbench.language.specification import Specification, as_number, placed, problem
from deepbench.language.values import DISTRIBUTIONS, AnyValue, By, Constant, Expression
from deepbench.numerics.stream_names import stream_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMULAS = "labels"
"""First part of the names of columns of formulas."""

NOISY = "class_noisy"
"""Column of classes with noise."""

LINE = r"^[^\x00-\x1f\x7f|]*$"
"""Text of a unit or a description: one line, so that it can stand in a table of the data card."""

Problems = Iterator[tuple[tuple[str | int, ...], str]]


class Derived(ABC):
    """A label that follows from the others; the base of all of them.

    Attributes
    ----------
    name : str
        Name of its column.
    path : tuple
        Where it stands in its table.
    """

    name: str
    path: tuple[str | int, ...]

    @abstractmethod
    def column(self, plan: LabelPlan) -> Column:
        """Return its column."""

    @abstractmethod
    def values(self, plan: LabelPlan, seed: int, labels: Labels) -> NDArray:
        """Return its values for the samples that labels describe, of which all that is measured is known."""

    def problems(self, plan: LabelPlan) -> Problems:
        """Yield what is wrong with it, as (path in the table, message)."""
        return iter(())

    def streams(self, plan: LabelPlan) -> tuple[str, ...]:
        """Return the names of the streams that it draws from."""
        return ()


def derive(plan: LabelPlan, seed: int, labels: Labels) -> Labels:
    """Return labels with those that follow from them in their place.

    Raises
    ------
    LabelError
        A formula gives infinity; the message names the first such sample.
    """
    if not plan.derived:
        return labels
    found = {each.name: each.values(plan, seed, labels) for each in plan.derived}
    return replace(labels, columns=labels.columns | found)


# formulas


class _Formula(AnyValue):
    """Type of a field that holds an expression."""

    def parse(self, data: Any, info: ValidationInfo) -> Any:
        """Return the expression that ``data`` describes."""
        value = super().parse(data, info) if isinstance(data, str | Expression) else None
        if value is None:
            raise problem(
                f"must be an expression of labels, such as '= sqrt(area / pi)', not {show(data)}; a value that is "
                "drawn is one of the `variables`"
            )
        return value

    def forms(self, handler: GetCoreSchemaHandler) -> list[CoreSchema]:
        """Return the schemas of what may be written, for the JSON Schema of the recipe."""
        return [core_schema.str_schema(pattern="^=")]


class DerivedLabel(Specification):
    """A label that is computed from others when these are known."""

    value: Annotated[Expression, _Formula(DISTRIBUTIONS, "distribution")] = Field(
        description="expression of drawn and measured labels of the sample"
    )
    unit: Annotated[str, StringConstraints(pattern=LINE, min_length=1, max_length=40)] = Field(
        "1", description="its unit, 1 for pure numbers"
    )
    description: Annotated[str, StringConstraints(pattern=LINE, max_length=1000)] = Field(
        "", description="what it is, in one line"
    )


@dataclass(frozen=True)
class Formula(Derived):
    """A label that a formula of the recipe gives: NaN, which is absent, where what it uses is, or no number follows."""

    key: str
    label: DerivedLabel

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of its column."""
        return f"{FORMULAS}.{self.key}"

    @property
    def path(self) -> tuple[str | int, ...]:  # type: ignore[override]
        """Path in its table, for messages."""
        return (FORMULAS, self.key, "value")

    def column(self, plan: LabelPlan) -> Column:
        """Return its column; it is measured where it uses something that is."""
        known = _columns_by_name(plan)
        measured = any(known[name].measured for name in self.label.value.names if name in known)
        words = self.label.description or f"derived label, {self.label.value.text}"
        return Column(self.name, words, self.label.unit, measured=measured, derived=True)

    def problems(self, plan: LabelPlan) -> Problems:
        """Yield names that it cannot use."""
        if any(scope.name == FORMULAS for scope in plan.scopes):
            message = f"an object has the name '{FORMULAS}', as the columns of derived labels; give it another one"
            yield self.path, message
        known = _columns_by_name(plan)
        for name in self.label.value.names:
            if name not in known:
                yield self.path, _why_unknown(plan, known, name)
            elif name in plan.own_columns and known[name].name != name:
                message = f"'{name}' is a variable of one class and a value of another; rename the variable"
                yield self.path, message
        for code, name in self.label.value.comparisons:
            names = plan.classes if code == "class" else plan.splits
            if name not in names:
                yield self.path, unknown(code, name, names)

    def values(self, plan: LabelPlan, seed: int, labels: Labels) -> NDArray:
        """Return what the formula gives."""
        known, value = _columns_by_name(plan), self.label.value
        used = {name: labels.columns[known[name].name] for name in value.names}
        used |= plan.names_of_codes(value, labels.columns)
        result = value.draw(range(len(labels)), used)
        infinite = np.flatnonzero(np.isinf(result))
        if infinite.size:
            raise LabelError.of_sample(
                plan.table,
                labels.samples[infinite[0]],
                f'{self.name} is infinite by "{value.text}"; use `where`, or min() and max(), so that it is finite',
                column=self.name,
            )
        return result


def _columns_by_name(plan: LabelPlan) -> Mapping[str, Column]:
    """Return the columns that formulas can use by their names in expressions: numbers, one for each sample."""
    prefix = f"{VARIABLES}."
    usable = [
        column
        for name, column in plan.own_columns.items()
        if name not in IDENTITY and not column.identifier
    ]
    full = {column.name: column for column in usable}
    return full | {name.removeprefix(prefix): each for name, each in full.items()}


def _why_unknown(plan: LabelPlan, known: Mapping[str, Column], name: str) -> str:
    """Return why a formula cannot use a name."""
    if name in CODES:
        return f"'{name}' is no number: compare it with a name, such as {name} == NAME"
    if any(name == each.name for each in plan.derived):
        return f"'{name}' is a derived label, which nothing can use; write its formula here"
    for scope in plan.scopes:
        if scope.repeat is not None and name in scope.all_columns():
            count = scope.column("repeat")
            return f"'{name}' has one value for each copy of '{scope.name}'; a label of the sample can use {count}"
    near = nearest(name, known)
    hint = f"did you mean '{near}'? " if near else ""
    return f"no label is called '{name}'; {hint}labels to use: {some(sorted(known)) or 'none'}"


# the density of what is drawn


@dataclass(frozen=True)
class LogPrior(Derived):
    """Natural logarithm of the density of the class and of all values that are drawn."""

    name = "log_prior"
    path = ("log_prior",)

    def column(self, plan: LabelPlan) -> Column:
        """Return its column."""
        words = "natural logarithm of the probability density of the class and all drawn values"
        return Column(self.name, words, derived=True)

    def problems(self, plan: LabelPlan) -> Problems:
        """Yield values of which the density is not known."""
        from deepbench.language.density import has_density

        for scope in plan.scopes:
            for name, value in scope.values.items():
                if not has_density(value):
                    yield (
                        self.path,
                        f"the density of '{scope.column(name)}' is not known: leave out `log_prior`",
                    )

    def values(self, plan: LabelPlan, seed: int, labels: Labels) -> NDArray:
        """Return the log-densities."""
        from deepbench.labelling.log_prior import log_prior

        return log_prior(plan, labels)


# noise of classes


@dataclass(frozen=True)
class Confusion:
    """Probabilities with which classes are published under names of others; those without a row keep theirs."""

    rows: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]


def _probability(data: Any) -> float:
    number = as_number(data)
    if not 0.0 <= number <= 1.0:
        raise problem(f"must be a probability, from 0 to 1, not {digits(number)}")
    return number


class _Noise(AnyValue):
    """Type of the noise of classes: a probability, one for each split, or a confusion matrix."""

    def parse(self, data: Any, info: ValidationInfo) -> Any:
        """Return the noise that ``data`` describes."""
        if isinstance(data, Confusion):
            return data
        if isinstance(data, Mapping) and not isinstance(data.get("by"), str):
            return Confusion(tuple((str(name), _row(name, row)) for name, row in data.items()))
        given = numbers_by(data) if isinstance(data, Mapping) else data
        noise = super().parse(given, info) if isinstance(data, Mapping | Constant | By) else None
        if noise is None:
            return Constant(_probability(data))
        if isinstance(noise, By) and noise.key == "split":
            if not all(isinstance(part, Constant) for part in noise.parts):
                raise problem("the noise of the splits must be numbers")
            for part in noise.parts:
                _probability(part.value)
        elif not isinstance(noise, Constant):
            raise problem(
                "must be a probability, one for each split, or a matrix {class: {class: probability}}"
            )
        return noise

    def dump(self, value: Any, info: SerializationInfo) -> Any:
        """Return the recipe form of a noise."""
        if isinstance(value, Confusion):
            return {name: dict(row) for name, row in value.rows}
        return super().dump(value, info)

    def forms(self, handler: GetCoreSchemaHandler) -> list[CoreSchema]:
        """Return the schemas of what may be written, for the JSON Schema of the recipe."""
        number, text = core_schema.float_schema(ge=0, le=1), core_schema.str_schema()
        row = core_schema.dict_schema(text, number, min_length=1)
        by = {"by": core_schema.typed_dict_field(core_schema.literal_schema(["split"]))}
        return [
            number,
            core_schema.typed_dict_schema(by, extra_behavior="allow", extras_schema=number),
            core_schema.dict_schema(text, row, min_length=1),
        ]


def _row(name: Any, data: Any) -> tuple[tuple[str, float], ...]:
    """Return a row of a confusion matrix."""
    with placed((name,), data):
        if not isinstance(data, Mapping):
            raise problem(
                f"must be a mapping of classes to probabilities, such as {{{name}: 1}}, not {show(data)}"
            )
        row = []
        for other, number in data.items():
            with placed((other,), number):
                row.append((str(other), _probability(number)))
        total = math.fsum(number for _, number in row)
        if abs(total - 1.0) > 1e-9:
            raise problem(f"the probabilities must add up to 1; they add up to {total:.10g}")
    return tuple(row)


ClassNoise = Annotated[Constant | By | Confusion, _Noise(DISTRIBUTIONS, "noise")]
"""Noise of classes as a recipe may write it."""


@dataclass(frozen=True)
class NoisyClass(Derived):
    """Class that is published beside the true one: one number of each sample decides whether and how it differs.

    The other classes have the first intervals of the number, in written order, the true one the last, so that more
    noise leaves wrong what less noise has made wrong.
    """

    noise: Constant | By | Confusion
    name = NOISY
    path = ("label_noise", "class")

    def column(self, plan: LabelPlan) -> Column:
        """Return its column."""
        words = "class of the sample as a catalogue with errors would have it"
        return Column(self.name, words, meanings=plan.classes, derived=True)

    def streams(self, plan: LabelPlan) -> tuple[str, ...]:
        """Return the name of its stream."""
        return (plan.code_stream(self.name),)

    def problems(self, plan: LabelPlan) -> Problems:
        """Yield classes and splits that there are not, or that lack a number."""
        noise = self.noise
        if isinstance(noise, Confusion):
            for name, row in noise.rows:
                for each in dict.fromkeys((name, *(other for other, _ in row))):
                    if each not in plan.classes:
                        yield (*self.path, name), unknown("class", each, plan.classes)
        elif len(plan.classes) == 1:
            yield self.path, "a table of one class has no other one to take its samples for"
        if isinstance(noise, By):
            given = [name for name, _ in noise.branches]
            for name in given:
                if name not in plan.splits:
                    yield (*self.path, name), unknown("split", name, plan.splits)
            lacking = [name for name in plan.splits if name not in given]
            if lacking and noise.otherwise is None:
                yield self.path, f"has no value for split {lacking[0]}: add it, or `otherwise`"

    def values(self, plan: LabelPlan, seed: int, labels: Labels) -> NDArray:
        """Return the codes of the classes with noise."""
        from deepbench.numerics import streams

        (stream,) = self.streams(plan)
        u = streams.uniforms(seed, stream_number(stream), labels.samples)
        true, splits = labels.columns["class"], labels.columns["split"]
        if isinstance(self.noise, Confusion):
            return _by_matrix(plan, self.noise, u, true)
        if isinstance(self.noise, By):
            part = np.array([self.noise.constant_for(name) for name in plan.splits])[splits]
        else:
            part = np.full(len(u), self.noise.value)
        return _evenly(len(plan.classes), part, u, true)


def _by_matrix(plan: LabelPlan, noise: Confusion, u: NDArray, true: NDArray) -> NDArray:
    """Return the class in whose interval each number is, by the rows of a matrix."""
    found = true.copy()
    for name, row in noise.rows:
        given = dict(row)
        order = [*(each for each in plan.classes if each != name), name]
        limits = thresholds({each: given.get(each, 0.0) for each in order})
        codes = np.array([plan.classes.index(each) for each in order])
        rows = np.flatnonzero(true == plan.classes.index(name))
        found[rows] = codes[np.searchsorted(limits, u[rows], side="right")]
    return found


def _evenly(classes: int, part: NDArray, u: NDArray, true: NDArray) -> NDArray:
    """Return the true class, or with the probability ``part`` any other one."""
    wrong, others = u < part, classes - 1
    other = np.minimum(np.floor(u / np.where(wrong, part, 1.0) * others), others - 1)
    return np.where(wrong, other + (other >= true), true).astype(true.dtype)
