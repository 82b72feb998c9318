"""Black bodies in bands, against astropy's Planck function and fine integrals."""

import astropy.units as u
import numpy as np
import pytest
from astropy.constants import sigma_sb
from astropy.modeling.models import BlackBody
from dust_extinction.parameter_averages import F99
from scipy.constants import c, h, k
from scipy.integrate import quad

from deepbench.light_curves.families.black_bodies import (
    ABSCISSAE,
    HC_OVER_K,
    NODES,
    WEIGHTS,
    band_flux,
    write_band,
)

BANDS = {
    "u": (320.0, 400.0),
    "g": (400.0, 552.0),
    "y": (950.0, 1070.0),
    "TESS": (600.0, 1000.0),
    "octave": (400.0, 800.0),
}


def flux(edges, temperature, redshift=0.0, reddening=0.0):
    nodes, weights = np.empty(NODES), np.empty(NODES)
    write_band(np.array(edges), redshift, reddening, nodes, weights)
    return band_flux(temperature, nodes, weights)


def fine(edges, temperature, redshift=0.0, reddening=0.0):
    """Return ∫ π B_ν / (σ T⁴) dν/ν / ∫ dν/ν in our units, from astropy."""
    body = BlackBody(temperature * u.K)

    def density(log_wavelength):
        wavelength = np.exp(log_wavelength)
        value = (
            np.pi
            * u.sr
            * body(wavelength / (1.0 + redshift) * u.nm)
            / (sigma_sb * (temperature * u.K) ** 4)
        )
        dust = (
            10.0 ** (-0.4 * 3.1 * reddening * F99(Rv=3.1)(wavelength * u.nm)) if reddening else 1.0
        )
        return value.to_value(u.s) * dust

    low, high = np.log(edges)
    mean = quad(density, low, high, epsrel=1e-11)[0] / (high - low)
    return mean * np.pi**4 * k / (15.0 * h)


def test_the_rule_is_that_of_gauss_and_legendre():
    x, w = np.polynomial.legendre.leggauss(NODES)
    assert pytest.approx(0.5 * (1.0 + x), abs=1e-15) == ABSCISSAE
    assert pytest.approx(0.5 * w, abs=1e-15) == WEIGHTS
    assert pytest.approx(h * c / k * 1e9, rel=1e-14) == HC_OVER_K


@pytest.mark.parametrize("temperature", [3000.0, 6000.0, 12000.0, 40000.0])
@pytest.mark.parametrize("band", BANDS)
def test_fluxes_are_those_of_astropys_black_body(band, temperature):
    # astropy has the constants of CODATA 2018 in its Planck function and in σ
    assert flux(BANDS[band], temperature) == pytest.approx(fine(BANDS[band], temperature), rel=1e-6)


@pytest.mark.parametrize("redshift", [0.1, 1.0])
@pytest.mark.parametrize("reddening", [0.0, 0.3])
@pytest.mark.parametrize("band", ["u", "g", "TESS"])
def test_fluxes_of_redshifted_bodies_behind_dust(band, reddening, redshift):
    expected = fine(BANDS[band], 10000.0, redshift, reddening)
    assert flux(BANDS[band], 10000.0, redshift, reddening) == pytest.approx(
        expected, rel=1e-5 if reddening else 1e-6
    )


def test_hotter_bodies_are_bluer():
    colours = [
        flux(BANDS["g"], t) / flux(BANDS["y"], t) for t in (3000.0, 5000.0, 10000.0, 30000.0)
    ]
    assert np.all(np.diff(colours) > 0.0)


def test_the_long_wavelengths_follow_rayleigh_and_jeans():
    """π B_ν / (σ T⁴) falls as T⁻³ where h ν ≪ k T."""
    assert flux((9e5, 1e6), 4e4) / flux((9e5, 1e6), 2e4) == pytest.approx(1.0 / 8.0, rel=1e-3)


def test_the_coldest_body_has_no_light_and_no_nan():
    assert flux(BANDS["u"], 10.0) == 0.0 or flux(BANDS["u"], 10.0) < 1e-300
