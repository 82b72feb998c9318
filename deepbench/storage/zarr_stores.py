"""Stores through which releases are read: a file that the manifest lists and that is not there is an error.

Plain Zarr takes a missing file for an empty chunk and fills it in, which would turn a lost file into plausible data.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, ObjectStore

from deepbench.errors import MissingDataError, ReleaseError
from deepbench.storage.object_store import asking

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

    from deepbench.storage.locations import Archive


class FolderStore(LocalStore):
    """A folder with a Zarr store, of which the keys are known.

    Parameters
    ----------
    root : Path
    listed : frozenset of str
        Keys that the manifest lists.
    """

    def __init__(
        self, root: Path | str, listed: frozenset[str] = frozenset(), *, read_only: bool = True
    ) -> None:
        super().__init__(root, read_only=True)
        self._listed = listed

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return the store itself: releases are never written."""
        return self

    def _found(self, key: str, buffer: Buffer | None) -> Buffer | None:
        if key in self._listed:
            if buffer is None:
                raise MissingDataError.of(self.root / key)
            if (self.root / key).is_symlink():
                raise ReleaseError(
                    f"{self.root / key} is a link; a release holds no links: restore the file from a copy, or mend it "
                    "with `deepbench repair`"
                )
        return buffer

    async def get(self, key: str, *arguments: Any, **options: Any) -> Buffer | None:
        """Return the bytes of a key; see ``zarr.abc.store.Store.get``."""
        return self._found(key, await super().get(key, *arguments, **options))

    def get_sync(self, key: str, *arguments: Any, **options: Any) -> Buffer | None:
        """Return the bytes of a key without an event loop, as newer zarr does."""
        return self._found(key, super().get_sync(key, *arguments, **options))


class BucketStore(ObjectStore):
    """A prefix in an object store with a Zarr store, of which the keys are known.

    Parameters
    ----------
    root : str
        Address of the prefix.
    client : obstore.store.ObjectStore
        Client of the object store for that prefix.
    listed : frozenset of str
        Keys that the manifest lists.
    """

    def __init__(
        self,
        root: str,
        client: Any,
        listed: frozenset[str] = frozenset(),
        *,
        read_only: bool = True,
    ) -> None:
        super().__init__(client, read_only=True)
        self._root, self._listed = root, listed

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return the store itself: releases are never written."""
        return self

    async def get(self, key: str, *arguments: Any, **options: Any) -> Buffer | None:
        """Return the bytes of a key; see ``zarr.abc.store.Store.get``."""
        address = f"{self._root}/{key}"
        with asking(address):
            buffer = await super().get(key, *arguments, **options)
        if buffer is None and key in self._listed:
            raise MissingDataError.of(address)
        return buffer


class ArchiveStore(Store):
    """A folder of a zip archive with a Zarr store, of which the keys are known.

    Parameters
    ----------
    archive : Archive
        The folder.
    listed : frozenset of str
        Keys that the manifest lists.
    """

    supports_writes = False
    supports_deletes = False
    supports_partial_writes = False
    supports_listing = True

    def __init__(self, archive: Archive, listed: frozenset[str] = frozenset()) -> None:
        super().__init__(read_only=True)
        self._archive, self._listed = archive, listed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArchiveStore) and other._archive == self._archive

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return the store itself: releases are never written."""
        return self

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return the bytes of a key, or a range of them."""
        size = self._archive.size(key)
        if size is None:
            if key in self._listed:
                raise MissingDataError.of(self._archive.locate(key))
            return None
        start, stop = 0, size
        if isinstance(byte_range, RangeByteRequest):
            start, stop = byte_range.start, min(byte_range.end, size)
        elif isinstance(byte_range, OffsetByteRequest):
            start = byte_range.offset
        elif isinstance(byte_range, SuffixByteRequest):
            start = max(0, size - byte_range.suffix)
        with self._archive.open(key) as file:
            file.seek(start)
            content = file.read(max(0, stop - start))
        return (prototype or default_buffer_prototype()).buffer.from_bytes(content)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the bytes of a key, or a range of them."""
        return self.get_sync(key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Return ranges of the bytes of keys."""
        return [
            self.get_sync(key, prototype=prototype, byte_range=each) for key, each in key_ranges
        ]

    async def exists(self, key: str) -> bool:
        """Return whether there is a key."""
        return self._archive.size(key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse to write."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse to delete."""
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        for name in self._archive.files():
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys that begin so."""
        for name in self._archive.files():
            if name.startswith(prefix):
                yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield what is directly below a prefix."""
        top = f"{prefix.rstrip('/')}/".lstrip("/")
        names = (name.removeprefix(top) for name in self._archive.files() if name.startswith(top))
        for name in dict.fromkeys(name.partition("/")[0] for name in names):
            yield name
