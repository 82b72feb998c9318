"""Releases of selected samples, of splits by rule, and of tables that draw from another one."""

from __future__ import annotations

import numpy as np
import pytest

from deepbench.catalog import find
from deepbench.errors import PlanError
from deepbench.recipe import parse_recipe

RECIPE = """\
name: selected
version: 1.0.0
title: Stars that are seen, and their twins without noise
seed: 5
variables: {hour: {uniform: [0, 24]}}
tables:
  seen:
    <<: &stars
      kind: image
      samples: 40
      size: [16, 16]
      pixel_scale: 0.2
      group_size: 2
      variables: {seeing: {per: group, uniform: [0.8, 1.2]}}
      classes:
        star: {objects: [{star: {x: {uniform: [4, 12]}, y: 8, flux: {log_uniform: [50, 5000]}}}]}
        pair:
          weight: 2
          objects:
            - star: {x: {uniform: [4, 12]}, y: 8, flux: {log_uniform: [50, 5000]}}
            - {star: {x: 8, y: {uniform: [4, 12]}, flux: 100}, repeat: {integers: [0, 2]}, name: others}
      psf: {moffat: {fwhm: "= seeing", beta: 3}}
    measure: true
    splits: {train: 0.7, test: 0.3, poor: {where: "seeing > 1.1"}}
    require: {where: "star.snr > 8 and hour > 6"}
    noise: [{background: {level: 50}}, {poisson: {}}]
    labels: {seen_at: {value: "= where(hour > 12, hour - 12, hour)", unit: h}}
    label_noise: {class: 0.2}
  clean: {<<: *stars, draw_from: seen}
storage: {chunk_bytes: 4096, shard_bytes: 16384}
"""
"""16 images to a block."""


@pytest.mark.slow
def test_selected_samples_grow_and_keep_their_twins(make, tmp_path, check):
    recipe, catalog = parse_recipe(RECIPE), tmp_path / "releases"
    make(recipe, catalog)
    check(catalog, "selected", "1.0.0")
    more = {"version": "1.1.0", "tables.seen.samples": 70, "tables.clean.samples": 70}
    grown = make(recipe.replace(more), catalog)
    assert grown.reused.blocks == 4
    check(catalog, "selected", "1.1.0")
    assert grown.manifest.tables == make(recipe.replace(more), tmp_path / "apart").manifest.tables
    release = find("selected", "1.1.0", catalog)
    seen, clean = (release.labels(name) for name in ("seen", "clean"))
    assert (seen["star.snr"] > 8).all()
    assert (seen["variables.hour"] > 6).all()
    assert seen["attempt"].max() > 0
    assert ((seen["split"] == "poor") == (seen["variables.seeing"] > 1.1)).all()
    for name in ("class", "split", "attempt", "variables.hour", "star.flux", "others.repeat"):
        assert (seen[name].astype(str) == clean[name].astype(str)).all(), name
    assert np.isfinite(seen["labels.seen_at"]).all()
    card = (catalog / "selected" / "1.1.0" / "README.md").read_text()
    assert "Selected by labels that are measured without noise: `star.snr > 8 and hour > 6`" in card
    assert "Labels are drawn from the streams of table `seen`" in card
    with pytest.raises(PlanError, match="must accept 2%"):
        make(recipe.replace({"tables.seen.require.where": "star.snr > 1e5"}), tmp_path / "none")
