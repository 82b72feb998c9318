"""Which observations are made of each sample: from the survey's cadence and the gaps among the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.light_curves.survey.cadences import NIGHTS, VISITS, YEAR
from deepbench.light_curves.survey.exposures import Observations, Times
from deepbench.numerics import streams
from deepbench.numerics.kernels import kernel
from deepbench.numerics.stream_names import stream_number
from deepbench.numerics.streams import philox4x32, uniform53

if TYPE_CHECKING:
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.labelling.scopes import Labels
    from deepbench.light_curves.model import LightCurveTable


class Schedule:
    """The times at which samples of a table are observed.

    Parameters
    ----------
    seed : int
    name : str
        Of the table.
    table : LightCurveTable
    labels : Labels
    gaps : list of ObjectColumns
        What is lost.
    """

    def __init__(
        self,
        seed: int,
        name: str,
        table: LightCurveTable,
        labels: Labels,
        gaps: list[ObjectColumns],
    ) -> None:
        self._name, self._table, self._labels = name, table, labels
        self._shared = table.survey.cadence.shared(table.survey.names)
        self._key = np.array(streams.key_words(seed), np.uint32)
        columns = ("start", "duration")
        parts = [np.column_stack([each.columns[column] for column in columns]) for each in gaps]
        owners = np.concatenate([np.zeros(0, np.int64), *(each.samples for each in gaps)])
        order = np.argsort(owners, kind="stable")
        self._gaps = np.concatenate([np.zeros((0, 2)), *parts])[order]
        self._of_gaps = np.searchsorted(owners[order], np.arange(len(labels) + 1))

    def observations(self, rows: slice) -> Observations:
        """Return the observations of some samples.

        Raises
        ------
        LabelError
            There are more visits than there is room for.
        """
        times, missing = self._times(rows)
        gaps = slice(self._of_gaps[rows.start], self._of_gaps[rows.stop])
        of_gaps = self._of_gaps[rows.start : rows.stop + 1] - gaps.start
        found = gather(*times, missing, of_gaps, self._gaps[gaps])
        offsets, places, days, exposures, bands = found
        used = slice(0, offsets[-1])
        return Observations(offsets, places[used], days[used], exposures[used], bands[used], times)

    def _times(self, rows: slice) -> tuple[Times, NDArray[np.bool_]]:
        """Return the times of some samples, and which of them are lost."""
        samples, lengths = self._labels.samples[rows], self._table.survey.exposures
        if self._shared is not None:
            counts = np.full(len(samples), len(self._shared.days))
            days, bands, missing = self._shared
            return Times(counts, days[None], bands[None], lengths), missing[None]
        nights = self._table.survey.cadence.nights
        assert nights is not None
        shape = len(samples), nights.cap
        visits = np.full(shape, np.nan), np.full(shape, -1, np.int8)
        words = (
            np.array(streams.stream_words(stream_number(f"{self._name}/{each}")), np.uint32)
            for each in (NIGHTS, VISITS)
        )
        of_samples = nights.rows(self._labels.columns)[rows]
        limits = nights.limits(self._table.survey.names)
        counts = lay_nights(
            nights.numbers(), limits, of_samples, samples, self._key, *words, *visits
        )  # fmt: skip
        if (counts > nights.cap).any():
            first = int(np.argmax(counts > nights.cap))
            raise LabelError(
                f"table '{self._name}', sample {samples[first]}: it is observed {counts[first]} times, but the cadence "
                f"has a cap of {nights.cap}; make it larger",
                table=self._name,
                sample=int(samples[first]),
            )
        return Times(counts, *visits, lengths), np.zeros(shape, bool)


@kernel
def gather(counts, days, bands, lengths, missing, of_gaps, gaps):
    """Return the observations of samples that are not lost: offsets, places, times, exposures, bands.

    Parameters
    ----------
    counts, days, bands, lengths
        As in ``Times``.
    missing : bool[r, w]
        Which times are lost.
    of_gaps : int64[n + 1]
        Sample i has the gaps ``of_gaps[i]`` … ``of_gaps[i + 1] - 1``.
    gaps : float64[g, 2]
        Start and duration, days.
    """
    room = counts.sum()
    offsets, places = np.zeros(counts.size + 1, np.int64), np.empty(room, np.int64)
    times, exposures, of_bands = np.empty(room), np.empty(room), np.empty(room, np.int8)
    e = 0
    for i in range(counts.size):
        row = i if len(days) > 1 else 0
        for place in range(counts[i]):
            day, lost = days[row, place], missing[row, place]
            for gap in range(of_gaps[i], of_gaps[i + 1]):
                start = gaps[gap, 0]
                lost |= start <= day and day < start + gaps[gap, 1]
            if not lost:
                places[e], times[e] = place, day
                exposures[e], of_bands[e] = lengths[bands[row, place]], bands[row, place]
                e += 1
        offsets[i + 1] = e
    return offsets, places, times, exposures, of_bands


@kernel
def lay_nights(numbers, limits, rows, samples, key, nights, visits, times, bands):
    """Lay out the visits of some samples; return how many each has, int64[n].

    Parameters
    ----------
    numbers, limits, rows
        As ``Nights`` returns them.
    samples : int64[n]
        Sample numbers.
    key, nights, visits : uint32[2]
        Words of the seed and of the streams ``NIGHTS`` and ``VISITS``.
    times, bands : float64[n, cap], int8[n, cap]
        Written as far as there are visits; where there are more than room, the number tells.
    """
    start, duration, season, low, high, night, hour_angle = numbers
    counts = np.zeros(len(samples), np.int64)
    for i in range(len(samples)):
        opposition, visit_probability, pair_probability = rows[i]
        for day in range(int(duration)):
            midnight = start + day
            years = np.floor((midnight - opposition) / YEAR + 0.5)
            since = midnight - opposition - years * YEAR
            if np.abs(since) > 0.5 * season:
                continue
            w0, w1, w2, w3 = philox4x32(day, samples[i], nights[0], nights[1], key[0], key[1])
            if uniform53(w0, w1) >= visit_probability:
                continue
            highest = -since / YEAR
            first = max(highest - hour_angle, -0.5 * night)
            last = min(highest + hour_angle, 0.5 * night)
            again = uniform53(w2, w3) < pair_probability
            w0, w1, w2, w3 = philox4x32(2 * day, samples[i], visits[0], visits[1], key[0], key[1])
            wait = low + (high - low) * (np.float64(w3) + 0.5) * 2.0**-32
            if again:
                last -= wait
            if last < first:
                continue
            time = midnight + first + (last - first) * uniform53(w0, w1)
            w4 = philox4x32(2 * day + 1, samples[i], visits[0], visits[1], key[0], key[1])[0]
            for visit in range(2 if again else 1):
                chance = (np.float64(w2 if visit == 0 else w4) + 0.5) * 2.0**-32
                band = 0
                while chance >= limits[band]:
                    band += 1
                if counts[i] < times.shape[1]:
                    times[i, counts[i]] = time + visit * wait
                    bands[i, counts[i]] = band
                counts[i] += 1
    return counts
