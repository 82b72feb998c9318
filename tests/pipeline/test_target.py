from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from deepbench.errors import CatalogError, ReleaseError
from pipeline.target import TEMPORARY, Target


@pytest.fixture
def target(tmp_path):
    return Target(str(tmp_path / "folder"))


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "..", "a/../../b", "a/..", "./a", "a//b", "a/", "a\0b"]
)
def test_names_cannot_leave_the_folder(target, name):
    with pytest.raises(CatalogError, match="is not a path inside"):
        target.path(name)


def test_below_cannot_leave_the_folder(target):
    with pytest.raises(CatalogError, match="is not a path inside"):
        target.below("../other")


def test_a_file_is_written_and_read(target):
    target.write("a/b/c", b"content")
    assert target.read("a/b/c") == b"content"
    assert target.size("a/b/c") == 7
    assert target.exists("a/b/c")
    assert target.sha256("a/b/c") == hashlib.sha256(b"content").hexdigest()
    assert list(target.files()) == ["a/b/c"]


def test_what_is_absent(target):
    assert target.size("a") is None
    assert not target.exists("a")
    assert list(target.files()) == []
    assert list(target.files("a")) == []
    assert target.folders() == []
    target.remove("a")


def test_a_file_is_replaced_whole(target):
    target.write("a", b"a long content")
    target.write("a", b"short", sync=False)
    assert target.read("a") == b"short"
    assert list(target.files()) == ["a"]


def test_a_write_that_fails_leaves_nothing(target):
    target.write("a", b"before")

    def fail():
        with target.writing("a") as file:
            file.write(b"half")
            assert [name for name in target.files() if name.endswith(TEMPORARY)]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read("a") == b"before"
    assert list(target.files()) == ["a"]


def test_a_file_has_its_name_only_when_it_is_whole(target):
    with target.writing("a") as file:
        file.write(b"half")
        file.flush()
        assert not target.exists("a")
        number = os.fstat(file.fileno()).st_ino
    assert target.path("a").stat().st_ino == number  # renamed, not copied


def test_files_and_folders_are_in_order(target):
    for name in ("b/2", "b/10", "a", "c/d/e"):
        target.write(name, b"")
    assert list(target.files()) == ["a", "b/10", "b/2", "c/d/e"]
    assert list(target.files("b")) == ["b/10", "b/2"]
    assert target.folders() == ["b", "c"]


def test_remove(target):
    target.write("a/b", b"")
    target.write("c", b"")
    target.remove("a")
    target.remove("c")
    assert list(target.folder.iterdir()) == []


def test_remove_does_not_follow_links(target, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    target.folder.mkdir()
    (target.folder / "link").symlink_to(outside)
    target.remove("link")
    assert (outside / "file").read_text() == "kept"
    assert not (target.folder / "link").is_symlink()


def test_sweep_removes_what_is_not_kept_and_folders_left_empty(target):
    for name in ("r/keep", "r/a/keep", "r/b/drop", "r/drop", "other"):
        target.write(name, b"")
    (target.folder / "r/empty/er").mkdir(parents=True)
    assert sorted(target.sweep("r", ["r/keep", "r/a/keep", "r/absent"])) == ["r/b/drop", "r/drop"]
    assert set(target.files()) == {"other", "r/a/keep", "r/keep"}
    assert target.below("r").folders() == ["a"]


def test_publish_is_one_rename(target):
    target.write("staging/release/a/b", b"content")
    target.sync("staging/release")
    target.publish("staging/release", "name/1.0.0")
    assert list(target.files()) == ["name/1.0.0/a/b"]
    assert not target.exists("staging/release")


def test_publish_never_replaces(target):
    target.write("new/file", b"new")
    target.write("name/1.0.0/file", b"old")
    with pytest.raises(ReleaseError, match="1.0.0 exists already; releases never change"):
        target.publish("new", "name/1.0.0")
    assert target.read("name/1.0.0/file") == b"old"
    assert target.read("new/file") == b"new"


def test_publish_never_replaces_what_appears_at_the_last_moment(target, monkeypatch):
    target.write("new/file", b"new")
    target.write("name/1.0.0/file", b"old")
    answers = iter([False, True])
    monkeypatch.setattr(Path, "exists", lambda _: next(answers))
    with pytest.raises(ReleaseError, match="exists already; releases never change"):
        target.publish("new", "name/1.0.0")
    assert target.read("name/1.0.0/file") == b"old"


def test_publish_of_nothing_is_an_error(target):
    with pytest.raises(FileNotFoundError):
        target.publish("absent", "name/1.0.0")


def test_a_lock_is_held_once(target):
    with target.lock("a/lock") as first, target.lock("a/lock") as second:
        assert first
        assert not second
    with target.lock("a/lock") as again:
        assert again


def test_check_writable_makes_the_folder_and_leaves_nothing(target):
    target.check_writable()
    assert target.folder.is_dir()
    assert list(target.files()) == []


@pytest.mark.parametrize(
    ("place", "reason"), [("file", "File exists"), ("file/below", "Not a directory")]
)
def test_check_writable_tells_why_not(tmp_path, place, reason):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        CatalogError, match=f"cannot write to the catalog '.*{place}': {reason}; .* --catalog"
    ):
        Target(str(tmp_path / place)).check_writable()


def test_free_bytes_of_a_folder_that_is_not_there_yet(target):
    assert target.free_bytes() > 0
    assert Target("nowhere/at/all").free_bytes() > 0
    free = os.statvfs(target.folder.parent)
    assert target.free_bytes() == pytest.approx(free.f_bavail * free.f_frsize, rel=0.2)
