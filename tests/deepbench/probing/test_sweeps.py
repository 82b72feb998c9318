"""Sweeps and reliance: models whose habits are known are told apart by what they answer."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

import deepbench
from deepbench.errors import LabelError, PredictionError
from deepbench.probing.models import load_model
from deepbench.probing.reliance import reliance
from deepbench.probing.sweeps import sweep

WORKFLOWS = Path(__file__).parents[3] / "workflows"


@pytest.fixture(scope="module")
def biased():
    recipe = deepbench.load_recipe(WORKFLOWS / "biased_shapes.yaml")
    return recipe.replace({"tables.images.samples": 1500})


def is_blurred(data):
    """Return whether the steepest edges are flat, after a smoothing against noise."""
    images = data["image"].values
    slopes = [gaussian_filter1d(images, 1, axis=axis, order=1) for axis in (1, 2)]
    steepest = np.sort(np.hypot(*slopes).reshape(len(images), -1), axis=1)[:, -20:]
    return steepest.mean(axis=1) < 0.22


def looks_at_blur(data):
    return np.where(is_blurred(data), "rectangle", "circle")


def looks_at_shape(data):
    """Return codes by how much of its box a bright shape fills."""
    codes = []
    for image in data["image"].values > 0.5:
        rows, columns = np.nonzero(image)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        fill = len(rows) / (height * width)
        codes.append(0 if abs(fill - np.pi / 4) < 0.05 and abs(height - width) < 3 else 1)
    return np.array(codes)


def falls_back(data):
    """Return scores of a model that tells shapes while they are sharp, and calls all else rectangles."""
    right = looks_at_shape(data)
    sure = np.where(is_blurred(data), 1, right)
    return np.stack([1 - sure, sure], axis=1)


def test_a_sweep_shows_where_a_model_breaks(biased):
    found = sweep(
        biased, "images", falls_back, "psf.sigma", [3.0, 0.5, 1.0], split="test_fair", samples=80
    )
    assert found.values.tolist() == [0.5, 1.0, 3.0]
    accuracy = found.accuracy()
    assert accuracy["accuracy"].iloc[0] > 0.9
    assert found.accuracy("circle")["accuracy"].iloc[-1] == 0
    assert found.accuracy("rectangle")["accuracy"].iloc[-1] == 1
    limits = found.thresholds()
    sharp_circles = limits[(limits["class"] == "circle") & limits["right"] & (limits["own"] < 1)]
    assert len(sharp_circles)
    assert (sharp_circles["above"] <= 3).all()
    assert limits.loc[limits["class"] == "rectangle", "above"].isna().mean() > 0.9
    assert limits.loc[~limits["right"], ["below", "above"]].isna().all(axis=None)


def test_the_table_of_a_sweep_says_what_it_holds(biased):
    found = sweep(biased, "images", looks_at_shape, "psf.sigma", split="test_fair", samples=30)
    table = found.accuracy()
    assert list(table) == ["psf.sigma", "accuracy", "low", "high", "n", "groups"]
    assert len(table) == 16
    assert (table["n"] == 30).all()
    with pytest.raises(PredictionError, match="no class 'disc': use circle, rectangle"):
        found.accuracy("disc")


def test_a_label_of_few_values_is_swept_over_them(biased):
    table = "images"
    values = np.unique(deepbench.labels(biased, table)["variables.blurred"])
    found = sweep(biased, table, looks_at_shape, "variables.blurred", split="test_fair", samples=4)
    assert 1 < len(values) < 16
    assert np.array_equal(found.values, values)


def test_reliance_names_the_cue_that_a_model_uses(biased):
    first, *others = reliance(biased, "images", looks_at_blur, split="test_fair", samples=200)
    assert "psf.sigma" in (first.column, *first.through)
    assert first.two_sided > 0.8
    assert first.estimate.low > 0.8
    assert {each.column for each in others} == {
        "psf.sigma",
        "variables.blurred",
        "variables.follows",
    } - {first.column}


@pytest.mark.parametrize("model", [looks_at_shape, falls_back])
def test_a_model_that_blur_only_confuses_does_not_rely_on_it(biased, model):
    for each in reliance(biased, "images", model, split="test_fair", samples=200):
        assert each.two_sided < 0.1
    if model is falls_back:  # what the sum of both ways would call reliance
        blur = next(
            each for each in reliance(biased, "images", model, ["psf.sigma"], split="test_fair")
        )
        assert blur.by_class["rectangle"] > 0.5


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda data: np.zeros(3), r"the model returns the shape \(3,\); expected: 20 classes"),
        (lambda data: ["disc"] * 20, "returns 'disc'; classes are circle, rectangle"),
        (lambda data: np.full(20, 2), "returns the class 2; codes are 0 … 1"),
        (lambda data: np.full((20, 2), np.nan), "not finite for sample 0"),
        (lambda data: data["psf.sigma"], "the model fails: KeyError"),
        (lambda data: [[1], [2, 3]], "the model fails: ValueError"),
        (lambda data: sys.exit(0), "the model fails: SystemExit: 0"),
        (lambda data: None, r"returns the shape \(\) of object; expected: 20 classes"),
        (
            lambda data: np.zeros(20),
            "returns the number 0.0; expected: 20 classes, or probabilities",
        ),
    ],
)
def test_models_that_are_refused(biased, model, message):
    with pytest.raises(PredictionError, match=message):
        sweep(biased, "images", model, "psf.sigma", [1.0], split="test_fair", samples=20)


def test_a_model_that_spoils_what_it_sees_spoils_nothing_else(biased):
    def spoils(data):
        for each in data.data_vars.values():
            each.values[...] = 0
        with pytest.raises(ValueError, match="read-only"):
            data["x"].values[...] = 0
        return np.eye(2, dtype=bool)[np.zeros(data.sizes["sample"], int)]  # one-hot

    before = deepbench.render(biased, "images", 0, 2)
    found = sweep(biased, "images", spoils, "psf.sigma", [1.0, 2.0], split="test_fair", samples=3)
    assert (found.along == 0).all()
    assert deepbench.render(biased, "images", 0, 2).identical(before)


@pytest.mark.parametrize("values", [[], ["wide"], [1, np.nan], [[1, 2]], 1.0])
def test_values_of_a_sweep_that_are_no_numbers(biased, values):
    with pytest.raises(PredictionError, match="of 'psf.sigma' must be a list of numbers"):
        sweep(biased, "images", looks_at_shape, "psf.sigma", values, split="test_fair")


def test_what_cannot_be_probed_is_refused(biased):
    with pytest.raises(
        PredictionError,
        match="no split 'test' in 'images' of biased_shapes.*did you mean 'test_fair'",
    ):
        sweep(biased, "images", looks_at_shape, "psf.sigma")
    with pytest.raises(LabelError, match="did you mean 'psf.sigma'"):
        sweep(biased, "images", looks_at_shape, "psf.sgima", split="test_fair")
    with pytest.raises(PredictionError, match="'circle.radius' tells no classes apart"):
        reliance(biased, "images", looks_at_shape, ["circle.radius"], split="test_fair", samples=8)
    with pytest.raises(PredictionError, match="'class' is what the model predicts"):
        sweep(biased, "images", looks_at_shape, "class", split="test_fair")
    with pytest.raises(PredictionError, match="'class' is what the model predicts"):
        reliance(biased, "images", looks_at_shape, ["class"], split="test_fair")
    with pytest.raises(PredictionError, match="at least 1, not 0"):
        reliance(biased, "images", looks_at_shape, split="test_fair", samples=0)


def test_models_in_files(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "helpers.py").write_text("ANSWER = 0\n")
    (tmp_path / "model.py").write_text(
        "from helpers import ANSWER\ndef predict(data): return [ANSWER]\n"
    )
    assert load_model(f"{tmp_path}/model.py:predict")(None) == [0]
    (tmp_path / "typed.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Answer:\n    code: int\n"
        "def predict(data): return [Answer(1).code]\n"
    )
    assert load_model(f"{tmp_path}/typed.py:predict")(None) == [1]
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    for text, message in {
        "model.py": "FILE.py:FUNCTION",
        f"{tmp_path}/other.py:predict": "no file",
        f"{tmp_path}/model.py:train": "no function 'train'",
        f"{tmp_path}/broken.py:predict": "ModuleNotFoundError",
        f"{tmp_path}/leaves.py:predict": "cannot be imported: SystemExit: 0",
    }.items():
        with pytest.raises(PredictionError, match=message):
            load_model(text)
