"""Light curves as batches: the observations of each, and nothing else."""

import numpy as np
import pytest
import torch

from deepbench.catalog import find
from deepbench.errors import LoadingError
from deepbench.torch import Batches, Samples, collate


@pytest.fixture(scope="module")
def batch():
    """A batch as it is stored, float64 times among it."""
    return next(
        iter(Batches(find("kinds", "2.0.0", "tests/releases"), "curves", split=None, batch_size=6))
    )


def test_light_curves_are_padded_packed_and_nested():
    names = ["time", "flux", "flux_error", "band"]
    generator = torch.Generator().manual_seed(1)
    mask = (torch.rand(5, 12, generator=generator) < 0.4).to(torch.uint8)
    mask |= 4
    mask[3] = 1  # nothing was observed
    batch = {name: torch.rand(5, 12, generator=generator) + 1 for name in names[1:3]}
    batch |= {"time": 60_000 + torch.rand(5, 12, generator=generator, dtype=torch.float64)}
    batch |= {"band": torch.randint(0, 3, (5, 12), generator=generator).to(torch.int8)}
    batch |= {"mask": mask, "class": torch.arange(5), "id": torch.arange(5)}
    seen = (mask & 1) == 0
    batch["time"][~seen] = torch.nan
    batch["flux"][~seen] = torch.nan
    padded = collate.pad(multiple=8, bands=3)(batch)
    packed = collate.packed(bands=3)(batch)
    nested = collate.nested(bands=3)(batch)
    assert padded["flux"].shape == (5, 16 if seen.sum(1).max() > 8 else 8)
    assert padded["band"].shape == (*padded["flux"].shape, 3)
    for i in range(5):
        flux, band = batch["flux"][i][seen[i]], batch["band"][i][seen[i]].long()
        count, part = len(flux), slice(packed["cu_seqlens"][i], packed["cu_seqlens"][i + 1])
        assert padded["length"][i] == count == padded["observed"][i].sum()
        assert padded["observed"][i, :count].all()
        for found in (padded["flux"][i, :count], packed["flux"][part], nested["flux"][i]):
            assert torch.equal(found, flux)
        assert torch.equal(packed["band"][part].argmax(1), band)
        assert not padded["flux"][i, count:].any()
        times = batch["time"][i][seen[i]]
        if count:
            expected = (times - times.min()).to(torch.float32)
            assert torch.equal(padded["time"][i, :count], expected)
            assert torch.equal(packed["time"][part], expected)
    assert packed["cu_seqlens"].dtype == torch.int32
    assert nested["flux"].layout == torch.jagged
    assert torch.equal(padded["class"], torch.arange(5))
    assert not any(torch.isnan(each).any() for each in padded.values())


def test_light_curves_that_share_their_times_are_given_them(batch):
    release = find("kinds", "2.0.0", "tests/releases")
    own = Samples(release, "curves")
    times = own.coordinates["time"]
    found = collate.pad(times=times)([own[i] for i in range(6)])
    same = collate.pad(times=times)(own.batch(range(6)))
    assert found.keys() == same.keys()
    kept = (own.batch([2])["mask"][0].numpy() & 1) == 0
    expected = (times.numpy()[kept] - times.numpy()[0]).astype(np.float32)
    assert (found["time"][2, : kept.sum()].numpy() == expected).all()
    torch.testing.assert_close(found["flux"], same["flux"])
    assert "flux_true" not in batch


def test_what_cannot_be_collated_is_refused(batch):
    with pytest.raises(LoadingError, match="add 'mask' to the inputs"):
        collate.packed()({"flux": batch["flux"], "id": batch["id"]})
    with pytest.raises(LoadingError, match="`multiple` must be a whole number"):
        collate.pad(multiple=0)
