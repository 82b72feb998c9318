"""HTML by which notebooks show what a recipe, a release and a catalog are.

It needs nothing from elsewhere, no script and no style sheet, and takes its colours from the notebook, light or dark.
Every word is escaped: titles and names are the users'.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_LINE = "1px solid rgba(128, 128, 128, 0.4)"
_CELL = (
    f"text-align: left; vertical-align: top; padding: 0.2em 0.8em 0.2em 0; border-bottom: {_LINE}"
)


def card(heading: str, title: str, facts: Mapping[str, str], *parts: str) -> str:
    """Return the HTML of one thing.

    Parameters
    ----------
    heading, title : str
        Its name, and what it is in one line.
    facts : mapping of str to str
        What is known of it; empty ones are left out.
    *parts : str
        HTML that follows.
    """
    words = " · ".join(f"{escape(name)} {escape(fact)}" for name, fact in facts.items() if fact)
    return (
        f'<div style="border: {_LINE}; border-radius: 4px; padding: 0.6em 1em"><strong>{escape(heading)}</strong> '
        f'{escape(title)}<div style="opacity: 0.75; font-size: 90%">{words}</div>{"".join(parts)}</div>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the HTML of a table of words."""
    lines = [_line("th", head), *(_line("td", row) for row in rows)]
    return f'<table style="border-collapse: collapse; margin: 0.5em 0">{"".join(lines)}</table>'


def picture(png: bytes, words: str) -> str:
    """Return the HTML of a picture, with words that say what it shows."""
    data, said = b64encode(png).decode(), escape(words)
    return f'<img alt="{said}" title="{said}" style="max-width: 100%" src="data:image/png;base64,{data}">'


def note(words: str) -> str:
    """Return the HTML of a remark."""
    return f"<div><em>{escape(words)}</em></div>"


def _line(tag: str, words: Sequence[str]) -> str:
    cells = (f'<{tag} style="{_CELL}">{escape(each)}</{tag}>' for each in words)
    return f"<tr>{''.join(cells)}</tr>"
