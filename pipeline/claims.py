"""Claims of versions: what the number of a version says of its changes, and whether it is true.

A patch changes words only; a minor version adds samples, tables, variables or columns and leaves every earlier sample
as it was; a major version may change anything. The claim of a new version is checked against the published versions
next to it, on both sides: 1.0.1 may be published after 1.1.0.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deepbench import format as fmt
from deepbench.catalog import versions_of
from deepbench.errors import ReleaseError
from deepbench.release import Release
from pipeline.diff import Side, compare, foresee, same_origin
from pipeline.diff.difference import LEVELS, SHOWN, Difference

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from deepbench.storage.locations import Location
    from deepbench.tables import Table

log = logging.getLogger(__name__)


class InconsistentError(ReleaseError):
    """Two releases differ although recipe and rendering are the same."""


def claimed(one: fmt.Version, other: fmt.Version) -> str:
    """Return the step between two versions: the largest change that the later one may make.

    Examples
    --------
    >>> claimed(Version(1, 0, 0), Version(1, 2, 0))       # doctest: +SKIP
    'minor'
    """
    if one.major != other.major:
        return "major"
    return "patch" if one.minor == other.minor else "minor"


def check(
    old: Side, old_version: fmt.Version, new: Side, new_version: fmt.Version
) -> Difference | None:
    """Refuse a new version that claims less than it changes.

    Parameters
    ----------
    old : Side
        A published version, the nearest before the new one or the nearest after it.
    old_version : Version
    new : Side
        The version that is to be published.
    new_version : Version

    Returns
    -------
    Difference or None
        From the earlier to the later version. Between major versions only tables that must be the same are compared;
        None when there are none.

    Raises
    ------
    ReleaseError
        The change between the two needs a larger step of the version; or a table differs although recipe and rendering
        are the same; or a file of metadata is damaged.
    """
    claim = claimed(old_version, new_version)
    later = new_version > old_version
    tables = None
    if claim == "major":
        common = (name for name in old.tables if name in new.tables)
        tables = [name for name in common if same_origin(old, new, name)]
        if not tables:
            return None
    found = compare(old, new, tables) if later else compare(new, old, tables)
    if found.inconsistent:
        name = found.inconsistent[0]
        row = next(found.tables[name].reasons(name))
        raise InconsistentError(
            f"{row}, although recipe and rendering are the same in {old.name} and {new.name}: one of the two is "
            "damaged, or was made by faulty software or hardware; check both with `deepbench verify`, and build the "
            "faulty one again"
        )
    _refuse(found, claim, old.name, old_version, new.name, later)
    return found


def early(old: Side, old_version: fmt.Version, recipe: Recipe) -> None:
    """Refuse a recipe whose version claims less than it changes as far as that is known before anything is built.

    The schema and the numbers of samples are compared, then the labels of the first samples, then a few rendered
    samples, of the tables that are not the same by their recipe. What this lets pass, ``check`` may still refuse.

    Parameters
    ----------
    old : Side
        A published version, the nearest before that of the recipe or the nearest after it.
    old_version : Version
    recipe : Recipe

    Raises
    ------
    ReleaseError
        The change between the two needs a larger step of the version; or a file of metadata is damaged.
    LabelError
        A label of the recipe leaves the range of its parameter.
    """
    version = fmt.Version.parse(recipe.version)
    claim = claimed(old_version, version)
    if claim == "major":
        return
    later = version > old_version
    new_name = f"{recipe.name}@{version}"
    only_old = tuple(name for name in old.tables if name not in recipe.tables)
    only_new = tuple(name for name in recipe.tables if name not in old.tables)
    added, removed = (only_new, only_old) if later else (only_old, only_new)
    common = [recipe.table(name) for name in old.tables if name in recipe.tables]
    for values in (False, True):
        tables = {
            table.name: foresee(old, table, later=later, values=values and not _settled(old, table))
            for table in common
        }
        found = Difference(added=added, removed=removed, tables=tables)
        _refuse(found, claim, old.name, old_version, new_name, later)


def _settled(old: Side, table: Table[Any]) -> bool:
    """Return whether the samples of a table are known to be those of a release without a look."""
    same = old.tables[table.name].table_hash == table.hash
    return same and old.render_version == fmt.RENDER_VERSION


def _refuse(
    found: Difference, claim: str, old: str, old_version: fmt.Version, new: str, later: bool
) -> None:
    """Raise when the change between a published version and a new one needs more than it claims."""
    reasons = [str(row) for row in found.reasons(above=claim)]
    if not reasons:
        return
    shown = "; ".join(reasons[:SHOWN])
    if len(reasons) > SHOWN:
        shown += f"; and {len(reasons) - SHOWN} more changes"
    if later:
        stands = f"claims to be a {claim} version of {old}"
    else:
        stands = f"would stand before {old}, which would claim to be a {claim} version of it"
    step = found.level if later else "major"  # nothing can be taken from what is published
    raise ReleaseError(
        f"{new} {stands}, but {shown}; raise `version` to {_next(old_version, step)} at least",
        level=found.level,
        claimed=claim,
    )


def _next(version: fmt.Version, step: str) -> fmt.Version:
    """Return the first version after another that may make so large a change."""
    if LEVELS.index(step) < LEVELS.index("major"):
        return fmt.Version(version.major, version.minor + 1, 0)
    return fmt.Version(version.major + 1, 0, 0)


def refuse_early(catalog: Location, recipe: Recipe) -> None:
    """Refuse a recipe whose version claims less than it changes from the published versions next to it, or their DOI.

    Raises
    ------
    ReleaseError
        As ``early``, or a version next to it cannot be compared, or has the same DOI.
    """
    version = fmt.Version.parse(recipe.version)
    for release, side in _sides(catalog, recipe.name, version):
        if recipe.doi and recipe.doi == side.recipe.doi:
            raise ReleaseError(
                f"the `doi` {recipe.doi} is that of {release}, and a DOI names one version: reserve another for "
                f"{recipe.name}@{version}, or leave it out"
            )
        early(side, release.version, recipe)


def refuse(catalog: Location, new: Side, version: fmt.Version) -> None:
    """Refuse to publish a version that claims less than it changes from the published versions next to it.

    Raises
    ------
    ReleaseError
        As ``check``, or a version next to it cannot be compared.
    """
    for release, side in _sides(catalog, new.recipe.name, version):
        try:
            check(side, release.version, new, version)
        except InconsistentError:
            raise
        except ReleaseError as error:
            if claimed(release.version, version) != "major":
                raise
            log.warning("%s is not compared: %s", release, error)


def _sides(catalog: Location, name: str, version: fmt.Version) -> Iterator[tuple[Release, Side]]:
    """Yield the published versions next to one; those of another major version may be damaged."""
    for release in neighbours(catalog, name, version):
        if release is None:
            continue
        try:
            side = Side.of(release)
        except ReleaseError as error:
            if claimed(release.version, version) != "major":
                raise ReleaseError(
                    f"{name}@{version} cannot be compared with {release}: {error}; repair or remove that first, or "
                    "raise the major version"
                ) from error
            log.warning("%s is not compared: %s", release, error)
            continue
        yield release, side


def neighbours(
    catalog: Location, name: str, version: fmt.Version
) -> tuple[Release | None, Release | None]:
    """Return the nearest published versions of a dataset before and after one; None where there is none.

    Parameters
    ----------
    catalog : Location
    name : str
        Name of the dataset.
    version : Version
    """
    published = versions_of(catalog, name)
    before = [release for release in published if release.version < version]
    after = [release for release in published if release.version > version]
    return before[-1] if before else None, after[0] if after else None
