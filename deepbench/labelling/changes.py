"""Changes of labels: which columns can be given other values, and which ones the recipe derives from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from deepbench.errors import LabelError
from deepbench.labelling.scopes import REPEAT, VARIABLES
from deepbench.language.expressions import Expression
from deepbench.language.plain import FEW, nearest, some
from deepbench.language.values import Joint

if TYPE_CHECKING:
    from deepbench.labelling.plan import LabelPlan

Derive = Literal["refuse", "keep", "again"]
"""Treatment of the values that the recipe derives from those that are changed."""


def check_changes(plan: LabelPlan, names: Collection[str], derive: Derive) -> None:
    """Refuse columns that cannot be changed, or whose change leaves open what else changes.

    Raises
    ------
    LabelError
        It names the column and what to do.
    """
    if derive not in get_args(Derive):
        raise LabelError(f"derive must be one of {', '.join(get_args(Derive))}, not {derive!r}")
    if not names:
        raise LabelError("`changes` is empty: name a column and its new values")
    values = drawn_values(plan)
    for name in names:
        _check_column(plan, name, values)
    if derive == "again":
        return
    drawn_anew = [name for name in names if name == "class" or values[name][1] is REPEAT]
    if drawn_anew:
        raise LabelError(
            f"a change of '{drawn_anew[0]}' needs values that the samples do not have; derive=\"again\" draws them"
        )
    if derive == "keep":
        idle = [name for name in names if name.startswith(f"{VARIABLES}.")]
        if len(idle) == len(names):
            raise LabelError(
                f"'{idle[0]}' shapes a sample through other values alone; derive=\"again\" lets them follow"
            )
        return
    choices = (
        'derive="again" lets follow what the recipe derives, derive="keep" changes nothing else'
    )
    for name in names:
        if isinstance(values[name][0], Expression):
            raise LabelError(
                f"the recipe derives '{name}' from other values ({values[name][0].text}); {choices}"
            )
    if following := dependents(plan, names):
        raise LabelError(
            f"the recipe derives {some(following, FEW)} from {', '.join(names)}; {choices}"
        )


def derive_of(plan: LabelPlan, names: Collection[str]) -> Derive:
    """Return how columns are changed where nobody says: drawn again where values follow from them, else alone.

    Columns that cannot be changed are left to ``check_changes``.
    """
    values = drawn_values(plan)
    parameters = (values[name][1] for name in names if name in values)
    drawn_anew = "class" in names or any(each is REPEAT for each in parameters)
    return "again" if drawn_anew or dependents(plan, names) else "keep"


def drawn_values(plan: LabelPlan) -> dict[str, tuple[Any, Any]]:
    """Return for each column that is drawn, one row per sample, its value in the recipe and its parameter."""
    found: dict[str, tuple[Any, Any]] = {"class": (None, None)}
    for scope in plan.scopes:
        if scope.repeat is not None:
            found[scope.column("repeat")] = (scope.repeat, REPEAT)
            continue
        for name, value in scope.values.items():
            for column in scope.columns(name):
                if column not in scope.identifiers(name):
                    found[column] = (value, scope.meaning(name, column))
    return found


def _check_column(plan: LabelPlan, name: str, values: Mapping[str, Any]) -> None:
    """Refuse a column that no change can be made of."""
    if name in values and not name.endswith(".component"):
        return
    columns = {column.name: column for column in plan.columns}
    if name in columns:
        column = columns[name]
        if column.measured or column.derived:
            raise LabelError(f"'{name}' follows from the other labels: change what it follows from")
        raise LabelError(f"'{name}' cannot be changed: it says which sample this is")
    for scope in plan.scopes:
        if scope.repeat is not None and name in scope.all_columns():
            raise LabelError(
                f"'{name}' has a value for each copy of '{scope.name}': change the rows of `objects`, and render them "
                "with their labels"
            )
    near = nearest(name, values)
    hint = f"; did you mean '{near}'?" if near else ""
    raise LabelError(f"'{plan.table}' has no label '{name}'{hint}", column=name)


def dependents(plan: LabelPlan, names: Collection[str]) -> list[str]:
    """Return the columns whose values a recipe derives from some columns, directly or through others, in order."""
    affected = dict.fromkeys(names)
    for scope, name in plan.order:
        if scope is None or isinstance(scope.values.get(name), Joint):
            continue  # joint draws use no other values
        repeat = scope.repeat is not None and name == "repeat"
        value: Any = scope.repeat if repeat else scope.values[name]
        used = {plan.names.reference(scope, name, each).column for each in value.names}
        used |= {code for code, _ in value.comparisons}
        if not used.isdisjoint(affected):
            own = [scope.column("repeat")] if repeat else scope.columns(name)
            affected |= dict.fromkeys(own)
    return [name for name in affected if name not in names]
