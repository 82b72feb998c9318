"""Rows that engines draw, and the objects that they are pieces of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.model.sky import COMPONENT_ROW


class OwnedRows(NamedTuple):
    """Rows that one engine draws, of all objects.

    Attributes
    ----------
    engine : str
        See ``model.sky.Piece``.
    rows : structured array of shape (k,)
        In the order of the objects. Their fluxes are parts of the object's; positions and lengths are in pixels.
    owners : int64[k]
        The object of each.
    """

    engine: str
    rows: NDArray[np.void]
    owners: NDArray[np.int64]

    def between(self, first: int, last: int) -> OwnedRows:
        """Return the rows of the objects from ``first`` to ``last`` − 1, and these counted from the first."""
        some = slice(*np.searchsorted(self.owners, [first, last]))
        return OwnedRows(self.engine, self.rows[some], self.owners[some] - first)

    def of(self, some: NDArray[np.int64]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """Return copies of the rows of some objects, and where each object's begin, int64[len(some) + 1]."""
        first, last = (np.searchsorted(self.owners, some, side) for side in ("left", "right"))
        offsets = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64)
        each = np.repeat(first - offsets[:-1], last - first) + np.arange(offsets[-1])
        return self.rows[each], offsets


class Gathered:
    """Rows of one engine, as the objects of one source after another add theirs."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._rows: list[NDArray[np.void]] = []
        self._owners: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
        self._positions: list[NDArray[np.float64]] = [np.zeros((0, 2))]

    def add(
        self,
        rows: NDArray[np.void],
        owners: NDArray[np.int64],
        positions: NDArray[np.float64],
    ) -> None:
        """Add rows of objects at positions, float64[k, 2]."""
        self._rows.append(rows)
        self._owners.append(owners)
        self._positions.append(positions)

    def __bool__(self) -> bool:
        return bool(self._rows)

    def owned(self) -> OwnedRows:
        """Return the rows in the order of the objects, at their positions."""
        owner = np.concatenate(self._owners)
        sequence = np.argsort(owner, kind="stable")
        together = (
            np.concatenate(self._rows)[sequence] if self._rows else np.zeros(0, COMPONENT_ROW)
        )
        together["x"], together["y"] = np.concatenate(self._positions)[sequence].T
        return OwnedRows(self._engine, together, owner[sequence])
