"""Differences between two versions of a dataset, and how large a step of the version they need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

LEVELS = ("none", "patch", "minor", "major")
"""Steps of the version, the smallest first."""

SHOWN = 3
"""Number of columns, or reasons, that a sentence names."""


class Row(NamedTuple):
    """One line about a change: the step of the version that it needs, its table if any, what changed, and how."""

    level: str
    table: str
    what: str
    change: str

    def __str__(self) -> str:
        table = f"table '{self.table}'" if self.table else ""
        return f"{', '.join(part for part in (table, self.what) if part)} {self.change}"


@dataclass(frozen=True)
class Changed:
    """The count of samples that differ, and the number of the first one."""

    count: int
    first: int


@dataclass(frozen=True)
class SchemaDifference:
    """The changes of a set of columns or variables.

    Attributes
    ----------
    added, removed : tuple of str
    extended : tuple of str
        Columns of names that have further meanings, all codes of the earlier ones kept.
    changed : dict of str to str
        Changes of the others, in words.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    extended: tuple[str, ...] = ()
    changed: dict[str, str] = field(default_factory=dict)

    @property
    def level(self) -> str:
        """The smallest step of the version that allows it."""
        if self.removed or self.changed:
            return "major"
        return "minor" if self.added or self.extended else "none"

    def rows(self, table: str, kind: str) -> Iterator[Row]:
        """Yield a line for each change; ``kind`` says what these are."""
        for name in self.removed:
            yield Row("major", table, f"{kind} {name}", "is removed")
        for name, how in self.changed.items():
            yield Row("major", table, f"{kind} {name}", f"has another {how}")
        for name in self.added:
            yield Row("minor", table, f"{kind} {name}", "is new")
        for name in self.extended:
            yield Row("minor", table, f"{kind} {name}", "has further meanings")


@dataclass(frozen=True)
class TableDifference:
    """The changes of a table.

    Attributes
    ----------
    before, after : int
        Numbers of samples.
    compared : int
        Number of samples that were looked at; all that both have, in a full comparison.
    variables, columns, object_columns : SchemaDifference
        Data variables, label columns, and columns of the table of repeated objects.
    changed : Changed, optional
        The samples that differ in anything; None when there are none.
    parameters : dict of str to Changed
        The samples that differ in a label column; columns of the table of objects are called ``objects/<column>``, and
        ``objects/sample`` stands for the number of copies.
    pixels : dict of str to Changed
        The samples that differ in a data variable.
    inconsistent : bool
        Whether the two differ although recipe and rendering are the same, which must not be.
    """

    before: int
    after: int
    compared: int
    variables: SchemaDifference = SchemaDifference()
    columns: SchemaDifference = SchemaDifference()
    object_columns: SchemaDifference = SchemaDifference()
    changed: Changed | None = None
    parameters: dict[str, Changed] = field(default_factory=dict)
    pixels: dict[str, Changed] = field(default_factory=dict)
    inconsistent: bool = False

    @property
    def schemas(self) -> dict[str, SchemaDifference]:
        """The changes of its schema, by what they are changes of."""
        return {
            "variable": self.variables,
            "column": self.columns,
            "column of objects": self.object_columns,
        }

    def reasons(self, table: str) -> Iterator[Row]:
        """Yield a line for all changed samples, and one for each change of the schema."""
        if self.changed is not None:
            where = self._where(self.changed)
            yield Row("major", table, f"sample {self.changed.first}", f"differs in {where}")
        if self.after != self.before:
            level = "minor" if self.after > self.before else "major"
            yield Row(level, table, "samples", f"{self.before:,} → {self.after:,}")
        for kind, schema in self.schemas.items():
            yield from schema.rows(table, kind)

    def _where(self, changed: Changed) -> str:
        """Return in what the first changed sample differs, and how many there are."""
        names = [name for name, each in self.parameters.items() if each.first == changed.first]
        names = names or [
            f"the values of {name}"
            for name, each in self.pixels.items()
            if each.first == changed.first
        ]
        shown = ", ".join(names[:SHOWN])
        if len(names) > SHOWN:
            shown += f" and {len(names) - SHOWN} more"
        one = changed.count == 1
        many = "the only changed sample" if one else f"first of {changed.count:,} changed samples"
        partly = self.compared < min(self.before, self.after)
        among = f" among {self.compared:,} compared" if partly else ""
        return f"{shown} ({many}{among})"

    def details(self, table: str) -> Iterator[Row]:
        """Yield a line for each column and data variable in which samples differ."""
        for name, each in self.parameters.items():
            yield Row("major", table, name, _count(each))
        for name, each in self.pixels.items():
            yield Row("major", table, f"values of {name}", _count(each))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        data = asdict(self)
        return {"samples": {"before": data.pop("before"), "after": data.pop("after")}} | data


def _count(changed: Changed) -> str:
    samples = "sample" if changed.count == 1 else "samples"
    return f"differs in {changed.count:,} {samples}, first {changed.first}"


@dataclass(frozen=True)
class Difference:
    """The changes of a dataset.

    Attributes
    ----------
    words : tuple of str
        Which of title, description, licence, authors, references, keywords, address and DOI changed.
    storage, recipe, rendering : bool
        Whether the layout on disk, what the recipe says of the data, and the version of rendering changed. By
        themselves they change no value.
    added, removed : tuple of str
        Names of tables.
    tables : dict of str to TableDifference
        Changes of the tables that both have.
    """

    words: tuple[str, ...] = ()
    storage: bool = False
    recipe: bool = False
    rendering: bool = False
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    tables: dict[str, TableDifference] = field(default_factory=dict)

    @property
    def level(self) -> str:
        """The smallest step of the version that allows it.

        ``none`` when nothing changed; ``patch`` for words and storage; ``minor`` when samples, tables, variables or
        columns were added and everything earlier is identical; ``major`` for anything else.
        """
        return max((row.level for row in self.reasons()), key=LEVELS.index, default="none")

    @property
    def inconsistent(self) -> tuple[str, ...]:
        """The tables that differ although recipe and rendering are the same."""
        return tuple(name for name, table in self.tables.items() if table.inconsistent)

    def reasons(self, above: str = "none") -> Iterator[Row]:
        """Yield a line for each change that needs a larger step than ``above``, changed samples first in each table."""
        found = [Row("patch", "", name, "changed") for name in self._unseen()]
        for name, table in self.tables.items():
            found += table.reasons(name)
        found += [Row("major", name, "", "is removed") for name in self.removed]
        found += [Row("minor", name, "", "is new") for name in self.added]
        return (row for row in found if LEVELS.index(row.level) > LEVELS.index(above))

    def _unseen(self) -> list[str]:
        """Return what changed although no value shows it."""
        flags = {"storage": self.storage, "recipe": self.recipe, "rendering": self.rendering}
        return [*self.words, *(name for name, changed in flags.items() if changed)]

    def rows(self) -> list[tuple[str, str, str]]:
        """Return table, what changed and how, for printing."""
        found = list(self.reasons())
        for name, table in self.tables.items():
            found += table.details(name)
        return [(row.table, row.what, row.change) for row in found]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "level": self.level,
            "words": self.words,
            "storage": self.storage,
            "recipe": self.recipe,
            "rendering": self.rendering,
            "tables_added": self.added,
            "tables_removed": self.removed,
            "tables": {name: table.to_json() for name, table in self.tables.items()},
        }
