"""Targets: what the pipeline asks of a location where releases are made.

A file is either absent or whole, and a release gets its name in one step. Nothing else in the pipeline knows whether
there is a file system or an object store.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Self

from deepbench.errors import CatalogError
from deepbench.storage.locations import Location

TEMPORARY = ".partial"
"""Ending of files that are being written."""


@dataclass(frozen=True)
class Hold:
    """A lock that is held.

    Attributes
    ----------
    check : callable
        Raises ``ReleaseError`` when the lock was lost, because this process could not say for too long that it lives.
    """

    check: Callable[[], None]


def nothing() -> None:
    """Check nothing."""


class Target(Location):
    """A location that can be written.

    Attributes
    ----------
    publishes_in_place : bool
        Whether an interrupted publish leaves files where the release is to be.
    """

    publishes_in_place: ClassVar[bool] = False

    def write(self, name: str, data: bytes | bytearray | memoryview, *, sync: bool = True) -> None:
        """Write a file whole or not at all; with ``sync`` it has reached the disk before it has its name."""
        with self.writing(name, sync=sync) as file:
            file.write(data)

    @abstractmethod
    def writing(self, name: str, *, sync: bool = True) -> AbstractContextManager[BinaryIO]:
        """Open a file for writing; it gets its name when the block ends well, and disappears when it does not."""

    @abstractmethod
    def sheltered(self, name: str, scratch: str) -> Self:
        """Return the target of a folder below this one; what is being written into it lies in another, ``scratch``."""

    @abstractmethod
    def copy(self, source: Location, name: str) -> None:
        """Make a file the same as one of that name in another location of the same kind, without reading it where
        possible: files of releases never change, so a local copy is a link.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file or a folder with everything in it; fine when it is absent."""

    @abstractmethod
    def modified(self, name: str) -> float:
        """Return when a file was last written, or the last of all files of a folder, in seconds since 1970."""

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Return the free space where the files lie; None where there is no limit."""

    @abstractmethod
    def log_file(self, name: str) -> Path:
        """Return the local file for a log of that name."""

    @abstractmethod
    def sync(self, folder: str) -> None:
        """Let all files below a folder reach the disk, never to be written again."""

    @abstractmethod
    def settle(self, name: str) -> None:
        """Let a file reach the disk, never to be written again."""

    @abstractmethod
    def check_free(self, final: str) -> None:
        """Refuse when something else is where a release is to be.

        Raises
        ------
        ReleaseError
            Something that is no release, and not the rest of a publish that was interrupted.
        """

    @abstractmethod
    def publish(
        self, source: str, final: str, last: str, check: Callable[[], None] = nothing
    ) -> None:
        """Give a finished folder its final name, so that its file ``last`` appears in one step and after all others.

        Parameters
        ----------
        source, final : str
        last : str
        check : callable
            Called before every change; raises an error when this process may not go on.

        Raises
        ------
        ReleaseError
            Something has that name already.
        """

    @abstractmethod
    def withdraw(self, final: str, first: str, grave: str) -> None:
        """Remove a folder so that its file ``first`` disappears in one step and before all others; ``grave`` names a
        folder for what is left of it when this is interrupted.
        """

    @abstractmethod
    def lock(self, name: str) -> AbstractContextManager[Hold | None]:
        """Hold a lock; yields None when another process holds it. It ends with its process, and leaves nothing."""

    def sweep(self, folder: str, keep: Iterable[str]) -> list[str]:
        """Remove every file below a folder that is not to be kept; return what was removed."""
        kept = set(keep)
        removed = [name for name in self.files(folder) if name not in kept]
        for name in removed:
            self.remove(name)
        return removed

    def check_writable(self, name: str) -> None:
        """Make the location and write into it; ``name`` is that of a file that may appear for a moment.

        Raises
        ------
        CatalogError
            That is not possible; the message says why.
        """
        try:
            self.write(name, b"", sync=False)
            self.remove(name)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CatalogError(
                f"cannot write to the catalog '{self.root}': {reason}; choose another with --catalog"
            ) from error
