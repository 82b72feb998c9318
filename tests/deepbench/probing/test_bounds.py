"""Bounds equal their formulas, and an estimate that is known to reach them does."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate, ndimage, special, stats

import deepbench
from deepbench.errors import LabelError, RangeWarning
from deepbench.probing import bounds
from deepbench.probing.bounds import fisher_bounds, likelihood_ratio_accuracy
from deepbench.probing.signals import _of_photons

WORKFLOWS = Path(__file__).parents[3] / "workflows"

RECIPE = """\
name: one
version: 1.0.0
title: A disk of unknown brightness on an unknown sky
seed: 4
tables:
  images:
    kind: image
    samples: 200
    size: [24, 24]
    classes:
      disk: {objects: [{circle: {x: {uniform: [10, 14]}, y: 12, radius: 4, amplitude: {uniform: [1, 2]}}}]}
      ring: {objects: [{name: ring, circle: {x: 12, y: 12, radius: 4, thickness: 2}}]}
    psf: {gaussian: {sigma: 1}}
    noise: [{background: {level: {uniform: [0, 1]}}, name: sky}, {gaussian: {sigma: {uniform: [0.05, 0.2]}}}]
"""


def document(tables):
    return json.dumps(
        {"name": "one", "version": "1.0.0", "title": "One", "seed": 4, "tables": tables}
    )


@pytest.fixture(scope="module")
def recipe():
    return deepbench.parse_recipe(RECIPE)


@pytest.fixture(scope="module")
def disks(recipe):
    frame = deepbench.labels(recipe, "images")
    return frame[frame["class"] == "disk"].iloc[:6]


def shape(recipe, rows):
    """Return the image of each row for the amplitude 1, without sky and noise."""
    quiet = recipe.replace({"tables.images.noise": []})
    rows = rows.assign(**{"circle.amplitude": 1.0})
    image = deepbench.render(quiet, "images", labels=rows, extra="ignore")["image"].to_numpy()
    return image.reshape(len(rows), -1).astype(float)


def test_the_bound_of_an_amplitude_is_its_formula(recipe, disks):
    """σ / √Σs² alone, and with an unknown sky that of least squares; float32 renders cost 1e-4."""
    sigma = disks["noise.gaussian.sigma"].to_numpy()
    signal = shape(recipe, disks)
    alone = fisher_bounds(recipe, "images", disks["id"], ["circle.amplitude"])
    expected = sigma / np.sqrt(np.sum(signal**2, axis=1))
    np.testing.assert_allclose(alone["circle.amplitude"], expected, rtol=1e-4)
    both = fisher_bounds(recipe, "images", disks["id"], ["circle.amplitude", "noise.sky.level"])
    for k in range(len(disks)):
        design = np.stack([signal[k], np.ones(24 * 24)], axis=1)
        errors = sigma[k] * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
        np.testing.assert_allclose(both.iloc[k, 1:].to_numpy(dtype=float), errors, rtol=1e-4)
    assert both["id"].tolist() == disks["id"].tolist()


def test_the_place_of_a_disk_is_known_as_well_as_its_edges_are_long(recipe, disks):
    """The derivative by x is a shift: from images moved by a pixel's hundredth, by differences of another step."""
    coarse, fine = (
        fisher_bounds(recipe, "images", disks["id"], ["circle.x"], step)["circle.x"]
        for step in (0.01, 0.03)
    )
    np.testing.assert_allclose(coarse, fine, rtol=1e-2)
    contrast = disks["circle.amplitude"].to_numpy() / disks["noise.gaussian.sigma"].to_numpy()
    np.testing.assert_allclose(coarse * contrast, np.mean(coarse * contrast), rtol=0.05)


@pytest.fixture(scope="module")
def blurred():
    """Return `shapes`, and the slope of its sample 4 by the blur from scipy, with as many pixels on either side."""
    shapes = deepbench.load_recipe(WORKFLOWS / "shapes.yaml")
    sigma = deepbench.labels(shapes, "images", 4, 5)["psf.sigma"].iloc[0]
    assert abs(sigma - 1.125) < 1e-5  # where int(4σ + ½) changes
    quiet = shapes.replace({"tables.images.noise": []})
    with pytest.warns(RangeWarning):
        sharp = deepbench.twin(quiet, "images", [4], {"psf.sigma": 0.0})["image"].values[0]
    low, high = (
        ndimage.gaussian_filter(sharp.astype(float), each, radius=5)
        for each in (sigma - 1e-4, sigma + 1e-4)
    )
    return shapes, np.linalg.norm(high - low) / 2e-4


@pytest.mark.parametrize("noise", [0.05, 1e-2, 1e-3, 1e-6])
def test_the_bound_of_a_blur_beside_a_jump_of_its_images_follows_the_noise(noise, blurred):
    """With steps that follow the noise it was 0.96, 0.89, 0.07 and 0.26 of the reference."""
    shapes, slope = blurred
    faint = shapes.replace({"tables.images.noise.0.gaussian.sigma": noise})
    found = fisher_bounds(faint, "images", [4], ["psf.sigma"])["psf.sigma"]
    np.testing.assert_allclose(found, noise / slope, rtol=0.01)


@pytest.mark.parametrize("noise", [100.0, 0.1])
def test_the_bounds_of_flux_and_place_of_a_star_are_their_formulas(noise):
    """A star in a Gaussian PSF: its light in each pixel by error functions, and their derivatives."""
    described = {
        "kind": "image",
        "samples": 6,
        "size": [21, 21],
        "psf": {"gaussian": {"sigma": 1.5}},
        "classes": {
            "star": {
                "objects": [
                    {"star": {"x": {"uniform": [8, 12]}, "y": 10, "flux": {"uniform": [1e3, 1e4]}}}
                ]
            }
        },
        "noise": [{"gaussian": {"sigma": noise}}],
    }
    stars = deepbench.parse_recipe(document({"images": described}))
    frame = deepbench.labels(stars, "images")
    names = ["star.x", "star.flux"]
    found = fisher_bounds(stars, "images", range(6), names)
    edges = np.arange(22) - 0.5
    down = np.diff(special.ndtr((edges - 10) / 1.5))
    for row in range(6):
        x, flux = frame.loc[row, names]
        along = np.diff(special.ndtr((edges - x) / 1.5))
        moved = -np.diff(stats.norm.pdf(edges, x, 1.5))
        slopes = [np.outer(down, flux * moved).ravel(), np.outer(down, along).ravel()]
        matrix = np.array([[one @ two for one in slopes] for two in slopes]) / noise**2
        expected = np.sqrt(np.diag(np.linalg.inv(matrix)))
        np.testing.assert_allclose(found.loc[row, names].to_numpy(float), expected, rtol=3e-3)


def test_a_slope_on_which_no_steps_agree_is_not_known(recipe, disks):
    """A brightness that changes faster than the shortest step; who must find it, too, has no known bound."""
    wild = recipe.replace(
        {
            "tables.images.classes.disk.variables": {"v": {"uniform": [0, 1]}},
            "tables.images.classes.disk.objects.0.circle.amplitude": "= 2 + sin(1e9 * v)",
        }
    )
    labels = ["variables.v", "circle.x"]
    with pytest.warns(UserWarning, match=r"6 of 6 samples, such as \d+, have no known bound"):
        found = fisher_bounds(wild, "images", disks["id"], labels)
    assert found[labels].isna().to_numpy().all()
    assert np.isfinite(fisher_bounds(wild, "images", disks["id"], labels[1:])["circle.x"]).all()


def test_a_step_is_shorter_where_what_follows_from_a_label_has_no_value(recipe, disks):
    """Of an amplitude a it is that of the root of a: 2 √a times smaller. Roots of steps below 0 have no value."""
    light = "tables.images.classes.disk"
    change = {
        f"{light}.variables": {"a": {"log_uniform": [1e-3, 1]}},
        f"{light}.objects.0.circle.amplitude": "= sqrt(a)",
    }
    rooted = recipe.replace(change)
    found = fisher_bounds(rooted, "images", disks["id"], ["variables.a"])["variables.a"]
    frame = deepbench.labels(rooted, "images").loc[disks.index]
    signal = shape(recipe, disks)
    alone = frame["noise.gaussian.sigma"] / np.sqrt(np.sum(signal**2, axis=1))
    expected = alone * 2 * np.sqrt(frame["variables.a"])
    assert frame["variables.a"].min() < bounds.STEP * 0.2
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=3e-3)


def test_samples_are_looked_at_in_blocks(recipe, disks, monkeypatch):
    labels = ["circle.x", "circle.amplitude"]
    whole = fisher_bounds(recipe, "images", disks["id"], labels)
    looked = []
    read = bounds.unchanged
    monkeypatch.setattr(
        bounds, "unchanged", lambda *given: looked.append(len(given[2])) or read(*given)
    )
    monkeypatch.setattr(bounds, "VALUES", 2 * 2 * 24 * 24 * (2 * len(labels) + bounds.WORKING))
    pd.testing.assert_frame_equal(fisher_bounds(recipe, "images", disks["id"], labels), whole)
    assert looked == [2, 2, 2]


def test_what_the_mean_of_an_image_does_not_say_has_no_bound(recipe, disks):
    """The noise's own σ, and two brightnesses of which the image shows the product; others are as well known."""
    labels = ["circle.amplitude", "noise.gaussian.sigma"]
    found = fisher_bounds(recipe, "images", disks["id"], labels)
    alone = fisher_bounds(recipe, "images", disks["id"], labels[:1])
    assert np.isinf(found["noise.gaussian.sigma"]).all()
    np.testing.assert_allclose(found["circle.amplitude"], alone["circle.amplitude"], rtol=1e-4)
    light = "tables.images.classes.disk"
    pair = {"one": {"uniform": [1, 2]}, "two": {"uniform": [1, 2]}}
    two = recipe.replace(
        {f"{light}.variables": pair, f"{light}.objects.0.circle.amplitude": "= one * two"}
    )
    labels = ["variables.one", "variables.two", "circle.x"]
    found = fisher_bounds(two, "images", disks["id"], labels)
    assert np.isinf(found[labels[:2]].to_numpy()).all()
    alone = fisher_bounds(two, "images", disks["id"], [*labels[:1], "circle.x"])
    np.testing.assert_allclose(found["circle.x"], alone["circle.x"], rtol=1e-3)


def test_the_best_test_of_two_signals_is_known():
    assert likelihood_ratio_accuracy(0.0) == 0.5
    assert likelihood_ratio_accuracy(2 * 1.6448536269514722) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("change", "labels", "message"),
    [
        ({}, ["circle.amplitud"], "did you mean 'circle.amplitude'"),
        ({}, ["ring.x"], "has no 'ring.x'"),
        ({}, ["class"], "'class' is not continuous, so that it has no bound"),
        ({}, ["id"], "'id' cannot be changed: it says which sample this is"),
        ({"noise": [{"poisson": {}}]}, ["circle.x"], "pixels without any light"),
        (
            {"noise": [{"correlated": {"sigma": 1, "length": 2}}]},
            ["circle.x"],
            "have correlated noise",
        ),
        (
            {"noise": [{"gaussian": {"sigma": 1}}, {"poisson": {}}]},
            ["circle.x"],
            "before their photons",
        ),
        (
            {"noise": [{"poisson": {"background": 1}}]},
            ["noise.poisson.gain"],
            "is of the observation",
        ),
        ({"noise": [{"background": {"level": 1}}]}, ["circle.x"], "have no noise"),
        ({"noise": []}, ["circle.x"], "have no noise"),
        ({"noise": [{"gaussian": {"sigma": 0}}]}, ["circle.x"], "has no noise"),
    ],
)
def test_bounds_that_are_not_known_are_refused(change, labels, message, recipe, disks):
    changed = recipe.replace({f"tables.images.{key}": each for key, each in change.items()})
    with pytest.raises(LabelError, match=message):
        fisher_bounds(changed, "images", disks["id"], labels)


def test_bounds_of_no_sample_are_refused(recipe):
    with pytest.raises(LabelError, match="list of whole numbers"):
        fisher_bounds(recipe, "images", [0.5], ["circle.x"])
    with pytest.raises(LabelError, match="there is no sample -1"):
        fisher_bounds(recipe, "images", [-1], ["circle.x"])
    for labels in ([], "circle.x", ["circle.x", "circle.x"]):
        with pytest.raises(LabelError, match="must be a list of labels, each once, not"):
            fisher_bounds(recipe, "images", [0], labels)
    with pytest.raises(LabelError, match="`step` must be above 0, such as 0.1, not 0"):
        fisher_bounds(recipe, "images", [0], ["circle.x"], step=0)


# --- other noise --------------------------------------------------------------------------------


def of_pixel(mean, sigma):
    """Return the Fisher information of a Poisson number behind normal noise, by differences of its density."""
    k = np.arange(int(mean + 12 * np.sqrt(mean) + 30))

    def density(x, mean):
        return np.sum(stats.poisson.pmf(k, mean) * stats.norm.pdf(x, k, sigma))

    def integrand(x):
        slope = (density(x, mean * 1.0001) - density(x, mean * 0.9999)) / (2e-4 * mean)
        return slope**2 / density(x, mean)

    ends = -8 * sigma, mean + 10 * np.sqrt(mean) + 8 * sigma + 4
    return integrate.quad(integrand, *ends, limit=500, epsrel=1e-6)[0]


def test_photons_behind_noise_of_reading_tell_more_than_their_variance_says():
    """Against integration of differences; of many photons 1 / variance is left, to 1e-3."""
    for mean, sigma in ((0.3, 0.4), (2.0, 1.0), (20.0, 3.0), (99.0, 6.0)):
        data = xr.Dataset({"id": ("sample", [0])})
        found = _of_photons(np.array([[mean]]), np.array([[sigma]]), data)
        assert found.weight[0, 0] == pytest.approx(of_pixel(mean, sigma), rel=1e-4)
    assert of_pixel(101.0, 8.0) == pytest.approx(1 / (101 + 64), rel=1e-3)
    assert of_pixel(0.01, 25.0) == pytest.approx(1 / (0.01 + 625), rel=1e-3)
    found = _of_photons(np.array([[0.01, 50.0]]), np.array([[1e6]]), data)  # without integration
    np.testing.assert_array_equal(found.weight[0], 1 / (np.array([0.01, 50.0]) + 1e12))
    assert of_pixel(0.3, 0.4) > 1.15 / (0.3 + 0.16)


@pytest.mark.parametrize("sigma", [0, 5])
def test_the_bound_of_counted_photons_is_its_formula(sigma, recipe, disks):
    """Of an amplitude: 1 / √Σ (g s)² I, I = 1 / λ or 1 / (λ + σ²) where λ = g (a s + b) is large, as here."""
    steps = [{"poisson": {"gain": 50, "background": 4}}]
    steps += [{"background": {"level": 3}}, {"gaussian": {"sigma": sigma / 50}}] if sigma else []
    counted = recipe.replace({"tables.images.noise": steps})
    found = fisher_bounds(counted, "images", disks["id"], ["circle.amplitude"])
    signal, amplitude = shape(recipe, disks), disks["circle.amplitude"].to_numpy()[:, None]
    mean = 50 * (amplitude * signal + 4)
    expected = 1 / np.sqrt(np.sum((50 * signal) ** 2 / (mean + sigma**2), axis=1))
    np.testing.assert_allclose(found["circle.amplitude"], expected, rtol=1e-3)


def test_the_bound_of_a_magnitude_behind_an_instrument():
    """A star in a Gaussian PSF: its light in each pixel by error functions, electrons by hand."""
    band = {
        "zero_point": 27,
        "exposure_time": 30,
        "exposures": 4,
        "sky_brightness": 21.5,
        "read_noise": 6,
        "full_well": 1e6,
        "gain": 1,
    }
    described = {
        "kind": "image",
        "samples": 8,
        "size": [21, 21],
        "instrument": {"pixel_scale": 0.25, "bands": {"r": band}},
        "psf": {"gaussian": {"sigma": 1.5}},
        "classes": {
            "star": {"objects": [{"star": {"dx": 0, "dy": 0, "magnitude": {"uniform": [22, 24]}}}]}
        },
    }
    star = deepbench.parse_recipe(document({"images": described}))
    magnitude = deepbench.labels(star, "images")["star.magnitude"].to_numpy()
    found = fisher_bounds(star, "images", range(8), ["star.magnitude"])
    edges = np.arange(22) - 10.5
    along = np.diff(special.ndtr(edges / 1.5))
    light = 10 ** (-0.4 * (magnitude - 27)) * 120
    of_star = light[:, None, None] * np.outer(along, along)
    sky = 10 ** (-0.4 * (21.5 - 27)) * 0.25**2 * 120
    slope = -0.4 * np.log(10) * of_star
    information = np.sum(slope**2 / (of_star + sky + 4 * 36), axis=(1, 2))
    np.testing.assert_allclose(found["star.magnitude"], 1 / np.sqrt(information), rtol=3e-3)


def test_the_bound_of_a_magnitude_of_a_light_curve():
    """Fluxes and their variances both say how bright a source is: Ivezić et al. 2019, eq. 5."""
    noise = {"depth": {"depth": 24.35, "gamma": 0.02, "systematic": 0.05}}
    survey = {
        "time_scale": "TAI",
        "epoch": 2400000.5,
        "unit": "nJy",
        "cadence": {"regular": {"interval": 3600, "duration": 1}},
        "bands": {"r": {"zero_point": 31.4, "exposure": 30, "noise": noise}},
    }
    source = {"objects": [{"source": {"magnitude": {"uniform": [18, 24]}}}]}
    described = {"kind": "light_curve", "samples": 8, "survey": survey, "classes": {"star": source}}
    curves = deepbench.parse_recipe(document({"curves": described}))
    flux = 10 ** (-0.4 * (deepbench.labels(curves, "curves")["source.magnitude"].to_numpy() - 31.4))
    limit, relative = 10 ** (-0.4 * (24.35 - 31.4)), 0.05 * np.log(10) / 2.5
    count = np.isfinite(deepbench.render(curves, "curves", 0, 1)["flux"].values).sum()
    variance = (relative * flux) ** 2 + 0.02 * limit * flux + 0.02 * limit**2
    slope = 2 * relative**2 * flux + 0.02 * limit
    information = count * (1 / variance + slope**2 / (2 * variance**2))
    expected = 1 / np.sqrt(information) / (0.4 * np.log(10) * flux)
    found = fisher_bounds(curves, "curves", range(8), ["source.magnitude"])
    np.testing.assert_allclose(found["source.magnitude"], expected, rtol=2e-3)
    red = curves.replace({"tables.curves.red_noise": {"sigma": 0.01, "timescale": 1}})
    with pytest.raises(LabelError, match="red noise"):
        fisher_bounds(red, "curves", [0], ["source.magnitude"])


def test_the_bound_of_gravity_from_a_pendulum():
    """Against differences of motions that scipy integrates; all angles and velocities are unknown, too."""
    pendulum = {"length": 1.5, "angle": {"uniform": [20, 90]}, "gravity": {"uniform": [5, 15]}}
    described = {
        "kind": "dynamics",
        "samples": 4,
        "times": {"duration": 5, "steps": 51},
        "store": ["position"],
        "noise": {"position": {"uniform": [0.01, 0.1]}},
        "classes": {"swing": {"system": {"pendulum": pendulum}}},
    }
    swings = deepbench.parse_recipe(document({"swings": described}))
    frame = deepbench.labels(swings, "swings")
    names = ["pendulum.gravity", "pendulum.angle"]
    found = fisher_bounds(swings, "swings", range(4), names)

    def motion(gravity, angle):
        def slope(_, state):
            return state[1], -gravity / 1.5 * np.sin(state[0])

        times = np.linspace(0, 5, 51)
        start = [np.radians(angle), 0]
        q = integrate.solve_ivp(slope, (0, 5), start, t_eval=times, rtol=1e-10, atol=1e-12).y[0]
        return 1.5 * np.concatenate([np.sin(q), np.cos(q)])

    for row in range(4):
        gravity, angle = frame.loc[row, names]
        slopes = [
            (motion(gravity + 1e-3, angle) - motion(gravity - 1e-3, angle)) / 2e-3,
            (motion(gravity, angle + 1e-2) - motion(gravity, angle - 1e-2)) / 2e-2,
        ]
        matrix = np.array([[one @ two for one in slopes] for two in slopes])
        expected = frame.loc[row, "noise.position"] * np.sqrt(np.diag(np.linalg.inv(matrix)))
        np.testing.assert_allclose(found.loc[row, names].to_numpy(float), expected, rtol=2e-3)
    still = swings.replace({"tables.swings.store": ["position", "velocity"]})
    with pytest.raises(LabelError, match="its velocity has no noise"):
        fisher_bounds(still, "swings", [0], names)
