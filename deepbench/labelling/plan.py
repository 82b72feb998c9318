"""The plan of a table's labels: columns, references of expressions, and an order of drawing that satisfies them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np

from deepbench.errors import PROBLEMS, LabelError
from deepbench.labelling.scopes import (
    EVERY_CLASS,
    REPEAT,
    VARIABLES,
    Column,
    Quantity,
    Scope,
    parameter_columns,
)
from deepbench.language.expressions import Expression
from deepbench.language.load import nearest
from deepbench.language.values import Constant, Distribution, Joint, is_tolerance

if TYPE_CHECKING:
    from numpy.typing import NDArray


LISTED = 40
"""Largest number of names that a message lists."""


@dataclass(frozen=True)
class Reference:
    """A value that a name in an expression refers to, and its column."""

    scope: Scope
    value: str
    column: str


class LabelPlan:
    """The labels of one table: columns, and values in an order of drawing that satisfies the expressions.

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
        Consecutive samples, or sets of ``together``, that form one group and so share a split.
    together : int
        Consecutive samples that share class and values, but for scopes with ``each``.
    words : mapping of str to str, optional
        Descriptions of columns, by their names, in place of ours; those of repeated objects are called ``objects/…``.
    """

    def __init__(
        self,
        table: str,
        scopes: list[Scope],
        classes: Mapping[str, float],
        splits: Mapping[str, float],
        group_size: int = 1,
        together: int = 1,
        words: Mapping[str, str] | None = None,
    ) -> None:
        self.table = table
        self.scopes = scopes
        self.classes = tuple(classes)
        self.splits = tuple(splits)
        self.class_thresholds = thresholds(classes)
        self.split_thresholds = thresholds(splits)
        self.group_size = group_size
        self.together = together
        self._words = words or {}
        self._names: dict[str | None, dict[str, Reference]] = {}

    # what there is to draw

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the table with one row per sample."""
        columns = {
            "id": Column("id", "sample number", integer=True),
            "class": Column("class", "class of the sample", meanings=self.classes),
            "split": Column("split", "split of the sample's group", meanings=self.splits),
            "group": Column(
                "group",
                "number of the group; samples of one group are never in two splits",
                integer=True,
            ),
        }
        for scope in self.scopes:
            if scope.repeat is not None:
                name = scope.column("repeat")
                columns[name] = Column(name, REPEAT.description, integer=True)
            else:
                columns |= {column.name: column for column in parameter_columns(scope, prefix=True)}
        return self._worded(columns.values())

    @cached_property
    def object_columns(self) -> tuple[Column, ...]:
        """Columns of the table with one row per copy of a repeated object; empty where nothing repeats."""
        repeated = [scope for scope in self.scopes if scope.repeat is not None]
        if not repeated:
            return ()
        columns = {
            "sample": Column("sample", "sample number", integer=True),
            "object": Column("object", "name of the object", meanings=self.repeated_names),
            "kind": Column("kind", "kind of the object", meanings=self.repeated_kinds),
            "copy": Column("copy", "number of the copy, from 0", integer=True),
        }
        for scope in repeated:
            columns |= {each.name: each for each in parameter_columns(scope, prefix=False)}
        return self._worded(columns.values(), "objects/")

    def _worded(self, columns: Iterable[Column], prefix: str = "") -> tuple[Column, ...]:
        """Return columns with the descriptions that were given for them."""
        return tuple(
            replace(each, description=self._words.get(prefix + each.name, each.description))
            for each in columns
        )

    @cached_property
    def repeated_names(self) -> tuple[str, ...]:
        """Names of the repeated objects, in written order."""
        return tuple(dict.fromkeys(scope.name for scope in self.scopes if scope.repeat is not None))

    @cached_property
    def repeated_kinds(self) -> tuple[str, ...]:
        """Kinds of the repeated objects, in written order."""
        return tuple(dict.fromkeys(scope.kind for scope in self.scopes if scope.repeat is not None))

    @cached_property
    def label_bytes(self) -> int:
        """Bytes of the labels of one sample, without its repeated objects."""
        return sum(column.dtype.itemsize for column in self.columns)

    @cached_property
    def copy_bytes(self) -> int:
        """Bytes of the labels of one copy of a repeated object."""
        return sum(column.dtype.itemsize for column in self.object_columns)

    @cached_property
    def most_copies(self) -> int:
        """Largest number of copies of repeated objects that one sample can have."""
        most = dict.fromkeys((None, *self.classes), 0)
        for scope in self.scopes:
            if isinstance(scope.repeat, Constant | Distribution):
                most[scope.class_name] += int(scope.repeat.support()[1])
        return most.pop(None) + max(most.values())

    @property
    def tolerance(self) -> bool:
        """Whether some values may differ by rounding between computers."""
        return any(is_tolerance(value) for scope in self.scopes for value in scope.values.values())

    @property
    def is_measured(self) -> bool:
        """Whether some labels are known only when the samples are rendered."""
        return any(column.measured for column in (*self.columns, *self.object_columns))

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

    def reference(self, scope: Scope, user: str, name: str) -> Reference:
        """Return what a name in an expression stands for: its scope's own value, a variable, or ``object.value``.

        Parameters
        ----------
        scope : Scope
        user : str
            Whose expression it is, within the scope. Its own name can only mean the variable.
        name : str

        Raises
        ------
        LabelError
            No such value, or two; or one that has several copies per sample.
        """
        known = self._known(scope.class_name)
        own = name in scope.values and not isinstance(scope.values[name], Joint)
        if own and name in known and name != user and scope.name != VARIABLES:
            raise LabelError(
                f"'{name}' is a value of '{scope.name}' and a variable; write '{scope.column(name)}' for the "
                "first, or rename the variable"
            )
        if name not in known and not own and self._is_identifier(scope.class_name, name):
            raise LabelError(
                f"'{name}' is an identifier, which tells objects apart; no expression can use it"
            )
        if name not in known and not own:
            names = {*known, *scope.values}
            near = nearest(name, names)
            hint = f"did you mean '{near}'? " if near else ""
            allowed = ", ".join(sorted(names)[:LISTED]) or "none"
            allowed += f", … ({len(names)} in all)" if len(names) > LISTED else ""
            raise LabelError(f"no value is called '{name}' here; {hint}values to use: {allowed}")
        found = known[name] if name in known else Reference(scope, name, scope.column(name))
        if found.scope.repeat is not None and found.scope is not scope:
            raise LabelError(
                f"'{name}' has one value per copy of '{found.scope.name}', so '{scope.name}' cannot use it; "
                "use a variable for what they share"
            )
        return found

    def _known(self, class_name: str | None) -> Mapping[str, Reference]:
        """Return what the full names in expressions of a class stand for; variables have no first part."""
        own = () if class_name is None else (self._names_of(class_name),)
        return ChainMap(*own, self._names_of(None))

    def _names_of(self, class_name: str | None) -> dict[str, Reference]:
        """Return what the names of one class, or of those outside all classes, stand for."""
        if class_name not in self._names:
            self._names[class_name] = {
                column.removeprefix(f"{VARIABLES}."): Reference(scope, value, column)
                for scope in self.scopes
                if scope.class_name == class_name
                for value in scope.values
                for column in scope.columns(value)
                if column not in scope.identifiers(value)
            }
        return self._names[class_name]

    def _is_identifier(self, class_name: str | None, name: str) -> bool:
        """Return whether a name in an expression of a class stands for an identifier."""
        return any(
            name == column.removeprefix(f"{VARIABLES}.")
            for scope in self.scopes
            if scope.class_name in (None, class_name)
            for value in scope.values
            for column in scope.identifiers(value)
        )

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
                        self.reference(scope, name, used)
                    except LabelError as error:
                        found.append((scope.path_of(name), str(error)))
                    if len(found) == PROBLEMS:
                        return found
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
                            found.append((scope.path_of(value), message))
        return list(dict.fromkeys(found))

    def _unequal_columns(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return values that share a column although their units differ, or one of them is an identifier."""
        units: dict[str, str] = {}
        identifiers: dict[str, bool] = {}
        found = []
        for scope in self.scopes:
            for column in parameter_columns(scope, prefix=scope.repeat is None):
                if units.setdefault(column.name, column.unit) != column.unit:
                    message = (
                        f"column '{column.name}' has the unit {column.unit} here and {units[column.name]} elsewhere; "
                        "give one of the objects another name"
                    )
                    found.append((scope.path, message))
                elif identifiers.setdefault(column.name, column.identifier) != column.identifier:
                    message = (
                        f"column '{column.name}' is an identifier in one class and a number in another; "
                        "give one of them another name"
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
                sorter.add(first[0], *self._uses(scope, "repeat", scope.repeat, number))
            for name, value in scope.values.items():
                sorter.add((index, name), *first, *self._uses(scope, name, value, number))
        try:
            ordered = list(sorter.static_order())
        except CycleError as error:
            cycle = [(self.scopes[index], name) for index, name in error.args[1]]
            names = " → ".join(scope.column(name) for scope, name in reversed(cycle))
            path = cycle[0][0].path_of(cycle[0][1])
            raise LabelError(
                f"values depend on each other in a circle: {names}", path=path
            ) from None
        return tuple((self.scopes[index], name) for index, name in ordered)

    def _uses(
        self, scope: Scope, user: str, value: Quantity | None, number: Mapping[int, int]
    ) -> list[tuple[int, str]]:
        if not isinstance(value, Expression):
            return []
        references = [self.reference(scope, user, name) for name in value.names]
        return [(number[id(reference.scope)], reference.value) for reference in references]


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
