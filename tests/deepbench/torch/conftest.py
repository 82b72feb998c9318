"""A small release of images in chunks of 16 samples, and its recipe."""

from importlib.util import find_spec

import pytest

from deepbench.catalog import find
from deepbench.recipe import parse_recipe
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]

RECIPE = """\
name: tiny
version: 1.0.0
title: Small shapes
license: CC-BY-4.0
seed: 7
splits: {train: 0.8, test: 0.2}
storage: {chunk_bytes: 4096, shard_bytes: 65536}
tables:
  images:
    kind: image
    samples: 1000
    size: [8, 8]
    classes:
      circle: {objects: [{circle: {x: {uniform: [2, 6]}, y: {uniform: [2, 6]}, radius: {uniform: [1, 3]}}}]}
      line:
        objects: [{line: {x: 4, y: {uniform: [2, 6]}, length: 4, thickness: 1, angle: {uniform: [0, 180]}}}]
    psf: {gaussian: {sigma: {uniform: [0.5, 2.0]}}}
    noise: [{gaussian: {sigma: 0.05}}]
"""


@pytest.fixture(scope="session")
def recipe():
    return parse_recipe(RECIPE)


@pytest.fixture(scope="session")
def catalog(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("releases")
    build(recipe, str(folder), cluster=ClusterOptions(workers=1))
    return folder


@pytest.fixture
def release(catalog):
    return find("tiny", catalog=catalog)
