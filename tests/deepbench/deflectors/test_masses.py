"""Masses of recipes become the rows that formulas read, and what cannot be is refused."""

import json

import numpy as np
import pytest
from astropy import constants, units
from astropy.cosmology import FlatLambdaCDM

from deepbench.deflectors.masses import DEFLECTORS
from deepbench.deflectors.planes import planes_of
from deepbench.errors import LabelError, RecipeError
from deepbench.lensing.maps import convergence
from deepbench.recipe import parse_recipe
from deepbench.samples import draw_labels

PLANE = {"lens": {"redshift": 0.5, "source_redshift": 2.0}}
SIE = {"sie": {"einstein_radius": 1.0, "axis_ratio": 0.7}}
BODY = {"dx": 0.1, "dy": 0.2, "flux": 1.0, "sersic_index": 1.0, "half_light_radius": 0.2}
SOURCE = {"sersic": BODY, "name": "source", "lensed": True}
BODIES = {
    "sis": {"einstein_radius": 1.0},
    "sie": {"einstein_radius": 1.0, "axis_ratio": 0.7, "position_angle": 20.0},
    "power_law": {"einstein_radius": 1.0, "axis_ratio": 0.7, "slope": 2.2},
    "shear": {"strength": 0.1, "shear_angle": 20.0, "convergence": 0.05},
    "point_mass": {"einstein_radius": 1.0},
    "nfw": {"mass": 1e14, "concentration": 5.0},
    "multipole": {"order": 4, "amplitude": 0.02, "angle": 10.0},
}


def recipe(objects, **table):
    described = {
        "kind": "image", "samples": 4, "size": [24, 24], "pixel_scale": 0.2,
        "psf": {"gaussian": {"fwhm": 0.8}}, "classes": {"a": {"objects": objects}}, **table,
    }  # fmt: skip
    head = {"name": "lenses", "version": "1.0.0", "title": "Lenses", "seed": 1}
    return parse_recipe(json.dumps(head | {"tables": {"images": described}}))


def planes(*objects):
    table = recipe([*objects, SOURCE]).table("images")
    return planes_of(table, draw_labels(table, 0, 4))


def refused(objects, **table):
    with pytest.raises(RecipeError) as error:
        recipe(objects, **table)
    return str(error.value)


def test_every_mass_is_in_these_tests():
    assert set(BODIES) == set(DEFLECTORS)


@pytest.mark.parametrize("kind", DEFLECTORS)
def test_masses_have_rows_at_their_positions(kind):
    found = planes(PLANE, {kind: BODIES[kind] | {"dx": 0.3, "dy": -0.2}}, SIE)
    np.testing.assert_array_equal(found.offsets, [0, 2, 4, 6, 8])
    assert (found.rows["x"][::2] == 0.3).all()
    assert (found.rows["y"][::2] == -0.2).all()
    assert np.isfinite(convergence(found.rows[:1], 0.5, 0.7))


@pytest.mark.parametrize("kind", DEFLECTORS)
def test_every_parameter_of_a_mass_is_a_label(kind):
    table = recipe([{kind: BODIES[kind]}, PLANE, SOURCE]).table("images")
    names = {column.name for column in table.plan.columns}
    given = {name for name, value in BODIES[kind].items() if name != "order"}
    assert {f"{kind}.{name}" for name in (*given, "dx", "dy")} <= names
    assert {"lens.redshift", "lens.einstein_radius", "source.image_1_delay"} <= names


def test_dispersions_and_masses_are_those_of_astropy():
    cosmology = FlatLambdaCDM(H0=67.0, Om0=0.31)
    lens = {
        "lens": {
            "redshift": 0.4, "source_redshift": 1.7, "hubble_constant": 67, "matter_density": 0.31
        }
    }  # fmt: skip
    masses = {"sis": {"velocity_dispersion": 250}}, {"nfw": {"mass": 2e14, "concentration": 6}}
    sis, nfw = planes(lens, *masses).rows[:2]
    d_l, d_s = cosmology.angular_diameter_distance([0.4, 1.7])
    d_ls = (d_s * 2.7 - d_l * 1.4) / 2.7
    ratio = (250 * units.km / units.s / constants.c).to_value("")
    expected = 4 * np.pi * ratio**2 * (d_ls / d_s).to_value("") * units.rad.to("arcsec")
    assert sis["strength"] == pytest.approx(expected, rel=1e-10)
    density = cosmology.critical_density(0.4)
    radius = (2e14 * units.Msun / (800 * np.pi / 3 * density)) ** (1 / 3) / 6
    assert nfw["scale"] == pytest.approx(
        (radius / d_l).to_value("") * units.rad.to("arcsec"), rel=1e-4
    )
    surface = constants.c**2 / (4 * np.pi * constants.G) * d_s / (d_l * d_ls)
    inside = np.log(7) - 6 / 7
    kappa = (2e14 * units.Msun / (4 * np.pi * radius**2 * inside) / surface).to_value("")
    measured = [columns for _, columns in planes(lens, *masses).measured()]
    assert [list(columns) for columns in measured] == [
        ["einstein_radius"], ["einstein_radius"], ["scale_radius", "deflection"],
    ]  # fmt: skip
    assert (measured[1]["einstein_radius"] == sis["strength"]).all()
    assert nfw["strength"] == pytest.approx(4 * (1 - np.log(2)) * kappa * nfw["scale"], rel=1e-3)


def test_copies_are_masses_of_their_own():
    subhaloes = {
        "sis": {"einstein_radius": {"uniform": [0.01, 0.05]}, "dx": {"uniform": [-1, 1]}},
        "repeat": 3,
    }
    found = planes(PLANE, SIE, subhaloes)
    np.testing.assert_array_equal(np.diff(found.offsets), 4)
    assert len(np.unique(found.rows["strength"])) == 13
    assert (found.centres == 0).all()


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        ([SOURCE], "a sersic that is lensed needs masses"),
        ([PLANE, {"sersic": BODY}], "a lens has masses, such as an sie"),
        ([PLANE, PLANE | {"name": "other"}, SIE], "has 2 lenses"),
        ([PLANE | {"repeat": 2}, SIE], "a lens does not repeat"),
        (
            [SIE, SOURCE | {"sersic": BODY | {"stamp_flux": 0.99}}],
            "a sersic that is lensed is drawn on the whole frame: leave out `stamp_flux`",
        ),
        ([SIE, {"circle": {"x": 1, "y": 1, "radius": 2}, "lensed": True}], "`lensed` is for stars and galaxies"),
        ([{"sis": {"velocity_dispersion": 200}}, SOURCE], "add a `lens` with redshift"),
        (
            [{"lens": {"redshift": 0.5, "source_redshift": {"uniform": [0.2, 0.5]}}}, SIE],
            "never behind its lens: source_redshift is at most 0.5, redshift at least 0.5",
        ),
        ([{"lens": {"redshift": 0.5}}, SIE], "must have both of redshift and source_redshift"),
        ([{"sis": {}}, SOURCE], "exactly one of einstein_radius and velocity_dispersion"),
        ([{"nfw": {"mass": 1e13}}, SOURCE], "must have either mass and concentration"),
        (
            [PLANE, {"nfw": BODIES["nfw"] | {"potential_axis_ratio": 0.8, "truncation_radius": 3}}],
            "a truncated halo is spherical",
        ),
        ([{"nfw": BODIES["nfw"] | {"position_angle": 3}}], "position_angle needs potential_axis_ratio"),
        ([{"power_law": BODIES["power_law"] | {"slope": 2.6}}], "at most 2.5"),
        ([{"multipole": {"order": 2, "amplitude": 0.1}}], "must be 3 or 4"),
        (
            [SIE, {"star": {"dx": 0, "dy": 0, "flux": 1, "microlensing": {"minima": 0.3}}}],
            "add `lensed: true`",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_when_the_recipe_is_read(objects, why):
    assert why in refused(objects)


def test_planes_of_lenses_need_something_that_is_lensed():
    assert "needs something that is `lensed`" in refused([{"sersic": BODY}], planes=["arcs_true"])
    assert "add `pixel_scale`" in refused([SIE], pixel_scale=None)


def test_a_source_before_its_lens_is_refused_with_its_sample():
    lens = {"lens": {"redshift": 0.5, "source_redshift": {"uniform": [0.4, 0.5001]}}}
    with pytest.raises(LabelError, match="sample 0: the source's redshift, 0.4.*, is not above"):
        planes(lens, SIE)


def test_lensed_galaxies_take_large_frames():
    large = {"size": [600, 600]}
    assert recipe([SIE, SOURCE], **large)
    assert "is drawn on the whole frame, of at most 512" in refused([{"sersic": BODY}], **large)


def test_lensed_false_is_as_good_as_absent():
    entry = {"sersic": BODY, "lensed": False}
    assert (
        recipe([SIE, entry]).table("images").hash
        == recipe([SIE, {"sersic": BODY}]).table("images").hash
    )
