"""Maps against healpy, their statistics, and what is done to their pixels."""

import itertools
import subprocess
import sys

import ducc0
import healpy
import numpy as np
import pytest

from deepbench.errors import StreamError
from deepbench.numerics.stream_names import stream_number
from deepbench.numerics.streams import normals
from deepbench.sphere.fields.cosmology import Cosmology, convergence_spectrum, empty_beam_shift
from deepbench.sphere.fields.harmonics import (
    draw_coefficients,
    euler_matrix,
    multiply_coefficients,
    rotate_coefficients,
    spectrum_roots,
)
from deepbench.sphere.fields.lognormal import gaussian_spectrum, lognormal_skewness, variance_of
from deepbench.sphere.fields.spectra import cmb_spectra, gaussian_beam, power_law
from deepbench.sphere.pixels.maps import (
    add_noise,
    analyse,
    exponentiate,
    pixel_count,
    remove_mean,
    ring_of_nest,
    synthesise,
    to_nest,
)

STREAM, NOISE = stream_number("sky/maps/field/harmonics"), stream_number("sky/maps/noise")


def coefficients(spectrum, sample=0, dtype=np.complex128):
    return draw_coefficients(np.sqrt(spectrum)[None, None], 2020, STREAM, sample, dtype)


# --- synthesis -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("nside", "lmax"), [(16, 32), (64, 128), (64, 191), (128, 256)])
def test_maps_are_those_of_healpy(nside, lmax):
    alm = coefficients(power_law(1.0, 2.0, lmax))
    expected = healpy.alm2map(alm[0], nside, lmax=lmax)
    double = synthesise(alm, nside, lmax)
    single = synthesise(alm.astype(np.complex64), nside, lmax)
    assert (double.dtype, single.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(double[0], expected, atol=1e-10 * expected.std())
    np.testing.assert_allclose(single[0], expected, atol=1e-6 * expected.std())


@pytest.mark.parametrize("nside", [32, 128])
def test_polarisation_has_the_signs_of_healpix(nside):
    lmax = 2 * nside
    tt, ee, bb, te = cmb_spectra(lmax)
    zero = np.zeros_like(tt)
    roots = spectrum_roots(np.array([[tt, te, zero], [te, ee, zero], [zero, zero, bb]]))
    alm = draw_coefficients(roots, 1, STREAM, 0, np.complex128)
    _, q, u = healpy.alm2map(list(alm), nside, lmax=lmax, pol=True)
    ours = synthesise(alm[1:], nside, lmax, spin=2)
    np.testing.assert_allclose(ours, [q, u], atol=1e-10 * q.std())
    single = synthesise(alm[1:].astype(np.complex64), nside, lmax, spin=2)
    np.testing.assert_allclose(single, [q, u], atol=1e-6 * q.std())


@pytest.mark.slow
def test_spectra_of_maps_follow_the_law():
    # (2ℓ + 1) Ĉ_ℓ / C_ℓ is chi-square of 2ℓ + 1 degrees of freedom, so the sum over ℓ and maps is chi-square, too
    nside, top, draws = 64, 96, 20
    spectrum = power_law(1.0, 1.0, 2 * nside)
    ell = np.arange(2, top + 1)
    found = np.array(
        [
            healpy.anafast(synthesise(coefficients(spectrum, i), nside, 2 * nside)[0], lmax=top)[2:]
            for i in range(draws)
        ]
    )
    squares = (2 * ell + 1) * found / spectrum[2 : top + 1]
    freedom = draws * (2 * ell + 1).sum()
    assert squares.sum() == pytest.approx(freedom, abs=4.5 * np.sqrt(2 * freedom))
    pulls = (found - spectrum[2 : top + 1]) / (spectrum[2 : top + 1] * np.sqrt(2 / (2 * ell + 1)))
    assert (pulls**2).mean() == pytest.approx(1, abs=0.15)


def test_maps_of_two_resolutions_share_their_low_multipoles():
    seen = []
    for nside in (128, 256):
        alm = coefficients(power_law(1.0, 2.0, 2 * nside), 3)
        sky = synthesise(alm, nside, 2 * nside)[0]
        seen.append(healpy.map2alm(sky, lmax=128, iter=3))
    scale = np.sqrt(power_law(1.0, 2.0, 128)[healpy.Alm.getlm(128)[0]])
    use = scale > 0
    assert np.abs(seen[0] - seen[1])[use].max() < 1e-3 * np.abs(seen[0]).max()
    assert (np.abs(seen[0] - seen[1])[use] / scale[use]).max() < 0.01


def test_a_turned_map_has_the_values_of_the_original():
    nside, lmax, angles = 64, 128, (0.3, 1.1, -2.2)
    alm = coefficients(power_law(1.0, 2.0, lmax))
    turned = synthesise(rotate_coefficients(alm, lmax, angles), nside, lmax)[0]
    directions = np.array(healpy.pix2vec(nside, np.arange(pixel_count(nside))))
    theta, phi = healpy.vec2ang((euler_matrix(angles).T @ directions).T)
    places = np.stack([theta, phi % (2 * np.pi)], axis=1)
    original = ducc0.sht.synthesis_general(alm=alm, spin=0, lmax=lmax, loc=places, epsilon=1e-10)
    np.testing.assert_allclose(turned, original[0], atol=1e-8 * turned.std())
    single = rotate_coefficients(alm.astype(np.complex64), lmax, angles)
    np.testing.assert_allclose(
        synthesise(single, nside, lmax)[0], original[0], atol=1e-5 * turned.std()
    )


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_coefficients_of_maps_are_those_of_healpy(iterations):
    nside, lmax = 64, 128
    sky = synthesise(coefficients(power_law(1.0, 2.0, 3 * nside - 1)), nside, 3 * nside - 1)
    expected = healpy.map2alm(sky[0], lmax=lmax, iter=iterations)
    found = analyse(sky, nside, lmax, iterations=iterations)
    np.testing.assert_allclose(found[0], expected, atol=1e-11 * np.abs(expected).max())
    single = analyse(sky.astype(np.float32), nside, lmax, iterations=iterations)
    assert single.dtype == np.complex64
    np.testing.assert_allclose(single[0], expected, atol=1e-6 * np.abs(expected).max())


def test_coefficients_of_polarisation_are_those_of_healpy():
    nside, lmax = 32, 64
    alm = draw_coefficients(np.eye(2)[:, :, None] * np.ones(lmax + 1), 1, STREAM, 0, np.complex128)
    alm[:, healpy.Alm.getlm(lmax)[0] < 2] = 0
    sky = synthesise(alm, nside, lmax, spin=2)
    expected = healpy.map2alm([np.zeros_like(sky[0]), *sky], lmax=lmax, iter=1, pol=True)[1:]
    found = analyse(sky, nside, lmax, spin=2)
    np.testing.assert_allclose(found, expected, atol=1e-11)
    np.testing.assert_allclose(analyse(sky, nside, lmax, 2, iterations=20), alm, atol=1e-4)


def test_smoothing_errs_as_said():
    nside = 128
    lmax = 2 * nside
    cosmology = Cosmology(0.31, 0.82)
    spectrum, shift = convergence_spectrum(cosmology, 1.0, lmax), empty_beam_shift(cosmology, 1.0)
    below = gaussian_spectrum(spectrum, shift)
    sky = synthesise(coefficients(below.spectrum, 0, np.complex64), nside, lmax)
    exponentiate(sky[0], below.variance, shift)
    beam = gaussian_beam(0.8 * np.sqrt(np.pi / 3) / nside, lmax)
    exact = None
    for iterations, typical, worst in (
        (20, 0, 0),
        (2, 6e-6, 2e-3),
        (1, 5e-5, 2e-2),
        (0, 4e-4, 0.15),
    ):
        alm = analyse(sky.astype(float), nside, lmax, iterations=iterations)
        multiply_coefficients(alm[0], beam)
        smooth = synthesise(alm, nside, lmax)[0]
        exact = smooth if exact is None else exact
        error = (smooth - exact) / exact.std()
        assert error.std() <= typical
        assert np.abs(error).max() <= worst


# --- the order of pixels -------------------------------------------------------------------------


@pytest.mark.parametrize("nside", [1, 2, 64, 512])
def test_the_order_is_that_of_healpy(nside):
    expected = healpy.nest2ring(nside, np.arange(pixel_count(nside)))
    np.testing.assert_array_equal(ring_of_nest(nside), expected)
    assert ring_of_nest(nside) is ring_of_nest(nside)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maps_are_reordered_as_by_healpy(dtype):
    maps = np.random.default_rng(1).standard_normal((2, 3, pixel_count(16))).astype(dtype)
    nest = to_nest(maps, 16)
    assert (nest.shape, nest.dtype) == (maps.shape, maps.dtype)
    np.testing.assert_array_equal(nest[1, 2], healpy.reorder(maps[1, 2], r2n=True))
    out = np.empty_like(maps)
    assert to_nest(maps, 16, out) is out
    np.testing.assert_array_equal(out, nest)


# --- lognormal fields ----------------------------------------------------------------------------


def test_exponentials_are_those_of_double_precision():
    gaussian = (0.3 * np.random.default_rng(1).standard_normal(10_001)).astype(np.float32)
    values = gaussian.copy()
    exponentiate(values, 0.09, 0.06)
    expected = 0.06 * np.expm1(gaussian.astype(float) - 0.045)
    np.testing.assert_allclose(values, expected, rtol=3e-7, atol=1.2e-7 * 0.06)
    rest = gaussian.copy()
    exponentiate(rest, 0.09, 0.06, without_field=True)
    expected -= 0.06 * gaussian.astype(float)
    np.testing.assert_allclose(rest, expected, rtol=3e-7, atol=1.5e-7 * 0.06)


@pytest.mark.slow
def test_lognormal_maps_have_their_spectrum_and_moments():
    nside, draws = 128, 30
    lmax = 2 * nside
    cosmology = Cosmology(0.31, 0.82)
    spectrum, shift = convergence_spectrum(cosmology, 1.0, lmax), empty_beam_shift(cosmology, 1.0)
    below = gaussian_spectrum(spectrum, shift)
    found, skewness, means = [], [], []
    for number in range(draws):
        alm = coefficients(below.spectrum, number, np.complex64)
        values = synthesise(alm, nside, lmax)[0]
        exponentiate(values, below.variance, shift)
        assert values.min() > -shift
        means.append(values.mean(dtype=float))
        skewness.append(((values - means[-1]) ** 3).mean() / values.std() ** 3)
        found.append(healpy.anafast(values.astype(float), lmax=128, iter=1))
    ell = np.arange(2, 129)
    ratios = np.mean(found, axis=0)[2:] / spectrum[2:129]
    edges = [0, 20, 50, 90, 127]
    for low, high in itertools.pairwise(edges):
        weights = 2 * ell[low:high] + 1
        sigma = np.sqrt(2 / (weights.sum() * draws))
        assert np.average(ratios[low:high], weights=weights) == pytest.approx(1, abs=6 * sigma)
    expected = lognormal_skewness(variance_of(spectrum), shift)
    error = np.std(skewness) / np.sqrt(draws)
    assert np.mean(skewness) == pytest.approx(expected, abs=4.5 * error)
    assert abs(np.mean(means)) < 4.5 * np.std(means) / np.sqrt(draws)


# --- means and noise -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mean_is_removed(dtype):
    values = (5 + np.random.default_rng(1).standard_normal(pixel_count(64))).astype(dtype)
    before = values.astype(float)
    assert remove_mean(values) == pytest.approx(before.mean(), rel=1e-12)
    assert values.dtype == dtype
    assert abs(values.mean(dtype=float)) < 1e-6
    np.testing.assert_allclose(values, before - before.mean(), atol=1e-6)


@pytest.mark.parametrize("nside", [1, 16, 32])
def test_noise_is_a_normal_for_each_pixel(nside):
    values = np.linspace(-1, 1, pixel_count(nside)).astype(np.float32)
    noisy = values.copy()
    add_noise(noisy, 0.25, 2020, NOISE, 5)
    drawn = normals(2020, NOISE, 5, values.size)
    np.testing.assert_allclose(noisy, values + np.float32(0.25) * drawn, atol=2e-7)


def test_noise_out_of_range_is_refused():
    with pytest.raises(StreamError, match=r"sample is 4294967296"):
        add_noise(np.zeros(12, np.float32), 1.0, 1, NOISE, 2**32)


def test_a_beam_smooths_as_that_of_healpy():
    nside, lmax, sigma = 64, 128, 0.02
    alm = coefficients(power_law(1.0, 1.0, lmax))
    expected = healpy.alm2map(
        healpy.smoothalm(alm[0], sigma=sigma, inplace=False), nside, lmax=lmax
    )
    multiply_coefficients(alm[0], gaussian_beam(sigma, lmax))
    np.testing.assert_allclose(
        synthesise(alm, nside, lmax)[0], expected, atol=1e-10 * expected.std()
    )


# --- memory --------------------------------------------------------------------------------------

MEMORY = """
from pathlib import Path
import numpy as np
from deepbench.sphere.fields.harmonics import draw_coefficients
from deepbench.sphere.pixels.maps import add_noise, exponentiate, remove_mean, synthesise, to_nest

def make(nside):
    lmax = 2 * nside
    alm = draw_coefficients(np.full((1, 1, lmax + 1), 1e-3), 1, 2, 3)
    ring = synthesise(alm, nside, lmax)
    del alm
    nest = to_nest(ring, nside)
    del ring
    exponentiate(nest[0], 0.1, 0.1)
    remove_mean(nest[0])
    add_noise(nest[0], 0.1, 1, 2, 3)
    return nest.nbytes

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

make(16)
before = peak()
size = make(1024)
print((peak() - before) / size)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_map_takes_less_than_six_times_its_memory():
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    assert 1 < float(done.stdout) < 6
