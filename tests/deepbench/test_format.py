"""The format: versions and names, how arrays are cut, digests, and the manifest."""

import hashlib
import json
import random

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from deepbench import format as fmt
from deepbench.arrays import DataVariable, Storage, power_of_two, shard_length
from deepbench.errors import CatalogError, ReleaseError
from deepbench.format import (
    DataDigest,
    Manifest,
    StoredObject,
    TableSummary,
    Version,
    check_name,
    fill_value,
    label_attributes,
    layout,
    sample_digests,
)
from deepbench.labelling.scopes import Column

STORAGE = Storage()


def variable(*shape, dtype="float32"):
    dimensions = tuple(f"d{axis}" for axis in range(len(shape)))
    return DataVariable("image", "an image", "1", dimensions, shape, dtype)


# --- versions and names --------------------------------------------------------------------------


def test_versions_are_ordered_by_their_numbers():
    texts = ["0.0.1", "0.0.10", "0.9.0", "0.10.0", "1.0.0", "1.9.0", "1.10.0", "2.0.0", "10.0.0"]
    shuffled = random.Random(1).sample(texts, len(texts))
    assert [str(version) for version in sorted(map(Version.parse, shuffled))] == texts
    assert Version.parse("1.10.0") > Version.parse("1.9.0")
    assert Version.parse("999999999.0.0").major == 999999999


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.0\n", " 1.0.0", "1.0.0-rc1"),
        *("-1.0.0", "1.0.x", "1..0", "../1.0.0", "1.0.1234567890", "١.0.0"),
    ],
)
def test_what_is_no_version_is_refused(text):
    with pytest.raises(CatalogError, match=r"is not a version: use MAJOR\.MINOR\.PATCH, such as"):
        Version.parse(text)


@pytest.mark.parametrize("name", ["a", "0", "shapes", "my-shapes_2", "a" * 63])
def test_names(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "a/b", "a\\b", "/etc", ".building", "-a", "_a", "A", "a b", "é"),
        *("a\n", "a\0", "a" * 64),
    ],
)
def test_names_that_could_leave_the_catalog_are_refused(name):
    with pytest.raises(CatalogError, match="is not a release's name: use 1 to 63 lower-case"):
        check_name(name)


# --- how arrays are cut --------------------------------------------------------------------------


def test_power_of_two():
    limits = [0, 0.3, 1, 1.99, 2, 3, 4, 1023, 1024, 1025, 2**40 + 0.5]
    assert [power_of_two(x) for x in limits] == [1, 1, 1, 1, 2, 2, 4, 512, 1024, 1024, 2**40]


@pytest.mark.parametrize(
    ("shape", "length", "chunks", "shards"),
    [
        # 16 KiB an image: 16 in a chunk of 256 KiB, 4096 in a shard of 64 MiB
        ((64, 64), 4096, (16, 64, 64), (4096, 64, 64)),
        ((100, 30), 4096, (16, 100, 30), (4096, 100, 30)),
        # as large as a chunk, and larger: cut along y
        ((256, 256), 256, (1, 256, 256), (256, 256, 256)),
        ((512, 512), 64, (1, 128, 512), (64, 512, 512)),
        ((500, 500), 64, (1, 128, 500), (64, 512, 500)),
        # larger than a shard: cut along y, and where a row is larger than a chunk, along x too
        ((8192, 8192), 1, (1, 8, 8192), (1, 2048, 8192)),
        ((2, 131072), 64, (1, 1, 65536), (64, 2, 131072)),
        ((3, 2**25), 1, (1, 1, 65536), (1, 1, 2**24)),
        # no dimension of its own
        ((), 2**24, (2**16,), (2**24,)),
        ((1,), 2**24, (2**16, 1), (2**24, 1)),
    ],
)
def test_the_layout_of_known_shapes(shape, length, chunks, shards):
    image = variable(*shape)
    assert shard_length((image,), STORAGE) == length
    cut = layout(image, length, STORAGE)
    assert (cut.chunks, cut.shards) == (chunks, shards)


def test_the_widest_variable_decides():
    small, large = variable(4), variable(64, 64, dtype="float64")
    length = shard_length((small, large), STORAGE)
    assert length == shard_length((large,), STORAGE) == 2048
    assert layout(small, length, STORAGE).shards == (2048, 4)
    assert layout(small, length, STORAGE).chunks == (2048, 4)  # no chunk is larger than a shard
    assert large.sample_bytes == 2**15


@settings(max_examples=300)
@given(
    shape=st.lists(st.integers(1, 3000), min_size=0, max_size=4).map(tuple),
    dtype=st.sampled_from(["float32", "float64", "uint16", "int8"]),
    chunk=st.integers(1024, 2**24),
    shard=st.integers(4096, 2**28),
)
def test_laws_of_the_layout(shape, dtype, chunk, shard):
    storage = Storage(chunk_bytes=chunk, shard_bytes=shard)
    image = variable(*shape, dtype=dtype)
    item = np.dtype(dtype).itemsize
    length = shard_length((image,), storage)
    assert length & (length - 1) == 0
    if length > 1:
        assert length * image.sample_bytes <= shard < 2 * length * image.sample_bytes * 1.0001
    cut = layout(image, length, storage)
    assert cut == layout(image, length, storage)
    assert cut.shards[0] == length
    assert len(cut.chunks) == len(cut.shards) == 1 + len(shape)
    for outer, inner in zip(cut.shards, cut.chunks, strict=True):
        assert outer % inner == 0
        assert inner >= 1
    assert cut.chunks[0] & (cut.chunks[0] - 1) == 0
    for edge, outer, inner in zip(shape, cut.shards[1:], cut.chunks[1:], strict=True):
        assert inner <= edge
        assert outer < 2 * edge or outer == inner
    size = int(np.prod(cut.chunks)) * item
    assert size <= chunk or cut.chunks[1:] == (1,) * len(shape)
    # as large as it may be: twice as many samples, or rows, would be too many
    if cut.chunks[0] < length and cut.chunks[1:] == shape:
        assert 2 * size > chunk


def test_the_layout_follows_the_storage_alone():
    image = variable(64, 64)
    small = Storage(chunk_bytes=2**14, shard_bytes=2**16)
    assert shard_length((image,), small) == 4
    cut = layout(image, 4, small)
    assert (cut.chunks, cut.shards) == ((1, 64, 64), (4, 64, 64))
    narrow = Storage(chunk_bytes=2**12, shard_bytes=2**13)
    cut = layout(image, shard_length((image,), narrow), narrow)
    assert (cut.chunks, cut.shards) == ((1, 16, 64), (1, 32, 64))
    turned = Storage(chunk_bytes=2**20, shard_bytes=2**12)  # chunks of more than a shard
    cut = layout(image, shard_length((image,), turned), turned)
    assert (cut.chunks, cut.shards) == ((1, 64, 64), (1, 64, 64))


# --- digests -------------------------------------------------------------------------------------


def digest(values, shape=None, dtype="float32"):
    values = np.asarray(values)
    (result,) = sample_digests(variable(*(shape or values.shape), dtype=dtype), values[None])
    return result


def test_a_digest_is_xxh3_of_type_shape_and_bytes():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = xxhash.xxh3_128(b"<f4(2, 3)" + values.tobytes()).digest()
    assert digest(values) == expected
    assert len(expected) == 16


def test_digests_are_those_of_the_values():
    values = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    start = digest(values)
    assert digest(values.astype(">f4")) == start
    assert digest(np.asfortranarray(values)) == start
    assert digest(np.ascontiguousarray(np.hstack([values, values]))[:, :4]) == start
    for index in range(12):
        changed = values.copy()
        changed.flat[index] = np.nextafter(changed.flat[index], np.float32(9))
        assert digest(changed) != start


def test_type_and_shape_enter_the_digest():
    zeros = np.zeros(12, np.float32)
    shapes = [(12,), (3, 4), (4, 3), (1, 12), (12, 1)]
    found = {digest(zeros.reshape(shape)) for shape in shapes}
    found |= {digest(zeros.astype(dtype), dtype=dtype) for dtype in ("int32", "uint32")}
    assert len(found) == 7


def test_all_nans_are_one():
    bits = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FFFFFFF], np.uint32)
    values = bits.view(np.float32)
    assert np.isnan(values).all()
    before = values.tobytes()
    assert len({digest(np.array([value, 1], np.float32)) for value in values}) == 1
    assert digest(values) == digest(np.full(4, np.nan, np.float32))
    assert values.tobytes() == before
    assert digest([np.nan, 1]) != digest([1, np.nan])


def test_zeros_have_signs():
    assert digest([0.0]) != digest([-0.0])


def test_each_sample_has_its_own_digest():
    values = np.random.default_rng(1).normal(size=(5, 3, 4)).astype(np.float32)
    values[2, 1, 1] = np.nan
    digests = sample_digests(variable(3, 4), values)
    assert digests == [digest(sample) for sample in values]
    assert len(set(digests)) == 5
    assert sample_digests(variable(3, 4), values[3:]) == digests[3:]


def test_a_sample_may_be_one_number():
    assert len(set(sample_digests(variable(), np.arange(4, dtype=np.float32)))) == 4


def test_the_digest_of_a_table_follows_its_samples():
    def total(parts, names=("a",)):
        whole = DataDigest(list(names))
        for name, part in parts:
            whole.update(name, part)
        return whole.hexdigest()

    one, two = b"1" * 16, b"2" * 16
    start = total([("a", one), ("a", two)])
    inner = hashlib.sha256(one + two).hexdigest()
    assert start == hashlib.sha256(json.dumps({"a": inner}).encode()).hexdigest()
    assert total([("a", one + two)]) == start  # however it is cut into blocks
    assert total([("a", two), ("a", one)]) != start
    assert total([("a", one)]) != start
    both = [("a", one), ("b", two), ("a", two), ("b", one)]
    turned = [("b", two), ("b", one), ("a", one), ("a", two)]
    assert total(both, ("a", "b")) == total(turned, ("b", "a"))
    assert total([("a", one), ("b", two)], ("a", "b")) != total(
        [("b", one), ("a", two)], ("a", "b")
    )


def test_a_digest_of_an_unknown_variable_is_refused():
    with pytest.raises(KeyError, match="b"):
        DataDigest(["a"]).update("b", b"")


# --- attributes ----------------------------------------------------------------------------------


def test_attributes_of_labels():
    plain = label_attributes(Column("a.x", "place", "pixel"))
    assert plain == {"long_name": "place", "units": "pixel"}
    codes = label_attributes(Column("class", "class", meanings=("dot", "ring")))
    assert codes == {"long_name": "class", "flag_values": [0, 1], "flag_meanings": "dot ring"}


def test_values_of_missing_chunks():
    assert np.isnan(fill_value(np.dtype("float32")))
    assert fill_value(np.dtype("uint16")) == 65535
    assert fill_value(np.dtype("int8")) == 127
    assert fill_value(np.dtype("int64")) == 2**63 - 1


# --- the manifest --------------------------------------------------------------------------------

MANIFEST = Manifest(
    name="shapes",
    version="1.2.3",
    title="Forms à la carte",
    recipe_hash="ab" * 32,
    seed=2**64 - 1,
    created="2025-01-02T03:04:05+00:00",
    software={"numpy": "2.0.0"},
    tables={
        "images": TableSummary(
            kind="image",
            samples=6,
            table_hash="cd" * 32,
            data_digest="ef" * 32,
            shard_length=4,
            variables={"image": {"dtype": "float32", "dims": ["sample"], "shape": [6]}},
            classes={"z": 1, "a": 5},
            splits={"train": 6},
            columns=("id", "class"),
            objects=3,
        )
    },
    objects=(StoredObject("data.zarr/a", 5, "01" * 32), StoredObject("recipe.yaml", 7, "23" * 32)),
)


def test_the_manifest_reads_back_as_it_was():
    text = MANIFEST.to_json()
    again = Manifest.from_json(text, "m")
    assert again == MANIFEST
    assert Manifest.from_json(text.encode(), "m") == MANIFEST
    assert again.to_json() == text
    assert list(again.tables["images"].classes) == ["z", "a"]
    assert again.size == 12
    assert (again.format_version, again.render_version) == (fmt.FORMAT_VERSION, fmt.RENDER_VERSION)
    assert "à" in text
    assert text.endswith("}\n")


def content():
    data = json.loads(MANIFEST.to_json())
    del data["checksum"]
    return data


def changed(**more):
    """Return the manifest with other content and a right checksum."""
    return fmt.signed(content() | more)


def test_any_flipped_bit_of_a_manifest_is_found():
    text = MANIFEST.to_json().encode()
    for bit in range(8 * len(text)):
        flipped = bytearray(text)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ReleaseError, match="m is not|m has format version"):
            Manifest.from_json(bytes(flipped), "m")


def test_an_edited_manifest_is_refused():
    for name, value in (("title", "Another"), ("seed", 4), ("more", 1)):
        data = json.loads(MANIFEST.to_json()) | {name: value}
        with pytest.raises(ReleaseError, match="^m is not as it was written: its checksum differs"):
            Manifest.from_json(json.dumps(data), "m")


def test_a_manifest_of_another_render_version_can_be_read():
    assert Manifest.from_json(changed(render_version=99), "m").render_version == 99


@pytest.mark.parametrize("version", [0, fmt.FORMAT_VERSION + 1, "1", None])
def test_a_manifest_of_another_format_is_refused(version):
    text = changed(format_version=version)
    message = (
        f"^a/manifest.json has format version {version!r}; this DeepBench reads versions 1 and 2$"
    )
    with pytest.raises(ReleaseError, match=message):
        Manifest.from_json(text, "a/manifest.json")


def without(key):
    data = content()
    del data[key]
    return fmt.signed(data)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "5", "{}", b"\xff", MANIFEST.to_json()[:-20]]
    + [without(key) for key in ("format_version", "name", "seed", "objects", "tables")]
    + [changed(**more) for more in (
        {"seed": "many"},
        {"objects": [{"path": "a"}]},
        {"objects": None},
        {"tables": []},
        {"tables": {"images": {"kind": "image"}}},
        {"tables": {"images": None}},
        {"tables": 10 ** 400},
        {"title": None},
    )],
    ids=range(21),
)  # fmt: skip
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(ReleaseError, match=r"^a/manifest\.json is not a manifest of a DeepBench"):
        Manifest.from_json(text, "a/manifest.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


def places(data):
    """Yield every dictionary and list of plain data that is not empty."""
    if isinstance(data, dict | list) and data:
        yield data
        for each in data.values() if isinstance(data, dict) else data:
            yield from places(each)


def read_or_refused(text):
    """Check that a manifest is read and is what was written, or refused by an error of ours."""
    try:
        found = Manifest.from_json(text, "m")
    except ReleaseError:
        return
    assert Manifest.from_json(found.to_json(), "m") == found


@pytest.mark.slow
@settings(max_examples=500)
@given(st.data())
def test_a_signed_manifest_with_any_content_is_read_or_refused(data):
    tree = content()
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(places(tree))))
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        place[data.draw(st.sampled_from(keys))] = data.draw(JSON)
    try:
        text = fmt.signed(tree)
    except UnicodeEncodeError:  # half of a surrogate pair
        return
    read_or_refused(text)


@given(st.binary(max_size=200) | st.text(max_size=200) | JSON.map(json.dumps))
def test_anything_else_is_refused(text):
    with pytest.raises(ReleaseError, match="^m is not a manifest|^m has format version"):
        Manifest.from_json(text, "m")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 100_000,
        f'{{"format_version": {"[" * 900}{"]" * 900}}}',
        f'{{"format_version": "{"v" * 100_000}"}}',
        '{"format_version": 1, "checksum": "\\ud800", "title": "\\ud800"}',
        changed(seed="9" * 5000),
        changed(seed=1e308),
        changed(created=["\ufffd"] * 1000),
        changed(tables={"x" * 100_000: None}),
    ],
    ids=range(10),
)
def test_large_and_deep_manifests_are_refused(text):
    with pytest.raises(ReleaseError) as info:
        Manifest.from_json(text, "m")
    assert len(str(info.value)) < 1000
