"""From labels to images: the objects in written order, then the PSF, then the steps of the noise.

A frame is a window onto an infinite plane. The objects are drawn on the frame and a margin around it, blurred, and
cropped: light from outside blurs in, and light that blurs out is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepbench import streams
from deepbench.errors import LabelError
from deepbench.images.noise import STEP_VALUES, STEPS, apply_step
from deepbench.images.psf import gaussian_blur, margin
from deepbench.images.shapes import LIMIT, ROW_SIZE, SHAPES, draw_object, work_size
from deepbench.kernels import inline, kernel
from deepbench.recipe.table import names_of
from deepbench.stream_names import stream_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.images.model import ImageTable
    from deepbench.labelling.scopes import Labels

LARGEST = np.finfo(np.float32).max

SHARED = ("amplitude", "thickness", "x", "y")
"""Columns of the kernel's rows that all shapes share; the shape's own parameters follow."""


def render(seed: int, name: str, table: ImageTable, labels: Labels) -> dict[str, NDArray]:
    """Render the images that labels describe.

    Parameters
    ----------
    seed : int
        Seed of the recipe.
    name : str
        Name of the table; part of the names of its streams.
    table : ImageTable
    labels : Labels
        Of n samples.

    Returns
    -------
    dict of str to ndarray
        ``image``: float32, shape (n, y, x).
    """
    offsets, codes, covers, rows = object_rows(table, labels)
    step_codes, step_values, step_words = noise_steps(name, table, labels)
    sigmas = labels.columns["psf.sigma"] if table.psf is not None else np.zeros(len(labels))
    images = np.empty((len(labels), *table.size), np.float32)
    bad = render_images(
        labels.samples,
        offsets,
        codes,
        covers,
        rows,
        np.ascontiguousarray(sigmas, np.float64),
        step_codes,
        step_values,
        step_words,
        np.array(streams.key_words(seed), np.uint32),
        images,
    )
    if bad >= 0:
        raise LabelError(
            f"table '{name}', sample {labels.samples[bad]}: its image is not finite; amplitudes, levels or gain "
            "are too large (float32 ends at 3.4e38, the mean of Poisson noise at 1e15)",
            table=name,
            sample=int(labels.samples[bad]),
        )
    return {"image": images}


def object_rows(
    table: ImageTable, labels: Labels
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return all objects of the samples in the order in which they are drawn.

    Returns
    -------
    offsets : int64[n + 1]
        Sample i has the objects ``offsets[i]`` … ``offsets[i + 1] - 1``.
    codes, covers : int64[m], bool[m]
        Shape of each object, and whether it covers what lies below.
    rows : float64[m, ROW_SIZE]
        Parameters in the order of the kernel.

    Raises
    ------
    LabelError
        A length, a place or an angle is beyond the drawing's limit.
    """
    samples, orders, copies, codes, covers, rows = [], [], [], [], [], []
    for code, described in enumerate(table.classes.values()):
        for order, (name, entry) in enumerate(
            zip(names_of(described.objects), described.objects, strict=True)
        ):
            fields = (*SHARED, *SHAPES[entry.kind].parameters)
            drawn = [field for field in fields if getattr(entry.chosen, field, None) is not None]
            if entry.repeat is None:
                sample = labels.members(code)
                copy = np.zeros(len(sample), np.int64)
                values = {field: labels.columns[f"{name}.{field}"][sample] for field in drawn}
            else:
                chosen, sample = labels.copies(name, code)
                copy = labels.objects["copy"][chosen]
                values = {field: labels.objects[field][chosen] for field in drawn}
            table_rows = np.zeros((len(sample), ROW_SIZE))
            for column, field in enumerate(fields):
                table_rows[:, column] = values.get(field, 0.0)
            samples.append(sample)
            orders.append(np.full(len(sample), order))
            copies.append(copy)
            codes.append(np.full(len(sample), SHAPES[entry.kind].code))
            covers.append(np.full(len(sample), entry.blend == "over"))
            rows.append(table_rows)
    every = np.concatenate(rows)
    sample = np.concatenate(samples)
    far = np.flatnonzero((np.abs(every[:, 1:]) > LIMIT).any(axis=1))
    if far.size:
        number = labels.samples[sample[far[0]]]
        raise LabelError(
            f"sample {number}: an object has a length, a place or an angle beyond ±{LIMIT:g}, "
            "which cannot be drawn"
        )
    sequence = np.lexsort((np.concatenate(copies), np.concatenate(orders), sample))
    counts = np.bincount(sample, minlength=len(labels))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return (
        offsets,
        np.concatenate(codes)[sequence],
        np.concatenate(covers)[sequence],
        np.ascontiguousarray(every[sequence]),
    )


def noise_steps(
    name: str, table: ImageTable, labels: Labels
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint32]]:
    """Return the steps of the noise for the kernel.

    Returns
    -------
    codes : int64[t]
    values : float64[n, t, STEP_VALUES]
    words : uint32[t, 2]
        Words of each step's stream.
    """
    names = names_of(table.noise)
    codes = np.array([STEPS[entry.kind][0] for entry in table.noise], np.int64)
    values = np.zeros((len(labels), len(names), STEP_VALUES))
    for step, (scope, entry) in enumerate(zip(names, table.noise, strict=True)):
        for column, field in enumerate(STEPS[entry.kind][1]):
            values[:, step, column] = labels.columns[f"noise.{scope}.{field}"]
    words = [
        streams.stream_words(stream_number(f"{name}/{stream}")) for stream in table.pixel_streams()
    ]
    return codes, values, np.array(words, np.uint32).reshape(len(names), 2)


@inline
def is_finite(pixels):
    """Return whether all pixels are finite numbers."""
    bad = 0
    for pixel in range(pixels.size):
        bad += 0 if abs(pixels[pixel]) <= LARGEST else 1
    return bad == 0


@kernel
def render_images(
    samples, offsets, codes, covers, rows, sigmas, step_codes, step_values, step_words, key, images
):
    """Render images one after another, each from its own row of labels alone.

    Parameters
    ----------
    samples : int64[n]
        Sample numbers.
    offsets, codes, covers, rows
        As ``object_rows`` returns them.
    sigmas : float64[n]
        Of the Gaussian PSF, in pixels; 0 for none.
    step_codes, step_values, step_words
        As ``noise_steps`` returns them.
    key : uint32[2]
        Words of the seed.
    images : float32[n, y, x]
        Filled.

    Returns
    -------
    int
        The first image with a pixel that is not finite; −1 when there is none.
    """
    count, height, width = images.shape
    widest = margin(sigmas.max()) if count else 0
    plane_height, plane_width = height + 2 * widest, width + 2 * widest
    planes = np.zeros(plane_height * plane_width, np.float32)
    cells = np.zeros(work_size(plane_height, plane_width), np.float64)
    taps = np.empty(widest + 2, np.float32)
    line = np.empty(plane_width, np.float32)
    pixels = np.empty(height * width, np.float32)
    first_bad = -1
    for i in range(count):
        edge = margin(sigmas[i])
        rows_here, columns_here = height + 2 * edge, width + 2 * edge
        plane = planes[: rows_here * columns_here].reshape((rows_here, columns_here))
        bottom, top, left, right = rows_here, 0, columns_here, 0
        for j in range(offsets[i], offsets[i + 1]):
            box = draw_object(
                plane, -float(edge), -float(edge), codes[j], covers[j], rows[j], cells
            )
            bottom, top = min(bottom, box[0]), max(top, box[1])
            left, right = min(left, box[2]), max(right, box[3])
        image = images[i]
        gaussian_blur(plane, (bottom, top, left, right), sigmas[i], image, taps, line)
        for row in range(bottom, top):
            plane[row, left:right] = 0.0
        flat = image.reshape(image.size)
        for step in range(step_codes.size):
            apply_step(
                flat,
                step_codes[step],
                step_values[i, step, 0],
                step_values[i, step, 1],
                samples[i],
                key[0],
                key[1],
                step_words[step, 0],
                step_words[step, 1],
                pixels,
            )
        if first_bad < 0 and not is_finite(flat):
            first_bad = i
    return first_bad
