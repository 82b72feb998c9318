"""Caches of releases: plain arrays that readers use only where they are whole and of the same data."""

import json
from pathlib import Path

import numpy as np
import pytest

from deepbench.catalog import find, releases
from deepbench.errors import CatalogError, ReleaseError
from deepbench.reading import TableReader
from deepbench.storage import stored_table
from pipeline import upkeep
from pipeline.caches import remove_caches, write_cache
from pipeline.target import target_of
from pipeline.verify import verify


@pytest.fixture
def release(copied):
    return find("small", catalog=copied)


@pytest.fixture
def only_caches(monkeypatch):
    """From here on no shard can be read."""

    def shard_of(*_):
        raise ValueError("no cache was used")

    shard_of.cache_clear = lambda: None
    return lambda: monkeypatch.setattr(stored_table, "shard_of", shard_of)


def values_of(release, table="images"):
    return release.open()[table]["image"].values


def is_used(release, numbers=(3, 299)):
    """Return whether a reader takes samples from a cache."""
    reader = TableReader(release, "images")
    assert np.array_equal(reader.take("image", numbers), values_of(release)[list(numbers)])
    return any(each.rows(np.array(numbers)) is not None for each in reader._caches)


def test_a_cache_is_what_is_read(release, copied, only_caches):
    expected, before = values_of(release), sorted(release.location.files())
    path, written = write_cache(release, "images")
    assert (path, written) == (f"{copied}/.cache/small/1.0.0/images", True)
    assert write_cache(release, "images") == (path, False)
    assert sorted(each.name for each in Path(path).iterdir()) == ["cache.json", "image.npy"]
    only_caches()
    reader, room = TableReader(release, "images"), np.zeros((2, 16, 16), "f4")
    assert np.array_equal(reader.read("image", 7, 300), expected[7:])
    numbers = [299, 0, 17, 0]
    assert np.array_equal(reader.take("image", numbers), expected[numbers])
    assert reader.take("image", [5, 4], out=room) is room
    assert np.array_equal(room, expected[[5, 4]])
    with pytest.raises(ReleaseError, match="no cache was used"):
        TableReader(release, "images", cached=False).read("image", 0, 1)
    with pytest.raises(ReleaseError, match="no cache was used"):
        TableReader(release, "squares").read("image", 0, 1)
    assert releases(copied) == [release]
    assert sorted(release.location.files()) == before
    assert verify(release).ok


def test_the_cache_of_a_split_has_its_samples_and_no_others(release, only_caches):
    splits = release.labels("images")["split"]
    name = splits.iloc[3]
    inside, outside = np.flatnonzero(splits == name), np.flatnonzero(splits != name)
    assert len(inside) > 20
    assert len(outside) > 5
    expected = values_of(release)
    path, _ = write_cache(release, "images", name)
    assert path.endswith(f"/images.{name}")
    reader = TableReader(release, "images")
    mixed = [*inside[:3], outside[-1]]
    assert np.array_equal(reader.take("image", mixed), expected[mixed])
    only_caches()
    some = np.random.default_rng(1).permutation(inside)
    assert np.array_equal(reader.take("image", some), expected[some])
    for numbers in (outside[:2], mixed, [0, *outside[-1:]]):
        with pytest.raises(ReleaseError, match="no cache was used"):
            reader.take("image", numbers)


@pytest.mark.parametrize(
    "key", ["release", "recipe_hash", "table", "table_hash", "data_digest", "samples", "split"]
)
def test_a_cache_of_other_data_is_not_used_and_written_again(release, key):
    path = Path(write_cache(release, "images")[0], "cache.json")
    path.chmod(0o644)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: "another"}))
    assert not is_used(release)
    assert write_cache(release, "images")[1]
    assert is_used(release)


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "cache.json").unlink(),
        lambda folder: (folder / "image.npy").unlink(),
        lambda folder: (folder / "cache.json").write_text("{"),
        lambda folder: (folder / "image.npy").write_bytes((folder / "image.npy").read_bytes()[:-1]),
        lambda folder: (folder / "image.npy").write_bytes(
            (folder / "image.npy").read_bytes() + b"0"
        ),
        lambda folder: np.save(folder / "image.npy", np.zeros((300, 16, 16))),
        lambda folder: np.save(folder / "image.npy", np.zeros((299, 16, 16), "f4")),
    ],
    ids=[
        "no description",
        "no array",
        "cut description",
        "cut array",
        "long array",
        "type",
        "shape",
    ],
)
def test_a_cache_that_is_not_whole_is_not_used_and_written_again(release, harm):
    folder = Path(write_cache(release, "images")[0])
    for each in folder.iterdir():
        each.chmod(0o644)
    harm(folder)
    assert not is_used(release)
    assert write_cache(release, "images")[1]
    assert is_used(release)


def test_a_cache_whose_bytes_have_changed_is_written_again(release):
    path = Path(write_cache(release, "images")[0], "image.npy")
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert write_cache(release, "images")[1]
    assert is_used(release)
    assert not write_cache(release, "images")[1]


def test_nothing_is_left_of_one_that_was_interrupted(release, copied):
    def stop(step, done, total):
        assert (step, done, total) == ("caching", 0, 300)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cache(release, "images", progress=stop)
    assert list(target_of(copied).files(".cache")) == []
    killed = copied / ".cache/small/1.0.0/images.unfinished"
    killed.mkdir(parents=True)
    (killed / "image.npy").write_bytes(b"half")
    assert not is_used(release)
    write_cache(release, "images")
    assert not killed.exists()


def test_a_damaged_release_is_not_cached(release, copied):
    path = Path(release.path, "data.zarr/images/image/c/3/0/0")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReleaseError, match=r"image/c/3/0/0 is damaged"):
        write_cache(release, "images")
    assert list(target_of(copied).files(".cache")) == []


def test_caches_are_removed_with_their_release_or_alone(release, copied):
    name = release.labels("images")["split"].iloc[0]
    paths = [write_cache(release, "images", split)[0] for split in (None, name)]
    squares = write_cache(release, "squares")[0]
    assert remove_caches(release, "images", name) == paths[1:]
    assert remove_caches(release, "images") == paths[:1]
    assert remove_caches(release, "images") == []
    assert not is_used(release)
    assert remove_caches(release) == [squares]
    write_cache(release, "images")
    upkeep.remove(target_of(copied), release)
    assert list(target_of(copied).files()) == []


def test_what_cannot_be_cached(release, copied):
    with pytest.raises(
        CatalogError, match="there is no split 'trial' in 'images' of .*did you mean 'train'"
    ):
        write_cache(release, "images", "trial")
    with pytest.raises(CatalogError, match="there is no table 'image' in"):
        write_cache(release, "image")
    target = target_of(copied / ".cache")
    with (
        target.lock("small/1.0.0/images.lock"),
        pytest.raises(CatalogError, match="another process writes .*small/1.0.0/images; wait"),
    ):
        write_cache(release, "images")


def test_caches_lie_where_the_environment_says(release, copied, bucket, tmp_path, monkeypatch):
    target = target_of(f"{bucket}/releases")
    for name in release.location.files():
        target.write(f"small/1.0.0/{name}", release.location.read(name))
    remote = find("small", catalog=target.root)
    with pytest.raises(CatalogError, match=r"in an object store; name a folder .*DEEPBENCH_CACHE="):
        write_cache(remote, "images")
    TableReader(remote, "images").read("image", 0, 1)
    monkeypatch.setenv("DEEPBENCH_CACHE", str(tmp_path / "fast"))
    path, _ = write_cache(remote, "images")
    assert path == str(tmp_path / "fast/small/1.0.0/images")
    assert is_used(remote)
    assert is_used(release)  # the same data
    assert not (copied / ".cache").exists()
    upkeep.remove(target_of(copied), release)
    assert not (tmp_path / "fast/small/1.0.0").exists()


def test_the_command(release, copied, run):
    name = release.labels("images")["split"].iloc[0]
    folder = f"{copied}/.cache/small/1.0.0"
    code, out, err = run("cache", "small", "--catalog", copied)
    assert (code, out) == (0, f"wrote {folder}/images\nwrote {folder}/squares\n"), err
    options = ("--catalog", copied, "--table", "images", "--split", name)
    assert run("cache", "small", *options)[1] == f"wrote {folder}/images.{name}\n"
    assert (
        run("cache", "small", *options)[1]
        == f"{folder}/images.{name} is there already, and whole\n"
    )
    removed = json.loads(run("cache", "small@1.0.0", *options, "--remove", "--json")[1])
    assert removed == {"removed": [f"{folder}/images.{name}"]}
    code, out, _ = run("cache", "small", "--catalog", copied, "--remove")
    assert out == f"removed {folder}/images\nremoved {folder}/squares\n"
    code, out, _ = run("cache", "small", "--catalog", copied, "--remove")
    assert (code, out) == (0, "there is no such cache of small@1.0.0\n")
    code, _, err = run("cache", "small", "--catalog", copied, "--split", "trial")
    assert code == 2
    assert "there is no split 'trial' in 'images' of small@1.0.0; did you mean 'train'?" in err
