"""Joint draws of whole rows of a table in a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from deepbench.errors import LabelError
from deepbench.language.draws import Uniforms
from deepbench.language.functions import Array
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
from deepbench.language.joints.joint import MAX_COLUMNS, Columns, Joint
from deepbench.language.plain import show
from deepbench.language.specification import NAME_PATTERN, parameter, problem


def _form(data: Any) -> str:
    return "renamed" if isinstance(data, Mapping) else "names"


Names = Annotated[
    Annotated[Columns, Tag("names")]
    | Annotated[RenamedColumns, Field(max_length=MAX_COLUMNS), Tag("renamed")],
    Discriminator(_form),
]
"""Names of columns, or these by the names that they have in a recipe."""


class Catalog(FileSpecification, Joint):
    """Rows of a table in a file, with equal probability or one after another. Its SHA-256 identifies the file."""

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
    order: Literal["sequential", "shuffled"] | None = Field(
        None,
        description="each row once before any comes twice, in the order of the file or a random one; "
        "rows are drawn independently when absent",
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
    def indexed(self) -> bool:  # type: ignore[override]
        """Whether the row depends on the sample's number."""
        return self.order is not None

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
        return self._taken(lambda count: np.minimum((u[:, 0] * count).astype(np.int64), count - 1))

    def fill(self, uniforms: Uniforms) -> dict[str, NDArray]:
        """Return the rows of n draws; raises what ``draw`` does."""
        if self.order is None:
            return super().fill(uniforms)
        if self.order == "sequential":
            return self._taken(lambda count: uniforms.numbers % count)
        from deepbench.numerics.permutation import permuted

        key = uniforms.of_table(2)
        return self._taken(lambda count: permuted(uniforms.numbers % count, count, key))

    def _taken(self, choose: Callable[[int], NDArray[np.int64]]) -> dict[str, NDArray]:
        """Return rows of the file; ``choose`` gives their numbers from the number of all rows."""
        found = self.rows()
        rows = found.numbers | found.identifiers
        chosen = choose(len(next(iter(rows.values()))))
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
    if len(found) > MAX_COLUMNS:
        raise LabelError(
            f"{source.path} has {len(found):,} columns of numbers, of which {MAX_COLUMNS} can be drawn: "
            "list those that you need in `columns`"
        )
    return [name if re.fullmatch(NAME_PATTERN, name) else name.lower() for name in found]
