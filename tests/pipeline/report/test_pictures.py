from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

from deepbench.errors import CatalogError
from deepbench.kinds import KINDS
from deepbench.panels import PANELS, draw_light_curve
from pipeline.report.pictures import ENDINGS, describe, montage, portrait

IMAGES = np.arange(5 * 6 * 7, dtype="f4").reshape(5, 6, 7)
LABELS = pd.Series({"id": 3, "class": "circle", "circle.radius": 2.5, "line.length": np.nan})
UNITS = {"circle.radius": "pixel", "id": "1"}


def samples(images):
    return [xr.Dataset({"image": (("y", "x"), image)}) for image in images]


def pixels(path):
    from matplotlib.image import imread

    return imread(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_formats(tmp_path, ending):
    path = tmp_path / f"picture{ending}"
    montage(samples(IMAGES), "image", list("abcde"), path, heading="A heading")
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_montage_of_any_number(tmp_path, count):
    montage(samples(IMAGES[:count]), "image", list("abcde")[:count], tmp_path / "m.png")
    assert pixels(tmp_path / "m.png").std() > 0


def test_a_montage_shows_its_images(tmp_path):
    montage(samples(IMAGES), "image", list("abcde"), tmp_path / "a.png")
    montage(samples(IMAGES[:, ::-1]), "image", list("abcde"), tmp_path / "b.png")
    assert not np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


def test_y_is_upwards(tmp_path):
    image = np.zeros((8, 8), "f4")
    image[:4] = 1  # the lower half
    montage(samples(image[None]), "image", [""], tmp_path / "m.png")
    grey = pixels(tmp_path / "m.png")[..., 0]
    black = np.flatnonzero((grey < 0.02).sum(axis=1) > 50)
    white_below = grey[black.max() + 1 :]
    assert black.max() < 0.75 * len(grey)  # the dark half is above
    assert white_below.mean() > 0.9


def test_a_portrait_with_labels(tmp_path):
    portrait(
        samples(IMAGES)[0], "image", LABELS, tmp_path / "p.svg", units=UNITS, heading="A sample"
    )
    assert (tmp_path / "p.svg").stat().st_size > 1000


def test_labels_in_words():
    assert describe(LABELS, UNITS) == [
        "id             3",
        "class          circle",
        "circle.radius  2.5 pixel",
    ]


def test_pictures_do_not_touch_the_state_of_pyplot(tmp_path):
    import sys

    montage(samples(IMAGES), "image", list("abcde"), tmp_path / "m.png")
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


@pytest.mark.parametrize("name", ["picture", "picture.txt", "picture.png.zip"])
def test_an_unknown_format(tmp_path, name):
    with pytest.raises(CatalogError, match=r"is no file of a picture: let it end in \.png, "):
        montage(samples(IMAGES), "image", list("abcde"), tmp_path / name)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(CatalogError, match=r"cannot write '.*picture.png': No such file"):
        portrait(samples(IMAGES)[0], "image", LABELS, tmp_path / "absent/picture.png", units=UNITS)


# --- kinds of tables -----------------------------------------------------------------------------


def test_panels_are_of_kinds_that_there_are():
    assert set(PANELS) <= set(KINDS)


def test_images_that_are_apart_have_their_colours():
    flux = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [np.nan] * 3])
    three = ("image", "time")
    sample = xr.Dataset(
        {
            "flux": (three, flux),
            "flux_error": (three, 0.1 * flux),
            "mask": (three, np.isnan(flux).astype("u1")),
        },
        {"time": [0.0, 1.0, 2.0]},
    )
    axes = Figure().subplots()
    draw_light_curve(axes, sample, large=True)
    drawn = {
        each.get_color(): each.get_ydata() for each in axes.lines if len(each.get_xdata()) == 3
    }
    assert {name: list(values) for name, values in drawn.items()} == {
        "C0": [1, 2, 3],
        "C1": [4, 5, 6],
    }
    assert [text.get_text() for text in axes.get_legend().texts] == [
        "image 1",
        "image 2",
        "image 3",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(), (40,), (5, 6), (5, 6, 7), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["f4", "u1"])
def test_a_kind_without_a_panel_has_a_plain_picture(tmp_path, shape, dtype):
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    if dtype == "f4" and shape:
        values.flat[3] = np.nan
    sample = xr.Dataset({"thing": (list("abcd")[: len(shape)], values, {"units": "Jy"})})
    montage([sample, sample], "new", ["one", "two"], tmp_path / "m.png")
    portrait(sample, "new", LABELS, tmp_path / "p.png", units=UNITS)
    assert pixels(tmp_path / "m.png").std() > 0
    assert pixels(tmp_path / "p.png").std() > 0


def test_a_plain_picture_shows_the_first_two_dimensions(tmp_path):
    values = np.zeros((8, 8, 3), "f4")
    values[:4, :, 0] = 1
    for name, each in (("a", values), ("b", values[..., ::-1]), ("c", values[..., 0])):
        sample = xr.Dataset({"thing": (list("abc")[: each.ndim], each)})
        montage([sample], "new", [""], tmp_path / f"{name}.png")
    one, other, same = (pixels(tmp_path / f"{name}.png") for name in "abc")
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
