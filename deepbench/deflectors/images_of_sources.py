"""Images of point sources behind the masses of their samples: where they are, how bright, how late; and their labels.

Tables of all kinds use this module, so that a star of an image and a light curve that share their labels share their
images, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.deflectors.lens import MOST_IMAGES

if TYPE_CHECKING:
    from deepbench.deflectors.deflector import Redshifts
    from deepbench.deflectors.planes import Planes
    from deepbench.lensing.lens_equation import LensedImages

DAYS = 3.0856775814913673e19 / 299792.458 / 86400.0 * (math.pi / 648000.0) ** 2
"""Days in which light crosses 1 Mpc, times 1 arcsec² in rad²."""


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
    from deepbench.lensing.lens_equation import find_images

    found = find_images(
        planes.offsets,
        planes.rows,
        np.column_stack([x, y]),
        owners,
        planes.least_magnification[owners],
    )
    images, counts = found.images.copy(), np.diff(found.offsets)
    firsts = np.repeat(found.offsets[:-1], counts)
    samples = np.repeat(owners, counts)
    images["delay"] = (images["delay"] - images["delay"][firsts]) * days_per_potential(
        planes.redshifts.take(samples)
    )
    return found._replace(images=images)


def days_per_potential(redshifts: Redshifts) -> NDArray[np.float64]:
    """Return the delay of a Fermat potential of 1 arcsec², float64[k], days; NaN without redshifts.

    Δt = (1 + z_l) D_l D_s / (c D_ls) Δφ, with angular-diameter distances (Schneider, Ehlers & Falco 1992, eq. 4.67).
    """
    from deepbench.lensing.distances import time_delay_distances

    return time_delay_distances(*redshifts) * DAYS


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
    central = np.repeat(np.arange(len(counts)), counts)[found.images["kind"] == MAXIMUM]
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
