"""Overlap of splits: duplicates, samples of equal parameters, samples that noise does not tell apart, groups."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepbench.probing.truth import Truth


@dataclass(frozen=True)
class Shared:
    """Samples of a split that training has, too.

    Attributes
    ----------
    what : str
        ``data``, ``parameters``, ``group``, ``identifier`` or ``unresolved``.
    name : str
        Of the identifier; empty for others.
    split : str
    samples, of : int
        How many of the samples that were looked at.
    first, twin : int
        The first such sample, and one of training that is like it.
    """

    what: str
    name: str
    split: str
    samples: int
    of: int
    first: int
    twin: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def __str__(self) -> str:
        words = {
            "data": "have the data of a training sample, bit for bit",
            "parameters": "have all parameters of a training sample; only noise differs",
            "group": "are of a group that is in training, too",
            "identifier": f"share '{self.name}' with a training sample",
            "unresolved": "differ from a training sample by less than the noise",
        }[self.what]
        share = f"{self.samples:,} of {self.of:,} samples of '{self.split}'"
        return f"{share} {words} (sample {self.first} and {self.twin})"


def shared_keys(what: str, name: str, keys: NDArray, truth: Truth, first: int) -> list[Shared]:
    """Return the samples of each other split whose key a sample of the first split has, too.

    Parameters
    ----------
    what, name : str
    keys : ndarray, shape (n,)
        Equal for samples that are alike; missing keys are negative integers or empty.
    truth : Truth
    first : int
        Code of the split that is trained on.
    """
    own = np.flatnonzero(truth.split_codes == first)
    known, place = np.unique(keys[own], return_index=True)
    found = []
    for split in range(len(truth.splits)):
        rows = np.flatnonzero(truth.split_codes == split)
        if split == first or not len(rows) or not len(own):
            continue
        where = np.clip(np.searchsorted(known, keys[rows]), 0, len(known) - 1)
        alike = known[where] == keys[rows]
        if alike.any():
            row = int(np.argmax(alike))
            found.append(
                Shared(
                    what,
                    name,
                    truth.splits[split],
                    int(alike.sum()),
                    len(rows),
                    int(truth.ids[rows[row]]),
                    int(truth.ids[own[place[where[row]]]]),
                )
            )
    return found


def parameter_keys(truth: Truth, drawn: list[str]) -> NDArray:
    """Return a key for each sample that is equal where class and all drawn labels are."""
    frame = pd.DataFrame({"class": truth.codes} | {name: truth.labels[name] for name in drawn})
    keys: NDArray = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return keys
