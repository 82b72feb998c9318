"""Batches: exact epochs, the same for all ranks and workers, exact resume, errors that say what to do."""

import os
import pickle
import re
import shutil
import signal
from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import deepbench
from deepbench.catalog import find
from deepbench.errors import CatalogError, LoadingError, MissingDataError
from deepbench.torch import Batches, RenderedTable
from deepbench.torch.sources import open_source
from pipeline.caches import write_cache

WINDOW = 100 * 256
"""Bytes of 100 images: an epoch has several windows in each lane."""


def batches(source, **given):
    options = {"inputs": "image", "batch_size": 12, "window": WINDOW, "lanes": 4, "seed": 5}
    return Batches(source, "images", **options | given)


def rows(loader):
    """Return the numbers of the samples of batches."""
    return [batch["id"].tolist() for batch in loader]


def error_of(loader):
    """Return kind and message of what a loader raises; its workers end with it, as no traceback holds it."""
    try:
        rows(loader)
    except Exception as error:
        error.__traceback__ = None
        return type(error), str(error)


def test_a_batch_has_what_the_release_has(release):
    frame = release.labels("images")
    images = release.open()["images"]["image"].values
    own = batches(release, targets=["class", "circle.radius", "psf.sigma"])
    assert len(own) == (frame["split"] == "train").sum() // 12
    for batch in list(own):  # those before are as they were
        ids = batch["id"].numpy()
        assert batch["image"].shape == (12, 1, 8, 8)
        assert batch["image"].dtype == torch.float32
        assert (batch["image"][:, 0].numpy() == images[ids]).all()
        assert (np.array(own.classes)[batch["class"]] == frame["class"].to_numpy()[ids]).all()
        radius = frame["circle.radius"].to_numpy(np.float32)[ids]
        assert (batch["circle.radius.present"].numpy() == ~np.isnan(radius)).all()
        assert (batch["circle.radius"].numpy() == np.nan_to_num(radius)).all()
        assert batch["psf.sigma.present"].all()
        assert (frame["split"].iloc[ids] == "train").all()


@pytest.mark.parametrize("samples", ["recipe", None], ids=["finite", "endless"])
def test_batches_of_a_recipe_are_those_of_its_release(recipe, release, samples):
    own = batches(recipe, samples=samples, targets=["class", "circle.radius"])
    for _, batch in zip(range(30), own, strict=False):
        ids = batch["id"].numpy()
        assert len(set(ids)) == 12
        for number in ids[:2]:
            made = deepbench.render(recipe, "images", int(number), int(number) + 1)
            assert (
                batch["image"][list(ids).index(number), 0].numpy() == made.image.values[0]
            ).all()
            assert made["split"].item() == 0
    inside = ids[ids < 1000]
    images = release.open()["images"]["image"].values[inside]
    assert (batch["image"][:, 0].numpy()[ids < 1000] == images).all()


@pytest.mark.parametrize("source", ["release", "recipe"])
def test_ranks_and_workers_share_an_epoch_exactly(source, request):
    source = request.getfixturevalue(source)
    alone = rows(batches(source))
    count = (
        deepbench.labels(request.getfixturevalue("recipe"), "images")["split"] == "train"
    ).sum()
    assert len({number for batch in alone for number in batch}) == 12 * (count // 12)
    for workers in (0, 2):
        parts = []
        for rank in range(2):
            own = batches(source, rank=rank, world_size=2)
            context = "fork" if workers else None
            parts.append(
                rows(
                    DataLoader(
                        own, batch_size=None, num_workers=workers, multiprocessing_context=context
                    )
                )
            )
        assert [first + second for first, second in zip(*parts, strict=True)] == alone


@pytest.mark.slow
@pytest.mark.parametrize("source", ["release", "recipe"])
def test_workers_that_are_spawned_share_an_epoch_exactly(source, request):
    source = request.getfixturevalue(source)
    alone, parts = batches(source), []
    for rank in range(2):
        own = batches(source, rank=rank, world_size=2)
        loader = DataLoader(
            own,
            batch_size=None,
            num_workers=2,
            multiprocessing_context="spawn",
            persistent_workers=True,
        )
        first = rows(loader)
        own.set_epoch(1)
        second = rows(loader)
        own.load_state_dict(own.state_dict(3))
        assert rows(loader) == second[3:]
        parts.append([*first, *second])
    whole = rows(alone)
    alone.set_epoch(1)
    whole += rows(alone)
    assert [one + other for one, other in zip(*parts, strict=True)] == whole


def test_an_epoch_is_resumed_at_any_batch(release):
    own = batches(release)
    own.set_epoch(2)
    whole = rows(own)
    for ranks, step in ((1, 1), (2, 17), (4, len(whole) - 1)):
        state = own.state_dict(step)
        assert state == pickle.loads(pickle.dumps(state))
        assert set(map(type, state.values())) <= {int, str, bool, type(None)}
        parts = []
        for rank in range(ranks):
            other = batches(release, rank=rank, world_size=ranks)
            other.load_state_dict(state)
            parts.append(rows(other))
        assert [[*chain(*some)] for some in zip(*parts, strict=True)] == whole[step:]
    own.set_epoch(2)
    for batch in own:
        if batch["step"] == 4:
            break
    other = batches(release)
    other.load_state_dict(own.state_dict())
    assert rows(other) == whole[5:]
    assert len({tuple(each) for each in whole}) == len(whole)


def test_a_state_is_taken_and_loaded_with_workers(release):
    own = batches(release)
    loader = DataLoader(own, batch_size=None, num_workers=2, multiprocessing_context="fork")
    seen = []
    for batch in loader:
        seen.append(batch["id"].tolist())
        if batch["step"] == 6:
            break
    with pytest.raises(LoadingError, match=re.escape("state_dict(batch['step'] + 1)")):
        own.state_dict()
    state = own.state_dict(batch["step"] + 1)
    del loader
    other = batches(release)
    other.load_state_dict(state)
    loader = DataLoader(other, batch_size=None, num_workers=1, multiprocessing_context="fork")
    assert seen + rows(loader) == rows(batches(release))


def test_what_was_begun_before_does_not_count(release):
    """Neither a look at a batch in the main process, nor an epoch that was broken off."""
    own, whole = batches(release), rows(batches(release))
    next(iter(own))
    loader = DataLoader(
        own, batch_size=None, num_workers=2, multiprocessing_context="fork", persistent_workers=True
    )
    for batch in loader:
        if batch["step"] == 5:
            break
    assert rows(loader) == whole
    own.set_epoch(1)
    assert rows(loader) != whole
    own.set_epoch(0)
    assert rows(own) == whole
    assert own.state_dict()["step"] == len(whole)


def test_endless_batches_go_on_and_are_resumed_across_epochs(recipe, monkeypatch):
    monkeypatch.setattr("deepbench.torch.sources.LABEL_ROWS", 100)
    own = batches(recipe, samples=None)
    found = [batch for _, batch in zip(range(20), own, strict=False)]
    ids = [batch["id"].tolist() for batch in found]
    assert len({number for batch in ids for number in batch}) == 240
    assert max(map(max, ids)) > 250
    states = [(batch["epoch"], batch["step"]) for batch in found]
    assert states == sorted(set(states))
    with pytest.raises(TypeError):
        len(own)
    other = batches(recipe, samples=None)
    other.load_state_dict({**own.state_dict(), "epoch": states[8][0], "step": states[8][1]})
    loader = DataLoader(other, batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert [batch["id"].tolist() for _, batch in zip(range(12), loader, strict=False)] == ids[8:]


def test_samples_that_fill_no_batch_are_dropped_or_padded(release):
    kept, padded = batches(release), batches(release, uneven="pad")
    assert len(padded) == len(kept) + 1
    found = list(padded)
    own = torch.cat([batch["id"][~batch["padding"]] for batch in found])
    split = release.labels("images")["split"].to_numpy()
    assert (np.sort(own) == np.flatnonzero(split == "train")).all()
    assert all(len(batch["id"]) == 12 for batch in found)


def test_batches_in_a_row_are_in_order(release):
    own = batches(release, shuffle=False, split=None, lanes=1)
    assert [*chain(*rows(own))] == list(range(996))


def test_a_condition_on_labels_chooses(release):
    own = batches(release, where="`psf.sigma` < 1.0 and `class` == 'circle'", targets=["psf.sigma"])
    assert all((batch["psf.sigma"] < 1).all() for batch in own)
    frame = release.labels("images")
    chosen = (frame["psf.sigma"] < 1) & (frame["class"] == "circle") & (frame["split"] == "train")
    assert len(own) == chosen.sum() // 12


def test_values_are_normalised_and_back(release):
    frame = release.labels("images")
    scales = {"image": (0.2, 0.5), "circle.radius": (2.0, 0.6)}
    own = batches(release, targets=["circle.radius"], normalise=scales)
    plain = batches(release, targets=["circle.radius"])
    for found, raw in zip(own, plain, strict=True):
        torch.testing.assert_close(found["image"], (raw["image"] - 0.2) / 0.5)
        torch.testing.assert_close(own.inverse("image", found["image"]), raw["image"])
        present = raw["circle.radius.present"]
        back = own.inverse("circle.radius", found["circle.radius"])
        torch.testing.assert_close(back[present], raw["circle.radius"][present])
        assert (found["circle.radius"][~present] == 0).all()
    assert frame["circle.radius"].isna().any()


def test_missing_targets_may_be_refused(release):
    message = re.escape('where="`circle.radius` == `circle.radius`"')
    with pytest.raises(
        LoadingError, match=f"'circle.radius' is missing in .* such as sample .*{message}"
    ):
        batches(release, targets="circle.radius", missing="refuse")
    own = batches(
        release,
        targets="circle.radius",
        missing="refuse",
        where="`circle.radius` == `circle.radius`",
    )
    assert all((batch["circle.radius"] > 0).all() for batch in own)
    own.set_epoch(1)
    assert "circle.radius.present" not in next(iter(own))


def test_what_is_sent_to_workers_is_small(release, recipe):
    for source in (release, recipe):
        own = batches(source, targets=["class", "psf.sigma"])
        next(iter(own))
        assert len(pickle.dumps(own)) < 4096
        assert rows(pickle.loads(pickle.dumps(own))) == rows(own)


def test_an_epoch_that_is_read_again_is_told(release):
    own = batches(release)
    rows(own)
    with pytest.warns(UserWarning, match=re.escape("call set_epoch(1)")):
        rows(own)
    own.set_epoch(1)
    rows(own)


def test_a_condition_on_all_samples_does_not_depend_on_how_labels_are_drawn(
    release, recipe, monkeypatch
):
    where = "`psf.sigma` > `psf.sigma`.mean() and `class` == 'circle'"
    wanted = open_source(release, "images", "recipe", None).chosen("train", where)
    monkeypatch.setattr("deepbench.torch.sources.LABEL_ROWS", 100)
    found = open_source(recipe, "images", "recipe", None).chosen("train", where)
    assert np.array_equal(found, wanted)


def kill(batch):
    if batch["step"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch


def test_a_worker_that_is_killed_ends_the_loader(release):
    own = batches(release, transform=kill)
    loader = DataLoader(own, batch_size=None, num_workers=2, multiprocessing_context="fork")
    kind, message = error_of(loader)
    assert kind is RuntimeError
    assert "worker" in message


def test_a_missing_file_is_told_also_by_workers(catalog, tmp_path):
    folder = shutil.copytree(catalog, tmp_path / "releases")
    own = batches(find("tiny", catalog=folder))
    (folder / "tiny/1.0.0/data.zarr/images/image/c/1/0/0").unlink()
    with pytest.raises(MissingDataError, match="deepbench repair"):
        rows(own)
    loader = DataLoader(own, batch_size=None, num_workers=2, multiprocessing_context="fork")
    kind, message = error_of(loader)
    assert kind is MissingDataError
    assert "deepbench repair" in message


def test_a_cache_changes_no_batch(catalog, tmp_path):
    folder = shutil.copytree(catalog, tmp_path / "releases")
    before = list(batches(find("tiny", catalog=folder)))
    write_cache(find("tiny", catalog=folder), "images")
    (folder / "tiny/1.0.0/data.zarr/images/image/c/1/0/0").unlink()  # nobody reads it
    for one, other in zip(before, batches(find("tiny", catalog=folder)), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in ("id", "image", "class"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"targets": ["circle.radios"]},
            "no target 'circle.radios' in 'images'.*did you mean 'circle.radius'",
        ),
        ({"targets": ["image"]}, "no target 'image'.*it is a data variable"),
        ({"inputs": ["picture"]}, "no input 'picture'.*there is: image"),
        ({"targets": ["class", "class"]}, "stands twice among the targets"),
        ({"split": "validation"}, "no split 'validation'.*there is: train, test"),
        (
            {"where": "`psf.sigma` > 9"},
            "no sample of 'images' .* is left by split 'train' and where=",
        ),
        ({"where": "`psf.sigma` >"}, "on labels cannot be evaluated"),
        ({"where": "`psf.sigma` * 2"}, "it is not true or false of each sample"),
        ({"where": "sigma < 1"}, "on labels cannot be evaluated.*labels: id"),
        ({"batch_size": 4096}, 'use less, or uneven="pad"'),
        ({"batch_size": 13, "world_size": 2, "rank": 0}, "such as batch_size=14"),
        ({"world_size": 3, "rank": 0}, "3 ranks cannot share lanes=4: use 2 ranks, or lanes=12"),
        ({"rank": 0}, "together, or neither"),
        ({"window": "64 megs"}, '"64 MiB"'),
        ({"normalise": "test"}, "must be 'train'"),
        ({"normalise": {"image": (0, 0)}}, "deviations above 0"),
        ({"normalise": {"class": (0, 1), "x": (0, 1)}}, "names 'x'"),
        ({"missing": "drop"}, "must be 'mask'"),
        ({"samples": 10}, "leave out `samples`"),
    ],
)
def test_what_cannot_be_is_refused(release, given, message):
    with pytest.raises(LoadingError, match=message):
        batches(release, **given)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker")
def test_workers_that_do_not_divide_the_lanes_are_refused(release):
    loader = DataLoader(
        batches(release), batch_size=None, num_workers=3, multiprocessing_context="fork"
    )
    kind, message = error_of(loader)
    assert kind is LoadingError
    assert "3 workers cannot share lanes=4: use 2 workers, or lanes=12" in message


def test_states_of_other_batches_are_refused(release):
    state = batches(release).state_dict()
    with pytest.raises(LoadingError, match="its `seed` is 5, and here it is 6"):
        batches(release, seed=6).load_state_dict(state)
    with pytest.raises(LoadingError, match="its `split` is 'train', and here it is 'test'"):
        batches(release, split="test").load_state_dict(state)
    with pytest.raises(LoadingError, match="has the step -1"):
        batches(release).load_state_dict({**state, "step": -1})


def test_ranks_are_those_of_the_environment(release, monkeypatch):
    alone = rows(batches(release))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    own = batches(release)
    assert rows(own) == [batch[6:] for batch in alone]
    monkeypatch.setenv("RANK", "0")
    own.set_epoch(0)
    assert rows(pickle.loads(pickle.dumps(own))) == [batch[:6] for batch in alone]
    for name, value in (("is_initialized", True), ("get_rank", 1), ("get_world_size", 2)):
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    assert rows(batches(release)) == [batch[6:] for batch in alone]
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: False)
    monkeypatch.setenv("RANK", "one")
    with pytest.raises(LoadingError, match="must both be whole numbers, not 'one' and '2'"):
        batches(release)


def test_sources_are_named_as_they_are_opened(catalog, recipe, monkeypatch):
    own = Batches("tiny@1.0.0", catalog=catalog, inputs="image", window=WINDOW)
    assert repr(own) == "<Batches of 64 of 'images' of tiny@1.0.0: image, class>"
    assert "the recipe 'tiny'" in repr(batches(RenderedTable(recipe, "images", 500)))
    with pytest.raises(CatalogError, match="no release 'tinny'.*did you mean 'tiny'"):
        Batches("tinny", catalog=catalog)
    with pytest.raises(LoadingError, match="`samples` must be a whole number"):
        batches(recipe, samples=0)
    monkeypatch.setattr("deepbench.samples.machine_memory", lambda: 10_000)
    with pytest.raises(
        LoadingError, match="more than half of this machine's memory: use samples=None"
    ):
        batches(recipe)
