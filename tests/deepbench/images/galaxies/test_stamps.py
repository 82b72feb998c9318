"""Objects of the sky in stamps: what they hold, and that a field is the sum of its objects wherever they lie."""

import json

import numpy as np
import pytest

from deepbench.errors import LabelError, RecipeError
from deepbench.recipe import parse_recipe
from deepbench.samples import render

PLACE = {"x": 40.3, "y": 25.8}
SERSIC = {"flux": 1000.0, "sersic_index": 2.0, "half_light_radius": 2.0, "axis_ratio": 0.5}
MOFFAT = {"moffat": {"fwhm": 3.0, "beta": 3.0}}


def recipe(objects, size=(64, 80), samples=1, **table):
    described = {"kind": "image", "samples": samples, "size": list(size), "pixel_scale": 1.0}
    described |= {"psf": MOFFAT, "classes": {"a": {"objects": objects}}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    return parse_recipe(json.dumps({**head, "tables": {"images": described | table}}))


def image(objects, size=(64, 80), **table):
    return render(recipe(objects, size, **table), "images").image.values[0]


def galaxy(**changes):
    return {"sersic": PLACE | SERSIC | changes}


def test_a_stamp_holds_what_the_frame_holds_there():
    whole, stamp = image([galaxy()]), image([galaxy(stamp_flux=0.9)])
    inside = stamp != 0
    assert 0.9 * 1000 < stamp.sum() < whole.sum()
    assert stamp[25 - 5 : 25 + 5, 40 - 5 : 40 + 5].all()
    np.testing.assert_allclose(stamp[inside], whole[inside], atol=2e-5 * whole.max())
    rows, columns = np.nonzero(inside)
    assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)  # a rectangle


@pytest.mark.parametrize("stamp_flux", [0.7, 0.9, 0.99, 0.995])
def test_a_stamp_holds_the_flux_it_promises(stamp_flux):
    for index in (0.5, 1, 4):
        body = galaxy(x=250, y=250, sersic_index=index, stamp_flux=stamp_flux)
        assert image([body], size=(500, 500)).sum(dtype=float) > stamp_flux * 1000


@pytest.mark.parametrize("place", [(-6, 30), (79.5, 63.5), (85, -3), (40, 66)])
def test_stamps_are_cut_by_the_edge_of_the_frame(place):
    x, y = place
    large = image([galaxy(x=x + 20, y=y + 20, stamp_flux=0.99)], size=(104, 120))
    small = image([galaxy(x=x, y=y, stamp_flux=0.99)])
    np.testing.assert_allclose(small, large[20:84, 20:100], atol=2e-6 * SERSIC["flux"])


def test_what_is_wholly_outside_leaves_no_trace():
    assert not image([galaxy(x="= 500", stamp_flux=0.99)]).any()


@pytest.mark.parametrize("size", [8, 13, 20, 28, 31])
def test_a_small_frame_holds_what_a_larger_one_holds(size):
    middle = size / 2
    objects = [galaxy(x=middle, y=middle, half_light_radius=1.0)]
    moved = [galaxy(x=middle + 50, y=middle + 50, half_light_radius=1.0)]
    large = image(moved, size=(128, 128))[50 : 50 + size, 50 : 50 + size]
    np.testing.assert_allclose(image(objects, size=(size, size)), large, atol=1e-4 * large.max())


@pytest.mark.parametrize(
    "wide",
    [
        {"half_light_radius": 120.0, "sersic_index": 1.0, "axis_ratio": 1.0},
        {"half_light_radius": 40.0, "sersic_index": 0.5, "axis_ratio": 0.6},
        {"half_light_radius": 15.0, "sersic_index": 1.0, "axis_ratio": 0.05},
        {"half_light_radius": 30.0, "sersic_index": 4.0, "axis_ratio": 0.3},
    ],
)
def test_a_galaxy_that_is_wider_than_the_frame(wide):
    small = image([galaxy(x=14.2, y=17.9, **wide)], size=(32, 32)).astype(float)
    large = image([galaxy(x=254.2, y=257.9, **wide)], size=(512, 512))[240:272, 240:272]
    np.testing.assert_allclose(small, large, atol=5e-4 * large.max())
    assert small.min() > 0


@pytest.mark.parametrize(
    "psf",
    [
        {"airy": {"fwhm": 10.0, "axis_ratio": 0.2, "obscuration": 0.5}},
        {"kolmogorov": {"fwhm": 25.0}},
        {"moffat": {"fwhm": 14.0, "beta": 2.0, "axis_ratio": 0.5}},
    ],
)
def test_a_psf_that_is_wide_for_the_frame(psf):
    point = {"flux": 1000.0, "sersic_index": 1.0, "half_light_radius": 0.01, "axis_ratio": 1.0}
    star = image([{"star": PLACE | {"flux": 1000.0, "stamp_flux": 0.99999}}], psf=psf)
    found = image([{"sersic": PLACE | point}], psf=psf)
    np.testing.assert_allclose(found, star, atol=1e-3 * star.max())


def test_a_galaxy_beyond_all_stamps_is_refused():
    for radius in (2000.0, 1e5):
        with pytest.raises(LabelError, match="a galaxy needs a stamp of more than 4096 pixels"):
            image([galaxy(half_light_radius=radius)])


def test_a_field_is_the_sum_of_its_objects():
    bodies = [
        galaxy(x=10 * i, y=7 * i, half_light_radius=0.8 + 0.5 * i, stamp_flux=0.98)
        for i in range(1, 7)
    ]
    star = {"star": {"x": 33.2, "y": 31.9, "flux": 500.0}}
    entries = [{"name": f"g{i}", **body} for i, body in enumerate(bodies)] + [star]
    alone = sum(image([each]).astype(float) for each in entries)
    np.testing.assert_allclose(image(entries), alone, atol=1e-6 * alone.max())


def test_bits_do_not_depend_on_the_batch():
    prior = {"x": {"uniform": [0, 80]}, "y": {"uniform": [0, 64]}, "flux": {"uniform": [1, 9]}}
    shape = {"half_light_radius": {"uniform": [1, 6]}, "sersic_index": {"uniform": [0.5, 4]}}
    described = recipe(
        [{"sersic": prior | shape | {"stamp_flux": 0.97}, "repeat": {"integers": [0, 5]}}],
        samples=40,
    )
    every = render(described, "images").image.values
    for start, stop in ((0, 1), (7, 8), (11, 29)):
        np.testing.assert_array_equal(
            render(described, "images", start, stop).image.values, every[start:stop]
        )


def test_an_object_may_have_a_psf_of_its_own():
    narrow = {"gaussian": {"fwhm": 2.0}}
    for body in ({"star": PLACE | {"flux": 9.0}}, galaxy(), galaxy(stamp_flux=0.99)):
        ((kind, values),) = body.items()
        alone = image([{kind: values | {"psf": narrow}}])
        np.testing.assert_allclose(
            alone, image([body], psf=narrow), atol=1e-6 * np.abs(alone).max()
        )
        assert np.abs(alone - image([body])).max() > 0.05 * alone.max()
    plan = recipe([{"star": PLACE | {"flux": 9.0, "psf": narrow}}]).table("images").plan
    assert "star.psf.fwhm" in [column.name for column in plan.columns]


def test_exponential_and_de_vaucouleurs_parts_make_a_bulge_and_disk():
    body = {
        "flux": 100.0,
        "bulge_fraction": 0.3,
        "bulge_half_light_radius": 1.5,
        "bulge_axis_ratio": 0.8,
        "disk_half_light_radius": 4.0,
        "disk_axis_ratio": 0.4,
        "position_angle": 35.0,
    }
    shared = PLACE | {"position_angle": 35.0}
    disk = {"flux": 70.0, "sersic_index": 1, "half_light_radius": 4.0, "axis_ratio": 0.4}
    bulge = {"flux": 30.0, "sersic_index": 4, "half_light_radius": 1.5, "axis_ratio": 0.8}
    both = image([{"sersic": shared | disk}, {"sersic": shared | bulge}])
    np.testing.assert_allclose(image([{"bulge_disk": PLACE | body}]), both, atol=1e-6 * both.max())
    for field in body:
        changed = image([{"bulge_disk": PLACE | body | {field: body[field] * 0.9}}])
        assert np.abs(changed - both).max() > 1e-3 * both.max(), field


SPIRAL = {
    "flux": 100.0,
    "bulge_fraction": 0.2,
    "bulge_half_light_radius": 1.2,
    "bulge_sersic_index": 2.0,
    "disk_half_light_radius": 8.0,
    "inclination": 40.0,
    "position_angle": 25.0,
    "arms": 2,
    "arm_contrast": 0.8,
    "arm_width": 0.3,
    "arm_angle": 20.0,
    "inner_radius": 1.5,
    "handedness": 1,
}
ARMS = {
    "spiral": {"pitch_angle": 20.0},
    "ringermacher_mead": {"arm_scale": 6.0, "arm_opening": 2.0, "winding": 4.0},
}


@pytest.mark.parametrize("kind", ARMS)
def test_arms_keep_the_light_of_their_disk(kind):
    body = (
        {"x": 63.3, "y": 63.8} | SPIRAL | ARMS[kind]
    )  # far from the edges, which cut arms unevenly
    spiral = image([{kind: body}], size=(128, 128)).astype(float)
    smooth = image([{kind: body | {"arm_contrast": 0.0}}], size=(128, 128)).astype(float)
    assert spiral.min() > -1e-4 * spiral.max()
    assert np.abs(spiral - smooth).max() > 0.05 * smooth.max()
    assert spiral.sum() == pytest.approx(smooth.sum(), rel=2e-3)  # the frame cuts the outermost
    y, x = np.indices(spiral.shape)
    for axis in (x, y):  # two arms: as much light on both sides
        centre = (axis * spiral).sum() / spiral.sum()
        assert centre == pytest.approx((axis * smooth).sum() / smooth.sum(), abs=0.02)


@pytest.mark.parametrize("kind", ARMS)
def test_every_parameter_of_a_spiral_changes_the_image(kind):
    body = PLACE | SPIRAL | ARMS[kind]
    before = image([{kind: body}])
    for field, value in (SPIRAL | ARMS[kind]).items():
        other = {"arms": 3, "handedness": -1}.get(field, 1.1 * value)
        changed = image([{kind: body | {field: other}}])
        assert np.abs(changed - before).max() > 5e-4 * before.max(), field


def test_arms_of_either_hand_are_mirror_images():
    shared = {"x": 40, "y": 32, "arm_angle": 0.0, "position_angle": 0.0}
    left = image([{"spiral": SPIRAL | ARMS["spiral"] | shared}], size=(65, 81))
    other = shared | {"handedness": -1}
    right = image([{"spiral": SPIRAL | ARMS["spiral"] | other}], size=(65, 81))
    np.testing.assert_allclose(right[::-1], left, atol=1e-4 * left.max())
    # counter-clockwise outwards: from +x, an arm is met further out when it is followed upwards
    face_on = shared | {"inclination": 0.0, "arms": 1, "bulge_fraction": 0.0}
    arm = image([{"spiral": SPIRAL | ARMS["spiral"] | face_on}], size=(65, 81)).astype(float)
    smooth = image(
        [{"spiral": SPIRAL | ARMS["spiral"] | face_on | {"arm_contrast": 0.0}}], (65, 81)
    )
    ratio = arm / smooth
    y, x = np.indices(ratio.shape)
    radius, angle = np.hypot(x - 40, y - 32), np.degrees(np.arctan2(y - 32, x - 40))
    for at in (0.0, 25.0):
        expected = 8.0 * np.exp(np.radians(at) * np.tan(np.radians(20.0)))
        ray = (np.abs(angle - at) < 4) & (radius > 4) & (radius < 14)
        assert radius[ray][ratio[ray].argmax()] == pytest.approx(expected, abs=1.0)


def test_a_spiral_whose_hand_is_unknown_is_refused():
    body = PLACE | SPIRAL | ARMS["spiral"] | {"handedness": 0}
    with pytest.raises(RecipeError, match="must be 1 or -1, not 0"):
        recipe([{"spiral": body}])
    body["handedness"] = {"integers": [-1, 1]}
    with pytest.raises(LabelError, match="handedness of a spiral galaxy is 0; it must be 1 or -1"):
        render(recipe([{"spiral": body}], samples=20), "images")


def test_a_truncated_galaxy_ends():
    body = galaxy(truncation=4.0, axis_ratio=1.0, half_light_radius=3.0)
    cut = image([body], psf={"gaussian": {"fwhm": 1.5}}).astype(float)
    assert cut.sum() == pytest.approx(1000.0, rel=1e-4)
    y, x = np.indices(cut.shape)
    beyond = np.hypot(x - PLACE["x"], y - PLACE["y"]) > 4.0 + 2.5
    assert np.abs(cut[beyond]).max() < 1e-3 * cut.max()
    whole = image([galaxy(axis_ratio=1.0, half_light_radius=3.0)])
    assert whole[beyond].max() > 1e-2 * whole.max()


@pytest.mark.parametrize("kind", ["spiral", "sersic"])
def test_pieces_in_stamps_are_cut_by_the_edge_and_measured(kind):
    body = SPIRAL | ARMS["spiral"] if kind == "spiral" else SERSIC | {"truncation": 9.0}
    large = image([{kind: body | {"x": 22, "y": 24}}], size=(104, 120))
    small = image([{kind: body | {"x": 2, "y": 4}}])
    np.testing.assert_allclose(small, large[20:84, 20:100], atol=2e-4 * large.max())
    kept = image(
        [{kind: body | {"x": 2, "y": 4}}], planes=["image_true"], noise=[{"gaussian": {"sigma": 1}}],
        measure=True,
    )  # fmt: skip
    assert kept.shape == small.shape
    described = recipe(
        [{kind: body | {"x": 2, "y": 4}}], noise=[{"gaussian": {"sigma": 1}}], measure=True
    )
    found = render(described, "images")[f"{kind}.frame_flux"].values[0]
    assert found == pytest.approx(small.sum(dtype=float), rel=1e-4)


def test_a_size_along_the_major_axis():
    circular = image([galaxy()])
    body = {key: value for key, value in SERSIC.items() if key != "half_light_radius"}
    along = {"sersic": PLACE | body | {"semi_major_half_light_radius": 2.0 / 0.5**0.5}}
    np.testing.assert_allclose(image([along]), circular, atol=1e-6 * circular.max())


def test_large_fields_need_stamps():
    with pytest.raises(RecipeError, match="on the whole frame, of at most 512 .* add `stamp_flux`"):
        recipe([galaxy()], size=(600, 100))
    field = image([galaxy(x=3000, y=4000, stamp_flux=0.99)], size=(4096, 4096))
    assert field.sum(dtype=float) > 990


def test_what_cannot_be_drawn_is_refused():
    wide = {"uniform": [1, 900]}
    described = recipe(
        [galaxy(x=5, half_light_radius=wide, stamp_flux=0.999)], size=(5000, 10), samples=9
    )
    with pytest.raises(LabelError, match="sample .*: a galaxy needs a stamp of more than 4096"):
        render(described, "images")
    with pytest.raises(LabelError, match="of the PSF is 1 pixels, it must be 1.2 or more"):
        image([galaxy()], psf={"moffat": {"fwhm": "= 1", "beta": 3}})
    with pytest.raises(LabelError, match="it must be 0.5 or more"):
        image([galaxy()], psf={"airy": {"fwhm": "= 0.45"}})
    for body, message in (
        (galaxy(flux=-1), "must be a number at least 0"),
        (galaxy(sersic_index=7), "at most 6.2"),
        (galaxy(semi_major_half_light_radius=3), "exactly one of half_light_radius and semi_major"),
        (galaxy(magnitude=20), "exactly one of flux, fluxes, magnitude, magnitudes"),
    ):
        with pytest.raises(RecipeError, match=message):
            recipe([body])
