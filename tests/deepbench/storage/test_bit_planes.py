"""Some rows of a chunk are those of the whole chunk, for every way in which Blosc may have stored it."""

import numpy as np
import pytest
from numcodecs import Blosc, blosc

from deepbench.storage.bit_planes import COPIED, HEADER, some_rows
from deepbench.storage.codecs import Codecs, Decoder, single_threaded

SHAPES = [(16, 24), (4, 2, 4, 6), (2, 8), (1, 640), (128, 1000), (32, 127), (8, 3), (24, 1, 61)]
"""Shapes of chunks; rows of the last three begin at any bit of a byte of a plane."""


def values_of(dtype, shape):
    """Return values that Blosc compresses a little, as noisy pixels are."""
    noisy = np.random.default_rng(1).normal(100, 7, shape)
    noisy[..., 0] = np.nan if np.dtype(dtype).kind == "f" else 3
    return noisy.astype(dtype)


def stored(values, **codec):
    usual = {"cname": "lz4", "clevel": 5, "shuffle": Blosc.BITSHUFFLE}
    return np.frombuffer(Blosc(**{**usual, **codec}).encode(values), "u1")


def rows_of(chunk, values, rows):
    scratch = np.empty(2 * values.nbytes + HEADER.size, "u1")
    return some_rows(chunk, rows, values.shape, values.dtype, scratch)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "i4", "f8"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "codec", [{}, {"cname": "zstd"}, {"cname": "blosclz"}, {"blocksize": 4096}], ids=str
)
def test_rows_are_those_of_the_chunk(dtype, shape, codec):
    values = values_of(dtype, shape)
    chunk = stored(values, **codec)
    _, _, flags, _, _, block, _ = HEADER.unpack_from(chunk.data)
    for rows in (slice(0, 1), slice(shape[0] // 2, shape[0]), np.array([shape[0] - 1, 0, 0])):
        found, some = rows_of(chunk, values, rows), np.arange(shape[0])[rows] * values[0].nbytes
        in_one_block = some.min() // block == (some.max() + values[0].nbytes - 1) // block
        if flags & COPIED or not in_one_block:  # too small to compress, or parts of two blocks
            assert found is None
        else:
            assert (found.dtype, found.shape) == (values.dtype, values[rows].shape)
            assert found.tobytes() == values[rows].tobytes()


@pytest.mark.parametrize(
    ("dtype", "shape", "blocks"), [("f4", (16, 64, 64), 1), ("u1", (128, 1267), 2)]
)
def test_usual_chunks_are_compressed_and_have_whole_rows_in_a_block(dtype, shape, blocks):
    values = np.where(values_of("f4", shape) > 105, 1, 0).astype(dtype)
    chunk = stored(values)
    _, _, flags, _, size, block, _ = HEADER.unpack_from(chunk.data)
    assert (flags & COPIED, -(-size // block)) == (0, blocks)
    for row in (3, shape[0] - 1):
        found = rows_of(chunk, values, slice(row, row + 1))
        assert found.tobytes() == values[row].tobytes()


@pytest.mark.parametrize(
    ("shape", "codec"),
    [
        ((12, 25), {}),
        ((16, 24), {"shuffle": Blosc.SHUFFLE}),
        ((16, 24), {"shuffle": Blosc.NOSHUFFLE}),
        ((4, 100_000), {"blocksize": 4096}),
        ((16, 24), {"clevel": 0}),
    ],
    ids=["no whole bytes", "bytes shuffled", "not shuffled", "two blocks", "copied"],
)
def test_other_chunks_are_decoded_whole(shape, codec):
    values = values_of("f4", shape)
    chunk = stored(values, **codec)
    assert rows_of(chunk, values, slice(0, 1)) is None
    decoder = Decoder(Codecs(compressed=True, checked=False), shape, values.dtype)
    found = decoder.rows(chunk, np.array([3, 1]), 2)
    assert found.tobytes() == values[[3, 1]].tobytes()


def test_blosc_is_left_as_it_was():
    for before in (None, True, False):
        blosc.use_threads, usual = before, blosc.use_threads
        with single_threaded():
            assert blosc.use_threads is False
        assert blosc.use_threads is before
        blosc.use_threads = usual
