"""Labels and samples of any recipe: drawn, rendered, and read back from data frames."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import LabelError
from deepbench.format import axis_attributes, label_attributes, variable_attributes
from deepbench.kinds import KINDS
from deepbench.labelling.draw import check, draw
from deepbench.labelling.plan import LabelPlan
from deepbench.labelling.scopes import Column, Labels

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from deepbench.recipe import Recipe
    from deepbench.tables import Table


def draw_labels(table: Table[Any], start: int, stop: int) -> Labels:
    """Draw the labels of the samples ``start`` … ``stop - 1`` as arrays; those that are measured are NaN.

    Raises
    ------
    LabelError
        The range is not inside the counter's 2³² samples, or a value leaves the range of its parameter.
    """
    start, stop = operator.index(start), operator.index(stop)
    if not 0 <= start < stop <= 2**32:
        raise LabelError(
            f"samples {start} … {stop} are not a range inside 0 … {2**32}: use start < stop"
        )
    return draw(table.plan, table.seed, start, stop)


def render_arrays(table: Table[Any], labels: Labels) -> tuple[dict[str, NDArray], Labels]:
    """Render the samples that labels describe.

    Returns
    -------
    arrays : dict of str to ndarray
        One per data variable, ``sample`` first.
    labels : Labels
        The given labels, with what was measured.
    """
    return KINDS[table.kind].render(table, labels)


def all_labels(table: Table[Any], start: int, stop: int) -> Labels:
    """Return the labels of the samples ``start`` … ``stop - 1``; where some are measured, the samples are rendered.

    Raises what ``draw_labels`` does.
    """
    drawn = draw_labels(table, start, stop)
    return KINDS[table.kind].measure(table, drawn) if table.plan.is_measured else drawn


def labels(recipe: Recipe, table: str, start: int = 0, stop: int | None = None) -> pd.DataFrame:
    """Return the labels of the samples ``start`` … ``stop - 1``, one row per sample.

    Parameters
    ----------
    recipe : Recipe
    table : str
        Name of one of the recipe's tables.
    start, stop : int
        Range of sample numbers; to the last sample of the table when ``stop`` is absent. It may lie beyond it.

    Returns
    -------
    DataFrame
        ``id``, ``class``, ``split``, ``group``, then every parameter as ``<object>.<field>`` (NaN where the sample's
        class has none). The units are in ``frame.attrs["units"]``.

    Raises
    ------
    CatalogError
        The recipe has no such table.
    LabelError
        The range is not inside the counter's 2³² samples, or a value leaves the range of its parameter.

    Examples
    --------
    >>> labels(recipe, "images", 0, 100)["circle.radius"]      # doctest: +SKIP
    """
    view = recipe.table(table)
    found = all_labels(view, start, view.samples if stop is None else stop)
    return to_frame(view.plan.columns, found.columns)


def objects(recipe: Recipe, table: str, start: int = 0, stop: int | None = None) -> pd.DataFrame:
    """Return the long table of repeated objects of a range of samples, one row per copy; empty where nothing repeats.

    Takes and raises what ``labels`` does.
    """
    view = recipe.table(table)
    found = all_labels(view, start, view.samples if stop is None else stop)
    return to_frame(view.plan.object_columns, found.objects)


def render(
    recipe: Recipe,
    table: str,
    start: int | None = None,
    stop: int | None = None,
    *,
    labels: pd.DataFrame | None = None,
    objects: pd.DataFrame | None = None,
) -> xr.Dataset:
    """Render samples in memory: a range of them, or those that a table of labels describes.

    Parameters
    ----------
    recipe : Recipe
    table : str
        Name of one of the recipe's tables.
    start, stop : int, optional
        Range of sample numbers. Without them and without ``labels``, the whole table.
    labels : DataFrame, optional
        Rows as ``labels`` returns them, in any order; ``id`` is the sample whose noise is drawn. Changed parameters
        change the sample, which is how a parameter is varied alone.
    objects : DataFrame, optional
        Rows as ``objects`` returns them; needed where a class of ``labels`` repeats objects.

    Returns
    -------
    Dataset
        Data variables and labels along ``sample``.

    Raises
    ------
    LabelError
        Both a range and labels are given; a column is missing, or holds a class, a split or a value that the recipe
        does not allow.
    CatalogError
        The recipe has no such table.

    Examples
    --------
    >>> row = labels(recipe, "images", 41, 42)                        # doctest: +SKIP
    >>> row["circle.radius"] = 20.0                                   # doctest: +SKIP
    >>> render(recipe, "images", labels=row).image.plot()             # doctest: +SKIP
    """
    view = recipe.table(table)
    if labels is None and objects is not None:
        raise LabelError("give `objects` together with the `labels` of their samples")
    if labels is None:
        first = 0 if start is None else start
        described = draw_labels(view, first, view.samples if stop is None else stop)
    elif start is not None or stop is not None:
        raise LabelError("give either a range of samples or labels, not both")
    else:
        described = from_frames(view.plan, labels, objects)
    arrays, found = render_arrays(view, described)
    return to_dataset(view, found, arrays)


def to_dataset(table: Table[Any], labels: Labels, arrays: dict[str, NDArray]) -> xr.Dataset:
    """Return arrays and labels as a labelled dataset."""
    import xarray as xr

    known = {"recipe": table.recipe, "recipe_hash": table.recipe_hash, "table": table.name}
    dataset = xr.Dataset(attrs=known)
    for variable in table.variables:
        dataset[variable.name] = (
            ("sample", *variable.dimensions),
            arrays[variable.name],
            variable_attributes(variable),
        )
    for column in table.plan.columns:
        dataset[column.name] = (("sample",), labels.columns[column.name], label_attributes(column))
    for axis in table.coordinates:
        values = (axis.dimensions, axis.values, axis_attributes(axis))
        dataset = dataset.assign_coords({axis.name: values})
    return dataset


# data frames


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


def from_frames(
    plan: LabelPlan, frame: pd.DataFrame, objects: pd.DataFrame | None = None
) -> Labels:
    """Return the labels that data frames hold, checked against what the recipe allows.

    Raises
    ------
    LabelError
        A column is missing, or holds a class, a split or a value that the recipe does not allow.
    """
    labels = _labels(plan, frame, objects)
    check(plan, labels)
    return labels


def _labels(plan: LabelPlan, frame: pd.DataFrame, objects: pd.DataFrame | None) -> Labels:
    """Return the labels that data frames hold, their values unchecked."""
    columns = {column.name: _column(column, frame) for column in plan.columns}
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
    """Return one column of a data frame as an array of the column's type."""
    if column.name not in frame:
        raise LabelError(
            f"the labels have no column '{column.name}'; take the rows that `labels` returns"
        )
    series = frame[column.name]
    if column.meanings:
        codes = {name: code for code, name in enumerate(column.meanings)}
        unknown = set(series.unique()) - set(codes)
        if unknown:
            word = sorted(map(str, unknown))[0]
            raise LabelError(
                f"column '{column.name}' holds '{word}'; allowed: {', '.join(column.meanings)}"
            )
        return np.array([codes[name] for name in series], dtype=column.dtype)
    try:
        values = series.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise LabelError(f"column '{column.name}' must hold numbers: {error}") from None
    fractions = ~np.isfinite(values) | (values != np.floor(values)) if column.integer else ()
    if np.any(fractions):
        value = values[np.argmax(fractions)]
        raise LabelError(f"column '{column.name}' holds {value}; it must hold whole numbers")
    return np.ascontiguousarray(values, dtype=column.dtype)


def _follow(
    plan: LabelPlan, columns: dict[str, NDArray], long: dict[str, NDArray]
) -> dict[str, NDArray]:
    """Return the rows of objects in the order of the samples, as many as the counts say."""
    position = {sample: row for row, sample in enumerate(columns["id"].tolist())}
    owners = set(long["sample"].tolist())
    for row, sample in enumerate(columns["id"].tolist()):
        if position[sample] != row and sample in owners:
            raise LabelError(
                f"sample {sample} is there more than once; render such rows one at a time, each with its own objects"
            )
    known = np.array([sample in position for sample in long["sample"].tolist()], dtype=bool)
    long = {name: values[known] for name, values in long.items()}
    rank = np.array([position[sample] for sample in long["sample"].tolist()], dtype=np.int64)
    for code, name in enumerate(plan.repeated_names):
        counted = np.bincount(rank[long["object"] == code], minlength=len(columns["id"]))
        wrong = np.flatnonzero(counted != columns[f"{name}.repeat"])
        if wrong.size:
            row = wrong[0]
            raise LabelError(
                f"sample {columns['id'][row]} has {columns[f'{name}.repeat'][row]} copies of '{name}' by its label, "
                f"but {counted[row]} rows of objects"
            )
    order = np.lexsort((np.arange(len(rank)), rank))
    return {name: values[order] for name, values in long.items()}
