"""The codecs of chunks, undone as the metadata of a Zarr array lists them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from numcodecs import blosc

if TYPE_CHECKING:
    from numpy.typing import NDArray

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

    def decode(self, stored: NDArray[np.uint8], out: NDArray) -> None:
        """Write the values of a chunk into a contiguous array that has its shape and type.

        Raises
        ------
        ValueError, RuntimeError
            The bytes are damaged.
        """
        if self.checked:
            stored = checked(stored)
        if self.compressed:
            size = int.from_bytes(stored[4:8].tobytes(), "little")  # in Blosc's header
            if size != out.nbytes:
                raise ValueError(f"a chunk holds {size:,} bytes, not {out.nbytes:,}")
            blosc.decompress(stored, out)
        else:
            if stored.size != out.nbytes:
                raise ValueError(f"a chunk holds {stored.size:,} bytes, not {out.nbytes:,}")
            out.reshape(-1).view(np.uint8)[:] = stored


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
