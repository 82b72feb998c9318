"""The reader of tables on releases in object stores (few requests, the same errors), and without compression."""

import os
import pickle

import numpy as np
import obstore
import pytest

from deepbench.catalog import find
from deepbench.errors import MissingDataError, ReleaseError, StorageError
from deepbench.reading import TableReader
from deepbench.storage.shards import shard_of
from pipeline.target import target_of
from pipeline.verify import verify


@pytest.fixture
def catalog(bucket, built):
    """A bucket with the release."""
    target = target_of(f"{bucket}/releases")
    for name in built.release.location.files():
        target.write(f"small/1.0.0/{name}", built.release.location.read(name))
    return target


@pytest.fixture
def reader(catalog):
    return TableReader(find("small", catalog=catalog.root), "images")


def test_one_request_for_an_index_and_one_for_the_chunks_of_a_shard(reader, built, monkeypatch):
    expected = built.release.open()["images"]["image"].values
    asked, ask = [], obstore.get_ranges

    def get_ranges(store, path, **ranges):
        asked.append((path.split("/c/")[1], len(ranges["starts"])))
        return ask(store, path, **ranges)

    monkeypatch.setattr(obstore, "get_ranges", get_ranges)
    numbers = [0, 9, 37, 1, 33]
    assert np.array_equal(reader.take("image", numbers), expected[numbers])
    assert asked == [("0/0/0", 1), ("0/0/0", 2), ("2/0/0", 1), ("2/0/0", 2)]
    asked.clear()
    assert np.array_equal(reader.read("image", 0, 32), expected[:32])
    assert asked == [("0/0/0", 4), ("1/0/0", 1), ("1/0/0", 4)]
    again = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(again.read("image", 0, 300), expected)


def test_objects_that_are_missing_or_damaged(reader, catalog):
    name = "small/1.0.0/data.zarr/images/image/c/{}/0/0"
    content = bytearray(catalog.read(name.format(1)))
    content[40] ^= 1
    catalog.write(name.format(1), bytes(content))
    catalog.write(name.format(2), content[:-9])
    catalog.remove(name.format(3))
    for number, match in ((1, "is damaged: a checksum differs"), (2, "is damaged|does not answer")):
        with pytest.raises(
            ReleaseError if number == 1 else (ReleaseError, StorageError), match=match
        ):
            reader.read("image", 16 * number, 16 * number + 1)
    with pytest.raises(MissingDataError, match=r"image/c/3/0/0 is missing from the release"):
        reader.read("image", 48, 49)
    assert reader.read("image", 0, 1).shape == (1, 16, 16)


def test_a_fork_is_refused_where_it_would_hang(reader, monkeypatch):
    reader.read("image", 0, 1)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(StorageError, match=r"start workers with 'spawn' or 'forkserver'"):
        reader.read("image", 1, 2)
    shard_of.cache_clear()
    with pytest.raises(StorageError, match="forked from one that has used an object store"):
        reader.read("image", 0, 1)


def test_data_that_are_not_compressed(make, make_recipe, built, tmp_path):
    recipe = make_recipe(storage__codec="none")
    assert recipe.hash == built.recipe.hash
    make(recipe, tmp_path)
    release = find("small", catalog=tmp_path)
    digests = [each.manifest.tables["images"].data_digest for each in (release, built.release)]
    assert digests[0] == digests[1]
    assert verify(release).ok
    expected = built.release.open()["images"]["image"].values
    assert np.array_equal(release.open()["images"]["image"].values, expected)
    reader, numbers = TableReader(release, "images"), [250, 3, 2, 250, 0, 1]
    assert np.array_equal(reader.read("image", 0, 300), expected)
    assert np.array_equal(reader.take("image", numbers), expected[numbers])
    path = tmp_path / "small/1.0.0/data.zarr/images/image/c/0/0/0"
    content = path.read_bytes()
    assert content[:1024] == expected[0].tobytes()
    path.chmod(0o644)
    path.write_bytes(content[:5] + b"!" + content[6:])
    with pytest.raises(ReleaseError, match="is damaged: a checksum differs"):
        TableReader(release, "images").read("image", 3, 4)
