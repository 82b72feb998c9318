"""Specifications of galaxies: what a recipe says of each, what its labels become, and the registry of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from deepbench.images.galaxies.shear import Shear, sheared
from deepbench.images.model.sky import (
    COMPONENT_ROW,
    COMPONENTS,
    LEAST_AXIS_RATIO,
    Piece,
    SkyObject,
    rows_of,
)
from deepbench.language.specification import parameter, problem
from deepbench.language.values import Constant, Value

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable

MAXIMUM_GALAXY_FRAME = 512
"""Largest edge of a frame on which galaxies are drawn as a whole (pixel); in a larger one they have stamps."""

MAXIMUM_PERIOD = 4096
"""Largest period of the FFT of a galaxy whose centre is outside of the frame (pixel)."""

TRUNCATED_ROW = np.dtype([("truncation", np.float64), *COMPONENT_ROW.descr])
"""Row of a truncated Sérsic profile, in pixels and degrees.

``half_light_radius`` is that of the profile before it is cut, ``truncation`` the circularised radius of the ellipse at
which it ends, ``flux`` the light inside.
"""

LOGARITHMIC, RINGERMACHER_MEAD = range(2)
"""Codes of the forms of spiral arms."""

ARMS_ROW = np.dtype(
    [
        ("flux", np.float64),
        ("x", np.float64),
        ("y", np.float64),
        ("half_light_radius", np.float64),
        ("axis_ratio", np.float64),
        ("position_angle_degrees", np.float64),
        ("arms", np.float64),
        ("form", np.int64),
        ("pitch_angle_degrees", np.float64),
        ("winding", np.float64),
        ("arm_scale", np.float64),
        ("arm_opening", np.float64),
        ("contrast", np.float64),
        ("arm_width", np.float64),
        ("inner_radius", np.float64),
        ("arm_angle_degrees", np.float64),
        ("handedness", np.float64),
    ]
)
"""Row of the spiral arms of an exponential disk, in pixels and degrees; ``flux`` is that of the disk.

A logarithmic form reads the pitch angle, that of Ringermacher and Mead the winding, scale and opening.
"""

ENGINES = {
    "arms": "deepbench.images.galaxies.spirals",
    "truncated": "deepbench.images.galaxies.truncated",
}
"""Modules that draw pieces in stamps of their own, in the order in which they are drawn; ``stamps.Engine`` says how."""


class Galaxy(SkyObject):
    """Base of galaxies, which weak lensing may shear."""

    position_angle: Value = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=0.0
    )
    stamp_flux: Value | None = parameter(
        "part of the flux that is held by the square in which it is drawn; the whole frame when absent",
        minimum=0.5,
        maximum=0.99999,
        default=None,
    )
    shear: Shear | None = Field(None, description="weak gravitational lensing; none when absent")

    def check(self, kind: str, table: ImageTable) -> None:
        """Refuse what no object of the sky can have, a radius without a scale, and strong shears."""
        super().check(kind, table)
        table.require_scale(f"the radius of a {kind}")
        for name in ("axis_ratio", "bulge_axis_ratio", "disk_axis_ratio"):
            if self.shear is not None and hasattr(self, name):
                self.shear.check_axis_ratio(kind, name, getattr(self, name))

    def check_frame(self, kind: str, table: ImageTable) -> None:
        """Refuse a frame on which it cannot be drawn as a whole; one that is lensed is traced on any."""
        if max(table.size) > MAXIMUM_GALAXY_FRAME and self.stamp_flux is None:
            raise problem(
                f"a {kind} is drawn on the whole frame, of at most {MAXIMUM_GALAXY_FRAME} pixels a side; "
                "add `stamp_flux`, such as 0.995, to draw it in the smallest square that holds so much of its light"
            )

    @abstractmethod
    def profiles(self, columns: Mapping[str, NDArray], scale: float) -> list[Piece]:
        """Return what engines draw of galaxies without their shears; see ``pieces``."""

    def pieces(self, columns: Mapping[str, NDArray], scale: float) -> list[Piece]:
        """Return what engines draw of galaxies."""
        pieces = self.profiles(columns, scale)
        return pieces if self.shear is None else [sheared(piece, columns) for piece in pieces]

    def refusals(self, columns: Mapping[str, NDArray]) -> list[tuple[NDArray[np.bool_], str]]:
        """Return which galaxies cannot be drawn whatever the table, bool[k], and why."""
        return [] if self.shear is None else self.shear.refusals(columns)


def _component(
    columns: Mapping[str, NDArray], part: Any, radius: NDArray, axis_ratio: Any, index: Any
) -> NDArray[np.void]:
    """Return components, ``COMPONENT_ROW[k]``, with a part of the light and a circularised radius in pixels."""
    return rows_of(
        COMPONENT_ROW,
        len(radius),
        flux=part,
        half_light_radius=radius,
        axis_ratio=axis_ratio,
        position_angle_degrees=columns["position_angle"],
        sersic_index=index,
    )


def _bulge(columns: Mapping[str, NDArray], scale: float, axis_ratio: Any) -> Piece:
    """Return the components of bulges."""
    radius = columns["bulge_half_light_radius"] / scale
    index = columns["bulge_sersic_index"]
    rows = _component(columns, columns["bulge_fraction"], radius, axis_ratio, index)
    return Piece(COMPONENTS, rows)


def _radius(meaning: str, default: Any = ...) -> Any:
    return parameter(
        meaning, unit="arcsec", above=0, **({} if default is ... else {"default": default})
    )


class Sersic(Galaxy):
    """A galaxy, or a part of one, whose light falls as exp(−b r^(1/n)) (Sérsic 1963), seen through the PSF."""

    sersic_index: Value = parameter(
        "Sérsic index n; 1 is exponential, 4 de Vaucouleurs", minimum=0.3, maximum=6.2
    )
    half_light_radius: Value | None = _radius(
        "circularised radius √(ab) of the ellipse that holds half of the light", None
    )
    semi_major_half_light_radius: Value | None = _radius(
        "semi-major axis of the ellipse that holds half of the light", None
    )
    axis_ratio: Value = parameter(
        "minor over major axis", minimum=LEAST_AXIS_RATIO, maximum=1, default=1.0
    )
    truncation: Value | None = parameter(
        "circularised radius beyond which there is no light; the half-light radius is that without it",
        unit="arcsec",
        above=0,
        default=None,
    )

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        given = (self.half_light_radius, self.semi_major_half_light_radius)
        if (given[0] is None) == (given[1] is None):
            found = "neither" if given[0] is None else "both"
            raise problem(
                f"must have exactly one of half_light_radius and semi_major_half_light_radius; it has {found}"
            )
        return self

    def profiles(self, columns: Mapping[str, NDArray], scale: float) -> list[Piece]:
        """Return one component, or one truncated profile."""
        ratio = columns["axis_ratio"]
        if "half_light_radius" in columns:
            radius = columns["half_light_radius"]
        else:
            radius = columns["semi_major_half_light_radius"] * np.sqrt(ratio)
        index = columns["sersic_index"]
        component = _component(columns, 1.0, radius / scale, ratio, index)
        if "truncation" not in columns:
            return [Piece(COMPONENTS, component)]
        fields = {name: component[name] for name in COMPONENT_ROW.names or ()}
        ends = columns["truncation"] / scale
        rows = rows_of(TRUNCATED_ROW, len(component), **fields, truncation=ends)
        return [Piece("truncated", rows)]


class BulgeDisk(Galaxy):
    """A Sérsic bulge in an exponential disk, with one centre and one position angle."""

    bulge_fraction: Value = parameter("part of the light in the bulge", minimum=0, maximum=1)
    bulge_half_light_radius: Value = _radius("circularised half-light radius of the bulge")
    bulge_sersic_index: Value = parameter(
        "Sérsic index n of the bulge; 4 is de Vaucouleurs", minimum=0.3, maximum=6.2, default=4.0
    )
    bulge_axis_ratio: Value = parameter(
        "minor over major axis of the bulge", minimum=LEAST_AXIS_RATIO, maximum=1, default=1.0
    )
    disk_half_light_radius: Value = _radius("circularised half-light radius of the disk")
    disk_axis_ratio: Value = parameter(
        "minor over major axis of the disk", minimum=LEAST_AXIS_RATIO, maximum=1, default=1.0
    )

    def profiles(self, columns: Mapping[str, NDArray], scale: float) -> list[Piece]:
        """Return the components of the disk and of the bulge."""
        radius, ratio = columns["disk_half_light_radius"], columns["disk_axis_ratio"]
        disk = _component(columns, 1.0 - columns["bulge_fraction"], radius / scale, ratio, 1.0)
        return [Piece(COMPONENTS, disk), _bulge(columns, scale, columns["bulge_axis_ratio"])]


class SpiralGalaxy(Galaxy):
    """A Sérsic bulge in a thin, inclined exponential disk whose light is gathered along arms."""

    bulge_fraction: Value = parameter(
        "part of the light in the bulge, which is round", minimum=0, maximum=1
    )
    bulge_half_light_radius: Value = _radius("half-light radius of the bulge")
    bulge_sersic_index: Value = parameter(
        "Sérsic index n of the bulge; 4 is de Vaucouleurs", minimum=0.3, maximum=6.2, default=4.0
    )
    disk_half_light_radius: Value = _radius("half-light radius of the disk, seen face on")
    inclination: Value = parameter(
        "inclination of the disk; 0 is face on", unit="degree", minimum=0, maximum=84, default=0.0
    )
    arms: Value = parameter("number of arms", minimum=1, maximum=8, integer=True, default=2)
    arm_contrast: Value = parameter(
        "part of the disk's light, outside of inner_radius, that is gathered in the arms",
        minimum=0,
        maximum=1,
        default=0.8,
    )
    arm_width: Value = parameter(
        "full width at half maximum of an arm over the distance to the next",
        minimum=0.05,
        maximum=0.95,
        default=0.4,
    )
    arm_angle: Value = parameter(
        "angle at which an arm begins, counter-clockwise in the disk from the major axis",
        unit="degree",
        default=0.0,
    )
    inner_radius: Value = _radius("radius inside of which the arms fade away")
    handedness: Value = parameter(
        "direction of the arms; 1: they turn counter-clockwise outwards, -1: clockwise",
        minimum=-1,
        maximum=1,
        integer=True,
        default=1,
    )

    @field_validator("handedness")
    @classmethod
    def _has_a_hand(cls, handedness: Any) -> Any:
        if isinstance(handedness, Constant) and handedness.value == 0:
            raise problem("must be 1 or -1, not 0")
        return handedness

    @abstractmethod
    def arm_form(self, columns: Mapping[str, NDArray], scale: float) -> dict[str, Any]:
        """Return the fields of ``ARMS_ROW`` that say how the arms wind."""

    def profiles(self, columns: Mapping[str, NDArray], scale: float) -> list[Piece]:
        """Return the components of the disk and of the bulge, and the arms."""
        from deepbench.numerics.mathfast import cosd

        ratio = cosd(columns["inclination"])
        radius = columns["disk_half_light_radius"] * np.sqrt(ratio)
        disk = _component(columns, 1.0 - columns["bulge_fraction"], radius / scale, ratio, 1.0)
        shared = ("flux", "half_light_radius", "axis_ratio", "position_angle_degrees")
        arms = rows_of(
            ARMS_ROW,
            len(disk),
            **{name: disk[name] for name in shared},
            **self.arm_form(columns, scale),
            arms=columns["arms"],
            contrast=columns["arm_contrast"],
            arm_width=columns["arm_width"],
            inner_radius=columns["inner_radius"] / scale,
            arm_angle_degrees=columns["arm_angle"],
            handedness=columns["handedness"],
        )
        return [Piece(COMPONENTS, disk), _bulge(columns, scale, 1.0), Piece("arms", arms)]

    def refusals(self, columns: Mapping[str, NDArray]) -> list[tuple[NDArray[np.bool_], str]]:
        """Return which objects cannot be drawn whatever the table, bool[k], and why."""
        why = "the handedness of a spiral galaxy is 0; it must be 1 or -1"
        return [*super().refusals(columns), (columns["handedness"] == 0.0, why)]


class Spiral(SpiralGalaxy):
    """A galaxy with logarithmic arms."""

    pitch_angle: Value = parameter(
        "pitch angle between an arm and a circle", unit="degree", minimum=5, maximum=60
    )

    def arm_form(self, columns: Mapping[str, NDArray], scale: float) -> dict[str, Any]:
        """Return the fields of ``ARMS_ROW`` that say how the arms wind."""
        return {"form": LOGARITHMIC, "pitch_angle_degrees": columns["pitch_angle"]}


class RingermacherMead(SpiralGalaxy):
    """A galaxy whose arms are r = A / ln(B tan(φ / 2N)) (Ringermacher and Mead 2009), which may have a bar."""

    arm_scale: Value = _radius("A, about the radius of the straight bar from which the arms begin")
    arm_opening: Value = parameter("B of the arms: the larger, the further they turn", above=0)
    winding: Value = parameter(
        "N of the arms: the larger, the tighter they wind", above=0, maximum=50
    )

    def arm_form(self, columns: Mapping[str, NDArray], scale: float) -> dict[str, Any]:
        """Return the fields of ``ARMS_ROW`` that say how the arms wind."""
        return {
            "form": RINGERMACHER_MEAD,
            "winding": columns["winding"],
            "arm_scale": columns["arm_scale"] / scale,
            "arm_opening": columns["arm_opening"],
        }


GALAXIES: dict[str, type[Galaxy]] = {
    "sersic": Sersic,
    "bulge_disk": BulgeDisk,
    "spiral": Spiral,
    "ringermacher_mead": RingermacherMead,
}
"""Galaxies by the name that a recipe has for them."""
