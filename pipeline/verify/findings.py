"""The subject of the checks, and the findings of what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from deepbench import format as fmt
from deepbench.stored_recipe import read_recipe
from pipeline import encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepbench.recipe import Recipe
    from deepbench.storage.locations import Location
    from deepbench.tables import Table

NAMED = 10
"""Number of samples that a finding names at most."""

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pa.ArrowException,
)
"""Errors that decoders raise about damaged files: those of Zarr, Parquet, CSV and JSON have none in common."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a release.

    Attributes
    ----------
    check : str
        Which check found it.
    message : str
    file, table : str
        Where; empty where it is not in one.
    samples : tuple of int
        The first samples that it concerns.
    count : int
        Number of samples that it concerns.
    note : bool
        It is as the recipe has it: nothing is damaged, but somebody may want to know.
    """

    check: str
    message: str
    file: str = ""
    table: str = ""
    samples: tuple[int, ...] = ()
    count: int = 0
    note: bool = False

    @classmethod
    def of_samples(
        cls, check: str, message: str, samples: Sequence[int], *, file: str = "", table: str = ""
    ) -> Finding:
        """Return a finding about samples, of which the first are named."""
        first = tuple(int(sample) for sample in samples[:NAMED])
        return cls(check, message, file, table, first, len(samples))

    def __str__(self) -> str:
        parts = [self.check]
        if self.table:
            parts.append(f"table '{self.table}'")
        if self.count:
            more = f" and {self.count - len(self.samples):,} more"
            named = ", ".join(map(str, self.samples))
            parts.append(
                f"{'sample' if self.count == 1 else 'samples'} {named}"
                + (more if self.count > len(self.samples) else "")
            )
        if self.file:
            parts.append(self.file)
        return ": ".join([*parts, self.message])


@dataclass(frozen=True)
class Subject:
    """A release that is checked; workers get nothing more of it.

    Attributes
    ----------
    location : Location
    recipe_sha256 : str
        SHA-256 of its recipe: workers keep recipes that they have read.
    render_version : int
        By its manifest.
    elsewhere : bool
        It was made on another kind of machine: values of every table may differ by rounding.
    format_version : int
        By its manifest.
    """

    location: Location
    recipe_sha256: str
    render_version: int = fmt.RENDER_VERSION
    elsewhere: bool = False
    format_version: int = fmt.FORMAT_VERSION

    def may_differ(self, table: Table[Any]) -> bool:
        """Return whether values of a table that are rendered again may differ by rounding."""
        return table.tolerance or self.elsewhere

    def recipe(self) -> Recipe:
        """Return its recipe."""
        return _recipe(self)

    def table(self, name: str) -> Table[Any]:
        """Return one table of its recipe."""
        return self.recipe().table(name)

    def template(self) -> dict[str, bytes]:
        """Return the metadata that its Zarr store must have."""
        return _template(self)


@lru_cache(maxsize=4)
def _recipe(subject: Subject) -> Recipe:
    return read_recipe(subject.location)


@lru_cache(maxsize=4)
def _template(subject: Subject) -> dict[str, bytes]:
    return encoding.template(subject.recipe(), subject.render_version, subject.format_version)
