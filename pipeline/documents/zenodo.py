"""The metadata of a release as Zenodo's API takes them (https://developers.zenodo.org, `deposit/depositions`)."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from deepbench.authors import credited
from deepbench.errors import ExportError
from pipeline.documents.facts import abstract, date_of, links

if TYPE_CHECKING:
    from deepbench import format as fmt
    from deepbench.recipe import Recipe

DOI_PREFIX = "10.5281/zenodo."
"""Beginning of the DOIs that Zenodo gives; the number of the record follows."""


def zenodo(recipe: Recipe, manifest: fmt.Manifest) -> dict[str, Any]:
    """Return the metadata of a record with a release.

    Raises
    ------
    ExportError
        The recipe has no author, which Zenodo demands, or no licence, for which Zenodo would put in its own default.
    """
    missing = [key for key in ("authors", "license") if not getattr(recipe, key)]
    if missing:
        keys = " and ".join(f"`{key}`" for key in missing)
        raise ExportError(
            f"Zenodo wants to know {keys}, of which the recipe of {recipe.name}@{recipe.version} says nothing; write "
            "it there, and build the next patch version, which links the data of this one"
        )
    creators = []
    for author in credited(recipe.authors):
        facts = {"name": author.name, "orcid": author.orcid, "affiliation": author.affiliation}
        creators.append({key: value for key, value in facts.items() if value})
    paragraphs = abstract(recipe, manifest).split("\n\n")
    found: dict[str, Any] = {
        "title": recipe.title,
        "upload_type": "dataset",
        "publication_date": date_of(manifest),
        "creators": creators,
        "description": "".join(f"<p>{html.escape(each, quote=False)}</p>" for each in paragraphs),
        "access_right": "open",
        "license": recipe.license.lower(),
        "version": recipe.version,
        "keywords": list(recipe.keywords or ()),
        "references": list(recipe.references),
        "related_identifiers": [
            {"identifier": link.text, "relation": "references"}
            for link in dict.fromkeys(link for text in recipe.references for link in links(text))
        ],
    }
    if recipe.url:
        found["related_identifiers"].append({"identifier": recipe.url, "relation": "isDescribedBy"})
    if recipe.doi and not recipe.doi.startswith(DOI_PREFIX):
        found["doi"] = recipe.doi
    return {key: value for key, value in found.items() if value}
