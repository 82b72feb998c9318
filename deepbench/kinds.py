"""The kinds of tables: what each provides, and the one registry of them.

A kind is a package with a specification of its tables, which a recipe holds, and a module that renders them, which is
imported when the first sample is rendered.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from deepbench.dynamics.model import DynamicsTable
from deepbench.images.model.table import ImageTable
from deepbench.light_curves.model import LightCurveTable
from deepbench.sphere.model import SphereTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table, TableSpecification


class Renderer(Protocol):
    """A module that renders the tables of a kind."""

    def render(self, table: Table[Any], labels: Labels) -> tuple[dict[str, NDArray], Labels]:
        """Return the data variables of the samples that labels describe, ``sample`` first, and the labels with what was
        measured.
        """

    def measure(self, table: Table[Any], labels: Labels) -> Labels:
        """Return the labels with what is measured; only of kinds that can do so without rendering."""


@dataclass(frozen=True)
class Kind:
    """A kind of table.

    Attributes
    ----------
    specification : type
        What a recipe says of such a table.
    module : str
        Name of the module that renders it, a ``Renderer``.
    measures : bool
        Whether the module can measure labels without rendering.
    """

    specification: type[TableSpecification]
    module: str
    measures: bool = False

    def render(self, table: Table[Any], labels: Labels) -> tuple[dict[str, NDArray], Labels]:
        """Return the arrays of the samples that labels describe, and the labels with what was measured."""
        return self._renderer().render(table, labels)

    def measure(self, table: Table[Any], labels: Labels) -> Labels:
        """Return the labels with what is measured of their samples."""
        if self.measures:
            return self._renderer().measure(table, labels)
        return self.render(table, labels)[1]

    def _renderer(self) -> Renderer:
        return cast(Renderer, import_module(self.module))


KINDS: dict[str, Kind] = {
    "image": Kind(ImageTable, "deepbench.images.render"),
    "light_curve": Kind(LightCurveTable, "deepbench.light_curves.render"),
    "dynamics": Kind(DynamicsTable, "deepbench.dynamics.render"),
    "sphere": Kind(SphereTable, "deepbench.sphere.render", measures=True),
}
"""The kinds of tables by the name that a recipe has as ``kind``."""
