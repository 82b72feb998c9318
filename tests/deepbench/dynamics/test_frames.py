"""Frames: bodies and arms where the motion is, as the shapes of images draw them."""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from deepbench.dynamics.recording import Disk, Frames, Rod
from deepbench.errors import LabelError
from deepbench.images.shapes.outlines import cover
from deepbench.language.specification import parameters_of
from deepbench.recipe import parse_recipe
from deepbench.samples import render

HEAD = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
DOUBLE = {
    "double_pendulum": {
        "length_1": 1,
        "length_2": 0.7,
        "mass_1": 1,
        "mass_2": 1,
        "angle_1": 100,
        "angle_2": -30,
        "gravity": 9.81,
    }
}
SINGLE = {"pendulum": {"length": 1, "angle": 80, "gravity": 9.81}}
FRAMES = {
    "size": [30, 34],
    "every": 2,
    "scale": 7.3,
    "x": 15.2,
    "y": 18.1,
    "blur": 1.2,
    "noise": 0.1,
    "disks": [{"radius": 2.2, "amplitude": 1.5}, {"radius": 1.4, "amplitude": 0.8}],
    "rods": {"thickness": 1.3, "amplitude": 0.5},
}
FLOAT32 = 1e-6  # a few roundings to float32, of the largest pixel


def draw(system=DOUBLE, samples=1, **frames):
    """Return a rendered table with these frames; a field that is None is left out."""
    frames = {name: each for name, each in {**FRAMES, **frames}.items() if each is not None}
    described = {
        "kind": "dynamics",
        "samples": samples,
        "times": {"duration": 1, "steps": 7},
        "classes": {"c": {"system": system}},
        "frames": frames,
    }
    return render(parse_recipe(json.dumps({**HEAD, "tables": {"t": described}})), "t")


@pytest.mark.parametrize("system", [DOUBLE, SINGLE], ids=["double", "single"])
@pytest.mark.parametrize("blur", [0, 1.2])
def test_a_frame_holds_the_covers_of_arms_and_bodies(system, blur):
    disks = FRAMES["disks"] if system is DOUBLE else FRAMES["disks"][:1]
    data = draw(system, blur=blur, noise=0, disks=disks)
    assert data.frames.shape == (1, 4, 30, 34)
    np.testing.assert_array_equal(data.frame, data.time[::2])
    edge = 8
    for frame, places in zip(data.frames.values[0], data.position.values[0, ::2], strict=True):
        plane = np.zeros((30 + 2 * edge, 34 + 2 * edge))
        points = [(15.2, 18.1), *((15.2 + 7.3 * x, 18.1 + 7.3 * y) for x, y in places)]
        arms = []
        for (x0, y0), (x1, y1) in pairwise(points):
            arms.append(
                {
                    "x": (x0 + x1) / 2 + edge,
                    "y": (y0 + y1) / 2 + edge,
                    "thickness": 1.3,
                    "length": np.hypot(x1 - x0, y1 - y0),
                    "angle": np.degrees(np.arctan2(y1 - y0, x1 - x0)),
                }
            )
        for arm in arms:
            part = cover("line", plane.shape, **arm)
            plane = plane * (1 - part) + 0.5 * part
        for disk, (x, y) in zip(disks, points[1:], strict=True):
            part = cover("circle", plane.shape, x=x + edge, y=y + edge, radius=disk["radius"])
            plane = plane * (1 - part) + disk["amplitude"] * part
        plane = gaussian_filter(plane, blur, mode="constant") if blur else plane
        expected = plane[edge : edge + 30, edge : edge + 34]
        np.testing.assert_allclose(frame, expected, rtol=0, atol=2 * FLOAT32)
        assert frame.max() > 0.7


def test_without_arms_and_a_place_bodies_are_about_the_centre():
    pair = {"two_body": {"mass_1": 1, "mass_2": 1, "semi_major_axis": 1, "eccentricity": 0}}
    data = draw(pair, rods=None, x=None, y=None, noise=0, blur=0, scale=10)
    ny, nx = np.mgrid[:30, :34]
    for frame, places in zip(data.frames.values[0], data.position.values[0, ::2], strict=True):
        light = frame.sum()
        total = np.pi * (1.5 * 2.2**2 + 0.8 * 1.4**2)
        assert light == pytest.approx(total, rel=1e-5)
        weights = np.pi * np.array([1.5 * 2.2**2, 0.8 * 1.4**2])
        middle = 10 * (weights[:, None] * places[:, :2]).sum(axis=0) / total + [16.5, 14.5]
        found = [(frame * nx).sum() / light, (frame * ny).sum() / light]
        # light of a pixel counts at its centre, which moves that of the edges
        np.testing.assert_allclose(found, middle, atol=0.01)


def test_every_parameter_of_frames_matters():
    before = draw().frames.values
    known = {"scale", "x", "y", "blur", "noise"}
    assert set(parameters_of(Frames)) == known
    for name in known:
        assert np.abs(draw(**{name: FRAMES[name] * 1.1}).frames.values - before).max() > 0.01
    for name in parameters_of(Rod):
        rods = {**FRAMES["rods"], name: FRAMES["rods"][name] * 1.2}
        assert np.abs(draw(rods=rods).frames.values - before).max() > 0.01
    for i in range(2):
        for name in parameters_of(Disk):
            disks = [dict(each) for each in FRAMES["disks"]]
            disks[i][name] *= 1.2
            assert np.abs(draw(disks=disks).frames.values - before).max() > 0.01
    assert draw(every=3).frames.shape == (1, 3, 30, 34)
    # the last disk is that of all further bodies
    one, two = draw(disks=FRAMES["disks"][:1]), draw(disks=FRAMES["disks"][:1] * 2)
    np.testing.assert_array_equal(one.frames, two.frames)


def test_noise_of_frames_is_normal_and_that_of_the_sample():
    calm, noisy = draw(samples=6, noise=0).frames.values, draw(samples=6).frames.values
    z = (noisy.astype(float) - calm) / 0.1
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / z.size)
    pixels = z.reshape(24, -1)  # every frame of every sample has its own
    assert np.abs(np.corrcoef(pixels)[np.triu_indices(24, 1)]).max() < 5 / np.sqrt(1020)


def test_frames_do_not_need_that_places_are_stored():
    described = {
        "kind": "dynamics",
        "samples": 2,
        "times": {"duration": 1, "steps": 7},
        "classes": {"c": {"system": DOUBLE}},
        "frames": FRAMES,
        "store": ["q"],
    }
    recipe = parse_recipe(json.dumps({**HEAD, "tables": {"t": described}}))
    found = render(recipe, "t")
    np.testing.assert_array_equal(found.frames, draw(samples=2).frames)
    assert "position" not in found


def test_frames_that_cannot_be_drawn_are_refused():
    with pytest.raises(LabelError, match="sample 0: a body is beyond 1e\\+09 pixels"):
        draw(scale=1e10)
    with pytest.raises(LabelError, match="sample 0: a frame is not finite; amplitudes or noise"):
        draw(noise=1e300)
