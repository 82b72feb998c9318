"""As many samples are rendered as take half a minute, however long one takes."""

import numpy as np
import pytest

import deepbench
from deepbench.probing import costs
from deepbench.probing.costs import affordable


@pytest.mark.parametrize(
    ("each", "samples", "count", "most"),
    [(0.1, 6000, 256, 8), (4.0, 6000, 4, 8), (20.0, 3, 1, 3), (1e-4, 300, 2**18, 300)],
)
def test_the_number_of_samples_follows_from_the_time_of_the_first(
    each, samples, count, most, monkeypatch
):
    """Compiling, here a minute at the first call of each size, counts for nothing."""
    recipe = deepbench.load_recipe("workflows/shapes.yaml")
    clock, rendered = [0.0], []

    def render(recipe, table, ids):
        clock[0] += each * len(ids) + (0 if rendered and rendered[-1] == len(ids) else 60)
        rendered.append(len(ids))

    monkeypatch.setattr(costs, "unchanged", render)
    monkeypatch.setattr(costs.time, "process_time", lambda: clock[0])
    assert affordable(recipe, "images", np.arange(samples)) == count
    assert max(rendered) == most
