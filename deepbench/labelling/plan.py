"""The plan of a table's labels: columns, references of expressions, and an order of drawing that satisfies them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepbench.errors import LabelError
from deepbench.labelling.design import Design
from deepbench.labelling.names import Names, Reference
from deepbench.labelling.scopes import (
    EVERY_CLASS,
    REPEAT,
    Column,
    Quantity,
    Scope,
    parameter_columns,
)
from deepbench.language.composed import (
    By,
    most_components,
)
from deepbench.language.expressions import Expression
from deepbench.language.values import Joint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.labelling.derived import Derived
    from deepbench.language.one_of import NamedOneOf


class LabelPlan:
    """The labels of one table: columns, and values in an order of drawing that satisfies the expressions.

    Parameters
    ----------
    table : str
        Name of the table.
    scopes : sequence of Scope
        In the order of the recipe.
    classes : mapping of str to float or By
        Weight of each class, in written order, or one for each split; one class at least.
    splits : mapping of str to float or Expression
        Fraction of each split, in written order, the sum is 1; or the condition of those whose samples meet it.
    group_size : int
        Consecutive samples, or sets of ``together``, that form one group and so share a split.
    together : int
        Consecutive samples that share class and values, but for scopes with ``each``.
    words : mapping of str to str, optional
        Descriptions of columns, by their names, in place of ours; those of repeated objects are called ``objects/…``.
    stream_table : str, optional
        The table from whose streams the labels are drawn; this one when absent.
    selection : Selection, optional
        Condition that each sample meets.
    origin : LabelPlan, optional
        Plan of the table that it draws from: it has its splits and the attempts of its selection.
    design : Design, optional
        The combinations of levels that the samples have in turn; the scope of their values has ``factors``.
    derived : sequence of Derived, optional
        Labels that follow from all others.
    """

    def __init__(
        self,
        table: str,
        scopes: list[Scope],
        classes: Mapping[str, float | By],
        splits: Mapping[str, float | Expression],
        group_size: int = 1,
        together: int = 1,
        words: Mapping[str, str] | None = None,
        stream_table: str | None = None,
        selection: Any = None,
        origin: LabelPlan | None = None,
        design: Design | None = None,
        derived: Sequence[Derived] = (),
    ) -> None:
        self.table = table
        self.stream_table = stream_table or table
        self.derived = tuple(derived)
        self.scopes = scopes
        self.classes = tuple(classes)
        self.splits = tuple(splits)
        self.rules = {name: each for name, each in splits.items() if isinstance(each, Expression)}
        plain = {name: each for name, each in splits.items() if not isinstance(each, Expression)}
        self.plain_splits = np.array([self.splits.index(name) for name in plain])
        self.split_thresholds = thresholds(plain)
        self.selection = selection
        self.origin = origin
        self.group_size = group_size
        self.together = together
        self.weights = classes
        self.design = design
        self._words = words or {}
        self.names = Names(scopes, self.classes, [each.name for each in self.derived])

    # what there is to draw

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the table with one row per sample, those that are derived last."""
        derived = [each.column(self) for each in self.derived]
        return self._worded([*self.own_columns.values(), *derived])

    @cached_property
    def own_columns(self) -> dict[str, Column]:
        """Columns of the table with one row per sample that are drawn or measured, by name."""
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
        if self.selection is not None:
            columns["attempt"] = Column(
                "attempt", "number of the attempt that met the selection, from 0", integer=True
            )
        for scope in self.scopes:
            if scope.repeat is not None:
                name = scope.column("repeat")
                columns[name] = Column(name, REPEAT.description, integer=True)
            else:
                columns |= {column.name: column for column in parameter_columns(scope, prefix=True)}
        return columns

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
            if scope.repeat is not None:
                most[scope.class_name] += self._most_copies(scope)
        return most.pop(None) + max(most.values())

    def most_copies_of(self, entry: NamedOneOf) -> int:
        """Return the largest number of copies of an object that one sample can have; 0 where it does not repeat."""
        return sum(
            self._most_copies(scope)
            for scope in self.scopes
            if scope.entry is entry and scope.repeat is not None
        )

    def _most_copies(self, scope: Scope) -> int:
        return int(self.bounds(scope, "repeat", scope.repeat)[1])

    def bounds(self, scope: Scope, name: str, value: Any) -> tuple[float, float]:
        """Return an interval that holds all numbers that a value can be; infinite where none is known."""
        ranges = {}
        for used in value.names:
            reference = self.names.reference(scope, name, used)
            ends = [
                self._bounds_of_column(*source, reference.column) for source in reference.sources
            ]
            ranges[used] = min(low for low, _ in ends), max(high for _, high in ends)
        return value.bounds(ranges)

    def _bounds_of_column(self, scope: Scope, name: str, column: str) -> tuple[float, float]:
        """Return an interval that holds all numbers in one of the columns that a value fills."""
        value = scope.values[name]
        if isinstance(value, Joint):
            marginal = value.marginal(column.removeprefix(f"{scope.column(name)}."))
            return (-math.inf, math.inf) if marginal is None else marginal.support()
        if column == scope.component(name):
            return 0.0, most_components(value) - 1.0
        return self.bounds(scope, name, value)

    @property
    def inherits(self) -> bool:
        """Whether splits or attempts follow from what another table draws."""
        return self.origin is not None and bool(self.origin.rules or self.origin.selection)

    @property
    def tolerance(self) -> bool:
        """Whether some values may differ by rounding between computers."""
        return any(value.tolerance for scope in self.scopes for value in scope.values.values())

    @property
    def is_measured(self) -> bool:
        """Whether some labels are known only when the samples are rendered."""
        return any(column.measured for column in (*self.columns, *self.object_columns))

    def streams(self) -> Iterator[str]:
        """Yield the name of every stream that labels of this table draw from."""
        yield self.code_stream("class")
        yield self.code_stream("split")
        if self.design is not None:
            yield self.code_stream("factors")
        for scope in self.scopes:
            if scope.repeat is not None:
                yield scope.stream(self.stream_table, "repeat")
            for name in scope.values:
                yield scope.stream(self.stream_table, name)
        for each in self.derived:
            yield from each.streams(self)

    # classes and splits

    def code_stream(self, what: str) -> str:
        """Return the name of the stream that draws the class or the split, or shuffles the factors."""
        return f"{self.stream_table}/{EVERY_CLASS}/sample/{what}"

    def names_of_codes(
        self,
        value: Any,
        columns: Mapping[str, NDArray],
        rows: NDArray[np.intp] | slice = slice(None),
    ) -> dict[str, NDArray[np.str_]]:
        """Return the classes and splits that a value tells apart, as names, for some rows."""
        codes = dict.fromkeys(code for code, _ in value.comparisons)
        return {code: self.code_names(code)[columns[code][rows]] for code in codes}

    def code_names(self, what: str) -> NDArray[np.str_]:
        """Return what the codes of the class or the split stand for."""
        return np.array(self.classes if what == "class" else self.splits)

    @property
    def weighted_by_split(self) -> bool:
        """Whether the weights of the classes depend on the split."""
        return any(isinstance(weight, By) for weight in self.weights.values())

    @cached_property
    def _class_limits(self) -> list[NDArray[np.float64]]:
        """Upper limits of the classes' intervals: one set for all splits, or one for each."""
        if not self.weighted_by_split:
            return [thresholds(self.weights_in(""))]
        return [thresholds(self.weights_in(split)) for split in self.splits]

    def weights_in(self, split: str) -> dict[str, float]:
        """Return the weights of the classes in a split; 0 where none is given for it."""
        return {
            name: weight.constant_for(split) if isinstance(weight, By) else weight
            for name, weight in self.weights.items()
        }

    def class_limits(
        self, splits: NDArray
    ) -> Iterator[tuple[NDArray[np.intp] | slice, NDArray[np.float64]]]:
        """Yield rows and the upper limits of the classes' intervals there, from the codes of splits."""
        if not self.weighted_by_split:
            yield slice(None), self._class_limits[0]
            return
        for code, limits in enumerate(self._class_limits):
            yield np.flatnonzero(splits == code), limits

    @cached_property
    def selection_uses(self) -> Literal["drawn", "noiseless", "noisy"]:
        """Labels that the selection needs: drawn ones, measured on samples without noise, or on those with noise."""
        known = self.own_columns
        used = [known[name] for name in self.selection.where.names if name in known]
        if any(column.noisy for column in used):
            return "noisy"
        return "noiseless" if any(column.measured for column in used) else "drawn"

    def used_by(self, condition: Expression, columns: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """Return the columns that a condition on whole samples needs; classes and splits as their names."""
        known = self.names.anywhere()
        used = {
            name: columns[known[name].column if name in known else name] for name in condition.names
        }
        return used | self.names_of_codes(condition, columns)

    @cached_property
    def order(self) -> tuple[tuple[Scope | None, str], ...]:
        """Every value (and ``repeat``) as (scope, name), each after those that it uses.

        Class and split are (None, "class") and (None, "split").
        """
        sorter: TopologicalSorter = TopologicalSorter()
        number = {id(scope): index for index, scope in enumerate(self.scopes)}
        rules = () if self.origin else self.rules.values()
        of_rules = [
            node for rule in rules for node in self._nodes(rule, self.names.anywhere(), number)
        ]
        sorter.add((-1, "split"), *of_rules)
        sorter.add((-1, "class"), *([(-1, "split")] if self.weighted_by_split else []))
        for index, scope in enumerate(self.scopes):
            first = [] if scope.class_name is None else [(-1, "class")]
            if scope.repeat is not None:
                sorter.add(
                    (index, "repeat"), *first, *self._uses(scope, "repeat", scope.repeat, number)
                )
                first = [(index, "repeat")]
            for name, value in scope.values.items():
                sorter.add((index, name), *first, *self._uses(scope, name, value, number))
        try:
            ordered = list(sorter.static_order())
        except CycleError as error:
            cycle = error.args[1]
            names = " → ".join(
                name if index < 0 else self.scopes[index].column(name)
                for index, name in reversed(cycle)
            )
            index, name = next((node for node in cycle if node[0] >= 0), (-1, "split"))
            path = ("splits",) if index < 0 else self.scopes[index].path_of(name)
            raise LabelError(
                f"values depend on each other in a circle: {names}", path=path
            ) from None
        return tuple((None if index < 0 else self.scopes[index], name) for index, name in ordered)

    def _uses(
        self, scope: Scope, user: str, value: Quantity | None, number: Mapping[int, int]
    ) -> list[tuple[int, str]]:
        """Return the nodes of what a value uses: numbers of scopes with names, −1 for classes and splits."""
        if value is None or isinstance(value, Joint):
            return []
        known = {name: self.names.reference(scope, user, name) for name in value.names}
        return self._nodes(value, known, number)

    @staticmethod
    def _nodes(
        value: Any, known: Mapping[str, Reference], number: Mapping[int, int]
    ) -> list[tuple[int, str]]:
        codes = [(-1, code) for code in dict.fromkeys(code for code, _ in value.comparisons)]
        return codes + [
            (number[id(owner)], name) for used in value.names for owner, name in known[used].sources
        ]


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
