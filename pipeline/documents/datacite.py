"""The metadata of a release as DataCite has them (DataCite Metadata Schema 4.5, in JSON)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deepbench.authors import Author, credited
from pipeline.documents.facts import LICENCES, ORCID_URL, abstract, date_of, links, size_of

if TYPE_CHECKING:
    from deepbench import format as fmt
    from deepbench.recipe import Recipe

UNKNOWN = ":unav"
"""Word of DataCite for a value that is not available: the publisher is whoever registers the DOI."""

_FORMATS = {"data.zarr/": "Zarr 3", ".parquet": "Apache Parquet", ".csv": "CSV", ".yaml": "YAML"}


def datacite(recipe: Recipe, manifest: fmt.Manifest) -> str:
    """Return the attributes of a release that DataCite asks for, as JSON text."""
    return json.dumps(attributes(recipe, manifest), indent=1, ensure_ascii=False) + "\n"


def attributes(recipe: Recipe, manifest: fmt.Manifest) -> dict[str, Any]:
    """Return the attributes of a release that DataCite asks for, as plain data."""
    day = date_of(manifest)
    found: dict[str, Any] = {
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Benchmark dataset"},
        "creators": [_creator(each) for each in credited(recipe.authors)] or [{"name": UNKNOWN}],
        "titles": [{"title": recipe.title}],
        "publisher": {"name": UNKNOWN},
        "publicationYear": day[:4],
        "version": recipe.version,
        "dates": [{"date": day, "dateType": "Created"}],
        "descriptions": [
            {"description": abstract(recipe, manifest), "descriptionType": "Abstract"}
        ],
        "alternateIdentifiers": [
            {
                "alternateIdentifier": f"{recipe.name}@{recipe.version}",
                "alternateIdentifierType": "DeepBench release",
            },
            {
                "alternateIdentifier": recipe.hash,
                "alternateIdentifierType": "DeepBench recipe hash",
            },
        ],
        "sizes": [f"{size_of(manifest)} bytes"],
        "formats": [
            words
            for mark, words in _FORMATS.items()
            if any(mark in each.path for each in manifest.objects)
        ],
        "schemaVersion": "http://datacite.org/schema/kernel-4",
    }
    if recipe.doi:
        found["doi"] = recipe.doi
    if recipe.url:
        found["url"] = recipe.url
    if recipe.keywords:
        found["subjects"] = [{"subject": each} for each in recipe.keywords]
    if recipe.license:
        found["rightsList"] = [_rights(recipe.license)]
    related = [link for text in recipe.references for link in links(text)]
    if related:
        found["relatedIdentifiers"] = [
            {
                "relatedIdentifier": link.text,
                "relatedIdentifierType": link.scheme,
                "relationType": "References",
            }
            for link in dict.fromkeys(related)
        ]
    return found


def _creator(author: Author) -> dict[str, Any]:
    """Return an author."""
    found: dict[str, Any] = {"name": author.name}
    if author.is_person:
        found["nameType"] = "Personal"
        family, comma, given = author.name.partition(", ")
        if comma:
            found |= {"givenName": given, "familyName": family}
    if author.orcid:
        found["nameIdentifiers"] = [
            {
                "nameIdentifier": ORCID_URL + author.orcid,
                "nameIdentifierScheme": "ORCID",
                "schemeUri": ORCID_URL.rstrip("/"),
            }
        ]
    if author.affiliation:
        found["affiliation"] = [{"name": author.affiliation}]
    return found


def _rights(text: str) -> dict[str, str]:
    """Return a licence, with its SPDX identifier where that is known."""
    if text not in LICENCES:
        return {"rights": text}
    return {
        "rights": text,
        "rightsUri": LICENCES[text],
        "rightsIdentifier": text,
        "rightsIdentifierScheme": "SPDX",
        "schemeUri": "https://spdx.org/licenses/",
    }
