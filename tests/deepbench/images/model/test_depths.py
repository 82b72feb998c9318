"""Depths of the presets, each under the definition of the publication that states it.

A depth is the magnitude of a star at a signal-to-noise ratio: in an aperture of a diameter (arcsec), corrected for the
light outside, or with the weights of the PSF. ``changes`` are exposures and sky of the publication where they differ
from the preset's. Coadds and drizzled images have noise that is correlated and not counted here: within 0.3 mag; one
exposure: within 0.2.

Sources: Abbott et al. 2021 (DES DR2), ApJS 255, 20, abstract; Rubin SMTN-002, "Calculating m5" (v1.9, zenith, dark);
Davis et al. 2007 (AEGIS), ApJ 660, L1; Giavalisco et al. 2004 (GOODS), ApJ 600, L93; Koekemoer et al. 2007 and
Scoville et al. 2007 (COSMOS), ApJS 172, 196 and 38; Euclid Q1, VIS processing, arXiv:2503.15303, abstract; SDSS DR13,
imaging, median 5σ depth of a point source.
"""

import json
import math
from functools import cache

import numpy as np
import pytest
from scipy.optimize import brentq

from deepbench.images.model.instruments import presets
from deepbench.recipe import parse_recipe
from deepbench.samples import render
from tests.reference.point_sources import airy_half_width

SIZE = 65
COADD, ALONE = 0.3, 0.2


def single(**exposures):
    return {"exposures": 1} | exposures


GOODS = {"exposure_time": 1200.0, "exposures": 6}
COSMOS = {"sky_brightness": 22.0}  # near the ecliptic; galcheat
DEPTHS = [  # preset, band, depth, signal-to-noise ratio, aperture (None: the weights of the PSF), tolerance, changes
    *(("des", band, depth, 10, 1.95, COADD, {}) for band, depth in
      {"g": 24.7, "r": 24.4, "i": 23.8, "z": 23.1, "y": 21.7}.items()),
    *(("lsst", band, depth, 5, None, ALONE, single()) for band, depth in
      {"u": 23.70, "g": 24.97, "r": 24.52, "i": 24.13, "z": 23.56, "y": 22.55}.items()),
    ("hst_acs", "f435w", 27.8, 10, 0.2, COADD, GOODS),
    ("hst_acs", "f606w", 28.14, 5, 0.24, COADD, {}),
    ("hst_acs", "f814w", 27.52, 5, 0.24, COADD, {"exposure_time": 525.0}),
    ("hst_acs", "f814w", 27.2, 5, 0.24, COADD, COSMOS),
    ("euclid_vis", "vis", 25.6, 10, 1.3, COADD, {}),
    *(("sdss", band, depth, 5, None, ALONE, {}) for band, depth in
      {"u": 22.15, "g": 23.13, "r": 22.70, "i": 22.20, "z": 20.71}.items()),
]  # fmt: skip
WITHOUT = {("hst_acs", "f475w"), *(("roman_wfi", band) for band in presets()["roman_wfi"]["bands"])}
"""Bands for which no depth with its exposures and its definition was found; the preset says so."""


@cache
def stars(preset, *, centred=False):
    """Return the part of a star's light in each pixel, {band: float64[places, y, x]}, and the places of the star."""
    bands = {band: {} for band in presets()[preset]["bands"]}
    place = SIZE // 2 if centred else {"uniform": [SIZE // 2 - 0.5, SIZE // 2 + 0.5]}
    star = {"x": place, "y": place, "magnitude": 20.0}
    described = {"kind": "image", "samples": 24, "size": [SIZE, SIZE], "planes": ["image_true"]}
    described |= {"instrument": {"preset": preset, "bands": bands, "unit": "flux"}}
    described["classes"] = {"a": {"objects": [{"star": star}]}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    found = render(parse_recipe(json.dumps({**head, "tables": {"t": described}})), "t")
    light = found.image_true.values.astype(float)
    rates = [
        10 ** (-0.4 * (20.0 - presets()[preset]["bands"][band]["zero_point"])) for band in bands
    ]
    places = np.stack([found["star.x"].values, found["star.y"].values], axis=1)
    return {band: light[:, k] / rates[k] for k, band in enumerate(bands)}, places


def inside(places, radius):
    """Return the part of each pixel within a radius of the star, in pixels, by 10 × 10 points."""
    fine = (np.arange(10 * SIZE) - 4.5) / 10
    square = (fine[None, :, None] - places[:, 1, None, None]) ** 2 + (
        fine - places[:, 0, None, None]
    ) ** 2
    return (square < radius * radius).reshape(len(places), SIZE, 10, SIZE, 10).mean(axis=(2, 4))


def depth_of(preset, band, ratio, aperture, changes):
    """Return the magnitude of a star with this signal-to-noise ratio; the mean over its places in a pixel."""
    exposed, scale = presets()[preset]["bands"][band] | changes, presets()[preset]["pixel_scale"]
    time = exposed["exposure_time"] * exposed["exposures"]
    sky = 10 ** (-0.4 * (exposed["sky_brightness"] - exposed["zero_point"])) * scale**2
    noise = (sky + exposed["dark_current"]) * time + exposed["exposures"] * exposed[
        "read_noise"
    ] ** 2
    light, places = stars(preset)
    if aperture is None:
        part = light[band]

        def excess(electrons):
            return (
                np.mean(np.sum((electrons * part) ** 2 / (noise + electrons * part), axis=(1, 2)))
                - ratio**2
            )

        electrons = brentq(excess, 1e-3, 1e9)
    else:
        held = inside(places, 0.5 * aperture / scale)
        share = np.mean(np.sum(light[band] * held, axis=(1, 2)))
        background = noise * math.pi * (0.5 * aperture / scale) ** 2
        electrons = (ratio**2 + math.sqrt(ratio**4 + 4 * ratio**2 * background)) / 2 / share
    return exposed["zero_point"] - 2.5 * math.log10(electrons / time)


@pytest.mark.parametrize(
    ("preset", "band", "depth", "ratio", "aperture", "within", "changes"), DEPTHS
)
def test_a_preset_is_as_deep_as_published(preset, band, depth, ratio, aperture, within, changes):
    assert depth_of(preset, band, ratio, aperture, changes) == pytest.approx(depth, abs=within)


def test_every_band_has_a_depth_or_none_was_found():
    every = {(name, band) for name, preset in presets().items() for band in preset["bands"]}
    assert every == {case[:2] for case in DEPTHS} | WITHOUT


@pytest.mark.parametrize(
    ("band", "pixels"),
    {
        "f062": 4.25,
        "f087": 4.43,
        "f106": 5.16,
        "f129": 6.96,
        "f146": 7.74,
        "f158": 10.0,
        "f184": 16.2,
    }.items(),
)
def test_stars_of_roman_cover_as_many_pixels_as_published(band, pixels):
    """Roman technical information, SummaryPSFstats_center: 1 / Σ p² on native pixels, mean of detectors 1 and 18."""
    (part,) = stars("roman_wfi", centred=True)[0][band][:1]
    assert 1 / np.sum(part * part) == pytest.approx(pixels, rel=0.03)


@pytest.mark.parametrize(
    ("preset", "band", "least", "most"),
    [
        ("hst_acs", "f814w", 0.09, 0.1),
        ("hst_acs", "f606w", 0.09, 0.13),
        ("euclid_vis", "vis", 0.155, 0.165),
    ],
)
def test_images_of_space_telescopes_are_as_wide_as_published(preset, band, least, most):
    """The width of what pixels hold, against GalSim's: COSMOS and AEGIS mosaics, ACS handbook 5.6.6, Euclid Q1."""
    import galsim

    airy, pixel = presets()[preset]["bands"][band]["psf"]["airy"], presets()[preset]["pixel_scale"]
    width = airy["fwhm"] * math.pi / (2 * airy_half_width(airy["obscuration"]))
    parts = (
        galsim.Airy(lam_over_diam=width, obscuration=airy["obscuration"]),
        galsim.Gaussian(sigma=airy["jitter"]),
    )
    seen = galsim.Convolve(
        *parts, galsim.Pixel(pixel), gsparams=galsim.GSParams(folding_threshold=1e-2)
    )
    image = seen.drawImage(nx=121, ny=121, scale=pixel / 30, method="no_pixel").array
    area = np.sum(image > image.max() / 2) * (pixel / 30) ** 2
    assert least < 2 * math.sqrt(area / math.pi) < most
