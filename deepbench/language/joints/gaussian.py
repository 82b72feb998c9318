"""Joint draws through correlated normals: the multivariate normal, and any distributions by a Gaussian copula."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepbench.language.functions import Array, mathfast
from deepbench.language.joints.joint import Columns, Joint, Marginals
from deepbench.language.plain import digits
from deepbench.language.specification import Number, parameter, problem

_normal_cdf, _normal_quantile = mathfast("normal_cdf"), mathfast("normal_quantile")

Matrix = tuple[tuple[float, ...], ...]


class MultivariateNormal(Joint):
    """Correlated Gaussian values."""

    columns: Annotated[Columns, Field(min_length=1)] = parameter("names of the columns")
    mean: tuple[Number, ...] = parameter("mean of each column", unit="")
    covariance: tuple[tuple[Number, ...], ...] = parameter(
        "symmetric and positive definite matrix", unit=""
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        size = len(self.columns)
        if len(self.mean) != size:
            raise problem(f"needs one mean for each of the {size} columns, not {len(self.mean)}")
        _check_symmetric(self.covariance, size, "covariance")
        bad = triangle(self.covariance)[1]
        if bad is not None:
            raise problem(
                "the covariance is not positive definite: the variance of "
                f"{self.columns[bad]!r} must be larger, or its covariances smaller"
            )
        return self

    @property
    def dimension(self) -> int:
        """The number of columns."""
        return len(self.columns)

    def draw(self, u: Array) -> dict[str, NDArray]:
        """Return mean + L z of unit normals z."""
        return dict(zip(self.columns, _correlated(u, self.covariance, self.mean), strict=True))


class Copula(Marginals):
    """Values of any distributions whose ranks are those of correlated normals: a Gaussian copula.

    ``correlation`` is that of the normals. Spearman's rank correlation of two columns is (6/π) asin(ρ/2), Kendall's
    (2/π) asin(ρ) (Kruskal 1958, J. Am. Stat. Assoc. 53, 814).
    """

    correlation: tuple[tuple[Number, ...], ...] = parameter(
        "correlation of the normals: symmetric and positive definite, 1 on the diagonal", unit=""
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = list(self.columns)
        if len(names) < 2:
            raise problem(f"needs two or more columns, not {names[0]!r} alone")
        _check_symmetric(self.correlation, len(names), "correlation")
        for i, name in enumerate(names):
            if self.correlation[i][i] != 1:
                raise problem(
                    f"the correlation of {name!r} with itself is 1, not {digits(self.correlation[i][i])}; "
                    "a covariance is for multivariate_normal"
                )
        for i, j in combinations(range(len(names)), 2):
            if abs(self.correlation[i][j]) > 1:
                raise problem(
                    f"the correlation of {names[i]!r} and {names[j]!r} must be from -1 to 1, "
                    f"not {digits(self.correlation[i][j])}"
                )
        bad = triangle(self.correlation)[1]
        if bad is not None:
            others = ", ".join(map(repr, names[:bad]))
            raise problem(
                f"the correlation is not positive definite: those of {names[bad]!r} with {others} contradict "
                "each other, or one column is a function of the others; make them smaller"
            )
        return self

    def draw(self, u: Array) -> dict[str, NDArray]:
        """Return the quantiles of Φ(L z) of unit normals z."""
        normals = _correlated(u, self.correlation, (0.0,) * self.dimension)
        return super().draw(_normal_cdf(np.stack(normals, axis=1)))


def _check_symmetric(matrix: Matrix, size: int, what: str) -> None:
    """Refuse a matrix of another size, and one that is not symmetric."""
    if [len(row) for row in matrix] != [size] * size:
        raise problem(f"the {what} of {size} columns must be {size} lists of {size} numbers")
    for i, j in combinations(range(size), 2):
        above, below = matrix[i][j], matrix[j][i]
        if above != below:
            where = f"row {i}, column {j} is {above:g}, row {j}, column {i} is {below:g}"
            raise problem(f"the {what} is not symmetric: {where}")


@lru_cache(maxsize=16)
def triangle(matrix: Matrix) -> tuple[Matrix, int | None]:
    """Return the lower triangle L with L Lᵀ = matrix, in a fixed order of operations (Cholesky).

    Returns
    -------
    rows : tuple of tuple of float
        Row i has i + 1 numbers; only those above the bad row where there is one.
    bad : int or None
        The first row at which the matrix is not positive definite.
    """
    rows: list[tuple[float, ...]] = []
    for i, given in enumerate(matrix):
        row: list[float] = []
        for j in range(i):
            rest = given[j] - sum(row[k] * rows[j][k] for k in range(j))
            row.append(rest / rows[j][j])
        rest = given[i] - sum(value * value for value in row)
        if not 1e-12 * given[i] < rest < math.inf:
            return tuple(rows), i
        rows.append((*row, math.sqrt(rest)))
    return tuple(rows), None


def _correlated(u: Array, matrix: Matrix, means: tuple[float, ...]) -> list[Array]:
    """Return normals of these means and this covariance, float64[n] each, from uniforms float64[n, columns]."""
    normals = _normal_quantile(np.clip(u, 2.0**-54, 1 - 2.0**-53))
    drawn = []
    for mean, row in zip(means, triangle(matrix)[0], strict=True):
        values = np.full(len(u), mean)
        for column, factor in enumerate(row):
            values = values + factor * normals[:, column]
        drawn.append(values)
    return drawn
