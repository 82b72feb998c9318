"""From labels to stars and galaxies, as the kernels read them: positions, light, pieces, and their PSFs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.galaxies.model import ENGINES
from deepbench.images.galaxies.owned_rows import Gathered, OwnedRows
from deepbench.images.lensing.lensed_objects import LensedObjects, lensed_objects, shown
from deepbench.images.model.instruments import MAGNITUDE
from deepbench.images.model.sky import COMPONENTS, LEAST_AXIS_RATIO, Piece
from deepbench.images.psf.psf_rows import Psfs, psf_rows
from deepbench.images.rows import Order, check_reach, in_order, ranks_of, table_of
from deepbench.images.shapes.boundaries import LIMIT
from deepbench.numerics.mathfast import exp

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepbench.images.model.objects import ObjectEntry
    from deepbench.images.model.sky import SkyObject
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table

LENGTHS = ("half_light_radius", "truncation")
"""Fields of rows that the drawing's limit holds for, where a row has them."""


ROUNDING = 1e-12
"""Relative error of an axis ratio after a shear."""


@dataclass(frozen=True)
class SkyRows:
    """Stars and galaxies in the order in which they are drawn.

    Attributes
    ----------
    order : Order
    positions : float64[m, 2]
        x and y in pixels.
    stamp_flux : float64[m]
        The part of the light that the square holds in which it is drawn; NaN for the whole frame.
    are_points : bool[m]
        Whether each is drawn as its PSF shows a point.
    own_psf : bool[m]
        Whether it is not seen through its table's PSF.
    parts : int64[m + 1]
        Galaxy i has the components ``parts[i]`` … ``parts[i + 1] - 1``, and a star that may be seen through an image
        one of the radius ``POINT``.
    components : COMPONENT_ROW[k]
        Their fluxes are parts of the galaxy's.
    pieces : tuple of OwnedRows
        Rows that engines draw in stamps of their own, in the order of ``model.ENGINES``.
    lensed : LensedObjects, optional
        The objects that are lensed; galaxies among them have no pieces but those here.
    """

    order: Order
    positions: NDArray[np.float64]
    stamp_flux: NDArray[np.float64]
    are_points: NDArray[np.bool_]
    own_psf: NDArray[np.bool_]
    parts: NDArray[np.int64]
    components: NDArray[np.void]
    pieces: tuple[OwnedRows, ...]
    lensed: LensedObjects | None

    def __len__(self) -> int:
        return len(self.are_points)

    def between(self, first: int, last: int) -> SkyRows:
        """Return the objects from ``first`` to ``last`` − 1, as those of one sample."""
        begin, end = self.parts[first], self.parts[last]
        return SkyRows(
            Order(np.array([0, last - first]), np.arange(last - first)),
            self.positions[first:last],
            self.stamp_flux[first:last],
            self.are_points[first:last],
            self.own_psf[first:last],
            self.parts[first : last + 1] - begin,
            self.components[begin:end],
            tuple(piece.between(first, last) for piece in self.pieces),
            None if self.lensed is None else self.lensed.between(first, last),
        )

    def components_of(
        self, some: NDArray[np.intp], fluxes: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.void]]:
        """Return the components of some galaxies with these fluxes, and where each galaxy's begin."""
        counts = self.parts[some + 1] - self.parts[some]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        owner = np.repeat(np.arange(len(some)), counts)
        rows = self.components[self.parts[some][owner] + np.arange(len(owner)) - offsets[owner]]
        rows["flux"] *= fluxes[owner]
        return offsets, rows


def sky_rows(
    table: Table[ImageTable], labels: Labels, found: list[ObjectColumns], *, lensing: bool = True
) -> SkyRows:
    """Return the objects of the sky of the samples; without ``lensing`` as they would be without masses.

    Raises
    ------
    LabelError
        A position or a radius is beyond the drawing's limit, or an object or a mass cannot be.
    """
    specification = table.specification
    order = in_order(found, len(labels))
    positions, stamp = _positions(specification, found, order)
    check_reach(table, labels, order, positions)
    ranks = ranks_of(found, order)
    sample = np.repeat(labels.samples, np.diff(order.offsets))
    _check_objects(table, found, ranks, sample)
    lensed = None
    behind = [number for number, each in enumerate(found) if lensing and each.entry.lensed]
    if behind:
        sources, owners_of = zip(*((found[i], ranks[i]) for i in behind), strict=True)
        lensed = lensed_objects(table, labels, list(sources), list(owners_of), positions)
    drawn, traced = ({name: Gathered(name) for name in (COMPONENTS, *ENGINES)} for _ in range(2))
    for each, owners in zip(found, ranks, strict=True):
        is_lensed = lensed is not None and each.entry.lensed
        for piece in _pieces(specification, each):
            if not is_lensed:
                drawn[piece.engine].add(piece.rows, owners, positions[owners])
            elif not each.entry.chosen.is_point:
                traced[piece.engine].add(piece.rows, owners, positions[owners])
            else:
                seen = shown(lensed, positions, owners)
                rows = piece.rows[seen.stars]
                rows["flux"] *= seen.parts
                drawn[piece.engine].add(rows, owners[seen.stars], seen.positions)
    components, *pieces = (
        each.owned() for name, each in drawn.items() if each or name == COMPONENTS
    )
    behind_masses = tuple(each.owned() for each in traced.values() if each)
    for own in (components, *pieces, *behind_masses):
        _check_rows(table, own, sample)
    counts = np.bincount(components.owners, minlength=len(order.sequence))
    return SkyRows(
        order,
        positions,
        stamp,
        _flags(found, order, lambda entry: entry.chosen.is_point),
        _flags(found, order, lambda entry: entry.chosen.psf is not None),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        components.rows,
        tuple(pieces),
        None if lensed is None else lensed._replace(pieces=behind_masses),
    )


def _positions(
    table: ImageTable, found: list[ObjectColumns], order: Order
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of objects in pixels, float64[m, 2], and the part of the light that their squares hold."""
    ny, nx = table.size
    scale = table.scale or np.nan
    x, y, dx, dy, stamp = table_of(found, order, ("x", "y", "dx", "dy", "stamp_flux")).T
    x = np.where(np.isnan(x), (nx - 1) / 2 + dx / scale, x)
    y = np.where(np.isnan(y), (ny - 1) / 2 + dy / scale, y)
    return np.stack([x, y], axis=1), stamp


def _pieces(table: ImageTable, source: ObjectColumns) -> list[Piece]:
    """Return what engines draw of the objects of a source; nothing of points that no image of a PSF can show."""
    described: SkyObject = source.entry.chosen
    if described.is_point:
        psfs = [psf for psf in (*table.psfs.values(), described.psf) if psf is not None]
        if not any(psf.chosen.is_image for psf in psfs):
            return []
    return described.pieces(source.columns, table.scale or np.nan)


def _check_rows(table: Table[ImageTable], drawn: OwnedRows, samples: NDArray[np.int64]) -> None:
    """Refuse radii beyond the drawing's limit, and ellipses that a shear makes too thin."""
    far = np.zeros(len(drawn.rows), bool)
    for name in LENGTHS:
        if name in (drawn.rows.dtype.names or ()):
            far |= drawn.rows[name] > LIMIT
    if far.any():
        raise LabelError.of_sample(
            table.name,
            samples[drawn.owners[np.argmax(far)]],
            f"a galaxy has a radius beyond {LIMIT:g} pixels, which cannot be drawn",
        )
    ratio = drawn.rows["axis_ratio"]
    thin = ratio < LEAST_AXIS_RATIO * (1 - ROUNDING)
    if thin.any():
        first = np.argmax(thin)
        raise LabelError.of_sample(
            table.name,
            samples[drawn.owners[first]],
            f"a galaxy is sheared to an axis ratio of {ratio[first]:.3g}, which must be {LEAST_AXIS_RATIO:g} or more: "
            "make it rounder, or its shear weaker",
        )


def _check_objects(
    table: Table[ImageTable],
    found: list[ObjectColumns],
    ranks: list[NDArray[np.int64]],
    samples: NDArray[np.int64],
) -> None:
    """Refuse objects that their specifications refuse: the first of them in the order in which they are drawn."""
    refused = [
        (owners[np.argmax(bad)], why)
        for each, owners in zip(found, ranks, strict=True)
        for bad, why in each.entry.chosen.refusals(each.columns)
        if bad.any()
    ]
    if refused:
        rank, why = min(refused)
        raise LabelError.of_sample(table.name, samples[rank], why)


def _flags(
    found: list[ObjectColumns], order: Order, test: Callable[[ObjectEntry], bool]
) -> NDArray[np.bool_]:
    """Return for each object whether what the recipe says of it passes a test."""
    flags = [np.full(len(each.samples), test(each.entry)) for each in found]
    return np.concatenate([np.zeros(0, bool), *flags])[order.sequence]


def fluxes(
    found: list[ObjectColumns], order: Order, band: str, zero_points: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return the light of objects in a band, as weak lensing magnifies it.

    Parameters
    ----------
    found : list of ObjectColumns
    order : Order
    band : str
        Name of the band; empty where there are none.
    zero_points : float64[n]
        Zero points of the samples; None where there are no magnitudes.
    """
    names = ("flux", f"fluxes.{band}", "magnitude", f"colors.{band}", f"magnitudes.{band}")
    flux, in_band, magnitude, color, magnitude_in_band = table_of(found, order, names).T
    magnified = table_of(found, order, ("shear.magnification",), absent=1.0)[:, 0]
    light = np.where(np.isnan(flux), in_band, flux)
    magnitude = np.where(np.isnan(color), magnitude, magnitude + color)
    magnitude = np.where(np.isnan(magnitude), magnitude_in_band, magnitude)
    if zero_points is not None:
        sample = np.repeat(np.arange(len(zero_points)), np.diff(order.offsets))
        from_magnitude = exp(MAGNITUDE * (magnitude - zero_points[sample]))
        light = np.where(np.isnan(light), from_magnitude, light)
    return np.ascontiguousarray(light * magnified)


def sky_psfs(
    found: list[ObjectColumns], order: Order, of_samples: Psfs, scale: float | None
) -> Psfs:
    """Return the PSF of each object of the sky: its own, or its sample's."""
    sample = np.repeat(np.arange(len(order.offsets) - 1), np.diff(order.offsets))
    result = of_samples.take(sample)
    for each, ranks in zip(found, ranks_of(found, order), strict=True):
        psf = each.entry.chosen.psf
        if psf is not None:
            result.put(ranks, psf_rows(psf, each.columns, "psf.", scale, len(ranks)))
    return result
