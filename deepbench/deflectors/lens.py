"""The plane of the masses of a class: its redshifts, and what is measured of it and of all that it lenses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from pydantic import model_validator

from deepbench.deflectors.deflector import Deflector
from deepbench.language.specification import Parameter, Specification, parameter, problem
from deepbench.language.values import Value

MOST_IMAGES = 6
"""Largest number of images of a source that have labels of their own; the count of images counts all."""


class Lens(Specification):
    """The plane of a class's masses: how far it and its sources are, and which images count.

    It has a measured label: the Einstein radius of all masses together. What is lensed then has labels of its images.
    """

    redshift: Value | None = parameter("redshift of the masses", above=0, maximum=20, default=None)
    source_redshift: Value | None = parameter(
        "redshift of what they lens", above=0, maximum=1100, default=None
    )
    hubble_constant: Value = parameter(
        "Hubble's constant", unit="km/s/Mpc", minimum=10, maximum=200, default=70.0
    )
    matter_density: Value = parameter(
        "matter today in units of the critical density; the universe is flat, without radiation",
        above=0,
        maximum=1,
        default=0.3,
    )
    min_magnification: Value = parameter(
        "least |magnification| of an image that counts", above=0, maximum=1, default=1e-3
    )
    counter_image: Value = parameter(
        "magnification of the faintest image over the brightest's below which an arc is a single one",
        minimum=0,
        maximum=1,
        default=0.1,
    )

    @model_validator(mode="after")
    def _both_redshifts(self) -> Self:
        if (self.redshift is None) != (self.source_redshift is None):
            raise problem("must have both of redshift and source_redshift, or none of them")
        lens, source = self.redshift, self.source_redshift
        if lens is None or source is None or not (lens.known and source.known):
            return self
        nearest, farthest = lens.support()[0], source.support()[1]
        if farthest <= nearest:
            raise problem(
                f"the source is never behind its lens: source_redshift is at most {farthest:g}, redshift at least "
                f"{nearest:g}"
            )
        return self

    def measured_labels(self) -> dict[str, Parameter]:
        """Return the labels that are measured."""
        return MEASURED_LENS


MEASURED_LENS = {
    "einstein_radius": Parameter(
        "√(A / π), A the area inside of the tangential critical curve of all masses", unit="arcsec"
    ),
}
"""Labels of a ``Lens`` that are measured."""

NONE, SINGLE_ARC, DOUBLE, CUSP, QUAD, RING = range(6)
"""Codes of the configuration of a lensed galaxy."""

CONFIGURATION = Parameter(
    "configuration, the first that holds: 5 ring (`arc_azimuth` of 270° or more in a band), 0 none (one image of the "
    "centre or none), 1 single arc (the faintest image has less than `counter_image` of the brightest's "
    "magnification), 4 quad (4 images or more), 3 cusp (3 images), 2 double; central images do not count"
)
"""Label of a lensed galaxy that is measured."""

ARC_AZIMUTH = Parameter(
    "azimuth about the first mass, outside of half the Einstein radius, in which its light exceeds the sky's noise",
    unit="degree",
)
"""Label of a lensed galaxy in each band, which is measured where objects of the sky are."""

MAGNIFICATION = Parameter("light of its images over its light without masses")
"""Label of lensed objects of images that is measured; of galaxies on the frame and a margin."""

MICROLENSED = Parameter("factor of its light by microlensing")
"""Label of the images of a star with microlensing."""

RING_AZIMUTH = 270.0
"""Least azimuth of a ring (degree)."""


def measured_of_source(*, delays: bool) -> dict[str, Parameter]:
    """Return the labels of what is lensed that are measured: of its centre's images, in the order of their arrival."""
    found = {
        "image_count": Parameter("number of images of the centre that count"),
        "central_images": Parameter(
            "number of them that are maxima of the arrival time, near the centre of a mass"
        ),
        "caustic_distance": Parameter(
            "distance of the centre from the tangential caustic; negative outside", unit="arcsec"
        ),
        "radial_caustic_distance": Parameter(
            "distance of the centre from the radial caustic, or the cut of an isothermal mass; negative outside",
            unit="arcsec",
        ),
    }
    for number in range(1, MOST_IMAGES + 1):
        image = f"image_{number}"
        found |= {
            f"{image}_dx": Parameter(
                f"position of image {number} along x, from the centre of the frame", unit="arcsec"
            ),
            f"{image}_dy": Parameter(
                f"position of image {number} along y, from the centre of the frame", unit="arcsec"
            ),
            f"{image}_magnification": Parameter(f"signed magnification of image {number}"),
        }
        if delays:
            found[f"{image}_delay"] = Parameter(
                f"time by which image {number} arrives after the first", unit="d"
            )
    return found


def check_plane(entries: Iterable[Any]) -> None:
    """Refuse the objects of a class that cannot be lensed together.

    Parameters
    ----------
    entries : iterable of NamedOneOf
        Objects of a class; those with ``lensed`` are seen through its masses.

    Raises
    ------
    PydanticCustomError
        There are several planes, or there is a plane or something lensed without masses, or a mass needs redshifts.
    """
    entries = list(entries)
    planes = [entry for entry in entries if isinstance(entry.chosen, Lens)]
    masses = [entry for entry in entries if isinstance(entry.chosen, Deflector)]
    if len(planes) > 1:
        raise problem(f"has {len(planes)} lenses; a class has one, whose masses add up")
    if planes and planes[0].repeat is not None:
        raise problem("a lens does not repeat; let its masses repeat")
    lensed = [entry for entry in entries if getattr(entry, "lensed", False)]
    for entry in (*planes, *lensed):
        if not masses:
            what = "a lens has" if entry in planes else f"a {entry.kind} that is lensed needs"
            raise problem(f"{what} masses, such as an sie: add one to the class")
    with_redshifts = planes and planes[0].chosen.redshift is not None
    for entry in masses:
        if entry.chosen.needs_redshifts and not with_redshifts:
            raise problem(
                f"the strength of this {entry.kind} follows from redshifts: "
                "add a `lens` with redshift and source_redshift to the class"
            )
