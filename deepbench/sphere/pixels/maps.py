"""HEALPix maps: synthesis from coefficients, and what is done to pixels.

Synthesis is ducc0's, in RING order and with one thread; everything else works in NEST order, in place where it can.
Q and U follow HEALPix's convention "COSMO". A map of float32 comes from coefficients of complex64, one of float64 from
complex128.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast import exp32
from deepbench.numerics.streams import fill_normals_from, key_words, require, stream_words

_STRIP = 4096  # pixels that get their noise together


def pixel_count(nside: int) -> int:
    """Return the number of pixels."""
    return 12 * nside * nside


@lru_cache(maxsize=2)
def _rings(nside: int) -> dict[str, Any]:
    """Return the rings of pixels as ducc0 describes them."""
    from ducc0.healpix import Healpix_Base

    return Healpix_Base(nside, "RING").sht_info()


@lru_cache(maxsize=2)
def ring_of_nest(nside: int) -> NDArray[np.int32]:
    """Return the RING number of each pixel in NEST order; the last two that were asked for are kept."""
    from ducc0.healpix import Healpix_Base

    base, count, step = Healpix_Base(nside, "NEST"), pixel_count(nside), 1 << 20
    numbers = np.empty(count, np.int32)
    for first in range(0, count, step):
        numbers[first : first + step] = base.nest2ring(np.arange(first, min(first + step, count)))
    numbers.setflags(write=False)
    return numbers


@lru_cache(maxsize=2)
def sines_of_latitude(nside: int) -> NDArray[np.float32]:
    """Return the sine of the latitude of each pixel in NEST order; the last two that were asked for are kept."""
    from ducc0.healpix import Healpix_Base

    base, count, step = Healpix_Base(nside, "NEST"), pixel_count(nside), 1 << 20
    sines = np.empty(count, np.float32)
    for first in range(0, count, step):
        sines[first : first + step] = base.pix2vec(np.arange(first, min(first + step, count)))[:, 2]
    sines.setflags(write=False)
    return sines


def synthesise(alm: NDArray[Any], nside: int, lmax: int, spin: int = 0) -> NDArray[Any]:
    """Return the maps of coefficients, in RING order.

    Parameters
    ----------
    alm : ndarray of complex64 or complex128, shape (1, n) for spin 0, (2, n) for spin 2
        Of a scalar field, or of E and B.
    nside, lmax : int
        lmax up to 2 nside is safe; beyond 3 nside the pixels cannot hold the field.
    spin : int
        0 or 2.

    Returns
    -------
    ndarray of float32 or float64, shape (1, pixels) or (2, pixels)
        The field, or Q and U (γ1 and γ2).
    """
    from ducc0.sht import synthesis

    return synthesis(alm=alm, lmax=lmax, spin=spin, nthreads=1, **_rings(nside))


def analyse(
    maps: NDArray[Any], nside: int, lmax: int, spin: int = 0, iterations: int = 1
) -> NDArray[Any]:
    """Return the coefficients of maps in RING order, nearly: HEALPix has no exact quadrature.

    Sums over pixels of equal weight, then corrected by the sums over what is left of the map (Jacobi's iteration, as in
    healpy.map2alm). A lognormal convergence map of lmax = 2 nside that is analysed, smoothed by a beam of a pixel or so
    and synthesised errs by up to 6e-4, 5e-5 and 6e-6 of its standard deviation after 0, 1 and 2 iterations; the worst
    pixels by 0.1, 0.01 and 0.001.

    Parameters
    ----------
    maps : ndarray of float32 or float64, shape (1, pixels) for spin 0, (2, pixels) for spin 2
    nside, lmax, spin : int
        As for ``synthesise``.
    iterations : int
        Each costs a synthesis and an analysis.

    Returns
    -------
    ndarray of complex64 or complex128, shape (1, n) or (2, n)
    """
    from ducc0.sht import adjoint_synthesis

    def sums(of: NDArray[Any]) -> NDArray[Any]:
        found = adjoint_synthesis(map=of, lmax=lmax, spin=spin, nthreads=1, **_rings(nside))
        found *= maps.dtype.type(4.0 * np.pi / pixel_count(nside))
        return found

    alm = sums(maps)
    for _ in range(iterations):
        rest = synthesise(alm, nside, lmax, spin)
        np.subtract(maps, rest, out=rest)
        alm += sums(rest)
    return alm


@kernel
def _reorder(ring, numbers, out):
    for row in range(ring.shape[0]):
        for pixel in range(numbers.size):
            out[row, pixel] = ring[row, numbers[pixel]]


def to_nest(maps: NDArray[Any], nside: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return maps in RING order (shape (…, pixels)) in NEST order, in ``out`` where it is given."""
    numbers = ring_of_nest(nside)
    if out is None:
        out = np.empty_like(maps)
    _reorder(maps.reshape(-1, numbers.size), numbers, out.reshape(-1, numbers.size))
    return out


# --- pixels --------------------------------------------------------------------------------------


@kernel
def exponentiate(values, variance, shift, without_field=False):
    """Turn a Gaussian field g of a variance into a lognormal one, λ (exp(g − variance / 2) − 1), in place.

    The result errs by 1e-7 λ, of rounding.

    Parameters
    ----------
    values : float32[n]
        Changed.
    variance, shift : float
        Of the Gaussian field, and λ.
    without_field : bool
        Whether λ g, the linear part, is left out.
    """
    half, scale = np.float32(0.5 * variance), np.float32(shift)
    linear = np.float32(1.0 if without_field else 0.0)
    for i in range(values.size):
        values[i] = scale * (exp32(values[i] - half) - np.float32(1.0) - linear * values[i])


@kernel
def remove_mean(values):
    """Subtract the mean of a map, in place; it is summed in float64, as four sums of every fourth pixel.

    Parameters
    ----------
    values : float32[12 nside²] or float64[12 nside²]
        Changed.

    Returns
    -------
    float
        What was subtracted.
    """
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for i in range(0, values.size, 4):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
    mean = (a + b + c + d) / values.size
    for i in range(values.size):
        values[i] -= mean
    return mean


@kernel
def _add_noise(values, sigma, sample, k0, k1, c2, c3):
    scale = np.float32(sigma)
    normals = np.empty(_STRIP, np.float32)
    for first in range(0, values.size, _STRIP):
        part = values[first : first + _STRIP]
        fill_normals_from(normals[: part.size], first // 4, sample, k0, k1, c2, c3)
        for i in range(part.size):
            part[i] += scale * normals[i]


def add_noise(
    values: NDArray[np.float32], sigma: float, seed: int, stream: int, sample: int
) -> None:
    """Add white noise to a map, in place: element e of the stream to pixel e.

    Parameters
    ----------
    values : ndarray of float32, shape (n,)
        A map in NEST order; changed.
    sigma : float
        Standard deviation in each pixel.
    seed, stream, sample : int
        The recipe's seed, and the numbers of the stream and of the sample.

    Raises
    ------
    StreamError
        If a number does not fit into the counter.
    """
    require("sample", sample, sample, 32)
    require("element", 0, values.size - 1, 32)
    _add_noise(values, sigma, sample, *key_words(seed), *stream_words(stream))
