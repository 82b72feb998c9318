"""The experiment of the DeepBench poster: which circles does a network call rectangles, and why?

    python workflows/experiments/poster.py --output poster          # after `make demo`; needs the extra `torch`

LeNet-5 learns to tell the blurred circles and rectangles of ``shapes@1.0.0`` apart. Accuracy against radius shows which
circles it calls rectangles. Then circles are rendered again with one thing changed, which tells why: their size with
the light kept, their light with the size kept, and their blur.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import nn
from torch.utils.data import DataLoader

import deepbench
from deepbench.errors import RangeWarning
from deepbench.probing.intervals import Groups, proportion
from deepbench.release import Release
from deepbench.torch import Batches

mpl.use("Agg")
import matplotlib.pyplot as plt

TABLE, CIRCLE, RECTANGLE = "images", 0, 1
FRESH = range(10_000, 16_000)
"""Samples beyond the release, which no network has seen."""

EDGES = np.array([1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8, 10, 13, 16, 20, 24])
"""Bins of radii, pixels."""

VARIED = 200
"""Circles that are rendered again with changes."""

RADII = np.geomspace(1, 24, 15)
BLURS = np.linspace(0.5, 4, 8)
KEPT = 8.0
"""Radius of circles whose light alone is changed, and whose light is kept when their size is; pixels."""


def lenet() -> nn.Module:
    """Return LeNet-5 (LeCun et al. 1998) for one channel of 64 × 64 pixels and two classes, with rectifiers."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 13 * 13, 120), nn.ReLU()),
        *(nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 2)),
    )


class Network:
    """A network that has learned the training split of a release.

    Parameters
    ----------
    source : Release
    epochs : int
    seed : int
    """

    def __init__(self, source: Release, epochs: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.module = lenet()
        optimizer = torch.optim.Adam(self.module.parameters(), lr=1e-3)
        batches = Batches(source, TABLE, split="train", targets=["class"], seed=seed)
        for epoch in range(epochs):
            batches.set_epoch(epoch)
            for batch in DataLoader(batches, batch_size=None):
                loss = nn.functional.cross_entropy(self.module(batch["image"]), batch["class"])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.module.eval()

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the codes of the predicted classes of images, shape (n, y, x)."""
        parts = [
            self.module(torch.from_numpy(images[start : start + 512, None])).argmax(1).numpy()
            for start in range(0, len(images), 512)
        ]
        return np.concatenate(parts)


def share(wrong: np.ndarray) -> dict[str, float]:
    """Return the share of answers that are wrong, shape (networks, n), with its interval over the n samples.

    Answers of several networks about one sample are one group.
    """
    groups = Groups(np.tile(np.arange(wrong.shape[1]), len(wrong)))
    found = proportion(wrong.ravel(), groups)
    return {"value": found.value, "low": found.low, "high": found.high, "n": wrong.shape[1]}


def ask(networks: list[Network], data: xr.Dataset) -> np.ndarray:
    """Return the answers about the steps of samples, shape (networks, n, steps)."""
    images = data["image"].values
    flat = images.reshape(-1, *images.shape[2:])
    return np.stack([each(flat).reshape(images.shape[:2]) for each in networks])


def confusion(networks: list[Network], release: Release) -> np.ndarray:
    """Return the confusion matrix of the test split, rows are true classes, summed over networks."""
    images = release.open()[TABLE].to_dataset()
    test = np.flatnonzero(images["split"] == images["split"].flag_meanings.split().index("test"))
    truth, pixels = images["class"].values[test], images["image"][test].values
    matrix = np.zeros((2, 2), int)
    for network in networks:
        np.add.at(matrix, (truth, network(pixels)), 1)
    return matrix


def by_radius(networks: list[Network], recipe: deepbench.Recipe) -> pd.DataFrame:
    """Return the share of unseen circles that are called rectangles, in bins of radius."""
    data = deepbench.render(recipe, TABLE, FRESH.start, FRESH.stop)
    data = data.isel(sample=data["class"].values == CIRCLE)
    wrong = np.stack([each(data["image"].values) != CIRCLE for each in networks])
    bins = np.digitize(data["circle.radius"].values, EDGES) - 1
    rows = [share(wrong[:, bins == number]) for number in range(len(EDGES) - 1)]
    return pd.DataFrame({"from": EDGES[:-1], "to": EDGES[1:], **pd.DataFrame(rows)})


def causes(networks: list[Network], recipe: deepbench.Recipe, blur: float) -> pd.DataFrame:
    """Return the share of circles called rectangles along changes of size, light and both, at one blur."""
    labels = deepbench.labels(recipe, TABLE, FRESH.start, FRESH.stop)
    circles = labels.loc[labels["class"] == "circle", "id"].to_numpy()[:VARIED]
    flux = (RADII / KEPT) ** 2
    sweeps = {
        "size and light": {"circle.radius": RADII, "circle.amplitude": np.ones_like(RADII)},
        "size alone": {"circle.radius": RADII, "circle.amplitude": 1 / flux},
        "light alone": {"circle.radius": np.full_like(RADII, KEPT), "circle.amplitude": flux},
    }
    rows = []
    for name, changes in sweeps.items():
        changes = {**changes, "psf.sigma": np.full_like(RADII, blur)}
        wrong = ask(networks, deepbench.vary(recipe, TABLE, circles, changes)) != CIRCLE
        rows += [
            {"changed": name, "blur": blur, "radius": radius, **share(wrong[..., step])}
            for step, radius in enumerate(RADII)
        ]
    return pd.DataFrame(rows)


def blurs(networks: list[Network], recipe: deepbench.Recipe) -> pd.DataFrame:
    """Return the share of circles called rectangles by radius and blur."""
    labels = deepbench.labels(recipe, TABLE, FRESH.start, FRESH.stop)
    circles = labels.loc[labels["class"] == "circle", "id"].to_numpy()[:VARIED]
    rows = []
    for blur in BLURS:
        changes = {"circle.radius": RADII, "psf.sigma": np.full_like(RADII, blur)}
        wrong = ask(networks, deepbench.vary(recipe, TABLE, circles, changes)) != CIRCLE
        rows += [
            {"blur": blur, "radius": radius, **share(wrong[..., step])}
            for step, radius in enumerate(RADII)
        ]
    return pd.DataFrame(rows)


def draw_curve(axes: Any, x: Any, frame: pd.DataFrame, label: str) -> None:
    """Draw shares with their intervals."""
    (line,) = axes.plot(x, frame["value"], marker="o", markersize=3, label=label)
    axes.fill_between(x, frame["low"], frame["high"], color=line.get_color(), alpha=0.2, lw=0)


def draw(
    folder: Path, matrix: np.ndarray, size: pd.DataFrame, cause: pd.DataFrame, blur: pd.DataFrame
) -> None:
    """Write the figures."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 3.6), width_ratios=(1, 2), layout="constrained"
    )
    left.imshow(matrix / matrix.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    names = ["circle", "rectangle"]
    left.set(xlabel="predicted", ylabel="true", title="Test split")
    left.set_xticks([0, 1], names)
    left.set_yticks([0, 1], names, rotation=90, va="center")
    for row, column in np.ndindex(2, 2):
        part = matrix[row, column] / matrix[row].sum()
        left.text(
            column, row, f"{part:.1%}", ha="center", va="center", color="w" if part > 0.5 else "k"
        )
    draw_curve(right, np.sqrt(size["from"] * size["to"]), size, "unseen circles")
    right.set(xscale="log", xlabel="radius [pixel]", ylabel="called a rectangle", title="By size")
    right.set_xticks([1, 2, 4, 8, 16, 24], [1, 2, 4, 8, 16, 24])
    figure.savefig(folder / "errors.png", dpi=150)

    blurred = cause["blur"].unique()
    figure, panels = plt.subplots(
        1, len(blurred), figsize=(9, 3.6), sharey=True, layout="constrained"
    )
    for axes, sigma in zip(panels, blurred, strict=True):
        for name, part in cause[cause["blur"] == sigma].groupby("changed", sort=False):
            draw_curve(axes, part["radius"], part, str(name))
        axes.set(
            xscale="log",
            xlabel="radius with this size or light [pixel]",
            title=f"Blur {sigma:g} pixel",
        )
        axes.set_xticks([1, 2, 4, 8, 16, 24], [1, 2, 4, 8, 16, 24])
    panels[0].set_ylabel("called a rectangle")
    panels[0].legend(frameon=False)
    figure.savefig(folder / "causes.png", dpi=150)

    table = blur.pivot_table(index="blur", columns="radius", values="value")
    figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
    mesh = axes.pcolormesh(
        table.columns, table.index, table.values, cmap="magma", vmin=0, vmax=1, shading="nearest"
    )
    axes.set(xscale="log", xlabel="radius [pixel]", ylabel="blur: sigma of the PSF [pixel]")
    axes.set_xticks([1, 2, 4, 8, 16, 24], [1, 2, 4, 8, 16, 24])
    axes.axhline(2, color="w", lw=0.8, ls="--")
    figure.colorbar(mesh, label="called a rectangle")
    figure.savefig(folder / "blur.png", dpi=150)


def main() -> None:
    """Train, ask, and write figures and numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--catalog", default="releases", help="folder of the releases")
    parser.add_argument(
        "--output", default="poster", type=Path, help="folder of figures and numbers"
    )
    parser.add_argument("--networks", default=5, type=int, help="how many networks are trained")
    parser.add_argument("--epochs", default=12, type=int)
    options = parser.parse_args()
    release = deepbench.find("shapes", "1.0.0", options.catalog)
    networks = [Network(release, options.epochs, seed) for seed in range(options.networks)]
    matrix = confusion(networks, release)
    size = by_radius(networks, release.recipe)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RangeWarning
        )  # blur and light beyond the recipe's are the question
        cause = pd.concat([causes(networks, release.recipe, blur) for blur in (0.5, 2.0)])
        blur = blurs(networks, release.recipe)
    options.output.mkdir(parents=True, exist_ok=True)
    draw(options.output, matrix, size, cause, blur)
    for name, frame in {"by_radius": size, "causes": cause, "blurs": blur}.items():
        frame.to_csv(options.output / f"{name}.csv", index=False)
    numbers = {"networks": options.networks, "confusion": matrix.tolist()}
    (options.output / "numbers.json").write_text(json.dumps(numbers, indent=1))
    print(f"confusion (true × predicted): {matrix.tolist()}")
    print(size.round(3).to_string(index=False))
    print(f"figures and numbers: {options.output}/")


if __name__ == "__main__":
    main()
