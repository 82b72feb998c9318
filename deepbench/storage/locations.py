"""Locations of releases: a local folder, a prefix in an object store, or a zip archive; here they are only read.

Names of files are relative to the location, with ``/``. They cannot leave it: not by ``..``, not by an absolute path,
and not by a link inside a folder.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from deepbench.errors import CatalogError, install
from deepbench.storage.object_store import asking, client_of

if TYPE_CHECKING:
    from zarr.abc.store import Store

URL = re.compile(
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.\.?(/|$))[A-Za-z0-9!_.*'()=-]+)*", re.ASCII
)
"""Pattern of an address of an object store: bucket and prefix, no user, no password, no query."""

ENDPOINT = re.compile(r"https?://[A-Za-z0-9.:_\[\]-]+(/\S*)?")
"""Pattern of the address of a store's server."""

ENDPOINTS = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
"""Variables of the environment that name it."""

BUFFER = 2**20
"""Number of bytes that are asked of an object store at a time where a file is read piecewise."""


@dataclass(frozen=True)
class Location(ABC):
    """A folder or a prefix, and everything below it by relative name.

    Attributes
    ----------
    root : str
        An absolute path, or an address.
    """

    root: str

    def locate(self, name: str) -> str:
        """Return path or address of a file, for messages and other software. Names cannot leave the location.

        Raises
        ------
        CatalogError
            The name is absolute or goes upwards.
        """
        parts = name.split("/")
        if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
            raise CatalogError(f"{name!r} is not a path inside {self.root}")
        return f"{self.root}/{name}"

    def below(self, name: str) -> Self:
        """Return the location of a folder below this one."""
        return type(self)(self.locate(name))

    def exists(self, name: str) -> bool:
        """Return whether a file or folder is there."""
        return self.size(name) is not None or next(self.files(name), None) is not None

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file in hexadecimal, reading it in pieces."""
        with self.open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return a file's size in bytes; None when it is absent."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises
        ------
        FileNotFoundError
            It is absent.
        """

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """Open a file for reading piecewise."""

    @abstractmethod
    def sizes(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """Yield name and bytes of every file below a folder, always in one order; nothing when there is no folder."""

    def files(self, folder: str = "") -> Iterator[str]:
        """Yield the name of every file below a folder, always in one order; nothing when there is no folder."""
        return (name for name, _ in self.sizes(folder))

    @abstractmethod
    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders directly below a folder, sorted."""

    @abstractmethod
    def zarr_store(self, name: str, listed: frozenset[str]) -> Store:
        """Return a Zarr store of a folder, in which a listed key that is absent is an error."""


class Folder(Location):
    """A local folder. Links inside it are refused: what they point to is not in it."""

    @property
    def folder(self) -> Path:
        """The folder as a path."""
        return Path(self.root)

    def path(self, name: str) -> Path:
        """Return the path of a file.

        Raises
        ------
        CatalogError
            The name leaves the folder, or a link on the way may.
        """
        path = Path(self.locate(name))
        for part in (path, *path.parents[: name.count("/")]):
            if part.is_symlink():
                raise CatalogError(
                    f"{part} is a link; a catalog holds no links: put the files themselves there"
                )
        return path

    def exists(self, name: str) -> bool:
        """Return whether a file or folder is there."""
        return self.path(name).exists()

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes; None when it is absent."""
        try:
            return self.path(name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return self.path(name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading piecewise."""
        return self.path(name).open("rb")

    def sizes(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """Yield name and bytes of every file below a folder; a link is a file, whatever it points to."""
        top = self.path(folder) if folder else self.folder
        for inside, folders, names in os.walk(top):
            folders.sort()
            links = [each for each in folders if Path(inside, each).is_symlink()]
            for name in sorted([*names, *links]):
                path = Path(inside, name)
                try:
                    size = path.lstat().st_size
                except FileNotFoundError:  # it has been renamed or removed meanwhile
                    continue
                yield path.relative_to(self.folder).as_posix(), size

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders directly below a folder, sorted; links are none."""
        try:
            entries = list(os.scandir(self.path(folder) if folder else self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def zarr_store(self, name: str, listed: frozenset[str]) -> Store:
        """Return a Zarr store of a folder, in which a listed key that is absent is an error."""
        from deepbench.storage.zarr_stores import FolderStore

        return FolderStore(self.path(name), listed)


class Bucket(Location):
    """A prefix in an S3 object store. Credentials and the like come from the environment, as ``AWS_…`` variables."""

    def key(self, name: str) -> str:
        """Return the key of an object below the prefix."""
        self.locate(name)
        return name

    @property
    def store(self) -> Any:
        """The store, an object of obstore."""
        return client_of(self.root)

    def asking(self, name: str) -> AbstractContextManager[None]:
        """Turn what the store answers about a file into short errors of Python's own kinds; see ``asking``."""
        return asking(self.locate(name) if name else self.root)

    def size(self, name: str) -> int | None:
        """Return an object's size in bytes; None when it is absent."""
        import obstore

        try:
            with self.asking(name):
                return obstore.head(self.store, self.key(name))["size"]
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        """Return an object's bytes."""
        import obstore

        with self.asking(name):
            return bytes(obstore.get(self.store, self.key(name)).bytes())

    def open(self, name: str) -> BinaryIO:
        """Open an object for reading piecewise."""
        size = self.size(name)
        if size is None:
            raise FileNotFoundError(f"{self.locate(name)} is not there")
        return io.BufferedReader(_Ranges(partial(self._range, name), size), BUFFER)

    def _range(self, name: str, start: int, length: int) -> memoryview:
        """Return bytes of an object."""
        import obstore

        with self.asking(name):
            return memoryview(
                obstore.get_range(self.store, self.key(name), start=start, length=length)
            )

    def sizes(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """Yield key and bytes of every object below a prefix, in order."""
        return ((each["path"], each["size"]) for each in self.listing(folder))

    def listing(self, folder: str = "") -> Iterator[Any]:
        """Yield what the store says of every object below a prefix, in order."""
        import obstore

        found: list[Any] = []
        with self.asking(folder):
            for some in obstore.list(self.store, self.key(folder) if folder else None):
                found += some
        return iter(sorted(found, key=lambda each: each["path"]))

    def folders(self, folder: str = "") -> list[str]:
        """Return the next part of all keys that go on below a prefix, sorted."""
        import obstore

        with self.asking(folder):
            found = obstore.list_with_delimiter(self.store, self.key(folder) if folder else None)
        return sorted(each.rpartition("/")[2] for each in found["common_prefixes"])

    def zarr_store(self, name: str, listed: frozenset[str]) -> Store:
        """Return a Zarr store of a prefix, in which a listed key that is absent is an error."""
        from deepbench.storage.zarr_stores import BucketStore

        below = self.below(name)
        return BucketStore(below.root, below.store, listed)


@dataclass(frozen=True)
class Archive(Location):
    """A zip file that holds a catalog. Files in it are stored as they are, not deflated: each is a range of it.

    Attributes
    ----------
    root : str
        Path of the archive, and below it the name of a folder in it.
    file : str
        Path of the archive.
    """

    file: str = ""

    @classmethod
    def of(cls, file: str) -> Self:
        """Return the location of the top of an archive."""
        return cls(file, file)

    def below(self, name: str) -> Self:
        """Return the location of a folder below this one."""
        return type(self)(self.locate(name), self.file)

    def _key(self, name: str) -> str:
        """Return the name in the archive of a file below this location."""
        return self.locate(name)[len(self.file) + 1 :]

    @property
    def _entries(self) -> dict[str, tuple[int, int]]:
        status = Path(self.file).stat()
        return _entries_of(self.file, status.st_mtime_ns, status.st_size)

    def place(self, name: str) -> tuple[int, int] | None:
        """Return where a file begins in the archive, and its size; None when it is absent.

        Raises
        ------
        CatalogError
            The archive is none, or its files are compressed.
        """
        found = self._entries.get(self._key(name))
        if found is None:
            return None
        with Path(self.file).open("rb") as file:
            file.seek(found[0] + ZIP_HEADER - 4)
            lengths = file.read(4)  # of the name and of further fields, which follow the header
        after = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        return found[0] + ZIP_HEADER + after, found[1]

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes; None when it is absent."""
        found = self._entries.get(self._key(name))
        return None if found is None else found[1]

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        place = self.place(name)
        if place is None:
            raise FileNotFoundError(f"{self.locate(name)} is not there")
        return bytes(self._range(place[0], 0, place[1]))

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading piecewise."""
        place = self.place(name)
        if place is None:
            raise FileNotFoundError(f"{self.locate(name)} is not there")
        return io.BufferedReader(_Ranges(partial(self._range, place[0]), place[1]), BUFFER)

    def _range(self, first: int, start: int, length: int) -> memoryview:
        """Return bytes of the archive."""
        with Path(self.file).open("rb") as file:
            file.seek(first + start)
            return memoryview(file.read(length))

    def sizes(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """Yield name and bytes of every file below a folder, always in one order."""
        top = self.root[len(self.file) + 1 :]
        inside = f"{self._key(folder) if folder else top}/".lstrip("/")
        own = len(top) + 1 if top else 0
        for name, (_, size) in sorted(self._entries.items()):
            if name.startswith(inside):
                yield name[own:], size

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders directly below a folder, sorted."""
        below = len(f"{folder}/") if folder else 0
        parts = (name[below:].partition("/") for name in self.files(folder))
        return sorted({name for name, slash, _ in parts if slash})

    def zarr_store(self, name: str, listed: frozenset[str]) -> Store:
        """Return a Zarr store of a folder, in which a listed key that is absent is an error."""
        from deepbench.storage.zarr_stores import ArchiveStore

        return ArchiveStore(self.below(name), listed)


ZIP_HEADER = 30
"""Bytes before the name of a file in a zip archive."""


@lru_cache(maxsize=16)
def _entries_of(file: str, modified: int, size: int) -> dict[str, tuple[int, int]]:
    """Return where the header of each file in an archive begins, and its size; of an archive of that time and size.

    Raises
    ------
    CatalogError
        It is no zip archive, or a file in it is compressed.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            found = [each for each in archive.infolist() if not each.is_dir()]
    except zipfile.BadZipFile as error:
        raise CatalogError(
            f"'{file}' is no zip archive, or not a whole one: {error}; copy or export it again"
        ) from error
    for each in found:
        if each.compress_type != zipfile.ZIP_STORED:
            raise CatalogError(
                f"'{file}' holds compressed files, such as {each.filename}, which cannot be read in place; unpack it"
            )
    return {each.filename: (each.header_offset, each.file_size) for each in found}


class _Ranges(io.RawIOBase):
    """A file that is read by ranges: ``fetch(start, length)`` returns them."""

    def __init__(self, fetch: Callable[[int, int], memoryview], size: int) -> None:
        self._fetch, self._size, self._at = fetch, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        length = max(0, min(len(buffer), self._size - self._at))
        if length:
            buffer[:length] = self._fetch(self._at, length)
            self._at += length
        return length


def check_catalog(catalog: str | Path) -> str:
    """Return the absolute path or the address of a catalog: the working directory of a worker may differ.

    Raises
    ------
    CatalogError
        It is an address that is not one of S3 or that holds more than bucket and prefix; the endpoint that the
        environment names is none; or obstore is not installed.
    """
    text = str(catalog)
    if "://" not in text:
        return os.path.abspath(text)  # noqa: PTH100  Path.absolute leaves '..' inside
    scheme = text.partition("://")[0]
    if scheme != "s3":
        raise CatalogError(
            f"a catalog is a folder or an address s3://bucket/prefix, not one of '{scheme}'"
        )
    if not URL.fullmatch(text.rstrip("/")):
        raise CatalogError(
            "the catalog's address must be s3://bucket/prefix, of letters, digits and -_.; credentials, the region and "
            "the endpoint come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, "
            "AWS_ENDPOINT_URL"
        )
    for name in ENDPOINTS:
        if not ENDPOINT.fullmatch(os.environ.get(name, "https://as.usual")):
            raise CatalogError(f"{name} must be the address of a server, such as https://host:9000")
    try:
        import obstore  # noqa: F401
    except ImportError:
        raise CatalogError(
            f"catalogs in object stores need one more package; install it with: {install('s3')}"
        ) from None
    return text.rstrip("/")


def location_of(catalog: str | Path) -> Folder | Bucket | Archive:
    """Return the location of a catalog: a folder, a prefix in an object store, or a zip archive.

    Raises
    ------
    CatalogError
        As ``check_catalog``.
    """
    root = check_catalog(catalog)
    if "://" in root:
        return Bucket(root)
    return Archive.of(root) if is_archive(root) else Folder(root)


def is_archive(catalog: str | Path) -> bool:
    """Return whether a catalog is a zip archive."""
    return str(catalog).endswith(".zip") and Path(catalog).is_file()
