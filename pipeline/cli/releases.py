"""The commands that look at releases: list, info, sample, diff, export."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deepbench.errors import CatalogError, ExportError
from deepbench.words import bytes_text
from pipeline.cli.options import (
    Catalog,
    Json,
    Output,
    ReleaseName,
    Table,
    choose_table,
    find_release,
)
from pipeline.cli.output import progress_bar, say, say_json, say_table


def list_releases(catalog: Catalog = "releases", as_json: Json = False) -> None:
    """List the releases of a catalog."""
    from deepbench.catalog import releases

    found = releases(catalog)
    if as_json:
        say_json(
            [
                {
                    "name": release.name,
                    "version": str(release.version),
                    "title": release.manifest.title,
                    "samples": {
                        name: table.samples for name, table in release.manifest.tables.items()
                    },
                    "bytes": release.manifest.size,
                    "path": release.path,
                    "deprecated": release.deprecation is not None,
                }
                for release in found
            ]
        )
        return
    rows = [
        (
            f"{release.name}@{release.version}",
            sum(table.samples for table in release.manifest.tables.values()),
            bytes_text(release.manifest.size),
            f"(deprecated) {release.manifest.title}"
            if release.deprecation is not None
            else release.manifest.title,
        )
        for release in found
    ]
    if not rows:
        say(f"no releases in '{catalog}'; build one: deepbench build workflows/shapes.yaml")
        return
    say_table(("release", "samples", "size", "title"), rows)


def info(
    release: ReleaseName,
    catalog: Catalog = "releases",
    recipe: Annotated[bool, typer.Option("--recipe", help="Print the recipe alone.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a release holds, what made it, and how to cite it."""
    from dataclasses import asdict

    from deepbench.language.plain import write_document
    from pipeline.documents.citation import sentence

    found = find_release(release, catalog)
    manifest = found.manifest
    if recipe:
        say(write_document(found.document.data).rstrip())
        return
    authors = found.document.data.get("authors")
    names = [
        str(each.get("name") if isinstance(each, dict) else each)
        for each in (authors if isinstance(authors, list) else ())
    ]
    cite = sentence(
        found.name,
        str(found.version),
        manifest.title,
        names,
        manifest.recipe_hash,
        manifest.created[:4],
    )
    if as_json:
        tables = {
            name: {
                "samples": table.samples,
                "data_digest": table.data_digest,
                "table_hash": table.table_hash,
                "classes": table.classes,
                "splits": table.splits,
                "variables": table.variables,
                "objects": table.objects,
                "tolerance": table.tolerance,
            }
            for name, table in manifest.tables.items()
        }
        say_json(
            {
                "name": found.name,
                "version": str(found.version),
                "title": manifest.title,
                "path": found.path,
                "created": manifest.created,
                "recipe_hash": manifest.recipe_hash,
                "format_version": manifest.format_version,
                "render_version": manifest.render_version,
                "bytes": manifest.size,
                "files": len(manifest.objects),
                "software": manifest.software,
                "deprecated": None if found.deprecation is None else asdict(found.deprecation),
                "cite": cite,
                "recipe": found.document.data,
                "tables": tables,
            }
        )
        return
    say(f"{found}: {manifest.title}")
    if found.deprecation is not None:
        say(f"  {found.deprecation}")
    say(f"  path          {found.path}")
    say(f"  created       {manifest.created}")
    say(f"  size          {bytes_text(manifest.size)} in {len(manifest.objects)} files")
    say(f"  recipe hash   {manifest.recipe_hash}")
    say(f"  format        {manifest.format_version}, rendering {manifest.render_version}")
    say(
        f"  made with     {', '.join(f'{name} {number}' for name, number in manifest.software.items())}"
    )
    for name, table in manifest.tables.items():
        say(f"table {name}: {table.samples:,} samples of kind {table.kind}")
        for variable, shape in table.variables.items():
            sizes = " × ".join(str(size) for size in shape["shape"])
            say(f"  {variable:<13} {sizes}, {shape['dtype']}")
        say(
            f"  classes       {', '.join(f'{key} {count:,}' for key, count in table.classes.items())}"
        )
        say(
            f"  splits        {', '.join(f'{key} {count:,}' for key, count in table.splits.items())}"
        )
        if table.objects:
            say(f"  objects       {table.objects:,} copies of repeated objects")
        say(f"  data digest   {table.data_digest}")
        if table.tolerance:
            say("  tolerance     values may differ by rounding when made on other machines")
    say(f"cite as: {cite}")
    say(f"recipe: deepbench info {found} --recipe")


def sample(
    release: ReleaseName,
    index: Annotated[int, typer.Argument(min=0, help="Number of the sample.")],
    catalog: Catalog = "releases",
    table: Table = None,
    output: Output = None,
    coolest: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A new .json: write its lens in the standard COOLEST."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the labels and a picture of one sample, or write it for lens modellers."""
    from pipeline.report.pictures import describe, portrait

    found = find_release(release, catalog)
    name = choose_table(table, found.manifest.tables)
    count = found.manifest.tables[name].samples
    if index >= count:
        raise CatalogError(f"'{name}' of {found} has the samples 0 … {count - 1}, not {index}")
    if coolest is not None:
        from pipeline.export.coolest_files import write_coolest

        written = write_coolest(found, name, index, coolest)
        say_json({"files": written}) if as_json else say("\n".join(written))
        return
    drawn = found.sample(name, index)
    labels = found.label(name, index)
    units = {column.name: column.unit for column in found.recipe.table(name).plan.columns}
    path = output or f"{found.name}-{found.version}-{name}-{index}.png"
    portrait(
        drawn,
        found.manifest.tables[name].kind,
        labels,
        path,
        units=units,
        heading=f"{found}, {name}, sample {index}",
    )
    repeats = bool(found.recipe.table(name).plan.object_columns)
    objects = found.objects(name, index).dropna(axis="columns", how="all") if repeats else None
    if as_json:
        rows = [] if objects is None else [_plain(row) for row in objects.to_dict("records")]
        say_json({"picture": path, "labels": _plain(labels.to_dict()), "objects": rows})
        return
    for line in describe(labels, units):
        say(line)
    if objects is not None and len(objects):
        cells = [tuple(each[1:]) for each in objects.round(4).itertuples(index=False)]
        say_table(tuple(objects.columns[1:]), cells)
    say(path)


def diff(
    old: ReleaseName, new: ReleaseName, catalog: Catalog = "releases", as_json: Json = False
) -> None:
    """Show what changed from one release to another.

    Numbers are compared by value: NaN equals NaN, and −0.0 equals 0.0.
    """
    from pipeline.diff import Side, compare

    before, after = (Side.of(find_release(name, catalog)) for name in (old, new))
    found = compare(before, after)
    if as_json:
        say_json({"old": before.name, "new": after.name, **found.to_json()})
        return
    if found.level == "none":
        say(f"{before.name} and {after.name} are the same")
        return
    say_table(("table", "what", "change"), found.rows())
    for name in found.inconsistent:
        say(
            f"table '{name}' has the same recipe and rendering in both, so one of the two is faulty: "
            "check them with `deepbench verify`"
        )
    say(f"this needs a {found.level} version")


def export(
    release: ReleaseName,
    file: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="A new file; its ending is the format: .h5, .nc, .zarr, .fits, .npz, .csv, .parquet, .zip, or / (a "
            "folder for Hugging Face). With {split} in its name, there is one for each split.",
        ),
    ],
    catalog: Catalog = "releases",
    table: Annotated[
        str | None,
        typer.Option(
            help="Which table; when absent, all of them in .h5, .zip and folders, else the first."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only samples of a split.")] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="Only samples whose labels meet a condition, as pandas' query takes it: '`psf.sigma` < 1.5'.",
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES", help="Only these labels, with commas between them; id always."
        ),
    ] = None,
    compress: Annotated[
        bool, typer.Option("--compress", help="Compress arrays in .h5 and .npz.")
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Add a column of 8-bit pictures for the Hub's viewer.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a release, or a choice of it, in the format of others, and compare what was written with the release."""
    from pipeline.export import SPLIT, export_table, exported_tables, paths_by_split
    from pipeline.export.selection import Selection

    found = find_release(release, catalog)
    if table is not None:
        choose_table(table, found.manifest.tables)
    names = None if labels is None else tuple(",".join(labels).replace(",", " ").split())
    if names == ():
        raise ExportError("`--labels` names no label; `--labels id` leaves out all others")
    if split is not None:
        file = file.replace(SPLIT, split)
    paths: dict[str | None, str] = {split: file}
    if SPLIT in file:
        paths = dict(paths_by_split(found, table, file, Selection(where=where)).items())
    made = {}
    with progress_bar() as report:
        for each, path in paths.items():
            chosen = Selection(each, where, names)
            made[path] = export_table(
                found, table, path, report, selection=chosen, compress=compress, preview=preview
            )
    if as_json:
        say_json(made)
        return
    for path, counts in made.items():
        say(f"{path}: {', '.join(f'{count:,} {what}' for what, count in counts.items())}")
    held = exported_tables(found, table, file)
    left = [name for name in found.manifest.tables if name not in held]
    if table is None and left and not file.endswith(".zip"):
        say(f"table '{', '.join(held)}' alone; --table chooses another one: {', '.join(left)}")


def _plain(labels: dict[Any, Any]) -> dict[str, Any]:
    """Return the labels that have a value as plain Python values, exactly."""
    present = {str(name): value for name, value in labels.items() if value == value}  # not NaN
    return {
        name: value.item() if hasattr(value, "item") else value for name, value in present.items()
    }
