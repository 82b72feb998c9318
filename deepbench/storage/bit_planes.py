"""Some rows of a chunk that Blosc has shuffled by bits, without putting together the others.

Blosc's bit shuffle stores the lowest bits of all elements of a block, then the next ones: a plane for each bit. To put
elements together from them takes most of the time of decoding. Here Blosc decompresses the planes alone; their parts
that belong to the wanted rows are given back to it as a chunk of its own, which it puts together.

The header is that of Blosc 1 (README_CHUNK_FORMAT of c-blosc).
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import numpy as np
from numcodecs import blosc

if TYPE_CHECKING:
    from numpy.typing import NDArray

BYTE_SHUFFLED, COPIED, BIT_SHUFFLED, UNSPLIT = 1, 2, 4, 16
"""Flags in the third byte of a chunk."""

HEADER = struct.Struct("<4B3i")
"""Version, version of the compressor, flags, bytes of an element; bytes of the values, of a block, of the chunk."""

BLOCK = struct.Struct("<2i")
"""Where the one block begins, and the bytes of its one stream: as many as it has values, where it is not compressed."""


def some_rows(
    stored: NDArray[np.uint8],
    rows: slice | NDArray[np.int64],
    shape: tuple[int, ...],
    dtype: np.dtype,
    scratch: NDArray[np.uint8],
) -> NDArray | None:
    """Return some rows of a chunk; None where it must be decoded whole.

    Parameters
    ----------
    stored : uint8[n]
        The chunk, as Blosc has made it.
    rows : slice or int64[k]
        Which of the chunk's rows.
    shape : tuple of int
        Shape of the chunk, rows first.
    dtype : dtype
    scratch : uint8[m]
        Memory to work in, of twice the size of the values and a header.

    Returns
    -------
    ndarray, shape (k, *shape[1:])

    Raises
    ------
    RuntimeError
        The bytes are damaged.
    """
    version, compressor, flags, size, values, block, _ = HEADER.unpack_from(stored.data)
    shuffled = flags & (BYTE_SHUFFLED | COPIED | BIT_SHUFFLED) == BIT_SHUFFLED
    if not shuffled or size != dtype.itemsize or block < 1:
        return None
    row = math.prod(shape[1:])
    numbers = range(rows.start, rows.stop) if isinstance(rows, slice) else rows.tolist()
    edge = min(numbers) * row * size // block * block  # where the block begins that has them
    end = min(edge + block, values)
    if (max(numbers) + 1) * row * size > end or (end - edge) % (8 * size):
        return None
    plain = scratch[values : values + stored.size]
    plain[:] = stored
    plain[2] = flags & ~BIT_SHUFFLED
    blosc.decompress(plain, scratch[:values])
    planes = scratch[edge:end].reshape(8 * size, -1)
    kind = version, compressor, flags | UNSPLIT, size
    if row % 8 == 0 and end - edge == values:  # each row has bytes of its own
        chosen = planes.reshape(8 * size, shape[0], row // 8)[:, rows]
        return _put_together([chosen], kind, dtype).reshape(-1, *shape[1:])
    width = min((row + 14) // 8, planes.shape[1])
    begins = [each * row - edge // size for each in numbers]
    firsts = [min(begin // 8, planes.shape[1] - width) for begin in begins]
    parts = [planes[:, None, first : first + width] for first in firsts]
    together, found = _put_together(parts, kind, dtype), np.empty((len(begins), row), dtype)
    for number, (begin, first) in enumerate(zip(begins, firsts, strict=True)):
        found[number] = together[number, begin - 8 * first :][:row]
    return found.reshape(-1, *shape[1:])


def _put_together(
    parts: list[NDArray[np.uint8]], kind: tuple[int, int, int, int], dtype: np.dtype
) -> NDArray:
    """Return elements from their planes, of which a row has some bytes; ``kind`` begins the header of a chunk.

    Parameters
    ----------
    parts : list of uint8[bits, m, width]
        Rows, some at a time.
    kind : tuple of int
    dtype : dtype

    Returns
    -------
    ndarray, shape (k, 8 * width)
    """
    bits, _, width = parts[0].shape
    rows = sum(part.shape[1] for part in parts)
    size, begin = bits * rows * width, HEADER.size + BLOCK.size
    chunk = np.empty(begin + size, np.uint8)
    HEADER.pack_into(chunk.data, 0, *kind, size, size, begin + size)
    BLOCK.pack_into(chunk.data, HEADER.size, HEADER.size + 4, size)
    np.concatenate(parts, axis=1, out=chunk[begin:].reshape(bits, rows, width))
    out = np.empty((rows, 8 * width), dtype)
    blosc.decompress(chunk, out)
    return out
