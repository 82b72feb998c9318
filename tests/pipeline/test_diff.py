from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepbench import format as fmt
from deepbench import labels
from deepbench.catalog import find
from deepbench.errors import MissingDataError, ReleaseError
from deepbench.storage.locations import location_of
from pipeline.build import build
from pipeline.cli.releases import diff
from pipeline.diff import Side, compare
from pipeline.diff import side as sides
from pipeline.diff.difference import LEVELS, Changed
from pipeline.execution.cluster import ClusterOptions

SAMPLES = 64
SMALL = {"tables__images__samples": SAMPLES, "tables__squares__samples": 8}
CIRCLE = "tables__images__classes__circle__objects__0__circle"
CROWD = "tables__images__classes__crowd__objects"
EXTRA = {
    "kind": "image",
    "samples": 4,
    "size": [8, 8],
    "classes": {"dot": {"objects": [{"circle": {"x": 4, "y": 4, "radius": 2}}]}},
}


@pytest.fixture(scope="module")
def variant(tmp_path_factory, cluster, make_recipe):
    """Return a side of the recipe with some changes; each is built once."""
    catalog = tmp_path_factory.mktemp("variants")
    known = {}

    def side(**changes):
        key = repr(sorted(changes.items()))
        if key not in known:
            recipe = make_recipe(**(SMALL | {"name": f"variant-{len(known)}"} | changes))
            build(recipe, str(catalog), cluster=ClusterOptions(scheduler=cluster.scheduler_address))
            known[key] = Side.of(find(recipe.name, catalog=catalog))
        return known[key]

    return side


@pytest.fixture(scope="module")
def base(variant):
    return variant()


@pytest.fixture
def altered(base, tmp_path):
    """Return a side of which the files may be changed, and a function that changes a Parquet file of it."""
    root = tmp_path / "altered"
    shutil.copytree(base.location.root, root)
    side = dataclasses.replace(base, name="altered", location=location_of(root))
    return side, lambda name, change, **options: rewrite(root, name, change, **options)


def rewrite(root, name, change, **options):
    path = Path(root, "metadata", f"{name}.parquet")
    table = change(pq.ParquetFile(path).read())
    path.unlink()  # it cannot be written
    pq.write_table(table, path, **options)


def with_column(table, name, values):
    """Return a table with other values in a column, its notes kept."""
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(index), pa.array(values, table[name].type))


def other_digest(side, table="images"):
    """Return a side that says that its data are others."""
    summary = dataclasses.replace(side.tables[table], data_digest="0" * 64)
    return dataclasses.replace(side, tables=side.tables | {table: summary})


# --- what changes, and what is said of it --------------------------------------------------------


def test_a_release_is_the_same_as_itself(base):
    found = compare(base, base)
    assert found.level == "none"
    assert found.rows() == []
    assert list(found.tables) == ["images", "squares"]
    assert found.tables["images"].compared == SAMPLES


def test_the_same_recipe_gives_the_same_release(base, variant):
    again = variant(version="1.0.1")
    assert again.location != base.location
    assert compare(base, other_digest(again)).level == "none"  # the digests are looked at


def test_words(base, variant):
    found = compare(base, variant(title="Other words", authors=["B. Tester"]))
    assert found.words == ("title", "authors")
    assert found.level == "patch"
    assert found.rows() == [("", "title", "changed"), ("", "authors", "changed")]


def test_storage(base, variant):
    found = compare(base, other_digest(variant(storage__chunk_bytes=2048)))
    assert found.storage
    assert found.level == "patch"
    assert [str(row) for row in found.reasons()] == ["storage changed"]


@pytest.mark.slow
def test_a_recipe_that_says_the_same_otherwise(base, variant):
    found = compare(base, variant(**{f"{CIRCLE}__x": "= 4 + 8 * 0 + 0"}))
    assert found.level == "major"  # it is another value
    found = compare(variant(**{f"{CIRCLE}__x": 4}), variant(**{f"{CIRCLE}__x": "= 2 + 2"}))
    assert found.recipe
    assert found.level == "patch"


def test_rendering(base):
    found = compare(base, dataclasses.replace(base, render_version=base.render_version + 1))
    assert (found.rendering, found.level) == (True, "patch")


def test_more_samples(base, variant):
    grown = variant(tables__images__samples=100)
    found = compare(base, grown)
    table = found.tables["images"]
    assert (table.before, table.after, table.compared) == (SAMPLES, 100, SAMPLES)
    assert table.changed is None
    assert found.level == "minor"
    assert ("images", "samples", "64 → 100") in found.rows()
    back = compare(grown, base)
    assert back.tables["images"].changed is None
    assert back.level == "major"


def test_another_seed(base, variant):
    table = compare(base, variant(seed=8)).tables["images"]
    assert table.changed == Changed(SAMPLES, 0)
    assert table.pixels == {"image": Changed(SAMPLES, 0)}
    assert {"class", "split", "psf.sigma", "objects/width", "objects/sample"} <= set(
        table.parameters
    )
    assert not {"id", "group"} & set(table.parameters)
    names = [name for name in table.parameters if not name.startswith("objects/")]
    assert names == [name for name in base.tables["images"].columns if name in names]
    assert not table.inconsistent


def test_one_parameter(base, variant):
    found = compare(base, variant(**{f"{CIRCLE}__radius": {"uniform": [1, 5]}}))
    frame = labels(base.recipe, "images")
    circles = frame.index[frame["class"] == "circle"]
    changed = Changed(len(circles), int(circles[0]))
    table = found.tables["images"]
    assert table.parameters == {"circle.radius": changed}
    assert table.pixels == {"image": changed}
    assert table.changed == changed
    assert found.tables["squares"].changed is None
    assert [str(row) for row in found.reasons("patch")] == [
        f"table 'images', sample {circles[0]} differs in circle.radius (first of {len(circles)} changed samples)"
    ]
    text = f"differs in {len(circles)} samples, first {circles[0]}"
    assert found.rows()[-2:] == [
        ("images", "circle.radius", text),
        ("images", "values of image", text),
    ]


def test_noise(base, variant):
    table = compare(base, variant(tables__images__noise=[{"gaussian": {"sigma": 0.06}}])).tables[
        "images"
    ]
    assert table.parameters == {"noise.gaussian.sigma": Changed(SAMPLES, 0)}
    assert table.pixels == {"image": Changed(SAMPLES, 0)}


def test_tables_added_removed_and_renamed(base, variant):
    more = variant(tables__extra=EXTRA)
    found = compare(base, more)
    assert (found.added, found.removed, found.level) == (("extra",), (), "minor")
    assert [str(row) for row in found.reasons("patch")] == ["table 'extra' is new"]
    back = compare(more, base)
    assert (back.added, back.removed, back.level) == ((), ("extra",), "major")
    assert ("extra", "", "is removed") in back.rows()
    renamed = compare(more, variant(tables__other=EXTRA))
    assert (renamed.added, renamed.removed, renamed.level) == (("other",), ("extra",), "major")


def test_a_class_that_is_added(base, variant):
    dot = {"weight": 1e-9, "objects": [{"circle": {"x": 4, "y": 4, "radius": 2}, "name": "dot"}]}
    found = compare(base, variant(tables__images__classes__dot=dot))
    table = found.tables["images"]
    assert table.changed is None
    assert table.columns.extended == ("class",)
    assert set(table.columns.added) == {"dot.x", "dot.y", "dot.radius", "dot.amplitude"}
    assert found.level == "minor"
    assert ("images", "column class", "has further meanings") in found.rows()
    back = compare(variant(tables__images__classes__dot=dot), base)
    assert back.level == "major"
    assert set(back.tables["images"].columns.removed) == set(table.columns.added)
    assert list(back.tables["images"].columns.changed) == ["class"]


def test_a_class_that_takes_samples_from_others(base, variant):
    dot = {"objects": [{"circle": {"x": 4, "y": 4, "radius": 2}}]}
    table = compare(base, variant(tables__images__classes__dot=dot)).tables["images"]
    old = labels(base.recipe, "images")["class"].astype(str)
    new = labels(variant(tables__images__classes__dot=dot).recipe, "images")["class"].astype(str)
    rows = np.flatnonzero(old != new)
    assert table.parameters["class"] == Changed(len(rows), int(rows[0]))
    assert table.columns.extended == ("class",)


def test_names_are_compared_and_not_codes(base, variant):
    """The same classes in another order: only samples of which the class differs have changed."""
    classes = base.recipe.resolved()["tables"]["images"]["classes"]
    other = variant(tables__images__classes={name: classes[name] for name in reversed(classes)})
    found = compare(base, other).tables["images"]
    assert found.columns.changed["class"] == (
        "meanings (rare, circle, crowd → crowd, circle, rare)"
    )
    old = labels(base.recipe, "images")["class"].astype(str)
    new = labels(other.recipe, "images")["class"].astype(str)
    assert found.parameters["class"].count == (old != new).sum() < SAMPLES


def test_splits(base, variant):
    found = compare(base, variant(splits={"train": 0.5, "validation": 0.3, "test": 0.2}))
    table = found.tables["images"]
    assert list(table.parameters) == ["split"]
    assert table.pixels == {}
    assert table.columns.level == "none"
    assert found.level == "major"
    found = compare(base, variant(splits={"train": 0.8, "test": 0.2}))
    assert list(found.tables["images"].columns.changed) == ["split"]


def test_copies_of_objects(base, variant):
    wider = variant(**{f"{CROWD}__0__rectangle__width": {"uniform": [1, 7]}})
    table = compare(base, wider).tables["images"]
    frame = labels(base.recipe, "images")
    rows = np.flatnonzero(frame["rectangle.repeat"] > 0)
    assert table.parameters == {"objects/width": Changed(len(rows), int(rows[0]))}
    assert table.changed == Changed(len(rows), int(rows[0]))


def test_numbers_of_copies(base, variant):
    more = variant(**{f"{CROWD}__0__repeat": {"integers": [0, 4]}})
    table = compare(base, more).tables["images"]
    old, new = (labels(each.recipe, "images")["rectangle.repeat"] for each in (base, more))
    rows = np.flatnonzero(old != new)
    changed = Changed(len(rows), int(rows[0]))
    assert table.parameters == {"rectangle.repeat": changed, "objects/sample": changed}


def test_objects_that_begin_or_end_to_be_repeated(base, variant):
    circle = {"circle": {"x": 4, "y": 4, "radius": 2}, "repeat": 2}
    classes = {"square": {"objects": [circle]}}
    found = compare(base, variant(tables__squares__classes=classes)).tables["squares"]
    assert "width" not in found.object_columns.added
    assert {"sample", "object", "kind", "copy", "radius"} <= set(found.object_columns.added)
    assert "objects/sample" not in found.parameters
    back = compare(variant(tables__squares__classes=classes), base)
    assert "radius" in back.tables["squares"].object_columns.removed
    assert ("squares", "column of objects radius", "is removed") in back.rows()


def test_size(base, variant):
    found = compare(base, variant(tables__images__size=[16, 20]))
    assert found.tables["images"].variables.changed == {"image": "shape (16, 16 → 16, 20)"}
    assert found.tables["images"].pixels == {"image": Changed(SAMPLES, 0)}
    assert found.level == "major"


def test_variables_added_and_removed(base):
    """As a kind will have them that stores more than one array."""
    summary = base.tables["images"]
    fewer = dataclasses.replace(summary, variables={}, data_digest="0" * 64)
    other = dataclasses.replace(base, tables=base.tables | {"images": fewer}, render_version=9)
    found = compare(other, base)
    assert found.tables["images"].variables.added == ("image",)
    assert found.level == "minor"
    back = compare(base, other)
    assert back.tables["images"].variables.removed == ("image",)
    assert back.level == "major"


def test_only_some_tables(base, variant):
    assert list(compare(base, variant(seed=8), ["squares"]).tables) == ["squares"]


def test_json(base, variant):
    found = json.loads(json.dumps(compare(base, variant(seed=8, tables__extra=EXTRA)).to_json()))
    assert found["level"] == "major"
    assert found["tables_added"] == ["extra"]
    table = found["tables"]["images"]
    assert table["samples"] == {"before": SAMPLES, "after": SAMPLES}
    assert table["changed"] == {"count": SAMPLES, "first": 0}
    assert table["pixels"] == {"image": {"count": SAMPLES, "first": 0}}
    assert table["parameters"]["psf.sigma"] == {"count": SAMPLES, "first": 0}
    assert table["columns"] == {"added": [], "removed": [], "extended": [], "changed": {}}


# --- files that were altered ---------------------------------------------------------------------


def test_units(base, altered):
    side, change = altered

    def arcseconds(table):
        index = table.schema.get_field_index("circle.radius")
        field = table.schema.field(index).with_metadata({"unit": "arcsec"})
        return table.cast(table.schema.set(index, field))

    change("images", arcseconds)
    found = compare(base, side)
    assert found.tables["images"].columns.changed == {"circle.radius": "unit (pixel → arcsec)"}
    assert found.tables["images"].changed is None
    assert found.level == "major"
    assert found.inconsistent == ("images",)


def test_units_of_data_variables(base, altered):
    side, _ = altered
    path = Path(side.location.root, "data.zarr/zarr.json")
    data = json.loads(path.read_text())
    attributes = data["consolidated_metadata"]["metadata"]["images/image"]["attributes"]
    attributes["units"] = "count"
    path.unlink()
    path.write_text(json.dumps(data))
    (how,) = compare(base, side).tables["images"].variables.changed.values()
    assert how.endswith("→ count)")


def test_a_type_that_changes(base, altered):
    side, change = altered

    def single(table):
        index = table.schema.get_field_index("psf.sigma")
        return table.set_column(index, "psf.sigma", table["psf.sigma"].cast(pa.float32()))

    change("images", single)
    table = compare(base, side).tables["images"]
    assert table.columns.changed["psf.sigma"].startswith("dtype (float64 → float32)")
    assert table.parameters["psf.sigma"].count > SAMPLES / 2


def test_names_in_place_of_numbers_are_not_compared(base, altered):
    side, change = altered

    def words(table):
        index = table.schema.get_field_index("psf.sigma")
        return table.set_column(index, "psf.sigma", table["psf.sigma"].cast(pa.string()))

    change("images", words)
    table = compare(base, side).tables["images"]
    assert "dtype (float64 → object)" in table.columns.changed["psf.sigma"]


def test_a_digest_that_was_altered(base, altered):
    side, change = altered

    def other(table):
        digests = table["digest.image"].to_pylist()
        digests[17] = digests[17][:-1] + bytes([digests[17][-1] ^ 1])
        return with_column(table, "digest.image", digests)

    change("images", other)
    assert compare(base, side).level == "none"  # their data digests are equal
    found = compare(base, other_digest(side))
    table = found.tables["images"]
    assert table.pixels == {"image": Changed(1, 17)}
    assert table.parameters == {}
    assert table.inconsistent
    assert [str(row) for row in found.reasons()] == [
        "table 'images', sample 17 differs in the values of image (the only changed sample)"
    ]
    later = dataclasses.replace(other_digest(side), render_version=base.render_version + 1)
    assert compare(base, later).inconsistent == ()
    summary = dataclasses.replace(other_digest(side).tables["images"], tolerance=True)
    rounded = dataclasses.replace(side, tables=side.tables | {"images": summary})
    assert compare(base, rounded).level == "major"
    assert compare(base, rounded).inconsistent == ()


def test_equal_numbers(base, altered):
    """−0.0 is 0.0 and every NaN is NaN; NaN is no number."""
    side, change = altered
    values = pq.read_table(Path(side.location.root, "metadata/images.parquet"))[
        "circle.x"
    ].to_numpy()
    number, hole = (int(np.flatnonzero(np.isnan(values) == each)[0]) for each in (False, True))
    ours, theirs = values.copy(), values.copy()
    ours[number], theirs[number] = 0.0, -0.0
    theirs.view(np.uint64)[hole] |= 1  # another NaN
    zero = dataclasses.replace(side, location=location_of(f"{side.location.root}-zero"))
    shutil.copytree(side.location.root, zero.location.root)
    change("images", lambda table: with_column(table, "circle.x", ours))
    rewrite(zero.location.root, "images", lambda table: with_column(table, "circle.x", theirs))
    assert compare(side, zero).level == "none"
    theirs[hole] = 1
    rewrite(zero.location.root, "images", lambda table: with_column(table, "circle.x", theirs))
    found = compare(side, zero).tables["images"]
    assert found.parameters == {"circle.x": Changed(1, hole)}


def test_a_name_that_is_missing(base, altered):
    side, change = altered

    def nameless(table):
        names = table["class"].cast(pa.string()).to_pylist()
        names[5] = None
        index = table.schema.get_field_index("class")
        return table.set_column(index, "class", pa.array(names).dictionary_encode())

    change("images", nameless)
    assert compare(base, side).tables["images"].parameters == {"class": Changed(1, 5)}


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_row_groups_do_not_matter(base, altered, rows):
    side, change = altered
    for name in ("images", "images.objects", "squares"):
        change(name, lambda table: table, row_group_size=rows)
    assert compare(base, other_digest(side)).level == "none"


@pytest.fixture(scope="module")
def many(tmp_path_factory, base):
    """Two copies of a release, the tables of which are written anew for each example."""
    sides = []
    for name in ("one", "other"):
        root = tmp_path_factory.mktemp("many") / name
        shutil.copytree(base.location.root, root)
        sides.append(dataclasses.replace(base, name=name, location=location_of(root)))
    metadata = Path(base.location.root, "metadata")
    tables = [pq.read_table(metadata / f"{name}.parquet") for name in ("images", "images.objects")]
    return sides, tables


CELLS = st.lists(
    st.tuples(st.sampled_from(["psf.sigma", "circle.x"]), st.integers(0, SAMPLES - 1)), max_size=5
)


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=CELLS,
    widths=st.lists(st.integers(0, 10_000), max_size=4),
    removed=st.lists(st.integers(0, 10_000), max_size=3),
    groups=st.tuples(*[st.integers(1, 80)] * 4),
    held=st.integers(1, 900),
)
def test_every_change_is_found_whatever_is_held(many, cells, widths, removed, groups, held):
    """Against a plain reckoning with all rows at hand."""
    (one, other), (wide, long) = many
    owners = long["sample"].to_numpy()
    expected = {}
    changed = wide
    for column, sample in cells:
        values = np.array(changed[column].to_numpy())
        values[sample] = 1e6
        changed = with_column(changed, column, values)
        expected.setdefault(column, set()).add(sample)
    lost = {each % len(owners) for each in removed}
    incomplete = {int(owners[row]) for row in lost}
    values = np.array(long["x"].to_numpy())
    for row in {each % len(owners) for each in widths}:
        values[row] = 1e6
        if int(owners[row]) not in incomplete:
            expected.setdefault("objects/x", set()).add(int(owners[row]))
    copies = with_column(long, "x", values)
    copies = copies.take([row for row in range(len(owners)) if row not in lost])
    if incomplete:
        expected["objects/sample"] = incomplete
    files = [(one, wide, long), (other, changed, copies)]
    for (side, *tables), sizes in zip(files, (groups[:2], groups[2:]), strict=True):
        for name, table, size in zip(("images", "images.objects"), tables, sizes, strict=True):
            rewrite(side.location.root, name, lambda _, table=table: table, row_group_size=size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sides, "BATCH_VALUES", held)
        forth, back = (compare(*pair).tables["images"] for pair in ((one, other), (other, one)))
    assert forth == back
    assert forth.parameters == {
        name: Changed(len(samples), min(samples)) for name, samples in expected.items()
    }
    every = set().union(*expected.values())
    assert forth.changed == (Changed(len(every), min(every)) if every else None)
    assert (forth.changed is None) == (compare(one, other).level == "none")


# --- laws ----------------------------------------------------------------------------------------

CHANGES = st.sampled_from(
    [
        {},
        {"seed": 8},
        {"title": "Other words", "authors": ["B. Tester"]},
        {"tables__images__samples": 100},
        {"tables__extra": EXTRA},
        {"tables__images__size": [16, 20]},
    ]
)


@settings(max_examples=30, deadline=None)
@given(first=CHANGES, second=CHANGES)
def test_there_and_back(variant, first, second):
    forth, back = (
        compare(variant(**one), variant(**other))
        for one, other in ((first, second), (second, first))
    )
    assert (forth.level == "none") == (back.level == "none") == (first == second)
    assert (forth.level == "patch") == (back.level == "patch")
    assert not (forth.level == back.level == "minor")  # what is added one way is removed the other
    assert (forth.added, forth.removed) == (back.removed, back.added)
    for name, table in forth.tables.items():
        other = back.tables[name]
        assert (table.before, table.after) == (other.after, other.before)
        assert table.changed == other.changed
        assert table.parameters == other.parameters
        assert table.pixels == other.pixels
        for one, same in zip(table.schemas.values(), other.schemas.values(), strict=True):
            assert (one.added, one.removed) == (same.removed, same.added)


@settings(max_examples=20, deadline=None)
@given(first=CHANGES, second=CHANGES)
def test_reasons_above_a_level(variant, first, second):
    found = compare(variant(**first), variant(**second))
    counts = [len(list(found.reasons(level))) for level in LEVELS]
    assert counts == sorted(counts, reverse=True)
    assert counts[LEVELS.index(found.level)] == 0
    assert found.level == "none" or counts[LEVELS.index(found.level) - 1] > 0


# --- damage --------------------------------------------------------------------------------------


def test_a_missing_file(base, altered):
    side, _ = altered
    Path(side.location.root, "metadata/squares.parquet").unlink()
    with pytest.raises(MissingDataError, match=r"metadata/squares\.parquet is missing"):
        compare(base, side)


@pytest.mark.parametrize(
    "name", ["metadata/images.parquet", "metadata/images.objects.parquet", "data.zarr/zarr.json"]
)
def test_a_file_that_is_cut_short(base, altered, name):
    side, _ = altered
    path = Path(side.location.root, name)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ReleaseError, match=rf"{name} is damaged: "):
        compare(base, side)


def test_a_file_that_cannot_be_decoded(base, altered):
    side, _ = altered
    path = Path(side.location.root, "metadata/images.parquet")
    content = bytearray(path.read_bytes())
    content[100:3000] = bytes(2900)
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(ReleaseError, match=r"images\.parquet is damaged"):
        compare(base, side)


def test_rows_that_are_missing(base, altered):
    side, change = altered
    change("images", lambda table: table.slice(0, SAMPLES - 3))
    with pytest.raises(ReleaseError, match="it has 0 rows of the samples 61 … 63"):
        compare(base, side)


def test_rows_that_are_out_of_order(base, altered):
    side, change = altered
    change("images.objects", lambda table: table.take([5, *range(5), *range(6, len(table))][::-1]))
    with pytest.raises(ReleaseError, match="rows are not in order of the samples"):
        compare(base, side)


def test_a_digest_of_another_kind(base, altered):
    side, change = altered

    def short(table):
        index = table.schema.get_field_index("digest.image")
        values = pa.array([b"12345678"] * len(table), pa.binary(8))
        return table.set_column(index, "digest.image", values)

    change("images", short)
    with pytest.raises(ReleaseError, match=r"column 'digest\.image' is of the type fixed_size"):
        compare(base, other_digest(side))


def test_a_digest_that_is_missing(base, altered):
    side, change = altered
    change("images", lambda table: table.drop_columns(["digest.image"]))
    with pytest.raises(ReleaseError, match=r"images\.parquet is damaged: .*digest\.image"):
        compare(base, other_digest(side))


def test_no_copies_at_all(base, altered):
    side, change = altered
    change("images.objects", lambda table: table.slice(0, 0))
    frame = labels(base.recipe, "images")
    rows = np.flatnonzero(frame[["rectangle.repeat", "line.repeat"]].sum(axis=1))
    found = compare(base, side).tables["images"]
    assert found.parameters == {"objects/sample": Changed(len(rows), int(rows[0]))}
    assert compare(side, side).level == "none"


# --- elsewhere -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_in_an_object_store(base, bucket, make, make_recipe):
    make(make_recipe(**SMALL, version="1.1.0"), bucket)
    there = Side.of(find("small", catalog=bucket))
    assert there.name == "small@1.1.0"
    assert compare(base, other_digest(there)).level == "none"


@pytest.fixture
def catalog(base, variant):
    variant(seed=8)
    return str(Path(base.location.root).parents[1])


def test_the_command(base, variant, catalog, capsys):
    other = variant(seed=8)
    diff(base.name, other.name, catalog)
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["table", "what", "change"]
    assert any(line.startswith("images   sample 0") for line in out)
    assert out[-1] == "this needs a major version"
    diff(base.name, base.name, catalog)
    assert capsys.readouterr().out == f"{base.name} and {base.name} are the same\n"


def test_the_command_in_json(base, variant, catalog, capsys):
    diff(base.name, variant(seed=8).name, catalog, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["old"], found["new"]) == (base.name, variant(seed=8).name)
    assert found["level"] == "major"


def test_the_command_tells_what_cannot_be(base, altered, tmp_path, capsys):
    _, change = altered
    change("images", lambda table: with_column(table, "psf.sigma", np.ones(SAMPLES)))
    shutil.copytree(base.location.root, tmp_path / "one" / base.name.replace("@", "/"))
    name, _, version = base.name.partition("@")
    shutil.move(tmp_path / "altered", tmp_path / "one" / name / "1.0.1")
    diff(f"{name}@{version}", f"{name}@1.0.1", str(tmp_path / "one"))
    out = capsys.readouterr().out
    assert "table 'images' has the same recipe and rendering in both" in out


MEASURE = """
import sys, psutil, pyarrow as pa
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from deepbench.catalog import releases
from pipeline.diff import Side, compare
old, new = (Side.of(each) for each in releases(sys.argv[1]))
process, ended = psutil.Process(), Event()
compare(old, new, ["squares"])  # imports, and compiles
def watch():
    most = 0
    while not ended.wait(0.002):
        most = max(most, process.memory_info().rss)
    return most
with ThreadPoolExecutor() as pool:
    before, peak = process.memory_info().rss, pool.submit(watch)
    found = compare(old, new, ["images"])
    ended.set()
print(found.tables["images"].changed.first, (peak.result() - before) // 2**20)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_samples(variant, tmp_path):
    """Two tables of which the files are far larger than what is held of them."""
    side = variant()
    samples = 2_500_000
    rng = np.random.default_rng(0)
    size = 0
    for version in ("1.0.0", "2.0.0"):
        root = tmp_path / "large" / "1" / version
        shutil.copytree(side.location.root, root)
        path = root / "metadata/images.parquet"
        schema = pq.read_schema(path)
        first = pq.ParquetFile(path).read_row_group(0)
        path.unlink()
        with pq.ParquetWriter(path, schema, compression="zstd") as file:
            for start in range(0, samples, fmt.ROW_GROUP):
                count = min(fmt.ROW_GROUP, samples - start)
                table = first.take(np.zeros(count, np.int64))
                for name in table.column_names:
                    if name == "id":
                        table = with_column(table, name, np.arange(start, start + count))
                    elif pa.types.is_float64(table[name].type):
                        table = with_column(table, name, rng.random(count))
                file.write_table(table, row_group_size=fmt.ROW_GROUP)
        size += path.stat().st_size
        manifest = json.loads((root / fmt.MANIFEST).read_text())
        manifest.pop("checksum")
        manifest["tables"]["images"]["samples"] = samples
        manifest["tables"]["images"]["data_digest"] = version
        (root / fmt.MANIFEST).unlink()
        (root / fmt.MANIFEST).write_text(fmt.signed(manifest))
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "large")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, grown = map(int, done.stdout.split())
    assert first == 0
    assert size > 300 * 2**20
    assert grown < 200  # MiB; with Arrow's reading ahead it was as much as the files
