"""The logarithm of the density with which the labels of samples are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.language.density import log_density, log_density_of_joint
from deepbench.language.functions import mathfast
from deepbench.language.values import Joint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.labelling.plan import LabelPlan
    from deepbench.labelling.scopes import Labels, Scope

_log = mathfast("log")


def log_prior(plan: LabelPlan, labels: Labels) -> NDArray[np.float64]:
    """Return the joint log-density of class and drawn values of samples, given the split of each.

    It is the sum of log p(class | split), of each value's log-density given those that it uses, and for repeated
    objects of that of their number and of those of all copies.

    Parameters
    ----------
    plan : LabelPlan
    labels : Labels
        Of n samples, drawn or given.

    Returns
    -------
    float64[n]
        −∞ where the recipe cannot draw the values.
    """
    result = _of_classes(plan, labels)
    for scope in plan.scopes:
        if scope.class_name is None:
            rows = np.arange(len(labels))
        else:
            rows = labels.members(plan.classes.index(scope.class_name))
        if scope.repeat is None:
            result[rows] += _of_scope(plan, scope, labels, rows)
            continue
        counts = labels.columns[scope.column("repeat")][rows].astype(np.float64)
        used = _used(plan, scope, "repeat", scope.repeat, labels, rows)
        result[rows] += log_density(scope.repeat, counts, used)
        copies, owners = labels.copies(scope.name, plan.classes.index(str(scope.class_name)))
        of_copies = _of_scope(plan, scope, labels, owners, copies)
        result += np.bincount(owners, of_copies, minlength=len(labels))
    return result


def _of_classes(plan: LabelPlan, labels: Labels) -> NDArray[np.float64]:
    """Return log p(class | split)."""
    result = np.zeros(len(labels))
    codes = labels.columns["class"]
    for rows, limits in plan.class_limits(labels.columns["split"]):
        result[rows] = _log(np.diff(limits, prepend=0.0, append=1.0))[codes[rows]]
    return result


def _of_scope(
    plan: LabelPlan,
    scope: Scope,
    labels: Labels,
    rows: NDArray[np.intp],
    copies: NDArray[np.intp] | None = None,
) -> NDArray[np.float64]:
    """Return the sum over the values of a scope: of the samples in rows, or of copies of theirs."""
    result = np.zeros(len(rows))
    for name, value in scope.values.items():
        if isinstance(value, Joint):
            prefix = f"{scope.column(name)}."
            columns = {
                column.removeprefix(prefix): _held(scope, column, labels, rows, copies)
                for column in scope.columns(name)
            }
            result += log_density_of_joint(value, columns)
        else:
            used = _used(plan, scope, name, value, labels, rows, copies)
            given = _held(scope, scope.column(name), labels, rows, copies)
            result += log_density(value, given, used)
    return result


def _held(
    scope: Scope,
    column: str,
    labels: Labels,
    rows: NDArray[np.intp],
    copies: NDArray[np.intp] | None,
) -> NDArray:
    """Return a column of a scope, of the samples in rows, or of copies of theirs."""
    if copies is None:
        return labels.columns[column][rows]
    return labels.objects[column.removeprefix(f"{scope.name}.")][copies]


def _used(
    plan: LabelPlan,
    scope: Scope,
    user: str,
    value: Any,
    labels: Labels,
    rows: NDArray[np.intp],
    copies: NDArray[np.intp] | None = None,
) -> dict[str, NDArray]:
    """Return what a value uses, as its draw takes it."""
    used = {}
    for name in value.names:
        reference = plan.names.reference(scope, user, name)
        own = copies if reference.scope is scope else None
        used[name] = _held(scope, reference.column, labels, rows, own)
    return used | plan.names_of_codes(value, labels.columns, rows)
