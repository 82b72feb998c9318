"""Objects on the sphere against healpy's geometry, sums over many small pixels, and exact areas."""

import itertools

import healpy
import numpy as np
import pytest
from numba import njit
from scipy.special import gamma, gammainc, gammaincinv

from deepbench.sphere.objects import projection
from deepbench.sphere.objects.objects import OBJECT, OBJECTS
from deepbench.sphere.objects.profiles import profile_nodes, write_profile
from deepbench.sphere.objects.projection import add_objects
from deepbench.sphere.pixels.pixels import direction

PLACES = [
    (0.0, 0.0),
    (359.9999, 0.3),
    (45.0, 41.8103),  # where the caps begin, between two faces
    (22.5, -41.8103),
    (90.0, 60.0),  # between two faces of the cap
    (200.0, 89.9),
    (10.0, 90.0),
    (77.0, -90.0),
    (-123.4, -35.0),
    (301.0, 12.0),
]
ARCMIN = np.pi / 10800


def table(kind, *objects):
    """Return the rows of objects, whose values are in the order of the fields."""
    names = list(OBJECTS[kind].model_fields)
    columns = zip(*(np.array(values, float) for values in objects), strict=True)
    rows = np.zeros(len(objects), OBJECT)
    OBJECTS[kind].write(rows, dict(zip(names, map(np.array, columns), strict=True)))
    return rows


def draw(nside, kind, *objects, dtype=np.float64):
    sky = np.zeros(healpy.nside2npix(nside), dtype)
    add_objects(sky, nside, table(kind, *objects))
    return sky


def pixel_area(nside):
    return healpy.nside2pixarea(nside) / ARCMIN**2


def vector(longitude, latitude):
    return np.array(healpy.ang2vec(longitude, latitude, lonlat=True))


def axes(longitude, latitude):
    lon = np.radians(longitude)
    east = np.array([-np.sin(lon), np.cos(lon), 0])
    return east, np.cross(vector(longitude, latitude), east)


def plane(directions, longitude, latitude, position_angle):
    """Return the place of directions along the position angle and across it, on Lambert's plane."""
    east, north = axes(longitude, latitude)
    scale = np.sqrt(2 / (1 + vector(longitude, latitude) @ directions))
    pa = np.radians(position_angle)
    along, across = north * np.cos(pa) + east * np.sin(pa), east * np.cos(pa) - north * np.sin(pa)
    return scale * (along @ directions), scale * (across @ directions)


def finer(nside, factor, pixels):
    """Return the directions of the pixels at nside × factor inside of pixels, one row for each."""
    inside = pixels[:, None] * factor**2 + np.arange(factor**2)
    directions = np.array(healpy.pix2vec(nside * factor, inside.ravel(), nest=True))
    return directions, inside.shape


def sersic_light(m, n, radius, index, axis_ratio):
    """Return the surface brightness of unit flux; lengths in radian, the radius in arcmin."""
    size, b = radius * ARCMIN, gammaincinv(2 * index, 0.5)
    r = np.sqrt(axis_ratio * m**2 + n**2 / axis_ratio) / size
    norm = b ** (2 * index) / (2 * np.pi * index * gamma(2 * index))
    return norm * np.exp(-b * r ** (1 / index)) / size**2


# --- stars and galaxies ----------------------------------------------------------------------------

PROFILES = [(0.3, 1.0), (0.5, 0.3), (1.0, 0.5), (2.5, 0.3), (4.0, 0.8), (6.2, 0.8)]
HALF = [
    (place, *profile)
    for i, place in enumerate(PLACES)
    for j, profile in enumerate(PROFILES)
    if (i + j) % 2 == 0
]
"""Half of the pairs of a place and a profile: each place with three profiles, each profile at five places."""


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("index", "axis_ratio"), PROFILES)
@pytest.mark.parametrize("radius", [600.0, 120.0, 5.0, 1e-3])
def test_the_flux_is_in_the_map(place, index, axis_ratio, radius):
    nside = 64
    sky = draw(nside, "sersic", (*place, 7.0, radius, index, axis_ratio, 25.0))
    assert sky.min() >= 0
    assert sky.sum() * pixel_area(nside) == pytest.approx(7, rel=1e-12)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fwhm", [0.0, 1e-6, 3.0, 60.0, 600.0])
def test_a_star_is_where_it_is_put(place, fwhm):
    nside = 128
    sky = draw(nside, "star", (*place, 3.0, fwhm))
    assert sky.sum() * pixel_area(nside) == pytest.approx(3, rel=1e-12)
    pixel = healpy.ang2pix(nside, place[0] % 360, place[1], nest=True, lonlat=True)
    if fwhm == 0:
        assert np.flatnonzero(sky).tolist() == [pixel]
    seen = np.flatnonzero(sky)
    centre = np.array(healpy.pix2vec(nside, seen, nest=True)) @ sky[seen]
    away = np.linalg.norm(centre / np.linalg.norm(centre) - vector(*place))
    # the light of a pixel is taken to be at its centre
    pixels = {0.0: 1.07, 1e-6: 1.07, 3.0: 1.07, 60.0: 0.1, 600.0: 0.01}[fwhm]
    assert away < pixels * healpy.nside2resol(nside)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "index", "axis_ratio"), [each for each in HALF if each[1] < 5])
def test_pixels_of_a_resolved_galaxy_hold_its_integral(place, index, axis_ratio):
    nside, factor, radius = 256, 32, 30.0
    sky = draw(nside, "sersic", (*place, 1.0, radius, index, axis_ratio, 25.0))
    bright = np.argsort(sky)[::-1][:400]
    directions, shape = finer(nside, factor, bright)
    light = sersic_light(*plane(directions, *place, 25.0), radius, index, axis_ratio)
    expected = light.reshape(shape).mean(axis=1) * ARCMIN**2
    r = np.hypot(*plane(np.array(healpy.pix2vec(nside, bright, nest=True)), *place, 25.0))
    away = r > (3 if index < 1.5 else 8) * healpy.nside2resol(nside)  # sums miss the cusp
    np.testing.assert_allclose(sky[bright][away], expected[away], atol=2e-4 * sky.max())
    smooth = away & (expected > 1e-3 * expected.max())
    np.testing.assert_allclose(sky[bright][smooth], expected[smooth], rtol=3e-3)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fwhm", [20.0, 80.0, 300.0])
def test_a_beam_is_the_gaussian_of_the_sphere(place, fwhm):
    nside, factor = 64, 128
    sky = draw(nside, "star", (*place, 1.0, fwhm))
    bright = np.argsort(sky)[::-1][:60]
    directions, shape = finer(nside, factor, bright)
    variance = (fwhm * ARCMIN) ** 2 / (8 * np.log(2))
    light = np.exp((vector(*place) @ directions - 1) / variance) / (2 * np.pi * variance)
    expected = light.reshape(shape).mean(axis=1) * ARCMIN**2
    np.testing.assert_allclose(sky[bright], expected, atol=3e-4 * sky.max())


@njit
def directions(face, x, y):
    return direction(face, x, y)


@pytest.mark.parametrize("lines", [1, 2, 5, 13, 17])
@pytest.mark.parametrize("face", [0, 5, 11])
def test_a_small_star_on_an_edge_belongs_to_both_pixels(face, lines):
    # edges bend by more than the star's width, 1e-3 of a pixel; they are known to 1e-4
    nside = 64
    fwhm = 1e-3 * healpy.nside2resol(nside, arcmin=True)
    for part, away in itertools.product([0.13, 0.5, 0.71], [0.4, 3.6]):
        line = nside - lines if face == 0 else lines
        along = (nside - 1 - int(away) + part if face == 0 else int(away) + part) / nside
        place = np.array(directions(face, line / nside, along))
        longitude, latitude = healpy.vec2ang(place, lonlat=True)
        sky = draw(nside, "star", (longitude[0], latitude[0], 1.0, fwhm))
        bright = np.sort(sky)[-2:] * pixel_area(nside)
        np.testing.assert_allclose(bright, 0.5, atol=0.08)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("index", "axis_ratio"), PROFILES)
def test_an_unresolved_galaxy_is_the_sum_over_pixels_of_a_finer_map(place, index, axis_ratio):
    row = (*place, 1.0, 4.0, index, axis_ratio, 70.0)
    coarse, fine = draw(16, "sersic", row), draw(512, "sersic", row)
    np.testing.assert_allclose(
        coarse, fine.reshape(-1, 32**2).mean(axis=1), atol=1e-4 * coarse.max()
    )


@pytest.mark.slow
@pytest.mark.parametrize(("place", "index", "axis_ratio"), HALF)
def test_half_of_the_light_is_inside_of_the_half_light_ellipse(place, index, axis_ratio):
    nside, radius, position_angle = 512, 80.0, 130.0  # the reach of the largest index: 108 degrees
    sky = draw(nside, "sersic", (*place, 1.0, radius, index, axis_ratio, position_angle))
    pixels = np.flatnonzero(sky)
    m, n = plane(np.array(healpy.pix2vec(nside, pixels, nest=True)), *place, position_angle)
    r = np.sqrt(axis_ratio * m**2 + n**2 / axis_ratio) / (radius * ARCMIN)
    b = gammaincinv(2 * index, 0.5)
    for part in (0.5, 1, 2):
        inside = sky[pixels][r < part].sum() * pixel_area(nside)
        assert inside == pytest.approx(
            gammainc(2 * index, b * part ** (1 / index)), abs=0.02
        )  # whole pixels


@njit
def sum_of_light(order, rows, nodes):
    row, scratch = rows[0], projection._make_scratch()
    reach = write_profile(row.sersic_index, nodes, scratch.values, scratch.table)
    plane, outline, profile = projection._profile_of(row, reach, scratch.table)
    pixels, light = np.empty(4, np.int64), np.empty(4)
    longitude, latitude = row.longitude_degrees, row.latitude_degrees
    return projection._gather(
        order, longitude, latitude, plane, outline, profile, scratch, pixels, light
    )[3]


@pytest.mark.parametrize("place", [*PLACES, (33.0, 87.0), (33.0, 85.0)])
@pytest.mark.parametrize(("index", "axis_ratio"), PROFILES)
def test_the_light_of_all_pixels_is_the_flux_before_it_is_scaled(place, index, axis_ratio):
    for order, pixels in ((9, 1e-3), (9, 0.1), (9, 2.0), (9, 5.0), (6, 0.3)):
        if index > 3 and pixels > 1 and (pixels > 2 or place not in PLACES[4:6]):
            continue  # these take long, or are cut at LIMIT
        radius = pixels * healpy.nside2resol(2**order, arcmin=True)
        rows = table("sersic", (*place, 1.0, radius, index, axis_ratio, 25.0))
        assert sum_of_light(order, rows, profile_nodes()) == pytest.approx(1, abs=1.2e-4)


def test_light_follows_a_turn_about_the_axis():
    # a quarter turn moves faces onto faces
    nside = 32
    row = (12.0, 37.0, 1.0, 200.0, 1.5, 0.4, 65.0)
    turned = (12.0 + 90.0, *row[1:])
    here, there = draw(nside, "sersic", row), draw(nside, "sersic", turned)
    pixels = nside**2 * np.arange(12).reshape(3, 4)
    moved = here[np.roll(pixels, 1, axis=1)[:, :, None] + np.arange(nside**2)].ravel()
    np.testing.assert_allclose(there, moved, atol=1e-12 * here.max())


def test_position_angles_go_from_north_through_east():
    nside, place = 256, (80.0, 30.0)
    for position_angle in (0.0, 30.0, 90.0, 150.0):
        objects = {
            "sersic": (*place, 1.0, 120.0, 1.0, 0.2, position_angle),
            "ellipse": (*place, 1.0, 5.0, 0.2, position_angle),
            "rectangle": (*place, 1.0, 1.0, 5.0, position_angle),
        }
        east, north = axes(*place)
        expected = north * np.cos(np.radians(position_angle))
        expected = expected + east * np.sin(np.radians(position_angle))
        for kind, row in objects.items():
            sky = draw(nside, kind, row)
            pixels = np.flatnonzero(sky)
            directions = np.array(healpy.pix2vec(nside, pixels, nest=True))
            offsets = np.array([east @ directions, north @ directions])
            moments = (sky[pixels] * offsets) @ offsets.T
            x, y = np.linalg.eigh(moments)[1][:, 1]
            assert abs((x * east + y * north) @ expected) == pytest.approx(1, abs=1e-4)


# --- shapes ----------------------------------------------------------------------------------------

# the row after the place, the area, and whether places along and across the position angle are inside; degrees
SHAPES = {
    "disk": lambda s: ((s,), np.pi * s**2, 0.0, lambda m, n: np.hypot(m, n) < s),
    "annulus": lambda s: (
        (s, 0.3 * s),
        np.pi * 0.69 * s**2,
        0.0,
        lambda m, n: (np.hypot(m, n) > s) & (np.hypot(m, n) < 1.3 * s),
    ),
    "ellipse": lambda s: (
        (s, 0.3, 20.0),
        np.pi * 0.3 * s**2,
        20.0,
        lambda m, n: np.hypot(m, n / 0.3) < s,
    ),
    "rectangle": lambda s: (
        (s, 1.5 * s, 110.0),
        1.5 * s**2,
        110.0,
        lambda m, n: (abs(m) < 0.75 * s) & (abs(n) < 0.5 * s),
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("size", [60.0, 10.0, 1.0, 1e-2, 1e-6])
def test_shapes_have_their_area(place, kind, size):
    parameters, area, _, _ = SHAPES[kind](size)
    errors = []
    for nside in (16, 128):
        sky = draw(nside, kind, (*place, 5.0, *parameters))
        assert sky.min() >= 0
        assert sky.max() <= 5 * (1 + 1e-12)
        errors.append(abs(sky.sum() * pixel_area(nside) / (5 * 3600 * area) - 1))
    if size < 1e-3 and abs(place[1]) == 90:  # a few of the smallest cells
        assert errors[1] < 0.03
        return
    assert errors[0] < 1e-2
    assert errors[1] < 3e-4
    if size >= 10:
        least = 5e-5 if abs(place[1]) > 80 else 1e-6  # cells at poles are small at any nside
        assert errors[1] < max(0.1 * errors[0], least)


@pytest.fixture(scope="module")
def whole_sky():
    """Return nside, a factor, and the directions of all pixels at nside × factor with their shape."""
    nside, factor = 32, 16
    return nside, factor, *finer(nside, factor, np.arange(healpy.nside2npix(nside)))


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("size", [40.0, 6.0])
def test_pixels_of_shapes_hold_the_part_that_is_covered(whole_sky, place, kind, size):
    nside, factor, directions, shape = whole_sky
    parameters, _, position_angle, inside = SHAPES[kind](size)
    sky = draw(nside, kind, (*place, 1.0, *parameters))
    seen = vector(*place) @ directions > np.cos(np.radians(2.4 * size + 6))
    m, n = np.full((2, seen.size), 1e9)
    m[seen], n[seen] = np.degrees(plane(directions[:, seen], *place, position_angle))
    expected = inside(m, n).reshape(shape).mean(axis=1)
    # an edge through k² points misses the cover by a part of 1 / k
    assert np.abs(sky - expected).max() < 0.6 / factor
    assert np.sqrt(((sky - expected)[(expected > 0) & (expected < 1)] ** 2).mean()) < 0.15 / factor
    away = np.abs(np.hypot(m, n)).reshape(shape)[:, 0] > 2 * size + 4
    assert not sky[away].any()


def test_shapes_of_no_size_are_not_drawn():
    for kind, parameters in (("disk", (0.0,)), ("rectangle", (0.0, 1.0, 0.0))):
        assert not draw(16, kind, (10.0, 20.0, 1.0, *parameters)).any()


# --- all together ----------------------------------------------------------------------------------


def many(count, seed, sizes=(0.0, 0.1, 10.0)):
    rng = np.random.default_rng(seed)
    stars = rng.choice([True, False], count)
    columns = {
        "lon": rng.uniform(0, 360, count),
        "lat": np.degrees(np.arcsin(rng.uniform(-1, 1, count))),
        "flux": rng.pareto(1.5, count) + 1,
        "fwhm": rng.choice(sizes, count),
        "sersic_index": rng.choice([1.0, 3.0], count),
        "axis_ratio": np.full(count, 0.5),
        "position_angle": np.full(count, 60.0),
    }
    columns["half_light_radius"] = columns["fwhm"]
    rows = np.empty(count, OBJECT)
    for kind, own in (("star", stars), ("sersic", ~stars)):
        fields = OBJECTS[kind].model_fields
        part = np.zeros(int(own.sum()), OBJECT)
        OBJECTS[kind].write(part, {name: columns[name][own] for name in fields})
        rows[own] = part
    return rows


def test_objects_add_in_any_order():
    shapes = [table(kind, (30.0, 40.0, 2.0, *SHAPES[kind](9.0)[0])) for kind in SHAPES]
    rows = np.concatenate([many(500, 1), *shapes])
    order = np.random.default_rng(2).permutation(rows.size)
    skies = np.zeros((4, healpy.nside2npix(64)))
    add_objects(skies[0], 64, rows)
    add_objects(skies[1], 64, rows[order])
    add_objects(skies[2], 64, rows[:200])
    add_objects(skies[2], 64, rows[200:])
    louder = rows.copy()
    louder["amount"] *= 3
    add_objects(skies[3], 64, louder)
    for sky in (skies[1], skies[2], skies[3] / 3):
        np.testing.assert_allclose(sky, skies[0], rtol=1e-12, atol=1e-15)


def test_float32_holds_a_hundred_thousand_sources():
    rows = many(100_000, 3, (0.0, 0.1, 0.1))
    for nside in (16, 256):
        single = np.zeros(healpy.nside2npix(nside), np.float32)
        double = np.zeros(single.size)
        add_objects(single, nside, rows)
        add_objects(double, nside, rows)
        np.testing.assert_allclose(single, double, rtol=1e-5)
        assert double.sum() * pixel_area(nside) == pytest.approx(rows["amount"].sum(), rel=1e-11)


@pytest.mark.parametrize("nside", [1, 2, 4])
def test_coarse_maps_are_means_of_finer_ones(nside):
    for kind, row in itertools.product(["star", "disk"], [(200.0, 66.0, 1.0, 30.0)]):
        fine = draw(32, kind, row)
        coarse = draw(nside, kind, row)
        pooled = fine.reshape(coarse.size, -1).mean(axis=1)
        np.testing.assert_allclose(coarse, pooled, rtol=5e-3, atol=1e-4 * coarse.max())
