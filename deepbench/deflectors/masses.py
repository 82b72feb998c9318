"""Specifications of masses: what a recipe says of each, what its labels become, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepbench.deflectors.deflector import Deflector, Redshifts
from deepbench.language.specification import parameter, problem
from deepbench.language.values import Value
from deepbench.lensing.deflector import (
    DEFLECTOR_ROW,
    EXTERNAL,
    ISOTHERMAL,
    MULTIPOLE,
    NFW,
    POINT_MASS,
    POWER_LAW,
    TRUNCATED_NFW,
)


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

    einstein_radius: Value | None = parameter(
        "Einstein radius", unit="arcsec", minimum=0, default=None
    )
    velocity_dispersion: Value | None = parameter(
        "velocity dispersion σ, whose Einstein radius is 4π (σ/c)² D_ls/D_s",
        unit="km/s",
        minimum=0,
        maximum=3000,
        default=None,
    )

    @model_validator(mode="after")
    def _one_strength(self) -> Self:
        if (self.einstein_radius is None) == (self.velocity_dispersion is None):
            found = "neither" if self.einstein_radius is None else "both"
            raise problem(
                f"must have exactly one of einstein_radius and velocity_dispersion; it has {found}"
            )
        return self

    @property
    def needs_redshifts(self) -> bool:
        """Whether the strength follows from the redshifts of lens and source."""
        return self.velocity_dispersion is not None

    def measured(self) -> dict[str, str]:
        """Return the labels that follow from redshifts, by the field of ``DEFLECTOR_ROW`` that each is."""
        return {"einstein_radius": "strength"} if self.needs_redshifts else {}

    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses."""
        from deepbench.lensing.cosmology import einstein_radius

        if "einstein_radius" in columns:
            strength = columns["einstein_radius"]
        else:
            strength = einstein_radius(columns["velocity_dispersion"], redshifts.distances())
        return _rows(POWER_LAW, columns, strength=strength, axis_ratio=1.0, slope=2.0)


class Sie(Sis):
    """A singular isothermal ellipsoid, which may have a core."""

    axis_ratio: Value = parameter("minor over major axis of the mass", minimum=0.1, maximum=1)
    position_angle: Value = _angle()
    core_radius: Value | None = parameter(
        "radius of a core; the Einstein radius is that without it",
        unit="arcsec",
        minimum=0,
        default=None,
    )

    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses."""
        rows = super().rows(columns, redshifts)
        rows["axis_ratio"] = columns["axis_ratio"]
        rows["angle"] = np.deg2rad(columns["position_angle"])
        if "core_radius" in columns:
            rows["family"], rows["scale"] = ISOTHERMAL, columns["core_radius"]
        return rows


class PowerLaw(Sis):
    """An ellipsoid whose density falls as a power of the radius."""

    axis_ratio: Value = parameter("minor over major axis of the mass", minimum=0.1, maximum=1)
    position_angle: Value = _angle()
    slope: Value = parameter("γ of the density r^(−γ); 2 is isothermal", minimum=1.5, maximum=2.5)

    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses."""
        rows = super().rows(columns, redshifts)
        rows["axis_ratio"], rows["slope"] = columns["axis_ratio"], columns["slope"]
        rows["angle"] = np.deg2rad(columns["position_angle"])
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


class PointMass(Deflector):
    """A point mass."""

    einstein_radius: Value = parameter("Einstein radius", unit="arcsec", minimum=0)

    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses."""
        return _rows(POINT_MASS, columns, strength=columns["einstein_radius"])


class Nfw(Deflector):
    """A halo of Navarro, Frenk and White, by its mass or by its deflection, which may be truncated."""

    mass: Value | None = parameter(
        "M200c of the spherical halo that is not truncated",
        unit="solMass",
        above=0,
        maximum=1e17,
        default=None,
    )
    concentration: Value | None = parameter("c200c", minimum=1, maximum=100, default=None)
    scale_radius: Value | None = parameter("scale radius", unit="arcsec", above=0, default=None)
    deflection: Value | None = parameter(
        "deflection at the scale radius of the spherical halo that is not truncated",
        unit="arcsec",
        minimum=0,
        default=None,
    )
    potential_axis_ratio: Value | None = parameter(
        "minor over major axis of the potential; κ, which is flatter, is negative in places where it is small",
        minimum=0.65,
        maximum=1,
        default=None,
    )
    position_angle: Value | None = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=None
    )
    truncation_radius: Value | None = parameter(
        "radius r_t beyond which the density falls as r^(−5) (Baltz et al. 2009)",
        unit="arcsec",
        above=0,
        default=None,
    )

    @model_validator(mode="after")
    def _one_strength(self) -> Self:
        names = ("mass", "concentration", "scale_radius", "deflection")
        given = [name for name in names if getattr(self, name) is not None]
        if given not in (["mass", "concentration"], ["scale_radius", "deflection"]):
            found = ", ".join(given) or "none of them"
            raise problem(
                "must have either mass and concentration, or scale_radius and deflection; "
                f"it has {found}"
            )
        if self.truncation_radius is not None and self.potential_axis_ratio is not None:
            raise problem(
                "a truncated halo is spherical: leave out potential_axis_ratio or truncation_radius"
            )
        if self.position_angle is not None and self.potential_axis_ratio is None:
            raise problem("position_angle needs potential_axis_ratio: this halo is spherical")
        return self

    @property
    def needs_redshifts(self) -> bool:
        """Whether the strength follows from the redshifts of lens and source."""
        return self.mass is not None

    def measured(self) -> dict[str, str]:
        """Return the labels that follow from redshifts, by the field of ``DEFLECTOR_ROW`` that each is."""
        return {"scale_radius": "scale", "deflection": "strength"} if self.needs_redshifts else {}

    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses."""
        from deepbench.lensing.cosmology import critical_density
        from deepbench.lensing.haloes import halo_by_mass

        if "mass" in columns:
            density = critical_density(
                redshifts.hubble_constant, redshifts.matter_density, redshifts.lens
            )
            scale, strength = halo_by_mass(
                columns["mass"], columns["concentration"], density, redshifts.distances()
            )
        else:
            scale, strength = columns["scale_radius"], columns["deflection"]
        rows = _rows(NFW, columns, scale=scale, strength=strength)
        rows["axis_ratio"] = columns.get("potential_axis_ratio", 1.0)
        rows["angle"] = np.deg2rad(columns.get("position_angle", 0.0))
        if "truncation_radius" in columns:
            rows["family"], rows["truncation"] = TRUNCATED_NFW, columns["truncation_radius"]
        return rows


class Multipole(Deflector):
    """A disky or boxy part of an isothermal mass: κ = a cos m(φ − φ_m) / 2r, beside an sie or sis at its centre."""

    order: Literal[3, 4] = Field(description="m")
    amplitude: Value = parameter(
        "a; of m = 4 with φ_m along the major axis: disky above 0, boxy below", unit="arcsec"
    )
    angle: Value = parameter("φ_m, counter-clockwise from +x", unit="degree", default=0.0)

    def rows(self, columns: Mapping[str, NDArray], redshifts: Redshifts) -> NDArray[np.void]:
        """Return ``DEFLECTOR_ROW[k]`` of k masses."""
        return _rows(
            MULTIPOLE,
            columns,
            order=self.order,
            strength=columns["amplitude"],
            angle=np.deg2rad(columns["angle"]),
        )


DEFLECTORS: dict[str, type[Deflector]] = {
    "sis": Sis,
    "sie": Sie,
    "power_law": PowerLaw,
    "shear": Shear,
    "point_mass": PointMass,
    "nfw": Nfw,
    "multipole": Multipole,
}
"""Masses by the name that a recipe has for them."""
