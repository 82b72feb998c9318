"""Defects: tracks of cosmic rays and bad pixels, which are in an image but not in the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.images.rows import bad_rows, track_rows
from deepbench.images.shapes.draw import draw_shapes
from deepbench.numerics.kernels import kernel

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels

COSMIC_RAY, BAD = 2, 4
"""Bits of the mask."""


class Defects:
    """The defects of some samples in a band, given by its number."""

    def __init__(self, table: ImageTable, labels: Labels, band: int) -> None:
        self._tracks = track_rows(table, labels, band)
        self._offsets, self._blocks = bad_rows(table, labels, band)

    def charge(self, rows: slice, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the charge that cosmic rays leave in images of this shape, float32[n, y, x]."""
        charges = np.empty(shape, np.float32)
        edges = slice(rows.start, rows.stop + 1)
        draw_shapes(self._tracks.offsets[edges], *self._tracks[1:], np.zeros(shape[0]), charges)
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
        mark_blocks(self._offsets[rows.start : rows.stop + 1], self._blocks, images, masks)


@kernel
def mark_blocks(offsets, blocks, images, masks):
    """Write the level of bad pixels, and add their bit to the masks.

    Parameters
    ----------
    offsets, blocks
        As ``bad_rows`` returns them.
    images, masks : float32[n, y, x], uint8[n, y, x]
        Changed.
    """
    count, ny, nx = images.shape
    for i in range(count):
        for j in range(offsets[i], offsets[i + 1]):
            left, bottom = np.floor(blocks[j, 0] + 0.5), np.floor(blocks[j, 1] + 0.5)
            right, top = min(left + blocks[j, 2], nx), min(bottom + blocks[j, 3], ny)
            for y in range(int(max(bottom, 0.0)), int(top)):
                for x in range(int(max(left, 0.0)), int(right)):
                    images[i, y, x] = blocks[j, 4]
                    masks[i, y, x] |= BAD
