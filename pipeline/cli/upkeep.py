"""The commands that keep a catalog in order: verify, repair, cache, deprecate, remove, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deepbench.errors import CatalogError
from deepbench.words import bytes_text
from pipeline.cli.options import (
    Catalog,
    Json,
    ReleaseName,
    Workers,
    cluster_options,
    find_release,
    read_recipe,
)
from pipeline.cli.output import progress_bar, say, say_json, say_table

if TYPE_CHECKING:
    from deepbench.release import Release

DAMAGED = 3
"""Exit code where something is wrong with a release."""

SHOWN = 50
"""Number of findings that are printed; ``--json`` has all."""

Scheduler = Annotated[str | None, typer.Option(help="Address of a running Dask scheduler.")]


def verify(
    release: ReleaseName,
    catalog: Catalog = "releases",
    rerender: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="FRACTION", help="Render so many samples again and compare."
        ),
    ] = 0.0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the choice of these samples; drawn when absent.")
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Check every file, sample and label of a release.

    Exit code 3 when something is wrong.
    """
    import secrets

    from pipeline.verify import verify as check

    found = _find_even_without_manifest(release, catalog)
    chosen = secrets.randbelow(2**32) if seed is None else seed
    with progress_bar() as report:
        result = check(
            found,
            rerender=rerender,
            seed=chosen,
            cluster=cluster_options(workers, scheduler),
            progress=report,
        )
    if as_json:
        say_json(result.to_json() | {"seed": chosen})
    else:
        for finding in result.findings[:SHOWN]:
            say(str(finding))
        if len(result.findings) > SHOWN:
            say(f"and {len(result.findings) - SHOWN:,} more: --json prints all")
        for note in result.notes:
            say(f"note: {note}")
        again = (
            f", {result.rerendered:,} rendered again (--seed {chosen})" if result.rerendered else ""
        )
        if result.rerendered and result.ok and not result.by_tolerance:
            again += ", the same in each bit"
        amount = f"{result.files:,} files, {bytes_text(result.bytes)}, {result.samples:,} samples"
        state = "is whole" if result.ok else f"is damaged: {len(result.findings)} findings"
        say(f"{result.release} {state}; checked {amount}{again}")
    if not result.ok:
        raise typer.Exit(DAMAGED)


def repair(
    release: ReleaseName,
    catalog: Catalog = "releases",
    recipe: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The recipe, where the release's own is damaged."),
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Make the damaged files of a release again. Each is exactly as it was.

    Exit code 3 when some could not be.
    """
    from pipeline.repair import repair as mend

    found = find_exactly(release, catalog)
    given = None if recipe is None else read_recipe(recipe, None)
    with progress_bar() as report:
        result = mend(
            found,
            catalog,
            recipe=given,
            cluster=cluster_options(workers, scheduler),
            progress=report,
        )
    if as_json:
        say_json(result.to_json())
    else:
        for path in result.repaired:
            say(f"repaired {path}")
        for path, reason in result.refused.items():
            say(f"not repaired: {path} {reason}")
        if not result.repaired and not result.refused:
            say(f"{result.release}: every file is what the manifest lists; there is nothing to do")
    if result.refused:
        raise typer.Exit(DAMAGED)


def cache(
    release: ReleaseName,
    table: Annotated[str | None, typer.Option(help="Which table; all when absent.")] = None,
    split: Annotated[str | None, typer.Option(help="Which split; all samples when absent.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove caches instead.")] = False,
    catalog: Catalog = "releases",
    as_json: Json = False,
) -> None:
    """Write plain arrays of a release for training. They lie beside the catalog, or where DEEPBENCH_CACHE says."""
    from pipeline.caches import remove_caches, write_cache

    found = find_release(release, catalog)
    if remove:
        gone = remove_caches(found, table, split)
        if as_json:
            say_json({"removed": gone})
            return
        for path in gone:
            say(f"removed {path}")
        if not gone:
            say(f"there is no such cache of {found}")
        return
    tables = list(found.manifest.tables) if table is None else [table]
    results = []
    for name in tables:
        with progress_bar() as report:
            results.append(write_cache(found, name, split, progress=report))
    if as_json:
        say_json([{"path": path, "written": written} for path, written in results])
        return
    for path, written in results:
        say(f"wrote {path}" if written else f"{path} is there already, and whole")


def _find_even_without_manifest(name: str, catalog: str) -> Release:
    """Return a release; also one whose folder is there although its manifest is not, which is damage."""
    from deepbench.format import Version, check_name
    from deepbench.release import Release
    from deepbench.storage.locations import location_of

    try:
        return find_release(name, catalog)
    except CatalogError:
        name, _, version = name.partition("@")
        location = location_of(catalog)
        if version and location.folders(f"{check_name(name)}/{Version.parse(version)}"):
            return Release(name, Version.parse(version), location)
        raise


def deprecate(
    release: ReleaseName,
    reason: Annotated[str, typer.Option(help="Why; whoever opens the release reads it.")] = "",
    superseded_by: Annotated[
        str, typer.Option(metavar="NAME@VERSION", help="What to use instead.")
    ] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take it back.")] = False,
    catalog: Catalog = "releases",
) -> None:
    """Warn everybody who opens a release. --reason says why it should not be used."""
    from pipeline import upkeep
    from pipeline.target import target_of

    found = find_exactly(release, catalog)
    if undo:
        upkeep.undeprecate(target_of(catalog), found)
        say(f"{found} is not deprecated")
        return
    say(f"{found} {upkeep.deprecate(target_of(catalog), found, reason, superseded_by)}")


def remove(
    release: ReleaseName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    catalog: Catalog = "releases",
) -> None:
    """Remove a release; nothing brings it back but its recipe."""
    from pipeline import upkeep
    from pipeline.target import target_of

    found = find_exactly(release, catalog)
    if not yes and not typer.confirm(f"Remove {found} in '{catalog}'?"):
        raise typer.Abort
    upkeep.remove(target_of(catalog), found)
    say(f"removed {found}")


def prune(
    older: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Such as 12h, 7d or 2w.")
    ] = "7d",
    dry: Annotated[bool, typer.Option("--dry-run", help="Only tell.")] = False,
    catalog: Catalog = "releases",
    as_json: Json = False,
) -> None:
    """Remove builds that nobody will finish, and their logs."""
    from dataclasses import asdict

    from pipeline import upkeep
    from pipeline.target import target_of

    target = target_of(catalog)
    removed, busy = upkeep.prune(target, upkeep.parse_age(older), dry=dry)
    if as_json:
        say_json({"removed": list(map(asdict, removed)), "busy": list(map(asdict, busy))})
        return
    for each in busy:
        say(f"kept, because a process works on it: {each.name}")
    if not removed:
        say(f"no unfinished build is older than {older}")
        return
    rows = [(each.name, bytes_text(each.bytes), f"{each.age / 3600:.1f} h") for each in removed]
    say_table(("would be removed" if dry else "removed", "size", "age"), rows)


def find_exactly(name: str, catalog: str) -> Release:
    """Return the release that ``NAME@VERSION`` stands for; what changes a catalog never guesses the version.

    Raises
    ------
    CatalogError
        There is no version, or no such release.
    """
    if "@" not in name:
        raise CatalogError(f"say which version: {name}@VERSION")
    return find_release(name, catalog)
