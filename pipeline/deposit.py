"""Prepare the deposit of a release in an archive: what Zenodo's API takes, and the files with their checksums.

Zenodo keeps no folders (files with a slash in their names cannot be had back) and at most 100 files in a record, so a
release is deposited as one archive, and beside it the files that people look for first. Nothing is sent anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from deepbench import format as fmt
from deepbench.errors import ExportError
from deepbench.storage.locations import Folder
from pipeline.documents.zenodo import DOI_PREFIX, zenodo
from pipeline.progress import Progress, silent
from pipeline.target import FolderTarget

if TYPE_CHECKING:
    from deepbench.release import Release

BESIDE = (fmt.CARD, fmt.CITATION, fmt.RECIPE, fmt.MANIFEST)
"""Files that are deposited beside the archive as well, as far as the release has them."""

RECORD_BYTES = 50 * 10**9
"""Largest size of a record that Zenodo takes unasked (byte)."""

PIECE = 2**22
"""Bytes that are read at a time."""

API = "https://zenodo.org/api/deposit/depositions"


@dataclass(frozen=True)
class DepositedFile:
    """A file of a record: its name there and its path here, its bytes and checksums, the first one as Zenodo has it."""

    filename: str
    path: str
    filesize: int
    checksum: str
    sha256: str


@dataclass(frozen=True)
class Deposit:
    """The metadata and files of a deposit.

    Attributes
    ----------
    metadata : dict
        The metadata of the record, as Zenodo's API takes them.
    files : tuple of DepositedFile
    draft : str
        Number of the draft whose DOI the recipe has; empty where there is none.
    """

    metadata: dict[str, Any]
    files: tuple[DepositedFile, ...]
    draft: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.filesize for each in self.files)

    def to_json(self) -> str:
        """Return it as JSON text; ``metadata`` is what is sent."""
        data = {"metadata": self.metadata, "files": [asdict(each) for each in self.files]}
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"

    @property
    def note(self) -> str:
        """Reason why Zenodo may refuse it; empty where there is none."""
        if self.size <= RECORD_BYTES:
            return ""
        return (
            f"{self.size / 1e9:.1f} GB are more than the {RECORD_BYTES / 1e9:.0f} GB that Zenodo takes in a record; "
            "ask it for more, or deposit parts of the archive (`split -b 45G`) in several records"
        )

    def commands(self, path: str) -> list[str]:
        """Return the commands of a shell that make a draft from the file at a path; they need curl and jq."""
        curl = 'curl --fail -H "Authorization: Bearer $ZENODO_TOKEN"'
        where = f"-X PUT {API}/{self.draft}" if self.draft else API
        return [
            f"jq '{{metadata}}' {shlex.quote(path)} | "
            f"{curl} -H 'Content-Type: application/json' --data @- {where} > draft.json",
            *(
                f'{curl} --upload-file {shlex.quote(each.path)} "$(jq -r .links.bucket draft.json)/{each.filename}" | '
                f"jq -e '.checksum == \"{each.checksum}\"'"
                for each in self.files
            ),
            "jq -r .links.html draft.json",
        ]


def prepare_deposit(release: Release, archive: str, progress: Progress | None = None) -> Deposit:
    """Return what is to be deposited of a release.

    Parameters
    ----------
    release : Release
    archive : str
        The release in one file, as ``deepbench export`` writes it, ``.zip``.
    progress : callable, optional
        Called as ``progress(step, done, total)``, in bytes.

    Raises
    ------
    ExportError
        The recipe lacks what Zenodo asks for; the archive is missing, or does not hold this release.
    ReleaseError
        The manifest or the recipe cannot be read.
    """
    recipe, manifest = release.recipe, release.manifest
    metadata = zenodo(recipe, manifest)
    _check_archive(release, archive)
    paths = [archive]
    if isinstance(release.location, Folder):
        paths += [
            release.location.locate(name)
            for name in BESIDE
            if release.location.size(name) is not None
        ]
    total, report = sum(Path(each).stat().st_size for each in paths), progress or silent
    files: list[DepositedFile] = []
    done = 0
    for path in paths:
        with Path(path).open("rb") as opened:
            found = _deposited(path, opened, done, total, report)
        files.append(found)
        done += found.filesize
    number = (recipe.doi or "").removeprefix(DOI_PREFIX)
    return Deposit(metadata, tuple(files), number if number.isdecimal() else "")


def _deposited(
    path: str, opened: BinaryIO, done: int, total: int, report: Progress
) -> DepositedFile:
    """Read a file for its size and checksums."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while piece := opened.read(PIECE):
        md5.update(piece)
        sha256.update(piece)
        size += len(piece)
        report("reading files", done + size, total)
    name = re.sub(r"[^\w.+-]", "_", Path(path).name, flags=re.ASCII)
    return DepositedFile(name, path, size, f"md5:{md5.hexdigest()}", sha256.hexdigest())


def _check_archive(release: Release, archive: str) -> None:
    """Refuse an archive that does not hold a release: its manifest to the byte, and each file with its size."""
    remedy = f"make it: deepbench export {release} {shlex.quote(archive)}"
    if not Path(archive).is_file():
        raise ExportError(
            f"there is no file '{archive}' with {release} in it; Zenodo keeps no folders, so {remedy}"
        )
    again = f"'{archive}' is not {release} in one file: {{}}; remove it, and {remedy}"
    try:
        with zipfile.ZipFile(archive) as opened:
            sizes = {each.filename: each.file_size for each in opened.infolist()}
            own = min(
                (each for each in sizes if Path(each).name == fmt.MANIFEST), key=len, default=None
            )
            if own is None or opened.read(own) != release.location.read(fmt.MANIFEST):
                raise ExportError(again.format(f"it has another {fmt.MANIFEST}, or none"))
    except (zipfile.BadZipFile, OSError) as error:
        raise ExportError(again.format(error)) from error
    folder = own.removesuffix(fmt.MANIFEST)
    for each in release.manifest.objects:
        if sizes.get(folder + each.path) != each.size:
            raise ExportError(again.format(f"it has no {each.path} of {each.size} bytes"))


def check_target(release: Release, path: str) -> None:
    """Refuse a file that cannot be written, or must not.

    Raises
    ------
    ExportError
        It exists already, is no local file in JSON, or lies in the release.
    """
    final = Path(path)
    if "://" in path or final.suffix != ".json":
        raise ExportError(f"'{path}' must be a local file that ends with .json")
    if not final.parent.is_dir():
        raise ExportError(f"cannot write '{path}': there is no folder '{final.parent}'; make it")
    if os.path.lexists(path):
        raise ExportError(f"'{path}' exists already; remove it, or name another file")
    if isinstance(release.location, Folder):
        folder, own = final.parent.resolve(), release.location.folder.resolve()
        if own in (folder, *folder.parents):
            raise ExportError(
                f"'{path}' lies in {release}, which never changes; name a file elsewhere"
            )


def write_deposit(release: Release, deposit: Deposit, path: str) -> None:
    """Write what is to be deposited into a new file; raises what ``check_target`` does."""
    check_target(release, path)
    final = Path(path)
    with FolderTarget(str(final.parent)).writing(final.name) as file:
        file.write(deposit.to_json().encode())
