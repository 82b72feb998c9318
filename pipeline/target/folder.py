"""Releases in a local folder: files are renamed when they are whole, a release is one rename, a lock the system's."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self
from uuid import uuid4

from deepbench.errors import ReleaseError
from deepbench.storage.locations import Folder, Location
from pipeline.target.base import TEMPORARY, Hold, Target, nothing

NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)
"""Error numbers of a system that cannot link two files."""

SYNCS = 8
"""Number of files that are forced to the disk at a time: the system writes the journal once for several."""

HELD = 4096
"""Number of names of files that are held while they are forced to the disk."""

READ_ONLY = 0o444
"""Mode of the files of a release."""


@dataclass(frozen=True)
class FolderTarget(Folder, Target):
    """A local folder; it is made when something is first written.

    Attributes
    ----------
    root : str
    scratch : str, optional
        Folder on the same disk for files that are being written; beside the finished ones when absent.
    """

    scratch: str | None = None

    def below(self, name: str) -> Self:
        """Return the target of a folder below this one."""
        return type(self)(self.locate(name))

    def sheltered(self, name: str, scratch: str) -> Self:
        """Return the target of a folder below this one; what is being written into it lies in another, ``scratch``."""
        return type(self)(self.locate(name), self.locate(scratch))

    @contextlib.contextmanager
    def writing(self, name: str, *, sync: bool = True) -> Iterator[BinaryIO]:
        """Open a file for writing; it gets its name when the block ends well, and disappears when it does not."""
        path = self.path(name)
        partial = self._partial(path)
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

    def copy(self, source: Location, name: str) -> None:
        """Link a file to one of that name in another folder, or copy it where that is not possible."""
        path = self.path(name)
        origin = source.path(name) if isinstance(source, Folder) else Path(source.locate(name))
        partial = self._partial(path)
        try:
            os.link(origin, partial)
            partial.replace(path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with origin.open("rb") as file, self.writing(name) as copy:
                shutil.copyfileobj(file, copy, 2**20)
        finally:
            partial.unlink(missing_ok=True)  # it stays where both were one file already

    def _partial(self, path: Path) -> Path:
        """Return where a file is written until it is whole; its folder and that of the file exist."""
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = path.parent if self.scratch is None else Path(self.scratch)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{path.name}.{uuid4().hex}{TEMPORARY}"

    def remove(self, name: str) -> None:
        """Remove a file, a link or a folder with everything in it; fine when it is absent."""
        path = Path(self.locate(name))
        if "/" in name:
            self.path(name.rpartition("/")[0])  # is no link
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def modified(self, name: str) -> float:
        """Return when a file was last written, or the last of all files of a folder, in seconds since 1970."""
        path = self.path(name)
        times = [path.lstat().st_mtime]
        for each in self.files(name):
            with contextlib.suppress(FileNotFoundError):
                times.append(self.folder.joinpath(each).lstat().st_mtime)
        return max(times[1:], default=times[0])

    def free_bytes(self) -> int | None:
        """Return the free space of the disk that the folder is on, or will be on; None where it does not say."""
        folder = self.folder
        while not folder.exists():
            folder = folder.parent
        usage = shutil.disk_usage(folder)
        return usage.free if usage.total else None

    def log_file(self, name: str) -> Path:
        """Return the local file for a log of that name."""
        return self.path(name)

    def sweep(self, folder: str, keep: Iterable[str]) -> list[str]:
        """Remove every file below a folder that is not to be kept, and folders left empty; return what was removed."""
        removed = super().sweep(folder, keep)
        for each, _, _ in os.walk(self.path(folder) if folder else self.folder, topdown=False):
            with contextlib.suppress(OSError):
                Path(each).rmdir()
        return removed

    def sync(self, folder: str) -> None:
        """Force all files and folders below a folder to the disk; the files can only be read from here on."""
        with ThreadPoolExecutor(SYNCS) as pool:
            held: list[str] = []
            for each, _, names in os.walk(self.path(folder)):
                held += [os.path.join(each, name) for name in names]  # noqa: PTH118  faster than Path
                held.append(each)
                if len(held) >= HELD:
                    list(pool.map(_finish, held))
                    held = []
            list(pool.map(_finish, held))

    def settle(self, name: str) -> None:
        """Force a file to the disk; it can only be read from here on."""
        path = self.path(name)
        _finish(str(path))
        force_to_disk(path.parent)

    def check_free(self, final: str) -> None:
        """Refuse when something is where a release is to be.

        Raises
        ------
        ReleaseError
            It is no release.
        """
        if self.path(final).exists():
            raise ReleaseError(
                f"{self.locate(final)} is in the way: it is not a release; move it elsewhere"
            )

    def publish(
        self, source: str, final: str, last: str, check: Callable[[], None] = nothing
    ) -> None:
        """Give a finished folder its final name in one step.

        Raises
        ------
        ReleaseError
            Something has that name already.
        """
        path, origin = self.path(final), self.path(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise ReleaseError(f"{path} exists already; releases never change")
        check()
        try:
            origin.rename(path)  # fails on a folder that is not empty
        except OSError as error:
            if path.exists():
                raise ReleaseError(f"{path} exists already; releases never change") from error
            raise
        force_to_disk(path.parent)
        force_to_disk(path.parent.parent)

    def withdraw(self, final: str, first: str, grave: str) -> None:
        """Remove a folder: it disappears in one step, under the name ``grave``, and then file by file."""
        path = self.path(final)
        self.path(grave).parent.mkdir(parents=True, exist_ok=True)
        path.rename(self.path(grave))
        force_to_disk(path.parent)
        with contextlib.suppress(OSError):  # others are beside it
            path.parent.rmdir()
        self.remove(grave)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[Hold | None]:
        """Hold a lock that ends with the process; yields None at once when another process holds it."""
        path = self.path(name)
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield None
                    return
                if not _is(path, file):
                    continue  # whoever held it has removed it
                try:
                    yield Hold(lambda: None)
                finally:
                    path.unlink(missing_ok=True)
                return


def _is(path: Path, file: BinaryIO) -> bool:
    """Return whether an open file is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _settle(file: BinaryIO) -> None:
    """Force an open file to the disk, and let the system forget its pages: they would push out all else."""
    os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):  # Linux
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _finish(path: str) -> None:
    if not os.path.isdir(path):  # noqa: PTH112
        os.chmod(path, READ_ONLY)  # noqa: PTH101
    force_to_disk(path)


def force_to_disk(path: str | Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
