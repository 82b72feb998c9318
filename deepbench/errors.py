"""Every error that DeepBench raises on purpose.

Each message says what is wrong, with which value, what is allowed and how to mend it. All of them are
``DeepBenchError`` and also the built-in class a caller would expect; the values named in a message are kept as
attributes, and they survive pickling, because most of them travel from a Dask worker to the user.
"""

from __future__ import annotations

import errno
import shlex
import sys
from dataclasses import dataclass
from typing import Any

PROBLEMS = 100
"""Largest number of problems of a recipe that a message tells."""

EXTRAS = {
    "fits": ("astropy>=6",),
    "netcdf": ("h5netcdf>=1.3", "h5py>=3.11"),
    "s3": ("obstore>=0.6",),
    "torch": ("torch>=2.6",),
}
"""Packages that only some users need, by the extra of ``pyproject.toml`` that installs them."""


class DeepBenchError(Exception):
    """Base of all errors of DeepBench. ``values`` become attributes of the error.

    Examples
    --------
    >>> try:                                                       # doctest: +SKIP
    ...     deepbench.load_recipe("mine.yaml")
    ... except deepbench.DeepBenchError as error:
    ...     print(error)
    """

    def __init__(self, message: str, **values: Any) -> None:
        super().__init__(message)
        self.__dict__.update(values)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe, and where it stands.

    Attributes
    ----------
    message : str
        What is wrong, what is allowed, and the nearest valid spelling where there is one.
    path : tuple of str or int
        The steps from the top of the document, such as ``("tables", "images", "size", 0)``.
    line, column : int
        Position in the file, counted from 1; 0 where it is unknown.
    file : str
        The file, where it is another than the recipe's: one that the recipe extends.
    """

    message: str
    path: tuple[str | int, ...] = ()
    line: int = 0
    column: int = 0
    file: str = ""

    def describe(self, file: str) -> str:
        """Return ``file:line:column: path: message``, without the parts that are unknown."""
        file = self.file or file
        position = f"{file}:{self.line}:{self.column}" if self.line else file
        where = ".".join(str(step) for step in self.path)
        return f"{position}: {where}: {self.message}" if where else f"{position}: {self.message}"


class RecipeError(DeepBenchError, ValueError):
    """A recipe is not valid. ``problems`` holds every problem found, ``file`` the recipe's name."""

    file: str
    problems: tuple[Problem, ...]

    @classmethod
    def from_problems(cls, file: str, problems: list[Problem]) -> RecipeError:
        """Return one error that tells all problems of a recipe, in the order of its file, then of other files."""
        ordered = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
        message = "\n".join(problem.describe(file) for problem in ordered[:PROBLEMS])
        if len(ordered) > PROBLEMS:
            message += f"\n{file}: and {len(ordered) - PROBLEMS:,} more problems"
        return cls(message, file=file, problems=ordered)


class ExpressionError(DeepBenchError, ValueError):
    """An expression of a recipe does not follow the grammar or cannot be evaluated."""


class StreamError(DeepBenchError, ValueError):
    """A random stream was asked for a seed, sample or element outside its range, or two streams collide."""


class LabelError(DeepBenchError, ValueError):
    """A label lies outside the range of its parameter, or a table of labels does not fit the recipe."""

    @classmethod
    def of_sample(cls, table: str, sample: int, message: str, **values: Any) -> LabelError:
        """Return the error about one sample of a table; ``table``, ``sample`` and further values are its attributes."""
        text = f"table '{table}', sample {sample}: {message}"
        return cls(text, table=table, sample=int(sample), **values)


class RangeWarning(UserWarning):
    """A label that a user gives lies beyond what the recipe can draw."""


class InputWarning(UserWarning):
    """A file that a recipe names holds what may not be meant; the message has the number."""


class PlanError(DeepBenchError, ValueError):
    """A build cannot fit into the memory or on the disk it was given."""


class CatalogError(DeepBenchError, LookupError):
    """A release, a version or a table is not in the catalog, or the catalog cannot be used."""


class ReleaseError(DeepBenchError):
    """A release is damaged, of another format, or would have to change although releases never do."""


class MissingDataError(ReleaseError, FileNotFoundError):
    """A file that the manifest lists is not there; ``path`` names it."""

    @classmethod
    def of(cls, path: object) -> MissingDataError:
        """Return the error about a missing file."""
        return cls(
            f"{path} is missing from the release; mend it with `deepbench repair`, or restore it from a copy",
            path=str(path),
        )


class StorageError(DeepBenchError, OSError):
    """An object store does not answer as it should; nothing is known of what it holds."""


class LoadingError(DeepBenchError, ValueError):
    """Samples cannot be loaded for training as it is asked."""


class ExportError(DeepBenchError, ValueError):
    """A table cannot be exported, or not into the file that was named."""


class PredictionError(DeepBenchError, ValueError):
    """Predictions cannot be read, or are not of the samples that are scored."""


class ClusterError(DeepBenchError, RuntimeError):
    """The Dask cluster cannot be reached, or its workers cannot do the work."""


class BuildError(DeepBenchError, RuntimeError):
    """Blocks of a build failed; what was finished is kept. ``failures`` names them."""

    @classmethod
    def of_full_disk(cls) -> BuildError:
        """Return the error about a full disk."""
        return cls(
            "the disk is full; what was finished is kept: make room, then run the same command again"
        )


def refuse_optimized() -> None:
    """Refuse a Python that leaves out assertions: zarr then cannot read the metadata that it wrote.

    Raises
    ------
    ReleaseError
        It does.
    """
    if not __debug__:
        raise ReleaseError(
            "Python runs with -O or PYTHONOPTIMIZE, with which zarr cannot read what it wrote; run it without"
        )


CHECKS = {
    errno.EACCES: "check who may read and write there",
    errno.EPERM: "check who may read and write there",
    errno.EROFS: "choose a disk that can be written",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EEXIST: "something else is there; name another",
    errno.EISDIR: "name a file",
    errno.ENOSPC: "make room, then run the same command again",
    errno.EDQUOT: "make room, then run the same command again",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
"""Advice to the user by the number of the system's error."""


def advice(error: OSError) -> str:
    """Return what the system, or an object store, refused, and what to check."""
    if error.errno is None or not error.strerror:
        return str(error)  # of an object store, whose errors say what to check
    where = "" if error.filename is None else f"{error.filename}: "
    remedy = CHECKS.get(error.errno, "check the disk, or the connection to it")
    return f"{where}{error.strerror}; {remedy}"


def is_full_disk(error: BaseException) -> bool:
    """Return whether the system raised an error because the disk is full, or the user's quota of it."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def install(extra: str) -> str:
    """Return the command that installs the packages of an extra, for a clone and a wheel alike."""
    return shlex.join([sys.executable, "-m", "pip", "install", *EXTRAS[extra]])
