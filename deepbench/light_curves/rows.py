"""From labels to the numbers that kernels read: rows of objects, the light of sources, the noise of bands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.deflectors.images_of_sources import images_of_sources, labels_of_images
from deepbench.errors import LabelError
from deepbench.light_curves.batches import ObjectBatch
from deepbench.light_curves.families.family import Family, ObjectLabels
from deepbench.light_curves.families.lensed import Lensed
from deepbench.light_curves.survey.noise_models import NOISE, flux_of

if TYPE_CHECKING:
    from deepbench.deflectors.planes import Planes
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.labelling.scopes import Labels
    from deepbench.light_curves.model import LightCurveTable
    from deepbench.light_curves.streams import TableStreams
    from deepbench.tables import Table


def zero_points(
    table: LightCurveTable, labels: Labels, rows: NDArray[np.intp] | slice = slice(None)
) -> dict[str, NDArray[np.float64]]:
    """Return the zero point of each band, for some rows of the labels."""
    names = table.survey.names
    return {name: labels.columns[f"survey.{name}.zero_point"][rows] for name in names}


def object_batch(
    table: Table[LightCurveTable],
    labels: Labels,
    source: ObjectColumns,
    streams: TableStreams,
    planes: Planes,
) -> ObjectBatch:
    """Return the objects of an entry, with their rows where they are a family.

    Raises
    ------
    LabelError
        Labels say what cannot be, or what never happens.
    """
    chosen, survey = source.entry.chosen, table.specification.survey
    rows: NDArray = np.empty((len(source.samples), 0))
    inputs: tuple[NDArray, ...] = ()
    numbers, positions = labels.samples[source.samples], np.arange(len(rows))
    measured = {each: np.zeros(len(rows)) for each in chosen.measured}
    if isinstance(chosen, Family):
        described = ObjectLabels(
            source.columns, zero_points(table.specification, labels, source.samples)
        )
        if isinstance(chosen, Lensed):
            place = source.columns["dx"], source.columns["dy"], source.samples
            images = images_of_sources(planes, *place)
            merged = np.flatnonzero(~images.resolved)
            if merged.size:
                raise LabelError.of_sample(
                    table.name,
                    numbers[merged[0]],
                    f"{source.name}: it is on a caustic, where a point is infinitely bright; change its dx or dy",
                )
            redshifts = planes.redshifts.source[source.samples]
            described = replace(described, images=images, source_redshifts=redshifts)
            named = chosen.measured_labels()
            measured |= {each: np.full(len(rows), np.nan) for each in named if each not in measured}
            measured |= labels_of_images(images, named)
        rows = chosen.rows(described)
        inputs = chosen.inputs(survey, streams, source)
        for refused, message in chosen.refusals(rows):
            if refused.any():
                sample = numbers[np.argmax(refused)]
                raise LabelError.of_sample(table.name, sample, f"{source.name}: {message}")
    return ObjectBatch(source, chosen, rows, numbers, source.samples, inputs, measured, positions)


class SampleRows(NamedTuple):
    """Rows that samples have, in the order of the samples.

    Attributes
    ----------
    firsts : int64[n + 1]
        Sample i has the rows ``firsts[i]`` … ``firsts[i + 1] - 1``.
    rows : records[k]
    """

    firsts: NDArray[np.int64]
    rows: NDArray

    def part(self, samples: slice) -> SampleRows:
        """Return the rows of some samples."""
        firsts = self.firsts[samples.start : samples.stop + 1]
        return SampleRows(firsts - firsts[0], self.rows[firsts[0] : firsts[-1]])


def rows_of_samples(
    count: int,
    found: Iterable[ObjectColumns],
    rows_of: Callable[[ObjectColumns], NDArray],
    row: np.dtype,
) -> SampleRows:
    """Return the rows of ``count`` samples, in which those of objects come in written order.

    Parameters
    ----------
    count : int
    found : iterable of ObjectColumns
    rows_of : callable
        Returns the rows of the objects of an entry, one for each of them, or none.
    row : dtype
    """
    owners, parts = [np.zeros(0, np.int64)], [np.empty(0, row)]
    for each in found:
        rows = rows_of(each)
        if len(rows):
            owners.append(each.samples)
            parts.append(rows)
    all_owners = np.concatenate(owners)
    order = np.argsort(all_owners, kind="stable")
    firsts = np.searchsorted(all_owners[order], np.arange(count + 1))
    return SampleRows(firsts, np.concatenate(parts)[order])


def source_rows(
    table: LightCurveTable, labels: Labels, found: Iterable[ObjectColumns]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return magnitude and flux of the sources in each band, float64[n, b]; NaN and 0 where a sample has none."""
    magnitudes = np.full((len(labels), len(table.survey.names)), math.nan)
    fluxes = np.zeros_like(magnitudes)
    for source in found:
        of_bands = zero_points(table, labels, source.samples)
        own = source.entry.chosen.magnitudes_of(ObjectLabels(source.columns, of_bands))
        magnitudes[source.samples] = own
        for number, zero_point in enumerate(of_bands.values()):
            fluxes[source.samples, number] = flux_of(own[:, number], zero_point)
    return magnitudes, fluxes


def noise_rows(table: LightCurveTable, labels: Labels, magnitudes: NDArray[np.float64]) -> NDArray:
    """Return the noise of samples in each band, ``NOISE[n, b]``, for the magnitudes of their sources."""
    found = np.empty(magnitudes.shape, NOISE)
    of_bands: Mapping[str, NDArray[np.float64]] = zero_points(table, labels)
    for number, (name, zero_point) in enumerate(of_bands.items()):
        found[:, number] = table.survey.bands[name].noise.rows(
            labels.columns, f"survey.{name}.noise", magnitudes[:, number], zero_point
        )
    return found
