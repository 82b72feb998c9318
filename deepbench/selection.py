"""Selected samples: each is the first of its attempts that meets the table's condition, and noise follows the attempt.

Attempts have counter bits of their own (``numerics.streams``): a sample depends on its number alone, whatever is drawn
beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import LabelError
from deepbench.kinds import KINDS
from deepbench.labelling.draw import draw_attempt
from deepbench.labelling.scopes import Labels
from deepbench.numerics.stream_names import MOST_ATTEMPTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.tables import Table

LEAST_ACCEPTANCE = 0.02
"""Smallest part of the first attempts that a selection must accept."""

TRIED = 4096
"""Number of first attempts by which the acceptance is estimated."""

HOPELESS = 4096
"""Number of attempts, of several samples together, of which one must be accepted; at 2 % each all fail once in 10³⁶."""

TRIED_NUMBERS = 2**26
"""Largest number of pixels or points that are rendered to estimate it; fewer samples are tried where they are large."""


def draw_samples(table: Table[Any], samples: NDArray[np.int64]) -> Labels:
    """Draw the labels of samples, each in the first attempt that the table's selection accepts.

    Parameters
    ----------
    table : Table
    samples : int64[n]
        Their numbers, increasing.

    Raises
    ------
    LabelError
        A value leaves the range of its parameter, or no attempt of a sample is accepted; the message names it.
    """
    plan = table.plan
    if table.origin is not None and plan.inherits:
        return _draw_like(table, draw_samples(table.origin, samples))
    if plan.selection is None:
        return draw_attempt(plan, table.seed, samples)
    parts, left, tried = [], samples, 0
    for attempt in range(MOST_ATTEMPTS):
        labels = draw_attempt(plan, table.seed, left, attempt)
        accepted = meets(table, labels)
        parts.append(labels.take(np.flatnonzero(accepted)))
        left, tried = left[~accepted], tried + len(left)
        if not len(left):
            return joined(parts)
        if tried >= HOPELESS and len(left) == len(samples):
            break
    raise LabelError.of_sample(
        table.name,
        left[0],
        f"none of {attempt + 1:,} attempts meets `require`: {_condition(table)}",
    )


def draw_first_attempts(table: Table[Any], samples: NDArray[np.int64]) -> Labels:
    """Draw the labels of the first attempts of samples, whether or not the table's selection accepts them.

    Takes and raises what ``draw_samples`` does, but for attempts that are not accepted.
    """
    if table.origin is not None and table.plan.inherits:
        return _draw_like(table, draw_first_attempts(table.origin, samples))
    return draw_attempt(table.plan, table.seed, samples)


def _condition(table: Table[Any]) -> str:
    return str(table.plan.selection.where.text).removeprefix("= ")


def _draw_like(table: Table[Any], others: Labels) -> Labels:
    """Draw the labels of samples with the splits and attempts that the table has from which it draws."""
    attempts = others.columns.get("attempt", np.zeros(len(others), np.int64))
    parts = []
    for attempt in np.unique(attempts):
        rows = np.flatnonzero(attempts == attempt)
        splits = others.columns["split"][rows]
        parts.append(
            draw_attempt(table.plan, table.seed, others.samples[rows], int(attempt), splits)
        )
    return joined(parts)


def meets(table: Table[Any], labels: Labels) -> NDArray[np.bool_]:
    """Return which samples meet the table's condition, measured where it needs that."""
    plan = table.plan
    if plan.selection_uses == "noisy":
        labels = by_attempt(
            table, labels, lambda part, own: ({}, KINDS[table.kind].render(part, own)[1])
        )[1]
    elif plan.selection_uses == "noiseless":
        labels = by_attempt(
            table, labels, lambda part, own: ({}, KINDS[table.kind].measure(part, own))
        )[1]
    condition = plan.selection.where
    return condition.holds(plan.used_by(condition, labels.columns))


def acceptance(table: Table[Any]) -> dict[str, tuple[int, int]]:
    """Return for each class how many first attempts were tried, and how many were accepted.

    4,096 samples are tried, fewer where samples that must be measured are large.
    """
    each = sum(int(np.prod(variable.shape)) for variable in table.variables)
    drawn = table.plan.selection_uses == "drawn"
    count = TRIED if drawn else max(64, min(TRIED, TRIED_NUMBERS // max(each, 1)))
    labels = draw_attempt(table.plan, table.seed, np.arange(count, dtype=np.int64))
    accepted = meets(table, labels)
    codes = labels.columns["class"]
    return {
        name: (int((codes == code).sum()), int(accepted[codes == code].sum()))
        for code, name in enumerate(table.plan.classes)
    }


def by_attempt(
    table: Table[Any],
    labels: Labels,
    make: Callable[[Table[Any], Labels], tuple[dict[str, NDArray], Labels]],
) -> tuple[dict[str, NDArray], Labels]:
    """Return what ``make`` makes of samples, called with the table of each attempt and its samples.

    Parameters
    ----------
    table : Table
    labels : Labels
    make : callable
        Returns arrays with one row per sample, and the labels with what was measured.
    """
    attempts = labels.columns.get("attempt")
    if attempts is None or not attempts.any():
        return make(table, labels)
    arrays: dict[str, NDArray] = {}
    parts, order = [], []
    for attempt in np.unique(attempts):
        rows = np.flatnonzero(attempts == attempt)
        made, found = make(table.at(int(attempt)), labels.take(rows))
        for name, values in made.items():
            if name not in arrays:
                arrays[name] = np.empty((len(labels), *values.shape[1:]), values.dtype)
            arrays[name][rows] = values
        parts.append(found)
        order.append(rows)
    return arrays, joined(parts, np.argsort(np.concatenate(order), kind="stable"))


def joined(parts: list[Labels], order: NDArray[np.intp] | None = None) -> Labels:
    """Return the labels of several parts as one, in an order of their rows, by sample number when absent."""
    columns = {
        name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns
    }
    order = np.argsort(columns["id"], kind="stable") if order is None else order
    columns = {name: values[order] for name, values in columns.items()}
    if not parts[0].objects:
        return Labels(columns)
    objects = {
        name: np.concatenate([part.objects[name] for part in parts]) for name in parts[0].objects
    }
    firsts = np.cumsum([0, *map(len, parts)])
    before = [part.owners + first for part, first in zip(parts, firsts, strict=False)]
    owners = np.argsort(order)[np.concatenate(before)]
    by_owner = np.argsort(owners, kind="stable")
    objects = {name: values[by_owner] for name, values in objects.items()}
    return Labels(columns, objects, parts[0].object_names, owners[by_owner])
