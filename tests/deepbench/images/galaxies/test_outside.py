"""Galaxies whose centres are outside of the frame: the wing that is in it, against GalSim."""

import json
import math

import galsim
import numpy as np
import pytest

from deepbench.images.galaxies.periods import LEAST_LIGHT, are_outside
from deepbench.recipe import parse_recipe
from deepbench.samples import render
from tests.reference.point_sources import airy_half_width

SIZE, SCALE = 64, 0.2
PSFS = {
    "moffat": {"fwhm": 0.7, "beta": 2.5},
    "gaussian": {"fwhm": 0.8},
    "kolmogorov": {"fwhm": 0.7},
    "airy": {"fwhm": 0.5, "obscuration": 0.3},
}
CASES = [  # place, n, half-light radius (arcsec), axis ratio, position angle, PSF
    ((-30, 80), 4.0, 1.0, 1.0, 0.0, "moffat"),
    ((-40, 32), 1.0, 3.0, 1.0, 0.0, "moffat"),
    ((-3, 20), 4.0, 1.0, 0.4, 30.0, "moffat"),
    ((70, 66), 2.5, 0.6, 0.7, 120.0, "kolmogorov"),
    ((-20, -25), 6.0, 2.0, 0.5, 45.0, "gaussian"),
    ((95, 20), 4.0, 2.0, 0.3, 10.0, "airy"),
    ((-9, 100), 1.5, 2.0, 0.3, 80.0, "moffat"),
    ((128, 128), 5.0, 3.0, 0.8, 0.0, "moffat"),
]


def draw(entry, psf, size=(SIZE, SIZE)):
    described = {"kind": "image", "samples": 1, "size": list(size), "pixel_scale": SCALE}
    described |= {"psf": {psf: PSFS[psf]}, "classes": {"a": {"objects": [entry]}}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    recipe = parse_recipe(json.dumps({**head, "tables": {"t": described}}))
    return render(recipe, "t").image.values[0]


def galaxy(place, index, radius, ratio=1.0, angle=0.0):
    x, y = place
    shape = {"sersic_index": index, "half_light_radius": radius, "axis_ratio": ratio}
    return {"sersic": {"x": x, "y": y, "flux": 1.0, "position_angle": angle} | shape}


def expected(place, index, radius, ratio, angle, psf):
    """Return what GalSim draws: pixels of the frame, of light that its FFT wraps around only far outside."""
    tight = galsim.GSParams(
        folding_threshold=2e-4, maxk_threshold=1e-4, kvalue_accuracy=1e-8, maximum_fft_size=8192
    )
    light = galsim.Sersic(index, half_light_radius=radius, gsparams=tight)
    light = light.shear(q=ratio, beta=angle * galsim.degrees)
    own = PSFS[psf]
    width = own["fwhm"] * math.pi / (2 * airy_half_width(own.get("obscuration", 0.0)))
    seen = {
        "moffat": lambda: galsim.Moffat(own["beta"], fwhm=own["fwhm"]),
        "gaussian": lambda: galsim.Gaussian(fwhm=own["fwhm"]),
        "kolmogorov": lambda: galsim.Kolmogorov(fwhm=own["fwhm"]),
        "airy": lambda: galsim.Airy(lam_over_diam=width, obscuration=own["obscuration"]),
    }[psf]()
    both = galsim.Convolve(light, seen, gsparams=tight)
    edge = 2 * (
        max(abs(each - (SIZE - 1) / 2) for each in place) + SIZE
    )  # the centre in the middle of it
    image = galsim.Image(2 * int(edge / 2) + 1, 2 * int(edge / 2) + 1, scale=SCALE, dtype=float)
    middle = image.array.shape[0] // 2
    x, y = (math.floor(each) for each in place)
    both.drawImage(image, offset=(place[0] - x, place[1] - y))
    return image.array[middle - y : middle - y + SIZE, middle - x : middle - x + SIZE]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_light_in_the_frame_is_that_of_galsim(case):
    *shape, psf = case
    other = expected(*case)
    found = draw(galaxy(*shape), psf).astype(float)
    assert np.abs(found - other).max() < 1e-4 * other.max()
    assert found.sum() == pytest.approx(other.sum(), rel=5e-4)


def test_a_part_without_light_in_the_frame_is_left_out():
    away, bulge = (-45.0, 20.0), {"bulge_fraction": 0.5, "bulge_half_light_radius": 0.3}
    disk = {"x": away[0], "y": away[1], "flux": 1.0, "disk_half_light_radius": 3.0}
    both = draw({"bulge_disk": disk | bulge | {"bulge_sersic_index": 0.5}}, "gaussian")
    alone = draw({"bulge_disk": disk | bulge | {"bulge_fraction": 0.0}}, "gaussian")
    np.testing.assert_allclose(both, 0.5 * alone, rtol=1e-6)
    assert both.max() > 0.5 * LEAST_LIGHT
    assert not draw(galaxy((-60.0, 20.0), 1.0, 1.0), "gaussian").any()


def test_nothing_jumps_where_the_centre_leaves_the_frame():
    for index, ratio in ((1.0, 0.3), (4.0, 0.7), (6.0, 0.2)):
        near, far = (
            draw(galaxy((x, 30.0), index, 1.2, ratio), "moffat") for x in (-0.499999, -0.500001)
        )
        assert np.abs(near - far).max() < 1e-4 * near.max()


def test_the_sides_of_a_frame_are_those_of_its_pixels():
    places = np.array([(-0.5, 0.0), (-0.6, 0.0), (39.4, 0.0), (39.5, 0.0), (0.0, 29.6)])
    np.testing.assert_array_equal(are_outside(places, (30, 40)), [False, True, False, True, True])
