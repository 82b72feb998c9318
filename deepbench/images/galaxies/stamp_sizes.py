"""Sizes of the stamps in which galaxies are drawn: a stamp is a square of pixels, in whose middle the galaxy is."""

from __future__ import annotations

import numpy as np

from deepbench.images.galaxies.fft_copies import galaxy_outside, psf_outside
from deepbench.images.galaxies.sersic import psf_ellipse
from deepbench.images.psf.psf_profiles import psf_radius, transform_size
from deepbench.numerics.kernels import inline, kernel

SIZES = np.array(
    [16, 20, 24, *(m * 2**e for e in range(4, 11) for m in (2, 2.5, 3)), 4096], np.int64
)
"""Edges of stamps (pixel); their FFTs have periods of twice that."""

MAXIMUM_STAMP = int(SIZES[-1])
"""Largest edge of a stamp (pixel)."""


@inline
def psf_reach(psf, lost):
    """Return the semi-major axis of an ellipse outside of which a point spread function has at most ``lost`` light."""
    return psf_ellipse(psf, psf_radius(psf, lost)).a


@kernel
def _outside(components, psf, half, tables):
    """Return about which part of a galaxy's light lies outside of a square of this half-width around it."""
    blur = psf_ellipse(psf, transform_size(psf) + 2.0 * psf.jitter).a
    total = psf_outside(psf, half)
    for c in range(components.shape[0]):
        part = galaxy_outside(components[c], max(half - blur, 0.0), tables)
        total += components[c].flux * part
    return total


@kernel
def component_edges(parts, components, psfs, fractions, sizes, tables):
    """Return the edges of the smallest stamps that hold at least a fraction of the light of galaxies.

    Parameters
    ----------
    parts, components : int64[m + 1], COMPONENT_ROW[k]
        Galaxy i has the components ``parts[i]`` … ``parts[i + 1] - 1``.
    psfs : PSF_ROW[m]
    fractions : float64[m]
        Parts of the light, below 1; 0 where no edge is asked for.
    sizes : int64[s]
        Edges that there are, even and in order.
    tables : SersicTables

    Returns
    -------
    int64[m]
        Edges; more than the largest of the sizes where none is enough.
    """
    edges = np.zeros(fractions.size, np.int64)
    for i in range(fractions.size):
        if fractions[i] <= 0.0:
            continue
        own, psf, lost = components[parts[i] : parts[i + 1]], psfs[i], 1.0 - fractions[i]
        least = psf_reach(psf, lost)
        edges[i] = sizes[-1] + 1
        for size in sizes[::-1]:
            half = 0.5 * size - 1.0  # from the centre's pixel, to the nearer side
            if half < least or _outside(own, psf, half, tables) > lost:
                break
            edges[i] = size
    return edges
