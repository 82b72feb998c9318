"""Joint draws: several columns whose values belong together."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from deepbench.errors import LabelError
from deepbench.language.draws import Uniforms
from deepbench.language.functions import Array, mathfast
from deepbench.language.inputs.files import FileName, FileSpecification, Sha256
from deepbench.language.inputs.tables import Columns as FileColumns
from deepbench.language.inputs.tables import (
    RenamedColumns,
    Source,
    Wanted,
    columns_of,
    is_renaming,
    listed,
    numeric_columns,
    table_in,
)
from deepbench.language.plain import show
from deepbench.language.specification import (
    NAME_PATTERN,
    Name,
    Number,
    Specification,
    parameter,
    problem,
)

_MAX_COLUMNS = 64

_normal_quantile = mathfast("normal_quantile")

Columns = Annotated[tuple[Name, ...], Field(max_length=_MAX_COLUMNS)]


class Joint(Specification):
    """Base of all joint draws.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns that one draw fills.
    tolerance : bool
        Whether the values may differ by rounding between computers.
    """

    tolerance: ClassVar[bool] = False

    columns: Columns

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
        if [len(row) for row in self.covariance] != [size] * size:
            raise problem(
                f"the covariance of {size} columns must be {size} lists of {size} numbers"
            )
        for i, j in combinations(range(size), 2):
            above, below = self.covariance[i][j], self.covariance[j][i]
            if above != below:
                where = f"row {i}, column {j} is {above:g}, row {j}, column {i} is {below:g}"
                raise problem(f"the covariance is not symmetric: {where}")
        self._cholesky()
        return self

    @property
    def dimension(self) -> int:
        """The number of columns."""
        return len(self.columns)

    def _cholesky(self) -> list[list[float]]:
        """Return the lower triangle L with L L^T = covariance, in a fixed order of operations."""
        rows: list[list[float]] = []
        for i, covariances in enumerate(self.covariance):
            row: list[float] = []
            for j in range(i):
                rest = covariances[j] - sum(row[k] * rows[j][k] for k in range(j))
                row.append(rest / rows[j][j])
            rest = covariances[i] - sum(value * value for value in row)
            if not 1e-12 * covariances[i] < rest < math.inf:
                raise problem(
                    "the covariance is not positive definite: the variance of "
                    f"{self.columns[i]!r} must be larger, or its covariances smaller"
                )
            rows.append([*row, math.sqrt(rest)])
        return rows

    def draw(self, u: Array) -> dict[str, NDArray]:
        """Return mean + L z of unit normals z."""
        normals = _normal_quantile(np.clip(u, 2.0**-54, 1 - 2.0**-53))
        drawn = {}
        for name, mean, row in zip(self.columns, self.mean, self._cholesky(), strict=True):
            values = np.full(len(u), mean)
            for column, factor in enumerate(row):
                values = values + factor * normals[:, column]
            drawn[name] = values
        return drawn


def _form(data: Any) -> str:
    return "renamed" if isinstance(data, Mapping) else "names"


Names = Annotated[
    Annotated[Columns, Tag("names")]
    | Annotated[RenamedColumns, Field(max_length=_MAX_COLUMNS), Tag("renamed")],
    Discriminator(_form),
]
"""Names of columns, or these by the names that they have in a recipe."""


class Catalog(FileSpecification, Joint):
    """Rows of a table in a file, all with equal probability. The file is identified by its SHA-256."""

    what: ClassVar[str] = "catalog"
    most: ClassVar[int] = 2**28

    file: FileName = parameter("table of a catalogue, from the folder of the recipe")
    columns: Names = parameter(  # type: ignore[assignment]
        "columns to draw, or {name: column of the file}; all numeric ones when absent", default=()
    )
    sha256: Sha256 = parameter("SHA-256 of the file; filled in when absent", default="")
    identifiers: Names | None = parameter(
        "columns of whole numbers that tell objects apart, up to 2**63 − 1; no expression can use them",
        default=None,
    )

    @classmethod
    def completed(cls, data: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return what a recipe says with the columns filled in."""
        names = data.get("identifiers")
        if data.get("columns") or not (names is None or _is_names(names)):
            return data
        source = Source(path, cls.what, cls.most)
        return {**data, "columns": _numeric(source, data["sha256"], names)}

    @field_validator("columns", "identifiers", mode="before")
    @classmethod
    def _of_recipes(cls, names: Any) -> Any:
        """Refuse names that no recipe can have, and say how to give a column one."""
        for name in names if _is_names(names) else ():
            if not re.fullmatch(NAME_PATTERN, name):
                raise problem(
                    f"{show(name)} cannot be a name in a recipe, which must match {NAME_PATTERN}; "
                    f"give the column one, such as {{{_lowered(name)}: {show(name)}}}"
                )
        return names

    @field_validator("identifiers")
    @classmethod
    def _other_names(cls, names: Any, info: ValidationInfo) -> Any:
        both = [name for name in names or () if name in info.data.get("columns", ())]
        if both:
            raise problem(f"{both[0]!r} stands in `columns` and in `identifiers`; give it once")
        return names

    @property
    def dimension(self) -> int:
        """One: the number of the row."""
        return 1

    @property
    def identifier_names(self) -> tuple[str, ...]:
        """Names of the identifiers."""
        return tuple(self.identifiers or ())

    def rows(self) -> FileColumns:
        """Return its columns; raises LabelError where the file has changed or cannot be used."""
        source = Source(self._path, self.what, self.most, self.is_kept)
        return _columns(source, self.sha256, _wanted(self.columns, self.identifiers))

    def check_file(self) -> None:
        """Check the rows; raises LabelError where they cannot be drawn."""
        rounded = self.rows().rounded
        if rounded and not self.is_kept:
            raise LabelError(rounded)

    def draw(self, u: Array) -> dict[str, NDArray]:
        """Return the row number floor(u rows), counted from 0.

        Raises
        ------
        LabelError
            If the file is no longer what it was when the recipe was read.
        """
        found = self.rows()
        rows = found.numbers | found.identifiers
        count = len(next(iter(rows.values())))
        chosen = np.minimum((u[:, 0] * count).astype(np.int64), count - 1)
        return {name: values[chosen] for name, values in rows.items()}


_columns = lru_cache(maxsize=4)(columns_of)


def _is_names(data: Any) -> bool:
    """Return whether data of a recipe are names of columns, or columns by their names."""
    listed = isinstance(data, list | tuple) and all(isinstance(name, str) for name in data)
    return listed or is_renaming(data)


def _wanted(columns: Any, identifiers: Any) -> tuple[Wanted, ...]:
    """Return what is asked for of a file, as ``columns`` and ``identifiers`` say it."""

    def each(names: Any, kind: Literal["number", "identifier"]) -> list[Wanted]:
        named = names if isinstance(names, Mapping) else dict(zip(names, names, strict=True))
        return [Wanted(name, column, kind) for name, column in named.items()]

    return (*each(columns, "number"), *each(identifiers or (), "identifier"))


def _lowered(name: str) -> str:
    """Return a name that a recipe may have, like another one."""
    return re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_0123456789")[:60] or "column"


def _numeric(source: Source, sha256: str, identifiers: Any) -> list[str]:
    """Return names of all columns of numbers that are no identifiers, in lower case where they must be."""
    taken = [each.column.lower() for each in _wanted((), identifiers)]
    found = [name for name in numeric_columns(source, sha256) if name.lower() not in taken]
    if not found and not taken:
        with table_in(source, sha256) as table:
            raise LabelError(
                f"{source.path} has no column of numbers; its columns: {listed(table.names)}"
            )
    if len(found) > _MAX_COLUMNS:
        raise LabelError(
            f"{source.path} has {len(found):,} columns of numbers, of which {_MAX_COLUMNS} can be drawn: "
            "list those that you need in `columns`"
        )
    return [name if re.fullmatch(NAME_PATTERN, name) else name.lower() for name in found]


JOINTS: dict[str, type[Joint]] = {"multivariate_normal": MultivariateNormal, "catalog": Catalog}
"""The joint draws by the names that recipes use."""
