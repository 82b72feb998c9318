"""Pictures of samples with their labels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import CatalogError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

LINES = 32
"""Labels beside a portrait; the command prints them all."""

ENDINGS = (".png", ".pdf", ".svg", ".jpg")


def montage(images: NDArray, titles: list[str], path: str | Path, *, heading: str = "") -> None:
    """Draw images side by side, y upwards, each on its own scale; see ``displayed``.

    Parameters
    ----------
    images : ndarray, shape (n, y, x) or (n, band, y, x)
    titles : list of str
        One per image.
    path : str or Path
        File to write; its ending chooses the format.
    heading : str
        Above all of them.

    Raises
    ------
    CatalogError
        The file cannot be written, or its ending is no format of pictures.
    """
    columns = min(math.ceil(math.sqrt(len(images) * 1.5)), len(images))
    rows = math.ceil(len(images) / columns)
    edge = max(2.0, 8.0 / columns)
    figure = _figure((edge * columns, (edge + 0.25) * rows + 0.4))
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, title in zip(axes.flat, images, titles, strict=False):
        axis.imshow(displayed(image), origin="lower", cmap="gray", interpolation="nearest")
        axis.set_title(title, fontsize=7, parse_math=False)
    figure.suptitle(heading, fontsize=10, parse_math=False)
    _save(figure, path)


def portrait(
    image: NDArray, labels: pd.Series, path: str | Path, *, units: dict[str, str], heading: str = ""
) -> None:
    """Draw one image with a scale beside it, and its labels.

    Parameters
    ----------
    image : ndarray, shape (y, x) or (band, y, x)
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
    shown = left.imshow(displayed(image), origin="lower", cmap="gray", interpolation="nearest")
    left.set(xlabel="x (pixel)", ylabel="y (pixel)")
    if image.ndim == 2 and stretch(image) == 0.0:
        figure.colorbar(shown, ax=left, shrink=0.8)
    right.set_axis_off()
    lines = describe(labels, units)
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"… and {len(lines) - LINES + 1} more"]
    right.text(0, 1, "\n".join(lines), va="top", family="monospace", fontsize=8, parse_math=False)
    figure.suptitle(heading, fontsize=10, parse_math=False)
    _save(figure, path)


def displayed(image: NDArray) -> NDArray:
    """Return an image as it is looked at: grey, or red, green and blue from the last, middle and first band.

    Where its light exceeds its noise by far, it is shown as arcsinh(light / noise), which shows faint and bright parts
    at once (Lupton et al. 2004, PASP 116, 133).
    """
    if image.ndim == 2:
        noise = stretch(image)
        return np.arcsinh((image - np.median(image)) / noise) if noise else image
    if len(image) == 1:
        return displayed(image[0])
    three = image[[-1, len(image) // 2, 0]].astype(float)
    three -= np.median(three, axis=(1, 2), keepdims=True)
    three /= np.maximum(three.std(axis=(1, 2), keepdims=True), 1e-30)
    light = three.mean(axis=0)
    noise = stretch(light) or 1.0
    factor = np.arcsinh(np.maximum(light, 0) / noise) / np.maximum(light, 1e-30)
    colours = np.moveaxis(np.clip(three, 0, None) * factor, 0, -1)
    return np.clip(colours / max(np.quantile(colours, 0.999), 1e-30), 0, 1)


def stretch(image: NDArray) -> float:
    """Return the noise of an image if its light exceeds it by far, else 0."""
    middle = np.median(image)
    noise = 1.5 * float(np.median(np.abs(image - middle)))
    return 2 * noise if noise > 0 and image.max() - middle > 40 * noise else 0.0


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
