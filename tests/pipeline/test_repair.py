"""``repair`` makes damaged files again, bit for bit, or says why it does not; nothing else changes."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from zarr.codecs import BloscCodec

from deepbench import format as fmt
from deepbench import load_recipe
from deepbench.catalog import find
from deepbench.errors import ReleaseError
from deepbench.recipe import Recipe
from deepbench.storage.locations import location_of
from pipeline import block as work
from pipeline import encoding, staging
from pipeline import repair as repairing
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions
from pipeline.repair import repair
from pipeline.staging import lock_name
from pipeline.target import target_of
from pipeline.verify import verify

TOOLS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "corruption.py"))
KINDS, SIBLINGS, CORRUPTIONS = TOOLS["KINDS"], TOOLS["SIBLINGS"], TOOLS["CORRUPTIONS"]
overwrite, edit_manifest = TOOLS["overwrite"], TOOLS["edit_manifest"]

SHARD = KINDS["shard"]
SOURCES = ("`recipe.yaml`", "catalogue")
"""Kinds of files that nothing can be made without."""
MADE = [kind for kind in KINDS if kind not in (*SOURCES, "`manifest.json`")]


@dataclass(frozen=True)
class Copy:
    """A copy of the release, to be damaged."""

    catalog: Path
    path: Path
    recipe: Recipe

    @property
    def release(self):
        return find("tiny", catalog=self.catalog)

    def repair(self, **options):
        return repair(self.release, str(self.catalog), **options)

    def flip(self, name, byte=0):
        content = bytearray((self.path / name).read_bytes())
        content[byte] ^= 1
        overwrite(self.path / name, bytes(content))


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, cluster):
    """The catalog of a release with one file of each kind, and its recipe. Not to be changed."""
    folder = tmp_path_factory.mktemp("tiny")
    catalog = TOOLS["make_release"](folder, ClusterOptions(scheduler=cluster.scheduler_address))
    return catalog, load_recipe(folder / "tiny.yaml")


@pytest.fixture
def copy(tiny, tmp_path):
    catalog, recipe = tiny
    shutil.copytree(catalog, tmp_path / "releases")
    return Copy(tmp_path / "releases", tmp_path / "releases" / "tiny" / "1.0.0", recipe)


@pytest.fixture
def mended(tiny, copy):
    """Check that a release is what it was, that its files can only be read, and that nothing is left behind."""
    expected = hashes(tiny[0] / "tiny")

    def check():
        assert hashes(copy.path.parent) == expected
        report = verify(copy.release, rerender=0.2)
        assert report.findings == []
        left = [path for path in copy.catalog.iterdir() if path.name not in ("tiny", fmt.BUILDING)]
        assert left == []
        building = copy.catalog / fmt.BUILDING
        assert not building.exists() or list(building.iterdir()) == []

    return check


@pytest.fixture
def made(monkeypatch):
    """The blocks that are rendered."""
    blocks = []
    inner = work.make_block

    def spy(staging, block):
        blocks.append((block.table, block.start, block.stop))
        return inner(staging, block)

    monkeypatch.setattr(work, "make_block", spy)
    return blocks


# --- what can be made again ----------------------------------------------------------------------


def test_a_release_that_is_whole(copy, made, mended):
    done = copy.repair()
    assert (done.release, done.repaired, done.refused, made) == ("tiny@1.0.0", [], {}, [])
    mended()


@pytest.mark.slow
@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("corruption", [name for name in CORRUPTIONS if name != "swapped"])
def test_a_file_of_each_kind(copy, made, mended, kind, corruption):
    name = KINDS[kind]
    CORRUPTIONS[corruption](copy.path / name, copy.path / SIBLINGS[kind])
    done = copy.repair()
    assert (done.repaired, done.refused) == ([name], {})
    assert made == ([("images", 16, 32)] if kind == "shard" else [])
    assert (copy.path / name).stat().st_mode & 0o777 == 0o444
    mended()


def test_shards_that_are_swapped(copy, made, mended):
    TOOLS["swap"](copy.path / SHARD, copy.path / SIBLINGS["shard"])
    assert sorted(copy.repair().repaired) == [SHARD, SIBLINGS["shard"]]
    assert sorted(made) == [("images", 16, 32), ("images", 32, 48)]
    mended()


def test_several_at_once(copy, made, mended):
    names = sorted(KINDS[kind] for kind in MADE)
    for name in names:
        copy.flip(name, -1)
    done = copy.repair()
    assert (done.repaired, done.refused) == (names, {})
    assert made == [("images", 16, 32)]
    mended()


def test_all_shards_of_a_table(copy, made, mended):
    shutil.rmtree(copy.path / "data.zarr/images/image/c")
    assert len(copy.repair().repaired) == 4
    assert sorted(made) == [("images", start, min(start + 16, 50)) for start in (0, 16, 32, 48)]
    mended()


def test_metadata_without_any_shard(copy, made, mended):
    shutil.rmtree(copy.path / "data.zarr")
    shutil.rmtree(copy.path / "metadata")
    copy.repair()
    assert len(made) == 4
    mended()


def test_everything_but_the_manifest(copy, made, mended):
    for name in [each.path for each in copy.release.manifest.objects]:
        (copy.path / name).unlink()
    with pytest.raises(ReleaseError, match="is damaged, and nothing can be made without it"):
        copy.repair()
    done = copy.repair(recipe=copy.recipe)
    assert len(done.repaired) == len(copy.release.manifest.objects)
    mended()


@pytest.fixture(scope="module")
def worded(tmp_path_factory, tiny, cluster):
    """The catalog of a release that was built when some descriptions were in other words."""
    words = {
        "image": "what is seen",
        "circle.x": "to the right",
        "x": "column",
        "objects/width": "how wide",
    }
    catalog = tmp_path_factory.mktemp("worded") / "releases"
    options = ClusterOptions(scheduler=cluster.scheduler_address)
    build(tiny[1].worded({"images": words}), str(catalog), cluster=options)
    return catalog


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm", [lambda path: path.unlink(), lambda path: TOOLS["flip"](path, 400)]
)
def test_the_words_of_a_release_stay(worded, tmp_path, harm):
    """What is made again has the words that the release has, wherever else they stand."""
    shutil.copytree(worded, tmp_path / "releases")
    release = find("tiny", catalog=tmp_path / "releases")
    expected = hashes(release.path)
    notes = verify(release).notes
    assert verify(release).ok
    assert "words: 1 more are described otherwise" in notes
    names = [KINDS[kind] for kind in MADE if kind not in ("shard", "Parquet of objects")]
    for name in (*names, "data.zarr/images/circle.x/zarr.json"):
        harm(Path(release.path, name))
        assert (repair(release, str(tmp_path / "releases")).repaired) == [name]
        assert hashes(release.path) == expected


def test_words_that_stand_in_a_lost_file_alone_do_not_come_back(worded, tmp_path):
    shutil.copytree(worded, tmp_path / "releases")
    release = find("tiny", catalog=tmp_path / "releases")
    Path(release.path, KINDS["Parquet of objects"]).unlink()
    edit_manifest(Path(release.path), lambda data: data["software"].update(deepbench="0.1.0"))
    release = find("tiny", catalog=tmp_path / "releases")
    done = repair(release, str(tmp_path / "releases"))
    assert [*done.refused] == [KINDS["Parquet of objects"]]
    assert "was written with deepbench 0.1.0 (here " in done.refused[KINDS["Parquet of objects"]]


def test_one_table_of_two(built, copied, made):
    path = copied / "small" / "1.0.0"
    expected = hashes(path)
    for name in ("data.zarr/squares/image/c/1/0/0", "metadata/squares.csv"):
        overwrite(path / name, b"")
    done = repair(find("small", catalog=copied), str(copied))
    assert done.repaired == ["data.zarr/squares/image/c/1/0/0", "metadata/squares.csv"]
    assert made == [("squares", 32, 40)]
    assert hashes(path) == expected


def test_on_a_cluster(copy, options, mended):
    copy.flip(SHARD)
    copy.flip(KINDS["CSV"])
    told = []
    done = copy.repair(cluster=options, progress=lambda *step: told.append(step))
    assert sorted(done.repaired) == sorted([SHARD, KINDS["CSV"]])
    assert {step for step, _, _ in told} == {"checking files", "rendering", "reading data"}
    for step in {each[0] for each in told}:
        done = [(number, total) for name, number, total in told if name == step]
        assert done == sorted(done)
        assert done[-1][0] == done[-1][1]
    mended()


@pytest.mark.parametrize("kind", SOURCES)
def test_with_the_recipe(copy, made, mended, kind):
    copy.flip(KINDS[kind])
    copy.flip(SHARD)
    before = hashes(copy.path)
    with pytest.raises(
        ReleaseError, match="name the recipe that the release was built from with --recipe"
    ):
        copy.repair()
    assert hashes(copy.path) == before
    done = copy.repair(recipe=copy.recipe)
    assert sorted(done.repaired) == sorted([KINDS[kind], SHARD])
    assert made == [("images", 16, 32)]
    mended()


def test_hard_linked_neighbours_keep_their_bytes(copy, mended):
    """A file that is damaged may be one with that of another version: it is replaced, not written into."""
    other = copy.path.with_name("2.0.0")
    shutil.copytree(copy.path, other, copy_function=os.link)
    copy.flip(SHARD)  # damages both: they are one file
    damaged = (other / SHARD).read_bytes()
    assert (copy.path / SHARD).read_bytes() == damaged
    others = hashes(other)
    assert repair(find("tiny", "1.0.0", copy.catalog), str(copy.catalog)).repaired == [SHARD]
    assert hashes(other) == others
    shutil.rmtree(other)
    mended()


def test_a_shard_that_another_version_shares(copy, mended):
    """What is whole is not written either: its links keep their time."""
    before = (copy.path / SIBLINGS["shard"]).stat()
    copy.flip(KINDS["Parquet of samples"])  # needs every shard
    copy.repair()
    after = (copy.path / SIBLINGS["shard"]).stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_nlink) == (
        before.st_ino,
        before.st_mtime_ns,
        1,
    )
    mended()


def test_folders_and_links_in_place_of_files(copy, mended):
    (copy.path / SHARD).unlink()
    (copy.path / SHARD).mkdir()
    (copy.path / SHARD / "inside").write_text("x")
    elsewhere = copy.catalog.parent / "elsewhere"
    elsewhere.write_text("not to be touched")
    (copy.path / fmt.CARD).unlink()
    (copy.path / fmt.CARD).symlink_to(elsewhere)
    assert sorted(copy.repair().repaired) == sorted([SHARD, fmt.CARD])
    assert elsewhere.read_text() == "not to be touched"
    mended()


def test_a_folder_that_is_a_link_is_refused(copy):
    outside = copy.catalog.parent / "outside"
    (copy.path / "metadata").rename(outside)
    (copy.path / "metadata").symlink_to(outside)
    before = hashes(outside)
    done = copy.repair()
    assert set(done.refused) == {
        KINDS[kind] for kind in ("Parquet of samples", "Parquet of objects", "CSV", "statistics")
    }
    assert all("is a link" in reason for reason in done.refused.values())
    assert hashes(outside) == before


def test_a_file_in_place_of_a_folder_is_refused(copy):
    shutil.rmtree(copy.path / "metadata")
    (copy.path / "metadata").write_text("x")
    copy.flip(SHARD)
    done = copy.repair()
    assert done.repaired == [SHARD]
    assert len(done.refused) == 4
    assert all(reason.startswith("cannot be replaced: ") for reason in done.refused.values())


# --- what cannot ---------------------------------------------------------------------------------


@pytest.fixture
def other_codec(monkeypatch):
    """Let all shards be written by a codec that makes other bytes of the same values."""
    monkeypatch.setattr(encoding, "BloscCodec", _other_codec)
    staging._template.cache_clear()
    yield
    staging._template.cache_clear()


def _other_codec(**options):
    return BloscCodec(**options | {"clevel": 1, "shuffle": "noshuffle"})


def test_an_encoder_that_makes_other_bytes(copy, other_codec, monkeypatch):
    copy.flip(SHARD)
    before = hashes(copy.path)
    done = copy.repair()
    assert done.repaired == []
    assert done.refused == {
        SHARD: "comes out in other bytes than the manifest lists, for no known reason"
    }
    assert hashes(copy.path) == before

    edit_manifest(copy.path, lambda data: data["software"].update(numcodecs="0.1", zarr="3.0.0"))
    reason = copy.repair().refused[SHARD]
    assert "the release was written with zarr 3.0.0 (here " in reason
    assert "numcodecs 0.1 (here " in reason
    assert "pyarrow" not in reason
    assert hashes(copy.path)[SHARD] == before[SHARD]


def test_what_comes_out_the_same_is_repaired_beside_what_does_not(copy, other_codec):
    copy.flip(SHARD)
    copy.flip(fmt.CARD)
    done = copy.repair()
    assert (done.repaired, list(done.refused)) == ([fmt.CARD], [SHARD])


def test_another_render_version(copy, monkeypatch, made):
    copy.flip(SHARD)
    before = hashes(copy.path)
    rendering = fmt.RENDER_VERSION
    monkeypatch.setattr(fmt, "RENDER_VERSION", 1000)
    with pytest.raises(
        ReleaseError,
        match=f"render version {rendering}, this one has 1000; repair it with that version",
    ):
        copy.repair()
    assert made == []
    assert hashes(copy.path) == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": 12}, "its seed is 11, that of the recipe 12"),
        ({"tables.images.samples": 51}, "its recipe hash is "),
        ({"version": "1.0.1"}, "its version is '1.0.0', that of the recipe '1.0.1'"),
        ({"name": "other"}, "its name is 'tiny', that of the recipe 'other'"),
        ({"title": "Other"}, "its title is "),
        ({"storage.shard_bytes": 12288}, "its shard_length is 16, by the recipe it is 32"),
    ],
)
def test_another_recipe(copy, changes, reason):
    copy.flip(fmt.RECIPE)
    before = hashes(copy.catalog)
    with pytest.raises(
        ReleaseError, match="the recipe is not what tiny@1.0.0 was made from: "
    ) as e:
        copy.repair(recipe=copy.recipe.replace(changes))
    assert reason in str(e.value)
    assert "name the recipe that it was built from" in str(e.value)
    assert hashes(copy.catalog) == before


def test_a_recipe_with_another_size_of_chunks(copy):
    """Nothing in the manifest tells it before the shards come out otherwise."""
    copy.flip(fmt.RECIPE)
    copy.flip(SHARD)
    before = hashes(copy.path)
    done = copy.repair(recipe=copy.recipe.replace({"storage.chunk_bytes": 3072}))
    assert (done.repaired, sorted(done.refused)) == ([], sorted([fmt.RECIPE, SHARD]))
    assert hashes(copy.path) == before


def test_a_recipe_that_agrees_with_its_checksum_but_not_with_the_manifest(copy, made):
    TOOLS["edit_text"](copy.path, fmt.RECIPE, "seed: 11", "seed: 12")
    copy.flip(SHARD)
    with pytest.raises(ReleaseError, match="its seed is 11, that of the recipe 12; restore it"):
        copy.repair()
    assert made == []


@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_a_damaged_manifest(copy, content):
    if content is None:
        copy.flip(fmt.MANIFEST, 100)
    else:
        overwrite(copy.path / fmt.MANIFEST, content)
    copy.flip(SHARD)
    before = hashes(copy.path)
    with pytest.raises(ReleaseError, match=r"manifest\.json"):
        copy.repair(recipe=copy.recipe)
    assert hashes(copy.path) == before


def test_the_manifest_of_another_version(copy):
    copy.path.rename(copy.path.with_name("2.0.0"))
    moved = Copy(copy.catalog, copy.path.with_name("2.0.0"), copy.recipe)
    moved.flip(SHARD)
    with pytest.raises(ReleaseError, match="the manifest of tiny@2.0.0 is of tiny@1.0.0"):
        moved.repair()
    assert not copy.path.exists()


# --- interrupted, and two at once ----------------------------------------------------------------


@pytest.mark.parametrize("when", ["rendering", "replacing", "tidying"])
def test_a_repair_that_is_interrupted(copy, mended, monkeypatch, when):
    names = [SHARD, SIBLINGS["shard"], KINDS["CSV"]]
    for name in names:
        copy.flip(name)

    def end(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        if when == "rendering":
            patch.setattr(encoding, "encode", end)
        elif when == "tidying":
            patch.setattr(repairing, "tidy", end)
        else:
            inner, calls = repairing._replace, []

            def second(*arguments):
                calls.append(1)
                if len(calls) == 2:
                    raise KeyboardInterrupt
                inner(*arguments)

            patch.setattr(repairing, "_replace", second)
        with pytest.raises(KeyboardInterrupt):
            copy.repair()
    extra = {each.file for each in verify(copy.release).findings} - set(names)
    assert extra == set()
    copy.repair()
    mended()


KILLED = """
import os
import signal
real = os.{call}
seen = []
def {call}(*arguments, **options):
    if "releases/tiny/1.0.0/" in str(arguments[-1]) or "/scratch/" in str(arguments[-1]):
        seen.append(1)
        if len(seen) > {after}:
            os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
os.{call} = {call}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "after"), [("link", 0), ("link", 3), ("replace", 0), ("replace", 2)]
)
def test_a_repair_that_is_killed(copy, mended, command, call, after):
    """Nothing is left in the release, whatever was being done; a second repair ends it."""
    names = [SHARD, SIBLINGS["shard"], KINDS["CSV"], KINDS["label chunk"]]
    for name in names:
        copy.flip(name)
    arguments = ("repair", "tiny@1.0.0", "--catalog", copy.catalog)
    code, _, err = command(*arguments, before=KILLED.format(call=call, after=after)).end()
    assert code == -signal.SIGKILL, err
    assert list((copy.catalog / fmt.BUILDING).iterdir()) != []
    findings = verify(copy.release).findings
    assert {each.file for each in findings} <= set(names)
    assert list(copy.path.rglob("*.partial")) == []
    copy.repair()
    mended()


def test_two_repairs_at_once(copy, mended):
    copy.flip(SHARD)
    with target_of(copy.catalog).lock(lock_name(copy.recipe)) as held:
        assert held
        with pytest.raises(ReleaseError, match="another process works on tiny@1.0.0; wait for it"):
            copy.repair()
    copy.repair()
    mended()


def test_a_catalog_that_cannot_be_written_is_told(copy, monkeypatch):
    from deepbench.errors import CatalogError
    from pipeline.target import FolderTarget

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    copy.flip(SHARD)
    before = hashes(copy.path)
    monkeypatch.setattr(FolderTarget, "writing", refuse)
    with pytest.raises(CatalogError, match="cannot write to the catalog"):
        copy.repair()
    assert hashes(copy.path) == before


# --- an object store -----------------------------------------------------------------------------


@pytest.mark.slow
def test_in_an_object_store(tiny, options, bucket, made):
    from pipeline.build import build

    catalog = f"{bucket}/releases"
    recipe = tiny[1]
    build(recipe, catalog, cluster=options)
    location = target_of(catalog).below("tiny/1.0.0")
    release = find("tiny", catalog=catalog)
    assert verify(release, rerender=0.2).findings == []
    expected = {name: location.sha256(name) for name in location.files()}
    content = bytearray(location.read(SHARD))
    content[3] ^= 1
    location.write(SHARD, content)
    location.remove(KINDS["CSV"])
    location.write(fmt.CARD, b"")
    location.write("stray", b"x")
    assert {(each.check, each.file) for each in verify(release).findings} == {
        ("checksum", SHARD),
        ("zarr", SHARD),
        ("files", KINDS["CSV"]),
        ("files", fmt.CARD),
        ("files", "stray"),
    }
    done = repair(release, catalog)
    assert sorted(done.repaired) == sorted([SHARD, KINDS["CSV"], fmt.CARD])
    assert made == [("images", 16, 32)]
    location.remove("stray")
    assert {name: location.sha256(name) for name in location.files()} == expected
    assert list(location_of(catalog).files(fmt.BUILDING)) == []
    assert verify(release, cluster=options, rerender=0.5).findings == []

    location.write(fmt.RECIPE, b"")
    with pytest.raises(ReleaseError, match="--recipe"):
        repair(release, catalog)
    assert repair(release, catalog, recipe=recipe).repaired == [fmt.RECIPE]
    assert {name: location.sha256(name) for name in location.files()} == expected


# --- the command ---------------------------------------------------------------------------------


def test_the_command(run, copy, mended):
    arguments = ("repair", "tiny@1.0.0", "--catalog", copy.catalog)
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert "there is nothing to do" in out
    copy.flip(SHARD)
    assert run("verify", "tiny", "--catalog", copy.catalog)[0] == 3
    assert run(*arguments) == (0, f"repaired {SHARD}\n", "")
    assert run("verify", "tiny", "--catalog", copy.catalog)[0] == 0
    copy.flip(SHARD)
    code, out, _ = run(*arguments, "--json")
    assert code == 0
    assert json.loads(out) == {"release": "tiny@1.0.0", "repaired": [SHARD], "refused": {}}
    mended()


def test_the_command_with_a_recipe(run, copy, tiny, mended):
    copy.flip(fmt.RECIPE)
    arguments = ("repair", "tiny@1.0.0", "--catalog", copy.catalog)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "--recipe" in err
    path = tiny[0].parent / "tiny.yaml"
    assert run(*arguments, "--recipe", path) == (0, f"repaired {fmt.RECIPE}\n", "")
    mended()


def test_the_command_that_refuses(run, copy, other_codec):
    copy.flip(SHARD)
    code, out, err = run("repair", "tiny@1.0.0", "--catalog", copy.catalog)
    assert (code, err) == (3, "")
    assert out == (
        f"not repaired: {SHARD} comes out in other bytes than the manifest lists, for no known reason\n"
    )


@pytest.mark.parametrize(
    "arguments", [("tiny@9.9.9",), ("nothing",), ("tiny", "--recipe", "no.yaml")]
)
def test_mistakes_of_the_user(run, copy, arguments):
    code, out, err = run("repair", *arguments, "--catalog", copy.catalog)
    assert (code, out) == (2, "")
    assert err


def test_a_manifest_that_is_damaged_is_told_by_the_command(run, copy):
    overwrite(copy.path / fmt.MANIFEST, b"{}")
    code, out, err = run("repair", "tiny@1.0.0", "--catalog", copy.catalog)
    assert (code, out) == (2, "")
    assert "is not a manifest" in err
