"""Transients, which appear and fade away as one black body in all bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from deepbench.language.specification import Name, parameter, problem
from deepbench.language.values import Value
from deepbench.light_curves.families.family import Effect, Family, ObjectLabels

if TYPE_CHECKING:
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.streams import TableStreams
    from deepbench.light_curves.survey.exposures import Nodes, Observations
    from deepbench.light_curves.survey.surveys import Survey

TRANSIENT = np.dtype(
    [
        ("shape", np.int64),
        ("peak_time", np.float64),
        ("redshift", np.float64),
        ("peak_magnitude", np.float64),
        ("reference_band", np.int64),
        ("peak_temperature", np.float64),
        ("floor_temperature", np.float64),
        ("cooling_time", np.float64),
        ("reddening", np.float64),
        ("zero_point", np.float64),
        ("rise_time", np.float64),
        ("fall_time", np.float64),
        ("plateau_duration", np.float64),
        ("plateau_slope", np.float64),
        ("decay_index", np.float64),
    ],
    align=True,
)
"""Row of a transient in a band.

The number of its shape, the day of its largest bolometric light (observed), z, an AB magnitude, the number of a band,
K, K, days of the rest frame, magnitudes, the AB magnitude of unit flux (of the band), then days of the rest frame, the
slope per day, and the index. What belongs to another shape is 0.
"""


class Transient(Family):
    """A source that appears and fades away, in all bands as one black body whose temperature falls.

    Its luminosity follows a shape, in days of the rest frame. Its temperature is ``peak_temperature`` up to the peak,
    then falls towards ``floor_temperature`` in ``cooling_time``.
    """

    row: ClassVar[np.dtype] = TRANSIENT
    effect: ClassVar[Effect] = Effect.LIGHT
    shines: ClassVar[bool] = True
    shape: ClassVar[str]
    measured: ClassVar[tuple[str, ...]] = ("snr", "n_in_event")

    peak_time: Value = parameter("time of the largest bolometric light", unit="d")
    redshift: Value = parameter("redshift z", minimum=0, maximum=10, default=0.0)
    peak_magnitude: Value = parameter(
        "magnitude in the reference band, in the system of its zero point, at its largest bolometric light, without "
        "the dust of the Milky Way",
        unit="mag",
    )
    reference_band: Name | None = Field(
        None, description="band of `peak_magnitude`; the survey's first when absent"
    )
    peak_temperature: Value = parameter(
        "temperature up to the peak", unit="K", minimum=500, maximum=1e6
    )
    floor_temperature: Value = parameter("final temperature", unit="K", minimum=500, maximum=1e6)
    cooling_time: Value = parameter(
        "time in which the difference of the temperatures falls by e, in the rest frame",
        unit="d",
        above=0,
    )
    reddening: Value = parameter(
        "E(B − V) of the Milky Way (Fitzpatrick 1999, R_V = 3.1)",
        unit="mag",
        minimum=0,
        maximum=10,
        default=0.0,
    )
    rise_time: Value = parameter("timescale of the rise", unit="d", above=0)
    fall_time: Value = parameter("timescale of the fall", unit="d", above=0)

    def check_survey(self, kind: str, survey: Survey) -> None:
        """Refuse bands of unknown wavelength, and a reference band that is none of the survey's."""
        super().check_survey(kind, survey)
        dark = [name for name, band in survey.bands.items() if band.wavelengths is None]
        if dark:
            raise problem(f"a {kind} needs the `wavelengths` of the band {dark[0]}")
        if self.reference_band is not None and self.reference_band not in survey.bands:
            raise problem(
                f"the reference_band of a {kind} must be one of {', '.join(survey.names)}, "
                f"not '{self.reference_band}'"
            )

    def derived(self, labels: ObjectLabels, band: str) -> Mapping[str, NDArray[np.float64] | float]:
        """Return the number of the shape, the reference band, the zero point, and 0 for what other shapes have."""
        from deepbench.light_curves.families.transient_kernels import SHAPES

        reference = 0 if self.reference_band is None else labels.bands.index(self.reference_band)
        others = {
            name: 0.0
            for name in ("plateau_duration", "plateau_slope", "decay_index")
            if name not in labels.columns
        }
        return {
            "shape": SHAPES[self.shape],
            "reference_band": reference,
            "zero_point": labels.zero_points[band],
            **others,
        }

    def inputs(
        self, survey: Survey, streams: TableStreams, columns: ObjectColumns
    ) -> tuple[NDArray, ...]:
        """Return the ends of the filters."""
        return (survey.edges(),)

    def fastest(self, rows: NDArray) -> NDArray[np.float64]:
        """Return one over the shortest time scale of each object, rad/day, observed."""
        first = rows[:, 0]
        times = np.minimum(
            np.minimum(first["rise_time"], first["fall_time"]), first["cooling_time"]
        )
        return np.asarray(1.0 / (times * (1.0 + first["redshift"])), dtype=np.float64)

    def event_nodes(self, batch: ObjectBatch, seen: Observations) -> NDArray[np.int64]:
        """Return the nodes of exposures in which a transient shines."""
        from deepbench.light_curves.families.transient_kernels import count_transients

        return batch.count_events(count_transients, seen)

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Add the light of transients."""
        from deepbench.light_curves.families.transient_kernels import add_transients

        batch.write_nodes(add_transients, nodes, values)


class Bazin(Transient):
    """exp(−t / fall) / (1 + exp(−t / rise)), as of a supernova (Bazin et al. 2009)."""

    shape: ClassVar[str] = "bazin"

    def refusals(self, rows: NDArray) -> Iterable[tuple[NDArray[np.bool_], str]]:
        """Refuse a fall that is not slower than the rise."""
        first = rows[:, 0]
        slower = first["fall_time"] > first["rise_time"]
        yield ~slower, "its fall_time must be above its rise_time"


class Villar(Transient):
    """A plateau between an exponential rise and fall, as of a supernova (Villar et al. 2019)."""

    shape: ClassVar[str] = "villar"

    plateau_duration: Value = parameter("time from the rise to the fall", unit="d", minimum=0)
    plateau_slope: Value = parameter(
        "change of the light on the plateau, in parts of it", unit="d-1", default=0.0
    )

    def refusals(self, rows: NDArray) -> Iterable[tuple[NDArray[np.bool_], str]]:
        """Refuse a plateau that ends in the dark."""
        first = rows[:, 0]
        yield (
            first["plateau_duration"] * first["plateau_slope"] <= -1.0 + 1e-9,
            "its light is gone before the plateau ends: plateau_duration × plateau_slope must be above −1",
        )


class TidalDisruption(Transient):
    """A Gaussian rise, then (1 + t / fall)^index, of a star that a black hole disrupts (van Velzen et al. 2021)."""

    shape: ClassVar[str] = "disruption"

    decay_index: Value = parameter(
        "exponent of the power law; −5/3 is debris that falls back (Rees 1988)",
        maximum=-0.1,
        minimum=-10,
        default=-5.0 / 3.0,
    )
