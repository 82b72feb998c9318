"""The page of a score: one file of HTML with numbers, charts and pictures, which needs nothing from elsewhere."""

from __future__ import annotations

import warnings
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.counterfactuals import unchanged, vary
from deepbench.errors import LabelError, RangeWarning
from deepbench.labelling.changes import dependents
from deepbench.panels import draw_row
from pipeline.report.charts import label_chart

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from deepbench.catalog import Release
    from deepbench.probing.intervals import Estimate
    from deepbench.probing.results import Score
    from deepbench.probing.slices import Slice

WORST = 24
"""Samples in the gallery of the worst."""

OF_SLICE = 8
"""Pictures of each slice."""

SLICES = 8
"""Slices with pictures, of each target."""

STEPS = 7
"""Pictures of a sample along a label."""

CHARTS = 24
"""Labels with a chart, of each target; those along which the loss changes most."""
FEW = 20
"""Labels that fewer samples have get a chart after all others: their bins differ by chance."""


def score_page(score: Score, release: Release) -> str:
    """Return the page.

    Parameters
    ----------
    score : Score
    release : Release
        The release that was scored; its samples are rendered for the pictures.
    """
    pictures = _Pictures(release, score.table)
    sections = {
        "Summary": _summary(score),
        "Confusion": _confusion(score),
        "Error by label": _charts(score, release),
        "Where it fails most": _slices(score, pictures),
        "One label changed": _strips(score, pictures),
        "Worst samples": _worst(score, pictures),
    }
    sections = {name: content for name, content in sections.items() if content}
    names = {name: name.lower().replace(" ", "-") for name in sections}
    links = "".join(f'<a href="#{names[name]}">{name}</a>' for name in sections)
    body = "".join(
        f'<section id="{names[name]}" aria-labelledby="{names[name]}-title">'
        f'<h2 id="{names[name]}-title">{name}</h2>{content}</section>'
        for name, content in sections.items()
    )
    apart = "" if score.groups == score.samples else f" in {score.groups:,} groups"
    said = f"{score.samples:,} samples{apart} of {', '.join(score.splits)}"
    title = f"Score on {score.release}, {score.table}"
    style = Path(__file__).with_name("page.css").read_text()
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f'<a class="skip" href="#summary">Skip to the summary</a><main><header><h1>{escape(title)}</h1>'
        f'<p class="soft">{escape(release.manifest.title)}. {escape(said)}. Intervals hold the true value with a '
        f'probability of 95 %.</p><nav aria-label="Sections">{links}</nav></header>{body}</main></body></html>\n'
    )


class _Pictures:
    """Pictures of the samples of a table, rendered from their labels.

    Attributes
    ----------
    release : Release
    table : str
    """

    def __init__(self, release: Release, table: str) -> None:
        self.release, self.table = release, table
        self._kind = release.manifest.tables[table].kind

    def of(self, ids: Sequence[int]) -> list[str]:
        """Return the address of a picture of each sample, which holds it."""
        data = unchanged(self.release, self.table, list(ids))
        return [self._address(data.isel(sample=row)) for row in range(len(ids))]

    def along(self, sample: int, label: str, values: Any) -> list[str] | None:
        """Return the address of a picture of each step of a change; None where the label cannot be changed."""
        plan = self.release.recipe.table(self.table).plan
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RangeWarning)
                derive: Any = "again" if dependents(plan, [label]) else "keep"
                track = vary(self.release, self.table, [sample], {label: values}, derive=derive)
        except LabelError:
            return None
        return [self._address(track.isel(sample=0, step=step)) for step in range(len(values))]

    def _address(self, sample: xr.Dataset) -> str:
        return f"data:image/png;base64,{b64encode(draw_row(self._kind, [sample])).decode()}"


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], caption: str, numbers: Sequence[int] = ()
) -> str:
    """Return a table whose first column names the rows; ``numbers`` are columns that are aligned to the right."""
    align = ['class="number"' if column in numbers else "" for column in range(len(head))]
    cells = "".join(
        f'<th scope="col" {own}>{escape(word)}</th>' for word, own in zip(head, align, strict=True)
    )
    lines = [f"<tr>{cells}</tr>"]
    for row in rows:
        first = f'<th scope="row">{escape(row[0])}</th>'
        rest = (
            f"<td {own}>{escape(word)}</td>" for word, own in zip(row[1:], align[1:], strict=True)
        )
        lines.append(f"<tr>{first}{''.join(rest)}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption>{''.join(lines)}</table></div>"
    )


def _summary(score: Score) -> str:
    rows = [
        (
            each.target,
            each.name.replace("_", " "),
            "–" if np.isnan(each.estimate.value) else f"{each.estimate.value:.4g}",
            _interval(each.estimate),
            f"{each.estimate.n:,}",
            each.note,
        )
        for each in score.metrics
    ]
    head = ("what is predicted", "metric", "value", "95 % interval", "samples", "of")
    return _table(head, rows, "Metrics", numbers=(2, 3, 4))


def _interval(estimate: Estimate) -> str:
    if estimate.low == estimate.low:
        return f"{estimate.low:.4g} – {estimate.high:.4g}"
    return "–"


def _confusion(score: Score) -> str:
    if score.confusion is None:
        return ""
    counts = score.confusion.to_numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in score.confusion.columns)
    rows = [f"<tr><th>true class</th>{head}</tr>"]
    for name, own, parts in zip(score.confusion.index, counts, shares, strict=True):
        cells = "".join(
            f'<td style="--share: {0.75 * part:.3f}">{part:.1%}<small>{count:,}</small></td>'
            for count, part in zip(own, parts, strict=True)
        )
        rows.append(f'<tr><th scope="row">{escape(str(name))}</th>{cells}</tr>')
    caption = "Share of the samples of each true class (rows) that are called each class (columns)"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix"><table class="confusion">'
        f"<caption>{caption}</caption>{''.join(rows)}</table></div>"
    )


def _charts(score: Score, release: Release) -> str:
    units = {each.name: each.unit for each in release.recipe.table(score.table).plan.columns}
    parts = []
    for target, of_target in score.bins[score.bins["mean"].notna()].groupby("target", sort=False):
        metric = of_target["metric"].iloc[0]
        of_target = of_target[of_target["metric"] == metric]
        spread = {
            label: _change(own["value"].to_numpy(), own["n"].to_numpy())
            for label, own in of_target.groupby("label", sort=False)
        }
        shown = sorted(spread, key=spread.__getitem__, reverse=True)[:CHARTS]
        figures = []
        words = str(metric).replace("_", " ")
        for label in (label for label in spread if label in shown):
            bins = of_target[of_target["label"] == label]
            curve = score.curves[
                (score.curves["target"] == target)
                & (score.curves["label"] == label)
                & (score.curves["metric"] == metric)
            ]
            chart = label_chart(bins, curve, str(label), units.get(str(label), ""), words)
            rows = [
                (f"{each['from']:.4g} – {each['to']:.4g}", f"{each['value']:.4g}", f"{each['n']:,}")
                for _, each in bins.iterrows()
            ]
            numbers = _table((str(label), words, "samples"), rows, f"{words} by {label}", (1, 2))
            figures.append(
                f"<figure>{chart}<details><summary>Numbers</summary>{numbers}</details></figure>"
            )
        left = len(spread) - len(shown)
        note = (
            f" The {CHARTS} labels along which it changes most; {left} more are in bins.csv."
            if left
            else ""
        )
        parts.append(
            f'<h3>{escape(str(target))}</h3><p class="soft">Mean {escape(words)} in bins of equal '
            f'counts, and a smooth curve.{note}</p><div class="charts">{"".join(figures)}</div>'
        )
    return "".join(parts)


def _change(means: NDArray, counts: NDArray) -> tuple[bool, float]:
    """Return whether bins have enough samples to be shown first, and the mean square between them."""
    apart = means - np.average(means, weights=counts)
    return bool(counts.sum() >= FEW), float(np.sum(counts * apart**2) / max(1, len(means) - 1))


def _slices(score: Score, pictures: _Pictures) -> str:
    parts = []
    for target, slices in score.slices.items():
        what = "share of errors" if target == "class" else "mean absolute error"
        parts.append(f"<h3>{escape(target)}</h3>")
        if not len(slices):
            parts.append(f"<p>No group of samples was found where the {what} is larger.</p>")
            continue
        rows = [
            (
                str(each),
                f"{each.error.value:.4g}",
                _interval(each.error),
                f"{each.elsewhere:.4g}",
                f"{each.samples:,}",
            )
            for each in slices
        ]
        head = ("samples where", what, "95 % interval", "elsewhere", "samples")
        parts.append(_table(head, rows, f"Where the {what} of {target} is larger", (1, 2, 3, 4)))
        for each in slices[:SLICES]:
            worst = score.worst_of(each, OF_SLICE)
            parts.append(
                f"<p class='soft'>The worst of {escape(str(each))}</p>{_gallery(worst, pictures)}"
            )
    return "".join(parts)


def _strips(score: Score, pictures: _Pictures) -> str:
    parts = [
        strip
        for slices in score.slices.values()
        for each in slices[:SLICES]
        for strip in _strips_of(score, each, pictures)
    ]
    if not parts:
        return ""
    words = (
        "A sample of each group above, rendered again along a label, while all else, noise too, stays. Each picture "
        "has its own scale of grey."
    )
    return f'<p class="soft">{words}</p>{"".join(dict.fromkeys(parts))}'


def _strips_of(score: Score, each: Slice, pictures: _Pictures) -> list[str]:
    """Return a strip of pictures for each label of a slice that can be changed."""
    sample = int(score.worst_of(each, 1)["id"].iloc[0])
    parts = []
    for condition in each.conditions:
        if condition.category:
            continue
        values = np.unique(score.values_of(condition.label))
        values = values[~np.isnan(values)]
        if len(values) > STEPS:
            values = np.linspace(values[0], values[-1], STEPS)
        addresses = pictures.along(sample, condition.label, values)
        if addresses is None:
            continue
        label = escape(condition.label)
        items = "".join(
            f'<li><img alt="sample {sample} with {label} {value:.4g}" src="{address}">{value:.4g}</li>'
            for value, address in zip(values, addresses, strict=True)
        )
        parts.append(
            f"<h3>Sample {sample} along {label}</h3>"
            f'<ul class="strip" tabindex="0" aria-label="sample {sample} along {label}">{items}</ul>'
        )
    return parts


def _worst(score: Score, pictures: _Pictures) -> str:
    parts = []
    for target in score.targets:
        found = score.worst(WORST, target)
        if len(found):
            parts.append(f"<h3>{escape(target)}</h3>{_gallery(found, pictures)}")
    return "".join(parts)


def _gallery(found: Any, pictures: _Pictures) -> str:
    """Return pictures of samples with what is true and what was predicted."""
    addresses = pictures.of(found["id"].tolist())
    truth = "truth" if "truth" in found else "class"
    items = [
        f'<li><img alt="sample {row["id"]}" src="{address}"><b>{row["id"]}</b> {escape(_said(row[truth]))} → '
        f"{escape(_said(row['predicted']))}</li>"
        for (_, row), address in zip(found.iterrows(), addresses, strict=True)
    ]
    return f'<ul class="gallery">{"".join(items)}</ul>'


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
