"""From labels to motions: each class by its system, then frames of the true motion, then the noise of measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.dynamics.finite import first_infinite
from deepbench.dynamics.frames import draw_frames
from deepbench.dynamics.model import LONG_NAMES, LYAPUNOV, TRUE, noise_stream
from deepbench.dynamics.noise import add_normals
from deepbench.dynamics.systems.motions import move
from deepbench.dynamics.systems.moved import Moved
from deepbench.errors import LabelError
from deepbench.labelling.scopes import Labels
from deepbench.numerics import streams
from deepbench.numerics.stream_names import stream_number

if TYPE_CHECKING:
    from deepbench.dynamics.model import DynamicsTable
    from deepbench.tables import Table


NOT_FINITE = (
    "its '{variable}' is not finite: a label is too large or too small, float64 ends at 1.8e308, and angles and phases "
    "at 1e12 radian; narrow the priors, or shorten the duration"
)
NOISE_NOT_FINITE = (
    "its '{variable}' is not finite with its noise, as float64 ends at 1.8e308; "
    "narrow the prior of the noise of {variable}"
)


def render(table: Table[DynamicsTable], labels: Labels) -> tuple[dict[str, NDArray], Labels]:
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
    seed, name, specification = table.seed, table.name, table.specification
    arrays: dict[str, NDArray] = {
        each.name: np.empty((len(labels), *each.shape), each.dtype) for each in table.variables
    }
    columns: dict[str, NDArray] = {}
    for start in range(0, len(labels), specification.batch_length):
        rows = slice(start, start + specification.batch_length)
        some = Labels({column: values[rows] for column, values in labels.columns.items()})
        measured = _render_batch(
            seed, name, specification, some, {k: v[rows] for k, v in arrays.items()}
        )
        for column, values in measured.items():
            columns.setdefault(column, labels.columns[column].copy())[rows] = values
    return arrays, labels.with_measured(columns)


def _render_batch(
    seed: int, name: str, table: DynamicsTable, labels: Labels, arrays: dict[str, NDArray]
) -> dict[str, NDArray[np.float64]]:
    """Render some samples into their arrays; return the columns of what was measured."""
    times, truth = table.times.numbers, _truth(table, labels, arrays)
    measured: dict[str, NDArray[np.float64]] = {}
    for code, described in enumerate(table.classes.values()):
        rows = labels.members(code)
        if not rows.size:
            continue
        moved = Moved(name, labels, rows, described.system)
        growths = move(moved, times, truth)
        for variable, values in truth.items():
            _check_finite(moved, variable, values, NOT_FINITE)
        if growths is None:
            continue
        _check_growths(name, table, labels, rows, growths)
        for field, values in zip(LYAPUNOV, (growths / times[-1], growths), strict=True):
            column = f"{described.system.label}.{field}"
            measured.setdefault(column, labels.columns[column].copy())[rows] = values
    if table.frames is not None:
        draw_frames(seed, name, table, labels, truth["position"], arrays["frames"])
    for variable in table.store:
        if variable.endswith(TRUE):
            arrays[variable][:] = arrays[variable.removesuffix(TRUE)]
    _add_noise(seed, name, table, labels, arrays)
    return measured


def _check_finite(moved: Moved, variable: str, values: NDArray[np.float64], why: str) -> None:
    """Refuse motions with a value that is not finite, of the bodies that they have."""
    bad = first_infinite(moved.rows, moved.system.body_count, values)
    if bad >= 0:
        raise moved.refusal(bad, why.format(variable=variable), variable=variable)


def _truth(
    table: DynamicsTable, labels: Labels, arrays: dict[str, NDArray]
) -> dict[str, NDArray[np.float64]]:
    """Return the arrays into which motions are written: those that are stored, and the places that frames need."""
    found = {each: arrays[each] for each in LONG_NAMES if each in arrays}
    if table.frames is not None and "position" not in found:
        shape = len(labels), table.times.count, table.body_count, table.axes
        found["position"] = np.empty(shape)
    if table.is_ragged:
        for values in found.values():
            values[:] = np.nan
    return found


def _check_growths(
    name: str,
    table: DynamicsTable,
    labels: Labels,
    rows: NDArray[np.int64],
    growths: NDArray[np.float64],
) -> None:
    """Refuse motions in which small errors have grown too often."""
    far = np.flatnonzero(~(growths <= table.lyapunov_limit))  # nor is what overflowed a number
    if far.size:
        sample = int(labels.samples[rows[far[0]]])
        raise LabelError(
            f"table '{name}', sample {sample}: its motion lasts {growths[far[0]]:.3g} Lyapunov times, more than "
            f"the limit of {table.lyapunov_limit:g}; shorten it, choose calmer motions, or raise `lyapunov_limit`",
            table=name,
            sample=sample,
        )


def _add_noise(
    seed: int, name: str, table: DynamicsTable, labels: Labels, arrays: dict[str, NDArray]
) -> None:
    """Add the noise of measurements."""
    key = streams.key_words(seed)
    for variable in table.noise.given if table.noise is not None else ():
        words = streams.stream_words(stream_number(f"{name}/{noise_stream(variable)}"))
        values, sigmas = arrays[variable], labels.columns[f"noise.{variable}"]
        values = values if values.ndim == 4 else values[..., None]
        for code, described in enumerate(table.classes.values()):
            rows, parts = labels.members(code), described.system.chosen.body_count
            add_normals(rows, labels.samples[rows], sigmas[rows], parts, *key, *words, values)
            moved = Moved(name, labels, rows, described.system)
            _check_finite(moved, variable, values, NOISE_NOT_FINITE)
