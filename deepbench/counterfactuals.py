"""Counterfactuals: samples rendered again with some of their labels changed, while all else, noise too, stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import CatalogError, LabelError
from deepbench.labelling.changes import Derive, check_changes
from deepbench.labelling.draw import draw_attempt
from deepbench.labelling.frames import check_given
from deepbench.labelling.scopes import IDENTITY, Labels
from deepbench.language.plain import some
from deepbench.recipe import Recipe
from deepbench.release import Release
from deepbench.samples import machine_memory, render_arrays, to_dataset
from deepbench.selection import draw_samples, joined
from deepbench.tables import MAXIMUM_SAMPLES

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from deepbench.labelling.plan import LabelPlan
    from deepbench.tables import Table

CALLER = 4
"""Level of the caller of ``vary`` and ``twin``, to whom warnings are shown; ``check_given`` is 1."""


def vary(
    source: Recipe | Release,
    table: str,
    samples: Sequence[int] | NDArray[np.int64],
    changes: Mapping[str, ArrayLike],
    *,
    derive: Derive = "refuse",
) -> xr.Dataset:
    """Render samples along sweeps of some labels, all else being equal.

    Parameters
    ----------
    source : Recipe or Release
    table : str
        Name of one of its tables.
    samples : sequence of int, shape (n,)
        Numbers of samples, each once, in any order; those of a recipe may lie beyond the table's last one.
    changes : mapping of str to array, shape (steps,) or (n, steps)
        New values of labels, by their columns: the same steps for every sample, or some for each. Several columns
        change together. ``class`` takes names.
    derive : {"refuse", "keep", "again"}
        Where the recipe computes a changed column from other values, or other values from it: an error; or all other
        labels keep their values; or what follows from the change is drawn again, with the random numbers that it had.

    Returns
    -------
    Dataset
        Data variables and labels along ``sample`` and ``step``; ``id``, ``class``, ``split`` and ``group`` along
        ``sample`` where they do not change. Noise has the random numbers of the sample, and measured labels are
        measured again.

    Raises
    ------
    CatalogError
        There is no such table.
    LabelError
        A sample does not exist or is given twice; a column does not exist, cannot be changed, or is not one of a
        sample's class; a value is outside the range of its parameter; the result is larger than the memory of this
        machine.

    Warns
    -----
    RangeWarning
        A value lies beyond what the recipe can draw. It is rendered all the same.

    Examples
    --------
    >>> import deepbench
    >>> recipe = deepbench.load_recipe("workflows/shapes.yaml")
    >>> tracks = vary(recipe, "images", [41, 77], {"psf.sigma": np.linspace(0.5, 2, 8)})
    >>> tracks["image"].dims, tracks["id"].values.tolist()
    (('sample', 'step', 'y', 'x'), [41, 77])
    """
    view = table_of(source, table)
    numbers = numbers_of(source, view, samples)
    check_changes(view.plan, changes, derive)
    count = len(numbers)
    grids = {
        name: _grid(view.plan, name, each, count, f"(steps,) and ({count}, steps)")
        for name, each in changes.items()
    }
    steps = {grid.shape[1] for grid in grids.values()}
    if len(steps) != 1:
        counts = some([f"{name} {grid.shape[1]}" for name, grid in grids.items()]) or "none"
        raise LabelError(f"the columns of `changes` must have one number of steps, not {counts}")
    labels, arrays = _render(view, numbers, grids, steps.pop(), derive)
    return _folded(to_dataset(view, labels, arrays), count, grids)


def twin(
    source: Recipe | Release,
    table: str,
    samples: Sequence[int] | NDArray[np.int64],
    changes: Mapping[str, ArrayLike],
    *,
    derive: Derive = "refuse",
) -> xr.Dataset:
    """Render samples with some labels changed once: the twins of what the recipe makes of their numbers.

    Parameters
    ----------
    source, table, samples, derive
        As for ``vary``.
    changes : mapping of str to scalar or array, shape (n,)
        New values of labels, by their columns: one for all samples, or one for each.

    Returns
    -------
    Dataset
        Data variables and labels along ``sample``.

    It raises what ``vary`` does, and warns of the same.

    Examples
    --------
    >>> import deepbench
    >>> recipe = deepbench.load_recipe("workflows/shapes.yaml")
    >>> blurred = twin(recipe, "images", range(4), {"psf.sigma": 2.0})
    >>> blurred["psf.sigma"].values.tolist(), blurred["image"].shape
    ([2.0, 2.0, 2.0, 2.0], (4, 64, 64))
    """
    view = table_of(source, table)
    numbers = numbers_of(source, view, samples)
    check_changes(view.plan, changes, derive)
    count = len(numbers)
    grids = {
        name: _grid(view.plan, name, each, count, f"one value and ({count},)", one=True)
        for name, each in changes.items()
    }
    labels, arrays = _render(view, numbers, grids, 1, derive)
    return to_dataset(view, labels, arrays)


def unchanged(
    source: Recipe | Release, table: str, samples: Sequence[int] | NDArray[np.int64]
) -> xr.Dataset:
    """Render samples by their numbers, as they are.

    Takes and raises what ``twin`` does, but for changes.
    """
    view = table_of(source, table)
    numbers = numbers_of(source, view, samples)
    _check_memory(view, len(numbers))
    rank = np.argsort(np.argsort(numbers))
    arrays, labels = render_arrays(view, draw_samples(view, np.sort(numbers)).take(rank))
    return to_dataset(view, labels, arrays)


def table_of(source: Recipe | Release, table: str) -> Table[Any]:
    """Return the view of a table of a recipe or of a release.

    Raises
    ------
    CatalogError
        There is no such table, or the source is neither.
    """
    if isinstance(source, Release):
        source = source.recipe
    if not isinstance(source, Recipe):
        raise CatalogError(
            f"a recipe or a release is needed, not {source!r:.80}: use load_recipe(FILE) or find(NAME)"
        )
    return source.table(table)


def numbers_of(
    source: Recipe | Release, table: Table[Any], samples: Sequence[int] | NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return sample numbers as an array.

    Raises
    ------
    LabelError
        There are none, or they are no whole numbers, not in the table, or not different.
    """
    # Python's integers stay what they are: numpy would round those beyond int64 beside others
    plain = None if hasattr(samples, "dtype") else object
    given = np.atleast_1d(np.array(samples, dtype=plain))
    count, known = MAXIMUM_SAMPLES, f"numbers are 0 … {MAXIMUM_SAMPLES - 1}"
    if isinstance(source, Release):
        count, known = (
            table.samples,
            f"'{table.name}' of {source} has 0 … {table.samples - 1}; give `release.recipe` to go beyond",
        )
    problem = _problem_of(given, count, known)
    if problem:
        raise LabelError(problem)
    return given.astype(np.int64)


def _problem_of(given: NDArray[Any], count: int, known: str) -> str | None:
    """Return what is wrong with numbers of ``count`` samples, which ``known`` says in words; None where nothing is."""
    if not given.size:
        return "no samples are given: name at least one, such as [41, 77]"
    whole = given.dtype.kind in "iu" or all(
        isinstance(each, int | np.integer) and not isinstance(each, bool) for each in given.flat
    )
    if given.ndim != 1 or not whole:
        is_mask = isinstance(given.flat[0], bool | np.bool_)
        hint = "; np.flatnonzero gives those of a mask" if is_mask else ""
        shown = f"{given.tolist()}"
        return f"samples must be a list of whole numbers, such as [41, 77], not {shown:.80}{hint}"
    outside = given[(given < 0) | (given >= count)]
    if outside.size:
        return f"there is no sample {outside[0]}: {known}"
    values, counts = np.unique(given, return_counts=True)
    twice = values[counts > 1]
    return f"sample {twice[0]} is given twice" if twice.size else None


def _grid(
    plan: LabelPlan, name: str, values: ArrayLike, count: int, allowed: str, *, one: bool = False
) -> NDArray:
    """Return the new values of a column as codes or numbers, shape (n, steps); with ``one`` there is one step.

    Raises
    ------
    LabelError
        They have another shape than those that ``allowed`` names, are no numbers, not whole where the column is, or no
        names of classes.
    """
    given = np.asarray(values)
    if one and given.ndim < 2:
        given = given.reshape(-1, 1)
    elif not one and given.ndim == 1:
        given = given[None]
    if (
        given.ndim != 2
        or given.shape[0] not in (1, count)
        or not given.size
        or np.ndim(values) > 2 - one
    ):
        raise LabelError(
            f"the values of '{name}' have the shape {np.shape(values)}; allowed are {allowed}"
        )
    if name == "class":
        unknown = sorted(set(map(str, given.ravel())) - set(plan.classes))
        if unknown:
            raise LabelError(
                f"'{unknown[0]}' is no class of '{plan.table}': use {', '.join(plan.classes)}"
            )
        given = np.vectorize(plan.classes.index, otypes=[np.int16])(given)
    elif given.dtype.kind not in "iuf":
        raise LabelError(f"the values of '{name}' must be numbers, not {values!r:.80}")
    elif plan.own_columns[name].dtype.kind in "iu" and (given != np.trunc(given)).any():
        raise LabelError(f"the values of '{name}' must be whole numbers, not {values!r:.80}")
    return np.broadcast_to(given, (count, given.shape[1]))


def _render(
    table: Table[Any],
    samples: NDArray[np.int64],
    grids: Mapping[str, NDArray],
    steps: int,
    derive: Derive,
) -> tuple[Labels, dict[str, NDArray]]:
    """Render all steps of samples together; rows are ordered by sample, as given, then step.

    Where objects repeat, the copies of many rows can be larger than their data: a build's block of rows at a time.
    """
    _check_memory(table, len(samples) * steps)
    base = draw_samples(table, np.sort(samples))
    rows = np.repeat(np.argsort(np.argsort(samples)), steps)
    length = table.shard_length if base.objects else len(rows)
    made: dict[str, NDArray] = {}
    columns: dict[str, NDArray] = {}
    for start in range(0, len(rows), length):
        part = slice(start, start + length)
        values = {name: grid.ravel()[part] for name, grid in grids.items()}
        labels = changed(table, base.take(rows[part]), values, derive)
        check_given(table.plan, labels, CALLER)
        arrays, found = render_arrays(table, labels)
        _put(made, part, len(rows), arrays)
        _put(columns, part, len(rows), found.columns)
    return Labels(columns), made


def _put(whole: dict[str, NDArray], part: slice, rows: int, found: Mapping[str, NDArray]) -> None:
    """Put the arrays of some rows into those of all rows; arrays that have all rows are taken as they are."""
    for name, values in found.items():
        if len(values) == rows:
            whole[name] = values
            continue
        if name not in whole:
            whole[name] = np.empty((rows, *values.shape[1:]), values.dtype)
        whole[name][part] = values


def changed(
    table: Table[Any], base: Labels, values: Mapping[str, NDArray], derive: Derive
) -> Labels:
    """Return labels of samples with other values of some columns."""
    columns = table.plan.own_columns
    given = {name: each.astype(columns[name].dtype) for name, each in values.items()}
    if derive != "again":
        return replace(base, columns=base.columns | given)
    attempts = base.columns.get("attempt", np.zeros(len(base), np.int64))
    parts, order = [], []
    for attempt in np.unique(attempts):
        rows = np.flatnonzero(attempts == attempt)
        own = {name: each[rows] for name, each in given.items()}
        splits = base.columns["split"][rows]
        parts.append(
            draw_attempt(table.plan, table.seed, base.samples[rows], int(attempt), splits, own)
        )
        order.append(rows)
    return joined(parts, np.argsort(np.concatenate(order)))


def _check_memory(table: Table[Any], rows: int) -> None:
    """Refuse a result that is larger than the memory of this machine.

    Raises
    ------
    LabelError
        It is.
    """
    each = table.plan.label_bytes + sum(variable.sample_bytes for variable in table.variables)
    if rows * each > machine_memory():
        raise LabelError(
            f"{rows:,} renderings of '{table.name}' take {rows * each / 2**30:,.0f} GiB, more than the memory of this "
            "machine; vary some samples at a time"
        )


def _folded(flat: xr.Dataset, count: int, changed: Collection[str]) -> xr.Dataset:
    """Return a dataset of samples and steps from one with a row for each of both."""
    import xarray as xr

    variables: dict[Any, Any] = {}
    for name, each in flat.data_vars.items():
        values = each.values.reshape(count, -1, *each.shape[1:])
        if name in IDENTITY and name not in changed:
            variables[name] = (("sample",), values[:, 0], each.attrs)
        else:
            variables[name] = (("sample", "step", *each.dims[1:]), values, each.attrs)
    return xr.Dataset(variables, flat.coords, flat.attrs)
