"""Crowded fields against GalSim: 1024² pixels, 250 stars and 250 galaxies of continuous index, photon noise.

    python benchmarks/fields.py [rounds]

Both draw the same objects behind the same Moffat PSF in one process and on one core, in turns, each in the stamp that
holds 0.995 of its light: GalSim in those that it chooses by default, ours by ``stamp_flux``. Medians of CPU time.
"""

import json
import sys
import time
import warnings

import galsim
import numpy as np

from deepbench.recipe import parse_recipe
from deepbench.samples import labels, objects, render

SIZE = 1024
FWHM, BETA, SKY = 3.2, 3.0, 100.0
EACH = 250


def recipe(samples):
    """Return the recipe of the fields."""
    place = {"x": {"uniform": [0, SIZE - 1]}, "y": {"uniform": [0, SIZE - 1]}}
    light = {"flux": {"log_uniform": [1e3, 1e5]}, "stamp_flux": 0.995}
    shape = {
        "sersic_index": {"uniform": [0.5, 6]},
        "half_light_radius": {"log_uniform": [1.5, 8]},
        "axis_ratio": {"uniform": [0.2, 1]},
        "position_angle": {"uniform": [0, 180]},
    }
    described = {
        "kind": "image",
        "samples": samples,
        "size": [SIZE, SIZE],
        "pixel_scale": 1,
        "classes": {
            "field": {
                "objects": [
                    {"star": place | light, "repeat": EACH},
                    {"sersic": place | light | shape, "repeat": EACH},
                ]
            }
        },
        "psf": {"moffat": {"fwhm": FWHM, "beta": BETA}},
        "noise": [{"poisson": {"background": SKY}}],
    }
    head = {"name": "fields", "version": "1.0.0", "title": "Fields", "seed": 1}
    return parse_recipe(json.dumps(head | {"tables": {"fields": described}}))


def galsim_field(rows, rng):
    """Return a field by GalSim from rows of the table of objects."""
    image = galsim.ImageF(SIZE, SIZE, scale=1.0, xmin=0, ymin=0)
    psf = galsim.Moffat(BETA, fwhm=FWHM)
    for row in rows.itertuples():
        if row.kind == "star":
            profile = psf.withFlux(row.flux)
        else:
            galaxy = galsim.Sersic(row.sersic_index, row.half_light_radius, flux=row.flux)
            galaxy = galaxy.shear(q=row.axis_ratio, beta=row.position_angle * galsim.degrees)
            profile = galsim.Convolve(galaxy, psf)
        stamp = profile.drawImage(center=galsim.PositionD(row.x, row.y), scale=1.0)
        bounds = stamp.bounds & image.bounds
        if bounds.isDefined():
            image[bounds] += stamp[bounds]
    image.addNoise(galsim.PoissonNoise(rng, sky_level=SKY))
    return image.array


def main():
    """Print medians, and the ratio."""
    warnings.simplefilter("ignore")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    described = recipe(rounds + 1)
    render(described, "fields", 0, 1)
    rng = galsim.BaseDeviate(1)
    ours, theirs = [], []
    for sample in range(1, rounds + 1):
        rows = objects(described, "fields", sample, sample + 1)
        begun = time.process_time()
        galsim_field(rows, rng)
        middle = time.process_time()
        render(
            described,
            "fields",
            labels=labels(described, "fields", sample, sample + 1),
            objects=rows,
        )
        ours.append(time.process_time() - middle)
        theirs.append(middle - begun)
    our, their = np.median(ours), np.median(theirs)
    print(
        f"{rounds} fields: GalSim {their:.2f} s, ours {our:.3f} s per field, ratio {their / our:.1f}"
    )


if __name__ == "__main__":
    main()
