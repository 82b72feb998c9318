"""Distances and times of a lens in a flat universe of matter and a cosmological constant, without radiation.

Lengths are in Mpc, angles in arcsec, masses in M☉, times in days. Only + − * / and √ are used: values have the same
bits everywhere. Formulas of lensing are those of Narayan & Bartelmann (1996, astro-ph/9606001).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LIGHT = 299792.458
"""Speed of light, km/s."""

MEGAPARSEC = 648000.0 / math.pi * 149597870.7 * 1e6
"""Megaparsec, km (IAU 2015, resolution B2)."""

SOLAR_MASS = 1.3271244e11
"""G M☉, km³/s² (IAU 2015, resolution B3)."""

GRAVITY = SOLAR_MASS / MEGAPARSEC
"""G, Mpc (km/s)² / M☉."""

ARCSEC = math.pi / 648000.0
"""Arcsec, rad."""

DAY = 86400.0
"""Day, s."""

_PANELS = 16
_ROOTS = (
    math.sqrt(5.0 - 2.0 * math.sqrt(10.0 / 7.0)) / 3.0,
    math.sqrt(5.0 + 2.0 * math.sqrt(10.0 / 7.0)) / 3.0,
)
_SHARES = ((322.0 + 13.0 * math.sqrt(70.0)) / 900.0, (322.0 - 13.0 * math.sqrt(70.0)) / 900.0)
_NODES = (0.0, -_ROOTS[0], _ROOTS[0], -_ROOTS[1], _ROOTS[1])
_WEIGHTS = (128.0 / 225.0, _SHARES[0], _SHARES[0], _SHARES[1], _SHARES[1])


class Distances(NamedTuple):
    """Angular diameter distances, Mpc: to the lens, to the source, and from the lens to the source."""

    lens: Array
    source: Array
    between: Array


def expansion(omega_m: ArrayLike, redshift: ArrayLike) -> Array:
    """Return H(z) / H0."""
    omega_m, one = (
        np.asarray(omega_m, dtype=np.float64),
        1.0 + np.asarray(redshift, dtype=np.float64),
    )
    return np.asarray(np.sqrt(omega_m * (one * one * one) + (1.0 - omega_m)))


def comoving_distance(
    hubble: ArrayLike, omega_m: ArrayLike, redshift: ArrayLike, start: ArrayLike = 0.0
) -> Array:
    """Return the comoving distance ∫ c dz / H between two redshifts, Mpc.

    With a = 1/√(1 + z) it is 2 c / H0 ∫ da / √(Ωm + ΩΛ a⁶) (Hogg 1999, astro-ph/9905116, eq. 15), by Gauss and
    Legendre's five points in each of 16 panels: to 1e-12 for Ωm from 0.05 to 1.

    Parameters
    ----------
    hubble, omega_m, redshift, start : array_like
        H0 in km/s/Mpc, Ωm, the redshift, and that from which the distance counts; of shapes that broadcast.
    """
    hubble, omega_m = np.asarray(hubble, dtype=np.float64), np.asarray(omega_m, dtype=np.float64)
    near = 1.0 / np.sqrt(1.0 + np.asarray(start, dtype=np.float64))
    far = 1.0 / np.sqrt(1.0 + np.asarray(redshift, dtype=np.float64))
    half = (near - far) / (2.0 * _PANELS)
    total: Array | float = 0.0
    for panel in range(_PANELS):
        middle = far + (2.0 * panel + 1.0) * half
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            a = middle + node * half
            cube = a * a * a
            total = total + weight / np.sqrt(omega_m + (1.0 - omega_m) * (cube * cube))
    return np.asarray(2.0 * LIGHT / hubble * half * total)


def lens_distances(
    hubble: ArrayLike, omega_m: ArrayLike, lens_redshift: ArrayLike, source_redshift: ArrayLike
) -> Distances:
    """Return the ``Distances`` of a lens and a source behind it; shapes broadcast."""
    lens = comoving_distance(hubble, omega_m, lens_redshift)
    between = comoving_distance(hubble, omega_m, source_redshift, lens_redshift)
    lens_stretch = 1.0 + np.asarray(lens_redshift, dtype=np.float64)
    source_stretch = 1.0 + np.asarray(source_redshift, dtype=np.float64)
    return Distances(
        np.asarray(lens / lens_stretch),
        np.asarray((lens + between) / source_stretch),
        np.asarray(between / source_stretch),
    )


def critical_surface_density(distances: Distances) -> Array:
    """Return Σ_cr = c² D_s / (4π G D_l D_ls), M☉/Mpc² (Narayan & Bartelmann 1996, eq. 18)."""
    scale = LIGHT * LIGHT / (4.0 * math.pi * GRAVITY)
    return np.asarray(scale * distances.source / (distances.lens * distances.between))


def critical_density(hubble: ArrayLike, omega_m: ArrayLike, redshift: ArrayLike) -> Array:
    """Return the critical density of the universe at a redshift, 3 H² / (8π G), M☉/Mpc³."""
    rate = np.asarray(hubble, dtype=np.float64) * expansion(omega_m, redshift)
    return np.asarray(3.0 / (8.0 * math.pi * GRAVITY) * (rate * rate))


def einstein_radius(dispersion: ArrayLike, distances: Distances) -> Array:
    """Return θ_E = 4π (σ/c)² D_ls/D_s of a singular isothermal sphere, arcsec, from σ in km/s.

    Narayan & Bartelmann (1996), section 3.1; for an ellipsoid it is a convention.
    """
    ratio = np.asarray(dispersion, dtype=np.float64) / LIGHT
    return np.asarray(
        4.0 * math.pi / ARCSEC * (ratio * ratio) * distances.between / distances.source
    )


def time_delay_distance(lens_redshift: ArrayLike, distances: Distances) -> Array:
    """Return D_Δt = (1 + z_l) D_l D_s / D_ls, Mpc (Suyu et al. 2010, ApJ 711, 201)."""
    stretch = 1.0 + np.asarray(lens_redshift, dtype=np.float64)
    return np.asarray(stretch * distances.lens * distances.source / distances.between)


def arrival_time(
    delay_distance: ArrayLike,
    offset: tuple[ArrayLike, ArrayLike],
    potential: ArrayLike,
) -> Array:
    """Return the extra time of a ray's way, D_Δt/c (½ (θ − β)² − ψ), in days; only differences have a meaning.

    Blandford & Narayan (1986, ApJ 310, 568).

    Parameters
    ----------
    delay_distance : array_like
        D_Δt, Mpc.
    offset : tuple of two array_like
        θ − β along x and y, arcsec: for an image, its deflection.
    potential : array_like
        ψ at the image, arcsec².
    """
    x, y = (np.asarray(each, dtype=np.float64) for each in offset)
    fermat = 0.5 * (x * x + y * y) - np.asarray(potential, dtype=np.float64)
    scale = MEGAPARSEC / LIGHT / DAY * (ARCSEC * ARCSEC)
    return np.asarray(scale * np.asarray(delay_distance, dtype=np.float64) * fermat)
