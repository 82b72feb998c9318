"""The data card of a release: the README that a stranger reads first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from deepbench import format as fmt
from pipeline.units import printable, rates

if TYPE_CHECKING:
    from deepbench.labelling.scopes import Column
    from deepbench.recipe import Recipe
    from deepbench.tables import Coordinate, DataVariable, Table


def data_card(recipe: Recipe, tables: dict[str, fmt.TableSummary]) -> str:
    """Return the data card in Markdown: what the release holds, its columns and units, how to open and cite it."""
    lines = [f"# {recipe.title}", ""]
    if recipe.description:
        lines += [recipe.description, ""]
    lines += [
        f"`{recipe.name}` version {recipe.version}, made by DeepBench from `{fmt.RECIPE}` "
        f"(recipe hash `{recipe.hash}`). It never changes: another content has another version.",
        "",
        f"- Licence: {recipe.license or 'not stated'}",
        f"- Authors: {', '.join(recipe.authors) or 'not stated'}",
        f"- Seed: {recipe.seed}",
        "",
        "## Open",
        "",
        "```python",
        "import xarray as xr",
        "",
        f'release = xr.open_datatree("{fmt.DATA}", engine="zarr")',
    ]
    lines += [f'{name} = release["{name}"].to_dataset()' for name in tables]
    lines += ["```", ""]
    for name, summary in tables.items():
        lines += _table(recipe.table(name), summary)
    cite = citation(recipe.name, recipe.version, recipe.title, recipe.authors, recipe.hash)
    if recipe.references:
        lines += ["## References", "", *(f"- {reference}" for reference in recipe.references), ""]
    lines += ["## Cite", "", cite, ""]
    return printable("\n".join(lines))


def citation(name: str, version: str, title: str, authors: Iterable[str], recipe_hash: str) -> str:
    """Return how a release is cited."""
    people = ", ".join(authors) or "The authors"
    return f"{people}: {title}. {name}, version {version}. DeepBench dataset, recipe hash {recipe_hash[:12]}."


def _table(table: Table[Any], summary: fmt.TableSummary) -> list[str]:
    """Return the part of the card about one table."""
    plan = table.plan
    lines = [f"## Table `{table.name}`: {summary.samples:,} samples", ""]
    described = {each.name: each for each in table.variables}
    for variable, shape in summary.variables.items():
        sizes = " × ".join(str(size) for size in shape["shape"])
        lines.append(
            f"- `{variable}` ({', '.join(shape['dims'])}): {sizes}, {shape['dtype']}{_meaning(described[variable])}"
        )
    lines += [f"- coordinate `{axis.name}`{_meaning(axis)}" for axis in table.coordinates]
    lines += [
        f"- Classes: {_counts(summary.classes)}",
        f"- Splits: {_counts(summary.splits)}",
        *_choices(table),
        f"- Data digest: `{summary.data_digest}`",
        "",
        f"Labels are in `{fmt.METADATA}/{table.name}.parquet` and beside the data:",
        "",
        *_columns(plan.columns),
    ]
    if plan.object_columns:
        lines += [
            "",
            f"The {summary.objects:,} copies of repeated objects are in `{fmt.METADATA}/{table.name}.objects.parquet`:",
            "",
            *_columns(plan.object_columns),
        ]
    return [*lines, ""]


def _choices(table: Table[Any]) -> list[str]:
    """Return the lines about rules of splits, the table it draws from, and its selection."""
    plan, described = table.plan, table.specification
    lines = [
        f"- Split `{name}` holds the samples with {rule.text.removeprefix('= ')}"
        for name, rule in plan.rules.items()
    ]
    if described.draw_from is not None:
        noise = "and noise " if described.noise_from else ""
        lines.append(f"- Labels {noise}are drawn from the streams of table `{described.draw_from}`")
    if described.require is not None:
        from deepbench.selection import acceptance

        used = {
            "drawn": "labels that are drawn",
            "noiseless": "labels that are measured without noise",
            "noisy": "labels that are measured with noise, as a survey's trigger",
        }[plan.selection_uses]
        again = "the values" if described.require.redraw == "values" else "the class and the values"
        condition = described.require.where.text.removeprefix("= ")
        lines.append(
            f"- Selected by {used}: `{condition}`; {again} of a sample are drawn again until it holds. Of the first "
            f"attempts {rates(acceptance(table))} are accepted; `attempt` is the number of the one that was"
        )
    return lines


def _columns(columns: tuple[Column, ...]) -> list[str]:
    """Return the lines of a table of label columns."""
    rows = (
        f"| `{each.name}` | {'' if each.meanings else each.unit} | {each.description} |"
        for each in columns
    )
    return ["| column | unit | meaning |", "|---|---|---|", *rows]


def _meaning(described: DataVariable | Coordinate) -> str:
    """Return what a variable or a coordinate is, its unit and its further attributes, in words."""
    unit = "" if described.units == "1" else f" ({described.units})"
    further = {key: value for key, value in described.attributes.items() if key != "coordinates"}
    words = "".join(f"; {key} {value}" for key, value in further.items())
    return f"; {described.long_name}{unit}{words}" if described.long_name else words


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())
