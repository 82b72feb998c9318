"""The base of joint draws, and of those whose columns have distributions of their own."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Self

from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from deepbench.language.distribution import Distribution
from deepbench.language.distributions import DISTRIBUTIONS
from deepbench.language.draws import Uniforms
from deepbench.language.functions import Array
from deepbench.language.ordered import IN_ORDER, Ordered
from deepbench.language.specification import Name, Named, Specification, parameter, problem

MAX_COLUMNS = 64
"""Largest number of columns of a joint draw."""

Columns = Annotated[tuple[Name, ...], Field(max_length=MAX_COLUMNS)]


class Joint(Specification):
    """Base of all joint draws.

    Attributes
    ----------
    columns : tuple or mapping of str
        Names of the columns that one draw fills.
    indexed : bool
        Whether the draw depends on the sample's number, not on random numbers of the sample's own. Such a draw is for
        variables of a table, and another attempt at a sample cannot change it.
    """

    indexed: ClassVar[bool] = False

    columns: Columns

    @property
    def tolerance(self) -> bool:
        """Whether the values may differ by rounding between computers."""
        return False

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Number of uniform random numbers that one draw takes."""

    @abstractmethod
    def draw(self, u: Array) -> dict[str, NDArray]:
        """Return the values of each column, identifiers last.

        Parameters
        ----------
        u : float64 array, shape (n, dimension)
            Uniform random numbers between 0 and 1.

        Returns
        -------
        dict of str to float64 array, shape (n,)
            Those of identifiers are int64.
        """

    def fill(self, uniforms: Uniforms) -> dict[str, NDArray]:
        """Return the values of each column for n draws, identifiers last."""
        return self.draw(uniforms.several(self.dimension))

    def marginal(self, column: str) -> Distribution | None:
        """Return the distribution of one column, None where it is not known."""
        return None

    @property
    def identifier_names(self) -> tuple[str, ...]:
        """Names of further columns: identifiers, int64, which no expression can use."""
        return ()

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        names = list(self.columns)
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise problem(f"the column {twice[0]!r} is named twice")
        return self


AnyDistribution = Annotated[Distribution, Named(DISTRIBUTIONS, "distribution")]


class Marginals(Joint):
    """Base of the joint draws whose columns have distributions of their own, in an order that has a meaning."""

    columns: Annotated[
        dict[Name, AnyDistribution],
        Field(min_length=1, max_length=MAX_COLUMNS),
        AfterValidator(Ordered),
        IN_ORDER,
    ] = parameter("distribution of each column, by its name", unit="")  # type: ignore[assignment]

    @property
    def tolerance(self) -> bool:
        """Whether the values may differ by rounding between computers."""
        return any(distribution.tolerance for distribution in self.columns.values())

    @property
    def dimension(self) -> int:
        """The number of columns."""
        return len(self.columns)

    def marginal(self, column: str) -> Distribution:
        """Return the distribution of one column."""
        return self.columns[column]

    def draw(self, u: Array) -> dict[str, NDArray]:
        """Return the quantiles of ``u``, float64[n, dimension], column by column."""
        return {
            name: distribution.quantile(u[:, number])
            for number, (name, distribution) in enumerate(self.columns.items())
        }
