"""From labels to point spread functions, as the kernels read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepbench.images.psf.model import FWHM_OF_SIGMA
from deepbench.images.psf.psf_profiles import airy_fwhms
from deepbench.images.psf.psf_transforms import PSFS
from deepbench.images.stars.point_sources import FAMILIES

if TYPE_CHECKING:
    from deepbench.images.psf.model import PsfEntry
    from deepbench.images.psf.psf_files import PsfFile

PSF_COLUMNS = ("fwhm", "shape", "truncation", "axis_ratio", "position_angle")
"""What describes a PSF of a family, in pixels and radians: β of a Moffat or the obscuration of an Airy is its shape."""


@dataclass(frozen=True)
class Psfs:
    """Point spread functions, one in each row.

    Attributes
    ----------
    families : int64[m]
        As ``point_sources.FAMILIES`` numbers them.
    profiles : float64[m, 5]
        As ``PSF_COLUMNS`` says.
    transforms : float64[m, 5]
        The same as ``psf_transforms.PSF_ROW`` says, in pixels and degrees.
    files : object[m]
        The ``PsfFile`` of those that are images; None for the others. Images have no family, profile and transform.
    """

    families: NDArray[np.int64]
    profiles: NDArray[np.float64]
    transforms: NDArray[np.float64]
    files: NDArray[np.object_]

    def take(self, rows: NDArray[np.intp] | slice) -> Psfs:
        """Return some of them, by their rows."""
        return Psfs(
            self.families[rows], self.profiles[rows], self.transforms[rows], self.files[rows]
        )

    @property
    def are_images(self) -> NDArray[np.bool_]:
        """Whether each is an image."""
        return np.array(self.files != None, bool)  # noqa: E711  element by element

    def by_file(self) -> list[tuple[PsfFile | None, NDArray[np.bool_]]]:
        """Return which have each file, and first which have none, in an order that is the same in any batch."""
        if not self.are_images.any():
            return [(None, np.ones(len(self.files), bool))]
        files = self.files.tolist()
        found = sorted(set(files) - {None}, key=lambda file: (*file[1:], str(file[0])))
        number = {file: code for code, file in enumerate([None, *found])}
        codes = np.array([number[file] for file in files])
        return [(file, codes == code) for file, code in number.items()]

    @classmethod
    def empty(cls, count: int) -> Psfs:
        """Return as many without any width."""
        profiles = np.tile([0.0, 0.0, 0.0, 1.0, 0.0], (count, 1))
        transforms = np.tile([0.0, 0.0, 0.0, 1.0, 0.0], (count, 1))
        files = np.full(count, None, object)
        return cls(np.full(count, FAMILIES["gaussian"]), profiles, transforms, files)

    def put(self, rows: NDArray[np.intp] | slice, others: Psfs) -> None:
        """Replace some of them."""
        self.families[rows] = others.families
        self.profiles[rows] = others.profiles
        self.transforms[rows] = others.transforms
        self.files[rows] = others.files


def psf_rows(
    psf: PsfEntry | None, columns: dict[str, NDArray], prefix: str, scale: float | None, count: int
) -> Psfs:
    """Return the PSFs whose parameters are columns of that prefix; none has no width."""
    found = Psfs.empty(count)
    if psf is None:
        return found
    if psf.image is not None:
        found.files.fill(psf.image.source)
        return found
    kind, values = psf.kind, found.profiles

    def column(name: str, default: float = 0.0) -> Any:
        return columns.get(f"{prefix}{name}", default)

    if f"{prefix}sigma" in columns:
        values[:, 0] = column("sigma") * FWHM_OF_SIGMA
    else:
        values[:, 0] = column("fwhm") / scale
    values[:, 1] = column("beta") if kind == "moffat" else column("obscuration")
    if f"{prefix}truncation" in columns:
        values[:, 2] = column("truncation") / scale
    values[:, 3] = column("axis_ratio", 1.0)
    values[:, 4] = column("position_angle") / (180 / np.pi)
    size = values[:, 0] / airy_fwhms(values[:, 1]) if kind == "airy" else values[:, 0]
    code = np.full(count, float(PSFS[kind]))
    transforms = np.column_stack([code, size, values[:, 1], values[:, 3], np.degrees(values[:, 4])])
    return Psfs(np.full(count, FAMILIES[kind]), values, transforms, found.files)


def sigmas_of(
    psf: PsfEntry | None, columns: dict[str, NDArray], prefix: str, scale: float | None, count: int
) -> NDArray[np.float64]:
    """Return the standard deviations of the Gaussians that blur shapes, in pixels; 0 for none."""
    if psf is None or not psf.is_round_gaussian:
        return np.zeros(count)
    if f"{prefix}sigma" in columns:
        return np.ascontiguousarray(columns[f"{prefix}sigma"], np.float64)
    return columns[f"{prefix}fwhm"] / scale / FWHM_OF_SIGMA
