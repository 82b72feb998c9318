from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from numcodecs import blosc
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, MemoryStore

from deepbench import format as fmt
from deepbench import render
from pipeline import encoding


@pytest.fixture
def template(recipe):
    return encoding.template(recipe)


def test_the_template_is_metadata_and_coordinates_only(template, recipe):
    assert {key for key in template if not key.endswith("zarr.json")} == {
        f"{table}/{axis}/c/0" for table in recipe.tables for axis in ("x", "y")
    }
    group = json.loads(template["images/zarr.json"])
    assert group["attributes"] == {"kind": "image", "table_hash": recipe.table("images").hash}
    root = json.loads(template["zarr.json"])
    assert root["attributes"]["recipe_hash"] == recipe.hash
    assert (
        len(root["consolidated_metadata"]["metadata"])
        == len([key for key in template if key.endswith("zarr.json")]) - 1
    )


def test_the_template_is_always_the_same(template, recipe):
    assert encoding.template(recipe) == template


def test_every_array_has_a_checksum_and_a_fill_value(template):
    for key, content in template.items():
        array = json.loads(content) if key.endswith("zarr.json") else {"node_type": "group"}
        if array["node_type"] != "array":
            continue
        codecs = array["codecs"]
        if codecs[0]["name"] == "sharding_indexed":
            assert key == "images/image/zarr.json" or key == "squares/image/zarr.json"
            assert codecs[0]["configuration"]["index_codecs"][-1]["name"] == "crc32c"
            codecs = codecs[0]["configuration"]["codecs"]
        assert [codec["name"] for codec in codecs] == ["bytes", "blosc", "crc32c"]
        assert array["fill_value"] == fmt.fill_value(np.dtype(array["data_type"])) or (
            array["fill_value"] == "NaN"
        )
        assert "_FillValue" not in array["attributes"]


def test_chunks_and_shards(template):
    array = json.loads(template["images/image/zarr.json"])
    assert array["shape"] == [300, 16, 16]
    assert array["chunk_grid"]["configuration"]["chunk_shape"] == [16, 16, 16]
    assert array["codecs"][0]["configuration"]["chunk_shape"] == [4, 16, 16]
    assert array["dimension_names"] == ["sample", "y", "x"]


def test_shards_decode_to_what_was_encoded(template, recipe, tmp_path):
    values = render(recipe, "images", 288, 300)["image"].values
    values[3] = 0.0  # an empty chunk is written, too
    with encoding.single_threaded():
        shards = dict(encoding.encode(template, "images/image", 288, values))
    assert list(shards) == ["images/image/c/18/0/0"]
    for key, content in (template | shards).items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(bytes(content))
    array = zarr.open_array(LocalStore(tmp_path), path="images/image", mode="r")
    assert np.array_equal(array[288:], values)
    assert np.isnan(array[0]).all()


def test_a_block_of_zeros_is_written(template):
    with encoding.single_threaded():
        shards = dict(encoding.encode(template, "images/image", 0, np.zeros((16, 16, 16), "f4")))
    assert list(shards) == ["images/image/c/0/0/0"]


def test_a_block_of_the_fill_value_is_written(template):
    with encoding.single_threaded():
        nothing = np.full((16, 16, 16), np.nan, "f4")
        shards = dict(encoding.encode(template, "images/image", 0, nothing))
        codes = dict(encoding.encode(template, "images/class", 0, np.full(300, 127, "i1")))
    assert list(shards) == ["images/image/c/0/0/0"]
    assert list(codes) == ["images/class/c/0"]


def test_encoding_is_deterministic(template, recipe):
    values = render(recipe, "images", 0, 16)["image"].values
    with encoding.single_threaded():
        first = {k: bytes(v) for k, v in encoding.encode(template, "images/image", 0, values)}
        again = {k: bytes(v) for k, v in encoding.encode(template, "images/image", 0, values)}
    assert first == again


def test_samples_larger_than_a_shard_are_cut_along_their_axes(make_recipe):
    recipe = make_recipe(
        tables__squares__size=[100, 70], storage={"chunk_bytes": 1024, "shard_bytes": 4096}
    )
    template = encoding.template(recipe)
    values = np.arange(7000, dtype="f4").reshape(1, 100, 70)
    with encoding.single_threaded():
        shards = {k: bytes(v) for k, v in encoding.encode(template, "squares/image", 2, values)}
    assert len(shards) > 1
    assert all(key.startswith("squares/image/c/2/") for key in shards)
    buffer = default_buffer_prototype().buffer
    contents = {key: buffer.from_bytes(each) for key, each in (template | shards).items()}
    array = zarr.open_array(MemoryStore(contents), path="squares/image", mode="r")
    assert np.array_equal(array[2], values[0])


def test_settings_are_as_before_afterwards():
    threads, before = blosc.get_nthreads(), zarr.config.get("async.concurrency")

    def fail():
        with encoding.single_threaded():
            assert blosc.get_nthreads() == 1
            assert zarr.config.get("async.concurrency") == 1
            assert zarr.config.get("array.write_empty_chunks")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert blosc.get_nthreads() == threads
    assert zarr.config.get("async.concurrency") == before
