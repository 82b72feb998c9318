"""The base of the specifications of masses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.language.specification import (
    Parameter,
    Specification,
    parameter,
    parameter_of,
)
from deepbench.language.values import Value

if TYPE_CHECKING:
    from deepbench.lensing.cosmology import Distances


class Redshifts(NamedTuple):
    """Where lens and source are, for each of k masses; NaN where the recipe does not say.

    Attributes
    ----------
    lens, source : float64[k]
        Redshifts.
    hubble_constant : float64[k]
        km/s/Mpc.
    matter_density : float64[k]
        Matter today in units of the critical density, in a flat universe.
    """

    lens: NDArray[np.float64]
    source: NDArray[np.float64]
    hubble_constant: NDArray[np.float64]
    matter_density: NDArray[np.float64]

    def take(self, chosen: NDArray[np.int64]) -> Redshifts:
        """Return some of them."""
        return Redshifts(*(values[chosen] for values in self))

    def distances(self) -> Distances:
        """Return the distances to lens and source, Mpc."""
        from deepbench.lensing.cosmology import lens_distances

        return lens_distances(self.hubble_constant, self.matter_density, self.lens, self.source)


class Deflector(Specification, ABC):
    """Base of masses of a lens plane; subclasses add what they are made of."""

    dx: Value = parameter(
        "position of the centre along x, from the centre of the frame", unit="arcsec", default=0.0
    )
    dy: Value = parameter(
        "position of the centre along y, from the centre of the frame", unit="arcsec", default=0.0
    )

    @property
    def needs_redshifts(self) -> bool:
        """Whether the strength follows from the redshifts of lens and source."""
        return False

    def measured(self) -> dict[str, str]:
        """Return the labels that follow from redshifts, by the field of ``DEFLECTOR_ROW`` that each is."""
        return {}

    def measured_labels(self) -> dict[str, Parameter]:
        """Return the meaning of the labels that follow from redshifts."""
        return {name: parameter_of(type(self), name) for name in self.measured()}

    @abstractmethod
    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses.

        Parameters
        ----------
        columns : mapping of str to float64[k]
            Labels by their names inside the object.
        redshifts : Redshifts
        """

    def refusals(
        self, columns: Mapping[str, NDArray], redshifts: Redshifts
    ) -> list[tuple[NDArray[np.bool_], str]]:
        """Return which masses cannot be, bool[k], and why."""
        return []
