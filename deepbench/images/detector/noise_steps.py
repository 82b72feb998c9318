"""The steps of the noise of an image: a background, photon noise, and normal noise, white or smooth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.images.shapes.gaussian_blur import gaussian_blur, margin
from deepbench.language.one_of import names_of
from deepbench.numerics import streams
from deepbench.numerics.kernels import kernel
from deepbench.numerics.poisson import POISSON_TILE, fill_poissons
from deepbench.numerics.stream_names import stream_number
from deepbench.numerics.streams import fill_normals

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels

BACKGROUND, GAUSSIAN, POISSON, CORRELATED = 0, 1, 2, 3

STEPS: dict[str, tuple[int, tuple[str, ...]]] = {
    "background": (BACKGROUND, ("level",)),
    "correlated": (CORRELATED, ("sigma", "length")),
    "gaussian": (GAUSSIAN, ("sigma",)),
    "poisson": (POISSON, ("gain", "background")),
}
"""Code of each step, and its values in the order in which the kernel takes them."""

STEP_VALUES = 2
"""Values per step in the kernel's table."""


@kernel
def apply_step(image, code, first, second, sample, key0, key1, word2, word3, work):
    """Apply one step to an image in place.

    Parameters
    ----------
    image : float32[pixels]
    code : int
    first, second : float
        The step's values: (level, –), (sigma, –) or (gain, background).
    sample : int
        Sample number.
    key0, key1, word2, word3 : uint32
        Key of the seed and words of the step's stream.
    work : float32[pixels]
        Overwritten.
    """
    pixels = image.size
    if code == BACKGROUND:
        for pixel in range(pixels):
            image[pixel] += first
    elif code == GAUSSIAN:
        fill_normals(work, sample, key0, key1, word2, word3)
        for pixel in range(pixels):
            image[pixel] += first * work[pixel]
    else:
        means, counts = np.empty(POISSON_TILE), np.empty(POISSON_TILE)
        inverse = 1.0 / first
        for start in range(0, pixels, POISSON_TILE):
            tile = image[start : start + POISSON_TILE]
            for e in range(tile.size):
                means[e] = first * (tile[e] + second)
            place = start, sample, key0, key1, word2, word3
            fill_poissons(counts[: tile.size], means[: tile.size], *place)
            for e in range(tile.size):
                tile[e] = counts[e] * inverse - second


@kernel
def expect_step(image, variance, code, first, second):
    """Apply one step to an image without noise: its level changes, and the variance of the noise grows.

    Parameters
    ----------
    image, variance : float32[pixels]
        Changed.
    code, first, second
        As for ``apply_step``.
    """
    for pixel in range(image.size):
        if code == BACKGROUND:
            image[pixel] += first
        elif code == POISSON:
            variance[pixel] += max(image[pixel] + second, 0.0) / first
        else:
            variance[pixel] += first * first


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
def apply_steps(samples, codes, values, words, key, images):
    """Apply steps to images.

    Parameters
    ----------
    samples : int64[n]
        Sample numbers.
    codes : int64[t]
    values : float64[n, t, STEP_VALUES]
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
            code, first, second = codes[step], values[i, step, 0], values[i, step, 1]
            stream = key[0], key[1], words[step, 0], words[step, 1]
            if code == CORRELATED:
                add_correlated(images[i], first, second, samples[i], *stream)
            else:
                apply_step(flat, code, first, second, samples[i], *stream, pixels)


@kernel
def expect_steps(codes, values, images, variances):
    """Apply steps to images without noise; the arguments are as for ``apply_steps``."""
    count, height, width = images.shape
    for i in range(count):
        image, variance = images[i].reshape(height * width), variances[i].reshape(height * width)
        for step in range(codes.size):
            expect_step(image, variance, codes[step], values[i, step, 0], values[i, step, 1])


class Steps:
    """The steps of a table's noise for some samples.

    Parameters
    ----------
    seed : int
    name : str
        Of the table.
    table : ImageTable
    labels : Labels
    """

    def __init__(self, seed: int, name: str, table: ImageTable, labels: Labels) -> None:
        names = names_of(table.noise)
        self._samples = labels.samples
        self._codes = np.array([STEPS[entry.kind][0] for entry in table.noise], np.int64)
        self._values = np.zeros((len(labels), len(names), STEP_VALUES))
        for step, (scope, entry) in enumerate(zip(names, table.noise, strict=True)):
            for column, field in enumerate(STEPS[entry.kind][1]):
                self._values[:, step, column] = labels.columns[f"noise.{scope}.{field}"]
        words = [
            streams.stream_words(stream_number(f"{name}/{stream}"))
            for stream in table.pixel_streams()[: len(names)]
        ]
        self._words = np.array(words, np.uint32).reshape(len(names), 2)
        self._key = np.array(streams.key_words(seed), np.uint32)

    def variance(
        self, rows: slice, images: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the variance of the noise of images, and of images without light."""
        levels, variances = images.copy(), np.zeros_like(images)
        expect_steps(self._codes, self._values[rows], levels, variances)
        dark = np.zeros((len(images), 1, 1), np.float32), np.zeros((len(images), 1, 1), np.float32)
        expect_steps(self._codes, self._values[rows], *dark)
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
            Of the samples.
        images : float32[n, y, x]
            Changed.
        planes : dict of str to ndarray
            ``image_true``: written.
        charges : float32[n, y, x], optional
            What is added at last.
        """
        values = self._values[rows]
        if "image_true" in planes:
            planes["image_true"][:] = images
            expect_steps(self._codes, values, planes["image_true"], np.zeros_like(images))
        samples = self._samples[rows]
        apply_steps(samples, self._codes, values, self._words, self._key, images)
        if charges is not None:
            images += charges
