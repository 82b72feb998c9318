"""Cards by which notebooks show releases and catalogs: what manifests say, and pictures of a few samples."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from deepbench import notebook
from deepbench.errors import DeepBenchError
from deepbench.language.plain import FEW, some
from deepbench.panels import draw_row
from deepbench.words import bytes_text

if TYPE_CHECKING:
    from deepbench.format import Manifest, TableSummary
    from deepbench.release import Release

PICTURED = 6
"""Number of samples of a table, and of releases of a catalog, of which there are pictures."""

PICTURED_BYTES = 2**24
"""Largest size of the samples of a table that are read for a picture."""


def release_card(release: Release) -> str:
    """Return the HTML of a release; where its manifest cannot be read, of the reason."""
    try:
        made, warning = release.manifest, release.deprecation
    except DeepBenchError as error:
        return notebook.card(str(release), "", {}, notebook.note(str(error)))
    rows = [
        (name, each.kind, f"{each.samples:,}", *map(_counts, (each.classes, each.splits)))
        for name, each in made.tables.items()
    ]
    parts = [notebook.note(f"{release} {warning}")] if warning is not None else []
    parts.append(notebook.table(("table", "kind", "samples", "classes", "splits"), rows))
    parts += [_picture(release, name, PICTURED) for name in made.tables]
    return notebook.card(str(release), made.title, {**_facts(made), "in": release.path}, *parts)


def catalog_card(releases: Iterable[Release], root: str) -> str:
    """Return the HTML of a catalog: a line for each release, and a sample of each of the first ones."""
    rows: list[tuple[str, ...]] = []
    pictures: list[str] = []
    for release in releases:
        try:
            made = release.manifest
        except DeepBenchError as error:
            rows.append((str(release), str(error), "", "", "", ""))
            continue
        tables = [f"{name} ({each.samples:,})" for name, each in made.tables.items()]
        rows.append((str(release), made.title, some(tables, FEW), *_facts(made).values()))
        if len(pictures) < PICTURED:
            pictures.append(_picture(release, next(iter(made.tables)), 1))
    head = ("release", "title", "tables", "size", "created", "recipe")
    return notebook.card(
        f"{len(rows)} releases", "", {"in": root}, notebook.table(head, rows), *pictures
    )


def _facts(made: Manifest) -> dict[str, str]:
    """Return what a manifest says of all tables together."""
    return {
        "size": bytes_text(made.size),
        "created": made.created,
        "recipe": made.recipe_hash[:12],
    }


def _counts(counts: Mapping[str, int]) -> str:
    """Return how many samples there are of each class or split, in words."""
    return some([f"{name} {count:,}" for name, count in counts.items()], FEW)


def _picture(release: Release, table: str, most: int) -> str:
    """Return the HTML of the first samples of a table, fewer where they are large."""
    summary = release.manifest.tables[table]
    count = min(most, summary.samples, PICTURED_BYTES // _sample_bytes(summary))
    if not count:
        return ""
    try:
        with warnings.catch_warnings(action="ignore"):
            samples = [release.sample(table, index) for index in range(count)]
    except DeepBenchError as error:
        return notebook.note(str(error))
    words = f"{release}, {table}: samples from 0 to {count - 1}"
    return notebook.picture(draw_row(summary.kind, samples), words)


def _sample_bytes(summary: TableSummary) -> int:
    """Return the bytes of one sample of a table."""
    return sum(
        math.prod(each["shape"][1:]) * np.dtype(each["dtype"]).itemsize
        for each in summary.variables.values()
    )
