"""The table of a part: labels and digests of a block, one row per sample, the copies of repeated objects as lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deepbench.numerics.summaries import Sums
from deepbench.statistics import Tally

if TYPE_CHECKING:
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table

OBJECTS = "objects"
"""Column with the copies of each sample's repeated objects."""


EXACT = ("total", "squares")
"""Sums that are integers of any size."""

TALLY = b"tally"
"""Note of a part that holds the sums for its statistics."""


def part_table(
    table: Table[Any], labels: Labels, digests: dict[str, pa.Array], tally: Tally
) -> pa.Table:
    """Return labels and columns of digests as the table of a part; the sums for its statistics are a note."""
    data = {column.name: pa.array(labels.columns[column.name]) for column in table.plan.columns}
    if table.plan.object_columns:
        inner = table.plan.object_columns[1:]  # the sample is the row
        counts = np.bincount(
            np.searchsorted(labels.samples, labels.objects["sample"]), minlength=len(labels)
        )
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        copies = pa.StructArray.from_arrays(
            [pa.array(labels.objects[column.name]) for column in inner],
            names=[column.name for column in inner],
        )
        data[OBJECTS] = pa.ListArray.from_arrays(pa.array(offsets), copies)
    return pa.table(data | digests, metadata={TALLY: _packed(tally)})


def flatten(part: pa.Table) -> pa.Table:
    """Return the copies of repeated objects of a part as rows, with their sample numbers."""
    lists = part.column(OBJECTS).combine_chunks()
    copies = pc.list_flatten(lists)
    samples = part.column("id").combine_chunks().take(pc.list_parent_indices(lists))
    columns = {"sample": samples}
    columns |= {field.name: copies.field(i) for i, field in enumerate(copies.type)}
    return pa.table(columns)


def tally_of(part: pa.Table) -> Tally:
    """Return the sums for the statistics that a part holds."""
    packed = pa.ipc.open_stream(part.schema.metadata[TALLY]).read_all()
    tally = Tally(int(packed.schema.metadata[b"samples"]))
    for number in range(len(packed)):
        row = {name: packed.column(name)[number] for name in packed.schema.names}
        middles, counts = (row.pop(name).values.to_numpy() for name in ("middles", "counts"))
        plain = {name: each.as_py() for name, each in row.items()}
        exact = {name: plain.pop(name) for name in EXACT}
        plain |= {name: None if text is None else int(text, 16) for name, text in exact.items()}
        what, name = plain.pop("what"), plain.pop("name")
        if what == "class":
            tally.classes[name] = counts
            continue
        sums = Sums(**plain, middles=middles, counts=counts)
        if what == "label":
            tally.labels[name] = sums
        else:
            tally.variables.setdefault(name, []).append(sums)
    return tally


def _packed(tally: Tally) -> bytes:
    """Return sums as an Arrow stream, a row for each."""
    named = [
        *(("variable", name, each) for name, some in tally.variables.items() for each in some),
        *(("label", name, each) for name, each in tally.labels.items()),
        *(("class", name, Sums(counts=each)) for name, each in tally.classes.items()),
    ]
    sums = [vars(each) for _, _, each in named]
    columns = {key: [each[key] for each in sums] for key in vars(Sums())}
    for key in EXACT:
        columns[key] = [None if each is None else hex(each) for each in columns[key]]
    columns |= {"what": [each[0] for each in named], "name": [each[1] for each in named]}
    packed = pa.table(columns, metadata={"samples": str(tally.samples)})
    buffer = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(buffer, packed.schema, options=options) as stream:
        stream.write_table(packed)
    return buffer.getvalue().to_pybytes()
