"""From labels to the numbers that kernels read: rows of objects in the order in which they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.shapes.outlines import LIMIT, ROW_SIZE, SHAPES
from deepbench.labelling.objects import ObjectColumns, object_columns

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels

SHARED = ("amplitude", "thickness", "x", "y")
"""Columns of the kernel's rows that all shapes share; the shape's own parameters follow."""


class Order(NamedTuple):
    """Objects in the order in which they are drawn: by sample, written order, copy.

    Attributes
    ----------
    offsets : int64[n + 1]
        Sample i has the objects ``offsets[i]`` … ``offsets[i + 1] - 1``.
    places : int64[m]
        Of each, where it stands among the objects of all sources, one source after another.
    """

    offsets: NDArray[np.int64]
    places: NDArray[np.int64]


def in_order(found: list[ObjectColumns], samples: int) -> Order:
    """Return the objects of sources in the order in which they are drawn."""
    if not found:
        return Order(np.zeros(samples + 1, np.int64), np.zeros(0, np.int64))
    sample = np.concatenate([each.samples for each in found])
    source = np.repeat(np.arange(len(found)), [len(each.samples) for each in found])
    places = np.lexsort((np.concatenate([each.copies for each in found]), source, sample))
    counts = np.bincount(sample, minlength=samples)
    return Order(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), places)


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
    return np.ascontiguousarray(np.concatenate(parts)[order.places])


def check_reach(labels: Labels, offsets: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    """Refuse lengths, places and angles beyond the drawing's limit."""
    far = np.flatnonzero((np.abs(values) > LIMIT).any(axis=1))
    if far.size:
        row = np.searchsorted(offsets, far[0], side="right") - 1
        raise LabelError(
            f"sample {labels.samples[row]}: an object has a length, a place or an angle beyond ±{LIMIT:g}, "
            "which cannot be drawn"
        )


# shapes


class ShapeRows(NamedTuple):
    """Shapes in the order in which they are painted.

    Attributes
    ----------
    offsets : int64[n + 1]
        Of the samples.
    codes : int64[m]
        What each is.
    covers : bool[m]
        Whether it hides what lies below.
    values : float64[m, ROW_SIZE]
        Amplitude, thickness, x, y and its own parameters.
    """

    offsets: NDArray[np.int64]
    codes: NDArray[np.int64]
    covers: NDArray[np.bool_]
    values: NDArray[np.float64]


def shape_rows(table: ImageTable, labels: Labels) -> ShapeRows:
    """Return the shapes of the samples.

    Raises
    ------
    LabelError
        A length, a place or an angle is beyond the drawing's limit.
    """
    found = object_columns(table, labels, lambda entry: entry.is_shape)
    order = in_order(found, len(labels))
    codes, covers, parts = [], [], [np.zeros((0, ROW_SIZE))]
    for each in found:
        shape = SHAPES[each.entry.kind]
        count = len(each.samples)
        codes.append(np.full(count, shape.code))
        covers.append(np.full(count, each.entry.blend == "over"))
        part = np.zeros((count, ROW_SIZE))
        for column, name in enumerate((*SHARED, *shape.parameters)):
            part[:, column] = each.columns.get(name, 0.0)
        parts.append(part)
    values = np.ascontiguousarray(np.concatenate(parts)[order.places])
    check_reach(labels, order.offsets, values[:, 1:])
    return ShapeRows(
        order.offsets,
        np.concatenate([np.zeros(0, np.int64), *codes])[order.places],
        np.concatenate([np.zeros(0, bool), *covers])[order.places],
        values,
    )


# defects


def track_rows(table: ImageTable, labels: Labels, band: int) -> ShapeRows:
    """Return the tracks of cosmic rays as lines, their charge spread over them; raises what ``shape_rows`` does."""
    found = object_columns(table, labels, lambda entry: entry.kind == "cosmic_ray")
    order = in_order(found, len(labels))
    fields = ("charge", "thickness", "x", "y", "length", "angle")
    charge, thickness, x, y, length, angle = table_of(found, order, fields).T
    charge = np.where(_elsewhere(table, found, order, band), 0.0, charge)
    values = np.zeros((len(charge), ROW_SIZE))
    columns = (charge / (length * thickness), thickness, x, y, length, angle)
    values[:, : len(fields)] = np.column_stack(columns)
    check_reach(labels, order.offsets, values[:, 1:])
    line = np.full(len(charge), SHAPES["line"].code)
    return ShapeRows(order.offsets, line, np.zeros(len(charge), bool), values)


def bad_rows(
    table: ImageTable, labels: Labels, band: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the bad pixels: offsets of the samples, and x, y, width, height and level of each block, float64[m, 5].

    Raises what ``shape_rows`` does.
    """
    found = object_columns(table, labels, lambda entry: entry.kind == "bad_pixels")
    order = in_order(found, len(labels))
    values = table_of(found, order, ("x", "y", "width", "height", "level"))
    check_reach(labels, order.offsets, values[:, :4])
    values[_elsewhere(table, found, order, band), 2] = 0.0
    return order.offsets, values


def _elsewhere(
    table: ImageTable, found: list[ObjectColumns], order: Order, band: int
) -> NDArray[np.bool_]:
    """Return which defects are in another band."""
    (bands,) = table_of(found, order, ("band",)).T
    if (bands >= len(table.bands)).any():
        raise LabelError(
            f"the band of a defect is {bands[bands >= len(table.bands)][0]:g}, but there are {len(table.bands)} bands"
        )
    return ~np.isnan(bands) & (bands != band)
