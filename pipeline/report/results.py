"""Results of probing as files: each is written whole or not at all, and never inside a release."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from deepbench import format as fmt
from deepbench.errors import CatalogError
from pipeline.target import target_of


def check_folder(folder: str) -> None:
    """Refuse a folder inside a release, which never changes, or one where nothing can be written.

    Raises
    ------
    CatalogError
        It is inside a release, or cannot be made.
    """
    path = Path(folder).absolute()
    above = (path, *path.parents)
    for each in above:
        if (each / fmt.MANIFEST).exists() and (each / fmt.RECIPE).exists():
            raise CatalogError(
                f"'{folder}' is inside the release '{each}', which never changes; name another folder"
            )
    there = next(each for each in above if each.exists())
    if "://" not in folder and not (there.is_dir() and os.access(there, os.W_OK)):
        why = "cannot be written to" if there.is_dir() else "is no folder"
        raise CatalogError(f"'{folder}' cannot be made: '{there}' {why}; name another folder")


def write_results(
    folder: str, results: Mapping[str, str | dict[str, Any] | pd.DataFrame]
) -> list[str]:
    """Write plain data as JSON, data frames as CSV and texts into a folder, which is made; return the paths.

    Raises
    ------
    CatalogError
        The folder is inside a release.
    """
    check_folder(folder)
    target = target_of(folder)
    for name, result in results.items():
        if isinstance(result, str):
            text = result
        elif isinstance(result, pd.DataFrame):
            text = result.to_csv(index=False)
        else:
            text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        target.write(name, text.encode())
    return [target.locate(name) for name in results]
