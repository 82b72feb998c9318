"""The commands that share releases: cite, deposit."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from deepbench.words import bytes_text
from pipeline.cli.options import Catalog, Json, ReleaseName, find_release
from pipeline.cli.output import progress_bar, say, say_json
from pipeline.cli.upkeep import find_exactly


class Style(StrEnum):
    """How a release is cited."""

    bibtex = "bibtex"
    apa = "apa"
    datacite = "datacite"


def cite(
    release: ReleaseName,
    style: Annotated[
        Style, typer.Option("--format", help="BibTeX, the style of the APA, or DataCite's JSON.")
    ] = Style.bibtex,
    catalog: Catalog = "releases",
) -> None:
    """Print how to cite a release."""
    from pipeline.documents.citation import apa, bibtex
    from pipeline.documents.datacite import datacite

    found = find_release(release, catalog)
    write = {Style.bibtex: bibtex, Style.apa: apa, Style.datacite: datacite}[style]
    say(write(found.recipe, found.manifest).rstrip("\n"))


def deposit(
    release: ReleaseName,
    to: Annotated[
        str, typer.Option("--to", metavar="FILE", help="A new .json: what Zenodo's API takes.")
    ],
    archive: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The release as a .zip of `export`; NAME-VERSION.zip when absent."
        ),
    ] = None,
    catalog: Catalog = "releases",
    as_json: Json = False,
) -> None:
    """Prepare the deposit of a release at Zenodo. It prints the commands that make it; nothing is sent."""
    from pipeline.deposit import check_target, prepare_deposit, write_deposit

    found = find_exactly(release, catalog)
    check_target(found, to)
    with progress_bar() as report:
        made = prepare_deposit(found, archive or f"{found.name}-{found.version}.zip", report)
    write_deposit(found, made, to)
    commands = made.commands(to)
    if as_json:
        say_json({"file": to, "bytes": made.size, "note": made.note, "commands": commands})
        return
    say(f"{to}: {found} in {len(made.files)} files, {bytes_text(made.size)}")
    for note in (found.deprecation and f"{found} {found.deprecation}", made.note):
        if note:
            say(f"note: {note}")
    say(
        "nothing was sent; with a token of https://zenodo.org/account/settings/applications in ZENODO_TOKEN:"
    )
    for command in commands:
        say(f"  {command}")
    say("look at the draft at the address that the last one prints, and publish it there")
