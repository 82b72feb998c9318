"""Tables of light curves in a recipe: the survey, classes of objects, and what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from deepbench.arrays import Coordinate, DataVariable, flags
from deepbench.deflectors.deflector import Deflector
from deepbench.deflectors.lens import Lens, check_plane
from deepbench.labelling.objects import object_scopes
from deepbench.labelling.scopes import EVERY_CLASS, Scope, scope_of, variables_scope
from deepbench.language.one_of import names_of
from deepbench.language.specification import (
    Name,
    Number,
    Parameter,
    Specification,
    Whole,
    parameter,
    problem,
)
from deepbench.language.values import Value
from deepbench.light_curves.families.contaminants import Contaminant
from deepbench.light_curves.families.family import LightObject, object_stream
from deepbench.light_curves.families.lensed import MOST_PATHS, Lensed
from deepbench.light_curves.families.registry import ObjectEntry
from deepbench.light_curves.families.source import Source
from deepbench.light_curves.survey.cadences import CADENCES
from deepbench.light_curves.survey.surveys import DEPTHS, Survey, noise_stream
from deepbench.tables import ObjectsClass, TableSpecification

if TYPE_CHECKING:
    from deepbench.labelling.plan import LabelPlan

RED = f"{EVERY_CLASS}/red_noise/observations"
"""Stream of the red noise, without the table's name."""

RESERVED = frozenset({"survey", "cadence", "red_noise", "observed", "variables"})
"""Names of what is labelled beside objects."""

Plane = Literal["flux_true", "flux_error_true"]
PLANES: dict[str, str] = {
    "flux_true": "flux without noise",
    "flux_error_true": "standard deviation of the noise",
}
"""Planes that may be stored beside the flux."""

MASK = ("missing", "outlier", "upper_limit")
"""Meanings of the bits of the mask."""

OBSERVED = {
    "n_observations": Parameter("number of observations"),
    "n_detections": Parameter(
        "number of observations, with their noise, that are no upper limits", noisy=True
    ),
    "variability_snr": Parameter(
        "signal-to-noise ratio √Σ((F − F̄)² / σ²), F the flux without noise, F̄ its mean in the band weighted by 1 / σ²"
    ),
}
"""Labels of each sample that are measured."""


class LightCurveClass(ObjectsClass):
    """One class of light curves: its objects, whose light is multiplied and added, and masses that bend it."""

    reserved = RESERVED

    objects: Annotated[tuple[ObjectEntry, ...], Field(min_length=1, max_length=1000)] = Field(
        description="what a sample of the class shows, in order"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        found = [entry for entry in self.objects if isinstance(entry.chosen, Source)]
        if len(found) > 1:
            raise problem(
                f"has {len(found)} sources; a light curve has one, or none for transients"
            )
        for entry in self.lights:
            if not found and entry.chosen.needs_source:
                raise problem(f"a {entry.kind} changes the light of a source: add a `source`")
        if not any(entry.chosen.shines for entry in self.lights):
            raise problem("has no light: add a `source` or a transient")
        return self

    @model_validator(mode="after")
    def _is_lensed(self) -> Self:
        lensed = [entry for entry in self.objects if isinstance(entry.chosen, Lensed)]
        planes = [entry.chosen for entry in self.objects if isinstance(entry.chosen, Lens)]
        if lensed and not any(plane.redshift is not None for plane in planes):
            raise problem(
                "delays follow from redshifts: add a `lens` with redshift and source_redshift to the class"
            )
        check_plane(self.objects)
        return self

    @property
    def lights(self) -> list[ObjectEntry]:
        """Objects of the class that have light or change it: all but masses and their plane."""
        return [entry for entry in self.objects if isinstance(entry.chosen, LightObject)]

    @property
    def source(self) -> ObjectEntry | None:
        """The source, which shines constantly; None in a class of transients."""
        return next((each for each in self.objects if isinstance(each.chosen, Source)), None)


class RedNoise(Specification):
    """Errors of the instrument that last: a factor 1 + x of the flux, x normal, correlated as exp(−|Δt| / timescale).

    Error bars do not know of it.
    """

    sigma: Value = parameter("standard deviation of the red noise", minimum=0, maximum=1)
    timescale: Value = parameter(
        "time after which the correlation of the red noise is 1 / e", unit="d", above=0
    )


class LightCurveTable(TableSpecification):
    """A table of light curves: flux against time, as one survey takes them."""

    kind: Literal["light_curve"]
    survey: Survey = Field(description="what takes them: when, in which bands, with which noise")
    classes: Annotated[dict[Name, LightCurveClass], Field(min_length=1, max_length=10_000)] = Field(
        description="what is drawn for each sample, by name"
    )
    red_noise: RedNoise | None = Field(None, description="errors of the instrument that last")
    detection: Annotated[Number, Field(ge=0)] = Field(
        5.0,
        description="signal-to-noise ratio of an observation below which it is an upper limit",
    )
    planes: Annotated[tuple[Plane, ...], Field(min_length=1)] | None = Field(
        None, description="what is stored beside the flux"
    )
    images_apart: Annotated[Whole, Field(ge=1, le=MOST_PATHS)] | None = Field(
        None,
        description="room for images of a lensed source, each with a light curve of its own; absent, their light "
        "adds up",
    )

    @model_validator(mode="after")
    def _images_are_apart(self) -> Self:
        for name, described in self.classes.items() if self.images_apart is not None else ():
            shining = [
                entry for entry in described.lights if not isinstance(entry.chosen, Contaminant)
            ]
            if [type(entry.chosen) for entry in shining] != [Lensed]:
                raise problem(
                    f"with `images_apart`, a class has the light of one `lensed` source and no other; '{name}' has "
                    f"{', '.join(entry.kind for entry in shining)}"
                )
        return self

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        for entry in self._entries:
            entry.chosen.check_survey(entry.kind, self.survey)
        return self

    @model_validator(mode="after")
    def _noise_fits(self) -> Self:
        needy = [
            name for name, band in self.survey.bands.items() if band.noise.chosen.needs_magnitude
        ]
        for class_name, described in self.classes.items():
            if needy and described.source is None:
                raise problem(
                    f"the noise in the band {needy[0]} follows from the magnitude of the source, "
                    f"which the class '{class_name}' does not have"
                )
        return self

    @property
    def _entries(self) -> Iterator[ObjectEntry]:
        yield from (entry for each in self.classes.values() for entry in each.lights)

    @property
    def is_dense(self) -> bool:
        """Whether all samples are observed at the same times, in one band."""
        return self.survey.cadence.chosen.is_shared and len(self.survey.bands) == 1

    @property
    def width(self) -> int:
        """Number of times that there is room for in each sample."""
        return self.survey.cadence.chosen.width(self.survey.names)

    def scopes(self) -> list[Scope]:
        """Return every set of parameters that is drawn together, in the order of the recipe."""
        scopes = [variables_scope(self.variables, ("variables",))]
        for class_name, described in self.classes.items():
            path: tuple[str | int, ...] = ("classes", class_name)
            scopes.append(variables_scope(described.variables, (*path, "variables"), class_name))
            scopes += object_scopes(
                class_name,
                described.objects,
                _measured_of,
            )
        cadence = self.survey.cadence
        scopes.append(scope_of(cadence.chosen, "cadence", ("survey", "cadence", cadence.kind)))
        for name, band in self.survey.bands.items():
            path = ("survey", "bands", name)
            scopes.append(scope_of(band, f"survey.{name}", path))
        if self.red_noise is not None:
            scopes.append(scope_of(self.red_noise, "red_noise", ("red_noise",)))
        scopes.append(Scope("observed", (), {}, {}, measured=OBSERVED))
        return [scope for scope in scopes if scope.values or scope.measured]

    def pixel_streams(self) -> list[str]:
        """Return the streams that draw a number for every observation or node, without the table's name."""
        found = [DEPTHS, RED, *(noise_stream(image) for image in range(self.images_apart or 1))]
        found += [stream for cadence in CADENCES.values() for stream in cadence.streams]
        for class_name, described in self.classes.items():
            names = names_of(described.objects)
            for name, entry in zip(names, described.objects, strict=True):
                own = getattr(entry.chosen, "streams", ())
                found += [object_stream(class_name, name, each) for each in own]
        return found

    def data_variables(self) -> tuple[DataVariable, ...]:
        """Return what is stored of each sample."""
        name = "time" if self.is_dense else "observation"
        axis: tuple[tuple[str, ...], tuple[int, ...]] = (name,), (self.width,)
        times = axis
        if self.images_apart is not None:
            axis = ("image", *axis[0]), (self.images_apart, *axis[1])
        fluxes: dict[str, str] = {
            "flux": "flux",
            "flux_error": "standard deviation of the flux as the observation tells it",
            **{name: PLANES[name] for name in self.planes or ()},
        }
        found = [
            DataVariable(name, words, self.survey.unit, *axis, "float32", missing=True)
            for name, words in fluxes.items()
        ]
        bits = flags(MASK, masks=True)
        words = "bits of what an observation is, added: 1 not observed, 2 outlier, 4 upper limit"
        found.append(DataVariable("mask", words, "1", *axis, "uint8", bits))
        if not self.is_dense:
            words = "middle of the exposure"
            found.append(DataVariable("time", words, "d", *times, "float64", self._clock, True))
            words, names = "band; -1 where there is none", flags(self.survey.names)
            found.append(DataVariable("band", words, "1", *times, "int8", names))
        return tuple(found)

    @property
    def _clock(self) -> dict[str, str | float]:
        """Attributes that say what the times mean."""
        return {"time_scale": self.survey.time_scale, "reference_julian_date": self.survey.epoch}

    def coordinates(self) -> tuple[Coordinate, ...]:
        """Return the coordinates of the dimensions after ``sample``."""
        images: tuple[Coordinate, ...] = ()
        if self.images_apart is not None:
            numbers = np.arange(1, self.images_apart + 1, dtype=np.int32)
            words = "number of the image, in the order of arrival"
            images = (Coordinate("image", words, "1", self.images_apart, numbers=numbers),)
        if not self.is_dense:
            return (
                *images,
                Coordinate("observation", "number of the observation", "1", self.width),
            )
        times = self.survey.cadence.chosen.shared(self.survey.names)
        days = np.asarray(times.days, np.float64)
        return (
            *images,
            Coordinate(
                "time",
                "middle of the exposure",
                "d",
                len(days),
                numbers=days,
                attributes=self._clock,
            ),
        )

    def working_bytes(self, plan: LabelPlan) -> int:
        """Return the bytes that rendering takes beside its result."""
        objects = max(
            sum(plan.most_copies_of(entry) or 1 for entry in each.lights)
            for each in self.classes.values()
        )
        return 2**27 + 4 * self.width * objects * 40


def _measured_of(entry: ObjectEntry) -> Mapping[str, Parameter]:
    """Return the labels of an entry that are measured."""
    if isinstance(entry.chosen, LightObject):
        return entry.chosen.measured_labels()
    return entry.chosen.measured_labels() if isinstance(entry.chosen, Lens | Deflector) else {}
