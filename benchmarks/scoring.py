"""Scores of many predictions: CPU time, memory, how often intervals hold, and which slices are told.

python -m benchmarks.scoring speed            # 1,000,000 predictions, 20 labels, with slices
python -m benchmarks.scoring coverage         # how often 95 % intervals hold the true value
python -m benchmarks.scoring slices           # a planted failure in 20 seeds, none in 200
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from deepbench.probing.intervals import Groups, effective_size, wilson
from deepbench.probing.score import score_truth
from deepbench.probing.slices import find_slices
from deepbench.probing.truth import Truth


def table(n: int, seed: int, labels: int = 4, per_group: int = 1) -> pd.DataFrame:
    """Return labels of circles and rectangles as a release has them, with further labels of both."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 2, n)
    circle = classes == 0
    columns: dict[str, Any] = {
        "id": np.arange(n),
        "class": pd.Categorical.from_codes(classes, ["circle", "rectangle"]),
        "split": pd.Categorical.from_codes(np.ones(n, dtype=int), ["train", "test"]),
        "group": np.arange(n) // per_group,
        "circle.radius": np.where(circle, rng.uniform(1, 24, n), np.nan),
        "rectangle.width": np.where(~circle, rng.uniform(2, 48, n), np.nan),
        "psf.sigma": rng.uniform(0.5, 2, n),
    }
    columns |= {f"variables.v{k}": rng.normal(size=n) for k in range(labels - 3)}
    return pd.DataFrame(columns)


def speed(n: int = 1_000_000) -> None:
    """Print the CPU time and the memory of a score with slices, of classes with probabilities, for 20 labels."""
    frame = table(n, 1, labels=20)
    truth = Truth.from_frame(frame)
    rng = np.random.default_rng(2)
    right = 1 / (1 + np.exp(-rng.normal(2, 1.5, n)))
    codes = truth.codes
    given = {
        "id": truth.ids,
        "class.circle": np.where(codes == 0, right, 1 - right),
        "class.rectangle": np.where(codes == 0, 1 - right, right),
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = score_truth(truth, given)
    seconds = time.process_time() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(found.summary.to_string())
    print(
        f"{n:,} predictions, {len(truth.labels)} labels: {seconds:.1f} CPU-s; largest memory {after / 1024:,.0f} MiB, "
        f"{before / 1024:,.0f} MiB before"
    )


def coverage(trials: int = 4000) -> None:
    """Print how often intervals of accuracy hold the true value, over groups of several sizes and likenesses."""
    rng = np.random.default_rng(3)
    probabilities = np.linspace(0.05, 0.95, 19)
    print("groups  size      likeness   mean over p   lowest  at p")
    for count, size, likeness in (
        *((count, 1, 0.0) for count in (200, 1000)),
        *((100, size, like) for size in (2, 5, 10, 50) for like in (0.0, 0.1, 0.3, 0.5, 0.8, 1.0)),
        *((100, 0, like) for like in (0.1, 0.5, 1.0)),
        (300, 10, 0.3),
    ):
        held = np.array([_share_held(rng, p, count, size, likeness, trials) for p in probabilities])
        name = f"{size}" if size else "1 … 20"
        lowest = int(held.argmin())
        print(
            f"{count:6d}  {name:8s}  {likeness:8.1f}   {held.mean():11.4f}   {held[lowest]:6.3f}  "
            f"{probabilities[lowest]:.2f}"
        )


def _share_held(
    rng: np.random.Generator, p: float, count: int, size: int, likeness: float, trials: int
) -> float:
    """Return how often the interval holds p; the hits of a group are beta-binomial with an intraclass correlation."""
    sizes = np.full((trials, count), size) if size else rng.integers(1, 21, (trials, count))
    share = np.full((trials, count), p)
    if likeness == 1:
        share = (rng.random((trials, count)) < p).astype(float)
    elif likeness:
        whole = 1 / likeness - 1
        share = rng.beta(p * whole, (1 - p) * whole, (trials, count))
    hits = rng.binomial(sizes, share).astype(float)
    n = sizes.sum(axis=1)
    value = hits.sum(axis=1) / n
    residuals = np.sum((hits - value[:, None] * sizes) ** 2, axis=1) * count / (count - 1)
    effective = effective_size(value, n, np.sum(sizes**2.0, axis=1), residuals)
    low, high = wilson(value, n if size == 1 else effective, np.full(trials, count))
    return float(np.mean((low <= p) & (p <= high)))


def slices() -> None:
    """Print in how many seeds a planted failure is the first slice, and in how many of 200 there is one without."""
    first = 0
    for seed in range(20):
        truth = Truth.from_frame(table(20_000, seed))
        radius, sigma = truth.labels["circle.radius"], truth.labels["psf.sigma"]
        wrong = np.where((radius < 3) & (sigma > 1.5), 0.5, 0.05)
        losses = (np.random.default_rng(1000 + seed).random(20_000) < wrong).astype(float)
        found = find_slices(
            losses, truth.labels, truth.codes, truth.classes, Groups(truth.groups), seed=seed
        )
        names = {each.label for each in found[0].conditions} if len(found) else set()
        first += names == {"circle.radius", "psf.sigma"}
        print(f"  {'; '.join(map(str, found))}")
    print(f"planted: the first slice in {first} of 20 seeds")
    for n, per_group, rate in (
        (2000, 1, 0.1),
        (2000, 1, 0.02),
        (2000, 10, 0.1),
        (10000, 1, 0.1),
        (2000, 1, None),
    ):
        told = 0
        for seed in range(200):
            truth = Truth.from_frame(table(n, seed, per_group=per_group))
            rng = np.random.default_rng(3000 + seed)
            if rate is None:
                losses = np.abs(rng.standard_t(3, n))
            else:
                spread = 0.08 * rng.normal(size=n) if per_group > 1 else np.zeros(n)
                share = np.clip(rate + spread[truth.groups], 0, 1)
                losses = (rng.random(n) < share).astype(float)
            found = find_slices(
                losses,
                truth.labels,
                truth.codes,
                truth.classes,
                Groups(truth.groups),
                seed=seed,
                hits=rate is not None,
            )
            told += len(found) > 0
        what = "absolute errors of a t distribution" if rate is None else f"errors {rate:.0%}"
        print(
            f"none planted, {n:,} samples in groups of {per_group}, {what}: told in {told} of 200"
        )


def main() -> None:
    """Run what was asked for."""
    parts: dict[str, Callable[[], None]] = {"speed": speed, "coverage": coverage, "slices": slices}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=parts)
    parts[parser.parse_args().part]()


if __name__ == "__main__":
    main()
