"""Single samples of a source, for loaders that choose them: a data set of the map style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch.utils.data import Dataset

from deepbench.errors import LoadingError
from deepbench.torch.loading import Batch, Loading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.torch.normalisation import Normalisation


class Samples(Loading, Dataset):
    """Samples by their position in a split, for ``torch.utils.data.DataLoader(samples, batch_size=64)``.

    ``__getitems__`` reads all samples of a batch at a time. Read at random, each sample costs the decoding of a chunk;
    with ``cache="memory"`` all are decoded once, and workers are of no use. ``Batches`` decodes once without that.

    Parameters
    ----------
    source, table, split, inputs, targets, where, normalise, missing, samples, catalog
        As of ``Batches``; all splits where ``split`` is absent.
    transform : callable, optional
        Takes the dictionary of tensors of one sample, and returns what stands for it.
    cache : "memory", optional
        Whether all samples are decoded at once, and kept.

    Raises
    ------
    CatalogError, LoadingError, ReleaseError
        As of ``Batches``; they do not fit into the memory.

    Examples
    --------
    >>> test = Samples("shapes@1.0.0", split="test", inputs="image", cache="memory")     # doctest: +SKIP
    >>> for batch in DataLoader(test, batch_size=64):                                    # doctest: +SKIP
    ...     found = model(batch["image"]).argmax(1)
    """

    def __init__(
        self,
        source: Any,
        table: str | None = None,
        *,
        split: str | None = None,
        inputs: str | Sequence[str] | None = None,
        targets: str | Sequence[str] = ("class",),
        where: str | None = None,
        normalise: Normalisation | dict[str, Any] | str | None = None,
        missing: Literal["mask", "refuse"] = "mask",
        transform: Callable[[Batch], Any] | None = None,
        cache: Literal["memory"] | None = None,
        samples: int | Literal["recipe"] = "recipe",
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
        if self.source.is_endless:
            raise LoadingError(
                "single samples need a number of them: give `samples`, or use Batches"
            )
        self._numbers: NDArray[np.int64] | None = None
        numbers = self.numbers
        if missing == "refuse":
            self._check_present(self.source.load([], self.targets, numbers), numbers)
        if cache is not None:
            self._all(self.targets, numbers)

    def __repr__(self) -> str:
        of = f"'{self.source.table.name}' of {self.source.name}"
        return f"<Samples of {of}: {', '.join((*self.inputs, *self.targets))}>"

    def __getstate__(self) -> dict[str, Any]:
        """Return what is sent to a worker: nothing that was read."""
        return {**vars(self), "_numbers": None, "_held": None}

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Numbers of the samples, by their position."""
        if self._numbers is None:
            self._numbers = self.source.chosen(self.split, self.where)
        return self._numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Any:
        """Return a sample: its tensors, without the axis of samples."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return some samples, which are read together."""
        positions = np.asarray(indices, np.int64)
        count = len(self)
        wrong = positions[(positions < -count) | (positions >= count)]
        if wrong.size:
            raise IndexError(f"there is no sample {wrong[0]}: allowed are 0 to {count - 1}")
        batch = self.batch(positions)
        names = list(batch)
        rows = zip(*(batch[name].unbind() for name in names), strict=True)
        return [self._transformed(dict(zip(names, row, strict=True))) for row in rows]

    def batch(self, positions: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return samples as one batch of tensors, without the transform."""
        positions = np.asarray(positions, np.int64)
        numbers = self.numbers[positions]
        if self.cache is None:
            loaded = self.source.load(self.inputs, self.targets, numbers)
        else:
            held = self._all(self.targets, self.numbers)
            loaded = {name: each[positions] for name, each in held.items()}
        if self.missing == "refuse":
            self._check_present({name: loaded[name] for name in self.targets}, numbers)
        return self._batch(numbers, loaded)
