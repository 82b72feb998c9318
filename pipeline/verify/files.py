"""Checks of files: size and SHA-256 of each are those that the manifest lists."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from deepbench import format as fmt
from deepbench.errors import CatalogError, StorageError
from pipeline.documents import documents
from pipeline.verify.findings import DAMAGE, Finding, Subject

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from deepbench.storage.locations import Location


def check_file(location: Location, stored: fmt.StoredObject) -> Finding | None:
    """Compare a file with what the manifest says of it."""
    try:
        return _check_size(location, stored) or _check_sum(stored, location.sha256(stored.path))
    except StorageError:
        raise
    except (CatalogError, OSError) as error:
        return _unreadable(stored, error)


def _check_size(location: Location, stored: fmt.StoredObject) -> Finding | None:
    size = location.size(stored.path)
    if size is None:
        return Finding("files", "is missing", stored.path)
    if size != stored.size:
        message = f"has {size} bytes, the manifest says {stored.size}"
        return Finding("files", message, stored.path)
    return None


def _check_sum(stored: fmt.StoredObject, sha256: str) -> Finding | None:
    if sha256 != stored.sha256:
        return Finding("checksum", "its SHA-256 is not the manifest's", stored.path)
    return None


def _unreadable(stored: fmt.StoredObject, error: CatalogError | OSError) -> Finding:
    """Return the finding about a link, a name that leaves the release, or what the system does not read."""
    reason = str(error) if isinstance(error, CatalogError) else error.strerror or str(error)
    return Finding("files", f"cannot be read: {reason}", stored.path)


def check_files(
    subject: Subject, part: Hashable, objects: tuple[fmt.StoredObject, ...]
) -> list[Finding]:
    """Compare some files with what the manifest says of them."""
    found = (check_file(subject.location, each) for each in objects)
    return [each for each in found if each is not None]


def read_files(
    location: Location, objects: tuple[fmt.StoredObject, ...]
) -> tuple[dict[str, bytes], list[Finding]]:
    """Read files of the Zarr store, by their keys, and compare them with the manifest; not those of another size."""
    contents, findings = {}, []
    for each in objects:
        try:
            found = _check_size(location, each)
            if found is None:
                content = location.read(each.path)
                contents[each.path.removeprefix(f"{fmt.DATA}/")] = content
                found = _check_sum(each, hashlib.sha256(content).hexdigest())
        except StorageError:
            raise
        except (CatalogError, OSError) as error:
            found = _unreadable(each, error)
        if found is not None:
            findings.append(found)
    return contents, findings


def check_documents(subject: Subject, manifest: fmt.Manifest) -> Iterator[Finding]:
    """Write the documents of a whole release again; yield a note on each that this DeepBench writes otherwise."""
    try:
        written = documents(subject.recipe(), manifest)
    except DAMAGE as error:
        yield Finding("manifest", f"says what no document can tell: {error}", fmt.MANIFEST)
        return
    for name, content in written.items():
        if subject.location.read(name) != content:
            yield Finding("words", "this DeepBench writes it otherwise", name, note=True)
