"""Tables of releases in the formats of others: a file for each format, and its entry in ``EXPORTS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepbench.errors import ExportError
from pipeline.export.light_curves import export_light_curves
from pipeline.progress import Progress, silent

if TYPE_CHECKING:
    from deepbench.catalog import Release


@dataclass(frozen=True)
class Export:
    """A format that tables are exported to.

    Attributes
    ----------
    kinds : tuple of str
        Kinds of tables that it takes, as in ``deepbench.kinds.KINDS``.
    endings : tuple of str
        Endings of its files, such as ``.nc``.
    write : callable
        Called as ``write(release, table, path, progress)``; writes a new file, and returns how much is in it: numbers
        by what is counted.
    """

    kinds: tuple[str, ...]
    endings: tuple[str, ...]
    write: Callable[[Release, str, str, Progress], dict[str, int]]


EXPORTS: dict[str, Export] = {
    "CF ragged arrays": Export(("light_curve",), (".zarr", ".nc"), export_light_curves),
}
"""Formats by their name. The first one that takes a table and has the ending of the file is chosen."""


def export_table(
    release: Release, table: str, path: str, progress: Progress | None = None
) -> dict[str, int]:
    """Write a table of a release into a new file, in the format that its kind and the ending of the file choose.

    Parameters
    ----------
    release : Release
    table : str
    path : str
        A local file.
    progress : callable, optional
        Called as ``progress(step, done, total)``.

    Returns
    -------
    dict of str to int
        Numbers of what is in the file, such as ``{"light curves": 20, "observations": 1680}``.

    Raises
    ------
    CatalogError
        There is no such table.
    ExportError
        No format takes its kind or has the ending, or the file cannot be written.
    ReleaseError
        A file of the release is missing or damaged.
    """
    tables = release.manifest.tables
    kind = tables[release.check_table(table)].kind
    formats = [each for each in EXPORTS.values() if kind in each.kinds]
    if not formats:
        kinds = list(dict.fromkeys(name for each in EXPORTS.values() for name in each.kinds))
        words = " and ".join(f"{name.replace('_', ' ')}s" for name in kinds)
        some = ", ".join(name for name, each in tables.items() if each.kind in kinds)
        raise ExportError(
            f"table '{table}' of {release} is of kind {kind}; only {words} are exported, and "
            f"tables of {words} are: {some or 'none'}"
        )
    for each in formats:
        if Path(path).suffix in each.endings:
            return each.write(release, table, path, progress or silent)
    endings = dict.fromkeys(ending for each in formats for ending in each.endings)
    raise ExportError(f"'{path}' must end with {' or '.join(endings)}")
