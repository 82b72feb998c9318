"""Words of the seed and of the random streams of a table, as kernels take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.light_curves.families.family import object_stream
from deepbench.numerics import streams

if TYPE_CHECKING:
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.tables import Table


class TableStreams:
    """The random streams of a table.

    Attributes
    ----------
    key : uint32[2]
        Words of the seed.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self.key = np.array(streams.key_words(table.seed), np.uint32)

    def words(self, name: str) -> NDArray[np.uint32]:
        """Return the words of a stream, which is named without the table, uint32[2]."""
        return np.array(streams.stream_words(self._table.stream(name)), np.uint32)

    def of_object(self, columns: ObjectColumns, name: str) -> NDArray[np.uint32]:
        """Return the words of a stream of an object, uint32[2]."""
        return self.words(object_stream(columns.class_name, columns.name, name))
