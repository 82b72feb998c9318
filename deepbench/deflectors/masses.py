"""Specifications of masses: what a recipe says of each, what its labels become, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepbench.deflectors.deflector import Deflector, Redshifts
from deepbench.language.specification import parameter
from deepbench.language.values import Value
from deepbench.lensing.deflector import DEFLECTOR_ROW, EXTERNAL, POWER_LAW


def _rows(family: int, columns: Mapping[str, NDArray], **fields: Any) -> NDArray[np.void]:
    """Return ``DEFLECTOR_ROW[k]`` at the positions of masses with the fields that are given."""
    rows = np.zeros(len(columns["dx"]), DEFLECTOR_ROW)
    rows["family"], rows["x"], rows["y"] = family, columns["dx"], columns["dy"]
    for name, values in fields.items():
        rows[name] = values
    return rows


def _angle() -> Any:
    return parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=0.0
    )


class Sis(Deflector):
    """A singular isothermal sphere."""

    einstein_radius: Value = parameter("Einstein radius", unit="arcsec", minimum=0)

    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses."""
        strength = columns["einstein_radius"]
        return _rows(POWER_LAW, columns, strength=strength, axis_ratio=1.0, slope=2.0)


class Sie(Sis):
    """A singular isothermal ellipsoid."""

    axis_ratio: Value = parameter("minor over major axis of the mass", minimum=0.1, maximum=1)
    position_angle: Value = _angle()

    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses."""
        rows = super().rows(columns, redshifts)
        rows["axis_ratio"] = columns["axis_ratio"]
        rows["angle"] = np.deg2rad(columns["position_angle"])
        return rows


class PowerLaw(Sie):
    """An ellipsoid whose mass falls as a power of the radius."""

    slope: Value = parameter(
        "γ of the density r^(−γ); 2 is isothermal", minimum=1.5, maximum=2.5, default=2.0
    )

    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses."""
        rows = super().rows(columns, redshifts)
        rows["slope"] = columns["slope"]
        return rows


class Shear(Deflector):
    """Shear and convergence by masses outside of the frame."""

    strength: Value = parameter("shear γ", minimum=0, below=1, default=0.0)
    shear_angle: Value = parameter(
        "direction in which images are stretched, counter-clockwise from +x; a perturber lies at 90° to it",
        unit="degree",
        default=0.0,
    )
    convergence: Value = parameter("convergence κ of the sheet", below=1, default=0.0)

    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses."""
        return _rows(
            EXTERNAL,
            columns,
            strength=columns["strength"],
            angle=np.deg2rad(columns["shear_angle"]),
            convergence=columns["convergence"],
        )


DEFLECTORS: dict[str, type[Deflector]] = {
    "sis": Sis,
    "sie": Sie,
    "power_law": PowerLaw,
    "shear": Shear,
}
"""Masses by the name that a recipe has for them."""
