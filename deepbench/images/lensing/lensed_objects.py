"""Galaxies and stars that are lensed: the masses before each, and the images of their centres."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.deflectors.images_of_sources import images_of_sources
from deepbench.deflectors.planes import Planes, planes_of
from deepbench.images.galaxies.owned_rows import OwnedRows

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels
    from deepbench.lensing.lens_equation import LensedImages
    from deepbench.tables import Table


class Shown(NamedTuple):
    """What is seen of stars: one image of each, or those that masses make.

    Attributes
    ----------
    stars : int64[k]
        Number of the star of each among those that were asked for.
    positions : float64[k, 2]
        x and y in pixels.
    parts : float64[k]
        Its light over the star's.
    """

    stars: NDArray[np.intp]
    positions: NDArray[np.float64]
    parts: NDArray[np.float64]


class LensedObjects(NamedTuple):
    """Lensed objects in the order in which they are drawn.

    Attributes
    ----------
    owners : int64[l]
        Number of each among the objects of the sky.
    samples : int64[l]
        Row of the sample of each.
    planes : Planes
        Masses of all samples.
    images : LensedImages
        Images of the centres, arcsec from the centre of the frame.
    frame_centre : float64[2]
        x and y in pixels.
    scale : float
        Arcseconds per pixel.
    pieces : tuple of OwnedRows
        Rows of those that are extended, in pixels of the frame.
    magnifications : float64[l]
        Light of the images over that without masses; drawing writes it for those that are extended.
    """

    owners: NDArray[np.int64]
    samples: NDArray[np.int64]
    planes: Planes
    images: LensedImages
    frame_centre: NDArray[np.float64]
    scale: float
    pieces: tuple[OwnedRows, ...]
    magnifications: NDArray[np.float64]

    def between(self, first: int, last: int) -> LensedObjects:
        """Return those among the objects from ``first`` to ``last`` − 1, and these counted from the first."""
        some = slice(*np.searchsorted(self.owners, [first, last]))
        offsets = self.images.offsets[some.start : some.stop + 1]
        images = self.images._replace(
            offsets=offsets - offsets[0],
            images=self.images.images[offsets[0] : offsets[-1]],
            resolved=self.images.resolved[some],
        )
        return self._replace(
            owners=self.owners[some] - first,
            samples=self.samples[some],
            images=images,
            pieces=tuple(piece.between(first, last) for piece in self.pieces),
            magnifications=self.magnifications[some],
        )


def shown(
    lensed: LensedObjects | None, positions: NDArray[np.float64], stars: NDArray[np.intp]
) -> Shown:
    """Return what is seen of stars.

    Parameters
    ----------
    lensed : LensedObjects, optional
        Which of the objects are lensed; None where none is.
    positions : float64[m, 2]
        x and y of all objects without masses, pixels.
    stars : int64[s]
        Numbers of the stars among the objects.
    """
    if lensed is None or not len(lensed.owners):
        return Shown(np.arange(len(stars)), positions[stars], np.ones(len(stars)))
    place = np.minimum(np.searchsorted(lensed.owners, stars), len(lensed.owners) - 1)
    behind = lensed.owners[place] == stars
    counts = np.where(behind, np.diff(lensed.images.offsets)[place], 1)
    each = np.repeat(np.arange(len(stars)), counts)
    rank = np.arange(len(each)) - np.repeat(np.cumsum(counts) - counts, counts)
    where, parts = positions[stars[each]], np.ones(len(each))
    some = np.flatnonzero(behind[each])
    rows = lensed.images.images[lensed.images.offsets[place[each[some]]] + rank[some]]
    found = np.stack([rows["x"], rows["y"]], axis=1)
    where[some] = lensed.frame_centre + found / lensed.scale
    parts[some] = np.abs(rows["magnification"])
    return Shown(each, where, parts)


def lensed_objects(
    table: Table[ImageTable],
    labels: Labels,
    owners: NDArray[np.int64],
    samples: NDArray[np.int64],
    positions: NDArray[np.float64],
) -> LensedObjects:
    """Return lensed objects, before their pieces are known.

    Parameters
    ----------
    table : Table
    labels : Labels
    owners, samples : int64[l]
        See ``LensedObjects``.
    positions : float64[l, 2]
        x and y without masses, pixels.

    Raises
    ------
    LabelError
        See ``planes_of``.
    """
    specification = table.specification
    ny, nx = specification.size
    centre, scale = np.array([0.5 * (nx - 1), 0.5 * (ny - 1)]), specification.scale or np.nan
    planes = planes_of(table, labels)
    x, y = ((positions - centre) * scale).T
    images = images_of_sources(planes, x, y, samples)
    light = np.abs(images.images["magnification"])
    of_objects = np.repeat(np.arange(len(owners)), np.diff(images.offsets))
    magnifications = np.bincount(of_objects, light, len(owners))
    return LensedObjects(owners, samples, planes, images, centre, scale, (), magnifications)
