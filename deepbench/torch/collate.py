"""Batches of light curves whose lengths differ: padded, packed one after another, or nested.

Each function takes what ``Batches`` yields, as its ``transform`` or the loader's ``collate_fn``, or a list of what
``Samples`` gives. An observation counts where it was made and not lost: bit 1 of ``mask`` says where it was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from deepbench.errors import LoadingError

Batch = dict[str, Any]

NOT_OBSERVED = 1
"""Bit of ``mask`` of an observation that was not made, or was lost."""


@dataclass(frozen=True)
class Collate:
    """How light curves become a batch.

    Parameters
    ----------
    how : {"pad", "packed", "nested"}
    multiple : int
        Of what the padded length is a multiple.
    bands : int or None
        Number of bands, for one-hot vectors; None leaves ``band`` as numbers.
    times : Tensor or None
        Times of light curves that share them.
    """

    how: str
    multiple: int = 1
    bands: int | None = None
    times: torch.Tensor | None = None

    def __call__(self, batch: Batch | Sequence[Batch]) -> Batch:
        """Return a batch of light curves.

        Raises
        ------
        LoadingError
            The batch has no light curves.
        """
        batch = _batch(batch)
        if self.times is not None:
            batch = {**batch, "time": self.times.expand(batch["id"].shape[0], -1)}
        kept, along = _observed(batch)
        count = kept.sum(1)
        found = {name: each for name, each in batch.items() if name not in along}
        if self.how == "pad":
            found |= self._padded(batch, kept, along, int(count.max()))
            found["length"] = count
            return found
        values = {name: self._values(name, batch[name])[kept] for name in along}
        ends = torch.cumsum(count, 0)
        if self.how == "packed":
            zero = torch.zeros(1, dtype=torch.int32)
            return found | values | {"cu_seqlens": torch.cat([zero, ends.to(torch.int32)])}
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), ends])
        nested = torch.nested.nested_tensor_from_jagged
        return found | {name: nested(each, offsets) for name, each in values.items()}

    def _padded(
        self, batch: Batch, kept: torch.Tensor, along: list[str], longest: int
    ) -> dict[str, torch.Tensor]:
        """Return the observations at the beginning of each row, zeros after them, and where they are."""
        width = max(1, -(-longest // self.multiple)) * self.multiple
        first = torch.argsort(~kept, dim=1, stable=True)[:, :width]
        there = torch.gather(kept, 1, first)
        extra = width - first.shape[1]
        found = {"observed": torch.nn.functional.pad(there, (0, extra))}
        for name in along:
            values = self._values(name, batch[name])
            index = first.reshape(*first.shape, *(1,) * (values.ndim - 2)).expand(
                -1, -1, *values.shape[2:]
            )
            present = there.reshape(*there.shape, *(1,) * (values.ndim - 2))
            chosen = torch.gather(values, 1, index)
            chosen = torch.where(present, chosen, torch.zeros((), dtype=chosen.dtype))
            found[name] = torch.nn.functional.pad(chosen, (*(0, 0) * (values.ndim - 2), 0, extra))
        return found

    def _values(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Return a variable with observations as the second axis; times are from the first observation, in float32."""
        if name == "time":
            first = torch.where(torch.isnan(values), torch.inf, values).amin(1, keepdim=True)
            return (values - torch.where(torch.isinf(first), 0.0, first)).to(torch.float32)
        if name == "band" and self.bands is not None:
            numbers = torch.arange(self.bands)
            return (values[..., None] == numbers).to(torch.float32)
        return values


def pad(multiple: int = 1, bands: int | None = None, times: torch.Tensor | None = None) -> Collate:
    """Return what pads light curves with zeros to the longest of the batch, or a multiple.

    The batch has ``observed``, bool[n, width], and ``length``, int64[n], beside the variables. Observations follow one
    another from the first column on. ``time`` counts from the first observation, float32.

    Parameters
    ----------
    multiple : int
    bands : int, optional
        Number of bands of the survey: ``band`` then is one-hot, float32[n, width, bands].
    times : Tensor, optional
        Of light curves that share their times, which then have no ``time``: ``train.coordinates["time"]``.

    Examples
    --------
    >>> loader = DataLoader(train, batch_size=None, collate_fn=pad(multiple=64))     # doctest: +SKIP
    """
    if not isinstance(multiple, int) or multiple < 1:
        raise LoadingError(f"`multiple` must be a whole number of at least 1, not {multiple!r}")
    return Collate("pad", multiple, bands, times)


def packed(bands: int | None = None, times: torch.Tensor | None = None) -> Collate:
    """Return what puts the observations of a batch one after another.

    Variables are [observations of the batch, …]; light curve i has those from ``cu_seqlens[i]`` to
    ``cu_seqlens[i + 1]``, int32[n + 1], as attention without padding takes it. ``time``, ``bands`` and ``times`` are
    as of ``pad``.
    """
    return Collate("packed", bands=bands, times=times)


def nested(bands: int | None = None, times: torch.Tensor | None = None) -> Collate:
    """Return what makes nested tensors (``torch.jagged``) of the observations of each light curve.

    ``time``, ``bands`` and ``times`` are as of ``pad``.
    """
    return Collate("nested", bands=bands, times=times)


def _batch(batch: Batch | Sequence[Batch]) -> Batch:
    """Return single samples as one batch."""
    return batch if isinstance(batch, dict) else torch.utils.data.default_collate(list(batch))


def _observed(batch: Batch) -> tuple[torch.Tensor, list[str]]:
    """Return where there are observations, bool[n, width], and the names of what there is of each.

    Raises
    ------
    LoadingError
        Light curves need ``mask`` among the inputs, and one series a sample.
    """
    mask = batch.get("mask")
    if mask is None or mask.ndim != 2 or mask.dtype != torch.uint8:
        raise LoadingError(
            "light curves are collated by their `mask`, of one series a sample: add 'mask' to the inputs; images of a "
            "lensed source apart have several series"
        )
    along = [
        name
        for name, each in batch.items()
        if isinstance(each, torch.Tensor) and each.ndim == 2 and each.shape == mask.shape
    ]
    return (mask & NOT_OBSERVED) == 0, along
