"""From labels to motions: each class by its system, then frames of the true motion, then the noise of measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.dynamics.finite import first_infinite
from deepbench.dynamics.frames import draw_frames
from deepbench.dynamics.model import LYAPUNOV, TRUE, noise_stream
from deepbench.dynamics.noise import add_normals
from deepbench.dynamics.systems.class_batch import ClassBatch
from deepbench.dynamics.systems.system import LONG_NAMES
from deepbench.labelling.scopes import Labels
from deepbench.numerics import streams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepbench.dynamics.model import DynamicsTable
    from deepbench.tables import Table

Arrays = dict[str, NDArray]

NOT_FINITE = (
    "its '{variable}' is not finite: a label is too large or too small, float64 ends at 1.8e308, and angles and phases "
    "at 1e12 radian; narrow the priors, or shorten the duration"
)
NOISE_NOT_FINITE = (
    "its '{variable}' is not finite with its noise, as float64 ends at 1.8e308; "
    "narrow the prior of the noise of {variable}"
)


def render(table: Table[DynamicsTable], labels: Labels) -> tuple[Arrays, Labels]:
    """Render the motions that labels describe.

    Parameters
    ----------
    table : Table
    labels : Labels
        Of n samples.

    Returns
    -------
    arrays : dict of str to ndarray
        The variables of the table, ``sample`` first; NaN for bodies and degrees that a class does not have.
    labels : Labels
        The given labels, with what was measured.

    Raises
    ------
    LabelError
        A sample has values of which no motion can be computed; the message names it.
    """
    arrays: Arrays = {
        each.name: np.empty((len(labels), *each.shape), each.dtype) for each in table.variables
    }
    columns: dict[str, NDArray] = {}
    length = table.specification.batch_length
    for start in range(0, len(labels), length):
        rows = slice(start, start + length)
        some = Labels({column: values[rows] for column, values in labels.columns.items()})
        measured = _render_batch(table, some, {k: v[rows] for k, v in arrays.items()})
        for column, values in measured.items():
            columns.setdefault(column, labels.columns[column].copy())[rows] = values
    return arrays, labels.with_measured(columns)


def _render_batch(table: Table[DynamicsTable], labels: Labels, arrays: Arrays) -> Arrays:
    """Render some samples into their arrays; return the columns of what was measured."""
    truth = _truth(table.specification, labels, arrays)
    measured: Arrays = {}
    for batch in _batches(table, labels, truth):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what follows refuses
            growths = batch.system.move(batch)
        for variable, values in truth.items():
            _check_finite(batch, variable, values, NOT_FINITE)
        if growths is None:
            continue
        _check_growths(batch, growths)
        for field, values in zip(LYAPUNOV, (growths / batch.times[-1], growths), strict=True):
            column = f"{batch.name}.{field}"
            measured.setdefault(column, labels.columns[column].copy())[batch.rows] = values
    if table.specification.frames is not None:
        draw_frames(table, labels, truth["position"], arrays["frames"])
    for variable in table.specification.store:
        if variable.endswith(TRUE):
            arrays[variable][:] = arrays[variable.removesuffix(TRUE)]
    _add_noise(table, labels, arrays)
    return measured


def _batches(table: Table[DynamicsTable], labels: Labels, arrays: Arrays) -> Iterator[ClassBatch]:
    """Yield the samples of each class that has some."""
    for code, described in enumerate(table.specification.classes.values()):
        rows = labels.members(code)
        if rows.size:
            yield ClassBatch(table, labels, rows, described.system, arrays)


def _truth(table: DynamicsTable, labels: Labels, arrays: Arrays) -> Arrays:
    """Return the arrays into which motions are written: those that are stored, and the positions that frames need."""
    found = {each: arrays[each] for each in LONG_NAMES if each in arrays}
    if table.frames is not None and "position" not in found:
        shape = len(labels), table.times.count, table.body_count, table.setting.axes
        found["position"] = np.empty(shape)
    if table.is_ragged:
        for values in found.values():
            values[:] = np.nan
    return found


def _check_finite(batch: ClassBatch, variable: str, values: NDArray[np.float64], why: str) -> None:
    """Refuse motions with a value that is not finite, of the bodies that they have."""
    bad = first_infinite(batch.rows, batch.system.body_count, values)
    if bad >= 0:
        raise batch.refusal(bad, why.format(variable=variable), variable=variable)


def _check_growths(batch: ClassBatch, growths: NDArray[np.float64]) -> None:
    """Refuse motions in which small errors have grown too often."""
    limit = batch.table.specification.lyapunov_limit
    far = np.flatnonzero(~(growths <= limit))  # nor is what overflowed a number
    if far.size:
        raise batch.refusal(
            int(far[0]),
            f"its motion lasts {growths[far[0]]:.3g} Lyapunov times, more than the limit of {limit:g}; "
            "shorten it, choose calmer motions, or raise `lyapunov_limit`",
        )


def _add_noise(table: Table[DynamicsTable], labels: Labels, arrays: Arrays) -> None:
    """Add the noise of measurements."""
    noise = table.specification.noise
    key = streams.key_words(table.seed)
    for variable in noise.given if noise is not None else ():
        words = streams.stream_words(table.stream(noise_stream(variable)))
        values, sigmas = arrays[variable], labels.columns[f"noise.{variable}"]
        values = values if values.ndim == 4 else values[..., None]
        for batch in _batches(table, labels, arrays):
            rows, parts = batch.rows, batch.system.body_count
            add_normals(rows, labels.samples[rows], sigmas[rows], parts, *key, *words, values)
            _check_finite(batch, variable, values, NOISE_NOT_FINITE)
