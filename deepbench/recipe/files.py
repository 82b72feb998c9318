"""Files that a recipe names: where they lie, and what is in them. They are known by their SHA-256."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepbench.errors import LabelError
from deepbench.recipe.plain import show
from deepbench.recipe.specification import problem

if TYPE_CHECKING:
    from pydantic import ValidationInfo


def folder_of(info: ValidationInfo) -> Path:
    """Return the folder of the recipe, which the validation context names."""
    return Path((info.context or {}).get("folder") or "")


def content_of(path: Path, what: str, most: int) -> bytes:
    """Return the content of a file.

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
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a device or a pipe may have no end
            raise LabelError(f"the {what} {path} cannot be read: it is not a regular file")
        if status.st_size > most:
            raise LabelError(f"{path} has {status.st_size:,} bytes, a {what} at most {most:,}")
        return path.read_bytes()
    except OSError as error:
        raise LabelError(f"the {what} {path} cannot be read: {error.strerror or error}") from error


def sha256_of(path: Path, content: bytes, given: Any) -> str:
    """Return the SHA-256 of a file, and refuse it where another one was meant."""
    found = hashlib.sha256(content).hexdigest()
    if given not in (None, "", found):
        raise problem(
            f"{path} is another file than meant: its sha256 is {found}, not {show(given)}"
        )
    return found


def check_unchanged(path: Path, content: bytes, sha256: str) -> None:
    """Raise LabelError where a file is no longer what it was when the recipe was read."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise LabelError(f"{path} has changed: its sha256 is no longer {sha256}")
