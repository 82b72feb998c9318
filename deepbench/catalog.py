"""The catalog: list releases and open them. It only reads.

A catalog is a folder, or a prefix in an object store, with one folder per name and in it one per version. A version
exists when its manifest does.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deepbench import format as fmt
from deepbench.errors import CatalogError
from deepbench.language.plain import FEW, absent, some
from deepbench.release import Release
from deepbench.storage.locations import Folder, Location, is_archive, location_of
from deepbench.storage.names import RELEASE_NAME, VERSION

if TYPE_CHECKING:
    import xarray as xr


CATALOG = "releases"
"""Folder of the catalog where none is named."""


class Releases(list[Release]):
    """The releases of a catalog, a list that says in one line, and in a notebook, what there is.

    Attributes
    ----------
    root : str
        Folder or address of the catalog.
    """

    root: str = ""

    def __repr__(self) -> str:
        return f"<{len(self)} releases in '{self.root}': {some(list(map(str, self)), FEW)}>"

    def _repr_html_(self) -> str:
        """Return how a notebook shows the catalog."""
        from deepbench.release_cards import catalog_card

        return catalog_card(self, self.root)


def releases(catalog: str | Path = CATALOG) -> Releases:
    """Return every release of a catalog, by name, oldest version first.

    Parameters
    ----------
    catalog : str or Path
        Folder of the releases, or an address ``s3://bucket/prefix``.

    Returns
    -------
    Releases
        A list of ``Release``.

    Raises
    ------
    CatalogError
        There is no such folder.

    Examples
    --------
    >>> releases("releases")                                       # doctest: +SKIP
    <1 releases in '/data/releases': shapes@1.0.0>
    >>> [each.manifest.title for each in releases("releases")]     # doctest: +SKIP
    """
    location = location_of(catalog)
    if isinstance(location, Folder) and not location.folder.is_dir():
        raise CatalogError(
            f"there is no catalog '{catalog}' in {Path.cwd()}; name another folder (--catalog; in Python `catalog`), "
            "or build a release first: deepbench build workflows/shapes.yaml"
        )
    names = (name for name in location.folders() if re.fullmatch(RELEASE_NAME, name))
    found = Releases(release for name in names for release in versions_of(location, name))
    found.root = location.root
    return found


def versions_of(location: Location, name: str) -> list[Release]:
    """Return every release of a name in a catalog, oldest version first."""
    found = [
        Release(name, fmt.Version.parse(version), location)
        for version in location.folders(fmt.check_name(name))
        if re.fullmatch(VERSION, version) and _is_release(location, f"{name}/{version}")
    ]
    return sorted(found, key=lambda release: release.version)


def _is_release(location: Location, folder: str) -> bool:
    """Return whether a folder has a manifest, which is not a link to one elsewhere."""
    try:
        return location.size(f"{folder}/{fmt.MANIFEST}") is not None
    except CatalogError:
        return False


def find(name: str, version: str | None = None, catalog: str | Path = CATALOG) -> Release:
    """Return a release of a catalog: the newest when no version is given.

    Parameters
    ----------
    name : str
        Its name, or the path of a zip archive that ``deepbench export`` made of it.
    version : str, optional
    catalog : str or Path
        Folder of the releases, an address ``s3://bucket/prefix``, or a zip archive.

    Returns
    -------
    Release
        Its ``labels``, ``objects``, ``sample`` and ``label`` read; ``open`` opens the data lazily.

    Raises
    ------
    CatalogError
        There is no such name or version; the message lists what there is.

    Examples
    --------
    >>> release = find("shapes", "1.0.0")                          # doctest: +SKIP
    >>> release.labels("images")["circle.radius"].mean()           # doctest: +SKIP
    >>> release = find("shapes-1.0.0.zip")                         # doctest: +SKIP
    """
    if version is None and isinstance(name, str) and is_archive(name):
        return _only(releases(name))
    fmt.check_name(name)
    wanted = None if version is None else fmt.Version.parse(version)
    every = releases(catalog)
    named = [release for release in every if release.name == name]
    if not named:
        names = list(dict.fromkeys(release.name for release in every))
        raise CatalogError(
            absent("release", name, names, f"'{catalog}'") + _unfinished(name, version, catalog)
        )
    if wanted is None:
        return named[-1]
    for release in named:
        if release.version == wanted:
            return release
    versions = ", ".join(str(release.version) for release in named)
    raise CatalogError(
        f"'{name}' has no version {version} in '{catalog}'; versions: {versions}"
        + _unfinished(name, version, catalog)
    )


def find_named(text: str, catalog: str | Path = CATALOG) -> Release:
    """Return the release that ``NAME`` (its newest version) or ``NAME@VERSION`` names; raises what ``find`` does."""
    name, at, version = text.partition("@")
    return find(name, version if at else None, catalog)


def _only(found: Releases) -> Release:
    """Return the release of an archive."""
    if len(found) != 1:
        raise CatalogError(
            f"'{found.root}' holds {len(found)} releases, not one; name one of them, with the archive as the catalog"
        )
    return found[0]


def _unfinished(name: str, version: str | None, catalog: str | Path) -> str:
    """Return the words about builds of a release that are under way, or were stopped."""
    pattern = rf"{re.escape(name)}-({VERSION[1:-1]})-[0-9a-f]{{12}}"
    found = (re.fullmatch(pattern, each) for each in location_of(catalog).folders(fmt.BUILDING))
    begun = [each[1] for each in found if each is not None and version in (None, each[1])]
    if not begun:
        return ""
    return (
        f"; the build of {name}@{begun[-1]} has begun and is not published yet: wait for it, or run `deepbench build` "
        "again to finish it"
    )


def open(
    name: str,
    version: str | None = None,
    catalog: str | Path = CATALOG,
    chunks: Literal["shards"] | dict[str, int] | None = None,
) -> xr.DataTree:
    """Open a release lazily: the newest version when none is given.

    Parameters
    ----------
    name : str
        Its name, or the path of a zip archive that ``deepbench export`` made of it.
    version : str, optional
    catalog : str or Path
        Folder of the releases, an address ``s3://bucket/prefix``, or a zip archive.
    chunks : "shards" or dict of str to int, optional
        Dask arrays with chunks of whole shards, or of the given sizes; without it, arrays that read when indexed.

    Returns
    -------
    DataTree
        One node per table, with data and labels along ``sample``.

    Raises
    ------
    CatalogError
        There is no such release.
    ReleaseError
        Its manifest cannot be read.

    Warns
    -----
    DeprecatedReleaseWarning
        It should not be used any more.

    Examples
    --------
    >>> tree = deepbench.open("shapes", version="1.0.0")      # doctest: +SKIP
    >>> tree["images"]["image"][0].plot()                     # doctest: +SKIP
    """
    return find(name, version, catalog)._open(chunks)
