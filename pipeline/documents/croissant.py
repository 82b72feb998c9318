"""A release as Croissant describes it (version 1.1): its files, and a set of records for each table of labels.

Croissant is JSON-LD of schema.org's ``Dataset``, so search engines read it, too. Its readers have no Zarr: the data
variables are described as what was measured, and by the set of their files, not as fields that nobody could read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deepbench import format as fmt
from deepbench.authors import Author, credited
from pipeline.documents.citation import bibtex
from pipeline.documents.facts import LICENCES, ORCID_URL, abstract, address_of
from pipeline.units import printable

if TYPE_CHECKING:
    from deepbench.arrays import DataVariable
    from deepbench.labelling.scopes import Column
    from deepbench.recipe import Recipe
    from deepbench.tables import Table

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    **{
        name: f"cr:{name}"
        for name in (
            *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract"),
            *("field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray"),
            *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
            *("references", "regex", "repeated", "replace", "samplingRate", "separator"),
            *("source", "subField", "transform"),
        )
    },
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
}
"""Words of Croissant 1.1: what each key means."""

_FORMATS = {
    ".parquet": "application/x-parquet",
    ".csv": "text/csv",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".md": "text/markdown",
    ".fits": "application/fits",
}
"""Media types of files by their endings."""

_ROOT = f"{fmt.DATA}/zarr.json"


def croissant(recipe: Recipe, manifest: fmt.Manifest) -> str:
    """Return the description of a release in Croissant's JSON-LD."""
    tables = [recipe.table(name) for name in manifest.tables]
    data = {
        "@context": CONTEXT,
        **dataset(recipe, manifest),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "citeAs": bibtex(recipe, manifest),
        "isLiveDataset": False,
        "variableMeasured": [
            _measured(table, each) for table in tables for each in table.variables
        ],
        "distribution": [
            *(_file(each) for each in manifest.objects if _is_listed(each.path)),
            *(_file_set(table, manifest.tables[table.name]) for table in tables),
        ],
        "recordSet": [each for table in tables for each in _record_sets(table, manifest)],
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def dataset(recipe: Recipe, manifest: fmt.Manifest) -> dict[str, Any]:
    """Return what schema.org's ``Dataset`` says of a release as a whole."""
    found = {
        "@type": "Dataset",
        "name": recipe.name,
        "alternateName": recipe.title,
        "description": abstract(recipe, manifest),
        "version": recipe.version,
        "license": LICENCES.get(recipe.license, recipe.license),
        "creator": [_creator(each) for each in credited(recipe.authors)],
        "keywords": list(recipe.keywords or ()),
        "url": address_of(recipe),
        "identifier": f"https://doi.org/{recipe.doi}" if recipe.doi else None,
        "citation": list(recipe.references),
        "dateCreated": manifest.created,
        "datePublished": manifest.created,
    }
    return {key: value for key, value in found.items() if value}


def _creator(author: Author) -> dict[str, Any]:
    """Return an author; schema.org knows persons and organizations alone."""
    found: dict[str, Any] = {
        "@type": "Person" if author.is_person else "Organization",
        "name": author.name,
    }
    if author.orcid:
        found |= {"url": ORCID_URL + author.orcid}
    if author.affiliation:
        found["affiliation"] = {"@type": "Organization", "name": author.affiliation}
    return found


# files


def _is_listed(path: str) -> bool:
    """Return whether a file is described by itself, not in a set."""
    return path == _ROOT or not path.startswith(f"{fmt.DATA}/")


def _file(stored: fmt.StoredObject) -> dict[str, Any]:
    """Return the description of a file."""
    ending = stored.path[stored.path.rfind(".") :]
    found = {
        "@type": "cr:FileObject",
        "@id": stored.path,
        "name": stored.path,
        "contentUrl": stored.path,
        "contentSize": f"{stored.size} B",
        "encodingFormat": _FORMATS.get(ending, "application/octet-stream"),
        "sha256": stored.sha256,
    }
    if stored.path == _ROOT:
        found["description"] = "Consolidated metadata of the Zarr store, version 3."
    return found


def _file_set(table: Table[Any], summary: fmt.TableSummary) -> dict[str, Any]:
    """Return the description of the arrays of a table."""
    arrays = (
        f"{name} ({', '.join(shape['dims'])}) {' × '.join(map(str, shape['shape']))} {shape['dtype']}"
        for name, shape in summary.variables.items()
    )
    return {
        "@type": "cr:FileSet",
        "@id": f"{fmt.DATA}/{table.name}",
        "name": f"{fmt.DATA}/{table.name}",
        "description": (
            f"Group '{table.name}' of a Zarr store, version 3: {'; '.join(arrays)}; and the labels, along sample. "
            f'Open it by xarray.open_datatree("{fmt.DATA}", engine="zarr"). {fmt.MANIFEST} has the SHA-256 of each '
            f"file; digest of the data: {summary.data_digest}."
        ),
        "encodingFormat": "application/vnd.zarr",
        "includes": f"{fmt.DATA}/{table.name}/**",
    }


def _measured(table: Table[Any], variable: DataVariable) -> dict[str, Any]:
    """Return the description of a data variable as schema.org has it."""
    dimensions = zip(variable.dimensions, variable.shape, strict=True)
    sizes = ", ".join(f"{name} {size}" for name, size in dimensions)
    return {
        "@type": "sc:PropertyValue",
        "name": f"{table.name}/{variable.name}",
        "description": printable(
            f"{variable.long_name}: {variable.dtype}" + (f", {sizes}" if sizes else "")
        ),
        "unitText": variable.units,
    }


# records


def _record_sets(table: Table[Any], manifest: fmt.Manifest) -> Iterator[dict[str, Any]]:
    """Yield the records of a table: those of its words first, then of its labels and its repeated objects."""
    summary, plan = manifest.tables[table.name], table.plan
    yield from _words(table.name, plan.columns, {"class": summary.classes, "split": summary.splits})
    yield {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": (
            f"Labels of the {summary.samples:,} samples of table '{table.name}', in the order of its arrays. NaN and "
            "-1 stand where the class of a sample has no such label. The digests of the samples, 16 bytes each, are in "
            "the file, too; Croissant has no type for bytes."
        ),
        "key": {"@id": f"{table.name}/id"},
        "field": list(_fields(table.name, plan.columns)),
    }
    if plan.object_columns:
        name = f"{table.name}.objects"
        yield from _words(name, plan.object_columns, {})
        keys = ("sample", "object", "copy")
        yield {
            "@type": "cr:RecordSet",
            "@id": name,
            "name": name,
            "description": (
                f"The {summary.objects:,} copies of repeated objects in table '{table.name}'; `sample` is the `id` of "
                "the sample. NaN stands where an object has no such field."
            ),
            "key": [{"@id": f"{name}/{each}"} for each in keys],
            "field": list(_fields(name, plan.object_columns)),
        }


def _fields(records: str, columns: tuple[Column, ...]) -> Iterator[dict[str, Any]]:
    """Yield the fields of a file of Parquet."""
    file = f"{fmt.METADATA}/{records}.parquet"
    for column in columns:
        found: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"{records}/{column.name}",
            "name": column.name,
            "description": column.description,
            "dataType": "sc:Text" if column.meanings else f"cr:{column.dtype.name.title()}",
            "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
        }
        if column.meanings:
            found["references"] = {"field": {"@id": f"{records}.{column.name}/name"}}
        else:
            found["unitText"] = column.unit
        yield found


def _words(
    records: str, columns: tuple[Column, ...], counts: dict[str, dict[str, int]]
) -> Iterator[dict[str, Any]]:
    """Yield the enumeration of each column that holds words, with their codes in Zarr and how many there are."""
    for column in columns:
        if not column.meanings:
            continue
        name = f"{records}.{column.name}"
        types = {"name": "sc:Text", "code": "cr:Int64"}
        rows: list[dict[str, Any]] = [
            {"name": word, "code": code} for code, word in enumerate(column.meanings)
        ]
        if column.name in counts:
            types["samples"] = "cr:Int64"
            rows = [{**row, "samples": counts[column.name][row["name"]]} for row in rows]
        yield {
            "@type": "cr:RecordSet",
            "@id": name,
            "name": name,
            "description": f"Words of {records}/{column.name}, and their codes in the Zarr store.",
            "dataType": ["sc:Enumeration", "cr:Split"]
            if column.name == "split"
            else "sc:Enumeration",
            "key": {"@id": f"{name}/name"},
            "field": [
                {"@type": "cr:Field", "@id": f"{name}/{each}", "name": each, "dataType": kind}
                for each, kind in types.items()
            ],
            "data": [{f"{name}/{key}": value for key, value in row.items()} for row in rows],
        }
