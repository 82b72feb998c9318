"""Specifications of galaxies and stars: the pieces that their labels become, and the engines that draw them."""

from importlib import import_module

import numpy as np
import pytest

from deepbench.images.galaxies.model import ARMS_ROW, ENGINES, GALAXIES, TRUNCATED_ROW
from deepbench.images.galaxies.stamps import Engine
from deepbench.images.model.objects import ObjectEntry
from deepbench.images.model.sky import COMPONENT_ROW, COMPONENTS, POINT
from deepbench.language.values import Constant

SHARED = {"x": 1, "y": 1, "flux": 1}
BULGE = {"bulge_fraction": 0.25, "bulge_half_light_radius": 1, "bulge_sersic_index": 3}
SPIRAL = BULGE | {"disk_half_light_radius": 4, "inclination": 60, "inner_radius": 2}
BODIES = {
    "sersic": {"sersic_index": 2, "semi_major_half_light_radius": 6, "axis_ratio": 0.25},
    "bulge_disk": BULGE | {"disk_half_light_radius": 4, "disk_axis_ratio": 0.5},
    "spiral": SPIRAL | {"pitch_angle": 20},
    "ringermacher_mead": SPIRAL | {"arm_scale": 5, "arm_opening": 1.5, "winding": 4},
}


def pieces(kind, **changes):
    turned = {} if kind == "star" else {"position_angle": 30}
    body = SHARED | turned | BODIES.get(kind, {}) | changes
    chosen = ObjectEntry.model_validate({kind: body}).chosen
    values = {name: getattr(chosen, name) for name in type(chosen).model_fields}
    columns = {
        name: np.full(3, each.value) for name, each in values.items() if isinstance(each, Constant)
    }
    return chosen.pieces(columns, 2.0)


def test_every_galaxy_has_a_body_here():
    assert set(BODIES) == set(GALAXIES)


@pytest.mark.parametrize("kind", BODIES)
def test_components_hold_all_light_in_pixels(kind):
    found = [piece.rows for piece in pieces(kind) if piece.engine == COMPONENTS]
    assert all(rows.dtype == COMPONENT_ROW and len(rows) == 3 for rows in found)
    np.testing.assert_allclose(sum(rows["flux"] for rows in found), 1.0, rtol=1e-15)
    assert all((rows["position_angle_degrees"] == 30).all() for rows in found)
    radii = {"sersic": [1.5], "bulge_disk": [2.0, 0.5]}.get(kind, [np.sqrt(2.0), 0.5])
    np.testing.assert_allclose([rows["half_light_radius"][0] for rows in found], radii)


def test_a_truncated_profile_is_no_component():
    (piece,) = pieces("sersic", truncation=8)
    assert (piece.engine, piece.rows.dtype) == ("truncated", TRUNCATED_ROW)
    assert (piece.rows["truncation"] == 4.0).all()


@pytest.mark.parametrize("kind", ["spiral", "ringermacher_mead"])
def test_arms_are_those_of_the_disk(kind):
    disk, _, arms = pieces(kind)
    assert (arms.engine, arms.rows.dtype) == ("arms", ARMS_ROW)
    for name in ("flux", "half_light_radius", "axis_ratio", "position_angle_degrees"):
        np.testing.assert_array_equal(arms.rows[name], disk.rows[name])
    assert (arms.rows["inner_radius"] == 1.0).all()


def test_a_component_stands_for_a_star():
    (piece,) = pieces("star")
    assert (piece.engine, piece.rows.dtype) == (COMPONENTS, COMPONENT_ROW)
    assert (piece.rows["half_light_radius"] == POINT).all()


@pytest.mark.parametrize("name", ENGINES)
def test_engines_have_their_functions(name):
    wanted = {name for name in vars(Engine) if not name.startswith("_")}
    assert wanted == {"stamp_edges", "add_to_stamps", "add_behind_image"}
    assert wanted <= set(vars(import_module(ENGINES[name])))
