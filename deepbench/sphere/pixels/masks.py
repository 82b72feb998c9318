"""Masks from files on the pixels of a table's maps."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.sphere.mask import THRESHOLD, Mask, seen_of
from deepbench.sphere.pixels.maps import pixel_count, ring_of_nest

if TYPE_CHECKING:
    from deepbench.language.inputs.healpix import HealpixMap


@lru_cache(maxsize=2)
def hidden_pixels(mask: Mask, nside: int) -> NDArray[np.bool_]:
    """Return which pixels a mask's file hides, bool[12 nside²] in NEST order, read-only.

    Raises
    ------
    LabelError
        The file has changed, or all pixels are hidden.
    """
    threshold = THRESHOLD if mask.threshold is None else mask.threshold
    hidden = ~(seen_on(mask.read(), nside) >= threshold)
    if hidden.all():
        raise LabelError(
            f"the mask {mask.file} hides every pixel of nside {nside}: less than {threshold:g} of each is seen"
        )
    hidden.setflags(write=False)
    return hidden


def seen_on(found: HealpixMap, nside: int) -> NDArray[np.float64]:
    """Return the part of each pixel that a mask lets be seen, float64[12 nside²] in NEST order.

    It is the mean of the mask's smaller pixels, the value of the larger one around it, or, where the mask's nside is
    no power of two, of the one that holds the centre.
    """
    own = found.nside
    seen = np.zeros(pixel_count(own))
    for numbers, values in found.pieces():
        seen[numbers] = seen_of(values)
    if own & (own - 1):
        return seen[_at_centres(own, nside)]
    if not found.nest:
        seen = seen[ring_of_nest(own)]
    if own >= nside:
        return seen.reshape(pixel_count(nside), -1).mean(axis=1)
    return np.repeat(seen, (nside // own) ** 2)


def _at_centres(ring_nside: int, nside: int) -> NDArray[np.int64]:
    """Return the RING numbers of the pixels that hold the centres of pixels in NEST order."""
    from ducc0.healpix import Healpix_Base

    centres = Healpix_Base(nside, "NEST").pix2ang(np.arange(pixel_count(nside)))
    return Healpix_Base(ring_nside, "RING").ang2pix(centres)
