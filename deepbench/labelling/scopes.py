"""Scopes of parameters that are drawn together, columns of labels, and tables of labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from deepbench.language.composed import Composed, has_components
from deepbench.language.one_of import OneOf
from deepbench.language.specification import Group, Parameter, Specification, parameters_of
from deepbench.language.values import Constant, Distribution, Expression, Joint
from deepbench.numerics.stream_names import MOST_ATTEMPTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.labelling.objects import ObjectColumns
    from deepbench.language.one_of import NamedOneOf

VARIABLES = "variables"
EVERY_CLASS = "*"
EVERY_TABLE = "*"
IDENTITY = ("id", "class", "split", "group")
"""The columns that each table has before its parameters."""

Quantity = Constant | Expression | Distribution | Composed | Joint


@dataclass(frozen=True, eq=False)
class Scope:
    """Parameters drawn together.

    Attributes
    ----------
    name : str
        ``circle``, ``circle.2``, ``psf``, ``noise.gaussian``, ``variables``: the first part of its columns' names.
    path : tuple
        Where it stands in its table: ``("classes", "a", "objects", 0, "circle")``. The last step is its kind.
    values : mapping of str to Value or Joint
    parameters : mapping of str to Parameter
        Unit, range and description of each value.
    class_name : str, optional
        The class it belongs to; None when every sample of the table has it.
    repeat : Value, optional
        How many copies; its values then have one row per copy, in the long table of objects.
    inner_paths : mapping of str to tuple, optional
        Paths below ``path`` of values that do not stand under their own names.
    measured : mapping of str to Parameter, optional
        Labels that are measured when the sample is rendered, not drawn. Their columns follow those of the values.
    each : int, optional
        Consecutive samples that share its values, where these are fewer than those that share others.
    entry : NamedOneOf, optional
        The object of a class that it describes.
    shared : bool, optional
        Whether all tables of the recipe draw its values from the same streams.
    factors : bool, optional
        Whether its values are factors of the table's design, by their levels.
    """

    name: str
    path: tuple[str | int, ...]
    values: Mapping[str, Quantity]
    parameters: Mapping[str, Parameter]
    class_name: str | None = None
    repeat: Quantity | None = None
    inner_paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    measured: Mapping[str, Parameter] = field(default_factory=dict)
    each: int | None = None
    entry: NamedOneOf | None = None
    shared: bool = False
    factors: bool = False

    @property
    def kind(self) -> str:
        """Kind of the object or step that it describes, such as ``circle``."""
        return str(self.path[-1]) if self.path else self.name

    def path_of(self, name: str) -> tuple[str | int, ...]:
        """Return the path of a value in its table."""
        of_entry = name == "repeat" or name.startswith(f"{VARIABLES}.")
        if of_entry and self.entry is not None:
            return (*self.path[:-1], *name.split("."))
        return (*self.path, *self.inner_paths.get(name, (name,)))

    def column(self, name: str) -> str:
        """Return the name of a value's column."""
        return f"{self.name}.{name}"

    def stream(self, table: str, name: str) -> str:
        """Return the name of a value's random stream."""
        owner = EVERY_TABLE if self.shared else table
        return f"{owner}/{self.class_name or EVERY_CLASS}/{self.name}/{name}"

    def own_name(self, column: str) -> str:
        """Return the name that the scope's own expressions have for one of its columns."""
        return column.removeprefix(f"{self.name}.").removeprefix(f"{VARIABLES}.")

    def columns(self, name: str) -> list[str]:
        """Return the names of the columns that the value ``name`` fills.

        They are one, or one per column of a joint draw; a mixture has a second one for its component.
        """
        value = self.values[name]
        if isinstance(value, Joint):
            numbers = [f"{self.column(name)}.{column}" for column in value.columns]
            return numbers + self.identifiers(name)
        if has_components(value):
            return [self.column(name), self.component(name)]
        return [self.column(name)]

    def component(self, name: str) -> str:
        """Return the name of the column that says from which component of a mixture a value is."""
        return f"{self.column(name)}.component"

    def meaning(self, name: str, column: str) -> Parameter:
        """Return description, unit and range of one of the columns that the value ``name`` fills."""
        value = self.values[name]
        if column in self.identifiers(name):
            return IDENTIFIER
        if not isinstance(value, Joint) and column == self.component(name):
            return COMPONENT
        return self.parameters[name]

    def identifiers(self, name: str) -> list[str]:
        """Return the names of those columns of the value ``name`` that are identifiers, which no expression can use."""
        value = self.values[name]
        names = value.identifier_names if isinstance(value, Joint) else ()
        return [f"{self.column(name)}.{column}" for column in names]

    def all_columns(self) -> list[str]:
        """Return the names of the columns that the scope fills, those that are measured last."""
        drawn = [column for name in self.values for column in self.columns(name)]
        return drawn + [self.column(name) for name in self.measured]


REPEAT = Parameter(description="number of copies", minimum=0, integer=True)
ATTEMPT = Parameter(description="attempt", minimum=0, below=MOST_ATTEMPTS, integer=True)
SAMPLE = Parameter(description="sample number", minimum=0, below=2**32, integer=True)
VARIABLE = Parameter(description="variable of the recipe")
FACTOR = Parameter(description="factor of the table's design")
IDENTIFIER = Parameter(description="identifier in the catalogue; -1 where there is none")

COMPONENT = Parameter(
    description="component of the mixture, counted from 0", minimum=0, integer=True
)


def scope_of(
    specification: Specification,
    name: str,
    path: tuple[str | int, ...],
    class_name: str | None = None,
    repeat: Quantity | None = None,
) -> Scope:
    """Return the scope of a specification's values. Values that are None have no label.

    A field that is a mapping has the values ``<field>.<key>``, one of several kinds those of the kind, a group its own.
    """
    found = list(_values_of(specification))
    return Scope(
        name,
        path,
        {each: value for each, _, value, _ in found},
        {each: parameter for each, _, _, parameter in found},
        class_name,
        repeat,
        {each: inner for each, inner, _, _ in found},
    )


def _values_of(
    specification: Specification,
) -> Iterator[tuple[str, tuple[str, ...], Quantity, Parameter]]:
    """Yield name, path, value and parameter of everything in a specification that is drawn."""
    parameters = parameters_of(type(specification))
    for field_name in type(specification).model_fields:
        value, parameter = getattr(specification, field_name), parameters.get(field_name)
        if value is None:
            continue
        if parameter is None:
            above: tuple[str, ...] = (field_name,)
            if isinstance(value, OneOf):
                above, value = (field_name, value.kind), value.chosen
            elif not isinstance(value, Group):
                continue
            for name, path, inner, meaning in _values_of(value):
                yield f"{field_name}.{name}", (*above, *path), inner, meaning
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield f"{field_name}.{key}", (field_name, key), item, parameter
        else:
            yield field_name, (field_name,), value, parameter


def variables_scope(
    variables: Mapping[str, Quantity], path: tuple[str | int, ...], class_name: str | None = None
) -> Scope:
    """Return the scope of a table's or a class's named variables."""
    return Scope(VARIABLES, path, dict(variables), dict.fromkeys(variables, VARIABLE), class_name)


def factors_scope(factors: Mapping[str, Distribution]) -> Scope:
    """Return the scope of a table's factors, which are variables of it."""
    meanings = dict.fromkeys(factors, FACTOR)
    return Scope(VARIABLES, ("factors",), dict(factors), meanings, factors=True)


@dataclass(frozen=True)
class Column:
    """One column of labels: float64, int64, or a code into ``meanings``; drawn, or measured on the rendered sample.

    Integers are numbers and counts, which are 0 where a sample has none, or identifiers, which are −1 there. What is
    measured may be measured on the sample with its noise.
    What is derived follows from all others; it is measured, too, where it uses something that is.
    """

    name: str
    description: str
    unit: str = "1"
    meanings: tuple[str, ...] = ()
    integer: bool = False
    measured: bool = False
    identifier: bool = False
    noisy: bool = False
    derived: bool = False

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored numbers; codes are as small as their meanings allow."""
        if self.meanings:
            return np.dtype("int8") if len(self.meanings) <= 127 else np.dtype("int16")
        return np.dtype("int64") if self.integer or self.identifier else np.dtype("float64")

    @property
    def absent(self) -> float:
        """Value that stands for a sample without one."""
        if self.identifier:
            return -1
        return 0 if self.integer or self.meanings else np.nan

    def present(self, values: NDArray) -> NDArray[np.bool_]:
        """Return where there are values."""
        return ~np.isnan(values) if self.dtype.kind == "f" else values != self.absent


@dataclass(frozen=True)
class Labels:
    """The labels of some samples of one table.

    Attributes
    ----------
    columns : dict of str to ndarray, shape (n,)
        One row per sample. Classes and splits are codes, parameters float64, NaN where a sample's class has none,
        identifiers int64, −1 there.
    objects : dict of str to ndarray, shape (m,)
        One row per copy of a repeated object, ordered by sample, written order and copy; empty where nothing repeats.
    object_names : tuple of str
        What the codes in ``objects["object"]`` stand for.
    owner_rows : intp[m], optional
        Row of the sample of each copy; needed where a sample is there more than once, else its number tells the row.
    """

    columns: dict[str, NDArray]
    objects: dict[str, NDArray] = field(default_factory=dict)
    object_names: tuple[str, ...] = ()
    owner_rows: NDArray[np.intp] | None = None

    @property
    def samples(self) -> NDArray[np.int64]:
        """The sample numbers."""
        return self.columns["id"]

    @cached_property
    def owners(self) -> NDArray[np.intp]:
        """The row of the sample of each copy."""
        if self.owner_rows is not None:
            return self.owner_rows
        by_number = np.argsort(self.samples, kind="stable")
        found = np.searchsorted(self.samples, self.objects["sample"], sorter=by_number)
        return by_number[found]

    def __len__(self) -> int:
        return len(self.columns["id"])

    def with_measured(
        self,
        columns: Mapping[str, NDArray],
        of_objects: Iterable[tuple[ObjectColumns, Mapping[str, NDArray]]] = (),
    ) -> Labels:
        """Return the labels with what was measured in its place.

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n,)
            Columns of the samples.
        of_objects : iterable of (ObjectColumns, mapping of str to ndarray, shape (k,))
            What was measured of objects, by its name inside the object.
        """
        wide, long = {**self.columns, **columns}, dict(self.objects)
        for source, measured in of_objects:
            held, prefix = (long, "") if source.repeated else (wide, f"{source.name}.")
            for name, values in measured.items():
                column = held[prefix + name].copy()
                column[source.rows] = values
                held[prefix + name] = column
        return replace(self, columns=wide, objects=long)

    def take(self, rows: NDArray[np.intp]) -> Labels:
        """Return the labels of some rows, which may be in any order, and repeat."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        if not self.objects:
            return Labels(columns)
        counts = np.bincount(self.owners, minlength=len(self))
        taken = counts[rows]
        shifts = (np.cumsum(counts) - counts)[rows] - (np.cumsum(taken) - taken)
        by_owner = np.argsort(self.owners, kind="stable")
        chosen = by_owner[np.arange(taken.sum()) + np.repeat(shifts, taken)]
        owners = np.repeat(np.arange(len(rows)), taken)
        objects = {name: values[chosen] for name, values in self.objects.items()}
        return Labels(columns, objects, self.object_names, owners)

    def members(self, class_code: int) -> NDArray[np.intp]:
        """Return the rows of the samples of a class."""
        return np.flatnonzero(self.columns["class"] == class_code)

    def copies(self, name: str, class_code: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows in ``objects`` of the copies of an object in a class, and the rows of their samples."""
        chosen = np.flatnonzero(self.objects["object"] == self.object_names.index(name))
        rows = self.owners[chosen]
        inside = self.columns["class"][rows] == class_code
        return chosen[inside], rows[inside]


def parameter_columns(scope: Scope, *, prefix: bool) -> list[Column]:
    """Return the columns of a scope's values, with the scope's name in front or without it."""
    columns = []
    for name in scope.values:
        for column in scope.columns(name):
            parameter = scope.meaning(name, column)
            label = column if prefix else column.removeprefix(f"{scope.name}.")
            described = parameter.description, parameter.unit
            columns.append(Column(label, *described, identifier=parameter is IDENTIFIER))
    for name, parameter in scope.measured.items():
        label = scope.column(name) if prefix else name
        described = parameter.description, parameter.unit
        columns.append(Column(label, *described, measured=True, noisy=parameter.noisy))
    return columns
