"""The Gaussian blur, against scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from deepbench.images.shapes.gaussian_blur import gaussian_blur, margin
from deepbench.images.shapes.model import Circle
from deepbench.images.shapes.outlines import draw_object, work_size

SIGMAS = [0.125, 0.3, 0.7, 1.0, 1.37, 2.5, 5.0, 9.3]
AS_SCIPY = [1.0, 1.37, 2.5, 5.0, 9.3]  # below, scipy's kernel is narrower than sigma
SCIPY = 5e-7  # float32 sums, of the largest pixel


def blur(plane, sigma, box=None):
    edge = margin(sigma)
    height, width = plane.shape
    out = np.full((height - 2 * edge, width - 2 * edge), np.nan, np.float32)
    taps, line = np.full(edge + 1, np.nan, np.float32), np.full(width, np.nan, np.float32)
    gaussian_blur(plane, box or (0, height, 0, width), sigma, out, taps, line)
    return out


def scipy_blur(plane, sigma):
    edge = margin(sigma)
    blurred = gaussian_filter(plane.astype(np.float64), sigma, mode="constant")
    return blurred[edge : blurred.shape[0] - edge, edge : blurred.shape[1] - edge]


def noise(height, width, sigma, seed=1):
    edge = margin(sigma)
    shape = (height + 2 * edge, width + 2 * edge)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def circle(size, sigma, x, y, radius):
    """Return a plane around a frame with a circle on it, and the box that it touches."""
    edge = margin(sigma)
    plane = np.zeros((size[0] + 2 * edge, size[1] + 2 * edge), np.float32)
    values = {"x": x, "y": y, "radius": radius}
    (row,) = Circle.rows({name: np.array([float(each)]) for name, each in values.items()})
    work = np.zeros(work_size(*plane.shape))
    corner = -float(edge)
    return plane, draw_object(plane, corner, corner, row, work)


@pytest.mark.parametrize("sigma", AS_SCIPY)
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (31, 17), (64, 64)])
def test_pixels_are_those_of_scipy(size, sigma):
    plane = noise(*size, sigma)
    error = np.abs(blur(plane, sigma) - scipy_blur(plane, sigma)).max()
    assert error < SCIPY * np.abs(plane).max()


def test_kernel_wider_than_the_frame():
    plane = noise(16, 16, 40.0)
    assert margin(40.0) == 160
    np.testing.assert_allclose(blur(plane, 40.0), scipy_blur(plane, 40.0), atol=SCIPY)
    # The mean of many pixels is small; a constant keeps its value.
    ones = np.ones((16 + 320, 16 + 320), np.float32)
    np.testing.assert_allclose(blur(ones, 40.0), 1.0, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.0, 1e-300, 9e-5])
def test_no_kernel_copies(sigma):
    plane = noise(5, 9, sigma)
    assert margin(sigma) == 0
    np.testing.assert_array_equal(blur(plane, sigma), plane)


@pytest.mark.parametrize("sigma", [1.1e-4, 0.125, 0.5, 0.624, 0.625, 1.0, 1.3, 100.0])
def test_margin_is_the_radius_made_even(sigma):
    radius = max(int(4 * sigma + 0.5), 1)
    assert margin(sigma) in (radius, radius + 1)
    assert margin(sigma) % 2 == 0


@pytest.mark.parametrize(
    "sigma", [2e-4, 0.01, 0.1, 0.25, 0.374, 0.376, 0.5, 0.6, 0.875, 0.999, 1.0, 1.5, 2.0, 8.0]
)
def test_the_width_is_sigma(sigma):
    edge = margin(sigma)
    point = np.zeros((81 + 2 * edge, 81 + 2 * edge), np.float32)
    point[edge + 40, edge + 40] = 1
    image = blur(point, sigma).astype(np.float64)
    distance = np.arange(81) - 40.0
    assert image.min() >= 0
    # 1e-6: weights are float32; from 1 pixel on, the tails beyond 4 sigma are cut, which takes up to 6e-4
    tolerance = 1e-6 if sigma < 1 else 6e-4
    assert np.sqrt((image.sum(axis=0) * distance**2).sum()) == pytest.approx(sigma, rel=tolerance)
    assert np.sqrt((image.sum(axis=1) * distance**2).sum()) == pytest.approx(sigma, rel=tolerance)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_flux_is_kept_inside(sigma):
    size = 2 * (margin(sigma) + 12) + 1
    plane, box = circle((size, size), sigma, size // 2, size // 2, 9.4)
    total = blur(plane, sigma, box).sum(dtype=np.float64)
    assert total == pytest.approx(np.pi * 9.4**2, rel=1e-6)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_frame_holds_what_a_larger_frame_holds_there(sigma):
    rng = np.random.default_rng(2)
    for _ in range(20):
        x, y, radius = rng.uniform(-25, 45), rng.uniform(-25, 45), rng.uniform(0.5, 25)
        plane, box = circle((20, 22), sigma, x, y, radius)
        small = blur(plane, sigma, box)
        plane, box = circle((80, 82), sigma, x + 30, y + 30, radius)
        large = blur(plane, sigma, box)
        np.testing.assert_allclose(small, large[30:50, 30:52], atol=3e-7)


@settings(max_examples=200, deadline=None)
@given(
    sigma=st.floats(0, 6),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    place=st.tuples(st.floats(-60, 60), st.floats(-60, 60)),
    radius=st.floats(0.1, 30),
)
def test_the_box_changes_no_bit(sigma, size, place, radius):
    plane, box = circle(size, sigma, *place, radius)
    np.testing.assert_array_equal(blur(plane, sigma, box), blur(plane, sigma))


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_point_is_symmetric_and_a_mirrored_image_is_mirrored(sigma):
    edge = margin(sigma)
    point = np.zeros((21 + 2 * edge, 21 + 2 * edge), np.float32)
    point[edge + 10, edge + 10] = 1
    image = blur(point, sigma)
    np.testing.assert_array_equal(image, image[::-1])
    np.testing.assert_array_equal(image, image[:, ::-1])
    np.testing.assert_allclose(image, image.T, atol=1e-7)
    plane = noise(30, 20, sigma)
    mirrored = np.ascontiguousarray(plane[::-1, ::-1])
    np.testing.assert_array_equal(blur(mirrored, sigma), blur(plane, sigma)[::-1, ::-1])


def test_blurs_add():
    plane, other = noise(20, 20, 1.5), noise(20, 20, 1.5, seed=2)
    both = blur(plane + other, 1.5)
    np.testing.assert_allclose(both, blur(plane, 1.5) + blur(other, 1.5), atol=2e-6)


def test_sigma_matters():
    plane, _ = circle((30, 30), 2.0, 15, 15, 6)
    assert np.abs(blur(plane, 2.0) - blur(plane, 2.05)).max() > 1e-3


def test_an_empty_plane_stays_empty():
    plane = np.zeros((9 + 8, 5 + 8), np.float32)
    np.testing.assert_array_equal(blur(plane, 1.0, (17, 0, 13, 0)), np.zeros((9, 5)))


def test_the_plane_is_not_changed():
    plane = noise(10, 10, 1.0)
    before = plane.copy()
    blur(plane, 1.0)
    np.testing.assert_array_equal(plane, before)
