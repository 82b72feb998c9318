"""Order of the samples of an epoch: a pure function of the seed, the epoch and the step.

Samples that fit into one window are permuted. Of more, what is decoded together, a *unit*, is read once: the units of
an epoch are permuted, cut into windows, and the samples of a window are permuted. The batch of step t comes from
windows of the lane t mod ``lanes`` alone, and its parts from ``lanes`` equal parts of the window. So any number of
workers that divides ``lanes`` reads each window in one process, any number of ranks that divides it shares each window
out, and all of them see the same global batches.

Random numbers are raw words of Philox4x64 (Salmon et al. 2011), which numpy keeps from version to version.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LoadingError

UNITS, WINDOW, TURNS = range(3)
"""Purposes of random numbers, which are parts of the counter."""

MOST_SEED = 2**64 - 1


@dataclass(frozen=True)
class Share:
    """The part of the work that one process does.

    Attributes
    ----------
    rank, world_size : int
        Which of the processes that train, of how many.
    worker, workers : int
        Which of the processes that read for it, of how many.
    """

    rank: int = 0
    world_size: int = 1
    worker: int = 0
    workers: int = 1


@dataclass(eq=False)
class Window:
    """Samples that a process reads together.

    Attributes
    ----------
    rows : int64[batches, samples of the process in a batch]
        Positions in the samples of the epoch; −1 − position for a repeated one, which only fills its batch.
    data : Any
        Where a reader keeps what it read of them.
    """

    rows: NDArray[np.int64]
    data: Any = None

    @property
    def positions(self) -> NDArray[np.int64]:
        """Positions of all rows, those of repeated samples, too."""
        return np.where(self.rows < 0, ~self.rows, self.rows)


@dataclass(frozen=True)
class Order:
    """Order of global batches.

    Attributes
    ----------
    batch_size : int
        Samples of a batch, of all ranks together.
    shuffle : bool
        Whether samples are permuted, in each epoch anew; in ascending order otherwise.
    seed : int
        From 0 to 2⁶⁴ − 1.
    unit : int
        Consecutive samples that are decoded, or belong, together.
    window : int
        Samples of a window, about; at least one batch.
    lanes : int
        A multiple of any number of ranks, and of workers.
    uneven : {"drop", "pad"}
        Whether the samples that fill no batch are left out, or the last batch is filled with repeated ones.

    Raises
    ------
    LoadingError
        A value is not allowed.
    """

    batch_size: int
    shuffle: bool = True
    seed: int = 0
    unit: int = 1
    window: int = 4096
    lanes: int = 16
    uneven: Literal["drop", "pad"] = "drop"

    def __post_init__(self) -> None:
        for name in ("batch_size", "unit", "window", "lanes"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise LoadingError(f"`{name}` must be a whole number of at least 1, not {value!r}")
        if not isinstance(self.seed, int) or not 0 <= self.seed <= MOST_SEED:
            raise LoadingError(
                f"`seed` must be a whole number from 0 to 2**64 - 1, not {self.seed!r}"
            )
        if self.uneven not in ("drop", "pad"):
            raise LoadingError(
                f"`uneven` must be 'drop' (leave out what fills no batch) or 'pad' (fill the last batch with repeated "
                f"samples), not {self.uneven!r}"
            )

    @property
    def has_windows(self) -> bool:
        """Whether batches come from windows of lanes, if there are more samples than one window holds.

        Otherwise they follow one another in one stream: a permutation of all samples, where they are shuffled.
        """
        return self.shuffle and self.unit > 1

    def steps(self, count: int) -> int:
        """Return the number of batches of ``count`` samples."""
        return count // self.batch_size if self.uneven == "drop" else -(-count // self.batch_size)

    def check(self, share: Share) -> None:
        """Refuse ranks and workers between which the batches cannot be divided.

        Raises
        ------
        LoadingError
            They cannot; the message names a number that works.
        """
        for name in ("world_size", "workers"):
            value = getattr(share, name)
            if not isinstance(value, int) or value < 1:
                raise LoadingError(f"`{name}` must be a whole number of at least 1, not {value!r}")
        if not isinstance(share.rank, int) or not 0 <= share.rank < share.world_size:
            raise LoadingError(
                f"`rank` must be a whole number from 0 to {share.world_size - 1}, as `world_size` is "
                f"{share.world_size}, not {share.rank!r}"
            )
        if self.batch_size % share.world_size:
            more = -(-self.batch_size // share.world_size) * share.world_size
            raise LoadingError(
                f"batch_size={self.batch_size}, of all ranks together, cannot be shared by {share.world_size} ranks: "
                f"use a multiple, such as batch_size={more}"
            )
        if self.has_windows:
            for count, who in ((share.world_size, "ranks"), (share.workers, "workers")):
                if self.lanes % count:
                    works = math.lcm(count, self.lanes)
                    less = max(each for each in range(1, count + 1) if self.lanes % each == 0)
                    raise LoadingError(
                        f"{count} {who} cannot share lanes={self.lanes}: use {less} {who}, or lanes={works}, which "
                        "gives other batches"
                    )

    def epoch(self, samples: NDArray[np.int64], number: int) -> Epoch:
        """Return the order of an epoch of some samples, ascending."""
        return Epoch(self, samples, number)


class Epoch:
    """The order of one epoch.

    Parameters
    ----------
    order : Order
    samples : int64[n]
        Their numbers, ascending.
    number : int
        Number of the epoch, from 0 to 2⁶⁴ − 1.

    Attributes
    ----------
    steps : int
        Number of its batches, for each rank.
    in_windows : bool
        Whether its batches come from windows of lanes.
    """

    def __init__(self, order: Order, samples: NDArray[np.int64], number: int) -> None:
        self.order, self.number = order, number
        self.steps = order.steps(len(samples))
        self.in_windows = order.has_windows and len(samples) > order.window
        self._stream = _filled(self._permuted(samples), self.steps * order.batch_size)

    def batch(self, step: int) -> NDArray[np.int64]:
        """Return the global batch of a step: positions in the samples, −1 − position where one is repeated."""
        size = self.order.batch_size
        if not self.in_windows:
            return self._stream[step * size : (step + 1) * size]
        lane, number, row = self._place(step)
        return self._window(lane, number)[row]

    def walk(self, share: Share, first: int = 0) -> Iterator[tuple[int, Window, int]]:
        """Yield each step of a process from ``first`` on, its window, and the row of its batch.

        Batches of one window share the object, so that a reader fills it once. The worker w of W has the steps
        first + w, first + w + W, ….
        """
        order = self.order
        part = order.batch_size // share.world_size
        columns = slice(share.rank * part, (share.rank + 1) * part)
        steps = range(first + share.worker, self.steps, share.workers)
        if not self.in_windows:
            together = max(1, order.window // part)
            batches = self._stream.reshape(-1, order.batch_size)
            for begin in range(0, len(steps), together):
                own = steps[begin : begin + together]
                window = Window(batches[own.start : own.stop : own.step, columns])
                for row, step in enumerate(own):
                    yield step, window, row
            return
        held: dict[int, tuple[int, Window]] = {}
        for step in steps:
            lane, number, row = self._place(step)
            if lane not in held:
                held[lane] = row, Window(self._window(lane, number)[row:, columns])
            begun, window = held[lane]
            if row - begun == len(window.rows) - 1:
                del held[lane]
            yield step, window, row - begun

    def _permuted(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the positions of the samples, permuted by whole units."""
        count = len(samples)
        if not self.order.shuffle or not count:
            return np.arange(count)
        if not self.in_windows:
            return np.argsort(self._random(count, UNITS), kind="stable")
        units = samples // self.order.unit
        starts = np.flatnonzero(np.concatenate([[True], units[1:] != units[:-1]]))
        lengths = np.diff(starts, append=count)
        by_chance = np.argsort(self._random(len(starts), UNITS), kind="stable")
        lengths, starts = lengths[by_chance], starts[by_chance]
        return np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(count)

    def _place(self, step: int) -> tuple[int, int, int]:
        """Return the lane of a step, the number of its window in the lane, and its batch in the window."""
        turn, lane = divmod(step, self.order.lanes)
        number, row = divmod(turn, self._batches)
        return lane, number, row

    @property
    def _batches(self) -> int:
        """Batches of a window; the last one of a lane may have fewer."""
        return max(1, self.order.window // self.order.batch_size)

    def _window(self, lane: int, number: int) -> NDArray[np.int64]:
        """Return the global batches of a window, one a row."""
        lanes, size = self.order.lanes, self.order.batch_size
        short, longer = divmod(self.steps, lanes)
        before = lane * short + min(lane, longer)
        first = number * self._batches
        rows = min(self._batches, short + (lane < longer) - first)
        begin = (before + first) * size
        window = self._stream[begin : begin + rows * size]
        words = self._random(len(window), WINDOW, lane, number)
        batches = np.empty((rows, size), np.int64)
        edges = [each * size // lanes for each in range(lanes + 1)]
        for left, right in itertools.pairwise(edges):
            part = slice(left * rows, right * rows)
            by_chance = np.argsort(words[part], kind="stable")
            batches[:, left:right] = window[part][by_chance].reshape(rows, right - left)
        return batches

    def _random(self, count: int, purpose: int, *place: int) -> NDArray[np.uint64]:
        return words(self.order.seed, self.number, count, purpose, *place)


def words(
    seed: int, epoch: int, count: int, purpose: int, first: int = 0, second: int = 0
) -> NDArray[np.uint64]:
    """Return random words: a pure function of seed, epoch, purpose, and two numbers."""
    counter = purpose << 64 | first << 128 | second << 192
    return np.random.Philox(counter=counter, key=seed | epoch << 64).random_raw(count)


def _filled(stream: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return a stream cut to a size, or filled up with samples of its beginning, marked as repeated."""
    missing = size - len(stream)
    if missing <= 0:
        return stream[:size]
    return np.concatenate([stream, ~np.resize(stream, missing)])
