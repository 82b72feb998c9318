"""Truncated Sérsic profiles: against GalSim, and laws."""

import math

import galsim
import numpy as np
import pytest

from deepbench.images.galaxies.fourier import CHUNK, render_components
from deepbench.images.galaxies.model import TRUNCATED_ROW
from deepbench.images.galaxies.truncated import add_to_stamps, stamp_edges
from deepbench.images.model.sky import COMPONENT_ROW, rows_of
from tests.sky_rows import psf_row

GALAXY = {
    "flux": 1.0,
    "x": 32.2,
    "y": 31.7,
    "half_light_radius": 4.0,
    "axis_ratio": 0.6,
    "position_angle_degrees": 30.0,
    "sersic_index": 2.0,
    "truncation": 10.0,
}


def row(**changes):
    return rows_of(TRUNCATED_ROW, 1, **{**GALAXY, **changes})


def moffat(fwhm=3.0, beta=2.5, axis_ratio=1.0, position_angle=0.0):
    return psf_row("moffat", fwhm, beta, axis_ratio, position_angle)


def render(rows, psfs, side=64):
    stamps = np.zeros((len(rows), side, side), np.float32)
    add_to_stamps(stamps, rows, psfs)
    return stamps


def galsim_image(own, psf, side=64):
    """Return what GalSim draws."""
    flux, x, y, size, axis_ratio, angle, index, truncation = (own[name][0] for name in GALAXY)
    strict = galsim.GSParams(
        folding_threshold=2e-4, maxk_threshold=2e-5, kvalue_accuracy=1e-6, maximum_fft_size=16384
    )
    galaxy = galsim.Sersic(
        index, half_light_radius=size, trunc=truncation, flux_untruncated=True, gsparams=strict
    ).withFlux(flux)
    galaxy = galaxy.shear(q=axis_ratio, beta=angle * galsim.degrees)
    (psf,) = psf
    blur = galsim.Moffat(psf["shape"], fwhm=psf["fwhm"], gsparams=strict)
    blur = blur.shear(q=psf["axis_ratio"], beta=psf["position_angle"] * galsim.radians)
    seen = galsim.Convolve(galaxy, blur, gsparams=strict)
    middle = (side - 1) / 2
    return seen.shift(x - middle, y - middle).drawImage(nx=side, ny=side, scale=1).array


@pytest.mark.parametrize("psf", [(1.2, 3.0, 1.0, 0.0), (3.0, 2.5, 0.8, 60.0)])
@pytest.mark.parametrize(
    ("index", "size", "truncation"),
    [(0.35, 5.0, 4.0), (0.5, 6.0, 3.0), (1.0, 4.0, 10.0), (2.3, 3.0, 15.0), (4.0, 2.0, 20.0), (5.5, 3.0, 12.0)],
)  # fmt: skip
def test_a_truncated_galaxy_is_that_of_galsim(index, size, truncation, psf):
    own = row(sersic_index=index, half_light_radius=size, truncation=truncation)
    image, other = render(own, moffat(*psf))[0], galsim_image(own, moffat(*psf))
    assert np.abs(image - other).max() < 2e-5 * other.max()


@pytest.mark.parametrize("index", [0.3, 1.0, 3.0])
def test_far_truncation_is_none(index):
    own = row(sersic_index=index, half_light_radius=1.5, truncation=1e6)
    frames = np.zeros((1, 64, 64), np.float32)
    fields = {name: own[name] for name in COMPONENT_ROW.names}
    component = rows_of(COMPONENT_ROW, 1, **fields)
    render_components(frames, np.array([0, 1]), component, moffat())
    assert np.abs(render(own, moffat()) - frames).max() < 3e-5 * frames.max()


@pytest.mark.parametrize("index", [0.3, 1.0, 4.0, 6.2])
def test_flux_is_that_of_the_truncated_profile(index):
    image = render(row(sersic_index=index, flux=7.0), psf_row("gaussian", 1.5))[0]
    assert image.sum(dtype=float) == pytest.approx(7.0, rel=1e-5)


@pytest.mark.parametrize("psf", [moffat(3.0, 1.3), psf_row("kolmogorov", 4.0)])
def test_a_stamp_holds_what_a_larger_one_holds_there(psf):
    small, large = render(row(), psf)[0], render(row(x=160.2, y=159.7), psf, 320)[0]
    np.testing.assert_allclose(large[128:192, 128:192], small, atol=1e-4 * small.max())


def test_quarter_turns():
    image = render(row(), moffat(2.5, 3.0, 0.8, 15.0), 65)[0]
    other = row(x=64 - 31.7, y=32.2, position_angle_degrees=120.0)
    turned = render(other, moffat(2.5, 3.0, 0.8, 105.0), 65)[0]
    np.testing.assert_allclose(np.rot90(turned), image, atol=1e-5 * image.max())


@pytest.mark.parametrize("name", TRUNCATED_ROW.names)
def test_every_parameter_matters(name):
    image, other = render(row(), moffat()), render(row(**{name: 1.05 * GALAXY[name]}), moffat())
    assert np.abs(other - image).max() > 3e-3 * image.max()


def test_a_stamp_holds_its_fraction():
    for truncation in (3.0, 12.0, 1e3):
        (edge,) = stamp_edges(row(truncation=truncation), moffat(), np.array([0.98]))
        own = row(truncation=truncation, x=edge // 2, y=edge // 2)
        assert 0.98 <= render(own, moffat(), edge).sum(dtype=float) + 1e-4 < 1.0001


@pytest.mark.parametrize("side", [48, 49])
@pytest.mark.parametrize("step", [1, CHUNK + 1])
def test_bits_do_not_depend_on_the_batch(side, step):
    rng = np.random.default_rng(5)
    count = 2 * CHUNK + 3
    rows = np.concatenate(
        [
            row(
                x=24 + rng.uniform(-0.5, 0.5),
                y=24.0,
                half_light_radius=rng.uniform(1, 4),
                axis_ratio=rng.uniform(0.2, 1),
                sersic_index=math.exp(rng.uniform(-1, 1.8)),
            )
            for _ in range(count)
        ]
    )
    psfs = np.concatenate([moffat(), moffat(1.4, 3.0), moffat(2.0, 3.0, 0.8, 20.0)])
    psfs = psfs[rng.integers(0, len(psfs), count)]
    whole = render(rows, psfs, side)
    assert np.isfinite(whole).all()
    for begin in range(0, count, step):
        some = slice(begin, begin + step)
        np.testing.assert_array_equal(render(rows[some], psfs[some], side), whole[some])
