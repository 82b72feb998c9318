"""Point spread functions in files: images of samples, checked when the recipe is read.

The samples stand on a grid that is finer than the pixels, or as fine. The centre of the point spread function is the
centre of the array, ((ny − 1) / 2, (nx − 1) / 2), or where its samples have it. Their sum is made 1.
``galaxies.image_psf`` draws through them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.language.inputs.files import check_unchanged, content_of
from deepbench.language.inputs.fits import ENDINGS as FITS_ENDINGS
from deepbench.language.inputs.fits import Image, read_image

MAXIMUM_EDGE = 4096
"""Samples along an axis, and point spread functions in a file."""

MAXIMUM_BYTES = 2**26

MAXIMUM_OVERSAMPLING = 64

TOGETHER = 2**18
"""Number of samples that are added up together."""

STEPS = 1024
"""Centres that follow from samples are whole numbers of this part of a sample, so that rounding moves none."""

KEPT_PLANES = 128
"""Number of transforms that rendering keeps."""


class PsfFile(NamedTuple):
    """A point spread function of a file, and how its samples stand to the pixels; see ``psf_image.ImagePsf``.

    ``number`` is −1 where the file holds one only.
    """

    path: Path
    sha256: str
    oversampling: float
    includes_pixel: bool
    hdu: int | str | None = None
    number: int = -1
    center: str = "array"
    subtract: str | None = None


@lru_cache(maxsize=2)
def stack_of(path: Path, sha256: str, hdu: int | str | None, several: bool) -> Image:
    """Return what a file whose content has a given SHA-256 holds, of the shape ([psf,] y, x).

    Raises
    ------
    LabelError
        The file has changed, is damaged, or has no such image.
    """
    content = content_of(path, "point spread function", MAXIMUM_BYTES)
    check_unchanged(path, content, sha256)
    ending = path.suffix.lower()
    try:
        if content.startswith(b"\x1f\x8b"):
            raise ValueError("is compressed by gzip: unpack it")
        if ending in (".psf", *FITS_ENDINGS):
            image = read_image(content, MAXIMUM_EDGE, 3 if several else 2, hdu)
        elif ending == ".npy":
            image = _read_npy(content, MAXIMUM_EDGE, 3 if several else 2)
        if ending != ".npy" and ending not in FITS_ENDINGS:
            raise ValueError("must be a .npy or a .fits file")
        if ending == ".npy" and hdu is not None:
            raise ValueError("is no FITS file: leave out `hdu`")
    except ValueError as error:
        raise LabelError(f"{path} {error}") from error
    if image.pixels.size == 0:
        sides = " × ".join(map(str, image.pixels.shape))
        raise LabelError(f"{path} is empty: it has {sides} samples")
    return image


def samples_of(file: PsfFile) -> NDArray[np.float64]:
    """Return the samples of a point spread function, float64[ny, nx], read-only; their sum is 1.

    Raises
    ------
    LabelError
        The file has changed, is damaged, or holds what is no point spread function.
    """
    return _samples(file._replace(oversampling=1, includes_pixel=True, center="array"))


@lru_cache(maxsize=4)
def _samples(file: PsfFile) -> NDArray[np.float64]:
    """Return what ``samples_of`` does, whatever becomes of the samples."""
    stack = stack_of(file.path, file.sha256, file.hdu, file.number >= 0)
    if file.number >= 0:
        count = len(stack.pixels)
        if file.number >= count:
            raise LabelError(
                f"{file.path} has {count} point spread functions, numbered 0 to {count - 1}; the index is {file.number}"
            )
        stack = stack._replace(pixels=stack.pixels[file.number])
    image, name = stack.physical(), name_of(file)
    bad = np.argwhere(~np.isfinite(image))
    if len(bad):
        raise LabelError(
            f"{name} must hold finite numbers, but the sample [{bad[0][0]}, {bad[0][1]}] is "
            f"{image[tuple(bad[0])]}"
        )
    if file.subtract == "border":
        image -= np.median(border_of(image))
    total = _sum(image)
    if not 0.0 < total < math.inf:
        raise LabelError(f"{name} must hold samples with a sum above 0; it is {total:g}")
    if total < 0.5 * _sum(image, np.abs):
        raise LabelError(
            f"{name} must hold samples that are light: negative ones take away more than a quarter of it"
        )
    image /= total
    image.flags.writeable = False
    return image


def name_of(file: PsfFile) -> str:
    """Return what messages call a point spread function."""
    return f"{file.path}" if file.number < 0 else f"{file.path}, index {file.number},"


def border_of(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the samples on the border of an image, float64[n]."""
    ring = np.ones(image.shape, bool)
    ring[1:-1, 1:-1] = False
    return image[ring]


def _sum(image: NDArray[np.float64], of: Callable[[Any], Any] = np.positive) -> float:
    """Return the sum of a function of all samples, which are added in one order everywhere."""
    total, step = 0.0, max(1, TOGETHER // image.shape[1])
    for first in range(0, len(image), step):
        some = of(image[first : first + step]).ravel()
        total = float(np.cumsum(np.concatenate([[total], some]))[-1])
    return total


def _read_npy(content: bytes, most: int, dimensions: int) -> Image:
    """Return the array in a .npy file; raises ValueError with words that follow on the file's name."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, fortran_order, dtype = readers[version](stream)
    except Exception as error:  # numpy reads the header as Python, which fails in many ways
        raise ValueError(f"is not a .npy file: {error}") from error
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise ValueError(f"must hold numbers of at most 64 bits, not {dtype}")
    if len(shape) != dimensions:
        several = (
            "; choose one of its point spread functions with `index`" if len(shape) == 3 else ""
        )
        one = "; it holds one point spread function: leave out `index`" if len(shape) == 2 else ""
        raise ValueError(
            f"must have {'three' if dimensions == 3 else 'two'} dimensions, not {len(shape)}{several}{one}"
        )
    if max(shape) > most:
        sides = [" × ".join(map(str, each)) for each in (shape, [most] * len(shape))]
        raise ValueError(f"has {sides[0]} samples, at most {sides[1]}")
    if len(content) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise ValueError("is damaged: it ends within its array, or goes on after it")
    values = np.frombuffer(content, dtype, offset=stream.tell())
    return Image(values.reshape(shape, order="F" if fortran_order else "C"))


# the centre


@lru_cache(maxsize=4096)
def centre_of(file: PsfFile) -> tuple[float, float]:
    """Return y and x of the centre of a point spread function, counted from the first sample.

    Raises
    ------
    LabelError
        It is not where one can be.
    """
    image = samples_of(file)
    if file.center == "array":
        return middle_of(image)
    y, x = _rounded(peak_of(image) if file.center == "peak" else centroid_of(image))
    ny, nx = image.shape
    if not (0 <= y <= ny - 1 and 0 <= x <= nx - 1):
        raise LabelError(
            f"{name_of(file)} has its {file.center} at y = {y:.1f}, x = {x:.1f}, outside of its samples"
        )
    return y, x


def middle_of(image: NDArray[np.float64]) -> tuple[float, float]:
    """Return y and x of the middle of an array."""
    ny, nx = image.shape
    return (ny - 1) / 2, (nx - 1) / 2


def centroid_of(image: NDArray[np.float64]) -> tuple[float, float]:
    """Return y and x of the centre of the light in an image whose sum is 1."""
    light = image.sum(axis=1), image.sum(axis=0)
    y, x = (float((each * np.arange(len(each))).sum()) for each in light)
    return y, x


def peak_of(image: NDArray[np.float64]) -> tuple[float, float]:
    """Return y and x of the peak of an image.

    Around the largest sample, the logarithms of 3 × 3 samples, or samples themselves where one is not positive, are
    taken as a paraboloid, as they are of a Gaussian.
    """
    y = int(image.max(axis=1).argmax())  # the argmax of all would copy what is read-only
    x = int(image[y].argmax())
    near = image[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    if near.shape != (3, 3):
        return float(y), float(x)
    (a, b, c), (d, e, f), (g, h, i) = near.tolist()
    if near.min() > 0:
        a, b, c, d, e, f, g, h, i = (math.log(each) for row in near.tolist() for each in row)
    to_x, to_y = (f - d) / 2, (h - b) / 2
    xx, yy, xy = d - 2 * e + f, b - 2 * e + h, (i - g - c + a) / 4
    bend = xx * yy - xy * xy
    if not bend > 0:
        return float(y), float(x)
    dx, dy = (xy * to_y - yy * to_x) / bend, (xy * to_x - xx * to_y) / bend
    return (y + dy, x + dx) if max(abs(dx), abs(dy)) <= 1 else (float(y), float(x))


def _rounded(place: tuple[float, float]) -> tuple[float, float]:
    return round(place[0] * STEPS) / STEPS, round(place[1] * STEPS) / STEPS


def extent_of(file: PsfFile) -> float:
    """Return the edge of the square around the centre that holds all samples, in samples."""
    places = zip(centre_of(file), samples_of(file).shape, strict=True)
    return max(2 * max(centre, length - 1 - centre) + 1 for centre, length in places)
