"""Coefficients: where they stand, what they depend on, their laws, and how they turn."""

import healpy
import numpy as np
import pytest
from scipy.special import sph_harm_y

from deepbench.errors import StreamError
from deepbench.numerics.stream_names import stream_number
from deepbench.numerics.streams import normals
from deepbench.sphere.fields.harmonics import (
    FIELD_BLOCKS,
    MAX_ELL,
    count,
    draw_coefficients,
    euler_matrix,
    multiply_coefficients,
    rank_of,
    rotate_coefficients,
    shear_factors,
    spectrum_roots,
)
from deepbench.sphere.fields.spectra import cmb_spectra

STREAM = stream_number("sky/maps/field/harmonics")
ANGLES = (0.3, 1.1, -2.2)


def white(lmax, fields=1):
    return np.broadcast_to(np.eye(fields)[:, :, None], (fields, fields, lmax + 1)).copy()


def value_at(alm, lmax, direction):
    """Return a scalar field's value, by a sum over harmonics."""
    theta, phi = healpy.vec2ang(direction)
    total = 0.0
    for ell in range(lmax + 1):
        for m in range(ell + 1):
            term = alm[rank_of(ell, m, lmax)] * sph_harm_y(ell, m, theta[0], phi[0])
            total += term.real if m == 0 else 2 * term.real
    return total


def cmb_matrices(lmax):
    tt, ee, bb, te = cmb_spectra(lmax)
    zero = np.zeros(lmax + 1)
    return np.array([[tt, te, zero], [te, ee, zero], [zero, zero, bb]])


# --- where they stand and what they depend on ----------------------------------------------------


@pytest.mark.parametrize("lmax", [0, 1, 15, 16, 33])
def test_places_are_those_of_healpy(lmax):
    ell, m = healpy.Alm.getlm(lmax)
    assert count(lmax) == healpy.Alm.getsize(lmax)
    assert [rank_of(int(a), int(b), lmax) for a, b in zip(ell, m, strict=True)] == list(
        range(len(ell))
    )


@pytest.mark.parametrize("lmax", [0, 1, 2, 14, 15, 16, 17, 100])
def test_coefficients_take_the_normals_in_order_of_ell(lmax):
    drawn = draw_coefficients(white(lmax), 2020, STREAM, 7, np.complex128)[0]
    expected = normals(2020, STREAM, 7, (lmax + 1) ** 2).astype(float)
    for ell in range(lmax + 1):
        assert drawn[rank_of(ell, 0, lmax)] == expected[ell**2]
        for m in range(1, ell + 1):
            pair = expected[ell**2 + 2 * m - 1] + 1j * expected[ell**2 + 2 * m]
            assert drawn[rank_of(ell, m, lmax)] == pytest.approx(pair / np.sqrt(2), rel=1e-14)


def test_low_multipoles_do_not_move_when_lmax_grows():
    small, large = (draw_coefficients(white(lmax), 1, STREAM, 0)[0] for lmax in (40, 333))
    ell, m = healpy.Alm.getlm(40)
    np.testing.assert_array_equal(small, large[healpy.Alm.getidx(333, ell, m)])


def test_fields_have_their_own_normals():
    both = draw_coefficients(white(20, 2), 1, STREAM, 0)
    np.testing.assert_array_equal(both[:1], draw_coefficients(white(20), 1, STREAM, 0))
    assert abs(np.corrcoef(both.real)[0, 1]) < 0.2
    assert 4 * FIELD_BLOCKS == (MAX_ELL + 1) ** 2


def test_a_further_field_changes_none_before_it():
    matrices = cmb_matrices(100)
    two, three = (
        draw_coefficients(spectrum_roots(each), 1, STREAM, 0)
        for each in (matrices[:2, :2], matrices)
    )
    np.testing.assert_array_equal(three[:2], two)
    assert np.abs(three[2]).max() > 0


@pytest.mark.parametrize("change", [{"seed": 2}, {"stream": 3}, {"sample": 4}])
def test_seed_stream_and_sample_matter(change):
    usual = {"seed": 1, "stream": 2, "sample": 3}
    before = draw_coefficients(white(9), **usual)
    assert np.unique(before == draw_coefficients(white(9), **usual | change)).tolist() == [False]


def test_single_precision_is_the_rounded_double():
    roots = spectrum_roots(cmb_matrices(300))
    double = draw_coefficients(roots, 1, STREAM, 0, np.complex128)
    single = draw_coefficients(roots, 1, STREAM, 0)
    assert single.dtype == np.complex64
    np.testing.assert_allclose(single, double, rtol=1e-6, atol=1e-6 * np.abs(double).max())


def test_too_many_multipoles_or_fields_are_refused():
    with pytest.raises(
        StreamError, match=r"multipole is 16384; allowed is 0 <= multipole < 2\*\*14"
    ):
        draw_coefficients(np.zeros((1, 1, MAX_ELL + 2)), 1, 2, 3)
    with pytest.raises(StreamError, match=r"field is 16"):
        draw_coefficients(np.zeros((17, 17, 3)), 1, 2, 3)
    with pytest.raises(StreamError, match=r"sample is -1"):
        draw_coefficients(white(2), 1, 2, -1)


# --- laws ----------------------------------------------------------------------------------------


def test_the_spectra_of_draws_have_their_means_and_variances():
    # (2ℓ + 1) Ĉ_ℓ / C_ℓ is chi-square of 2ℓ + 1 degrees of freedom: mean C_ℓ, variance 2 C_ℓ² / (2ℓ + 1)
    lmax, draws = 64, 400
    power = 1.0 / (1.0 + np.arange(lmax + 1.0)) ** 2
    found = np.array(
        [
            healpy.alm2cl(
                draw_coefficients(np.sqrt(power)[None, None], 1, STREAM, i, np.complex128)[0]
            )
            for i in range(draws)
        ]
    )
    ell = np.arange(lmax + 1)
    variance = 2 * power**2 / (2 * ell + 1)
    sigmas = (found.mean(0) - power) / np.sqrt(variance / draws)
    assert np.abs(sigmas).max() < 4.5
    assert (sigmas**2).sum() == pytest.approx(lmax + 1, abs=4.5 * np.sqrt(2 * (lmax + 1)))
    ratio = found.var(0) / variance  # of chi-squares, whose kurtosis is 12 / (2ℓ + 1)
    assert np.abs((ratio - 1) / np.sqrt((2 + 12 / (2 * ell + 1)) / draws)).max() < 4.5


def test_fields_have_their_cross_spectra():
    lmax, draws = 200, 60
    matrices = cmb_matrices(lmax)
    roots = spectrum_roots(matrices)
    found = np.zeros((3, 3, lmax + 1))
    for number in range(draws):
        fields = draw_coefficients(roots, 5, STREAM, number, np.complex128)
        for i in range(3):
            for j in range(3):
                found[i, j] += healpy.alm2cl(fields[i], fields[j]) / draws
    ell = np.arange(2, lmax + 1)
    for i in range(3):
        for j in range(3):
            auto = matrices[i, i, 2:] * matrices[j, j, 2:]
            sigma = np.sqrt((auto + matrices[i, j, 2:] ** 2) / (2 * ell + 1) / draws)
            assert np.abs((found[i, j, 2:] - matrices[i, j, 2:]) / sigma).max() < 4.5


def test_roots_give_the_matrices_back():
    rng = np.random.default_rng(1)
    for rank in (1, 2, 4):  # of four fields
        factors = rng.standard_normal((4, rank, 30))
        matrices = np.einsum("irl,jrl->ijl", factors, factors)
        roots = spectrum_roots(matrices)
        np.testing.assert_allclose(np.einsum("irl,jrl->ijl", roots, roots), matrices, atol=1e-5)
        assert (roots[np.triu_indices(4, 1)] == 0).all()


def test_a_field_without_power_is_zero():
    matrices = white(10, 3)
    matrices[1] = matrices[:, 1] = 0.0
    fields = draw_coefficients(spectrum_roots(matrices), 1, STREAM, 0)
    np.testing.assert_array_equal(fields[1], 0)
    np.testing.assert_array_equal(fields[0], draw_coefficients(white(10), 1, STREAM, 0)[0])


# --- what is done to coefficients ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_factors_are_those_of_healpy(dtype):
    alm = draw_coefficients(white(40), 1, STREAM, 0, dtype)[0]
    factors = np.linspace(-1, 2, 41)
    expected = healpy.almxfl(alm.astype(complex), factors)
    multiply_coefficients(alm, factors)
    np.testing.assert_allclose(alm, expected, rtol=1e-6)


def test_shear_around_a_mass_is_tangential():
    # γ_t(θ) = κ̄(<θ) − κ(θ) around a Gaussian mass at the pole, on a sphere nearly flat at this scale;
    # γ1 > 0 is along meridians, so that there it is −γ_t
    lmax, sigma, nside = 400, 0.03, 256
    ell = np.arange(lmax + 1)
    alm = np.zeros(count(lmax), complex)
    beam = np.exp(-0.5 * ell * (ell + 1) * sigma**2) * 2 * np.pi * sigma**2  # 1 at the centre
    alm[: lmax + 1] = np.sqrt((2 * ell + 1) / (4 * np.pi)) * beam
    multiply_coefficients(alm, shear_factors(lmax))
    gamma_1, gamma_2 = healpy.alm2map_spin([alm, np.zeros_like(alm)], nside, 2, lmax)
    theta, _ = healpy.pix2ang(nside, np.arange(healpy.nside2npix(nside)))
    near = theta < 0.12
    x = theta[near] ** 2 / (2 * sigma**2)
    tangential = (1 - np.exp(-x)) / x - np.exp(-x)
    np.testing.assert_allclose(-gamma_1[near], tangential, atol=2e-3)
    np.testing.assert_allclose(gamma_2, 0, atol=1e-9)


def test_turned_fields_have_their_values_at_turned_places():
    lmax = 6
    alm = draw_coefficients(white(lmax), 1, STREAM, 0, np.complex128)[0]
    turned = rotate_coefficients(alm, lmax, ANGLES)
    matrix = euler_matrix(ANGLES)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-15)
    for direction in np.random.default_rng(2).standard_normal((5, 3)):
        expected = value_at(alm, lmax, direction)
        assert value_at(turned, lmax, matrix @ direction) == pytest.approx(expected, rel=1e-9)


def test_turning_keeps_the_spectrum():
    alm = draw_coefficients(white(50), 1, STREAM, 0, np.complex128)
    turned = rotate_coefficients(alm, 50, ANGLES)
    assert turned.shape == alm.shape
    np.testing.assert_allclose(healpy.alm2cl(turned[0]), healpy.alm2cl(alm[0]), rtol=1e-10)
