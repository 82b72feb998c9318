"""Encoding with Zarr in memory: the template of a release, and the bytes of its shards, to and fro.

Zarr encodes, the target writes: a shard is made in a store in memory and its bytes are hashed and written once. Nobody
but the coordinator writes metadata, and it does so once, before the first block.
"""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numcodecs import blosc
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.storage import MemoryStore

from deepbench import format as fmt
from deepbench.errors import refuse_optimized

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from zarr.abc.store import Store

    from deepbench.recipe import Recipe
    from deepbench.tables import Table

WORDS = "long_name"
"""Attribute that is words: it describes, and nothing follows from it."""

_ENCODING = threading.RLock()
_FUSED = "zarr.core.codec_pipeline.FusedCodecPipeline"


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Let zarr and Blosc use the calling thread alone; Dask supplies the parallelism. All empty chunks are written.

    The settings are those of the process, so the threads of a worker encode one after another.
    """
    settings: dict[str, Any] = {
        "async.concurrency": 1,
        "threading.max_workers": 1,
        "array.write_empty_chunks": True,
    }
    if hasattr(zarr.core.codec_pipeline, "FusedCodecPipeline"):  # zarr 3.4 and newer
        settings |= {"codec_pipeline.path": _FUSED, "codec_pipeline.max_workers": 1}
    with _ENCODING:
        threads = blosc.set_nthreads(1)
        try:
            with zarr.config.set(settings):
                yield
        finally:
            blosc.set_nthreads(threads)


def template(recipe: Recipe, render_version: int = fmt.RENDER_VERSION) -> dict[str, bytes]:
    """Return the metadata of a release's Zarr store, by key: one group per table, consolidated, and no data.

    Parameters
    ----------
    recipe : Recipe
    render_version : int
        Which rendering the store says that its values are of.
    """
    refuse_optimized()
    contents: dict[str, Any] = {}
    store = MemoryStore(contents)
    root = zarr.create_group(store, attributes=fmt.root_attributes(recipe, render_version))
    for table in map(recipe.table, recipe.tables):
        _create_table(root, table)
    consolidate(store)
    return {key: buffer.to_bytes() for key, buffer in contents.items()}


def _create_table(root: zarr.Group, table: Table[Any]) -> None:
    """Add the group of a table: its data variables, its labels, and its coordinates with their values."""
    group = root.create_group(table.name, attributes=fmt.table_attributes(table))
    for variable in table.variables:
        cut = fmt.layout(variable, table.shard_length, table.storage)
        create_array(
            group,
            variable.name,
            (table.samples, *variable.shape),
            np.dtype(variable.dtype),
            chunks=cut.chunks,
            shards=cut.shards,
            dimensions=("sample", *variable.dimensions),
            attributes=fmt.variable_attributes(variable),
            compressed=table.storage.codec != "none",
        )
    for column in table.plan.columns:
        words = fmt.label_attributes(column)
        _create_vector(group, column.name, table.samples, column.dtype, ("sample",), words)
    for axis in table.coordinates:
        values, words = axis.values, fmt.axis_attributes(axis)
        array = _create_vector(group, axis.name, axis.size, values.dtype, axis.dimensions, words)
        array[:] = values


def _create_vector(
    group: zarr.Group,
    name: str,
    size: int,
    dtype: np.dtype,
    dimensions: tuple[str],
    attributes: dict[str, Any],
) -> zarr.Array:
    """Add an array of one dimension, in chunks without shards."""
    return create_array(
        group,
        name,
        (size,),
        dtype,
        chunks=(min(fmt.LABEL_CHUNK, size),),
        shards=None,
        dimensions=dimensions,
        attributes=attributes,
    )


def consolidate(store: Store) -> None:
    """Write all metadata of a Zarr store into its root, too."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        zarr.consolidate_metadata(store)


def create_array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    *,
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None,
    dimensions: tuple[str, ...],
    attributes: dict[str, Any],
    compressed: bool = True,
) -> zarr.Array:
    """Add an array to a group, with checksums; what is missing in it is NaN, or the largest integer."""
    compressors = [BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")] if compressed else []
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        shards=shards,
        compressors=[*compressors, Crc32cCodec()],
        dimension_names=dimensions,
        fill_value=fmt.fill_value(dtype),
        attributes=attributes,
    )


def encode(
    metadata: dict[str, bytes], array: str, start: int, values: NDArray
) -> Iterator[tuple[str, bytes | bytearray | memoryview]]:
    """Yield the key and bytes of each shard (or chunk) that ``values`` fills, beginning with sample ``start``.

    Parameters
    ----------
    metadata : dict of str to bytes
        The store's template.
    array : str
        Path of the array, ``table/variable``.
    start : int
        First sample; a multiple of the array's shard length.
    values : ndarray, shape (n, …)
    """
    key = f"{array}/zarr.json"
    contents = {key: default_buffer_prototype().buffer.from_bytes(metadata[key])}
    target = zarr.open_array(MemoryStore(contents), path=array, mode="r+")
    target[start : start + len(values)] = values
    for name, content in contents.items():
        if name != key:
            yield name, content.as_buffer_like()


def decode(
    metadata: dict[str, bytes], array: str, contents: dict[str, bytes], start: int, stop: int
) -> NDArray:
    """Return the samples ``start`` … ``stop - 1`` of an array whose shards (or chunks) are given by their keys.

    Parameters
    ----------
    metadata : dict of str to bytes
        The store's template.
    array : str
        Path of the array, ``table/variable``.
    contents : dict of str to bytes

    Raises
    ------
    ValueError, RuntimeError, TypeError
        Bytes are damaged. Which of them depends on zarr and the codec.
    """
    make = default_buffer_prototype().buffer.from_bytes
    inside = {key: make(content) for key, content in contents.items()}
    inside[f"{array}/zarr.json"] = make(metadata[f"{array}/zarr.json"])
    return np.asarray(zarr.open_array(MemoryStore(inside), path=array, mode="r")[start:stop])


def keys(
    metadata: dict[str, bytes], array: str, start: int = 0, stop: int | None = None
) -> Iterator[str]:
    """Yield the keys of the shards (or chunks) of an array that hold the samples ``start`` … ``stop - 1``."""
    described = json.loads(metadata[f"{array}/zarr.json"])
    edges = described["chunk_grid"]["configuration"]["chunk_shape"]
    samples, *sizes = described["shape"]
    last = samples if stop is None else stop
    rows = range(start // edges[0], -(-last // edges[0]))
    pieces = [range(-(-size // edge)) for size, edge in zip(sizes, edges[1:], strict=True)]
    for numbers in product(rows, *pieces):
        yield "/".join([array, "c", *map(str, numbers)])


def chunk_length(metadata: dict[str, bytes], array: str) -> int:
    """Return the number of samples in the pieces of an array that are decoded alone."""
    described = json.loads(metadata[f"{array}/zarr.json"])
    for codec in described["codecs"]:
        if codec["name"] == "sharding_indexed":
            return codec["configuration"]["chunk_shape"][0]
    return described["chunk_grid"]["configuration"]["chunk_shape"][0]


def words_of(key: str, content: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield table, name and description of every array that the metadata under a key describes.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError
        It is no metadata.
    """
    data = json.loads(content)
    inside = (data.get("consolidated_metadata") or {}).get("metadata", {})
    for path, node in {key.removesuffix("/zarr.json"): data, **inside}.items():
        table, _, name = path.partition("/")
        words = node.get("attributes", {}).get(WORDS)
        if words is not None:
            yield table, name, words


def as_template(metadata: dict[str, bytes], key: str, content: bytes) -> bool:
    """Return whether a file says, in whatever words, what the template has under its key.

    Versions of zarr write the same in several ways, and versions of DeepBench describe the same in other words.

    Raises
    ------
    ValueError, KeyError, TypeError, RuntimeError
        It is no metadata, or no chunk.
    """
    expected = metadata[key]
    if content == expected:
        return True
    if key.endswith("zarr.json"):
        return _normal(json.loads(content)) == _normal(json.loads(expected))
    table, _, rest = key.partition("/")  # a table may be called c
    array = f"{table}/{rest.partition('/c/')[0]}"
    length = json.loads(metadata[f"{array}/zarr.json"])["shape"][0]
    one, other = (decode(metadata, array, {key: each}, 0, length) for each in (content, expected))
    return np.array_equal(one, other)


def _normal(data: dict[str, Any]) -> dict[str, Any]:
    if data["node_type"] == "array":
        described = json.loads(json.dumps(ArrayV3Metadata.from_dict(data).to_dict(), default=str))
        if WORDS in described["attributes"]:
            described["attributes"][WORDS] = type(described["attributes"][WORDS]).__name__
        return described
    inside = (data.get("consolidated_metadata") or {}).get("metadata", {})
    return {
        "attributes": data.get("attributes", {}),
        "zarr_format": data["zarr_format"],
        "inside": {key: _normal(each) for key, each in inside.items()},
    }
