"""The registry of systems that move, and the system of a class."""

from __future__ import annotations

from deepbench.dynamics.systems.orbits import ORBITS
from deepbench.dynamics.systems.pendulums import PENDULUMS
from deepbench.dynamics.systems.system import System
from deepbench.language.one_of import NamedOneOf, one_of

SYSTEMS: dict[str, type[System]] = {**PENDULUMS, **ORBITS}
"""Systems by the name that a recipe has for them."""


@one_of(SYSTEMS)
class SystemEntry(NamedOneOf):
    """The system of a class."""

    @property
    def label(self) -> str:
        """Its name in labels and streams."""
        return self.name or self.kind
