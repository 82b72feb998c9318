"""Sérsic profiles behind point spread functions: laws, exact cases, and a slow independent quadrature."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import erf, gamma, gammaincc, gammaincinv, j0

from deepbench.images.galaxies.fourier import CHUNK, period, render_components
from deepbench.images.galaxies.sersic import (
    light_outside,
    light_radius,
    sersic_tables,
    shape_constants,
    write_sersic,
)
from deepbench.images.galaxies.stamp_sizes import SIZES, component_edges
from deepbench.images.model.sky import COMPONENT_ROW, rows_of
from deepbench.images.psf.model import FAMILIES
from deepbench.images.psf.psf import PSF_ROW
from deepbench.images.psf.transform_tables import NODES, PIECES
from tests.reference.sersic import pixels
from tests.sky_rows import airy_row, component_rows, psf_row, table_values

INDICES = [0.3, 0.5, 0.77, 1.0, 1.5, 2.5, 4.0, 5.3, 6.2]
TABLE = 5e-7  # float32 and the parabolas of a table, of the flux
FLOAT32 = 2e-6  # sums of a spectrum, of the peak


def moffat(fwhm=3.0, beta=3.5, axis_ratio=1.0, position_angle=0.0):
    return psf_row("moffat", fwhm, beta, axis_ratio, position_angle)


def gaussian(fwhm=3.0, axis_ratio=1.0, position_angle=0.0):
    return psf_row("gaussian", fwhm, 0.0, axis_ratio, position_angle)


def galaxy(
    n=1.0, size=3.0, axis_ratio=0.6, position_angle=30.0, x=31.7, y=30.4, flux=1.0
):  # fmt: skip
    return [flux, x, y, size, axis_ratio, position_angle, n]


def render(components, psf, size=(64, 64)):
    frames = np.zeros((1, *size), np.float32)
    rows = component_rows(components)
    render_components(frames, np.array([0, len(rows)]), rows, psf)
    return frames[0]


def difference(image, other):
    """Return the largest difference, of the peak."""
    return np.abs(image - other).max() / np.abs(other).max()


def sersic_transform(n, s):
    table, values = np.empty((PIECES, 4), np.float32), np.empty(NODES, np.float32)
    write_sersic(n, sersic_tables(), 0, PIECES - 1, values, table)
    return table_values(table, np.square(s))


# --- transforms ----------------------------------------------------------------------------------

WAVES = np.concatenate([[0.0], np.geomspace(2e-3, 900.0, 3001)])


def test_index_one_half_is_a_gaussian():
    exact = np.exp(-(WAVES**2) / (4 * np.log(2)))
    np.testing.assert_allclose(sersic_transform(0.5, WAVES), exact, atol=TABLE)


def test_index_one_is_an_exponential():
    exact = (1 + (WAVES / gammaincinv(2, 0.5)) ** 2) ** -1.5
    np.testing.assert_allclose(sersic_transform(1.0, WAVES), exact, atol=TABLE)


@pytest.mark.parametrize("n", INDICES)
def test_transforms_are_hankel_transforms(n):
    b = gammaincinv(2 * n, 0.5)

    def light(t, s):  # t = b r^(1/n), of unit flux
        return np.exp(-t) * t ** (2 * n - 1) * j0(s * (t / b) ** n) / gamma(2 * n)

    for s in (0.03, 0.3, 1.0, 2.5):
        expected = quad(light, 0, 80 + 10 * n, args=(s,), limit=2000, epsabs=1e-10)[0]
        assert sersic_transform(n, np.array([s])) == pytest.approx(expected, abs=TABLE)


# --- the profile ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", INDICES)
def test_constants(n):
    b, norm = shape_constants(n, sersic_tables())
    exact = gammaincinv(2 * n, 0.5)
    assert b == pytest.approx(exact, rel=1e-9)
    assert norm == pytest.approx(exact ** (2 * n) / (2 * np.pi * n * gamma(2 * n)), rel=1e-8)


@pytest.mark.parametrize("n", INDICES)
def test_light_outside(n):
    tables = sersic_tables()
    assert light_outside(1.0, n, tables) == pytest.approx(0.5, abs=1e-8)
    for radius in (0.0, 0.1, 2.0, 5.0):
        expected = gammaincc(2 * n, gammaincinv(2 * n, 0.5) * radius ** (1 / n))
        assert light_outside(radius, n, tables) == pytest.approx(expected, abs=1e-8)
    for outside in (0.9, 0.5, 0.1, 1e-4):
        radius = light_radius(n, outside, tables)
        assert light_outside(radius, n, tables) == pytest.approx(outside, abs=1e-7)


@pytest.mark.parametrize("n", [0.5, 1.0, 2.0])
def test_the_half_light_radius_encloses_half(n):
    size = 10.0
    image = render(galaxy(n, size, 1.0, x=60, y=60), gaussian(1.2), (121, 121)).astype(float)
    y, x = np.indices(image.shape)
    fine = np.hypot(x - 60, y - 60)
    inside = np.clip(size - fine + 0.5, 0, 1)  # the part of each pixel within the radius, nearly
    assert (image * inside).sum() == pytest.approx(0.5, abs=4e-3)


# --- images against exact forms and the quadrature -----------------------------------------------


def gaussian_image(covariance, x, y, size=64):
    """Return a Gaussian of unit flux integrated over the pixels, its axes along x and y."""

    def line(centre, variance):
        edges = (np.arange(size + 1) - 0.5 - centre) / math.sqrt(2 * variance)
        return np.diff(erf(edges)) / 2

    return line(y, covariance[1])[:, None] * line(x, covariance[0])


@pytest.mark.parametrize(("x", "y"), [(31.0, 31.0), (20.37, 44.81), (0.0, 63.5), (-3.2, 30.0)])
@pytest.mark.parametrize("fwhm", [1.2, 2.5, 5.0])
def test_gaussian_galaxy_behind_a_gaussian(x, y, fwhm):
    variance = 9.0 / (2 * math.log(2)), fwhm**2 / (8 * math.log(2))
    exact = gaussian_image((variance[0] / 0.5 + variance[1], variance[0] * 0.5 + variance[1]), x, y)
    image = render(galaxy(0.5, 3.0, 0.5, 0.0, x, y), gaussian(fwhm))
    assert difference(image, exact) < 1e-5


def test_an_elliptical_psf_is_an_elliptical_galaxy():
    # Gaussians: a round galaxy behind an elliptical one is an elliptical galaxy behind a round one
    ratio = math.log(16) / math.log(2)  # (fwhm / half-light radius)² of a Gaussian
    image = render(galaxy(0.5, 2.0, 1.0), gaussian(5.0, 0.6, 70.0))
    other = render(galaxy(0.5, 5 / math.sqrt(ratio), 0.6, 70.0), gaussian(2.0 * math.sqrt(ratio)))
    assert difference(image, other) < 1e-5
    assert difference(image, render(galaxy(0.5, 2.0, 1.0), gaussian(5.0))) > 0.01


CASES = [  # component, fwhm, beta, and the tolerance in parts of the peak: twice the worst or more
    (galaxy(1.0, 3.0, 0.6), 2.0, 3.0, 4e-5),
    (galaxy(4.0, 3.0, 0.6), 1.2, 2.0, 4e-5),
    (galaxy(0.6, 8.0, 0.1, 3.0, x=8.0), 5.0, 2.0, 4e-4),
    (
        galaxy(1.0, 8.0, 0.1, 3.0, x=52.0),
        5.0,
        2.0,
        1e-3,
    ),  # narrow copies near the frame, wide wings
    (galaxy(2.3, 1.5, 0.9, 100.0), 4.0, 5.0, 4e-5),
    (galaxy(5.9, 8.0, 0.12, 160.0), 3.0, 2.2, 4e-5),
    (galaxy(6.0, 8.0, 0.9, 160.0), 1.2, 4.0, 4e-5),
    (galaxy(4.0, 5.0, 0.5, 45.0, x=-20.0, y=70.0), 3.0, 2.5, 4e-5),
    (galaxy(1.0, 8.0, 0.3, 10.0, x=-20.0), 3.0, 2.5, 4e-5),
    (galaxy(3.0, 5.0, 0.5, 45.0, x=-34.0), 3.0, 2.5, 4e-5),  # too far for the FFT
]
PLACES = [(30, 32), (31, 31), (35, 40), (28, 9), (30, 52), (10, 50), (0, 0), (63, 3)]
WORST = 1e-4
"""Of the peak: five times the worst of 80 random galaxies with their centres in the frame, against GalSim."""


@pytest.mark.slow
@pytest.mark.parametrize(("component", "fwhm", "beta", "tolerance"), CASES)
def test_images_are_those_of_the_quadrature(component, fwhm, beta, tolerance):
    expected = pixels(component, fwhm, beta, PLACES)
    image = render(component, moffat(fwhm, beta))[tuple(np.transpose(PLACES))]
    peak = render([1.0, 32.0, 30.0, *component[3:]], moffat(fwhm, beta)).max()
    assert np.abs(image - expected).max() < tolerance * peak


@pytest.mark.slow
def test_the_quadrature_agrees_with_itself_at_twice_the_resolution():
    component, places = galaxy(3.0, 2.0, 0.4), [(30, 32), (33, 29), (5, 60)]
    coarse = pixels(component, 2.0, 2.5, places)
    np.testing.assert_allclose(pixels(component, 2.0, 2.5, places, 2.0), coarse, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("component", "fwhm", "beta"), [case[:3] for case in CASES[:2]])
def test_the_quadrature_agrees_with_galsim(component, fwhm, beta):
    galsim = pytest.importorskip("galsim")
    flux, x, y, size, axis_ratio, angle, n = component
    tight = galsim.GSParams(
        folding_threshold=5e-4, kvalue_accuracy=1e-6, maxk_threshold=1e-4, maximum_fft_size=4096
    )
    shape = galsim.Shear(q=axis_ratio, beta=angle * galsim.degrees)
    profile = galsim.Sersic(n, half_light_radius=size, flux=flux, gsparams=tight).shear(shape)
    both = galsim.Convolve(profile, galsim.Moffat(beta, fwhm=fwhm, gsparams=tight))
    image = galsim.Image(64, 64, scale=1.0, dtype=float)
    both.drawImage(image, offset=(x - 31.5, y - 31.5), method="auto")
    found = image.array[tuple(np.transpose(PLACES))]
    error = np.abs(found - pixels(component, fwhm, beta, PLACES)).max()
    assert error < 1e-5 * image.array.max()  # GalSim folds 5e-4 of the light


# --- laws ----------------------------------------------------------------------------------------

ANY = {
    "n": st.floats(0.5, 6.0),
    "size": st.floats(1.5, 8.0),
    "axis_ratio": st.floats(0.1, 1.0),
    "position_angle": st.floats(0.0, 180.0),
}


@settings(max_examples=25, deadline=None)
@given(shape=st.fixed_dictionaries(ANY), fwhm=st.floats(1.2, 5.0), beta=st.floats(2.0, 5.0))
def test_flux_inside_a_frame_is_part_of_the_flux(shape, fwhm, beta):
    image = render(galaxy(**shape), moffat(fwhm, beta))
    assert 0.5 < image.sum(dtype=float) < 1 + 1e-4
    assert image.min() > -WORST * image.max()


@pytest.mark.parametrize("psf", [gaussian(), moffat(2.5, 5.0)])
@pytest.mark.parametrize("n", [0.5, 1.0, 1.4])
def test_all_flux_is_found_in_a_large_frame(n, psf):
    image = render(galaxy(n, 2.0, x=100, y=100, flux=7.0), psf, (201, 201))
    assert image.sum(dtype=float) == pytest.approx(7.0, rel=1e-5)


@pytest.mark.parametrize(("n", "size"), [(4.0, 3.0), (6.0, 8.0), (2.0, 8.0)])
def test_light_outside_of_a_frame_is_missing_in_it(n, size):
    frame = 256
    image = render(galaxy(n, size, 1.0, x=127.5, y=127.5), gaussian(2.0), (frame, frame))
    angle = np.linspace(0, np.pi / 4, 200)  # of a square in polar coordinates
    radius = frame / 2 / np.cos(angle) / size
    outside = np.trapezoid([light_outside(r, n, sersic_tables()) for r in radius], angle)
    # the Gaussian moves less than 1e-5 of the light across the border
    assert image.sum(dtype=float) == pytest.approx(1 - outside / (np.pi / 4), abs=5e-5)


def test_components_add():
    bulge, disk = galaxy(4.0, 1.5, 0.9, flux=0.3), galaxy(1.0, 5.0, 0.4, x=30.0, flux=2.0)
    both = render([bulge, disk], moffat())
    assert difference(both, render(bulge, moffat()) + render(disk, moffat())) < FLOAT32
    assert difference(render([disk, bulge], moffat()), both) < FLOAT32


def test_flux_is_a_factor_and_frames_are_added_to():
    image = render(galaxy(3.0), moffat())
    assert difference(render(galaxy(3.0, flux=-250.0), moffat()), -250 * image) < FLOAT32
    frames = np.ones((1, 64, 64), np.float32)
    render_components(frames, np.array([0, 1]), component_rows(galaxy(3.0)), moffat())
    np.testing.assert_allclose(frames[0], 1 + image, atol=1e-7)


@pytest.mark.parametrize("n", [0.6, 2.0, 5.0])
def test_whole_shifts(n):
    shape = {"n": n, "size": 3.0, "axis_ratio": 0.3}
    image = render(galaxy(**shape, x=30.3, y=29.8), moffat())
    moved = render(galaxy(**shape, x=37.3, y=25.8), moffat())
    assert difference(moved[:60, 7:], image[4:, :-7]) < 2e-5


@pytest.mark.parametrize("shift", [0.25, 0.5, 0.9])
def test_shifts_below_a_pixel_move_the_centroid(shift):
    image = render(galaxy(0.5, 3.0, x=31.5 + shift, y=31.5 - shift), gaussian()).astype(float)
    y, x = np.indices(image.shape)
    assert (image * x).sum() == pytest.approx(31.5 + shift, abs=1e-4)
    assert (image * y).sum() == pytest.approx(31.5 - shift, abs=1e-4)


@pytest.mark.parametrize("n", [0.5, 1.0, 4.0])
def test_quarter_turns(n):
    image = render(galaxy(n, 3.0, 0.3, 20.0, x=40.2, y=25.1), moffat(3.0, 2.5, 0.8, 60.0))
    turned = render(galaxy(n, 3.0, 0.3, 110.0, x=63 - 25.1, y=40.2), moffat(3.0, 2.5, 0.8, 150.0))
    assert difference(np.rot90(turned), image) < 2e-5


@pytest.mark.parametrize("angle", [0.0, 37.0, 90.0, 143.0])
@pytest.mark.parametrize("n", [0.5, 0.8, 1.2])
def test_second_moments(n, angle):
    q, size, fwhm = 0.5, 3.0, 3.0
    image = render(galaxy(n, size, q, angle, x=80.3, y=79.6), gaussian(fwhm), (160, 160))
    b = gammaincinv(2 * n, 0.5)
    variance = size**2 * gamma(4 * n) / gamma(2 * n) / b ** (2 * n) / 2
    turn = math.radians(angle)
    axes = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    expected = axes.T @ np.diag([variance / q, variance * q]) @ axes
    expected += np.eye(2) * (fwhm**2 / (8 * math.log(2)) + 1 / 12)
    y, x = np.indices(image.shape)
    offsets = np.stack([x - 80.3, y - 79.6]).reshape(2, -1)
    found = (offsets * image.ravel().astype(float)) @ offsets.T
    np.testing.assert_allclose(found, expected, atol=2e-3 * variance)


@settings(max_examples=25, deadline=None)
@given(n=st.floats(0.5, 6.0), size=st.floats(1.5, 8.0), fwhm=st.floats(1.2, 5.0))
def test_round_galaxies_fall_monotonically(n, size, fwhm):
    image = render(galaxy(n, size, 1.0, x=32.0, y=32.0), moffat(fwhm, 3.0)).astype(float)
    for line in (image[32, 32:], image[32:, 32], np.diag(image)[32:]):
        assert np.diff(line).max() < 1e-5 * image.max()


def test_a_frame_holds_what_a_larger_frame_holds_there():
    for n in (1.0, 4.0, 6.0):
        small = render(galaxy(n, 5.0, 0.4), moffat())
        large = render(galaxy(n, 5.0, 0.4, x=31.7 + 16, y=30.4 + 10), moffat(), (90, 100))
        assert difference(small, large[10:74, 16:80]) < 2e-5


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (31, 17), (64, 20)])
def test_frames_of_any_size(size):
    component = galaxy(2.0, 2.0, x=size[1] / 2, y=size[0] / 2)
    large = render(
        [*component[:1], component[1] + 15, component[2] + 20, *component[3:]], moffat(), (99, 99)
    )
    part = large[20 : 20 + size[0], 15 : 15 + size[1]]
    assert difference(render(component, moffat(), size), part) < 1e-4


def test_nothing_jumps_where_the_centre_leaves_the_near_frame():
    # beyond 32 pixels outside of the frame the wing is drawn without an FFT
    edge = 31.5 - 64.0
    for n, q in ((1.0, 0.3), (4.0, 0.7), (6.0, 0.2)):
        peak = render(galaxy(n, 6.0, q), moffat()).max()
        near = render(galaxy(n, 6.0, q, x=edge + 1e-6), moffat())
        far = render(galaxy(n, 6.0, q, x=edge - 1e-6), moffat())
        assert np.abs(near - far).max() < WORST * peak


@pytest.mark.parametrize(
    "change",
    [{"n": 2.6}, {"size": 3.1}, {"axis_ratio": 0.58}, {"position_angle": 33.0}, {"x": 31.8}, {"y": 30.5}],
)  # fmt: skip
def test_every_parameter_matters(change):
    image = render(galaxy(n=2.5), moffat())
    assert difference(render(galaxy(**{"n": 2.5, **change}), moffat()), image) > 1e-3


@pytest.mark.slow
def test_strange_parameters_give_images():
    # far beyond the accurate range: finite, and nowhere brighter than the flux
    rng = np.random.default_rng(3)
    count = 200
    rows = rows_of(
        COMPONENT_ROW,
        count,
        flux=1.0,
        x=rng.uniform(-200, 260, count),
        y=rng.uniform(-200, 260, count),
        half_light_radius=np.exp(rng.uniform(-3, 6, count)),
        axis_ratio=rng.uniform(0, 1, count),
        position_angle_degrees=rng.uniform(-400, 400, count),
        sersic_index=np.exp(rng.uniform(-1.6, 2, count)),
    )
    psfs = rows_of(
        PSF_ROW,
        count,
        family=rng.integers(0, len(FAMILIES), count),
        fwhm=np.exp(rng.uniform(-1, 3.7, count)),
        shape=rng.uniform(0, 12, count),
        axis_ratio=rng.uniform(0.3, 1, count),
        position_angle=rng.uniform(0, np.pi, count),
    )
    frames = np.zeros((count, 64, 64), np.float32)
    render_components(frames, np.arange(count + 1), rows, psfs)
    assert np.isfinite(frames).all()
    assert np.abs(frames).max() < 1.1


# --- bits ----------------------------------------------------------------------------------------


def population(count, seed=5):
    """Return offsets, components and point spread functions; some repeat, some galaxies have no light or are far."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 4, count))])
    total = offsets[-1]
    rows = rows_of(
        COMPONENT_ROW,
        total,
        flux=rng.uniform(0, 5, total),
        x=rng.uniform(-60, 120, total),
        y=rng.uniform(-60, 120, total),
        half_light_radius=rng.uniform(1.5, 8, total),
        axis_ratio=rng.uniform(0.1, 1, total),
        position_angle_degrees=rng.uniform(0, 180, total),
        sersic_index=rng.uniform(0.3, 6.2, total),
    )
    kolmogorov = psf_row("kolmogorov", 3.0, 0.0, 0.9, 20.0)
    psfs = np.concatenate([moffat(), gaussian(2.0), kolmogorov, airy_row(1.5, 0.3)])
    return offsets, rows, psfs[rng.integers(0, len(psfs), count)]


@pytest.mark.parametrize("size", [(64, 64), (33, 50)])
@pytest.mark.parametrize("step", [1, 5, CHUNK, CHUNK + 1])
def test_bits_do_not_depend_on_the_batch(size, step):
    count = 3 * CHUNK + 5
    offsets, rows, psfs = population(count)
    whole = np.zeros((count, *size), np.float32)
    render_components(whole, offsets, rows, psfs)
    assert np.isfinite(whole).all()
    for begin in range(0, count, step):
        end = min(begin + step, count)
        part = np.zeros((end - begin, *size), np.float32)
        render_components(part, offsets[begin : end + 1], rows, psfs[begin:end])
        np.testing.assert_array_equal(part, whole[begin:end])


def test_inputs_are_not_changed():
    offsets, rows, psfs = population(9)
    before = offsets.copy(), rows.copy(), psfs.copy()
    render_components(np.zeros((9, 20, 20), np.float32), offsets, rows, psfs)
    for now, then in zip((offsets, rows, psfs), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_images_without_components_stay():
    frames = np.full((2, 8, 9), 3, np.float32)
    render_components(frames, np.zeros(3, int), np.empty(0, COMPONENT_ROW), np.repeat(moffat(), 2))
    np.testing.assert_array_equal(frames, 3)


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (64, 10), (100, 33), (101, 33), (512, 512)])
def test_the_period_is_at_least_twice_the_frame(size):
    found = period(*size)
    assert 2 * max(size) <= found <= max(2.3 * max(size), 32)
    assert found % 4 == 0
    rest = found
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    assert rest == 1


# --- stamps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "psf", [moffat(3.0, 2.5), gaussian(4.0), psf_row("kolmogorov", 3.0), airy_row(2.0, 0.3)]
)
@pytest.mark.parametrize("n", [0.7, 2.0, 4.0])
def test_a_stamp_holds_its_fraction(n, psf):
    component = galaxy(n, 2.0, 0.6)
    rows = component_rows([component, component]), np.repeat(psf, 2)
    fractions = np.array([0.97, 0.7])
    edges = component_edges(np.arange(3), *rows, fractions, SIZES, sersic_tables())
    for edge, fraction in zip(edges, fractions, strict=True):
        middle = edge // 2
        for place in (middle - 0.5, middle, middle + 0.5):
            image = render([1.0, place, place, *component[3:]], psf, (edge, edge))
            assert fraction <= image.sum(dtype=float) < 1.0001
    assert edges[1] < edges[0] or edges[0] == SIZES[0]
