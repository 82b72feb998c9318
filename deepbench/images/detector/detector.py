"""A detector: from the light on a pixel to what is read, in the order in which it happens.

(light + sky + dark current) × time → Poisson → charge of cosmic rays, noise of reading → full well → counts.

Exposures are added up: they have the Poisson noise of their sum, √N times the noise of reading, and N full wells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.images.detector.mask import SATURATED
from deepbench.images.detector.noise_steps import Steps, key_of, words_of
from deepbench.images.model.instruments import MAGNITUDE, band_streams
from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast import exp
from deepbench.numerics.poisson import POISSON_TILE, fill_poissons
from deepbench.numerics.streams import fill_normals

if TYPE_CHECKING:
    from deepbench.images.model.instruments import Instrument
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table

EXPOSURE_ROW = np.dtype(
    [
        ("time", np.float64),
        ("background", np.float64),
        ("read_variance", np.float64),
        ("full_well", np.float64),
        ("scale", np.float64),
        ("offset", np.float64),
        ("rounded", np.bool_),
    ],
    align=True,
)
"""Row of a band: the time of its exposures (s), sky and dark current in a pixel (electron), the variance of the
noise of reading (electron²), the full well (electron); what is read is electrons × scale + offset, which may be rounded
to a whole number.
"""


def exposure_rows(
    instrument: Instrument, band: str, columns: dict[str, NDArray]
) -> NDArray[np.void]:
    """Return the exposures of a band, ``EXPOSURE_ROW[n]``.

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
    kept = instrument.background == "kept"
    rows = np.zeros(len(time), EXPOSURE_ROW)
    rows["time"], rows["background"] = time, background
    rows["read_variance"] = label("read_noise") ** 2 * exposures
    rows["full_well"] = label("full_well") * exposures
    rows["scale"] = units[instrument.unit]
    if not kept:
        rows["offset"] = -background * rows["scale"]
    elif instrument.unit == "adu":
        rows["offset"] = label("bias")
    rows["rounded"] = kept and instrument.unit == "adu"
    return rows


@kernel
def expose(rows, samples, key, photons, reading, charges, images, variances, masks):
    """Take images.

    Parameters
    ----------
    rows : EXPOSURE_ROW[n]
    samples : int64[n]
        Sample numbers.
    key, photons, reading : uint32[2]
        Words of the seed and of the streams of the photons and of the noise of reading.
    charges : float32[n, y, x]
        Electrons that did not come as light.
    images : float32[n, y, x]
        Electrons per second; what is read afterwards.
    variances : float32[n, y, x]
        Variance of the noise, estimated from what is read; written.
    masks : uint8[n, y, x]
        ``SATURATED`` is added where a pixel is full.
    """
    count, height, width = images.shape
    normals = np.empty(height * width, np.float32)
    means, counts = np.empty(POISSON_TILE), np.empty(POISSON_TILE)
    for i in range(count):
        image, mask = images[i].reshape(height * width), masks[i].reshape(height * width)
        variance, charge = variances[i].reshape(height * width), charges[i].reshape(height * width)
        row = rows[i]
        time, background, read_variance = row.time, row.background, row.read_variance
        full, scale, offset, rounded = row.full_well, row.scale, row.offset, row.rounded
        sigma = np.sqrt(read_variance)
        fill_normals(normals, samples[i], key[0], key[1], reading[0], reading[1])
        for start in range(0, image.size, POISSON_TILE):
            size = min(POISSON_TILE, image.size - start)
            for e in range(size):
                means[e] = image[start + e] * time + background
            counter = start, samples[i], key[0], key[1], photons[0], photons[1]
            fill_poissons(counts[:size], means[:size], *counter)
            for e in range(size):
                pixel = start + e
                electrons = counts[e] + sigma * normals[pixel] + charge[pixel]
                if electrons >= full:
                    electrons = full
                    mask[pixel] |= SATURATED
                variance[pixel] = (max(electrons, 0.0) + read_variance) * scale * scale
                value = electrons * scale + offset
                image[pixel] = np.rint(value) if rounded else value


class Detector:
    """A band of an instrument, as it takes images of some samples.

    Parameters
    ----------
    table : Table
        Of images with an instrument.
    labels : Labels
    band : str
    """

    def __init__(self, table: Table[ImageTable], labels: Labels, band: str) -> None:
        instrument = table.specification.instrument
        assert instrument is not None
        self._patches = Steps(table, labels)
        self._samples = labels.samples
        self._rows = exposure_rows(instrument, band, labels.columns)
        self._key = key_of(table)
        self._photons, self._reading = words_of(table, band_streams(band))

    def variance(
        self, rows: slice, images: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the variance of the noise of images, and of images without light, in (electron/s)²."""
        row = self._rows[rows]
        time = row["time"]
        empty = (row["background"] + row["read_variance"]) / time**2
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
            Rows of the samples.
        images : float32[n, y, x]
            Electrons per second; what is read afterwards.
        planes : dict of str to ndarray
            ``image_true``, ``variance_true`` (of pixels that are not full, before rounding), ``variance``, ``mask``:
            written where they are there.
        charges : float32[n, y, x], optional
            Electrons that did not come as light.
        """
        exposures = self._rows[rows]
        row = exposures[:, None, None]
        time, scale = row["time"], row["scale"]
        electrons = images * time + row["background"]
        if "image_true" in planes:
            planes["image_true"][:] = electrons * scale + row["offset"]
        if "variance_true" in planes:
            patches = self._patches.variance(rows, images)[0] * time**2
            found = np.maximum(electrons, 0.0) + row["read_variance"] + patches
            planes["variance_true"][:] = found * scale**2
        variance = planes.get("variance", np.empty_like(images))
        mask = planes.get("mask", np.zeros(images.shape, np.uint8))
        charges = np.zeros_like(images) if charges is None else charges
        self._patches.apply(rows, images, {})
        words = self._key, self._photons, self._reading
        expose(exposures, self._samples[rows], *words, charges, images, variance, mask)
