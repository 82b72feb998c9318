"""How recipes, releases and catalogs show themselves, in one line and in notebooks."""

import json
import pickle
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydantic import BaseModel

import deepbench
from deepbench import format as fmt
from deepbench.catalog import find, releases
from deepbench.recipe import load_recipe

KEPT = Path(__file__).parents[1] / "releases"
SHAPES = load_recipe(Path(__file__).parents[2] / "workflows" / "shapes.yaml")
NASTY = "<script>alert('x')</script> & \"quotes\""


class Page(HTMLParser):
    """Tags of HTML that are closed as they should be, what is loaded, and the words."""

    def __init__(self, text):
        super().__init__()
        self.opened, self.tags, self.sources, self.words = [], set(), [], ""
        self.feed(text)
        assert not self.opened

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag != "img":
            self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        self.words += data + "\n"


def shown(thing):
    page = Page(thing._repr_html_())
    assert page.tags <= {"div", "strong", "em", "table", "tr", "th", "td", "img"}
    assert all(each.startswith("data:image/png;base64,iVBOR") for each in page.sources)
    return page


@pytest.fixture
def catalog(tmp_path):
    """A catalog with one release, whose title is no kind one."""
    place = tmp_path / "format-1" / "1.0.0"
    shutil.copytree(KEPT / "format-1" / "1.0.0", place)
    manifest = json.loads((place / fmt.MANIFEST).read_text()) | {"title": NASTY}
    del manifest["checksum"]
    (place / fmt.MANIFEST).write_text(fmt.signed(manifest))
    return tmp_path


def test_a_recipe_is_shown_by_what_it_says(monkeypatch):
    monkeypatch.setattr("deepbench.kinds.Kind.render", None)  # it compiles kernels
    page = shown(SHAPES.replace({"title": NASTY, "license": NASTY}))
    for words in ("shapes@1.0.0", NASTY, "6,000", "93.8 MiB", "circle, rectangle", "train 0.8"):
        assert words in page.words
    assert SHAPES.hash[:12] in page.words
    rule = {"tables.images.splits": {"test": {"where": "psf.sigma > 1.9"}, "train": 1.0}}
    assert "test by a rule, train 1.0" in shown(SHAPES.replace(rule)).words


def test_things_have_one_line():
    assert repr(SHAPES) == str(SHAPES) == "<Recipe shapes@1.0.0: images (image, 6,000)>"
    found = releases(KEPT)
    assert repr(found[0]) == f"<Release format-1@1.0.0 in '{KEPT}'>"
    assert repr(found).startswith(f"<5 releases in '{KEPT}': format-1@1.0.0, format-1@2.0.0, ")
    again = pickle.loads(pickle.dumps(found))
    assert (again, again.root) == (found, str(KEPT))


def test_every_kind_of_table_has_a_picture():
    release = find("kinds", "1.0.0", KEPT)
    page = shown(release)
    assert len(page.sources) == len(release.manifest.tables)
    for name, table in release.manifest.tables.items():
        assert name in page.words
        assert f"{table.samples:,}" in page.words


def test_words_of_users_are_escaped(catalog):
    for thing in (find("format-1", catalog=catalog), releases(catalog)):
        page = shown(thing)
        assert NASTY in page.words
        assert page.sources


def test_large_samples_are_not_read_for_a_picture(catalog, monkeypatch):
    monkeypatch.setattr("deepbench.release_cards.PICTURED_BYTES", 8)
    assert not shown(find("format-1", catalog=catalog)).sources


def test_a_release_that_is_damaged_says_so(catalog):
    place = catalog / "format-1" / "1.0.0"
    shard = next(
        path for path in (place / fmt.DATA / "images" / "image" / "c").rglob("*") if path.is_file()
    )
    shard.unlink()
    for thing in (find("format-1", catalog=catalog), releases(catalog)):
        page = shown(thing)
        assert NASTY in page.words
        assert f"{shard.name}" in page.words
    (place / fmt.MANIFEST).write_text("{}")
    for thing in (find("format-1", catalog=catalog), releases(catalog)):
        assert "is not a manifest" in shown(thing).words


def test_a_deprecated_release_says_so(catalog):
    entry = catalog / fmt.entry_name("format-1", fmt.Version(1, 0, 0))
    entry.write_text("deprecated: {since: 2026-11-22, reason: <b>it is wrong</b>}")
    page = shown(find("format-1", catalog=catalog))
    assert "is deprecated since 2026-11-22: <b>it is wrong</b>" in page.words
    assert len(page.sources) == 2


def test_names_of_the_library_that_checks_are_hidden():
    for thing in (SHAPES, SHAPES.tables["images"]):
        names = dir(thing)
        assert not set(names) & (set(dir(BaseModel)) - set(dir(object)))
        assert set(type(thing).model_fields) <= set(names)
    assert {"hash", "table", "replace", "to_yaml", "from_document"} <= set(dir(SHAPES))
    assert set(dir(deepbench)) == {*deepbench.__all__, "__version__"}


@pytest.mark.parametrize("name", deepbench.__all__)
def test_public_names_have_examples(name):
    words = getattr(deepbench, name).__doc__
    assert "Examples\n" in words
    assert ">>> " in words
    if not isinstance(getattr(deepbench, name), type):
        assert "Raises\n" in words or "raises what" in words
        assert "Parameters\n" in words or "Takes and" in words
