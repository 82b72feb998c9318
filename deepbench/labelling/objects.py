"""From labels to objects: the columns of the objects of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.labelling.scopes import scope_of
from deepbench.language.one_of import names_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepbench.labelling.scopes import Labels


class ObjectColumns(NamedTuple):
    """The objects of one entry of a class, and the columns of their values.

    Attributes
    ----------
    name : str
        Name of the object, with which the names of its columns begin.
    class_name : str
        Name of the class.
    entry : NamedOneOf
        What the recipe says of it.
    samples : int64[k]
        Rows of the samples that have it, once for each copy.
    copies : int64[k]
        Number of the copy.
    rows : int64[k]
        Rows of its values: in the labels' columns, or in the table of objects where it repeats.
    columns : dict of str to ndarray
        Its values by their names inside the object.
    """

    name: str
    class_name: str
    entry: Any
    samples: NDArray[np.int64]
    copies: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: dict[str, NDArray]

    @property
    def repeated(self) -> bool:
        """Whether each copy has a row in the table of objects."""
        return self.entry.repeat is not None


def object_columns(
    table: Any, labels: Labels, chosen: Callable[[Any], bool]
) -> list[ObjectColumns]:
    """Return the objects and their columns, for each entry of a table's classes that is chosen, in written order.

    Parameters
    ----------
    table : TableSpecification
        With ``classes``, each with ``objects``.
    labels : Labels
    chosen : callable
        Says of an entry whether it is wanted.
    """
    found = []
    for code, (class_name, described) in enumerate(table.classes.items()):
        names = names_of(described.objects)
        for name, entry in zip(names, described.objects, strict=True):
            if not chosen(entry):
                continue
            if entry.repeat is None:
                samples = rows = labels.members(code)
                held, prefix, copies = labels.columns, f"{name}.", np.zeros(len(rows), np.int64)
            else:
                rows, samples = labels.copies(name, code)
                held, prefix, copies = labels.objects, "", labels.objects["copy"][rows]
            values = scope_of(entry.chosen, name, ()).values
            columns = {field: held[prefix + field][rows] for field in values}
            found.append(ObjectColumns(name, class_name, entry, samples, copies, rows, columns))
    return found
