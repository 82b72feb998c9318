"""A whole release as a zip archive that is read in place: its files as they are, not compressed, in one order.

The archive is a catalog: ``deepbench.open("shapes-1.0.0.zip")`` reads it, and it unpacks into one.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from deepbench import format as fmt
from deepbench.errors import ExportError, ReleaseError
from deepbench.storage.damage import reading
from deepbench.storage.locations import Archive
from pipeline.export.checks import READING
from pipeline.export.selection import Selection

if TYPE_CHECKING:
    from deepbench.release import Release
    from pipeline.export.request import Request

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of all files in an archive: the same release is the same archive."""

PIECE = 2**20
"""Bytes that are copied at a time."""


def write_archive(request: Request) -> dict[str, int]:
    """Write the files of a release; return their number.

    Raises
    ------
    ExportError
        A part of it was chosen.
    ReleaseError
        A file is missing.
    """
    release = request.views[0].release
    tables = {view.name for view in request.views}
    if tables != set(release.manifest.tables) or any(
        view.selection != Selection() for view in request.views
    ):
        raise ExportError(
            "an archive (.zip) holds a whole release, no choice of tables, samples or labels; export HDF5 (.h5), or a "
            "folder of Parquet (a name that ends with /)"
        )
    names = _names(release)
    with zipfile.ZipFile(request.path, "w", zipfile.ZIP_STORED) as archive:
        for done, name in enumerate(names, start=1):
            entry = zipfile.ZipInfo(f"{release.name}/{release.version}/{name}", EPOCH)
            entry.external_attr = 0o444 << 16
            with archive.open(entry, "w", force_zip64=True) as copy:
                for piece in _pieces(release, name):
                    copy.write(piece)
            request.report("packing", done, len(names))
    return {"files": len(names)}


def read_archive(request: Request) -> None:
    """Compare the files in an archive with the SHA-256 that the manifest lists."""
    release = request.views[0].release
    packed = Archive.of(str(request.path)).below(f"{release.name}/{release.version}")
    if sorted(packed.files()) != _names(release):
        raise ExportError("the archive was read back, and has not the files of the release")
    if packed.read(fmt.MANIFEST) != release.location.read(fmt.MANIFEST):
        raise ExportError(f"the archive was read back, and {fmt.MANIFEST} in it differs")
    for done, each in enumerate(release.manifest.objects, start=1):
        if packed.sha256(each.path) != each.sha256:
            raise ReleaseError(
                f"{release.location.locate(each.path)} is not what the manifest lists; restore the release from a "
                "copy, or mend it with `deepbench repair`"
            )
        request.report(READING, done, len(release.manifest.objects))


def _pieces(release: Release, name: str) -> Iterator[bytes]:
    """Yield a file of a release piece by piece."""
    with reading(release.location, name), release.location.open(name) as file:
        while piece := file.read(PIECE):
            yield piece


def _names(release: Release) -> list[str]:
    """Return the names of the files of a release."""
    return sorted([*(each.path for each in release.manifest.objects), fmt.MANIFEST])
