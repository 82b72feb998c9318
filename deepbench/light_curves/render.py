"""From labels to light curves: the times, the mean light over the exposures, then the noise of the survey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.deflectors.images_of_sources import measure_caustics
from deepbench.deflectors.planes import Planes, planes_of
from deepbench.errors import LabelError
from deepbench.labelling.objects import object_columns
from deepbench.labelling.scopes import Labels
from deepbench.light_curves.batches import (
    Change,
    ObjectBatch,
    Scratch,
    flux_of,
    highest_rate,
    lay_out,
    nodes_of,
    rates_of,
)
from deepbench.light_curves.families.contaminants import DEVIATION, GAP, Contaminant
from deepbench.light_curves.families.family import Family
from deepbench.light_curves.families.lensed import Lensed, of_image
from deepbench.light_curves.families.source import Source
from deepbench.light_curves.model import RED
from deepbench.light_curves.rows import noise_rows, object_batch, rows_of_samples, source_rows
from deepbench.light_curves.streams import TableStreams
from deepbench.light_curves.survey import noise
from deepbench.light_curves.survey.exposures import Observations
from deepbench.light_curves.survey.observing import Schedule
from deepbench.light_curves.survey.surveys import DEPTHS, noise_stream

if TYPE_CHECKING:
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.light_curves.model import LightCurveTable
    from deepbench.tables import Table

BATCH = 2**17
"""Number of times of the samples that are worked on together: their numbers stay in the processor's cache."""

MOST_AT_ONCE = 2**22
"""Largest number of nodes of their exposures; samples that need more are worked on in halves, down to one."""

NOTHING = {"float32": np.nan, "float64": np.nan, "uint8": noise.MISSING, "int8": -1}
"""Values where there is no observation, by the type of the variable."""


def render(table: Table[LightCurveTable], labels: Labels) -> tuple[dict[str, NDArray], Labels]:
    """Render the light curves that labels describe.

    Parameters
    ----------
    table : Table
    labels : Labels
        Labels of n samples.

    Returns
    -------
    arrays : dict of str to ndarray
        The table's variables, of shape (n, time) or (n, observation).
    labels : Labels
        The given labels, with what is measured.

    Raises
    ------
    LabelError
        What labels say cannot be, changes too fast for the exposures, or has no finite flux.
    """
    curves = LightCurves(table, labels)
    arrays = {
        each.name: np.empty((len(labels), *each.shape), each.dtype) for each in table.variables
    }
    length = max(1, BATCH // table.specification.width)
    for start in range(0, len(labels), length):
        curves.render(slice(start, min(start + length, len(labels))), arrays)
    return arrays, curves.measured()


class LightCurves:
    """The light curves of some samples; the arguments are those of ``render``."""

    def __init__(self, table: Table[LightCurveTable], labels: Labels) -> None:
        specification = table.specification
        self._table, self._labels = table, labels
        self._specification, self._survey = specification, specification.survey
        self._streams = TableStreams(table)
        objects = object_columns(table.plan, labels, lambda entry: True)
        sources = [each for each in objects if isinstance(each.entry.chosen, Source)]
        families = [each for each in objects if isinstance(each.entry.chosen, Family)]
        wrong = [each for each in objects if isinstance(each.entry.chosen, Contaminant)]
        magnitudes, self._of_source = source_rows(specification, labels, sources)
        self._noise = noise_rows(specification, labels, magnitudes)
        planes = planes_of(table, labels)
        self._sources, self._batches = (
            [object_batch(table, labels, each, self._streams, planes) for each in entries]
            for entries in (sources, families)
        )
        self._check_room()
        self._of_lenses = self._measure_caustics(planes)
        count = len(labels)
        gaps = rows_of_samples(count, wrong, lambda each: each.entry.chosen.gaps(each.columns), GAP)
        self._outliers = rows_of_samples(
            count, wrong, lambda each: each.entry.chosen.deviations(each.columns), DEVIATION
        )
        self._schedule = Schedule(table, labels, self._streams, gaps)
        self._scratch = Scratch()
        self._summary = np.zeros(count, noise.SUMMARY)

    def render(self, samples: slice, arrays: dict[str, NDArray]) -> None:
        """Render some of the samples into their rows of the arrays."""
        seen = self._schedule.observations(samples)
        batches = [each.part(samples) for each in self._batches]
        batches = [each for each in batches if len(each.owners)]
        self._check_rates(samples, rates_of(len(seen.offsets) - 1, batches))
        self._check_periods(batches)
        firsts = nodes_of(seen, batches)
        length = samples.stop - samples.start
        if firsts[-1] > MOST_AT_ONCE and length > 1:
            middle = samples.start + length // 2
            self.render(slice(samples.start, middle), arrays)
            self.render(slice(middle, samples.stop), arrays)
            return
        some = {name: values[samples] for name, values in arrays.items()}
        for values in some.values():
            values[:] = NOTHING[values.dtype.name]
        if "time" in some:
            some["time"][:], some["band"][:] = seen.scheduled.days, seen.scheduled.bands
        if self._specification.images_apart is None:
            self._expose(samples, seen, firsts, batches, some)
            return
        for image in range(self._specification.images_apart):
            self._expose_image(samples, seen, batches, some, image)

    def _expose_image(
        self,
        samples: slice,
        seen: Observations,
        batches: list[ObjectBatch],
        planes: dict[str, NDArray],
        image: int,
    ) -> None:
        """Write the light curve of one image of each sample that has so many."""
        alone = [each._replace(rows=of_image(each.rows, image)) for each in batches]
        there = np.zeros(samples.stop - samples.start, bool)
        for each in alone:
            there[each.owners] = each.rows["paths"]["count"][:, 0] > 0
        part = seen.only(there)
        own = {
            name: np.full_like(values[:, image], NOTHING[values.dtype.name], order="C")
            for name, values in planes.items()
            if name not in ("time", "band")
        }
        self._expose(samples, part, nodes_of(part, alone), alone, own, image)
        for name, values in own.items():
            planes[name][:, image] = values

    def _expose(
        self,
        samples: slice,
        seen: Observations,
        firsts: NDArray[np.int64],
        batches: list[ObjectBatch],
        planes: dict[str, NDArray],
        image: int = 0,
    ) -> None:
        """Write light curves with their noise, and what is measured of them.

        Parameters
        ----------
        samples : slice
        seen : Observations
        firsts : int64[m + 1]
            Where the nodes of each observation begin.
        batches : list of ObjectBatch
        planes : dict of str to ndarray
            Rows of the variables of these samples; written where there are observations.
        image : int
            Number of the image whose light they are, where images are apart.
        """
        nodes = lay_out(seen, firsts, self._scratch)
        flux, changes = flux_of(nodes, self._of_source[samples], batches, self._scratch)
        variances = self._observe(samples, seen, flux, planes, image)
        for plane, values in (("flux_true", flux), ("flux_error_true", np.sqrt(variances))):
            if plane in planes:
                noise.write_plane(seen.offsets, seen.positions, values, planes[plane])
        self._measure(samples, seen, flux, variances, planes["mask"], changes, image)

    def _observe(
        self,
        samples: slice,
        seen: Observations,
        flux: NDArray[np.float64],
        planes: dict[str, NDArray],
        image: int,
    ) -> NDArray[np.float64]:
        """Write what is observed of a flux; return the variance of the noise."""
        numbers, where = self._labels.samples[samples], (seen.offsets, seen.positions)
        key, words = self._streams.key, self._streams.words
        light = flux
        if self._specification.red_noise is not None:
            light = flux.copy()
            sigmas, timescales = (
                self._labels.columns[f"red_noise.{each}"][samples]
                for each in ("sigma", "timescale")
            )
            scheduled = *seen.scheduled, *where, numbers
            noise.redden(sigmas, timescales, *scheduled, key, words(RED), light)
        photons, constants, variances = (np.empty(len(flux)) for _ in range(3))
        drawn = self._noise[samples], *where, seen.bands, numbers, key
        noise.variances_of(*drawn, words(DEPTHS), flux, photons, constants, variances)
        self._check_finite(seen, numbers, light, variances)
        deviations = np.zeros(len(flux))
        noise.deviate(*self._outliers.part(samples), seen.offsets, seen.times, deviations)
        noise.observe(
            *drawn, words(noise_stream(image)), float(self._specification.detection), photons, constants,
            variances, deviations, light, planes["flux"], planes["flux_error"], planes["mask"],
        )  # fmt: skip
        return variances

    def _measure_caustics(
        self, planes: Planes
    ) -> list[tuple[ObjectColumns, dict[str, NDArray[np.float64]]]]:
        """Measure how far sources are from caustics; return what is measured of lenses."""
        if not planes.lenses:
            return []
        lensed = [each for each in self._batches if isinstance(each.family, Lensed)]
        owners = np.concatenate([np.zeros(0, np.int64), *(each.owners for each in lensed)])
        x, y = (
            np.concatenate([np.zeros(0), *(each.source.columns[name] for each in lensed)])
            for name in ("dx", "dy")
        )
        planes, distances = measure_caustics(planes, x, y, owners)
        ends = np.cumsum([len(each.owners) for each in lensed])[:-1]
        for name, values in distances.items():
            for each, found in zip(lensed, np.split(values, ends), strict=False):
                each.measure(name, found)
        return list(planes.measured())

    def _check_room(self) -> None:
        """Refuse more images than there is room for."""
        room = self._specification.images_apart
        for batch in self._batches if room is not None else ():
            counts = batch.rows["paths"]["count"][:, 0]
            many = np.flatnonzero(counts > room)
            if many.size:
                raise LabelError.of_sample(
                    self._table.name,
                    batch.samples[many[0]],
                    f"{batch.source.name}: it has {counts[many[0]]} images, but `images_apart` has room for {room}; "
                    "make it larger, or raise the lens's min_magnification",
                )

    def _check_rates(self, samples: slice, rates: NDArray[np.float64]) -> None:
        """Refuse what changes too fast for the exposures."""
        exposure = float(self._survey.exposures.max())
        most = highest_rate(exposure)
        fast = np.flatnonzero(rates > most)
        if fast.size:
            raise LabelError.of_sample(
                self._table.name,
                self._labels.samples[samples][fast[0]],
                f"it changes by {rates[fast[0]]:.4g} radians a day, but "
                f"exposures of {exposure:.3g} days can follow {most:.4g}; make its periods longer",
            )

    def _check_periods(self, batches: list[ObjectBatch]) -> None:
        """Refuse orbits that are short against the exposures: an exposure may not see two of the same eclipse."""
        exposure = float(self._survey.exposures.max())
        for batch in batches:
            periods = batch.family.event_periods(batch.rows)
            if periods is None:
                continue
            short = np.flatnonzero(periods < 2.0 * exposure)
            if short.size:
                raise LabelError.of_sample(
                    self._table.name,
                    batch.samples[short[0]],
                    f"the period of its {batch.source.entry.kind} is "
                    f"{periods[short[0]]:.4g} days, but exposures of {exposure:.3g} days need periods of twice as "
                    "much or more; make its period longer",
                )

    def _check_finite(
        self,
        seen: Observations,
        numbers: NDArray[np.int64],
        flux: NDArray[np.float64],
        variances: NDArray[np.float64],
    ) -> None:
        """Refuse a flux that float32 cannot hold with its noise."""
        most = float(np.finfo(np.float32).max)
        with np.errstate(invalid="ignore", over="ignore"):
            reach = np.abs(flux) + 100.0 * np.sqrt(variances)
        bad = np.flatnonzero(~(reach < most))
        if bad.size:
            row = np.searchsorted(seen.offsets, bad[0], side="right") - 1
            raise LabelError.of_sample(
                self._table.name,
                numbers[row],
                "its flux or its noise is not finite; magnitudes are too "
                "bright, amplitudes, phases or noise too large (float32 ends at 3.4e38)",
            )

    def _measure(
        self,
        samples: slice,
        seen: Observations,
        flux: NDArray[np.float64],
        variances: NDArray[np.float64],
        masks: NDArray[np.uint8],
        changes: list[Change],
        image: int,
    ) -> None:
        """Write what is measured of samples and objects; counts, and squares of ratios, add up over images."""
        before = self._summary[samples].copy()
        summary = self._summary[samples]
        noise.summarize(*seen[:2], seen.bands, flux, variances, masks, summary)
        if image > 0:
            for name in ("n_observations", "n_detections"):
                summary[name] += before[name]
            summary["variability_snr"] = _joined(
                summary["variability_snr"], before["variability_snr"]
            )
        for batch, offsets, values in changes:
            found = np.empty(len(batch.owners))
            noise.signal_to_noise(offsets, batch.owners, seen.offsets, values, variances, found)
            if image > 0:
                found = _joined(found, batch.measured["snr"][batch.positions])
            batch.measure("snr", found)
        for batch in (each.part(samples) for each in self._sources):
            found, flux = np.empty(len(batch.owners)), self._of_source[samples]
            noise.constant_signal(batch.owners, seen.offsets, seen.bands, flux, variances, found)
            batch.measure("snr", found)

    def measured(self) -> Labels:
        """Return the labels with what was measured."""
        columns = {
            f"observed.{name}": np.ascontiguousarray(self._summary[name])
            for name in noise.SUMMARY.names or ()
        }
        batches = (*self._sources, *self._batches)
        measured = [(each.source, each.measured) for each in batches]
        return self._labels.with_measured(columns, [*measured, *self._of_lenses])


def _joined(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the signal-to-noise ratio of two signals together."""
    return np.sqrt(one * one + other * other)
