"""Whatever is wrong with a release, ``verify`` finds it: by the right check, in the right file, in the right samples.

The corruptions are those of ``benchmarks/corruption.py``.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import runpy
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr

import deepbench
from deepbench import format as fmt
from deepbench.catalog import find
from deepbench.errors import MissingDataError, ReleaseError
from deepbench.recipe import parse_recipe
from deepbench.statistics import statistics_of
from deepbench.stored_recipe import read_recipe
from pipeline.build import build
from pipeline.documents import documents
from pipeline.execution.cluster import ClusterOptions
from pipeline.repair import repair
from pipeline.verify import Finding, verify, whole
from pipeline.verify.findings import Subject

TOOLS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "corruption.py"))
KINDS, SIBLINGS, CORRUPTIONS = TOOLS["KINDS"], TOOLS["SIBLINGS"], TOOLS["CORRUPTIONS"]
overwrite, sign, edit_array = TOOLS["overwrite"], TOOLS["sign"], TOOLS["edit_array"]
edit_manifest, edit_text = TOOLS["edit_manifest"], TOOLS["edit_text"]

SAMPLES = "metadata/images.parquet"
OBJECTS = "metadata/images.objects.parquet"
CSV = "metadata/images.csv"
SHARD = KINDS["shard"]


@dataclass(frozen=True)
class Copy:
    """A copy of the release, to be damaged."""

    catalog: Path
    path: Path

    @property
    def release(self):
        return find("tiny", catalog=self.catalog)

    def verify(self, **options):
        return verify(self.release, **options)


def found(report):
    """Return check and file of each finding."""
    return {(each.check, each.file) for each in report.findings}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, cluster):
    """The catalog of a release with one file of each kind. Not to be changed."""
    folder = tmp_path_factory.mktemp("tiny")
    return TOOLS["make_release"](folder, ClusterOptions(scheduler=cluster.scheduler_address))


@pytest.fixture
def copy(tiny, tmp_path):
    catalog = tmp_path / "releases"
    shutil.copytree(tiny, catalog)
    return Copy(catalog, catalog / "tiny" / "1.0.0")


# --- an undamaged release ------------------------------------------------------------------------


@pytest.mark.parametrize("rerender", [0.0, 0.1, 1.0])
def test_nothing_is_found_in_a_release_that_is_whole(built, rerender):
    report = verify(built.release, rerender=rerender, seed=3)
    assert report.findings == []
    assert report.notes == []
    assert report.ok
    assert report.files == len(built.release.manifest.objects)
    assert (report.bytes, report.samples) == (built.release.manifest.size, 340)
    assert report.by_tolerance == 0
    low, high = {0.0: (0, 0), 0.1: (10, 80), 1.0: (340, 340)}[rerender]
    assert low <= report.rerendered <= high


@pytest.mark.slow
@pytest.mark.parametrize("rerender", [0.0, 0.2])
def test_on_a_cluster(built, options, copy, rerender):
    assert verify(built.release, rerender=rerender, cluster=options).ok
    flip(copy.path / SHARD, 0)
    flip(copy.path / CSV, 0)
    here, there = copy.verify(rerender=rerender), copy.verify(rerender=rerender, cluster=options)
    assert set(here.findings) == set(there.findings)
    assert len(here.findings) == len(there.findings) == 3
    assert (here.rerendered, here.notes) == (there.rerendered, there.notes)


def test_every_kind_of_file_is_tried(tiny):
    there = set(find("tiny", catalog=tiny).location.files())
    assert set(KINDS.values()) | set(SIBLINGS.values()) <= there
    others = {each for each in there - set(KINDS.values()) if not each.startswith("data.zarr")}
    assert others == {*fmt.DOCUMENTS[fmt.FORMAT_VERSION]} - {fmt.CARD}


def test_progress_grows_to_its_end(built, options):
    for cluster in (None, options):
        told = []
        verify(
            built.release,
            cluster=cluster,
            progress=lambda step, done, total, told=told: told.append((step, done, total)),
        )
        done = [each[1] for each in told]
        assert done == sorted(done)
        assert done[-1] == built.release.manifest.size
        assert {each[2] for each in told} == {done[-1]}
        assert [*dict.fromkeys(each[0] for each in told)] == ["checking files", "checking data"]


def test_progress_without_a_recipe_grows_to_its_end_too(copy):
    done = []
    overwrite(copy.path / fmt.RECIPE, b"")
    copy.verify(progress=lambda step, so_far, total: done.append((so_far, total)))
    assert done[-1] == (copy.release.manifest.size,) * 2


def test_which_samples_are_rendered_again_depends_on_the_seed_alone(copy, monkeypatch):
    from pipeline.verify import data

    chosen = []
    choose = data.Rerender.choose

    def spy(self, block):
        rows = choose(self, block)
        chosen.append((block, rows.tolist()))
        return rows

    monkeypatch.setattr(data.Rerender, "choose", spy)
    runs = []
    for seed in (1, 1, 2):
        chosen.clear()
        copy.verify(rerender=0.3, seed=seed)
        runs.append(list(chosen))
    assert runs[0] == runs[1] != runs[2]
    chosen.clear()
    copy.verify(rerender=1e-9)
    assert [len(rows) for _, rows in chosen] == [1, 0, 0, 0]  # one at least


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_that_is_none(built, fraction):
    with pytest.raises(ReleaseError, match="must be from 0 to 1"):
        verify(built.release, rerender=fraction)


def listing(folder):
    return {
        path.relative_to(folder): (path.lstat().st_mtime_ns, path.lstat().st_mode)
        for path in [folder, *folder.rglob("*")]
    }


def test_a_catalog_that_nobody_may_write(copy):
    for path in [copy.catalog, *copy.catalog.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = listing(copy.catalog)
    try:
        assert copy.verify(rerender=0.5).ok
        assert listing(copy.catalog) == before
    finally:
        for path in [copy.catalog, *copy.catalog.rglob("*")]:
            path.chmod(0o755)


# --- damage --------------------------------------------------------------------------------------


def flip(path, byte, bit=0):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    overwrite(path, bytes(content))


EXPECTED = {"`manifest.json`": "manifest"}
"""Which check finds a file that is changed, where it is not ``checksum`` or ``files``."""


def check_found(report, kind, check):
    """Check that exactly the damaged file is named, by the check that should."""
    wanted = {(EXPECTED.get(kind, check), KINDS[kind])}
    if kind == "shard":
        wanted.add(("zarr", KINDS[kind]))
    assert found(report) <= wanted
    assert found(report) - {("zarr", SHARD)} == wanted - {("zarr", SHARD)}
    assert all(each.table == "images" for each in report.findings if each.check == "zarr")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_anywhere(copy, kind):
    path = copy.path / KINDS[kind]
    whole_file = path.read_bytes()
    for bit in TOOLS["bits_of"](path, 6):
        flip(path, bit // 8, bit % 8)
        report = copy.verify()
        check_found(report, kind, "checksum")
        overwrite(path, whole_file)
    assert copy.verify().ok


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("corruption", [name for name in CORRUPTIONS if name != "swapped"])
def test_a_file_that_is_not_what_it_was(copy, kind, corruption):
    path = copy.path / KINDS[kind]
    release = copy.release
    CORRUPTIONS[corruption](path, copy.path / SIBLINGS[kind])
    report = verify(release)  # a manifest that is gone is not found in its catalog
    check_found(report, kind, "checksum" if corruption == "zeroed block" else "files")


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_swapped(copy, kind):
    one, other = KINDS[kind], SIBLINGS[kind]
    TOOLS["swap"](copy.path / one, copy.path / other)
    named = {file for _, file in found(copy.verify())}
    assert named == ({one} if one == fmt.MANIFEST else {one, other})


def test_shards_of_one_size_that_are_swapped(copy):
    """A shard is found although it has the size of the one that should be there, and decodes."""
    one, other = SHARD, SIBLINGS["shard"]
    overwrite(copy.path / one, (copy.path / other).read_bytes())
    sign(copy.path, one)
    report = copy.verify()
    (digests,) = [each for each in report.findings if each.check == "digests"]
    assert (digests.file, digests.count, digests.samples) == (one, 16, tuple(range(16, 26)))
    assert str(digests) == (
        "digests: table 'images': samples 16, 17, 18, 19, 20, 21, 22, 23, 24, 25 and 6 more: "
        f"{one}: values differ from their digests in the metadata"
    )


@pytest.mark.parametrize("what", ["file", "link", "folder", "folder with a file", "shard"])
def test_something_that_is_not_of_the_release(copy, what):
    name = {"shard": "data.zarr/images/image/c/99/0/0"}.get(what, "metadata/stray")
    path = copy.path / name
    if what == "link":
        path.symlink_to("/etc")
    elif what.startswith("folder"):
        path.mkdir()
        if what != "folder":
            name += "/inside"
            Path(copy.path, name).write_text("x")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert found(copy.verify()) == {("files", name)}


def test_folders_that_are_not(copy):
    """Links and files where folders are, and folders where files are, damage everything below."""
    shutil.move(copy.path / "metadata", copy.catalog.parent / "metadata")
    (copy.path / "metadata").symlink_to(copy.catalog.parent / "metadata")
    shutil.rmtree(copy.path / "data.zarr/images/image/c/1")
    (copy.path / "data.zarr/images/image/c/1").write_text("a file")
    (copy.path / "README.md").unlink()
    (copy.path / "README.md").mkdir()
    report = copy.verify()
    named = {file for check, file in found(report) if check == "files"}
    assert {SAMPLES, OBJECTS, CSV, SHARD, "README.md", "metadata"} <= named
    assert all(each.message for each in report.findings)


def test_a_shard_of_another_size_is_not_read(copy):
    (copy.path / SHARD).chmod(0o644)
    os.truncate(copy.path / SHARD, 2**40)  # takes no room on the disk
    report = copy.verify()
    assert found(report) == {("files", SHARD), ("zarr", SHARD)}


@pytest.mark.slow
def test_samples_of_one_chunk_are_named(copy):
    """A bit inside one chunk of a shard damages the samples of that chunk; one in the index, those of the shard."""
    path = copy.path / SHARD
    index = 4 * 16 + 4  # four chunks, an offset and a length each, and a checksum
    entries = np.frombuffer(path.read_bytes()[-index:-4], "<u8").reshape(4, 2)
    for number, (offset, length) in enumerate(entries.tolist()):
        for byte in (offset, offset + length // 2, offset + length - 1):
            flip(path, byte)
            named = [each for each in copy.verify(rerender=0.1).findings if each.check == "zarr"]
            start = 16 + 4 * number
            expected = Finding(
                "zarr", "cannot be decoded", SHARD, "images", tuple(range(start, start + 4)), 4
            )
            assert named == [expected]
            flip(path, byte)
    flip(path, -index)
    (named,) = [each for each in copy.verify().findings if each.check == "zarr"]
    assert (named.samples, named.count) == (tuple(range(16, 26)), 16)


@pytest.mark.parametrize("name", [SHARD, "data.zarr/images/image/c/3/0/0"])
def test_samples_of_a_shard_that_is_gone_are_named(copy, name):
    (copy.path / name).unlink()
    missing, unreadable = copy.verify(rerender=1.0).findings
    assert missing == Finding("files", "is missing", name)
    start = 16 * int(name.split("/")[-3])
    samples = range(start, min(start + 16, 50))
    assert (unreadable.check, unreadable.file) == ("zarr", name)
    assert (unreadable.samples, unreadable.count) == (tuple(samples)[:10], len(samples))


def test_damage_at_several_places_is_told_once_each(copy):
    names = [
        name
        for kind, name in KINDS.items()
        if kind not in ("`manifest.json`", "`recipe.yaml`", "catalogue")
    ]
    for name in names:
        flip(copy.path / name, 5)
    report = copy.verify(rerender=0.5)
    told = [each.file for each in report.findings if each.check == "checksum"]
    assert sorted(told) == sorted(names)
    assert {each.check for each in report.findings} == {"checksum", "zarr"}


@pytest.mark.parametrize("kind", ["`recipe.yaml`", "catalogue"])
def test_without_its_recipe_files_are_checked_and_it_says_so(copy, kind):
    flip(copy.path / KINDS[kind], 0)
    flip(copy.path / SHARD, -1)
    report = copy.verify(rerender=1.0)
    assert found(report) == {("checksum", KINDS[kind]), ("checksum", SHARD)}
    assert report.notes == [
        "without its recipe, labels, data and schema of the release cannot be checked"
    ]


# --- damage that agrees with the manifest --------------------------------------------------------


def edit_rows(copy, name, change):
    """Change rows of a Parquet file, and sign it."""
    table = change(pq.ParquetFile(copy.path / name).read())
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=fmt.ROW_GROUP)
    overwrite(copy.path / name, buffer.getvalue())
    sign(copy.path, name)


def put(column, row, value):
    """Return a change of one value."""

    def change(table):
        values = table.column(column).to_pylist()
        values[row] = value
        number = table.schema.get_field_index(column)
        field = table.schema.field(column)
        array = pa.array(values, pa.string() if pa.types.is_dictionary(field.type) else field.type)
        return table.set_column(number, field, array.cast(field.type))

    return change


def edit_pixels(copy, change, *, digests=True, totals=True):
    """Change pixels, and also their digests and the data digest, so that all agree."""
    edit_array(copy.path, "images/image", change)
    if not digests:
        return
    image = xr.open_datatree(copy.path / fmt.DATA, engine="zarr")["images"]["image"].values
    (variable,) = copy.release.recipe.tables["images"].data_variables()
    made = fmt.sample_digests(variable, image)

    def replace(table):
        number = table.schema.get_field_index("digest.image")
        return table.set_column(number, table.schema.field(number), pa.array(made, pa.binary(16)))

    edit_rows(copy, SAMPLES, replace)
    if totals:
        total = fmt.DataDigest(["image"])
        total.update("image", b"".join(made))
        edit_table(copy, data_digest=total.hexdigest())
        restate(copy)


def restate(copy):
    """Let statistics and documents tell what data, labels and manifest say."""
    name, release = fmt.statistics_file("images"), copy.release
    opened = release.open()["images"].to_dataset()
    statistics = statistics_of(release.recipe.table("images"), opened)
    overwrite(copy.path / name, statistics.to_json().encode())
    sign(copy.path, name)
    for name, content in documents(release.recipe, copy.release.manifest).items():
        overwrite(copy.path / name, content)
        sign(copy.path, name)


def edit_table(copy, **changes):
    edit_manifest(copy.path, lambda data: data["tables"]["images"].update(changes))


def add(number, value):
    def change(values):
        values[number].flat[5] += value

    return change


def test_pixels_changed(copy):
    edit_pixels(copy, add(37, 1.0), digests=False)
    (finding,) = copy.verify().findings
    assert (finding.check, finding.samples, finding.count) == ("digests", (37,), 1)
    assert (finding.file, finding.table) == ("data.zarr/images/image/c/2/0/0", "images")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers(copy, value):
    def change(values):
        values[[3, 20], 0, 0] = value

    edit_pixels(copy, change)
    one, other = copy.verify().findings
    assert (one.check, one.samples, one.file) == ("values", (3,), "data.zarr/images/image/c/0/0/0")
    assert (other.check, other.samples, other.file) == ("values", (20,), SHARD)


def test_pixels_and_all_their_digests_changed(copy):
    edit_pixels(copy, add(37, 1e-7))
    assert copy.verify().ok
    report = copy.verify(rerender=1.0)
    (finding,) = report.findings
    assert (finding.check, finding.samples, finding.count) == ("rerender", (37,), 1)
    assert finding.file == "data.zarr/images/image/c/2/0/0"
    assert (report.rerendered, report.by_tolerance) == (50, 0)  # this table is not stamped so


def test_the_sign_of_zero_is_a_bit(copy, monkeypatch):
    from pipeline.verify import data

    def zeros(table, labels):
        made, found = data_render(table, labels)
        made["image"][labels.samples == 7] = 0.0
        return made, found

    data_render = data.render_arrays
    monkeypatch.setattr(data, "render_arrays", zeros)
    edit_pixels(copy, lambda values: values.__setitem__(7, -0.0))
    (finding,) = copy.verify(rerender=1.0).findings
    assert (finding.check, finding.samples) == ("rerender", (7,))


def test_digests_changed_without_pixels(copy):
    edit_rows(copy, SAMPLES, put("digest.image", 9, bytes(16)))
    report = copy.verify()
    assert ("digests", "data.zarr/images/image/c/0/0/0") in found(report)
    assert ("manifest", fmt.MANIFEST) in found(report)  # its data digest
    (finding,) = [each for each in report.findings if each.check == "digests"]
    assert finding.samples == (9,)


def test_samples_that_are_equal(copy):
    def change(values):
        values[30] = values[12]
        values[31] = values[12]

    edit_pixels(copy, change)
    (finding,) = copy.verify().findings
    assert (finding.check, finding.samples, finding.count) == ("duplicates", (30, 31), 2)
    assert "first to sample 12" in finding.message


def test_samples_of_several_variables_are_equal_only_if_all_are():
    """Between two equal samples lies one that is like them in the first variable only."""
    one, two = np.arange(16, dtype="u1"), np.arange(16, 32, dtype="u1")
    first = np.stack([one, one, one, two])
    second = np.stack([one, two, one, one])
    rows = pa.table(
        {
            f"digest.{name}": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(16), 4, [None, pa.py_buffer(np.ascontiguousarray(each).tobytes())]
            )
            for name, each in (("a", first), ("b", second))
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole, "batches", lambda *_: iter([rows]))
        patch.setattr(whole, "_made_equal", lambda *_: False)
        summary = fmt.TableSummary("image", 4, "", "", 4, {"a": {}, "b": {}}, {}, {}, ())

        subject = SimpleNamespace(location=None, render_version=fmt.RENDER_VERSION)
        table = SimpleNamespace(name="images")
        (finding,) = whole._check_duplicates(subject, table, summary)
    assert (finding.samples, finding.count) == ((2,), 1)


def test_a_group_in_two_splits(make, tmp_path):
    recipe = parse_recipe(GROUPS)
    make(recipe, tmp_path)
    copy = Copy(tmp_path, tmp_path / "tiny" / "1.0.0")
    release = copy.release
    assert verify(release, rerender=1.0).ok
    splits = release.labels("images")["split"].tolist()
    other = {"train": "test", "test": "train"}
    for held in (whole.HELD, 7):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(whole, "HELD", held)
            edit_rows(copy, SAMPLES, put("split", 22, other[splits[22]]))
            report = copy.verify()
        (finding,) = [each for each in report.findings if each.check == "groups"]
        assert finding.samples == (22, 23)  # where the split changes, and where it changes back


GROUPS = """
name: tiny
version: 1.0.0
title: Samples in groups of four
seed: 3
splits: {train: 0.5, test: 0.5}
tables:
  images:
    kind: image
    samples: 40
    group_size: 4
    size: [8, 8]
    classes: {dot: {objects: [{circle: {x: {uniform: [2, 6]}, y: 4, radius: 2}}]}}
"""


def swap_rows(table):
    order = np.arange(len(table))
    order[[4, 5]] = order[[5, 4]]
    return table.take(order)


def row_of(copy, name):
    """Return the first sample of a class."""
    return int(np.flatnonzero(copy.release.labels("images")["class"] == name)[0])


LABELS = {
    "out of range": ("circle", "circle.x", float("inf")),
    "negative": ("circle", "circle.radius", -1.0),
    "nothing": ("circle", "circle.x", None),
    "not a number": ("circle", "circle.x", float("nan")),
    "an unknown class": ("circle", "class", "square"),
    "an unknown split": ("circle", "split", "holdout"),
    "another class": ("circle", "class", "crowd"),
    "a value that the class has not": ("crowd", "circle.x", 4.0),
    "copies that the class has not": ("circle", "rectangle.repeat", 1),
    "another number of copies": ("crowd", "rectangle.repeat", 9),
}


@pytest.mark.parametrize("what", LABELS)
def test_labels_that_cannot_be(copy, what):
    name, column, value = LABELS[what]
    sample = row_of(copy, name)
    edit_rows(copy, SAMPLES, put(column, sample, value))
    report = copy.verify()
    findings = [each for each in report.findings if each.check == "labels"]
    assert findings
    assert {each.check for each in report.findings} <= {"labels", "manifest"}
    assert {each.file for each in findings} & {SAMPLES, OBJECTS}
    if "unknown" not in what and what != "nothing":
        named = {each.samples for each in findings if each.file in (SAMPLES, OBJECTS)}
        assert named - {()} == {(sample,)}


def test_rows_that_are_permuted(copy):
    edit_rows(copy, SAMPLES, swap_rows)
    report = copy.verify()
    (finding,) = [each for each in report.findings if "`id`" in each.message]
    assert (finding.check, finding.file, finding.samples) == ("labels", SAMPLES, (4, 5))


@pytest.mark.parametrize(
    "column", ["id", "class", "split", "group", "circle.x", "rectangle.repeat"]
)
def test_a_label_variable_that_differs(copy, column):
    name = f"data.zarr/images/{column}/c/0"
    sample = 11 if column != "circle.x" else row_of(copy, "circle")

    def at_sample(values):
        values[sample] = values[sample] + 1

    edit_array(copy.path, f"images/{column}", at_sample)
    (finding,) = copy.verify().findings
    assert (finding.check, finding.file, finding.samples) == ("labels", name, (sample,))


def test_a_label_variable_that_cannot_be_decoded(copy):
    name = KINDS["label chunk"]
    flip(copy.path / name, -1)
    sign(copy.path, name)
    (finding,) = copy.verify().findings
    assert (finding.check, finding.file, finding.table) == ("zarr", name, "images")


CSVS = {
    "a number": lambda text: text.replace(text.splitlines()[8].split(",")[-2], "0.125", 1),
    "a row less": lambda text: text[: text.rstrip("\n").rindex("\n") + 1],
    "a row more": lambda text: text + text.splitlines()[-1] + "\n",
    "two rows swapped": lambda text: _swap_lines(text, 3, 4),
    "a column more": lambda text: "".join(
        f"{line},{'extra' if i == 0 else 1}\n" for i, line in enumerate(text.splitlines())
    ),
    "a column less": lambda text: "".join(
        f"{line.rpartition(',')[0]}\n" for line in text.splitlines()
    ),
    "another name": lambda text: text.replace("circle.x", "circle.q", 1),
    "no text": lambda text: "",
    "a word for a number": lambda text: text.replace("\n7,", "\nseven,"),
}


def _swap_lines(text, one, other):
    lines = text.splitlines()
    lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("what", CSVS)
def test_a_csv_that_differs(copy, what):
    text = (copy.path / CSV).read_text()
    changed = CSVS[what](text)
    assert changed != text
    overwrite(copy.path / CSV, changed.encode())
    sign(copy.path, CSV)
    assert found(copy.verify()) == {("labels", CSV)}


OBJECT_ROWS = {
    "removed": lambda table: pa.concat_tables([table.slice(0, 3), table.slice(4)]),
    "twice": lambda table: pa.concat_tables([table.slice(0, 4), table.slice(3)]),
    "none": lambda table: table.slice(0, 0),
    "of a sample that is not": lambda table: pa.concat_tables(
        [table, put("sample", 0, 10**6)(table.slice(0, 1))]
    ),
    "of another kind": put("copy", 2, 77),
    "in another order": lambda table: table.take([1, 0, *range(2, len(table))]),
    "negative": put("width", 0, -3.0),
    "nothing": put("width", 0, None),
}


@pytest.mark.parametrize("what", OBJECT_ROWS)
def test_rows_of_objects(copy, what):
    before = pq.ParquetFile(copy.path / OBJECTS).read()
    edit_rows(copy, OBJECTS, OBJECT_ROWS[what])
    report = copy.verify()
    assert {each.check for each in report.findings} == {"labels"}
    assert {each.file for each in report.findings} <= {OBJECTS, SAMPLES}
    samples = before.column("sample").to_pylist()
    named = {each for finding in report.findings for each in finding.samples}
    if what in ("removed", "twice"):
        assert named == {samples[3]}
    elif what == "of another kind":
        assert named == {samples[2]}
    elif what == "in another order":
        assert named <= {samples[0], samples[1]}
    elif what == "negative":
        assert named == {samples[0]}


def test_labels_changed_everywhere_are_found_by_drawing_them_again(copy):
    sample = row_of(copy, "circle")
    value = 5.0
    edit_rows(copy, SAMPLES, put("circle.x", sample, value))
    edit_array(copy.path, "images/circle.x", lambda values: values.__setitem__(sample, value))
    rewrite_csv(copy)
    restate(copy)
    assert copy.verify().ok
    (finding,) = copy.verify(rerender=1e-9).findings
    assert (finding.check, finding.samples, finding.table) == ("rerender", (sample,), "images")
    assert finding.message == "circle.x is not what the recipe draws"


def rewrite_csv(copy):
    """Write the CSV from the Parquet file."""
    import pyarrow.csv as pcsv

    table = pq.ParquetFile(copy.path / SAMPLES).read().drop_columns(["digest.image"])
    columns = {
        field.name: table.column(field.name).cast(pa.string())
        if pa.types.is_dictionary(field.type)
        else table.column(field.name)
        for field in table.schema
    }
    buffer = io.BytesIO()
    pcsv.write_csv(pa.table(columns), buffer)
    overwrite(copy.path / CSV, buffer.getvalue())
    sign(copy.path, CSV)


def test_objects_changed_within_their_range_are_found_by_drawing_them_again(copy):
    edit_rows(copy, OBJECTS, put("width", 0, 2.5))
    assert copy.verify().ok
    sample = pq.ParquetFile(copy.path / OBJECTS).read().column("sample")[0].as_py()
    (finding,) = copy.verify(rerender=1e-9).findings
    assert (finding.check, finding.samples) == ("rerender", (sample,))
    assert finding.message == "objects.width is not what the recipe draws"


# --- schema --------------------------------------------------------------------------------------


def retype(column, kind):
    def change(table):
        number = table.schema.get_field_index(column)
        field = table.schema.field(column).with_type(kind)
        return table.set_column(number, field, table.column(column).cast(kind))

    return change


def note(column, **notes):
    def change(table):
        number = table.schema.get_field_index(column)
        field = table.schema.field(column)
        metadata = {key.decode(): value.decode() for key, value in field.metadata.items()} | notes
        return table.set_column(number, field.with_metadata(metadata), table.column(column))

    return change


SCHEMAS = {
    "a column less": (SAMPLES, lambda table: table.drop_columns(["circle.y"])),
    "a column more": (SAMPLES, lambda table: table.append_column("more", table.column("id"))),
    "no digests": (SAMPLES, lambda table: table.drop_columns(["digest.image"])),
    "columns in another order": (
        SAMPLES,
        lambda table: table.select(["class", "id", *table.schema.names[2:]]),
    ),
    "another type": (SAMPLES, retype("id", pa.int32())),
    "another float": (SAMPLES, retype("variables.row.radius", pa.float32())),
    "plain words": (SAMPLES, retype("class", pa.string())),
    "digests of another type": (SAMPLES, retype("digest.image", pa.binary())),
    "another unit": (SAMPLES, note("circle.x", unit="km")),
    "objects: a column less": (OBJECTS, lambda table: table.drop_columns(["width"])),
    "objects: another type": (OBJECTS, retype("copy", pa.int16())),
    "objects: another unit": (OBJECTS, note("height", unit="km")),
    "a row less": (SAMPLES, lambda table: table.slice(0, 49)),
    "a row more": (SAMPLES, lambda table: pa.concat_tables([table, table.slice(49)])),
}


@pytest.mark.parametrize("what", SCHEMAS)
def test_the_schema_of_parquet(copy, what):
    name, change = SCHEMAS[what]
    edit_rows(copy, name, change)
    assert ("schema", name) in found(copy.verify())


def test_a_parquet_file_that_is_none(copy):
    for content in (b"", b"PAR1", b"not Parquet at all, but long enough to have a footer"):
        overwrite(copy.path / OBJECTS, content)
        sign(copy.path, OBJECTS)
        assert ("schema", OBJECTS) in found(copy.verify())


def at(*path, value):
    """Return a change of JSON."""

    def change(data):
        *way, last = path
        for step in way:
            data = data[step]
        data[last] = value

    return change


ARRAY = "data.zarr/images/image/zarr.json"
INNER = ("codecs", 0, "configuration", "codecs")
ROOT = "data.zarr/zarr.json"
INSIDE = ("consolidated_metadata", "metadata")
ZARR_CHANGES = {
    "attribute": (ARRAY, at("attributes", "units", value="km")),
    "an attribute more": (ARRAY, at("attributes", "scale_factor", value=2.0)),
    "dtype": (ARRAY, at("data_type", value="float64")),
    "shape": (ARRAY, at("shape", 0, value=49)),
    "shard": (ARRAY, at("chunk_grid", "configuration", "chunk_shape", 0, value=32)),
    "chunk": (ARRAY, at("codecs", 0, "configuration", "chunk_shape", 0, value=8)),
    "fill value": (ARRAY, at("fill_value", value=0.0)),
    "codec": (ARRAY, at(*INNER, 1, "configuration", "clevel", value=9)),
    "no checksum": (ARRAY, lambda data: data["codecs"][0]["configuration"]["codecs"].pop()),
    "byte order": (ARRAY, at(*INNER, 0, "configuration", "endian", value="big")),
    "dimension": (ARRAY, at("dimension_names", 1, value="x2")),
    "not consolidated": (ROOT, lambda data: data.pop("consolidated_metadata")),
    "consolidated fill value": (ROOT, at(*INSIDE, "images/image", "fill_value", value=0.0)),
    "consolidated array lost": (ROOT, lambda data: data[INSIDE[0]][INSIDE[1]].pop("images/id")),
    "consolidated nonsense": (ROOT, at("consolidated_metadata", value=[1])),
    "recipe hash": (ROOT, at("attributes", "recipe_hash", value="0" * 64)),
    "render version": (ROOT, at("attributes", "render_version", value=9)),
    "licence": (ROOT, at("attributes", "license", value="none")),
    "table hash": ("data.zarr/images/zarr.json", at("attributes", "table_hash", value="0" * 64)),
    "node": ("data.zarr/images/zarr.json", at("node_type", value="array")),
    "flags": ("data.zarr/images/class/zarr.json", at("attributes", "flag_meanings", value="b a")),
    "label unit": ("data.zarr/images/circle.x/zarr.json", at("attributes", "units", value="km")),
}


@pytest.mark.parametrize("what", ZARR_CHANGES)
def test_the_schema_of_zarr(copy, what):
    name, change = ZARR_CHANGES[what]
    data = json.loads((copy.path / name).read_bytes())
    change(data)
    overwrite(copy.path / name, json.dumps(data).encode())
    sign(copy.path, name)
    assert found(copy.verify()) == {("schema", name)}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"null", b'"x"', b"[" * 100_000, b"\xff\xfe", b"1e999"]
)
@pytest.mark.parametrize("name", [ROOT, ARRAY])
def test_zarr_metadata_that_is_none(copy, name, content):
    overwrite(copy.path / name, content)
    sign(copy.path, name)
    assert found(copy.verify()) == {("schema", name)}


def test_descriptions_in_other_words_are_a_note(copy):
    """Somebody words three of them otherwise: in the root, in an array, in both Parquet files."""
    edit_rows(copy, SAMPLES, note("split", description="part of the benchmark"))
    edit_rows(copy, OBJECTS, note("height", description="how high it is"))
    words = ("attributes", "long_name")
    for name, change in (
        (ROOT, at(*INSIDE, "images/image", *words, value="what is seen")),
        (ARRAY, at(*words, value="what is seen")),
        (ROOT, at(*INSIDE, "images/circle.x", *words, value="to the right")),
    ):
        data = json.loads((copy.path / name).read_bytes())
        change(data)
        overwrite(copy.path / name, json.dumps(data).encode())
        sign(copy.path, name)
    report = copy.verify()
    assert report.findings == []
    *first, last = (each for each in report.notes if not each.endswith("writes it otherwise"))
    assert len(first) == 3
    told = {each.split(": ")[1] for each in report.notes if each.endswith("writes it otherwise")}
    assert told == {fmt.CROISSANT, fmt.DATACITE}  # which tell hashes and sizes of files
    assert all(
        re.match(r"words: table 'images': '.*' is described as '.*', by this ", each)
        for each in first
    )
    assert last == "words: 1 more are described otherwise"


def test_a_description_is_words(copy):
    for value in (3, None, ["what is seen"]):
        data = json.loads((copy.path / ARRAY).read_bytes())
        data["attributes"]["long_name"] = value
        overwrite(copy.path / ARRAY, json.dumps(data).encode())
        sign(copy.path, ARRAY)
        assert found(copy.verify()) == {("schema", ARRAY)}


def test_metadata_that_says_the_same_otherwise_is_fine(copy):
    for name in (ROOT, ARRAY):
        data = json.loads((copy.path / name).read_bytes())
        overwrite(copy.path / name, json.dumps(data, sort_keys=True, indent=7).encode())
        sign(copy.path, name)
    assert copy.verify().ok


def test_coordinates(copy):
    edit_array(copy.path, "images/x", lambda values: values.__setitem__(0, 1))
    assert found(copy.verify()) == {("schema", KINDS["coordinate chunk"])}


# --- the manifest --------------------------------------------------------------------------------

TABLE = {
    "samples": 51,
    "shard_length": 8,
    "table_hash": "0" * 64,
    "data_digest": "0" * 64,
    "kind": "lens",
    "classes": {"circle": 25, "crowd": 25},
    "splits": {"train": 50},
    "columns": ["id"],
    "objects": 7,
    "tolerance": True,
    "variables": {
        "image": {"dtype": "float64", "dims": ["sample", "y", "x"], "shape": [50, 8, 12]}
    },
}
RELEASE = {
    "name": "small",
    "version": "1.0.1",
    "title": "Another",
    "recipe_hash": "0" * 64,
    "seed": 12,
    "extra": 1,
}


@pytest.mark.parametrize("key", TABLE)
def test_what_the_manifest_says_of_a_table(copy, key):
    edit_table(copy, **{key: TABLE[key]})
    report = copy.verify()
    assert found(report) == {("manifest", fmt.MANIFEST)}
    assert {each.table for each in report.findings} == {"images"}


@pytest.mark.parametrize("key", RELEASE)
def test_what_the_manifest_says_of_the_release(copy, key):
    edit_manifest(copy.path, lambda data: data.update({key: RELEASE[key]}))
    assert found(copy.verify()) == {("manifest", fmt.MANIFEST)}


def test_a_manifest_that_says_it_in_other_words(copy):
    edit_manifest(copy.path, lambda data: data.update(seed="11"))
    assert found(copy.verify()) == {("manifest", fmt.MANIFEST)}
    text = json.dumps(json.loads((copy.path / fmt.MANIFEST).read_bytes()))
    overwrite(copy.path / fmt.MANIFEST, text.encode())
    assert found(copy.verify()) == {("manifest", fmt.MANIFEST)}


def test_a_render_version_that_is_not_that_of_the_store(copy):
    edit_manifest(copy.path, lambda data: data.update(render_version=7))
    assert found(copy.verify()) == {("schema", ROOT)}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "`manifest.json`"])
def test_a_file_that_the_manifest_does_not_list(copy, kind):
    name = KINDS[kind]

    def change(data):
        data["objects"] = [each for each in data["objects"] if each["path"] != name]

    edit_manifest(copy.path, change)
    report = copy.verify()
    assert {("files", name), ("manifest", fmt.MANIFEST)} <= found(report)
    (copy.path / name).unlink()
    report = copy.verify()
    assert {("manifest", fmt.MANIFEST), ("recipe", fmt.RECIPE)} & found(report)


@pytest.mark.parametrize(
    "name", ["metadata/more", "../../../outside", "/etc/hostname", "data.zarr/images/image/c/x"]
)
def test_a_file_that_the_manifest_should_not_list(copy, name):
    content = b"something"
    if name.startswith(("metadata", "data")):
        (copy.path / name).write_bytes(content)
    Path(copy.catalog.parent, "outside").write_bytes(content)
    entry = {"path": name, "size": 9, "sha256": hashlib.sha256(content).hexdigest()}
    edit_manifest(copy.path, lambda data: data["objects"].append(entry))
    report = copy.verify()
    assert ("manifest", fmt.MANIFEST) in found(report)
    if ".." in name or name.startswith("/"):
        assert ("files", name) in found(report)  # it is not even looked at


def test_a_file_that_is_listed_twice(copy):
    edit_manifest(copy.path, lambda data: data["objects"].append(data["objects"][0]))
    assert ("manifest", fmt.MANIFEST) in found(copy.verify())


def test_a_table_that_the_recipe_does_not_have(copy):
    edit_manifest(copy.path, lambda data: data["tables"].update(more=data["tables"]["images"]))
    assert found(copy.verify()) == {("manifest", fmt.MANIFEST)}


def test_a_release_in_the_folder_of_another_version(copy):
    copy.path.rename(copy.path.with_name("2.0.0"))
    report = copy.verify()
    assert report.release == "tiny@2.0.0"
    (finding,) = report.findings
    assert (finding.check, finding.file) == ("manifest", fmt.MANIFEST)
    assert finding.message == "is of tiny@1.0.0"


def test_a_recipe_that_cannot_be_read(copy):
    edit_text(copy.path, fmt.RECIPE, "seed: 11", "sead: 11")
    assert found(copy.verify()) == {("recipe", fmt.RECIPE)}
    overwrite(copy.path / fmt.RECIPE, b"\xff\0: [")
    sign(copy.path, fmt.RECIPE)
    assert found(copy.verify()) == {("recipe", fmt.RECIPE)}


def test_a_recipe_of_billions_of_files(copy):
    edit_text(copy.path, fmt.RECIPE, "samples: 50", "samples: 4000000000")
    assert found(copy.verify()) == {("manifest", fmt.MANIFEST)}


def test_no_more_files_are_named_than_anybody_reads(copy, monkeypatch):
    from pipeline.verify import run

    monkeypatch.setattr(run, "LOST", 3)
    keep = (fmt.RECIPE, fmt.CARD, KINDS["catalogue"])

    def change(data):
        data["objects"] = [each for each in data["objects"] if each["path"] in keep]

    edit_manifest(copy.path, change)
    told = [each.message for each in copy.verify().findings if each.check == "manifest"]
    assert len(told) == 4
    assert told[-1] == "does not list more files of the format"


def test_a_recipe_that_cannot_be_drawn_any_more(copy, monkeypatch):
    from deepbench.errors import LabelError
    from pipeline.verify import data

    def refuse(*_):
        raise LabelError("sample 3 has a radius below 0")

    monkeypatch.setattr(data, "draw_labels", refuse)
    assert copy.verify().ok
    report = copy.verify(rerender=0.1)
    assert found(report) == {("rerender", fmt.RECIPE)}
    assert "sample 3 has a radius" in report.findings[0].message


def test_a_recipe_that_is_changed_everywhere_is_found_by_rendering_again(copy):
    """Another seed, wherever the release tells it or a hash of it: only labels and pixels are of the old one."""
    old = copy.release.recipe
    edit_text(copy.path, fmt.RECIPE, "seed: 11", "seed: 12")
    new = read_recipe(copy.release.location)
    table = new.table("images").hash
    for path in (copy.path / fmt.DATA).rglob("zarr.json"):
        text = path.read_text().replace(old.hash, new.hash).replace(old.table("images").hash, table)
        overwrite(path, text.encode())
        sign(copy.path, path.relative_to(copy.path).as_posix())
    edit_manifest(copy.path, lambda data: data.update(seed=12, recipe_hash=new.hash))
    edit_table(copy, table_hash=table)
    report = copy.verify()
    assert report.ok or {each.check for each in report.findings} == {"schema"}
    report = copy.verify(rerender=1.0)
    assert "rerender" in {each.check for each in report.findings}
    (pixels,) = [
        each for each in report.findings if each.check == "rerender" and each.file == SHARD
    ]
    assert pixels.count == 16


# --- rendering again -----------------------------------------------------------------------------


def test_another_render_version_is_not_rendered_again(copy, monkeypatch):
    from pipeline.verify import data

    rendering = fmt.RENDER_VERSION
    monkeypatch.setattr(fmt, "RENDER_VERSION", 1000)
    monkeypatch.setattr(data, "render_arrays", lambda *_: pytest.fail("rendered"))
    report = copy.verify(rerender=1.0)
    assert report.findings == []
    assert report.rerendered == 0
    made_by = copy.release.manifest.software["deepbench"]
    (text,) = report.notes
    assert text == (
        f"not rendered again: the release was made by DeepBench {made_by} with render version {rendering}, "
        "and this one has 1000; install that version to do it"
    )


@pytest.fixture(scope="module")
def stamped(tmp_path_factory, cluster):
    catalog = tmp_path_factory.mktemp("stamped") / "releases"
    recipe = parse_recipe(STAMPED)
    build(recipe, str(catalog), cluster=ClusterOptions(scheduler=cluster.scheduler_address))
    return catalog


STAMPED = """
name: tiny
version: 1.0.0
title: A prior of scipy
seed: 3
tables:
  images:
    kind: image
    samples: 20
    size: [8, 8]
    classes:
      dot: {objects: [{circle: {x: {scipy: {name: norm, arguments: {loc: 4}, low: 2, high: 6}}, y: 4, radius: 2}}]}
storage: {chunk_bytes: 1024, shard_bytes: 4096}
"""


@pytest.mark.parametrize(("nudge", "agrees"), [(1e-7, True), (1e-3, False)])
def test_a_table_that_is_stamped_tolerance(stamped, tmp_path, nudge, agrees):
    shutil.copytree(stamped, tmp_path / "releases")
    copy = Copy(tmp_path / "releases", tmp_path / "releases/tiny/1.0.0")
    assert copy.release.manifest.tables["images"].tolerance
    report = copy.verify(rerender=1.0)
    assert report.ok
    assert (report.rerendered, report.by_tolerance, report.notes) == (20, 0, [])

    def change(values):
        values[13].flat[0] += np.float32(nudge) * values[13].max()

    edit_pixels(copy, change)
    report = copy.verify(rerender=1.0)
    assert report.ok == agrees
    assert report.by_tolerance == agrees
    if agrees:
        assert report.notes == [
            "1 of 20 samples rendered again agree within the tolerance of the format, not in each bit"
        ]
    else:
        (finding,) = report.findings
        assert (finding.check, finding.samples) == ("rerender", (13,))


def test_a_release_of_another_kind_of_machine_may_differ_by_rounding(copy):
    edit_manifest(copy.path, lambda data: data["software"].update(machine="other"))
    edit_pixels(copy, add(37, 1e-7))
    report = copy.verify(rerender=1.0)
    assert report.ok
    assert report.by_tolerance == 1


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [1, 7, 49])
def test_many_passes_find_the_same(copy, monkeypatch, held):
    def change(values):
        values[30] = values[12]
        values[41] = values[12]
        values[45] = values[44]

    edit_pixels(copy, change)
    expected = copy.verify().findings
    assert [(each.check, each.samples) for each in expected] == [("duplicates", (30, 41, 45))]
    monkeypatch.setattr(whole, "HELD", held)
    assert copy.verify().findings == expected


def test_no_pass_holds_more_than_its_share(copy, monkeypatch):
    """Digests are as good as random, so the rows of a pass are few more than asked for."""
    monkeypatch.setattr(whole, "HELD", 10)
    held = []
    inner = whole._passes

    def spy(*arguments):
        for keys, rest in inner(*arguments):
            held.append(len(keys))
            yield keys, rest

    monkeypatch.setattr(whole, "_passes", spy)
    assert copy.verify().ok
    assert len(held) == 10  # five passes for groups, five for digests
    assert sum(held) == 100
    assert max(held) < 25


def test_one_group_is_held_as_one_row(built, monkeypatch):
    columns = {"group": [5] * 9 + [6], "split": ["a"] * 8 + ["b", "a"]}
    rows = pa.table({name: pa.array(values) for name, values in columns.items()})
    monkeypatch.setattr(whole, "batches", lambda *_: iter([rows, rows]))
    monkeypatch.setattr(
        whole, "numbers", lambda values, _: np.unique(values.to_pylist(), return_inverse=True)[1]
    )
    held = []
    inner = whole._passes

    def spy(*arguments):
        for keys, rest in inner(*arguments):
            held.append(len(keys))
            yield keys, rest

    monkeypatch.setattr(whole, "_passes", spy)
    subject = Subject(built.release.location, "")
    (finding,) = whole._check_groups(subject, built.recipe.table("images"), 20)
    assert held == [6]
    assert finding.samples == (8, 10, 18)


# --- tables that are cut otherwise ---------------------------------------------------------------


def test_many_row_groups_and_chunks_of_labels(make, tmp_path, monkeypatch):
    monkeypatch.setattr(fmt, "ROW_GROUP", 8)
    monkeypatch.setattr(fmt, "LABEL_CHUNK", 16)
    make(parse_recipe(GROUPS), tmp_path)
    copy = Copy(tmp_path, tmp_path / "tiny" / "1.0.0")
    assert pq.ParquetFile(copy.path / SAMPLES).num_row_groups == 5
    assert copy.verify(rerender=0.5).findings == []
    edit_array(copy.path, "images/group", lambda values: values.__setitem__(39, 5))
    edit_rows(copy, SAMPLES, put("split", 30, None))
    report = copy.verify(rerender=0.5)
    assert [each for each in report.findings if each.samples == (39,)] == [
        Finding(
            "labels",
            "'group' differs from the metadata",
            "data.zarr/images/group/c/2",
            "images",
            (39,),
            1,
        )
    ]
    assert ("labels", "data.zarr/images/split/c/1") in found(report)


def test_samples_that_are_larger_than_a_shard(make, tmp_path):
    recipe = parse_recipe(GROUPS).replace(
        {
            "tables.images.size": [100, 70],
            "tables.images.samples": 4,
            "storage.chunk_bytes": 1024,
            "storage.shard_bytes": 4096,
        }
    )
    make(recipe, tmp_path)
    copy = Copy(tmp_path, tmp_path / "tiny" / "1.0.0")
    assert copy.verify(rerender=1.0).findings == []
    shards = sorted((copy.path / "data.zarr/images/image/c/2").rglob("*"))
    files = [path.relative_to(copy.path).as_posix() for path in shards if path.is_file()]
    assert len(files) > 1
    flip(copy.path / files[0], 3)
    (copy.path / files[-1]).unlink()
    report = copy.verify(rerender=1.0)
    folder = "data.zarr/images/image/c/2"
    assert found(report) == {("checksum", files[0]), ("files", files[-1]), ("zarr", folder)}
    assert {each.samples for each in report.findings} == {(), (2,)}
    assert report.rerendered == 4
    assert sorted(repair(copy.release, str(tmp_path)).repaired) == sorted([files[0], files[-1]])
    assert copy.verify(rerender=1.0).findings == []


@pytest.mark.slow
def test_nothing_that_is_signed_ends_a_verification(copy):
    """Files are changed at random and signed: each is found, or means the same; none is an error of ours."""
    chance = random.Random(8)
    names = [name for name in KINDS.values() if name != fmt.MANIFEST]
    values = read_all(copy)
    originals = {name: (copy.path / name).read_bytes() for name in [*names, fmt.MANIFEST]}
    for _ in range(100):
        name = chance.choice(names)
        content = bytearray(originals[name])
        for _ in range(chance.choice([1, 1, 3])):
            position = chance.randrange(len(content))
            what = chance.randrange(4)
            if what == 0:
                content[position] ^= 1 << chance.randrange(8)
            elif what == 1:
                content[position] = chance.randrange(256)
            elif what == 2:
                del content[position : position + chance.randrange(1, 9)]
            else:
                content[position:position] = chance.randbytes(chance.randrange(1, 9))
        overwrite(copy.path / name, bytes(content))
        sign(copy.path, name)
        report = copy.verify(rerender=0.5)
        if report.ok:
            assert read_all(copy) == values
        for each in (name, fmt.MANIFEST):
            overwrite(copy.path / each, originals[each])


def read_all(copy):
    """Return all values of a release, as bytes and text that can be compared."""
    tree = deepbench.open("tiny", catalog=copy.catalog)["images"].to_dataset().load()
    release = copy.release
    return (
        {name: tree[name].values.tobytes() for name in tree.variables},
        {name: repr(tree[name].attrs) for name in tree.variables},
        repr(release.labels("images").to_dict()),
        repr(release.objects("images").to_dict()),
        release.recipe,
    )


# --- what readers see ----------------------------------------------------------------------------


def test_a_missing_shard_for_readers(copy):
    (copy.path / SHARD).unlink()
    tree = deepbench.open("tiny", catalog=copy.catalog)
    assert np.isfinite(tree["images"]["image"][:16].values).all()
    with pytest.raises(MissingDataError, match="image/c/1/0/0 is missing"):
        tree["images"]["image"][16].load()
    lazy = deepbench.open("tiny", catalog=copy.catalog, chunks="shards")
    with pytest.raises(MissingDataError, match="image/c/1/0/0 is missing"):
        lazy["images"]["image"].mean().compute()
    with pytest.raises(MissingDataError, match="image/c/1/0/0 is missing"):
        copy.release.sample("images", 31)
    plain = xr.open_datatree(copy.path / fmt.DATA, engine="zarr")["images"]["image"].values
    assert np.isnan(plain[16:32]).all()
    assert np.isfinite(plain[:16]).all()
    assert np.isfinite(plain[32:]).all()


@pytest.mark.parametrize(
    ("column", "sentinel"), [("circle.x", np.nan), ("class", 127), ("id", 2**63 - 1)]
)
def test_a_missing_label_chunk_for_readers(copy, column, sentinel):
    (copy.path / f"data.zarr/images/{column}/c/0").unlink()
    tree = deepbench.open("tiny", catalog=copy.catalog)
    with pytest.raises(MissingDataError, match="is missing"):
        tree["images"][column].load()
    plain = xr.open_datatree(copy.path / fmt.DATA, engine="zarr")["images"][column].values
    assert np.array_equal(
        plain, np.full(50, sentinel, plain.dtype), equal_nan=plain.dtype.kind == "f"
    )


def test_a_flipped_bit_in_a_chunk_is_an_error_for_readers(copy):
    flip(copy.path / SHARD, 40)
    tree = deepbench.open("tiny", catalog=copy.catalog)
    with pytest.raises((ValueError, RuntimeError)):
        tree["images"]["image"][16:32].load()
    with pytest.raises((ValueError, RuntimeError)):
        xr.open_datatree(copy.path / fmt.DATA, engine="zarr")["images"]["image"][16:32].load()


# --- the command ---------------------------------------------------------------------------------


def test_the_command_on_a_release_that_is_whole(run, copy):
    code, out, err = run(
        "verify", "tiny@1.0.0", "--catalog", copy.catalog, "--rerender", 1, "--seed", 5
    )
    assert (code, err) == (0, "")
    assert out.startswith("tiny@1.0.0 is whole; checked ")
    assert out.endswith("50 samples, 50 rendered again (--seed 5), the same in each bit\n")


def test_the_command_names_file_table_and_samples(run, copy):
    (copy.path / SHARD).unlink()
    code, out, err = run("verify", "tiny", "--catalog", copy.catalog)
    assert (code, err) == (3, "")
    first, second, last = out.splitlines()
    assert first == f"files: {SHARD}: is missing"
    assert second.startswith("zarr: table 'images': samples 16, 17, ")
    assert last.startswith("tiny@1.0.0 is damaged: 2 findings")


def test_the_command_as_json(run, copy):
    arguments = ("verify", "tiny", "--catalog", copy.catalog, "--json", "--rerender", 0.5)
    code, out, err = run(*arguments, "--seed", 4)
    assert (code, err) == (0, "")
    first = json.loads(out)
    assert (first["ok"], first["findings"], first["seed"]) == (True, [], 4)
    assert json.loads(run(*arguments, "--seed", 4)[1]) == first
    assert json.loads(run(*arguments)[1])["seed"] != 4
    flip(copy.path / SHARD, 0)
    code, out, _ = run(*arguments)
    assert code == 3
    told = json.loads(out)
    assert not told["ok"]
    assert {(each["check"], each["file"]) for each in told["findings"]} == {
        ("checksum", SHARD),
        ("zarr", SHARD),
    }


@pytest.mark.parametrize("content", [b"{}", b"", b"\xff"])
def test_the_command_on_a_manifest_that_is_none(run, copy, content):
    overwrite(copy.path / fmt.MANIFEST, content)
    code, out, err = run("verify", "tiny", "--catalog", copy.catalog)
    assert (code, err) == (3, "")
    assert out.startswith("manifest: manifest.json: ")


def test_the_command_on_a_release_without_its_manifest(run, copy):
    (copy.path / fmt.MANIFEST).unlink()
    code, out, err = run("verify", "tiny@1.0.0", "--catalog", copy.catalog)
    assert (code, err) == (3, "")
    finding, note, last = out.splitlines()
    assert finding.startswith("manifest: manifest.json: ")
    assert "manifest.json is missing from the release; " in finding
    assert note == "note: without its manifest nothing else of the release can be checked"
    assert last.startswith("tiny@1.0.0 is damaged: 1 findings")


@pytest.mark.parametrize(
    "arguments",
    [
        ("tiny@9.9.9",),
        ("nothing",),
        ("tiny", "--rerender", "2"),
        ("tiny", "--seed", "-1"),
        ("tiny", "--workers", "1", "--scheduler", "tcp://127.0.0.1:1"),
    ],
)
def test_mistakes_of_the_user(run, copy, arguments):
    code, out, err = run("verify", *arguments, "--catalog", copy.catalog)
    assert (code, out) == (2, "")
    assert err


@pytest.mark.slow
def test_the_table_of_corruptions_misses_nothing(tiny):
    """The benchmark prints what the tests above ask for; here each row is made with few flips."""
    for row in TOOLS["rows"](tiny, 2):
        assert not [cell for cell in row if "missed" in cell], row


# --- samples that the recipe makes equal ---------------------------------------------------------

EQUAL = """
name: tiny
version: 1.0.0
title: Rectangles whose angles look alike, and images with nothing in them
seed: 1
tables:
  images:
    kind: image
    samples: 64
    size: [16, 16]
    classes:
      turned: {objects: [{rectangle: {x: 8, y: 8, width: 8, height: 4, angle: {grid: {low: 0, high: 360, count: 41}}}}]}
      blank: {objects: [{circle: {x: {uniform: [-30, -20]}, y: 8, radius: 3}}]}
      moved: {objects: [{circle: {x: {uniform: [4, 12]}, y: 8, radius: 3}}]}
storage: {chunk_bytes: 4096, shard_bytes: 16384}
"""
"""16 images to a shard. Angles that are 180° apart are one orientation; blank ones lie outside the frame."""


@pytest.fixture(scope="module")
def alike(tmp_path_factory, cluster, compile_kernels):
    compile_kernels(EQUAL)
    catalog = tmp_path_factory.mktemp("alike") / "releases"
    recipe = parse_recipe(EQUAL)
    build(recipe, str(catalog), cluster=ClusterOptions(scheduler=cluster.scheduler_address))
    return catalog


@pytest.fixture
def equal(alike, tmp_path):
    shutil.copytree(alike, tmp_path / "releases")
    return Copy(tmp_path / "releases", tmp_path / "releases/tiny/1.0.0")


def test_samples_that_the_recipe_makes_equal_are_a_note(alike, run):
    release = find("tiny", catalog=alike)
    angles = release.labels("images")["rectangle.angle"].dropna()
    images = release.open()["images"]["image"].values
    pairs = len(images) - len(np.unique(images.reshape(len(images), -1), axis=0))
    assert (angles % 180).nunique() < angles.nunique()
    assert pairs > 20
    report = verify(release)
    assert report.ok
    (note,) = report.notes
    assert f" and {pairs - 10} more: equal to earlier ones, the first to sample " in note
    assert note.endswith(", as the recipe makes them")
    code, out, err = run("verify", "tiny", "--catalog", alike)
    assert (code, err) == (0, "")
    assert f"note: {note}\n" in out


def test_equal_samples_of_another_rendering_are_a_note(equal, monkeypatch):
    edit_pixels(equal, lambda values: values.__setitem__(slice(16, 32), values[:16]))
    monkeypatch.setattr(fmt, "RENDER_VERSION", 1000)
    monkeypatch.setattr(whole, "render_arrays", lambda *_: pytest.fail("rendered"))
    report = equal.verify()
    assert report.ok
    (note,) = report.notes
    assert note.endswith(", not rendered again, because another version rendered them")


@pytest.mark.parametrize("examined", [whole.EXAMINED, 30])
def test_a_shard_planted_among_samples_that_are_equal_by_the_recipe(equal, monkeypatch, examined):
    """Each set of equal samples is asked about before a second pair of any, so many blank ones hide nothing."""
    monkeypatch.setattr(whole, "EXAMINED", examined)
    edit_pixels(equal, lambda values: values.__setitem__(slice(16, 32), values[:16]))
    moved = np.flatnonzero(equal.release.labels("images")["class"][:16] == "moved")
    (finding,) = equal.verify().findings
    assert finding.check == "duplicates"
    assert {16 + each for each in moved.tolist()} & set(finding.samples)
    assert finding.message.endswith("but the recipe makes them different")


def test_equal_samples_with_noise_are_no_note_though_their_parameters_agree(make, tmp_path):
    dot = {"objects": [{"circle": {"x": 8, "y": 8, "radius": 3}}]}
    noisy = {"classes": {"dot": dot}, "noise": [{"gaussian": {"sigma": 0.1}}]}
    recipe = parse_recipe(EQUAL).replace(
        {f"tables.images.{key}": value for key, value in noisy.items()}
    )
    make(recipe, tmp_path / "releases")
    copy = Copy(tmp_path / "releases", tmp_path / "releases/tiny/1.0.0")
    assert copy.verify().notes == []
    edit_pixels(copy, lambda values: values.__setitem__(5, values[3]))
    (finding,) = copy.verify().findings
    assert (finding.check, finding.samples, finding.note) == ("duplicates", (5,), False)
