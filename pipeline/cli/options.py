"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepbench.errors import RecipeError

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from deepbench.release import Release
    from pipeline.execution import ClusterOptions

WORKFLOWS = "workflows"
"""Folder of the recipes and descriptions of clusters that come with DeepBench."""

RecipeFile = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="The recipe, a YAML file; workflows/… come with DeepBench."
    ),
]
ReleaseName = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@VERSION]", help="A release; the newest version when none is given."
    ),
]
Catalog = Annotated[
    str, typer.Option(help="Folder of the releases, s3://bucket/prefix, or a zip archive.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a value of the recipe, such as tables.images.samples=100; again for more.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Table = Annotated[str | None, typer.Option(help="Which table; the first one when absent.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes of a local cluster; one per core when absent.")
]
Output = Annotated[str | None, typer.Option("--output", "-o", help="File of the picture.")]


def come_with_us(path: str) -> str:
    """Return the path of a file: one of ``workflows/`` that is not in the working directory comes with DeepBench."""
    package = Path(__file__).parents[1]
    if Path(path).parts[:1] == (WORKFLOWS,) and not Path(path).exists():
        for folder in (package, package.parent):  # in a wheel, in a clone
            if (folder / WORKFLOWS).is_dir():
                return str(folder / path)
    return path


def read_recipe(path: str, changes: list[str] | None) -> Recipe:
    """Return the recipe in a file, with the changes of ``--set``."""
    from deepbench.recipe import load_recipe

    recipe = load_recipe(come_with_us(path))
    return recipe.replace(dict(_change(text) for text in changes)) if changes else recipe


def _change(text: str) -> tuple[str, Any]:
    from deepbench.language.load import parse_document

    path, equals, value = text.partition("=")
    if not equals or not path:
        raise typer.BadParameter(
            f"'{text}' must be PATH=VALUE, such as tables.images.samples=100", param_hint="--set"
        )
    try:
        data = parse_document(f"value: {value}", f"--set {path}").data
    except RecipeError:
        if value[:1].isalpha():  # words with a colon, which has a meaning in YAML
            return path, value
        raise
    if data.keys() != {"value"}:
        raise typer.BadParameter(f"'{path}' has more than one value after it", param_hint="--set")
    return path, data["value"]


def cluster_options(
    workers: int | None, scheduler: str | None, description: str | None = None
) -> ClusterOptions | None:
    """Return the cluster that was asked for; None when none was."""
    from pipeline.execution import ClusterOptions

    if scheduler is not None and description is not None:
        raise typer.BadParameter("give either --scheduler or --cluster, not both")
    if scheduler is not None and workers is not None:
        raise typer.BadParameter("a running scheduler has workers of its own: leave out --workers")
    described = None if description is None else come_with_us(description)
    options = ClusterOptions(workers, scheduler, described)
    return None if options == ClusterOptions() else options


def find_release(name: str, catalog: str) -> Release:
    """Return the release that ``NAME`` or ``NAME@VERSION`` stands for."""
    from deepbench.catalog import find_named

    return find_named(name, catalog)
