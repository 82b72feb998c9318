"""The codecs of chunks, undone as the metadata of a Zarr array lists them."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from numcodecs import blosc

from deepbench.storage.bit_planes import HEADER, some_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_KEPT = 2**24
"""Bytes of the memory to work in that a thread keeps at most."""

CHECKSUM_BYTES = 4
"""Bytes of a CRC-32C, which follow those that it is of."""


@dataclass(frozen=True)
class Codecs:
    """Codecs of the chunks of an array: little-endian bytes, then what follows.

    Attributes
    ----------
    compressed : bool
        Whether Blosc compresses the bytes.
    checked : bool
        Whether a CRC-32C follows them.
    """

    compressed: bool
    checked: bool

    @classmethod
    def parse(cls, listed: list[dict[str, Any]]) -> Codecs:
        """Read the codecs of an array's metadata.

        Raises
        ------
        ValueError
            There is one that no release has, or they stand in another order.
        """
        names = [each["name"] for each in listed]
        if names[:1] == ["bytes"]:
            endian = (listed[0].get("configuration") or {}).get("endian", "little")
            rest = names[1:]
            found = cls("blosc" in rest, "crc32c" in rest)
            if endian == "little" and rest == found._names:
                return found
        raise ValueError(
            f"its chunks have the codecs {', '.join(map(repr, names))}; known are 'bytes' (little-endian), then "
            "'blosc', then 'crc32c'"
        )

    @property
    def _names(self) -> list[str]:
        return ["blosc"] * self.compressed + ["crc32c"] * self.checked


class Decoder:
    """Decodes the chunks of an array, one after another in one piece of memory, which all decoders of a thread share.

    Parameters
    ----------
    codecs : Codecs
    shape : tuple of int
        Shape of a chunk, samples first.
    dtype : dtype
    """

    def __init__(self, codecs: Codecs, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._codecs, self._shape, self._dtype = codecs, shape, dtype
        self._size = math.prod(shape) * dtype.itemsize
        self._scratch = _memory(2 * self._size + HEADER.size)

    def decode(self, stored: NDArray[np.uint8], out: NDArray) -> None:
        """Write the values of a chunk into a contiguous array that has its shape and type.

        Raises
        ------
        ValueError, RuntimeError
            The bytes are damaged.
        """
        self._decode(self._content(stored), out)

    def rows(
        self, stored: NDArray[np.uint8], rows: slice | NDArray[np.int64], count: int
    ) -> NDArray:
        """Return some samples of a chunk, which are valid until the next chunk is decoded.

        Parameters
        ----------
        stored : uint8[n]
        rows : slice or int64[count]
            Which of the chunk's samples.
        count : int
            Their number.

        Raises
        ------
        ValueError, RuntimeError
            The bytes are damaged.
        """
        content = self._content(stored)
        if not self._codecs.compressed:
            return content.view(self._dtype).reshape(self._shape)[rows]
        if 2 * count <= self._shape[0]:  # where more are wanted, all are faster
            found = some_rows(content, rows, self._shape, self._dtype, self._scratch)
            if found is not None:
                return found
        out = self._scratch[: self._size].view(self._dtype).reshape(self._shape)
        self._decode(content, out)
        return out[rows]

    def _content(self, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the bytes of a chunk, checked: those of its values, or those that Blosc makes so many of."""
        if self._codecs.checked:
            stored = checked(stored)
        size = stored.size
        if self._codecs.compressed:
            size = int.from_bytes(stored[4:8].tobytes(), "little")  # in Blosc's header
        if size != self._size:
            raise ValueError(f"a chunk holds {size:,} bytes, not {self._size:,}")
        return stored

    def _decode(self, content: NDArray[np.uint8], out: NDArray) -> None:
        if self._codecs.compressed:
            blosc.decompress(content, out)
        else:
            out.reshape(-1).view(np.uint8)[:] = content


_kept = threading.local()


def _memory(size: int) -> NDArray[np.uint8]:
    """Return memory to work in: each thread's own, used again, as new memory costs more than a chunk's decoding."""
    if size > MOST_KEPT:
        return np.empty(size, np.uint8)
    if len(getattr(_kept, "memory", b"")) < size:
        _kept.memory = np.empty(size, np.uint8)
    return _kept.memory


def checked(stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return bytes without the CRC-32C that follows them.

    Raises
    ------
    ValueError
        It is not that of the bytes.
    """
    content = stored[:-CHECKSUM_BYTES]
    if google_crc32c.value(content) != int.from_bytes(stored[-CHECKSUM_BYTES:].tobytes(), "little"):
        raise ValueError("a checksum differs")
    return content


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Let Blosc use the calling thread alone: loaders have processes, and a fork loses threads."""
    before = blosc.use_threads
    if before is False:  # so that no two threads leave it so
        yield
        return
    blosc.use_threads = False
    try:
        yield
    finally:
        blosc.use_threads = before
