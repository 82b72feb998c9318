"""The table of a part: labels and digests of a block, one row per sample, the copies of repeated objects as lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table

OBJECTS = "objects"
"""Column with the copies of each sample's repeated objects."""


def part_table(table: Table[Any], labels: Labels, digests: dict[str, pa.Array]) -> pa.Table:
    """Return labels and columns of digests as the table of a part."""
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
    return pa.table(data | digests)


def flatten(part: pa.Table) -> pa.Table:
    """Return the copies of repeated objects of a part as rows, with their sample numbers."""
    lists = part.column(OBJECTS).combine_chunks()
    copies = pc.list_flatten(lists)
    samples = part.column("id").combine_chunks().take(pc.list_parent_indices(lists))
    columns = {"sample": samples}
    columns |= {field.name: copies.field(i) for i, field in enumerate(copies.type)}
    return pa.table(columns)
