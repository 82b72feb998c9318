"""Labels and samples of any recipe: drawn, rendered, and read back from data frames."""

from __future__ import annotations

import operator
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepbench.arrays import power_of_two
from deepbench.errors import LabelError
from deepbench.format import DIGEST, axis_attributes, label_attributes, variable_attributes
from deepbench.kinds import KINDS
from deepbench.labelling.derived import derive
from deepbench.labelling.frames import from_frames, to_frame
from deepbench.labelling.scopes import Labels
from deepbench.selection import by_attempt, draw_samples

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from deepbench.recipe import Recipe
    from deepbench.tables import Table


def draw_labels(table: Table[Any], start: int, stop: int) -> Labels:
    """Draw the labels of the samples ``start`` … ``stop - 1`` as arrays; those that are measured or derived are absent.

    Raises
    ------
    LabelError
        The range is not inside the counter's 2³² samples, or a value leaves the range of its parameter.

    Examples
    --------
    >>> table = recipe.table("images")                                  # doctest: +SKIP
    >>> drawn = draw_labels(table, 0, 100)                              # doctest: +SKIP
    >>> arrays, labels = render_arrays(table, drawn)                    # doctest: +SKIP
    """
    return draw_samples(table, np.arange(*_range(start, stop), dtype=np.int64))


def _range(start: int, stop: int) -> tuple[int, int]:
    """Return a range of sample numbers, or refuse what is none."""
    start, stop = operator.index(start), operator.index(stop)
    if not 0 <= start < stop <= 2**32:
        raise LabelError(
            f"samples {start} … {stop} are not a range inside 0 … {2**32}: use start < stop"
        )
    return start, stop


def render_arrays(table: Table[Any], labels: Labels) -> tuple[dict[str, NDArray], Labels]:
    """Render the samples that labels describe.

    Returns
    -------
    arrays : dict of str to ndarray
        One per data variable, ``sample`` first.
    labels : Labels
        The given labels, with what was measured, and what follows.

    Raises
    ------
    LabelError
        A sample cannot be rendered, or a derived label is infinite; the message names it.
    """
    arrays, found = by_attempt(table, labels, KINDS[table.kind].render)
    return arrays, derived(table, found)


def derived(table: Table[Any], labels: Labels) -> Labels:
    """Return labels with those that follow from them, recomputed.

    Raises
    ------
    LabelError
        A derived label is infinite; the message names the first such sample.
    """
    return derive(table.plan, table.seed, labels)


def all_labels(table: Table[Any], start: int, stop: int) -> Labels:
    """Return the labels of the samples ``start`` … ``stop - 1``; where some are measured, the samples are rendered.

    Raises what ``draw_labels`` and ``derived`` do.
    """
    return measured(table, draw_labels(table, start, stop))


def measured(table: Table[Any], labels: Labels) -> Labels:
    """Return drawn labels with those that are measured, for which the samples are rendered, and those that follow.

    Raises what ``render_arrays`` does.
    """
    if table.plan.is_measured:
        kind = KINDS[table.kind]
        labels = by_attempt(table, labels, lambda part, own: ({}, kind.measure(part, own)))[1]
    return derived(table, labels)


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
        The range is not inside the counter's 2³² samples, or its labels are larger than the memory of this machine; a
        value leaves the range of its parameter.

    Examples
    --------
    >>> labels(recipe, "images", 0, 100)["circle.radius"]      # doctest: +SKIP
    """
    view = recipe.table(table)
    stop = view.samples if stop is None else stop
    _check_memory(view, "labels", start, stop)
    return to_frame(view.plan.columns, all_labels(view, start, stop).columns)


def objects(recipe: Recipe, table: str, start: int = 0, stop: int | None = None) -> pd.DataFrame:
    """Return the long table of repeated objects of a range of samples, one row per copy; empty where nothing repeats.

    Takes and raises what ``labels`` does.

    Examples
    --------
    >>> copies = objects(recipe, "images", 0, 100)                 # doctest: +SKIP
    >>> copies[copies["sample"] == 41]                             # doctest: +SKIP
    """
    view = recipe.table(table)
    stop = view.samples if stop is None else stop
    _check_memory(view, "objects", start, stop)
    return to_frame(view.plan.object_columns, all_labels(view, start, stop).objects)


def render(
    recipe: Recipe,
    table: str,
    start: int | None = None,
    stop: int | None = None,
    *,
    labels: pd.DataFrame | None = None,
    objects: pd.DataFrame | None = None,
    extra: Literal["refuse", "ignore"] = "refuse",
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
        change the sample, which is how a parameter is varied alone. Derived labels may be absent: they are never read.
    objects : DataFrame, optional
        Rows as ``objects`` returns them; needed where a class of ``labels`` repeats objects.
    extra : {"refuse", "ignore"}
        Whether columns that the table does not have are an error, which catches a misspelt parameter, or left out. The
        digests that a release keeps beside its labels are left out in any case.

    Returns
    -------
    Dataset
        Data variables and labels along ``sample``.

    Raises
    ------
    LabelError
        Both a range and labels are given; the range is larger than the memory of this machine; a column is missing or
        unknown, or holds a class, a split or a value that the recipe does not allow, or a value of an object that the
        row's class does not have.
    CatalogError
        The recipe has no such table.

    Warns
    -----
    RangeWarning
        A value lies beyond what the recipe can draw. It is rendered all the same.

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
        first, last = 0 if start is None else start, view.samples if stop is None else stop
        _check_memory(
            view, "render", first, last, sum(each.sample_bytes for each in view.variables)
        )
        described = draw_labels(view, first, last)
    elif start is not None or stop is not None:
        raise LabelError("give either a range of samples or labels, not both")
    else:
        copies = None if objects is None else _parameters(objects)
        described = from_frames(view.plan, _parameters(labels), copies, extra=extra)
    arrays, found = render_arrays(view, described)
    return to_dataset(view, found, arrays)


def machine_memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _check_memory(
    table: Table[Any], function: str, start: int, stop: int, sample_bytes: int = 0
) -> None:
    """Refuse a range whose labels alone, drawn and as a data frame, and data are larger than this machine's memory.

    Raises
    ------
    LabelError
        They are; the message names the memory, and a range that fits.
    """
    start, stop = _range(start, stop)
    each = 2 * table.plan.label_bytes + sample_bytes
    needed, there = (stop - start) * each, machine_memory()
    if needed > there:
        fits = start + power_of_two(there / each / 4)
        raise LabelError(
            f"{stop - start:,} samples of '{table.name}' take at least {needed / 2**30:,.0f} GiB of memory, and this "
            f"machine has {there / 2**30:,.0f} GiB; ask for some at a time, such as {function}(recipe, {table.name!r}, "
            f"{start}, {fits}), or build a release"
        )


def _parameters(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a data frame without the digests that a release keeps beside its labels."""
    digests = [name for name in frame.columns if str(name).startswith(DIGEST)]
    return frame.drop(columns=digests) if digests else frame


def to_dataset(table: Table[Any], labels: Labels, arrays: dict[str, NDArray]) -> xr.Dataset:
    """Return arrays and labels as a labelled dataset."""
    import xarray as xr

    variables: dict[str, Any] = {
        each.name: (("sample", *each.dimensions), arrays[each.name], variable_attributes(each))
        for each in table.variables
    }
    for column in table.plan.columns:
        values = labels.columns[column.name]
        variables[column.name] = (("sample",), values, label_attributes(column))
    known = {"recipe": table.recipe, "recipe_hash": table.recipe_hash, "table": table.name}
    return xr.Dataset(variables, _coordinates(table), known)


@lru_cache(maxsize=16)
def _coordinates(table: Table[Any]) -> xr.Coordinates:
    """Return the coordinates of a table with their indexes, which take a third of the time of a dataset.

    All datasets of the table share them, so they cannot be written to.
    """
    import xarray as xr

    axes = {each.name: each for each in table.coordinates}
    values = {name: np.array(each.values) for name, each in axes.items()}
    for each in values.values():
        each.setflags(write=False)
    return xr.Coordinates(
        {
            name: (each.dimensions, values[name], axis_attributes(each))
            for name, each in axes.items()
        }
    )
