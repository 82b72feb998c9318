"""Spectra, beams and windows against healpy, the tables of HEALPix, and sums over the points of pixels."""

import ducc0
import healpy
import numpy as np
import pytest

from deepbench.sphere.fields.ranges import CMB_MAX_ELL
from deepbench.sphere.fields.spectra import (
    CMB_FIELDS,
    cmb_spectra,
    gaussian_beam,
    pixel_window,
    power_law,
    tabulated,
)

HEALPIX_WINDOWS = {  # at ℓ = nside, 2 nside, 3 nside, 4 nside: healpy-data, pixel_window_functions
    16: (0.95154346, 0.82252348, 0.64036957, 0.44069322),
    64: (0.95359399, 0.82612643, 0.64483513, 0.44530535),
    1024: (0.95424514, 0.8272798, 0.64625874, 0.44674777),
}


# --- spectra -------------------------------------------------------------------------------------


def test_a_power_law_has_its_slope_and_amplitude():
    spectrum = power_law(3.0, 2.5, 1000, pivot=80.0)
    assert spectrum[80] == pytest.approx(3.0)
    assert np.log(spectrum[800] / spectrum[8]) / np.log(100) == pytest.approx(-2.5)
    np.testing.assert_array_equal(spectrum[:2], 0)


def test_a_table_is_kept_at_its_points():
    multipoles, values = [2, 3, 10, 40], [1.0, 0.5, -0.2, 0.1]
    spectrum = tabulated(multipoles, values, 60)
    np.testing.assert_allclose(spectrum[multipoles], values, rtol=1e-14)
    np.testing.assert_array_equal(spectrum[:2], 0)
    np.testing.assert_array_equal(spectrum[41:], 0)


def test_power_laws_are_interpolated_exactly():
    exact = power_law(2.0, 1.7, 500)
    points = np.unique(np.geomspace(2, 500, 12).astype(int))
    np.testing.assert_allclose(tabulated(points, exact[points], 500), exact, rtol=1e-12)


def test_lines_join_values_of_both_signs():
    spectrum = tabulated([0, 10, 20], [1.0, -1.0, 3.0], 20)
    assert spectrum[[0, 5, 15]] == pytest.approx([1.0, 0.0, 1.0])


def test_a_table_is_cut_at_lmax():
    whole = tabulated([2, 30, 90], [3.0, 2.0, 1.0], 90)
    np.testing.assert_array_equal(tabulated([2, 30, 90], [3.0, 2.0, 1.0], 47), whole[:48])


def test_the_microwave_background_is_the_one_we_know():
    spectra = dict(zip(CMB_FIELDS, cmb_spectra(3000), strict=True))
    ell = np.arange(3001)
    bands = {name: spectra[name] * ell * (ell + 1) / (2 * np.pi) for name in CMB_FIELDS}
    # the peaks that Planck measured (2020, A&A 641, A1)
    assert bands["TT"].argmax() == pytest.approx(220, abs=2)
    assert bands["TT"].max() == pytest.approx(5730, abs=60)
    assert 450 + bands["TT"][450:650].argmax() == pytest.approx(537, abs=4)
    assert 300 + bands["EE"][300:500].argmax() == pytest.approx(397, abs=4)
    assert 100 + bands["TE"][100:250].argmin() == pytest.approx(150, abs=4)
    variance = ((2 * ell + 1) * spectra["TT"]).sum() / (4 * np.pi)
    assert np.sqrt(variance) == pytest.approx(110, abs=10)  # µK


@pytest.mark.parametrize("lensed", [True, False])
def test_the_spectra_of_the_background_can_be_drawn(lensed):
    tt, ee, bb, te = cmb_spectra(CMB_MAX_ELL, lensed)[:, 2:]
    assert (np.array([tt, ee]) > 0).all()
    assert ((bb > 0) == lensed).all()
    assert (te**2 < tt * ee).all()


@pytest.mark.slow
def test_the_background_is_that_of_camb():
    import camb

    found = camb.set_params(
        H0=67.36,
        ombh2=0.02237,
        omch2=0.12,
        mnu=0.06,
        tau=0.0544,
        As=2.1e-9,
        ns=0.9649,
        lmax=2500,
        lens_potential_accuracy=1,
    )
    theirs = camb.get_results(found).get_cmb_power_spectra(
        lmax=2000, spectra=["lensed_scalar", "unlensed_scalar"], CMB_unit="muK", raw_cl=True
    )
    for name, lensed in (("lensed_scalar", True), ("unlensed_scalar", False)):
        ours, expected = cmb_spectra(2000, lensed)[:, 2:], theirs[name][2:].T
        np.testing.assert_allclose(ours[:3], expected[:3], rtol=2e-3)
        scale = np.sqrt(expected[0] * expected[1])
        np.testing.assert_allclose(ours[3] / scale, expected[3] / scale, atol=2e-3)


# --- beams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fwhm", [0.001, 0.02])
def test_beams_are_those_of_healpy(fwhm):
    theirs = healpy.gauss_beam(fwhm, lmax=1000, pol=True)
    sigma = fwhm / np.sqrt(8 * np.log(2))
    np.testing.assert_allclose(gaussian_beam(sigma, 1000), theirs[:, 0], rtol=1e-12)
    np.testing.assert_allclose(gaussian_beam(sigma, 1000, spin=2)[2:], theirs[2:, 1], rtol=1e-12)
    np.testing.assert_array_equal(gaussian_beam(sigma, 10, spin=2)[:2], 0)


# --- pixel windows -------------------------------------------------------------------------------


@pytest.mark.parametrize(("nside", "tolerance"), [(16, 2.5e-4), (64, 5e-5), (1024, 2e-5)])
def test_windows_are_those_of_healpix(nside, tolerance):
    ours = pixel_window(nside, 4 * nside)[nside * np.arange(1, 5)]
    np.testing.assert_allclose(ours, HEALPIX_WINDOWS[nside], rtol=tolerance)


def test_a_window_is_the_mean_over_the_points_of_pixels():
    # w_ℓ² is the mean of P_ℓ over the pairs of points of a pixel; faces 0 and 4 stand for eight and four
    nside, lmax, squares = 16, 48, []
    for steps in (4, 8):
        inside = nside**2 * steps**2
        places = np.concatenate([np.arange(inside), np.arange(4 * inside, 5 * inside)])
        angles = ducc0.healpix.Healpix_Base(nside * steps, "NEST").pix2ang(places)
        points = ducc0.healpix.ang2vec(angles).reshape(2, nside**2, steps**2, 3)
        cosines = np.clip(np.einsum("fpic,fpjc->fpij", points, points), -1, 1)
        before, now, means = np.ones_like(cosines), cosines, [1.0]
        for ell in range(1, lmax + 1):
            means.append(np.average(now.mean((1, 2, 3)), weights=[2, 1]))
            before, now = now, ((2 * ell + 1) * cosines * now - ell * before) / (ell + 1)
        squares.append(means)
    limit = (4 * np.array(squares[1]) - squares[0]) / 3  # of ever finer points
    np.testing.assert_allclose(pixel_window(nside, lmax), np.sqrt(limit), rtol=3e-4)


def test_the_window_begins_at_one_and_falls():
    window = pixel_window(32, 128)
    assert window[0] == pytest.approx(1.0, abs=1e-9)
    assert (np.diff(window) < 0).all()
