"""Gaps and outliers: observing goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from deepbench.language.specification import parameter
from deepbench.language.values import Value
from deepbench.light_curves.families.family import LightObject, record

GAP = record("start", "duration")
"""Row of a time in which nothing is observed, days."""

DEVIATION = record("time", "deviation")
"""Row of an observation that is wrong: day, and standard deviations of the noise."""


class Contaminant(LightObject):
    """An object that spoils observations."""

    measured: ClassVar[tuple[str, ...]] = ()

    def gaps(self, columns: Mapping[str, NDArray]) -> NDArray:
        """Return the times that objects with these labels lose, ``GAP[k]``; empty where they lose none."""
        return np.empty(0, GAP)

    def deviations(self, columns: Mapping[str, NDArray]) -> NDArray:
        """Return the observations that objects of these labels spoil, ``DEVIATION[k]``; empty where they spoil none."""
        return np.empty(0, DEVIATION)


class Gap(Contaminant):
    """A time in which nothing is observed."""

    start: Value = parameter("beginning of the gap", unit="d")
    duration: Value = parameter("length of the gap", unit="d", minimum=0)

    def gaps(self, columns: Mapping[str, NDArray]) -> NDArray:
        """Return start and duration of each gap."""
        return rows_of(GAP, columns)


class Outlier(Contaminant):
    """An observation that is wrong."""

    time: Value = parameter("time of the outlier: the observation nearest to it is wrong", unit="d")
    deviation: Value = parameter("deviation that is added, in standard deviations of the noise")

    def deviations(self, columns: Mapping[str, NDArray]) -> NDArray:
        """Return time and deviation of each outlier."""
        return rows_of(DEVIATION, columns)


def rows_of(row: np.dtype, columns: Mapping[str, NDArray]) -> NDArray:
    """Return records with the columns of the same names as their fields."""
    names = row.names or ()
    found = np.empty(len(columns[names[0]]), row)
    for name in names:
        found[name] = columns[name]
    return found
