"""Images show what ranges allow as it is written: every field of galaxies and PSFs at both ends of its range."""

import json
import math

import galsim
import numpy as np
import pytest

from deepbench.images.galaxies.model import GALAXIES
from deepbench.images.psf.model import FAMILIES, MOST_JITTER
from deepbench.language.specification import parameter_of
from deepbench.recipe import parse_recipe
from deepbench.samples import render
from tests.ranges import ends
from tests.reference.point_sources import airy_half_width

SIZE = 64
PLACE = {"x": 31.3, "y": 30.8, "flux": 1000.0}
PSFS = {
    "gaussian": {"fwhm": 3.0, "axis_ratio": 0.8, "position_angle": 20.0},
    "moffat": {"fwhm": 3.0, "beta": 3.0},
    "airy": {"fwhm": 2.0, "obscuration": 0.3, "jitter": 0.5},
    "kolmogorov": {"fwhm": 3.0},
}
BULGE = {
    "bulge_fraction": 0.3, "bulge_half_light_radius": 1.5, "bulge_sersic_index": 2.0, "disk_half_light_radius": 5.0
}  # fmt: skip
ARMS = {"inclination": 40.0, "arm_contrast": 0.7, "arm_width": 0.3, "inner_radius": 1.5}
BODIES = {
    "sersic": {"sersic_index": 2.0, "half_light_radius": 3.0, "axis_ratio": 0.6},
    "bulge_disk": BULGE | {"bulge_axis_ratio": 0.7, "disk_axis_ratio": 0.4},
    "spiral": BULGE | ARMS | {"pitch_angle": 20.0},
    "ringermacher_mead": BULGE | ARMS | {"arm_scale": 6.0, "arm_opening": 2.0, "winding": 4.0},
}
PSF_ENDS = [
    *((name, field, end) for name in PSFS for field, end, _ in ends(FAMILIES[name])),
    ("airy", "jitter", MOST_JITTER * PSFS["airy"]["fwhm"]),
]
PSF_ENDS = [
    case for case in PSF_ENDS if case[1] not in ("sigma", "fwhm", "truncation")
]  # open, or of stars only
"""PSFs, and a field of each at an end of its range."""

BEYOND_GALSIM = [
    ("airy", "axis_ratio", 0.1),
    *(case for case in PSF_ENDS if case[1] == "beta" and case[2] < 2),
]
"""Those that GalSim's FFTs are too small for."""


def wide_enough(name, field, end):
    """Return a PSF with a field at its end; a narrow ellipse is as wide as galaxies need."""
    return (
        PSFS[name] | {field: end} | ({"fwhm": 6.0} if (field, end) == ("axis_ratio", 0.1) else {})
    )


def draw(entry, psf):
    described = {"kind": "image", "samples": 1, "size": [SIZE, SIZE], "pixel_scale": 1.0}
    described |= {"psf": psf, "classes": {"a": {"objects": [entry]}}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    return render(parse_recipe(json.dumps({**head, "tables": {"t": described}})), "t").image.values[
        0
    ]


def test_every_family_and_galaxy_is_walked():
    assert set(PSFS) == set(FAMILIES)
    assert set(BODIES) == set(GALAXIES)
    assert ("moffat", "beta", 100) in PSF_ENDS


@pytest.mark.parametrize(("name", "field", "end"), PSF_ENDS)
def test_a_galaxy_without_extent_is_a_star(name, field, end):
    psf = {name: wide_enough(name, field, end)}
    point = {"sersic_index": 0.5, "half_light_radius": 0.003}
    star = draw({"star": PLACE | {"stamp_flux": 0.99999}}, psf)
    found = draw({"sersic": PLACE | point}, psf)
    np.testing.assert_allclose(found, star, atol=2e-4 * star.max())  # 1e-4 each


def seen_by_galsim(name, psf):
    """Return GalSim's point spread function."""
    if name == "moffat":
        seen = galsim.Moffat(psf["beta"], fwhm=psf["fwhm"])
    elif name == "airy":
        width = psf["fwhm"] * math.pi / (2 * airy_half_width(psf["obscuration"]))
        seen = galsim.Airy(lam_over_diam=width, obscuration=psf["obscuration"])
        if psf["jitter"]:
            seen = galsim.Convolve(seen, galsim.Gaussian(sigma=psf["jitter"]))
    else:
        seen = {"gaussian": galsim.Gaussian, "kolmogorov": galsim.Kolmogorov}[name](
            fwhm=psf["fwhm"]
        )
    angle = psf.get("position_angle", 0.0) * galsim.degrees
    return seen.shear(q=psf.get("axis_ratio", 1.0), beta=angle)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "field", "end"),
    [
        pytest.param(*case, marks=() if case[:2] == ("moffat", "beta") else pytest.mark.slow)
        for case in PSF_ENDS
        if case not in BEYOND_GALSIM
    ],
)
def test_a_galaxy_behind_every_psf_is_that_of_galsim(name, field, end):
    psf = wide_enough(name, field, end)
    strict = galsim.GSParams(
        folding_threshold=1e-3, maxk_threshold=1e-4, kvalue_accuracy=1e-6, maximum_fft_size=8192
    )
    light = galsim.Sersic(2.0, half_light_radius=3.0, flux=1000.0).shear(
        q=0.6, beta=0 * galsim.degrees
    )
    both = galsim.Convolve(light, seen_by_galsim(name, psf), gsparams=strict)
    offset = PLACE["x"] - (SIZE - 1) / 2, PLACE["y"] - (SIZE - 1) / 2
    expected = both.drawImage(nx=SIZE, ny=SIZE, scale=1.0, offset=offset, dtype=float).array
    found = draw({"sersic": PLACE | BODIES["sersic"]}, {name: psf})
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


GALAXY_ENDS = [
    (kind, field, end, inside)
    for kind in BODIES
    for field, end, inside in ends(GALAXIES[kind])
    if field not in ("flux", "fluxes", "stamp_flux", "handedness")
    and parameter_of(GALAXIES[kind], field).unit != "arcsec"  # lengths have no end but 0
]


@pytest.mark.parametrize(("kind", "field", "end", "inside"), GALAXY_ENDS)
def test_galaxies_change_up_to_the_ends_of_their_ranges(kind, field, end, inside):
    images = [
        draw({kind: PLACE | BODIES[kind] | {field: value}}, {"gaussian": {"fwhm": 2.0}})
        for value in (end, inside)
    ]
    assert all(math.isclose(image.sum(dtype=float), 1000.0, rel_tol=0.3) for image in images)
    assert np.abs(images[0] - images[1]).max() > 3e-5 * images[1].max()
