"""Charts as SVG that follows the colours of the page: means with intervals and curves as functions of one label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 34
TICKS = 5
"""Largest number of ticks of an axis, about."""

WIDE = 50.0
"""Ratio of the means of the outermost bins beyond which an axis is logarithmic."""


class Axis:
    """Maps values to positions on a chart, and finds round values for its ticks.

    Parameters
    ----------
    low, high : float
        Ends of the values.
    start, stop : float
        Their positions.
    logarithmic : bool
    """

    def __init__(
        self, low: float, high: float, start: float, stop: float, *, logarithmic: bool = False
    ) -> None:
        self._log = logarithmic
        low, high = (math.log10(low), math.log10(high)) if logarithmic else (low, high)
        if low == high:
            low, high = low - 0.5, high + 0.5
        self._low, self._scale = low, (stop - start) / (high - low)
        self._start, self._high = start, high

    def __call__(self, value: float) -> float:
        """Return the position of a value."""
        inner = math.log10(value) if self._log else value
        return self._start + (inner - self._low) * self._scale

    def ticks(self) -> list[float]:
        """Return round values between the ends."""
        if self._log and self._high - self._low > 1:
            first, last = math.ceil(self._low - 1e-9), math.floor(self._high + 1e-9)
            return [10.0**power for power in range(first, last + 1)]
        low, high = (10**self._low, 10**self._high) if self._log else (self._low, self._high)
        step = 10 ** math.floor(math.log10((high - low) / TICKS))
        step *= next(each for each in (1, 2, 5, 10) if (high - low) / (each * step) <= TICKS)
        first = math.ceil(low / step - 1e-9)
        return [step * number for number in range(first, math.floor(high / step + 1e-9) + 1)]


def label_chart(bins: pd.DataFrame, curve: pd.DataFrame, name: str, unit: str, loss: str) -> str:
    """Return a chart of a mean loss as a function of a label.

    Parameters
    ----------
    bins : DataFrame
        ``mean``, ``value``, ``low`` and ``high`` of each bin, as ``Score.by`` returns them.
    curve : DataFrame
        ``at``, ``value``, ``low`` and ``high``, as ``Score.curve`` returns them; it may be empty.
    name, unit, loss : str
        Of the axes.
    """
    x = bins["mean"].to_numpy()
    every = np.concatenate([x, curve["at"].to_numpy()]) if len(curve) else x
    heights = bins[["value", "low", "high"]].to_numpy()
    tops, bottoms = heights.ravel(), heights.ravel()
    if len(curve):
        tops = np.concatenate([tops, curve["value"], curve["high"]])
        bottoms = np.concatenate([bottoms, curve["value"]])
    top = float(np.nanmax(tops)) or 1.0
    bottom = min(0.0, float(np.nanmin(bottoms)))
    wide = every.min() > 0 and x.max() > WIDE * x.min()
    across = Axis(every.min(), every.max(), LEFT + 8, WIDTH - RIGHT - 8, logarithmic=wide)
    up = Axis(bottom, top * 1.05, HEIGHT - BOTTOM, TOP)
    parts = [*_frame(across, up, name, unit, loss)]
    if len(curve):
        parts += _band(across, up, curve)
    for at, value, low, high in zip(x, *heights.T, strict=True):
        if math.isfinite(low):
            ends = f'y1="{up(low):.1f}" y2="{up(high):.1f}"'
            parts.append(f'<line class="bar" x1="{across(at):.1f}" x2="{across(at):.1f}" {ends}/>')
        parts.append(f'<circle class="point" cx="{across(at):.1f}" cy="{up(value):.1f}" r="3"/>')
    about = f"{loss} as a function of {name}: from {bins['value'].min():.3g} to {bins['value'].max():.3g}"
    return _svg(parts, about)


def _band(across: Axis, up: Axis, curve: pd.DataFrame) -> list[str]:
    """Return a curve and the band between its bounds."""
    at = curve["at"].to_numpy()
    lows, highs = curve["low"].to_numpy(), curve["high"].to_numpy()
    ends = [*zip(at, lows, strict=True), *zip(at[::-1], highs[::-1], strict=True)]
    band = " ".join(f"{across(x):.1f},{_inside(up(y)):.1f}" for x, y in ends if math.isfinite(y))
    line = " ".join(
        f"{across(x):.1f},{_inside(up(y)):.1f}"
        for x, y in zip(at, curve["value"], strict=True)
        if math.isfinite(y)
    )
    return [
        f'<polygon class="band" points="{band}"/>',
        f'<polyline class="curve" points="{line}"/>',
    ]


def _inside(y: float) -> float:
    return min(max(y, TOP), HEIGHT - BOTTOM)


def _frame(across: Axis, up: Axis, name: str, unit: str, loss: str) -> list[str]:
    """Return axes with ticks and titles."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in up.ticks():
        y = up(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{value:.3g}</text>')
    for value in across.ticks():
        x = across(value)
        parts.append(
            f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        )
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{value:.8g}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    title = escape(name if unit in ("", "1") else f"{name} [{unit}]")
    middle = (LEFT + right) / 2
    parts.append(
        f'<text class="title" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{title}</text>'
    )
    height = (TOP + bottom) / 2
    parts.append(
        f'<text class="title" transform="translate(11 {height}) rotate(-90)" text-anchor="middle">{escape(loss)}</text>'
    )
    return parts


def _svg(parts: Sequence[str], about: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(about)}">{"".join(parts)}</svg>'
