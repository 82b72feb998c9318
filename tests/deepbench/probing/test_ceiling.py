"""Bounds equal their formulas, and an estimate that is known to reach them does."""

import numpy as np
import pytest

import deepbench
from deepbench.errors import LabelError
from deepbench.probing.ceiling import fisher_bounds, likelihood_ratio_accuracy

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


def test_what_an_image_does_not_say_has_no_bound(recipe, disks):
    labels = ["circle.amplitude", "noise.gaussian.sigma"]
    found = fisher_bounds(recipe, "images", disks["id"], labels)
    assert np.isinf(found[labels].to_numpy()).all()


def test_the_best_test_of_two_signals_is_known():
    assert likelihood_ratio_accuracy(0.0) == 0.5
    assert likelihood_ratio_accuracy(2 * 1.6448536269514722) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("change", "labels", "message"),
    [
        ({}, ["circle.amplitud"], "did you mean 'circle.amplitude'"),
        ({}, ["ring.x"], "has no 'ring.x'"),
        ({"noise": [{"poisson": {}}]}, ["circle.x"], "not poisson"),
        ({"noise": [{"background": {"level": 1}}]}, ["circle.x"], "not background"),
        ({"noise": []}, ["circle.x"], "not none"),
    ],
)
def test_bounds_that_are_not_known_are_refused(change, labels, message, recipe, disks):
    changed = recipe.replace({f"tables.images.{key}": each for key, each in change.items()})
    with pytest.raises(LabelError, match=message):
        fisher_bounds(changed, "images", disks["id"], labels)
