"""Detached binaries, whose stars eclipse each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from deepbench.language.specification import parameter, problem
from deepbench.language.values import Value
from deepbench.light_curves.families.family import BandValues, ObjectLabels, in_bands, record
from deepbench.light_curves.families.orbiting import DARKNESS, Orbiting, limb_darkening, too_dark

if TYPE_CHECKING:
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.survey.exposures import Nodes, Observations

ECLIPSE = record(
    "period",
    "eclipse_time",
    "sum_of_radii",
    "radius_ratio",
    "surface_brightness_ratio",
    "inclination_degrees",
    "eccentricity",
    "argument_of_periastron_degrees",
    "primary_u1",
    "primary_u2",
    "secondary_u1",
    "secondary_u2",
    "third_light",
)
"""Row of a binary in a band: days, days, then numbers without unit.

The radii are over the semi-major axis, their ratio is R2 / R1. The surface brightness ratio, the limb darkening and the
third light are those of the band.
"""


class EclipsingBinary(Orbiting):
    """Two spherical stars that eclipse each other."""

    row: ClassVar[np.dtype] = ECLIPSE
    by_band: ClassVar[tuple[str, ...]] = ("third_lights", "surface_brightness_ratios")

    eclipse_time: Value = parameter(
        "time of the middle of an eclipse of the first star by the second", unit="d"
    )
    sum_of_radii: Value = parameter(
        "sum of the radii over the semi-major axis", above=0, maximum=0.95
    )
    radius_ratio: Value = parameter(
        "radius of the second star over that of the first", above=0, maximum=100
    )
    inclination: Value = parameter(
        "inclination of the orbit; 90 is edge on", unit="degree", minimum=0, maximum=90
    )
    surface_brightness_ratio: Value | None = parameter(
        "surface brightness of the second star over that of the first, at the centres",
        minimum=0,
        default=None,
    )
    surface_brightness_ratios: BandValues | None = in_bands(
        "surface brightness of the second star over that of the first, at the centres", minimum=0
    )
    secondary_u1: Value | None = parameter(
        "limb darkening u1 of the second star; as of the first when absent",
        minimum=-1,
        maximum=2,
        default=None,
    )
    secondary_u2: Value | None = parameter(
        "limb darkening u2 of the second star", minimum=-1, maximum=1, default=None
    )
    secondary_q1: Value | None = parameter(
        "limb darkening q1 of the second star", minimum=0, maximum=1, default=None
    )
    secondary_q2: Value | None = parameter(
        "limb darkening q2 of the second star", minimum=0, maximum=1, default=None
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        both = ("surface_brightness_ratio", "surface_brightness_ratios")
        given = [name for name in both if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise problem(f"must have exactly one of {', '.join(both)}; it has {found}")
        names = ("secondary_u1", "secondary_u2", "secondary_q1", "secondary_q2")
        given = [name for name in names if getattr(self, name) is not None]
        if given not in ([], [*names[:2]], [*names[2:]]):
            raise problem(
                f"must have secondary_u1 and secondary_u2, or secondary_q1 and secondary_q2, or none of them; "
                f"it has {', '.join(given)}"
            )
        return self

    def derived(self, labels: ObjectLabels, band: str) -> Mapping[str, NDArray[np.float64] | float]:
        """Return the limb darkening of both stars, and no third light where none is given."""
        first = limb_darkening(labels.columns)
        assert first is not None
        second = limb_darkening(labels.columns, "secondary_") or first
        return {
            "primary_u1": first[0],
            "primary_u2": first[1],
            "secondary_u1": second[0],
            "secondary_u2": second[1],
            "third_light": labels.value("third_light", band, absent=0.0),
        }

    def refusals(self, rows: NDArray) -> Iterable[tuple[NDArray[np.bool_], str]]:
        """Refuse stars that never eclipse or touch each other, and limbs that are darker than black."""
        yield (
            never_eclipses(rows),
            "the stars never eclipse each other; raise its inclination, or sum_of_radii",
        )
        yield touches(rows), "the stars touch: sum_of_radii must be below 1 − eccentricity"
        first = rows[:, 0]
        dark = too_dark(first["primary_u1"], first["primary_u2"])
        yield dark | too_dark(first["secondary_u1"], first["secondary_u2"]), DARKNESS

    def event_nodes(self, batch: ObjectBatch, seen: Observations) -> NDArray[np.int64]:
        """Return the nodes of exposures that overlap an eclipse."""
        from deepbench.light_curves.families.eclipsing_binary_kernels import count_eclipses

        return batch.count_events(count_eclipses, seen)

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Multiply by the light that binaries show of their stars."""
        from deepbench.light_curves.families.eclipsing_binary_kernels import multiply_eclipses

        batch.write_nodes(multiply_eclipses, nodes, values)


def never_eclipses(rows: NDArray) -> NDArray[np.bool_]:
    """Return which binaries pass beside each other; ``rows`` is ``ECLIPSE[k, b]``.

    The separations at both conjunctions are compared, as impact parameters are; the smallest
    separations are less by a part of order (sum of radii)².
    """
    first = rows[:, 0]
    e = first["eccentricity"]
    argument = np.radians(first["argument_of_periastron_degrees"])
    distance = (1.0 - e * e) / (1.0 + e * np.abs(np.sin(argument)))
    inclination = np.radians(first["inclination_degrees"])
    return distance * np.abs(np.cos(inclination)) >= first["sum_of_radii"]


def touches(rows: NDArray) -> NDArray[np.bool_]:
    """Return which binaries touch at periastron; ``rows`` is ``ECLIPSE[k, b]``."""
    first = rows[:, 0]
    return 1.0 - first["eccentricity"] <= first["sum_of_radii"]
