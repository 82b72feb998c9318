"""Densities of values as a recipe draws them: distributions, values made of others, and joint draws.

They are natural logarithms. Discrete values have probabilities in place of densities; a mixture of both has a
probability where a discrete component, or a constant, has one, and elsewhere the density of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepbench.language.composed import taken
from deepbench.language.distribution import Distribution, equal
from deepbench.language.functions import Array, mathfast
from deepbench.language.joints.catalog import Catalog
from deepbench.language.joints.gaussian import Copula, MultivariateNormal, triangle
from deepbench.language.joints.sobol import Sobol
from deepbench.language.values import By, Compound, Constant, Expression, Joint, Mixture, PerGroup

_exp, _log = mathfast("exp"), mathfast("log")
_normal_quantile = mathfast("normal_quantile")
_MIXER = np.uint64(0x9E3779B97F4A7C15)
"""Odd number of 64 bits, near 2⁶⁴ divided by the golden ratio (Knuth, The Art of Computer Programming 3, 6.4)."""

_LOG_ROOT_TAU = 0.5 * math.log(2.0 * math.pi)


def is_given(value: Any) -> bool:
    """Return whether a value follows from others, so that nothing is drawn."""
    return isinstance(value, Constant | Expression)


def log_density(value: Any, x: Array, columns: Mapping[str, Array]) -> Array:
    """Return the logarithm of the density with which values of some samples are drawn.

    Parameters
    ----------
    value : Value
    x : float64[n]
    columns : mapping of str to ndarray, shape (n,)
        What the value uses, as its ``draw`` takes it.

    Returns
    -------
    float64[n]
        0 for constants and expressions, of which nothing is drawn; −∞ where the value cannot be drawn.
    """
    if is_given(value):
        return np.zeros(len(x))
    if isinstance(value, PerGroup):
        return log_density(value.value, x, columns)
    if isinstance(value, By):
        return _of_branches(value, x, columns, log_density)
    if isinstance(value, Mixture):
        return _of_mixture(value, x, columns)
    if isinstance(value, Compound):
        return value.log_density(x, columns)
    return value.log_density(x)


def _of_branches(
    value: By,
    x: Array,
    columns: Mapping[str, Array],
    law: Callable[[Any, Array, Mapping[str, Array]], Array],
) -> Array:
    """Return what a law says of the branch that each sample takes, −∞ where it takes none."""
    result = np.full(len(x), -np.inf)
    for branch, rows in value.chosen(columns, len(x)):
        if len(rows):
            result[rows] = law(branch, x[rows], taken(columns, rows))
    return result


def _of_mixture(value: Mixture, x: Array, columns: Mapping[str, Array]) -> Array:
    """Return log Σ w p(x), over the components that have a probability at x, or over all where none has."""
    weights = np.asarray(value.weights) / math.fsum(value.weights)
    parts = [
        np.stack([law(part, x, columns) for part in value.parts]) for law in (_log_mass, _log_rest)
    ]
    masses, rest = (_log_sum(each, weights) for each in parts)
    return np.where(masses > -np.inf, masses, rest)


def _log_mass(value: Any, x: Array, columns: Mapping[str, Array]) -> Array:
    """Return the logarithm of the probability that a component is just this number, −∞ where it is continuous."""
    if isinstance(value, By):
        return _of_branches(value, x, columns, _log_mass)
    if is_given(value):
        number = value.draw(range(len(x)), columns)
        return np.where(equal(number, x), 0.0, -np.inf)
    return np.full(len(x), -np.inf) if value.continuous else log_density(value, x, columns)


def _log_rest(value: Any, x: Array, columns: Mapping[str, Array]) -> Array:
    """Return the logarithm of the density of a component, −∞ where it is discrete."""
    if isinstance(value, By):
        return _of_branches(value, x, columns, _log_rest)
    discrete = is_given(value) or not value.continuous
    return np.full(len(x), -np.inf) if discrete else log_density(value, x, columns)


def _log_sum(logarithms: Array, weights: Array) -> Array:
    """Return the logarithm of the weighted sum of numbers, from theirs, of shape (parts, n)."""
    kept = logarithms[weights > 0.0] + _log(weights[weights > 0.0])[:, None]
    peak = np.max(kept, axis=0)
    with np.errstate(invalid="ignore"):
        parts = _exp(np.where(np.isfinite(peak), kept - peak, -np.inf))
    total = np.zeros(len(peak))
    for part in parts:  # in a fixed order
        total = total + part
    return np.where(np.isfinite(peak), peak + _log(np.maximum(total, 1.0)), peak)


# joint draws


def has_density(value: Any) -> bool:
    """Return whether the density of a value is known: of all but joint draws that are not listed here.

    A copula has one where all its columns are continuous; correlated ranks of discrete values have none in closed form.
    """
    if isinstance(value, Copula):
        return all(each.continuous for each in value.columns.values())
    return not isinstance(value, Joint) or type(value) in _JOINTS


def log_density_of_joint(value: Any, x: Mapping[str, NDArray]) -> Array:
    """Return the logarithm of the density of the columns of a joint draw, identifiers among them, float64[n]."""
    return _JOINTS[type(value)](value, x)


def _of_normal(value: MultivariateNormal, x: Mapping[str, NDArray]) -> Array:
    """Return −Σ z² / 2 − Σ log(Lᵢᵢ √(2π)), where L z = x − mean."""
    normals: list[Array] = []
    result: Array = np.zeros(len(x[value.columns[0]]))
    for name, mean, row in zip(
        value.columns, value.mean, triangle(value.covariance)[0], strict=True
    ):
        rest = x[name] - mean
        for factor, normal in zip(row, normals, strict=False):
            rest = rest - factor * normal
        normals.append(rest / row[-1])
        result = result - 0.5 * normals[-1] ** 2 - _log(row[-1]) - _LOG_ROOT_TAU
    return result


def _of_sobol(value: Sobol, x: Mapping[str, NDArray]) -> Array:
    """Return the sum of the densities of the columns, which are uniform together over the points of the sequence."""
    parts = [value.marginal(name).log_density(x[name]) for name in value.columns]
    return sum(parts[1:], start=parts[0])


def _of_copula(value: Copula, x: Mapping[str, NDArray]) -> Array:
    """Return Σ log pᵢ(xᵢ) + Σ z² / 2 − Σ y² / 2 − Σ log Lᵢᵢ, where L y = z and zᵢ is the normal with the rank of xᵢ.

    Source: Song 2000, Scand. J. Statist. 27, 305.
    """
    solved: list[Array] = []
    result: Array = np.zeros(len(next(iter(x.values()))))
    for name, row in zip(value.columns, triangle(value.correlation)[0], strict=True):
        marginal = value.marginal(name)
        normal = rest = _normal_quantile(_rank(marginal, x[name]))
        for factor, each in zip(row, solved, strict=False):
            rest = rest - factor * each
        solved.append(rest / row[-1])
        result = result + marginal.log_density(x[name]) - _log(row[-1])
        result = result + 0.5 * (normal**2 - solved[-1] ** 2)
    return result


def _rank(marginal: Distribution, x: Array) -> Array:
    """Return the fraction of all draws that lie below each value, by bisection of the quantile."""
    low, high = np.zeros(len(x)), np.ones(len(x))
    for _ in range(64):
        middle = 0.5 * (low + high)
        below = marginal.quantile(middle) < x
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.clip(0.5 * (low + high), 2.0**-54, 1 - 2.0**-53)


def _of_catalog(value: Catalog, x: Mapping[str, NDArray]) -> Array:
    """Return the logarithm of the share of the catalogue's rows that have all of these values."""
    known = _keys_of(value)
    names = [*value.columns, *value.identifier_names]
    keys = _keys([x[name] for name in names])
    found = np.searchsorted(known, keys, "right") - np.searchsorted(known, keys, "left")
    return _log(found / len(known))


@lru_cache(maxsize=4)
def _keys_of(catalog: Catalog) -> NDArray[np.uint64]:
    """Return the keys of a catalogue's rows, sorted."""
    rows = catalog.rows()
    found = rows.numbers | rows.identifiers
    return np.sort(_keys([found[name] for name in (*catalog.columns, *catalog.identifier_names)]))


def _keys(columns: list[NDArray]) -> NDArray[np.uint64]:
    """Return one number for each row of columns, equal where all values are; by chance once in 2⁶⁴ where not."""
    keys = np.zeros(len(columns[0]), np.uint64)
    for values in columns:
        words = (values + 0.0 if values.dtype.kind == "f" else values).view(np.uint64)
        keys = (keys ^ words) * _MIXER
        keys ^= keys >> np.uint64(32)
    return keys


_JOINTS: dict[type[Joint], Callable[[Any, Mapping[str, NDArray]], Array]] = {
    MultivariateNormal: _of_normal,
    Catalog: _of_catalog,
    Sobol: _of_sobol,
    Copula: _of_copula,
}
"""The densities of joint draws."""
