"""Noise: mean and variance against theory, the order of its steps, and independence.

Thresholds are five standard deviations of what is measured; seeds are fixed.
"""

import json

import numpy as np
import pytest
from scipy.stats import norm, poisson

from deepbench.images.detector.noise import CODES, NOISE_ROW, NoiseEntry
from deepbench.images.detector.noise_steps import BACKGROUND, POISSON, STEPS
from deepbench.language.specification import parameters_of
from deepbench.numerics.poisson import poissons
from deepbench.numerics.stream_names import stream_number
from deepbench.numerics.streams import normals
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, render

SIGMAS = 5
SIZE = (100, 120)


def table(noise, level=0.0, samples=1, size=SIZE, seed=5, name="images", **more):
    """Return a recipe of images with one value in every pixel, and noise."""
    everywhere = {"x": 0, "y": 0, "width": 1e5, "height": 1e5, "amplitude": level}
    described = {"kind": "image", "samples": samples, "size": list(size), "noise": noise, **more}
    described["classes"] = {"a": {"objects": [{"rectangle": everywhere}]}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": seed}
    return parse_recipe(json.dumps({**head, "tables": {name: described}}))


def images(noise, level=0.0, **more):
    recipe = table(noise, level, **more)
    (name,) = recipe.tables
    return render(recipe, name).image.values.astype(np.float64)


def check(pixels, mean, variance, kurtosis=3.0):
    """Require mean and variance within 5 sigma of what n independent draws have."""
    n = pixels.size
    assert abs(pixels.mean() - mean) < SIGMAS * np.sqrt(variance / n)
    error = variance * np.sqrt((kurtosis - 1) / n)
    assert abs(pixels.var() - variance) < SIGMAS * error


def uncorrelated(first, second):
    """Require that two arrays are not correlated: |r| below 5 / √n."""
    r = np.corrcoef(first.ravel(), second.ravel())[0, 1]
    assert abs(r) < SIGMAS / np.sqrt(first.size)


def background(level):
    return {"background": {"level": level}}


def gaussian(sigma, **more):
    return {"gaussian": {"sigma": sigma}, **more}


def photons(gain=1.0, background=0.0):
    return {"poisson": {"gain": gain, "background": background}}


# --- each step -----------------------------------------------------------------------------------


def test_every_step_has_a_kernel():
    assert set(CODES) == set(NoiseEntry.registry) == set(STEPS)
    assert (CODES["background"], CODES["poisson"]) == (BACKGROUND, POISSON)
    for kind in CODES:
        cls = NoiseEntry.model_fields[kind].annotation.__args__[0]
        assert set(parameters_of(cls)) <= set(NOISE_ROW.names)
    assert len(set(CODES.values())) == len(CODES) == 4


def test_a_background_is_added():
    np.testing.assert_array_equal(images([background(2.5)], level=4), np.full((1, *SIZE), 6.5))
    np.testing.assert_array_equal(images([background(-7)], level=4), np.full((1, *SIZE), -3))
    np.testing.assert_array_equal(images([background(1), background(2)]), np.full((1, *SIZE), 3))


@pytest.mark.parametrize("sigma", [0.05, 1.0, 300.0])
@pytest.mark.parametrize("level", [0.0, 4.0])
def test_gaussian_noise_has_its_moments(sigma, level):
    pixels = images([gaussian(sigma)], level, samples=5)
    check(pixels, level, sigma**2)
    z = np.sort((pixels - level).ravel() / sigma)
    distance = np.abs(norm.cdf(z) - (np.arange(z.size) + 0.5) / z.size).max()
    assert distance * np.sqrt(z.size) < 2.7  # Kolmogorov's 5 sigma


@pytest.mark.slow
def test_gaussian_noise_is_the_normals_of_its_stream():
    recipe = table([photons(), gaussian(3.0)], samples=8)
    number = stream_number("images/*/noise.gaussian/pixels")
    expected = np.float32(3.0) * normals(5, number, 7, SIZE[0] * SIZE[1])
    found = render(recipe, "images", 7, 8).image.values.ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("level", "gain", "more"),
    [(3.0, 1.0, 0.0), (0.2, 1.0, 0.0), (50.0, 2.5, 0.0), (3.0, 0.5, 10.0), (0.0, 4.0, 1.5)],
)
def test_photon_noise_has_its_moments(level, gain, more):
    pixels = images([photons(gain, more)], level, samples=5)
    mean = gain * (level + more)
    check(pixels, level, (level + more) / gain, kurtosis=3 + 1 / mean)
    counts = (pixels + more) * gain
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-4 * mean)
    counts = np.round(counts).ravel().astype(int)
    common = np.flatnonzero(poisson.pmf(np.arange(400), mean) * counts.size > 50)
    expected = poisson.pmf(common, mean) * counts.size
    found = np.bincount(counts, minlength=400)[common]
    assert (np.abs(found - expected) < SIGMAS * np.sqrt(expected)).all()


@pytest.mark.slow
def test_photon_noise_is_the_counts_of_its_stream():
    recipe = table([photons(gain=2.0, background=1.0)], level=40.0, samples=4)
    number = stream_number("images/*/noise.poisson/pixels")
    counts = poissons(5, number, 3, np.full(SIZE, 82.0))
    found = render(recipe, "images", 3, 4).image.values[0]
    np.testing.assert_array_equal(found, (counts / 2 - 1).astype(np.float32))


def test_photon_noise_follows_the_image():
    objects = [{"rectangle": {"x": 0, "y": 0, "width": 100, "height": 1e5, "amplitude": 30}}]
    more = {"classes": {"a": {"objects": objects}}}
    described = table([photons()]).resolved()
    described["tables"]["images"] |= more | {"samples": 40}
    pixels = render(parse_recipe(json.dumps(described)), "images").image.values
    check(pixels[:, :, :50].astype(float), 30, 30, kurtosis=3 + 1 / 30)
    np.testing.assert_array_equal(pixels[:, :, 51:], 0)


def test_where_nothing_is_expected_nothing_is_counted():
    np.testing.assert_array_equal(images([photons()]), np.zeros((1, *SIZE)))
    np.testing.assert_array_equal(
        images([photons(gain=3, background=2)], level=-2.0), np.full((1, *SIZE), -2)
    )
    # the mean is zero where the image is below minus the background, so counts are never negative
    np.testing.assert_array_equal(
        images([photons(gain=3, background=2)], level=-50.0), np.full((1, *SIZE), -2)
    )


def test_noise_comes_after_the_psf():
    sharp, blurred = (
        images([gaussian(1.0)], samples=5, **more)
        for more in ({}, {"psf": {"gaussian": {"sigma": 2.0}}})
    )
    np.testing.assert_array_equal(sharp, blurred)
    uncorrelated(blurred[:, :, 1:], blurred[:, :, :-1])
    counted = images([photons()], 20.0, samples=5, psf={"gaussian": {"sigma": 2.0}})
    check(counted, 20, 20, kurtosis=3.05)
    uncorrelated(counted[:, 1:], counted[:, :-1])


# --- without noise -------------------------------------------------------------------------------


def circles(noise):
    described = table(noise).resolved()
    circle = {"x": {"uniform": [9, 90]}, "y": 40.3, "radius": {"uniform": [2, 30]}, "amplitude": 7}
    described["tables"]["images"] |= {
        "samples": 6,
        "classes": {"a": {"objects": [{"circle": circle}]}},
        "psf": {"gaussian": {"sigma": {"uniform": [0, 3]}}},
    }
    return render(parse_recipe(json.dumps(described)), "images").image.values


@pytest.mark.parametrize("noise", [[gaussian(0)], [background(0)], [gaussian(0), gaussian(0)]])
def test_noise_of_no_strength_changes_no_bit(noise):
    np.testing.assert_array_equal(circles(noise), circles([]))


def test_noise_is_added_to_the_image_without_it():
    difference = circles([gaussian(0.5)]).astype(np.float64) - circles([])
    check(difference, 0, 0.25)
    uncorrelated(difference, circles([]))


# --- the order of the steps ----------------------------------------------------------------------


def test_the_order_of_the_steps_matters():
    first = images([background(30), photons()], level=10, samples=3)
    second = images([photons(), background(30)], level=10, samples=3)
    check(first, 40, 40, kurtosis=3.025)
    check(second, 40, 10, kurtosis=3.1)
    before = images([gaussian(2.0), photons()], level=100, samples=3)
    after = images([photons(), gaussian(2.0)], level=100, samples=3)
    assert (before == np.round(before)).all()
    assert (after != np.round(after)).any()
    check(before, 100, 104, kurtosis=3.02)
    check(after, 100, 104, kurtosis=3.02)


def test_a_background_that_adds_and_one_that_is_subtracted():
    added = images([background(20), photons()], level=5, samples=3)
    subtracted = images([photons(background=20)], level=5, samples=3)
    np.testing.assert_array_equal(added - 20, subtracted)


def test_variances_of_steps_add():
    pixels = images([gaussian(3.0), gaussian(4.0), background(1)], samples=3)
    check(pixels, 1, 25)


def test_each_sample_has_its_own_strength():
    noise = [gaussian({"uniform": [1, 9]}), {"background": {"level": {"uniform": [-500, 500]}}}]
    recipe = table(noise, samples=30)
    pixels = render(recipe, "images").image.values.astype(np.float64)
    frame = labels(recipe, "images")
    assert frame["noise.gaussian.sigma"].nunique() == 30
    for image, sigma, level in zip(
        pixels, frame["noise.gaussian.sigma"], frame["noise.background.level"], strict=True
    ):
        check(image, level, sigma**2)


def test_each_sample_has_its_own_gain():
    noise = [{"poisson": {"gain": {"uniform": [1, 9]}, "background": {"uniform": [0, 40]}}}]
    recipe = table(noise, level=20, samples=30)
    pixels = render(recipe, "images").image.values.astype(np.float64)
    frame = labels(recipe, "images")
    for image, gain, more in zip(
        pixels, frame["noise.poisson.gain"], frame["noise.poisson.background"], strict=True
    ):
        check(image, 20, (20 + more) / gain, kurtosis=3 + 1 / (gain * (20 + more)))


# --- independence --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noise", "level"), [([gaussian(1.0)], 0), ([photons()], 0.5), ([photons()], 20)]
)
def test_noise_of_samples_and_pixels_is_independent(noise, level):
    pixels = images(noise, level, samples=12)
    for lag in (1, 2, 4):  # four words come from one block of random numbers
        uncorrelated(pixels[lag:], pixels[:-lag])
        uncorrelated(pixels[:, :, lag:], pixels[:, :, :-lag])
        uncorrelated(pixels[:, lag:], pixels[:, :-lag])
    flat = pixels.reshape(12, -1)
    uncorrelated(flat[1:, :-1], flat[:-1, 1:])
    assert len(np.unique(flat, axis=0)) == 12


def test_steps_tables_and_seeds_have_noise_of_their_own():
    one = images([gaussian(1.0)], samples=5)
    two = images([gaussian(0.0), gaussian(1.0)], samples=5)
    named = images([gaussian(1.0, name="read")], samples=5)
    table = images([gaussian(1.0)], samples=5, name="others")
    seed = images([gaussian(1.0)], samples=5, seed=6)
    high = images([gaussian(1.0)], samples=5, seed=5 + 2**32)
    for other in (two, named, table, seed, high):
        uncorrelated(one, other)
    counts = images([photons()], 9.0, samples=5)
    uncorrelated(one, counts)
    exact = photons(gain=1e12)  # its counts differ by 1e-6 of the mean, so the next step's are seen
    np.testing.assert_array_equal(counts, np.round(counts))
    uncorrelated(counts, images([exact, photons()], 9.0, samples=5))


def test_noise_does_not_depend_on_the_size_of_the_block():
    recipe = table([photons(), gaussian(1.0)], level=3, samples=9)
    block = render(recipe, "images").image.values
    for sample in range(9):
        alone = render(recipe, "images", sample, sample + 1).image.values
        np.testing.assert_array_equal(alone[0], block[sample])


@pytest.mark.parametrize("level", [0.3, 7.0, 60.0, 4000.0])
def test_photon_noise_of_a_pixel_depends_on_no_other_pixel(level):
    def right_half(left):
        described = table([photons()]).resolved()
        halves = [
            {"rectangle": {"x": x, "y": 0, "width": 1000, "height": 1e5, "amplitude": amplitude}}
            for x, amplitude in ((-440.5, left), (559.5, level))
        ]
        described["tables"]["images"] |= {"samples": 3, "classes": {"a": {"objects": halves}}}
        pixels = render(parse_recipe(json.dumps(described)), "images").image.values
        assert ((pixels[:, :, :60] > 0).mean() > 0.5) == (left > 0)
        return pixels[:, :, 60:]

    alone = right_half(0.0)
    check(alone.astype(np.float64), level, level, kurtosis=3 + 1 / level)
    for left in (5.0, 45.0, 1e4):  # one table or many attempts, for each pixel on the left
        np.testing.assert_array_equal(right_half(left), alone)
