"""New files and folders: there whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from deepbench.errors import ExportError
from pipeline.target import FolderTarget
from pipeline.target.base import TEMPORARY
from pipeline.target.folder import force_to_disk

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the system's errors when the disk is full, or the user's quota of it."""

LONG = (errno.EFBIG,)
"""Number of the system's error when a file would be longer than it may be."""


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
            other = "a shorter name" if error.errno == errno.ENAMETOOLONG else "another folder"
            raise ExportError(f"cannot write '{path}': {error.strerror}; choose {other}") from error
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
            if _is_one(error, LONG):
                raise ExportError(
                    f"'{path}' would be longer than a file may be on its disk, or by `ulimit -f`; nothing is left of "
                    "it: name a file elsewhere, or export fewer samples"
                ) from error
            if not _is_one(error, FULL):
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
    if os.path.lexists(path.rstrip("/") or "/"):  # of a link to nothing, not where it leads
        raise ExportError(f"'{path}' exists already; remove it, or name another file")


def _is_one(error: BaseException | None, numbers: tuple[int, ...]) -> bool:
    """Return whether an error, or one that it came from, is one of the system's; libraries tell some in words alone."""
    words = [word for each in numbers for word in (os.strerror(each), f"errno = {each}")]
    while error is not None:
        if getattr(error, "errno", None) in numbers or any(each in str(error) for each in words):
            return True
        error = error.__cause__ or error.__context__
    return False
