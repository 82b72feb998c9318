"""Releases in an S3 object store: an object is whole or absent by nature, a release is there when its manifest is.

Builds are staged under ``.building/`` as in a folder. Publishing copies inside the store, 16 objects at a time, and
writes the manifest last, by a request that fails when there is one. A lock is an object that its holder rewrites every
few seconds; who finds one that does not change for a while takes it over. No clock of another machine is believed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Self
from uuid import uuid4

from deepbench import format as fmt
from deepbench.errors import CatalogError, ReleaseError, StorageError
from deepbench.storage.locations import Bucket, Location
from pipeline.target.base import Hold, Target, nothing

LEASE = 30.0
"""Seconds without a beat after which a lock may be taken over."""

BEAT = 5.0
"""Seconds between two beats of who holds a lock."""

NOBODY = f'"{"0" * 32}"'
"""Tag that no object has."""

REQUESTS = 16
"""Number of requests in flight while a release is copied or removed."""

COPY_LIMIT = 5 * 2**30
"""Bytes of the largest object that S3 copies in one request."""

LEFTOVERS = (
    *(f"{folder}/" for folder in (fmt.DATA, fmt.METADATA, fmt.INPUTS)),
    *(fmt.RECIPE, *fmt.DOCUMENTS[fmt.FORMAT_VERSION]),
)
"""Beginnings of the names that an interrupted publish may leave where a release is to be."""


class BucketTarget(Bucket, Target):
    """A prefix in an object store."""

    publishes_in_place = True

    def below(self, name: str) -> Self:
        """Return the target of a prefix below this one."""
        return type(self)(self.locate(name))

    def sheltered(self, name: str, scratch: str) -> Self:
        """Return the target of a prefix below this one: objects that are being written are nowhere."""
        return self.below(name)

    def write(self, name: str, data: bytes | bytearray | memoryview, *, sync: bool = True) -> None:
        """Write an object."""
        import obstore

        with self.asking(name):
            obstore.put(self.store, self.key(name), bytes(data))

    @contextlib.contextmanager
    def writing(self, name: str, *, sync: bool = True) -> Iterator[BinaryIO]:
        """Open a local file that becomes the object when the block ends well."""
        import obstore

        key = self.key(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "object")
            with path.open("wb") as file:
                yield file
            with self.asking(name):
                obstore.put(self.store, key, path)

    def copy(self, source: Location, name: str) -> None:
        """Copy an object from another prefix of the same bucket, inside the store."""
        self._copy(source.locate(name), self.locate(name), source.size(name) or 0)

    def _copy(self, origin: str, final: str, size: int) -> None:
        import obstore

        bucket, old = _split(origin)
        new = _split(final)[1]
        whole = type(self)(bucket)
        if size > COPY_LIMIT:
            with whole.open(old) as file, whole.asking(new):
                obstore.put(whole.store, new, file)
        else:
            with whole.asking(old):
                obstore.copy(whole.store, old, new)

    def remove(self, name: str) -> None:
        """Remove an object, and everything below it as a prefix; fine when it is absent."""
        import obstore

        keys = [key for key, _ in self.sizes(name)]
        with self.asking(name):
            if keys:
                obstore.delete(self.store, keys)
            if self.size(name) is not None:
                obstore.delete(self.store, self.key(name))

    def modified(self, name: str) -> float:
        """Return when an object was last written, or the last of all below a prefix, in seconds since 1970."""
        import obstore

        times = [each["last_modified"].timestamp() for each in self.listing(name)]
        if times:
            return max(times)
        with self.asking(name):
            return obstore.head(self.store, self.key(name))["last_modified"].timestamp()

    def free_bytes(self) -> None:
        """Return None: an object store has no limit that could be asked for."""
        return

    def log_file(self, name: str) -> Path:
        """Return the local file for a log of that name: logs do not go to object stores."""
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(state, "deepbench", name.rpartition("/")[2])

    def sync(self, folder: str) -> None:
        """Do nothing: what an object store has taken, it keeps."""

    def settle(self, name: str) -> None:
        """Do nothing, as ``sync``."""

    def check_free(self, final: str) -> None:
        """Refuse when something is where a release is to be that no publish of ours has left.

        Raises
        ------
        ReleaseError
            There is.
        """
        for name in self.below(final).files():
            if not name.startswith(LEFTOVERS):
                raise ReleaseError(
                    f"{self.locate(final)}/{name} is in the way: it is not of a release; move it elsewhere"
                )

    def publish(
        self, source: str, final: str, last: str, check: Callable[[], None] = nothing
    ) -> None:
        """Copy a finished prefix to its final one, the object ``last`` after all others, and only if there is none.

        Raises
        ------
        ReleaseError
            Another process published before.
        """
        import obstore

        origin, there = self.below(source), self.below(final)
        sizes = dict(origin.sizes())
        content = origin.read(last)
        del sizes[last]
        if there.size(last) is not None:
            raise ReleaseError(f"{there.root} exists already; releases never change")
        self.check_free(final)

        def copy(name: str) -> None:
            check()
            self._copy(origin.locate(name), there.locate(name), sizes[name])

        with ThreadPoolExecutor(REQUESTS) as pool:
            for job in [pool.submit(copy, name) for name in sizes]:
                job.result()
        check()
        there.sweep("", [*sizes, last])
        if {name: size for name, size in there.sizes() if name != last} != sizes:
            raise StorageError(f"{there.root}: the copies are not what was copied; run it again")
        check()
        try:
            with there.asking(last):
                obstore.put(there.store, last, content, mode="create")
        except FileExistsError as error:
            raise ReleaseError(f"{there.root} exists already; releases never change") from error

    def withdraw(self, final: str, first: str, grave: str) -> None:
        """Remove a prefix, its object ``first`` before all others."""
        self.below(final).remove(first)
        self.remove(final)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[Hold | None]:
        """Hold a lock as long as this process lives; yields None when another process does."""
        lease = _Lease(self, name)
        if not lease.take():
            yield None
            return
        beating = threading.Thread(target=lease.beat, daemon=True)
        beating.start()
        try:
            yield Hold(lease.check)
        finally:
            lease.ended.set()
            beating.join()
            lease.give_back()


class _Lease:
    """An object that says who holds a lock, and is rewritten while the holder lives."""

    def __init__(self, target: BucketTarget, name: str) -> None:
        self._target, self._name = target, name
        self._owner = {"owner": uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self._tag = ""
        self._beats = 0
        self._lost = False
        self._seen = time.monotonic()
        self.ended = threading.Event()

    def take(self) -> bool:
        """Take the lock; wait for as long as its holder, if there is one, may still show that it lives.

        Raises
        ------
        CatalogError
            The store ignores conditions, so that another process could hold the lock, too.
        """
        if not self._take():
            return False
        for header, mode in (("If-None-Match: *", "create"), ("If-Match", {"e_tag": NOBODY})):
            if self._put(mode):
                self.give_back()
                raise CatalogError(
                    f"the object store of '{self._target.root}' ignores `{header}`, so two builds could hold one "
                    "lock and spoil each other's release; use a store that honours conditional writes, as S3 does, "
                    "or a folder"
                )
        return True

    def _take(self) -> bool:
        if self._put("create"):
            return True
        before = self._find()
        deadline = time.monotonic() + LEASE
        while time.monotonic() < deadline:
            time.sleep(min(1.0, LEASE / 10))
            now = self._find()
            if now is None:  # given back meanwhile
                return self._put("create")
            if now != before:
                return False
        return self._put({"e_tag": before})

    def beat(self) -> None:
        """Show every few seconds that the holder lives, until it has ended or lost the lock."""
        while not self.ended.wait(BEAT):
            with contextlib.suppress(OSError):  # of the network: tried again
                if not self._put({"e_tag": self._tag}) and not self._is_ours():
                    self._lost = True
                    return

    def check(self) -> None:
        """Raise an error when the lock was lost, or may have been: nobody has heard of us for too long."""
        if self._lost or time.monotonic() - self._seen > LEASE:
            raise ReleaseError(
                f"this process could not renew its lock {self._target.locate(self._name)} in time, and another may "
                "have taken it; what was finished is kept: run the same command again"
            )

    def give_back(self) -> None:
        """Give the lock back, if it is still ours."""
        with contextlib.suppress(OSError):
            if self._is_ours():
                self._target.remove(self._name)

    def _is_ours(self) -> bool:
        """Return whether the object is the one that we wrote last; the answer to our writing may have been lost."""
        tag = self._find()
        if tag is None:
            return False
        with contextlib.suppress(ValueError, FileNotFoundError):
            owner = json.loads(self._target.read(self._name))
            if isinstance(owner, dict) and owner.get("owner") == self._owner["owner"]:
                self._tag = tag
                return True
        return False

    def _put(self, mode: Any) -> bool:
        """Write the object if it is as ``mode`` says; return whether it was."""
        import obstore
        from obstore import exceptions

        self._beats += 1
        begun = time.monotonic()
        content = json.dumps(self._owner | {"beats": self._beats}).encode()
        with self._target.asking(self._name):
            try:
                found = obstore.put(
                    self._target.store, self._target.key(self._name), content, mode=mode
                )
            except (
                exceptions.AlreadyExistsError,
                exceptions.PreconditionError,
                FileNotFoundError,
            ):
                return False
        self._tag, self._seen = str(found["e_tag"]), begun
        return True

    def _find(self) -> str | None:
        """Return the tag of the object; None when there is none."""
        import obstore

        try:
            with self._target.asking(self._name):
                found = obstore.head(self._target.store, self._target.key(self._name))
        except FileNotFoundError:
            return None
        return found["e_tag"]


def _split(address: str) -> tuple[str, str]:
    """Return the bucket's address, and the key in it."""
    scheme, _, rest = address.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key
