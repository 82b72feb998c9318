"""Requests to write an export: views of tables, and where and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.progress import Progress, silent

if TYPE_CHECKING:
    from pipeline.export.view import View


@dataclass(frozen=True)
class Request:
    """An export.

    Attributes
    ----------
    views : tuple of View
        What is exported; one, unless the format holds several tables.
    path : Path
        Where it is written: a file or folder that does not exist.
    ending : str
        Ending of its name, such as ``.h5``.
    compress : bool
        Whether it is compressed where that is left open.
    preview : bool
        Whether pictures are added.
    report : callable
        Called as ``report(step, done, total)``.
    """

    views: tuple[View, ...]
    path: Path
    ending: str
    compress: bool = False
    preview: bool = False
    report: Progress = silent

    @property
    def view(self) -> View:
        """The only view."""
        [view] = self.views
        return view
