"""Draw labels, or check labels that came from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from deepbench.errors import LabelError
from deepbench.labelling.plan import LabelPlan
from deepbench.labelling.scopes import (
    EVERY_CLASS,
    IDENTITY,
    REPEAT,
    SAMPLE,
    Column,
    Labels,
    Quantity,
    Scope,
)
from deepbench.language.expressions import Expression
from deepbench.language.specification import Parameter, out_of_range
from deepbench.language.values import Constant, Distribution, Joint
from deepbench.numerics import streams
from deepbench.numerics.stream_names import stream_number

if TYPE_CHECKING:
    from numpy.typing import NDArray


def draw(plan: LabelPlan, seed: int, start: int, stop: int) -> Labels:
    """Draw the labels of the samples ``start`` … ``stop - 1``.

    Raises
    ------
    LabelError
        An expression leaves the range of its parameter; the message names the first such sample.
    """
    samples = np.arange(start, stop, dtype=np.int64)
    owners = samples // plan.together
    groups = owners // plan.group_size
    columns: dict[str, NDArray] = {
        "id": samples,
        "class": _pick(plan, seed, "class", plan.class_thresholds, owners, 0),
        "split": _pick(plan, seed, "split", plan.split_thresholds, groups, 1),
        "group": groups,
    }
    for column in plan.columns[len(IDENTITY) :]:
        columns[column.name] = np.full(len(samples), column.absent, column.dtype)
    members = {
        name: np.flatnonzero(columns["class"] == code) for code, name in enumerate(plan.classes)
    }
    everyone = np.arange(len(samples))
    copies: dict[int, _Copies] = {}
    for scope, name in plan.order:
        rows = everyone if scope.class_name is None else members[scope.class_name]
        drawn = owners if scope.each is None else samples // scope.each
        if name == "repeat" and scope.repeat is not None:
            counts = _quantity(plan, seed, scope, name, scope.repeat, columns, drawn, rows)
            columns[scope.column("repeat")][rows] = counts
            copies[id(scope)] = _Copies(rows, counts.astype(np.int64))
        elif scope.repeat is not None:
            copy = copies[id(scope)]
            _fill(plan, seed, scope, name, columns, copy.columns, drawn, copy.rows, copy.number)
        else:
            _fill(plan, seed, scope, name, columns, columns, drawn, rows)
    return Labels(columns, _objects(plan, copies, samples), plan.repeated_names)


def _pick(
    plan: LabelPlan, seed: int, what: str, limits: NDArray, numbers: NDArray, column: int
) -> NDArray:
    """Draw classes or splits: the code whose interval of thresholds holds the uniform draw."""
    stream = stream_number(f"{plan.table}/{EVERY_CLASS}/sample/{what}")
    uniforms = streams.uniforms(seed, stream, numbers)
    dtype = plan.columns[1 + column].dtype
    return np.searchsorted(limits, uniforms, side="right").astype(dtype)


def _fill(
    plan: LabelPlan,
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
        stream = stream_number(scope.stream(plan.table, name))
        elements = np.asarray(copy)[..., None] * value.dimension + np.arange(value.dimension)
        elements = np.broadcast_to(elements, (len(rows), value.dimension))
        numbers = np.repeat(samples[rows], value.dimension)
        uniforms = streams.uniforms(seed, stream, numbers, np.ascontiguousarray(elements).ravel())
        drawn = value.draw(uniforms.reshape(len(rows), value.dimension))
        results = {f"{scope.column(name)}.{column}": values for column, values in drawn.items()}
    else:
        local = into if scope.repeat is not None else {}
        result = _quantity(plan, seed, scope, name, value, columns, samples, rows, copy, local)
        results = {scope.column(name): result}
    for column, result in results.items():
        if scope.repeat is not None:
            into[column] = result
        else:
            into[column][rows] = result


def _quantity(
    plan: LabelPlan,
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
        stream = stream_number(scope.stream(plan.table, name))
        return value.quantile(streams.uniforms(seed, stream, samples[rows], copy))
    assert isinstance(value, Expression)
    used = {}
    for reference_name in value.names:
        column = plan.reference(scope, name, reference_name).column
        used[reference_name] = local[column] if local and column in local else columns[column][rows]
    result = np.broadcast_to(value.evaluate(used), len(rows)).astype(np.float64)
    parameter = REPEAT if name == "repeat" and scope.repeat is not None else scope.parameters[name]
    bad = out_of_range(parameter, result)
    if bad is not None:
        sample = int(columns["id"][rows[bad]])
        raise LabelError(
            f"table '{plan.table}', sample {sample}: {scope.column(name)} = {float(result[bad])!r} by "
            f'"{value.text}", but it must be {parameter.range_text()}; '
            "narrow the priors it is made of, or use min() and max()",
            table=plan.table,
            sample=sample,
            column=scope.column(name),
        )
    return result


def check(plan: LabelPlan, labels: Labels) -> None:
    """Check labels that were not drawn here.

    Raises
    ------
    LabelError
        A sample number or a value is not allowed; the message names the first such sample of a column.
    """
    _check_column(plan.table, "id", SAMPLE, labels.samples, labels.samples)
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
                inside = column if scope.repeat is None else column.removeprefix(f"{scope.name}.")
                values = columns[inside][rows]
                _check_column(plan.table, column, scope.parameters[name], values, samples)


def _objects(
    plan: LabelPlan, copies: Mapping[int, _Copies], samples: NDArray
) -> dict[str, NDArray]:
    """Assemble the long table from the copies of each repeated scope."""
    if not plan.object_columns:
        return {}
    parts = []
    for order, scope in enumerate(plan.scopes):
        if scope.repeat is None:
            continue
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
    sequence = np.lexsort((table["copy"], table["order"], table["sample"]))
    return {column.name: table[column.name][sequence] for column in plan.object_columns}


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
