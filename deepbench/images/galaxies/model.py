"""Specifications of galaxies: what a recipe says of each, and the registry of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import field_validator, model_validator

from deepbench.images.model.sky import SkyObject
from deepbench.language.specification import parameter, problem
from deepbench.language.values import Constant, Value

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable

MAXIMUM_GALAXY_FRAME = 512
"""Largest edge of a frame on which galaxies are drawn as a whole (pixel); in a larger one they have stamps."""


class Galaxy(SkyObject):
    """What galaxies share."""

    position_angle: Value = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=0.0
    )
    stamp_flux: Value | None = parameter(
        "part of the flux that is held by the square in which it is drawn; the whole frame when absent",
        minimum=0.5,
        maximum=0.99999,
        default=None,
    )

    def check(self, kind: str, table: ImageTable) -> None:
        """Refuse what no object of the sky can have, frames that are too large, and PSFs that are cut off."""
        super().check(kind, table)
        table.require_scale(f"the radius of a {kind}")
        if max(table.size) > MAXIMUM_GALAXY_FRAME and self.stamp_flux is None:
            raise problem(
                f"a {kind} is drawn on the whole frame, of at most {MAXIMUM_GALAXY_FRAME} pixels a side; "
                "add `stamp_flux`, such as 0.995, to draw it in the smallest square that holds so much of its light"
            )
        if any(psf.moffat and psf.moffat.truncation is not None for psf in table.all_psfs()):
            raise problem(
                f"a {kind} cannot be seen through a truncated moffat: leave out `truncation`"
            )


def _radius(meaning: str, default: Any = ...) -> Any:
    return parameter(
        meaning, unit="arcsec", above=0, **({} if default is ... else {"default": default})
    )


class Sersic(Galaxy):
    """A galaxy, or a part of one, whose light falls as exp(−b r^(1/n)) (Sérsic 1963), seen through the PSF."""

    sersic_index: Value = parameter(
        "n: 1 is exponential, 4 de Vaucouleurs", minimum=0.3, maximum=6.2
    )
    half_light_radius: Value | None = _radius(
        "circularised radius √(ab) of the ellipse that holds half of the light", None
    )
    semi_major_half_light_radius: Value | None = _radius(
        "semi-major axis of the ellipse that holds half of the light", None
    )
    axis_ratio: Value = parameter("minor over major axis", minimum=0.05, maximum=1, default=1.0)
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


class BulgeDisk(Galaxy):
    """A Sérsic bulge in an exponential disk, with one centre and one position angle."""

    bulge_fraction: Value = parameter("part of the light in the bulge", minimum=0, maximum=1)
    bulge_half_light_radius: Value = _radius("circularised half-light radius of the bulge")
    bulge_sersic_index: Value = parameter(
        "n of the bulge; 4 is de Vaucouleurs", minimum=0.3, maximum=6.2, default=4.0
    )
    bulge_axis_ratio: Value = parameter(
        "minor over major axis of the bulge", minimum=0.05, maximum=1, default=1.0
    )
    disk_half_light_radius: Value = _radius("circularised half-light radius of the disk")
    disk_axis_ratio: Value = parameter(
        "minor over major axis of the disk", minimum=0.05, maximum=1, default=1.0
    )


class SpiralGalaxy(Galaxy):
    """A Sérsic bulge in a thin, inclined exponential disk whose light is gathered along arms."""

    bulge_fraction: Value = parameter(
        "part of the light in the bulge, which is round", minimum=0, maximum=1
    )
    bulge_half_light_radius: Value = _radius("half-light radius of the bulge")
    bulge_sersic_index: Value = parameter(
        "n of the bulge; 4 is de Vaucouleurs", minimum=0.3, maximum=6.2, default=4.0
    )
    disk_half_light_radius: Value = _radius("half-light radius of the disk, seen face on")
    inclination: Value = parameter(
        "of the disk; 0 is face on", unit="degree", minimum=0, maximum=84, default=0.0
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
        "where an arm begins, counter-clockwise in the disk from the major axis",
        unit="degree",
        default=0.0,
    )
    inner_radius: Value = _radius("inside of which the arms fade away")
    handedness: Value = parameter(
        "1: the arms turn counter-clockwise outwards, -1: clockwise",
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


class Spiral(SpiralGalaxy):
    """A galaxy with logarithmic arms."""

    pitch_angle: Value = parameter(
        "between an arm and a circle", unit="degree", minimum=5, maximum=60
    )


class RingermacherMead(SpiralGalaxy):
    """A galaxy whose arms are r = A / ln(B tan(φ / 2N)) (Ringermacher and Mead 2009), which may have a bar."""

    arm_scale: Value = _radius("A: arms begin as a straight bar of about this radius")
    arm_opening: Value = parameter("B: the larger, the further the arms turn", above=0)
    winding: Value = parameter("N: the larger, the tighter the arms", above=0, maximum=50)


GALAXIES: dict[str, type[Galaxy]] = {
    "sersic": Sersic,
    "bulge_disk": BulgeDisk,
    "spiral": Spiral,
    "ringermacher_mead": RingermacherMead,
}
"""Galaxies by the name that a recipe has for them."""
