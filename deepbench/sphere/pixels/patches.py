"""Patches of HEALPix maps as DeepSphere cuts them, and pooling over pixels.

In NEST order the pixels of a coarse pixel follow each other. A map of nside splits into the 12 order² pixels of
nside = order; its patch p holds the cells p n … (p + 1) n − 1 with n = (nside / order)² (Perraudin et al. 2019, Astron.
Comput. 27, 130). ``order`` is a power of two up to nside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def patch_count(order: int) -> int:
    """Return the number of patches of a map."""
    return 12 * order * order


def split_map(maps: NDArray[Any], order: int) -> NDArray[Any]:
    """Return the patches of maps in NEST order: shape (…, patches, pixels of one), a view where that is possible."""
    return maps.reshape(*maps.shape[:-1], patch_count(order), -1)


def patch_cells(nside: int, order: int, patch: int) -> NDArray[np.int64]:
    """Return the NEST numbers of the cells of a patch.

    Examples
    --------
    >>> patch_cells(4, 2, 5)
    array([20, 21, 22, 23])
    """
    size = (nside // order) ** 2
    return np.arange(patch * size, (patch + 1) * size)


def pool_pixels(values: NDArray[Any], levels: int = 1) -> NDArray[Any]:
    """Return means over the 4**levels pixels of each coarse pixel: maps of nside / 2**levels.

    Parameters
    ----------
    values : ndarray of float, shape (…, pixels)
        Maps or patches in NEST order.
    levels : int

    Returns
    -------
    ndarray, shape (…, pixels / 4**levels)
        Of the type of ``values``.
    """
    return values.reshape(*values.shape[:-1], -1, 4**levels).mean(axis=-1)
