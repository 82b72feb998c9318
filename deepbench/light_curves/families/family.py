"""Objects of light curves, and all that each provides: its parameters, its named row, and how it changes the light.

The flux of a sample in a band is that of its source, times what modulates it (eclipses, pulsations, spots, lenses),
plus what adds to it (flares, transients). Times are days since the survey's epoch.

An object that changes light is a ``Family``. Its labels become one row for each object and band, a record whose fields
have names; kernels read ``row.depth``, numpy ``rows["depth"]``. Modules of families import no kernels at the top, so
that a recipe can be read without numba: a method imports them where it calls them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from deepbench.language.specification import Name, Parameter, Specification, parameter, problem
from deepbench.language.values import Value

if TYPE_CHECKING:
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.lensing.lens_equation import LensedImages
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.streams import TableStreams
    from deepbench.light_curves.survey.exposures import Nodes, Observations
    from deepbench.light_curves.survey.surveys import Survey

BandValues = Annotated[dict[Name, Value], Field(min_length=1, max_length=100)]
"""A value for each band of the survey."""

MEASURED = {
    "snr": Parameter("signal-to-noise ratio √Σ(ΔF² / σ²), ΔF what the object alone adds or takes"),
    "n_in_event": Parameter("number of observations in its eclipses or its event"),
}
"""Labels of each object that are measured."""

DEGREES = "_degrees"
"""End of the names of those fields of a row that are angles in degrees; the parameter has the name without it."""


def in_bands(meaning: str, **limits: Any) -> Any:
    """Declare a field that holds a parameter in each band; its name is the parameter's with an ``s``."""
    return parameter(f"{meaning}, in each band", default=None, **limits)


def ratios(what: str) -> Any:
    """Declare the field ``<parameter>_ratios``, by which a parameter is multiplied in each band."""
    return parameter(f"factor of the {what} in each band; 1 when absent", minimum=0, default=None)


def record(*names: str) -> np.dtype:
    """Return the type of a row with these fields, each float64."""
    return np.dtype([(name, np.float64) for name in names], align=True)


@dataclass(frozen=True)
class ObjectLabels:
    """Labels of the objects of one entry, from which their rows follow.

    Attributes
    ----------
    columns : mapping of str to float64[k]
        Values of k objects by their names inside the object.
    zero_points : mapping of str to float64[k]
        Zero point of each band of the survey, in the order of the bands.
    images : LensedImages, optional
        Images of objects behind masses.
    source_redshifts : float64[k], optional
        Redshift of what the masses lens.
    """

    columns: Mapping[str, NDArray[np.float64]]
    zero_points: Mapping[str, NDArray[np.float64]]
    images: LensedImages | None = None
    source_redshifts: NDArray[np.float64] | None = None

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands."""
        return tuple(self.zero_points)

    def __len__(self) -> int:
        return len(next(iter(self.zero_points.values())))

    def value(
        self, name: str, band: str, absent: float | None = None
    ) -> NDArray[np.float64] | float:
        """Return a parameter in a band: its value there, or its value in all bands times the ratio of the band.

        Parameters
        ----------
        name : str
        band : str
        absent : float, optional
            Value of a parameter that has no label.
        """
        own = self.columns.get(f"{name}s.{band}")
        if own is not None:
            return own
        if absent is not None and name not in self.columns:
            return absent
        value, ratio = self.columns[name], self.columns.get(f"{name}_ratios.{band}")
        return value if ratio is None else value * ratio


def object_stream(class_name: str, name: str, stream: str) -> str:
    """Return the name of a random stream of an object of a class, without the table's name."""
    return f"{class_name}/{name}/{stream}"


class LightObject(Specification):
    """Base of all objects of a light curve.

    Attributes
    ----------
    by_band : tuple of str
        Fields that hold a value for each band.
    some_bands : tuple of str
        Those of them that may leave out bands.
    measured : tuple of str
        Labels that are measured.
    repeatable : bool
        Whether a class may have several copies.
    needs_source : bool
        Whether it changes the light of a source, which its class must have.
    shines : bool
        Whether it has light of its own.
    streams : tuple of str
        Names of the random streams that rendering draws from, inside the object.
    """

    by_band: ClassVar[tuple[str, ...]] = ()
    some_bands: ClassVar[tuple[str, ...]] = ()
    measured: ClassVar[tuple[str, ...]] = ("snr",)
    repeatable: ClassVar[bool] = True
    needs_source: ClassVar[bool] = False
    shines: ClassVar[bool] = False
    streams: ClassVar[tuple[str, ...]] = ()

    def measured_labels(self) -> dict[str, Parameter]:
        """Return the labels that are measured."""
        return {name: MEASURED[name] for name in self.measured}

    def check_survey(self, kind: str, survey: Survey) -> None:
        """Refuse the object, whose kind has this name, where it does not fit the survey; raises pydantic's error."""
        bands = survey.names
        for name in self.by_band:
            given = getattr(self, name)
            partial = name in self.some_bands and given is not None and set(given) <= set(bands)
            if given is not None and not partial and set(given) != set(bands):
                raise problem(
                    f"the {name} of a {kind} must be given for the bands {', '.join(bands)}, "
                    f"not for {', '.join(given)}"
                )


class Effect(Enum):
    """Quantity that a family writes, which says how it enters the flux."""

    FACTORS = "factors of the source's light, at the nodes of exposures"
    MEAN_FACTORS = "factors of the source's light, as means over exposures"
    LIGHT = "light that is added, at the nodes of exposures"
    MEAN_LIGHT = "light that is added, over that of the source, as means over exposures"


class Family(LightObject):
    """An object that changes or adds light.

    Attributes
    ----------
    row : dtype
        Fields of its row in a band.
    effect : Effect
        What ``write`` writes.
    """

    row: ClassVar[np.dtype]
    effect: ClassVar[Effect] = Effect.FACTORS

    def rows(self, labels: ObjectLabels) -> NDArray:
        """Return the rows of objects, records[k, b]: a field has the parameter of its name, unless it is derived."""
        rows = np.empty((len(labels), len(labels.bands)), self.row)
        for number, band in enumerate(labels.bands):
            derived = self.derived(labels, band)
            for name in self.row.names or ():
                rows[name][:, number] = (
                    derived[name]
                    if name in derived
                    else labels.value(name.removesuffix(DEGREES), band)
                )
        return rows

    def derived(self, labels: ObjectLabels, band: str) -> Mapping[str, NDArray[np.float64] | float]:
        """Return those fields of the rows in a band that are no parameters."""
        return {}

    def refusals(self, rows: NDArray) -> Iterable[tuple[NDArray[np.bool_], str]]:
        """Return what is refused: which objects (bool[k]), and what is wrong with them."""
        return ()

    def inputs(
        self, survey: Survey, streams: TableStreams, columns: ObjectColumns
    ) -> tuple[NDArray, ...]:
        """Return what kernels take beside rows, the same for all objects of the entry."""
        return ()

    def fastest(self, rows: NDArray) -> NDArray[np.float64] | None:
        """Return the angular rate at which each object changes, float64[k], rad/day; None where nothing is limited."""
        return None

    def smooth(self, rows: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return amplitudes a and angular rates ω (rad/day) of smooth objects, float64[k, j] each.

        Object i is exp(Σ_j a_j cos(ω_j t + …)), or no less smooth than that: the nodes of exposures follow.
        """
        return None

    def event_periods(self, rows: NDArray) -> NDArray[np.float64] | None:
        """Return after how many days the events of each object come again, float64[k]; None where they do not."""
        return None

    def event_nodes(self, batch: ObjectBatch, seen: Observations) -> NDArray[np.int64] | None:
        """Return the nodes that events ask for in each observation, int64[m], at least 1; None where there are none.

        The number of observations in the events of each object is measured here, as ``n_in_event``.
        """
        return None

    @abstractmethod
    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Write what objects do to the light, as ``effect`` says; no two of them belong to one sample.

        Parameters
        ----------
        batch : ObjectBatch
        nodes : Nodes
        values : float64[f] or float64[m]
            1 (factors) or 0 (light) when given, one for each node, or for each observation where these are means.
        """


class Modulation(Family):
    """An object that changes the light of the source."""

    needs_source: ClassVar[bool] = True


class NumpyModulation(Modulation):
    """An object that changes the light of the source, computed by numpy, without kernels."""

    @abstractmethod
    def factors(self, times: NDArray[np.float64], rows: NDArray) -> NDArray[np.float64]:
        """Return the factors that multiply the light of the source, float64[m], for one object.

        Parameters
        ----------
        times : float64[m]
            Days.
        rows : records[m]
            Row of the object in the band of each instant.
        """

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Multiply by the factors of each object."""
        for row, owner in zip(batch.rows, batch.owners, strict=True):
            own = slice(nodes.offsets[owner], nodes.offsets[owner + 1])
            values[own] *= self.factors(nodes.times[own], row[nodes.bands[own]])
