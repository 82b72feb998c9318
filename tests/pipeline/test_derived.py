"""Derived labels in a release: stored, checked by computing them again, made again, and the same as a table grows."""

from __future__ import annotations

import functools
import runpy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepbench import format as fmt
from deepbench import labels
from deepbench.catalog import find
from deepbench.errors import ReleaseError
from deepbench.recipe import parse_recipe
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions
from pipeline.repair import repair
from pipeline.verify import verify
from tests.exact_csv import read_csv

TOOLS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "corruption.py"))
overwrite, sign = TOOLS["overwrite"], TOOLS["sign"]

RECIPE = """\
name: derived
version: 1.0.0
title: Labels that follow from others
seed: 5
tables:
  images:
    kind: image
    samples: 24
    size: [16, 16]
    measure: true
    labels:
      size: {value: "= sqrt(shape.area / pi)", unit: pixel, description: radius of a disk of this area}
      double: {value: "= 2 * dot.repeat"}
    log_prior: true
    label_noise: {class: 0.5}
    classes:
      disk: {objects: [{circle: {x: {uniform: [0, 15]}, y: 8, radius: {uniform: [1, 6]}}, name: shape}]}
      dots:
        objects:
          - circle: {x: {uniform: [0, 15]}, y: 8, radius: 1}
            name: dot
            repeat: {integers: [0, 3]}
storage: {chunk_bytes: 4096, shard_bytes: 8192}
"""
DERIVED = ("labels.size", "labels.double", "log_prior", "class_noisy")
LABELS = f"{fmt.METADATA}/images.parquet"


@pytest.fixture(scope="module")
def made(cluster):
    """Build on the shared cluster."""
    return functools.partial(build, cluster=ClusterOptions(scheduler=cluster.scheduler_address))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory, made):
    """A catalog with the release."""
    folder = tmp_path_factory.mktemp("derived")
    made(parse_recipe(RECIPE), str(folder))
    return folder


def release_in(catalog, version="1.0.0"):
    return find("derived", version, catalog)


def same(one, other, names):
    for name in names:
        np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(other[name]), err_msg=name)


def test_they_are_stored_as_other_labels_are(catalog):
    release = release_in(catalog)
    drawn, stored = labels(release.recipe, "images"), release.labels("images")
    same(drawn, stored, drawn.columns)
    path = Path(release.path)
    csv = read_csv(path / fmt.METADATA / "images.csv")
    same(drawn, csv, drawn.columns)
    note = pq.read_schema(path / LABELS).field("labels.size").metadata
    assert note == {b"unit": b"pixel", b"description": b"radius of a disk of this area"}
    assert "| `labels.size` | pixel | radius of a disk of this area |" in (
        path / fmt.CARD
    ).read_text(encoding="utf-8")
    noisy = release.open()["images"]["class_noisy"]
    assert noisy.attrs["flag_meanings"] == "disk dots"
    assert verify(release, rerender=0.3).findings == []


def test_each_is_computed_again_by_verify_and_made_again_by_repair(catalog):
    release = release_in(catalog)
    path = Path(release.path)
    whole = (path / LABELS).read_bytes()
    table = pq.read_table(path / LABELS)
    try:
        for name in DERIVED:
            column = release.labels("images")[name]
            row = int(np.flatnonzero(column.notna())[-1])
            values = column.tolist()
            flipped = "dots" if values[row] == "disk" else "disk"
            values[row] = flipped if name == "class_noisy" else np.nextafter(values[row], np.inf)
            number, field = table.schema.get_field_index(name), table.schema.field(name)
            changed = pa.array(
                values, pa.string() if pa.types.is_dictionary(field.type) else field.type
            )
            edited = table.set_column(number, field, changed.cast(field.type))
            overwrite(path / LABELS, b"")
            (path / LABELS).unlink()
            pq.write_table(edited, path / LABELS)
            manifest = (path / fmt.MANIFEST).read_bytes()
            sign(path, LABELS)
            found = verify(release_in(catalog), rerender=0.01).findings
            assert [
                (each.check, each.message, each.samples)
                for each in found
                if each.check == "rerender"
            ] == [("rerender", f"{name} is not what the recipe draws", (row,))]
            overwrite(path / fmt.MANIFEST, manifest)
        assert repair(release_in(catalog), str(catalog)).repaired == [LABELS]
        assert (path / LABELS).read_bytes() == whole
    finally:
        overwrite(path / LABELS, whole)


def test_they_stay_as_a_table_grows_and_another_formula_is_another_version(catalog, made):
    grown = parse_recipe(RECIPE).replace({"version": "1.1.0", "tables.images.samples": 40})
    assert made(grown, str(catalog)).reused.blocks
    before, after = (release_in(catalog, each).labels("images") for each in ("1.0.0", "1.1.0"))
    same(before, after[:24], before.columns)
    for path, text, name in (
        ("tables.images.labels.double.value", "= 3 * dot.repeat", r"labels\.double"),
        ("tables.images.label_noise.class", 0.4, "class_noisy"),
    ):
        other = grown.replace({"version": "1.1.1", path: text})
        with pytest.raises(ReleaseError, match=rf"differs in {name} .*raise `version` to 2\.0\.0"):
            made(other, str(catalog))
    words = {"version": "1.1.1", "tables.images.labels.size.description": "size"}
    assert made(grown.replace(words), str(catalog)).reused.blocks
