"""The reader of tables: what `deepbench.open` gives, bit for bit, and errors where files are not as they should be."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from deepbench.catalog import find, releases
from deepbench.errors import CatalogError, MissingDataError, ReleaseError
from deepbench.reading import TableReader
from deepbench.recipe import parse_recipe
from deepbench.release import DeprecatedReleaseWarning
from pipeline import upkeep
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions
from pipeline.target import target_of

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "tests/releases"

TEXT = """\
name: things
version: 1.0.0
title: Small, odd and large images
seed: 7
splits: {train: 0.75, test: 0.25}
storage: {chunk_bytes: 1024, shard_bytes: 4096}
tables:
  small:
    kind: image
    samples: 75
    size: [6, 8]
    instrument: {preset: lsst, bands: {i: {}}}
    planes: [image_true, variance, mask]
    classes: {star: {objects: [{star: {dx: 0, dy: 0, magnitude: {uniform: [19, 22]}}}]}}
    psf: {gaussian: {fwhm: 0.7}}
  odd:
    kind: image
    samples: 41
    size: [5, 7]
    classes: {dot: {objects: [{circle: {x: {uniform: [2, 5]}, y: 3, radius: 2}}]}}
    noise: [{gaussian: {sigma: 0.1}}]
  large:
    kind: image
    samples: 3
    size: [42, 61]
    instrument: {preset: lsst, bands: {g: {}, i: {}}}
    planes: [segmentation]
    classes: {star: {objects: [{star: {dx: 0, dy: 0, magnitude: {uniform: [19, 22]}}}]}}
    psf: {gaussian: {fwhm: 0.7}}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A release of small chunks and shards. Not to be changed."""
    catalog = tmp_path_factory.mktemp("catalog")
    build(parse_recipe(TEXT), str(catalog), cluster=ClusterOptions(workers=1))
    return find("things", catalog=catalog)


@pytest.fixture
def copied(tmp_path, built):
    """A copy of it, to be changed."""
    shutil.copytree(built.catalog.root, tmp_path / "releases")
    return find("things", catalog=tmp_path / "releases")


def same(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


def check(release, table):
    """Compare what a reader gives with the opened release: ranges, samples in any order, and one sample."""
    reader, node = TableReader(release, table), release.open()[table]
    assert reader.samples == node.sizes["sample"]
    assert list(reader.variables) == list(release.manifest.tables[table].variables)
    random, count = np.random.default_rng(1), reader.samples
    for name, variable in reader.variables.items():
        values = node[name].values
        assert (variable.dtype, variable.shape) == (values.dtype, values.shape[1:])
        assert ("sample", *variable.dims) == node[name].dims
        same(reader.read(name, 0, count), values)
        same(reader.read(name, count // 3, count - 1), values[count // 3 : count - 1])
        same(reader.read(name, 1, 1), values[1:1])
        some = random.integers(0, count, 2 * count)
        chunks = random.permutation(-(-count // variable.chunk[0]))
        rows = (chunks[:, None] * variable.chunk[0] + np.arange(variable.chunk[0])).ravel()
        rows = rows[rows < count]
        for numbers in (some, rows, random.permutation(count), np.sort(some)[::-1], some[:1]):
            same(reader.take(name, numbers), values[numbers])
        same(reader.take(name, []), values[:0])
        room = np.zeros_like(values[some])
        assert reader.take(name, list(some), out=room) is room
        same(room, values[some])
    one = node.to_dataset()[list(reader.variables)].isel(sample=count - 1).load()
    assert release.sample(table, count - 1).identical(one)


@pytest.mark.parametrize("table", ["small", "odd", "large"])
def test_every_sample_is_that_of_the_opened_release(built, table):
    check(built, table)


@pytest.mark.parametrize("release", releases(KEPT), ids=str)
def test_kept_releases_of_every_kind(release):
    for table in release.manifest.tables:
        check(release, table)


def test_the_release_has_what_the_tests_are_for(built):
    small, large = TableReader(built, "small"), TableReader(built, "large")
    assert small.variables["image"].chunk[0] == 4
    assert small.variables["mask"].chunk[0] == small.chunk_length == 16
    assert small.samples % small.variables["image"].shard[0]  # the last shard is not full
    pieces = large.variables["image"].pieces  # by the shards that a sample is cut into
    assert [*map(len, pieces.values())] == [4, 4, 3, 4, 4, 3]
    assert pieces["/1/2/0"][-1].inside == (slice(1, 2), slice(40, 42), slice(0, 61))
    assert large.variables["segmentation"].dtype == np.int32
    assert large.variables["image"].dims == ("band", "y", "x")


def test_what_is_pickled_is_small_and_has_read_nothing(built):
    reader = TableReader(built, "small")
    expected = reader.read("image", 3, 5)
    text = pickle.dumps(reader)
    assert len(text) < 1000
    again = pickle.loads(text)
    assert "manifest" not in vars(again.release)
    same(again.read("image", 3, 5), expected)
    assert repr(again) == "<TableReader of 'small' of things@1.0.0: 75 samples>"


WORKERS = """\
import hashlib, multiprocessing, os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from deepbench.catalog import find
from deepbench.reading import TableReader
from deepbench.storage.shards import shard_of

def digest(reader, first):
    some = reader.take("image", [first, 70, 5, first]), reader.read("mask", 0, 75)
    return hashlib.sha256(b"".join(each.tobytes() for each in some)).hexdigest()

def work(reader, first, expected):
    sys.exit(0 if digest(reader, first) == expected else 1)

def ended(context, reader, first):
    process = context.Process(target=work, args=(reader, first, digest(reader, first)))
    process.start()
    process.join(60)
    code = process.exitcode
    process.kill()
    return code

if __name__ == "__main__":
    reader = TableReader(find("things", catalog=sys.argv[1]), "small")
    for name in reader.variables:
        reader.read(name, 0, reader.samples)
    assert shard_of.cache_info().currsize == shard_of.cache_info().maxsize == 16
    assert len({digest(reader, first) for first in range(20)}) == 20
    free = os.open(sys.argv[0], os.O_RDONLY)
    assert free < 40, free
    fork, spawn = (multiprocessing.get_context(each) for each in ("fork", "spawn"))
    assert [ended(fork, reader, first) for first in range(20)] == [0] * 20
    assert ended(spawn, reader, 1) == 0
"""


def test_processes_are_forked_and_spawned_after_the_parent_has_read(built, tmp_path):
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, script, built.catalog.root],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- mistakes of callers --------------------------------------------------------------------------


def test_what_is_not_there(built):
    with pytest.raises(CatalogError, match="there is no table 'smal' in .*; did you mean 'small'"):
        TableReader(built, "smal")
    reader = TableReader(built, "small")
    with pytest.raises(
        CatalogError, match=r"no data variable 'class'; it has: image, image_true, variance, mask"
    ):
        reader.read("class", 0, 1)
    for start, stop in ((-1, 3), (0, 76), (5, 4)):
        with pytest.raises(
            CatalogError, match=rf"samples {start} … {stop} are not .*use 0 <= start <= stop <= 75"
        ):
            reader.read("image", start, stop)
    for wrong in (75, -1):
        with pytest.raises(CatalogError, match=rf"has the samples 0 … 74, not {wrong}"):
            reader.take("image", [3, wrong])
    for numbers in ([0.5], [[1, 2]], [True, False], ["a"]):
        with pytest.raises(CatalogError, match="samples are taken by a list of their numbers"):
            reader.take("image", numbers)


@pytest.mark.parametrize(
    "out",
    [np.empty((2, 1, 6, 8)), np.empty((3, 1, 6, 8), "f4"), np.empty((4, 1, 6, 8), "f4")[::2]],
    ids=["type", "shape", "strides"],
)
def test_room_that_does_not_fit(built, out):
    reader = TableReader(built, "small")
    with pytest.raises(
        CatalogError, match=r"needs a C-contiguous array of float32 .*\(2, 1, 6, 8\)"
    ):
        reader.take("image", [1, 2], out=out)
    with pytest.raises(CatalogError, match="`out` is"):
        reader.read("image", 1, 3, out=out)


def test_a_deprecated_release_warns_once_it_is_opened(copied):
    upkeep.deprecate(target_of(copied.catalog.root), copied, "labels leak")
    release = find("things", catalog=copied.catalog.root)
    with pytest.warns(DeprecatedReleaseWarning, match="labels leak") as caught:
        reader = TableReader(release, "small")
    assert caught[0].filename == __file__
    pickle.loads(pickle.dumps(reader)).read("image", 0, 1)


# --- files that are not what they should be -------------------------------------------------------


def shard(release, name="small/image/c/1/0/0/0"):
    path = Path(release.path, "data.zarr", name)
    path.chmod(0o644)
    return path


def spoil(path, at):
    """Change a byte of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def index_at_the_end(path, chunks, entry, offset, size):
    """Write an entry of the index of a shard, and the checksum that belongs to it."""
    data = bytearray(path.read_bytes())
    index = np.frombuffer(data[-16 * chunks - 4 : -4], "<u8").copy()
    index[2 * entry : 2 * entry + 2] = offset, size
    checksum = google_crc32c.value(index.tobytes()).to_bytes(4, "little")
    path.write_bytes(bytes(data[: -16 * chunks - 4]) + index.tobytes() + checksum)


def refused(release, match, error=ReleaseError):
    reader = TableReader(release, "small")
    with pytest.raises(error, match=match) as caught:
        reader.read("image", 16, 20)
    assert "deepbench repair" in str(caught.value)
    same(reader.read("image", 0, 16), release.open()["small"]["image"][:16].values)


def test_a_missing_shard(copied):
    shard(copied).unlink()
    with pytest.raises(MissingDataError, match=r"image/c/1/0/0/0 is missing from the release"):
        TableReader(copied, "small").take("image", [1, 20])


def test_a_shard_that_is_a_link(copied):
    path = shard(copied)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))
    refused(copied, r"image/c/1/0/0/0 is a link")


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: data + b"0", lambda _: b""]
)
def test_a_shard_of_another_size(copied, change):
    path = shard(copied)
    path.write_bytes(change(path.read_bytes()))
    refused(copied, r"image/c/1/0/0/0 is damaged: it has [\d,]+ bytes, and the manifest lists")


@pytest.mark.parametrize("at", [30, -1, -10], ids=["chunk", "checksum of the index", "index"])
def test_a_damaged_shard_and_the_same_mended(copied, at):
    path = shard(copied)
    before = path.read_bytes()
    expected = copied.open()["small"]["image"].values
    spoil(path, at)
    refused(copied, r"image/c/1/0/0/0 is damaged: a checksum differs")
    path.rename(path.with_name("gone"))
    path.write_bytes(before)
    same(TableReader(copied, "small").read("image", 0, 75), expected)


@pytest.mark.parametrize("entry", [(10_000, 50), (0, 2**63), (2**64 - 2, 4)])
def test_an_index_that_leads_out_of_its_shard(copied, entry):
    index_at_the_end(shard(copied), 4, 0, *entry)
    refused(copied, "its index leads out of it")


def test_an_index_that_leads_to_another_chunk_of_another_size(copied):
    """The checksum of a chunk is right, and its values are not those that belong there."""
    path = shard(copied)
    data = path.read_bytes()
    content = bytearray(data[:200])
    content[4:8] = (64).to_bytes(4, "little")  # in Blosc's header: bytes of the values
    content[196:] = google_crc32c.value(bytes(content[:196])).to_bytes(4, "little")
    path.write_bytes(bytes(content) + data[200:])
    index_at_the_end(path, 4, 0, 0, 200)
    refused(copied, "a chunk holds 64 bytes, not 768")


def test_a_chunk_that_was_not_written_has_the_missing_value(copied):
    index_at_the_end(shard(copied), 4, 1, 2**64 - 1, 2**64 - 1)
    index_at_the_end(shard(copied, "small/mask/c/1/0/0/0"), 1, 0, 2**64 - 1, 2**64 - 1)
    reader, node = TableReader(copied, "small"), copied.open()["small"]
    assert np.isnan(reader.read("image", 20, 24)).all()
    same(reader.take("image", [21, 16, 30]), node["image"].values[[21, 16, 30]])
    assert np.all(reader.read("mask", 16, 32) == 255)


def test_metadata_that_is_not_what_the_manifest_lists(copied):
    spoil(shard(copied, "zarr.json"), 40)
    with pytest.raises(ReleaseError, match=r"zarr.json is not what the manifest lists"):
        _ = TableReader(copied, "small").variables


def described(release, change):
    """Return a reader of a release whose metadata are changed."""
    release = find(release.name, catalog=release.catalog.root)  # that has read nothing
    metadata = json.loads(release.zarr_metadata())
    change(metadata["consolidated_metadata"]["metadata"]["small/image"])
    type(release).zarr_metadata, before = (
        lambda _: json.dumps(metadata).encode(),
        type(release).zarr_metadata,
    )
    try:
        return TableReader(release, "small").variables
    finally:
        type(release).zarr_metadata = before


def set_codecs(*names):
    def change(array):
        array["codecs"][0]["configuration"]["codecs"] = [{"name": each} for each in names]

    return change


def set_index(array):
    array["codecs"][0]["configuration"]["index_location"] = "start"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (set_codecs("bytes", "zstd"), r"codecs 'bytes', 'zstd'; known are .*a newer DeepBench may"),
        (set_codecs("bytes", "crc32c", "blosc"), r"codecs 'bytes', 'crc32c', 'blosc'; known"),
        (set_codecs(), "codecs ; known"),
        (set_index, "not stored in shards that end with an index"),
        (lambda array: array.pop("chunk_grid"), "'image' of 'small' of .* cannot be read"),
        (lambda array: array["codecs"].clear(), "'image' of 'small' of .* cannot be read"),
    ],
)
def test_arrays_that_are_stored_as_no_release_is(built, change, match):
    with pytest.raises(ReleaseError, match=match):
        described(built, change)
