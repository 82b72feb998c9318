"""The documents of a release say what is in its files, and the programs of others read them."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
import shutil
import socket
import warnings
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr

from deepbench import format as fmt
from deepbench.authors import Author, credited
from deepbench.catalog import find, releases
from deepbench.errors import ReleaseError
from deepbench.recipe import parse_recipe
from pipeline.documents import documents
from pipeline.documents.citation import apa, bibtex
from pipeline.documents.croissant import croissant
from pipeline.documents.datacite import attributes
from pipeline.documents.facts import LICENCES, Link, links
from pipeline.repair import repair
from pipeline.verify import verify

KEPT = releases(Path(__file__).parents[1] / "releases")
LOVELACE = {
    "name": "Lovelace, Ada King",
    "orcid": "0000-0002-1825-0097",
    "affiliation": "Analytical Society",
}
TYPES = {"cr:Int64": "int64", "cr:Float64": "double", "sc:Text": "dictionary<values=string"}


@pytest.fixture
def worded(built):
    """A recipe and a manifest with every word that documents tell."""
    recipe = built.recipe.replace(
        {
            "title": "50 % of {shapes} & _more_ \\ #1",
            "authors": ["The A & B team", LOVELACE, {"name": "Sartre, Jean-Paul"}],
            "references": ["Cohen 2018, arXiv:1801.10130", "doi:10.1093/mnras/sty1.", "A book"],
            "keywords": ["shapes", "calibration"],
            "url": "https://example.org/small",
            "doi": "10.5281/zenodo.1234567",
        }
    )
    return recipe, replace(built.release.manifest, title=recipe.title)


# --- Croissant ---------------------------------------------------------------------------------


def check_facts(text, folder, words_are_old=False):
    """Hold every fact of a description against the files, which are read by others' packages alone.

    Old releases may describe columns in other words.
    """
    data = json.loads(text)
    files, sets = {}, {}
    for each in data["distribution"]:
        {"cr:FileObject": files, "cr:FileSet": sets}[each["@type"]][each["@id"]] = each
    for name, each in files.items():
        content = (folder / name).read_bytes()
        assert each["contentUrl"] == name
        assert each["contentSize"] == f"{len(content)} B"
        assert each["sha256"] == hashlib.sha256(content).hexdigest()
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    patterns = [each["includes"] for each in sets.values()]
    covered = {name for name in there if any(fnmatch.fnmatch(name, one) for one in patterns)}
    left = there - covered - files.keys() - {fmt.MANIFEST, *fmt.DOCUMENTS[fmt.FORMAT_VERSION]}
    assert left == set()
    tree = xr.open_datatree(folder / fmt.DATA, engine="zarr")
    records = {each["@id"]: each for each in data["recordSet"]}
    words = {name: each for name, each in records.items() if "data" in each}
    tables = {name: each for name, each in records.items() if "data" not in each}
    assert {f"metadata/{name}.parquet" for name in tables} == {
        name for name in files if name.endswith(".parquet")
    }
    for name, each in tables.items():
        schema = pq.read_schema(folder / f"metadata/{name}.parquet")
        fields = {field["source"]["extract"]["column"]: field for field in each["field"]}
        assert list(fields) == [x for x in schema.names if not x.startswith("digest.")]
        for column, field in fields.items():
            described = schema.field(column)
            assert field["@id"] == f"{name}/{column}"
            assert field["name"] == column
            assert field["source"]["fileObject"] == {"@id": f"metadata/{name}.parquet"}
            assert str(described.type).startswith(TYPES[field["dataType"]])
            if not words_are_old:
                assert field["description"] == described.metadata[b"description"].decode()
            assert field.get("unitText") == (described.metadata.get(b"unit") or b"").decode() or (
                "references" in field and b"unit" not in described.metadata
            )
            if "references" in field:
                enumeration = words.pop(field["references"]["field"]["@id"].removesuffix("/name"))
                check_words(enumeration, folder, name, column, tree)
    assert words == {}
    measured = {each["name"]: each for each in data["variableMeasured"]}
    manifest = json.loads((folder / fmt.MANIFEST).read_text())
    assert set(measured) == {
        f"{table}/{variable}"
        for table, each in manifest["tables"].items()
        for variable in each["variables"]
    }
    for name, each in measured.items():
        array = tree[name]
        sizes = ", ".join(f"{key} {array.sizes[key]}" for key in array.dims[1:])
        assert each["unitText"] == array.attrs["units"]
        assert each["description"].endswith(
            f"{array.dtype}, {sizes}" if sizes else f"{array.dtype}"
        )
        table, _, variable = name.partition("/")
        whole = " × ".join(str(size) for size in array.shape)
        assert (
            f"{variable} ({', '.join(array.dims)}) {whole} {array.dtype}"
            in (sets[f"data.zarr/{table}"]["description"])
        )


def check_words(enumeration, folder, records, column, tree):
    """Hold the words of a column, their codes and counts against Parquet and Zarr."""
    name = enumeration["@id"]
    rows = [
        {key.removeprefix(f"{name}/"): value for key, value in row.items()}
        for row in enumeration["data"]
    ]
    values = pd.read_parquet(folder / f"metadata/{records}.parquet", columns=[column])[column]
    assert set(values.unique()) <= {row["name"] for row in rows}
    types = {field["name"]: field["dataType"] for field in enumeration["field"]}
    assert types == {key: "sc:Text" if key == "name" else "cr:Int64" for key in rows[0]}
    if records in tree.children:
        flags = tree[records][column].attrs
        assert [row["name"] for row in rows] == flags["flag_meanings"].split()
        assert [row["code"] for row in rows] == list(flags["flag_values"])
    if column in ("class", "split"):
        counts = values.value_counts()
        assert [row["samples"] for row in rows] == [counts.get(row["name"], 0) for row in rows]


def described(release):
    """Return the description of a kept release, which one of version 2 has."""
    if fmt.CROISSANT in fmt.DOCUMENTS[release.manifest.format_version]:
        return release.location.read(fmt.CROISSANT).decode()
    return croissant(release.recipe, release.manifest)


def test_croissant_tells_the_facts(built):
    check_facts((built.path / fmt.CROISSANT).read_text(), built.path)


@pytest.mark.parametrize("release", KEPT, ids=str)
def test_croissant_tells_the_facts_of_every_kind(release):
    check_facts(described(release), Path(release.path), words_are_old=True)


def test_the_check_of_facts_fails_where_one_is_wrong(built):
    """As Croissant's own does not: a field of another column, type or unit, another size."""
    text = (built.path / fmt.CROISSANT).read_text()
    for right, wrong in (
        ('"column": "circle.radius"', '"column": "id"'),
        ('"dataType": "cr:Int64"', '"dataType": "cr:Float64"'),
        ('"unitText": "pixel"', '"unitText": "arcsec"'),
        ("image: float32, y 16", "image: float32, y 64"),
        ('"images.class/code": 1', '"images.class/code": 2'),
        ('"sha256": "', '"sha256": "0'),
    ):
        assert right in text
        with pytest.raises(AssertionError):
            check_facts(text.replace(right, wrong, 1), built.path)


@pytest.fixture
def mlcroissant(monkeypatch):
    """The reader of Croissant, without a connection to anywhere."""

    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with warnings.catch_warnings(action="ignore"):  # rdflib deprecates what it does itself
        import mlcroissant

        yield mlcroissant


def same(read, stored):
    """Return whether a value that was read is the stored one, bit for bit; words come as bytes."""
    if isinstance(stored, str):
        return read == stored.encode()
    return pd.isna(read) if pd.isna(stored) else type(read)(stored) == read and read == stored


@pytest.mark.parametrize("which", ["built", "every kind"])
def test_mlcroissant_reads_every_label(built, which, tmp_path, mlcroissant):
    folder = built.path
    if which != "built":
        release = max(KEPT, key=lambda each: (each.name, each.version))
        folder = shutil.copytree(release.path, tmp_path / "release")
        folder.chmod(0o755)
        (folder / fmt.CROISSANT).write_text(described(release))
    dataset = mlcroissant.Dataset(jsonld=folder / fmt.CROISSANT)
    assert not dataset.metadata.ctx.issues.errors
    records = [each for each in dataset.metadata.record_sets if each.data is None]
    assert len(records) >= 3
    for each in records:
        stored = pd.read_parquet(folder / f"metadata/{each.uuid}.parquet")
        columns = [name for name in stored.columns if not name.startswith("digest.")]
        rows = list(dataset.records(record_set=each.uuid))
        assert len(rows) == len(stored)
        for row, right in zip(rows, stored[columns].itertuples(index=False), strict=True):
            assert list(row) == [f"{each.uuid}/{name}" for name in columns]
            assert all(map(same, row.values(), right))


def test_croissant_of_a_recipe_with_many_words(worded, tmp_path, mlcroissant):
    (tmp_path / fmt.CROISSANT).write_text(croissant(*worded))
    for each in worded[1].objects:
        if each.path.startswith("metadata/"):
            (tmp_path / "metadata").mkdir(exist_ok=True)
            (tmp_path / each.path).touch()
    issues = mlcroissant.Dataset(jsonld=tmp_path / fmt.CROISSANT).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())


# --- DataCite, BibTeX, the style of the APA ------------------------------------------------------


def test_datacite_takes_the_metadata(built, worded, make_recipe):
    from datacite import schema45

    stored = json.loads((built.path / fmt.DATACITE).read_text())
    few = make_recipe(license="My own", authors=[], references=[], description="")
    for each in (
        stored,
        attributes(*worded),
        bare := attributes(few, built.release.manifest),
    ):
        schema45.validator.validate(each)
    assert stored["creators"] == [{"name": "A. Tester"}]
    assert stored["publicationYear"] == built.release.manifest.created[:4]
    assert stored["rightsList"][0]["rightsIdentifier"] == "CC-BY-4.0"
    assert bare["creators"] == [{"name": ":unav"}]
    assert bare["rightsList"] == [{"rights": "My own"}]
    full = attributes(*worded)
    assert full["doi"] == "10.5281/zenodo.1234567"
    team, ada, sartre = full["creators"]
    assert team == {"name": "The A & B team"}
    assert ada["nameIdentifiers"][0]["nameIdentifier"] == "https://orcid.org/0000-0002-1825-0097"
    assert (ada["familyName"], ada["givenName"]) == ("Lovelace", "Ada King")
    assert sartre["nameType"] == "Personal"
    assert [each["relatedIdentifier"] for each in full["relatedIdentifiers"]] == [
        "arXiv:1801.10130",
        "10.1093/mnras/sty1",
    ]
    others = sum(
        each.size
        for each in built.release.manifest.objects
        if each.path not in fmt.DOCUMENTS[fmt.FORMAT_VERSION]
    )
    assert stored["sizes"] == [f"{others} bytes"]


def test_bibtex_is_read_as_it_is_meant(built, worded):
    from pybtex.database import parse_string

    stored = (built.path / fmt.CITATION).read_text()
    (entry,) = parse_string(stored, "bibtex").entries.values()
    made = built.release.manifest.created
    assert (entry.type, entry.key) == ("misc", "small-1.0.0")
    assert (entry.fields["year"], entry.fields["version"]) == (made[:4], "1.0.0")
    assert entry.fields["howpublished"] == "DeepBench dataset small, version 1.0.0"
    assert stored.encode() == documents(built.recipe, built.release.manifest)[fmt.CITATION]
    (entry,) = parse_string(bibtex(*worded), "bibtex").entries.values()
    assert plain(entry.fields["title"]) == worded[0].title
    people = [
        (each.last_names, each.first_names + each.middle_names) for each in entry.persons["author"]
    ]
    assert [(list(map(plain, last)), first) for last, first in people] == [
        (["The A & B team"], []),
        (["Lovelace"], ["Ada", "King"]),
        (["Sartre"], ["Jean-Paul"]),
    ]
    assert (entry.fields["doi"], entry.fields["url"]) == (worded[0].doi, worded[0].url)
    (entry,) = parse_string(
        bibtex(worded[0].replace({"authors": []}), worded[1]), "bibtex"
    ).entries.values()
    assert entry.fields["key"] == "small"


def plain(text):
    """Return what LaTeX prints of a text."""
    text = text.removeprefix("{").removesuffix("}")
    for name, letter in (("backslash", "\\"), ("braceleft", "{"), ("braceright", "}")):
        text = text.replace(f"\\text{name}{{}}", f"\0{letter}")
    return re.sub(r"\\([&%$#_])", r"\1", text).replace("\0", "")


def test_the_style_of_the_apa(worded):
    year = worded[1].created[:4]
    assert apa(*worded) == (
        f"The A & B team, Lovelace, A. K., & Sartre, J.-P. ({year}). 50 % of {{shapes}} & _more_ \\ #1 (Version 1.0.0) "
        f"[Data set]. DeepBench dataset small, recipe hash {worded[0].hash[:12]}. https://doi.org/10.5281/zenodo.1234567"
    )
    nobody = worded[0].replace({"authors": [], "title": "Small.", "doi": None, "url": None})
    assert apa(nobody, worded[1]).startswith(f"Small (Version 1.0.0) [Data set]. ({year}). DeepB")
    many = worded[0].replace({"authors": [f"Author {number}" for number in range(25)]})
    assert "Author 18, … Author 24. (" in apa(many, worded[1])


def test_links_are_found():
    assert links("https://doi.org/10.1000/a_b(c)d, and dx.doi.org/10.1000/x.") == [
        Link("DOI", "10.1000/a_b(c)d"),
        Link("DOI", "10.1000/x"),
    ]
    assert links(
        "arXiv:astro-ph/9901001, https://arxiv.org/abs/1801.10130v2 (arXiv:1801.10130)"
    ) == [
        Link("arXiv", "arXiv:astro-ph/9901001"),
        Link("arXiv", "arXiv:1801.10130v2"),
        Link("arXiv", "arXiv:1801.10130"),
    ]
    assert links("Sérsic 1963, Bol. Asoc. Argent. Astron. 6, 41") == []


def test_licences_have_addresses():
    assert LICENCES["CC-BY-NC-SA-4.0"] == "https://creativecommons.org/licenses/by-nc-sa/4.0/"
    assert LICENCES["CC0-1.0"] == "https://creativecommons.org/publicdomain/zero/1.0/"


def test_empty_names_credit_nobody():
    assert credited(["", "A. Tester"]) == (Author(name="A. Tester"),)


# --- the card, and all together --------------------------------------------------------------------


def test_the_card_has_what_search_engines_read(built, worded):
    card = (built.path / fmt.CARD).read_text()
    text = re.search(r"^```json\n(.*?)^```$", card, re.DOTALL | re.MULTILINE)[1]
    found = json.loads(text)
    whole = json.loads((built.path / fmt.CROISSANT).read_text())
    assert (found["@context"], found["@type"]) == ("https://schema.org/", "Dataset")
    rest = {key: value for key, value in found.items() if not key.startswith("@")}
    assert rest == {key: whole[key] for key in rest}
    assert len(found["description"]) >= 50
    assert f"A. Tester ({built.release.manifest.created[:4]}): Small images" in card
    cite = f"The A & B team; Lovelace, Ada King; Sartre, Jean-Paul ({worded[1].created[:4]}): 50 %"
    assert cite in documents(*worded)[fmt.CARD].decode()
    evil = worded[0].replace({"description": "</script><script>alert(1)</script>\n```\n# Other"})
    text = documents(evil, worded[1])[fmt.CARD].decode()
    text = re.search(r"^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1]
    assert "</script" not in text
    assert json.loads(text)["description"].startswith("</script><script>alert(1)")


def test_documents_are_repaired_to_the_same_bytes(copied):
    release = releases(copied)[0]
    names = sorted(fmt.DOCUMENTS[fmt.FORMAT_VERSION])
    before = {}
    for name in names:
        path = Path(release.path, name)
        before[name] = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(before[name][:-9])
    assert {each.file for each in verify(release).findings} == set(names)
    done = repair(release, str(copied))
    assert (sorted(done.repaired), done.refused) == (names, {})
    assert {name: Path(release.path, name).read_bytes() for name in names} == before


def test_words_are_a_patch_and_a_doi_names_one_version(run, make, make_recipe, copied):
    words = {"authors": [LOVELACE], "doi": "10.5281/zenodo.1234567"}
    result = make(make_recipe(version="1.0.1", **words), copied)
    assert result.reused.blocks == 21
    release = find("small", "1.0.1", copied)
    assert (verify(release).findings, verify(release).notes) == ([], [])
    assert json.loads((Path(release.path) / fmt.DATACITE).read_text())["doi"] == words["doi"]
    _, out, _ = run("info", "small@1.0.1", "--catalog", copied)
    assert f"cite as: Lovelace, Ada King ({release.manifest.created[:4]}): Small images" in out
    with pytest.raises(ReleaseError, match=r"`doi` 10.5281/zenodo.1234567 is that of small@1.0.1"):
        make(make_recipe(version="1.0.2", **words), copied)


def test_words_of_authors_shape_nothing(built, worded):
    assert worded[0].hash == built.recipe.hash
    assert all(worded[0].table(each).hash == built.recipe.table(each).hash for each in ("images",))
    again = parse_recipe(worded[0].to_yaml())
    assert again == worded[0]
    assert again.authors[1] == Author(**LOVELACE)
