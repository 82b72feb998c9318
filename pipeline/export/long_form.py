"""Light curves in long form, one row for each observation that is there, in CSV and Parquet.

Columns are the sample's number, ``id``, then the labels that were asked for by name, the time, and what was observed;
bands are names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from pipeline.export.checks import Digests
from pipeline.export.ragged import RaggedCurves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.export.request import Request

ROWS = 2**20
"""Number of rows in a row group of Parquet."""


class _LongForm:
    """The columns of a table of light curves in long form."""

    def __init__(self, request: Request) -> None:
        self.curves = RaggedCurves(request.view)
        view = request.view
        wanted = () if view.selection.labels is None else view.selection.labels
        self.labels = [each for each in view.labels if each.name == "id" or each.name in wanted]
        self.others = tuple(each.name for each in self.labels)
        self.meanings = {each.name: each.meanings for each in self.labels if each.meanings}
        for name in self.curves.names:
            words = self.curves.attributes(name)
            if "flag_values" in words:
                self.meanings[name] = tuple(words["flag_meanings"].split())
        self.dtypes = {each.name: each.dtype for each in self.labels}
        self.dtypes |= {name: self.curves.dtype(name) for name in self.curves.names}

    def schema(self, *, dictionaries: bool) -> pa.Schema:
        """Return the fields with unit and description; names as dictionaries or as texts."""
        notes: dict[str, dict[str, str]] = {
            each.name: {"unit": each.unit, "description": each.description} for each in self.labels
        }
        for name in self.curves.names:
            words = self.curves.attributes(name)
            notes[name] = {"unit": words.get("units", "1"), "description": words["long_name"]}
            if name == "time":
                further = ("time_scale", "reference_julian_date")
                notes[name] |= {key: str(words[key]) for key in further if key in words}
        text = pa.dictionary(pa.int16(), pa.string()) if dictionaries else pa.string()
        fields = [
            pa.field(
                name,
                text if name in self.meanings else pa.from_numpy_dtype(dtype),
                metadata=notes[name],
            )
            for name, dtype in self.dtypes.items()
        ]
        return pa.schema(fields, metadata=self.curves.view.attributes())

    def blocks(self, request: Request, schema: pa.Schema) -> Iterator[pa.Table]:
        """Yield the rows of each block."""
        for start, stop, owners, columns in self.curves.blocks(request.report):
            labels = self.curves.view.read_labels(start, stop, self.others)
            found = {name: labels[name][owners - start] for name in self.others} | columns
            arrays = [
                self._named(name, found[name]).cast(schema.field(name).type)
                if name in self.meanings
                else pa.array(found[name])
                for name in self.dtypes
            ]
            yield pa.Table.from_arrays(arrays, schema=schema)

    def _named(self, name: str, codes: NDArray) -> pa.Array:
        """Return names instead of codes; nothing where a code has no meaning."""
        known = pa.array(codes.astype(np.int16), mask=codes < 0)
        return pa.DictionaryArray.from_arrays(known, pa.array(self.meanings[name]))

    def compare(self, batches: Any, request: Request) -> None:
        """Compare rows that were read back with the release."""
        found = Digests()
        for batch in batches:
            for name, dtype in self.dtypes.items():
                column = batch.column(name)
                if name in self.meanings:
                    codes = pc.index_in(column.cast(pa.string()), pa.array(self.meanings[name]))
                    column = pc.fill_null(codes, -1)
                found.update(name, column.to_numpy(zero_copy_only=False).astype(dtype, copy=False))
        self.curves.compare(found, request.report, *self.others)


def write_csv(request: Request) -> dict[str, int]:
    """Write light curves as CSV; numbers read back exactly."""
    form, rows = _LongForm(request), 0
    schema = form.schema(dictionaries=False)
    with pcsv.CSVWriter(str(request.path), schema) as writer:
        for table in form.blocks(request, schema):
            writer.write_table(table)
            rows += len(table)
    return {"light curves": request.view.samples, "observations": rows}


def read_csv(request: Request) -> None:
    """Compare a file of ``write_csv`` with the release."""
    form = _LongForm(request)
    schema = form.schema(dictionaries=False)
    types = {name: schema.field(name).type for name in schema.names}
    options = pcsv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True)
    with pcsv.open_csv(request.path, convert_options=options) as reader:
        form.compare(reader, request)


def write_parquet(request: Request) -> dict[str, int]:
    """Write light curves as Parquet, in row groups of ``ROWS``."""
    form, rows = _LongForm(request), 0
    schema = form.schema(dictionaries=True)
    floats = [name for name, dtype in form.dtypes.items() if dtype.kind == "f"]
    with pq.ParquetWriter(
        request.path,
        schema,
        compression="zstd",
        use_dictionary=[name for name in schema.names if name not in floats],
        use_byte_stream_split=floats,
    ) as writer:
        held: list[pa.Table] = []
        for table in form.blocks(request, schema):
            held.append(table)
            rows += len(table)
            if sum(map(len, held)) >= ROWS:
                writer.write_table(pa.concat_tables(held), row_group_size=ROWS)
                held = []
        if held:
            writer.write_table(pa.concat_tables(held), row_group_size=ROWS)
    return {"light curves": request.view.samples, "observations": rows}


def read_parquet(request: Request) -> None:
    """Compare a file of ``write_parquet`` with the release."""
    with pq.ParquetFile(request.path, pre_buffer=False) as file:
        _LongForm(request).compare(file.iter_batches(), request)
