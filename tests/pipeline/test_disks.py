"""Disks that are really full or cannot be written: small ones in memory, which only the tested processes see."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MANY = {"storage__shard_bytes": 4096, "storage__chunk_bytes": 4096}
"""Four images to a block: 75 blocks of the first table and 5 of the second."""

FULL = "the disk is full; what was finished is kept: make room, then run the same command again"


class Disk:
    """A disk in memory at a folder, in a mount namespace of its own."""

    def __init__(self, folder: Path, limits: str) -> None:
        folder.mkdir()
        self._folder, self._program = folder, None
        script = 'mount -t tmpfs -o "$1" tmpfs "$2" && echo mounted && cat'
        self._holder = subprocess.Popen(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", limits, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.there = self._holder.stdout.readline() == "mounted\n"
        namespace = ("--user", "--mount", "--preserve-credentials")
        self.within = ("nsenter", f"--target={self._holder.pid}", *namespace, f"--wd={folder}")
        self.seen = Path(f"/proc/{self._holder.pid}/root{folder}")
        """The folder as processes outside see it."""

    def start(self, program: str, folder: Path) -> None:
        """Start a program of Python that sees the disk, and answers lines of JSON."""
        self._program = subprocess.Popen(
            [*self.within, sys.executable, "-c", program],
            env=os.environ | {"DASK_TEMPORARY_DIRECTORY": str(folder / "dask")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *arguments: object) -> list[Any]:
        """Return what the program answers: of a command, its exit code, output and messages."""
        self._program.stdin.write(json.dumps(list(map(str, arguments))) + "\n")
        self._program.stdin.flush()
        return self.hear()

    def hear(self) -> Any:
        """Return the next line that the program says."""
        return json.loads(self._program.stdout.readline())

    def remount(self, options: str) -> None:
        """Change the disk."""
        command = ("mount", "-o", f"remount,{options}", str(self._folder))
        subprocess.run([*self.within, *command], check=True)

    def end(self) -> str:
        """End it; return what went wrong."""
        if self._program:
            self._program.communicate(timeout=60)
        return self._holder.communicate(timeout=30)[1]


@pytest.fixture
def disk(tmp_path):
    """Make a disk; skip where the system does not let us."""
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("this system has no mount namespaces")
    made = []

    def make(limits):
        found = Disk(tmp_path / "disk", limits)
        made.append(found)
        if not found.there:
            pytest.skip(f"this system lets us mount no disk: {made.pop().end().strip()}")
        return found

    yield make
    for each in made:
        each.end()


@pytest.mark.slow
def test_a_disk_that_fills_up(
    command, disk, make_recipe, recipe_file, tmp_path, parts_in, half_way, unharmed
):
    full = disk("size=32m")
    catalog = full.seen / "releases"
    arguments = ("build", recipe_file(**MANY), "--catalog", tmp_path / "disk/releases", "--json")
    arguments += ("--workers", 1)
    running = command(*arguments, within=full.within)
    half_way(running, catalog)
    os.kill(running.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(OSError, match="No space left on device"):
            (full.seen / "filler").write_bytes(bytes(2**26))
    finally:
        os.kill(running.process.pid, signal.SIGCONT)
    assert running.end() == (2, "", f"error: {FULL}\n")
    assert not (catalog / "small").exists()
    done = len(parts_in(catalog))

    code, out, err = command(*arguments, within=full.within).end()
    assert (code, out) == (2, "")
    assert "0 B are free" in err
    assert len(parts_in(catalog)) == done

    full.remount("size=64m")
    code, out, err = command(*arguments, within=full.within).end()
    assert (code, err) == (0, "")
    assert 5 <= json.loads(out)["resumed_blocks"] <= done
    unharmed(catalog, make_recipe(**MANY))


COMMANDS = """
import contextlib, io, json, sys
from pipeline.cli import main, output
output.LOG_SECONDS = 1e6

def answer(arguments):
    sys.argv, out, err = ["deepbench", *arguments], io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        print(json.dumps([end.code or 0, out.getvalue(), err.getvalue()]), flush=True)

def answer_all():
    for line in sys.stdin:
        answer(json.loads(line))
"""
"""Runs commands one after another in one process."""

BUILDS = (
    COMMANDS
    + """
from distributed import LocalCluster
from pipeline.plan import Plan
Plan.check_disk = lambda *_: None  # it would say beforehand that the disk is too small
host = {"host": "tcp://127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": 100}
with LocalCluster(n_workers=2, threads_per_worker=1, **host) as cluster:
    print(json.dumps(cluster.scheduler_address), flush=True)
    answer_all()
"""
)
"""Two workers, which may find the disk full at once, stay from one build to the next."""


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "step"), [("nr_inodes={}", 90), ("size={}k", 200)])
def test_a_disk_that_is_full_at_any_step(
    disk, make_recipe, recipe_file, tmp_path, unharmed, limit, step
):
    room = step
    small = disk(limit.format(room))
    catalog = small.seen / "releases"
    small.start(BUILDS, tmp_path)
    arguments = ("build", recipe_file(**MANY), "--catalog", tmp_path / "disk/releases", "--json")
    scheduler = ("--scheduler", small.hear())
    refused = 0
    while True:
        code, out, err = small.ask(*arguments, *scheduler)
        if code == 0:
            break
        assert (code, out) == (2, "")
        assert err in (
            f"error: {FULL}\n",
            f"error: cannot write to the catalog '{tmp_path}/disk/releases': No space left on device; "
            "choose another with --catalog\n",
        )
        assert not (catalog / "small").exists()
        refused += 1
        room += step
        small.remount(limit.format(room))
    assert refused >= 5
    assert err == ""
    unharmed(catalog, make_recipe(**MANY))


@pytest.mark.slow
def test_a_disk_that_can_only_be_read(command, disk, copied, recipe_file, tmp_path):
    name = tmp_path / "disk/releases"
    read_only = disk("size=32m")
    shutil.copytree(copied, read_only.seen / "releases")
    read_only.remount("ro")
    read_only.start(COMMANDS + "answer_all()", tmp_path)

    def run(*arguments):
        return read_only.ask(*arguments, "--catalog", name)

    code, out, err = run("build", recipe_file(version="2.0.0"))
    assert (code, out) == (2, "")
    assert err == (
        f"error: cannot write to the catalog '{name}': Read-only file system; choose another with --catalog\n"
    )
    code, out, err = run("build", recipe_file(), "--json")
    assert (code, err) == (0, "")
    assert not json.loads(out)["built"]
    for arguments in (
        ("list",),
        ("info", "small"),
        ("sample", "small", "3", "--output", tmp_path / "3.png"),
    ):
        code, out, err = run(*arguments)
        assert (code, err) == (0, "")
        assert out
    code, out, err = command(name, before=READ, within=read_only.within).end()
    assert (code, out, err) == (0, "300\n", "")


READ = """
import sys, deepbench
print(len(deepbench.open("small", catalog=sys.argv[1])["images"]["image"].values))
sys.exit()
"""


@pytest.mark.slow
def test_exports_to_a_disk_that_is_full_or_read_only(disk, tmp_path):
    small = disk("size=128k")
    small.start(COMMANDS + "answer_all()", tmp_path)
    releases = Path(__file__).parents[1] / "releases"

    def export(out, *words):
        path = f"{tmp_path}/disk/{out}"
        return path, small.ask("export", "kinds", path, "--catalog", releases, *words)

    wide = ("--table", "films")
    written = {"a.h5": wide, "a.nc": ("--table", "curves"), "a.zarr": wide, "a.npz": wide, "a/": (),
               "a.fits": wide, "a.zip": (), "a.csv": ("--table", "curves")}  # fmt: skip
    (small.seen / "filler").write_bytes(bytes(2**16))
    for out, words in written.items():
        path, (code, said, err) = export(out, *words)
        assert (code, said) == (2, ""), out
        assert err == (
            f"error: there is no room for '{path}' on its disk, and nothing is left of it: make room, or name a file "
            "elsewhere\n"
        )
        assert [each.name for each in small.seen.iterdir()] == ["filler"]
    small.remount("size=32m")
    for out, words in written.items():
        path, (code, _, err) = export(out, *words)
        assert (code, err) == (0, ""), out
        assert (small.seen / out).exists()
    small.remount("ro")
    path, (code, _, err) = export("b.h5", *wide)
    assert code == 2
    assert err == f"error: cannot write '{path}': Read-only file system; choose another folder\n"
