"""Files that a recipe names: where they lie, and what is in them. They are known by their SHA-256."""

from __future__ import annotations

import hashlib
import os
import stat
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from deepbench.errors import LabelError
from deepbench.language.canonical import kept_name
from deepbench.language.document import BaseFile
from deepbench.language.plain import show
from deepbench.language.specification import Specification, problem


def folder_of(info: ValidationInfo) -> Path:
    """Return the folder of the recipe, which the validation context names."""
    return Path((info.context or {}).get("folder") or "")


@contextmanager
def opened(path: Path, what: str, most: int) -> Iterator[BufferedReader]:
    """Open a file for reading.

    Parameters
    ----------
    path : Path
    what : str
        What messages call it, such as ``catalog``.
    most : int
        The largest size in bytes.

    Raises
    ------
    LabelError
        It cannot be read, or it is too large.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a device or a pipe may have no end
            raise LabelError(f"the {what} {path} cannot be read: it is not a regular file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise LabelError(f"{path} has {size:,} bytes, a {what} at most {most:,}")
            yield file
    except OSError as error:
        raise LabelError(f"the {what} {path} cannot be read: {error.strerror or error}") from error


def content_of(path: Path, what: str, most: int) -> bytes:
    """Return the content of a file; takes and raises what ``opened`` does."""
    with opened(path, what, most) as file:
        return file.read()


def hash_of(file: BufferedReader) -> str:
    """Return the SHA-256 of an open file, without holding it in memory; it is read from its beginning afterwards."""
    file.seek(0)
    found = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return found


def sha256_of(path: Path, content: bytes, given: Any) -> str:
    """Return the SHA-256 of a file, and refuse it where another one was meant."""
    return as_meant(path, hashlib.sha256(content).hexdigest(), given)


def as_meant(path: Path, found: str, given: Any) -> str:
    """Return the SHA-256 that was found of a file, and refuse the file where another one was meant."""
    if given not in (None, "", found):
        raise problem(
            f"{path} is another file than meant: its sha256 is {found}, not {show(given)}"
        )
    return found


def check_unchanged(path: Path, content: bytes, sha256: str) -> None:
    """Raise LabelError where a file is no longer what it was when the recipe was read."""
    check_same(path, hashlib.sha256(content).hexdigest(), sha256)


def check_same(path: Path, found: str, sha256: str) -> None:
    """Raise LabelError where the SHA-256 that was found of a file is not what it was when the recipe was read."""
    if found != sha256:
        raise LabelError(f"{path} has changed: its sha256 is no longer {sha256}")


FileName = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]


class FileSpecification(Specification):
    """Base of what a file holds that the recipe names in a field ``file``, beside its ``sha256``.

    Attributes
    ----------
    what : str
        What messages call the file.
    most : int
        Its largest size in bytes.
    """

    what: ClassVar[str]
    most: ClassVar[int]

    if TYPE_CHECKING:
        file: str | None
        sha256: str | None

    _path: Path = PrivateAttr(default=Path())

    @classmethod
    def content(cls, path: Path) -> bytes:
        """Return the content of a file; raises LabelError where it cannot be read, or is too large."""
        return content_of(path, cls.what, cls.most)

    @classmethod
    def completed(cls, data: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return what a recipe says, the SHA-256 filled in, with what else follows from the file."""
        return data

    @abstractmethod
    def check_file(self) -> None:
        """Read the file as it is used; raises LabelError where it cannot be."""

    @property
    def is_kept(self) -> bool:
        """Whether the file lies in a release: it was accepted when that was built, and nothing new is asked of it."""
        return self.file == kept_name(self.file or "", self.sha256 or "")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any, info: ValidationInfo) -> Any:
        """Fill in the SHA-256."""
        if not isinstance(data, Mapping) or not isinstance(data.get("file"), str):
            return data
        name = data["file"]
        if isinstance(name, BaseFile):
            name = name.from_recipe
        path = folder_of(info) / name
        with opened(path, cls.what, cls.most) as file:
            found = as_meant(path, hash_of(file), data.get("sha256"))
        return cls.completed({**data, "file": name, "sha256": found}, path)

    @model_validator(mode="after")
    def _check_file(self, info: ValidationInfo) -> Self:
        """Find the file, and check what is in it."""
        if self.file is not None:
            self._path = folder_of(info) / self.file
            self.check_file()
        return self


class NamedFile(FileSpecification):
    """Base of what is read from a file, and nothing else of the recipe."""

    file: FileName = Field(description="name of the file, from the folder of the recipe")
    sha256: Sha256 = Field("", description="SHA-256 of the file; filled in when absent")

    @classmethod
    @abstractmethod
    def read(cls, path: Path, sha256: str) -> Any:
        """Return what is in a file of this SHA-256; raises LabelError where it has changed or cannot be used."""

    def check_file(self) -> None:
        """Read the file; raises LabelError where it cannot be used."""
        self.read(self._path, self.sha256)
