"""Exhaustive designs: every combination of the levels of some factors, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Design:
    """The combinations of the levels of factors, counted with the last factor fastest.

    Attributes
    ----------
    levels : mapping of str to int
        Number of levels of each factor, in written order; ``class`` may be one of them.
    shuffled : bool
        Whether the combinations come in a random order.
    """

    levels: Mapping[str, int]
    shuffled: bool = False

    @property
    def count(self) -> int:
        """Number of combinations."""
        return prod(self.levels.values())

    def combinations(
        self, owners: NDArray[np.int64], key: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the combination of each sample, counted from 0.

        Parameters
        ----------
        owners : int64[n]
            Numbers that the samples' values are drawn for.
        key : float64[2]
            Uniform random numbers, which determine the order where it is shuffled.
        """
        turns = owners % self.count
        if not self.shuffled:
            return turns
        from deepbench.numerics.permutation import permuted

        return permuted(turns, self.count, key)

    def level(self, factor: str, combinations: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the level of a factor in combinations, counted from 0."""
        names = list(self.levels)
        faster = prod(self.levels[name] for name in names[names.index(factor) + 1 :])
        return combinations // faster % self.levels[factor]

    def fraction(self, factor: str, combinations: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the middle of a level's share of (0, 1), float64[n]: its quantile is the level."""
        return (self.level(factor, combinations) + 0.5) / self.levels[factor]
