from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepbench import format as fmt
from deepbench import labels
from deepbench.catalog import find
from deepbench.errors import ReleaseError
from deepbench.format import Version
from deepbench.storage.locations import location_of
from pipeline.build import build
from pipeline.claims import check, claimed, early, neighbours
from pipeline.diff import Side, compare
from pipeline.diff import comparison as diff
from pipeline.diff.difference import LEVELS
from pipeline.execution.cluster import ClusterOptions
from pipeline.target import target_of

SAMPLES = 64
SMALL = {"tables__images__samples": SAMPLES, "tables__squares__samples": 8}
CIRCLE = "tables__images__classes__circle__objects__0__circle"
WIDTH = "tables__images__classes__crowd__objects__0__rectangle__width"
SQUARE = "tables__squares__classes__square__objects__0__rectangle"
VARIANTS = {
    "plain": {},
    "words": {"title": "Other words"},
    "grown": {"tables__images__samples": 100},
    "few": {"tables__images__samples": 20},
    "reseeded": {"seed": 8},
    "radii": {f"{CIRCLE}__radius": {"uniform": [1, 5]}},
    "widths": {WIDTH: {"uniform": [1, 7]}},
    "squares": {f"{SQUARE}__width": 4},
    "large": {"tables__images__size": [20, 20]},
    "extra": {
        "tables__extra": {
            "kind": "image",
            "samples": 4,
            "size": [8, 8],
            "classes": {"dot": {"objects": [{"circle": {"x": 4, "y": 4, "radius": 2}}]}},
        }
    },
}
V100, V101, V102, V110, V200 = map(Version.parse, ("1.0.0", "1.0.1", "1.0.2", "1.1.0", "2.0.0"))


@pytest.fixture(scope="module")
def recipe_of(make_recipe):
    """Return the recipe of a variant, of a version."""
    return lambda key, version=V100: make_recipe(**SMALL | VARIANTS[key], version=str(version))


@pytest.fixture(scope="module")
def side_of(tmp_path_factory, cluster, recipe_of):
    """Return the side of a variant, as if it had the version; each variant is built once."""
    root = tmp_path_factory.mktemp("claims")
    options = ClusterOptions(scheduler=cluster.scheduler_address)
    known = {}

    def side(key, version):
        if key not in known:
            build(recipe_of(key), str(root / key), cluster=options)
            known[key] = Side.of(find("small", catalog=root / key))
        return dataclasses.replace(known[key], name=f"small@{version}")

    return side


@pytest.fixture
def altered(side_of, tmp_path):
    """Return the plain side, of which a value in a Parquet file was changed, and its data digest with it."""

    def change(column, row, value, version):
        side = side_of("plain", version)
        root = tmp_path / "altered"
        shutil.copytree(side.location.root, root)
        path = root / "metadata/images.parquet"
        table = pq.ParquetFile(path).read()
        index = table.schema.get_field_index(column)
        values = table[column].to_pylist()
        values[row] = value
        field = table.schema.field(index)
        path.unlink()  # it cannot be written
        pq.write_table(table.set_column(index, field, pa.array(values, field.type)), path)
        summary = dataclasses.replace(side.tables["images"], data_digest="0" * 64)
        tables = side.tables | {"images": summary}
        return dataclasses.replace(side, location=location_of(root), tables=tables)

    return change


@pytest.fixture
def circles(recipe_of):
    """Numbers of the samples with a circle."""
    frame = labels(recipe_of("plain"), "images")
    return frame.index[frame["class"] == "circle"].to_numpy()


@pytest.fixture
def refuses(side_of, recipe_of):
    """Return a function that checks that a claim is refused before and after the build, and returns both messages."""

    def messages(old, old_version, new, new_version):
        with pytest.raises(ReleaseError) as late:
            check(side_of(old, old_version), old_version, side_of(new, new_version), new_version)
        with pytest.raises(ReleaseError) as soon:
            early(side_of(old, old_version), old_version, recipe_of(new, new_version))
        assert late.value.claimed == soon.value.claimed == claimed(old_version, new_version)
        assert LEVELS.index(late.value.level) > LEVELS.index(late.value.claimed)
        return str(late.value), str(soon.value)

    return messages


@pytest.mark.parametrize(
    ("one", "other", "claim"),
    [
        ("1.0.0", "1.0.1", "patch"),
        ("1.2.0", "1.2.9", "patch"),
        ("1.0.9", "1.1.0", "minor"),
        ("0.1.0", "0.2.0", "minor"),
        ("1.9.9", "2.0.0", "major"),
        ("1.0.0", "3.1.4", "major"),
    ],
)
def test_claimed(one, other, claim):
    one, other = Version.parse(one), Version.parse(other)
    assert claimed(one, other) == claimed(other, one) == claim


# --- claims that are true ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "old_version", "new", "new_version", "level"),
    [
        ("plain", V100, "plain", V101, "none"),
        ("plain", V100, "words", V101, "patch"),
        ("plain", V100, "words", V110, "patch"),
        ("plain", V100, "grown", V110, "minor"),
        ("plain", V100, "extra", V110, "minor"),
        ("grown", V110, "plain", V101, "minor"),  # published later, stands before
        ("words", V102, "plain", V101, "patch"),
    ],
)
def test_true_claims(side_of, recipe_of, old, old_version, new, new_version, level):
    early(side_of(old, old_version), old_version, recipe_of(new, new_version))
    found = check(side_of(old, old_version), old_version, side_of(new, new_version), new_version)
    assert found.level == level


@pytest.mark.slow
@pytest.mark.parametrize("new", ["reseeded", "few", "radii", "large"])
def test_a_major_version_may_change_anything(side_of, recipe_of, new):
    early(side_of("plain", V100), V100, recipe_of(new, V200))
    found = check(side_of("plain", V100), V100, side_of(new, V200), V200)
    if new == "reseeded":
        assert found is None
    else:  # the tables that must be the same, and are
        assert "squares" in found.tables
        assert found.inconsistent == ()


# --- claims that are not -------------------------------------------------------------------------


def test_the_message(side_of, recipe_of, refuses, circles):
    late, soon = refuses("plain", V100, "radii", V101)
    assert late == (
        f"small@1.0.1 claims to be a patch version of small@1.0.0, but table 'images', sample {circles[0]} differs in "
        f"circle.radius (first of {len(circles)} changed samples); raise `version` to 2.0.0 at least"
    )
    assert soon == late


def test_a_patch_that_adds_samples(refuses):
    for message in refuses("plain", V100, "grown", V101):
        assert message == (
            "small@1.0.1 claims to be a patch version of small@1.0.0, but table 'images', samples 64 → 100; raise "
            "`version` to 1.1.0 at least"
        )


def test_a_patch_that_adds_a_table(refuses):
    for message in refuses("plain", V100, "extra", V101):
        assert "but table 'extra' is new; raise `version` to 1.1.0 at least" in message


def test_a_minor_that_takes_a_table_away(refuses):
    for message in refuses("extra", V100, "plain", V110):
        assert "but table 'extra' is removed; raise `version` to 2.0.0 at least" in message


def test_a_minor_that_takes_samples_away(refuses):
    for message in refuses("plain", V100, "few", V110):
        assert "but table 'images', samples 64 → 20; raise `version` to 2.0.0" in message


def test_a_minor_of_another_seed(refuses):
    late, soon = refuses("plain", V100, "reseeded", V110)
    expected = r"sample 0 differs in split, .* and \d+ more \(first of 64 changed samples\); table 'squares'"
    assert re.search(expected, late)
    assert re.search(expected, soon)


def test_a_minor_of_another_shape(refuses):
    late, soon = refuses("plain", V100, "large", V110)
    shape = "variable image has another shape (16, 16 → 20, 20)"
    assert (
        f"sample 0 differs in the values of image (first of 64 changed samples); table 'images', {shape}"
        in late
    )
    assert f"but table 'images', {shape}; raise" in soon


def test_a_minor_of_other_copies(refuses):
    for message in refuses("plain", V100, "widths", V110):
        assert re.search(r"table 'images', sample \d+ differs in objects/width \(first of", message)


def test_a_minor_of_another_table(refuses):
    for message in refuses("plain", V100, "squares", V110):
        assert "table 'squares', sample 0 differs in rectangle.width (first of 8 changed" in message


def test_many_changes(side_of, make_recipe):
    classes = {"dot": {"objects": [{"circle": {"x": 4, "y": 4, "radius": 2}, "name": "dot"}]}}
    recipe = make_recipe(**SMALL, version="1.1.0", tables__images__classes=classes)
    with pytest.raises(ReleaseError, match=r"; and \d+ more changes; raise `version` to 2\.0\.0"):
        early(side_of("plain", V100), V100, recipe)


def test_a_version_that_would_stand_before_another(refuses):
    for message in refuses("plain", V110, "grown", V101):
        assert message == (
            "small@1.0.1 would stand before small@1.1.0, which would claim to be a minor version of it, but table "
            "'images', samples 100 → 64; raise `version` to 2.0.0 at least"
        )
    for message in refuses("grown", V102, "plain", V101):
        assert "a patch version of it, but table 'images', samples 64 → 100; raise" in message
        assert "2.0.0 at least" in message
    for message in refuses("plain", V110, "extra", V101):
        assert "but table 'extra' is removed" in message
    for message in refuses("plain", V110, "radii", V101):
        assert "differs in circle.radius" in message


VERSIONS = st.builds(Version, *[st.integers(0, 5)] * 3)


@pytest.mark.slow
@given(one=VERSIONS, other=VERSIONS, new=st.sampled_from(list(VARIANTS)))
def test_the_version_that_is_named_will_do(side_of, recipe_of, one, other, new):
    """Whatever is refused before a build is let pass with the version that the message names."""
    if one == other:
        return
    try:
        early(side_of("plain", one), one, recipe_of(new, other))
    except ReleaseError as error:
        named = re.search(r"raise `version` to (\S+) at least", str(error))
        better = Version.parse(named[1])
        assert better > max(one, other)
        early(side_of("plain", one), one, recipe_of(new, better))


# --- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V101, V110, V200])
def test_the_same_recipe_with_other_values(side_of, altered, version):
    other = altered("digest.image", 17, bytes(16), version)
    message = (
        r"table 'images', sample 17 differs in the values of image \(the only changed sample\), although recipe and "
        rf"rendering are the same in small@1\.0\.0 and small@{version}: one of the two is damaged"
    )
    with pytest.raises(ReleaseError, match=message):
        check(side_of("plain", V100), V100, other, version)


def test_the_same_recipe_with_other_labels(side_of, altered):
    other = altered("psf.sigma", 40, 0.1, V200)
    with pytest.raises(ReleaseError, match=r"sample 40 differs in psf\.sigma .*, although recipe"):
        check(side_of("plain", V100), V100, other, V200)


# --- before the build ----------------------------------------------------------------------------


def test_what_is_the_same_by_its_recipe_is_not_looked_at(side_of, recipe_of, monkeypatch):
    drawn = []
    monkeypatch.setattr(diff, "draw_labels", lambda table, *_: drawn.append(table.name))
    early(side_of("plain", V100), V100, recipe_of("grown", V110))
    assert drawn == []
    with pytest.raises(ReleaseError, match="samples 64 → 20"):  # nor what is refused already
        early(side_of("reseeded", V100), V100, recipe_of("few", V110))
    assert drawn == []


def test_of_another_rendering_some_samples_are_rendered(side_of, altered, recipe_of):
    newer = dataclasses.replace(side_of("plain", V100), render_version=fmt.RENDER_VERSION + 1)
    early(newer, V100, recipe_of("grown", V110))  # it gives the same
    other = altered("digest.image", 3, bytes(16), V100)
    other = dataclasses.replace(other, render_version=fmt.RENDER_VERSION + 1)
    message = (
        r"sample 3 differs in the values of image \(the only changed sample among 16 compared\)"
    )
    with pytest.raises(ReleaseError, match=message):
        early(other, V100, recipe_of("grown", V110))


def test_samples_of_each_class_are_rendered(side_of, recipe_of, monkeypatch):
    rendered = []
    render = diff.render_arrays

    def watched(table, some):
        rendered.append(some)
        return render(table, some)

    monkeypatch.setattr(diff, "render_arrays", watched)
    monkeypatch.setattr(diff, "FIRST_PIXELS", 3)
    newer = dataclasses.replace(side_of("plain", V100), render_version=fmt.RENDER_VERSION + 1)
    early(newer, V100, recipe_of("plain", V110))
    classes = labels(recipe_of("plain"), "images")["class"]
    assert len(rendered[0]) == 3
    assert len(set(rendered[0].columns["class"])) == min(3, classes.nunique())
    assert 0 in rendered[0].samples


def test_samples_that_are_too_large_are_not_rendered(side_of, recipe_of, monkeypatch):
    monkeypatch.setattr(diff, "render_arrays", None)
    monkeypatch.setattr(diff, "FIRST_BYTES", 16)
    newer = dataclasses.replace(side_of("plain", V100), render_version=fmt.RENDER_VERSION + 1)
    early(newer, V100, recipe_of("plain", V110))


def test_only_the_first_samples_are_drawn(side_of, recipe_of, monkeypatch, circles):
    monkeypatch.setattr(diff, "FIRST_LABELS", 20)
    count = int((circles < 20).sum())
    message = rf"\(first of {count} changed samples among 20 compared\)"
    with pytest.raises(ReleaseError, match=message):
        early(side_of("plain", V100), V100, recipe_of("radii", V110))


def test_what_is_known_early_is_what_is_found_later(side_of, recipe_of):
    """All samples are among the first here."""
    for new in VARIANTS:
        found = compare(side_of("plain", V100), side_of(new, V110))
        for name, table in found.tables.items():
            seen = diff.foresee(
                side_of("plain", V100), recipe_of(new, V110).table(name), later=True, values=True
            )
            few = {"compared": 0, "changed": None, "pixels": {}}
            assert dataclasses.replace(seen, **few) == dataclasses.replace(table, **few)
            assert (seen.changed is None) == (table.changed is None)
            if table.parameters:
                assert seen.changed == table.changed


# --- which versions are next to a new one --------------------------------------------------------


@given(
    published=st.sets(VERSIONS, max_size=8), unfinished=st.sets(VERSIONS, max_size=3), new=VERSIONS
)
def test_neighbours(tmp_path_factory, published, unfinished, new):
    catalog = tmp_path_factory.mktemp("catalog")
    for version in published | unfinished:
        (catalog / "small" / str(version)).mkdir(parents=True)
    for version in published:
        (catalog / "small" / str(version) / fmt.MANIFEST).touch()
    (catalog / "small" / "notes").mkdir(parents=True)
    before, after = neighbours(target_of(catalog), "small", new)
    lower, higher = (
        {each for each in published if test(each)} for test in (new.__gt__, new.__lt__)
    )
    assert (before.version if before else None) == max(lower, default=None)
    assert (after.version if after else None) == min(higher, default=None)
    for each in filter(None, (before, after)):
        assert each.name == "small"
        assert each.path == str(Path(catalog, "small", str(each.version)))


def test_neighbours_in_an_empty_place(tmp_path):
    assert neighbours(location_of(tmp_path / "nothing"), "small", V100) == (None, None)


def test_neighbours_are_releases(copied):
    before, after = neighbours(target_of(copied), "small", V101)
    assert after is None
    assert Side.of(before).name == "small@1.0.0"


def test_neighbours_in_an_object_store(bucket):
    target = target_of(bucket)
    for version in (V100, V200):
        target.write(f"small/{version}/{fmt.MANIFEST}", b"")
    target.write(f"small/{V110}/README.md", b"")
    before, after = neighbours(target, "small", V101)
    assert (before.version, after.version) == (V100, V200)


# --- builds --------------------------------------------------------------------------------------


def test_a_build_that_claims_too_much_is_refused_before_anything_is_rendered(
    make, make_recipe, copied, parts_in
):
    with pytest.raises(
        ReleaseError,
        match=r"small@1.1.0 claims to be a minor version of small@1.0.0, but table 'images', sample 0 .*; "
        r"raise `version` to 2.0.0 at least",
    ):
        make(make_recipe(version="1.1.0", seed=8), copied)
    assert parts_in(copied) == []
    assert make(make_recipe(version="2.0.0", seed=8), copied).built


def test_a_late_difference_is_refused_at_publish(make, make_recipe, copied, monkeypatch, parts_in):
    monkeypatch.setattr("pipeline.claims.refuse_early", lambda *_: None)
    with pytest.raises(
        ReleaseError, match="claims to be a patch version of small@1.0.0, but table"
    ):
        make(make_recipe(version="1.0.1", seed=8), copied)
    assert not (copied / "small/1.0.1").exists()
    assert len(parts_in(copied)) == 21  # kept: another version may be right


def test_a_version_between_two_others(make, make_recipe, copied):
    make(make_recipe(version="1.2.0", tables__images__samples=330), copied)
    with pytest.raises(ReleaseError, match="small@1.1.0 would stand before small@1.2.0"):
        make(make_recipe(version="1.1.0", tables__images__samples=340), copied)
    assert make(make_recipe(version="1.1.0", tables__images__samples=320), copied).built


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "manifest.json",
            "small@1.1.0 cannot be compared with small@1.0.0: .*; repair or remove that first",
        ),
        ("metadata/images.parquet", "images.parquet is damaged: .*, or mend it with `deepbench"),
    ],
)
def test_a_damaged_neighbour_is_in_the_way_but_of_a_major_version(
    make, make_recipe, copied, caplog, name, message
):
    path = copied / "small/1.0.0" / name
    path.unlink()
    path.write_text("{}")
    with pytest.raises(ReleaseError, match=message):
        make(make_recipe(version="1.1.0"), copied)
    assert make(make_recipe(version="2.0.0"), copied).built
    assert "small@1.0.0 is not compared: " in caplog.text
