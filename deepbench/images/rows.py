"""From labels to the numbers that kernels read: rows of objects in the order in which they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.shapes.boundaries import LIMIT, SHAPE_ROW
from deepbench.labelling.objects import ObjectColumns, object_columns
from deepbench.language.specification import parameters_of

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table


class Order(NamedTuple):
    """Objects in the order in which they are drawn: by sample, written order, copy.

    Attributes
    ----------
    offsets : int64[n + 1]
        Sample i has the objects ``offsets[i]`` … ``offsets[i + 1] - 1``.
    sequence : int64[m]
        Number of each among the objects of all sources, one source after another.
    """

    offsets: NDArray[np.int64]
    sequence: NDArray[np.int64]


def in_order(found: list[ObjectColumns], samples: int) -> Order:
    """Return the objects of sources in the order in which they are drawn."""
    if not found:
        return Order(np.zeros(samples + 1, np.int64), np.zeros(0, np.int64))
    sample = np.concatenate([each.samples for each in found])
    source = np.repeat(np.arange(len(found)), [len(each.samples) for each in found])
    sequence = np.lexsort((np.concatenate([each.copies for each in found]), source, sample))
    counts = np.bincount(sample, minlength=samples)
    return Order(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), sequence)


def ranks_of(found: list[ObjectColumns], order: Order) -> list[NDArray[np.int64]]:
    """Return, for each source, the ranks of its objects in the order in which they are drawn, int64[k]."""
    rank = np.empty(len(order.sequence), np.int64)
    rank[order.sequence] = np.arange(len(rank))
    return np.split(rank, np.cumsum([len(each.samples) for each in found])[:-1]) if found else []


def table_of(
    found: list[ObjectColumns], order: Order, fields: tuple[str, ...], absent: float = np.nan
) -> NDArray[np.float64]:
    """Return fields of objects as float64[m, fields], in the order in which they are drawn."""
    parts = []
    for each in found:
        part = np.full((len(each.samples), len(fields)), absent)
        for column, name in enumerate(fields):
            if name in each.columns:
                part[:, column] = each.columns[name]
        parts.append(part)
    if not parts:
        return np.zeros((0, len(fields)))
    return np.ascontiguousarray(np.concatenate(parts)[order.sequence])


def joined(parts: list[NDArray[np.void]], order: Order, row: np.dtype[np.void]) -> NDArray[np.void]:
    """Return the rows of the objects of all sources in the order in which they are drawn.

    Parameters
    ----------
    parts : list of row[k]
        Rows of each source.
    order : Order
    row : dtype
        Type of a row.
    """
    plain = np.dtype((np.void, row.itemsize))  # numpy moves rows without fields as a whole
    together = np.concatenate([part.view(plain) for part in (np.zeros(0, row), *parts)])
    return together[order.sequence].view(row)


def check_reach(
    table: Table[ImageTable], labels: Labels, order: Order, values: NDArray[np.float64]
) -> None:
    """Refuse objects with a value beyond the drawing's limit.

    Parameters
    ----------
    table : Table
    labels : Labels
    order : Order
    values : float64[m, v]
        Lengths, positions and angles of each object, in pixels and degrees.

    Raises
    ------
    LabelError
    """
    _refuse_far(table, labels, order, np.any(np.abs(values) > LIMIT, axis=1))


def check_parameters(
    table: Table[ImageTable], labels: Labels, found: list[ObjectColumns], order: Order
) -> None:
    """Refuse objects with a parameter in pixels or degrees that is beyond the drawing's limit.

    Raises
    ------
    LabelError
    """
    parts = [np.zeros(0, bool)]
    for each in found:
        parameters = parameters_of(type(each.entry.chosen))
        far = np.zeros(len(each.samples), bool)
        for name, values in each.columns.items():
            if parameters[name].unit in ("pixel", "degree"):
                far |= np.abs(values) > LIMIT
        parts.append(far)
    _refuse_far(table, labels, order, np.concatenate(parts)[order.sequence])


def _refuse_far(
    table: Table[ImageTable], labels: Labels, order: Order, far: NDArray[np.bool_]
) -> None:
    """Refuse the first object that is too far away or too large, if there is one."""
    if far.any():
        row = np.searchsorted(order.offsets, np.argmax(far), side="right") - 1
        raise LabelError.of_sample(
            table.name,
            labels.samples[row],
            f"an object has a length, a position or an angle beyond ±{LIMIT:g}, which cannot be drawn",
        )


class ShapeRows(NamedTuple):
    """Shapes in the order in which they are painted.

    Attributes
    ----------
    offsets : int64[n + 1]
        Sample i has the shapes ``offsets[i]`` … ``offsets[i + 1] - 1``.
    rows : SHAPE_ROW[m]
    sources : list of (ObjectColumns, SHAPE_ROW[k])
        The shapes of each entry of a class, and their rows.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.void]
    sources: list[tuple[ObjectColumns, NDArray[np.void]]]


def shape_rows(table: Table[ImageTable], labels: Labels) -> ShapeRows:
    """Return the shapes of the samples.

    Raises
    ------
    LabelError
        A length, a position or an angle is beyond the drawing's limit.
    """
    found = object_columns(table.plan, labels, lambda entry: entry.is_shape)
    order = in_order(found, len(labels))
    check_parameters(table, labels, found, order)
    parts = [
        each.entry.chosen.rows(each.columns, covers=each.entry.blend == "over") for each in found
    ]
    sources = list(zip(found, parts, strict=True))
    return ShapeRows(order.offsets, joined(parts, order, SHAPE_ROW), sources)
