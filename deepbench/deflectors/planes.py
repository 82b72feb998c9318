"""From labels to the masses of each sample, as the kernels of ``lensing`` read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.deflectors.deflector import Deflector, Redshifts
from deepbench.deflectors.lens import Lens
from deepbench.errors import LabelError
from deepbench.labelling.objects import ObjectColumns, object_columns
from deepbench.lensing.deflector import DEFLECTOR_ROW, EXTERNAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table


class Planes(NamedTuple):
    """The masses of some samples, and the planes that they lie in.

    Attributes
    ----------
    offsets : int64[n + 1]
        Sample i has the masses ``offsets[i]`` … ``offsets[i + 1] - 1``.
    rows : DEFLECTOR_ROW[m]
        Those of a sample stand in written order.
    redshifts : Redshifts
        Redshifts of each sample's plane.
    least_magnification : float64[n]
        Least |μ| of an image that counts.
    counter_images : float64[n]
        Magnification of the faintest image over the brightest's below which an arc is a single one.
    centres : float64[n, 2]
        Centre of the first mass of each sample that is not a sheet, arcsec.
    einstein_radii : float64[n]
        Einstein radius of all masses of a sample, arcsec; NaN without a tangential critical curve.
    lenses : list of ObjectColumns
        The lenses of the table's classes.
    masses : list of (ObjectColumns, DEFLECTOR_ROW[k])
        The masses of each entry of a class, and their rows.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.void]
    redshifts: Redshifts
    least_magnification: NDArray[np.float64]
    counter_images: NDArray[np.float64]
    centres: NDArray[np.float64]
    einstein_radii: NDArray[np.float64]
    lenses: list[ObjectColumns]
    masses: list[tuple[ObjectColumns, NDArray[np.void]]]

    def measured(self) -> Iterator[tuple[ObjectColumns, dict[str, NDArray[np.float64]]]]:
        """Yield the measured labels of lenses, and of masses whose strength follows from redshifts."""
        for lens in self.lenses:
            yield lens, {"einstein_radius": self.einstein_radii[lens.samples]}
        for source, rows in self.masses:
            names = source.entry.chosen.measured()
            if names:
                yield source, {name: rows[field] for name, field in names.items()}


def planes_of(table: Table[Any], labels: Labels) -> Planes:
    """Return the masses of samples.

    Raises
    ------
    LabelError
        A source is not behind its lens, or a mass cannot be.
    """
    lenses = object_columns(table.plan, labels, lambda entry: isinstance(entry.chosen, Lens))
    redshifts = _redshifts(table, labels, lenses)
    least, counter = np.full(len(labels), 1e-3), np.full(len(labels), 0.1)
    for lens in lenses:
        least[lens.samples] = lens.columns["min_magnification"]
        counter[lens.samples] = lens.columns["counter_image"]
    masses = object_columns(table.plan, labels, lambda entry: isinstance(entry.chosen, Deflector))
    rows = [np.zeros(0, DEFLECTOR_ROW)]
    for each in masses:
        own = redshifts.take(each.samples)
        for bad, why in each.entry.chosen.refusals(each.columns, own):
            if bad.any():
                sample = labels.samples[each.samples[np.argmax(bad)]]
                raise LabelError.of_sample(table.name, sample, why)
        rows.append(each.entry.chosen.rows(each.columns, own))
    samples = np.concatenate([np.zeros(0, np.int64), *(each.samples for each in masses)])
    counts = np.bincount(samples, minlength=len(labels))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    together = np.concatenate(rows)[np.argsort(samples, kind="stable")]
    return Planes(
        offsets,
        together,
        redshifts,
        least,
        counter,
        _centres(np.sort(samples), together, len(labels)),
        np.full(len(labels), np.nan),
        lenses,
        list(zip(masses, rows[1:], strict=True)),
    )


def _centres(samples: NDArray[np.int64], rows: NDArray[np.void], count: int) -> NDArray[np.float64]:
    """Return the centre of the first mass of each sample that is not a sheet, or the origin, float64[count, 2]."""
    centres = np.zeros((count, 2))
    compact = np.flatnonzero(rows["family"] != EXTERNAL)[::-1]
    centres[samples[compact]] = np.stack([rows["x"], rows["y"]], axis=1)[compact]
    return centres


def _redshifts(table: Table[Any], labels: Labels, lenses: list[ObjectColumns]) -> Redshifts:
    """Return the redshifts of each sample's plane; refuse sources that are not behind it."""
    found = Redshifts(*(np.full(len(labels), np.nan) for _ in Redshifts._fields))
    names = ("redshift", "source_redshift", "hubble_constant", "matter_density")
    for lens in lenses:
        for values, name in zip(found, names, strict=True):
            if name in lens.columns:
                values[lens.samples] = lens.columns[name]
    behind = np.flatnonzero(found.source <= found.lens)
    if behind.size:
        first = behind[0]
        raise LabelError.of_sample(
            table.name,
            labels.samples[first],
            f"the source's redshift, {found.source[first]:.4g}, is not above that of the lens, "
            f"{found.lens[first]:.4g}",
        )
    return found
