"""Facts that several documents of a release tell: its licence, its date, its addresses, and what it is in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from deepbench import format as fmt

if TYPE_CHECKING:
    from deepbench.recipe import Recipe

_CC = "https://creativecommons.org"
_OPEN = "https://opendatacommons.org/licenses"

LICENCES = {
    "CC0-1.0": f"{_CC}/publicdomain/zero/1.0/",
    **{
        f"CC-{terms}-{number}": f"{_CC}/licenses/{terms.lower()}/{number}/"
        for terms in ("BY", "BY-SA", "BY-NC", "BY-ND", "BY-NC-SA", "BY-NC-ND")
        for number in ("3.0", "4.0")
    },
    "ODC-By-1.0": f"{_OPEN}/by/1-0/",
    "ODbL-1.0": f"{_OPEN}/odbl/1-0/",
    "PDDL-1.0": f"{_OPEN}/pddl/1-0/",
    **{
        name: f"https://opensource.org/license/{name.lower()}"
        for name in ("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT")
    },
}
"""Addresses of licences that data have, by their SPDX identifiers."""

DOI_URL, ORCID_URL = "https://doi.org/", "https://orcid.org/"


class Link(NamedTuple):
    """An identifier in a text: its scheme as DataCite calls it, and itself."""

    scheme: str
    text: str


_LINKS = re.compile(
    r"(?:https?://(?:dx\.)?doi\.org/)?(?P<DOI>10\.\d{4,9}/[^\s,;<>\"{}]+)"
    r"|(?:https?://arxiv\.org/abs/)?arxiv[:/](?P<arXiv>\d{4}\.\d{4,5}(?:v\d+)?|[a-z-]+(?:\.[A-Z]{2})?/\d{7})"
    r"|https?://arxiv\.org/abs/(?P<arXivURL>\d{4}\.\d{4,5}(?:v\d+)?|[a-z-]+(?:\.[A-Z]{2})?/\d{7})"
    r"|(?P<URL>https?://[^\s<>\"{}]+)",
    re.IGNORECASE,
)


def links(text: str) -> list[Link]:
    """Return the DOIs, arXiv numbers and web addresses in a text.

    Examples
    --------
    >>> links("Cohen et al. 2018, Spherical CNNs, arXiv:1801.10130; see https://example.org/s2.")
    [Link(scheme='arXiv', text='arXiv:1801.10130'), Link(scheme='URL', text='https://example.org/s2')]
    """
    found = []
    for match in _LINKS.finditer(text):
        scheme, value = next((name, each) for name, each in match.groupdict().items() if each)
        value = value.rstrip(".,;:)]'")
        if scheme.startswith("arXiv"):
            scheme, value = "arXiv", f"arXiv:{value}"
        found.append(Link(scheme, value))
    return list(dict.fromkeys(found))


def date_of(manifest: fmt.Manifest) -> str:
    """Return the day on which a release was made, as ``2026-11-22``."""
    return manifest.created[:10]


def address_of(recipe: Recipe) -> str | None:
    """Return the web address of a release: that of its page, or of its DOI; None where the recipe has neither."""
    return recipe.url or (f"{DOI_URL}{recipe.doi}" if recipe.doi else None)


def size_of(manifest: fmt.Manifest) -> int:
    """Return the bytes of all files but the documents themselves, which could not tell their own."""
    return sum(
        each.size
        for each in manifest.objects
        if each.path not in fmt.DOCUMENTS[manifest.format_version]
    )


def abstract(recipe: Recipe, manifest: fmt.Manifest) -> str:
    """Return what a release is, in words: what its recipe says, and what its tables hold."""
    tables = (
        f"{name} ({each.samples:,} samples of kind {each.kind}, each with {', '.join(each.variables)})"
        for name, each in manifest.tables.items()
    )
    made = (
        f"Tables of {recipe.name} {recipe.version}: {'; '.join(tables)}. Every sample has the labels of all that "
        f"shaped it. Made by DeepBench from a recipe with the hash {recipe.hash}."
    )
    return f"{recipe.description or recipe.title}\n\n{made}"
