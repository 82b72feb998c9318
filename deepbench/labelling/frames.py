"""Labels as data frames, and back: rows that a user may change, checked against the recipe.

A misspelt parameter, or one that a row's class does not have, would change nothing in silence, so both are refused.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepbench.errors import LabelError, RangeWarning
from deepbench.labelling.draw import check
from deepbench.labelling.plan import LabelPlan
from deepbench.labelling.scopes import Column, Labels, Scope
from deepbench.language.plain import EXACT, digits, nearest
from deepbench.language.values import Joint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

CALLER = 4
"""Level of the caller of ``samples.render``, to whom warnings are shown; ``check_given`` is 1."""


def to_frame(columns: tuple[Column, ...], arrays: dict[str, NDArray]) -> pd.DataFrame:
    """Return arrays of labels as a data frame: codes as categories, units in ``attrs``."""
    import pandas as pd

    data: dict[str, Any] = {}
    for column in columns:
        values = arrays[column.name]
        data[column.name] = (
            pd.Categorical.from_codes(values.astype(np.int16), pd.Index(column.meanings))
            if column.meanings
            else values
        )
    frame = pd.DataFrame(data)
    frame.attrs["units"] = {column.name: column.unit for column in columns if not column.meanings}
    return frame


def meets(frame: pd.DataFrame, condition: str) -> NDArray[np.bool_]:
    """Return which rows of labels meet a condition, as ``DataFrame.query`` takes it.

    A label that the class of a row does not have is NaN, which meets ``!=`` alone. No variable of Python is in reach.

    Raises
    ------
    LabelError
        It cannot be evaluated, or is not true or false of each row.
    """
    try:
        if "@" in condition:
            raise ValueError("it names a variable of Python (@)")
        found = np.array(frame.eval(condition, engine="python", local_dict={}, global_dict={}))
        if found.dtype != np.dtype(bool) or found.shape != (len(frame),):
            raise ValueError("it is not true or false of each sample")
    except Exception as error:  # of pandas' parser: almost any
        raise LabelError(
            f"the condition {condition!r} on labels cannot be evaluated: {error}; write it as pandas' `query` takes "
            "it, `class` and names with dots in backticks, such as `psf.sigma` < 1.5 and `class` == 'circle'"
        ) from error
    return found


def from_frames(
    plan: LabelPlan,
    frame: pd.DataFrame,
    objects: pd.DataFrame | None = None,
    extra: Literal["refuse", "ignore"] = "refuse",
) -> Labels:
    """Return the labels that data frames hold, checked against what the recipe allows.

    Parameters
    ----------
    plan : LabelPlan
    frame, objects : DataFrame
        Rows of samples, and of repeated objects.
    extra : {"refuse", "ignore"}
        Whether columns that the table does not have are an error.

    Raises
    ------
    LabelError
        A column is missing or unknown, or holds a class, a split or a value that the recipe does not allow, or a value
        of an object that the row's class does not have.

    Warns
    -----
    RangeWarning
        A value lies beyond what the recipe can draw.
    """
    frame = _without_attributes(frame)
    objects = None if objects is None else _without_attributes(objects)
    if extra == "refuse":
        _check_known(frame, plan.columns, "labels")
        if objects is not None:
            _check_known(objects, plan.object_columns, "objects")
    labels = _labels(plan, frame, objects)
    check_given(plan, labels, CALLER)
    return labels


def check_given(plan: LabelPlan, labels: Labels, stacklevel: int) -> None:
    """Check labels that a user gave or changed; warnings are of the caller at ``stacklevel``, this function is 1.

    Raises
    ------
    LabelError
        A value is not allowed, or a sample's class has no such parameter.

    Warns
    -----
    RangeWarning
        A value lies beyond what the recipe can draw.
    """
    check(plan, labels)
    _check_presence(plan, labels)
    _warn_beyond(plan, labels, stacklevel + 1)


def _without_attributes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a data frame without ``attrs``, all of which pandas copies for each column that it hands out."""
    bare = frame.copy(deep=False)
    bare.attrs = {}
    return bare


def _check_known(frame: pd.DataFrame, columns: tuple[Column, ...], what: str) -> None:
    """Refuse columns that the table does not have."""
    known = [column.name for column in columns]
    unknown = [name for name in map(str, frame.columns) if name not in set(known)]
    if unknown:
        near = nearest(unknown[0], known)
        hint = f"did you mean '{near}'? " if near else ""
        raise LabelError(
            f"the {what} have a column '{unknown[0]}', which the table does not have; {hint}"
            'columns of your own are left out with extra="ignore"',
            column=unknown[0],
        )


def _held(plan: LabelPlan, labels: Labels) -> Iterator[tuple[Scope, NDArray[np.intp], bool]]:
    """Yield each scope with the rows that hold its values, and whether these are rows of objects."""
    for scope in plan.scopes:
        if scope.class_name is None:
            yield scope, np.arange(len(labels)), False
            continue
        code = plan.classes.index(scope.class_name)
        if scope.repeat is None:
            yield scope, labels.members(code), False
        else:
            yield scope, labels.copies(scope.name, code)[0], True


def _check_presence(plan: LabelPlan, labels: Labels) -> None:
    """Refuse values where a sample's class, or an object, has no such parameter."""
    wide = {name: np.zeros(len(labels), bool) for name in labels.columns}
    long = {name: np.zeros(len(values), bool) for name, values in labels.objects.items()}
    owners: dict[str, list[str]] = {}
    for scope, rows, repeated in _held(plan, labels):
        of_class = scope.class_name or "every class"
        for column in scope.all_columns():
            name = column.removeprefix(f"{scope.name}.") if repeated else column
            (long if repeated else wide)[name][rows] = True
            owners.setdefault(name, []).append(of_class)
        if repeated:
            count = scope.column("repeat")
            wide[count][labels.members(plan.classes.index(of_class))] = True
            owners.setdefault(count, []).append(of_class)
    _refuse_present(plan, labels, plan.columns, labels.columns, wide, owners)
    if labels.objects:
        _refuse_present(plan, labels, plan.object_columns, labels.objects, long, owners)


def _refuse_present(
    plan: LabelPlan,
    labels: Labels,
    columns: tuple[Column, ...],
    held: Mapping[str, NDArray],
    allowed: Mapping[str, NDArray[np.bool_]],
    owners: Mapping[str, list[str]],
) -> None:
    """Refuse values of columns that have classes as owners, in rows where they are not allowed."""
    samples = held["sample"] if "sample" in held else held["id"]
    for column in columns:
        name, values = column.name, held[column.name]
        if name not in owners:
            continue
        wrong = np.flatnonzero(column.present(values) & ~allowed[name])
        if wrong.size:
            sample = int(samples[wrong[0]])
            row = int(np.flatnonzero(labels.samples == sample)[0])
            of_class = plan.classes[int(labels.columns["class"][row])]
            found = values[wrong[0]]
            shown = digits(float(found)) if values.dtype.kind == "f" else str(found)
            raise LabelError.of_sample(
                plan.table,
                sample,
                f"'{name}' is {shown}, but its class '{of_class}' has no such parameter, "
                f"which belongs to {', '.join(dict.fromkeys(owners[name]))}; leave it empty",
                column=name,
            )


def _warn_beyond(plan: LabelPlan, labels: Labels, stacklevel: int) -> None:
    """Warn of values that the recipe can never draw."""
    for scope, rows, repeated in _held(plan, labels):
        held = labels.objects if repeated else labels.columns
        samples = held["sample" if repeated else "id"][rows]
        for name, value in scope.values.items():
            if isinstance(value, Joint) or not value.known:
                continue
            column = name if repeated else scope.column(name)
            low, high = value.support()
            beyond = np.flatnonzero((held[column][rows] < low) | (held[column][rows] > high))
            if beyond.size:
                found = digits(float(held[column][rows[beyond[0]]]))
                drawn = digits(low) if low == high else f"{digits(low)} … {digits(high)}"
                others = f" and in {beyond.size - 1} other rows" if beyond.size > 1 else ""
                warnings.warn(
                    f"table '{plan.table}', sample {samples[beyond[0]]}: {scope.column(name)} = {found}{others}, "
                    f"beyond what the recipe draws ({drawn}); it is rendered all the same",
                    RangeWarning,
                    stacklevel=stacklevel,
                )


def _labels(plan: LabelPlan, frame: pd.DataFrame, objects: pd.DataFrame | None) -> Labels:
    """Return the labels that data frames hold, their values unchecked."""
    columns = {
        column.name: np.full(len(frame), column.absent, column.dtype)
        if column.derived
        else _column(column, frame)
        for column in plan.columns
    }
    if not plan.object_columns:
        return Labels(columns)
    repeats = [name for name in columns if name.endswith(".repeat")]
    if objects is None:
        if any(columns[name].any() for name in repeats):
            raise LabelError(
                "some of these samples repeat objects: give their rows as `objects`, too"
            )
        return Labels(
            columns,
            {column.name: np.zeros(0, column.dtype) for column in plan.object_columns},
            plan.repeated_names,
        )
    long = {column.name: _column(column, objects) for column in plan.object_columns}
    return Labels(columns, _follow(plan, columns, long), plan.repeated_names)


def _column(column: Column, frame: pd.DataFrame) -> NDArray:
    """Return one column of a data frame as an array of the column's type.

    It is a copy, since pandas hands out arrays that cannot be written: kernels would be compiled for these once more.
    """
    if column.name not in frame:
        raise LabelError(
            f"the labels have no column '{column.name}'; take the rows that `labels` returns"
        )
    series = frame[column.name]
    if column.meanings:
        import pandas as pd

        codes = {name: code for code, name in enumerate(column.meanings)}
        rows, names = pd.factorize(series, use_na_sentinel=False)
        unknown = set(names) - set(codes)
        if unknown:
            word = sorted(map(str, unknown))[0]
            raise LabelError(
                f"column '{column.name}' holds '{word}'; allowed: {', '.join(column.meanings)}"
            )
        return np.array([codes[name] for name in names], dtype=column.dtype)[rows]
    return (_whole_numbers if column.dtype.kind == "i" else _numbers)(column, series)


def _whole_numbers(column: Column, series: pd.Series) -> NDArray[np.int64]:
    """Return a column of counts, numbers of samples or identifiers; none is rounded."""
    values = series.to_numpy()
    if values.dtype.kind not in "iu":
        values = _floats(column, series)
        bad = ~np.isfinite(values) | (values != np.floor(values))
        if bad.any():
            found = values[np.argmax(bad)]
            raise LabelError(f"column '{column.name}' holds {found}; it must hold whole numbers")
    most = EXACT if values.dtype.kind == "f" else 2**63 - 1
    beyond = (values > most) | (values < -most)
    if beyond.any():
        found = values[np.argmax(beyond)]
        raise LabelError(
            f"column '{column.name}' holds {found}; whole numbers beyond 2**53 must be integers of 64 bits (int64), "
            "which nothing has rounded"
        )
    return np.array(values, dtype=column.dtype)


def _numbers(column: Column, series: pd.Series) -> NDArray[np.float64]:
    """Return a column of numbers; no integer is rounded."""
    given, values = series.to_numpy(), _floats(column, series)
    if given.dtype.kind in "iu":
        for row in np.flatnonzero(np.abs(values) >= EXACT):
            if int(given[row]) != int(values[row]):
                raise LabelError(
                    f"column '{column.name}' holds {given[row]}, which a number of double precision rounds; "
                    f"write {values[row]!r}"
                )
    return values


def _floats(column: Column, series: pd.Series) -> NDArray[np.float64]:
    try:
        return np.array(series.to_numpy(dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise LabelError(f"column '{column.name}' must hold numbers: {error}") from None


def _follow(
    plan: LabelPlan, columns: dict[str, NDArray], long: dict[str, NDArray]
) -> dict[str, NDArray]:
    """Return the rows of objects in the order of the samples, as many as the counts say."""
    samples = columns["id"]
    by_number = np.argsort(samples, kind="stable")
    ordered = samples[by_number]
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    unclear = np.flatnonzero(np.isin(samples, twice) & np.isin(samples, long["sample"]))
    if unclear.size:
        raise LabelError(
            f"sample {samples[unclear[0]]} is there more than once; render such rows one at a time, each with its own "
            "objects"
        )
    known = np.isin(long["sample"], samples)
    long = {name: values[known] for name, values in long.items()}
    rank = by_number[np.searchsorted(ordered, long["sample"])]
    for code, name in enumerate(plan.repeated_names):
        counted = np.bincount(rank[long["object"] == code], minlength=len(samples))
        wrong = np.flatnonzero(counted != columns[f"{name}.repeat"])
        if wrong.size:
            row = wrong[0]
            raise LabelError(
                f"sample {samples[row]} has {columns[f'{name}.repeat'][row]} copies of '{name}' by its label, "
                f"but {counted[row]} rows of objects"
            )
    order = np.argsort(rank, kind="stable")
    return {name: values[order] for name, values in long.items()}
