"""Panels: how one sample is drawn onto axes, a function for each kind of table with its entry in ``PANELS``."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.light_curves.model import MASK

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

UPPER_LIMIT = 1 << MASK.index("upper_limit")
"""Bit of the mask of an observation that is an upper limit."""


def draw_image(axes: Any, sample: xr.Dataset, *, large: bool) -> None:
    """Draw an image, y upwards, with a scale beside it where there is room and all is shown as it is."""
    image = sample["image"].values
    shown = axes.imshow(displayed(image), origin="lower", cmap="gray", interpolation="nearest")
    if not large:
        axes.set_axis_off()
        return
    axes.set(xlabel="x (pixel)", ylabel="y (pixel)")
    if image.ndim == 2 and stretch(image) == 0.0:
        axes.figure.colorbar(shown, ax=axes, shrink=0.8)


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


def draw_light_curve(axes: Any, sample: xr.Dataset, *, large: bool) -> None:
    """Draw flux against time, each band in its colour, upper limits paler; with error bars where there is room.

    Where images are apart, each of them has its colour, in all bands.
    """
    times, flux = sample["time"].values, sample["flux"].values
    errors, limits = sample["flux_error"].values, sample["mask"].values & UPPER_LIMIT > 0
    names = sample["band"].attrs["flag_meanings"].split() if "band" in sample else [""]
    bands = sample["band"].values if "band" in sample else np.zeros(len(times), int)
    size = (2.0 if large else 1.2) * min(1.0, (1000 / max(np.isfinite(flux).sum(), 1)) ** 0.5)
    parts = [(bands == number, flux, errors, limits) for number in range(len(names))]
    if flux.ndim > 1:
        parts = [(True, *each) for each in zip(flux, errors, limits, strict=True)]
        names = [f"image {number}" for number in range(1, len(flux) + 1)]
    for number, (name, (own, flux, errors, limits)) in enumerate(zip(names, parts, strict=True)):
        colour = f"C{number}" if len(names) > 1 else "black"
        for some, alpha in ((~limits, 1.0), (limits, 0.25)):
            chosen = own & some & np.isfinite(flux)
            if large and chosen.sum() < 2000:
                bars = {"yerr": errors[chosen], "elinewidth": 0.5}
                axes.errorbar(
                    times[chosen], flux[chosen], **bars, fmt="none", color=colour, alpha=alpha / 2
                )
            axes.plot(times[chosen], flux[chosen], ".", ms=size * 1.5, color=colour, alpha=alpha)
        axes.plot([], [], "o", ms=4, color=colour, label=name)
    if not large:
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.set(xlabel="time (d)", ylabel=f"flux ({sample['flux'].attrs.get('units', '1')})")
    if len(names) > 1:
        axes.legend(fontsize=8)


def draw_motion(axes: Any, sample: xr.Dataset, *, large: bool) -> None:
    """Draw four frames of a film, or the paths of bodies with their last positions, or a path in phase space."""
    if "frames" in sample:
        frames = sample["frames"].values
        chosen = frames[np.linspace(0, len(frames) - 1, min(4, len(frames))).astype(int)]
        axes.imshow(_grid(chosen), origin="upper", cmap="gray", interpolation="nearest")
        axes.set_axis_off()
        return
    name = next((each for each in ("position", "position_true") if each in sample), None)
    if name is not None:
        positions = sample[name].values
        for number, path in enumerate(np.moveaxis(positions, 1, 0)):
            axes.plot(path[:, 0], path[:, 1], ".-", ms=2, lw=0.5, color=f"C{number}")
            axes.plot(*path[-1, :2], "o", ms=5, color=f"C{number}")
        axes.set_aspect("equal", "datalim")
        words = [f"{axis} ({sample[name].attrs.get('units', '1')})" for axis in "xy"]
    else:
        pair = [each for each in ("q", "p", "dq_dt", "dp_dt") if each in sample][:2]
        values = [sample[each].values for each in (pair * 2)[:2]]
        axes.plot(values[0], values[1], ".-", ms=3, lw=0.5)
        words = [f"{each} ({sample[each].attrs.get('units', '1')})" for each in (pair * 2)[:2]]
    if large:
        axes.set(xlabel=words[0], ylabel=words[1])
    else:
        axes.set_xticks([])
        axes.set_yticks([])


def _grid(frames: NDArray) -> NDArray:
    """Return up to four frames, y upwards, in the order of reading, as one image with its first row above."""
    flipped = [np.pad(frame[::-1], 1, constant_values=np.nan) for frame in frames]
    flipped += [np.full_like(flipped[0], np.nan)] * (-len(flipped) % 2)
    rows = [
        np.concatenate(flipped[start : start + 2], axis=1) for start in range(0, len(flipped), 2)
    ]
    return np.concatenate(rows)


def draw_sky(axes: Any, sample: xr.Dataset, *, large: bool) -> None:
    """Draw the first channel of a map in Mollweide's projection, longitude to the left, or of a patch as its face."""
    values = sample["map"].values.reshape(-1, sample["map"].sizes[sample["map"].dims[-1]])[0]
    whole = sample["map"].dims[-1] == "cell"
    image = _mollweide(values, 800 if large else 300) if whole else _face(values)
    low, high = np.nanquantile(image, [0.002, 0.998]) if np.isfinite(image).any() else (0.0, 1.0)
    shown = axes.imshow(
        image, origin="lower", cmap="cividis", interpolation="nearest", vmin=low, vmax=high
    )
    axes.set_axis_off()
    if large:
        axes.figure.colorbar(shown, ax=axes, shrink=0.6)


def _mollweide(values: NDArray, width: int) -> NDArray:
    """Return a map in NEST order as an image; NaN outside of the sphere."""
    from healpy import ang2pix, npix2nside

    y, x = np.mgrid[-1 : 1 : width // 2 * 1j, -2 : 2 : width * 1j]
    inside = x**2 / 4 + y**2 < 1
    auxiliary = np.arcsin(y[inside])
    latitude = np.arcsin((2 * auxiliary + np.sin(2 * auxiliary)) / np.pi)
    longitude = -np.pi * x[inside] / (2 * np.cos(auxiliary))
    cells = ang2pix(
        npix2nside(len(values)), np.pi / 2 - latitude, longitude % (2 * np.pi), nest=True
    )
    image = np.full(inside.shape, np.nan)
    image[inside] = values[cells]
    return image


def _face(values: NDArray) -> NDArray:
    """Return a patch as an image: the bits of a NEST number are those of its column and its row, in turns."""
    numbers = np.arange(len(values))
    rows, columns = np.zeros_like(numbers), np.zeros_like(numbers)
    for bit in range(int(np.log2(len(values))) // 2 + 1):
        columns |= (numbers >> 2 * bit & 1) << bit
        rows |= (numbers >> 2 * bit + 1 & 1) << bit
    image = np.empty((rows.max() + 1, columns.max() + 1), values.dtype)
    image[rows, columns] = values
    return image


def draw_values(axes: Any, sample: xr.Dataset, *, large: bool) -> None:
    """Draw the first variable of a sample of any kind: its first two dimensions as an image, or a histogram."""
    name, variable = next(iter(sample.data_vars.items()))
    values = variable.values
    unit = f" ({variable.attrs.get('units', '1')})"
    if values.ndim >= 2:
        image = values.reshape(*values.shape[:2], -1)[..., 0]
        shown = axes.imshow(image, origin="lower", aspect="auto", interpolation="nearest")
        words = variable.dims[1], variable.dims[0]
    else:
        axes.hist(values[np.isfinite(values)], bins=50, color="black")
        words = f"{name}{unit}", "number of values"
    if not large:
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.set(xlabel=words[0], ylabel=words[1])
    if values.ndim >= 2:
        axes.figure.colorbar(shown, ax=axes, shrink=0.8, label=f"{name}{unit}")


PANELS: dict[str, Callable[..., None]] = {
    "image": draw_image,
    "light_curve": draw_light_curve,
    "dynamics": draw_motion,
    "sphere": draw_sky,
}
"""Functions that draw a sample, by the kind of its table: called with axes, the sample, and ``large`` by keyword."""


def draw_sample(kind: str, axes: Any, sample: xr.Dataset, *, large: bool) -> None:
    """Draw a sample of a kind of table onto axes, which may be large; a kind without a panel has a plain picture."""
    PANELS.get(kind, draw_values)(axes, sample, large=large)


def draw_row(kind: str, samples: list[xr.Dataset]) -> bytes:
    """Return samples of a kind of table side by side, each on its own scale, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 * len(samples), 1.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(samples), squeeze=False)
    for axes, sample in zip(panels.flat, samples, strict=True):
        draw_sample(kind, axes, sample, large=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=72)
    return content.getvalue()
