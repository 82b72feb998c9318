"""Planets that pass before their stars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepbench.language.specification import parameter
from deepbench.language.values import Value
from deepbench.light_curves.families.family import ObjectLabels, record
from deepbench.light_curves.families.orbiting import DARKNESS, Orbiting, limb_darkening, too_dark

if TYPE_CHECKING:
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.survey.exposures import Nodes, Observations

TRANSIT = record(
    "period",
    "transit_time",
    "radius_ratio",
    "scaled_semi_major_axis",
    "impact_parameter",
    "eccentricity",
    "argument_of_periastron_degrees",
    "u1",
    "u2",
    "third_light",
)
"""Row of a planet in a band: days, days, then numbers without unit; limb darkening and third light are the band's."""


class Transit(Orbiting):
    """A planet that passes before its star (Agol, Luger and Foreman-Mackey 2020)."""

    row: ClassVar[np.dtype] = TRANSIT

    transit_time: Value = parameter("time of the middle of a transit", unit="d")
    radius_ratio: Value = parameter(
        "radius of the planet over that of the star", above=0, maximum=2
    )
    scaled_semi_major_axis: Value = parameter(
        "semi-major axis over the radius of the star", above=1
    )
    impact_parameter: Value = parameter(
        "least distance of the centres at the transit, over the radius of the star", minimum=0
    )

    def derived(self, labels: ObjectLabels, band: str) -> Mapping[str, NDArray[np.float64] | float]:
        """Return the limb darkening, and no third light where none is given."""
        found = limb_darkening(labels.columns)
        assert found is not None
        third_light = labels.value("third_light", band, absent=0.0)
        return {"u1": found[0], "u2": found[1], "third_light": third_light}

    def refusals(self, rows: NDArray) -> Iterable[tuple[NDArray[np.bool_], str]]:
        """Refuse planets that never transit or touch their stars, and limbs that are darker than black."""
        yield (
            never_transits(rows),
            "its impact_parameter is 1 + radius_ratio or more, so it never transits; use min() or a narrower prior",
        )
        yield (
            touches(rows),
            "it touches its star: scaled_semi_major_axis × (1 − eccentricity) must be above 1 + radius_ratio",
        )
        yield too_dark(rows["u1"][:, 0], rows["u2"][:, 0]), DARKNESS

    def event_nodes(self, batch: ObjectBatch, seen: Observations) -> NDArray[np.int64]:
        """Return the nodes of exposures that overlap a transit."""
        from deepbench.light_curves.families.transit_kernels import count_transits

        return batch.count_events(count_transits, seen)

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Multiply by the light that planets leave of their stars."""
        from deepbench.light_curves.families.transit_kernels import multiply_transits

        batch.write_nodes(multiply_transits, nodes, values)


def never_transits(rows: NDArray) -> NDArray[np.bool_]:
    """Return which planets pass beside their stars; ``rows`` is ``TRANSIT[k, b]``."""
    first = rows[:, 0]
    return first["impact_parameter"] >= 1.0 + first["radius_ratio"]


def touches(rows: NDArray) -> NDArray[np.bool_]:
    """Return which planets touch their stars at periastron; ``rows`` is ``TRANSIT[k, b]``."""
    first = rows[:, 0]
    nearest = first["scaled_semi_major_axis"] * (1.0 - first["eccentricity"])
    return nearest <= 1.0 + first["radius_ratio"]
