"""Base of point spread functions, and the row of those that are profiles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deepbench.language.specification import Specification

PSF_ROW = np.dtype(
    [
        ("family", np.int64),
        ("fwhm", np.float64),
        ("shape", np.float64),
        ("truncation", np.float64),
        ("axis_ratio", np.float64),
        ("position_angle", np.float64),
        ("jitter", np.float64),
    ]
)
"""Row of a profile, in pixels and radians.

``fwhm`` is the geometric mean of the full widths at half maximum along both axes, before the pixel. ``shape`` is the β
of a Moffat and the obscuration of an Airy pattern, else unused. ``truncation`` is the circularised radius where the
profile ends; 0 for none. ``jitter`` is the standard deviation of the Gaussian that an Airy pattern is convolved with,
the geometric mean along both axes; 0 for none.
"""


def empty_rows(count: int) -> NDArray[np.void]:
    """Return rows of round Gaussians, the family of code 0, without any width, ``PSF_ROW[count]``."""
    rows = np.zeros(count, PSF_ROW)
    rows["axis_ratio"] = 1.0
    return rows


class Psf(Specification):
    """Base of point spread functions: what each says of itself to its table and to rendering."""

    @property
    def is_round_gaussian(self) -> bool:
        """Whether shapes can be blurred by it."""
        return False

    @property
    def in_arcsec(self) -> bool:
        """Whether its width is given in arcseconds."""
        return False

    @property
    def is_truncated(self) -> bool:
        """Whether its light ends at a radius, so that galaxies cannot be seen through it."""
        return False

    @property
    def is_image(self) -> bool:
        """Whether it is an image in a file."""
        return False

    def check(self, scale: float) -> None:
        """Refuse what does not fit pixels of so many arcseconds; raises pydantic's error or LabelError."""

    def files(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.object_]:
        """Return the ``PsfFile`` of each sample, object[count], from columns of its labels; None for a family's."""
        return np.full(count, None, object)

    def too_narrow(self, scale: float, *, for_galaxies: bool) -> tuple[float, float] | None:
        """Return its least width and the least that is allowed, in pixels, where it can be too narrow to be drawn.

        Parameters
        ----------
        scale : float
            Arcseconds per pixel.
        for_galaxies : bool
            Whether galaxies are seen through it, whose limit is one of the width along the minor axis.
        """
        return None

    def most_sigma(self) -> float:
        """Return the largest standard deviation of the Gaussian that blurs shapes, in pixels; 0 where none does."""
        return 0.0

    def sigmas(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.float64]:
        """Return the standard deviations of the Gaussians that blur shapes, float64[count], in pixels; 0 for none."""
        return np.zeros(count)

    def rows(
        self, columns: Mapping[str, NDArray], scale: float | None, count: int
    ) -> NDArray[np.void]:
        """Return its rows, ``PSF_ROW[count]``, from columns of its labels; an image has rows without any width."""
        return empty_rows(count)

    def working_bytes(self, edge: int, cutout_edge: float, scale: float | None) -> int:
        """Return the bytes that rendering behind it takes, beside those of the table.

        Parameters
        ----------
        edge : int
            Longer edge of the frame, in pixels.
        cutout_edge : float
            Edge of a typical stamp, in pixels.
        scale : float, optional
            Arcseconds per pixel.
        """
        return 0
