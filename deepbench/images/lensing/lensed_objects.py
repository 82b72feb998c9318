"""Galaxies and stars that are lensed: the masses before each, and the images of their centres."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.deflectors.images_of_sources import images_of_sources, measure_caustics
from deepbench.deflectors.planes import Planes, planes_of
from deepbench.errors import LabelError
from deepbench.images.galaxies.owned_rows import OwnedRows
from deepbench.images.stars.model import MICROLENSING
from deepbench.lensing.lens_equation import SADDLE
from deepbench.numerics.mathfast import exp, normal_quantile
from deepbench.numerics.streams import uniforms

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.labelling.scopes import Labels
    from deepbench.lensing.lens_equation import LensedImages
    from deepbench.tables import Table

MOST_DRAWN = 64
"""Number of images of a star with microlensing of their own; those beyond share that of the last."""


class Shown(NamedTuple):
    """Images of stars: one of each, or those that masses make.

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
    factors : float64[number of images]
        Light of each image over that without microlensing.
    frame_centre : float64[2]
        x and y in pixels.
    scale : float
        Arcseconds per pixel.
    pieces : tuple of OwnedRows
        Rows of those that are extended, in pixels of the frame.
    magnifications : float64[l]
        Light of the images over that without masses; drawing writes it for those that are extended.
    caustics : dict of str to float64[l]
        Labels of how far the centre is inside of caustics; empty where no class has a lens.
    azimuths : dict of str to float64[l]
        Azimuth that the light covers in each band, by its name; measuring writes it.
    """

    owners: NDArray[np.int64]
    samples: NDArray[np.int64]
    planes: Planes
    images: LensedImages
    factors: NDArray[np.float64]
    frame_centre: NDArray[np.float64]
    scale: float
    pieces: tuple[OwnedRows, ...]
    magnifications: NDArray[np.float64]
    caustics: dict[str, NDArray[np.float64]]
    azimuths: dict[str, NDArray[np.float64]]

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
            factors=self.factors[offsets[0] : offsets[-1]],
            pieces=tuple(piece.between(first, last) for piece in self.pieces),
            magnifications=self.magnifications[some],
            caustics={name: values[some] for name, values in self.caustics.items()},
            azimuths={band: values[some] for band, values in self.azimuths.items()},
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
    numbers = lensed.images.offsets[place[each[some]]] + rank[some]
    rows = lensed.images.images[numbers]
    found = np.stack([rows["x"], rows["y"]], axis=1)
    where[some] = lensed.frame_centre + found / lensed.scale
    parts[some] = np.abs(rows["magnification"]) * lensed.factors[numbers]
    return Shown(each, where, parts)


def lensed_objects(
    table: Table[ImageTable],
    labels: Labels,
    sources: list[ObjectColumns],
    ranks: list[NDArray[np.int64]],
    positions: NDArray[np.float64],
) -> LensedObjects:
    """Return lensed objects, before their pieces are known.

    Parameters
    ----------
    table : Table
    labels : Labels
    sources : list of ObjectColumns
        The lensed objects.
    ranks : list of int64[k]
        Number of each among the objects of the sky, for each source.
    positions : float64[m, 2]
        x and y of all objects of the sky without masses, pixels.

    Raises
    ------
    LabelError
        See ``planes_of``.
    """
    specification = table.specification
    ny, nx = specification.size
    centre, scale = np.array([0.5 * (nx - 1), 0.5 * (ny - 1)]), specification.scale or np.nan
    owners = np.concatenate([np.zeros(0, np.int64), *ranks])
    sequence = np.argsort(owners)
    owners = owners[sequence]
    samples = np.concatenate([np.zeros(0, np.int64), *(each.samples for each in sources)])[sequence]
    planes = planes_of(table, labels)
    x, y = ((positions[owners] - centre) * scale).T
    images = images_of_sources(planes, x, y, samples)
    factors = np.ones(len(images.images))
    for source, own in zip(sources, ranks, strict=True):
        if source.entry.chosen.is_point:
            _refuse_merged(table, labels, source, images.resolved[np.searchsorted(owners, own)])
        if getattr(source.entry.chosen, "microlensing", None) is not None:
            _scatter(table, labels, source, np.searchsorted(owners, own), images, factors)
    of_objects = np.repeat(np.arange(len(owners)), np.diff(images.offsets))
    light = np.abs(images.images["magnification"]) * factors
    magnifications = np.bincount(of_objects, light, len(owners)).astype(np.float64)
    azimuths = {band: np.full(len(owners), np.nan) for band in specification.bands or ("",)}
    caustics: dict[str, NDArray[np.float64]] = {}
    if planes.lenses:
        planes, caustics = measure_caustics(planes, x, y, samples)
    return LensedObjects(
        owners,
        samples,
        planes,
        images,
        factors,
        centre,
        scale,
        (),
        magnifications,
        caustics,
        azimuths,
    )


def _refuse_merged(
    table: Table[ImageTable],
    labels: Labels,
    source: ObjectColumns,
    resolved: NDArray[np.bool_],
) -> None:
    """Refuse stars of a source on a caustic: images merge there, and have no finite magnification."""
    if not resolved.all():
        raise LabelError.of_sample(
            table.name,
            labels.samples[source.samples[np.argmin(resolved)]],
            f"{source.name}: it is on a caustic, where a point is infinitely bright; change its dx or dy",
        )


def _scatter(
    table: Table[ImageTable],
    labels: Labels,
    source: ObjectColumns,
    places: NDArray[np.int64],
    images: LensedImages,
    factors: NDArray[np.float64],
) -> None:
    """Write the factors by which microlensing changes the images of the stars of a source."""
    counts = np.diff(images.offsets)[places]
    each = np.repeat(np.arange(len(places)), counts)
    rank = np.arange(len(each)) - np.repeat(np.cumsum(counts) - counts, counts)
    numbers = images.offsets[places[each]] + rank
    saddles = images.images["type"][numbers] == SADDLE
    sigma = np.where(
        saddles,
        source.columns["microlensing.saddles"][each],
        source.columns["microlensing.minima"][each],
    )
    stream = table.stream(f"{source.class_name}/{source.name}/{MICROLENSING}")
    elements = source.copies[each] * MOST_DRAWN + np.minimum(rank, MOST_DRAWN - 1)
    drawn = uniforms(table.seed, stream, labels.samples[source.samples[each]], elements)
    factors[numbers] = exp(sigma * normal_quantile(drawn) - 0.5 * sigma * sigma)
