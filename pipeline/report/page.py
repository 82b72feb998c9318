"""Pages of reports: one file of HTML each, which needs nothing from elsewhere; its tables and pictures."""

from __future__ import annotations

import warnings
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepbench.counterfactuals import unchanged, vary
from deepbench.errors import LabelError, RangeWarning
from deepbench.labelling.changes import derive_of
from deepbench.panels import draw_row

if TYPE_CHECKING:
    import xarray as xr

    from deepbench.release import Release


def page(title: str, words: str, sections: Mapping[str, str]) -> str:
    """Return a page.

    Parameters
    ----------
    title : str
    words : str
        What stands below the title.
    sections : mapping of str to str
        Heading and HTML of each section; empty ones are left out.
    """
    names = {name: name.lower().replace(" ", "-") for name, content in sections.items() if content}
    links = "".join(f'<a href="#{each}">{escape(name)}</a>' for name, each in names.items())
    body = "".join(
        f'<section id="{each}" aria-labelledby="{each}-title"><h2 id="{each}-title">{escape(name)}</h2>'
        f"{sections[name]}</section>"
        for name, each in names.items()
    )
    style = Path(__file__).with_name("page.css").read_text()
    first = next(iter(names.values()))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f'<a class="skip" href="#{first}">Skip to the first section</a><main><header><h1>{escape(title)}</h1>'
        f'<p class="soft">{escape(words)}</p><nav aria-label="Sections">{links}</nav></header>{body}'
        "</main></body></html>\n"
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], caption: str, numbers: Sequence[int] = ()
) -> str:
    """Return a table whose first column names the rows; ``numbers`` are columns that are aligned to the right."""
    align = ['class="number"' if column in numbers else "" for column in range(len(head))]
    cells = "".join(
        f'<th scope="col" {own}>{escape(word)}</th>' for word, own in zip(head, align, strict=True)
    )
    lines = [f"<tr>{cells}</tr>"]
    for row in rows:
        first = f'<th scope="row">{escape(row[0])}</th>'
        rest = (
            f"<td {own}>{escape(word)}</td>" for word, own in zip(row[1:], align[1:], strict=True)
        )
        lines.append(f"<tr>{first}{''.join(rest)}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption>{''.join(lines)}</table></div>"
    )


def strip(heading: str, pictures: Iterable[tuple[str, str, str]]) -> str:
    """Return pictures side by side below a heading: of each the address, what it shows, and what stands below it."""
    items = "".join(
        f'<li><img alt="{escape(shows)}" src="{address}">{escape(words)}</li>'
        for address, shows, words in pictures
    )
    return (
        f"<h3>{escape(heading)}</h3>"
        f'<ul class="strip" tabindex="0" aria-label="{escape(heading)}">{items}</ul>'
    )


class Pictures:
    """Pictures of the samples of a table, rendered from their labels.

    Attributes
    ----------
    release : Release
    table : str
    """

    def __init__(self, release: Release, table: str) -> None:
        self.release, self.table = release, table
        self._kind = release.manifest.tables[table].kind

    def of(self, ids: Sequence[int]) -> list[str]:
        """Return the address of a picture of each sample, which holds it."""
        data = unchanged(self.release, self.table, list(ids))
        return [self._address(data.isel(sample=row)) for row in range(len(ids))]

    def along(self, sample: int, label: str, values: Any) -> list[str] | None:
        """Return the address of a picture of each step of a change; None where the label cannot be changed."""
        plan = self.release.recipe.table(self.table).plan
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RangeWarning)
                derive = derive_of(plan, [label])
                track = vary(self.release, self.table, [sample], {label: values}, derive=derive)
        except LabelError:
            return None
        return [self._address(track.isel(sample=0, step=step)) for step in range(len(values))]

    def _address(self, sample: xr.Dataset) -> str:
        return f"data:image/png;base64,{b64encode(draw_row(self._kind, [sample])).decode()}"
