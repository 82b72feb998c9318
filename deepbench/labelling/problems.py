"""Checks between the values of a table: names without a meaning, circles, branches, groups, units, weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deepbench.errors import PROBLEMS, LabelError
from deepbench.labelling.scopes import VARIABLES, Scope, parameter_columns
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
from deepbench.language.expressions import Expression
from deepbench.language.one_of import MAXIMUM_COPIES
from deepbench.language.plain import digits, nearest, some, unknown
from deepbench.language.values import Distribution, Joint

if TYPE_CHECKING:
    from deepbench.labelling.plan import LabelPlan

Problems = list[tuple[tuple[str | int, ...], str]]
"""Paths in the table, each with a message."""


def problems(plan: LabelPlan) -> Problems:
    """Return the problems between the values of a table, as (path in the table, message)."""
    return _Checker(plan).found()


class _Checker:
    """Looks for what is wrong in the plan of a table's labels."""

    def __init__(self, plan: LabelPlan) -> None:
        self._plan = plan

    def found(self) -> Problems:
        """Return what is wrong between the values, as (path in the table, message)."""
        found: Problems = []
        for scope, name, value in self._composite_values():
            for message in self._wrong_names(scope, name, value):
                found.append((scope.path_of(name), message))
                if len(found) == PROBLEMS:
                    return found
        found += [
            (path, message)
            for path, condition, drawn in self._conditions()
            for message in self._wrong_condition(condition, drawn)
        ]
        if not found:
            try:
                self._plan.order  # noqa: B018  a cached property
            except LabelError as error:
                found.append((error.path, str(error)))  # type: ignore[attr-defined]
        found += [problem for each in self._plan.derived for problem in each.problems(self._plan)]
        if not found:
            for scope, name, value in self._composite_values():
                messages = (
                    *self._wrong_branches(scope, name, value),
                    *self._unbounded(scope, name),
                )
                found += [(scope.path_of(name), message) for message in messages]
                for each in walk(value):
                    if isinstance(each, PerGroup) and self._plan.group_size == 1:
                        message = "`per: group` needs groups of several samples: give the table a `group_size`"
                        found.append((scope.path_of(name), message))
                    if isinstance(each, PerGroup) and not self._uses_groups_only(
                        scope, name, each.value
                    ):
                        message = "is drawn per group, so it can use values per group only"
                        found.append((scope.path_of(name), message))
        found += self._weightless() + self._misplaced_joints()
        return found + self._ambiguous_names() + self._unequal_columns()

    def _composite_values(self) -> Iterator[tuple[Scope, str, Any]]:
        """Yield scope, name and value of everything that uses other values, or may do so."""
        for scope in self._plan.scopes:
            repeat = {"repeat": scope.repeat} if scope.repeat is not None else {}
            for name, value in (*repeat.items(), *scope.values.items()):
                if isinstance(value, Expression | Composed):
                    yield scope, name, value

    def _wrong_names(self, scope: Scope, user: str, value: Any) -> Iterator[str]:
        """Yield what is wrong with the names that a value uses."""
        for name in value.names:
            try:
                self._plan.names.reference(scope, user, name)
            except LabelError as error:
                yield str(error)
        for code, name in value.comparisons:
            names = self._plan.classes if code == "class" else self._plan.splits
            if name not in names:
                yield unknown(code, name, names)

    def _wrong_branches(self, scope: Scope, user: str, value: Any) -> Iterator[str]:
        """Yield which branches a value lacks, or has in vain."""
        for each in walk(value):
            if not isinstance(each, By):
                continue
            given = [name for name, _ in each.branches]
            if each.of_codes:
                possible = list(self._plan.classes if each.key == "class" else self._plan.splits)
                if each.key == "class" and scope.class_name is not None:
                    possible = [scope.class_name]
            else:
                reference = self._plan.names.reference(scope, user, each.key)
                listed = [self._listed(*source, reference.column) for source in reference.sources]
                if any(numbers is None for numbers in listed):
                    yield (
                        f"cannot choose by '{each.key}', whose values are not listed: it must be a choice, integers or "
                        f"a grid of at most {MOST_LISTED} values; an expression with where() takes any"
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
            marginal = value.marginal(column.removeprefix(f"{scope.column(name)}."))
            return None if marginal is None else marginal.values_listed()
        if column == scope.component(name):
            return tuple(map(float, range(most_components(value))))
        return discrete_values(value)

    def _unbounded(self, scope: Scope, name: str) -> Iterator[str]:
        """Yield what is wrong with a number of copies that is not known beforehand."""
        repeat = scope.repeat
        if name == "repeat" and isinstance(repeat, Expression | Composed) and not repeat.known:
            _, most = self._plan.bounds(scope, name, scope.repeat)
            if not math.isfinite(most):
                yield (
                    "the number of copies has no largest value that follows from what it uses; use values with ends, "
                    "such as integers, or min(…, 30)"
                )
            elif most > MAXIMUM_COPIES:
                yield f"the number of copies can be {most:g}; it must be at most {MAXIMUM_COPIES:,}"

    def _is_of_groups(self, scope: Scope, user: str, value: Any) -> bool:
        """Return whether a value is equal in all samples of a group."""
        if self._plan.group_size * self._plan.together == 1:
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
        references = [self._plan.names.reference(scope, user, name) for name in value.names]
        return all(
            owner.repeat is None and self._is_of_groups(owner, name, owner.values[name])
            for reference in references
            for owner, name in reference.sources
        )

    def _conditions(self) -> Iterator[tuple[tuple[str, ...], Expression, bool]]:
        """Yield path and condition of split rules and of the selection, and whether it is a rule."""
        if self._plan.origin is None:
            for name, rule in self._plan.rules.items():
                yield ("splits", name, "where"), rule, True
            if self._plan.selection is not None:
                yield ("require", "where"), self._plan.selection.where, False

    def _wrong_condition(self, condition: Expression, of_splits: bool) -> Iterator[str]:
        """Yield what is wrong with a condition on whole samples."""
        known = self._plan.names.anywhere()
        measured = {name for name, column in self._plan.own_columns.items() if column.measured}
        repeated = {
            f"{scope.name}.{name}"
            for scope in self._plan.scopes
            if scope.repeat is not None
            for name in (*scope.values, *scope.measured)
        }
        counts = {scope.column("repeat") for scope in self._plan.scopes if scope.repeat is not None}
        for name in condition.names:
            if name in counts and of_splits:
                yield f"'{name}' is no variable: make one that is the number of copies, `repeat: \"= n\"`, and use that"
            elif name in counts:
                continue
            elif name in measured and of_splits:
                yield f"'{name}' is measured when the sample is rendered; a split can use drawn labels only"
            elif name in measured:
                continue
            elif name in repeated:
                yield f"'{name}' has one value per copy; use a variable for what they share"
            elif name not in known:
                near = nearest(name, {*known, *({} if of_splits else measured)})
                hint = f"; did you mean '{near}'?" if near else ""
                yield f"no value is called '{name}' here{hint}"
            elif of_splits and not all(
                self._is_of_groups(owner, value, owner.values[value])
                for owner, value in known[name].sources
            ):
                yield f"'{name}' differs within a group, and a rule never tears one: use a value per group"
        for code, name in condition.comparisons:
            names = self._plan.classes if code == "class" else self._plan.splits
            if name not in names:
                yield unknown(code, name, names)
            elif of_splits and self._plan.group_size * self._plan.together > 1 and code == "class":
                yield "the class differs within a group, and a rule never tears one"

    def _weightless(self) -> Problems:
        """Return weights of classes that name no split or lack one, and splits in which no class has a weight."""
        if not self._plan.weighted_by_split:
            return []
        for name, weight in self._plan.weights.items():
            if isinstance(weight, By):
                path, given = ("classes", name, "weight"), [each for each, _ in weight.branches]
                for branch in given:
                    if branch not in self._plan.splits:
                        return [(path, unknown("split", branch, self._plan.splits))]
                lacking = [each for each in self._plan.splits if each not in given]
                if lacking and weight.otherwise is None:
                    message = (
                        f"has no weight for split {lacking[0]}: add it (0 is one), or `otherwise`"
                    )
                    return [(path, message)]
        for split in self._plan.splits:
            if not sum(self._plan.weights_in(split).values()) > 0:
                return [(("classes",), f"no class has a weight above 0 in the split '{split}'")]
        return []

    def _misplaced_joints(self) -> Problems:
        """Return joint draws that need the number of every sample, where samples are left out or drawn again."""
        found: Problems = []
        for scope in self._plan.scopes:
            for name, value in scope.values.items():
                if not isinstance(value, Joint) or not value.indexed:
                    continue
                path = scope.path_of(name)
                if scope.class_name is not None or scope.repeat is not None:
                    message = "move it to the variables of the table"
                elif self._plan.selection is not None:
                    message = (
                        "a selection would draw it again; leave out `require`, or draw at random"
                    )
                else:
                    continue
                found.append((path, f"covers the samples of a table one after another: {message}"))
        return found

    def _ambiguous_names(self) -> Problems:
        """Return values of which the name in expressions, and so in the labels, is another's where both are known."""
        found = []
        for class_name in self._plan.classes:
            owners: dict[str, Scope] = {}
            for scope in self._plan.scopes:
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

    def _unequal_columns(self) -> Problems:
        """Return values that share a column although their units differ, or one of them is an identifier."""
        units: dict[str, str] = {}
        identifiers: dict[str, bool] = {}
        found = []
        for scope in self._plan.scopes:
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
