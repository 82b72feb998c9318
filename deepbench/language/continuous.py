"""Distributions of real numbers."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from deepbench.language.distribution import (
    Distribution,
    Weights,
    check_interval,
    check_weights,
    pick,
)
from deepbench.language.functions import Array, mathfast
from deepbench.language.specification import Number, parameter, problem

_exp, _log = mathfast("exp"), mathfast("log")
_normal_cdf, _normal_quantile = mathfast("normal_cdf"), mathfast("normal_quantile")
_MAX_SIGMAS = 30.0
_SMALL = 1e-3
_FEW = 0.1
"""Largest size of t of a power law at which (1 − exp(−t)) / t is a series, to the last digit."""

_MOST_T = 700.0
"""Largest size of t of a power law: exp(t) is finite."""

_LOG_ROOT_TAU = 0.5 * math.log(2.0 * math.pi)
"""Logarithm of √(2π)."""


class Uniform(Distribution):
    """All values between low and high with equal probability."""

    may_be_compound: ClassVar[bool] = True

    low: Number = parameter("lower end", unit="")
    high: Number = parameter("upper end", unit="")

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_interval(self.low, self.high)
        return self

    def support(self) -> tuple[float, float]:
        """Return low and high."""
        return self.low, self.high

    def inverse(self, u: Array) -> Array:
        """Return low + u (high - low)."""
        return self.low + u * (self.high - self.low)

    def log_likelihood(self, x: Array) -> Array:
        """Return −log(high − low)."""
        return np.zeros_like(x) - _log(self.high - self.low)


class LogUniform(Distribution):
    """The logarithm is uniform: each factor of two between low and high has equal probability."""

    may_be_compound: ClassVar[bool] = True

    low: Number = parameter("lower end", unit="", above=0)
    high: Number = parameter("upper end", unit="", above=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_interval(self.low, self.high)
        return self

    def support(self) -> tuple[float, float]:
        """Return low and high."""
        return self.low, self.high

    def inverse(self, u: Array) -> Array:
        """Return low^(1 - u) high^u, through logarithms."""
        start, stop = _log(self.low), _log(self.high)
        return _exp(start + u * (stop - start))

    def log_likelihood(self, x: Array) -> Array:
        """Return −log(x) − log(log(high / low))."""
        return -_log(x) - _log(_log(self.high) - _log(self.low))


class PowerLaw(Distribution):
    """Density x^(−slope) between low and high, as of the fluxes of sources or the masses of stars."""

    may_be_compound: ClassVar[bool] = True

    slope: Number = parameter(
        "falls where it is above 0; 1 is log_uniform", unit="", minimum=-50, maximum=50
    )
    low: Number = parameter("lower end", unit="", above=0)
    high: Number = parameter("upper end", unit="", above=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_interval(self.low, self.high)
        return self

    def support(self) -> tuple[float, float]:
        """Return low and high."""
        return self.low, self.high

    def inverse(self, u: Array) -> Array:
        """Return low (high / low)^y, y = log(1 + u (exp(t) − 1)) / t, t = (1 − slope) log(high / low)."""
        ratio, t = self._ratio_and_t()
        small, rising = np.abs(t) < _SMALL, t > 0.0
        if np.ndim(t):
            y = np.where(small, _series(u, t), np.where(rising, _falling(u, t), _rising(u, t)))
        else:
            y = (_series if small else _falling if rising else _rising)(u, t)
        return np.clip(self.low * _exp(ratio * y), self.low, self.high)

    def _ratio_and_t(self) -> tuple[Array, Array]:
        """Return log(high / low), and t."""
        ratio = _log(self.high) - _log(self.low)
        return ratio, np.clip((1.0 - self.slope) * ratio, -_MOST_T, _MOST_T)

    def log_likelihood(self, x: Array) -> Array:
        """Return t y − log(x) − log(log(high / low)) − log((exp(t) − 1) / t), y = log(x / low) / log(high / low)."""
        ratio, t = self._ratio_and_t()
        logarithm = _log(x)
        y = (logarithm - _log(self.low)) / ratio
        size = np.abs(t)
        square = size * size
        series = square * (1.0 / 24.0 - square * (1.0 / 2880.0 - square / 181440.0)) - 0.5 * size
        mean = np.where(size < _FEW, series, _log((1.0 - _exp(-size)) / np.maximum(size, _FEW)))
        return t * y - logarithm - _log(ratio) - (np.maximum(t, 0.0) + mean)


def _series(u: Array, t: Array) -> Array:
    """Return y of a power law for small t."""
    pair = u * (1.0 - u)
    return u + pair * t * (0.5 + t * ((1.0 - 2.0 * u) / 6.0 + t * (1.0 - 6.0 * pair) / 24.0))


def _falling(u: Array, t: Array) -> Array:
    """Return y of a power law for t above 0."""
    return 1.0 + _log(u + (1.0 - u) * _exp(-t)) / t


def _rising(u: Array, t: Array) -> Array:
    """Return y of a power law for t below 0."""
    return _log(1.0 - u + u * _exp(t)) / t


def _log_normal(x: Array, mean: Array | float, sigma: Array | float) -> Array:
    """Return the logarithm of a Gaussian density."""
    z = (x - mean) / sigma
    return -0.5 * (z * z) - _log(sigma) - _LOG_ROOT_TAU


class Normal(Distribution):
    """Gaussian distribution."""

    remedy: ClassVar[str] = "use truncated_normal, which has ends"
    may_be_compound: ClassVar[bool] = True

    mean: Number = parameter("mean", unit="")
    sigma: Number = parameter("standard deviation", unit="", above=0)

    def support(self) -> tuple[float, float]:
        """Return minus and plus infinity."""
        return -math.inf, math.inf

    def inverse(self, u: Array) -> Array:
        """Return mean + sigma times the unit normal quantile."""
        return self.mean + self.sigma * _normal_quantile(u)

    def log_likelihood(self, x: Array) -> Array:
        """Return −z² / 2 − log(sigma √(2π)), z being (x − mean) / sigma."""
        return _log_normal(x, self.mean, self.sigma)


class TruncatedNormal(Distribution):
    """The part of a Gaussian between low and high; mean and sigma are those of the whole."""

    may_be_compound: ClassVar[bool] = True
    needs_an_end: ClassVar[bool] = True

    mean: Number = parameter("mean of the whole Gaussian", unit="")
    sigma: Number = parameter("standard deviation of the whole Gaussian", unit="", above=0)
    low: Number | None = parameter("lower end; none when absent", unit="", default=None)
    high: Number | None = parameter("upper end; none when absent", unit="", default=None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low is None and self.high is None:
            raise problem("needs low, high or both; without an end, use normal")
        if self.low is not None and self.high is not None:
            check_interval(self.low, self.high)
        start, stop = self._sigmas()
        if start > _MAX_SIGMAS or stop < -_MAX_SIGMAS:
            raise problem(
                f"what is left lies more than {_MAX_SIGMAS:g} sigma from the mean: use uniform"
            )
        return self

    def _sigmas(self) -> tuple[float, float]:
        low, high = self.support()
        return (low - self.mean) / self.sigma, (high - self.mean) / self.sigma

    def support(self) -> tuple[float, float]:
        """Return low and high."""
        return (-math.inf if self.low is None else self.low), (
            math.inf if self.high is None else self.high
        )

    def inverse(self, u: Array) -> Array:
        """Return the quantile of the kept part, through the smaller tail, which is more exact."""
        below, above, kept = self._shares()
        lower, upper = below + u * kept, above + (1 - u) * kept
        sigmas = _normal_quantile(np.minimum(np.minimum(lower, upper), 0.5))
        return self.mean + self.sigma * np.where(lower <= upper, sigmas, -sigmas)

    def _shares(self) -> tuple[Array, Array, Array]:
        """Return the parts of the whole Gaussian that are below low, above high, and kept."""
        start, stop = self._sigmas()
        below, above = _normal_cdf(start), _normal_cdf(-stop)
        kept = np.where(
            np.greater(start, 0), _normal_cdf(-start) - above, _normal_cdf(stop) - below
        )
        return below, above, kept

    def log_likelihood(self, x: Array) -> Array:
        """Return that of the whole Gaussian, divided by the part that is kept."""
        return _log_normal(x, self.mean, self.sigma) - _log(self._shares()[2])


class LogNormal(Distribution):
    """The logarithm is Gaussian."""

    remedy: ClassVar[str] = "use log_uniform or truncated_normal, which have ends"
    may_be_compound: ClassVar[bool] = True

    median: Number = parameter("median", unit="", above=0)
    sigma: Number = parameter("standard deviation of the natural logarithm", above=0)

    def support(self) -> tuple[float, float]:
        """Return zero and infinity."""
        return 0.0, math.inf

    def inverse(self, u: Array) -> Array:
        """Return median exp(sigma z), z being the unit normal quantile."""
        return self.median * _exp(self.sigma * _normal_quantile(u))

    def log_likelihood(self, x: Array) -> Array:
        """Return the Gaussian density of log(x), divided by x."""
        logarithm = _log(x)
        return _log_normal(logarithm, _log(self.median), self.sigma) - logarithm


class Histogram(Distribution):
    """A density that is constant within bins."""

    edges: Annotated[tuple[Number, ...], Field(min_length=2)] = parameter(
        "ends of the bins, increasing", unit=""
    )
    weights: Weights = parameter("probability of each bin, in any unit")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for low, high in zip(self.edges, self.edges[1:], strict=False):
            if not low < high:
                raise problem(f"edges must increase, not go from {low:g} to {high:g}")
            check_interval(low, high)
        check_weights(self.weights, len(self.edges) - 1, "bins between the edges")
        return self

    def support(self) -> tuple[float, float]:
        """Return the outer edges of the bins that have a weight."""
        kept = np.flatnonzero(self.weights)
        return self.edges[kept[0]], self.edges[kept[-1] + 1]

    def inverse(self, u: Array) -> Array:
        """Return the inverse of the piecewise linear cumulative distribution."""
        entry, inside = pick(u, self.weights)
        edges = np.asarray(self.edges)
        return edges[entry] + inside * (edges[entry + 1] - edges[entry])

    def log_likelihood(self, x: Array) -> Array:
        """Return the logarithm of the bin's density; at an edge that of the denser of its two bins."""
        edges = np.asarray(self.edges)
        density = np.asarray(self.weights) / (math.fsum(self.weights) * np.diff(edges))
        last = len(density) - 1
        bins = [np.clip(np.searchsorted(edges, x, side) - 1, 0, last) for side in ("left", "right")]
        return _log(np.maximum(*(density[each] for each in bins)))
