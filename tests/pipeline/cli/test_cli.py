from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray

import deepbench
from deepbench.errors import BuildError, CatalogError, LabelError, StorageError
from deepbench.recipe import load_recipe
from deepbench.words import bytes_text
from pipeline.cli import output
from pipeline.cli.main import exit_code, main
from pipeline.cli.output import progress_bar, say_table
from pipeline.execution import cluster as clusters
from pipeline.plan import make_plan
from pipeline.target import FolderTarget

MESSAGE = re.compile(r"error: .+")


@pytest.fixture
def good(run):
    """Run a command that succeeds quietly; return its output."""

    def go(*arguments):
        code, out, err = run(*arguments)
        assert (code, err) == (0, "")
        return out

    return go


@pytest.fixture
def bad(run):
    """Run a command that fails by the user's mistake; return its one message."""

    def go(*arguments):
        code, out, err = run(*arguments)
        assert code == 2
        assert out == ""
        assert err.startswith("error: ")
        assert err.endswith("\n")
        assert "Traceback" not in err
        return err.removeprefix("error: ").removesuffix("\n")

    return go


@pytest.fixture
def wrong(run):
    """Run a command with arguments that are wrong; return the message below the usage."""

    def go(*arguments):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        lines = err.splitlines()
        assert lines[0].startswith("Usage: deepbench")
        assert lines[-1].startswith("Error: ")
        return lines[-1]

    return go


@pytest.fixture
def scheduler(cluster):
    return ("--scheduler", cluster.scheduler_address)


# --- commands that take a recipe -----------------------------------------------------------------


def test_the_version_is_that_of_the_package(good):
    assert good("--version") == f"deepbench {deepbench.__version__}\n"


def test_validate(good, recipe_file, recipe):
    path = recipe_file()
    out = good("validate", path)
    assert f"{path} is valid: small@1.0.0, 300 samples in 'images', 40 samples in 'squares'" in out
    assert f"recipe hash {recipe.hash}" in out
    assert json.loads(good("validate", path, "--json")) == {
        "name": "small",
        "version": "1.0.0",
        "recipe_hash": recipe.hash,
        "samples": {"images": 300, "squares": 40},
    }


def test_validate_draws_labels(bad, recipe_file):
    path = recipe_file(
        tables__squares__classes__square__objects=[
            {"circle": {"x": 4, "y": 4, "radius": "= size - 1"}}
        ],
        tables__squares__variables={"size": {"uniform": [0.5, 2]}},
    )
    found = bad("validate", path)
    assert re.match(
        r"table 'squares', sample \d+: circle.radius = -0\..* by \"= size - 1\", but", found
    )


def test_validate_refuses_a_selection_that_accepts_nothing(bad, recipe_file):
    path = recipe_file(tables__squares__require={"where": "rectangle.x < 0"})
    assert "'squares': `require` accepts 0 of the first 4,096 attempts" in bad("validate", path)


def test_schema(good):
    schema = json.loads(good("schema"))
    assert schema["title"] == "DeepBench recipe"
    assert {"name", "version", "tables"} <= set(schema["else"]["required"])  # without `extends`


def test_preview(good, recipe_file, tmp_path):
    path = recipe_file()
    assert good("preview", path) == "small-1.0.0-images.png\n"
    assert (tmp_path / "small-1.0.0-images.png").stat().st_size > 1000
    out = good(
        "preview", path, "--table", "squares", "--count", 3, "--start", 7, "--output", "p.pdf"
    )
    assert out == "p.pdf\n"
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_preview_is_what_the_release_holds(good, recipe_file, monkeypatch, built):
    shown = {}

    def montage(samples, kind, titles, path, *, heading):
        shown.update(samples=samples, kind=kind, titles=titles, heading=heading)

    monkeypatch.setattr("pipeline.report.pictures.montage", montage)
    good("preview", recipe_file(), "--start", 20, "--count", 2)
    data = built.release.open()["images"].to_dataset().isel(sample=slice(20, 22))
    assert shown["kind"] == "image"
    images = np.stack([sample["image"].values for sample in shown["samples"]])
    assert (images == data["image"].values).all()
    labels = built.release.labels("images").iloc[20:22]
    assert shown["titles"] == [
        f"{number} {name} ({split})"
        for number, name, split in zip(labels["id"], labels["class"], labels["split"], strict=True)
    ]


def test_plan(good, recipe_file):
    out = good("plan", recipe_file())
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["table", "samples", "blocks", "samples/block"]
    assert lines[1].split()[:4] == ["images", "300", "19", "16"]
    assert lines[2].split()[:4] == ["squares", "40", "2", "32"]
    assert lines[3].startswith("a worker needs 450.")
    plan = json.loads(good("plan", recipe_file(), "--json"))
    assert plan["tables"]["images"]["blocks"] == 19
    assert plan["worker_bytes"] > plan["tables"]["images"]["task_bytes"]
    assert plan["disk_free"] > plan["disk_bytes"] > 0


def test_build(good, recipe_file, scheduler, built, check, tmp_path):
    out = good("build", recipe_file(), *scheduler)
    assert re.match(
        r"published releases/small/1.0.0: 340 samples, [\d.]+ KiB, in [\d.]+ s\nopen it with\n"
        r'    deepbench.open\("small", version="1.0.0", catalog="releases"\)\n'
        r'    xarray.open_datatree\("releases/small/1.0.0/data.zarr", engine="zarr"\)\n$',
        out,
    )
    manifest = check(tmp_path / "releases")
    assert manifest.tables == built.release.manifest.tables
    again = good("build", recipe_file(), *scheduler)
    assert again == (
        "small@1.0.0 is there already, made from the same recipe: releases/small/1.0.0\n"
    )
    words = good("build", recipe_file(title="Other words"), *scheduler)
    assert words == again


def test_what_a_build_says_to_open_it_with_works(good, recipe_file, scheduler):
    out = good("build", recipe_file(), *scheduler)
    for line in out.splitlines()[2:]:
        tree = eval(line.strip(), {"deepbench": deepbench, "xarray": xarray})
        assert tree["images"].sizes["sample"] == 300


def test_build_as_json(good, recipe_file, scheduler, built, tmp_path):
    catalog = tmp_path / "mine"
    arguments = ("build", recipe_file(), "--catalog", catalog, "--json", *scheduler)
    first = json.loads(good(*arguments))
    assert first["built"]
    assert first["path"] == str(catalog / "small/1.0.0")
    assert first["samples"] == 340
    assert first["bytes"] == sum(
        path.stat().st_size
        for path in (catalog / "small/1.0.0").rglob("*")
        if path.is_file() and path.name != "manifest.json"
    )
    assert first["data_digests"] == {
        name: table.data_digest for name, table in built.release.manifest.tables.items()
    }
    assert (first["resumed_blocks"], first["new_blocks"]) == (0, 21)
    assert {"all", "start", "blocks", "publish"} <= set(first["seconds"])
    second = json.loads(good(*arguments))
    assert not second["built"]
    assert second["data_digests"] == first["data_digests"]


@pytest.mark.slow
def test_build_with_a_local_cluster_and_a_log(good, recipe_file, tmp_path, check):
    good("build", recipe_file(), "--workers", 1)
    check(tmp_path / "releases")
    log = (tmp_path / "releases/.building/small-1.0.0.log").read_text()
    assert "INFO pipeline.build: published" in log
    assert logging.getLogger("pipeline").handlers == []


@pytest.mark.slow
def test_build_with_a_described_cluster(good, recipe_file, tmp_path, check):
    (tmp_path / "cluster.yaml").write_text(
        "class: distributed.LocalCluster\n"
        "arguments: {n_workers: 1, threads_per_worker: 1, silence_logs: 100}\n"
    )
    good("build", recipe_file(), "--cluster", "cluster.yaml")
    check(tmp_path / "releases")


# --- --set ---------------------------------------------------------------------------------------


def test_set(good, recipe_file):
    out = good(
        *("validate", recipe_file(), "--json"),
        *("--set", "tables.images.samples=12", "--set", "version=2.0.0"),
        *("--set", "tables.squares.size=[4, 6]", "--set", "title=Words with spaces"),
        *("--set", "tables.images.classes.circle.objects.0.circle.radius={uniform: [1, 2]}"),
    )
    result = json.loads(out)
    assert result["samples"] == {"images": 12, "squares": 40}
    assert result["version"] == "2.0.0"


def test_set_changes_what_is_built(good, recipe_file, recipe):
    path = recipe_file()
    changed = recipe.replace({"tables.squares.size": [4, 6], "seed": 2**63})
    out = good(
        "validate", path, "--json", "--set", "tables.squares.size=[4,6]", "--set", f"seed={2**63}"
    )
    assert json.loads(out)["recipe_hash"] == changed.hash


@pytest.mark.parametrize("text", ["tables.images.samples", "=3", ""])
def test_set_without_a_path_or_a_value(wrong, recipe_file, text):
    message = wrong("validate", recipe_file(), "--set", text)
    assert f"'{text}' must be PATH=VALUE, such as tables.images.samples=100" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables.imges.samples=3", "unknown key 'imges'; did you mean 'images'?"),
        ("tables.images.sample=3", "'sample'; did you mean 'samples'?"),
        ("tables.images.size.2=3", "tables.images.size.2: "),
        (
            "tables.images.samples=many",
            "tables.images.samples: must be a whole number, not 'many'",
        ),
        ("tables.images.samples=1.5", "tables.images.samples: must be a whole number, not 1.5"),
        ("tables.images.samples=", "tables.images: 'samples' is missing: number of samples"),
        ("tables.images.size=[8", "--set tables.images.size:"),
        ("tables.images.size=[8, .nan]", "not a number that is finite|finite"),
        ("seed=-1", "seed: must be greater than or equal to 0, not -1"),
    ],
)
def test_set_with_a_wrong_path_or_value(bad, recipe_file, text, message):
    assert re.search(message.replace("?", r"\?"), bad("validate", recipe_file(), "--set", text))


# --- commands that take a release ----------------------------------------------------------------


def test_list(good, built):
    out = good("list", "--catalog", built.catalog)
    assert out.splitlines()[0].split() == ["release", "samples", "size", "title"]
    assert out.splitlines()[1].startswith("small@1.0.0      340")
    (release,) = json.loads(good("list", "--catalog", built.catalog, "--json"))
    assert release == {
        "name": "small",
        "version": "1.0.0",
        "title": built.recipe.title,
        "samples": {"images": 300, "squares": 40},
        "bytes": built.release.manifest.size,
        "path": str(built.path),
        "deprecated": False,
    }


def test_list_of_nothing(good, tmp_path):
    (tmp_path / "releases").mkdir()
    assert json.loads(good("list", "--json")) == []
    assert good("list").startswith("no releases in 'releases'; build one: deepbench build ")


@pytest.mark.parametrize("name", ["small", "small@1.0.0"])
def test_info(good, built, name):
    out = good("info", name, "--catalog", built.catalog)
    manifest = built.release.manifest
    for words in (
        manifest.recipe_hash,
        manifest.tables["images"].data_digest,
        "table images: 300 samples of kind image",
        "300 × 16 × 16, float32",
        f"{manifest.tables['images'].objects:,} copies of repeated objects",
        f"zarr {manifest.software['zarr']}",
        bytes_text(manifest.size),
    ):
        assert words in out
    data = json.loads(good("info", name, "--catalog", built.catalog, "--json"))
    assert data["tables"]["images"]["classes"] == manifest.tables["images"].classes
    assert data["recipe_hash"] == built.recipe.hash
    assert data["files"] == len(manifest.objects)
    assert data["bytes"] == manifest.size


def test_sample(good, built, tmp_path):
    out = good("sample", "small", 5, "--catalog", built.catalog)
    assert out.splitlines()[0].split() == ["id", "5"]
    assert out.splitlines()[-1] == "small-1.0.0-images-5.png"
    assert (tmp_path / "small-1.0.0-images-5.png").stat().st_size > 1000
    frame = built.release.labels("images")
    shown = json.loads(
        good("sample", "small", 5, "--catalog", built.catalog, "--json", "-o", "s.svg")
    )
    assert shown["picture"] == "s.svg"
    expected = {key: value for key, value in frame.iloc[5].items() if value == value}
    assert shown["labels"] == expected


def test_sample_of_another_table(good, built):
    out = good("sample", "small@1.0.0", 39, "--table", "squares", "--catalog", built.catalog)
    assert out.splitlines()[-1] == "small-1.0.0-squares-39.png"


# --- mistakes: each has its own clear message ----------------------------------------------------


def edit(old, new):
    def change(text):
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("seed: 7", "sed: 7"), r":\d+:1: sed: .*'sed'; did you mean 'seed'"),
        (edit("uniform:", "unifrom:"), "'unifrom'.*did you mean 'uniform'"),
        (edit("radius: {", "raduis: {"), "'raduis'; did you mean 'radius'"),
        (edit("samples: 40", "samples: 0"), "samples: must be greater than or equal to 1, not 0"),
        (edit("width: 3", "width: -3"), r"width: must be a number above 0 \(pixel\), not -3"),
        (
            edit("[0.5, 2.0]", "[2.0, 0.5]"),
            r"psf\.gaussian\.sigma\.uniform: low must be below high, not 2 and 0\.5",
        ),
        (edit("version: 1.0.0", "version: '1.0'"), "must be a semantic version MAJOR.MINOR.PATCH"),
        (edit("version: 1.0.0", "version: 01.0.0"), "must be a semantic version MAJOR.MINOR.PATCH"),
        (edit("name: small", "name: ../small"), "name: must be 1 to 63 lower-case letters"),
        (edit("name: small", "name: a/b"), "name: must be 1 to 63 lower-case letters"),
        (edit("name: small", "name: .building"), "name: must be 1 to 63 lower-case letters"),
        (
            edit("kind: image", "kind: images"),
            "unknown kind of table 'images'; did you mean 'image'",
        ),
        (lambda _: "", "is empty: a recipe has name, version, title, seed and tables"),
        (lambda _: "# nothing\n", "is empty: a recipe has name"),
        (lambda _: "[1, 2", "not valid YAML"),
        (lambda _: "a: b: c", "not valid YAML"),
        (lambda _: "\x89PNG\r\n", "is not UTF-8|is not allowed|not valid YAML"),
        (lambda _: "just words", "must be a mapping at the top"),
    ],
)
@pytest.mark.parametrize("name", ["validate", "plan", "build"])
def test_mistakes_in_a_recipe(bad, recipe_text, tmp_path, name, change, message):
    path = tmp_path / "small.yaml"
    path.write_bytes(change(recipe_text).encode("latin-1"))
    found = bad(name, path)
    assert found.startswith(f"{path}:")
    assert re.search(message, found), found
    assert not (tmp_path / "releases").exists()


def test_all_mistakes_are_told_at_once(bad, recipe_file):
    path = recipe_file()
    text = path.read_text().replace("samples: 40", "samples: 0").replace("seed: 7", "seed: -7")
    path.write_text(text)
    found = bad("build", path)
    assert len(found.splitlines()) == 2
    assert found.index("seed") < found.index("samples")


@pytest.mark.parametrize("name", ["validate", "preview", "plan", "build"])
def test_a_recipe_that_is_not_there(bad, name):
    assert (
        bad(name, "absent.yaml")
        == "absent.yaml: the recipe cannot be read: No such file or directory"
    )


def test_a_folder_for_a_recipe(bad, tmp_path):
    assert "the recipe cannot be read: Is a directory" in bad("build", tmp_path)


def test_the_same_version_with_other_content(bad, recipe_file, built, tmp_path):
    import shutil

    shutil.copytree(built.catalog, tmp_path / "releases")
    assert "releases never change: raise `version`" in bad(
        "build", recipe_file(), "--set", "seed=8"
    )


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_catalog_that_cannot_be_written(bad, recipe_file, tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    found = bad("build", recipe_file(), "--catalog", name)
    assert re.match(
        r"cannot write to the catalog '.*': (File exists|Not a directory); .* --catalog", found
    )
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("name", ["plan", "build"])
def test_a_disk_that_is_too_small(run, recipe_file, monkeypatch, name):
    monkeypatch.setattr(FolderTarget, "free_bytes", lambda _: 100_000)
    code, _, err = run(name, recipe_file())
    assert code == 2
    assert re.fullmatch(
        r"error: the release needs up to .* of disk, but 97.7 KiB are free; free some, choose another disk with "
        r"--catalog, or ask for about \d+ samples instead of 340\n",
        err,
    )


def test_a_scheduler_that_cannot_be_reached(bad, recipe_file, monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1)
    found = bad("build", recipe_file(), "--scheduler", "tcp://127.0.0.1:9")
    assert found.startswith("no Dask scheduler answers at 'tcp://127.0.0.1:9': ")
    assert len(found.splitlines()) == 1


def test_a_build_that_fails_by_the_recipe(bad, recipe_file, scheduler):
    objects = [{"circle": {"x": 8, "y": 8, "radius": "= far - 1"}}]
    variables = {"far": {"normal": {"mean": 3.0, "sigma": 1}}}
    found = bad(
        "build",
        recipe_file(
            tables__images__classes__circle__objects=objects,
            tables__images__classes__circle__variables=variables,
        ),
        *scheduler,
    )
    first, *blocks = found.splitlines()
    assert re.match(r"\d of 21 blocks of small@1.0.0 \(recipe hash [0-9a-f]{12}\) failed; ", first)
    assert blocks
    for line in blocks:
        assert re.match(
            r"table 'images', samples \d+ … \d+: LabelError: table 'images', sample ", line
        )


def test_a_build_that_fails_by_our_fault(run, recipe_file, monkeypatch, tmp_path):
    def broken(*_, **__):
        raise ZeroDivisionError("what nobody foresaw")

    monkeypatch.setattr("pipeline.build.build", broken)
    (tmp_path / "releases/.building").mkdir(parents=True)
    code, out, err = run("build", recipe_file())
    assert (code, out) == (1, "")
    log = tmp_path / "releases/.building/small-1.0.0.log"
    assert re.fullmatch(
        r"error: ZeroDivisionError: what nobody foresaw; this is a fault of DeepBench, and its log is .*1.0.0.log\n",
        err,
    )
    assert "Traceback" in log.read_text()


def test_a_fault_before_there_is_a_folder_for_the_log(run, recipe_file, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("early")

    monkeypatch.setattr("pipeline.build.build", broken)
    code, _, err = run("build", recipe_file())
    assert code == 1
    assert err.startswith("error: ZeroDivisionError: early")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("info", "smal"),
            "there is no release 'smal' in '.*'; did you mean 'small'? there is: small",
        ),
        (("info", "small@1.0.1"), "'small' has no version 1.0.1 in '.*'; versions: 1.0.0"),
        (("info", "small@1"), "'1' is not a version: use MAJOR.MINOR.PATCH, such as 1.0.0"),
        (("info", "../small"), "'../small' is not a release's name"),
        (("info", "small@../1.0.0"), "'../1.0.0' is not a version"),
        (("sample", "absent", "0"), "there is no release 'absent'"),
        (("sample", "small", "300"), "'images' of small@1.0.0 has the samples 0 … 299, not 300"),
        (
            ("sample", "small", "0", "--table", "other"),
            "there is no table 'other'.*images, squares",
        ),
        (("sample", "small", "0", "-o", "picture"), "'picture' is no file of a picture"),
        (("sample", "small", "0", "-o", "absent/p.png"), "cannot write 'absent/p.png'"),
    ],
)
def test_mistakes_about_releases(bad, built, arguments, message):
    found = bad(*arguments, "--catalog", built.catalog)
    assert re.match(message.replace("?", r"\?"), found), found
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("list",), ("info", "small"), ("sample", "small", "0")])
def test_a_catalog_that_is_not_there(bad, arguments):
    assert bad(*arguments).startswith("there is no catalog 'releases' in /")


def test_a_release_with_a_damaged_manifest(bad, tmp_path):
    (tmp_path / "releases/small/1.0.0").mkdir(parents=True)
    (tmp_path / "releases/small/1.0.0/manifest.json").write_text("{")
    for arguments in (("list",), ("info", "small")):
        assert "is not a manifest of a DeepBench release" in bad(*arguments)


def test_mistakes_in_a_preview(bad, recipe_file):
    assert "no table 'other'" in bad("preview", recipe_file(), "--table", "other")
    assert "'a.txt' is no file of a picture" in bad("preview", recipe_file(), "-o", "a.txt")


# --- wrong arguments -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("build",),
        ("build", "small.yaml", "--nonsense"),
        ("build", "small.yaml", "--workers", "0"),
        ("build", "small.yaml", "--workers", "many"),
        ("build", "small.yaml", "--scheduler", "a", "--cluster", "b"),
        ("preview", "small.yaml", "--count", "0"),
        ("preview", "small.yaml", "--start", "-1"),
        ("info",),
        ("sample", "small"),
        ("sample", "small", "--", "-1"),
        ("sample", "small", "first"),
    ],
)
def test_wrong_arguments(wrong, recipe_file, arguments):
    recipe_file()
    wrong(*arguments)


@pytest.mark.parametrize("arguments", [("--help",), ("build", "-h"), ("sample", "--help")])
def test_help(good, arguments):
    out = good(*arguments)
    assert out.startswith("Usage: deepbench")


def test_every_command_is_in_the_help(good):
    out = good("--help")
    for name in ("validate", "schema", "preview", "plan", "build", "list", "info", "sample"):
        assert re.search(rf"^  {name}  ", out, re.MULTILINE)
        assert good(name, "--help").startswith(f"Usage: deepbench {name}")


def test_no_arguments_show_the_help(run):
    code, out, err = run()
    assert code in (0, 2)
    assert "Commands:" in out + err


# --- exit codes ----------------------------------------------------------------------------------


def test_exit_codes():
    def caused(cause):
        error = BuildError("failed")
        error.__cause__ = cause
        return exit_code(error)

    assert exit_code(CatalogError("no")) == 2
    assert caused(LabelError("the recipe")) == 2
    assert caused(OSError("the disk")) == 2
    assert caused(ZeroDivisionError()) == 1
    assert caused(None) == 1


def test_ctrl_c_in_any_command(run, recipe_file, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.plan.make_plan", stop)
    code, out, err = run("plan", recipe_file())
    assert (code, out) == (130, "")
    assert (
        err == "stopped; a build keeps what was finished, and the same command goes on from there\n"
    )


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_in_any_command(run, recipe_file, monkeypatch, number, exit_code):
    if (
        signal.getsignal(number) == signal.SIG_IGN
    ):  # of a parent such as nohup, which the command respects
        pytest.skip("the signal is ignored here")

    async def interrupted():
        pass

    def receive(*_, **__):
        try:
            signal.raise_signal(number)  # seen by this thread before it goes on
        finally:
            interrupted()  # nobody awaits it, as in the loop of a client that a signal ends
            for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(os.getpid(), each)  # they do not disturb the tidying up

    monkeypatch.setattr("pipeline.plan.make_plan", receive)
    code, out, err = run("plan", recipe_file())
    assert (code, out) == (exit_code, "")
    assert (
        err == "stopped; a build keeps what was finished, and the same command goes on from there\n"
    )


def test_a_signal_that_is_ignored_from_the_start_is_ignored(good, recipe_file, monkeypatch):
    """As under nohup."""

    def receive(*_, **__):
        os.kill(os.getpid(), signal.SIGHUP)
        return make_plan(*_, **__)

    monkeypatch.setattr("pipeline.plan.make_plan", receive)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        good("plan", recipe_file())
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_reader_that_leaves(command, recipe_file):
    """As in ``deepbench schema | head -1``."""
    running = command("schema")
    running.process.stdout.close()
    running.process.stdout = None
    _, err = running.process.communicate(timeout=60)
    assert "Traceback" not in err
    running.process.stdout = io.StringIO()  # the fixture closes it


# --- progress ------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def make_screen(monkeypatch):
    """Return a function that puts a terminal in the place of stderr."""
    monkeypatch.setenv("TERM", "xterm")

    def make():
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return make


def test_progress_is_shown_on_a_terminal(make_screen):
    screen = make_screen()
    with progress_bar() as report:
        report("reading the recipe", 0, 0)
        report("starting workers", 0, 340)
        report("rendering", 0, 340)
        report("rendering", 170, 340)
        report("rendering", 340, 340)
    assert "rendering" in screen.getvalue()
    assert "340/340" in screen.getvalue()


def test_kernels_that_are_compiled_and_the_dashboard_are_shown(make_screen):
    screen = make_screen()
    with progress_bar() as report:
        report("starting workers", 0, 340)
        logging.getLogger("pipeline.execution.cluster").info("dashboard: http://127.0.0.1:8787")
        report("rendering", 0, 340)
        for name in ("a", "b"):
            logging.getLogger("deepbench.numerics.kernels").info("compiling %s", name)
    assert "compiling kernels (first run on this machine)" in screen.getvalue()
    assert "2/?" in screen.getvalue()
    assert "dashboard: http://127.0.0.1:8787" in screen.getvalue()
    assert not logging.getLogger("deepbench.numerics.kernels").handlers


def test_lines_of_a_log_say_how_long_it_takes():
    now = [0.0]
    log = output.Log(lambda: now[0])
    log.tell("dashboard: here")
    log.report("compiling", 3, 0)
    assert log.line() == "dashboard: here, compiling: 3 so far"
    log.report("rendering", 340, 1340)
    assert log.line() == "rendering: 340 of 1,340"
    now[0] = 60.0
    log.report("rendering", 1090, 1340)
    assert log.line() == "rendering: 1,090 of 1,340, 20 s left"
    log.report("rendering", 1340, 1340)
    assert log.line() == "rendering: 1,340 of 1,340"


def test_a_log_gets_a_line_now_and_then(monkeypatch, capsys):
    with progress_bar() as report:
        report("starting workers", 0, 340)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(output, "LOG_SECONDS", 0.01)
    text = ""
    with progress_bar() as report:
        report("starting workers", 0, 340)
        while text.count("starting workers: 0 of 340\n") < 2:
            text += capsys.readouterr().err


def test_columns_are_as_wide_as_needed(capsys):
    say_table(("name", "count"), [("a", 5), ("long name", 12345)])
    assert capsys.readouterr().out == "name       count\na              5\nlong name  12345\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**30, "1.0 GiB"), (2**50, "1024.0 TiB")],
)
def test_bytes_in_words(count, text):
    assert bytes_text(count) == text


@pytest.mark.slow
def test_the_recipes_that_come_with_the_software(good):
    folder = Path(__file__).parents[3] / "workflows"
    found = sorted(folder.glob("*.yaml"))
    assert found
    for path in found:
        assert f"is valid: {load_recipe(path).name}@" in good("validate", path)


def test_the_recipes_that_come_with_the_software_are_found_anywhere(good, bad, tmp_path):
    assert "shapes@1.0.0, 6,000 samples" in good("validate", "workflows/shapes.yaml")
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/shapes.yaml").write_text("")
    assert "workflows/shapes.yaml:1:1: is empty" in bad("validate", "workflows/shapes.yaml")
    for absent in ("workflows/nothing.yaml", "workflows", "shapes.yaml"):
        assert "the recipe cannot be read" in bad("validate", absent)


# --- what reaches a terminal ----------------------------------------------------------------------

ORDERS = "red \x1b[31m, a bell \x07, \x9b31m, a new\nline"


def test_titles_give_a_terminal_no_orders(run, recipe_file, scheduler):
    path = recipe_file(title=ORDERS, authors=[ORDERS])
    shown = []
    for arguments in (
        ("build", path, *scheduler),
        ("list",),
        ("list", "--json"),
        ("info", "small"),
        ("info", "small", "--json"),
        ("info", "small", "--recipe"),
        ("validate", path, "--set", f"seed={ORDERS}"),
        ("deprecate", "small@1.0.0", "--reason", ORDERS),
        ("sample", "small", "0"),
        ("verify", "small@1.0.0"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # that the release is deprecated
            code, out, err = run(*arguments)
        assert code == (2 if arguments[0] == "validate" else 0), arguments
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", out + err), arguments
        shown.append(out)
    assert r"red \u001b[31m, a bell \u0007, \u009b31m, a new line" in shown[1]
    assert json.loads(shown[2])[0]["title"] == ORDERS
    card = Path("releases/small/1.0.0/README.md").read_text()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", card)


@pytest.mark.slow
def test_python_without_assertions_is_refused(built, tmp_path):
    asked = (
        "from deepbench.errors import ReleaseError\n"
        "import deepbench\n"
        f"try: deepbench.open('small', catalog={str(built.catalog)!r})\n"
        "except ReleaseError as error: print(error)\n"
        "from pipeline.cli import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", asked, "list"], cwd=tmp_path, capture_output=True, text=True
    )
    message = "Python runs with -O or PYTHONOPTIMIZE, with which zarr cannot read what it wrote; run it without\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, message, f"error: {message}")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "/a"), "/a: Permission denied; check who may "),
        (FileNotFoundError(2, "No such file or directory", "/a"), "/a: No such .*; check the path"),
        (OSError(28, "No space left on device"), "No space left on device; make room, then run "),
        (OSError(5, "Input/output error", "/a"), "/a: Input/output error; check the disk, or "),
        (StorageError("s3://a: it does not answer; check it"), "s3://a: it does not answer; check"),
    ],
)
@pytest.mark.parametrize("name", ["plan", "build"])
def test_what_the_system_refuses_is_the_users_to_mend(
    bad, recipe_file, monkeypatch, name, error, message
):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(f"pipeline.{name}.{'make_plan' if name == 'plan' else 'build'}", refuse)
    assert re.match(message, bad(name, recipe_file()))


# --- what a new user tried ------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("sample", "small", "-1"), ("preview", "small.yaml", "-1")])
def test_negative_numbers_are_no_options(wrong, arguments):
    assert wrong(*arguments) == "Error: -1 is below 0; numbers of samples begin at 0"


def test_a_build_that_is_not_finished(bad, copied):
    staged = copied / ".building" / "other-2.1.0-0123456789ab"
    staged.mkdir(parents=True)
    for asked in ("other", "other@2.1.0"):
        message = bad("info", asked, "--catalog", copied)
        assert (
            "; the build of other@2.1.0 has begun and is not published yet: wait for it, or run"
            in message
        )
    staged.rename(copied / ".building" / "small-2.1.0-0123456789ab")
    assert "not published yet" in bad("info", "small@2.1.0", "--catalog", copied)
    for asked in ("small@2.0.0", "other", "smal"):
        assert "not published yet" not in bad("info", asked, "--catalog", copied)


# --- what a reviewer tried ------------------------------------------------------------------------


def test_set_reaches_what_is_absent_from_the_file(good, recipe_file, recipe):
    path = recipe_file()
    path.write_text(path.read_text().split("storage:")[0])
    tables = json.loads(good("plan", path, "--json", "--set", "storage.shard_bytes=16384"))[
        "tables"
    ]
    assert tables["images"]["block_samples"] == 16
    out = good("validate", path, "--set", "tables.squares.psf.gaussian.sigma=1", "--json")
    assert json.loads(out)["recipe_hash"] != recipe.hash


def test_set_of_a_key_that_is_misspelt(bad, recipe_file):
    message = bad("validate", recipe_file(), "--set", "tables.imagess.samples=3")
    assert "unknown key 'imagess'; did you mean 'images'" in message


def test_set_of_more_than_one_value(wrong, recipe_file):
    message = wrong("validate", recipe_file(), "--set", "title=x\nseed: 5")
    assert "'title' has more than one value after it" in message


def test_workers_of_a_running_scheduler(wrong, recipe_file):
    message = wrong("build", recipe_file(), "--scheduler", "tcp://127.0.0.1:1", "--workers", "2")
    assert "a running scheduler has workers of its own: leave out --workers" in message


def test_addresses_that_are_no_catalog(bad, recipe_file):
    for arguments in (("build", recipe_file()), ("list",)):
        message = bad(*arguments, "--catalog", "gs://bucket/releases")
        assert message == "a catalog is a folder or an address s3://bucket/prefix, not one of 'gs'"


def test_a_preview_larger_than_memory(wrong, recipe_file):
    message = wrong("preview", recipe_file(), "--set", "tables.images.size=[32768, 32768]")
    assert "24 samples of 'images' are 96.0 GiB, a preview holds 1.0 GiB" in message


def test_words_that_look_like_formulas(good, recipe_file, tmp_path):
    good("preview", recipe_file(), "--set", "title=mass $x^$ of y", "--count", "2", "-o", "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("file", ["metadata/images.parquet", "data.zarr/images/image/c/0/0/0"])
@pytest.mark.parametrize("harm", ["lost", "cut", "flipped"])
def test_a_damaged_sample(bad, copied, file, harm):
    path = copied / "small/1.0.0" / file
    content = path.read_bytes()
    if harm == "lost":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:300] + bytes([content[300] ^ 1]) + content[301:])
    if harm == "flipped" and file.endswith("parquet"):
        return  # found by its SHA-256, not by reading one sample
    message = bad("sample", "small", "1", "--catalog", copied)
    assert ("is missing from the release" in message) == (harm == "lost")
    assert harm == "lost" or "is damaged" in message


def test_a_fault_of_ours_is_one_line(run, recipe_file, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("pipeline.plan.make_plan", broken)
    monkeypatch.delenv("DEEPBENCH_DEBUG", raising=False)
    code, _, err = run("plan", recipe_file())
    assert code == 1
    assert (
        err
        == "error: ZeroDivisionError: oops; this is a fault of DeepBench: DEEPBENCH_DEBUG=1 shows where\n"
    )
    monkeypatch.setenv("DEEPBENCH_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["deepbench", "plan", str(recipe_file())])
    with pytest.raises(ZeroDivisionError):
        main()


def test_set_of_words_with_a_colon(good, recipe_file):
    out = json.loads(
        good("validate", recipe_file(), "--set", "title=Shapes: the small ones", "--json")
    )
    assert out["name"] == "small"


@pytest.mark.slow
def test_info_tells_values_that_may_differ_by_rounding(good, recipe_file, scheduler):
    drawn = {"scipy": {"name": "gamma", "arguments": {"a": 2}, "low": 0.5, "high": 5}}
    place = "tables.squares.classes.square.objects.0.rectangle.width"
    good("build", recipe_file(), *scheduler, "--set", f"{place}={json.dumps(drawn)}")
    tables = json.loads(good("info", "small", "--json"))["tables"]
    assert [tables[name]["tolerance"] for name in ("images", "squares")] == [False, True]
    assert good("info", "small").count("values may differ by rounding") == 1


@pytest.mark.filterwarnings("default::deepbench.errors.InputWarning")
def test_a_warning_is_one_line(run, tmp_path):
    """A point spread function beside whose light the file has a level of 2 %."""
    spot = np.exp(-0.5 * ((np.arange(25) - 12) / 1.5) ** 2)
    np.save(tmp_path / "psf.npy", np.outer(spot, spot) + 5e-4)
    psf = {"image": {"file": "psf.npy", "oversampling": 1, "includes_pixel": True}}
    star = {"objects": [{"star": {"x": 8, "y": 8, "flux": 9}}]}
    table = {"kind": "image", "samples": 2, "size": [16, 16], "classes": {"a": star}, "psf": psf}
    head = {"name": "small", "version": "1.0.0", "title": "Stars", "seed": 3}
    (tmp_path / "recipe.yaml").write_text(json.dumps(head | {"tables": {"stars": table}}))
    code, _, err = run("validate", tmp_path / "recipe.yaml")
    assert code == 0
    assert re.fullmatch(
        r"warning: .*psf\.npy: the border of its array, .* has .* of the light, .*\n", err
    )
