"""Stores through which releases are read: a file that the manifest lists and that is not there is an error.

Plain Zarr takes a missing file for an empty chunk and fills it in, which would turn a lost file into plausible data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from zarr.storage import LocalStore, ObjectStore

from deepbench.errors import MissingDataError, ReleaseError
from deepbench.storage.object_store import asking

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer


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
