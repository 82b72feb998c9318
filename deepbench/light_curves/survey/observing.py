"""The observations that are made of each sample, from the survey's cadence and the gaps among the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.light_curves.survey.exposures import Observations, Times
from deepbench.light_curves.units import YEAR
from deepbench.numerics.kernels import kernel
from deepbench.numerics.streams import philox4x32, uniform53

if TYPE_CHECKING:
    from deepbench.labelling.scopes import Labels
    from deepbench.light_curves.model import LightCurveTable
    from deepbench.light_curves.rows import SampleRows
    from deepbench.light_curves.streams import TableStreams
    from deepbench.tables import Table


class Schedule:
    """The times at which samples of a table are observed.

    Parameters
    ----------
    table : Table
    labels : Labels
    streams : TableStreams
    gaps : SampleRows
        Times that are lost, ``GAP``.
    """

    def __init__(
        self,
        table: Table[LightCurveTable],
        labels: Labels,
        streams: TableStreams,
        gaps: SampleRows,
    ) -> None:
        self._table, self._labels, self._streams, self._gaps = table, labels, streams, gaps
        self._survey = table.specification.survey
        self._shared = self._survey.cadence.chosen.shared(self._survey.names)

    def observations(self, rows: slice) -> Observations:
        """Return the observations of some samples.

        Raises
        ------
        LabelError
            There are more visits than there is room for.
        """
        times, missing = self._times(rows)
        found = gather(*times, missing, *self._gaps.part(rows))
        offsets, positions, days, exposures, bands = found
        used = slice(0, offsets[-1])
        return Observations(
            offsets, positions[used], days[used], exposures[used], bands[used], times
        )

    def _times(self, rows: slice) -> tuple[Times, NDArray[np.bool_]]:
        """Return the times of some samples, and which of them are lost."""
        samples, lengths = self._labels.samples[rows], self._survey.exposures
        if self._shared is not None:
            counts = np.full(len(samples), len(self._shared.days))
            days, bands, missing = self._shared
            return Times(counts, days[None], bands[None], lengths), missing[None]
        columns = {name: values[rows] for name, values in self._labels.columns.items()}
        counts, days, bands = self._survey.cadence.chosen.visits(
            self._survey.names, columns, samples, self._streams
        )
        room = days.shape[1]
        if (counts > room).any():
            first = int(np.argmax(counts > room))
            raise LabelError.of_sample(
                self._table.name,
                samples[first],
                f"it is observed {counts[first]} times, but the cadence has a cap of {room}; make it larger",
            )
        return Times(counts, days, bands, lengths), np.zeros(days.shape, bool)


@kernel
def gather(counts, days, bands, lengths, missing, firsts, gaps):
    """Return the observations of samples that are not lost: offsets, positions, times, exposures, bands.

    Parameters
    ----------
    counts, days, bands, lengths
        As in ``Times``.
    missing : bool[r, w]
        Times that are lost.
    firsts : int64[n + 1]
        Sample i has the gaps ``firsts[i]`` … ``firsts[i + 1] - 1``.
    gaps : GAP[g]
    """
    room = counts.sum()
    offsets, positions = np.zeros(counts.size + 1, np.int64), np.empty(room, np.int64)
    times, exposures, of_bands = np.empty(room), np.empty(room), np.empty(room, np.int8)
    e = 0
    for i in range(counts.size):
        row = i if len(days) > 1 else 0
        for position in range(counts[i]):
            day, lost = days[row, position], missing[row, position]
            for gap in range(firsts[i], firsts[i + 1]):
                start = gaps[gap].start
                lost |= start <= day and day < start + gaps[gap].duration
            if not lost:
                positions[e], times[e] = position, day
                exposures[e], of_bands[e] = lengths[bands[row, position]], bands[row, position]
                e += 1
        offsets[i + 1] = e
    return offsets, positions, times, exposures, of_bands


@kernel
def lay_nights(rules, limits, rows, samples, key, nights, visits, times, bands):
    """Lay out the visits of some samples; return how many each has, int64[n].

    Parameters
    ----------
    rules, limits, rows
        As ``Nights`` returns them.
    samples : int64[n]
        Sample numbers.
    key, nights, visits : uint32[2]
        Words of the seed and of the streams ``NIGHTS`` and ``VISITS``.
    times, bands : float64[n, cap], int8[n, cap]
        Written as far as there are visits; where there are more than room, the number tells.
    """
    start, duration, season, low, high, night, hour_angle = rules
    counts = np.zeros(len(samples), np.int64)
    for i in range(len(samples)):
        opposition = rows[i].opposition
        visit_probability, pair_probability = rows[i].visit_probability, rows[i].pair_probability
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
