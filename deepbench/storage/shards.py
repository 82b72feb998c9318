"""Open shards: chunks by their numbers, from a file that is mapped into memory or from ranges of an object."""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from deepbench.errors import CatalogError, ReleaseError
from deepbench.storage.codecs import CHECKSUM_BYTES, checked
from deepbench.storage.locations import Archive, Bucket, Folder, Location

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.format import StoredObject

ENTRY = np.dtype([("offset", "<u8"), ("size", "<u8")])
"""Where a chunk lies in its shard, as the index has it for each chunk."""

ABSENT = np.uint64(2**64 - 1)
"""Offset of a chunk that was not written."""

MOST_OPEN = 256
"""Largest number of shards that a process keeps open; each takes a descriptor."""


def most_open() -> int:
    """Return the number of shards that this process keeps open: a quarter of the files that it may open, at most."""
    try:
        import resource
    except ImportError:  # no POSIX
        return MOST_OPEN
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_OPEN if soft == resource.RLIM_INFINITY else max(1, min(MOST_OPEN, soft // 4))


class Shard(ABC):
    """A shard, open. Its index has been read and checked.

    Parameters
    ----------
    tail : uint8[16 * chunks + 4]
        Its last bytes: the index, and the CRC-32C of it.
    size : int
        Bytes of the shard.

    Raises
    ------
    ValueError
        The index is damaged.
    """

    def __init__(self, tail: NDArray[np.uint8], size: int) -> None:
        index = checked(tail).view(ENTRY)
        there, room = index["offset"] != ABSENT, np.uint64(size - tail.size)
        if np.any(there & ((index["offset"] > room) | (index["size"] > room - index["offset"]))):
            raise ValueError("its index leads out of it")
        self._offsets, self._sizes, self._there = index["offset"], index["size"], there

    def chunks(self, numbers: list[int]) -> list[NDArray[np.uint8] | None]:
        """Return the stored bytes of chunks, by their numbers in the shard; None where one was not written."""
        present = [number for number in numbers if self._there[number]]
        ranges = self._offsets[present].tolist(), self._sizes[present].tolist()
        if len(present) == len(numbers):
            return [*self._read(*ranges)]
        found = dict(zip(present, self._read(*ranges), strict=True))
        return [found.get(number) for number in numbers]

    @abstractmethod
    def _read(self, offsets: list[int], sizes: list[int]) -> list[NDArray[np.uint8]]:
        """Return ranges of its bytes."""


class MappedShard(Shard):
    """A shard in a file, which is mapped into memory."""

    def __init__(self, folder: Folder, stored: StoredObject, tail: int) -> None:
        self._bytes = _mapped(folder, stored)
        super().__init__(self._bytes[-tail:], stored.size)

    def _read(self, offsets: list[int], sizes: list[int]) -> list[NDArray[np.uint8]]:
        return [
            self._bytes[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True)
        ]


def _mapped(folder: Folder, stored: StoredObject) -> NDArray[np.uint8]:
    """Return the bytes of a file, mapped; they are unmapped when nothing refers to them any more."""
    try:
        path = folder.path(stored.path)
    except CatalogError as error:
        raise ReleaseError(
            f"{error}; restore it from a copy, or mend the release with `deepbench repair`"
        ) from None
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != stored.size or not size:
            raise ValueError(f"it has {size:,} bytes, and the manifest lists {stored.size:,}")
        return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.uint8)


class PackedShard(Shard):
    """A shard in a zip archive, of which it is a range that is mapped into memory."""

    def __init__(self, archive: Archive, stored: StoredObject, tail: int) -> None:
        place = archive.place(stored.path)
        if place is None:
            raise FileNotFoundError
        first, size = place
        if size != stored.size or not size:
            raise ValueError(f"it has {size:,} bytes, and the manifest lists {stored.size:,}")
        begin = first - first % mmap.ALLOCATIONGRANULARITY
        with open(archive.file, "rb") as file:  # noqa: PTH123
            whole = mmap.mmap(
                file.fileno(), first + size - begin, access=mmap.ACCESS_READ, offset=begin
            )
        self._bytes = np.frombuffer(whole, np.uint8)[first - begin :]
        super().__init__(self._bytes[-tail:], stored.size)

    def _read(self, offsets: list[int], sizes: list[int]) -> list[NDArray[np.uint8]]:
        return [
            self._bytes[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True)
        ]


class RemoteShard(Shard):
    """A shard in an object store: one request for its index, and one for all chunks that are wanted at a time."""

    def __init__(self, bucket: Bucket, stored: StoredObject, tail: int) -> None:
        self._bucket, self._name = bucket, stored.path
        (index,) = self._read([stored.size - tail], [tail])
        super().__init__(index, stored.size)

    def _read(self, offsets: list[int], sizes: list[int]) -> list[NDArray[np.uint8]]:
        import obstore

        if not offsets:
            return []
        with self._bucket.asking(self._name):
            key = self._bucket.key(self._name)
            found = obstore.get_ranges(self._bucket.store, key, starts=offsets, lengths=sizes)
        return [np.frombuffer(memoryview(each), np.uint8) for each in found]


@lru_cache(maxsize=most_open())
def shard_of(location: Location, stored: StoredObject, chunks: int) -> Shard:
    """Return a shard of a release, open; those that were used last are kept so.

    Parameters
    ----------
    location : Location
        The release.
    stored : StoredObject
        What the manifest lists: another file, even at the same place, is another shard.
    chunks : int
        Number of chunks that it has room for.

    Raises
    ------
    ReleaseError
        It is a link.
    FileNotFoundError
        It is not there.
    ValueError
        It has another size, or its index is damaged.
    """
    tail = chunks * ENTRY.itemsize + CHECKSUM_BYTES
    if stored.size < tail:
        raise ValueError(f"it has {stored.size:,} bytes, and its index alone {tail:,}")
    if isinstance(location, Folder):
        return MappedShard(location, stored, tail)
    if isinstance(location, Archive):
        return PackedShard(location, stored, tail)
    assert isinstance(location, Bucket)
    return RemoteShard(location, stored, tail)
