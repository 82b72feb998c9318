"""Any distribution of ``scipy.stats``, by its name."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema, model_validator

from deepbench.errors import LabelError
from deepbench.language.distribution import Distribution, check_interval
from deepbench.language.functions import Array
from deepbench.language.plain import show, unknown
from deepbench.language.specification import Number, as_number, parameter, problem

_ENDLESS: tuple[str, ...] = ("betanbinom", "irwinhall", "ksone", "logser", "nct", "skellam")
_ENDLESS += ("studentized_range", "yulesimon", "zipf", "zipfian")
"""Laws of which scipy searches each quantile: for some arguments for hours, or until memory is full."""

_LARGEST_SHAPE = 1e5
"""Largest shape argument, whose inverse is the least one but 0: beyond, scipy needs hours for other laws, too."""

_PROBE = np.array([2.0**-54, 1e-9, 0.01, 0.25, 0.5, 0.75, 0.99, 1 - 1e-9, 1 - 2.0**-53])


def _as_arguments(value: Any) -> tuple[tuple[str, float], ...]:
    """Return a mapping of names to numbers as sorted pairs."""
    if not isinstance(value, Mapping):
        raise problem(f"must be a mapping of arguments to numbers, not {show(value)}")
    return tuple(sorted((str(name), as_number(number)) for name, number in value.items()))


Arguments = Annotated[
    tuple[tuple[str, float], ...],
    BeforeValidator(_as_arguments),
    PlainSerializer(dict, return_type=dict[str, float]),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "number"}}),
]


@lru_cache(maxsize=1)
def _laws() -> dict[str, Any]:
    """Return the distributions of scipy.stats by name."""
    from scipy import stats

    found = {name: getattr(stats, name) for name in dir(stats) if not name.startswith("_")}
    return {
        name: law
        for name, law in found.items()
        if isinstance(law, stats.rv_continuous | stats.rv_discrete)
    }


class Scipy(Distribution):
    """A distribution of scipy.stats; values may differ by rounding between computers."""

    tolerance: ClassVar[bool] = True
    remedy: ClassVar[str] = "give it low and high"

    name: str = parameter("name of the distribution in scipy.stats")
    arguments: Arguments = parameter("its arguments, also loc and scale", default={})
    low: Number | None = parameter(
        "lower end, below which it is cut; none when absent", unit="", default=None
    )
    high: Number | None = parameter(
        "upper end, above which it is cut; none when absent", unit="", default=None
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name not in _laws():
            raise problem(unknown("distribution of scipy.stats", self.name, _laws()))
        if self.name in _ENDLESS:
            raise problem(
                f"scipy.stats.{self.name} can take hours for one value: use histogram or choice, with weights"
            )
        shapes = self._law.shapes.split(", ") if self._law.shapes else []
        allowed = [*shapes, "loc", *(["scale"] if self.continuous else [])]
        given = dict(self.arguments)
        for name in given:
            if name not in allowed:
                raise problem(unknown(f"argument of scipy.stats.{self.name}", name, allowed))
        missing = [name for name in shapes if name not in given]
        if missing:
            raise problem(f"scipy.stats.{self.name} needs the arguments {', '.join(missing)}")
        for name in shapes:
            if given[name] and not 1 / _LARGEST_SHAPE <= abs(given[name]) <= _LARGEST_SHAPE:
                raise problem(
                    f"the argument {name} of scipy.stats.{self.name} must be 0, or between {1 / _LARGEST_SHAPE:g} "
                    f"and {_LARGEST_SHAPE:g} in size, not {given[name]:g}"
                )
        low, high = self.support()
        if math.isnan(low) or math.isnan(high):
            raise problem(f"scipy.stats.{self.name} does not allow the arguments {show(given)}")
        if self.low is not None and self.high is not None:
            check_interval(self.low, self.high)
        start, stop = self._shares() if low <= high else (0.0, 0.0)
        if not start < stop:
            raise problem(f"scipy.stats.{self.name} has no values between {low:g} and {high:g}")
        if not np.isfinite(self._inverse(_PROBE)).all():
            raise problem(
                f"scipy.stats.{self.name} gives no finite values with the arguments {show(given)}"
            )
        return self

    @property
    def _law(self) -> Any:
        return _laws()[self.name]

    def _ask(self, method: str, *values: Any) -> Any:
        """Return what a method of scipy's law gives for the arguments, without warnings.

        Raises
        ------
        LabelError
            If scipy raises anything.
        """
        given = dict(self.arguments)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return getattr(self._law, method)(*values, **given)
        except Exception as error:
            raise LabelError(
                f"scipy.stats.{self.name} fails with the arguments {show(given)}: {error}"
            ) from error

    @property
    def continuous(self) -> bool:
        """Whether scipy calls the distribution continuous."""
        return hasattr(self._law, "pdf")

    @property
    def integer(self) -> bool:
        """Whether the distribution is discrete and not shifted by a fraction."""
        return not self.continuous and dict(self.arguments).get("loc", 0.0).is_integer()

    def support(self) -> tuple[float, float]:
        """Return the ends that scipy gives, or low and high where these are narrower."""
        low, high = (float(end) for end in self._ask("support"))
        return (low if self.low is None else max(low, self.low)), (
            high if self.high is None else min(high, self.high)
        )

    def _shares(self) -> tuple[float, float]:
        """Return the fractions of all values below low, and up to high."""
        low, high = self.support()
        below = low if self.continuous else math.nextafter(low, -math.inf)
        return float(self._ask("cdf", below)), float(self._ask("cdf", high))

    def _inverse(self, u: Array) -> Array:
        start, stop = self._shares()
        return np.asarray(self._ask("ppf", start + u * (stop - start)), dtype=np.float64)

    def inverse(self, u: Array) -> Array:
        """Return scipy's ``ppf`` within the part that is kept.

        Raises
        ------
        LabelError
            If scipy gives NaN.
        """
        values = self._inverse(u)
        if np.isnan(values).any():
            raise LabelError(
                f"scipy.stats.{self.name} gives NaN with the arguments {show(dict(self.arguments))}"
            )
        return values

    def log_likelihood(self, x: Array) -> Array:
        """Return scipy's ``logpdf`` or ``logpmf``, divided by the part that is kept."""
        start, stop = self._shares()
        found = self._ask("logpdf" if self.continuous else "logpmf", x)
        return np.asarray(found, dtype=np.float64) - math.log(stop - start)
