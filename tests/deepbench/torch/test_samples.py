"""Single samples, read together, from memory, or refused."""

import pickle
import re

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from deepbench.errors import LoadingError
from deepbench.torch import Samples


@pytest.mark.parametrize("cache", [None, "memory"])
@pytest.mark.parametrize("source", ["release", "recipe"])
def test_each_sample_of_a_split_comes_once(source, cache, request):
    release = request.getfixturevalue("release")
    frame, images = release.labels("images"), release.open()["images"]["image"].values
    own = Samples(
        request.getfixturevalue(source),
        split="test",
        inputs="image",
        targets=["class", "line.angle"],
        cache=cache,
    )
    numbers = np.flatnonzero(frame["split"] == "test")
    assert (own.numbers == numbers).all()
    found = list(DataLoader(own, batch_size=32))
    assert torch.cat([batch["id"] for batch in found]).tolist() == numbers.tolist()
    for batch in found:
        ids = batch["id"].numpy()
        assert (batch["image"][:, 0].numpy() == images[ids]).all()
        angle = frame["line.angle"].to_numpy()[ids]
        assert (batch["line.angle.present"].numpy() == ~np.isnan(angle)).all()
    sample = own[-1]
    assert sample["image"].shape == (1, 8, 8)
    assert int(sample["id"]) == numbers[-1]
    assert len(pickle.dumps(own)) < 4096
    assert int(pickle.loads(pickle.dumps(own))[3]["id"]) == numbers[3]


def test_workers_read_samples_and_transform_them(release):
    own = Samples(
        release, split="test", inputs="image", transform=lambda sample: sample["image"].sum()
    )
    loader = DataLoader(own, batch_size=16, num_workers=1, multiprocessing_context="fork")
    expected = own.batch(range(len(own)))["image"].sum((1, 2, 3))
    torch.testing.assert_close(torch.cat(list(loader)), expected)


def test_what_cannot_be_is_refused(release, recipe, monkeypatch):
    with pytest.raises(IndexError, match=re.escape("allowed are 0 to 999")):
        Samples(release)[1000]
    with pytest.raises(LoadingError, match="`cache` must be 'memory'"):
        Samples(release, cache="disk")
    with pytest.raises(LoadingError, match="no split 'tset'.*did you mean 'test'"):
        Samples(release, split="tset")
    with pytest.raises(LoadingError, match="no sample of 'images' .* is left by where="):
        Samples(release, where="`psf.sigma` > 9")
    with pytest.raises(LoadingError, match="need a number of them"):
        Samples(recipe, samples=None)
    with pytest.raises(LoadingError, match="is missing in"):
        Samples(release, targets="line.angle", missing="refuse")
    monkeypatch.setattr("deepbench.samples.machine_memory", lambda: 400_000)
    with pytest.raises(LoadingError, match="more than half of this machine's"):
        Samples(release, cache="memory")
