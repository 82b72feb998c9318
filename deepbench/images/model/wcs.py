"""The direction of images on the sky: the tangential projection (Calabretta & Greisen 2002, A&A 395, 1077)."""

from __future__ import annotations

import math

from deepbench.language.specification import Specification, parameter
from deepbench.language.values import Value


class Wcs(Specification):
    """The direction that the centre of the frame looks at."""

    ra: Value = parameter("right ascension", unit="degree", minimum=0, below=360)
    dec: Value = parameter("declination", unit="degree", minimum=-90, maximum=90)
    rotation: Value = parameter(
        "direction of north from +y, counter-clockwise; east is to its left",
        unit="degree",
        default=0.0,
    )


def tan_header(
    size: tuple[int, int], pixel_scale: float, ra: float, dec: float, rotation: float
) -> dict[str, str | float]:
    """Return the cards of a FITS header that say where the pixels of an image are on the sky.

    Parameters
    ----------
    size : tuple of int
        Pixels along y and x.
    pixel_scale : float
        Arcsec per pixel.
    ra, dec, rotation : float
        Values of ``Wcs`` (degree).

    Examples
    --------
    >>> tan_header((64, 64), 0.36, 150.0, 2.0, 0.0)["CD1_1"]
    -0.0001
    """
    ny, nx = size
    degrees = pixel_scale / 3600.0
    cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRPIX1": 0.5 * (nx + 1),
        "CRPIX2": 0.5 * (ny + 1),
        "CRVAL1": ra,
        "CRVAL2": dec,
        "CD1_1": -degrees * cosine,
        "CD1_2": -degrees * sine,
        "CD2_1": -degrees * sine,
        "CD2_2": degrees * cosine,
        "RADESYS": "ICRS",
    }
