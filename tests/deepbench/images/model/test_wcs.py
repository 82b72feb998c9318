"""Where images are on the sky, against astropy."""

import json

import numpy as np
import pytest
from astropy.wcs import WCS

from deepbench.errors import LabelError, RecipeError
from deepbench.images.model.wcs import tan_header
from deepbench.recipe import parse_recipe
from deepbench.samples import labels

PLACE = {"ra": {"uniform": [100, 200]}, "dec": {"uniform": [-60, 60]}, "rotation": 20}


def recipe(**more):
    described = {"kind": "image", "samples": 3, "size": [40, 61], "pixel_scale": 0.5}
    described["classes"] = {"a": {"objects": [{"circle": {"x": 1, "y": 1, "radius": 1}}]}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    return parse_recipe(json.dumps({**head, "tables": {"t": described | more}}))


def test_the_centre_of_the_frame_looks_there():
    described = recipe(wcs=PLACE)
    for _, row in labels(described, "t").iterrows():
        header = described.tables["t"].wcs_header(row)
        ra, dec = WCS(header).wcs_pix2world(30.0, 19.5, 0)
        assert (ra, dec) == pytest.approx((row["wcs.ra"], row["wcs.dec"]), abs=1e-9)


def test_north_is_up_and_east_is_left():
    sky = WCS(tan_header((41, 41), 1.0, 150.0, 0.0, 0.0))
    (right, up), (ra, dec) = ([21, 20], [20, 21]), sky.wcs_pix2world([21, 20], [20, 21], 0)
    assert (right, up) == ([21, 20], [20, 21])
    assert (ra - 150.0) * 3600 == pytest.approx([-1.0, 0.0], abs=1e-6)
    assert dec * 3600 == pytest.approx([0.0, 1.0], abs=1e-6)


@pytest.mark.parametrize("rotation", [0.0, 30.0, 137.0])
def test_pixels_are_as_large_as_they_say_and_turn_as_they_say(rotation):
    sky = WCS(tan_header((41, 41), 0.7, 10.0, 0.0, rotation))
    x, y = sky.wcs_world2pix(10.0, 70.0 / 3600, 0)  # 100 pixels to the north
    assert np.hypot(x - 20, y - 20) == pytest.approx(100.0, rel=1e-6)
    north = np.degrees(np.arctan2(y - 20, x - 20))
    assert (north - 90.0 - rotation + 180) % 360 == pytest.approx(180.0, abs=1e-4)
    east = sky.wcs_world2pix(10.0 + 70.0 / 3600, 0.0, 0)
    angle = np.degrees(np.arctan2(east[1] - 20, east[0] - 20))
    assert (angle - rotation) % 360 == pytest.approx(180.0, abs=1e-4)


def test_what_has_no_place_is_refused():
    with pytest.raises(LabelError, match="the table has no `wcs`"):
        recipe().tables["t"].wcs_header({})
    with pytest.raises(RecipeError, match="the wcs is given in arcsec: add `pixel_scale`"):
        recipe(wcs=PLACE, pixel_scale=None)
    with pytest.raises(RecipeError, match="at least -90 and at most 90"):
        recipe(wcs=PLACE | {"dec": 91})
