"""New files and folders: there whole, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from deepbench.errors import ExportError, is_full_disk
from pipeline.target import FolderTarget
from pipeline.target.base import TEMPORARY
from pipeline.target.folder import force_to_disk

FULL = ("No space left on device", "Disk quota exceeded", "errno = 28", "errno = 122")
"""Words of libraries that do not pass on the number of the system's error."""


@contextlib.contextmanager
def new_path(path: str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it gets that name when the block ends well, and disappears when not.

    Parameters
    ----------
    path : str
        A local file or folder that does not exist.

    Raises
    ------
    ExportError
        As ``check_path``; another process writes it, the folder cannot be written, or the disk is full.
    """
    check_path(path)
    final = Path(path)
    folder = FolderTarget(str(final.parent))
    partial = final.with_name(f".{final.name}{TEMPORARY}")
    with contextlib.ExitStack() as stack:
        try:
            hold = stack.enter_context(folder.lock(f".{final.name}.lock"))
        except OSError as error:
            raise ExportError(
                f"cannot write '{path}': {error.strerror}; choose another folder"
            ) from error
        if hold is None:
            raise ExportError(f"another process writes '{path}'; wait for it, or name another file")
        _check_absent(path)
        folder.remove(partial.name)  # of an export that was killed
        stack.callback(folder.remove, partial.name)
        try:
            yield partial
            for each in (*partial.rglob("*"), partial):
                force_to_disk(each)
        except (OSError, RuntimeError) as error:
            if not _is_full(error):
                raise
            raise ExportError(
                f"there is no room for '{path}' on its disk, and nothing is left of it: make room, or name a file "
                "elsewhere"
            ) from error
        _check_absent(path)
        partial.rename(final)
        force_to_disk(final.parent)


def check_path(path: str) -> None:
    """Refuse what cannot be written.

    Raises
    ------
    ExportError
        It is in no local folder, or exists already.
    """
    final = Path(path)
    if "://" in path:
        raise ExportError(f"'{path}' must be a local file; copy it from there")
    if not final.parent.is_dir():
        raise ExportError(f"cannot write '{path}': there is no folder '{final.parent}'; make it")
    _check_absent(path)


def _check_absent(path: str) -> None:
    if os.path.lexists(path.rstrip("/")):  # of a link to nothing, not where it leads
        raise ExportError(f"'{path}' exists already; remove it, or name another file")


def _is_full(error: BaseException | None) -> bool:
    """Return whether an error, or one that it came from, says that the disk is full."""
    while error is not None:
        if is_full_disk(error) or any(words in str(error) for words in FULL):
            return True
        error = error.__cause__ or error.__context__
    return False
