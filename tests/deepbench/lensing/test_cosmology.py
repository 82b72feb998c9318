"""Distances, masses and times of lenses, against astropy and lenstronomy."""

import astropy.constants as const
import astropy.units as u
import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from lenstronomy.Cosmo.lens_cosmo import LensCosmo

from deepbench.lensing import cosmology, haloes

REDSHIFTS = np.geomspace(1e-3, 15.0, 40)
SOURCES = 1.001 * REDSHIFTS + 0.01


@pytest.mark.parametrize(("hubble", "omega_m"), [(70.0, 0.3), (67.4, 0.05), (50.0, 1.0)])
def test_distances_are_those_of_astropy(hubble, omega_m):
    theirs = FlatLambdaCDM(H0=hubble, Om0=omega_m, Tcmb0=0.0)
    found = cosmology.lens_distances(hubble, omega_m, REDSHIFTS, SOURCES)
    comoving = [theirs.comoving_distance(z).to_value(u.Mpc) for z in (REDSHIFTS, SOURCES)]
    np.testing.assert_allclose(found.lens, comoving[0] / (1.0 + REDSHIFTS), rtol=1e-11)
    np.testing.assert_allclose(found.source, comoving[1] / (1.0 + SOURCES), rtol=1e-11)
    between = (comoving[1] - comoving[0]) / (1.0 + SOURCES)
    np.testing.assert_allclose(found.between, between, rtol=1e-9)
    density = theirs.critical_density(REDSHIFTS).to_value(u.Msun / u.Mpc**3)
    found = cosmology.critical_density(hubble, omega_m, REDSHIFTS)
    np.testing.assert_allclose(found, density, rtol=1e-9)


def test_distances_broadcast():
    found = cosmology.comoving_distance([[60.0], [70.0]], 0.3, [0.5, 1.0, 2.0])
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found[0] / found[1], 70.0 / 60.0)
    assert cosmology.comoving_distance(70.0, 0.3, 0.5).shape == ()


def test_a_lens_has_the_mass_and_delay_that_the_constants_give():
    lens, source, between = distances = cosmology.lens_distances(70.0, 0.3, 0.5, 2.0)
    density = const.c**2 / (4.0 * np.pi * const.G) * source / (lens * between) / u.Mpc
    found = cosmology.critical_surface_density(distances)
    assert found == pytest.approx(density.to_value(u.Msun / u.Mpc**2), rel=1e-9)

    radius = 4.0 * np.pi * (220.0 * u.km / u.s / const.c) ** 2 * between / source
    found = cosmology.einstein_radius(220.0, distances)
    assert found == pytest.approx(radius.to_value(u.one) * u.rad.to(u.arcsec), rel=1e-12)

    distance = 1.5 * lens * source / between
    found = cosmology.time_delay_distance(0.5, distances)
    assert found == pytest.approx(distance, rel=1e-14)
    delay = distance * u.Mpc / const.c * (0.5 * (0.9**2 + 0.4**2) - 0.7) * u.arcsec.to(u.rad) ** 2
    found = cosmology.arrival_time(found, (0.9, -0.4), 0.7)
    assert found == pytest.approx(delay.to_value(u.day), rel=1e-11)


def test_delays_are_those_of_lenstronomy():
    theirs = LensCosmo(0.5, 2.0, FlatLambdaCDM(H0=70.0, Om0=0.3, Tcmb0=0.0))
    distance = cosmology.time_delay_distance(0.5, cosmology.lens_distances(70.0, 0.3, 0.5, 2.0))
    found = cosmology.arrival_time(distance, (np.array([1.0, 0.5]), 0.0), 0.2)
    np.testing.assert_allclose(found, theirs.time_delay_units(np.array([0.3, -0.075])), rtol=1e-8)


def test_halos_by_mass_are_those_of_lenstronomy():
    """Its G M☉ is 2.8e-4 larger than that of the IAU."""
    theirs = LensCosmo(0.5, 2.0, FlatLambdaCDM(H0=70.0, Om0=0.3, Tcmb0=0.0))
    distances = cosmology.lens_distances(70.0, 0.3, 0.5, 2.0)
    density = cosmology.critical_density(70.0, 0.3, 0.5)
    mass, concentration = np.array([1e9, 1e12, 3e14]), np.array([15.0, 8.0, 4.0])
    scale, strength = haloes.halo_by_mass(mass, concentration, density, distances)
    for i in range(3):
        expected = theirs.nfw_physical2angle(mass[i], concentration[i])
        assert scale[i] == pytest.approx(expected[0], rel=1e-8)
        assert strength[i] == pytest.approx(expected[1], rel=3e-4)


def test_a_halo_holds_its_mass_within_its_virial_radius():
    """The mass of the density profile within r200, by integration, is M200c, and its mean density is 200 ρ_c."""
    distances = cosmology.lens_distances(70.0, 0.3, 0.4, 1.5)
    density = cosmology.critical_density(70.0, 0.3, 0.4)
    scale, strength = haloes.halo_by_mass(2e13, 6.0, density, distances)
    radius = scale * cosmology.ARCSEC * distances.lens  # r_s, Mpc
    surface = strength / (4.0 * (1.0 - np.log(2.0)) * scale)
    surface *= cosmology.critical_surface_density(distances)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    r = 3.0 * (nodes + 1.0) * radius
    mass = np.sum(weights * 4.0 * np.pi * r * surface / (1.0 + r / radius) ** 2) * 3.0 * radius
    assert mass == pytest.approx(2e13, rel=1e-9)
    assert mass / (4.0 / 3.0 * np.pi * (6.0 * radius) ** 3) == pytest.approx(
        200.0 * density, rel=1e-9
    )
