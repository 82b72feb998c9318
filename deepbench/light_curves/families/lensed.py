"""Point sources that vary, seen along the paths on which the masses of their class bend the light."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from deepbench.deflectors.lens import MOST_IMAGES, measured_of_source
from deepbench.deflectors.microlensing import Microlensing
from deepbench.language.one_of import OneOf, one_of
from deepbench.language.specification import Parameter, parameter
from deepbench.language.values import Value
from deepbench.light_curves.families.family import Effect, Family, ObjectLabels, record
from deepbench.light_curves.families.random_walk import RandomWalk
from deepbench.light_curves.families.source import Source
from deepbench.light_curves.families.transient import Bazin, TidalDisruption, Villar
from deepbench.light_curves.survey.noise_models import flux_of

if TYPE_CHECKING:
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.streams import TableStreams
    from deepbench.light_curves.survey.exposures import Nodes, Observations
    from deepbench.light_curves.survey.surveys import Survey

MOST_PATHS = 16
"""Largest number of images of a source whose light is followed."""

MOST_AT_ONCE = 2**20
"""Number of nodes of all paths that are worked on at a time, but for a single object's."""

WALKING = record("timescale", "structure_function", "flux")
"""Row of a walking source in a band: days, SF∞ in magnitudes, and the flux of the mean magnitude."""

PATHS = np.dtype(
    [
        ("first", np.int64),
        ("count", np.int64),
        ("source_redshift", np.float64),
        ("magnifications", np.float64, (MOST_PATHS,)),
        ("delays", np.float64, (MOST_PATHS,)),
        ("scatters", np.float64, (MOST_PATHS,)),
        ("timescale", np.float64),
    ],
    align=True,
)
"""Row of the paths of a source's light.

The images ``first`` … ``first + count - 1`` are seen; |μ| and delay (days) of each, the standard deviation of the
logarithm of its microlensing, and the timescale of that (days).
"""

STEPS, MICROLENSING = "steps", "microlensing"
"""Streams of the walk and of the microlensing, inside the object."""


class WalkingSource(Source, RandomWalk):
    """A source whose magnitude walks about its mean, as that of an active nucleus (Kelly et al. 2009)."""

    row: ClassVar[np.dtype] = WALKING
    effect: ClassVar[Effect] = Effect.LIGHT
    needs_source: ClassVar[bool] = False
    by_band: ClassVar[tuple[str, ...]] = (*Source.by_band, *RandomWalk.by_band)

    timescale: Value = parameter("timescale of the damping, as observed", unit="d", minimum=1)

    def rows(self, labels: ObjectLabels) -> NDArray:
        """Return the rows of sources, ``WALKING[k, b]``."""
        rows, magnitudes = (
            np.empty((len(labels), len(labels.bands)), WALKING),
            self.magnitudes_of(labels),
        )
        for number, (band, zero_point) in enumerate(labels.zero_points.items()):
            for name in ("timescale", "structure_function"):
                rows[name][:, number] = labels.value(name, band)
            rows["flux"][:, number] = flux_of(magnitudes[:, number], zero_point)
        return rows

    def event_nodes(self, batch: ObjectBatch, seen: Observations) -> NDArray[np.int64]:
        """Return the nodes of exposures that are long against the walk."""
        from deepbench.light_curves.families.lensed_kernels import count_walks

        nodes = np.ones(len(seen.times), np.int64)
        count_walks(batch.rows, batch.owners, seen.offsets, seen.exposures, nodes)
        return nodes

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Add the light of walking sources."""
        from deepbench.light_curves.families.lensed_kernels import add_walks

        where = nodes.offsets, nodes.times, nodes.bands
        add_walks(batch.rows, batch.owners, *where, values, batch.samples, *batch.inputs)


LIGHTS: dict[str, type[Family]] = {
    "random_walk": WalkingSource,
    "bazin": Bazin,
    "villar": Villar,
    "tidal_disruption": TidalDisruption,
}
"""Light of a point source by the name that a recipe has for it."""


@one_of(LIGHTS)
class Light(OneOf):
    """Light of a point source as it would be seen without masses."""


class StarsOfLens(Microlensing):
    """Stars of the lens, which change the light of each image by a factor: log-normal, with a mean of 1 in flux.

    Its logarithm is a damped random walk.
    """

    timescale: Value = parameter(
        "time after which the correlation of the microlensing is 1 / e", unit="d", minimum=30
    )


class Lensed(Family):
    """A point source that varies, behind the masses of its class: Σ |μ_i| m_i(t) F(t − Δt_i).

    F is its light as it would be seen without masses, μ_i and Δt_i the magnification and the delay of image i after the
    first one, m_i its microlensing.
    """

    row: ClassVar[np.dtype] = PATHS
    effect: ClassVar[Effect] = Effect.LIGHT
    repeatable: ClassVar[bool] = False
    shines: ClassVar[bool] = True
    streams: ClassVar[tuple[str, ...]] = (STEPS, MICROLENSING)

    dx: Value = parameter(
        "position along x without masses, from the centre of the frame", unit="arcsec", default=0.0
    )
    dy: Value = parameter(
        "position along y without masses, from the centre of the frame", unit="arcsec", default=0.0
    )
    light: Light = Field(description="its light as it would be seen without masses")
    microlensing: StarsOfLens | None = Field(
        None, description="microlensing of each image by the stars of the lens; none when absent"
    )

    @property
    def _light(self) -> Family:
        family: Family = self.light.chosen
        return family

    def measured_labels(self) -> dict[str, Parameter]:
        """Return the labels that are measured, those of its images among them."""
        stars = {
            f"image_{number}_microlensing": Parameter(
                f"standard deviation of ln(flux) by the microlensing of image {number} over its observations"
            )
            for number in range(1, MOST_IMAGES + 1)
            if self.microlensing is not None
        }
        return super().measured_labels() | measured_of_source(delays=True) | stars

    def check_survey(self, kind: str, survey: Survey) -> None:
        """Refuse light that does not fit the survey."""
        self._light.check_survey(f"{self.light.kind} that is lensed", survey)

    def rows(self, labels: ObjectLabels) -> NDArray:
        """Return the rows of objects, records[k, b] of ``paths`` and ``light``."""
        images, redshifts = labels.images, labels.source_redshifts
        if images is None or redshifts is None:
            raise ValueError("the images of a lensed object come with its labels")
        light = self._light.rows(_inside(labels))
        rows = np.zeros(
            light.shape, np.dtype([("paths", PATHS), ("light", light.dtype)], align=True)
        )
        rows["light"], paths = light, rows["paths"]
        counts = np.diff(images.offsets)
        paths["count"], paths["source_redshift"] = counts[:, None], redshifts[:, None]
        paths["timescale"] = 1.0
        if self.microlensing is not None:
            paths["timescale"] = labels.columns["microlensing.timescale"][:, None]
        for number in range(min(MOST_PATHS, counts.max(initial=0))):
            there = np.flatnonzero(counts > number)
            found = images.images[images.offsets[there] + number]
            paths["magnifications"][there, :, number] = np.abs(found["magnification"])[:, None]
            paths["delays"][there, :, number] = found["delay"][:, None]
            if self.microlensing is not None:
                minima, saddles = (
                    labels.columns[f"microlensing.{name}"][there] for name in ("minima", "saddles")
                )
                scatter = np.where(found["magnification"] > 0.0, minima, saddles)
                paths["scatters"][there, :, number] = scatter[:, None]
        return rows

    def refusals(self, rows: NDArray) -> Iterable[tuple[NDArray[np.bool_], str]]:
        """Refuse more images than there is room for, and light of another redshift than the lens's source has."""
        yield from self._light.refusals(rows["light"])
        paths, light = rows["paths"][:, 0], rows["light"][:, 0]
        yield (
            paths["count"] > MOST_PATHS,
            f"it has more than {MOST_PATHS} images; raise the lens's min_magnification",
        )
        if "redshift" in (light.dtype.names or ()):
            yield (
                light["redshift"] != paths["source_redshift"],
                "the redshift of its light is not the source_redshift of the lens: "
                'write `redshift: "= lens.source_redshift"`',
            )

    def inputs(
        self, survey: Survey, streams: TableStreams, columns: ObjectColumns
    ) -> tuple[NDArray, ...]:
        """Return the words of the seed and of the stream of microlensing, then what the light's kernels take."""
        own = streams.key, streams.of_object(columns, MICROLENSING)
        return (*own, *self._light.inputs(survey, streams, columns))

    def fastest(self, rows: NDArray) -> NDArray[np.float64] | None:
        """Return the angular rate at which the light changes, float64[k], rad/day."""
        return self._light.fastest(rows["light"])

    def event_nodes(self, batch: ObjectBatch, seen: Observations) -> NDArray[np.int64]:
        """Return the nodes that the light asks for on any path."""
        nodes = np.ones(len(seen.times), np.int64)
        for paths in self._paths(batch, seen.offsets):
            along = seen._replace(
                offsets=paths.offsets,
                times=seen.times[paths.places] - paths.along(paths.delays),
                exposures=seen.exposures[paths.places],
                bands=seen.bands[paths.places],
            )
            asked = self._light.event_nodes(paths.light, along)
            if asked is not None:
                np.maximum.at(nodes, paths.places, asked)
        return nodes

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Add the light of all paths."""
        from deepbench.light_curves.families.lensed_kernels import magnify

        for paths in self._paths(batch, nodes.offsets):
            times, light = nodes.times[paths.places], np.zeros(len(paths.places))
            along = nodes._replace(
                offsets=paths.offsets,
                times=times - paths.along(paths.delays),
                bands=nodes.bands[paths.places],
            )
            self._light.write(paths.light, along, light)
            own, deviations = batch.rows["paths"][paths.objects, 0], np.empty(len(paths.objects))
            magnify(
                own, paths.numbers, paths.light.samples, paths.offsets, times, *batch.inputs[:2],
                light, deviations,
            )  # fmt: skip
            np.add.at(values, paths.places, light)
            for number in range(MOST_IMAGES if self.microlensing is not None else 0):
                chosen = paths.numbers == number
                column = batch.measured[f"image_{number + 1}_microlensing"]
                where = batch.positions[paths.objects[chosen]]
                column[where] = deviations[chosen]

    def _paths(self, batch: ObjectBatch, starts: NDArray[np.int64]) -> Iterator[_Paths]:
        """Yield the paths of some objects after others.

        Parameters
        ----------
        batch : ObjectBatch
        starts : int64[n + 1]
            Where the nodes or the observations of each sample begin.
        """
        counts = batch.rows["paths"]["count"][:, 0]
        sizes = (starts[batch.owners + 1] - starts[batch.owners]) * counts
        ends, first = np.cumsum(sizes), 0
        while first < len(counts):
            before = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, before + MOST_AT_ONCE, side="right")))
            yield self._paths_of(
                batch, starts, np.repeat(np.arange(first, last), counts[first:last])
            )
            first = last

    def _paths_of(
        self, batch: ObjectBatch, starts: NDArray[np.int64], objects: NDArray[np.int64]
    ) -> _Paths:
        """Return the paths of some objects, each of which comes once for each of its images."""
        begins = np.searchsorted(objects, objects)
        rows, count = batch.rows[objects], len(objects)
        numbers = rows["paths"]["first"][:, 0] + np.arange(count) - begins
        owners = batch.owners[objects]
        lengths = starts[owners + 1] - starts[owners]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        light = batch._replace(
            family=self._light,
            rows=np.ascontiguousarray(rows["light"]),
            samples=batch.samples[objects],
            owners=np.arange(count),
            inputs=batch.inputs[2:],
            measured={name: np.zeros(count) for name in self._light.measured},
            positions=np.arange(count),
        )
        return _Paths(
            objects,
            numbers,
            rows["paths"]["delays"][np.arange(count), 0, numbers],
            offsets,
            np.arange(offsets[-1]) + np.repeat(starts[owners] - offsets[:-1], lengths),
            light,
        )


class _Paths(NamedTuple):
    """The paths of the light of some objects, each of which stands for a sample of its own.

    Attributes
    ----------
    objects, numbers : int64[p]
        Position of the object in its batch, and number of the image.
    delays : float64[p]
        Days.
    offsets : int64[p + 1]
        Path i has the nodes, or observations, ``offsets[i]`` … ``offsets[i + 1] - 1``.
    places : int64[m]
        Number of each among those of the samples.
    light : ObjectBatch
        The light along each path.
    """

    objects: NDArray[np.int64]
    numbers: NDArray[np.int64]
    delays: NDArray[np.float64]
    offsets: NDArray[np.int64]
    places: NDArray[np.int64]
    light: ObjectBatch

    def along(self, values: NDArray) -> NDArray:
        """Return the value of each path for all its nodes."""
        return np.repeat(values, np.diff(self.offsets))


def _inside(labels: ObjectLabels) -> ObjectLabels:
    """Return the labels of the light inside a lensed object."""
    start = "light."
    columns = {
        name.removeprefix(start): values
        for name, values in labels.columns.items()
        if name.startswith(start)
    }
    return replace(labels, columns=columns)


def of_image(rows: NDArray, number: int) -> NDArray:
    """Return the rows of lensed objects of which one image alone is seen, or none where there are fewer."""
    found = rows.copy()
    found["paths"]["count"] = rows["paths"]["count"] > number
    found["paths"]["first"] = number
    return found
