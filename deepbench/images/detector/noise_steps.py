"""The steps of the noise of an image: a background, photon noise, and normal noise, white or smooth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
GAUSSIAN, CORRELATED = CODES["gaussian"], CODES["correlated"]


@kernel
def apply_step(image, code, row, sample, key0, key1, word2, word3, work):
    """Apply one step to an image in place.

    Parameters
    ----------
    image : float32[pixels]
    code : int
        Number of the step: background, Gaussian or Poisson.
    row : NOISE_ROW
    sample : int
        Sample number.
    key0, key1, word2, word3 : uint32
        Key of the seed and words of the step's stream.
    work : float32[pixels]
        Overwritten.
    """
    pixels = image.size
    if code == BACKGROUND:
        level = row.level
        for pixel in range(pixels):
            image[pixel] += level
    elif code == GAUSSIAN:
        sigma = row.sigma
        fill_normals(work, sample, key0, key1, word2, word3)
        for pixel in range(pixels):
            image[pixel] += sigma * work[pixel]
    else:
        gain, background = row.gain, row.background
        means, counts = np.empty(POISSON_TILE), np.empty(POISSON_TILE)
        inverse = 1.0 / gain
        for start in range(0, pixels, POISSON_TILE):
            tile = image[start : start + POISSON_TILE]
            for e in range(tile.size):
                means[e] = gain * (tile[e] + background)
            counter = start, sample, key0, key1, word2, word3
            fill_poissons(counts[: tile.size], means[: tile.size], *counter)
            for e in range(tile.size):
                tile[e] = counts[e] * inverse - background


@kernel
def expect_step(image, variance, code, row):
    """Apply one step to an image without noise: its level changes, and the variance of the noise grows.

    Parameters
    ----------
    image, variance : float32[pixels]
        Changed.
    code, row
        As for ``apply_step``; correlated noise adds as much to the variance as Gaussian noise.
    """
    level, sigma, gain, background = row.level, row.sigma, row.gain, row.background
    for pixel in range(image.size):
        if code == BACKGROUND:
            image[pixel] += level
        elif code == POISSON:
            variance[pixel] += max(image[pixel] + background, 0.0) / gain
        else:
            variance[pixel] += sigma * sigma


@kernel
def add_correlated(image, sigma, length, sample, key0, key1, word2, word3):
    """Add normal noise that was white and then smoothed with a Gaussian.

    Parameters
    ----------
    image : float32[y, x]
        Changed.
    sigma, length : float
        Standard deviations of the noise, and of the Gaussian in pixels.
    sample, key0, key1, word2, word3
        As for ``apply_step``.
    """
    edge = margin(length)
    height, width = image.shape
    plane = np.empty((height + 2 * edge, width + 2 * edge), np.float32)
    fill_normals(plane.reshape(plane.size), sample, key0, key1, word2, word3)
    taps, line = np.empty(edge + 2, np.float32), np.empty(width + 2 * edge, np.float32)
    smooth = np.empty_like(image)
    gaussian_blur(plane, (0, plane.shape[0], 0, plane.shape[1]), length, smooth, taps, line)
    power = np.float64(taps[0]) * taps[0]
    for tap in range(1, edge + 1):
        power += 2.0 * np.float64(taps[tap]) * taps[tap]
    factor = np.float32(sigma / power)  # the root of the sum of the squares of both axes
    for row in range(height):
        for column in range(width):
            image[row, column] += factor * smooth[row, column]


@kernel
def apply_steps(samples, codes, rows, words, key, images):
    """Apply steps to images.

    Parameters
    ----------
    samples : int64[n]
        Sample numbers.
    codes : int64[t]
        Numbers of the steps.
    rows : NOISE_ROW[n, t]
    words : uint32[t, 2]
        Words of each step's stream.
    key : uint32[2]
        Words of the seed.
    images : float32[n, y, x]
        Changed.
    """
    count, height, width = images.shape
    pixels = np.empty(height * width, np.float32)
    for i in range(count):
        flat = images[i].reshape(height * width)
        for step in range(codes.size):
            code, row = codes[step], rows[i, step]
            stream = key[0], key[1], words[step, 0], words[step, 1]
            if code == CORRELATED:
                add_correlated(images[i], row.sigma, row.length, samples[i], *stream)
            else:
                apply_step(flat, code, row, samples[i], *stream, pixels)


@kernel
def expect_steps(codes, rows, images, variances):
    """Apply steps to images without noise; the arguments are as for ``apply_steps``."""
    count, height, width = images.shape
    for i in range(count):
        image, variance = images[i].reshape(height * width), variances[i].reshape(height * width)
        for step in range(codes.size):
            expect_step(image, variance, codes[step], rows[i, step])


def key_of(table: Table[Any]) -> NDArray[np.uint32]:
    """Return the words of the seed of a table's recipe, uint32[2]."""
    return np.array(streams.key_words(table.seed), np.uint32)


def words_of(table: Table[Any], names: Sequence[str]) -> NDArray[np.uint32]:
    """Return the words of streams of a table, uint32[t, 2]."""
    words = [streams.stream_words(table.stream(name)) for name in names]
    return np.array(words, np.uint32).reshape(len(names), 2)


class Steps:
    """The steps of a table's noise for some samples.

    Parameters
    ----------
    table : Table
    labels : Labels
    """

    def __init__(self, table: Table[ImageTable], labels: Labels) -> None:
        steps = table.specification.noise
        self._samples = labels.samples
        self._codes = np.array([CODES[entry.kind] for entry in steps], np.int64)
        self._rows = np.zeros((len(labels), len(steps)), NOISE_ROW)
        for step, (name, entry) in enumerate(zip(names_of(steps), steps, strict=True)):
            for field in type(entry.chosen).model_fields:
                self._rows[field][:, step] = labels.columns[f"noise.{name}.{field}"]
        self._words = words_of(table, noise_streams(steps))
        self._key = key_of(table)

    def variance(
        self, rows: slice, images: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the variance of the noise of images, and of images without light."""
        levels, variances = images.copy(), np.zeros_like(images)
        expect_steps(self._codes, self._rows[rows], levels, variances)
        dark = np.zeros((len(images), 1, 1), np.float32), np.zeros((len(images), 1, 1), np.float32)
        expect_steps(self._codes, self._rows[rows], *dark)
        return variances, dark[1][:, 0, 0].astype(np.float64)

    def apply(
        self,
        rows: slice,
        images: NDArray[np.float32],
        planes: dict[str, NDArray],
        charges: NDArray[np.float32] | None = None,
    ) -> None:
        """Add the noise to images, and write what is stored beside them.

        Parameters
        ----------
        rows : slice
            Rows of the samples.
        images : float32[n, y, x]
            Changed.
        planes : dict of str to ndarray
            ``image_true``: written.
        charges : float32[n, y, x], optional
            What is added at last.
        """
        steps = self._rows[rows]
        if "image_true" in planes:
            planes["image_true"][:] = images
            expect_steps(self._codes, steps, planes["image_true"], np.zeros_like(images))
        samples = self._samples[rows]
        apply_steps(samples, self._codes, steps, self._words, self._key, images)
        if charges is not None:
            images += charges
