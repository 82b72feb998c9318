"""The plan of a table's labels: columns, references of expressions, and an order of drawing that satisfies them."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

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
from deepbench.language.composed import (
    By,
    Composed,
    Compound,
    Mixture,
    PerGroup,
    discrete_values,
    most_components,
    walk,
)
from deepbench.language.draws import MOST_LISTED
from deepbench.language.expressions import CODES, Expression
from deepbench.language.one_of import MAXIMUM_COPIES
from deepbench.language.plain import digits, nearest, unknown
from deepbench.language.values import Distribution, Joint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.labelling.derived import Derived
    from deepbench.language.one_of import NamedOneOf


LISTED = 40
"""Largest number of names that a message lists."""


@dataclass(frozen=True)
class Reference:
    """What a name in an expression refers to.

    Attributes
    ----------
    sources : tuple of (Scope, str)
        The value; several where all classes define a variable.
    column : str
        The column that holds it.
    """

    sources: tuple[tuple[Scope, str], ...]
    column: str

    @property
    def scope(self) -> Scope:
        """Scope of the value, the first one of several."""
        return self.sources[0][0]


@dataclass(frozen=True, eq=False)
class SplitRule:
    """A split that holds the samples for which a condition is true."""

    name: str
    condition: Expression


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
    splits : mapping of str to float
        Fraction of each split, in written order; the sum is 1.
    group_size : int
        Consecutive samples, or sets of ``together``, that form one group and so share a split.
    together : int
        Consecutive samples that share class and values, but for scopes with ``each``.
    words : mapping of str to str, optional
        Descriptions of columns, by their names, in place of ours; those of repeated objects are called ``objects/…``.
    stream_table : str, optional
        The table from whose streams the labels are drawn; this one when absent.
    derived : sequence of Derived, optional
        Labels that follow from all others.
    """

    def __init__(
        self,
        table: str,
        scopes: list[Scope],
        classes: Mapping[str, float | By],
        splits: Mapping[str, float],
        group_size: int = 1,
        together: int = 1,
        words: Mapping[str, str] | None = None,
        stream_table: str | None = None,
        derived: Sequence[Derived] = (),
    ) -> None:
        self.table = table
        self.stream_table = stream_table or table
        self.derived = tuple(derived)
        self.scopes = scopes
        self.classes = tuple(classes)
        self.splits = tuple(splits)
        self.split_thresholds = thresholds(splits)
        self.group_size = group_size
        self.together = together
        self._weights = classes
        self._words = words or {}
        self._names: dict[str | None, dict[str, Reference]] = {}

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
        return int(self._bounds(scope, "repeat", scope.repeat)[1])

    def _bounds(self, scope: Scope, name: str, value: Any) -> tuple[float, float]:
        """Return an interval that holds all numbers that a value can be; infinite where none is known."""
        ranges = {}
        for used in value.names:
            reference = self.reference(scope, name, used)
            ends = [
                self._bounds_of_column(*source, reference.column) for source in reference.sources
            ]
            ranges[used] = min(low for low, _ in ends), max(high for _, high in ends)
        return value.bounds(ranges)

    def _bounds_of_column(self, scope: Scope, name: str, column: str) -> tuple[float, float]:
        """Return an interval that holds all numbers in one of the columns that a value fills."""
        value = scope.values[name]
        if isinstance(value, Joint):
            return -math.inf, math.inf
        if column == scope.component(name):
            return 0.0, most_components(value) - 1.0
        return self._bounds(scope, name, value)

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
        for scope in self.scopes:
            if scope.repeat is not None:
                yield scope.stream(self.stream_table, "repeat")
            for name in scope.values:
                yield scope.stream(self.stream_table, name)
        for each in self.derived:
            yield from each.streams(self)

    # classes and splits

    def code_stream(self, what: str) -> str:
        """Return the name of the stream that draws the class or the split."""
        return f"{self.stream_table}/{EVERY_CLASS}/sample/{what}"

    def code_names(self, what: str) -> NDArray[np.str_]:
        """Return what the codes of the class or the split stand for."""
        return np.array(self.classes if what == "class" else self.splits)

    @property
    def _weighted_by_split(self) -> bool:
        return any(isinstance(weight, By) for weight in self._weights.values())

    @cached_property
    def _class_limits(self) -> list[NDArray[np.float64]]:
        """Upper limits of the classes' intervals: one set for all splits, or one for each."""
        if not self._weighted_by_split:
            return [thresholds(self._weights_in(""))]
        return [thresholds(self._weights_in(split)) for split in self.splits]

    def _weights_in(self, split: str) -> dict[str, float]:
        """Return the weights of the classes in a split; 0 where none is given for it."""
        return {
            name: weight.constant_for(split) if isinstance(weight, By) else weight
            for name, weight in self._weights.items()
        }

    def class_limits(
        self, splits: NDArray
    ) -> Iterator[tuple[NDArray[np.intp] | slice, NDArray[np.float64]]]:
        """Yield rows and the upper limits of the classes' intervals there, from the codes of splits."""
        if not self._weighted_by_split:
            yield slice(None), self._class_limits[0]
            return
        for code, limits in enumerate(self._class_limits):
            yield np.flatnonzero(splits == code), limits

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
            self._explain_code(name)
            self._explain_derived(name)
            self._explain_partly_known(scope, name)
            names = {*known, *scope.values}
            near = nearest(name, names)
            hint = f"did you mean '{near}'? " if near else ""
            allowed = some(sorted(names)) or "none"
            raise LabelError(f"no value is called '{name}' here; {hint}values to use: {allowed}")
        found = known[name] if name in known else Reference(((scope, name),), scope.column(name))
        if found.scope.repeat is not None and found.scope is not scope:
            raise LabelError(
                f"'{name}' has one value per copy of '{found.scope.name}', so '{scope.name}' cannot use it; "
                "use a variable for what they share"
            )
        return found

    @staticmethod
    def _explain_code(name: str) -> None:
        """Refuse a class or a split that is used as a number."""
        if name in CODES:
            raise LabelError(
                f"'{name}' is no number: compare it with a name, such as {name} == NAME"
            )

    def _explain_derived(self, name: str) -> None:
        """Refuse a derived label."""
        if any(name == each.name for each in self.derived):
            raise LabelError(
                f"'{name}' is a derived label, which nothing can use; make it a variable"
            )

    def _explain_partly_known(self, scope: Scope, name: str) -> None:
        """Refuse a variable that only some classes define, where all samples need it."""
        having = [each for each in self.classes if name in self._names_of(each)]
        if scope.class_name is None and having:
            variable = "." not in name or name.startswith(f"{VARIABLES}.")
            remedy = (
                f"every class must define it, not {', '.join(having)} alone"
                if variable
                else "give the classes a variable of one name, and use that"
            )
            raise LabelError(
                f"'{name}' is a value of some classes, '{scope.name}' of all: {remedy}"
            )

    def _known(self, class_name: str | None) -> Mapping[str, Reference]:
        """Return what the full names in expressions of a class stand for; variables have no first part."""
        own = self._shared_variables() if class_name is None else self._names_of(class_name)
        return ChainMap(own, self._names_of(None))

    def _shared_variables(self) -> dict[str, Reference]:
        """Return the variables that every class defines, which is what all samples may use."""
        first, *others = [self._variables_of(name) for name in self.classes]
        return {
            name: Reference(
                tuple(source for each in (first, *others) for source in each[name].sources),
                reference.column,
            )
            for name, reference in first.items()
            if all(name in other for other in others)
        }

    def _variables_of(self, class_name: str) -> dict[str, Reference]:
        """Return the variables of a class."""
        return {
            name: reference
            for name, reference in self._names_of(class_name).items()
            if reference.scope.name == VARIABLES
        }

    def _names_of(self, class_name: str | None) -> dict[str, Reference]:
        """Return what the names of one class, or of those outside all classes, stand for."""
        if class_name not in self._names:
            self._names[class_name] = {
                column.removeprefix(f"{VARIABLES}."): Reference(((scope, value),), column)
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
        for scope, name, value in self._composite_values():
            for message in self._wrong_names(scope, name, value):
                found.append((scope.path_of(name), message))
                if len(found) == PROBLEMS:
                    return found
        if not found:
            try:
                self.order  # noqa: B018  a cached property
            except LabelError as error:
                found.append((error.path, str(error)))  # type: ignore[attr-defined]
        if not found:
            for scope, name, value in self._composite_values():
                messages = (
                    *self._wrong_branches(scope, name, value),
                    *self._unbounded(scope, name),
                )
                found += [(scope.path_of(name), message) for message in messages]
                for each in walk(value):
                    if isinstance(each, PerGroup) and not self._uses_groups_only(
                        scope, name, each.value
                    ):
                        message = "is drawn per group, so it can use values per group only"
                        found.append((scope.path_of(name), message))
        found += [problem for each in self.derived for problem in each.problems(self)]
        return found + self._weightless() + self._ambiguous_names() + self._unequal_columns()

    def _composite_values(self) -> Iterator[tuple[Scope, str, Any]]:
        """Yield scope, name and value of everything that uses other values, or may do so."""
        for scope in self.scopes:
            repeat = {"repeat": scope.repeat} if scope.repeat is not None else {}
            for name, value in (*repeat.items(), *scope.values.items()):
                if isinstance(value, Expression | Composed):
                    yield scope, name, value

    def _wrong_names(self, scope: Scope, user: str, value: Any) -> Iterator[str]:
        """Yield what is wrong with the names that a value uses."""
        for name in value.names:
            try:
                self.reference(scope, user, name)
            except LabelError as error:
                yield str(error)
        for code, name in value.comparisons:
            names = self.classes if code == "class" else self.splits
            if name not in names:
                yield unknown(code, name, names)

    def _wrong_branches(self, scope: Scope, user: str, value: Any) -> Iterator[str]:
        """Yield which branches a value lacks, or has in vain."""
        for each in walk(value):
            if not isinstance(each, By):
                continue
            given = [name for name, _ in each.branches]
            if each.of_codes:
                possible = list(self.classes if each.key == "class" else self.splits)
                if each.key == "class" and scope.class_name is not None:
                    possible = [scope.class_name]
            else:
                reference = self.reference(scope, user, each.key)
                listed = [self._listed(*source, reference.column) for source in reference.sources]
                if any(numbers is None for numbers in listed):
                    yield (
                        f"cannot choose by '{each.key}', whose values are not listed: it must be a choice, integers or "
                        f"a grid of at most {MOST_LISTED} values"
                    )
                    continue
                possible = [digits(n) for n in sorted({n for each in listed for n in each or ()})]
            vain = [name for name in given if name not in possible]
            if vain:
                yield f"'{each.key}' is never {vain[0]}; it can be {some(possible)}"
            elif each.otherwise is None and set(possible) - set(given):
                lacking = next(name for name in possible if name not in given)
                yield f"has no value for {each.key} {lacking}: add it, or `otherwise`"

    def _listed(self, scope: Scope, name: str, column: str) -> tuple[float, ...] | None:
        """Return the numbers in one of the columns that a value fills; None where they are not listed."""
        value = scope.values[name]
        if isinstance(value, Joint):
            return None
        if column == scope.component(name):
            return tuple(map(float, range(most_components(value))))
        return discrete_values(value)

    def _unbounded(self, scope: Scope, name: str) -> Iterator[str]:
        """Yield what is wrong with a number of copies that is not known beforehand."""
        if name == "repeat" and scope.repeat is not None and not scope.repeat.known:
            _, most = self._bounds(scope, name, scope.repeat)
            if not math.isfinite(most):
                yield (
                    "the number of copies has no largest value that follows from what it uses; use values with ends, "
                    "such as integers, or min(…, 30)"
                )
            elif most > MAXIMUM_COPIES:
                yield f"the number of copies can be {most:g}; it must be at most {MAXIMUM_COPIES:,}"

    def _is_of_groups(self, scope: Scope, user: str, value: Any) -> bool:
        """Return whether a value is equal in all samples of a group."""
        if self.group_size * self.together == 1:
            return True
        if isinstance(value, PerGroup):
            return self._uses_groups_only(scope, user, value.value)
        if isinstance(value, Joint | Distribution | Compound | Mixture):
            return False
        return self._uses_groups_only(scope, user, value) and all(
            self._is_of_groups(scope, user, part) for part in value.parts
        )

    def _uses_groups_only(self, scope: Scope, user: str, value: Any) -> bool:
        """Return whether all values that a value uses are equal in all samples of a group."""
        if any(code == "class" for code, _ in value.comparisons):
            return False
        references = [self.reference(scope, user, name) for name in value.names]
        return all(
            owner.repeat is None and self._is_of_groups(owner, name, owner.values[name])
            for reference in references
            for owner, name in reference.sources
        )

    def _weightless(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return weights of classes that name no split, and splits in which no class has a weight."""
        if not self._weighted_by_split:
            return []
        for name, weight in self._weights.items():
            if isinstance(weight, By):
                for branch, _ in weight.branches:
                    if branch not in self.splits:
                        return [
                            (("classes", name, "weight"), unknown("split", branch, self.splits))
                        ]
        for split in self.splits:
            if not sum(self._weights_in(split).values()) > 0:
                return [(("classes",), f"no class has a weight above 0 in the split '{split}'")]
        return []

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
    def order(self) -> tuple[tuple[Scope | None, str], ...]:
        """Every value (and ``repeat``) as (scope, name), each after those that it uses.

        Class and split are (None, "class") and (None, "split").
        """
        sorter: TopologicalSorter = TopologicalSorter()
        number = {id(scope): index for index, scope in enumerate(self.scopes)}
        sorter.add((-1, "split"))
        sorter.add((-1, "class"), *([(-1, "split")] if self._weighted_by_split else []))
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
            index, name = next(node for node in cycle if node[0] >= 0)
            raise LabelError(
                f"values depend on each other in a circle: {names}",
                path=self.scopes[index].path_of(name),
            ) from None
        return tuple((None if index < 0 else self.scopes[index], name) for index, name in ordered)

    def _uses(
        self, scope: Scope, user: str, value: Quantity | None, number: Mapping[int, int]
    ) -> list[tuple[int, str]]:
        """Return the nodes of what a value uses: numbers of scopes with names, −1 for classes and splits."""
        if value is None or isinstance(value, Joint):
            return []
        codes = [(-1, code) for code in dict.fromkeys(code for code, _ in value.comparisons)]
        references = [self.reference(scope, user, name) for name in value.names]
        return codes + [
            (number[id(owner)], name)
            for reference in references
            for owner, name in reference.sources
        ]


def some(names: list[str]) -> str:
    """Return names in a message, the first ones of many."""
    more = f", … ({len(names)} in all)" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


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
