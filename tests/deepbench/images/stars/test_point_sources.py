"""Point sources, against slow quadrature, GalSim and what must hold."""

import math
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, j0, j1

import deepbench
from deepbench.images.psf.model import FAMILIES
from deepbench.images.stars.point_sources import add_point, stamp_radius
from tests.reference.point_sources import (
    adaptive,
    airy_half_width,
    intensity,
    point_source,
    radius,
)
from tests.sky_rows import light_table, psf_row

EVERYWHERE = 10**9
MEDIAN, WORST = 3e-6, 2e-5  # of the brightest pixel; 1e-4 and 1e-3 are promised
SUM_MEDIAN, SUM_WORST = 1e-5, 3e-4
FLOAT32 = 3e-6  # rounding of profiles and of sums of 25 terms, of the brightest pixel

CASES = {
    "moffat": {"family": "moffat", "fwhm": 3.1, "shape": 2.6},
    "wings": {"family": "moffat", "fwhm": 2.2, "shape": 1.3, "axis_ratio": 0.7, "angle": 0.4},
    "truncated": {"family": "moffat", "fwhm": 3.3, "shape": 2.2, "truncation": 6.3},
    "cut": {
        "family": "moffat", "fwhm": 2.4, "shape": 1.7, "truncation": 2.1, "axis_ratio": 0.4,
        "angle": 2.2,
    },
    "thin": {"family": "moffat", "fwhm": 1.3, "shape": 3.4, "axis_ratio": 0.12, "angle": 0.7},
    "gaussian": {"family": "gaussian", "fwhm": 2.9},
    "turned": {"family": "gaussian", "fwhm": 1.9, "axis_ratio": 0.3, "angle": 0.9},
    "airy": {"family": "airy", "fwhm": 2.7},
    "obscured": {"family": "airy", "fwhm": 1.4, "shape": 0.4, "axis_ratio": 0.8, "angle": 1.9},
    "jittered": {"family": "airy", "fwhm": 1.6, "jitter": 0.8},
    "unsteady": {
        "family": "airy", "fwhm": 1.1, "shape": 0.3, "jitter": 2.0, "axis_ratio": 0.7, "angle": 0.6,
    },
    "kolmogorov": {"family": "kolmogorov", "fwhm": 3.2},
    "seeing": {"family": "kolmogorov", "fwhm": 1.7, "axis_ratio": 0.5, "angle": 2.7},
}  # fmt: skip
MOST = {name: case for name, case in CASES.items() if name not in {"thin", "obscured", "unsteady"}}


def add(
    image, x, y, family, fwhm, shape=0.0, truncation=0.0, axis_ratio=1.0, angle=0.0, jitter=0.0,
    flux=1.0, radius=EVERYWHERE,
):  # fmt: skip
    (psf,) = psf_row(family, fwhm, shape, axis_ratio, truncation=truncation, jitter=jitter)
    psf["position_angle"] = angle
    add_point(image, float(x), float(y), float(flux), psf, radius, light_table(psf))
    return image


def draw(size, x, y, **parameters):
    return add(np.zeros(size, np.float32), x, y, **parameters)


def total(image):
    return image.sum(dtype=np.float64)


def errors(size, x, y, case):
    """Return the largest error and that of the sum, of the brightest pixel and of the sum."""
    image = draw(size, x, y, **case)
    expected = point_source(size=size, x=x, y=y, tolerance=1e-6 / case["fwhm"] ** 2, **case)
    assert np.isfinite(image).all()
    assert image.min() >= 0
    difference = np.abs(image - expected).max() / expected.max()
    return difference, abs(total(image) - expected.sum()) / expected.sum()


def random_case(family, rng):
    least = 0.5 if "airy" in family else 1.2
    fwhm = math.exp(rng.uniform(math.log(least), math.log(8)))
    case = {"family": family.split()[-1], "fwhm": fwhm}
    case |= {"axis_ratio": rng.uniform(0.1, 1), "angle": rng.uniform(0, math.pi)}
    if "moffat" in family:
        case["shape"] = rng.uniform(1.1, 5)
    if "airy" in family:
        case["shape"] = rng.uniform(0, 0.8)
    if family == "jittered airy":
        case["jitter"] = fwhm * math.exp(rng.uniform(math.log(0.01), math.log(5)))
    if family == "truncated moffat":
        case["truncation"] = fwhm * rng.uniform(0.3, 5)
    return case


# --- pixels ---


@pytest.mark.parametrize("name", CASES)
def test_pixels_are_those_of_the_reference(name):
    difference, difference_of_sum = errors((35, 41), 19.37, 17.81, CASES[name])
    assert difference < 4e-6
    assert difference_of_sum < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    ["gaussian", "moffat", "truncated moffat", "airy", "jittered airy", "kolmogorov"],
)
def test_random_sources_are_those_of_the_reference(family):
    rng = np.random.default_rng(60)
    found = []
    for _ in range(60):
        size = tuple(rng.integers(25, 50, 2))
        place = rng.uniform(0, size[1]), rng.uniform(0, size[0])
        found.append(errors(size, *place, random_case(family, rng)))
    median, median_of_sum = np.median(found, axis=0)
    worst, worst_of_sum = np.max(found, axis=0)
    assert median < MEDIAN
    assert worst < WORST
    assert median_of_sum < SUM_MEDIAN
    assert worst_of_sum < SUM_WORST


@pytest.mark.parametrize("name", ["truncated", "cut", "thin", "obscured", "seeing"])
def test_the_reference_has_converged(name):
    place = {"size": (17, 15), "x": 7.3, "y": 8.6}
    coarse, fine = (
        point_source(**place, **CASES[name], tolerance=tolerance) for tolerance in (1e-6, 1e-10)
    )
    np.testing.assert_allclose(coarse, fine, atol=1e-6 * fine.max())


def test_the_reference_finds_a_gaussian_and_a_cut_ellipse():
    def normal(u, v):
        return intensity("gaussian", np.hypot(u, v), 2.0)

    sigma = 2.0 / math.sqrt(8 * math.log(2))
    part = (erf(1.2 / sigma / math.sqrt(2)) - erf(0.2 / sigma / math.sqrt(2))) / 2
    middle = erf(0.5 / sigma / math.sqrt(2))
    found = adaptive(normal, np.array([0.7]), np.array([0.0]), 1.0, 1e-12)[0]
    assert found == pytest.approx(part * middle, rel=1e-12)
    image = point_source("moffat", (21, 23), x=10.2, y=9.9, fwhm=2.5, shape=2, truncation=5.2)
    assert image.sum() == pytest.approx(1, rel=1e-8)


GALSIM = {
    "moffat": lambda g, p: g.Moffat(beta=3.5, fwhm=2.6, gsparams=p),
    "truncated": lambda g, p: g.Moffat(beta=2.8, fwhm=3.0, trunc=9.0, gsparams=p),
    "gaussian": lambda g, p: g.Gaussian(fwhm=2.1, gsparams=p),
    "airy": lambda g, p: g.Airy(lam_over_diam=1.9, gsparams=p),
    "obscured": lambda g, p: g.Airy(lam_over_diam=2.3, obscuration=0.35, gsparams=p),
    "jittered": lambda g, p: g.Convolve(
        g.Airy(lam_over_diam=1.3, obscuration=0.33, gsparams=p), g.Gaussian(sigma=0.45, gsparams=p)
    ),
    "kolmogorov": lambda g, p: g.Kolmogorov(fwhm=2.8, gsparams=p),
}
"""Makers of profiles, and below what ``add_point`` takes for them."""
SAME = {
    "moffat": ("moffat", 2.6, 3.5, 0.0, 0.0),
    "truncated": ("moffat", 3.0, 2.8, 9.0, 0.0),
    "gaussian": ("gaussian", 2.1, 0.0, 0.0, 0.0),
    "airy": ("airy", 2 * airy_half_width(0.0) / math.pi * 1.9, 0.0, 0.0, 0.0),
    "obscured": ("airy", 2 * airy_half_width(0.35) / math.pi * 2.3, 0.35, 0.0, 0.0),
    "jittered": ("airy", 2 * airy_half_width(0.33) / math.pi * 1.3, 0.33, 0.0, 0.45),
    "kolmogorov": ("kolmogorov", 2.8, 0.0, 0.0, 0.0),
}


@pytest.mark.parametrize("name", GALSIM)
def test_pixels_are_those_of_galsim(name):
    import galsim

    # light beyond the period of its transform, which is limited to 4096², wraps around: wide for an Airy pattern
    folding = 1e-3 if name in {"airy", "obscured", "jittered"} else 1e-4
    parameters = galsim.GSParams(
        folding_threshold=folding, maxk_threshold=1e-5, kvalue_accuracy=1e-8,
        maximum_fft_size=4096,
    )  # fmt: skip
    family, fwhm, shape, truncation, jitter = SAME[name]
    q, angle = (1.0, 0.0) if truncation else (0.6, 0.5)
    profile = GALSIM[name](galsim, parameters)
    profile = profile.shear(q=q, beta=angle * galsim.radians).shift(0.3, -0.2)
    expected = profile.drawImage(nx=41, ny=33, scale=1.0, dtype=np.float64).array
    image = draw(
        (33, 41), 20.3, 15.8, family=family, fwhm=fwhm, shape=shape, truncation=truncation,
        axis_ratio=q, angle=angle, jitter=jitter,
    )  # fmt: skip
    np.testing.assert_allclose(image, expected, atol=5e-5 * expected.max())


# --- laws ---


@pytest.mark.parametrize("name", MOST)
def test_flux_is_that_of_the_plane(name):
    case = CASES[name]
    image = draw((801, 803), 401.2, 400.4, **case)
    q, angle = case.get("axis_ratio", 1.0), case.get("angle", 0.0)
    v, u = np.meshgrid(np.arange(801) - 400.4, np.arange(803) - 401.2, indexing="ij")
    within = radius(u, v, q, angle) < 180
    theta = {key: case.get(key, 0.0) for key in ("shape", "truncation")}
    # what lies beyond, from the profile's integral over the logarithm of the radius
    edges = np.linspace(math.log(180), math.log(1e11), 400001)
    r = np.exp(edges)
    if case["family"] == "moffat" and case.get("truncation"):
        beyond = 0.0
    elif case["family"] == "airy":
        x = 180 / (case["fwhm"] / 2 / airy_half_width(0.0))
        beyond = j0(x) ** 2 + j1(x) ** 2  # Born & Wolf, §8.5.2
    else:
        f = intensity(case["family"], r, case["fwhm"], **theta)
        beyond = np.trapezoid(2 * np.pi * f * r * r, edges)
    assert total(image[within]) + beyond == pytest.approx(1, abs=2e-5)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=20, deadline=None)
@given(flux=st.floats(1e-3, 1e9))
def test_pixels_are_proportional_to_the_flux(name, flux):
    one = draw((21, 23), 9.3, 11.9, **CASES[name])
    image = draw((21, 23), 9.3, 11.9, flux=flux, **CASES[name])
    np.testing.assert_allclose(image, one * flux, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_sources_are_added(name):
    background = np.random.default_rng(3).normal(size=(23, 21)).astype(np.float32)
    alone = draw((23, 21), 9.25, 11.5, **CASES[name])
    together = add(background.copy(), 9.25, 11.5, **CASES[name])
    np.testing.assert_array_equal(together, background + alone)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=20, deadline=None)
@given(
    x=st.integers(-1000, 3000).map(lambda n: n / 64),
    y=st.integers(-1000, 3000).map(lambda n: n / 64),
    corner=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    size=st.tuples(st.integers(1, 25), st.integers(1, 25)),
)
def test_a_frame_holds_what_a_larger_frame_holds_there(name, x, y, corner, size):
    large = draw((45, 45), x, y, **CASES[name])
    (bottom, left), (height, width) = corner, size
    frame = draw(size, x - left, y - bottom, **CASES[name])
    np.testing.assert_array_equal(frame, large[bottom : bottom + height, left : left + width])
    view = np.zeros((45, 45), np.float32)
    add(view[bottom : bottom + height, left : left + width], x - left, y - bottom, **CASES[name])
    np.testing.assert_array_equal(view[bottom : bottom + height, left : left + width], frame)
    assert total(view) == pytest.approx(total(frame), rel=1e-12)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("radius", [0, 3, 12])
def test_nothing_changes_outside_the_stamp(name, radius):
    x, y = 20.3, 13.7
    whole = draw((33, 40), x, y, **CASES[name])
    stamp = draw((33, 40), x, y, radius=radius, **CASES[name])
    rows, columns = np.ogrid[:33, :40]
    inside = (np.abs(rows - 14) <= radius) & (np.abs(columns - 20) <= radius)
    np.testing.assert_array_equal(stamp, np.where(inside, whole, 0))


@pytest.mark.parametrize("name", CASES)
def test_the_same_bits_every_time(name):
    rng = np.random.default_rng(5)
    places = rng.uniform(-10, 50, (40, 2))
    image, again = np.zeros((2, 37, 41), np.float32)
    for x, y in places:
        add(image, x, y, **CASES[name])
    for part in (slice(0, 17), slice(17, 18), slice(18, 40)):
        for x, y in places[part]:
            add(again, x, y, **CASES[name])
    np.testing.assert_array_equal(image, again)


@pytest.mark.parametrize("name", CASES)
def test_a_quarter_turn_turns_the_image(name):
    case = dict(CASES[name])
    image = draw((31, 41), 18.3, 14.6, **case)
    case["angle"] = case.get("angle", 0.0) + math.pi / 2
    turned = draw((41, 31), 30 - 14.6, 18.3, **case)  # (x, y) → (−y, x)
    np.testing.assert_allclose(turned.T[::-1], image, atol=FLOAT32 * image.max())


@pytest.mark.parametrize("name", ["wings", "turned", "obscured", "seeing", "cut"])
def test_the_position_angle_turns_the_second_moments(name):
    case = CASES[name] | {"angle": math.radians(37)}
    image = draw((61, 61), 30.2, 29.7, **case).astype(np.float64)
    dy, dx = np.mgrid[:61, :61] - np.array([29.7, 30.2])[:, None, None]
    weight = image * np.exp(-(dx**2 + dy**2) / 18)  # round, so that it keeps the axes
    u2, v2, uv = (float((weight * part).sum()) for part in (dx**2, dy**2, dx * dy))
    assert math.degrees(0.5 * math.atan2(2 * uv, u2 - v2)) == pytest.approx(37, abs=0.3)
    assert u2 > v2


@pytest.mark.parametrize("family", FAMILIES)
def test_the_angle_of_a_circle_does_not_matter(family):
    case = {"family": family, "fwhm": 2.4, "shape": 2.5 if family == "moffat" else 0.2}
    np.testing.assert_array_equal(
        draw((25, 27), 12.2, 13.1, angle=1.234, **case), draw((25, 27), 12.2, 13.1, **case)
    )


@pytest.mark.parametrize("beta", [3.5, 4.7])
def test_second_moments_of_a_moffat(beta):
    fwhm, end = 2.0, 80.0
    alpha = fwhm / 2 / math.sqrt(2 ** (1 / beta) - 1)
    image = draw(
        (201, 205), 102.3, 99.8, family="moffat", fwhm=fwhm, shape=beta, truncation=end,
        axis_ratio=0.5, angle=math.pi / 2,
    )  # fmt: skip
    # ∫ r² of a Moffat to the truncation, by the same integral with β − 1
    edge = 1 + (end / alpha) ** 2
    held = 1 - edge ** (1 - beta)
    mean = alpha**2 * ((beta - 1) / (beta - 2) * (1 - edge ** (2 - beta)) / held - 1)
    along = (np.arange(201) - 99.8) ** 2 @ image.sum(axis=1, dtype=np.float64)
    across = (np.arange(205) - 102.3) ** 2 @ image.sum(axis=0, dtype=np.float64)
    # 3e-3: errors of 3e-6 of the peak where differences begin, weighted by r²
    assert along == pytest.approx(mean / 2 / 0.5 + 1 / 12, rel=3e-3)
    assert across == pytest.approx(mean / 2 * 0.5 + 1 / 12, rel=3e-3)


@pytest.mark.parametrize("q", [1.0, 0.4])
def test_second_moments_of_a_gaussian(q):
    image = draw((81, 85), 42.3, 39.8, family="gaussian", fwhm=4.0, axis_ratio=q, angle=0.6)
    variance = 16 / (8 * math.log(2))
    dy, dx = np.mgrid[:81, :85] - np.array([39.8, 42.3])[:, None, None]
    c, s = math.cos(0.6), math.sin(0.6)
    for part, expected in (
        ((c * dx + s * dy) ** 2, variance / q + 1 / 12),
        ((c * dy - s * dx) ** 2, variance * q + 1 / 12),
    ):
        assert (image * part).sum(dtype=np.float64) == pytest.approx(expected, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    end=st.floats(0.2, 14),
    fwhm=st.floats(1.2, 6),
    beta=st.floats(1.1, 5),
    q=st.floats(0.3, 1),
    angle=st.floats(0, 3.2),
    x=st.floats(29, 31),
    y=st.floats(29, 31),
)
def test_a_truncated_source_keeps_its_flux_and_ends(end, fwhm, beta, q, angle, x, y):
    image = draw(
        (61, 61), x, y, family="moffat", fwhm=fwhm, shape=beta, truncation=end, axis_ratio=q,
        angle=angle,
    )  # fmt: skip
    assert total(image) == pytest.approx(1, abs=1e-5)
    rows, columns = np.ogrid[:61, :61]
    corner = radius(0.75, 0.75, q, math.pi * 0.75)  # more than that of any point of a pixel
    assert image[radius(columns - x, rows - y, q, angle) > end + corner].max(initial=0) == 0


def test_a_wide_truncation_is_none():
    case = {"family": "moffat", "fwhm": 3.0, "shape": 4.0}
    image = draw((30, 30), 14.2, 15.3, **case)
    cut = draw((30, 30), 14.2, 15.3, truncation=1e6, **case)
    np.testing.assert_allclose(cut, image, rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("fwhm", [0.02, 0.2, 0.7])
def test_a_narrow_source_keeps_its_flux(family, fwhm):
    case = {"family": family, "fwhm": fwhm, "shape": 3.0 if family == "moffat" else 0.0}
    tolerance = 0.01 if family == "airy" else 2e-3  # what lies outside, and 4000 rings in a pixel
    image = draw((201, 201), 100.2, 99.7, **case)
    assert total(image) == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("place", [(-5.3, 4.0), (30.6, 55.5), (1e7, 0.0), (0.0, -1e300)])
def test_sources_outside_the_frame(family, place):
    case = {"family": family, "fwhm": 3.0, "shape": 2.0 if family == "moffat" else 0.0}
    image = draw((50, 20), *place, **case)
    assert np.isfinite(image).all()
    if max(map(abs, place)) < 100:
        expected = point_source(size=(50, 20), x=place[0], y=place[1], **case)
        peak = intensity(family, np.array(0.1), 3.0, case["shape"])
        np.testing.assert_allclose(image, expected, atol=2e-5 * peak)
    else:
        assert image.max() < 1e-9


def test_a_wide_source_is_flat():
    image = draw((9, 7), 3.0, 4.0, family="moffat", fwhm=1e5, shape=2.5)
    peak = float(intensity("moffat", 0.0, 1e5, 2.5))
    np.testing.assert_allclose(image, peak, rtol=1e-6)


# --- bits ---

DIGEST_SCRIPT = """
import hashlib

import numpy as np

from deepbench.images.psf.psf import PSF_ROW
from deepbench.images.stars.point_sources import add_point, stamp_radius

digest = hashlib.sha256()
rng = np.random.default_rng(0)
for n in range(200):
    image = np.zeros((40, 43), np.float32)
    family = n % 4
    shape = rng.uniform(1.1, 5) if family == 1 else rng.uniform(0, 0.9) * (n % 3 > 0)
    x, y, fwhm, flux = *rng.uniform(-5, 50, 2), rng.uniform(0.5, 6), rng.uniform(1, 9)
    end, q, angle = rng.uniform(1, 20) * (n % 8 > 3), rng.uniform(0.1, 1), rng.uniform(0, 3)
    psf = np.array([(family, fwhm, shape, end, q, angle, 0.0)], PSF_ROW)[0]
    add_point(image, x, y, flux, psf, 1000, np.empty(0, np.float32))
    digest.update(image.tobytes())
    digest.update(str(stamp_radius(psf, 0.9)).encode())
print(digest.hexdigest())
"""
GOLDEN = "0bf901a0bc0835ef3f59337fe08f8cb6d6d01f98765e885958f76fb8853a7915"


def digest_on(tmp_path, **environment):
    """Return the digest of many images, as a fresh process computes it."""
    script = tmp_path / "digest.py"
    script.write_text(DIGEST_SCRIPT)
    root = str(Path(deepbench.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


@pytest.mark.slow
def test_bits_are_those_of_the_format(tmp_path):
    assert digest_on(tmp_path) == GOLDEN


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="needs an x86-64")
@pytest.mark.parametrize("processor", ["x86-64", "haswell"])
def test_bits_do_not_depend_on_the_instructions(tmp_path, processor):
    environment = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""}
    assert digest_on(tmp_path, NUMBA_CACHE_DIR=str(tmp_path), **environment) == GOLDEN


# --- stamps ---


@pytest.mark.parametrize("name", MOST)
@pytest.mark.parametrize("fraction", [0.5, 0.8, 0.95])
def test_stamps_hold_the_flux(name, fraction):
    case = CASES[name]
    q = case.get("axis_ratio", 1.0)
    shape, end = case.get("shape", 0.0), case.get("truncation", 0.0)
    jitter = case.get("jitter", 0.0)
    (psf,) = psf_row(case["family"], case["fwhm"], shape, q, truncation=end, jitter=jitter)
    half = stamp_radius(psf, fraction)
    size = 2 * half + 3
    image = draw((size, size), half + 1.3, half + 0.8, radius=half, **case)
    assert total(image) > fraction - 1e-4
    if q == 1.0 and not jitter:
        # the circle holds the part; one pixel less does not
        rows, columns = np.ogrid[:size, :size]
        distance = np.hypot(columns - half - 1.3, rows - half - 0.8)
        assert total(image[distance < half - 1.8]) < fraction


@settings(max_examples=100, deadline=None)
@given(fraction=st.floats(0, 0.9999), shape=st.floats(0, 0.9))
def test_the_radius_of_an_airy_pattern(fraction, shape):
    half = stamp_radius(psf_row("airy", 1000.0, shape)[0], fraction)
    scale = 500.0 / airy_half_width(shape)
    x = half / scale
    if shape == 0.0:
        assert 1 - j0(x) ** 2 - j1(x) ** 2 == pytest.approx(fraction, abs=2e-3)
    nodes = np.linspace(0, min(x, 3e3), 200001)
    f = intensity("airy", nodes * scale, 1000.0, shape)
    held = np.trapezoid(2 * np.pi * f * nodes, nodes) * scale**2
    if x < 3e3:
        assert held == pytest.approx(fraction, abs=3e-3)


def test_stamps_grow_without_overflow():
    sizes = [
        stamp_radius(psf_row("moffat", 3.0, 1.1, 0.5)[0], fraction)
        for fraction in (0.0, 0.5, 0.9, 0.999, 0.999999)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] == 0
    assert sizes[-1] == 10**9
