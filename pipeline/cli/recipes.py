"""The commands that take a recipe: validate, schema, preview, plan, build."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from deepbench.errors import BuildError, DeepBenchError
from deepbench.words import bytes_text
from pipeline.cli.options import (
    Catalog,
    Changes,
    Json,
    Output,
    RecipeFile,
    Table,
    Workers,
    cluster_options,
    read_recipe,
)
from pipeline.cli.output import log_file, progress_bar, say, say_json, say_table
from pipeline.progress import compilations
from pipeline.units import rates

PREVIEW_BYTES = 2**30
"""Largest size of the data that ``preview`` renders (byte)."""

CHECKED = 1000
"""Number of samples of each table of which ``validate`` draws labels."""


def validate(recipe: RecipeFile, changes: Changes = None, as_json: Json = False) -> None:
    """Check a recipe, and draw its first labels."""
    import numpy as np

    from deepbench.samples import derived
    from deepbench.selection import draw_first_attempts
    from pipeline.plan import check_acceptance

    found = read_recipe(recipe, changes)
    for table in map(found.table, found.tables):
        first = np.arange(min(table.samples, CHECKED), dtype=np.int64)
        derived(table, draw_first_attempts(table, first))
    check_acceptance(found, measured=False)
    samples = {name: table.samples for name, table in found.tables.items()}
    if as_json:
        say_json(
            {
                "name": found.name,
                "version": found.version,
                "recipe_hash": found.hash,
                "samples": samples,
            }
        )
        return
    counts = ", ".join(f"{count:,} samples in '{name}'" for name, count in samples.items())
    say(f"{recipe} is valid: {found.name}@{found.version}, {counts}")
    say(f"recipe hash {found.hash}")


def schema() -> None:
    """Print the JSON Schema of recipes.

    Editors use it to check and complete them.
    """
    from deepbench.recipe import Recipe

    say_json(Recipe.json_schema())


def preview(
    recipe: RecipeFile,
    changes: Changes = None,
    table: Table = None,
    count: Annotated[int, typer.Option(min=1, max=400, help="How many samples.")] = 24,
    start: Annotated[int, typer.Option(min=0, help="The first sample.")] = 0,
    output: Output = None,
) -> None:
    """Make a picture of a few samples, without a build."""
    from deepbench.samples import labels, render
    from pipeline.report.pictures import montage

    found = read_recipe(recipe, changes)
    name = next(iter(found.tables)) if table is None else found.table(table).name
    needed = count * sum(each.sample_bytes for each in found.table(name).variables)
    if needed > PREVIEW_BYTES:
        raise typer.BadParameter(
            f"{count} samples of '{name}' are {bytes_text(needed)}, a preview holds {bytes_text(PREVIEW_BYTES)}: "
            "ask for fewer with --count"
        )
    with progress_bar() as report:
        report("rendering", 0, 0)
        frame = labels(found, name, start, start + count)
        drawn = render(found, name, start, start + count)
    variables = [each.name for each in found.table(name).variables]
    samples = [drawn[variables].isel(sample=number) for number in range(count)]
    titles = [
        f"{number} {label} ({split})"
        for number, label, split in zip(frame["id"], frame["class"], frame["split"], strict=True)
    ]
    path = output or f"{found.name}-{found.version}-{name}.png"
    heading = f"{found.title}  ·  {found.name}@{found.version}, {name}"
    montage(samples, found.tables[name].kind, titles, path, heading=heading)
    say(path)


def plan(
    recipe: RecipeFile,
    changes: Changes = None,
    catalog: Catalog = "releases",
    as_json: Json = False,
) -> None:
    """Show what a build would do: blocks, memory, disk."""
    from pipeline.plan import check_acceptance, make_plan
    from pipeline.target import target_of

    found = read_recipe(recipe, changes)
    work = make_plan(found)
    accepted = check_acceptance(found)
    free = target_of(catalog).free_bytes()
    if as_json:
        tables: dict[str, dict[str, Any]] = {
            table.name: {
                "samples": table.samples,
                "blocks": table.blocks,
                "block_samples": table.block_length,
                "task_bytes": table.task_bytes,
                "disk_bytes": table.disk_bytes,
            }
            for table in work.tables
        }
        for name, classes in accepted.items():
            tables[name]["accepted"] = {
                key: part / max(tried, 1) for key, (tried, part) in classes.items()
            }
        say_json(
            {
                "tables": tables,
                "worker_bytes": work.worker_bytes,
                "disk_bytes": work.disk_bytes,
                "disk_free": free,
            }
        )
    else:
        rows = [
            (
                table.name,
                table.samples,
                table.blocks,
                table.block_length,
                bytes_text(table.task_bytes),
                bytes_text(table.disk_bytes),
            )
            for table in work.tables
        ]
        say_table(
            ("table", "samples", "blocks", "samples/block", "memory/block", "disk at most"), rows
        )
        for name, classes in accepted.items():
            say(f"`require` of {name} accepts about {rates(classes)} of the attempts")
        say(
            f"a worker needs {bytes_text(work.worker_bytes)}"
            + ("" if free is None else f"; on the disk {bytes_text(free)} are free")
        )
    if free is not None:
        work.check_disk(free)


def warm(
    recipes: Annotated[
        list[str], typer.Argument(metavar="RECIPE...", help="Recipes that will be built.")
    ],
) -> None:
    """Compile the kernels that recipes need. No build waits for them then.

    They are kept on this machine, for this version of DeepBench and this processor: an image for the workers of a
    cluster is ready once this has run in it.
    """
    from pipeline.warm import warm as compile_kernels

    for path in recipes:
        with progress_bar() as report, compilations(report) as compiled:
            report("reading the recipe", 0, 0)
            compile_kernels(read_recipe(path, None))
        say(f"{path}: {len(compiled)} kernels compiled" if compiled else f"{path}: ready")


def build(
    recipe: RecipeFile,
    changes: Changes = None,
    catalog: Catalog = "releases",
    workers: Workers = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a running Dask scheduler, such as tcp://host:8786."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="YAML file that describes a Dask cluster to start."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build a release, or finish one that was begun.

    Ctrl-C stops it, and the same command goes on from there.
    """
    from pipeline.build import build as make
    from pipeline.staging import log_name
    from pipeline.target import target_of

    options = cluster_options(workers, scheduler, cluster)
    begun = time.perf_counter()
    with progress_bar() as report:
        report("reading the recipe", 0, 0)
        found = read_recipe(recipe, changes)
        with log_file(target_of(catalog).log_file(log_name(found))) as log:
            try:
                result = make(found, catalog, cluster=options, progress=report)
            except (DeepBenchError, OSError):
                raise
            except Exception as error:
                logging.getLogger("pipeline").exception("the build failed")
                message = f"{type(error).__name__}: {error}; this is a fault of DeepBench, and its log is {log}"
                raise BuildError(message) from error
    seconds = time.perf_counter() - begun
    manifest = result.manifest
    samples = sum(table.samples for table in manifest.tables.values())
    if as_json:
        say_json(
            {
                "path": result.path,
                "built": result.built,
                "samples": samples,
                "bytes": manifest.size,
                "data_digests": {
                    name: table.data_digest for name, table in manifest.tables.items()
                },
                "resumed_blocks": result.resumed_blocks,
                "new_blocks": result.new_blocks,
                "reused": asdict(result.reused),
                "seconds": {"all": seconds, **result.seconds},
            }
        )
        return
    if not result.built:
        say(
            f"{found.name}@{found.version} is there already, made from the same recipe: {result.path}"
        )
        return
    again = (
        f", {result.resumed_blocks} of {result.resumed_blocks + result.new_blocks} blocks found done"
        if result.resumed_blocks
        else ""
    )
    say(
        f"published {result.path}: {samples:,} samples, {bytes_text(manifest.size)}, in {seconds:.1f} s{again}"
    )
    if result.reused.blocks:
        reused = result.reused
        say(
            f"{reused.samples:,} samples ({bytes_text(reused.bytes)}) are those of earlier versions: "
            f"about {reused.cpu_seconds:.1f} CPU seconds of rendering saved"
        )
    say("open it with")
    say(f'    deepbench.open("{found.name}", version="{found.version}", catalog="{catalog}")')
    say(f'    xarray.open_datatree("{result.path}/data.zarr", engine="zarr")')
