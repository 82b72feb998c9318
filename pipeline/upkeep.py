"""Upkeep of a catalog: remove releases, deprecate them, and clear away builds that nobody will finish."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deepbench import format as fmt
from deepbench.errors import CatalogError
from deepbench.reading.caches import FOLDER as CACHES
from deepbench.reading.caches import folder_of, place_of
from deepbench.release import Deprecation, Release
from deepbench.storage.names import RELEASE_NAME, VERSION
from pipeline.staging import lock_of
from pipeline.target import FolderTarget

if TYPE_CHECKING:
    from pipeline.target import Target

_STAGED = re.compile(r"(?:removed-)?(?P<version>.+-\d+\.\d+\.\d+)(?:-[0-9a-f]{12})?")
_AGE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def remove(target: Target, release: Release) -> None:
    """Remove a release from its catalog: it is gone in one step, and its files and caches follow.

    Caches are removed beside the catalog, and where DEEPBENCH_CACHE says.

    Raises
    ------
    CatalogError
        A process builds or repairs it.
    """
    with target.lock(lock_of(release.name, str(release.version))) as held:
        if held is None:
            raise CatalogError(f"another process works on {release}; wait for it")
        grave = f"{fmt.BUILDING}/removed-{release.name}-{release.version}"
        target.remove(grave)
        target.remove(fmt.entry_name(release.name, release.version))  # else a later one inherits it
        target.withdraw(f"{release.name}/{release.version}", fmt.MANIFEST, grave)
        caches = folder_of(release.name, release.version)
        target.remove(f"{CACHES}/{caches}")
        if (elsewhere := place_of(release)) is not None:
            FolderTarget(elsewhere.root).remove(caches)


def deprecate(
    target: Target, release: Release, reason: str, superseded_by: str = ""
) -> Deprecation:
    """Say in the catalog that a release should not be used any more, and why.

    Raises
    ------
    CatalogError
        The reason is empty, or the other release is not in the catalog.
    """
    if not reason.strip():
        raise CatalogError("say why with --reason: whoever opens the release reads it")
    if superseded_by:
        name, _, version = superseded_by.partition("@")
        path = f"{fmt.check_name(name)}/{fmt.Version.parse(version)}/{fmt.MANIFEST}"
        if target.size(path) is None:
            raise CatalogError(f"there is no release {superseded_by} in '{target.root}'")
    found = Deprecation(datetime.now(UTC).date().isoformat(), reason.strip(), superseded_by)
    target.write(fmt.entry_name(release.name, release.version), found.to_yaml().encode())
    return found


def undeprecate(target: Target, release: Release) -> None:
    """Take back that a release is deprecated."""
    target.remove(fmt.entry_name(release.name, release.version))


@dataclass(frozen=True)
class Leftover:
    """A file or folder that is left of a build that did not end.

    Attributes
    ----------
    name : str
        File or folder in the catalog.
    version : str
        The release it was to be, as ``name-version``.
    age : float
        Seconds since something was last written; by the clock of this machine, which may be wrong.
    bytes : int
    """

    name: str
    version: str
    age: float
    bytes: int


def leftovers(target: Target) -> Iterator[Leftover]:
    """Yield what unfinished builds have left in a catalog."""
    for name in target.folders(fmt.BUILDING):
        found = _STAGED.fullmatch(name)
        if found is not None:
            yield from _leftover(target, f"{fmt.BUILDING}/{name}", found["version"])
    for path in [path for path in target.files(fmt.BUILDING) if path.count("/") == 1]:
        yield from _leftover(target, path, path.partition("/")[2].rpartition(".")[0])
    if target.publishes_in_place:
        for name in target.folders():
            versions = target.folders(name) if re.fullmatch(RELEASE_NAME, name) else []
            for version in versions:
                folder = f"{name}/{version}"
                if (
                    re.fullmatch(VERSION, version)
                    and target.size(f"{folder}/{fmt.MANIFEST}") is None
                ):
                    yield from _leftover(target, folder, f"{name}-{version}")


def _leftover(target: Target, name: str, version: str) -> Iterator[Leftover]:
    """Yield what a file or folder is, unless it has just gone."""
    with contextlib.suppress(FileNotFoundError):
        size = sum(each for _, each in target.sizes(name)) or target.size(name) or 0
        yield Leftover(name, version, time.time() - target.modified(name), size)


def prune(
    target: Target, older: float, *, dry: bool = False
) -> tuple[list[Leftover], list[Leftover]]:
    """Remove what unfinished builds have left that is older than so many seconds.

    Returns
    -------
    tuple of two lists of Leftover
        Those that were removed, and those that were old enough but belong to a build that runs.
    """
    removed, busy = [], []
    for each in list(leftovers(target)):
        if each.age < older:
            continue
        if dry:
            removed.append(each)
            continue
        lock = f"{fmt.BUILDING}/{each.version}.lock"
        with target.lock(lock) as held:
            if held is None:
                busy.append(each)
                continue
            if each.name == lock:
                removed.append(each)
            elif target.exists(each.name) and not _is_finished(target, each, older):
                target.remove(each.name)
                removed.append(each)
    return removed, busy


def _is_finished(target: Target, each: Leftover, older: float) -> bool:
    """Return whether something has become a release, or was worked on, since it was listed."""
    published = not each.name.startswith(fmt.BUILDING)
    return (
        published and target.size(f"{each.name}/{fmt.MANIFEST}") is not None
    ) or time.time() - target.modified(each.name) < older


def parse_age(text: str) -> float:
    """Return the seconds of an age such as ``12h`` or ``7d``.

    Raises
    ------
    CatalogError
        It is none.
    """
    found = _AGE.fullmatch(text)
    if found is None:
        raise CatalogError(
            f"'{text}' is not an age: use a number and one of s, m, h, d, w, such as 7d"
        )
    return float(found[1]) * _SECONDS[found[2]]
