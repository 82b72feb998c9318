"""From labels to point spread functions, as the kernels read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.psf.model import FAMILIES, MOST_JITTER, NARROWEST
from deepbench.images.psf.psf import empty_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepbench.images.psf.model import PsfEntry
    from deepbench.images.psf.psf_files import PsfFile


@dataclass(frozen=True)
class Psfs:
    """Point spread functions, one for each sample or object.

    Attributes
    ----------
    rows : PSF_ROW[m]
        See ``model.PSF_ROW``. Those that are images have rows without any width.
    files : object[m]
        The ``PsfFile`` of those that are images; None for the others.
    """

    rows: NDArray[np.void]
    files: NDArray[np.object_]

    def take(self, chosen: NDArray[np.intp] | slice) -> Psfs:
        """Return some of them."""
        return Psfs(self.rows[chosen], self.files[chosen])

    @property
    def are_images(self) -> NDArray[np.bool_]:
        """Flags of those that are images."""
        return np.array(self.files != None, bool)  # noqa: E711  element by element

    def by_file(self) -> list[tuple[PsfFile | None, NDArray[np.bool_]]]:
        """Return which have each file, and first which have none, in an order that is the same in any batch."""
        if not self.are_images.any():
            return [(None, np.ones(len(self.files), bool))]
        files = self.files.tolist()
        found = sorted(
            set(files) - {None}, key=lambda file: (*file[1:4], str(file[4:]), str(file[0]))
        )
        number = {file: code for code, file in enumerate([None, *found])}
        codes = np.array([number[file] for file in files])
        return [(file, codes == code) for file, code in number.items()]

    def put(self, chosen: NDArray[np.intp] | slice, others: Psfs) -> None:
        """Replace some of them."""
        self.rows[chosen] = others.rows
        self.files[chosen] = others.files

    def check_widths(
        self, table_name: str, samples: NDArray[np.int64], are_points: NDArray[np.bool_]
    ) -> None:
        """Refuse one that is too narrow for its light to be integrated over a pixel, or with too much jitter.

        Parameters
        ----------
        table_name : str
        samples : int64[m]
            The sample of each, for the message.
        are_points : bool[m]
            Whether a point is seen through each; else a galaxy, whose limit is one of the width along the minor axis.

        Raises
        ------
        LabelError
        """
        of_family = np.zeros(len(FAMILIES))
        for psf in FAMILIES.values():
            of_family[psf.family] = psf.narrowest_of_galaxies
        narrowest = np.where(are_points, NARROWEST, of_family[self.rows["family"]])
        widths = self.rows["fwhm"] * np.where(are_points, 1.0, np.sqrt(self.rows["axis_ratio"]))
        narrow = np.flatnonzero((widths < narrowest) & ~self.are_images)
        if narrow.size:
            first = narrow[0]
            raise LabelError.of_sample(
                table_name,
                samples[first],
                f"the full width at half maximum of the PSF is {widths[first]:.3g} pixels, "
                f"it must be {narrowest[first]} or more",
            )
        unsteady = np.flatnonzero(self.rows["jitter"] > MOST_JITTER * self.rows["fwhm"])
        if unsteady.size:
            first = unsteady[0]
            raise LabelError.of_sample(
                table_name,
                samples[first],
                f"the jitter of the PSF is {self.rows['jitter'][first] / self.rows['fwhm'][first]:.3g} times its full "
                f"width at half maximum, it must be {MOST_JITTER:g} times or less",
            )


def psf_rows(
    psf: PsfEntry | None,
    columns: Mapping[str, NDArray],
    prefix: str,
    scale: float | None,
    count: int,
) -> Psfs:
    """Return the PSFs whose parameters are columns of that prefix; none has no width."""
    if psf is None:
        return Psfs(empty_rows(count), np.full(count, None, object))
    own = _own(columns, prefix)
    return Psfs(psf.chosen.rows(own, scale, count), psf.chosen.files(own, scale, count))


def sigmas_of(
    psf: PsfEntry | None,
    columns: Mapping[str, NDArray],
    prefix: str,
    scale: float | None,
    count: int,
) -> NDArray[np.float64]:
    """Return the standard deviations of the Gaussians that blur shapes, in pixels; 0 for none."""
    if psf is None:
        return np.zeros(count)
    return psf.chosen.sigmas(_own(columns, prefix), scale, count)


def _own(columns: Mapping[str, NDArray], prefix: str) -> dict[str, NDArray]:
    """Return the columns of a prefix by their names without it."""
    return {
        name.removeprefix(prefix): values
        for name, values in columns.items()
        if name.startswith(prefix)
    }
