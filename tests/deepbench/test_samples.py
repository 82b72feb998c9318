"""Samples: any range is a part of the whole, and a row of labels renders its sample again."""

import io
import json
import re
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import deepbench
from deepbench import samples
from deepbench.errors import CatalogError, LabelError, RangeWarning
from deepbench.kinds import KINDS
from deepbench.recipe import Recipe, load_recipe, parse_recipe
from deepbench.samples import (
    draw_labels,
    from_frames,
    labels,
    objects,
    render,
    render_arrays,
)
from tests.exact_csv import read_csv

WORKFLOWS = Path(__file__).parents[2] / "workflows"

TEXT = """\
name: things
version: 1.0.0
title: Every sort of class
seed: 7
splits: {train: 0.5, test: 0.5}
tables:
  images:
    kind: image
    samples: 60
    size: [17, 23]
    variables: {brightness: {log_uniform: [20, 60]}}
    classes:
      dot:
        objects:
          - circle: {x: {uniform: [2, 20]}, y: {uniform: [2, 14]}, radius: {uniform: [1, 6]}, amplitude: 30}
          - rectangle:
              x: {uniform: [2, 20]}
              y: 8
              width: {uniform: [1, 9]}
              height: 5
              angle: {uniform: [0, 180]}
              amplitude: 10
            blend: over
      many:
        objects:
          - circle:
              x: {uniform: [2, 20]}
              y: {uniform: [2, 14]}
              radius: {uniform: [1, 5]}
              amplitude: "= brightness"
            repeat: {integers: [0, 4]}
            blend: over
          - line:
              x: {uniform: [2, 20]}
              y: 8
              length: {uniform: [4, 18]}
              thickness: 2
              angle: {uniform: [0, 180]}
              amplitude: 40
            repeat: {integers: [1, 3]}
            blend: over
    psf: {gaussian: {sigma: {uniform: [0, 2.5]}}}
    noise:
      - background: {level: {uniform: [1, 5]}}
      - poisson: {gain: {uniform: [0.5, 2]}}
      - gaussian: {sigma: {uniform: [0, 2]}}
"""
RECIPE = parse_recipe(TEXT)
TABLE = "tables.images"


@pytest.fixture(scope="module")
def whole():
    return render(RECIPE, "images")


@pytest.fixture(scope="module")
def frame():
    return labels(RECIPE, "images")


@pytest.fixture(scope="module")
def copies():
    return objects(RECIPE, "images")


def same(first, second):
    """Require that two datasets agree in every bit of data and labels."""
    assert set(first.variables) == set(second.variables)
    for name in first.variables:
        here, there = first[name].values, second[name].values
        assert here.dtype == there.dtype
        np.testing.assert_array_equal(here, there, err_msg=name)


def images(changes):
    return render(RECIPE.replace(changes), "images").image.values


# --- ranges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (0, 30), (30, 60), (13, 14), (7, 52), (59, 60)]
)
def test_a_range_is_a_part_of_the_whole(whole, start, stop):
    same(whole.isel(sample=slice(start, stop)), render(RECIPE, "images", start, stop))


def test_each_sample_alone_is_that_of_the_whole(whole):
    for sample in range(60):
        alone = render(RECIPE, "images", sample, sample + 1)
        same(whole.isel(sample=slice(sample, sample + 1)), alone)


def test_blocks_of_any_length_are_the_whole(whole):
    for length in (1, 7, 16, 59):
        edges = [*range(0, 60, length), 60]
        parts = [
            render(RECIPE, "images", start, stop).image.values for start, stop in pairwise(edges)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole.image)


@pytest.mark.parametrize("name", ["shapes", "all_shapes"])
def test_samples_of_the_workflows_can_be_rendered_alone(name):
    recipe = load_recipe(WORKFLOWS / f"{name}.yaml")
    block = render(recipe, "images", 100, 160)
    assert len(set(block["class"].values.tolist())) > 1
    for sample in (100, 117, 133, 159):
        same(
            block.isel(sample=slice(sample - 100, sample - 99)),
            render(recipe, "images", sample, sample + 1),
        )


def test_more_samples_keep_the_earlier_ones(whole):
    larger = render(RECIPE.replace({f"{TABLE}.samples": 75}), "images")
    assert larger.sizes["sample"] == 75
    same(whole, larger.isel(sample=slice(0, 60)))
    smaller = render(RECIPE.replace({f"{TABLE}.samples": 9}), "images")
    same(whole.isel(sample=slice(0, 9)), smaller)
    same(larger.isel(sample=slice(60, 75)), render(RECIPE, "images", 60, 75))  # beyond the table


def test_rendering_twice_gives_the_same(whole):
    same(whole, render(parse_recipe(TEXT), "images"))


def test_the_last_sample_that_can_be_counted():
    assert render(RECIPE, "images", 2**32 - 1, 2**32).id.item() == 2**32 - 1


def test_samples_differ(whole):
    flat = whole.image.values.reshape(60, -1)
    assert len(np.unique(flat, axis=0)) == 60


# --- what shapes the images, and what does not ---------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"storage": {"chunk_bytes": 1024, "shard_bytes": 4096}},
        {"name": "other", "version": "2.3.4", "title": "Other"},
        {"description": "Other", "license": "MIT", "authors": ["A"], "references": ["B"]},
        {"splits": {"all": 1}},
        {f"{TABLE}.group_size": 4},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_storage_words_and_splits_change_no_image(whole, changes):
    np.testing.assert_array_equal(images(changes), whole.image)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"splits": {"train": 0.2, "test": 0.8}}, "split"),
        ({"splits": {"test": 0.5, "train": 0.5}}, "split"),
        ({f"{TABLE}.group_size": 4}, "group"),
        ({f"{TABLE}.group_size": 4}, "split"),
        ({f"{TABLE}.classes.dot.weight": 5}, "class"),
        ({f"{TABLE}.classes.many.objects.0.repeat": 2}, "circle.repeat"),
        ({"seed": 8}, "class"),
        ({"seed": 8}, "circle.x"),
        ({f"{TABLE}.variables.brightness": {"uniform": [20, 60]}}, "variables.brightness"),
    ],
    ids=lambda each: each if isinstance(each, str) else str(each)[:50],
)
def test_what_the_recipe_says_changes_the_labels(frame, changes, column):
    changed = labels(RECIPE.replace(changes), "images")
    assert changed[column].astype(str).tolist() != frame[column].astype(str).tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 8},
        {f"{TABLE}.classes.dot.weight": 5},
        {f"{TABLE}.classes.many.objects.0.repeat": 2},
        {f"{TABLE}.classes.many.objects.0.blend": "add"},
        {f"{TABLE}.classes.many.objects.1.blend": "add"},
        {f"{TABLE}.classes.dot.objects.1.blend": "add"},
        {f"{TABLE}.variables.brightness": 70},
        {f"{TABLE}.noise": []},
    ],
    ids=lambda changes: f"{next(iter(changes))}={next(iter(changes.values()))}"[:60],
)
def test_what_the_recipe_says_changes_the_images(whole, changes):
    assert np.abs(images(changes) - whole.image.values).max() > 1


def test_the_order_of_objects_that_cover_matters(whole):
    entries = RECIPE.resolved()["tables"]["images"]["classes"]["many"]["objects"]
    turned = images({f"{TABLE}.classes.many.objects": entries[::-1]})
    differ = (turned != whole.image.values).any(axis=(1, 2))
    assert differ[(whole["class"] == 1).values].any()
    assert not differ[(whole["class"] == 0).values].any()


def test_the_name_of_the_table_moves_all_draws(whole):
    data = RECIPE.resolved()
    data["tables"] = {"others": data["tables"]["images"]}
    other = render(parse_recipe(json.dumps(data)), "others")
    assert (other.image.values != whole.image.values).any(axis=(1, 2)).all()


def test_what_is_changed_in_a_dataset_stays_in_it():
    first = render(RECIPE, "images", 3, 4)
    expected = first.copy(deep=True)
    first["x"].attrs["units"] = first["image"].attrs["units"] = "changed"
    first["image"][:] = 0
    assert render(RECIPE, "images", 3, 4).identical(expected)


# --- labels render their samples again -----------------------------------------------------------


def test_the_frame_renders_the_samples(whole, frame, copies):
    same(whole, render(RECIPE, "images", labels=frame, objects=copies))


def test_rows_in_any_order_render_their_samples(whole, frame, copies):
    order = np.random.default_rng(1).permutation(60)[:35]
    subset = frame.iloc[order]
    shuffled = copies.sample(frac=1, random_state=np.random.RandomState(2))
    again = render(RECIPE, "images", labels=subset, objects=shuffled)
    np.testing.assert_array_equal(again.id, order)
    same(whole.isel(sample=order), again)
    assert subset.attrs["units"] == frame.attrs["units"] != {}


def test_objects_follow_the_order_of_the_samples(frame, copies):
    plan = RECIPE.table("images").plan
    order = np.random.default_rng(3).permutation(60)[:35]
    shuffled = copies.sample(frac=1, random_state=np.random.RandomState(4))
    given = from_frames(plan, frame.iloc[order], shuffled)
    np.testing.assert_array_equal(given.samples, order)
    position = {sample: row for row, sample in enumerate(order.tolist())}
    rows = [position[sample] for sample in given.objects["sample"].tolist()]
    assert rows == sorted(rows)
    assert len(rows) == copies["sample"].isin(order).sum()


def test_labels_of_a_frame_call_the_kernels_that_drawn_ones_call(frame, copies):
    """Pandas hands out arrays that cannot be written: kernels would be compiled for these once more."""
    given = from_frames(RECIPE.table("images").plan, frame, copies)
    assert all(each.flags.writeable for each in (*given.columns.values(), *given.objects.values()))


def test_one_row_renders_its_sample(whole, frame, copies):
    for sample in (3, 41):
        again = render(RECIPE, "images", labels=frame.iloc[[sample]], objects=copies)
        same(whole.isel(sample=[sample]), again)
        mine = copies[copies["sample"] == sample]
        same(again, render(RECIPE, "images", labels=frame.iloc[[sample]], objects=mine))


def test_classes_without_copies_need_no_objects(whole, frame):
    dots = frame[frame["class"] == "dot"]
    assert 10 < len(dots) < 50
    same(whole.isel(sample=dots["id"].to_numpy()), render(RECIPE, "images", labels=dots))


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_labels_survive_csv(whole, frame, copies, order):
    texts = [table.iloc[order].to_csv(index=False) for table in (frame, copies)]
    tables = [read_csv(io.StringIO(text)) for text in texts]
    again = render(RECIPE, "images", labels=tables[0], objects=tables[1])
    same(whole.isel(sample=order), again)


def test_labels_survive_parquet(tmp_path, whole, frame, copies):
    tables = []
    for name, table in (("labels", frame), ("objects", copies)):
        table.to_parquet(tmp_path / f"{name}.parquet", index=False)
        tables.append(pd.read_parquet(tmp_path / f"{name}.parquet"))
        pd.testing.assert_frame_equal(tables[-1], table)
    same(whole, render(RECIPE, "images", labels=tables[0], objects=tables[1]))


@pytest.mark.parametrize("name", ["shapes", "all_shapes"])
def test_labels_of_the_workflows_survive_csv(name):
    recipe = load_recipe(WORKFLOWS / f"{name}.yaml")
    block = render(recipe, "images", 0, 60)
    tables = [labels(recipe, "images", 0, 60), objects(recipe, "images", 0, 60)]
    assert (len(tables[1]) > 0) == (name == "all_shapes")
    tables = [
        read_csv(io.StringIO(table.to_csv(index=False))) if len(table.columns) else None
        for table in tables
    ]
    same(block, render(recipe, "images", labels=tables[0], objects=tables[1]))


def test_the_labels_of_a_dataset_render_it_again(whole, frame, copies):
    names = list(frame.columns)
    table = whole[names].to_dataframe()[names]
    for name in ("class", "split"):
        meanings = whole[name].attrs["flag_meanings"].split()
        table[name] = [meanings[code] for code in table[name]]
    same(whole, render(RECIPE, "images", labels=table, objects=copies))


def test_a_changed_label_changes_its_sample_alone(whole, frame, copies):
    changed = frame.copy()
    row = frame.index[frame["class"] == "dot"][4]
    changed.loc[row, "circle.radius"] += 1
    again = render(RECIPE, "images", labels=changed, objects=copies)
    differ = (again.image != whole.image).any(("y", "x")).values
    np.testing.assert_array_equal(np.flatnonzero(differ), [row])
    assert again["circle.radius"].values[row] == frame["circle.radius"][row] + 1


def test_one_sample_may_be_varied_many_times(frame):
    row = frame[frame["class"] == "dot"].iloc[[2]]
    rows = pd.concat([row] * 5, ignore_index=True)
    rows["circle.amplitude"] = np.arange(5.0)
    silent = RECIPE.replace({f"{TABLE}.noise": []})
    with pytest.warns(
        RangeWarning, match=r"circle.amplitude = 0 and in 4 other rows, beyond .* \(30\)"
    ):
        again = render(silent, "images", labels=rows, extra="ignore")
    difference = np.diff(again.image.values, axis=0)
    np.testing.assert_allclose(difference, difference[[0] * 4], atol=1e-5)
    assert difference.max() > 0.1


def test_split_and_group_shape_no_image(whole, frame, copies):
    changed = frame.copy()
    changed["split"], changed["group"] = "test", 0
    again = render(RECIPE, "images", labels=changed, objects=copies)
    np.testing.assert_array_equal(again.image, whole.image)
    assert (again["split"] == 1).all()


def test_no_rows_render_no_samples(frame, copies):
    none = render(RECIPE, "images", labels=frame.iloc[:0], objects=copies)
    assert none.image.shape == (0, 17, 23)


def test_inputs_are_not_changed(frame, copies):
    before = frame.copy(), copies.copy()
    render(RECIPE, "images", labels=frame, objects=copies)
    pd.testing.assert_frame_equal(frame, before[0])
    pd.testing.assert_frame_equal(copies, before[1])


# --- what comes back -----------------------------------------------------------------------------


def test_the_dataset_is_labelled_and_described(whole, frame):
    assert whole.image.dims == ("sample", "y", "x")
    assert whole.image.dtype == "float32"
    assert whole.attrs == {"recipe": "things", "recipe_hash": RECIPE.hash, "table": "images"}
    for name, variable in whole.variables.items():
        assert variable.attrs["long_name"], name
        assert ("units" in variable.attrs) != ("flag_values" in variable.attrs), name
    assert whole["circle.radius"].attrs == {"long_name": "radius", "units": "pixel"}
    assert whole["class"].attrs["flag_values"] == [0, 1]
    assert whole["class"].attrs["flag_meanings"] == "dot many"
    assert set(whole.coords) == {"x", "y"}
    np.testing.assert_array_equal(whole.y, np.arange(17))
    np.testing.assert_array_equal(whole.x, np.arange(23))
    assert set(whole.data_vars) == {"image", *frame.columns}
    for name in frame.columns:
        values = frame[name].cat.codes if name in ("class", "split") else frame[name]
        np.testing.assert_array_equal(whole[name], values)


def test_frames_have_names_and_units(frame, copies):
    assert list(frame.columns[:4]) == ["id", "class", "split", "group"]
    assert list(copies.columns[:4]) == ["sample", "object", "kind", "copy"]
    assert list(frame["class"].cat.categories) == ["dot", "many"]
    assert list(frame["split"].cat.categories) == ["train", "test"]
    assert list(copies["object"].cat.categories) == ["circle", "line"]
    units = frame.attrs["units"]
    assert set(units) == set(frame.columns) - {"class", "split"}
    assert (units["circle.radius"], units["rectangle.angle"]) == ("pixel", "degree")
    assert copies.attrs["units"]["thickness"] == "pixel"
    assert (frame["id"] == np.arange(60)).all()
    counts = copies.groupby(["sample", "object"], observed=False).size().unstack()
    for name in ("circle", "line"):
        expected = frame[f"{name}.repeat"][frame[f"{name}.repeat"] > 0]
        found = counts[name][counts[name] > 0]
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(found.index, expected.index)


def test_labels_have_ranges_as_samples_do(frame, copies):
    part = labels(RECIPE, "images", 20, 40)
    pd.testing.assert_frame_equal(part, frame.iloc[20:40].reset_index(drop=True))
    rows = copies["sample"].between(20, 39)
    part = objects(RECIPE, "images", 20, 40)
    pd.testing.assert_frame_equal(part, copies[rows].reset_index(drop=True))
    assert len(labels(RECIPE, "images", 50)) == 10
    assert len(labels(RECIPE, "images", stop=7)) == 7


def test_nothing_repeats_in_shapes():
    recipe = load_recipe(WORKFLOWS / "shapes.yaml")
    table = objects(recipe, "images", 0, 5)
    assert table.shape == (0, 0)


def test_every_kind_of_table_has_its_module():
    fields = [each.specification.model_fields["kind"] for each in KINDS.values()]
    assert [(kind,) for kind in KINDS] == [each.annotation.__args__ for each in fields]
    for module in (each.module for each in KINDS.values()):
        assert callable(import_module(module).render)
    drawn = draw_labels(RECIPE.table("images"), 0, 2)
    arrays, same = render_arrays(RECIPE.table("images"), drawn)
    assert same is drawn  # nothing is measured
    described = RECIPE.tables["images"].data_variables()
    assert list(arrays) == [variable.name for variable in described]
    for variable in described:
        assert arrays[variable.name].shape == (2, *variable.shape)
        assert arrays[variable.name].dtype == variable.dtype


def test_the_package_exports_what_it_promises():
    assert deepbench.render is render
    assert deepbench.labels is labels
    assert deepbench.objects is objects
    assert deepbench.Recipe is Recipe
    assert sorted((*deepbench.__all__, "__version__")) == dir(deepbench)
    for name in deepbench.__all__:
        assert getattr(deepbench, name)
    with pytest.raises(AttributeError, match="module 'deepbench' has no attribute 'rander'"):
        deepbench.rander  # noqa: B018


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "stop"), [(-1, 5), (5, 5), (6, 5), (60, None), (0, 2**32 + 1), (2**32, 2**32 + 1)]
)
@pytest.mark.parametrize("function", [labels, objects, render])
def test_ranges_that_are_none_are_refused(function, start, stop):
    with pytest.raises(LabelError, match=f"samples {start} … .* are not a range inside 0 … 42949"):
        function(RECIPE, "images", start, stop)


@pytest.mark.parametrize("function", [labels, objects, render])
def test_a_range_beyond_memory_is_refused_at_once(function, monkeypatch):
    monkeypatch.setattr(samples, "draw_samples", lambda *_: pytest.fail("drawn"))
    message = (
        r"1,000,000,000 samples of 'images' take at least [\d,]+ GiB of memory, and this machine has [\d,]+ GiB; "
        r"ask for some at a time, such as (\w+)\(recipe, 'images', 7, (\d+)\)"
    )
    with pytest.raises(LabelError, match=message) as info:
        function(RECIPE, "images", 7, 10**9 + 7)
    asked, stop = re.search(message, str(info.value)).groups()
    assert asked == function.__name__
    assert 7 < int(stop) < 10**9


@pytest.mark.parametrize("function", [labels, objects, render])
def test_unknown_tables_are_refused(function):
    with pytest.raises(CatalogError, match="no table 'imgaes' in 'things'; did you mean 'images'"):
        function(RECIPE, "imgaes")


@pytest.mark.parametrize("place", [{"start": 0}, {"stop": 5}])
def test_a_range_and_labels_together_are_refused(frame, place):
    with pytest.raises(LabelError, match="give either a range of samples or labels, not both"):
        render(RECIPE, "images", labels=frame, **place)


@pytest.mark.parametrize("column", ["id", "class", "split", "group", "psf.sigma", "circle.repeat"])
def test_a_missing_column_is_named(frame, copies, column):
    with pytest.raises(LabelError, match=f"the labels have no column '{column}'; take the rows"):
        render(RECIPE, "images", labels=frame.drop(columns=column), objects=copies)


@pytest.mark.parametrize("column", ["sample", "object", "copy", "radius"])
def test_a_missing_column_of_objects_is_named(frame, copies, column):
    with pytest.raises(LabelError, match=f"the labels have no column '{column}'"):
        render(RECIPE, "images", labels=frame, objects=copies.drop(columns=column))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("class", "blob", "column 'class' holds 'blob'; allowed: dot, many"),
        ("class", None, "column 'class' holds '(nan|None)'; allowed: dot, many"),
        ("split", "dev", "column 'split' holds 'dev'; allowed: train, test"),
        ("id", "one", "column 'id' must hold numbers: could not convert string"),
        ("id", 0.5, r"column 'id' holds 0\.5; it must hold whole numbers"),
        ("id", np.nan, "column 'id' holds nan; it must hold whole numbers"),
        ("id", np.inf, "column 'id' holds inf; it must hold whole numbers"),
        ("id", -3, "sample -3: id = -3, but it must be a whole number at least 0 and below 429496"),
        ("psf.sigma", "wide", "column 'psf.sigma' must hold numbers"),
        ("psf.sigma", -1.0, r"psf\.sigma = -1\.0, but it must be a number at least 0 and at most"),
        ("psf.sigma", np.nan, r"psf\.sigma = nan, but it must be a number"),
        ("circle.radius", 0.0, r"circle\.radius = 0\.0, but it must be a number above 0 \(pixel\)"),
    ],
)
def test_labels_that_the_recipe_does_not_allow_are_refused(frame, column, value, message):
    dots = frame[frame["class"] == "dot"].astype({"class": object, "split": object})
    changed = dots.astype({column: object})
    changed.iloc[3, list(dots).index(column)] = value
    with pytest.raises(LabelError, match=message):
        render(RECIPE, "images", labels=changed)


def test_copies_that_the_recipe_does_not_allow_are_refused(frame, copies):
    changed = copies.copy()
    row = changed.index[changed["object"] == "line"][0]
    changed.loc[row, "length"] = -2.0
    number = changed["sample"][row]
    with pytest.raises(LabelError, match=rf"sample {number}: line\.length = -2\.0, but it must be"):
        render(RECIPE, "images", labels=frame, objects=changed)
    changed = copies.astype({"object": str})
    changed.loc[0, "object"] = "lime"
    with pytest.raises(LabelError, match="column 'object' holds 'lime'; allowed: circle, line"):
        render(RECIPE, "images", labels=frame, objects=changed)


def test_copies_must_be_there(frame, copies):
    with pytest.raises(LabelError, match="some of these samples repeat objects: give their rows"):
        render(RECIPE, "images", labels=frame)
    first = copies.iloc[0]
    count = int((copies["sample"] == first["sample"])[copies["object"] == first["object"]].sum())
    message = (
        f"sample {first['sample']} has {count} copies of '{first['object']}' by its label, "
        f"but {count - 1} rows of objects"
    )
    with pytest.raises(LabelError, match=message):
        render(RECIPE, "images", labels=frame, objects=copies.iloc[1:])
    changed = frame.copy()
    changed.loc[0, "line.repeat"] += 1
    with pytest.raises(LabelError, match=r"sample 0 has .* copies of 'line' by its label, but"):
        render(RECIPE, "images", labels=changed, objects=copies)


def test_a_sample_with_copies_may_not_be_there_twice(frame, copies):
    row = frame[frame["class"] == "many"].iloc[[0]]
    with pytest.raises(LabelError, match="sample 4 is there more than once; render such rows"):
        render(RECIPE, "images", labels=pd.concat([row, row]), objects=copies)
    dots = frame[frame["class"] == "dot"].iloc[[0, 1, 1, 0, 2]]
    again = render(RECIPE, "images", labels=dots, objects=copies)  # without copies it may
    same(again.isel(sample=[0, 1]), again.isel(sample=[3, 2]))


@pytest.mark.parametrize(
    ("column", "near"),
    [("circle.radus", "circle.radius"), ("psf_sigma", "psf.sigma"), ("my_note", None)],
)
def test_a_column_that_the_table_does_not_have_is_refused(whole, frame, copies, column, near):
    changed = frame.assign(**{column: 3.0})
    hint = (
        f"did you mean '{near}'" if near else "which the table does not have; columns of your own"
    )
    with pytest.raises(LabelError, match=hint):
        render(RECIPE, "images", labels=changed, objects=copies)
    with pytest.raises(LabelError, match="the objects have a column 'radus'"):
        render(RECIPE, "images", labels=frame, objects=copies.assign(radus=1.0))
    own = {"labels": changed, "objects": copies.assign(radus=1.0)}
    same(whole, render(RECIPE, "images", **own, extra="ignore"))


def test_a_release_keeps_digests_beside_its_labels(whole, frame, copies):
    same(
        whole,
        render(RECIPE, "images", labels=frame.assign(**{"digest.image": b"x"}), objects=copies),
    )


def test_a_value_that_the_class_does_not_have_is_refused(frame, copies):
    row = frame.index[frame["class"] == "many"][0]
    changed = frame.copy()
    changed.loc[row, "rectangle.width"] = 3.0
    with pytest.raises(
        LabelError,
        match=rf"sample {row}: 'rectangle.width' is 3, but its class 'many' has no such parameter",
    ):
        render(RECIPE, "images", labels=changed, objects=copies)
    row = frame.index[frame["class"] == "dot"][0]
    changed = frame.copy()
    changed.loc[row, "line.repeat"] = 1
    with pytest.raises(LabelError, match=r"copies of 'line' by its label|no such parameter"):
        render(RECIPE, "images", labels=changed, objects=copies)
    changed = copies.copy()
    changed.loc[changed.index[changed["object"] == "line"][0], "radius"] = 2.0
    with pytest.raises(
        LabelError, match=r"'radius' is 2, but its class 'many' has no such parameter"
    ):
        render(RECIPE, "images", labels=frame, objects=changed)


def test_a_value_beyond_the_recipe_is_warned_of(frame, copies):
    changed = frame.copy()
    changed["psf.sigma"] = 9.0
    with pytest.warns(
        RangeWarning, match=r"sample 0: psf.sigma = 9 and in 59 other rows, .*0 … 2.5"
    ) as caught:
        render(RECIPE, "images", labels=changed, objects=copies)
    assert caught[0].filename == __file__
