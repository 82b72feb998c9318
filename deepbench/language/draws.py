"""Uniform random numbers, made when they are asked for, and the base of values that use nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepbench.language.functions import Array

MOST_LISTED = 1000
"""Largest number of values that are listed."""


class Uniforms(ABC):
    """Uniform random numbers of the open interval (0, 1) for n draws of one value, made when they are asked for.

    Attributes
    ----------
    numbers : int64[n]
        Number of each draw's sample (or of its group).
    """

    numbers: NDArray[np.int64]

    @abstractmethod
    def several(self, count: int) -> Array:
        """Return so many numbers of each draw, float64[n, count]."""

    @abstractmethod
    def of_table(self, count: int) -> Array:
        """Return so many numbers that all draws of the value share, float64[count]."""

    @abstractmethod
    def of_group(self) -> Uniforms:
        """Return the numbers of the groups that the samples are in, one draw for each sample."""

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def first(self) -> Array:
        """One number of each draw, float64[n]."""
        return self.several(1)[:, 0]

    def take(self, rows: NDArray[np.intp]) -> Uniforms:
        """Return the numbers of some of the draws."""
        return _Part(self, rows)

    def given(self, first: Array, rows: NDArray[np.intp]) -> Uniforms:
        """Return other numbers for some of the draws, one each, as a component of a mixture takes them."""
        return _Given(self, rows, first)


class _Part(Uniforms):
    """The numbers of some of the draws of others."""

    def __init__(self, whole: Uniforms, rows: NDArray[np.intp]) -> None:
        self._whole, self._rows = whole, rows
        self.numbers = whole.numbers[rows]

    def several(self, count: int) -> Array:
        if count == 1:  # kept by the whole for all of its parts
            return self._whole.first[self._rows][:, None]
        return self._whole.several(count)[self._rows]

    def of_table(self, count: int) -> Array:
        return self._whole.of_table(count)

    def of_group(self) -> Uniforms:
        return self._whole.of_group().take(self._rows)


class _Given(_Part):
    """Other numbers, one each, for some of the draws."""

    def __init__(self, whole: Uniforms, rows: NDArray[np.intp], first: Array) -> None:
        super().__init__(whole, rows)
        self._first = first

    def several(self, count: int) -> Array:
        assert count == 1
        return self._first[:, None]


class Independent(ABC):
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

    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Return the ends of the interval that holds all values."""

    @abstractmethod
    def quantile(self, u: Array) -> Array:
        """Return the values below which the fractions ``u`` of all draws lie."""

    def values_listed(self) -> tuple[float, ...] | None:
        """Return the numbers that the value can be, in order; None where they are not listed, or too many."""
        return None

    def bounds(self, ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
        """Return the support, whatever the values of others."""
        return self.support()

    def draw(self, uniforms: Uniforms, columns: Mapping[str, Array]) -> Array:
        """Return the values for some samples, float64[n]."""
        return self.quantile(uniforms.first)
