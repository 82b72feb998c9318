"""A detector: from the light on a pixel to what is read, in the order in which it happens.

(light + sky + dark current) × time → Poisson → charge of cosmic rays, noise of reading → full well → counts.

Exposures are added up: they have the Poisson noise of their sum, √N times the noise of reading, and N full wells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.images.detector.noise_steps import Steps
from deepbench.images.model.instruments import MAGNITUDE, band_streams
from deepbench.numerics import streams
from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast import exp
from deepbench.numerics.poisson import POISSON_TILE, fill_poissons
from deepbench.numerics.stream_names import stream_number
from deepbench.numerics.streams import fill_normals

if TYPE_CHECKING:
    from deepbench.images.model.instruments import Instrument
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels

COLUMNS = ("time", "background", "read_variance", "full_well", "scale", "offset", "rounded")
"""Of an exposure: seconds; electrons of sky and dark current in a pixel; electrons²; electrons; what is read is
electrons × scale + offset, rounded to a whole number where the last column is 1."""

SATURATED = 1
"""Bit of the mask."""


def exposure_rows(
    instrument: Instrument, band: str, columns: dict[str, NDArray]
) -> NDArray[np.float64]:
    """Return the exposures of a band, float64[n, 7], as ``COLUMNS`` says.

    Parameters
    ----------
    instrument : Instrument
    band : str
    columns : dict of str to ndarray
        Labels of the samples.
    """

    def label(name: str) -> NDArray[np.float64]:
        return columns[f"instrument.{band}.{name}"]

    exposures = label("exposures")
    time = label("exposure_time") * exposures
    sky = exp(MAGNITUDE * (label("sky_brightness") - label("zero_point")))
    rate = sky * instrument.pixel_scale**2 + label("dark_current")
    background = rate * time
    units = {"electron": np.ones_like(time), "adu": 1.0 / label("gain"), "flux": 1.0 / time}
    scale = units[instrument.unit]
    offset = label("bias") if instrument.unit == "adu" else np.zeros_like(time)
    kept = instrument.background == "kept"
    if not kept:
        offset = -background * scale
    rounded = np.full_like(time, instrument.unit == "adu" and kept)
    read_variance = label("read_noise") ** 2 * exposures
    full = label("full_well") * exposures
    return np.column_stack([time, background, read_variance, full, scale, offset, rounded])


@kernel
def expose(rows, samples, key, photons, reading, charges, images, variances, masks):
    """Take images.

    Parameters
    ----------
    rows : float64[n, 7]
        As ``COLUMNS`` says.
    samples : int64[n]
        Sample numbers.
    key, photons, reading : uint32[2]
        Words of the seed and of the streams of the photons and of the noise of reading.
    charges : float32[n, y, x]
        Electrons that did not come as light.
    images : float32[n, y, x]
        Electrons per second; what is read afterwards.
    variances : float32[n, y, x]
        Of the noise, estimated from what is read; written.
    masks : uint8[n, y, x]
        ``SATURATED`` is added where a pixel is full.
    """
    count, height, width = images.shape
    normals = np.empty(height * width, np.float32)
    means, counts = np.empty(POISSON_TILE), np.empty(POISSON_TILE)
    for i in range(count):
        image, mask = images[i].reshape(height * width), masks[i].reshape(height * width)
        variance, charge = variances[i].reshape(height * width), charges[i].reshape(height * width)
        time, background, read_variance, full, scale, offset, rounded = rows[i]
        sigma = np.sqrt(read_variance)
        fill_normals(normals, samples[i], key[0], key[1], reading[0], reading[1])
        for start in range(0, image.size, POISSON_TILE):
            size = min(POISSON_TILE, image.size - start)
            for e in range(size):
                means[e] = image[start + e] * time + background
            place = start, samples[i], key[0], key[1], photons[0], photons[1]
            fill_poissons(counts[:size], means[:size], *place)
            for e in range(size):
                pixel = start + e
                electrons = counts[e] + sigma * normals[pixel] + charge[pixel]
                if electrons >= full:
                    electrons = full
                    mask[pixel] |= SATURATED
                variance[pixel] = (max(electrons, 0.0) + read_variance) * scale * scale
                value = electrons * scale + offset
                image[pixel] = np.rint(value) if rounded > 0.0 else value


class Detector:
    """How a band of an instrument takes images of some samples.

    Parameters
    ----------
    seed : int
    name : str
        Of the table.
    table : ImageTable
        With an instrument.
    labels : Labels
    band : str
    """

    def __init__(self, seed: int, name: str, table: ImageTable, labels: Labels, band: str) -> None:
        instrument = table.instrument
        assert instrument is not None
        self._patches = Steps(seed, name, table, labels)
        self._samples = labels.samples
        self._rows = exposure_rows(instrument, band, labels.columns)
        self._key = np.array(streams.key_words(seed), np.uint32)
        self._photons, self._reading = (
            np.array(streams.stream_words(stream_number(f"{name}/{each}")), np.uint32)
            for each in band_streams(band)
        )

    def variance(
        self, rows: slice, images: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the variance of the noise of images, and of images without light, in (electron/s)²."""
        time, background, read_variance, *_ = self._rows[rows].T
        empty = (background + read_variance) / time**2
        light = np.maximum(images, 0.0) / time[:, None, None] + empty[:, None, None]
        patches, patch = self._patches.variance(rows, images)
        return (light + patches).astype(np.float32), empty + patch

    def apply(
        self,
        rows: slice,
        images: NDArray[np.float32],
        planes: dict[str, NDArray],
        charges: NDArray[np.float32] | None = None,
    ) -> None:
        """Take images, and write what is stored beside them.

        Parameters
        ----------
        rows : slice
            Of the samples.
        images : float32[n, y, x]
            Electrons per second; what is read afterwards.
        planes : dict of str to ndarray
            ``image_true``, ``variance_true`` (of pixels that are not full, before rounding), ``variance``, ``mask``:
            written where they are there.
        charges : float32[n, y, x], optional
            Electrons that did not come as light.
        """
        row = self._rows[rows]
        time, background, read_variance, _, scale, offset, _ = row.T[:, :, None, None]
        electrons = images * time + background
        if "image_true" in planes:
            planes["image_true"][:] = electrons * scale + offset
        if "variance_true" in planes:
            patches = self._patches.variance(rows, images)[0] * time**2
            found = np.maximum(electrons, 0.0) + read_variance + patches
            planes["variance_true"][:] = found * scale**2
        variance = planes.get("variance", np.empty_like(images))
        mask = planes.get("mask", np.zeros(images.shape, np.uint8))
        charges = np.zeros_like(images) if charges is None else charges
        self._patches.apply(rows, images, {})
        words = self._key, self._photons, self._reading
        expose(row, self._samples[rows], *words, charges, images, variance, mask)
