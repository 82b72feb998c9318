"""Shapes on images: drawn in written order on a plane with a margin, blurred, cropped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepbench.images.shapes.gaussian_blur import gaussian_blur, margin
from deepbench.images.shapes.outlines import draw_object, work_size
from deepbench.numerics.kernels import kernel


def draw_shapes(
    offsets: NDArray[np.int64],
    rows: NDArray[np.void],
    sigmas: NDArray[np.float64],
    images: NDArray[np.float32],
) -> None:
    """Draw the shapes of images, blurred, each image from its own rows alone.

    Parameters
    ----------
    offsets : int64[n + 1]
        Image i has the shapes ``offsets[i]`` … ``offsets[i + 1] - 1``.
    rows : SHAPE_ROW[m]
        Shapes, in the order in which they are drawn.
    sigmas : float64[n]
        Standard deviations of the Gaussian PSFs (pixel); 0 for none.
    images : float32[n, y, x]
        Every pixel is written.
    """
    if offsets[0] == offsets[-1]:
        images[:] = 0.0
    else:
        _draw(offsets, rows, sigmas, images)


@kernel
def _draw(offsets, rows, sigmas, images):
    count, height, width = images.shape
    widest = margin(sigmas.max()) if count else 0
    plane_height, plane_width = height + 2 * widest, width + 2 * widest
    planes = np.zeros(plane_height * plane_width, np.float32)
    cells = np.zeros(work_size(plane_height, plane_width), np.float64)
    taps = np.empty(widest + 2, np.float32)
    line = np.empty(plane_width, np.float32)
    for i in range(count):
        edge = margin(sigmas[i])
        rows_here, columns_here = height + 2 * edge, width + 2 * edge
        plane = planes[: rows_here * columns_here].reshape((rows_here, columns_here))
        zero = np.int64(
            0
        )  # a literal would have the blur compiled once more, for a box that has it
        bottom, top, left, right = rows_here, zero, columns_here, zero
        for j in range(offsets[i], offsets[i + 1]):
            box = draw_object(plane, -float(edge), -float(edge), rows[j], cells)
            bottom, top = min(bottom, box[0]), max(top, box[1])
            left, right = min(left, box[2]), max(right, box[3])
        gaussian_blur(plane, (bottom, top, left, right), sigmas[i], images[i], taps, line)
        for row in range(bottom, top):
            plane[row, left:right] = 0.0
