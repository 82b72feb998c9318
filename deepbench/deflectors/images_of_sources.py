"""Images of point sources behind the masses of their samples, with their delays in days, and their labels.

Tables of all kinds use this module, so that a star of an image and a light curve that share their labels share their
images, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.deflectors.lens import MOST_IMAGES
from deepbench.lensing import cosmology

if TYPE_CHECKING:
    from deepbench.deflectors.deflector import Redshifts
    from deepbench.deflectors.planes import Planes
    from deepbench.lensing.lens_equation import LensedImages


def images_of_sources(
    planes: Planes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    owners: NDArray[np.int64],
) -> LensedImages:
    """Return the images of points, as ``lens_equation.find_images`` does, with delays in days.

    Parameters
    ----------
    planes : Planes
        The masses of n samples.
    x, y : float64[k]
        Positions of k points as they would be seen without masses, arcsec from the origin of the plane.
    owners : int64[k]
        Row of the sample of each.

    Returns
    -------
    LensedImages
        Those with |μ| of the sample's ``least_magnification`` or more, in the order of their arrival. ``delay`` is the
        time since the arrival of the first of them, days; NaN where the plane has no redshifts.
    """
    from deepbench.lensing.lens_equation import IMAGE_ROW, LensedImages, find_images

    sources, least = np.column_stack([x, y]), planes.least_magnification[owners]
    counts, resolved = np.zeros(len(owners), np.int64), np.zeros(len(owners), bool)
    images, numbers = [np.zeros(0, IMAGE_ROW)], [np.zeros(0, np.int64)]
    for value in np.unique(least):
        chosen = np.flatnonzero(least == value)
        part = find_images(
            planes.offsets, planes.rows, sources[chosen], owners[chosen], float(value)
        )
        counts[chosen], resolved[chosen] = np.diff(part.offsets), part.resolved
        images.append(part.images)
        numbers.append(np.repeat(chosen, counts[chosen]))
    order = np.argsort(np.concatenate(numbers), kind="stable")
    rows = np.concatenate(images)[order]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    days = days_per_potential(planes.redshifts.take(owners))
    rows["delay"] *= np.repeat(days, counts)
    return LensedImages(offsets, rows, resolved)


def measure_caustics(
    planes: Planes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    owners: NDArray[np.int64],
) -> tuple[Planes, dict[str, NDArray[np.float64]]]:
    """Return the planes with their Einstein radii, and labels of how far points are inside of caustics.

    The parameters are those of ``images_of_sources``; each label is float64[k], arcsec, NaN where there is no caustic.
    """
    from deepbench.lensing import critical_curves

    sources = np.column_stack([x, y])
    found = critical_curves.measure_caustics(planes.offsets, planes.rows, sources, owners)
    radii = np.where(found.einstein_radius > 0.0, found.einstein_radius, np.nan)
    distances = {"caustic_distance": found.tangential, "radial_caustic_distance": found.radial}
    return planes._replace(einstein_radii=radii), distances


def days_per_potential(redshifts: Redshifts) -> NDArray[np.float64]:
    """Return the delay of a Fermat potential of 1 arcsec², float64[k], days; NaN without redshifts.

    Δt = (1 + z_l) D_l D_s / (c D_ls) Δφ, with angular-diameter distances (Schneider, Ehlers & Falco 1992, eq. 4.67).
    """
    days = cosmology.MEGAPARSEC / cosmology.LIGHT / cosmology.DAY
    per_distance = days * cosmology.ARCSEC * cosmology.ARCSEC
    return per_distance * cosmology.time_delay_distance(redshifts.lens, redshifts.distances())


def labels_of_images(
    found: LensedImages, names: Mapping[str, object]
) -> dict[str, NDArray[np.float64]]:
    """Return the measured labels of sources that follow from their images; NaN for images that there are not.

    Parameters
    ----------
    found : LensedImages
        Images of k sources, from ``images_of_sources``.
    names : mapping
        The labels that are wanted, as ``lens.measured_of_source`` returns them; others are left out.

    Returns
    -------
    dict of str to float64[k]
    """
    from deepbench.lensing.lens_equation import MAXIMUM

    counts = np.diff(found.offsets)
    central = np.repeat(np.arange(len(counts)), counts)[found.images["type"] == MAXIMUM]
    columns = {
        "image_count": counts.astype(np.float64),
        "central_images": np.bincount(central, minlength=len(counts)).astype(np.float64),
    }
    fields = {"dx": "x", "dy": "y", "magnification": "magnification", "delay": "delay"}
    for number in range(MOST_IMAGES):
        there = np.flatnonzero(counts > number)
        rows = found.images[found.offsets[there] + number]
        for name, field in fields.items():
            values = np.full(len(counts), np.nan)
            values[there] = rows[field]
            columns[f"image_{number + 1}_{name}"] = values
    return {name: values for name, values in columns.items() if name in names}
