"""Labels: where each number comes from, what moves it and what does not, and what is refused."""

import json
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from deepbench.deflectors.masses import DEFLECTORS
from deepbench.errors import LabelError, RecipeError
from deepbench.images.detector.noise import NoiseEntry
from deepbench.images.model.objects import ObjectEntry
from deepbench.images.psf.model import PsfEntry
from deepbench.labelling.draw import check
from deepbench.labelling.draw import draw as draw_range
from deepbench.labelling.plan import LabelPlan, thresholds
from deepbench.labelling.problems import problems
from deepbench.labelling.scopes import Column, Labels, Scope
from deepbench.language.expressions import parse
from deepbench.language.specification import Parameter, parameters_of
from deepbench.language.values import Constant
from deepbench.numerics import streams
from deepbench.numerics.stream_names import stream_number
from deepbench.recipe import load_recipe, parse_recipe
from deepbench.samples import labels

FIVE_SIGMA = 2.9e-7  # one-sided probability beyond 5 standard deviations

TEXT = """\
name: things
version: 1.0.0
title: Labels of every sort
seed: 7
splits: {train: 0.7, validation: 0.2, test: 0.1}
tables:
  images:
    kind: image
    samples: 40
    size: [12, 16]
    variables:
      brightness: {log_uniform: [1, 2]}
      pair: {multivariate_normal: {columns: [u, v], mean: [1, 20], covariance: [[4, 3], [3, 9]]}}
      half: "= brightness / 2 + 0 * psf.sigma"
    classes:
      dot:
        weight: 2
        variables: {shift: {uniform: [-1, 1]}}
        objects:
          - circle: {x: {uniform: [2, 9]}, y: "= 5 + shift", radius: "= 1 + abs(box.x)"}
          - circle: {x: "= circle.x + 1", y: 4, radius: {uniform: [1, 2]}, amplitude: "= half"}
          - rectangle: {x: "= y * 2", y: {uniform: [0, 9]}, width: 2, height: 3}
            name: box
      many:
        objects:
          - circle: {x: {uniform: [2, 9]}, y: "= x * brightness", radius: 2, thickness: "= radius / 4"}
            repeat: {integers: [0, 3]}
          - line: {x: 1, y: 2, length: {uniform: [1, 3]}, thickness: "= max(psf.sigma, 0.1)"}
            repeat: 2
    psf: {gaussian: {sigma: "= brightness"}}
    noise:
      - gaussian: {sigma: "= 0.01 * psf.sigma"}
      - poisson: {gain: {uniform: [1, 2]}}
      - gaussian: {sigma: 0.5}
"""
RECIPE = parse_recipe(TEXT)
OBJECTS = "tables.images.classes.dot.objects"


def draw(recipe=RECIPE, start=0, stop=400, table="images"):
    return draw_range(recipe.table(table).plan, recipe.seed, start, stop)


def uniforms(name, samples, elements=0, seed=7):
    return streams.uniforms(seed, stream_number(name), samples, elements)


def same(first, second, names=None):
    """Require that two dictionaries of arrays agree in every bit."""
    for name in names or first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        assert first[name].dtype == second[name].dtype


# --- where each number comes from ----------------------------------------------------------------


def test_streams_are_named_by_meaning():
    assert list(RECIPE.table("images").plan.streams()) == [
        "images/*/sample/class",
        "images/*/sample/split",
        *(f"images/*/variables/{name}" for name in ("brightness", "pair", "half")),
        "images/dot/variables/shift",
        *(f"images/dot/circle/{name}" for name in ("x", "y", "amplitude", "radius")),
        *(f"images/dot/circle.2/{name}" for name in ("x", "y", "amplitude", "radius")),
        *(f"images/dot/box/{name}" for name in ("x", "y", "amplitude", "width", "height", "angle")),
        "images/many/circle/repeat",
        *(f"images/many/circle/{name}" for name in ("x", "y", "amplitude", "thickness", "radius")),
        "images/many/line/repeat",
        *(
            f"images/many/line/{name}"
            for name in ("x", "y", "amplitude", "length", "thickness", "angle")
        ),
        "images/*/psf/sigma",
        "images/*/noise.gaussian/sigma",
        "images/*/noise.poisson/gain",
        "images/*/noise.poisson/background",
        "images/*/noise.gaussian.2/sigma",
    ]


def test_values_are_the_quantiles_of_their_streams():
    columns = draw().columns
    dot = np.flatnonzero(columns["class"] == 0)
    x = RECIPE.tables["images"].classes["dot"].objects[0].circle.x
    np.testing.assert_array_equal(
        columns["circle.x"][dot], x.quantile(uniforms("images/dot/circle/x", dot))
    )
    gain = RECIPE.tables["images"].noise[1].poisson.gain
    np.testing.assert_array_equal(
        columns["noise.poisson.gain"],
        gain.quantile(uniforms("images/*/noise.poisson/gain", np.arange(400))),
    )


def test_copies_are_elements_of_one_stream():
    labels = draw()
    many = np.flatnonzero(labels.columns["class"] == 1)
    repeat = RECIPE.tables["images"].classes["many"].objects[0].repeat
    counts = repeat.quantile(uniforms("images/many/circle/repeat", many))
    np.testing.assert_array_equal(labels.columns["circle.repeat"][many], counts)
    assert set(counts) == {0, 1, 2, 3}
    rows, _ = labels.copies("circle", 1)
    sample, copy = labels.objects["sample"][rows], labels.objects["copy"][rows]
    np.testing.assert_array_equal(sample, np.repeat(many, counts.astype(int)))
    np.testing.assert_array_equal(copy, np.concatenate([np.arange(n) for n in counts]))
    x = RECIPE.tables["images"].classes["many"].objects[0].circle.x
    expected = x.quantile(uniforms("images/many/circle/x", sample, copy))
    np.testing.assert_array_equal(labels.objects["x"][rows], expected)
    assert len(set(expected)) == len(expected)


def test_a_joint_draw_takes_one_element_per_dimension():
    columns = draw().columns
    samples = np.arange(400)
    u = np.stack([uniforms("images/*/variables/pair", samples, k) for k in (0, 1)], axis=1)
    expected = RECIPE.tables["images"].variables["pair"].draw(u)
    np.testing.assert_array_equal(columns["variables.pair.u"], expected["u"])
    np.testing.assert_array_equal(columns["variables.pair.v"], expected["v"])


def test_a_joint_draw_has_the_moments_of_its_law():
    columns = draw(stop=20_000).columns
    drawn = np.stack([columns["variables.pair.u"], columns["variables.pair.v"]])
    covariance = np.array([[4.0, 3.0], [3.0, 9.0]])
    sigma = np.sqrt(np.diag(covariance) / 20_000)
    assert (np.abs(drawn.mean(axis=1) - [1, 20]) < 5 * sigma).all()
    # the variance of a sample covariance: (s_ii s_jj + s_ij²) / n
    error = np.sqrt((np.outer(*[np.diag(covariance)] * 2) + covariance**2) / 20_000)
    assert (np.abs(np.cov(drawn) - covariance) < 5 * error).all()


def test_a_catalogue_gives_whole_rows(tmp_path):
    rows = np.arange(30).reshape(10, 3) + 0.25
    text = "mass,age,rest\n" + "\n".join(",".join(map(str, row)) for row in rows)
    (tmp_path / "stars.csv").write_text(text)
    source = TEXT.replace(
        "      brightness:", "      star: {catalog: {file: stars.csv}}\n      brightness:"
    )
    source = source.replace('x: "= circle.x + 1", y: 4', 'x: "= star.mass", y: "= star.age"')
    (tmp_path / "recipe.yaml").write_text(source)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    columns = draw(recipe).columns
    row = np.floor(10 * uniforms("images/*/variables/star", np.arange(400))).astype(int)
    for index, name in enumerate(("mass", "age", "rest")):
        np.testing.assert_array_equal(columns[f"variables.star.{name}"], rows[row, index])
    dot = columns["class"] == 0
    np.testing.assert_array_equal(columns["circle.2.x"][dot], rows[row, 0][dot])
    np.testing.assert_array_equal(columns["circle.2.y"][dot], rows[row, 1][dot])
    assert set(row) == set(range(10))


# --- expressions ---------------------------------------------------------------------------------


def test_expressions_use_values_of_every_scope_they_can_see():
    labels = draw()
    columns = labels.columns
    dot = {name: values[columns["class"] == 0] for name, values in columns.items()}
    np.testing.assert_array_equal(columns["psf.sigma"], columns["variables.brightness"])
    np.testing.assert_array_equal(columns["noise.gaussian.sigma"], 0.01 * columns["psf.sigma"])
    np.testing.assert_array_equal(columns["variables.half"], columns["variables.brightness"] / 2)
    np.testing.assert_array_equal(dot["circle.y"], 5 + dot["variables.shift"])
    np.testing.assert_array_equal(dot["circle.radius"], 1 + np.abs(dot["box.x"]))
    np.testing.assert_array_equal(dot["box.x"], dot["box.y"] * 2)  # its own y, not another's
    np.testing.assert_array_equal(dot["circle.2.x"], dot["circle.x"] + 1)
    np.testing.assert_array_equal(dot["circle.2.amplitude"], dot["variables.half"])
    rows, samples = labels.copies("circle", 1)
    copies = {name: values[rows] for name, values in labels.objects.items()}
    brightness = columns["variables.brightness"][samples]
    np.testing.assert_array_equal(copies["y"], copies["x"] * brightness)
    np.testing.assert_array_equal(copies["thickness"], 0.5)
    rows, samples = labels.copies("line", 1)
    np.testing.assert_array_equal(labels.objects["thickness"][rows], columns["psf.sigma"][samples])


def expression_refusal(changes):
    with pytest.raises(RecipeError) as caught:
        RECIPE.replace(changes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {f"{OBJECTS}.0.circle.x": "= circle.2.x"},
            "circle: circle.x → circle.2.x → circle.x",
        ),
        ({f"{OBJECTS}.0.circle.x": "= x"}, "in a circle: circle.x → circle.x"),
        (
            {"tables.images.variables.brightness": "= half"},
            "in a circle: variables.brightness → variables.half → variables.brightness",
        ),
        (
            {"tables.images.classes.many.objects.0.circle.radius": "= thickness"},
            "in a circle: circle.thickness → circle.radius → circle.thickness",
        ),
        (
            {"tables.images.classes.many.objects.1.line.x": "= circle.x"},
            "'circle.x' has one value per copy of 'circle', so 'line' cannot use it; use a variable",
        ),
        # what others cannot see
        (
            {"tables.images.psf.gaussian.sigma": "= circle.x"},
            "'circle.x' is a value of some classes, 'psf'",
        ),
        ({"tables.images.variables.half": "= shift"}, "every class must define it, not dot alone"),
        (
            {"tables.images.classes.many.objects.0.circle.radius": "= box.x"},
            "no value is called 'box.x' here",
        ),
        ({f"{OBJECTS}.0.circle.y": "= pair"}, "no value is called 'pair' here; "),
        ({f"{OBJECTS}.0.circle.y": "= pair.w"}, "called 'pair.w' here; did you mean 'pair.v'?"),
        ({f"{OBJECTS}.0.circle.y": "= shfit"}, "called 'shfit' here; did you mean 'shift'? values"),
        ({f"{OBJECTS}.0.circle.y": "= thickness"}, "no value is called 'thickness' here"),
        # names of two things
        (
            {"tables.images.classes.dot.variables.brightness": 1},
            "dot.variables.brightness: the name 'brightness' has two meanings in class 'dot'",
        ),
        (
            {
                "tables.images.variables.box": {
                    "multivariate_normal": {"columns": ["x"], "mean": [1], "covariance": [[1]]}
                }
            },
            "the name 'box.x' has two meanings in class 'dot'; rename the variable",
        ),
    ],
)
def test_references_that_have_no_meaning_are_refused(changes, message):
    assert message in expression_refusal(changes)


def test_classes_may_have_variables_of_one_name():
    changes = {"tables.images.classes.many.variables": {"shift": {"uniform": [5, 6]}}}
    columns = draw(RECIPE.replace(changes)).columns
    dot = columns["class"] == 0
    assert (np.abs(columns["variables.shift"][dot]) < 1).all()
    assert (columns["variables.shift"][~dot] > 5).all()
    same(
        {"shift": columns["variables.shift"][dot]},
        {"shift": draw().columns["variables.shift"][dot]},
    )


def test_values_out_of_range_name_sample_value_and_range():
    recipe = RECIPE.replace({f"{OBJECTS}.1.circle.radius": "= x - 4"})  # x is from 3 to 10
    x = draw()
    bad = np.flatnonzero(x.columns["circle.2.x"] <= 4)
    good = np.flatnonzero(x.columns["circle.2.x"] > 4)
    with pytest.raises(LabelError) as caught:
        draw(recipe)
    value = float(x.columns["circle.2.x"][bad[0]] - 4)
    assert str(caught.value) == (
        f"table 'images', sample {bad[0]}: circle.2.radius = {value!r} by \"= x - 4\", but it must be a number "
        "above 0 (pixel); narrow the priors it is made of, or use min() and max()"
    )
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.table, copy.sample, copy.column) == ("images", bad[0], "circle.2.radius")
    assert str(copy) == str(caught.value)
    assert isinstance(copy.sample, int)
    with pytest.raises(LabelError, match=f"sample {bad[1]}: "):
        draw(recipe, bad[0] + 1)
    draw(recipe, good[0], good[0] + 1)  # the others can be drawn


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("tables.images.psf.gaussian.sigma", "= 600 * brightness", "at least 0 and at most 1000"),
        ("tables.images.psf.gaussian.sigma", "= log(-brightness)", "psf.sigma = .*nan"),
        ("tables.images.psf.gaussian.sigma", "= 1 / 0", "psf.sigma = .*inf"),
        ("tables.images.noise.1.poisson.gain", "= 0 * brightness", "gain = .*0.0.* above 0"),
        ("tables.images.variables.half", "= 1 / (brightness - brightness)", "half = .*inf"),
    ],
)
def test_ranges_hold_for_every_scope(path, text, message):
    with pytest.raises(LabelError, match=f"sample [0-9]+: .*{message}"):
        draw(RECIPE.replace({path: text}))


def test_values_out_of_range_of_copies_name_their_sample():
    recipe = RECIPE.replace({"tables.images.classes.many.objects.0.circle.radius": "= 8.5 - x"})
    labels = draw()
    rows, _ = labels.copies("circle", 1)
    first = labels.objects["sample"][rows][labels.objects["x"][rows] >= 8.5][0]
    with pytest.raises(LabelError, match=f"sample {first}: circle.radius = "):
        draw(recipe)


def test_an_expression_without_names_is_a_constant():
    recipe = RECIPE.replace({f"{OBJECTS}.0.circle.y": "= 2 * 3"})
    columns = draw(recipe).columns
    np.testing.assert_array_equal(columns["circle.y"][columns["class"] == 0], 6)


# --- what moves a number and what does not -------------------------------------------------------

KEPT = [
    {f"{OBJECTS}.0.circle.thickness": {"uniform": [0.1, 0.2]}},
    {f"{OBJECTS}.0.circle.x": {"uniform": [3, 4]}},
    {f"{OBJECTS}.2.blend": "over"},
    {f"{OBJECTS}.2.rectangle.angle": {"uniform": [0, 9]}},
    {"tables.images.classes.dot.variables.more": {"normal": [0, 1]}},
    {"tables.images.variables.more": {"normal": [0, 1]}},
    {"tables.images.group_size": 5},
    {"splits": {"test": 0.5, "train": 0.5}},
    {"tables.images.samples": 10**6},
    {"tables.images.size": [3, 3]},
    {"tables.images.classes.many.objects.0.repeat": 7},
    {"storage": {"chunk_bytes": 2048}},
    {"name": "other", "version": "9.9.9"},
]


@pytest.mark.parametrize("changes", KEPT, ids=lambda changes: next(iter(changes)))
def test_a_change_moves_no_other_draw(changes):
    """Columns of which neither the prior nor an expression's input was changed keep every bit."""
    path = next(iter(changes))
    before, after = draw().columns, draw(RECIPE.replace(changes)).columns
    touched = {
        f"{OBJECTS}.0.circle.thickness": ["circle.thickness"],
        f"{OBJECTS}.0.circle.x": ["circle.x", "circle.2.x"],
        f"{OBJECTS}.2.rectangle.angle": ["box.angle"],
        "tables.images.classes.many.objects.0.repeat": ["circle.repeat"],
        "tables.images.group_size": ["group", "split"],
        "splits": ["split"],
    }.get(path, [])
    same(before, after, [name for name in before if name not in touched])
    for name in touched:
        assert name not in before or (before[name] != after[name]).any()


def inserted(key, item, index):
    entries = RECIPE.resolved()["tables"]["images"]
    for step in key.split("."):
        entries = entries[step]
    entries = [*entries[:index], item, *entries[index:]]
    return RECIPE.replace({f"tables.images.{key}": entries})


@pytest.mark.parametrize("index", [0, 1, 3])
def test_a_new_object_moves_no_other_draw(index):
    item = {"ellipse": {"x": {"uniform": [1, 2]}, "y": 2, "semi_major_axis": 3, "axis_ratio": 0.5}}
    after = draw(inserted("classes.dot.objects", item, index))
    same(draw().columns, after.columns)
    assert np.isfinite(after.columns["ellipse.x"][after.columns["class"] == 0]).all()


def test_a_second_object_of_a_kind_leaves_the_first_alone():
    item = {"rectangle": {"x": {"uniform": [1, 2]}, "y": 2, "width": 3, "height": 4}}
    once = inserted("classes.dot.objects", item, 0)
    entries = once.resolved()["tables"]["images"]["classes"]["dot"]["objects"]
    twice = once.replace({OBJECTS: [*entries, item]})
    same(draw(once).columns, draw(twice).columns)
    columns = draw(twice).columns
    dot = columns["class"] == 0
    assert not np.isin(columns["rectangle.x"][dot], columns["rectangle.2.x"][dot]).any()


@pytest.mark.parametrize("index", [0, 2, 3])
def test_a_new_step_of_the_noise_moves_no_other_draw(index):
    after = draw(inserted("noise", {"background": {"level": {"normal": [0, 1]}}}, index))
    same(draw().columns, after.columns)


def test_a_new_class_moves_only_the_classes():
    new = {"objects": [{"circle": {"x": {"uniform": [2, 9]}, "y": 1, "radius": 1}}], "weight": 0.5}
    before = draw().columns
    after = draw(RECIPE.replace({"tables.images.classes.new": new})).columns
    kept = before["class"] == after["class"]
    assert 0.5 < kept.mean() < 1
    assert set(after["class"]) == {0, 1, 2}
    whole = [name for name in before if name.split(".")[0] in ("psf", "noise", "id", "split")]
    whole += ["group", "variables.brightness", "variables.half", "variables.pair.u"]
    same(before, after, whole)
    same(*({name: each[name][kept] for name in before} for each in (before, after)))
    number = stream_number("images/new/circle/x")
    samples = np.flatnonzero(after["class"] == 2)
    expected = 2 + streams.uniforms(7, number, samples) * 7.0
    np.testing.assert_array_equal(after["circle.x"][samples], expected)


def test_a_new_table_moves_no_other_draw():
    table = RECIPE.resolved()["tables"]["images"]
    recipe = RECIPE.replace({"tables.aaa": table})
    same(draw().columns, draw(recipe).columns)
    other = draw(recipe, table="aaa").columns
    for name in ("class", "split", "circle.x", "variables.brightness", "noise.poisson.gain"):
        assert (other[name] != draw().columns[name]).any()


def test_the_seed_moves_every_draw():
    before, after = draw().columns, draw(RECIPE.replace({"seed": 8})).columns
    still = ("id", "group", "noise.gaussian.2.sigma", "noise.poisson.background")
    constant = [
        name for name in before if len(set(before[name][np.isfinite(before[name])].tolist())) < 2
    ]
    for name in before:
        if name not in (*still, *constant):
            assert (before[name] != after[name]).any(), name


def test_drawing_a_range_is_drawing_a_part():
    whole = draw()
    for start, stop in [(0, 1), (0, 400), (17, 18), (100, 333), (399, 400)]:
        part = draw(start=start, stop=stop)
        same({k: v[start:stop] for k, v in whole.columns.items()}, part.columns)
        rows = (whole.objects["sample"] >= start) & (whole.objects["sample"] < stop)
        same({k: v[rows] for k, v in whole.objects.items()}, part.objects)


def test_the_last_sample_that_can_be_counted():
    columns = draw(start=2**32 - 2, stop=2**32).columns
    np.testing.assert_array_equal(columns["id"], [2**32 - 2, 2**32 - 1])


# --- classes, splits and groups ------------------------------------------------------------------


def frequency_test(codes, fractions):
    """Require that the codes have given fractions: chi-square at the level of 5 sigma."""
    expected = np.array(fractions) / np.sum(fractions) * len(codes)
    counts = np.bincount(codes, minlength=len(expected))
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < chi2.isf(FIVE_SIGMA, len(expected) - 1)
    return statistic


def plan_of(classes, splits, group_size=1):
    return LabelPlan("images", [], classes, splits, group_size)


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_classes_and_splits_have_their_frequencies(seed):
    classes = {"a": 1, "b": 2.5, "c": 0.1, "d": 6.4}
    splits = {"train": 0.8, "validation": 0.15, "test": 0.05}
    columns = draw_range(plan_of(classes, splits), seed, 0, 200_000).columns
    frequency_test(columns["class"], list(classes.values()))
    frequency_test(columns["split"], list(splits.values()))
    # and are independent of each other
    both = columns["class"].astype(int) * 3 + columns["split"]
    frequency_test(both, np.outer(list(classes.values()), list(splits.values())).ravel())
    # and of the neighbour
    pairs = columns["split"][:-1].astype(int) * 3 + columns["split"][1:]
    frequency_test(pairs[::2], np.outer(list(splits.values()), list(splits.values())).ravel())


def test_the_frequency_test_sees_a_small_bias():
    columns = draw_range(plan_of({"a": 1, "b": 1}, {"all": 1}), 7, 0, 200_000).columns
    with pytest.raises(AssertionError):
        frequency_test(columns["class"], [0.494, 0.506])


def test_weights_of_the_recipe_reach_the_draw():
    columns = draw(stop=30_000).columns
    frequency_test(columns["class"], [2, 1])
    frequency_test(columns["split"], [0.7, 0.2, 0.1])
    changes = {"tables.images.classes.many.weight": 6, "splits": {"a": 0.25, "b": 0.75}}
    columns = draw(RECIPE.replace(changes), stop=30_000).columns
    frequency_test(columns["class"], [2, 6])
    frequency_test(columns["split"], [0.25, 0.75])


def test_a_group_never_spans_splits():
    splits = {"train": 0.5, "test": 0.5}
    columns = draw_range(plan_of({"a": 1}, splits, group_size=7), 7, 0, 70_000).columns
    np.testing.assert_array_equal(columns["group"], np.arange(70_000) // 7)
    groups = columns["split"].reshape(-1, 7)
    assert (groups == groups[:, :1]).all()
    frequency_test(groups[:, 0], [0.5, 0.5])
    alone = draw_range(plan_of({"a": 1}, splits), 7, 0, 10_000).columns
    np.testing.assert_array_equal(alone["split"], groups[:, 0])  # drawn for the group's number
    np.testing.assert_array_equal(alone["group"], alone["id"])
    inside = draw_range(plan_of({"a": 1}, splits, group_size=7), 7, 10, 12).columns
    np.testing.assert_array_equal(inside["split"], columns["split"][10:12])


def test_thresholds_are_exact():
    def nearest(numerator, denominator):
        return round(Fraction(numerator * 2**53, denominator)) / 2**53

    assert thresholds({"a": 1}).tolist() == []
    assert thresholds({"a": 0.5, "b": 0.25, "c": 0.25}).tolist() == [0.5, 0.75]
    # of the decimal numbers as written, without their rounding: 0.1 + 0.2 is 0.3
    assert thresholds({"a": 0.1, "b": 0.2, "c": 0.7}).tolist() == [nearest(1, 10), nearest(3, 10)]
    assert thresholds({"a": 1, "b": 1, "c": 1}).tolist() == [nearest(1, 3), nearest(2, 3)]
    tenths = thresholds({str(k): 0.1 for k in range(10)})
    assert tenths.tolist() == [nearest(k, 10) for k in range(1, 10)]


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30))
def test_thresholds_rise_and_are_multiples(weights):
    limits = thresholds({str(k): weight for k, weight in enumerate(weights)})
    assert len(limits) == len(weights) - 1
    scaled = limits * 2**53
    np.testing.assert_array_equal(scaled, np.round(scaled))
    assert (np.diff([0, *limits, 1]) >= 0).all()
    shares = np.diff([0, *limits, 1])
    np.testing.assert_allclose(shares, np.array(weights) / math.fsum(weights), atol=1e-14)


def test_a_draw_belongs_to_the_interval_that_begins_with_it(monkeypatch):
    limits = [0.25, math.nextafter(0.25, 0), 2.0**-54, 1 - 2.0**-53]
    monkeypatch.setattr(streams, "uniforms", lambda seed, stream, samples: np.array(limits))
    columns = draw_range(plan_of({"a": 1, "b": 3}, {"all": 1.0}), 0, 0, 4).columns
    assert columns["class"].tolist() == [1, 0, 0, 1]
    assert columns["split"].tolist() == [0, 0, 0, 0]


# --- columns -------------------------------------------------------------------------------------


SEEN_THROUGH = {"psf": {"gaussian": {"sigma": 1.0}}}


def entry_text(entry, kind, **more):
    """Return an entry of one kind in which every parameter is given, by its own name as prior."""
    cls = entry.model_fields[kind].annotation.__args__[0]
    body = {
        name: {"integers": [-1, 1] if parameter.minimum == -1 else [3, 5]}
        if parameter.integer
        else {"uniform": [0.5, 0.75]}
        for name, parameter in parameters_of(cls).items()
    }
    if "sersic_index" in body:
        body["sersic_index"] = {"uniform": [0.5, 4]}
    if "bulge_sersic_index" in body:
        body["bulge_sersic_index"] = {"uniform": [0.5, 4]}
    if "pitch_angle" in body:
        body["pitch_angle"] = {"uniform": [10, 20]}
    if "beta" in body:
        body["beta"] = {"uniform": [2, 5]}
    return {kind: {name: value for name, value in body.items() if name not in OTHERS}, **more}


OTHERS = {
    *("dx", "dy"),  # in place of x and y
    *("fluxes", "magnitude", "magnitudes", "colors"),  # of flux
    "semi_major_half_light_radius",  # of half_light_radius
    "band",  # which a table without an instrument does not have
}


DRAWN = [kind for kind in ObjectEntry.registry if kind not in {"lens", *DEFLECTORS}]
"""Objects that are drawn; masses have tests of their own."""


def one_class(objects, **table):
    described = {
        "kind": "image",
        "samples": 5,
        "size": [4, 4],
        "pixel_scale": 1,
        "classes": {"a": {"objects": objects}},
    }
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 1}
    return parse_recipe(json.dumps({**head, "tables": {"images": described | table}}))


@pytest.mark.parametrize("kind", DRAWN)
def test_nothing_about_an_object_is_hidden(kind):
    cls = ObjectEntry.model_fields[kind].annotation.__args__[0]
    assert set(parameters_of(cls)) == set(cls.model_fields) - {"psf", "shear", "microlensing"}
    fields = [field for field in parameters_of(cls) if field not in OTHERS]
    entries = [entry_text(ObjectEntry, kind), entry_text(ObjectEntry, kind, name="other")]
    recipe = one_class(entries, **SEEN_THROUGH)
    plan = recipe.table("images").plan
    labels = draw_range(plan, 1, 0, 50)
    expected = [f"{name}.{field}" for name in (kind, "other") for field in fields]
    names = [column.name for column in plan.columns]
    assert names == ["id", "class", "split", "group", *expected, "psf.sigma"]
    assert list(labels.columns) == [column.name for column in plan.columns]
    whole = {field for field in fields if parameters_of(cls)[field].integer}
    drawn = [labels.columns[name] for name in expected if name.partition(".")[2] not in whole]
    drawn = np.stack(drawn)
    assert len(np.unique(drawn)) == drawn.size  # each is a draw of its own
    described = {column.name: column for column in plan.columns}
    for field in fields:
        parameter = parameters_of(cls)[field]
        column = described[f"{kind}.{field}"]
        assert (column.unit, column.description) == (parameter.unit, parameter.description)


@pytest.mark.parametrize("kind", DRAWN)
def test_nothing_about_a_copy_is_hidden(kind):
    every = parameters_of(ObjectEntry.model_fields[kind].annotation.__args__[0])
    fields = [field for field in every if field not in OTHERS]
    recipe = one_class([entry_text(ObjectEntry, kind, repeat=3)], **SEEN_THROUGH)
    plan = recipe.table("images").plan
    labels = draw_range(plan, 1, 0, 50)
    assert [column.name for column in plan.columns][4:] == [f"{kind}.repeat", "psf.sigma"]
    assert [column.name for column in plan.object_columns] == [
        "sample",
        "object",
        "kind",
        "copy",
        *fields,
    ]
    assert list(labels.objects) == [column.name for column in plan.object_columns]
    fields = [name for name in fields if not every[name].integer]
    drawn = np.stack([labels.objects[name] for name in fields])
    assert len(np.unique(drawn)) == drawn.size == len(fields) * 150
    np.testing.assert_array_equal(labels.objects["sample"], np.repeat(np.arange(50), 3))
    np.testing.assert_array_equal(labels.objects["copy"], np.tile(np.arange(3), 50))


@pytest.mark.parametrize(
    ("entry", "kind"),
    [(each, kind) for each in (PsfEntry, NoiseEntry) for kind in each.registry if kind != "image"],
)
def test_nothing_about_psf_and_noise_is_hidden(entry, kind):
    described = entry_text(entry, kind)
    if kind == "gaussian":
        described = {
            "gaussian": {"sigma": described["gaussian"]["sigma"]}
        }  # or fwhm: see test_stars
    fields = list(described[kind])
    more = {"psf": described} if entry is PsfEntry else {"noise": [described]}
    body = {"x": 1, "y": 1, "flux": 1}
    plan = one_class([{"star": body}], **SEEN_THROUGH | more).table("images").plan
    prefix = "psf" if entry is PsfEntry else f"noise.{kind}"
    names = [f"{prefix}.{field}" for field in fields]
    found = [column.name for column in plan.columns][8:]
    assert [name for name in found if name.startswith(prefix)] == names
    columns = draw_range(plan, 1, 0, 50).columns
    assert len(np.unique([columns[name] for name in names])) == 50 * len(names)


def test_values_of_other_classes_are_absent():
    columns = draw().columns
    dot = columns["class"] == 0
    assert np.isnan(columns["box.x"][~dot]).all()
    assert np.isfinite(columns["box.x"][dot]).all()
    assert np.isnan(columns["circle.x"][~dot]).all()  # copies are in the long table
    assert (columns["circle.repeat"][dot] == 0).all()
    assert np.isfinite(columns["psf.sigma"]).all()


def test_types_of_columns():
    columns = {column.name: column for column in RECIPE.table("images").plan.columns}
    types = {name: column.dtype.name for name, column in columns.items()}
    assert (types["id"], types["group"], types["circle.repeat"]) == ("int64",) * 3
    assert (types["class"], types["split"], types["circle.x"]) == ("int8", "int8", "float64")
    assert Column("c", "", meanings=("a",) * 127).dtype == "int8"
    assert Column("c", "", meanings=("a",) * 128).dtype == "int16"
    labels = draw()
    assert {name: values.dtype.name for name, values in labels.columns.items()} == types
    objects = {column.name: column.dtype for column in RECIPE.table("images").plan.object_columns}
    assert {name: values.dtype for name, values in labels.objects.items()} == objects


def test_there_is_no_long_table_where_nothing_repeats():
    recipe = one_class([{"circle": {"x": 1, "y": 1, "radius": 1}}])
    assert recipe.table("images").plan.object_columns == ()
    assert draw_range(recipe.table("images").plan, 1, 0, 5).objects == {}


def test_more_classes_than_a_byte_counts():
    plan = plan_of({f"c{k}": 1 for k in range(300)}, {"all": 1})
    codes = draw_range(plan, 7, 0, 60_000).columns["class"]
    assert codes.dtype == "int16"
    frequency_test(codes, np.ones(300))


def test_the_long_table_is_sorted():
    objects = draw().objects
    key = list(zip(objects["sample"], objects["object"], objects["copy"], strict=True))
    assert key == sorted(key)


def test_copies_of_samples_in_any_order():
    labels = draw()
    order = np.random.default_rng(1).permutation(400)[:150]
    shuffled = Labels(
        {name: values[order] for name, values in labels.columns.items()},
        {
            name: values[np.isin(labels.objects["sample"], order)]
            for name, values in labels.objects.items()
        },
        labels.object_names,
    )
    assert len(shuffled) == 150
    chosen, rows = shuffled.copies("circle", 1)
    np.testing.assert_array_equal(shuffled.samples[rows], shuffled.objects["sample"][chosen])
    np.testing.assert_array_equal(
        np.bincount(rows, minlength=150), shuffled.columns["circle.repeat"]
    )
    assert shuffled.copies("circle", 0)[0].size == 0


def test_values_that_share_a_column_share_its_unit():
    def scope(unit, class_name):
        parameters = {"width": Parameter("width", unit)}
        path = ("classes", class_name, "objects", 0)
        return Scope("box", path, {"width": Constant(1.0)}, parameters, class_name)

    plan = LabelPlan("t", [scope("pixel", "a"), scope("pixel", "b")], {"a": 1, "b": 1}, {"s": 1})
    assert problems(plan) == []
    plan = LabelPlan("t", [scope("pixel", "a"), scope("arcsec", "b")], {"a": 1, "b": 1}, {"s": 1})
    ((path, message),) = problems(plan)
    assert path == ("classes", "b", "objects", 0)
    assert message.startswith("column 'box.width' has the unit arcsec here and pixel elsewhere")


def test_a_number_of_copies_may_follow_from_others():
    # the recipe of images wants a bound, the labels do not
    parameters = {"x": Parameter("x")}
    scopes = [
        Scope("variables", (), {"n": Constant(2.0)}, {"n": Parameter("n")}),
        Scope("box", (), {"x": Constant(1.0)}, parameters, "a", parse("= n + 1")),
    ]
    plan = LabelPlan("t", scopes, {"a": 1}, {"s": 1})
    assert problems(plan) == []
    labels = draw_range(plan, 1, 0, 4)
    assert labels.columns["box.repeat"].tolist() == [3, 3, 3, 3]
    wrong = [scopes[0], Scope("box", (), {"x": Constant(1.0)}, parameters, "a", parse("= n / 4"))]
    with pytest.raises(
        LabelError, match=r"sample 0: box.repeat = .*0\.5.* a whole number at least"
    ):
        draw_range(LabelPlan("t", wrong, {"a": 1}, {"s": 1}), 1, 0, 4)


def test_copies_may_draw_jointly():
    pair = RECIPE.tables["images"].variables["pair"]
    parameters = {"pair": Parameter("pair")}
    scopes = [Scope("box", (), {"pair": pair}, parameters, "a", Constant(3.0))]
    plan = LabelPlan("t", scopes, {"a": 1}, {"s": 1})
    labels = draw_range(plan, 7, 0, 5)
    assert list(labels.objects) == ["sample", "object", "kind", "copy", "pair.u", "pair.v"]
    sample, copy = labels.objects["sample"], labels.objects["copy"]
    u = np.stack([uniforms("t/a/box/pair", sample, 2 * copy + k) for k in (0, 1)], axis=1)
    np.testing.assert_array_equal(labels.objects["pair.u"], pair.draw(u)["u"])
    np.testing.assert_array_equal(labels.objects["pair.v"], pair.draw(u)["v"])
    check(plan, labels)


# --- labels from elsewhere -----------------------------------------------------------------------


def test_drawn_labels_pass_the_check():
    check(RECIPE.table("images").plan, draw())


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("id", -1, "id = -1, but it must be a whole number at least 0 and below 4294967296"),
        ("id", 2**32, "id = 4294967296, but"),
        ("psf.sigma", -0.5, r"psf.sigma = -0.5, but it must be .* at most 1000 \(pixel\)"),
        ("psf.sigma", math.nan, "psf.sigma = nan, but"),
        ("box.width", 0, r"box.width = 0.0, but it must be a number above 0 \(pixel\)"),
        ("circle.x", math.inf, "circle.x = inf, but"),
        ("variables.shift", math.nan, "variables.shift = nan, but"),
        ("variables.pair.v", math.nan, "variables.pair.v = nan, but"),
        ("noise.poisson.gain", 0, "noise.poisson.gain = 0.0, but it must be a number above 0"),
    ],
)
def test_labels_out_of_range_are_refused(column, value, message):
    labels = draw()
    row = np.flatnonzero(labels.columns["class"] == 0)[3]
    columns = {name: values.copy() for name, values in labels.columns.items()}
    columns[column][row] = value
    number = value if column == "id" else row
    with pytest.raises(LabelError, match=f"^table 'images', sample {number}: {message}") as caught:
        check(RECIPE.table("images").plan, Labels(columns, labels.objects, labels.object_names))
    assert (caught.value.sample, caught.value.column) == (number, column)


def test_copies_out_of_range_are_refused():
    labels = draw()
    objects = {name: values.copy() for name, values in labels.objects.items()}
    row = labels.copies("circle", 1)[0][4]
    objects["radius"][row] = 0
    with pytest.raises(LabelError, match=f"sample {objects['sample'][row]}: circle.radius = 0.0"):
        check(RECIPE.table("images").plan, Labels(labels.columns, objects, labels.object_names))


def test_values_of_other_classes_are_not_checked():
    labels = draw()
    columns = {name: values.copy() for name, values in labels.columns.items()}
    columns["box.width"][columns["class"] == 1] = -3.0
    check(RECIPE.table("images").plan, Labels(columns, labels.objects, labels.object_names))


# --- names with two meanings ----------------------------------------------------------------------

SHARED_NAME = """
name: shared
version: 1.0.0
title: A variable called like a field
seed: 7
tables:
  images:
    kind: image
    samples: 8
    size: [16, 16]
    variables: {radius: {uniform: [1, 4]}}
    classes:
      a:
        objects:
          - circle: {x: 8, y: %s, radius: "= radius"}
"""


def test_a_value_of_the_same_name_takes_the_variable():
    frame = labels(parse_recipe(SHARED_NAME % "8"), "images")
    np.testing.assert_array_equal(frame["circle.radius"], frame["variables.radius"])


def test_a_name_that_could_be_a_field_or_a_variable_is_refused():
    with pytest.raises(
        RecipeError, match=r"'radius' is a value of 'circle' and a variable; write 'circle.radius'"
    ):
        parse_recipe(SHARED_NAME % '"= 2 * radius"')
    frame = labels(parse_recipe(SHARED_NAME % '"= 2 * circle.radius"'), "images")
    np.testing.assert_array_equal(frame["circle.y"], 2 * frame["circle.radius"])


def test_many_unknown_names_are_told_in_a_bounded_message():
    variables = {f"v{i}": f"= nobody{i} + 1" for i in range(2000)}
    table = {
        "kind": "image",
        "samples": 1,
        "size": [8, 8],
        "variables": variables,
        "classes": {"a": {"objects": [{"circle": {"x": 4, "y": 4, "radius": 1}}]}},
    }
    data = {"name": "a", "version": "1.0.0", "title": "a", "seed": 1, "tables": {"t": table}}
    with pytest.raises(
        RecipeError, match=r"no value is called 'nobody0' here; .*… \(20\d\d in all\)"
    ) as info:
        parse_recipe(json.dumps(data))
    assert len(info.value.problems) == 100
    assert len(str(info.value)) < 100_000
