"""Spherical harmonic coefficients a_ℓm of random fields.

They stand as healpy and ducc0 want them: only m >= 0, all ℓ of m = 0, then those of m = 1, … (``rank_of`` says where).
Where a spectrum is C_ℓ, a_ℓ0 is a real normal of variance C_ℓ, and real and imaginary parts of the others are normals
of variance C_ℓ / 2. The normals are drawn ℓ by ℓ: element ℓ² of the stream is that of a_ℓ0, the elements ℓ² + 2m − 1
and ℓ² + 2m those of a_ℓm. So the coefficients of low ℓ do not change with lmax, which healpy.synalm does not give.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.streams import fill_normals_from, key_words, require, stream_words

Array = NDArray[np.float64]

FIELD_BLOCKS = 1 << 26
"""Blocks of four elements that a field may take of its stream; field j begins at block j × FIELD_BLOCKS."""

MAX_ELL = 16383
"""Largest ℓ that can be drawn: (MAX_ELL + 1)² elements."""

MAX_FIELDS = 16

_ROWS = 16  # of ℓ, drawn together


def count(lmax: int) -> int:
    """Return the number of coefficients with m >= 0."""
    return (lmax + 1) * (lmax + 2) // 2


@inline
def rank_of(ell, m, lmax):
    """Return where a_ℓm stands."""
    return m * (2 * lmax + 1 - m) // 2 + ell


# --- drawing -------------------------------------------------------------------------------------


def spectrum_roots(matrices: Array) -> Array:
    """Return the lower triangular roots R of the spectra of several fields: R Rᵀ = C_ℓ for each ℓ.

    Cholesky's, with a column of zeros where a matrix has no rank left, so that matrices need not be definite: a field
    may have no power, or be a multiple of another.

    Parameters
    ----------
    matrices : ndarray of float64, shape (f, f, lmax + 1)
        Symmetric.

    Returns
    -------
    ndarray of float64, shape (f, f, lmax + 1)
    """
    roots = np.zeros_like(matrices)
    for j in range(len(matrices)):
        rest = matrices[j:, j] - np.einsum("iml,ml->il", roots[j:, :j], roots[j, :j])
        kept = rest[0] > 1e-12 * matrices[j, j]
        roots[j:, j] = np.where(kept, rest / np.sqrt(np.where(kept, rest[0], 1.0)), 0.0)
    return roots


@kernel
def _draw(roots, blocks, sample, k0, k1, c2, c3, alm):
    """Write coefficients, seen as pairs of real numbers.

    Parameters
    ----------
    roots : float32[f, f, lmax + 1] or float64[f, f, lmax + 1]
    blocks : int
        ``FIELD_BLOCKS``.
    sample, k0, k1, c2, c3
        As for ``fill_normals_from``.
    alm : float32[f, n, 2] or float64[f, n, 2]
        Zeros at first.
    """
    fields, lmax = roots.shape[0], roots.shape[2] - 1
    half = alm.dtype.type(np.sqrt(0.5))
    normals = np.empty((lmax + 1) ** 2 - max(lmax + 1 - _ROWS, 0) ** 2 + 8, np.float32)
    for low in range(0, lmax + 1, _ROWS):
        high = min(low + _ROWS, lmax + 1)
        first = low * low // 4
        for j in range(fields):
            part = normals[: high * high - 4 * first]
            fill_normals_from(part, j * blocks + first, sample, k0, k1, c2, c3)
            for i in range(j, fields):
                for ell in range(low, high):
                    alm[i, ell, 0] += roots[i, j, ell] * part[ell * ell - 4 * first]
                for m in range(1, high):
                    begin = rank_of(0, m, lmax)
                    for ell in range(max(low, m), high):
                        at = ell * ell + 2 * m - 1 - 4 * first
                        scale = half * roots[i, j, ell]
                        alm[i, begin + ell, 0] += scale * part[at]
                        alm[i, begin + ell, 1] += scale * part[at + 1]


def draw_coefficients(
    roots: Array, seed: int, stream: int, sample: int, dtype: DTypeLike = np.complex64
) -> NDArray[Any]:
    """Return the coefficients of Gaussian fields.

    Parameters
    ----------
    roots : ndarray of float64, shape (f, f, lmax + 1)
        Those of ``spectrum_roots``; of one field, the root of C_ℓ. Beams belong here, too.
    seed, stream, sample : int
        The recipe's seed, and the numbers of the stream and of the sample.
    dtype : dtype
        complex64 or complex128; the normals have float32's digits.

    Returns
    -------
    ndarray of complex, shape (f, count(lmax))

    Raises
    ------
    StreamError
        If a number does not fit into the counter, or there are more than MAX_FIELDS fields or
        multipoles beyond MAX_ELL.
    """
    fields, lmax = len(roots), roots.shape[2] - 1
    require("sample", sample, sample, 32)
    require("multipole", 0, lmax, MAX_ELL.bit_length())
    require("field", 0, fields - 1, (MAX_FIELDS - 1).bit_length())
    alm = np.zeros((fields, count(lmax)), dtype)
    real = alm.view(alm.real.dtype).reshape(fields, -1, 2)
    words = *key_words(seed), *stream_words(stream)
    _draw(roots.astype(real.dtype), FIELD_BLOCKS, sample, *words, real)
    return alm


# --- what is done to coefficients ----------------------------------------------------------------


@kernel
def multiply_coefficients(alm, factors):
    """Multiply a_ℓm by a factor for each ℓ, in place.

    Parameters
    ----------
    alm : complex64[n] or complex128[n]
        Changed.
    factors : float64[lmax + 1]
    """
    lmax = factors.size - 1
    for m in range(lmax + 1):
        begin = rank_of(0, m, lmax)
        for ell in range(m, lmax + 1):
            alm[begin + ell] *= factors[ell]


def shear_factors(lmax: int) -> Array:
    """Return √((ℓ + 2)(ℓ − 1) / (ℓ (ℓ + 1))), the E mode of shear over the convergence; 0 for ℓ < 2.

    The coefficients of γ1 + i γ2 in harmonics of spin 2 are −√(…) κ_ℓm (Castro, Heavens & Kitching 2005, PRD 72,
    023516), and HEALPix's E is minus those. The spin-2 synthesis of E = factor × κ and B = 0 gives γ1 and γ2 in its
    convention "COSMO", where γ1 > 0 stretches along meridians: shear around a mass is tangential.
    """
    ell = np.arange(2.0, lmax + 1.0)
    factors = np.zeros(lmax + 1)
    factors[2:] = np.sqrt((ell + 2.0) * (ell - 1.0) / (ell * (ell + 1.0)))
    return factors


def rotate_coefficients(
    alm: NDArray[Any], lmax: int, angles: tuple[float, float, float]
) -> NDArray[Any]:
    """Return the coefficients of a field that was turned on the sphere.

    What was at n̂ is then at R n̂, where R turns by the first angle about the z axis, by the second about the y axis, and
    by the third about the z axis; the axes stay.

    Parameters
    ----------
    alm : ndarray of complex, shape (f, n) or (n,)
        Of scalar fields, or of E and B.
    lmax : int
    angles : tuple of float
        Radian; ``euler_matrix`` gives R.
    """
    from ducc0.sht import rotate_alm

    return rotate_alm(alm, lmax, *angles, nthreads=1)


def euler_matrix(angles: tuple[float, float, float]) -> Array:
    """Return R = Rz(third) Ry(second) Rz(first) of Euler angles in radian, for columns (x, y, z)."""

    def about_z(angle: float) -> Array:
        c, s = np.cos(angle), np.sin(angle)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    c, s = np.cos(angles[1]), np.sin(angles[1])
    about_y = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    return about_z(angles[2]) @ about_y @ about_z(angles[0])
