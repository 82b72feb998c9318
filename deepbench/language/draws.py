"""How values are drawn: from uniform random numbers, made when asked for, and from other values of the sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepbench.language.functions import Array

MOST_LISTED = 1000
"""Largest number of values that are listed."""


@dataclass(frozen=True, eq=False)
class Uniforms:
    """Uniform random numbers of the open interval (0, 1) for n draws of one value.

    Attributes
    ----------
    numbers : int64[n]
        Number of each draw's sample (or of its group).
    several : callable
        Returns k numbers of each draw, float64[n, k].
    of_table : callable
        Returns k numbers that all draws of the value share, float64[k].
    of_group : callable
        Returns the numbers of the groups that the samples are in, as ``Uniforms``.
    """

    numbers: NDArray[np.int64]
    several: Callable[[int], Array]
    of_table: Callable[[int], Array]
    of_group: Callable[[], Uniforms]

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def first(self) -> Array:
        """One number of each draw, float64[n]."""
        return self.several(1)[:, 0]

    def take(self, rows: NDArray[np.intp]) -> Uniforms:
        """Return the numbers of some of the draws."""
        return Uniforms(
            self.numbers[rows],
            lambda count: self.first[rows][:, None] if count == 1 else self.several(count)[rows],
            self.of_table,
            lambda: self.of_group().take(rows),
        )

    def given(self, first: Array, rows: NDArray[np.intp]) -> Uniforms:
        """Return other numbers for some of the draws, one each, as a component of a mixture takes them."""
        own = Uniforms(self.numbers[rows], lambda _: first[:, None], self.of_table, lambda: own)
        return own


class Independent:
    """Base of the values that use no other value of the sample: constants and distributions.

    Attributes
    ----------
    names : tuple of str
        Names of the values that it uses; none.
    comparisons : tuple of (str, str)
        Classes and splits that it tells apart; none.
    parts, alternatives : tuple
        The values it is made of, and those of which it is one; none.
    known : bool
        Whether all values lie in ``support`` whatever the sample, so that none needs a check.
    """

    names: ClassVar[tuple[str, ...]] = ()
    comparisons: ClassVar[tuple[tuple[str, str], ...]] = ()
    parts: ClassVar[tuple[Any, ...]] = ()
    alternatives: ClassVar[tuple[Any, ...]] = ()
    known: ClassVar[bool] = True

    def support(self) -> tuple[float, float]:
        """Return the ends of the interval that holds all values."""
        raise NotImplementedError

    def quantile(self, u: Array) -> Array:
        """Return the values below which the fractions ``u`` of all draws lie."""
        raise NotImplementedError

    def values_listed(self) -> tuple[float, ...] | None:
        """Return the numbers that the value can be, in order; None where they are not listed, or too many."""
        return None

    def bounds(self, ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
        """Return the support, whatever the values of others."""
        return self.support()

    def draw(self, uniforms: Uniforms, columns: Mapping[str, Array]) -> Array:
        """Return the values for some samples, float64[n]."""
        return self.quantile(uniforms.first)
