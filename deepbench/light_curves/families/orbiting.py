"""Bodies that pass before stars: an orbit, a limb that is darker than the disc, and the light of a third body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from deepbench.language.specification import parameter, problem
from deepbench.language.values import Value
from deepbench.light_curves.families.family import BandValues, Modulation, in_bands

DARKNESS = "its limb darkening must have u1 ≥ 0, u1 + 2 u2 ≥ 0 and u1 + u2 ≤ 1 (Kipping 2013); draw q1 and q2 instead"
"""Refusal of limb darkening that ``too_dark`` finds."""


class Orbiting(Modulation):
    """A body that passes before a star, which is darker towards its limb by 1 − u1 (1 − μ) − u2 (1 − μ)²."""

    by_band: ClassVar[tuple[str, ...]] = ("third_lights",)
    measured: ClassVar[tuple[str, ...]] = ("snr", "n_in_event")

    period: Value = parameter("time from one transit to the next", unit="d", above=0)
    eccentricity: Value = parameter("eccentricity of the orbit", minimum=0, below=1, default=0.0)
    argument_of_periastron: Value = parameter(
        "of the orbit of the star that is eclipsed at the given time, as radial velocities give it",
        unit="degree",
        default=90.0,
    )
    u1: Value | None = parameter(
        "linear coefficient u1 of limb darkening", minimum=-1, maximum=2, default=None
    )
    u2: Value | None = parameter(
        "quadratic coefficient u2 of limb darkening", minimum=-1, maximum=1, default=None
    )
    q1: Value | None = parameter(
        "limb darkening q1 = (u1 + u2)² (Kipping 2013)", minimum=0, maximum=1, default=None
    )
    q2: Value | None = parameter(
        "limb darkening q2 = u1 / (2 (u1 + u2)) (Kipping 2013)", minimum=0, maximum=1, default=None
    )
    third_light: Value | None = parameter(
        "part of the light that other stars give", minimum=0, below=1, default=None
    )
    third_lights: BandValues | None = in_bands(
        "part of the light that other stars give", minimum=0, below=1
    )

    @model_validator(mode="after")
    def _one_darkening(self) -> Self:
        given = [name for name in ("u1", "u2", "q1", "q2") if getattr(self, name) is not None]
        if given not in (["u1", "u2"], ["q1", "q2"]):
            found = ", ".join(given) or "none of them"
            raise problem(f"must have either u1 and u2, or q1 and q2; it has {found}")
        if self.third_light is not None and self.third_lights is not None:
            raise problem("must have third_light or third_lights, not both")
        return self

    def event_periods(self, rows: NDArray) -> NDArray[np.float64]:
        """Return the periods, days."""
        return rows["period"][:, 0]


def limb_darkening(
    columns: Mapping[str, NDArray[np.float64]], prefix: str = ""
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return u1 and u2 of the labels whose names begin with a prefix; None where there are none.

    Where q1 and q2 are given, they follow from these (Kipping 2013, MNRAS 435, 2152, eqs. 15, 16).
    """
    if f"{prefix}q1" in columns:
        root, share = np.sqrt(columns[f"{prefix}q1"]), columns[f"{prefix}q2"]
        return 2.0 * root * share, root * (1.0 - 2.0 * share)
    if f"{prefix}u1" in columns:
        return columns[f"{prefix}u1"], columns[f"{prefix}u2"]
    return None


def too_dark(u1: NDArray[np.float64], u2: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where limb darkening takes more light than there is, or makes the limb brighter."""
    return (u1 + u2 > 1.0 + 1e-12) | (u1 < -1e-12) | (u1 + 2.0 * u2 < -1e-12)
