"""Targets, where releases are made: every file that the pipeline reads or writes goes through one."""

from __future__ import annotations

from pathlib import Path

from deepbench.errors import CatalogError
from deepbench.storage.locations import check_catalog, is_archive
from pipeline.target.base import TEMPORARY, Hold, Target
from pipeline.target.bucket import BucketTarget
from pipeline.target.folder import FolderTarget

__all__ = ["TEMPORARY", "BucketTarget", "FolderTarget", "Hold", "Target", "target_of"]


def target_of(catalog: str | Path) -> FolderTarget | BucketTarget:
    """Return the target of a catalog.

    Raises
    ------
    CatalogError
        It is an address that cannot be used, or a zip archive.
    """
    root = check_catalog(catalog)
    if is_archive(root):
        raise CatalogError(
            f"'{root}' is a zip archive, which is only read; unpack it into a folder"
        )
    return BucketTarget(root) if "://" in root else FolderTarget(root)
