"""Convergence spectra against CAMB, and their parts against integrals and differential equations."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from deepbench.sphere.fields import cosmology as cosmology_module
from deepbench.sphere.fields.cosmology import (
    HUBBLE_DISTANCE,
    MAX_ELL,
    Cosmology,
    comoving_distance,
    convergence_spectrum,
    empty_beam_shift,
    expansion,
    growth,
    hilbert_shift,
    lensing_efficiency,
    linear_power,
    nonlinear_power,
    transfer,
)
from deepbench.sphere.fields.ranges import COSMOLOGIES
from tests.reference.convergence import camb_power, camb_spectrum, camb_window_spectrum

FIDUCIAL = Cosmology(0.31, 0.82, 0.7, 0.96)
MULTIPOLES = np.array([2, 10, 20, 30, 50, 80, 120, 200, 300, 500, 800, 1200, 2000])
RANGES = {name: ends for name, ends in COSMOLOGIES.items() if name != "omega_b"}
CORNERS = [
    [limits[end] for limits, end in zip(RANGES.values(), ends, strict=True)]
    for ends in itertools.product((0, 1), repeat=len(RANGES))
    if sum(ends) % 2 == 0
]
"""Half of the corners of the ranges: any four limits of four parameters meet at one of them."""


def differences(values, source_redshift):
    """Return the relative differences of a spectrum and CAMB's at MULTIPOLES."""
    cosmology = Cosmology(*values)
    ours = convergence_spectrum(cosmology, source_redshift, 2000)[MULTIPOLES]
    return ours / camb_spectrum(cosmology, source_redshift, MULTIPOLES) - 1.0


# --- expansion and growth ------------------------------------------------------------------------


@pytest.mark.parametrize("omega_m", [0.05, 0.2, 0.31, 0.4, 1.0])
def test_distances_are_integrals_of_the_expansion(omega_m):
    cosmology = Cosmology(omega_m, 0.8)
    for z in (0.01, 0.5, 2.0):
        expected = quad(lambda x: 1 / np.sqrt(omega_m * (1 + x) ** 3 + 1 - omega_m), 0, z)[0]
        assert comoving_distance(cosmology, z) == pytest.approx(HUBBLE_DISTANCE * expected)


def test_distances_in_a_universe_of_matter():
    z = np.array([0.0, 0.1, 1.0, 3.0])
    exact = 2 * HUBBLE_DISTANCE * (1 - 1 / np.sqrt(1 + z))
    np.testing.assert_allclose(comoving_distance(Cosmology(1.0, 0.8), z), exact, rtol=1e-12)


@pytest.mark.parametrize("omega_m", [0.2, 0.31, 0.4])
def test_growth_solves_its_differential_equation(omega_m):
    def derivatives(a, y):  # D'' + (dlnH/da + 3/a) D' = 3/2 Ωm D / (a⁵ E²)
        square = omega_m / a**3 + 1 - omega_m
        drag = (-1.5 * omega_m / a**4) / square + 3 / a
        return [y[1], 1.5 * omega_m * y[0] / (a**5 * square) - drag * y[1]]

    places = [1 / 3.0, 0.5, 0.8, 1.0]
    start = 1e-4
    found = solve_ivp(derivatives, (start, 1), [start, 1.0], t_eval=places, rtol=1e-9, atol=1e-14)
    ours = growth(Cosmology(omega_m, 0.8), 1 / np.array(places) - 1)
    np.testing.assert_allclose(ours, found.y[0] / found.y[0, -1], rtol=1e-6)


# --- the power of matter -------------------------------------------------------------------------


def test_the_transfer_function_is_one_on_large_scales():
    assert transfer(FIDUCIAL, np.array([1e-6])) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("cosmology", "expected"),
    [
        (FIDUCIAL, (0.99269609, 0.44298772, 0.20892424, 0.1352136, 0.057135736, 0.0048908727)),
        (
            Cosmology(0.2, 0.8, 0.6, 0.96, 0.06),
            (0.97962748, 0.24571438, 0.095363001, 0.047248921, 0.019399723, 0.0014147861),
        ),
    ],
)
def test_the_transfer_function_is_that_of_colossus(cosmology, expected):
    # colossus 1.4.0, cosmology.power_spectrum.transferFunction with model "eisenstein98"
    k = np.array([0.001, 0.03, 0.07, 0.1, 0.2, 1.0])
    np.testing.assert_allclose(transfer(cosmology, k), expected, rtol=1e-7)


def test_without_baryons_the_transfer_function_is_that_of_cold_matter():
    # equations 17 to 20 with α_c = β_c = 1
    cosmology = Cosmology(0.3, 0.8, 0.7, 0.96, omega_b=1e-7)
    k = np.geomspace(1e-3, 10, 40)
    q = k / (13.41 * 0.0746 * 0.3 * 0.7) * (2.7255 / 2.7) ** 2
    logarithm = np.log(np.e + 1.8 * q)
    exact = logarithm / (logarithm + (14.2 + 386 / (1 + 69.9 * q**1.08)) * q**2)
    np.testing.assert_allclose(transfer(cosmology, k), exact, rtol=1e-5)


def test_the_oscillations_have_the_period_of_the_sound_horizon():
    k = np.linspace(0.03, 0.3, 2000)
    values = np.log(transfer(FIDUCIAL, k))
    wiggles = values - np.polynomial.Polynomial.fit(np.log(k), values, 5)(np.log(k))
    peaks = k[1:-1][(wiggles[1:-1] > wiggles[:-2]) & (wiggles[1:-1] > wiggles[2:])]
    sound_horizon = 150.0 * 0.7  # Mpc/h, near enough
    assert np.diff(peaks).mean() == pytest.approx(2 * np.pi / sound_horizon, rel=0.08)


@pytest.mark.parametrize("values", [(0.31, 0.82, 0.7, 0.96), (0.2, 0.6, 0.8, 1.0)])
def test_the_spectrum_has_its_sigma_8(values):
    cosmology = Cosmology(*values)

    def integrand(log_k):
        k = np.exp(log_k)
        x = 8 * k
        sphere = 3 * (np.sin(x) - x * np.cos(x)) / x**3
        return k**3 * linear_power(cosmology, k) * sphere**2 / (2 * np.pi**2)

    variance = quad(integrand, np.log(1e-4), np.log(20.0), limit=2000)[0]
    assert np.sqrt(variance) == pytest.approx(cosmology.sigma_8, rel=1e-4)


def test_large_scales_stay_linear():
    z, k = np.array([0.0, 1.0]), np.full((1, 2), 5e-3)
    ratio = nonlinear_power(FIDUCIAL, k, z) / linear_power(FIDUCIAL, k, z)
    np.testing.assert_allclose(ratio, 1.0, atol=0.01)


def test_small_scales_do_not():
    z, k = np.array([0.0]), np.array([[1.0]])
    assert nonlinear_power(FIDUCIAL, k, z) > 3 * linear_power(FIDUCIAL, k, z)


@pytest.mark.slow
@pytest.mark.parametrize("z", [0.0, 1.0])
def test_the_power_of_matter_is_that_of_camb(z):
    k = np.geomspace(0.005, 10, 200)
    linear, nonlinear = camb_power(FIDUCIAL, k, z)
    ours = linear_power(FIDUCIAL, k, z)
    assert np.log(ours / linear).std() < 0.01
    boost = nonlinear_power(FIDUCIAL, k[:, None], np.array([z]))[:, 0] / ours
    ratio = np.log(boost / (nonlinear / linear))
    assert ratio.std() < 0.007
    assert np.abs(ratio).max() < 0.015


# --- convergence ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "source_redshift"), [((0.31, 0.82, 0.7, 0.96), 1.0), ((0.4, 1.0, 0.8, 1.0), 2.0)]
)
def test_spectra_are_those_of_camb(values, source_redshift):
    assert np.abs(differences(values, source_redshift)).max() < 0.015


@pytest.mark.slow
@pytest.mark.parametrize(("omega_m", "sigma_8", "h", "n_s", "source_redshift"), CORNERS)
def test_spectra_are_those_of_camb_at_the_corners(omega_m, sigma_8, h, n_s, source_redshift):
    assert np.abs(differences((omega_m, sigma_8, h, n_s), source_redshift)).max() < 0.025


@pytest.mark.slow
def test_spectra_within_the_ranges_are_those_of_camb():
    rng = np.random.default_rng(3)
    lows, highs = np.transpose(list(RANGES.values()))
    for _ in range(12):
        *values, source_redshift = rng.uniform(lows, highs)
        omega_b = rng.uniform(0.04, 0.06)
        assert np.abs(differences((*values, omega_b), source_redshift)).max() < 0.02


@pytest.mark.slow
def test_the_reference_is_cambs_own_spectrum_of_a_narrow_window():
    multipoles = MULTIPOLES[MULTIPOLES >= 10]  # below, theirs is not that of Limber
    theirs = camb_window_spectrum(FIDUCIAL, 1.0, 2000)[multipoles]
    expected = camb_spectrum(FIDUCIAL, 1.0, multipoles)
    np.testing.assert_allclose(theirs, expected, rtol=5e-3)


def test_spectra_do_not_depend_on_lmax():
    whole = convergence_spectrum(FIDUCIAL, 1.0, MAX_ELL)
    assert whole.shape == (MAX_ELL + 1,)
    np.testing.assert_array_equal(convergence_spectrum(FIDUCIAL, 1.0, 100), whole[:101])
    np.testing.assert_array_equal(whole[:2], 0)
    assert (whole[2:] > 0).all()


def test_more_nodes_change_little(monkeypatch):
    before = convergence_spectrum(FIDUCIAL, 2.0, 3000)[2:]
    for name in ("_REDSHIFTS", "_MULTIPOLES", "_FILTERS"):
        monkeypatch.setattr(cosmology_module, name, 3 * getattr(cosmology_module, name))
    np.testing.assert_allclose(convergence_spectrum(FIDUCIAL, 2.0, 3000)[2:], before, rtol=1e-3)


def test_the_shift_of_an_empty_beam_is_its_integral():
    def integrand(z):
        efficiency = lensing_efficiency(FIDUCIAL, z, 1.0)
        return efficiency * HUBBLE_DISTANCE / expansion(FIDUCIAL, z)

    assert empty_beam_shift(FIDUCIAL, 1.0) == pytest.approx(quad(integrand, 0, 1)[0], rel=1e-9)


def test_the_shift_in_a_universe_of_matter():
    cosmology = Cosmology(1.0, 0.8)
    z = 3.0
    y_s = 1 / np.sqrt(1 + z)  # χ = 2 (1 − y), (1 + z) = 1 / y²
    end = 2 * (1 - y_s)

    def primitive(y):  # of 2 (1 − y) (1 − 2 (1 − y) / end) / y² dχ, dχ = −2 dy
        linear = -1 / y - np.log(y)
        square = -1 / y - 2 * np.log(y) + y
        return 2 * (2 * linear - 4 * square / end)

    exact = 1.5 * (primitive(1.0) - primitive(y_s))
    assert empty_beam_shift(cosmology, z) == pytest.approx(exact, rel=1e-9)


def test_the_shifts_of_two_universes():
    # those of DeepSphere's classes
    assert empty_beam_shift(Cosmology(0.31, 0.82), 1.0) == pytest.approx(0.0657, abs=5e-5)
    assert empty_beam_shift(Cosmology(0.26, 0.91), 1.0) == pytest.approx(0.0588, abs=5e-5)


def test_the_shift_of_hilbert():
    assert hilbert_shift(1.0) == pytest.approx(0.008 + 0.029 - 0.0079 + 0.00065, rel=1e-12)
    assert hilbert_shift(2.0) == pytest.approx(0.016 + 0.116 - 0.0632 + 0.0104, rel=1e-12)
