"""Gaussian spectra below lognormal fields against glass, sums over angles, and moments of random numbers."""

import glass
import numpy as np
import pytest
from scipy.special import eval_legendre

from deepbench.errors import LabelError
from deepbench.sphere.fields.cosmology import Cosmology, convergence_spectrum, empty_beam_shift
from deepbench.sphere.fields.lognormal import gaussian_spectrum, lognormal_skewness, variance_of
from deepbench.sphere.fields.spectra import power_law

COSMOLOGY = Cosmology(0.31, 0.82)
SHIFT = empty_beam_shift(COSMOLOGY, 1.0)


def convergence(lmax):
    return convergence_spectrum(COSMOLOGY, 1.0, lmax)


def lognormal_spectrum(spectrum, shift):
    """Return the spectrum of the lognormal field of a Gaussian one, by plain sums."""
    lmax = spectrum.size - 1
    cosines, weights = np.polynomial.legendre.leggauss(3 * lmax)
    ell = np.arange(lmax + 1)
    legendre = eval_legendre(ell[:, None], cosines)
    correlation = ((2 * ell + 1) * spectrum / (4 * np.pi)) @ legendre
    return 2 * np.pi * legendre @ (weights * shift**2 * np.expm1(correlation))


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("lmax", [96, 512])
def test_spectra_are_those_of_glass(lmax):
    spectrum = convergence(lmax)
    transformation = glass.grf.Lognormal(SHIFT)
    theirs, _, _ = glass.grf.solve(
        spectrum, transformation, monopole=0.0, pad=lmax, cltol=1e-8, gltol=1e-8
    )
    ours = gaussian_spectrum(spectrum, SHIFT)
    np.testing.assert_allclose(ours.spectrum[2:], theirs[2:], rtol=3e-5)


@pytest.mark.parametrize("shift", [SHIFT, 0.02])
def test_the_lognormal_field_has_its_spectrum(shift):
    spectrum = convergence(128)
    found = lognormal_spectrum(gaussian_spectrum(spectrum, shift).spectrum, shift)
    np.testing.assert_allclose(found[2:], spectrum[2:], rtol=2e-4)


def test_a_large_shift_leaves_a_gaussian_field():
    spectrum = power_law(1e-6, 1.5, 200)
    found = gaussian_spectrum(spectrum, 10.0)
    np.testing.assert_allclose(found.spectrum[2:] * 100, spectrum[2:], rtol=1e-5)


def test_nothing_is_negative_and_what_was_clipped_is_told():
    spectrum = np.zeros(65)
    spectrum[10] = 1e-3  # one multipole: its logarithm has others, some of them negative
    found = gaussian_spectrum(spectrum, 0.1)
    assert (found.spectrum >= 0).all()
    np.testing.assert_array_equal(found.spectrum[:2], 0)
    assert 0.01 < found.clipped < 1
    assert found.variance == variance_of(found.spectrum)
    assert gaussian_spectrum(convergence(512), SHIFT).clipped < 1e-6


def test_the_monopole_and_dipole_are_not_read():
    spectrum = convergence(64)
    changed = spectrum.copy()
    changed[:2] = 1.0
    np.testing.assert_array_equal(
        gaussian_spectrum(changed, SHIFT).spectrum, gaussian_spectrum(spectrum, SHIFT).spectrum
    )


def test_no_power_gives_no_power():
    found = gaussian_spectrum(np.zeros(9), 0.1)
    assert found.variance == found.clipped == 0
    np.testing.assert_array_equal(found.spectrum, 0)


def test_a_shift_can_be_too_small():
    spectrum = np.zeros(17)
    spectrum[3] = 1.0
    with pytest.raises(
        LabelError, match=r"the shift of a lognormal field is 0.1, .* Choose a shift above"
    ) as raised:
        gaussian_spectrum(spectrum, 0.1)
    above = np.sqrt(-raised.value.least)
    gaussian_spectrum(spectrum, 1.001 * above)
    with pytest.raises(LabelError):
        gaussian_spectrum(spectrum, 0.999 * above)


def test_the_skewness_is_that_of_lognormal_numbers():
    variance, shift = 4e-4, 0.06
    normals = np.random.default_rng(1).standard_normal(4_000_000)
    sigma2 = np.log1p(variance / shift**2)
    values = shift * np.expm1(np.sqrt(sigma2) * normals - sigma2 / 2)
    assert values.var() == pytest.approx(variance, rel=5e-3)
    skewness = ((values - values.mean()) ** 3).mean() / values.std() ** 3
    assert lognormal_skewness(variance, shift) == pytest.approx(skewness, rel=0.01)
