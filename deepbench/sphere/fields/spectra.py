"""Angular power spectra that need no cosmology, and what beams and pixels do to them.

A spectrum is C_ℓ as a float64 array over ℓ = 0 … lmax: the variance of each a_ℓm of a field. A beam or a pixel window
multiplies the a_ℓm; its square multiplies C_ℓ. Angles are in radian.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

Array = NDArray[np.float64]

CMB_FIELDS = ("TT", "EE", "BB", "TE")
"""The rows of ``cmb_spectra``."""

WINDOW_REACH = 4
"""A pixel window is known up to ℓ = WINDOW_REACH × nside."""


def power_law(amplitude: float, slope: float, lmax: int, pivot: float = 1.0) -> Array:
    """Return C_ℓ = amplitude (ℓ / pivot)^(−slope), and 0 for ℓ < 2.

    Examples
    --------
    >>> power_law(4.0, 2.0, 4)
    array([0.        , 0.        , 1.        , 0.44444444, 0.25      ])
    """
    spectrum = np.zeros(lmax + 1)
    spectrum[2:] = amplitude * (np.arange(2, lmax + 1) / pivot) ** -slope
    return spectrum


def tabulated(multipoles: ArrayLike, values: ArrayLike, lmax: int) -> Array:
    """Return the spectrum through the points of a table.

    Between two positive values at ℓ > 0 ln C_ℓ is a straight line over ln ℓ; elsewhere C_ℓ is one over ℓ. It is 0 below
    the first point and beyond the last.

    Parameters
    ----------
    multipoles : array_like, shape (n,)
        ℓ of the points, ascending, two or more.
    values : array_like of float64, shape (n,)
        C_ℓ of the points.
    lmax : int
    """
    at, given = np.asarray(multipoles, dtype=float), np.asarray(values, dtype=float)
    spectrum = np.zeros(lmax + 1)
    ell = np.arange(np.ceil(at[0]), min(np.floor(at[-1]), lmax) + 1.0)
    piece = np.clip(np.searchsorted(at, ell, side="right") - 1, 0, at.size - 2)
    start, stop, low, high = at[piece], at[piece + 1], given[piece], given[piece + 1]
    part = (ell - start) / (stop - start)
    found = low + (high - low) * part
    curved = (low > 0.0) & (high > 0.0) & (start > 0.0) & (part > 0.0)
    start, stop, low, high = start[curved], stop[curved], low[curved], high[curved]
    part = np.log(ell[curved] / start) / np.log(stop / start)
    found[curved] = low * (high / low) ** part
    spectrum[ell.astype(int)] = found
    return spectrum


@lru_cache(maxsize=2)
def _cmb_table(name: str) -> Array:
    text = files("deepbench.sphere.fields").joinpath(name).read_text(encoding="utf-8")
    return np.loadtxt(text.splitlines()[3:], delimiter=",")


def cmb_spectra(lmax: int, lensed: bool = True) -> Array:
    """Return the spectra of the microwave background for the parameters of Planck 2018, in µK².

    The tables ``cmb.csv`` and ``cmb_unlensed.csv`` were made by CAMB and say with which parameters; there are no tensor
    modes (r = 0), so that B modes come from lensing alone. Cubic splines of ℓ (ℓ + 1) C_ℓ over ℓ join their nodes,
    within 4e-4 of C_ℓ (TE: of √(TT EE)); without lensing, whose peaks are sharper, within 1.3e-3.

    Parameters
    ----------
    lmax : int
        Up to CMB_MAX_ELL.
    lensed : bool
        Whether the background is lensed by the matter before it.

    Returns
    -------
    ndarray of float64, shape (4, lmax + 1)
        TT, EE, BB and TE; 0 for ℓ < 2. BB is 0 without lensing.
    """
    ell = np.arange(2, lmax + 1)
    table = _cmb_table("cmb.csv" if lensed else "cmb_unlensed.csv")
    spectra = np.zeros((4, lmax + 1))
    spectra[:, 2:] = (
        CubicSpline(table[:, 0], table[:, 1:])(ell).T * (2.0 * np.pi) / (ell * (ell + 1.0))
    )
    return spectra


def gaussian_beam(sigma: float, lmax: int, spin: int = 0) -> Array:
    """Return exp(−(ℓ (ℓ + 1) − s²) σ² / 2), the response of a Gaussian beam; for spin 2 (Q and U), 0 for ℓ < 2.

    Parameters
    ----------
    sigma : float
        Standard deviation of the beam, radian: FWHM / 2.3548, not the FWHM.
    lmax : int
    spin : int
        0 or 2.
    """
    ell = np.arange(lmax + 1.0)
    beam = np.exp(-0.5 * (ell * (ell + 1.0) - spin * spin) * sigma * sigma)
    beam[:spin] = 0.0
    return beam


# --- the pixel window ----------------------------------------------------------------------------


def _unit_rule(n: int) -> tuple[Array, Array]:
    """Return the Gauss-Legendre rule of the unit interval."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return 0.5 * (nodes + 1.0), 0.5 * weights


def _pixel_edges() -> tuple[Array, Array, Array]:
    """Return the edges of small pixels of nside 1 (east, north), and weights, over an octant of the sphere.

    In the belt, |z| < 2/3, a pixel is a diamond with the half diagonals π/4 in longitude and 2/3 in z; in the caps,
    z = 1 − i²/3 and the longitude is t π/2 in a quadrant, and edges run along i t and i (1 − t) (Górski et al. 2005,
    ApJ 622, 759, section 5).
    """
    z, belt = _unit_rule(24)
    s = np.sqrt(1.0 - (2.0 / 3.0 * z) ** 2)
    across, up = np.pi / 4.0 * s, 2.0 / (3.0 * s)
    rule, part = _unit_rule(20)
    i, t = (axis.reshape(-1) for axis in np.meshgrid(rule, rule, indexing="ij"))
    cap = np.outer(part * rule, part).reshape(-1) * 2.0 / 3.0
    s = np.sqrt(1.0 - (1.0 - i * i / 3.0) ** 2)
    turn, down = np.pi / 2.0 * s / i, 2.0 / 3.0 * i / s
    first = np.stack([np.append(across, turn * (1.0 - t)), np.append(up, down)], axis=1)
    second = np.stack([np.append(-across, -turn * t), np.append(up, down)], axis=1)
    return first, second, np.append(belt * 2.0 / 3.0, cap)


@lru_cache(maxsize=1)
def _window() -> Chebyshev:
    """Return the logarithm of the squared window as a series in ℓ (ℓ + 1) / nside²."""
    first, second, weights = _pixel_edges()
    angles = (np.arange(48) + 0.5) * (np.pi / 48.0)
    directions = np.stack([np.cos(angles), np.sin(angles)]) / (2.0 * np.pi)
    a, b = first @ directions, second @ directions

    def logarithm(squares: Array) -> Array:
        waves = np.sqrt(np.maximum(squares, 0.0))
        means = [(np.sinc(k * a) * np.sinc(k * b)) ** 2 for k in waves]
        return np.log([weights @ mean.mean(axis=1) for mean in means])

    reach = WINDOW_REACH * (WINDOW_REACH + 1.0)
    return Chebyshev.interpolate(logarithm, 20, domain=[0.0, reach])


def pixel_window(nside: int, lmax: int) -> Array:
    """Return the response of the mean over a HEALPix pixel, w_ℓ.

    w_ℓ² is the mean over all pixels and directions of the squared transform of a pixel, which is taken as a flat
    parallelogram, as small pixels are. It agrees with HEALPix's tables up to ℓ = 4 nside within 2e-5 for nside from
    128, 4e-5 at 64 and 2.2e-4 at 16. Those for Q and U differ from them by less than 1e-4 from nside 64.

    Parameters
    ----------
    nside : int
    lmax : int
        Up to WINDOW_REACH × nside.
    """
    ell = np.arange(lmax + 1.0)
    return np.exp(0.5 * _window()(ell * (ell + 1.0) / (nside * nside)))
