"""Profiles of point spread functions and their transforms: against Bessel functions, integrals and pupils."""

import math

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import gamma, j0, kv

from deepbench.images.psf import model
from deepbench.images.psf.airy import airy_fwhm, airy_transform
from deepbench.images.psf.model import FAMILIES
from deepbench.images.psf.psf import PSF_ROW
from deepbench.images.psf.psf_profiles import (
    evaluate,
    make_profile,
    psf_radius,
    psf_tables,
    write_transform,
)
from deepbench.images.psf.transform_tables import NODES, PIECES, nodes, piece_of
from deepbench.numerics.kernels import kernel
from tests.reference.point_sources import airy_half_width, intensity
from tests.sky_rows import airy_row, psf_row, table_values

TABLE = 5e-7  # float32 and the parabolas of a table, of the flux
WAVES = np.concatenate([[0.0], np.geomspace(2e-3, 900.0, 3001)])


def psf_transform(psf, s):
    table, values = np.empty((PIECES, 4), np.float32), np.empty((2, NODES), np.float32)
    write_transform(psf[0], psf_tables(), 0, PIECES - 1, values, table)
    return table_values(table, np.square(s))


# --- families ------------------------------------------------------------------------------------


def test_families_are_numbered_once():
    assert sorted(each.family for each in FAMILIES.values()) == list(range(len(FAMILIES)))


@pytest.mark.parametrize(
    ("described", "row"),
    [
        (
            {"moffat": {"fwhm": 1.5, "beta": 3, "truncation": 4, "position_angle": 90}},
            (model.MOFFAT, 3.0, 3.0, 8.0, 1.0, math.pi / 2, 0.0),
        ),
        (
            {"airy": {"fwhm": 1, "obscuration": 0.3, "axis_ratio": 0.5, "jitter": 0.1}},
            (model.AIRY, 2.0, 0.3, 0.0, 0.5, 0.0, 0.2),
        ),
        ({"kolmogorov": {"fwhm": 1}}, (model.KOLMOGOROV, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0)),
        ({"gaussian": {"sigma": 2}}, (model.GAUSSIAN, 2 * model.FWHM_OF_SIGMA, 0, 0, 1.0, 0, 0)),
    ],
)
def test_a_row_is_in_pixels_and_radians(described, row):
    psf = model.PsfEntry.model_validate(described).chosen
    names = [name for name in type(psf).model_fields if getattr(psf, name) is not None]
    columns = {name: np.full(2, getattr(psf, name).value) for name in names}
    rows = psf.rows(columns, 0.5, 2)
    assert rows.dtype == PSF_ROW
    assert rows[0] == rows[1]
    assert tuple(rows[0]) == pytest.approx(row, rel=1e-15)


# --- profiles ------------------------------------------------------------------------------------


@kernel
def profile_values(psf, values):
    profile = make_profile(psf)
    for i in range(values.size):
        values[i] = values[i] / profile.scale * values[i] / profile.scale
    evaluate(profile, values, values.size)
    return profile.peak


PROFILES = [
    *(("moffat", beta) for beta in (1.1, 2.5, 5.0, 100.0)),
    *(("airy", obscuration) for obscuration in (0.0, 0.3, 0.9)),
    *(("gaussian", 0.0), ("kolmogorov", 0.0)),
]


@pytest.mark.parametrize(("family", "shape"), PROFILES)
def test_profiles_are_those_of_scipy(family, shape):
    r = np.concatenate([np.linspace(0, 10, 4001), np.geomspace(10, 3e3, 2000)]).astype(np.float32)
    values = r.copy()
    peak = profile_values(psf_row(family, 2.0, shape)[0], values)
    expected = intensity(family, r.astype(np.float64), 2.0, shape)
    assert peak == pytest.approx(expected[0], rel=1e-6)
    rounding = 7e-8 * shape  # of 1 + t, to the power of β
    np.testing.assert_allclose(values, expected / peak, atol=max(2e-6, rounding), rtol=0)
    if family in {"moffat", "kolmogorov"} and shape < 10:
        np.testing.assert_allclose(values, expected / peak, rtol=5e-4)


def test_width_of_an_airy_pattern():
    width = kernel(lambda obscuration: airy_fwhm(obscuration))
    for obscuration in np.linspace(0, 0.99, 34):
        expected = 2 * airy_half_width(float(obscuration)) / math.pi
        assert width(obscuration) == pytest.approx(expected, rel=1e-7)


# --- transforms ----------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [1.1, 1.3, 2.0, 2.5, 4.765, 10.0, 10.01, 23.0, 100.0])
def test_moffat_is_a_bessel_function(beta):
    x = WAVES[1:] / (2 * np.sqrt(2 ** (1 / beta) - 1))
    x, waves = x[x < 600], WAVES[1:][x < 600]
    with np.errstate(over="ignore", invalid="ignore"):
        exact = 2 * (x / 2) ** (beta - 1) * kv(beta - 1, x) / gamma(beta - 1)
    x, waves, exact = (each[np.isfinite(exact)] for each in (x, waves, exact))
    assert len(x) > 500
    np.testing.assert_allclose(
        psf_transform(psf_row("moffat", 1.0, beta), waves), exact, atol=TABLE
    )


def test_gaussian_and_kolmogorov():
    exact = np.exp(-(WAVES**2) / (16 * np.log(2)))
    np.testing.assert_allclose(psf_transform(psf_row("gaussian", 3.0), WAVES), exact, atol=TABLE)
    waves = np.linspace(0, 40, 20001)
    kolmogorov = psf_transform(psf_row("kolmogorov", 1.0), waves) * waves
    centre, half = np.trapezoid(kolmogorov, waves), np.trapezoid(kolmogorov * j0(waves / 2), waves)
    assert half == pytest.approx(0.5 * centre, rel=1e-5)


def test_airy():
    waves = np.linspace(0, 7, 800)
    ratio = np.minimum(waves / (2 * np.pi), 1)
    exact = 2 / np.pi * (np.arccos(ratio) - ratio * np.sqrt(1 - ratio**2))
    table = psf_transform(airy_row(1.0), waves)
    np.testing.assert_allclose(
        table, exact, atol=3e-4
    )  # parabolas across the end, like (1 − ν)^1.5
    assert np.abs(table - exact)[ratio < 0.9].max() < 2e-6


@pytest.mark.parametrize("jitter", [0.1, 0.7, 5.0])
def test_jitter_multiplies_the_transform_of_an_airy_pattern(jitter):
    waves, (psf,) = np.linspace(0, 7, 800), airy_row(1.3, 0.4)
    steady = psf_transform([psf], waves)
    psf["jitter"] = jitter
    exact = steady * np.exp(-0.5 * (waves * jitter / 1.3) ** 2)
    np.testing.assert_allclose(psf_transform([psf], waves), exact, atol=2e-6)


def test_too_much_jitter_is_refused():
    model.AiryPsf(fwhm=0.1, jitter=0.5)
    message = "the jitter can be 0.51 arcsec, more than 5 times the fwhm, which can be 0.1"
    with pytest.raises(ValidationError, match=message):
        model.AiryPsf(fwhm={"uniform": [0.1, 0.2]}, jitter={"uniform": [0.0, 0.51]})


@pytest.mark.parametrize("obscuration", [0.0, 0.2, 0.5, 0.9])
def test_airy_is_the_overlap_of_two_pupils(obscuration):
    axis = np.linspace(-3, 3, 1501)
    x, y = np.meshgrid(axis, axis)

    def pupil(shift):
        square = (x - shift) ** 2 + y**2
        return (square < 1) & (square > obscuration**2)

    for shift in (0.0, 0.15, 0.6, 1.1, 1.7, 2.2):
        expected = (pupil(0.0) & pupil(shift)).sum() / pupil(0.0).sum()
        assert airy_transform(np.pi * shift, obscuration) == pytest.approx(expected, abs=0.01)


def test_pieces_hold_their_nodes():
    for piece in (0, 1, 31, 32, 33, 640, PIECES - 2):
        assert piece_of(nodes()[2 * piece]) == piece
        assert piece_of(nodes()[2 * piece + 1]) == piece
    assert (piece_of(0.0), piece_of(1e30)) == (0, PIECES - 1)


@pytest.mark.parametrize("beta", [2.5, 10.0, 40.0, 100.0])
def test_the_radius_of_a_moffat_profile_is_exact(beta):
    alpha = 1.5 / math.sqrt(2 ** (1 / beta) - 1)
    radius = psf_radius(psf_row("moffat", 3.0, beta)[0], 0.01)
    assert (1 + (radius / alpha) ** 2) ** (1 - beta) == pytest.approx(0.01, rel=1e-9)
