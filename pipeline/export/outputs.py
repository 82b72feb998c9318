"""Files that arrays are exported to, Zarr or netCDF: there whole, or not at all.

Arrays have one dimension and are appended to. What is held of each is one piece.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from deepbench.errors import ExportError, install
from pipeline import encoding
from pipeline.target import FolderTarget
from pipeline.target.base import TEMPORARY
from pipeline.target.folder import force_to_disk

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 2**16
"""Number of values in a chunk."""

PIECE = 2**21
"""Number of values that are written at a time, a shard of Zarr: a multiple of ``CHUNK``."""


@dataclass
class _Column:
    """The last values of an array, which are held, and how many have been written before them."""

    size: int
    dtype: np.dtype
    written: int = 0
    filled: int = 0
    piece: NDArray | None = None


class Output(ABC):
    """A file that is being written."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}

    def create(
        self, name: str, dimension: str, size: int, dtype: np.dtype, attributes: dict[str, Any]
    ) -> None:
        """Add an array, which is then filled by ``append``."""
        self._columns[name] = _Column(size, dtype)
        self._create(name, dimension, size, dtype, attributes)

    def append(self, name: str, values: NDArray) -> None:
        """Add the next values of an array."""
        column = self._columns[name]
        while len(values):
            if column.piece is None:
                column.piece = np.empty(min(PIECE, column.size - column.written), column.dtype)
            some = values[: len(column.piece) - column.filled]
            column.piece[column.filled : column.filled + len(some)] = some
            column.filled += len(some)
            values = values[len(some) :]
            if column.filled == len(column.piece):
                self._write(name, column.written, column.piece)
                column.written += column.filled
                column.filled, column.piece = 0, None

    @abstractmethod
    def _create(
        self, name: str, dimension: str, size: int, dtype: np.dtype, attributes: dict[str, Any]
    ) -> None:
        """Add an array of that size."""

    @abstractmethod
    def _write(self, name: str, start: int, values: NDArray) -> None:
        """Write values of an array from index ``start`` on, a multiple of ``PIECE``."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left, and let go of the file."""


class ZarrOutput(Output):
    """A folder with a Zarr store of version 3, with consolidated metadata."""

    def __init__(self, path: Path, attributes: dict[str, Any]) -> None:
        super().__init__()
        self._store = zarr.storage.LocalStore(path)
        self._root = zarr.create_group(self._store, attributes=attributes)

    def _create(
        self, name: str, dimension: str, size: int, dtype: np.dtype, attributes: dict[str, Any]
    ) -> None:
        chunk = _chunk(size)
        encoding.create_array(
            self._root,
            name,
            (size,),
            dtype,
            chunks=(chunk,),
            shards=(min(PIECE, -(-size // chunk) * chunk or chunk),),
            dimensions=(dimension,),
            attributes=attributes,
        )

    def _write(self, name: str, start: int, values: NDArray) -> None:
        with encoding.single_threaded():
            self._root[name][start : start + len(values)] = values  # type: ignore[index]

    def close(self) -> None:
        """Consolidate the metadata."""
        encoding.consolidate(self._store)


class NetcdfOutput(Output):
    """A file of netCDF 4."""

    def __init__(self, path: Path, attributes: dict[str, Any]) -> None:
        import h5netcdf

        super().__init__()
        self._file = h5netcdf.File(path, "w")
        self._file.attrs.update(attributes)

    def _create(
        self, name: str, dimension: str, size: int, dtype: np.dtype, attributes: dict[str, Any]
    ) -> None:
        if dimension not in self._file.dimensions:
            self._file.dimensions[dimension] = size
        array = self._file.create_variable(
            name,
            (dimension,),
            dtype,
            chunks=(_chunk(size),),
            compression="gzip",
            compression_opts=4,
            shuffle=True,
            fillvalue=np.nan if dtype.kind == "f" else None,
        )
        for key, value in attributes.items():  # codes are of the type of the variable
            array.attrs[key] = np.asarray(value, dtype) if isinstance(value, list) else value

    def _write(self, name: str, start: int, values: NDArray) -> None:
        self._file.variables[name][start : start + len(values)] = values

    def close(self) -> None:
        """Close the file."""
        self._file.close()


FORMATS: dict[str, type[ZarrOutput] | type[NetcdfOutput]] = {
    ".zarr": ZarrOutput,
    ".nc": NetcdfOutput,
}
"""Writers of files by their ending."""


def _chunk(size: int) -> int:
    return max(1, min(CHUNK, size))


@contextlib.contextmanager
def writing(path: str, attributes: dict[str, Any]) -> Iterator[Output]:
    """Open a new file; it gets its name when the block ends well, and disappears when it does not.

    Parameters
    ----------
    path : str
        Path of the file; its ending, one of ``FORMATS``, chooses how it is written.
    attributes : dict of str to str
        Attributes of the whole file.

    Raises
    ------
    ExportError
        As ``check_path``; or another process writes the file.
    """
    check_path(path)
    final = Path(path)
    folder = FolderTarget(str(final.parent))
    partial = final.with_name(f".{final.name}{TEMPORARY}")
    with folder.lock(f".{final.name}.lock") as hold:
        if hold is None:
            raise ExportError(f"another process writes '{path}'; wait for it, or name another file")
        _check_absent(path)
        folder.remove(partial.name)  # of an export that was killed
        try:
            with contextlib.closing(FORMATS[final.suffix](partial, attributes)) as output:
                yield output
            _settle(partial)
            _check_absent(path)
            partial.rename(final)
            force_to_disk(final.parent)
        finally:
            folder.remove(partial.name)


def check_path(path: str) -> None:
    """Refuse what cannot be written.

    Raises
    ------
    ExportError
        It is in no local folder, exists already, or needs a package that is not installed.
    """
    final = Path(path)
    if "://" in path:
        raise ExportError(f"'{path}' must be a local file; copy it from there")
    if not final.parent.is_dir():
        raise ExportError(f"cannot write '{path}': there is no folder '{final.parent}'; make it")
    _check_absent(path)
    if FORMATS[final.suffix] is NetcdfOutput:
        try:
            import h5netcdf  # noqa: F401
            import h5py  # noqa: F401
        except ImportError:
            raise ExportError(
                "files that end with .zarr need no other package; those that end with .nc do, install them with: "
                + install("netcdf")
            ) from None


def _check_absent(path: str) -> None:
    if os.path.lexists(path):
        raise ExportError(f"'{path}' exists already; remove it, or name another file")


def _settle(path: Path) -> None:
    """Force a file, or a folder with all that is in it, to the disk."""
    for each in (*path.rglob("*"), path):
        force_to_disk(each)
