"""Distributions of whole numbers and of numbers from a list."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, StrictBool, ValidationError, field_validator, model_validator

from deepbench.language.distribution import (
    Distribution,
    Weights,
    check_interval,
    check_weights,
    equal,
    pick,
)
from deepbench.language.draws import MOST_LISTED
from deepbench.language.functions import Array, mathfast
from deepbench.language.specification import Number, Whole, moved, parameter, problem

_exp, _log = mathfast("exp"), mathfast("log")
_MAX_WHOLE = 2**53


class Discrete(Distribution):
    """Base of the distributions whose values may be the ends of their support."""

    @property
    def continuous(self) -> bool:
        """False."""
        return False


class Integers(Discrete):
    """All whole numbers from low to high, both included, with equal probability."""

    may_be_compound: ClassVar[bool] = True
    ends_may_meet: ClassVar[bool] = True

    low: Whole = parameter(
        "least number", unit="", minimum=-_MAX_WHOLE, maximum=_MAX_WHOLE, integer=True
    )
    high: Whole = parameter(
        "greatest number", unit="", minimum=-_MAX_WHOLE, maximum=_MAX_WHOLE, integer=True
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low > self.high:
            raise problem(f"low must not be above high: {self.low} and {self.high}")
        return self

    @property
    def integer(self) -> bool:
        """True."""
        return True

    def support(self) -> tuple[float, float]:
        """Return low and high."""
        return self.low + 0.0, self.high + 0.0

    def values_listed(self) -> tuple[float, ...] | None:
        """Return the numbers from low to high, None where they are too many."""
        if self.high - self.low >= MOST_LISTED:
            return None
        return tuple(map(float, range(self.low, self.high + 1)))

    def inverse(self, u: Array) -> Array:
        """Return low + floor(u (high - low + 1))."""
        return self.low + np.floor(u * np.asarray(self.high - self.low + 1, np.float64))

    def log_likelihood(self, x: Array) -> Array:
        """Return −log(high − low + 1) of whole numbers."""
        number = np.zeros_like(x) + np.float64(self.high - self.low + 1)
        return np.where(x == np.floor(x), -_log(number), -math.inf)


class Choice(Discrete):
    """One of several values."""

    remedy: ClassVar[str] = "choose other values"

    values: Annotated[tuple[Number, ...], Field(min_length=1)] = parameter("the values", unit="")
    weights: Weights = parameter(
        "probability of each value, in any unit; equal when absent", default=()
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Read a list as the values, and give them equal weights."""
        if (
            isinstance(data, dict)
            and data.get("weights") is None
            and isinstance(data.get("values"), list | tuple)
        ):
            return data | {"weights": (1.0,) * len(data["values"])}
        return data

    @model_validator(mode="wrap")
    @classmethod
    def _from_list(cls, data: Any, handler: Callable[[Any], Any]) -> Any:
        if not isinstance(data, list | tuple):
            return handler(data)
        try:
            return handler({"values": data})
        except ValidationError as error:
            raise moved(error, lambda path: path[1:]) from None

    @classmethod
    def _list_schema(cls, properties: dict[str, Any]) -> dict[str, Any]:
        return properties["values"]

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_weights(self.weights, len(self.values), "values")
        return self

    @property
    def integer(self) -> bool:
        """Whether all values are whole numbers."""
        return all(value.is_integer() for value in self.values)

    def support(self) -> tuple[float, float]:
        """Return the least and the greatest value that has a weight."""
        kept = [value for value, weight in zip(self.values, self.weights, strict=True) if weight]
        return min(kept), max(kept)

    def values_listed(self) -> tuple[float, ...] | None:
        """Return the values that have a weight, in order, None where they are too many."""
        kept = {value for value, weight in zip(self.values, self.weights, strict=True) if weight}
        return None if len(kept) > MOST_LISTED else tuple(sorted(kept))

    def inverse(self, u: Array) -> Array:
        """Return the value whose share of the weights, in written order, holds u."""
        return np.asarray(self.values)[pick(u, self.weights)[0]]

    def log_likelihood(self, x: Array) -> Array:
        """Return the logarithm of the value's share of the weights."""
        values, place = np.unique(self.values, return_inverse=True)
        share = np.bincount(place, self.weights) / math.fsum(self.weights)
        found = np.minimum(np.searchsorted(values, x), len(values) - 1)
        return _log(np.where(values[found] == x, share[found], 0.0))


class Grid(Discrete):
    """One of evenly spaced values from low to high, with equal probability; high may be excluded."""

    low: Number = parameter("least value", unit="")
    high: Number = parameter("greatest value, or the end of the grid", unit="")
    count: Whole = parameter("number of values", minimum=2, maximum=_MAX_WHOLE)
    spacing: Literal["linear", "log"] = parameter(
        "equal differences, or equal ratios", default="linear"
    )
    endpoint: StrictBool | None = parameter(
        "false: the values stop one step before high; true when absent", unit="", default=None
    )

    @field_validator("endpoint")
    @classmethod
    def _absent_when_included(cls, endpoint: bool | None) -> bool | None:
        return None if endpoint else endpoint

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_interval(self.low, self.high, 0.0 if self.spacing == "log" else -math.inf)
        return self

    @property
    def _steps(self) -> int:
        """Number of steps from low to high."""
        return self.count if self.endpoint is False else self.count - 1

    @property
    def integer(self) -> bool:
        """Whether all values are whole numbers."""
        step = (self.high - self.low) / self._steps
        return self.spacing == "linear" and self.low.is_integer() and step.is_integer()

    def support(self) -> tuple[float, float]:
        """Return low and high; where high is excluded, the greatest value, of ratios the number below high."""
        if self.endpoint is None:
            return self.low, self.high
        if self.spacing == "log":
            return self.low, math.nextafter(self.high, -math.inf)
        return self.low, float(self._linear(np.float64(self.count - 1)))

    def values_listed(self) -> tuple[float, ...] | None:
        """Return the values in order, None where they are too many."""
        if self.count > MOST_LISTED:
            return None
        return tuple(self.inverse((np.arange(self.count) + 0.5) / self.count).tolist())

    def inverse(self, u: Array) -> Array:
        """Return the value number floor(u count), counted from 0."""
        return self._value(np.minimum(np.floor(u * self.count), self.count - 1))

    def _value(self, number: Array) -> Array:
        """Return values by their numbers, counted from 0."""
        steps = self._steps
        if self.spacing == "linear":
            values = self._linear(number)
        else:
            start, stop = _log(self.low), _log(self.high)
            values = np.where(
                number == 0, self.low, _exp(start + (stop - start) * (number / steps))
            )
        return np.where(number == steps, self.high, values)

    def _linear(self, number: Any) -> Any:
        """Return the values of these numbers; where high is excluded, whole ones are exact."""
        values = self.low + (self.high - self.low) * (number / self._steps)
        return np.rint(values) if self.endpoint is False and self.integer else values

    def log_likelihood(self, x: Array) -> Array:
        """Return −log(count) of the values of the grid, whatever the rounding of another computer."""
        low, high, given = self.low, self.high, x
        if self.spacing == "log":
            low, high, given = _log(low), _log(high), _log(x)
        near = np.rint((given - low) / (high - low) * self._steps)
        numbers = (np.clip(near + step, 0, self.count - 1) for step in (-1.0, 0.0, 1.0))
        is_value = np.any([equal(self._value(number), x) for number in numbers], axis=0)
        return np.where(is_value, -_log(np.float64(self.count)), -math.inf)
