from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepbench import format as fmt
from deepbench.errors import ClusterError
from pipeline.plan import Block
from pipeline.staging import Receipt, Staging, lock_name, log_name
from pipeline.target import target_of

RECEIPT = Receipt(
    Block("images", 16, 32),
    "f" * 64,
    fmt.RENDER_VERSION,
    (fmt.StoredObject("data.zarr/images/image/c/1/0/0", 3, "a" * 64),),
)
LABELS = pa.table({"id": pa.array([16, 17])})


@pytest.fixture
def staging(tmp_path):
    return Staging(target_of(tmp_path), "staging", "")


def only_part(staging):
    ((_, _, name),) = staging.part_names("images")
    return name


def test_a_receipt_survives_json():
    assert Receipt.from_json(RECEIPT.to_json()) == RECEIPT


def test_a_part_survives_the_disk(staging):
    staging.write_part(RECEIPT, LABELS)
    receipt, labels = staging.read_part(only_part(staging))
    assert receipt == RECEIPT
    assert labels.to_pydict() == LABELS.to_pydict()


def test_parts_are_listed_in_order_and_nothing_else_is(staging):
    from dataclasses import replace

    for start in (160, 0, 16):
        block = Block("images", start, start + 16)
        staging.write_part(replace(RECEIPT, block=block), LABELS)
    staging.write_part(replace(RECEIPT, block=Block("squares", 0, 16)), LABELS)
    for name in ("notes.txt", "1-2-3.parquet", f"{0:012d}-{16:012d}-{'g' * 32}.parquet"):
        staging.target.write(f"parts/images/{name}", b"")
    assert [(start, stop) for start, stop, _ in staging.part_names("images")] == [
        (0, 16),
        (16, 32),
        (160, 176),
    ]
    assert list(staging.part_names("absent")) == []


def test_a_part_is_valid_only_for_its_own_block_and_recipe(staging):
    staging.release.write("data.zarr/images/image/c/1/0/0", b"abc")
    staging.write_part(RECEIPT, LABELS)
    name = only_part(staging)
    assert staging.valid_part(RECEIPT.block, "f" * 64, name)[0] == RECEIPT
    assert staging.valid_part(RECEIPT.block, "0" * 64, name) is None
    assert staging.valid_part(Block("images", 16, 31), "f" * 64, name) is None
    assert staging.valid_part(Block("other", 16, 32), "f" * 64, name) is None


@pytest.mark.parametrize("content", [None, b"ab", b"abcd"])
def test_a_part_is_not_valid_without_its_shards(staging, content):
    staging.write_part(RECEIPT, LABELS)
    if content is not None:
        staging.release.write("data.zarr/images/image/c/1/0/0", content)
    assert staging.valid_part(RECEIPT.block, "f" * 64, only_part(staging)) is None


def test_every_flipped_bit_of_a_part_is_found(staging):
    staging.write_part(RECEIPT, LABELS)
    name = only_part(staging)
    content = staging.target.read(name)
    for position in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        staging.target.write(name, damaged, sync=False)
        assert staging.read_part(name) is None


def test_a_file_with_another_name_is_no_part(staging):
    staging.target.write("parts/images/notes.parquet", b"text")
    assert staging.read_part("parts/images/notes.parquet") is None


# --- parts with a right checksum that are none of ours -------------------------------------------

PART = "parts/images/{:012d}-{:012d}-{}.parquet"


def put(staging, content):
    """Store bytes as a part whose name is right."""
    name = PART.format(16, 32, xxhash.xxh3_128_hexdigest(content))
    staging.target.write(name, content, sync=False)
    return name


def refused_or_ours(staging, content):
    """Check that a part is read, or refused without an error, with little memory."""
    name = put(staging, content)
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    found = staging.read_part(name)
    assert pool.bytes_allocated() - before < 2**24
    assert found is None or isinstance(found[0], Receipt)
    assert staging.valid_part(RECEIPT.block, "f" * 64, name) is None  # no shards are there
    staging.target.remove(name)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Staging(target_of(tmp_path_factory.mktemp("parts")), "staging", "")


@pytest.fixture(scope="module")
def real(shared):
    """The bytes of a part."""
    labels = pa.table({"id": pa.array(range(16, 32)), "x": pa.array([0.5] * 16)})
    shared.write_part(RECEIPT, labels)
    name = only_part(shared)
    content = shared.target.read(name)
    shared.target.remove(name)
    return content


@given(st.binary(max_size=300))
@example(b"")
@example(b"PAR1" + bytes(100) + b"PAR1")
@example(b"PAR1" + b"\xff" * 8 + b"\xff\xff\xff\x7fPAR1")
def test_strange_bytes_are_no_part(shared, content):
    refused_or_ours(shared, content)


@settings(max_examples=500)
@given(st.data())
def test_changed_bytes_of_a_part_are_no_error(shared, real, data):
    content = bytearray(real)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    stop = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    refused_or_ours(shared, bytes(content[:stop]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


def with_receipt(text):
    """Return the bytes of a part with a text in place of its receipt."""
    buffer = io.BytesIO()
    pq.write_table(LABELS.replace_schema_metadata({"receipt": text}), buffer)
    return buffer.getvalue()


@given(st.data())
def test_a_changed_receipt_is_no_error(shared, data):
    receipt = json.loads(RECEIPT.to_json())
    levels = [receipt, receipt["block"], receipt["objects"][0]]
    level = data.draw(st.sampled_from(levels))
    level[data.draw(st.sampled_from(sorted(level)))] = data.draw(JSON)
    refused_or_ours(shared, with_receipt(json.dumps(receipt)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "5",
        '"text"',
        "[]",
        "{}",
        "NaN",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 100_000,
        b"\xff",
        json.dumps(json.loads(RECEIPT.to_json()) | {"objects": {}}),
        json.dumps(json.loads(RECEIPT.to_json()) | {"objects": 5}),
        json.dumps(json.loads(RECEIPT.to_json()) | {"block": "images"}),
    ],
    ids=range(14),
)
def test_what_is_no_receipt(staging, text):
    assert staging.read_part(put(staging, with_receipt(text))) is None


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "", "a\0b", "a//b", 5, None])
def test_a_receipt_whose_files_lie_outside(staging, path):
    receipt = json.loads(RECEIPT.to_json())
    receipt["objects"][0]["path"] = path
    refused_or_ours(staging, with_receipt(json.dumps(receipt)))


def test_a_part_without_a_receipt(staging):
    buffer = io.BytesIO()
    pq.write_table(LABELS, buffer)
    assert staging.read_part(put(staging, buffer.getvalue())) is None


def test_the_folder_depends_on_content_layout_and_versions(make_recipe, monkeypatch):
    catalog = target_of("/releases")

    def folder(**changes):
        return Staging.of(catalog, make_recipe(**changes)).target.root

    before = folder()
    assert before.startswith("/releases/.building/small-1.0.0-")
    assert folder(title="Other", license="CC0-1.0", authors=[]) == before
    assert folder(tables__images__samples=301) == before  # more samples go on from there
    different = [
        folder(seed=8),
        folder(version="1.0.1"),
        folder(name="other"),
        folder(storage__shard_bytes=8192),
        folder(storage__chunk_bytes=2048),
    ]
    monkeypatch.setattr(fmt, "RENDER_VERSION", 1000)
    different.append(folder())
    monkeypatch.undo()
    monkeypatch.setattr(fmt, "FORMAT_VERSION", 1000)
    different.append(folder())
    assert len({before, *different}) == 1 + len(different)


def test_the_recipe_is_read_from_the_folder(tmp_path, recipe, make_recipe):
    staging = Staging.of(target_of(tmp_path), recipe)
    staging.release.write(fmt.RECIPE, recipe.to_yaml().encode())
    assert staging.recipe() == recipe


def test_a_recipe_that_is_another_by_now(tmp_path, recipe, make_recipe):
    staging = Staging.of(target_of(tmp_path), recipe)
    larger = make_recipe(tables__images__samples=301)
    assert Staging.of(target_of(tmp_path), larger).name == staging.name
    staging.release.write(fmt.RECIPE, larger.to_yaml().encode())
    with pytest.raises(ClusterError, match="is being built from another recipe by now; run the"):
        staging.recipe()


def test_lock_and_log_are_of_the_version(make_recipe):
    recipe = make_recipe(version="1.2.0")
    assert lock_name(recipe) == ".building/small-1.2.0.lock"
    assert log_name(recipe) == ".building/small-1.2.0.log"
