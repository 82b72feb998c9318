"""Cadences, which say when a survey looks: at regular times, in nights of seasons, or at the times in a file.

Times are days since the survey's epoch, and belong to the middles of exposures. A new cadence is a class here, and its
entry in ``CADENCES``.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from deepbench.errors import LabelError
from deepbench.labelling.scopes import EVERY_CLASS
from deepbench.language.inputs.tables import Renames, TableFile, Wanted, Words
from deepbench.language.one_of import OneOf, one_of
from deepbench.language.plain import show, unknown
from deepbench.language.specification import Name, Number, Specification, Whole, parameter, problem
from deepbench.language.values import Value
from deepbench.light_curves.units import DAY, MINUTES, YEAR

if TYPE_CHECKING:
    from deepbench.light_curves.streams import TableStreams

FARTHEST = 10_000_000
"""Largest number of days from the epoch."""

MAXIMUM_TIMES = 2**22
"""Largest number of times of a sample."""

CHECKED = 2**18
"""Number of times that are checked at once."""

NIGHTS = f"{EVERY_CLASS}/cadence.nights/nights"
VISITS = f"{EVERY_CLASS}/cadence.nights/visits"
"""Streams of the nights: whether there is a visit, and the visits; without the table's name."""

VISITED = np.dtype(
    [(name, np.float64) for name in ("opposition", "visit_probability", "pair_probability")],
    align=True,
)
"""Row of a sample that is visited in nights: day, and two probabilities."""


class SharedTimes(NamedTuple):
    """The times at which all samples are observed.

    Attributes
    ----------
    days : float64[m]
        Ascending.
    bands : int8[m]
        Number of the band of each.
    missing : bool[m]
        Which of them are lost.
    """

    days: NDArray[np.float64]
    bands: NDArray[np.int8]
    missing: NDArray[np.bool_]


class NightRules(NamedTuple):
    """Rules that the nights of all samples share; days.

    Attributes
    ----------
    start, duration, season : float
    least_wait, greatest_wait : float
        Between two visits of a night.
    night : float
        Length of a night.
    hour_angle : float
        Time before and after its highest in which a target is seen.
    """

    start: float
    duration: float
    season: float
    least_wait: float
    greatest_wait: float
    night: float
    hour_angle: float


class CadenceSpecification(Specification):
    """Base of cadences, with all that each provides.

    Attributes
    ----------
    is_shared : bool
        Whether all samples are observed at the same times; else it has the method ``visits``, as ``Nights`` does.
    streams : tuple of str
        Random streams that it draws from, without the table's name.
    """

    is_shared: ClassVar[bool] = False
    streams: ClassVar[tuple[str, ...]] = ()

    def check(self, exposures: Mapping[str, float]) -> None:
        """Refuse the lengths of the exposures in each band, seconds, that do not fit; raises pydantic's error."""

    @classmethod
    def in_bands(cls, body: dict[str, Any], bands: set[str]) -> dict[str, Any]:
        """Return what a preset says of the cadence where only some of its bands are kept."""
        return body

    def shared(self, bands: tuple[str, ...]) -> SharedTimes | None:
        """Return the times at which all samples are observed; None where each sample has its own."""
        return None

    @abstractmethod
    def width(self, bands: tuple[str, ...]) -> int:
        """Return the number of times that there is room for in each sample."""


class SharedCadence(CadenceSpecification):
    """A cadence whose times are those of all samples."""

    is_shared: ClassVar[bool] = True

    @abstractmethod
    def shared(self, bands: tuple[str, ...]) -> SharedTimes:
        """Return the times at which all samples are observed."""

    def width(self, bands: tuple[str, ...]) -> int:
        """Return the number of times."""
        return len(self.shared(bands).days)


class Regular(SharedCadence):
    """Exposures one after another, the same for all samples, with gaps."""

    interval: Annotated[Number, Field(gt=0)] = Field(
        description="from one exposure to the next, seconds"
    )
    duration: Annotated[Number, Field(gt=0)] = Field(description="of all together, days")
    start: Annotated[Number, Field(ge=-FARTHEST, le=FARTHEST)] = Field(
        0.0, description="middle of the first exposure, days"
    )
    gaps: tuple[tuple[Number, Number], ...] = Field(
        (), description="pairs of start and end of what is lost, days since the start"
    )
    missing: Literal["absent", "nan"] = Field(
        "absent", description="whether the times in gaps are left out, or kept without a flux"
    )

    @field_validator("gaps")
    @classmethod
    def _ascending(cls, gaps: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        ends = [end for gap in gaps for end in gap]
        empty = any(end <= begin for begin, end in gaps)
        if empty or any(after < before for before, after in pairwise(ends)):
            raise problem(f"must be pairs of start and end in ascending order, not {show(gaps)}")
        return gaps

    @model_validator(mode="after")
    def _has_times(self) -> Self:
        if not 1 <= self._exposures < MAXIMUM_TIMES + 1:
            found = f"{self.count:,}" if self._exposures < 1e15 else f"{self._exposures:.3g}"
            raise problem(
                f"has {found} exposures; allowed are 1 to {MAXIMUM_TIMES:,}: change interval or duration"
            )
        if sum(stop - first for first, stop in self._lost()) == self.count:
            raise problem("has no exposure outside of its gaps")
        return self

    @property
    def _exposures(self) -> float:
        """Length of all together in intervals; infinite beyond the range of numbers."""
        return self.duration * DAY / self.interval * (1 + 1e-12)

    @property
    def count(self) -> int:
        """Number of exposures, those in gaps too."""
        return math.floor(self._exposures)

    def _lost(self) -> list[tuple[int, int]]:
        """Return the exposures in each gap: the first, and the one after the last."""

        def first_from(day: float) -> int:
            numbers = range(self.count)
            return bisect_left(numbers, day * (1 - 1e-12), key=lambda n: n * self.interval / DAY)

        return [(first_from(begin), first_from(end)) for begin, end in self.gaps]

    def check(self, exposures: Mapping[str, float]) -> None:
        """Refuse several bands, and exposures that overlap."""
        longest = max(exposures.values())
        if len(exposures) > 1:
            raise problem(
                "a regular cadence has one band; name it in `bands`, or give the times of several in a file"
            )
        if longest > self.interval * (1 + 1e-9):
            raise problem(
                f"an exposure of {longest:g} s does not end before the next begins, {self.interval:g} s later"
            )

    def shared(self, bands: tuple[str, ...]) -> SharedTimes:
        """Return the times at which all samples are observed."""
        since = np.arange(self.count, dtype=np.float64) * self.interval / DAY
        lost = np.zeros(self.count, bool)
        for first, stop in self._lost():
            lost[first:stop] = True
        kept = ~lost if self.missing == "absent" else np.ones(self.count, bool)
        return SharedTimes(self.start + since[kept], np.zeros(kept.sum(), np.int8), lost[kept])


class Nights(CadenceSpecification):
    """A toy of a survey from the ground: seasons, clear nights, one or two visits in each, bands by chance.

    It has the season, the sidereal day and the gaps of real cadences, not their strategy. The season of a target is
    that part of the year, ``season`` days long, in whose middle it is highest at midnight; ``opposition`` is that day.
    In a night with a visit it is seen at a random time when the Sun is down and it stands within ``hour_angle`` of its
    highest; with ``pair_probability``, once more after ``pair_interval``.
    """

    streams: ClassVar[tuple[str, ...]] = (NIGHTS, VISITS)

    duration: Annotated[Number, Field(ge=1, le=36525)] = Field(description="of the survey, days")
    start: Annotated[Whole, Field(ge=-FARTHEST, le=FARTHEST)] = Field(
        0, description="first night, days"
    )
    season: Annotated[Number, Field(gt=0, le=YEAR)] = Field(
        description="length of the season, days"
    )
    opposition: Value = parameter(
        "middle of a season, when the target is highest at midnight", unit="d"
    )
    visit_probability: Value = parameter(
        "probability that the target is seen in a night of its season", above=0, maximum=1
    )
    pair_probability: Value = parameter(
        "probability of a second visit in the night", minimum=0, maximum=1, default=0.0
    )
    pair_interval: tuple[Annotated[Number, Field(gt=0)], Annotated[Number, Field(gt=0, le=240)]] = (
        Field((15.0, 45.0), description="least and greatest time between two visits, minutes")
    )
    night: Annotated[Number, Field(gt=0, le=24)] = Field(10.0, description="hours without Sun")
    hour_angle: Annotated[Number, Field(gt=0, le=12)] = Field(
        4.0, description="hours before and after its highest in which the target is seen"
    )
    fractions: Annotated[
        dict[Name, Annotated[Number, Field(gt=0)]], Field(min_length=1, max_length=100)
    ] = Field(description="share of each band in the visits")
    cap: Annotated[Whole, Field(ge=1, le=MAXIMUM_TIMES)] = Field(
        description="observations that there is room for in each sample"
    )

    @model_validator(mode="after")
    def _enough_room(self) -> Self:
        low, high = self.pair_interval
        if low > high:
            raise problem(
                f"pair_interval must be [least, greatest], not {show([*self.pair_interval])}"
            )
        needed = self.most()
        if self.cap < needed:
            raise problem(
                f"the cadence needs a cap of {needed} or more, that is 8 standard deviations above the mean number of "
                f"visits; it is {self.cap}"
            )
        return self

    def most(self) -> int:
        """Return the number of visits that no sample exceeds, but for one chance in 10¹⁵."""
        highest = [
            value.support()[1] if value.known else 1.0
            for value in (self.visit_probability, self.pair_probability)
        ]
        years, rest = divmod(self.duration, YEAR)
        nights = years * self.season + min(rest, self.season) + 2
        mean = nights * highest[0] * (1 + highest[1])
        variance = nights * highest[0] * (1 + 3 * highest[1])
        return min(math.ceil(mean + 8 * math.sqrt(variance)), 2 * math.ceil(nights))

    def check(self, exposures: Mapping[str, float]) -> None:
        """Refuse shares of unknown bands, and exposures longer than the wait for a second visit."""
        longest = max(exposures.values())
        unseen = [name for name in self.fractions if name not in exposures]
        if unseen:
            raise problem(unknown("band", unseen[0], exposures), "unknown_name")
        if longest > self.pair_interval[0] * 60.0:
            raise problem(
                f"an exposure of {longest:g} s does not end before the second visit of a night; "
                "make pair_interval longer"
            )

    @classmethod
    def in_bands(cls, body: dict[str, Any], bands: set[str]) -> dict[str, Any]:
        """Return the nights with the visits of some bands."""
        kept = {name: share for name, share in body["fractions"].items() if name in bands}
        return {**body, "fractions": kept}

    def width(self, bands: tuple[str, ...]) -> int:
        """Return the cap."""
        return self.cap

    def visits(
        self,
        bands: tuple[str, ...],
        columns: Mapping[str, NDArray],
        samples: NDArray[np.int64],
        streams: TableStreams,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int8]]:
        """Return the times of samples that have their own.

        Parameters
        ----------
        bands : tuple of str
            Names of the survey's bands.
        columns : mapping of str to ndarray, shape (n,)
            Labels.
        samples : int64[n]
            Sample numbers.
        streams : TableStreams

        Returns
        -------
        counts : int64[n]
            Number of times of each sample, which may be more than there is room for.
        days, bands : float64[n, w], int8[n, w]
            Times, ascending, and their bands; NaN and −1 where there are none.
        """
        from deepbench.light_curves.survey.observing import lay_nights

        shape = len(samples), self.cap
        days, of_bands = np.full(shape, np.nan), np.full(shape, -1, np.int8)
        drawn = samples, streams.key, streams.words(NIGHTS), streams.words(VISITS)
        rules, limits, rows = self.rules(), self.limits(bands), self.rows(columns)
        counts = lay_nights(rules, limits, rows, *drawn, days, of_bands)
        return counts, days, of_bands

    def rows(self, columns: Mapping[str, NDArray]) -> NDArray:
        """Return what ``lay_nights`` needs of each sample, ``VISITED[n]``."""
        names = VISITED.names or ()
        rows = np.empty(len(columns["id"]), VISITED)
        for name in names:
            rows[name] = columns[f"cadence.{name}"]
        return rows

    def limits(self, bands: tuple[str, ...]) -> NDArray[np.float64]:
        """Return the upper limits of the bands' intervals in [0, 1]; a band without visits ends with the one before."""
        shares = np.cumsum([self.fractions.get(band, 0.0) for band in bands])
        return shares / shares[-1]

    def rules(self) -> NightRules:
        """Return what ``lay_nights`` needs for all samples."""
        low, high = (minutes / MINUTES for minutes in self.pair_interval)
        rest = self.season, low, high, self.night / 24.0, self.hour_angle / 24.0
        return NightRules(float(self.start), float(math.ceil(self.duration)), *rest)


class TimesFile(SharedCadence, TableFile):
    """Times in a table, the same for all samples: columns time (days, ascending), and band if there are several.

    Several bands may be observed at one time, in exposures of one length.
    """

    what: ClassVar[str] = "file of times"
    most: ClassVar[int] = 2**28
    wanted: ClassVar[tuple[Wanted, ...]] = (
        Wanted("time", "time"),
        Wanted("band", "band", "word", needed=False),
    )

    @classmethod
    def read(
        cls, path: Path, sha256: str, columns: Renames | None = None, kept: bool = False
    ) -> tuple[NDArray[np.float64], Words | None]:
        """Return times and bands in a file of this SHA-256; raises LabelError where it holds no ascending times."""
        return _times(path, sha256, columns, kept)

    def check(self, exposures: Mapping[str, float]) -> None:
        """Refuse exposures that overlap, but for those of several bands from one beginning to one end."""
        times = self.shared(tuple(exposures))
        lengths = np.array([*exposures.values()])
        for first in range(0, len(times.days), CHECKED):
            part = slice(first, first + CHECKED + 1)
            self._check_part(times.days[part], lengths[times.bands[part]])

    @staticmethod
    def _check_part(days: NDArray[np.float64], lengths: NDArray[np.float64]) -> None:
        """Refuse what ``check`` does among exposures at some times, of these lengths in seconds."""
        steps = np.diff(days) * DAY
        early = (steps > 0) & (steps < 0.5 * (lengths[1:] + lengths[:-1]) * (1 - 1e-9))
        if early.any():
            raise problem(
                f"the exposure at the time {days[np.argmax(early)]:.10g} does not end before the next begins"
            )
        unequal = (steps == 0) & (lengths[1:] != lengths[:-1])
        if unequal.any():
            at = int(np.argmax(unequal))
            one, other = (f"{length:g} s" for length in lengths[at : at + 2])
            raise problem(
                f"at the time {days[at]:.10g} there are exposures of {one} and of {other}; "
                "bands that are observed at one time must have exposures of one length"
            )

    def shared(self, bands: tuple[str, ...]) -> SharedTimes:
        """Return the times at which all samples are observed.

        Raises
        ------
        LabelError
            The file has changed, or names a band that the survey does not have, or none although there are several.
        """
        days, found = self.loaded()
        missing = np.zeros(len(days), bool)
        if found is None:
            if len(bands) > 1:
                raise LabelError(
                    f"{self._path} must have a column 'band': the survey has {', '.join(bands)}"
                )
            return SharedTimes(days, np.zeros(len(days), np.int8), missing)
        for name in found.names:
            if name not in bands:
                raise LabelError(f"{self._path}: {unknown('band', name, bands)}")
        codes = np.array([bands.index(name) for name in found.names], np.int8)
        return SharedTimes(days, codes[found.codes], missing)


@lru_cache(maxsize=4)
def _times(
    path: Path, sha256: str, columns: Renames | None, kept: bool
) -> tuple[NDArray[np.float64], Words | None]:
    """Return times and bands in a file whose content has a given SHA-256.

    Raises
    ------
    LabelError
        The file has changed, or holds no ascending times.
    """
    found = TimesFile.columns_in(path, sha256, columns, kept)
    days, bands = found.numbers["time"], found.words.get("band")
    if len(days) > MAXIMUM_TIMES:
        raise LabelError(f"{path} has {len(days):,} times; allowed are 1 to {MAXIMUM_TIMES:,}")
    fall = np.flatnonzero(np.diff(days) < 0)
    if fall.size:
        before, after = days[fall[0]], days[fall[0] + 1]
        raise LabelError(
            f"{path}: times must increase, but {after:.10g} in row {fall[0] + 2} follows {before:.10g}"
        )
    for code, name in enumerate((None,) if bands is None else bands.names):
        rows = np.arange(len(days)) if bands is None else np.flatnonzero(bands.codes == code)
        again = np.diff(days[rows]) == 0
        if again.any():
            row = rows[1:][np.argmax(again)]
            of_band = "" if name is None else f" in the band {name}"
            raise LabelError(
                f"{path}: times must increase{of_band}, but {days[row]:.10g} in row {row + 1} follows "
                f"{days[row]:.10g}"
            )
    return days, bands


CADENCES: dict[str, type[CadenceSpecification]] = {
    "regular": Regular,
    "nights": Nights,
    "file": TimesFile,
}
"""Cadences by the name that a recipe has for them."""


@one_of(CADENCES)
class Cadence(OneOf):
    """When a survey looks."""


def cadence_in_bands(cadence: dict[str, Any], bands: set[str]) -> dict[str, Any]:
    """Return what a preset says under ``cadence`` where only some of its bands are kept."""
    return {kind: CADENCES[kind].in_bands(body, bands) for kind, body in cadence.items()}
