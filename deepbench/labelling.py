"""Labels: every number that shapes a sample, drawn from the recipe for any range of samples.

A table is described by its scopes: sets of parameters that belong together, such as those of one object, of the PSF,
of a noise term, or the named variables. Drawing needs no other knowledge of what the parameters mean, so all kinds of
table share this module. A label depends on the recipe's seed, the name of its stream and the sample number alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np

from deepbench import streams
from deepbench.errors import LabelError
from deepbench.recipe.expressions import Expression
from deepbench.recipe.load import nearest
from deepbench.recipe.specification import Parameter, Specification, out_of_range, parameters_of
from deepbench.recipe.values import Constant, Distribution, Joint, is_tolerance

if TYPE_CHECKING:
    from numpy.typing import NDArray

VARIABLES = "variables"
EVERY_CLASS = "*"
IDENTITY = ("id", "class", "split", "group")
"""The columns that each table has before its parameters."""

Quantity = Constant | Expression | Distribution | Joint


@dataclass(frozen=True)
class Scope:
    """Parameters drawn together.

    Attributes
    ----------
    name : str
        ``circle``, ``circle.2``, ``psf``, ``noise.gaussian``, ``variables``: the first part of its columns' names.
    path : tuple
        Where it stands in its table, for messages: ``("classes", "a", "objects", 0, "circle")``.
    values : mapping of str to Value or Joint
    parameters : mapping of str to Parameter
        Unit, range and description of each value.
    class_name : str, optional
        The class it belongs to; None when every sample of the table has it.
    repeat : Value, optional
        How many copies; its values then have one row per copy, in the long table of objects.
    """

    name: str
    path: tuple[str | int, ...]
    values: Mapping[str, Quantity]
    parameters: Mapping[str, Parameter]
    class_name: str | None = None
    repeat: Quantity | None = None

    def column(self, name: str) -> str:
        """Return the name of a value's column."""
        return f"{self.name}.{name}"

    def stream(self, table: str, name: str) -> str:
        """Return the name of a value's random stream."""
        return f"{table}/{self.class_name or EVERY_CLASS}/{self.name}/{name}"

    def columns(self, name: str) -> list[str]:
        """Return the names of the columns that the value ``name`` fills: one, or one per column of a joint draw."""
        value = self.values[name]
        if isinstance(value, Joint):
            return [f"{self.column(name)}.{column}" for column in value.columns]
        return [self.column(name)]


REPEAT = Parameter(description="number of copies", minimum=0, integer=True)
SAMPLE = Parameter(description="sample number", minimum=0, below=2**32, integer=True)
VARIABLE = Parameter(description="variable of the recipe")


def scope_of(
    specification: Specification,
    name: str,
    path: tuple[str | int, ...],
    class_name: str | None = None,
    repeat: Quantity | None = None,
) -> Scope:
    """Return the scope of a specification's values. Values that are None have no label."""
    parameters = parameters_of(type(specification))
    values = {
        name: value for name in parameters if (value := getattr(specification, name)) is not None
    }
    return Scope(name, path, values, parameters, class_name, repeat)


def variables_scope(
    variables: Mapping[str, Quantity], path: tuple[str | int, ...], class_name: str | None = None
) -> Scope:
    """Return the scope of a table's or a class's named variables."""
    return Scope(VARIABLES, path, dict(variables), dict.fromkeys(variables, VARIABLE), class_name)


@dataclass(frozen=True)
class Column:
    """One column of labels: float64, int64, or a code into ``meanings``."""

    name: str
    description: str
    unit: str = "1"
    meanings: tuple[str, ...] = ()
    integer: bool = False

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored numbers; codes are as small as their meanings allow."""
        if self.meanings:
            return np.dtype("int8") if len(self.meanings) <= 127 else np.dtype("int16")
        return np.dtype("int64") if self.integer else np.dtype("float64")


@dataclass(frozen=True)
class Labels:
    """The labels of some samples of one table.

    Attributes
    ----------
    columns : dict of str to ndarray, shape (n,)
        One row per sample. Classes and splits are codes, parameters float64, NaN where a sample's class has none.
    objects : dict of str to ndarray, shape (m,)
        One row per copy of a repeated object, ordered by sample, written order and copy; empty where nothing repeats.
    object_names : tuple of str
        What the codes in ``objects["object"]`` stand for.
    """

    columns: dict[str, NDArray]
    objects: dict[str, NDArray] = field(default_factory=dict)
    object_names: tuple[str, ...] = ()

    @property
    def samples(self) -> NDArray[np.int64]:
        """The sample numbers."""
        return self.columns["id"]

    def __len__(self) -> int:
        return len(self.columns["id"])

    def members(self, class_code: int) -> NDArray[np.intp]:
        """Return the rows of the samples of a class."""
        return np.flatnonzero(self.columns["class"] == class_code)

    def copies(self, name: str, class_code: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows in ``objects`` of the copies of an object in a class, and the rows of their samples."""
        chosen = np.flatnonzero(self.objects["object"] == self.object_names.index(name))
        by_number = np.argsort(self.samples, kind="stable")
        found = np.searchsorted(self.samples, self.objects["sample"][chosen], sorter=by_number)
        rows = by_number[found]
        inside = self.columns["class"][rows] == class_code
        return chosen[inside], rows[inside]


@dataclass(frozen=True)
class Reference:
    """What a name in an expression stands for: a column, and whether it has a row per copy."""

    scope: Scope
    value: str
    column: str


class LabelPlan:
    """How the labels of one table are drawn: its columns, and its values in an order that satisfies the expressions.

    Parameters
    ----------
    table : str
        Name of the table.
    scopes : sequence of Scope
        In the order of the recipe.
    classes : mapping of str to float
        Weight of each class, in written order; one class at least.
    splits : mapping of str to float
        Fraction of each split, in written order; the sum is 1.
    group_size : int
        Consecutive samples that form one group and so share a split.
    """

    def __init__(
        self,
        table: str,
        scopes: list[Scope],
        classes: Mapping[str, float],
        splits: Mapping[str, float],
        group_size: int = 1,
    ) -> None:
        self.table = table
        self.scopes = scopes
        self.classes = tuple(classes)
        self.splits = tuple(splits)
        self.class_thresholds = thresholds(classes)
        self.split_thresholds = thresholds(splits)
        self.group_size = group_size

    # what there is to draw

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the table with one row per sample."""
        columns = {
            "id": Column("id", "sample number", integer=True),
            "class": Column("class", "class of the sample", meanings=self.classes),
            "split": Column("split", "split of the sample's group", meanings=self.splits),
            "group": Column("group", "samples of one group are never in two splits", integer=True),
        }
        for scope in self.scopes:
            if scope.repeat is not None:
                name = scope.column("repeat")
                columns[name] = Column(name, REPEAT.description, integer=True)
            else:
                columns |= {column.name: column for column in parameter_columns(scope, prefix=True)}
        return tuple(columns.values())

    @cached_property
    def object_columns(self) -> tuple[Column, ...]:
        """Columns of the table with one row per copy of a repeated object; empty where nothing repeats."""
        repeated = [scope for scope in self.scopes if scope.repeat is not None]
        if not repeated:
            return ()
        columns = {
            "sample": Column("sample", "sample number", integer=True),
            "object": Column("object", "name of the object", meanings=self.repeated_names),
            "copy": Column("copy", "number of the copy, from 0", integer=True),
        }
        for scope in repeated:
            columns |= {each.name: each for each in parameter_columns(scope, prefix=False)}
        return tuple(columns.values())

    @cached_property
    def repeated_names(self) -> tuple[str, ...]:
        """Names of the repeated objects, in written order."""
        return tuple(dict.fromkeys(scope.name for scope in self.scopes if scope.repeat is not None))

    @property
    def tolerance(self) -> bool:
        """Whether some values may differ by rounding between computers."""
        return any(is_tolerance(value) for scope in self.scopes for value in scope.values.values())

    def streams(self) -> Iterator[str]:
        """Yield the name of every stream that labels of this table draw from."""
        yield f"{self.table}/{EVERY_CLASS}/sample/class"
        yield f"{self.table}/{EVERY_CLASS}/sample/split"
        for scope in self.scopes:
            if scope.repeat is not None:
                yield scope.stream(self.table, "repeat")
            for name in scope.values:
                yield scope.stream(self.table, name)

    # references between values

    def visible(self, scope: Scope) -> list[Scope]:
        """Return the scopes whose values an expression of ``scope`` may use."""
        return [other for other in self.scopes if other.class_name in (None, scope.class_name)]

    def reference(self, scope: Scope, name: str) -> Reference:
        """Return what a name in an expression stands for: its scope's own value, a variable, or ``object.value``.

        Raises
        ------
        LabelError
            No such value, or one that has several copies per sample.
        """
        if name in scope.values and not isinstance(scope.values[name], Joint):
            return Reference(scope, name, scope.column(name))
        known: dict[str, Reference] = {
            own: Reference(scope, own, scope.column(own)) for own in scope.values
        }
        for other in self.visible(scope):
            for value in other.values:
                for column in other.columns(value):
                    short = (
                        column.removeprefix(f"{VARIABLES}.") if other.name == VARIABLES else column
                    )
                    known[short] = Reference(other, value, column)
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean '{near}'? " if near else ""
            allowed = ", ".join(sorted(known)) or "none"
            raise LabelError(f"no value is called '{name}' here; {hint}values to use: {allowed}")
        found = known[name]
        if found.scope.repeat is not None and found.scope is not scope:
            raise LabelError(
                f"'{name}' has one value per copy of '{found.scope.name}', so '{scope.name}' cannot use it; "
                "use a variable for what they share"
            )
        return found

    def problems(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return what is wrong between the values, as (path in the table, message)."""
        found: list[tuple[tuple[str | int, ...], str]] = []
        for scope in self.scopes:
            quantities = dict(scope.values) | (
                {"repeat": scope.repeat} if scope.repeat is not None else {}
            )
            for name, value in quantities.items():
                if not isinstance(value, Expression):
                    continue
                for used in value.names:
                    try:
                        self.reference(scope, used)
                    except LabelError as error:
                        found.append(((*scope.path, name), str(error)))
        if not found:
            try:
                self.order  # noqa: B018  a cached property
            except LabelError as error:
                found.append((error.path, str(error)))  # type: ignore[attr-defined]
        return found + self._ambiguous_names() + self._unequal_columns()

    def _ambiguous_names(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return values of which the name in expressions, and so in the labels, is another's where both are known."""
        found = []
        for class_name in self.classes:
            owners: dict[str, Scope] = {}
            for scope in self.scopes:
                if scope.class_name not in (None, class_name):
                    continue
                for value in scope.values:
                    for column in scope.columns(value):
                        short = column.removeprefix(f"{VARIABLES}.")
                        if owners.setdefault(short, scope) is not scope:
                            message = (
                                f"the name '{short}' has two meanings in class '{class_name}'; "
                                "rename the variable"
                            )
                            found.append(((*scope.path, value), message))
        return list(dict.fromkeys(found))

    def _unequal_columns(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return values that share a column although their units differ."""
        units: dict[str, str] = {}
        found = []
        for scope in self.scopes:
            for column in parameter_columns(scope, prefix=scope.repeat is None):
                if units.setdefault(column.name, column.unit) != column.unit:
                    message = (
                        f"column '{column.name}' has the unit {column.unit} here and {units[column.name]} elsewhere; "
                        "give one of the objects another name"
                    )
                    found.append((scope.path, message))
        return found

    @cached_property
    def order(self) -> tuple[tuple[Scope, str], ...]:
        """Every value (and ``repeat``) as (scope, name), each after those that its expression uses."""
        sorter: TopologicalSorter = TopologicalSorter()
        number = {id(scope): index for index, scope in enumerate(self.scopes)}
        for index, scope in enumerate(self.scopes):
            first = [(index, "repeat")] if scope.repeat is not None else []
            if first:
                sorter.add(first[0], *self._uses(scope, scope.repeat, number))
            for name, value in scope.values.items():
                sorter.add((index, name), *first, *self._uses(scope, value, number))
        try:
            ordered = list(sorter.static_order())
        except CycleError as error:
            cycle = [(self.scopes[index], name) for index, name in error.args[1]]
            names = " → ".join(scope.column(name) for scope, name in reversed(cycle))
            path = (*cycle[0][0].path, cycle[0][1])
            raise LabelError(
                f"values depend on each other in a circle: {names}", path=path
            ) from None
        return tuple((self.scopes[index], name) for index, name in ordered)

    def _uses(
        self, scope: Scope, value: Quantity | None, number: Mapping[int, int]
    ) -> list[tuple[int, str]]:
        if not isinstance(value, Expression):
            return []
        references = [self.reference(scope, name) for name in value.names]
        return [(number[id(reference.scope)], reference.value) for reference in references]

    # drawing

    def draw(self, seed: int, start: int, stop: int) -> Labels:
        """Draw the labels of the samples ``start`` … ``stop - 1``.

        Raises
        ------
        LabelError
            An expression leaves the range of its parameter; the message names the first such sample.
        """
        samples = np.arange(start, stop, dtype=np.int64)
        groups = samples // self.group_size
        columns: dict[str, NDArray] = {
            "id": samples,
            "class": self._pick(seed, "class", self.class_thresholds, samples, 0),
            "split": self._pick(seed, "split", self.split_thresholds, groups, 1),
            "group": groups,
        }
        for column in self.columns[len(IDENTITY) :]:
            columns[column.name] = np.full(
                len(samples), 0 if column.integer else np.nan, column.dtype
            )
        members = {
            name: np.flatnonzero(columns["class"] == code) for code, name in enumerate(self.classes)
        }
        everyone = np.arange(len(samples))
        copies: dict[int, _Copies] = {}
        for scope, name in self.order:
            rows = everyone if scope.class_name is None else members[scope.class_name]
            if name == "repeat" and scope.repeat is not None:
                counts = self._quantity(seed, scope, name, scope.repeat, columns, samples, rows)
                columns[scope.column("repeat")][rows] = counts
                copies[id(scope)] = _Copies(rows, counts.astype(np.int64))
            elif scope.repeat is not None:
                copy = copies[id(scope)]
                self._fill(
                    seed, scope, name, columns, copy.columns, samples, copy.rows, copy.number
                )
            else:
                self._fill(seed, scope, name, columns, columns, samples, rows)
        return Labels(columns, self._objects(copies, samples), self.repeated_names)

    def _pick(
        self, seed: int, what: str, limits: NDArray, numbers: NDArray, column: int
    ) -> NDArray:
        """Draw classes or splits: the code whose interval of thresholds holds the uniform draw."""
        stream = streams.stream_number(f"{self.table}/{EVERY_CLASS}/sample/{what}")
        uniforms = streams.uniforms(seed, stream, numbers)
        dtype = self.columns[1 + column].dtype
        return np.searchsorted(limits, uniforms, side="right").astype(dtype)

    def _fill(
        self,
        seed: int,
        scope: Scope,
        name: str,
        columns: dict[str, NDArray],
        into: dict[str, NDArray],
        samples: NDArray,
        rows: NDArray,
        copy: NDArray | int = 0,
    ) -> None:
        """Draw one value (or joint draw) for some rows and put it into its columns."""
        value = scope.values[name]
        if isinstance(value, Joint):
            stream = streams.stream_number(scope.stream(self.table, name))
            elements = np.asarray(copy)[..., None] * value.dimension + np.arange(value.dimension)
            elements = np.broadcast_to(elements, (len(rows), value.dimension))
            numbers = np.repeat(samples[rows], value.dimension)
            uniforms = streams.uniforms(
                seed, stream, numbers, np.ascontiguousarray(elements).ravel()
            )
            drawn = value.draw(uniforms.reshape(len(rows), value.dimension))
            results = {f"{scope.column(name)}.{column}": drawn[column] for column in value.columns}
        else:
            local = into if scope.repeat is not None else {}
            result = self._quantity(seed, scope, name, value, columns, samples, rows, copy, local)
            results = {scope.column(name): result}
        for column, result in results.items():
            if scope.repeat is not None:
                into[column] = result
            else:
                into[column][rows] = result

    def _quantity(
        self,
        seed: int,
        scope: Scope,
        name: str,
        value: Quantity,
        columns: Mapping[str, NDArray],
        samples: NDArray,
        rows: NDArray,
        copy: NDArray | int = 0,
        local: Mapping[str, NDArray] | None = None,
    ) -> NDArray:
        """Return one value for some rows, checked against its range."""
        if isinstance(value, Constant):
            return np.full(len(rows), value.value)
        if isinstance(value, Distribution):
            stream = streams.stream_number(scope.stream(self.table, name))
            return value.quantile(streams.uniforms(seed, stream, samples[rows], copy))
        assert isinstance(value, Expression)
        used = {}
        for reference_name in value.names:
            column = self.reference(scope, reference_name).column
            used[reference_name] = (
                local[column] if local and column in local else columns[column][rows]
            )
        result = np.broadcast_to(value.evaluate(used), len(rows)).astype(np.float64)
        parameter = (
            REPEAT if name == "repeat" and scope.repeat is not None else scope.parameters[name]
        )
        bad = out_of_range(parameter, result)
        if bad is not None:
            raise LabelError(
                f"table '{self.table}', sample {samples[rows[bad]]}: {scope.column(name)} = {result[bad]!r} by "
                f'"{value.text}", but it must be {parameter.range_text()}; '
                "narrow the priors it is made of, or use min() and max()",
                table=self.table,
                sample=int(samples[rows[bad]]),
                column=scope.column(name),
            )
        return result

    def check(self, labels: Labels) -> None:
        """Check labels that were not drawn here.

        Raises
        ------
        LabelError
            A sample number or a value is not allowed; the message names the first such sample of a column.
        """
        _check_column(self.table, "id", SAMPLE, labels.samples, labels.samples)
        for scope in self.scopes:
            rows: NDArray | slice = slice(None)
            if scope.class_name is not None:
                rows = labels.members(self.classes.index(scope.class_name))
            columns, samples = labels.columns, labels.samples[rows]
            if scope.repeat is not None and scope.class_name is not None:
                rows, _ = labels.copies(scope.name, self.classes.index(scope.class_name))
                columns, samples = labels.objects, labels.objects["sample"][rows]
            for name in scope.values:
                for column in scope.columns(name):
                    inside = (
                        column if scope.repeat is None else column.removeprefix(f"{scope.name}.")
                    )
                    values = columns[inside][rows]
                    _check_column(self.table, column, scope.parameters[name], values, samples)

    def _objects(self, copies: Mapping[int, _Copies], samples: NDArray) -> dict[str, NDArray]:
        """Assemble the long table from the copies of each repeated scope."""
        if not self.object_columns:
            return {}
        parts = []
        for order, scope in enumerate(self.scopes):
            if scope.repeat is None:
                continue
            copy = copies[id(scope)]
            part = {
                "sample": samples[copy.rows],
                "object": np.full(len(copy.rows), self.repeated_names.index(scope.name)),
                "copy": copy.number,
                "order": np.full(len(copy.rows), order),
            }
            for name in scope.values:
                for full in scope.columns(name):
                    part[full.removeprefix(f"{scope.name}.")] = copy.columns[full]
            parts.append(part)
        lengths = [len(part["sample"]) for part in parts]
        table = {}
        for column in (*self.object_columns, Column("order", "", integer=True)):
            pieces = [
                part.get(column.name, np.full(n, np.nan))
                for part, n in zip(parts, lengths, strict=True)
            ]
            table[column.name] = np.concatenate(pieces).astype(column.dtype)
        sequence = np.lexsort((table["copy"], table["order"], table["sample"]))
        return {column.name: table[column.name][sequence] for column in self.object_columns}


def _check_column(
    table: str, column: str, parameter: Parameter, values: NDArray, samples: NDArray
) -> None:
    """Refuse values outside the range of their parameter."""
    bad = out_of_range(parameter, values)
    if bad is not None:
        raise LabelError(
            f"table '{table}', sample {samples[bad]}: {column} = {values[bad]}, but it must be "
            f"{parameter.range_text()}",
            table=table,
            sample=int(samples[bad]),
            column=column,
        )


class _Copies:
    """The copies of one repeated scope in a block: the row of each copy's sample, its number, and its values."""

    def __init__(self, rows: NDArray, counts: NDArray) -> None:
        self.rows = np.repeat(rows, counts)
        self.number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        self.columns: dict[str, NDArray] = {}


def parameter_columns(scope: Scope, *, prefix: bool) -> list[Column]:
    """Return the columns of a scope's values, with the scope's name in front or without it."""
    columns = []
    for name in scope.values:
        parameter = scope.parameters[name]
        for column in scope.columns(name):
            label = column if prefix else column.removeprefix(f"{scope.name}.")
            columns.append(Column(label, parameter.description, parameter.unit))
    return columns


def thresholds(weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the upper limits of each name's interval in [0, 1), in written order, as exact multiples of 2⁻⁵³.

    The last limit is left out: a uniform draw above all limits belongs to the last name.

    Examples
    --------
    >>> thresholds({"train": 0.75, "test": 0.25})
    array([0.75])
    """
    total = sum(Fraction(str(weight)) for weight in weights.values())
    limits, passed = [], Fraction(0)
    for weight in list(weights.values())[:-1]:
        passed += Fraction(str(weight))
        limits.append(round(passed / total * 2**53) / 2**53)
    return np.array(limits, dtype=np.float64)
