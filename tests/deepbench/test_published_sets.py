"""Published sets of images and series, written as recipes: SIDDA, DeepUQ, DeepBench's paper and rings of GREAT3."""

from pathlib import Path

import galsim
import numpy as np
import pytest
from astropy.modeling.models import Sersic2D

from deepbench.recipe import load_recipe
from deepbench.samples import labels, render

FOLDER = Path(__file__).parents[1] / "published"


def recipe_of(name):
    return load_recipe(FOLDER / f"{name}.yaml")


def assert_one_scene(frames, but):
    """Check that tables have the same labels but for the columns that contain some words."""
    for name in frames[0]:
        if not any(word in name for word in but):
            assert all(frames[0][name].equals(frame[name]) for frame in frames[1:]), name


def test_the_domains_of_sidda_differ_by_their_noise_alone():
    recipe, count = recipe_of("sidda_shapes"), 60
    frames = [labels(recipe, table, 0, count) for table in ("source", "target")]
    assert_one_scene(frames, ["noise"])
    source, target = (
        render(recipe, table, 0, count).image.values for table in ("source", "target")
    )
    area = frames[0]["variables.area"].values
    ellipses = (frames[0]["class"] == "ellipse").values
    assert abs(np.median(source.sum(axis=(1, 2))[ellipses] / area[ellipses]) - 1) < 1e-5
    assert set(np.unique(source[(frames[0]["class"] == "rectangle").values])) <= {0, 0.25, 0.5, 1}
    expected = area / 100**2 * 19
    np.testing.assert_allclose(frames[1]["noise.poisson.background"], expected, rtol=1e-12)
    variance = (target - source).var(axis=(1, 2)) / (expected + source.mean(axis=(1, 2)))
    assert np.abs(variance - 1).max() < 0.15
    assert abs(np.mean(variance) - 1) < 0.01


def test_the_galaxies_of_deepuq_have_three_levels_of_noise():
    recipe, count = recipe_of("deepuq_galaxies"), 30
    tables = {"low": 0.01, "medium": 0.05, "high": 0.1}
    frames = [labels(recipe, table, 0, count) for table in tables]
    assert_one_scene(frames, ["noise"])
    clean = render(recipe.replace({"tables.low.noise": []}), "low", 0, count).image.values
    for table, level in tables.items():
        noise = render(recipe, table, 0, count).image.values - clean
        assert abs(noise.std() / (level / 32) - 1) < 4 / np.sqrt(2 * noise.size)
    y, x = np.mgrid[-200:200:0.25, -200:200:0.25]
    for _, row in frames[0][:3].iterrows():
        amplitude, radius = row["variables.amplitude"], row["variables.radius"]
        total = Sersic2D(amplitude, radius, n=1, ellip=0.5)(x, y).sum() * 0.25**2
        assert abs(total / row["variables.brightness"] - 1) < 1e-3
    narrow = (frames[0]["variables.radius"] < 3).values
    sums = clean.sum(axis=(1, 2))[narrow] / frames[0]["variables.brightness"].values[narrow]
    assert np.abs(sums - 1).max() < 0.02


def test_pendulums_of_the_paper_begin_where_their_errors_say():
    recipe = recipe_of("joss_pendulums")
    frames = [labels(recipe, table) for table in ("clean", "noisy")]
    assert_one_scene(frames, ["error"])
    for kind in ("pendulum", "hamiltonian_pendulum"):
        for column, sigma in (("length_error", 0.02), ("angle_error", 2), ("gravity_error", 0.1)):
            errors = frames[1][f"{kind}.{column}"].dropna()
            assert abs(errors.std() / sigma - 1) < 4 / np.sqrt(2 * len(errors))
    row = frames[1][frames[1]["class"] == "newtonian"].iloc[0]
    start = render(recipe, "noisy", row["id"], row["id"] + 1).position.values.ravel()[:2]
    length = row["pendulum.length"] + row["pendulum.length_error"]
    angle = np.radians(row["pendulum.angle"] + row["pendulum.angle_error"])
    np.testing.assert_allclose(start, [length * np.sin(angle), -length * np.cos(angle)], rtol=1e-6)


def test_noisy_objects_of_the_paper_are_the_quiet_ones_with_noise():
    recipe = recipe_of("joss_objects")
    for kind in ("shapes", "sky"):
        assert_one_scene(
            [labels(recipe, name, 0, 60) for name in (kind, f"noisy_{kind}")], ["noise"]
        )
        quiet, noisy = (
            render(recipe, name, 0, 60).image.values for name in (kind, f"noisy_{kind}")
        )
        variance = 0.2**2 if kind == "shapes" else (quiet + 20).mean()
        assert abs((noisy - quiet).var() / variance - 1) < 0.02
        assert (noisy != quiet).all()


def test_a_ring_has_a_galaxy_twice_turned_by_a_right_angle():
    recipe = recipe_of("great3_rings").replace({"constants.g1": 0, "constants.g2": 0})
    frame = labels(recipe, "rings", 0, 200)
    assert (frame.groupby("group")["split"].nunique() == 1).all()
    images = render(recipe.replace({"tables.rings.noise": []}), "rings", 0, 16).image.values
    first, turned = images[::2], images[1::2]
    peaks = first.max(axis=(1, 2), keepdims=True)
    # the frame's centre lies between pixels, so that a right angle carries pixels to pixels
    difference = np.abs(np.rot90(first, -1, axes=(1, 2)) - turned) / peaks
    assert difference.max() < 1e-5
    assert (np.abs(first - turned) / peaks).max() > 0.01


@pytest.mark.parametrize("shear", [(0.03, -0.02), (-0.2, 0.1)])
def test_rings_are_sheared_as_galsim_shears(shear):
    g1, g2 = shear
    recipe = recipe_of("great3_rings").replace({"constants.g1": g1, "constants.g2": g2})
    frame = labels(recipe, "rings", 0, 100)
    galaxy = recipe.tables["rings"].classes["galaxy"].objects[0].chosen
    columns = {name.removeprefix("sersic."): values.to_numpy() for name, values in frame.items()}
    (piece,) = galaxy.pieces(columns, 0.2)
    for (_, row), drawn in zip(frame.iterrows(), piece.rows, strict=True):
        angle = 2 * np.radians(row["variables.angle"] + row["variables.turn"])
        e1, e2 = row["variables.ellipticity"] * np.array([np.cos(angle), np.sin(angle)])
        seen = galsim.Shear(g1=g1, g2=g2) + galsim.Shear(g1=e1, g2=e2)
        assert abs(drawn["axis_ratio"] - seen.q) < 1e-12
        turn = np.radians(drawn["position_angle_degrees"]) - seen.beta.rad
        assert abs(np.sin(turn)) < 1e-9
    for column in ("flux", "sersic_index", "half_light_radius", "axis_ratio"):
        assert (columns[column][::2] == columns[column][1::2]).all()
