"""Releases in the formats of others: a file for each format, and its entry in ``EXPORTS``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepbench.errors import ExportError
from pipeline.export import (
    archive,
    arrays,
    fits_files,
    hugging_face,
    light_curves,
    long_form,
    numpy_files,
)
from pipeline.export.files import check_path, new_path
from pipeline.export.request import Request
from pipeline.export.selection import Selection
from pipeline.export.view import View
from pipeline.progress import Progress, silent

if TYPE_CHECKING:
    from deepbench.release import Release

SPLIT = "{split}"
"""Part of the name of a file that stands for the name of a split: then there is a file for each."""


@dataclass(frozen=True)
class Export:
    """A format that tables are exported to.

    Attributes
    ----------
    kinds : tuple of str
        Kinds of tables that it takes, as in ``deepbench.kinds.KINDS``; all when empty.
    endings : tuple of str
        Endings of its files, such as ``.nc``; ``/`` is that of a folder.
    write : callable
        Called with a ``Request``; writes a new file, and returns how much is in it: numbers by what is counted. Without
        them, the samples are counted.
    read : callable
        Called with the request when the file is written; reads it back, and raises ``ExportError`` when it is not what
        is in the release.
    several : bool
        Whether a file holds several tables.
    options : tuple of str
        Which of ``compress`` and ``preview`` it takes.
    """

    kinds: tuple[str, ...]
    endings: tuple[str, ...]
    write: Callable[[Request], dict[str, int] | None]
    read: Callable[[Request], None]
    several: bool = False
    options: tuple[str, ...] = ()


EXPORTS: dict[str, Export] = {
    "CF ragged arrays": Export(
        ("light_curve",), (".zarr", ".nc"), light_curves.write_ragged, light_curves.read_ragged
    ),
    "arrays": Export((), (".zarr", ".nc"), arrays.write_table, arrays.read_table),
    "HDF5": Export(
        (),
        (".h5", ".hdf5"),
        arrays.write_groups,
        arrays.read_groups,
        several=True,
        options=("compress",),
    ),
    "Hugging Face": Export(
        (),
        ("/",),
        hugging_face.write_folder,
        hugging_face.read_folder,
        several=True,
        options=("preview",),
    ),
    "archive": Export((), (".zip",), archive.write_archive, archive.read_archive, several=True),
    "FITS": Export((), (".fits",), fits_files.write_fits, fits_files.read_fits),
    "NumPy": Export(
        (), (".npz",), numpy_files.write_numpy, numpy_files.read_numpy, options=("compress",)
    ),
    "CSV in long form": Export(
        ("light_curve",), (".csv",), long_form.write_csv, long_form.read_csv
    ),
    "Parquet in long form": Export(
        ("light_curve",), (".parquet",), long_form.write_parquet, long_form.read_parquet
    ),
}
"""Formats by their name. The first one that takes a table and has the ending of the file is chosen."""


def export_table(
    release: Release,
    table: str | None,
    path: str,
    progress: Progress | None = None,
    *,
    selection: Selection | None = None,
    compress: bool = False,
    preview: bool = False,
    check: bool = True,
) -> dict[str, int]:
    """Write tables of a release into a new file, in the format that their kind and the ending of the file choose.

    Parameters
    ----------
    release : Release
    table : str, optional
        Without it, all tables where the format holds several that it takes, else the first one.
    path : str
        A local file; one that ends with ``/`` is a folder. The file is there whole or not at all.
    progress : callable, optional
        Called as ``progress(step, done, total)``.
    selection : Selection, optional
        Split, condition and labels; everything when absent.
    compress, preview : bool, optional
        See ``Request``.
    check : bool, optional
        Whether the file is read back and compared with the release before it gets its name.

    Returns
    -------
    dict of str to int
        Numbers of what is in the file, such as ``{"light curves": 20, "observations": 1680}``.

    Raises
    ------
    CatalogError
        There is no such table.
    ExportError
        No format takes its kind or has the ending; the selection is none, or nothing; the format cannot hold something;
        the file cannot be written, or is not what is in the release.
    ReleaseError
        A file of the release is missing or damaged.
    """
    names, chosen, ending = _choose(release, table, path)
    for option, wanted in (("compress", compress), ("preview", preview)):
        if wanted and option not in chosen.options:
            takers = _endings(each for each in EXPORTS.values() if option in each.options)
            raise ExportError(
                f"'{path}' takes no `{option}`; files that do end with {_words(takers)}"
            )
    check_path(path)
    views = tuple(View(release, name, selection) for name in names)
    with new_path(path) as partial:
        request = Request(views, partial, ending, compress, preview, progress or silent)
        made = chosen.write(request)
        if check:
            chosen.read(request)
    return made or {"samples": sum(view.samples for view in views)}


def paths_by_split(
    release: Release, table: str | None, path: str, selection: Selection
) -> dict[str, str]:
    """Return, for a path with ``SPLIT`` in it, that of each split that has chosen samples, by the name of the split.

    Raises
    ------
    ExportError
        As ``export_table``; one of the files exists, or a table has no sample of a split that another one has.
    """
    names, _, _ = _choose(release, table, path)
    parts = {name: View(release, name, selection).parts() for name in names}
    found = {split: path.replace(SPLIT, split) for each in parts.values() for split in each}
    for split, own in found.items():
        for name, each in parts.items():
            if split not in each:
                raise ExportError(
                    f"none of the chosen samples of '{name}' of {release} is in split '{split}', of which other tables "
                    "have some; export each table for itself, with `table`"
                )
        check_path(own)
    return found


def exported_tables(release: Release, table: str | None, path: str) -> list[str]:
    """Return the names of the tables that a file of this name would hold."""
    return _choose(release, table, path)[0]


def _choose(release: Release, table: str | None, path: str) -> tuple[list[str], Export, str]:
    """Return the tables that are exported, the format, and the ending of the file."""
    tables = release.manifest.tables
    files = tuple(ending for ending in _endings(EXPORTS.values()) if ending != "/")
    if path.endswith("/") and path.rstrip("/").endswith(files):
        raise ExportError(
            f"'{path}' would be a folder for Hugging Face, because of the slash at its end, with the name of another "
            "format: leave out the slash, or choose another name"
        )
    first = next(iter(tables)) if table is None else release.check_table(table)
    kind = tables[first].kind
    formats = [each for each in EXPORTS.values() if not each.kinds or kind in each.kinds]
    for each in formats:
        for ending in each.endings:
            if path.endswith(ending) and path.rstrip("/").rpartition("/")[2] != ending:
                names = [first]
                if each.several and table is None:
                    names = [
                        name for name in tables if not each.kinds or tables[name].kind in each.kinds
                    ]
                return names, each, ending
    others = _endings(each for each in EXPORTS.values() if each not in formats)
    if path.endswith(tuple(others)):
        kinds = [each.kinds for each in EXPORTS.values() if path.endswith(each.endings)]
        words = " and ".join(f"{name.replace('_', ' ')}s" for name in kinds[0])
        some = ", ".join(name for name, each in tables.items() if each.kind in kinds[0])
        raise ExportError(
            f"table '{first}' of {release} is of kind {kind}; '{path}' would hold {words}, and tables of {words} are: "
            f"{some or 'none'}. A table of kind {kind} goes into files that end with {_words(_endings(formats))}"
        )
    raise ExportError(f"'{path}' must end with {_words(_endings(formats))}")


def _endings(formats: Iterable[Export]) -> list[str]:
    return list(dict.fromkeys(ending for each in formats for ending in each.endings))


def _words(endings: list[str]) -> str:
    return " or ".join(", ".join(endings).rsplit(", ", 1))
