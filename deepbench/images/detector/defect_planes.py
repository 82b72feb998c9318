"""Defects on images: the charge of cosmic rays, the level of bad pixels, and the bits of both in the mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.detector.defects import BLOCK_ROW, BadPixels, CosmicRay
from deepbench.images.detector.mask import BAD_PIXEL, COSMIC_RAY
from deepbench.images.rows import Order, check_parameters, in_order, joined, table_of
from deepbench.images.shapes.boundaries import SHAPE_ROW
from deepbench.images.shapes.draw import draw_shapes
from deepbench.labelling.objects import ObjectColumns, object_columns
from deepbench.numerics.kernels import kernel

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table


class Defects:
    """Defects of some samples in one band.

    Parameters
    ----------
    table : Table
    labels : Labels
    band : int
        Number of the band.

    Raises
    ------
    LabelError
        A defect is in a band that there is not, or beyond the drawing's limit.
    """

    def __init__(self, table: Table[ImageTable], labels: Labels, band: int) -> None:
        found, order = _defects(table, labels, CosmicRay)
        tracks = joined([each.entry.chosen.rows(each.columns) for each in found], order, SHAPE_ROW)
        tracks["amplitude"][_elsewhere(table, labels, found, order, band)] = 0.0
        self._track_offsets, self._tracks = order.offsets, tracks
        found, order = _defects(table, labels, BadPixels)
        blocks = joined([each.entry.chosen.rows(each.columns) for each in found], order, BLOCK_ROW)
        blocks["width"][_elsewhere(table, labels, found, order, band)] = 0.0
        self._block_offsets, self._blocks = order.offsets, blocks

    def charge(self, rows: slice, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the charge that cosmic rays leave in images of this shape, float32[n, y, x]."""
        charges = np.empty(shape, np.float32)
        offsets = self._track_offsets[rows.start : rows.stop + 1]
        draw_shapes(offsets, self._tracks, np.zeros(shape[0]), charges)
        return charges

    def mark(
        self,
        rows: slice,
        charges: NDArray[np.float32],
        images: NDArray[np.float32],
        masks: NDArray[np.uint8],
    ) -> None:
        """Write what is read of bad pixels, and add the bits of all defects to the masks."""
        masks[charges > 0.0] |= COSMIC_RAY
        offsets = self._block_offsets[rows.start : rows.stop + 1]
        if offsets[0] < offsets[-1]:
            mark_blocks(offsets, self._blocks, images, masks)


def _defects(
    table: Table[ImageTable], labels: Labels, kind: type[CosmicRay | BadPixels]
) -> tuple[list[ObjectColumns], Order]:
    """Return where the values of one kind of defects are, and their order."""
    found = object_columns(table.plan, labels, lambda entry: isinstance(entry.chosen, kind))
    order = in_order(found, len(labels))
    check_parameters(table, labels, found, order)
    return found, order


def _elsewhere(
    table: Table[ImageTable], labels: Labels, found: list[ObjectColumns], order: Order, band: int
) -> NDArray[np.bool_]:
    """Return which defects are in another band."""
    (bands,) = table_of(found, order, ("band",)).T
    count = len(table.specification.bands)
    wrong = np.flatnonzero(bands >= count)
    if wrong.size:
        row = np.searchsorted(order.offsets, wrong[0], side="right") - 1
        raise LabelError.of_sample(
            table.name,
            labels.samples[row],
            f"the band of a defect is {bands[wrong[0]]:g}, but there are {count} bands",
        )
    return ~np.isnan(bands) & (bands != band)


@kernel
def mark_blocks(offsets, blocks, images, masks):
    """Write the level of bad pixels, and add their bit to the masks.

    Parameters
    ----------
    offsets : int64[n + 1]
        Image i has the blocks ``offsets[i]`` … ``offsets[i + 1] - 1``.
    blocks : BLOCK_ROW[m]
    images, masks : float32[n, y, x], uint8[n, y, x]
        Changed.
    """
    count, ny, nx = images.shape
    for i in range(count):
        for j in range(offsets[i], offsets[i + 1]):
            block = blocks[j]
            level = block.level
            left, bottom = np.floor(block.x + 0.5), np.floor(block.y + 0.5)
            right, top = min(left + block.width, nx), min(bottom + block.height, ny)
            for y in range(int(max(bottom, 0.0)), int(top)):
                for x in range(int(max(left, 0.0)), int(right)):
                    images[i, y, x] = level
                    masks[i, y, x] |= BAD_PIXEL
