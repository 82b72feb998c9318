"""From labels to light curves: the times, the mean light over the exposures, then what the survey makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.labelling.objects import ObjectColumns, object_columns
from deepbench.labelling.scopes import Labels
from deepbench.light_curves.families.families import FAMILIES
from deepbench.light_curves.families.objects import RandomWalk, Transient
from deepbench.light_curves.light import (
    Change,
    Light,
    Scratch,
    flux_of,
    highest_rate,
    nodes_of,
    rates_of,
)
from deepbench.light_curves.model import OBSERVED, RED, walk_stream
from deepbench.light_curves.rows import check_rows, noise_of, object_rows, source_rows
from deepbench.light_curves.survey import noise
from deepbench.light_curves.survey.exposures import Observations
from deepbench.light_curves.survey.observing import Schedule
from deepbench.light_curves.survey.surveys import DEPTHS, PHOTONS
from deepbench.numerics import streams
from deepbench.numerics.stream_names import stream_number

if TYPE_CHECKING:
    from deepbench.light_curves.model import LightCurveTable
    from deepbench.tables import Table

BATCH = 2**17
"""Times of the samples that are worked on together: their numbers stay in the processor's cache."""

MOST_AT_ONCE = 2**22
"""Nodes of their exposures; samples that need more are worked on in halves, down to one."""

NOTHING = {"float32": np.nan, "float64": np.nan, "uint8": noise.MISSING, "int8": -1}
"""What stands where there is no observation, by the type of the variable."""


def render(table: Table[LightCurveTable], labels: Labels) -> tuple[dict[str, NDArray], Labels]:
    """Render the light curves that labels describe.

    Parameters
    ----------
    table : Table
    labels : Labels
        Of n samples.

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
    seed, name, specification = table.seed, table.name, table.specification
    curves = LightCurves(seed, name, specification, labels)
    arrays = {
        each.name: np.empty((len(labels), *each.shape), each.dtype) for each in table.variables
    }
    length = max(1, BATCH // specification.width)
    for start in range(0, len(labels), length):
        curves.render(slice(start, min(start + length, len(labels))), arrays)
    return arrays, curves.measured()


class LightCurves:
    """The light curves of some samples; the arguments are those of ``render``."""

    def __init__(self, seed: int, name: str, table: LightCurveTable, labels: Labels) -> None:
        self._name, self._table, self._labels = name, table, labels
        self._key = np.array(streams.key_words(seed), np.uint32)
        found = object_columns(table, labels, lambda entry: True)
        of_kind: dict[str, list[ObjectColumns]] = {"source": [], "gap": [], "outlier": []}
        for each in found:
            of_kind.setdefault(each.entry.kind, []).append(each)
        magnitudes, self._of_source = source_rows(table, labels, of_kind["source"])
        self._noise = noise_of(table, labels, magnitudes)
        self._constant = [self._light(each) for each in of_kind["source"]]
        self._lights = [self._light(each) for each in found if each.entry.kind in FAMILIES]
        self._schedule = Schedule(seed, name, table, labels, of_kind["gap"])
        parts = [
            np.column_stack([each.columns[name] for name in ("time", "deviation")])
            for each in of_kind["outlier"]
        ]
        owners = np.concatenate(
            [np.zeros(0, np.int64), *(each.samples for each in of_kind["outlier"])]
        )
        order = np.argsort(owners, kind="stable")
        self._outliers = np.concatenate([np.zeros((0, 2)), *parts])[order]
        self._of_outliers = np.searchsorted(owners[order], np.arange(len(labels) + 1))
        self._scratch = Scratch()
        self._observed = np.zeros((len(labels), len(OBSERVED)))

    def _light(self, source: ObjectColumns) -> Light:
        """Return the objects of an entry."""
        family = FAMILIES.get(source.entry.kind)
        columns = () if family is None else family.columns
        rows = object_rows(source, columns, self._table.survey.names, self._labels)
        check_rows(source, rows, self._labels, self._name)
        extra: tuple[NDArray, ...] = ()
        if isinstance(source.entry.chosen, RandomWalk):
            extra = (self._key, self._words(walk_stream(source.class_name, source.name)))
        elif isinstance(source.entry.chosen, Transient):
            extra = (self._table.survey.edges(),)
        measured = {each: np.zeros(len(rows)) for each in source.entry.chosen.measured}
        numbers = self._labels.samples[source.samples]
        return Light(source, rows, numbers, source.samples, extra, measured, np.arange(len(rows)))

    def _words(self, stream: str) -> NDArray[np.uint32]:
        """Return the words of a stream of the table."""
        return np.array(streams.stream_words(stream_number(f"{self._name}/{stream}")), np.uint32)

    def render(self, samples: slice, arrays: dict[str, NDArray]) -> None:
        """Render some of the samples into their rows of the arrays."""
        seen = self._schedule.observations(samples)
        lights = [each.part(samples) for each in self._lights]
        lights = [each for each in lights if len(each.owners)]
        self._check_rates(samples, rates_of(len(seen.offsets) - 1, lights))
        self._check_periods(samples, lights)
        firsts = nodes_of(seen, lights)
        length = samples.stop - samples.start
        if firsts[-1] > MOST_AT_ONCE and length > 1:
            middle = samples.start + length // 2
            self.render(slice(samples.start, middle), arrays)
            self.render(slice(middle, samples.stop), arrays)
            return
        flux, changes = flux_of(seen, firsts, self._of_source[samples], lights, self._scratch)
        some = {name: values[samples] for name, values in arrays.items()}
        for values in some.values():
            values[:] = NOTHING[values.dtype.name]
        variances = self._observe(samples, seen, flux, some)
        for plane, values in (("flux_true", flux), ("flux_error_true", np.sqrt(variances))):
            if plane in some:
                noise.place(seen.offsets, seen.places, values, some[plane])
        if "time" in some:
            some["time"][:], some["band"][:] = seen.scheduled.days, seen.scheduled.bands
        self._measure(samples, seen, flux, variances, some["mask"], changes)

    def _observe(
        self,
        samples: slice,
        seen: Observations,
        flux: NDArray[np.float64],
        planes: dict[str, NDArray],
    ) -> NDArray[np.float64]:
        """Write what is observed of a flux; return the variance of the noise."""
        numbers, where = self._labels.samples[samples], (seen.offsets, seen.places)
        light = flux
        if self._table.red_noise is not None:
            light = flux.copy()
            columns = ("red_noise.sigma", "red_noise.timescale")
            red = np.column_stack([self._labels.columns[each][samples] for each in columns])
            words = self._key, self._words(RED)
            noise.redden(red, *seen.scheduled, *where, numbers, *words, light)
        rows, terms, variances = self._noise[samples], np.empty((len(flux), 2)), np.empty(len(flux))
        drawn = rows, *where, seen.bands, numbers, self._key
        noise.variances_of(*drawn, self._words(DEPTHS), flux, terms, variances)
        self._check_finite(seen, numbers, light, variances)
        deviations = np.zeros(len(flux))
        of_outliers = self._of_outliers[samples.start : samples.stop + 1]
        noise.deviate(of_outliers, self._outliers, seen.offsets, seen.times, deviations)
        noise.observe(
            *drawn, self._words(PHOTONS), float(self._table.detection), terms, variances, deviations,
            light, planes["flux"], planes["flux_error"], planes["mask"],
        )  # fmt: skip
        return variances

    def _check_rates(self, samples: slice, rates: NDArray[np.float64]) -> None:
        """Refuse what changes too fast for the exposures."""
        exposure = float(self._table.survey.exposures.max())
        most = highest_rate(exposure)
        fast = np.flatnonzero(rates > most)
        if fast.size:
            sample = int(self._labels.samples[samples][fast[0]])
            raise LabelError(
                f"table '{self._name}', sample {sample}: it changes by {rates[fast[0]]:.4g} radians a day, but "
                f"exposures of {exposure:.3g} days can follow {most:.4g}; make its periods longer",
                table=self._name,
                sample=sample,
            )

    def _check_periods(self, samples: slice, lights: list[Light]) -> None:
        """Refuse orbits that are short against the exposures: an exposure may not see two of the same eclipse."""
        exposure = float(self._table.survey.exposures.max())
        for light in lights:
            if not light.family.orbits:
                continue
            short = np.flatnonzero(light.rows[:, 0, 0] < 2.0 * exposure)
            if short.size:
                sample = int(light.samples[short[0]])
                period = light.rows[short[0], 0, 0]
                raise LabelError(
                    f"table '{self._name}', sample {sample}: the period of its {light.source.entry.kind} is "
                    f"{period:.4g} days, but exposures of {exposure:.3g} days need periods of twice as much or more; "
                    "make its period longer",
                    table=self._name,
                    sample=sample,
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
            sample = int(numbers[row])
            raise LabelError(
                f"table '{self._name}', sample {sample}: its flux or its noise is not finite; magnitudes are too "
                "bright, amplitudes, phases or noise too large (float32 ends at 3.4e38)",
                table=self._name,
                sample=sample,
            )

    def _measure(
        self,
        samples: slice,
        seen: Observations,
        flux: NDArray[np.float64],
        variances: NDArray[np.float64],
        masks: NDArray[np.uint8],
        changes: list[Change],
    ) -> None:
        """Write what is measured of samples and objects."""
        noise.summarize(*seen[:2], seen.bands, flux, variances, masks, self._observed[samples])
        for light, offsets, values in changes:
            found = np.empty(len(light.owners))
            noise.signal_to_noise(offsets, light.owners, seen.offsets, values, variances, found)
            light.measured["snr"][light.places] = found
        for light in (each.part(samples) for each in self._constant):
            found, flux = np.empty(len(light.owners)), self._of_source[samples]
            noise.constant_signal(light.owners, seen.offsets, seen.bands, flux, variances, found)
            light.measured["snr"][light.places] = found

    def measured(self) -> Labels:
        """Return the labels with what was measured."""
        columns = {
            f"observed.{name}": np.ascontiguousarray(values)
            for name, values in zip(OBSERVED, self._observed.T, strict=True)
        }
        lights = (*self._constant, *self._lights)
        return self._labels.with_measured(
            columns, ((each.source, each.measured) for each in lights)
        )
