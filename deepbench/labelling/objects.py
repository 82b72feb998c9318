"""From labels to objects: the columns of the objects of each class."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.labelling.scopes import VARIABLE, VARIABLES, scope_of
from deepbench.language.one_of import names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from deepbench.labelling.plan import LabelPlan
    from deepbench.labelling.scopes import Labels, Scope
    from deepbench.language.one_of import NamedOneOf
    from deepbench.language.specification import Parameter


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
        """Flag of objects that repeat: each copy has a row in the table of objects."""
        return self.entry.repeat is not None


def object_scopes(
    class_name: str,
    objects: Sequence[NamedOneOf],
    measured: Callable[[Any], Mapping[str, Parameter]] | None = None,
) -> Iterator[Scope]:
    """Yield the scope of each object of a class, in written order.

    Parameters
    ----------
    class_name : str
    objects : sequence of NamedOneOf
        The class's ``objects``.
    measured : callable, optional
        Returns the labels of an entry that are measured.
    """
    for index, (name, entry) in enumerate(zip(names_of(objects), objects, strict=True)):
        path = ("classes", class_name, "objects", index, entry.kind)
        scope = scope_of(entry.chosen, name, path, class_name, getattr(entry, "repeat", None))
        labels = {} if measured is None else measured(entry)
        copied = {
            f"{VARIABLES}.{key}": value
            for key, value in (getattr(entry, "variables", None) or {}).items()
        }
        yield replace(
            scope,
            values={**copied, **scope.values},
            parameters={**dict.fromkeys(copied, VARIABLE), **scope.parameters},
            measured=labels,
            entry=entry,
        )


def object_columns(
    plan: LabelPlan, labels: Labels, chosen: Callable[[Any], bool]
) -> list[ObjectColumns]:
    """Return the objects and their columns, for each entry of a table's classes that is chosen, in written order.

    Parameters
    ----------
    plan : LabelPlan
        The table's.
    labels : Labels
    chosen : callable
        Says of an entry whether it is wanted.
    """
    found = []
    for scope in plan.scopes:
        if scope.entry is None or scope.class_name is None or not chosen(scope.entry):
            continue
        code = plan.classes.index(scope.class_name)
        if scope.repeat is None:
            samples = rows = labels.members(code)
            held, prefix, copies = labels.columns, f"{scope.name}.", np.zeros(len(rows), np.int64)
        else:
            rows, samples = labels.copies(scope.name, code)
            held, prefix, copies = labels.objects, "", labels.objects["copy"][rows]
        fields = (field for field in scope.values if not field.startswith(f"{VARIABLES}."))
        columns = {field: held[prefix + field][rows] for field in fields}
        found.append(
            ObjectColumns(scope.name, scope.class_name, scope.entry, samples, copies, rows, columns)
        )
    return found
