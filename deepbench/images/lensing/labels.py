"""Labels of lenses and of what they lense, which are measured when samples are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.deflectors.images_of_sources import labels_of_images, measure_caustics
from deepbench.deflectors.lens import (
    CUSP,
    DOUBLE,
    MOST_IMAGES,
    NONE,
    QUAD,
    RING,
    RING_AZIMUTH,
    SINGLE_ARC,
    measured_of_source,
)
from deepbench.deflectors.planes import planes_of
from deepbench.images.lensing.maps import covered_azimuths
from deepbench.lensing.lens_equation import MAXIMUM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepbench.images.galaxies.stamps import Cutouts
    from deepbench.images.lensing.lensed_objects import LensedObjects
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table


def measure_azimuths(
    lensed: LensedObjects,
    band: str,
    galaxies: NDArray[np.intp],
    found: Cutouts,
    least: NDArray[np.float64],
) -> None:
    """Write the azimuths that the light of lensed galaxies covers in a band into ``lensed.azimuths``.

    Parameters
    ----------
    lensed : LensedObjects
        Of some samples.
    band : str
    galaxies : int64[k]
        Numbers of the galaxies among those that are lensed.
    found : Cutouts
        The light of all objects.
    least : float64[k]
        Standard deviation of the sky's noise in a pixel, in units of the light.
    """
    planes, samples = lensed.planes, lensed.samples[galaxies]
    centres = lensed.frame_centre + planes.centres[samples] / lensed.scale
    inner = np.nan_to_num(0.5 * planes.einstein_radii[samples] / lensed.scale)
    azimuths = np.empty(len(galaxies))
    covered_azimuths(found, lensed.owners[galaxies], centres, inner, least, azimuths)
    lensed.azimuths[band][galaxies] = azimuths


def _configurations(lensed: LensedObjects) -> NDArray[np.float64]:
    """Return the code of the configuration of each lensed object, float64[l]; see ``deflectors.lens``."""
    images = lensed.images
    owners = np.repeat(np.arange(len(lensed.owners)), np.diff(images.offsets))
    outer = images.images["type"] != MAXIMUM
    size = np.abs(images.images["magnification"])
    count = np.bincount(owners[outer], minlength=len(lensed.owners))
    faintest, brightest = np.full(len(count), np.inf), np.zeros(len(count))
    np.minimum.at(faintest, owners[outer], size[outer])
    np.maximum.at(brightest, owners[outer], size[outer])
    least = lensed.planes.counter_images[lensed.samples]
    azimuths = np.stack([np.nan_to_num(each) for each in lensed.azimuths.values()])
    rules = (
        ((azimuths >= RING_AZIMUTH).any(axis=0), RING),
        (count < 2, NONE),
        (faintest < least * brightest, SINGLE_ARC),
        (count >= 4, QUAD),
        (count == 3, CUSP),
    )
    return np.select([rule for rule, _ in rules], [code for _, code in rules], DOUBLE).astype(float)


def measured_of_planes(
    table: Table[ImageTable], labels: Labels
) -> Iterator[tuple[ObjectColumns, dict[str, NDArray[np.float64]]]]:
    """Yield the measured labels of lenses and masses of a table in which nothing is lensed."""
    planes, nothing = planes_of(table, labels), np.zeros(0)
    if planes.lenses:
        planes, _ = measure_caustics(planes, nothing, nothing, np.zeros(0, np.int64))
        yield from planes.measured()


def measured_of_lensing(
    table: ImageTable,
    lensed: LensedObjects,
    sources: list[ObjectColumns],
    ranks: list[NDArray[np.int64]],
) -> Iterator[tuple[ObjectColumns, dict[str, NDArray[np.float64]]]]:
    """Yield the measured labels of lenses, and of what is lensed in classes that have one.

    Parameters
    ----------
    table : ImageTable
    lensed : LensedObjects
        All that is lensed.
    sources : list of ObjectColumns
        The objects of the sky.
    ranks : list of int64[k]
        The number of each among all objects of the sky, for each source.
    """
    yield from lensed.planes.measured()
    shared = labels_of_images(lensed.images, measured_of_source(delays=True))
    shared["magnification"] = lensed.magnifications
    shared |= lensed.caustics
    counts = np.diff(lensed.images.offsets)
    factors = np.full((MOST_IMAGES, len(counts)), np.nan)
    for number in range(MOST_IMAGES):
        there = np.flatnonzero(counts > number)
        factors[number, there] = lensed.factors[lensed.images.offsets[there] + number]
    of_stars = {f"image_{k + 1}_microlensing": values for k, values in enumerate(factors)}
    of_galaxies = {"configuration": _configurations(lensed)}
    if table.measures_sky:
        for band, values in lensed.azimuths.items():
            of_galaxies[f"arc_azimuth.{band}" if band else "arc_azimuth"] = values
    for source, rank in zip(sources, ranks, strict=True):
        lens_of_class = table.classes[source.class_name].lens
        if not source.entry.lensed or lens_of_class is None:
            continue
        some = np.searchsorted(lensed.owners, rank)
        columns = shared if source.entry.chosen.is_point else shared | of_galaxies
        if getattr(source.entry.chosen, "microlensing", None) is not None:
            columns = columns | of_stars
        without = "_delay" if lens_of_class.redshift is None else None
        yield (
            source,
            {
                name: values[some]
                for name, values in columns.items()
                if without is None or not name.endswith(without)
            },
        )
