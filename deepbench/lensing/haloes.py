"""Halos of Navarro, Frenk & White by their mass, and how flat their potential may be."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepbench.lensing import cosmology
from deepbench.numerics import mathfast

Array = NDArray[np.float64]

OVERDENSITY = 200.0
"""Mean density within the virial radius, in critical densities."""


def halo_by_mass(
    mass: ArrayLike,
    concentration: ArrayLike,
    density: ArrayLike,
    distances: cosmology.Distances,
) -> tuple[Array, Array]:
    """Return the scale radius and the ``strength`` of a halo of mass M200c and concentration c200.

    M200c is the mass within the sphere of radius r200 whose mean density is 200 times the critical one at the lens, and
    r_s = r200 / c200 (Navarro, Frenk & White 1997, ApJ 490, 493). The halo is spherical and not truncated.

    Parameters
    ----------
    mass, concentration : array_like
        M200c in M☉, and c200.
    density : array_like
        Critical density of the universe at the lens, M☉/Mpc³; see ``cosmology.critical_density``.
    distances : Distances

    Returns
    -------
    scale : ndarray of float64
        r_s, arcsec.
    strength : ndarray of float64
        Deflection at r_s, 4 (1 − ln 2) ρ_s r_s² / Σ_cr, arcsec.
    """
    mass = np.asarray(mass, dtype=np.float64)
    concentration = np.asarray(concentration, dtype=np.float64)
    volume = mass / (4.0 / 3.0 * math.pi * OVERDENSITY * np.asarray(density, dtype=np.float64))
    radius = mathfast.pow(volume, 1.0 / 3.0) / concentration
    inside = mathfast.log(1.0 + concentration) - concentration / (1.0 + concentration)
    surface = mass / (4.0 * math.pi * radius * radius * inside)  # ρ_s r_s
    scale = radius / distances.lens / cosmology.ARCSEC
    kappa = surface / cosmology.critical_surface_density(distances)
    return np.asarray(scale), np.asarray(4.0 * (1.0 - math.log(2.0)) * kappa * scale)
