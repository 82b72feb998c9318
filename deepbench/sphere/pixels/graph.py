"""The graph of HEALPix pixels on which DeepSphere convolves.

Each pixel is joined with its eight neighbours, those outside of the patch left out (seven where three faces meet). With
the chord d between the centres of two neighbours, and the mean over all pairs, the weight of an edge is
exp(−d² / (2 ⟨d²⟩)) (Perraudin et al. 2019, Astron. Comput. 27, 130, section 3.2; DeepSphere's ``utils.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MARGIN = 1.02
"""DeepSphere's factor on the largest eigenvalue."""

SCALE = 0.75
"""DeepSphere's part of the interval [−1, 1] that the eigenvalues take."""


def edge_weights(nside: int, cells: NDArray[np.int64]) -> csr_array:
    """Return the weights of the edges between cells.

    Parameters
    ----------
    nside : int
    cells : ndarray of int64, shape (n,)
        NEST numbers, ascending: a patch, or all.

    Returns
    -------
    csr_array of float64, shape (n, n)
        Symmetric, with an empty diagonal.
    """
    from healpy import get_all_neighbours, pix2vec
    from scipy.sparse import csr_array

    count = len(cells)
    neighbours = np.asarray(get_all_neighbours(nside, cells, nest=True)).T
    columns = np.minimum(np.searchsorted(cells, neighbours), count - 1)
    kept = cells[columns] == neighbours  # −1 stands where there is none
    rows, columns = np.nonzero(kept)[0], columns[kept]
    centres = np.stack(pix2vec(nside, cells, nest=True), axis=1)
    squares = np.square(centres[rows] - centres[columns]).sum(axis=1)
    weights = np.exp(-squares / (2.0 * squares.mean())) if squares.size else squares
    return csr_array((weights, (rows, columns)), shape=(count, count))


def laplacian(weights: csr_array) -> csr_array:
    """Return the normalised Laplacian I − D^(−½) W D^(−½), where D is the diagonal of sums of weights."""
    from scipy.sparse import diags_array, eye_array

    sums = np.asarray(weights.sum(axis=1)).reshape(-1)
    roots = diags_array(np.where(sums > 0.0, sums, 1.0) ** -0.5)
    return (eye_array(len(sums)) - roots @ weights @ roots).tocsr()


def largest_eigenvalue(matrix: csr_array) -> float:
    """Return the largest eigenvalue of a symmetric matrix, by Lanczos' iteration from a fixed beginning."""
    from scipy.sparse.linalg import eigsh

    count = matrix.shape[0]
    if count < 16:
        return float(np.linalg.eigvalsh(matrix.toarray())[-1])
    start = np.sin(np.arange(count) + 1.0)  # no symmetry of the sphere's
    return float(eigsh(matrix, k=1, which="LA", v0=start, return_eigenvectors=False)[0])


def rescaled_laplacian(matrix: csr_array) -> csr_array:
    """Return 2 SCALE L / (MARGIN λ) − I with L's largest eigenvalue λ, as DeepSphere's Chebyshev filters take it.

    Its eigenvalues lie between −1 and 2 × 0.75 / 1.02 − 1 = 0.47.
    """
    from scipy.sparse import eye_array

    factor = 2.0 * SCALE / (MARGIN * largest_eigenvalue(matrix))
    return (matrix * factor - eye_array(matrix.shape[0])).tocsr()
