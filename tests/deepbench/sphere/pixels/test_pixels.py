"""The geometry of pixels against healpy's."""

import healpy
import numpy as np
import pytest
from numba import njit

from deepbench.sphere.pixels.pixels import (
    MOST_LEVEL,
    RADIUS,
    STEEPEST,
    direction,
    face_position,
    nest_number,
    pixel_of,
    tangent,
)


@njit
def centres(level, vectors):
    count = 1 << level
    for face in range(12):
        for column in range(count):
            for row in range(count):
                number = nest_number(level, face, column, row)
                x, y = (column + 0.5) / count, (row + 0.5) / count
                vectors[number] = direction(face, x, y)


@njit
def numbers(level, longitudes, latitudes):
    found = np.empty(longitudes.size, np.int64)
    for i in range(longitudes.size):
        found[i] = pixel_of(level, longitudes[i], latitudes[i])
    return found


@njit
def tangents(face, x, y, dx, dy):
    return tangent(face, x, y, dx, dy)


@njit
def directions(face, x, y):
    return direction(face, x, y)


@njit
def places(longitude, latitude):
    return face_position(longitude, latitude)


@pytest.mark.slow
@pytest.mark.parametrize("level", range(8))
def test_centres_of_pixels_are_those_of_healpy(level):
    vectors = np.empty((healpy.nside2npix(1 << level), 3))
    centres(level, vectors)
    expected = np.array(healpy.pix2vec(1 << level, np.arange(len(vectors)), nest=True)).T
    np.testing.assert_allclose(vectors, expected, atol=1e-14)


@pytest.mark.parametrize("level", [0, 1, 5, 10, 20, MOST_LEVEL])
def test_directions_are_in_the_pixels_of_healpy(level):
    rng = np.random.default_rng(level)
    longitudes = rng.uniform(-400, 800, 100_000)
    latitudes = np.degrees(np.arcsin(rng.uniform(-1, 1, longitudes.size)))
    latitudes[:1000] = 90 - 10 ** rng.uniform(-6, 0, 1000)
    latitudes[1000:2000] = -latitudes[:1000]
    expected = healpy.ang2pix(1 << level, longitudes % 360, latitudes, nest=True, lonlat=True)
    found = numbers(level, longitudes, latitudes)
    assert (found != expected).sum() <= (0 if level < 20 else 20)  # rounding, on edges
    edges = [
        (0.0, 0.0),
        (360.0, 90.0),
        (90.0, -90.0),
        (-1e-300, 10.0),
        (360.0, -10.0),
        (45.0, 41.9),
    ]
    for longitude, latitude in edges:
        pixel = healpy.ang2pix(1 << level, longitude % 360, latitude, nest=True, lonlat=True)
        if level < 20 and abs(latitude) < 90:
            assert pixel_of(level, longitude, latitude) == pixel
        assert 0 <= pixel_of(level, longitude, latitude) < healpy.nside2npix(1 << level)


def test_places_on_faces_are_found_again():
    rng = np.random.default_rng(1)
    for face in range(12):
        for x, y in rng.uniform(0, 1, (200, 2)):
            longitude, latitude = healpy.vec2ang(np.array(directions(face, x, y)), lonlat=True)
            found = places(longitude[0], latitude[0])
            np.testing.assert_allclose(found, (face, x, y), atol=1e-12)


@pytest.mark.parametrize("change", [(1.0, 0.0), (0.0, 1.0), (-0.3, 0.8)])
def test_tangents_are_differences(change):
    rng = np.random.default_rng(2)
    dx, dy = change
    for face in range(12):
        for x, y in rng.uniform(0.01, 0.99, (50, 2)):
            step = 1e-6
            ahead = np.array(directions(face, x + step * dx, y + step * dy))
            behind = np.array(directions(face, x - step * dx, y - step * dy))
            position, slope = tangents(face, x, y, dx, dy)
            np.testing.assert_allclose(position, directions(face, x, y), atol=1e-15)
            np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), atol=2e-5)


@pytest.mark.parametrize(
    ("face", "x", "y"),
    [(0, 1.0, 1.0), (9, 0.0, 0.0), (1, 0.0, 1.0), (1, 1.0, 0.0), (8, 0.25, 0.75)],
)
def test_tangents_at_poles_and_where_caps_begin_are_one_sided(face, x, y):
    for dx, dy in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)):
        step = 1e-7
        if 0 <= x + step * dx <= 1 and 0 <= y + step * dy <= 1:
            ahead = np.array(directions(face, x + step * dx, y + step * dy))
            position, slope = tangents(face, x, y, dx, dy)
            np.testing.assert_allclose(slope, (ahead - np.array(position)) / step, atol=1e-5)


def test_the_bounds_of_pixels_hold():
    for level in range(0, 25, 3):
        assert healpy.max_pixrad(1 << level) * (1 << level) < RADIUS
    rng = np.random.default_rng(3)
    for face in range(12):
        for x, y in rng.uniform(0, 1, (2000, 2)):
            if (2 + face // 4 - x - y) % 2 == 1:
                continue
            along_x = np.array(tangents(face, x, y, 1.0, 0.0)[1])
            along_y = np.array(tangents(face, x, y, 0.0, 1.0)[1])
            metric = np.array(
                [[along_x @ along_x, along_x @ along_y], [along_x @ along_y, along_y @ along_y]]
            )
            assert np.sqrt(np.linalg.det(metric)) == pytest.approx(np.pi / 3, rel=1e-9)
            gradients = np.sqrt(np.diag(np.linalg.inv(metric)))
            assert gradients.max() < STEEPEST
