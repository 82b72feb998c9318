"""Gravitational lenses in the standard COOLEST (Galan et al. 2023, JOSS 8, 5567), whose files lens modellers read.

What of a sample's truth COOLEST defines as we do is written as it defines it; a sample with anything else is refused.

- Positions are arcsec, x to the right and y upwards as ours, from the centre of the shears; without any, of the frame.
- Angles are degrees counter-clockwise from +y, in (−90, 90]; ours count from +x.
- Radii of ellipses are √(ab), as ours are.
- Light is per arcsec² and second. The b of a Sérsic profile is 1.9992 n − 0.3271, an approximation; the radius is the
  one with which the profile is the one that was drawn.
- Redshifts tell what is lensed. All that is not lensed has the redshift of the masses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepbench.deflectors.deflector import Deflector
from deepbench.errors import ExportError
from deepbench.labelling.objects import ObjectColumns, object_columns
from deepbench.lensing.deflector import EXTERNAL, ISOTHERMAL, POWER_LAW

if TYPE_CHECKING:
    from deepbench.deflectors.planes import Planes
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table

SERSIC_INDEX = (0.5, 10.0)
"""Range of Sérsic indices that COOLEST allows."""

NO_EQUAL = {
    "sie": "COOLEST says only to an approximation which Einstein radius a core leaves",
    "nfw": "COOLEST does not say in which unit the density of an NFW is, and has no truncated one",
    "point_mass": "COOLEST has no point masses",
    "multipole": "COOLEST has no multipoles",
}
"""Why masses cannot be written, by their kinds; an sie only with a core."""


class Profile(NamedTuple):
    """A profile of COOLEST: its name there, and its parameters."""

    name: str
    parameters: Mapping[str, float | list[float]]


@dataclass(frozen=True)
class Entity:
    """A galaxy or mass field of COOLEST: one object of a sample, under its name."""

    name: str
    redshift: float
    mass: list[Profile] = field(default_factory=list)
    light: list[Profile] = field(default_factory=list)
    is_field: bool = False

    def document(self, number: int) -> dict[str, Any]:
        """Return it as the entity of that number in a file."""
        kind = "MassField" if self.is_field else "Galaxy"
        parts = {"mass": self.mass} if self.is_field else {"mass": self.mass, "light": self.light}
        models = {
            f"{part}_model": [
                _profile(each, f"{number}-{kind.lower()}-{part}-{place}-{each.name}")
                for place, each in enumerate(profiles)
            ]
            for part, profiles in parts.items()
        }
        return {"type": kind, "name": self.name, "redshift": self.redshift, **models}


def _profile(profile: Profile, identity: str) -> dict[str, Any]:
    parameters = {
        name: {
            "id": f"{identity}-{name}",
            "point_estimate": {"value": value},
            "prior": {"type": None},
        }
        for name, value in profile.parameters.items()
    }
    return {"type": profile.name, "id": identity, "parameters": parameters}


class System(NamedTuple):
    """Description of a sample in COOLEST's terms, beside the image.

    Attributes
    ----------
    entities : list of Entity
        Masses, then light, in written order.
    origin : (float, float)
        Origin of all positions, arcsec from the centre of the frame.
    hubble_constant, matter_density : float
        The flat universe: km/s/Mpc, and matter in units of the critical density.
    """

    entities: list[Entity]
    origin: tuple[float, float]
    hubble_constant: float
    matter_density: float


def system_of(table: Table[ImageTable], labels: Labels, band: str = "") -> System:
    """Return the masses and the light of a sample, without noise.

    Parameters
    ----------
    table : Table
        Of images.
    labels : Labels
        Of one sample.
    band : str
        Name of a band of the table's instrument; empty where there is none.

    Raises
    ------
    ExportError
        The sample has no masses or no redshifts, or COOLEST has no equal of an object.
    """
    from deepbench.deflectors.planes import planes_of

    table = table.at(int(labels.columns["attempt"][0])) if "attempt" in labels.columns else table
    planes = planes_of(table, labels)
    class_name = table.plan.classes[int(labels.columns["class"][0])]
    if not len(planes.rows):
        raise ExportError(f"class '{class_name}' has no masses, and COOLEST describes lenses")
    if np.isnan(planes.redshifts.lens[0]):
        raise ExportError(
            f"COOLEST tells by redshifts what is lensed: class '{class_name}' needs a `lens` with redshift and "
            "source_redshift"
        )
    for each in object_columns(table.plan, labels, lambda entry: entry.is_shape):
        if len(each.samples):
            raise ExportError(f"'{each.name}' is a {each.entry.kind}, and COOLEST has no shapes")
    origin = _origin(planes)
    entities = [
        *_masses(table, labels, planes, origin),
        *_light(table, labels, planes, origin, band),
    ]
    redshifts = planes.redshifts
    return System(
        entities, origin, float(redshifts.hubble_constant[0]), float(redshifts.matter_density[0])
    )


def _origin(planes: Planes) -> tuple[float, float]:
    """Return the centre of the shears, which COOLEST has at the origin; that of the frame without shears."""
    rows = planes.rows[planes.rows["family"] == EXTERNAL]
    centres = {(float(row["x"]), float(row["y"])) for row in rows}
    if len(centres) > 1:
        raise ExportError(
            "the shears have different centres, and COOLEST has all of them at the origin of its coordinates"
        )
    return centres.pop() if centres else (0.0, 0.0)


def _name(source: ObjectColumns, copy: int) -> str:
    """Return the name of an object, or of one of its copies."""
    return f"{source.name}[{copy}]" if source.repeated else source.name


def position_angle(degrees: float) -> float:
    """Return an angle from +y in (−90, 90] of one from +x.

    Examples
    --------
    >>> [position_angle(angle) for angle in (0, 30, 90, 135, 180)]
    [90, -60, 0, 45, 90]
    """
    angle = (degrees - 90) % 180
    return angle - 180 if angle > 90 else angle


# --- masses ---


def _masses(
    table: Table[ImageTable], labels: Labels, planes: Planes, origin: tuple[float, float]
) -> Iterator[Entity]:
    """Yield the masses of a sample."""
    redshift = float(planes.redshifts.lens[0])
    for each in object_columns(
        table.plan, labels, lambda entry: isinstance(entry.chosen, Deflector)
    ):
        rows = each.entry.chosen.rows(each.columns, planes.redshifts.take(each.samples))
        for copy, row in zip(each.copies, rows, strict=True):
            name = _name(each, int(copy))
            if row["family"] == EXTERNAL:
                yield Entity(name, redshift, mass=_external(row), is_field=True)
            else:
                yield Entity(name, redshift, mass=[_ellipsoid(name, each.entry.kind, row, origin)])


def _external(row: np.void) -> list[Profile]:
    """Return a shear, and its convergence where there is some."""
    shear = {
        "gamma_ext": float(row["strength"]),
        "phi_ext": position_angle(math.degrees(row["angle"])),
    }
    sheet = [Profile("ConvergenceSheet", {"kappa_s": float(row["convergence"])})]
    return [Profile("ExternalShear", shear), *(sheet if row["convergence"] else [])]


def _ellipsoid(name: str, kind: str, row: np.void, origin: tuple[float, float]) -> Profile:
    """Return an ellipsoid of a density that is a power of the radius; refuse all other masses."""
    family = row["family"]
    if family != POWER_LAW and not (family == ISOTHERMAL and row["scale"] == 0):
        raise ExportError(f"'{name}' is a {kind} that has no equal: {NO_EQUAL[kind]}")
    parameters = {
        "theta_E": float(row["strength"]),
        "q": float(row["axis_ratio"]),
        "phi": position_angle(math.degrees(row["angle"])),
        "center_x": float(row["x"]) - origin[0],
        "center_y": float(row["y"]) - origin[1],
    }
    if kind == "power_law":
        return Profile("PEMD", {"gamma": float(row["slope"]), **parameters})
    return Profile("SIE", parameters)


# --- light ---


def _light(
    table: Table[ImageTable],
    labels: Labels,
    planes: Planes,
    origin: tuple[float, float],
    band: str,
) -> Iterator[Entity]:
    """Yield the stars and galaxies of a sample; lensed galaxies as they are, lensed stars as they are seen."""
    from deepbench.images.galaxies.sky_rows import fluxes, sky_rows
    from deepbench.images.lensing.lensed_objects import shown
    from deepbench.images.rows import ranks_of

    found = object_columns(table.plan, labels, lambda entry: entry.is_sky)
    sky = sky_rows(table, labels, found, lensing=False)
    zero_points = labels.columns[f"instrument.{band}.zero_point"] if band else None
    light = fluxes(found, sky.order, band, zero_points)
    ny, nx = table.specification.size
    scale = table.specification.scale or math.nan
    middle = np.array([0.5 * (nx - 1), 0.5 * (ny - 1)])
    images = None
    for each, ranks in zip(found, ranks_of(found, sky.order), strict=True):
        kind, lensed = each.entry.kind, each.entry.lensed
        redshift = float((planes.redshifts.source if lensed else planes.redshifts.lens)[0])
        for copy, rank in zip(each.copies, ranks, strict=True):
            name = _name(each, int(copy))
            if sky.own_psf[rank]:
                raise ExportError(f"'{name}' has a PSF of its own, and COOLEST has one for all")
            if not each.entry.chosen.is_point:
                if any(rank in piece.owners for piece in sky.pieces):
                    raise ExportError(
                        f"'{name}' is a {kind} that has no equal: COOLEST has no spiral arms and no truncated profiles"
                    )
                rows = sky.components[sky.parts[rank] : sky.parts[rank + 1]]
                centre = (sky.positions[rank] - middle) * scale - origin
                parts = [
                    _sersic(name, row, light[rank], centre, scale) for row in rows if row["flux"]
                ]
                yield Entity(name, redshift, light=parts)
                continue
            if not lensed:
                raise ExportError(
                    f"'{name}' is a {kind} that is not lensed, and COOLEST has only images of lensed points"
                )
            images = images or sky_rows(table, labels, found)
            seen = shown(images.lensed, images.positions, np.array([rank]))
            x, y = ((seen.positions - middle) * scale - origin).T
            points = {
                "ra_list": x.tolist(),
                "dec_list": y.tolist(),
                "amps": (light[rank] * seen.parts).tolist(),
            }
            yield Entity(name, redshift, light=[Profile("LensedPS", points)])


def _sersic(name: str, row: np.void, flux: float, centre: np.ndarray, scale: float) -> Profile:
    """Return a component of a galaxy with a flux, row in pixels, whose brightness is I_eff exp(−b ((r/θ)^(1/n) − 1)).

    The component is I0 exp(−c (r/R)^(1/n)) with P(2n, c) = ½ and I0 = flux c^(2n) / (2π n Γ(2n) R²), so that
    θ = R (b/c)^n and I_eff = I0 exp(−b).
    """
    from scipy.special import gammaincinv, gammaln

    index = float(row["sersic_index"])
    if not SERSIC_INDEX[0] <= index <= SERSIC_INDEX[1]:
        raise ExportError(
            f"'{name}' has the Sérsic index {index:.3g}; those of COOLEST are from {SERSIC_INDEX[0]:g} to "
            f"{SERSIC_INDEX[1]:g}"
        )
    radius = float(row["half_light_radius"]) * scale
    b, c = 1.9992 * index - 0.3271, float(gammaincinv(2 * index, 0.5))
    log_shape = 2 * index * math.log(c) - math.log(2 * math.pi * index) - float(gammaln(2 * index))
    central = float(row["flux"]) * float(flux) * math.exp(log_shape) / radius**2
    return Profile(
        "Sersic",
        {
            "I_eff": central * math.exp(-b),
            "theta_eff": radius * (b / c) ** index,
            "n": index,
            "q": float(row["axis_ratio"]),
            "phi": position_angle(float(row["position_angle_degrees"])),
            "center_x": float(centre[0]),
            "center_y": float(centre[1]),
        },
    )
