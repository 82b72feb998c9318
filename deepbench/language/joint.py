"""Joint draws: several columns whose values belong together."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from deepbench.errors import LabelError
from deepbench.language.functions import Array, mathfast
from deepbench.language.inputs.files import FileName, FileSpecification, Sha256, check_unchanged
from deepbench.language.plain import show, unknown
from deepbench.language.specification import (
    NAME_PATTERN,
    Name,
    Number,
    Specification,
    parameter,
    problem,
)

if TYPE_CHECKING:
    import pyarrow

MAX_CATALOG_BYTES = 2**28
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
    def draw(self, u: Array) -> dict[str, Array]:
        """Return the values of each column.

        Parameters
        ----------
        u : float64 array, shape (n, dimension)
            Uniform random numbers between 0 and 1.

        Returns
        -------
        dict of str to float64 array, shape (n,)
        """

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        twice = [name for name in self.columns if self.columns.count(name) > 1]
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

    def draw(self, u: Array) -> dict[str, Array]:
        """Return mean + L z of unit normals z."""
        normals = _normal_quantile(np.clip(u, 2.0**-54, 1 - 2.0**-53))
        drawn = {}
        for name, mean, row in zip(self.columns, self.mean, self._cholesky(), strict=True):
            values = np.full(len(u), mean)
            for column, factor in enumerate(row):
                values = values + factor * normals[:, column]
            drawn[name] = values
        return drawn


class Catalog(FileSpecification, Joint):
    """Rows of a file, all with equal probability. The file is identified by its SHA-256."""

    what: ClassVar[str] = "catalog"
    most: ClassVar[int] = MAX_CATALOG_BYTES

    file: FileName = parameter("CSV or Parquet file, from the folder of the recipe")
    columns: Columns = parameter("columns to draw; all numeric ones when absent", default=())
    sha256: Sha256 = parameter("SHA-256 of the file; filled in when absent", default="")

    @classmethod
    def completed(cls, data: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return what a recipe says with the columns filled in, and check the rows."""
        columns = data.get("columns") or _numeric_columns(path, data["sha256"])
        if isinstance(columns, list | tuple) and all(isinstance(name, str) for name in columns):
            _rows(path, data["sha256"], tuple(columns))
        return {**data, "columns": columns}

    def check_file(self) -> None:
        """Check the rows; raises LabelError where they cannot be drawn."""
        _rows(self._path, self.sha256, self.columns)

    @property
    def dimension(self) -> int:
        """One: the number of the row."""
        return 1

    def draw(self, u: Array) -> dict[str, Array]:
        """Return the row number floor(u rows), counted from 0.

        Raises
        ------
        LabelError
            If the file is no longer what it was when the recipe was read.
        """
        rows = _rows(self._path, self.sha256, self.columns)
        count = len(rows[self.columns[0]])
        chosen = np.minimum((u[:, 0] * count).astype(np.int64), count - 1)
        return {name: rows[name][chosen] for name in self.columns}


@lru_cache(maxsize=4)
def _table(path: Path, sha256: str) -> pyarrow.Table:
    """Return the table in a file whose content has a given SHA-256."""
    import pyarrow
    from pyarrow import csv, parquet

    content = Catalog.content(path)
    check_unchanged(path, content, sha256)
    readers = {".csv": csv.read_csv, ".parquet": parquet.read_table}
    if path.suffix not in readers:
        raise LabelError(f"{path} must be a .csv or a .parquet file")
    try:
        table = readers[path.suffix](pyarrow.BufferReader(content))
    except pyarrow.ArrowException as error:
        raise LabelError(f"{path} is not a {path.suffix[1:]} file: {error}") from error
    if not table.num_rows:
        raise LabelError(f"{path} has no rows")
    return table


def _is_numeric(column: pyarrow.ChunkedArray) -> bool:
    import pyarrow

    return pyarrow.types.is_integer(column.type) or pyarrow.types.is_floating(column.type)


def _numeric_columns(path: Path, sha256: str) -> tuple[str, ...]:
    table = _table(path, sha256)
    names = tuple(name for name in table.column_names if _is_numeric(table[name]))
    if not names:
        raise LabelError(
            f"{path} has no column of numbers; its columns: {', '.join(table.column_names)}"
        )
    return names


@lru_cache(maxsize=4)
def _rows(path: Path, sha256: str, columns: tuple[str, ...]) -> dict[str, Array]:
    """Return columns of a file as read-only float64 arrays, all of them finite."""
    table = _table(path, sha256)
    rows = {}
    for name in columns:
        if name not in table.column_names:
            raise LabelError(unknown(f"column of {path.name}", name, table.column_names))
        if not re.fullmatch(NAME_PATTERN, name):
            advice = f"must match {NAME_PATTERN}; rename it, or list others in columns"
            raise LabelError(f"column {show(name)} of {path.name} {advice}")
        rows[name] = _numbers(table[name], f"column {name!r} of {path.name}")
    return rows


def _numbers(column: pyarrow.ChunkedArray, what: str) -> Array:
    if _is_numeric(column):
        values = column.cast("float64", safe=False).to_numpy()
        bad = ~np.isfinite(values)
    else:
        values = np.zeros(len(column))
        bad = np.array([not _is_number(cell) for cell in column.to_pylist()])
    if bad.any():
        row = int(np.argmax(bad))
        raise LabelError(
            f"{what} must hold finite numbers, but row {row + 1} is {show(column[row].as_py())}"
        )
    if not _is_numeric(column):
        raise LabelError(f"{what} must hold numbers, not {column.type}")
    values.flags.writeable = False
    return values


def _is_number(cell: Any) -> bool:
    try:
        return math.isfinite(float(cell))
    except (TypeError, ValueError):
        return False


JOINTS: dict[str, type[Joint]] = {"multivariate_normal": MultivariateNormal, "catalog": Catalog}
"""The joint draws by the names that recipes use."""
