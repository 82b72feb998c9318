"""The documents of a release: files that follow from its recipe and its manifest, so that they can be written again.

``deepbench.format.DOCUMENTS`` says which there are, and ``WRITERS`` who writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from deepbench import format as fmt
from pipeline.documents.card import data_card
from pipeline.documents.citation import bibtex
from pipeline.documents.croissant import croissant
from pipeline.documents.datacite import datacite

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from pipeline.target import Target

Writer = Callable[["Recipe", fmt.Manifest], str]

WRITERS: dict[str, Writer] = {
    fmt.CARD: data_card,
    fmt.CITATION: bibtex,
    fmt.CROISSANT: croissant,
    fmt.DATACITE: datacite,
}
"""Function that returns the text of a document, by its name.

It gets the recipe and the manifest, whose ``objects`` are all files but the documents themselves. It may use what these
two say and nothing else, no clock either: the date is ``manifest.created``. Where a document differs between formats,
``manifest.format_version`` says which is asked for.
"""


def documents(recipe: Recipe, manifest: fmt.Manifest) -> dict[str, bytes]:
    """Return the documents of a release by their names; the manifest may list them already, or not yet."""
    names = fmt.DOCUMENTS[manifest.format_version]
    others = tuple(each for each in manifest.objects if each.path not in names)
    facts = replace(manifest, objects=others)
    return {name: WRITERS[name](recipe, facts).encode() for name in names}


def write_documents(release: Target, recipe: Recipe, manifest: fmt.Manifest) -> None:
    """Write the documents of a release."""
    for name, content in documents(recipe, manifest).items():
        release.write(name, content, sync=False)
