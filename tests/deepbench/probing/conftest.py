"""Truths of tests: as a table of a release has them, without a release."""

import numpy as np
import pandas as pd
import pytest

from deepbench.probing.truth import Truth


@pytest.fixture(scope="session")
def make_truth():
    """Return a truth of samples of the split ``test`` with classes a, b, … and given labels and groups."""

    def make(classes, labels=None, groups=None, splits=None, **more):
        n = len(classes)
        names = [chr(97 + k) for k in range(max(int(np.max(classes)) + 1, 1))]
        frame = pd.DataFrame({"id": np.arange(n)})
        frame["class"] = pd.Categorical.from_codes(classes, names)
        parts = np.full(n, 1) if splits is None else np.asarray(splits)
        frame["split"] = pd.Categorical.from_codes(parts, ["train", "test", "other"])
        frame["group"] = np.arange(n) if groups is None else groups
        for name, values in (labels or {}).items():
            frame[name] = values
        return Truth.from_frame(frame, **more)

    return make
