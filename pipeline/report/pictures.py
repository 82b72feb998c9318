"""Pictures of samples with their labels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import CatalogError
from deepbench.panels import draw_sample

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

LINES = 32
"""Number of labels beside a portrait; the command prints them all."""

ENDINGS = (".png", ".pdf", ".svg", ".jpg")
"""Endings of files of pictures."""


def montage(
    samples: list[xr.Dataset], kind: str, titles: list[str], path: str | Path, *, heading: str = ""
) -> None:
    """Draw samples side by side, each on its own scale.

    Parameters
    ----------
    samples : list of Dataset
        Data variables of one sample each.
    kind : str
        Kind of their table.
    titles : list of str
        One per sample.
    path : str or Path
        File to write; its ending chooses the format.
    heading : str
        Above all of them.

    Raises
    ------
    CatalogError
        The file cannot be written, or its ending is no format of pictures.
    """
    columns = min(math.ceil(math.sqrt(len(samples) * 1.5)), len(samples))
    rows = math.ceil(len(samples) / columns)
    edge = max(2.0, 8.0 / columns)
    figure = _figure((edge * columns, (edge + 0.25) * rows + 0.4))
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(samples) :]:
        axes.set_axis_off()
    for axes, sample, title in zip(panels.flat, samples, titles, strict=False):
        draw_sample(kind, axes, sample, large=False)
        axes.set_title(title, fontsize=7, parse_math=False)
    figure.suptitle(heading, fontsize=10, parse_math=False)
    _save(figure, path)


def portrait(
    sample: xr.Dataset,
    kind: str,
    labels: pd.Series,
    path: str | Path,
    *,
    units: dict[str, str],
    heading: str = "",
) -> None:
    """Draw one sample, and its labels beside it.

    Parameters
    ----------
    sample : Dataset
        Its data variables.
    kind : str
        Kind of its table.
    labels : Series
        Labels of the sample; those without a value are left out.
    path : str or Path
        File to write; its ending chooses the format.
    units : dict of str to str
        Unit of each label.
    heading : str
        Above the picture.

    Raises
    ------
    CatalogError
        As ``montage``.
    """
    figure = _figure((9.5, 5.0))
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    draw_sample(kind, left, sample, large=True)
    right.set_axis_off()
    lines = describe(labels, units)
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"… and {len(lines) - LINES + 1} more"]
    right.text(0, 1, "\n".join(lines), va="top", family="monospace", fontsize=8, parse_math=False)
    figure.suptitle(heading, fontsize=10, parse_math=False)
    _save(figure, path)


def describe(labels: pd.Series, units: dict[str, str]) -> list[str]:
    """Return one line per label that has a value, with its unit."""
    present = {
        name: value for name, value in labels.items() if value == value
    }  # NaN is not equal to itself
    width = max(len(str(name)) for name in present)
    return [
        f"{name:<{width}}  {_text(value)}{_unit(units, name)}" for name, value in present.items()
    ]


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _unit(units: dict[str, str], name: Any) -> str:
    unit = units.get(str(name), "1")
    return "" if unit == "1" else f" {unit}"


def _figure(size: tuple[float, float]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: str | Path) -> None:
    if Path(path).suffix not in ENDINGS:
        raise CatalogError(f"'{path}' is no file of a picture: let it end in {', '.join(ENDINGS)}")
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise CatalogError(f"cannot write '{path}': {error.strerror or error}") from error
