"""Values made of other values: one for each class, split or discrete value, mixtures, compound distributions, groups.

They take one random number, whatever they are made of, so that samples are paired through the same quantile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepbench.language.distribution import Distribution, pick
from deepbench.language.draws import Independent
from deepbench.language.expressions import CODES
from deepbench.language.functions import Array
from deepbench.language.plain import digits
from deepbench.language.specification import (
    parameters_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepbench.language.draws import Uniforms


class Composed(ABC):
    """Base of the values that are made of others.

    Attributes
    ----------
    parts : tuple
        The values it is made of.
    """

    parts: tuple[Any, ...]

    @property
    def alternatives(self) -> tuple[Any, ...]:
        """The values of which it is one."""
        return self.parts

    @property
    def known(self) -> bool:
        """Whether all values lie in ``support`` whatever the sample, so that none needs a check."""
        return all(part.known for part in self.parts)

    @property
    def tolerance(self) -> bool:
        """Whether the values may differ by rounding between computers."""
        return any(part.tolerance for part in self.parts)

    @property
    def continuous(self) -> bool:
        """Whether no value is an end of the support."""
        return all(part.continuous for part in self.parts)

    @property
    def integer(self) -> bool:
        """Whether all values are whole numbers."""
        return all(part.integer for part in self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values that it uses."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.names))

    @property
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """Classes and splits that it tells apart, each as the column and a name."""
        return tuple(dict.fromkeys(each for part in self.parts for each in part.comparisons))

    def support(self) -> tuple[float, float]:
        """Return the ends of the interval that holds all values, where it is ``known``."""
        ends = [part.support() for part in self.parts]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def bounds(self, ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
        """Return an interval that holds all values, from those that hold the values it uses."""
        ends = [part.bounds(ranges) for part in self.parts]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @abstractmethod
    def draw(self, uniforms: Uniforms, columns: Mapping[str, Array]) -> Array:
        """Return the values for some samples, float64[n], from columns of theirs."""

    def said(self, columns: Mapping[str, Array]) -> str:
        """Return what messages say of the value of one sample, from the values that it uses."""
        return "; ".join(part.said(columns) for part in self.parts if not part.known)


@dataclass(frozen=True)
class By(Composed):
    """A value for each class, each split or each number that a discrete value of the sample can be.

    Attributes
    ----------
    key : str
        ``class``, ``split`` or the name of a discrete value.
    branches : tuple of (str, Value)
        A value for some of the names or numbers.
    otherwise : Value or None
        The value of the rest.
    """

    key: str
    branches: tuple[tuple[str, Any], ...]
    otherwise: Any = None

    @property
    def parts(self) -> tuple[Any, ...]:  # type: ignore[override]
        """The values of all branches."""
        last = () if self.otherwise is None else (self.otherwise,)
        return (*(value for _, value in self.branches), *last)

    @property
    def of_codes(self) -> bool:
        """Whether the branches are names of classes or splits."""
        return self.key in CODES

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values that it uses, the one that chooses the branch first."""
        own = () if self.of_codes else (self.key,)
        return tuple(dict.fromkeys((*own, *super().names)))

    @property
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """Classes and splits that it tells apart, each as the column and a name."""
        own = tuple((self.key, name) for name, _ in self.branches) if self.of_codes else ()
        return tuple(dict.fromkeys((*own, *super().comparisons)))

    def constant_for(self, name: str) -> float:
        """Return the number of a branch of constants; 0 where it has none."""
        value = dict(self.branches).get(name, self.otherwise)
        return 0.0 if value is None else float(value.value)

    def chosen(
        self, columns: Mapping[str, Array], count: int
    ) -> list[tuple[Any, NDArray[np.intp]]]:
        """Return the value of each branch, and the rows that take it; rows without a branch are in none."""
        key = np.broadcast_to(np.asarray(columns[self.key]), count)
        left = np.ones(count, bool)
        found = []
        for name, value in self.branches:
            taken = left & (key == (name if self.of_codes else float(name)))
            left &= ~taken
            found.append((value, np.flatnonzero(taken)))
        if self.otherwise is not None:
            found.append((self.otherwise, np.flatnonzero(left)))
        return found

    def draw(self, uniforms: Uniforms, columns: Mapping[str, Array]) -> Array:
        """Return the values for some samples, float64[n], from columns of theirs."""
        result = np.full(len(uniforms), np.nan)
        for value, rows in self.chosen(columns, len(uniforms)):
            if len(rows):
                result[rows] = value.draw(uniforms.take(rows), taken(columns, rows))
        return result

    def component(self, uniforms: Uniforms, columns: Mapping[str, Array]) -> Array:
        """Return the component of the mixture that each sample draws from, NaN where its branch is none."""
        result = np.full(len(uniforms), np.nan)
        for value, rows in self.chosen(columns, len(uniforms)):
            if len(rows) and has_components(value):
                result[rows] = value.component(uniforms.take(rows), taken(columns, rows))
        return result


@dataclass(frozen=True)
class Mixture(Composed):
    """One of several values, each with a weight. One number chooses it and, rescaled, draws it.

    Attributes
    ----------
    weights : tuple of float
    parts : tuple of Value
    """

    weights: tuple[float, ...]
    parts: tuple[Any, ...]

    def draw(self, uniforms: Uniforms, columns: Mapping[str, Array]) -> Array:
        """Return the values for some samples, float64[n], from columns of theirs."""
        entry, inside = pick(uniforms.first, self.weights)
        result = np.empty(len(uniforms))
        for number, value in enumerate(self.parts):
            rows = np.flatnonzero(entry == number)
            if len(rows):
                own = uniforms.given(inside[rows], rows)
                result[rows] = value.draw(own, taken(columns, rows))
        return result

    def component(self, uniforms: Uniforms, columns: Mapping[str, Array]) -> Array:
        """Return the number of the part that each sample draws from, counted from 0."""
        return pick(uniforms.first, self.weights)[0].astype(np.float64)


@dataclass(frozen=True)
class PerGroup(Composed):
    """A value that all samples of a group share: the group's number stands for the sample's."""

    value: Any

    @property
    def parts(self) -> tuple[Any, ...]:  # type: ignore[override]
        """The value."""
        return (self.value,)

    def draw(self, uniforms: Uniforms, columns: Mapping[str, Array]) -> Array:
        """Return the values for some samples, float64[n], from the numbers of their groups."""
        return self.value.draw(uniforms.of_group(), columns)

    def component(self, uniforms: Uniforms, columns: Mapping[str, Array]) -> Array:
        """Return the component of the mixture that each sample's group draws from."""
        return self.value.component(uniforms.of_group(), columns)


@dataclass(frozen=True)
class Compound(Composed):
    """A distribution of which some parameters are expressions: a compound distribution.

    Attributes
    ----------
    family : type
        Class of the distribution.
    parameters : tuple of (str, Constant or Expression)
        Its numbers by name, constants among them.
    """

    family: type[Distribution]
    parameters: tuple[tuple[str, Any], ...]

    @property
    def parts(self) -> tuple[Any, ...]:  # type: ignore[override]
        """The parameters."""
        return tuple(value for _, value in self.parameters)

    @property
    def alternatives(self) -> tuple[Any, ...]:
        """None."""
        return ()

    @property
    def known(self) -> bool:
        """False: the parameters may be wrong ones, even where the ends are constants."""
        return False

    @property
    def continuous(self) -> bool:
        """Whether no value is an end of the support."""
        return bool(self.family.model_construct().continuous)

    @property
    def integer(self) -> bool:
        """Whether all values are whole numbers."""
        return bool(self.family.model_construct().integer)

    def support(self) -> tuple[float, float]:
        """Return an interval that holds all values, infinite where constants do not say it."""
        return self.bounds(dict.fromkeys(self.names, (-np.inf, np.inf)))

    def bounds(self, ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
        """Return an interval that holds all values, from those that hold the values it uses."""
        ends = {name: value.bounds(ranges) for name, value in self.parameters}
        return ends.get("low", (-np.inf,))[0], ends.get("high", (np.inf,))[-1]

    def misfit(self, allowed: str) -> str:
        """Return the message for a parameter that does not allow all values."""
        low, high = self.support()
        return f"gives values from {low:g} to {high:g}, but must be {allowed}; choose other ends"

    def draw(self, uniforms: Uniforms, columns: Mapping[str, Array]) -> Array:
        """Return the values for some samples, float64[n]; NaN where the parameters are none of the distribution's."""
        member, allowed = self._members(columns, len(uniforms))
        return np.where(allowed, member.quantile(uniforms.first), np.nan)

    def log_density(self, x: Array, columns: Mapping[str, Array]) -> Array:
        """Return the logarithm of the density of values of some samples, float64[n], given columns of theirs."""
        member, allowed = self._members(columns, len(x))
        return np.where(allowed, member.log_density(x), -np.inf)

    def _members(
        self, columns: Mapping[str, Array], count: int
    ) -> tuple[Distribution, NDArray[np.bool_]]:
        """Return the distribution with the parameters of each sample, and where these are allowed."""
        numbers = self._numbers(columns, count)
        allowed = ~np.any([bad for _, bad in self._bad(numbers)], axis=0)
        return self.family.model_construct(None, **numbers), allowed

    def _numbers(self, columns: Mapping[str, Array], count: int) -> dict[str, Array]:
        """Return the parameters of each sample, float64[count]."""
        return {
            name: np.full(count, value.value) if value.known else value.draw(range(count), columns)
            for name, value in self.parameters
        }

    def _bad(self, numbers: Mapping[str, Array]) -> list[tuple[str, Array]]:
        """Return what is wrong with parameters, and of which samples."""
        meanings = parameters_of(self.family)
        found = [
            (f"{name} must be {meanings[name].range_text()}", meanings[name].bad(values))
            for name, values in numbers.items()
        ]
        if {"low", "high"} <= numbers.keys():
            low, high = numbers["low"], numbers["high"]
            wrong = low > high if self.family.ends_may_meet else low >= high
            found.append(("low must be below high", wrong))
        return found

    def said(self, columns: Mapping[str, Array]) -> str:
        """Return what messages say of the value of one sample, from the values that it uses."""
        numbers = self._numbers(columns, 1)
        given = ", ".join(f"{name} = {digits(float(value[0]))}" for name, value in numbers.items())
        wrong = [message for message, bad in self._bad(numbers) if bad[0]]
        return f"by a distribution with {given}" + (f" ({wrong[0]})" if wrong else "")


def has_components(value: Any) -> bool:
    """Return whether a value is a mixture, or has one as a branch: then the component is a label."""
    if isinstance(value, By | PerGroup):
        return any(map(has_components, value.parts))
    return isinstance(value, Mixture)


def walk(value: Any) -> Iterator[Any]:
    """Yield a value and, before what they are made of, all values inside it."""
    yield value
    for part in value.parts:
        yield from walk(part)


def discrete_values(value: Any) -> tuple[float, ...] | None:
    """Return the numbers that a value can be, in order; None where they are not listed, or too many."""
    if value.alternatives:
        lists = [discrete_values(each) for each in value.alternatives]
        if any(each is None for each in lists):
            return None
        return tuple(sorted({number for each in lists for number in each or ()}))
    return value.values_listed() if isinstance(value, Independent) else None


def most_components(value: Any) -> int:
    """Return the largest number of components that a mixture in a value has."""
    if isinstance(value, Mixture):
        return len(value.parts)
    return max(map(most_components, value.parts), default=0)


def taken(columns: Mapping[str, Array], rows: NDArray[np.intp]) -> dict[str, Array]:
    """Return some rows of columns."""
    return {name: np.asarray(values)[rows] for name, values in columns.items()}


def number_of(name: str) -> float | None:
    """Return the number that the name of a branch writes, None where it writes none."""
    try:
        number = float(name)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
