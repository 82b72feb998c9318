"""Shuffled batches of a source, the same for any number of ranks and workers, which can be resumed at each."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from deepbench.errors import LoadingError
from deepbench.reading.order import TURNS, Epoch, Order, Share, Window, words
from deepbench.torch.loading import Batch, Loading
from deepbench.torch.turns import Turns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.torch.normalisation import Normalisation
    from deepbench.torch.sources import Arrays

UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
"""Units of memory."""

FEW_MAPS = 16
"""Number of units, where samples of one are related, below which a window mixes too few."""


class Batches(Loading, IterableDataset):
    """Batches of samples, for ``torch.utils.data.DataLoader(batches, batch_size=None, num_workers=…)``.

    What is decoded together is read once an epoch: chunks are permuted, and the samples of windows of them. The batch
    of each step is a function of seed, epoch and step alone: all numbers of ranks and workers that divide ``lanes`` see
    the same. Iterating gives one epoch; call ``set_epoch`` before each.

    Parameters
    ----------
    source : str, Path, Recipe or Release
        A release, or its name as ``shapes@1.0.0``; or a recipe or its file, whose samples are then rendered.
    table : str, optional
        Its name; the only table when absent.
    split : str, optional
        Which split to read; all when None.
    inputs : str or sequence of str, optional
        Data variables; the image or map when absent, of series all but those without noise (``*_true``).
    targets : str or sequence of str
        Names of labels. Classes are numbers, whose names are ``classes``.
    where : str, optional
        Condition on labels, as pandas' ``DataFrame.query`` takes it: "`psf.sigma` < 1.5".
    batch_size : int
        Samples of a batch, of all ranks together.
    shuffle : bool
    seed : int
        Of the order.
    window : str or int
        Memory of the samples that are mixed, as "64 MiB". Each lane has one: see Notes.
    lanes : int
        A multiple of any number of ranks and workers that is used.
    normalise : "train", Statistics, mapping, Normalisation or None
        By the statistics of the training split (of a recipe: of its first 4,096 samples, fewer of large ones), by other
        statistics, by {name: (mean, deviation)}, as another loader (its ``normalisation``), or not. Inputs and targets
        that are no codes, counts or times; ``inverse`` undoes it.
    missing : {"mask", "refuse"}
        Targets that some samples do not have are 0, and ``<target>.present`` says where they are; or they are refused.
    turns : Turns, optional
        Turns and mirrors images, and the targets with them.
    transform : callable, optional
        Takes the dictionary of tensors of a batch, and returns what is yielded.
    cache : "memory", optional
        Whether all samples are decoded, or rendered, once and kept by each process; the batches are the same.
    uneven : {"drop", "pad"}
        Whether samples that fill no batch are left out, or the last batch is filled with repeated ones, which
        ``padding`` marks. Every rank gets the same number of batches.
    samples : int or None
        Of recipes alone: how many; those of the recipe when absent. None: new ones in each epoch, without end.
    rank, world_size : int, optional
        Of this process among those that train; those of ``torch.distributed``, or of the variables ``RANK`` and
        ``WORLD_SIZE`` of the environment, when absent.
    catalog : str or Path, optional
        Folder or address of the release; ``releases`` when absent.

    Yields
    ------
    dict
        Tensors by the names of inputs and targets, ``<target>.present``, and ``id``; the numbers ``epoch`` and
        ``step``. Images have the axis of channels first, after the samples.

    Raises
    ------
    CatalogError
        There is no such release or table.
    LoadingError
        There is no such split or label, no sample is left, or what is asked is not possible.
    ReleaseError
        A file is missing or damaged.

    Notes
    -----
    A process holds ``window`` × ``lanes`` / (ranks × workers) bytes, at most its part of the data. With ``lanes=1``,
    which allows no workers, it is one window. With ``cache="memory"`` it holds all samples.

    Examples
    --------
    >>> train = Batches("shapes@1.0.0", inputs="image", targets=["class"])           # doctest: +SKIP
    >>> for epoch in range(3):                                                       # doctest: +SKIP
    ...     train.set_epoch(epoch)
    ...     for batch in DataLoader(train, batch_size=None, num_workers=2):
    ...         loss = criterion(model(batch["image"]), batch["class"])
    """

    def __init__(
        self,
        source: Any,
        table: str | None = None,
        *,
        split: str | None = "train",
        inputs: str | Sequence[str] | None = None,
        targets: str | Sequence[str] = ("class",),
        where: str | None = None,
        batch_size: int = 64,
        shuffle: bool = True,
        seed: int = 0,
        window: str | int = "64 MiB",
        lanes: int = 16,
        normalise: Normalisation | dict[str, Any] | str | None = None,
        missing: Literal["mask", "refuse"] = "mask",
        turns: Turns | None = None,
        transform: Callable[[Batch], Any] | None = None,
        cache: Literal["memory"] | None = None,
        uneven: Literal["drop", "pad"] = "drop",
        samples: int | Literal["recipe"] | None = "recipe",
        rank: int | None = None,
        world_size: int | None = None,
        catalog: str | Path | None = None,
    ) -> None:
        super().__init__(
            source,
            table,
            split=split,
            inputs=inputs,
            targets=targets,
            where=where,
            normalise=normalise,
            missing=missing,
            transform=transform,
            cache=cache,
            samples=samples,
            catalog=catalog,
        )
        each = sum(self.source.variables[name].sample_bytes for name in self.inputs)
        held = max(1, _bytes(window) // max(each, 1))
        self.order = Order(
            batch_size, shuffle, seed, self.source.unit, self.source.window(held), lanes, uneven
        )
        self._turning = None if turns is None else turns.of(self.source, self.inputs, self.targets)
        self._given = rank, world_size
        self.order.check(Share(*self._ranks()))
        # of all processes: epoch, first step, whether workers read; 1 + the epoch that each worker has finished
        self._shared = torch.zeros(3 + lanes, dtype=torch.int64).share_memory_()
        self._next: tuple[int, int] | None = None  # epoch and step of this process
        self._resumed: tuple[int, int] | None = None  # of a worker, where it begins next
        self._numbers: tuple[int, NDArray[np.int64]] | None = None
        self._spare: list[Arrays] = []
        self._check_window(window, each)
        numbers = self._chosen(0)
        if not self.order.steps(len(numbers)):
            raise LoadingError(
                f"batch_size={batch_size} is more than the {len(numbers):,} samples that there are: use less, or "
                'uneven="pad"'
            )
        if missing == "refuse" and not self.source.is_endless:
            drawn = self.source.load([], self.targets, numbers)
            self._check_present(drawn, numbers)
        if cache is not None:
            if self.source.is_endless:
                raise LoadingError(
                    'samples=None gives new samples in each epoch: leave out cache="memory", or give their number'
                )
            self._all(self._labels, numbers)

    def __repr__(self) -> str:
        of = f"'{self.source.table.name}' of {self.source.name}"
        return f"<Batches of {self.order.batch_size} of {of}: {', '.join((*self.inputs, *self.targets))}>"

    def __len__(self) -> int:
        """Return the number of batches of the epoch that is set, for each rank."""
        if self.source.is_endless:
            raise TypeError("batches without end have no length")
        return self.order.steps(len(self._chosen(self.epoch)))

    def __getstate__(self) -> dict[str, Any]:
        """Return what is sent to a worker: nothing that was read; its rank is that of this process."""
        return {
            **vars(self),
            "_numbers": None,
            "_spare": [],
            "_held": None,
            "_next": None,
            "_given": self._ranks(),
        }

    @property
    def epoch(self) -> int:
        """The epoch that is set."""
        return int(self._shared[0])

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose batches are read from now on, from the first; workers that persist learn of it, too."""
        if not isinstance(epoch, int) or not 0 <= epoch < 2**63:
            raise LoadingError(f"an epoch is a whole number from 0 on, not {epoch!r}")
        self._shared[0], self._shared[1:] = epoch, 0
        self._next = None

    def state_dict(self, step: int | None = None) -> dict[str, Any]:
        """Return what is needed to go on with the next batch: a few numbers.

        Parameters
        ----------
        step : int, optional
            The next step, ``batch["step"] + 1`` after a batch. Without it, what this process yielded last counts, which
            is not known where workers read ahead.

        Raises
        ------
        LoadingError
            Workers read ahead, and no step is given.
        """
        epoch, following = self._next or (self.epoch, int(self._shared[1]))
        if step is not None:
            following = step
        elif self._shared[2] and get_worker_info() is None:
            raise LoadingError(
                "workers read batches ahead: say which is the next for the training, state_dict(batch['step'] + 1)"
            )
        return {**self._identity(), "epoch": epoch, "step": following}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a state was saved, also with other numbers of ranks and workers.

        Raises
        ------
        LoadingError
            The state is of other batches.
        """
        own, step = self._identity(), state.get("step")
        if not isinstance(step, int) or step < 0:
            raise LoadingError(
                f"the state has the step {step!r}; it must be a whole number from 0 on"
            )
        for name, value in own.items():
            if state.get(name) != value:
                raise LoadingError(
                    f"the state is of other batches: its `{name}` is {state.get(name)!r}, and here it is {value!r}"
                )
        if get_worker_info() is not None:
            self._next = self._resumed = state["epoch"], step
            return
        self.set_epoch(state["epoch"])
        self._shared[1] = step

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of the epoch that is set; those of all epochs from it on where samples have no end."""
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        share = Share(*self._ranks(), worker, workers)
        self.order.check(share)
        epoch, first = self.epoch, int(self._shared[1])
        if info is not None:
            self._shared[2] = 1
            if self._resumed is not None:
                epoch, first, share = *self._resumed, replace(share, worker=0)
                self._resumed = None
        self._warn_again(epoch, worker)
        while True:
            order = self.order.epoch(self._chosen(epoch), epoch)
            for step, batch in self._of_epoch(order, share, first):
                self._next = epoch, step + (1 if info is None else workers)
                yield batch
            if not self.source.is_endless:
                break
            share = replace(share, worker=(share.worker + first - order.steps) % workers)
            epoch, first = epoch + 1, 0
        self._shared[3 + worker % self.order.lanes] = epoch + 1

    def _of_epoch(self, order: Epoch, share: Share, first: int) -> Iterator[tuple[int, Any]]:
        """Yield steps and batches of an epoch."""
        chosen, part = self._chosen(order.number), self.order.batch_size // share.world_size
        cached = self.source.is_cached(chosen)
        for step, window, row in order.walk(share, first):
            rows = window.rows[row]
            positions = np.where(rows < 0, ~rows, rows)
            numbers = chosen[positions]
            if self.cache is not None:
                held = self._all(self._labels, chosen)
                own = {name: each.take(positions, axis=0) for name, each in held.items()}
            elif cached:
                own = self._loaded(numbers)
            else:
                own = self._of_window(window, row, chosen)
            if self._turning is not None:
                drawn = words(self.order.seed, order.number, self.order.batch_size, TURNS, step)
                own = self._turning.apply(own, drawn[share.rank * part : (share.rank + 1) * part])
            batch = self._batch(numbers, own)
            if self.order.uneven == "pad":
                batch["padding"] = torch.from_numpy(rows < 0)
            batch |= {"epoch": order.number, "step": step}
            yield step, self._transformed(batch)

    def _of_window(self, window: Window, row: int, chosen: NDArray[np.int64]) -> Arrays:
        """Return a batch of a window, all of which is loaded with the first one."""
        if window.data is None:
            numbers = chosen[window.positions]
            ascending = np.argsort(numbers, axis=None, kind="stable")
            place = np.empty_like(numbers)
            place.ravel()[ascending] = np.arange(numbers.size)
            window.data = place, self._loaded(numbers.ravel()[ascending])
        place, loaded = window.data
        if row == len(window.rows) - 1:
            self._spare.append(loaded)
            window.data = None
        return {name: each.take(place[row], axis=0) for name, each in loaded.items()}

    @property
    def _labels(self) -> list[str]:
        """The targets, and the labels by which they turn."""
        return self.targets if self._turning is None else self._turning.labels

    def _loaded(self, numbers: NDArray[np.int64]) -> Arrays:
        """Return inputs and labels of samples."""
        spare = self._spare.pop() if self._spare else None
        loaded = self.source.load(self.inputs, self._labels, numbers, spare)
        if self.missing == "refuse":
            self._check_present({name: loaded[name] for name in self.targets}, numbers)
        return loaded

    def _chosen(self, epoch: int) -> NDArray[np.int64]:
        """Return the numbers of the samples of an epoch."""
        epoch = epoch if self.source.is_endless else 0
        if self._numbers is None or self._numbers[0] != epoch:
            self._numbers = epoch, self.source.chosen(self.split, self.where, epoch)
        return self._numbers[1]

    def _identity(self) -> dict[str, Any]:
        """Return what determines the batches, beside epoch and step."""
        order = self.order
        return {
            "table_hash": self.source.table.hash,
            "samples": self.source.samples,
            "split": self.split,
            "where": self.where,
            "seed": order.seed,
            "shuffle": order.shuffle,
            "batch_size": order.batch_size,
            "unit": order.unit,
            "window": order.window,
            "lanes": order.lanes,
            "uneven": order.uneven,
        }

    def _ranks(self) -> tuple[int, int]:
        """Return the rank of this process, and the number of ranks."""
        rank, size = self._given
        if (rank is None) != (size is None):
            raise LoadingError("give `rank` and `world_size` together, or neither")
        if rank is not None and size is not None:
            return rank, size
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        given = [os.environ.get(name) for name in ("RANK", "WORLD_SIZE")]
        if given == [None, None]:
            return 0, 1
        try:
            rank, size = (int(each) for each in given)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise LoadingError(
                "the variables RANK and WORLD_SIZE of the environment must both be whole numbers, not "
                f"{given[0]!r} and {given[1]!r}; or give `rank` and `world_size`"
            ) from None
        return rank, size

    def _check_window(self, window: str | int, each: int) -> None:
        """Warn where a window mixes few of the units whose samples are related."""
        together = self.source.table.specification.together
        maps = self.order.window // together
        if self.order.shuffle and together > 1 and maps < FEW_MAPS:
            needed = FEW_MAPS * together * each
            warnings.warn(
                f"a window of {window} mixes {max(1, maps)} groups of {together} samples that are related, such as "
                f"patches of a map: batches have many of one; window={needed} mixes {FEW_MAPS}",
                stacklevel=3,
            )

    def _warn_again(self, epoch: int, worker: int) -> None:
        """Warn where an epoch is read again."""
        if self.order.shuffle and int(self._shared[3 + worker % self.order.lanes]) == epoch + 1:
            warnings.warn(
                f"epoch {epoch} is read again, in the same order: call set_epoch({epoch + 1}) before the next one",
                stacklevel=3,
            )


def _bytes(size: str | int) -> int:
    """Return a number of bytes, given as such or as "64 MiB"."""
    if isinstance(size, int) and size > 0:
        return size
    found = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMG]i?B)?\s*", size)
        if isinstance(size, str)
        else None
    )
    if found is None or (found[2] or "") not in UNITS or float(found[1]) <= 0:
        raise LoadingError(
            f'`window` must be memory such as "64 MiB", or a number of bytes, not {size!r}'
        )
    return int(float(found[1]) * UNITS[found[2] or ""])
