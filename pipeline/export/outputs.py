"""Files that arrays are exported to, Zarr or netCDF, which is HDF5.

Arrays are appended to along their first dimension. What is held of each is one piece.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from deepbench.arrays import power_of_two
from deepbench.errors import ExportError, install
from deepbench.format import Layout
from pipeline import encoding

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 2**16
"""Number of values in a chunk."""

PIECE = 2**21
"""Number of values that are written at a time, a shard of Zarr: a multiple of ``CHUNK``."""


HELD = 2**26
"""Most bytes that HDF5 holds back before it writes them."""

METADATA = 2**18
"""Bytes of its metadata, about."""


@dataclass
class _Column:
    """The last rows of an array, which are held, and how many have been written before them.

    ``rows`` is the number in a piece; 0 where any number is written.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    rows: int
    written: int = 0
    filled: int = 0
    piece: NDArray | None = None


class Output(ABC):
    """A file that is being written."""

    def __init__(self, chunked: bool = True) -> None:
        self._columns: dict[str, _Column] = {}
        self._chunked = chunked

    def create(
        self,
        name: str,
        dimensions: tuple[str, ...],
        shape: tuple[int, ...],
        dtype: np.dtype,
        attributes: dict[str, Any],
    ) -> None:
        """Add an array, which is then filled by ``append``; its name may be a path that begins with a group."""
        cut = _cut(shape) if self._chunked else None
        self._columns[name] = _Column(shape, dtype, cut.shards[0] if cut else 0)
        self._create(name, dimensions, shape, dtype, attributes, cut)

    def append(self, name: str, values: NDArray) -> None:
        """Add the next values of an array. Pieces that are whole are written as they are, without a copy."""
        column = self._columns[name]
        while len(values):
            size = min(column.rows or len(values), column.shape[0] - column.written)
            if not column.filled and len(values) >= size:
                self._write(name, column.written, values[:size])
                column.written += size
                values = values[size:]
                continue
            if column.piece is None:
                column.piece = np.empty((size, *column.shape[1:]), column.dtype)
            some = values[: size - column.filled]
            column.piece[column.filled : column.filled + len(some)] = some
            column.filled += len(some)
            values = values[len(some) :]
            if column.filled == size:
                self._write(name, column.written, column.piece)
                column.written += size
                column.filled, column.piece = 0, None

    @abstractmethod
    def group(self, name: str, attributes: dict[str, Any]) -> None:
        """Add a group."""

    @abstractmethod
    def _create(
        self,
        name: str,
        dimensions: tuple[str, ...],
        shape: tuple[int, ...],
        dtype: np.dtype,
        attributes: dict[str, Any],
        cut: Layout | None,
    ) -> None:
        """Add an array, in one piece where there is no layout."""

    @abstractmethod
    def _write(self, name: str, start: int, values: NDArray) -> None:
        """Write values of an array from index ``start`` on, a multiple of the rows of its pieces."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left, and let go of the file."""

    @abstractmethod
    def abandon(self) -> None:
        """Give up what was written; the file is closed next."""

    @classmethod
    @abstractmethod
    def reading(cls, path: Path) -> contextlib.AbstractContextManager[Any]:
        """Open a file that was written: a mapping of arrays by their names."""


class ZarrOutput(Output):
    """A folder with a Zarr store of version 3, with consolidated metadata."""

    def __init__(self, path: Path, attributes: dict[str, Any]) -> None:
        super().__init__()
        self._store = zarr.storage.LocalStore(path)
        self._root = zarr.create_group(self._store, attributes=attributes)

    def group(self, name: str, attributes: dict[str, Any]) -> None:
        """Add a group."""
        self._root.create_group(name, attributes=attributes)

    def _create(
        self,
        name: str,
        dimensions: tuple[str, ...],
        shape: tuple[int, ...],
        dtype: np.dtype,
        attributes: dict[str, Any],
        cut: Layout | None,
    ) -> None:
        assert cut is not None
        encoding.create_array(
            self._root,
            name,
            shape,
            dtype,
            chunks=cut.chunks,
            shards=cut.shards,
            dimensions=dimensions,
            attributes=attributes,
        )

    def _write(self, name: str, start: int, values: NDArray) -> None:
        with encoding.single_threaded():
            self._root[name][start : start + len(values)] = values  # type: ignore[index]

    def abandon(self) -> None:
        """Give up what was written: nothing is to be done."""

    def close(self) -> None:
        """Consolidate the metadata."""
        encoding.consolidate(self._store)

    @classmethod
    @contextlib.contextmanager
    def reading(cls, path: Path) -> Iterator[Any]:
        """Open a store that was written: a mapping of arrays by their names."""
        yield zarr.open_group(path, mode="r")


class NetcdfOutput(Output):
    """A file of netCDF 4.

    Parameters
    ----------
    path : Path
    attributes : dict of str to str
    compress : bool
        Whether arrays are cut into chunks and compressed; else each is one piece.

    Raises
    ------
    ExportError
        It needs a package that is not installed.
    """

    def __init__(self, path: Path, attributes: dict[str, Any], compress: bool = True) -> None:
        try:
            import h5netcdf
            import h5py
        except ImportError:
            raise ExportError(
                "files that end with .zarr need no other package; those that end with .nc, .h5 or .hdf5 do, install "
                "them with: " + install("netcdf")
            ) from None
        super().__init__(chunked=compress)
        self._path, self._size = path, 0
        self._file = h5netcdf.File(path, "w")
        self._content = h5py.File(
            path, "r+"
        )  # of the same file: it holds arrays open, and their caches
        self._arrays: dict[str, h5py.Dataset] = {}
        self._file.attrs.update(attributes)

    def group(self, name: str, attributes: dict[str, Any]) -> None:
        """Add a group."""
        self._file.create_group(name).attrs.update(attributes)

    def _create(
        self,
        name: str,
        dimensions: tuple[str, ...],
        shape: tuple[int, ...],
        dtype: np.dtype,
        attributes: dict[str, Any],
        cut: Layout | None,
    ) -> None:
        self._size += math.prod(shape) * dtype.itemsize
        self._check_room(0)
        place, _, own = name.rpartition("/")
        group = self._file[place] if place else self._file
        for dimension, size in zip(dimensions, shape, strict=True):
            if dimension not in group.dimensions:
                group.dimensions[dimension] = size
        stored: dict[str, Any] = {}
        if cut is not None:
            chunks = tuple(max(1, min(each)) for each in zip(cut.chunks, shape, strict=True))
            stored = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
            stored |= {"chunks": chunks, "fillvalue": np.nan if dtype.kind == "f" else None}
        array = group.create_variable(own, dimensions, dtype, **stored)
        for key, value in attributes.items():  # codes are of the type of the variable
            array.attrs[key] = np.asarray(value, dtype) if isinstance(value, list) else value

    def _write(self, name: str, start: int, values: NDArray) -> None:
        self._check_room(values.nbytes)
        if name not in self._arrays:
            self._arrays[name] = self._content[name]
        self._arrays[name][start : start + len(values)] = values

    def close(self) -> None:
        """Close the file."""
        self._arrays.clear()
        self._content.close()
        self._file.close()

    def abandon(self) -> None:
        """Empty the file, so that a full disk has room for what HDF5 writes when it is closed."""
        os.truncate(self._path, 0)

    def _check_room(self, size: int) -> None:
        """Refuse to write so many bytes when the disk would be full, or the file longer than files may be here.

        HDF5 crashes when it finds it so itself.
        """
        needed = size + min(HELD, self._size + METADATA)
        if self._path.stat().st_size + needed > _longest_file():
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(self._path))
        if shutil.disk_usage(self._path.parent).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    @classmethod
    @contextlib.contextmanager
    def reading(cls, path: Path) -> Iterator[Any]:
        """Open a file that was written: a mapping of arrays by their names."""
        import h5py

        with h5py.File(path) as file:
            yield file


def _longest_file() -> float:
    """Return the length that a file may have here, in bytes."""
    try:
        import resource
    except ImportError:  # no POSIX
        return math.inf
    soft = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return math.inf if soft == resource.RLIM_INFINITY else soft


FORMATS: dict[str, type[ZarrOutput] | type[NetcdfOutput]] = {
    ".zarr": ZarrOutput,
    ".nc": NetcdfOutput,
    ".h5": NetcdfOutput,
    ".hdf5": NetcdfOutput,
}
"""Writers of files by their ending."""


def _cut(shape: tuple[int, ...]) -> Layout:
    """Return chunks and pieces of an array, the last cut along samples alone.

    A sample larger than a chunk is cut along its own axes, the first axis first.
    """
    samples, *edges = shape
    if not edges:
        chunk = max(1, min(CHUNK, samples))
        return Layout((chunk,), (min(PIECE, -(-samples // chunk) * chunk or chunk),))
    size = math.prod(edges)
    rows = power_of_two(PIECE / size)
    chunk_rows, rest = min(rows, power_of_two(CHUNK / size)), size
    for axis, edge in enumerate(edges):
        rest //= edge
        edges[axis] = min(edge, max(1, CHUNK // rest))
        if edges[axis] > 1:
            break
    whole = tuple(-(-edge // piece) * piece for edge, piece in zip(shape[1:], edges, strict=True))
    return Layout((chunk_rows, *edges), (rows, *whole))


@contextlib.contextmanager
def writing(
    ending: str, path: Path, attributes: dict[str, Any], compress: bool = True
) -> Iterator[Output]:
    """Open a new file for writing, as its ending, one of ``FORMATS``, says."""
    kind = FORMATS[ending]
    output = kind(path, attributes) if compress else NetcdfOutput(path, attributes, compress=False)
    with contextlib.closing(output):
        try:
            yield output
        except BaseException:
            output.abandon()
            raise
