from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr

import deepbench
from deepbench import format as fmt
from deepbench import labels, objects, render
from pipeline import metadata
from tests.exact_csv import read_csv

TABLES = ("images", "squares")


def same(read, drawn):
    """Compare two frames bit for bit: columns, types, values, NaNs, names of classes."""
    assert list(read.columns) == list(drawn.columns)
    for name in drawn.columns:
        left, right = read[name], drawn[name]
        if isinstance(right.dtype, pd.CategoricalDtype):
            assert list(left.astype(str)) == list(right.astype(str)), name
            assert list(left.cat.categories) == list(right.cat.categories), name
        else:
            assert left.dtype == right.dtype, name
            assert left.to_numpy().tobytes() == right.to_numpy().tobytes(), name


@pytest.fixture(params=TABLES)
def table(request):
    return request.param


@pytest.fixture
def columns(built):
    return lambda table: built.recipe.table(table).plan.columns


def test_the_recipe_has_what_is_hard(built):
    """One class is so rare that the first block has none of it; the others have NaNs."""
    frame = labels(built.recipe, "images")
    rare = frame.index[frame["class"] == "rare"]
    assert len(rare) >= 1
    assert rare[0] >= 16
    assert frame[frame["class"] != "rare"].isna().any(axis=1).all()


def test_parquet_equals_labels(built, table):
    same(built.release.labels(table), labels(built.recipe, table))


def test_one_row_equals_labels(built):
    frame = labels(built.recipe, "images")
    for number in (0, 15, 16, 299):
        row = built.release.label("images", number)
        pd.testing.assert_series_equal(
            row.astype(object), frame.iloc[number].astype(object), check_names=False
        )


def test_csv_equals_labels(built, table):
    path = built.path / "metadata" / f"{table}.csv"
    read = read_csv(path)
    drawn = labels(built.recipe, table)
    assert list(read.columns) == list(drawn.columns)
    for name in drawn.columns:
        if isinstance(drawn[name].dtype, pd.CategoricalDtype):
            assert list(read[name]) == list(drawn[name].astype(str))
        else:
            values = read[name].astype(drawn[name].dtype)  # a column of whole numbers has no points
            assert values.to_numpy().tobytes() == drawn[name].to_numpy().tobytes(), name


def test_label_variables_equal_labels(built, table, columns):
    drawn = labels(built.recipe, table)
    data = xr.open_datatree(built.path / "data.zarr", engine="zarr")[table].to_dataset()
    for column in columns(table):
        stored = data[column.name].values
        expected = drawn[column.name]
        if column.meanings:
            expected = expected.cat.codes
        assert stored.dtype == column.dtype
        assert stored.tobytes() == expected.to_numpy().astype(column.dtype).tobytes(), column.name


def test_objects_equal_objects(built):
    drawn = objects(built.recipe, "images")
    same(built.release.objects("images"), drawn)
    assert len(drawn) == built.release.manifest.tables["images"].objects
    wide = labels(built.recipe, "images")
    assert len(drawn) == wide[["rectangle.repeat", "line.repeat"]].to_numpy().sum()
    assert not (built.path / "metadata/squares.objects.parquet").exists()


def test_rows_render_their_samples(built):
    """The files alone are enough to render a sample again."""
    image = built.release.open()["images"]["image"]
    rows = built.release.labels("images").iloc[[3, 77, 299]]
    again = render(
        built.release.recipe, "images", labels=rows, objects=built.release.objects("images")
    )
    assert np.array_equal(again["image"].values, image.values[[3, 77, 299]])


def test_parquet_fields_carry_units_and_descriptions(built, table, columns):
    schema = pq.read_schema(built.path / "metadata" / f"{table}.parquet")
    for column in columns(table):
        notes = schema.field(column.name).metadata
        assert notes[b"description"].decode() == column.description
        assert notes.get(b"unit", b"").decode() == ("" if column.meanings else column.unit)
    if table == "images":
        assert schema.field("circle.radius").metadata[b"unit"] == b"pixel"
        long = pq.read_schema(built.path / "metadata/images.objects.parquet")
        assert long.field("width").metadata[b"unit"] == b"pixel"


def test_parquet_has_the_digest_of_each_sample(built, table):
    (variable,) = built.recipe.tables[table].data_variables()
    stored = pq.read_table(built.path / "metadata" / f"{table}.parquet")["digest.image"].to_pylist()
    data = built.release.open()[table]["image"].values
    assert stored == fmt.sample_digests(variable, data)
    assert len(set(stored)) == (len(stored) if table == "images" else len(set(stored)))
    for number in (0, 15, 16, len(stored) - 1):  # a sample rendered alone is that of the release
        alone = render(built.recipe, table, number, number + 1)["image"].values
        assert fmt.sample_digests(variable, alone) == [stored[number]]


def test_data_digest(built, table):
    """SHA-256 over the samples' digests, as the format says."""
    stored = pq.read_table(built.path / "metadata" / f"{table}.parquet")["digest.image"].to_pylist()
    digest = fmt.DataDigest(["image"])
    digest.update("image", b"".join(stored))
    assert digest.hexdigest() == built.release.manifest.tables[table].data_digest


def test_the_manifest_counts(built, table):
    summary = built.release.manifest.tables[table]
    drawn = labels(built.recipe, table)
    assert summary.samples == len(drawn)
    assert summary.classes == drawn["class"].value_counts(sort=False).to_dict()
    assert summary.splits == drawn["split"].value_counts(sort=False).to_dict()
    assert list(summary.classes) == list(drawn["class"].cat.categories)
    assert list(summary.columns) == list(drawn.columns)


def test_long_tables_have_no_csv(make, make_recipe, tmp_path, monkeypatch, check):
    monkeypatch.setattr(fmt, "CSV_ROWS", 100)
    make(make_recipe(), tmp_path)
    check(tmp_path)
    names = {path.name for path in (tmp_path / "small/1.0.0/metadata").iterdir()}
    assert names == {
        "images.parquet",
        "images.objects.parquet",
        "squares.parquet",
        "squares.csv",
        "images.statistics.json",
        "squares.statistics.json",
    }


@pytest.mark.parametrize("rows", [75, 77])  # 300 samples: no rest, and a rest
def test_label_variables_of_several_chunks(make, make_recipe, tmp_path, monkeypatch, check, rows):
    recipe = make_recipe()
    monkeypatch.setattr(fmt, "LABEL_CHUNK", rows)  # of no relation to blocks and batches
    make(recipe, tmp_path)
    check(tmp_path)
    folder = tmp_path / "small/1.0.0/data.zarr"
    assert len(list((folder / "images/circle.radius/c").iterdir())) == 4
    data = xr.open_datatree(folder, engine="zarr")["images"].to_dataset()
    drawn = labels(recipe, "images")
    assert data["circle.radius"].values.tobytes() == drawn["circle.radius"].to_numpy().tobytes()
    assert np.array_equal(data["id"], drawn["id"])
    assert np.array_equal(data["class"], drawn["class"].cat.codes)


def test_columns_of_which_one_is_the_beginning_of_another(make, make_recipe, tmp_path):
    """``variables.a`` of one class, and the columns ``variables.a.p`` of a joint draw of another."""
    joint = {"columns": ["p", "q"], "mean": [1, 2], "covariance": [[1, 0], [0, 1]]}
    circle = [{"circle": {"x": 4, "y": 4, "radius": 2}}]
    recipe = make_recipe(
        tables__squares__classes={
            "first": {"variables": {"a": {"multivariate_normal": joint}}, "objects": circle},
            "second": {"variables": {"a": {"uniform": [100, 200]}}, "objects": circle},
        }
    )
    make(recipe, tmp_path)
    drawn = labels(recipe, "squares")
    tree = deepbench.open("small", catalog=tmp_path)
    for name in ("variables.a", "variables.a.p", "variables.a.q"):
        stored = tree["squares"][name].values
        assert stored.tobytes() == drawn[name].to_numpy().tobytes(), name


def test_codes_are_counted_also_where_there_are_none():
    from collections import Counter

    import pyarrow as pa

    counter = Counter()
    metadata.count(counter, ("a", "b", "c"), pa.chunked_array([pa.array([0, 0, 2], pa.int8())]))
    metadata.count(counter, ("a", "b", "c"), pa.chunked_array([pa.array([2], pa.int8())]))
    assert counter == {"a": 2, "b": 0, "c": 2}
    assert list(counter) == ["a", "b", "c"]
