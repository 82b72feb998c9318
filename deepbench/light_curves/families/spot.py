"""Spots that the rotation of a star carries around."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepbench.language.specification import parameter
from deepbench.language.values import Value
from deepbench.light_curves.families.family import BandValues, Modulation, ratios, record

if TYPE_CHECKING:
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.survey.exposures import Nodes, Observations

SPOT = record(
    "rotation_period",
    "inclination_degrees",
    "latitude_degrees",
    "longitude_degrees",
    "depth",
    "shear",
    "peak_time",
    "emergence",
    "decay",
)
"""Row of a spot in a band: days, angles, part of the light (of the band), part of the rate, days, days and days.

``rotation_period`` is that of the equator. A spot whose ``emergence`` or ``decay`` is 0 does not change on that side of
its ``peak_time``.
"""

_TURN = 2.0 * math.pi
_WIDTH = 5.0
"""Angular rates in a Gaussian of time scale τ, times τ: there is less than 1e-6 above them."""


class Spot(Modulation):
    """A dark spot that the rotation of the star carries around (Aigrain, Pont and Zucker 2012)."""

    row: ClassVar[np.dtype] = SPOT
    by_band: ClassVar[tuple[str, ...]] = ("depth_ratios",)
    measured: ClassVar[tuple[str, ...]] = ("snr", "n_in_event")

    rotation_period: Value = parameter(
        "rotation period of the star at its equator", unit="d", above=0
    )
    inclination: Value = parameter(
        "inclination of the axis of rotation; 90 is seen from the equator",
        unit="degree",
        minimum=0,
        maximum=90,
    )
    latitude: Value = parameter("latitude of the spot", unit="degree", minimum=-90, maximum=90)
    longitude: Value = parameter("longitude of the spot; at 0 it faces us at time 0", unit="degree")
    depth: Value = parameter(
        "part of the light that it takes at the centre of the disc; negative for a bright spot",
        minimum=-1,
        below=1,
    )
    depth_ratios: BandValues | None = ratios("depth")
    shear: Value = parameter(
        "shear of the rotation: a spot turns with the rate (1 − shear sin² latitude) / rotation_period",
        minimum=0,
        maximum=1,
        default=0.0,
    )
    peak_time: Value = parameter("time at which the spot is largest", unit="d", default=0.0)
    emergence: Value = parameter(
        "standard deviation of the Gaussian by which it grows; 0: it was always there",
        unit="d",
        minimum=0,
        default=0.0,
    )
    decay: Value = parameter(
        "standard deviation of the Gaussian by which it fades; 0: it stays",
        unit="d",
        minimum=0,
        default=0.0,
    )

    def fastest(self, rows: NDArray) -> NDArray[np.float64]:
        """Return the angular rate of each spot, or that of its growth, rad/day."""
        return np.maximum(*_rates(rows))

    def smooth(self, rows: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return amplitudes and angular rates of each spot within the disc, float64[k, 2] each."""
        turning, fading = _rates(rows)
        first = rows[:, 0]
        tilts, latitudes = (
            np.radians(first[f"{name}_degrees"]) for name in ("inclination", "latitude")
        )
        depths = np.abs(rows["depth"]).max(axis=1)
        turns = depths * np.abs(np.cos(latitudes) * np.sin(tilts))
        rests = depths * np.abs(np.sin(latitudes) * np.cos(tilts))
        rates = np.stack([turning + _WIDTH * fading, _WIDTH * fading], axis=-1)
        return np.stack([turns, rests], axis=-1), rates

    def event_nodes(self, batch: ObjectBatch, seen: Observations) -> NDArray[np.int64]:
        """Return the nodes of exposures in which the light is not smooth."""
        from deepbench.light_curves.families.spot_kernels import count_spots

        return batch.count_events(count_spots, seen)

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Multiply by the light of stars with one spot each."""
        from deepbench.light_curves.families.spot_kernels import multiply_spots

        batch.write_nodes(multiply_spots, nodes, values)


def _rates(rows: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the angular rates of rotation, and one over the shorter scale of growth and decay; per day."""
    first = rows[:, 0]
    turning = _TURN * (1.0 + np.maximum(-first["shear"], 0.0)) / first["rotation_period"]
    scales = np.stack([first["emergence"], first["decay"]], axis=-1)
    fading = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales > 0.0)
    return turning, fading.max(axis=1)
