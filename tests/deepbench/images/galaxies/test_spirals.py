"""Spiral arms: against an independent quadrature, and laws."""

import math

import numpy as np
import pytest
from scipy.special import ive

from deepbench.images.galaxies.arms import MOST_TERMS, write_series
from deepbench.images.galaxies.fourier import render_components
from deepbench.images.galaxies.model import ARMS_ROW, LOGARITHMIC, RINGERMACHER_MEAD
from deepbench.images.galaxies.oversampled import (
    CHUNK,
    FINE,
    FINER,
    convolve,
    grid_period,
    refinements,
)
from deepbench.images.galaxies.spirals import add_to_stamps
from deepbench.images.model.sky import rows_of
from deepbench.images.psf.psf import PSF_ROW
from deepbench.numerics.kernels import kernel
from tests.reference.spirals import gaussian_image, moffat_pixels
from tests.sky_rows import component_rows, psf_row

GALAXY = {
    "flux": 1.0,
    "x": 32.2,
    "y": 31.7,
    "half_light_radius": 5.0,
    "axis_ratio": 0.6,
    "position_angle_degrees": 30.0,
    "arms": 2.0,
    "form": LOGARITHMIC,
    "pitch_angle_degrees": 20.0,
    "winding": 4.0,
    "arm_scale": 12.0,
    "arm_opening": 1.5,
    "contrast": 0.8,
    "arm_width": 0.35,
    "inner_radius": 1.5,
    "arm_angle_degrees": 20.0,
    "handedness": 1.0,
}
RINGERMACHER = {"form": RINGERMACHER_MEAD}


def row(**changes):
    return rows_of(ARMS_ROW, 1, **{**GALAXY, **changes})


def gaussian(fwhm):
    return psf_row("gaussian", fwhm)


def moffat(fwhm=3.0, beta=2.5, axis_ratio=1.0, position_angle=0.0):
    return psf_row("moffat", fwhm, beta, axis_ratio, position_angle)


def render(rows, psfs, side=64):
    stamps = np.zeros((len(rows), side, side), np.float32)
    add_to_stamps(stamps, rows, psfs)
    return stamps


def disk(own, psf, side=64):
    frames = np.zeros((1, side, side), np.float32)
    names = ("flux", "x", "y", "half_light_radius", "axis_ratio", "position_angle_degrees")
    component = component_rows([*(own[name][0] for name in names), 1.0])
    render_components(frames, np.array([0, 1]), component, psf)
    return frames[0]


# --- against the quadrature ----------------------------------------------------------------------


def draws(count):
    rng = np.random.default_rng(20)
    for i in range(count):
        form = {}
        if i % 4 == 3:
            form = RINGERMACHER | {
                "winding": rng.uniform(1, 8),
                "arm_opening": math.exp(rng.uniform(-0.7, 1.4)),
            }
        own = row(
            x=32 + rng.uniform(-0.5, 0.5),
            y=32 + rng.uniform(-0.5, 0.5),
            half_light_radius=1.5 * 8 ** rng.uniform(),
            axis_ratio=rng.uniform(0.1, 0.3 if i % 2 else 1.0),
            position_angle_degrees=rng.uniform(0, 180),
            arms=rng.integers(1, 7),
            contrast=1.0,
            arm_width=rng.uniform(0.12, 0.7),
            inner_radius=rng.uniform(0.1, 3.0),
            arm_angle_degrees=rng.uniform(0, 360),
            handedness=rng.choice([-1, 1]),
            **{"pitch_angle_degrees": rng.uniform(8, 45), "arm_scale": rng.uniform(3, 20), **form},
        )
        yield own, (1.2, 1.6, 2.0, 3.5)[i % 5 % 4]


@pytest.mark.slow
def test_arms_are_those_of_the_quadrature():
    errors = []
    for own, fwhm in draws(12):
        image, exact = render(own, gaussian(fwhm))[0], gaussian_image(own[0], fwhm, 64)
        errors.append(np.abs(image - exact).max() / disk(own, gaussian(fwhm)).max())
    assert np.median(errors) < 1e-4
    assert max(errors) < 1e-3


@pytest.mark.slow
def test_the_quadrature_has_converged():
    for own in (row(), row(axis_ratio=0.15, arm_width=0.15, **RINGERMACHER)):
        exact = gaussian_image(own[0], 1.2, 64)
        finer = gaussian_image(own[0], 1.2, 64, resolution=2.0)
        assert np.abs(finer - exact).max() < 1e-6 * disk(own, gaussian(1.2)).max()


@pytest.mark.slow
@pytest.mark.parametrize(
    "psf", [(1.4, 2.5, 1.0, 0.0), (3.0, 2.5, 0.7, 60.0), (2.0, 4.0, 0.6, 10.0)]
)
def test_point_spread_functions_with_wings_and_ellipses(psf):
    own = row(half_light_radius=3.0)
    places = [(32, 32), (30, 34), (27, 37), (36, 30), (31, 24), (10, 20), (50, 33), (3, 3)]
    image = render(own, moffat(*psf))[0]
    exact = moffat_pixels(own[0], psf, places, reach=60)
    found = [image[place] for place in places]
    np.testing.assert_allclose(found, exact, atol=1e-4 * disk(own, moffat(*psf)).max())


def test_the_pulse_is_von_mises():
    terms = np.empty(MOST_TERMS)

    @kernel
    def series(width, terms):
        return write_series(width, terms)

    for width in (0.05, 0.2, 0.5, 0.9):
        count = series(width, terms)
        kappa = math.log(2) / (1 - math.cos(math.pi * width))
        exact = 2 * ive(np.arange(1, count + 1), kappa) / ive(0, kappa)
        np.testing.assert_allclose(terms[:count], exact, rtol=1e-9)
        assert 2 * ive(count + 1, kappa) / ive(0, kappa) < 1e-5


# --- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [{}, RINGERMACHER])
@pytest.mark.parametrize("axis_ratio", [0.15, 0.5, 1.0])
def test_arms_bring_no_flux(form, axis_ratio):
    own = row(axis_ratio=axis_ratio, half_light_radius=3.0, x=64.2, y=63.7, **form)
    image = render(own, moffat(), 128)[0].astype(float)
    assert np.abs(image).sum() > 0.05
    assert abs(image.sum()) < 1e-4


@pytest.mark.parametrize("form", [{}, RINGERMACHER])
def test_light_is_nowhere_negative(form):
    own = row(contrast=1.0, arm_width=0.2, axis_ratio=0.9, **form)
    total = render(own, gaussian(1.3))[0] + disk(own, gaussian(1.3))
    assert total.min() > -1e-4 * total.max()


@pytest.mark.parametrize("form", [{}, RINGERMACHER])
def test_quarter_turns(form):
    image = render(row(x=32.2, y=31.7, **form), moffat(2.5, 3.0, 0.8, 15.0), 65)[0]
    turned = row(x=64 - 31.7, y=32.2, position_angle_degrees=120.0, **form)
    other = render(turned, moffat(2.5, 3.0, 0.8, 105.0), 65)[0]
    np.testing.assert_allclose(np.rot90(other), image, atol=2e-5 * image.max())


@pytest.mark.parametrize("form", [{}, RINGERMACHER])
def test_handedness_mirrors(form):
    image = render(row(position_angle_degrees=0.0, y=32.2, **form), moffat(), 65)[0]
    own = row(
        position_angle_degrees=0.0, y=64 - 32.2, arm_angle_degrees=-20.0, handedness=-1.0, **form
    )
    np.testing.assert_allclose(render(own, moffat(), 65)[0][::-1], image, atol=2e-5 * image.max())


@pytest.mark.parametrize("form", [{"pitch_angle_degrees": 45.0}, RINGERMACHER | {"winding": 1.0}])
def test_arms_of_handedness_one_turn_counter_clockwise_outwards(form):
    own = row(
        x=64, y=64, half_light_radius=12, axis_ratio=1, arms=1, arm_angle_degrees=0, inner_radius=0.5,
        arm_width=0.2, **form,
    )  # fmt: skip
    image = render(own, gaussian(2.0), 129)[0]
    y, x = np.indices(image.shape) - 64
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    places = []
    for ring in (6, 8, 11, 15, 20):
        near = np.abs(radius - ring) < 0.7
        places.append(np.angle((image[near] * np.exp(1j * angle[near])).sum()))
    assert (np.diff(np.unwrap(places)) > 0.05).all()


def test_whole_pixels():
    small, large = render(row(), moffat(), 64)[0], render(row(x=40.2, y=39.7), moffat(), 80)[0]
    np.testing.assert_allclose(large[8:72, 8:72], small, atol=2e-5 * small.max())


def test_flux_and_contrast_are_factors_and_stamps_are_added_to():
    image = render(row(), moffat())
    other = render(row(flux=-50.0, contrast=0.4), moffat())
    np.testing.assert_allclose(other, -25 * image, atol=1e-4 * image.max())
    stamps = np.ones((1, 64, 64), np.float32)
    add_to_stamps(stamps, row(), moffat())
    np.testing.assert_allclose(stamps, 1 + image, atol=1e-7)


@pytest.mark.parametrize("name", ARMS_ROW.names)
def test_every_parameter_matters(name):
    form = RINGERMACHER if name in ("winding", "arm_scale", "arm_opening") else {}
    changed = {"form": RINGERMACHER_MEAD, "arms": 3.0, "handedness": -1.0}.get(
        name, 1.05 * GALAXY[name]
    )
    image, other = render(row(**form), moffat()), render(row(**{**form, name: changed}), moffat())
    assert np.abs(other - image).max() > 3e-3 * np.abs(image).max()


def test_strange_parameters_give_images():
    rng = np.random.default_rng(3)
    count = 60
    rows = rows_of(
        ARMS_ROW,
        count,
        flux=1.0,
        x=rng.uniform(15, 17, count),
        y=rng.uniform(15, 17, count),
        half_light_radius=np.exp(rng.uniform(-3, 5, count)),
        axis_ratio=rng.uniform(0, 1, count),
        position_angle_degrees=rng.uniform(-400, 400, count),
        arms=rng.integers(0, 20, count),
        form=rng.integers(0, 2, count),
        pitch_angle_degrees=rng.uniform(0, 90, count),
        winding=rng.uniform(0, 90, count),
        arm_scale=np.exp(rng.uniform(-5, 5, count)),
        arm_opening=np.exp(rng.uniform(-5, 5, count)),
        contrast=rng.uniform(0, 1, count),
        arm_width=rng.uniform(0, 1, count),
        inner_radius=np.exp(rng.uniform(-9, 3, count)),
        arm_angle_degrees=rng.uniform(-1e4, 1e4, count),
        handedness=rng.choice([-1.0, 1.0], count),
    )
    stamps = render(rows, np.repeat(moffat(), count), 33)
    assert np.isfinite(stamps).all()
    assert np.abs(stamps).max() < 1.0


# --- the grid ------------------------------------------------------------------------------------


def test_a_point_of_light_is_the_point_spread_function():
    for psf in (gaussian(3.0), gaussian(1.5), moffat(2.6, 3.0, 0.7, 30.0)):
        refined, size = refinements(psf)[0], grid_period(32)
        grids = np.zeros((1, refined * size, refined * size), np.float32)
        at = refined * (size // 2)
        grids[0, at, at] = 1.0
        frames = np.zeros((1, 32, 32), np.float32)
        point = component_rows([1.0, 16.0, 16.0, 1e-3, 1.0, 0.0, 0.5])
        render_components(frames, np.array([0, 1]), point, psf)
        np.testing.assert_allclose(convolve(grids, psf, 32), frames, atol=3e-4 * frames.max())


def test_the_grid_follows_from_the_point_spread_function():
    psfs = np.concatenate([moffat(2.0), moffat(1.99), moffat(2.3, axis_ratio=0.5)])
    assert refinements(psfs).tolist() == [FINE, FINER, FINER]


def population(count):
    rng = np.random.default_rng(5)
    rows = np.concatenate(
        [
            row(
                x=16 + rng.uniform(-0.5, 0.5),
                axis_ratio=rng.uniform(0.1, 1.0),
                position_angle_degrees=rng.uniform(0, 180),
                half_light_radius=rng.uniform(1, 4),
                arms=rng.integers(1, 5),
                y=16.0,
                form=rng.integers(0, 2),
            )
            for _ in range(count)
        ]
    )
    psfs = np.concatenate([moffat(), gaussian(1.5), gaussian(2.5), moffat(2.0, 3.0, 0.8, 20.0)])
    return rows, psfs[rng.integers(0, len(psfs), count)]


@pytest.mark.parametrize("side", [32, 33])
@pytest.mark.parametrize("step", [1, 5, CHUNK + 1])
def test_bits_do_not_depend_on_the_batch(side, step):
    rows, psfs = population(2 * CHUNK + 5)
    before = rows.copy(), psfs.copy()
    whole = render(rows, psfs, side)
    for begin in range(0, len(rows), step):
        some = slice(begin, begin + step)
        np.testing.assert_array_equal(render(rows[some], psfs[some], side), whole[some])
    np.testing.assert_array_equal(rows, before[0])
    np.testing.assert_array_equal(psfs, before[1])


def test_no_stamps():
    stamps = np.zeros((0, 20, 20), np.float32)
    add_to_stamps(stamps, np.zeros(0, ARMS_ROW), np.zeros(0, PSF_ROW))
