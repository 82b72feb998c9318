from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import sys
import threading
import time
from pathlib import Path

import obstore
import pytest
from obstore import exceptions

from deepbench.errors import CatalogError, ReleaseError, StorageError, install
from deepbench.storage import object_store as stores
from pipeline.target import TEMPORARY, target_of
from pipeline.target import bucket as bucket_module


@pytest.fixture
def folder(tmp_path):
    return target_of(tmp_path / "folder")


@pytest.fixture
def in_store(bucket):
    return target_of(f"{bucket}/some/where")


@pytest.fixture(params=["folder", "in_store"])
def target(request):
    """A location of each kind."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "..", "a/../../b", "a/..", "./a", "a//b", "a/", "a\0b"]
)
def test_names_cannot_leave_the_folder(target, name):
    with pytest.raises(CatalogError, match="is not a path inside"):
        target.locate(name)


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
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read("a") == b"before"
    assert list(target.files()) == ["a"]


def test_a_file_has_its_name_only_when_it_is_whole(target):
    with target.writing("a") as file:
        file.write(b"whole")
        file.flush()
        assert not target.exists("a")
    assert target.read("a") == b"whole"


def test_a_file_in_a_folder_is_renamed_not_copied(folder):
    with folder.writing("a") as file:
        assert [name for name in folder.files() if name.endswith(TEMPORARY)]
        number = os.fstat(file.fileno()).st_ino
    assert folder.path("a").stat().st_ino == number


def test_files_and_folders_are_in_order(target):
    for name in ("b/2", "b/10", "a", "c/d/e"):
        target.write(name, b"")
    assert list(target.files()) == ["a", "b/10", "b/2", "c/d/e"]
    assert list(target.files("b")) == ["b/10", "b/2"]
    assert target.folders() == ["b", "c"]


def test_remove(target):
    for name in ("a/b", "a/c/d", "ab", "c"):
        target.write(name, b"")
    target.remove("a")
    target.remove("c")
    assert list(target.files()) == ["ab"]


def test_remove_does_not_follow_links(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    folder.folder.mkdir()
    (folder.folder / "link").symlink_to(outside)
    folder.remove("link")
    assert (outside / "file").read_text() == "kept"
    assert not (folder.folder / "link").is_symlink()


def test_links_do_not_lead_outside(folder, tmp_path):
    outside = tmp_path / "outside"
    (outside / "1.0.0").mkdir(parents=True)
    (outside / "1.0.0/file").write_text("private")
    folder.folder.mkdir()
    (folder.folder / "link").symlink_to(outside)
    for use in (
        folder.read,
        folder.size,
        folder.open,
        lambda name: folder.write(name, b""),
        lambda name: folder.publish("link/1.0.0", "name/1.0.0", "file"),
    ):
        with pytest.raises(CatalogError, match="link is a link; a catalog holds no links"):
            use("link/1.0.0/file")
    assert folder.folders() == []
    assert list(folder.files()) == ["link"]  # as a file, not what is behind it


def test_sweep_removes_what_is_not_kept(target):
    for name in ("r/keep", "r/a/keep", "r/b/drop", "r/drop", "other"):
        target.write(name, b"")
    assert sorted(target.sweep("r", ["r/keep", "r/a/keep", "r/absent"])) == ["r/b/drop", "r/drop"]
    assert set(target.files()) == {"other", "r/a/keep", "r/keep"}
    assert target.below("r").folders() == ["a"]


def test_sweep_removes_folders_left_empty(folder):
    folder.write("r/keep", b"")
    (folder.folder / "r/empty/er").mkdir(parents=True)
    folder.sweep("r", ["r/keep"])
    assert folder.folders("r") == []


def test_a_file_is_read_piecewise(target):
    content = bytes(range(256)) * 20_000
    target.write("file", content)
    with target.open("file") as file:
        assert file.read(10) == content[:10]
        file.seek(-7, 2)
        assert file.read() == content[-7:]
        file.seek(3_000_000)
        assert file.read(1_500_000) == content[3_000_000:4_500_000]
    with pytest.raises(FileNotFoundError):
        target.open("absent")
    with pytest.raises(FileNotFoundError):
        target.read("absent")


def test_modified(target):
    target.write("folder/file", b"")
    assert abs(target.modified("folder/file") - time.time()) < 60
    assert target.modified("folder") == target.modified("folder/file")


def test_a_copy_inside_a_catalog(target):
    target.write("one/file", b"content")
    target.below("two").copy(target.below("one"), "file")
    target.below("two").copy(target.below("one"), "file")
    assert target.read("two/file") == b"content"
    target.write("two/file", b"other")
    assert target.read("one/file") == b"content"


def test_a_copy_in_a_folder_is_a_link_where_possible(folder, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    folder.write("one/file", b"content")
    folder.below("two").copy(folder.below("one"), "file")
    assert folder.path("two/file").samefile(folder.path("one/file"))
    monkeypatch.setattr(os, "link", refuse)
    folder.below("three").copy(folder.below("one"), "file")
    assert folder.read("three/file") == b"content"
    assert not folder.path("three/file").samefile(folder.path("one/file"))


def test_publish(target):
    target.write("staging/release/a/b", b"content")
    target.write("staging/release/last", b"there")
    target.sync("staging/release")
    target.publish("staging/release", "name/1.0.0", "last")
    assert sorted(target.below("name").files()) == ["1.0.0/a/b", "1.0.0/last"]


def test_publish_in_a_folder_is_one_rename_of_files_that_can_only_be_read(folder):
    folder.write("staging/release/a/b", b"content")
    folder.sync("staging/release")
    folder.publish("staging/release", "name/1.0.0", "a/b")
    assert list(folder.files()) == ["name/1.0.0/a/b"]
    assert not folder.exists("staging/release")
    assert folder.path("name/1.0.0/a/b").stat().st_mode & 0o777 == 0o444


def test_publish_never_replaces(target):
    target.write("new/file", b"new")
    target.write("name/1.0.0/file", b"old")
    with pytest.raises(ReleaseError, match="1.0.0 exists already; releases never change"):
        target.publish("new", "name/1.0.0", "file")
    assert target.read("name/1.0.0/file") == b"old"
    assert target.read("new/file") == b"new"


def test_publish_never_replaces_what_appears_at_the_last_moment(folder, monkeypatch):
    folder.write("new/file", b"new")
    folder.write("name/1.0.0/file", b"old")
    exists = Path.exists
    answers = iter([False])
    monkeypatch.setattr(Path, "exists", lambda path: next(answers, None) or exists(path))
    with pytest.raises(ReleaseError, match="exists already; releases never change"):
        folder.publish("new", "name/1.0.0", "file")
    assert folder.read("name/1.0.0/file") == b"old"


def test_publish_in_a_store_fails_when_another_was_faster(in_store, monkeypatch):
    in_store.write("new/data.zarr/c", b"same")
    in_store.write("new/last", b"new")
    copy = type(in_store)._copy

    def meanwhile(*arguments):
        copy(*arguments)
        in_store.write("name/1.0.0/last", b"old")

    monkeypatch.setattr(type(in_store), "_copy", meanwhile)
    with pytest.raises(ReleaseError, match="exists already; releases never change"):
        in_store.publish("new", "name/1.0.0", "last")
    assert in_store.read("name/1.0.0/last") == b"old"


def test_publish_in_a_store_goes_on_after_an_interruption(in_store, monkeypatch):
    for name in ("data.zarr/a", "data.zarr/b", "recipe.yaml", "last"):
        in_store.write(f"new/{name}", name.encode())
    in_store.write("name/1.0.0/data.zarr/a", b"half")
    in_store.write("name/1.0.0/data.zarr/other", b"of another attempt")
    in_store.publish("new", "name/1.0.0", "last")
    location = in_store.below("name/1.0.0")
    assert list(location.files()) == ["data.zarr/a", "data.zarr/b", "last", "recipe.yaml"]
    assert location.read("data.zarr/a") == b"data.zarr/a"


def test_publish_in_a_store_removes_nothing_that_is_not_ours(in_store):
    in_store.write("new/last", b"")
    in_store.write("name/1.0.0/thesis.pdf", b"years of work")
    with pytest.raises(
        ReleaseError, match="1.0.0/thesis.pdf is in the way: it is not of a release"
    ):
        in_store.publish("new", "name/1.0.0", "last")
    assert in_store.read("name/1.0.0/thesis.pdf") == b"years of work"


@pytest.mark.parametrize(
    ("checks", "there"), [(0, {"old"}), (2, {"old", "a", "b"}), (3, {"a", "b"})]
)
def test_publish_in_a_store_stops_when_it_may_not_go_on(in_store, checks, there):
    """Before each copy, before what another attempt left is removed, and before the manifest."""
    for name in ("data.zarr/a", "data.zarr/b", "last"):
        in_store.write(f"new/{name}", b"")
    in_store.write("name/1.0.0/data.zarr/old", b"")
    allowed = iter(range(checks))

    def check():
        if next(allowed, None) is None:
            raise ReleaseError("the lock was lost")

    with pytest.raises(ReleaseError, match="the lock was lost"):
        in_store.publish("new", "name/1.0.0", "last", check)
    assert set(in_store.below("name/1.0.0").files()) == {f"data.zarr/{name}" for name in there}


def test_publish_in_a_folder_stops_when_it_may_not_go_on(folder):
    def check():
        raise ReleaseError("the lock was lost")

    folder.write("new/last", b"")
    with pytest.raises(ReleaseError, match="the lock was lost"):
        folder.publish("new", "name/1.0.0", "last", check)
    assert list(folder.files()) == ["new/last"]


def test_publish_of_nothing_is_an_error(target):
    with pytest.raises(FileNotFoundError):
        target.publish("absent", "name/1.0.0", "file")


def test_withdraw(target):
    for version in ("1.0.0", "1.1.0"):
        target.write(f"name/{version}/a/b", b"")
        target.write(f"name/{version}/manifest.json", b"")
    target.withdraw("name/1.0.0", "manifest.json", ".building/removed")
    assert sorted(target.files()) == ["name/1.1.0/a/b", "name/1.1.0/manifest.json"]
    target.withdraw("name/1.1.0", "manifest.json", ".building/removed")
    assert target.folders("name") == []
    assert list(target.files()) == []


def test_a_lock_is_held_once(target, monkeypatch):
    monkeypatch.setattr(bucket_module, "BEAT", 0.05)
    with target.lock("a/lock") as first:
        assert first is not None
        first.check()
        with target.lock("a/lock") as second:
            assert second is None
    with target.lock("a/lock") as again:
        assert again is not None


def test_a_lock_that_is_removed_while_another_waits_for_it(folder, monkeypatch):
    """Both processes would hold a lock of that name otherwise."""
    with folder.lock("lock"):
        real = fcntl.flock

        def late(file, how):
            monkeypatch.undo()
            folder.remove("lock")  # by its holder, between our opening and our locking
            return

        monkeypatch.setattr(fcntl, "flock", late)
        with folder.lock("lock") as second:
            assert second is not None
            assert fcntl.flock is real
            with folder.lock("lock") as third:
                assert third is None


def test_a_lock_in_a_store_ends_with_its_process(in_store, monkeypatch):
    monkeypatch.setattr(bucket_module, "LEASE", 1.0)
    monkeypatch.setattr(bucket_module, "BEAT", 60.0)
    with in_store.lock("lock") as dead:
        with in_store.lock("lock") as heir:
            assert heir is not None
            with pytest.raises(
                ReleaseError, match="could not renew its lock .*; what was finished"
            ):
                dead.check()
        assert not in_store.exists("lock")


def test_who_loses_its_lock_in_a_store_is_told(in_store, monkeypatch):
    monkeypatch.setattr(bucket_module, "BEAT", 0.05)
    with in_store.lock("lock") as hold:
        in_store.write("lock", b"another's")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                hold.check()
            except ReleaseError:
                break
            time.sleep(0.05)
        with pytest.raises(ReleaseError, match="could not renew its lock"):
            hold.check()
    assert in_store.read("lock") == b"another's"


def test_a_lock_in_a_store_is_ours_when_the_answer_to_a_beat_was_lost(in_store, monkeypatch):
    put, beats = obstore.put, []

    def answer_lost(*arguments, mode):
        found = put(*arguments, mode=mode)
        beats.append(mode)
        if len(beats) == 2:
            raise exceptions.GenericError("the connection was closed")
        return found

    monkeypatch.setattr(obstore, "put", answer_lost)
    monkeypatch.setattr(bucket_module, "BEAT", 0.05)
    with in_store.lock("lock") as hold:
        deadline = time.monotonic() + 20
        while len(beats) < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        hold.check()
        assert len(beats) >= 4
    assert not in_store.exists("lock")


def test_a_lock_in_a_store_is_given_back_when_the_answer_to_the_last_beat_was_lost(in_store):
    lease = bucket_module._Lease(in_store, "lock")
    assert lease.take()
    in_store.write("lock", in_store.read("lock") + b"\n")  # another tag than the one we know
    lease.give_back()
    assert not in_store.exists("lock")


def test_a_lock_in_a_store_is_given_back_after_the_last_beat(in_store, monkeypatch):
    """A beat meanwhile would change what is given back."""
    put, give_back = obstore.put, bucket_module._Lease.give_back
    begun, steps = threading.Event(), []

    def slow(*arguments, mode):
        begun.set()
        time.sleep(0.2)
        try:
            return put(*arguments, mode=mode)
        finally:
            steps.append("beat")

    def last(lease):
        steps.append("given back")
        give_back(lease)

    monkeypatch.setattr(bucket_module, "BEAT", 0.05)
    monkeypatch.setattr(bucket_module._Lease, "give_back", last)
    with in_store.lock("lock"):
        monkeypatch.setattr(obstore, "put", slow)
        assert begun.wait(20)
    assert steps[-1] == "given back"
    assert not in_store.exists("lock")


@pytest.mark.parametrize(
    ("header", "words"), [("if-none-match", r"If-None-Match: \*"), ("if-match", "If-Match")]
)
def test_a_lock_in_a_store_that_ignores_conditions_is_refused(new_bucket, header, words):
    """Everybody would hold it."""
    target = target_of(f"{new_bucket(f'ignores-{header}')}/some/where")
    with (
        pytest.raises(
            CatalogError,
            match=f"'{target.root}' ignores `{words}`, so two builds could hold one lock",
        ),
        target.lock("lock"),
    ):
        pass
    assert list(target.files()) == []


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_a_lock_leaves_nothing_behind(target, error):
    with pytest.raises(error) if error else contextlib.nullcontext(), target.lock("a/lock"):
        assert list(target.files()) == ["a/lock"]
        if error:
            raise error
    assert list(target.files()) == []


def test_check_writable_makes_the_place_and_leaves_nothing(target):
    target.check_writable("probe")
    assert list(target.files()) == []


def test_check_writable_makes_the_folder(folder):
    folder.check_writable("probe")
    assert folder.folder.is_dir()


@pytest.mark.parametrize(
    ("path", "reason"), [("file", "Not a directory"), ("file/below", "Not a directory")]
)
def test_check_writable_tells_why_not(tmp_path, path, reason):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        CatalogError, match=f"cannot write to the catalog '.*{path}': {reason}; .* --catalog"
    ):
        target_of(tmp_path / path).check_writable("probe/probe")


def test_check_writable_tells_that_there_is_no_bucket(object_store):
    with pytest.raises(
        CatalogError, match="cannot write .*: its bucket does not exist; make it, or"
    ):
        target_of("s3://absent-bucket/prefix").check_writable("probe")


def test_free_bytes_of_a_folder_that_is_not_there_yet(folder):
    assert folder.free_bytes() > 0
    assert target_of("nowhere/at/all").free_bytes() > 0
    free = os.statvfs(folder.folder.parent)
    assert folder.free_bytes() == pytest.approx(free.f_bavail * free.f_frsize, rel=0.2)


def test_a_store_has_no_limit(in_store):
    assert in_store.free_bytes() is None


@pytest.mark.parametrize(
    "address",
    [
        "s3://key:secret@bucket/prefix",
        "s3://bucket/prefix?X-Amz-Signature=secret",
        "s3://bucket/../other",
        "s3://bucket/a//b",
        "s3://bucket/.",
        "s3://bücket/a",
        "s3://bucket/a%2e%2e",
        "s3://",
        "s3://Bucket",
        "s3://bucket/a b",
        "s3://bucket/a\n",
    ],
)
def test_addresses_that_are_refused_and_not_repeated(address):
    with pytest.raises(
        CatalogError, match="must be s3://bucket/prefix, .* the environment"
    ) as info:
        target_of(address)
    assert "secret" not in str(info.value).replace("AWS_SECRET_ACCESS_KEY", "").lower()


@pytest.mark.parametrize("address", ["gs://bucket", "https://host/x", "file:///tmp"])
def test_other_addresses(address):
    with pytest.raises(CatalogError, match="a folder or an address s3://bucket/prefix, not one of"):
        target_of(address)


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(CatalogError, match=re.escape(install("s3"))):
        target_of("s3://bucket/prefix")


def test_a_store_that_refuses(object_store, monkeypatch):
    class Denied(exceptions.PermissionDeniedError):
        pass

    def refuse(*_, **__):
        raise Denied("403 <secret/>")

    monkeypatch.setattr(obstore, "get", refuse)
    with pytest.raises(
        PermissionError, match="a/b: the object store refuses; check the AWS_"
    ) as info:
        target_of("s3://bucket/prefix").read("a/b")
    assert "403" not in str(info.value)


def test_a_store_that_does_not_answer(object_store, monkeypatch):
    def fail(*_, **__):
        raise exceptions.GenericError("Error performing GET http://h/b?token=1 in 1s\n\nDebug")

    monkeypatch.setattr(obstore, "get", fail)
    with pytest.raises(
        StorageError,
        match=r"a/b: .* check AWS_ENDPOINT_URL, .* \(GenericError: Error performing GET http://h/b in 1s\)$",
    ):
        target_of("s3://bucket/prefix").read("a/b")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL"])
@pytest.mark.parametrize(
    "value", ["", "nonsense", "http://", "ftp://h", "localhost:9000", "http://a b"]
)
def test_an_endpoint_that_is_none(object_store, monkeypatch, name, value):
    """The client would panic, which no program can catch as an error."""
    monkeypatch.setenv(name, value)
    with pytest.raises(
        CatalogError, match=f"{name} must be the address of a server, such as https:"
    ):
        target_of("s3://bucket/prefix")
    for good in ("http://127.0.0.1:9000", "https://s3.example.org/", "http://[::1]:9000"):
        monkeypatch.setenv(name, good)
        target_of("s3://bucket/prefix")


def test_an_endpoint_without_tls(object_store, monkeypatch):
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    stores.client_of.cache_clear()
    monkeypatch.setattr(stores, "RETRIES", 0)
    with pytest.raises(
        StorageError, match="has no TLS; if you trust the network, set AWS_ALLOW_HTTP"
    ):
        target_of("s3://bucket/prefix").read("a")
    stores.client_of.cache_clear()


def test_no_credentials(object_store, monkeypatch):
    def fail(*_, **__):
        raise exceptions.GenericError(
            "Error performing PUT http://169.254.169.254/latest/api/token"
        )

    monkeypatch.setattr(obstore, "get", fail)
    with pytest.raises(PermissionError, match="a/b: no credentials; set AWS_ACCESS_KEY_ID and"):
        target_of("s3://bucket/prefix").read("a/b")
