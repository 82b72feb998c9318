"""The page of a score: numbers, charts and pictures."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.report.charts import label_chart
from pipeline.report.page import Pictures, page, strip, table
from pipeline.units import number_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.probing.results import Score
    from deepbench.probing.slices import Slice
    from deepbench.release import Release

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
    pictures = Pictures(release, score.table)
    sections = {
        "Summary": _summary(score),
        "Confusion": _confusion(score),
        "Error by label": _charts(score, release),
        "Where it fails most": _slices(score, pictures),
        "One label changed": _strips(score, pictures),
        "Worst samples": _worst(score, pictures),
    }
    apart = "" if score.groups == score.samples else f" in {score.groups:,} groups"
    words = (
        f"{release.manifest.title}. {score.samples:,} samples{apart} of {', '.join(score.splits)}. Intervals hold the "
        "true value with a probability of 95 %."
    )
    return page(f"Score on {score.release}, {score.table}", words, sections)


def _summary(score: Score) -> str:
    rows = [
        (
            each.target,
            each.name.replace("_", " "),
            number_text(each.estimate.value),
            number_text(each.estimate.low, each.estimate.high, between=" – "),
            f"{each.estimate.n:,}",
            each.note,
        )
        for each in score.metrics
    ]
    head = ("what is predicted", "metric", "value", "95 % interval", "samples", "of")
    return table(head, rows, "Metrics", numbers=(2, 3, 4))


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
            numbers = table((str(label), words, "samples"), rows, f"{words} by {label}", (1, 2))
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


def _slices(score: Score, pictures: Pictures) -> str:
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
                number_text(each.error.low, each.error.high, between=" – "),
                f"{each.elsewhere:.4g}",
                f"{each.samples:,}",
            )
            for each in slices
        ]
        head = ("samples where", what, "95 % interval", "elsewhere", "samples")
        parts.append(table(head, rows, f"Where the {what} of {target} is larger", (1, 2, 3, 4)))
        for each in slices[:SLICES]:
            worst = score.worst_of(each, OF_SLICE)
            parts.append(
                f"<p class='soft'>The worst of {escape(str(each))}</p>{_gallery(worst, pictures)}"
            )
    return "".join(parts)


def _strips(score: Score, pictures: Pictures) -> str:
    parts = [
        each_strip
        for slices in score.slices.values()
        for each in slices[:SLICES]
        for each_strip in _strips_of(score, each, pictures)
    ]
    if not parts:
        return ""
    words = (
        "A sample of each group above, rendered again along a label, while all else, noise too, stays. Each picture "
        "has its own scale of grey."
    )
    return f'<p class="soft">{words}</p>{"".join(dict.fromkeys(parts))}'


def _strips_of(score: Score, each: Slice, pictures: Pictures) -> list[str]:
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
        shown = (
            (address, f"sample {sample} with {condition.label} {value:.4g}", f"{value:.4g}")
            for value, address in zip(values, addresses, strict=True)
        )
        parts.append(strip(f"Sample {sample} along {condition.label}", shown))
    return parts


def _worst(score: Score, pictures: Pictures) -> str:
    parts = []
    for target in score.targets:
        found = score.worst(WORST, target)
        if len(found):
            parts.append(f"<h3>{escape(target)}</h3>{_gallery(found, pictures)}")
    return "".join(parts)


def _gallery(found: Any, pictures: Pictures) -> str:
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
