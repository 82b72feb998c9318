"""Point spread functions in files: images of samples, checked when the recipe is read.

The samples stand on a grid that is finer than the pixels, or as fine; the centre of the point spread function is the
centre of the array, ((ny − 1) / 2, (nx − 1) / 2). Their sum is made 1. ``galaxies.image_psf`` draws
through them.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.language.inputs.files import check_unchanged, content_of
from deepbench.language.inputs.fits import read_image

MAXIMUM_EDGE = 4096
"""Samples along an axis."""

MAXIMUM_BYTES = 2**26

MAXIMUM_OVERSAMPLING = 64

FITS_ENDINGS = (".fits", ".fit", ".fts")


class PsfFile(NamedTuple):
    """A file, and how its samples stand to the pixels; see ``model.ImagePsf``."""

    path: Path
    sha256: str
    oversampling: int
    includes_pixel: bool


def content_of_psf(path: Path) -> bytes:
    """Return the content of a file; raises LabelError where it cannot be read, or is too large."""
    return content_of(path, "point spread function", MAXIMUM_BYTES)


@lru_cache(maxsize=4)
def samples_of(path: Path, sha256: str) -> NDArray[np.float64]:
    """Return the samples in a file whose content has a given SHA-256, float64[ny, nx], read-only; their sum is 1.

    Raises
    ------
    LabelError
        The file has changed, is damaged, or holds what is no point spread function.
    """
    content = content_of_psf(path)
    check_unchanged(path, content, sha256)
    ending = path.suffix
    if ending != ".npy" and ending not in FITS_ENDINGS:
        raise LabelError(f"{path} must be a .npy or a .fits file")
    try:
        read = _read_npy if ending == ".npy" else read_image
        image = read(content, MAXIMUM_EDGE)
    except ValueError as error:
        raise LabelError(f"{path} {error}") from error
    if image.size == 0:
        raise LabelError(f"{path} is empty: it has {image.shape[0]} × {image.shape[1]} samples")
    bad = np.argwhere(~np.isfinite(image))
    if len(bad):
        raise LabelError(
            f"{path} must hold finite numbers, but the sample [{bad[0][0]}, {bad[0][1]}] is "
            f"{image[tuple(bad[0])]}"
        )
    total = float(np.cumsum(image)[-1])  # adds in one order everywhere
    if not 0.0 < total < math.inf:
        raise LabelError(f"{path} must hold samples with a sum above 0; it is {total:g}")
    if total < 0.5 * float(np.cumsum(np.abs(image))[-1]):
        raise LabelError(
            f"{path} must hold samples that are light: negative ones take away more than a quarter of it"
        )
    image /= total
    image.flags.writeable = False
    return image


def _read_npy(content: bytes, most: int) -> NDArray[np.float64]:
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
    if len(shape) != 2:
        raise ValueError(f"must have two dimensions, not {len(shape)}")
    if max(shape) > most:
        raise ValueError(f"has {shape[0]} × {shape[1]} samples, at most {most} × {most}")
    if len(content) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise ValueError("is damaged: it ends within its array, or goes on after it")
    values = np.frombuffer(content, dtype, offset=stream.tell())
    values = values.reshape(shape, order="F" if fortran_order else "C")
    return np.array(values, np.float64, order="C")
