"""The page of a probe: how a model answers along sweeps, with pictures, or on which labels it relies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.report.charts import label_chart
from pipeline.report.page import Pictures, page, strip, table
from pipeline.units import number_text

if TYPE_CHECKING:
    from deepbench.probing.reliance import Reliance
    from deepbench.probing.sweeps import Sweep
    from deepbench.release import Release

SHOWN = 6
"""Samples with pictures along a sweep: those that break nearest to their own value."""


def sweeps_page(sweeps: Sequence[Sweep], release: Release, name: str, model: str) -> str:
    """Return the page of sweeps of a table, whose samples are rendered for the pictures.

    Parameters
    ----------
    sweeps : sequence of Sweep
    release : Release
    name : str
        Name of the table.
    model : str
        What the model is called.
    """
    pictures = Pictures(release, name)
    units = {each.name: each.unit for each in release.recipe.table(name).plan.columns}
    sections = {
        f"Along {each.column}": _sweep(each, units.get(each.column, ""), pictures)
        for each in sweeps
    }
    words = (
        f"{release.manifest.title}. The same samples, noise too, with one label changed. Intervals hold the true "
        "accuracy with a probability of 95 %."
    )
    return page(f"{model} on {release}, {name}", words, sections)


def _sweep(found: Sweep, unit: str, pictures: Pictures) -> str:
    accuracy = found.accuracy()
    bins = accuracy.rename(columns={found.column: "mean", "accuracy": "value"})
    chart = label_chart(bins, pd.DataFrame({"at": []}), found.column, unit, "accuracy")
    rows = [
        (number_text(value), number_text(share), number_text(low, high, between=" – "), f"{n:,}")
        for value, share, low, high, n, _ in accuracy.itertuples(index=False)
    ]
    head = (found.column, "accuracy", "95 % interval", "samples")
    values = table(head, rows, f"Accuracy along {found.column}", (1, 2, 3))
    return f'<div class="charts"><figure>{chart}</figure></div>{values}{_tracks(found, pictures)}'


def _tracks(found: Sweep, pictures: Pictures) -> str:
    """Return pictures of the samples that break nearest to their own value, with what the model answers."""
    limits = found.thresholds()
    above, own, below = (limits[name].to_numpy() for name in ("above", "own", "below"))
    distance = np.nan_to_num(np.fmin(above - own, own - below), nan=np.inf)
    parts = []
    for row in np.argsort(distance, kind="stable")[:SHOWN]:
        if not np.isfinite(distance[row]):
            break
        addresses = pictures.along(int(found.ids[row]), found.column, found.values)
        if addresses is None:
            continue
        sample, truth = found.ids[row], found.classes[found.truth[row]]
        shown = (
            (
                address,
                f"sample {sample} with {found.column} {value:.4g}",
                f"{value:.4g}: {found.classes[answer]}",
            )
            for value, answer, address in zip(
                found.values, found.along[row], addresses, strict=True
            )
        )
        parts.append(strip(f"Sample {sample}, {truth}, at {found.own[row]:.4g}", shown))
    return "".join(parts)


def reliance_page(found: Sequence[Reliance], release: Release, name: str, model: str) -> str:
    """Return the page of the labels that a model relies on; parameters are as of ``sweeps_page``."""
    rows = [
        (
            each.column,
            number_text(each.two_sided, form=".3f"),
            number_text(each.estimate.value, form=".3f"),
            number_text(each.estimate.low, each.estimate.high, form=".3f", between=" – "),
            f"{each.estimate.n:,}",
            ", ".join(f"{of} {value:.3f}" for of, value in each.by_class.items()),
            ", ".join(each.through),
        )
        for each in found
    ]
    head = ("label", "both ways", "reliance", "95 % interval", "samples", "by class", "through")
    words = (
        f"{release.manifest.title}. Each value of a label is swapped for one that favours another class than the true "
        "one, by the training split. The share of the answers that follow, less those that leave; both ways: for at "
        "least two classes."
    )
    content = table(head, rows, "Labels by how far the model relies on them", (1, 2, 3, 4))
    return page(f"{model} on {release}, {name}", words, {"Reliance": content})
