"""Metrics of searches: what is found before false alarms come, and where it is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepbench.probing.by_label import Bins
from deepbench.probing.intervals import Estimate, Groups, means_of_bins, proportion


def threshold(scores: NDArray, positive: NDArray, false_alarms: int) -> float:
    """Return the lowest score above which there are at most so many false alarms; above it, a sample is found."""
    negative = np.sort(scores[~positive])[::-1]
    return float(negative[false_alarms]) if len(negative) > false_alarms else -np.inf


def true_positive_rate(
    scores: NDArray, positive: NDArray, groups: Groups, false_alarms: int
) -> Estimate:
    """Return the share of positives that are found with at most so many false alarms.

    With 0 this is TPR₀ and with 9 TPR₁₀ ("less than ten") of the lens-finding challenge (Metcalf et al. 2019).
    The interval is that of the share above the threshold that was found; that another test set would have another
    threshold is not in it.
    """
    found = scores > threshold(scores, positive, false_alarms)
    return proportion(found[positive], groups.take(positive))


def completeness(found: NDArray, groups: Groups, x: Bins, y: Bins) -> pd.DataFrame:
    """Return the share of positives that are found in the cells of two labels, with intervals, where there are any.

    Parameters
    ----------
    found : ndarray of bool, shape (n,)
        Of positives.
    groups : Groups
    x, y : Bins
        Of the same samples.
    """
    here = (x.codes >= 0) & (y.codes >= 0)
    codes = x.codes[here].astype(np.intp) * y.count + y.codes[here]
    table: dict[str, Any] = {}
    for name, bins in (("x", x), ("y", y)):
        index = np.arange(x.count * y.count)
        index = index // y.count if name == "x" else index % y.count
        table[name] = bins.label
        table[f"{name}_low"], table[f"{name}_high"] = bins.lows[index], bins.highs[index]
    table |= means_of_bins(found[here], codes, x.count * y.count, groups.take(here), hits=True)
    frame = pd.DataFrame(table)
    return frame[frame["n"] > 0].reset_index(drop=True)
