"""Draw labels, or check labels that came from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import LabelError
from deepbench.labelling.plan import LabelPlan
from deepbench.labelling.scopes import (
    ATTEMPT,
    COMPONENT,
    REPEAT,
    SAMPLE,
    Column,
    Labels,
    Quantity,
    Scope,
)
from deepbench.language.composed import has_components
from deepbench.language.draws import Uniforms
from deepbench.language.expressions import Expression
from deepbench.language.specification import Parameter, out_of_range
from deepbench.language.values import Constant, Distribution, Joint
from deepbench.numerics import streams
from deepbench.numerics.stream_names import at_attempt, stream_number

if TYPE_CHECKING:
    from numpy.typing import NDArray


def draw(plan: LabelPlan, seed: int, start: int, stop: int) -> Labels:
    """Draw the labels of the samples ``start`` … ``stop - 1``.

    Raises
    ------
    LabelError
        A value leaves the range of its parameter; the message names the first such sample.
    """
    return draw_attempt(plan, seed, np.arange(start, stop, dtype=np.int64))


def draw_attempt(
    plan: LabelPlan,
    seed: int,
    samples: NDArray[np.int64],
    attempt: int = 0,
    splits: NDArray | None = None,
    given: Mapping[str, NDArray] | None = None,
) -> Labels:
    """Draw the labels of one attempt of samples.

    Parameters
    ----------
    plan : LabelPlan
    seed : int
    samples : int64[n]
        Their numbers, in any order.
    attempt : int
        Number of the attempt; 0 where nothing is selected.
    splits : int8[n] or int16[n], optional
        Codes of their splits, where they are known.
    given : mapping of str to ndarray, shape (n,), optional
        Columns that are not drawn but have these values; codes of classes among them. What uses them follows.

    Raises
    ------
    LabelError
        A value leaves the range of its parameter; the message names the first such sample.
    """
    return _Drawing(plan, seed, samples, attempt, splits, given or {}).labels()


class _Drawing:
    """The labels of some samples while they are drawn.

    Attributes
    ----------
    plan : LabelPlan
    seed, attempt : int
    owners, groups : int64[n]
        For each sample the number that its values are drawn for, and that of its group.
    columns : dict of str to ndarray, shape (n,)
    """

    def __init__(
        self,
        plan: LabelPlan,
        seed: int,
        samples: NDArray[np.int64],
        attempt: int,
        splits: NDArray | None,
        given: Mapping[str, NDArray],
    ) -> None:
        self.plan, self.seed, self.attempt = plan, seed, attempt
        self._splits, self._given = splits, given
        self.owners = samples // plan.together
        self.groups = self.owners // plan.group_size
        self.columns: dict[str, NDArray] = {
            column.name: np.full(len(samples), column.absent, column.dtype)
            for column in plan.columns
        }
        self.columns |= {"id": samples, "group": self.groups}
        if plan.selection is not None:
            self.columns["attempt"][:] = attempt
        self._members: dict[str | None, NDArray[np.intp]] = {None: np.arange(len(samples))}
        self._copies: dict[int, _Copies] = {}

    def labels(self) -> Labels:
        """Draw every value after those that it uses, and return the labels."""
        for scope, name in self.plan.order:
            if scope is None:
                self._draw_code(name)
            else:
                self._draw_value(scope, name)
        if not self.plan.object_columns:
            return Labels(self.columns)
        objects, owners = _objects(self.plan, self._copies, self.columns["id"])
        return Labels(self.columns, objects, self.plan.repeated_names, owners)

    def _draw_code(self, what: str) -> None:
        """Draw the classes or the splits: the codes whose intervals of thresholds hold the uniform draws."""
        plan, column = self.plan, self.columns[what]
        if what in self._given:
            column[:] = self._given[what]
            return
        if plan.design is not None and what in plan.design.levels:
            column[:] = plan.design.level(what, self._combinations)
            return
        stream = stream_number(plan.code_stream(what))
        if what == "split":
            if self._splits is not None:
                column[:] = self._splits
                return
            uniforms = streams.uniforms(self.seed, stream, self.groups)
            drawn = np.searchsorted(plan.split_thresholds, uniforms, side="right")
            column[:] = plan.plain_splits[drawn]
            self._follow_rules(column)
            return
        if plan.selection is not None and plan.selection.redraw == "all":
            stream = at_attempt(stream, self.attempt)
        uniforms = streams.uniforms(self.seed, stream, self.owners)
        for rows, limits in plan.class_limits(self.columns["split"]):
            column[rows] = np.searchsorted(limits, uniforms[rows], side="right")

    def _follow_rules(self, splits: NDArray) -> None:
        """Give samples the first split whose condition they meet."""
        free = np.ones(len(splits), bool)
        for name, condition in self.plan.rules.items():
            holds = condition.holds(self.plan.used_by(condition, self.columns))
            splits[free & holds] = self.plan.splits.index(name)
            free &= ~holds

    @cached_property
    def _combinations(self) -> NDArray[np.int64]:
        """The combination of levels that each sample has in the table's design, int64[n]."""
        assert self.plan.design is not None
        stream = stream_number(self.plan.code_stream("factors"))
        key = streams.uniforms(self.seed, stream, np.zeros(2, np.int64), np.arange(2))
        return self.plan.design.combinations(self.owners, key)

    def _draw_value(self, scope: Scope, name: str) -> None:
        """Draw one value, the columns of a joint draw, or the number of copies of an object."""
        rows = self._rows(scope)
        owners = self.owners if scope.each is None else self.columns["id"] // scope.each
        if scope.repeat is not None and name == "repeat":
            column = scope.column("repeat")
            if column in self._given:
                counts = self._given[column][rows]
            else:
                counts = self._value(scope, name, scope.repeat, owners, rows)
            self.columns[column][rows] = counts
            self._copies[id(scope)] = _Copies(rows, counts.astype(np.int64))
        elif scope.repeat is not None:
            copies = self._copies[id(scope)]
            copies.columns |= self._fill(scope, name, owners, copies.rows, copies)
        elif scope.column(name) in self._given:
            self.columns[scope.column(name)][rows] = self._given[scope.column(name)][rows]
        elif isinstance(constant := scope.values[name], Constant):
            self.columns[scope.column(name)][rows] = constant.value
        else:
            for column, values in self._fill(scope, name, owners, rows).items():
                self.columns[column][rows] = (
                    self._given[column][rows] if column in self._given else values
                )

    def _rows(self, scope: Scope) -> NDArray[np.intp]:
        """Return the rows of the samples that have a scope."""
        if scope.class_name not in self._members:
            code = self.plan.classes.index(str(scope.class_name))
            self._members[scope.class_name] = np.flatnonzero(self.columns["class"] == code)
        return self._members[scope.class_name]

    def _fill(
        self,
        scope: Scope,
        name: str,
        owners: NDArray[np.int64],
        rows: NDArray[np.intp],
        copies: _Copies | None = None,
    ) -> dict[str, NDArray]:
        """Return the columns that one value fills, for some rows of samples, one for each copy."""
        value = scope.values[name]
        if isinstance(value, Joint):
            drawn = value.fill(self._uniforms(scope, name, owners, rows, copies))
            return {f"{scope.column(name)}.{column}": each for column, each in drawn.items()}
        result = {scope.column(name): self._value(scope, name, value, owners, rows, copies)}
        if not isinstance(value, Distribution) and has_components(value):
            used = self._used(scope, name, value, rows, copies)
            uniforms = self._uniforms(scope, name, owners, rows, copies)
            result[scope.component(name)] = value.component(uniforms, used)  # type: ignore[union-attr]
        return result

    def _value(
        self,
        scope: Scope,
        name: str,
        value: Quantity,
        owners: NDArray[np.int64],
        rows: NDArray[np.intp],
        copies: _Copies | None = None,
    ) -> NDArray:
        """Return one value for some rows; checked against its range where that is not known beforehand."""
        assert not isinstance(value, Joint)
        if isinstance(value, Constant):
            return np.full(len(rows), value.value)
        if isinstance(value, Distribution) and not scope.factors:  # most values, so without detours
            stream = at_attempt(
                stream_number(scope.stream(self.plan.stream_table, name)), self.attempt
            )
            copy = 0 if copies is None else copies.number
            return value.quantile(streams.uniforms(self.seed, stream, owners[rows], copy))
        used = self._used(scope, name, value, rows, copies)
        if isinstance(value, Expression):
            result = value.draw(rows, used)
        else:
            result = value.draw(self._uniforms(scope, name, owners, rows, copies), used)
        if not value.known:
            self._check(scope, name, value, result, rows, used)
        return result

    def _used(
        self,
        scope: Scope,
        name: str,
        value: Any,
        rows: NDArray[np.intp],
        copies: _Copies | None,
    ) -> dict[str, NDArray]:
        """Return the columns of what a value uses, for some rows; classes and splits as their names."""
        local = {} if copies is None else copies.columns
        used = {}
        for reference_name in value.names:
            column = self.plan.names.reference(scope, name, reference_name).column
            used[reference_name] = local[column] if column in local else self.columns[column][rows]
        return used | self.plan.names_of_codes(value, self.columns, rows)

    def _uniforms(
        self,
        scope: Scope,
        name: str,
        owners: NDArray[np.int64],
        rows: NDArray[np.intp],
        copies: _Copies | None,
    ) -> Uniforms:
        """Return the random numbers of a value for some rows."""
        stream = stream_number(scope.stream(self.plan.stream_table, name))
        copy = 0 if copies is None else copies.number
        uniforms = _StreamUniforms(
            self.seed, stream, self.attempt, owners[rows], lambda: self.groups[rows], copy
        )
        if scope.factors and self.plan.design is not None:
            fractions = self.plan.design.fraction(name, self._combinations[rows])
            return uniforms.given(fractions, np.arange(len(rows)))
        return uniforms

    def _check(
        self,
        scope: Scope,
        name: str,
        value: Any,
        result: NDArray,
        rows: NDArray[np.intp],
        used: Mapping[str, NDArray],
    ) -> None:
        """Refuse values outside the range of their parameter."""
        plan = self.plan
        of_copies = name == "repeat" and scope.repeat is not None
        parameter = REPEAT if of_copies else scope.parameters[name]
        bad = out_of_range(parameter, result)
        if bad is not None:
            sample = int(self.columns["id"][rows[bad]])
            why = value.said({key: values[bad : bad + 1] for key, values in used.items()})
            raise LabelError(
                f"table '{plan.table}', sample {sample}: {scope.column(name)} = {float(result[bad])!r} {why}, but it "
                f"must be {parameter.range_text()}; narrow the priors it is made of, or use min() and max()",
                table=plan.table,
                sample=sample,
                column=scope.column(name),
            )


def check(plan: LabelPlan, labels: Labels) -> None:
    """Check labels that were not drawn here.

    Raises
    ------
    LabelError
        A sample number or a value is not allowed; the message names the first such sample of a column.
    """
    _check_column(plan.table, "id", SAMPLE, labels.samples, labels.samples)
    if plan.selection is not None:
        _check_column(plan.table, "attempt", ATTEMPT, labels.columns["attempt"], labels.samples)
    for scope in plan.scopes:
        rows: NDArray | slice = slice(None)
        if scope.class_name is not None:
            rows = labels.members(plan.classes.index(scope.class_name))
        columns, samples = labels.columns, labels.samples[rows]
        if scope.repeat is not None and scope.class_name is not None:
            rows, _ = labels.copies(scope.name, plan.classes.index(scope.class_name))
            columns, samples = labels.objects, labels.objects["sample"][rows]
        for name in scope.values:
            for column in scope.columns(name):
                meaning = scope.meaning(name, column)
                if meaning is COMPONENT:
                    continue  # absent where a branch is no mixture, and it shapes nothing
                inside = column if scope.repeat is None else column.removeprefix(f"{scope.name}.")
                _check_column(plan.table, column, meaning, columns[inside][rows], samples)


def _objects(
    plan: LabelPlan, copies: Mapping[int, _Copies], samples: NDArray
) -> tuple[dict[str, NDArray], NDArray[np.intp]]:
    """Assemble the long table from the copies of each repeated scope; return the rows of their samples, too."""
    scopes, parts = [scope for scope in plan.scopes if scope.repeat is not None], []
    for order, scope in enumerate(scopes):
        copy = copies[id(scope)]
        part = {
            "sample": samples[copy.rows],
            "object": np.full(len(copy.rows), plan.repeated_names.index(scope.name)),
            "kind": np.full(len(copy.rows), plan.repeated_kinds.index(scope.kind)),
            "copy": copy.number,
            "order": np.full(len(copy.rows), order),
        }
        for name in scope.values:
            for full in scope.columns(name):
                part[full.removeprefix(f"{scope.name}.")] = copy.columns[full]
        parts.append(part)
    lengths = [len(part["sample"]) for part in parts]
    table = {}
    for column in (*plan.object_columns, Column("order", "", integer=True)):
        pieces = [
            np.asarray(part.get(column.name, np.full(n, column.absent)), column.dtype)
            for part, n in zip(parts, lengths, strict=True)
        ]
        table[column.name] = np.concatenate(pieces)
    owners = np.concatenate([copies[id(scope)].rows for scope in scopes])
    sequence = np.lexsort((table["copy"], table["order"], owners))
    objects = {column.name: table[column.name][sequence] for column in plan.object_columns}
    return objects, owners[sequence]


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


class _StreamUniforms(Uniforms):
    """The random numbers of one value: those of its stream, by the numbers of samples and copies.

    An attempt of a selection draws numbers of its own, except for groups and for what the whole table shares.
    """

    def __init__(
        self,
        seed: int,
        stream: int,
        attempt: int,
        numbers: NDArray[np.int64],
        groups: Callable[[], NDArray[np.int64]],
        copies: NDArray[np.int64] | int,
    ) -> None:
        self._seed, self._stream, self._attempt = seed, stream, attempt
        self.numbers, self._groups, self._copies = numbers, groups, copies

    def several(self, count: int) -> NDArray[np.float64]:
        stream = at_attempt(self._stream, self._attempt)
        if count == 1:
            return streams.uniforms(self._seed, stream, self.numbers, self._copies)[:, None]
        copies = np.broadcast_to(self._copies, len(self.numbers))
        elements = copies[:, None] * count + np.arange(count)
        numbers = np.repeat(self.numbers, count)
        drawn = streams.uniforms(self._seed, stream, numbers, elements.ravel())
        return drawn.reshape(len(self.numbers), count)

    def of_table(self, count: int) -> NDArray[np.float64]:
        first = np.zeros(count, np.int64)
        return streams.uniforms(self._seed, self._stream, first, np.arange(count))

    def of_group(self) -> Uniforms:
        groups = self._groups()
        return _StreamUniforms(self._seed, self._stream, 0, groups, self._groups, self._copies)


class _Copies:
    """The copies of one repeated scope in a block: the row of each copy's sample, its number, and its values."""

    def __init__(self, rows: NDArray, counts: NDArray) -> None:
        self.rows = np.repeat(rows, counts)
        self.number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        self.columns: dict[str, NDArray] = {}
