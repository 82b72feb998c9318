"""Where releases are made: every file that the pipeline reads or writes goes through a ``Target``.

A file is written under a temporary name, forced to the disk and renamed, so that it is either absent or whole. A folder
becomes a release by one rename. Nothing else in the pipeline knows that there is a file system.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from deepbench.errors import CatalogError, ReleaseError

TEMPORARY = ".partial"
"""Ending of files that are being written."""


@dataclass(frozen=True)
class Target:
    """A folder, and everything below it by relative path with ``/``.

    Attributes
    ----------
    root : str
        The folder; it is made when something is first written.
    scratch : str, optional
        Folder on the same disk for files that are being written; beside their final place when absent.
    """

    root: str
    scratch: str | None = None

    @property
    def folder(self) -> Path:
        """The folder as a path."""
        return Path(self.root)

    def path(self, name: str) -> Path:
        """Return the path of a file. Names cannot leave the folder.

        Raises
        ------
        CatalogError
            The name is absolute or goes upwards.
        """
        parts = name.split("/")
        if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
            raise CatalogError(f"{name!r} is not a path inside {self.root}")
        return self.folder.joinpath(*parts)

    def below(self, name: str) -> Target:
        """Return the target of a folder below this one."""
        return Target(str(self.path(name)))

    # reading

    def exists(self, name: str) -> bool:
        """Return whether a file or folder is there."""
        return self.path(name).exists()

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes; None when it is absent."""
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return self.path(name).read_bytes()

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file in hexadecimal, reading it in pieces."""
        with self.path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def files(self, folder: str = "") -> Iterator[str]:
        """Yield the name of every file below a folder, relative to the root; nothing when there is no folder."""
        top = self.path(folder) if folder else self.folder
        for place, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                yield Path(place, name).relative_to(self.folder).as_posix()

    def folders(self) -> list[str]:
        """Return the names of the folders directly below the root, sorted."""
        try:
            return sorted(entry.name for entry in os.scandir(self.folder) if entry.is_dir())
        except FileNotFoundError:
            return []

    def free_bytes(self) -> int:
        """Return the free space of the disk that the folder is on, or will be on."""
        place = self.folder.absolute()
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free

    # writing

    def write(self, name: str, data: bytes | bytearray | memoryview, *, sync: bool = True) -> None:
        """Write a file whole or not at all; with ``sync`` it has reached the disk before it has its name.

        What is on the disk leaves the memory, too, so that a large build does not push out all else.
        """
        with self.writing(name, sync=sync) as file:
            file.write(data)

    @contextlib.contextmanager
    def writing(self, name: str, *, sync: bool = True) -> Iterator[BinaryIO]:
        """Open a file for writing; it gets its name when the block ends well, and disappears when it does not."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        place = path.parent if self.scratch is None else Path(self.scratch)
        place.mkdir(parents=True, exist_ok=True)
        partial = place / f"{path.name}.{uuid4().hex}{TEMPORARY}"
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                if sync:
                    _settle(file)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def remove(self, name: str) -> None:
        """Remove a file or a folder with everything in it; fine when it is absent."""
        path = self.path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Make the folder and write into it.

        Raises
        ------
        CatalogError
            That is not possible; the message says why.
        """
        probe = f".probe-{os.getpid()}"
        try:
            self.write(probe, b"", sync=False)
            self.remove(probe)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CatalogError(
                f"cannot write to the catalog '{self.root}': {reason}; choose another with --catalog"
            ) from error

    def sweep(self, folder: str, keep: Iterable[str]) -> list[str]:
        """Remove every file below a folder that is not to be kept, and folders left empty; return what was removed."""
        kept = set(keep)
        removed = [name for name in self.files(folder) if name not in kept]
        for name in removed:
            self.remove(name)
        for place, _, _ in os.walk(self.path(folder), topdown=False):
            with contextlib.suppress(OSError):
                Path(place).rmdir()
        return removed

    def sync(self, folder: str) -> None:
        """Force all files and folders below a folder to the disk."""
        for place, _, names in os.walk(self.path(folder)):
            for path in (*(Path(place, name) for name in names), Path(place)):
                _sync(path)

    def publish(self, source: str, final: str) -> None:
        """Give a finished folder its final name in one step.

        Raises
        ------
        ReleaseError
            Something has that name already.
        """
        path = self.path(final)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise ReleaseError(f"{path} exists already; releases never change")
        try:
            self.path(source).rename(path)  # fails on a folder that is not empty
        except OSError as error:
            if path.exists():
                raise ReleaseError(f"{path} exists already; releases never change") from error
            raise
        _sync(path.parent)
        _sync(path.parent.parent)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[bool]:
        """Hold a lock that ends with the process; yields False at once when another process holds it."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def _settle(file: BinaryIO) -> None:
    """Force an open file to the disk, and let the system forget its pages."""
    os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):  # Linux
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
