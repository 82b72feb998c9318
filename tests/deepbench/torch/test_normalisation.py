"""Normalisation by the statistics of the training split, and back."""

import numpy as np
import pytest
import torch

import deepbench
from deepbench.errors import LoadingError
from deepbench.recipe import load_recipe
from deepbench.torch import Batches, Samples
from deepbench.torch.sources import RenderedTable


@pytest.mark.parametrize("source", ["release", "recipe"])
def test_training_samples_have_mean_0_and_deviation_1(source, request):
    own = Samples(
        request.getfixturevalue(source),
        split="train",
        targets=["class", "psf.sigma", "circle.radius"],
        normalise="train",
    )
    raw = Samples(request.getfixturevalue(source), split="train", targets=["psf.sigma"])
    batch, expected = own.batch(range(len(own))), raw.batch(range(len(raw)))
    for name in ("image", "psf.sigma"):
        assert batch[name].dtype == torch.float32
        assert abs(batch[name].double().mean()) < 1e-5
        assert abs(batch[name].double().std(correction=0) - 1) < 1e-5
        torch.testing.assert_close(own.inverse(name, batch[name]), expected[name])
    radius = batch["circle.radius"]
    assert abs(radius[batch["circle.radius.present"]].double().mean()) < 1e-5
    assert not radius[~batch["circle.radius.present"]].any()
    assert batch["class"].dtype == torch.int64
    with pytest.raises(LoadingError, match="'id' is no input or target"):
        own.inverse("id", batch["id"])


def test_statistics_of_a_recipe_are_of_its_first_training_samples(recipe, monkeypatch):
    monkeypatch.setattr("deepbench.torch.sources.FIRST", 50)
    found = RenderedTable(recipe, "images", samples=None).statistics
    images = deepbench.render(recipe, "images", 0, 100)
    first = np.flatnonzero(images["split"].values == 0)[:50]
    assert found.samples == 50
    assert found.variables["image"].mean == pytest.approx(
        images["image"].values[first].astype(float).mean()
    )
    assert found.labels["psf.sigma"].std == pytest.approx(images["psf.sigma"].values[first].std())


def test_channels_have_scales_of_their_own():
    recipe = load_recipe("workflows/strong_lenses.yaml")
    source = RenderedTable(recipe, "des", samples=16)
    own = Batches(source, split=None, batch_size=8, normalise="train", targets=())
    mean, deviation = own.normalisation.scales["image"]
    count = len(recipe.table("des").specification.bands)
    assert mean.shape == deviation.shape == (1, count, 1, 1)
    raw = Batches(source, split=None, batch_size=8, targets=())
    for batch, other in zip(own, raw, strict=True):
        expected = torch.from_numpy((other["image"].numpy() - mean) / deviation)
        torch.testing.assert_close(batch["image"].double(), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(LoadingError, match="one of each channel"):
        Batches(source, split=None, normalise={"image": ([0] * (count + 1), [1] * (count + 1))})
