"""How a release is cited: in a sentence, in BibTeX, and in the style of the APA."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from deepbench.authors import Author, credited
from pipeline.documents.facts import DOI_URL, date_of
from pipeline.units import printable

if TYPE_CHECKING:
    from deepbench import format as fmt
    from deepbench.recipe import Recipe

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_"},
    "{": r"\textbraceleft{}",  # BibTeX counts escaped braces, too
    "}": r"\textbraceright{}",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}

MOST_AUTHORS = 20
"""Number of authors that the APA's style lists at most; of more, the first ones and the last."""


def sentence(
    name: str, version: str, title: str, authors: Iterable[str], recipe_hash: str, year: str = ""
) -> str:
    """Return how a release is cited, in a sentence; without a year it is that of cards of format version 1."""
    names = tuple(authors)
    apart = "; " if year and any(", " in each for each in names) else ", "
    people = apart.join(names) or "The authors"
    when = f" ({year})" if year else ""
    return f"{people}{when}: {title}. {name}, version {version}. DeepBench dataset, recipe hash {recipe_hash[:12]}."


def bibtex(recipe: Recipe, manifest: fmt.Manifest) -> str:
    """Return the entry of a release in BibTeX; styles that know no ``version`` find it in ``howpublished``."""
    year, month, _ = date_of(manifest).split("-")
    authors = credited(recipe.authors)
    fields = {
        "author": " and ".join(map(_bibtex_name, authors)),
        "key": "" if authors else _latex(recipe.name),  # by which styles sort what has no author
        "title": f"{{{_latex(recipe.title)}}}",
        "year": year,
        "month": _MONTHS[int(month) - 1],
        "version": recipe.version,
        "howpublished": _latex(f"DeepBench dataset {recipe.name}, version {recipe.version}"),
        "note": f"Recipe hash {recipe.hash[:12]}",
        "doi": recipe.doi or "",
        "url": recipe.url or "",
    }
    lines = [
        f"  {name} = {text if name == 'month' else f'{{{text}}}'},\n"
        for name, text in fields.items()
        if text
    ]
    return printable(f"@misc{{{recipe.name}-{recipe.version},\n{''.join(lines)}}}\n")


def _bibtex_name(author: Author) -> str:
    """Return an author; a name that may be no person's is kept whole."""
    name = _latex(author.name)
    return name if author.is_person and " and " not in name else f"{{{name}}}"


def _latex(text: str) -> str:
    """Return a text in one line, as LaTeX writes it."""
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))


def apa(recipe: Recipe, manifest: fmt.Manifest) -> str:
    """Return how the style of the APA (7th edition, 10.9) cites a release."""
    names = [_apa_name(each) for each in credited(recipe.authors)]
    if len(names) > MOST_AUTHORS:
        people = f"{', '.join(names[: MOST_AUTHORS - 1])}, … {names[-1]}"
    elif len(names) > 1:
        people = f"{', '.join(names[:-1])}, & {names[-1]}"
    else:
        people = "".join(names)
    title = " ".join(recipe.title.split()).rstrip(".")
    work = f"{title} (Version {recipe.version}) [Data set]"
    year = f"({date_of(manifest)[:4]})"
    head = f"{people.rstrip('.')}. {year}. {work}" if people else f"{work}. {year}"
    where = f"{DOI_URL}{recipe.doi}" if recipe.doi else recipe.url or ""
    return (
        f"{head}. DeepBench dataset {recipe.name}, recipe hash {recipe.hash[:12]}. {where}".rstrip()
    )


def _apa_name(author: Author) -> str:
    """Return an author, ``Lovelace, A. K.`` of ``Lovelace, Ada King``."""
    family, comma, given = author.name.partition(", ")
    if not comma:
        return author.name
    return f"{family}, {' '.join(map(_initials, given.split()))}"


def _initials(given: str) -> str:
    """Return the initial of a given name, ``J.-P.`` of ``Jean-Paul``."""
    return "-".join(f"{part[0]}." for part in given.split("-") if part)
