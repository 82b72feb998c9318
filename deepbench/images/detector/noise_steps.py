"""The steps of the noise of an image: a background, photon noise, and normal noise, white or smooth.

Each step has a kernel of its own, so that a recipe's first build compiles the steps that it has. All take the arguments
of ``add_background``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.detector.noise import CODES, NOISE_ROW, noise_streams
from deepbench.images.shapes.gaussian_blur import gaussian_blur, margin
from deepbench.language.one_of import names_of
from deepbench.numerics import streams
from deepbench.numerics.kernels import kernel
from deepbench.numerics.poisson import POISSON_TILE, fill_poissons
from deepbench.numerics.streams import fill_normals

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table

BACKGROUND, POISSON = CODES["background"], CODES["poisson"]


@kernel
def add_background(images, rows, samples, key, words):
    """Add a constant level to each image.

    Parameters
    ----------
    images : float32[n, y, x]
        Changed.
    rows : NOISE_ROW[n]
    samples : int64[n]
        Sample numbers.
    key, words : uint32[2]
        Words of the seed, and of the step's stream.
    """
    for i in range(len(images)):
        image, level = images[i].reshape(images[i].size), rows[i].level
        for pixel in range(image.size):
            image[pixel] += level


@kernel
def add_gaussian(images, rows, samples, key, words):
    """Add independent normal noise to images; see ``add_background``."""
    count, height, width = images.shape
    normals = np.empty(height * width, np.float32)
    for i in range(count):
        image, sigma = images[i].reshape(height * width), rows[i].sigma
        fill_normals(normals, samples[i], key[0], key[1], words[0], words[1])
        for pixel in range(image.size):
            image[pixel] += sigma * normals[pixel]


@kernel
def count_photons(images, rows, samples, key, words):
    """Replace images by counted photons; see ``add_background`` and ``PoissonNoise``."""
    count, height, width = images.shape
    means, counts = np.empty(POISSON_TILE), np.empty(POISSON_TILE)
    for i in range(count):
        image = images[i].reshape(height * width)
        gain, background = rows[i].gain, rows[i].background
        inverse = 1.0 / gain
        for start in range(0, image.size, POISSON_TILE):
            tile = image[start : start + POISSON_TILE]
            for e in range(tile.size):
                means[e] = gain * (tile[e] + background)
            counter = start, samples[i], key[0], key[1], words[0], words[1]
            fill_poissons(counts[: tile.size], means[: tile.size], *counter)
            for e in range(tile.size):
                tile[e] = counts[e] * inverse - background


@kernel
def add_correlated(images, rows, samples, key, words):
    """Add normal noise that was white and then smoothed with a Gaussian; see ``add_background``."""
    count, height, width = images.shape
    smooth = np.empty((height, width), np.float32)
    for i in range(count):
        image, sigma, length = images[i], rows[i].sigma, rows[i].length
        edge = margin(length)
        plane = np.empty((height + 2 * edge, width + 2 * edge), np.float32)
        normals = plane.reshape(plane.size)
        fill_normals(normals, samples[i], key[0], key[1], words[0], words[1])
        taps, line = np.empty(edge + 2, np.float32), np.empty(width + 2 * edge, np.float32)
        gaussian_blur(plane, (0, plane.shape[0], 0, plane.shape[1]), length, smooth, taps, line)
        power = np.float64(taps[0]) * taps[0]
        for tap in range(1, edge + 1):
            power += 2.0 * np.float64(taps[tap]) * taps[tap]
        factor = np.float32(sigma / power)  # the root of the sum of the squares of both axes
        for row in range(height):
            for column in range(width):
                image[row, column] += factor * smooth[row, column]


STEPS = {
    "background": add_background,
    "poisson": count_photons,
    "gaussian": add_gaussian,
    "correlated": add_correlated,
}
"""Kernels of the steps by the name that a recipe has for them."""


@kernel
def expect_step(images, variances, code, rows):
    """Apply one step to images without noise: their level changes, and the variance of the noise grows.

    Parameters
    ----------
    images, variances : float32[n, y, x]
        Changed.
    code : int
        Number of the step; correlated noise adds as much to the variance as Gaussian noise.
    rows : NOISE_ROW[n]
    """
    count, height, width = images.shape
    for i in range(count):
        image, variance = images[i].reshape(height * width), variances[i].reshape(height * width)
        row = rows[i]
        level, sigma, gain, background = row.level, row.sigma, row.gain, row.background
        for pixel in range(image.size):
            if code == BACKGROUND:
                image[pixel] += level
            elif code == POISSON:
                variance[pixel] += max(image[pixel] + background, 0.0) / gain
            else:
                variance[pixel] += sigma * sigma


def key_of(table: Table[Any]) -> NDArray[np.uint32]:
    """Return the words of the seed of a table's recipe, uint32[2]."""
    return np.array(streams.key_words(table.seed), np.uint32)


def words_of(table: Table[Any], names: Sequence[str]) -> NDArray[np.uint32]:
    """Return the words of streams of a table, uint32[t, 2]."""
    words = [streams.stream_words(table.stream(name)) for name in names]
    return np.array(words, np.uint32).reshape(len(names), 2)


class Step(NamedTuple):
    """One step for some samples.

    Attributes
    ----------
    kind : str
        Its name in ``STEPS``.
    rows : NOISE_ROW[n]
    words : uint32[2]
        Words of its stream.
    """

    kind: str
    rows: NDArray[np.void]
    words: NDArray[np.uint32]


class Steps:
    """The steps of a table's noise for some samples.

    Parameters
    ----------
    table : Table
    labels : Labels
    """

    def __init__(self, table: Table[ImageTable], labels: Labels) -> None:
        steps = table.specification.noise
        self._samples, self._key = labels.samples, key_of(table)
        self._steps: list[Step] = []
        words = words_of(table, noise_streams(steps))
        for name, entry, own in zip(names_of(steps), steps, words, strict=True):
            rows = np.zeros(len(labels), NOISE_ROW)
            for field in type(entry.chosen).model_fields:
                rows[field] = labels.columns[f"noise.{name}.{field}"]
            self._steps.append(Step(entry.kind, rows, own))

    def variance(
        self, rows: slice, images: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the variance of the noise of images, and of images without light."""
        levels, variances = images.copy(), np.zeros_like(images)
        dark = np.zeros((len(images), 1, 1), np.float32), np.zeros((len(images), 1, 1), np.float32)
        for step in self._steps:
            for planes in ((levels, variances), dark):
                expect_step(*planes, CODES[step.kind], step.rows[rows])
        return variances, dark[1][:, 0, 0].astype(np.float64)

    def apply(
        self,
        rows: slice,
        images: NDArray[np.float32],
        planes: dict[str, NDArray],
        charges: NDArray[np.float32] | None = None,
    ) -> None:
        """Add the noise to images; see ``Detector.apply``: of the planes, ``image_true`` is written."""
        if "image_true" in planes:
            planes["image_true"][:] = images
            levels = planes["image_true"], np.zeros_like(images)
            for step in self._steps:
                expect_step(*levels, CODES[step.kind], step.rows[rows])
        for step in self._steps:
            some = step.rows[rows], self._samples[rows]
            STEPS[step.kind](images, *some, self._key, step.words)
        if charges is not None:
            images += charges
