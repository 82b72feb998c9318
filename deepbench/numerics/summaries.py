"""Summaries of many numbers: how many, mean, deviation, extremes, quantiles; whatever the parts in which they come.

Numbers are taken in pieces of up to 4096 consecutive ones of a row. The sums over a piece are float64: of deviations
from a pivot near its mean, and of their squares (the corrected two-pass algorithm; Chan, Golub and LeVeque 1983, The
American Statistician 37, 242). They are added in an order that depends on the piece alone. The sums over all pieces are
added without rounding, and the counts in fixed bins are integers. So the bits of a summary do not depend on which rows
came together, nor in which order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deepbench.numerics.exact import UNIT, exact_products, exact_sum, split
from deepbench.numerics.kernels import inline, kernel, to_bits

PROBABILITIES = tuple(
    each / 1000
    for each in (1, 5, 10, 25, 50, 100, 160, 250, 500, 750, 840, 900, 950, 975, 990, 995, 999)
)
"""Probabilities of the quantiles."""

QUANTILE_ERROR = 2.0**-12
"""Largest relative error of a quantile: bins have middles of 12 significant bits, so small integers are exact."""

_PIECE = 4096
"""Most numbers of a piece: they stay in the processor's nearest memory while they are read again."""

_LANES = 32
"""Sums of a piece that are added side by side."""

_DENSE = 2**16
"""Count of numbers from which a table of all bins is filled; fewer are sorted."""

_CUT = {np.dtype(np.float32): (np.uint32, 12), np.dtype(np.float64): (np.uint64, 41)}
"""Type of the bits of a number, and how many of them tell no bin."""


@inline
def _gather(row, piece):
    """Copy the finite numbers of a part of a row; return how many there are, and how many are NaN."""
    odd = np.int64(0)
    for i in range(row.size):
        odd += np.int64(row[i] - row[i] != 0)
    if odd == 0:
        for i in range(row.size):
            piece[i] = row[i]
        return row.size, 0
    count, nans = np.int64(0), np.int64(0)
    for x in row:
        piece[count] = x
        count += np.int64(x - x == 0)
        nans += np.int64(x != x)
    return count, nans


@inline
def _add(piece, sums, low, high):
    """Add numbers to the lanes of sums and of extremes."""
    whole = piece.size - piece.size % _LANES
    for first in range(0, whole, _LANES):
        for lane in range(_LANES):
            x = piece[first + lane]
            sums[lane] += x
            low[lane] = x if x < low[lane] else low[lane]
            high[lane] = x if x > high[lane] else high[lane]
    for lane in range(piece.size - whole):
        x = piece[whole + lane]
        sums[lane] += x
        low[lane] = x if x < low[lane] else low[lane]
        high[lane] = x if x > high[lane] else high[lane]


@inline
def _deviate(piece, pivot, sums, squares):
    """Add deviations from a pivot, and their squares, to the lanes of sums."""
    whole = piece.size - piece.size % _LANES
    for first in range(0, whole, _LANES):
        for lane in range(_LANES):
            x = piece[first + lane] - pivot
            sums[lane] += x
            squares[lane] += x * x
    for lane in range(piece.size - whole):
        x = piece[whole + lane] - pivot
        sums[lane] += x
        squares[lane] += x * x


@inline
def _taken(lanes):
    """Return the sum of the lanes, which are 0 then."""
    total = 0.0
    for lane in range(_LANES):
        total += lanes[lane]
        lanes[lane] = 0.0
    return total


@kernel
def _summarise(rows, chosen, half, cut, piece, low, high, sums, bins, odd):
    """Summarise rows of numbers.

    Parameters
    ----------
    rows : float32 or float64[n, length]
    chosen : int64[k]
        Numbers of the rows that are meant.
    half, cut : uint32 or uint64
        What is added to the bits of a number, and how far they are then shifted: the rest is the number of its bin.
    piece : float[_PIECE]
        Room for a piece.
    low, high : float[_LANES]
        Smallest and largest numbers, updated.
    sums : float64[4, pieces], out
        For each piece its count, its pivot, the sum of the deviations from it, and that of their squares.
    bins : uint32[bins], or uint32[0]
        Counts, added to.
    odd : int64[2]
        Counts of NaN and of infinite numbers, added to.
    """
    length, number = rows.shape[1], 0
    one, two = np.zeros(_LANES), np.zeros(_LANES)
    for row in chosen:
        for start in range(0, length, _PIECE):
            stop = min(start + _PIECE, length)
            count, nans = _gather(rows[row, start:stop], piece)
            odd[0] += nans
            odd[1] += stop - start - count - nans
            finite = piece[:count]
            _add(finite, one, low, high)
            mean = _taken(one) / max(count, 1)
            scaled = (
                134217729.0 * mean
            )  # 2**27 + 1: what is left has 26 significant bits, as by `split`
            pivot = scaled - (scaled - mean)
            _deviate(finite, pivot, one, two)
            sums[0, number] = count
            sums[1, number] = pivot
            sums[2, number] = _taken(one)
            sums[3, number] = _taken(two)
            number += 1
            if bins.size:
                for x in finite:
                    bins[np.int64((to_bits(x) + half) >> cut)] += np.uint32(1)


@dataclass(frozen=True)
class Summary:
    """Summary of many numbers.

    Attributes
    ----------
    count : int
        How many finite numbers there are.
    missing, infinite : int
        How many are NaN, or stand for none, and how many are infinite; nothing else counts them.
    mean, std, rms : float or None
        Mean, standard deviation (divided by ``count``) and root mean square; None where there are no numbers, or their
        squares are beyond float64.
    minimum, maximum : float or None
    quantiles : tuple of float, or None
        By ``PROBABILITIES``: the smallest number that so many are not above, with ``QUANTILE_ERROR``.
    """

    count: int
    missing: int
    infinite: int
    mean: float | None
    std: float | None
    rms: float | None
    minimum: float | None
    maximum: float | None
    quantiles: tuple[float, ...] | None


def _no_numbers() -> NDArray[np.float64]:
    return np.empty(0)


def _no_counts() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass
class Sums:
    """The sums over many numbers from which their summary follows; those of parts are added exactly.

    Attributes
    ----------
    count, missing, infinite : int
    total, squares : int or None
        Sums of the numbers and of their squares, as ``exact_sum`` returns them; None beyond float64.
    low, high : float
        Smallest and largest number; infinite where there is none.
    middles, counts : float64[k], int64[k]
        Middles of the bins that hold numbers, in order, and how many they hold.
    """

    count: int = 0
    missing: int = 0
    infinite: int = 0
    total: int | None = 0
    squares: int | None = 0
    low: float = math.inf
    high: float = -math.inf
    middles: NDArray[np.float64] = field(default_factory=_no_numbers)
    counts: NDArray[np.int64] = field(default_factory=_no_counts)

    @classmethod
    def of_numbers(cls, numbers: NDArray[np.float64]) -> Sums:
        """Return the sums over numbers of which each is a piece of its own."""
        finite = numbers[np.isfinite(numbers)]
        nans = int(np.isnan(numbers).sum())
        with np.errstate(over="ignore", invalid="ignore"):
            pivots, rest = split(finite)
            parts = np.stack([np.ones(len(finite)), pivots, rest, rest * rest])
        found = cls._of_pieces(parts)
        found.missing, found.infinite = nans, len(numbers) - len(finite) - nans
        if len(finite):
            found.low, found.high = float(finite.min()) + 0.0, float(finite.max()) + 0.0
        found._bin(*_sorted_bins(finite))
        return found

    @classmethod
    def of_rows(cls, rows: NDArray, chosen: NDArray[np.int64]) -> Sums:
        """Return the sums over rows of numbers.

        Parameters
        ----------
        rows : ndarray, shape (n, length)
            Of float32, float64 or integers.
        chosen : int64[k]
            Numbers of the rows that are meant.
        """
        if rows.dtype not in _CUT:
            return cls._of_integers(rows, chosen)
        bits, cut = _CUT[rows.dtype]
        length = rows.shape[1]
        dense = len(chosen) * length >= _DENSE
        table = np.zeros((1 << (8 * rows.itemsize - cut)) + 1 if dense else 0, np.uint32)
        sums = np.empty((4, len(chosen) * -(-length // _PIECE)))
        low, high = np.full((2, _LANES), np.inf, rows.dtype)
        high *= -1
        odd = np.zeros(2, np.int64)
        half = bits(1 << (cut - 1))
        piece = np.empty(min(length, _PIECE), rows.dtype)
        _summarise(rows, chosen, half, bits(cut), piece, low, high, sums, table, odd)
        found = cls._of_pieces(sums)
        found.missing, found.infinite = odd.tolist()
        found.low, found.high = float(low.min()) + 0.0, float(high.max()) + 0.0
        if dense:
            table[0] += table[len(table) // 2]  # -0.0 is 0.0
            table[len(table) // 2] = 0
            keys = np.flatnonzero(table != 0)
            found._bin(*_ordered(keys.astype(bits), table[keys].astype(np.int64), cut))
        else:
            some = rows[chosen]
            found._bin(*_sorted_bins(some[np.isfinite(some)]))
        return found

    @classmethod
    def _of_integers(cls, rows: NDArray, chosen: NDArray[np.int64]) -> Sums:
        """Return the sums over rows of integers, some of them as float64 at a time."""
        found = cls()
        step = max(1, 2**20 // max(rows.shape[1], 1))
        for start in range(0, len(chosen), step):
            some = rows[chosen[start : start + step]].astype(np.float64)
            found.add(cls.of_rows(some, np.arange(len(some))))
        return found

    @classmethod
    def _of_pieces(cls, sums: NDArray[np.float64]) -> Sums:
        """Return the sums over pieces, as ``_summarise`` has them."""
        counts, pivots, rests, squares = sums
        found = cls(count=int(counts.sum()))
        with np.errstate(over="ignore", invalid="ignore"):
            whole = counts * pivots
            parts = (whole, rests, squares, whole * pivots, pivots * rests)
        if not all(np.isfinite(each).all() for each in parts):
            found.total = found.squares = None
            return found
        found.total = exact_sum(whole) + exact_sum(rests)
        cross = exact_products(whole, pivots) + 2 * exact_products(rests, pivots)
        found.squares = exact_sum(squares) + cross
        return found

    def _bin(self, middles: NDArray[np.float64], counts: NDArray[np.int64]) -> None:
        """Add counts of numbers in bins."""
        if not self.middles.size:
            self.middles, self.counts = middles, counts
            return
        both = np.concatenate([self.counts, counts])
        self.middles, place = np.unique(
            np.concatenate([self.middles, middles]), return_inverse=True
        )
        self.counts = np.zeros(len(self.middles), np.int64)
        np.add.at(self.counts, place, both)

    def add(self, other: Sums) -> None:
        """Add the sums over other numbers."""
        self.count += other.count
        self.missing += other.missing
        self.infinite += other.infinite
        self.total = _added(self.total, other.total)
        self.squares = _added(self.squares, other.squares)
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self._bin(other.middles, other.counts)

    def summary(self) -> Summary:
        """Return what the sums say."""
        odd = self.count, self.missing, self.infinite
        if not self.count:
            return Summary(*odd, None, None, None, None, None, None)
        mean = std = rms = None
        if self.total is not None and self.squares is not None:
            unit = self.count << UNIT
            mean, rms = self.total / unit, math.sqrt(self.squares / unit)
            spread = (self.squares * self.count << UNIT) - self.total**2
            std = math.sqrt(max(spread, 0) / unit**2) if self.low < self.high else 0.0
        ranks = [-(-round(1000 * each) * self.count // 1000) for each in PROBABILITIES]
        found = self.middles[np.searchsorted(np.cumsum(self.counts), ranks)]
        quantiles = tuple(found.clip(self.low, self.high).tolist())
        return Summary(*odd, mean, std, rms, self.low, self.high, quantiles)


def _added(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _ordered(
    keys: NDArray, counts: NDArray[np.int64], cut: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the middles of bins, and their counts, in order, by the numbers of the bins: those below 0 come last."""
    kind = np.float32 if keys.dtype == np.uint32 else np.float64
    middles = (keys << keys.dtype.type(cut)).view(kind).astype(np.float64)
    first = int(np.searchsorted(np.signbit(middles), True))
    order = np.concatenate([np.arange(len(keys) - 1, first - 1, -1), np.arange(first)])
    return middles[order], counts[order]


def _sorted_bins(numbers: NDArray) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the middles of the bins that hold some numbers, and how many they hold."""
    bits, cut = _CUT[numbers.dtype]
    keys = ((numbers + numbers.dtype.type(0)).view(bits) + bits(1 << (cut - 1))) >> bits(cut)
    found, counts = np.unique(keys, return_counts=True)
    return _ordered(found, counts, cut)
