"""The data card of a release: the README that a stranger reads first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deepbench import format as fmt
from deepbench.authors import credited
from pipeline.documents.citation import sentence
from pipeline.documents.croissant import dataset
from pipeline.documents.facts import date_of
from pipeline.units import printable, rates

if TYPE_CHECKING:
    from deepbench.arrays import Coordinate, DataVariable
    from deepbench.labelling.scopes import Column
    from deepbench.recipe import Recipe
    from deepbench.tables import Table


def data_card(recipe: Recipe, manifest: fmt.Manifest) -> str:
    """Return the data card in Markdown: what the release holds, its columns and units, how to open and cite it."""
    tables, first = manifest.tables, manifest.format_version == 1
    names = [each.name for each in credited(recipe.authors)]
    lines = [f"# {recipe.title}", ""]
    if recipe.description:
        lines += [recipe.description, ""]
    lines += [
        f"`{recipe.name}` version {recipe.version}, made by DeepBench from `{fmt.RECIPE}` "
        f"(recipe hash `{recipe.hash}`). It never changes: another content has another version.",
        "",
        f"- Licence: {recipe.license or 'not stated'}",
        f"- Authors: {', '.join(names) or 'not stated'}",
        f"- Seed: {recipe.seed}",
        *([] if first else _addresses(recipe, manifest)),
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
    year = "" if first else date_of(manifest)[:4]
    cite = sentence(recipe.name, recipe.version, recipe.title, names, recipe.hash, year)
    if recipe.references:
        lines += ["## References", "", *(f"- {reference}" for reference in recipe.references), ""]
    lines += ["## Cite", "", cite, ""]
    if not first:
        lines += _for_machines(recipe, manifest)
    return printable("\n".join(lines))


def _addresses(recipe: Recipe, manifest: fmt.Manifest) -> list[str]:
    """Return the lines about when a release was made, and where else it is found."""
    facts = {
        "Made": date_of(manifest),
        "DOI": recipe.doi,
        "Page": recipe.url,
        "Keywords": ", ".join(recipe.keywords or ()),
    }
    return [f"- {name}: {value}" for name, value in facts.items() if value]


def _for_machines(recipe: Recipe, manifest: fmt.Manifest) -> list[str]:
    """Return the part of the card about the files that machines read, with what search engines read."""
    context = {"@context": "https://schema.org/"}
    text = json.dumps(context | dataset(recipe, manifest), indent=1, ensure_ascii=False)
    return [
        "## For machines",
        "",
        f"`{fmt.CITATION}` has the citation in BibTeX, `{fmt.DATACITE}` the metadata that DataCite asks for, "
        f"`{fmt.CROISSANT}` the files and columns as Croissant 1.1. Search engines read `{fmt.CROISSANT}`, or what "
        'follows, in a web page, between `<script type="application/ld+json">` and `</script>`:',
        "",
        "```json",
        text.replace("</", "<\\/"),  # a page ends a script there
        "```",
        "",
    ]


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
