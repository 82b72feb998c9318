"""Folders that ``datasets.load_dataset`` reads: Parquet by table and split, with features, and a card.

Written by pyarrow: floating-point numbers are split into streams of bytes and compressed by zstd, which makes noisy
images smaller than HF's own writer does. A file has at most ``FILE_BYTES`` of data, a row group ``GROUP_BYTES``.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deepbench.errors import ExportError
from pipeline.export.checks import compare
from pipeline.export.hugging_face_card import CARD, card, coordinates, feature_of, label_feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.arrays import DataVariable
    from pipeline.export.request import Request
    from pipeline.export.view import View

GROUP_BYTES = 2**26
"""Bytes of data in a row group, unless a row has more."""

GROUP_ROWS = 2**17
"""Most rows in a row group."""

FILE_BYTES = 2**29
"""Bytes of data in a file, about."""

MOST_DIMENSIONS = 5
"""Largest number of dimensions of an array of ``datasets``, without that of the samples."""

PREVIEW = "preview"
"""Column with pictures."""

COORDINATES = "coordinates.json"
"""File with the coordinates of each table."""

PICTURED = 1024
"""Number of samples that decide which values are black and which white in pictures."""

SHOWN = (0.01, 0.995)
"""Quantiles that are black and white in pictures."""


def write_folder(request: Request) -> None:
    """Write tables into a folder: ``<table>/<split>-00000-of-00001.parquet``, card and coordinates."""
    request.path.mkdir()
    layouts = [_Layout(view, request.preview) for view in request.views]
    for layout in layouts:
        layout.write(request)
    configs = {each.view: (each.features, each.counts) for each in layouts}
    (request.path / CARD).write_text(card(configs), encoding="utf-8")
    text = json.dumps(coordinates(request.views), indent=1, ensure_ascii=False)
    (request.path / COORDINATES).write_text(f"{text}\n", encoding="utf-8")


def read_folder(request: Request) -> None:
    """Compare a folder of ``write_folder`` with the release."""
    for view in request.views:
        for split, part in view.parts().items():
            compare(part, _pieces(request.path / view.name, split, part), request.report)


def _pieces(folder: Path, split: str, view: View) -> Iterator[tuple[str, NDArray]]:
    """Yield labels and variables of a split, one row group at a time."""
    dtypes = {each.name: each.dtype for each in view.labels}
    for path in sorted(folder.glob(f"{split}-[0-9]*-of-[0-9]*.parquet")):
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                for name, dtype in dtypes.items():
                    yield name, rows.column(name).to_numpy().astype(dtype, copy=False)
                for variable in view.variables:
                    values = rows.column(variable.name).combine_chunks()
                    for _ in variable.shape:
                        values = values.flatten()
                    shape = (len(rows), *variable.shape)
                    yield variable.name, values.to_numpy(zero_copy_only=False).reshape(shape)


class _Layout:
    """How a table is cut into files and row groups.

    Parameters
    ----------
    view : View
    preview : bool
        Whether there is a column of pictures.

    Raises
    ------
    ExportError
        A variable has too many dimensions, a column has the name of the pictures, or there is nothing to picture.
    """

    def __init__(self, view: View, preview: bool) -> None:
        self.view = view
        for variable in view.variables:
            if len(variable.shape) > MOST_DIMENSIONS:
                raise ExportError(
                    f"'{variable.name}' in {view} has {len(variable.shape)} dimensions, and arrays of Hugging Face "
                    f"datasets have at most {MOST_DIMENSIONS}; export HDF5 (.h5)"
                )
        self._pictures = _Pictures(view) if preview else None
        self.features = {each.name: label_feature(each) for each in view.labels}
        self.features |= {each.name: feature_of(each) for each in view.variables}
        if self._pictures is not None:
            self.features = {PREVIEW: {"_type": "Image"}} | self.features
        self.parts = view.parts()
        self.counts = {
            split: (part.samples, part.samples * self._row_bytes)
            for split, part in self.parts.items()
        }

    @property
    def _row_bytes(self) -> int:
        return self.view.sample_bytes + 8 * len(self.view.labels)

    @cached_property
    def schema(self) -> pa.Schema:
        """Fields of the Parquet files, with the features as ``datasets`` has them."""
        fields = [
            pa.field(each.name, pa.int64() if each.dtype.kind == "i" else pa.float64())
            for each in self.view.labels
        ]
        fields += [pa.field(each.name, _type(each)) for each in self.view.variables]
        if self._pictures is not None:
            fields.insert(0, pa.field(PREVIEW, _Pictures.TYPE))
        described = json.dumps({"info": {"features": self.features}})
        return pa.schema(fields, metadata={"huggingface": described})

    def write(self, request: Request) -> None:
        """Write the files of all splits, reading the release once."""
        folder = request.path / self.view.name
        folder.mkdir()
        codes = {name: code for code, name in enumerate(self.view.columns(["split"])[0].meanings)}
        with contextlib.ExitStack() as stack:
            writers = {
                codes[split]: stack.enter_context(
                    contextlib.closing(_SplitWriter(folder, split, part.samples, self))
                )
                for split, part in self.parts.items()
            }
            for start, stop, block in self.view.read_blocks():
                of_split = self.view.read_labels(start, stop, ("split",))["split"]
                columns = self.view.read_labels(start, stop) | block
                for code, writer in writers.items():
                    chosen = of_split == code
                    if chosen.all():
                        writer.add(self.rows(columns))
                    elif chosen.any():
                        writer.add(
                            self.rows({name: each[chosen] for name, each in columns.items()})
                        )
                request.report("writing", stop, self.view.samples)

    def rows(self, columns: dict[str, NDArray]) -> pa.Table:
        """Return samples as rows."""
        shapes = {each.name: each.shape for each in self.view.variables}
        arrays = {
            name: _nested(values, shapes[name])
            if name in shapes
            else pa.array(values).cast(self.schema.field(name).type)
            for name, values in columns.items()
        }
        if self._pictures is not None:
            arrays[PREVIEW] = self._pictures.draw(columns)
        return pa.Table.from_arrays(
            [arrays[name] for name in self.schema.names], schema=self.schema
        )

    @property
    def group_rows(self) -> int:
        """Number of rows in a row group."""
        return max(1, min(GROUP_ROWS, GROUP_BYTES // self._row_bytes))

    @property
    def file_rows(self) -> int:
        """Number of rows in a file: whole row groups."""
        return max(1, FILE_BYTES // (self.group_rows * self._row_bytes)) * self.group_rows

    def open(self, file: Path) -> pq.ParquetWriter:
        """Open a file."""
        paths = {each.name: each.dtype for each in self.view.labels}
        for each in self.view.variables:
            paths[each.name + ".list.element" * len(each.shape)] = np.dtype(each.dtype)
        floats = [path for path, dtype in paths.items() if dtype.kind == "f"]
        return pq.ParquetWriter(
            file,
            self.schema,
            compression="zstd",
            use_dictionary=[path for path in paths if path not in floats],
            use_byte_stream_split=floats,
            write_statistics=[each.name for each in self.view.labels],
        )


class _SplitWriter:
    """Writes the rows of a split into as many files as it takes."""

    def __init__(self, folder: Path, split: str, rows: int, layout: _Layout) -> None:
        self._layout, self._count = layout, -(-rows // layout.file_rows)
        self._folder, self._split, self._number = folder, split, 0
        self._held: list[pa.Table] = []
        self._file: pq.ParquetWriter | None = None
        self._written = 0

    def add(self, rows: pa.Table) -> None:
        """Add rows; whole row groups are written."""
        self._held.append(rows)
        size = self._layout.group_rows
        if sum(map(len, self._held)) >= size:
            table = pa.concat_tables(self._held)
            whole = len(table) - len(table) % size
            for start in range(0, whole, size):
                self._write(table.slice(start, size))
            self._held = [table.slice(whole)] if whole < len(table) else []

    def _write(self, group: pa.Table) -> None:
        if self._file is None:
            name = f"{self._split}-{self._number:05d}-of-{self._count:05d}.parquet"
            self._file, self._written = self._layout.open(self._folder / name), 0
            self._number += 1
        self._file.write_table(group, row_group_size=self._layout.group_rows)
        self._written += len(group)
        if self._written >= self._layout.file_rows:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Write what is left."""
        if self._held:
            self._write(pa.concat_tables(self._held))
            self._held = []
        if self._file is not None:
            self._file.close()


def _type(variable: DataVariable) -> pa.DataType:
    """Return the type of a variable's column: what ``datasets`` stores its features in."""
    kind = pa.from_numpy_dtype(np.dtype(variable.dtype))
    if len(variable.shape) == 1:
        return pa.list_(kind, variable.shape[0])
    for _ in variable.shape:
        kind = pa.list_(kind)
    return kind


def _nested(values: NDArray, shape: tuple[int, ...]) -> pa.Array:
    """Return arrays of one shape as nested lists."""
    found = pa.array(values.reshape(-1))
    if len(shape) == 1:
        return pa.FixedSizeListArray.from_arrays(found, shape[0])
    for size in reversed(shape):
        offsets = np.arange(0, len(found) + 1, size, dtype=np.int32)
        found = pa.ListArray.from_arrays(pa.array(offsets), found)
    return found


class _Pictures:
    """Pictures of 8 bits of the first plane of a table, for eyes alone: one scale for all of them.

    Raises
    ------
    ExportError
        The table has no planes.
    """

    TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

    def __init__(self, view: View) -> None:
        planes = [each for each in view.variables if each.dimensions[-2:] == ("y", "x")]
        if not planes:
            names = ", ".join(each.name for each in view.variables)
            raise ExportError(
                f"{view} has nothing to picture: none of {names} has the dimensions y and x; leave out `preview`"
            )
        self._name = planes[0].name
        start, stop = next(view.blocks())
        first = self._planes(view.read(self._name, start, min(stop, start + PICTURED)))
        self._low, self._high = np.nanquantile(first, SHOWN)

    def _planes(self, values: NDArray) -> NDArray:
        """Return the first plane of each sample, y upwards."""
        return values.reshape(len(values), -1, *values.shape[-2:])[:, 0, ::-1]

    def draw(self, columns: dict[str, NDArray]) -> pa.Array:
        """Return the pictures of samples."""
        from PIL import Image

        scale = 255 / (self._high - self._low) if self._high > self._low else 0.0
        grey = np.clip((self._planes(columns[self._name]) - self._low) * scale, 0, 255)
        found = []
        for plane in np.nan_to_num(grey).astype(np.uint8):
            file = io.BytesIO()
            Image.fromarray(plane).save(file, "png")
            found.append({"bytes": file.getvalue(), "path": None})
        return pa.array(found, self.TYPE)
