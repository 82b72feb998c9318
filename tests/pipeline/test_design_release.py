"""Releases of tables whose samples go through combinations, points and rows one after another."""

from __future__ import annotations

import numpy as np
import pytest

from deepbench.catalog import find
from deepbench.errors import ReleaseError
from deepbench.recipe import parse_recipe

RECIPE = """\
name: crossed
version: 1.0.0
title: Every combination
seed: 5
tables:
  images:
    kind: image
    size: [16, 16]
    factors: {radius: {grid: [1, 4, 4]}, x: [6, 8, 10], class: all}
    factor_order: shuffled
    variables: {at: {sobol: {columns: {y: {uniform: [4, 12]}}}}}
    classes:
      circle: {objects: [{circle: {x: "= x", y: "= at.y", radius: "= radius"}}]}
      square: {objects: [{rectangle: {x: "= x", y: "= at.y", width: "= radius", height: "= radius"}}]}
    noise: [{gaussian: {sigma: 0.1}}]
storage: {chunk_bytes: 4096, shard_bytes: 16384}
"""
"""24 combinations; 16 images to a block."""


@pytest.mark.slow
def test_a_design_grows_and_keeps_its_levels(make, tmp_path, check):
    recipe, catalog = parse_recipe(RECIPE), tmp_path / "releases"
    make(recipe, catalog)
    assert find("crossed", "1.0.0", catalog).manifest.tables["images"].samples == 24
    larger = recipe.replace({"version": "1.1.0", "tables.images.samples": 60})
    grown = make(larger, catalog)
    assert grown.reused.blocks == 1
    check(catalog, "crossed", "1.1.0")
    apart = make(larger, tmp_path / "apart")
    assert grown.manifest.tables == apart.manifest.tables
    frame = find("crossed", "1.1.0", catalog).labels("images")
    names = ["variables.radius", "variables.x", "class"]
    assert not frame[names][:24].duplicated().any()
    assert set(np.unique(frame.groupby(names, observed=True).size())) == {2, 3}
    changed = {"version": "1.2.0", "tables.images.factors.x": [6, 8, 11]}
    with pytest.raises(
        ReleaseError, match=r"sample 2 differs in variables.x.*raise `version` to 2.0.0"
    ):
        make(larger.replace(changed), catalog)
    make(larger.replace(changed | {"version": "2.0.0"}), catalog)
