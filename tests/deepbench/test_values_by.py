"""Values by class, split or number, mixtures, compound distributions, values of groups and of copies."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from deepbench.errors import LabelError, RecipeError
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, objects, render

DOT = {"circle": {"x": 4, "y": 4, "radius": 1}}
BOX = {"rectangle": {"x": 4, "y": 4, "width": 2, "height": 1}}
CLASSES = {"dot": {"objects": [DOT]}, "box": {"objects": [BOX]}}


def recipe(head=None, **table):
    described = {"kind": "image", "samples": 2000, "size": [8, 8], "classes": CLASSES} | table
    names = {"name": "a", "version": "1.0.0", "title": "A", "seed": 3}
    data = {
        **names,
        "splits": {"train": 0.5, "test": 0.5},
        **(head or {}),
        "tables": {"t": described},
    }
    return parse_recipe(json.dumps(data))


def variables(count=2000, head=None, **values):
    return labels(recipe(head, variables=values), "t", 0, count)


def refusal(head=None, **table):
    with pytest.raises(RecipeError) as caught:
        recipe(head, **table)
    return str(caught.value)


UNIFORM = {"uniform": [0, 1]}


def test_branches_share_the_quantile_of_a_sample():
    by_split = {"by": "split", "train": UNIFORM, "otherwise": {"uniform": [10, 30]}}
    found = variables(plain=UNIFORM, v=by_split)
    other = variables(v=UNIFORM)["variables.v"]
    train = found["split"] == "train"
    expected = np.where(train, other, 10 + 20 * other)
    np.testing.assert_allclose(found["variables.v"], expected, rtol=1e-15)
    assert 900 < train.sum() < 1100


@pytest.mark.parametrize("key", ["class", "split", "survey"])
def test_a_value_by_anything_is_that_of_its_branch(key):
    names = {"class": ["dot", "box"], "split": ["train", "test"], "survey": ["2", "5"]}[key]
    value = {"by": key, names[0]: {"normal": [0, 1]}, names[1]: {"log_uniform": [1, 9]}}
    found = variables(survey={"choice": [2, 5]}, v=value)
    plain = [variables(v=value[name])["variables.v"] for name in names]
    column = found["variables.survey"].astype(int).astype(str) if key == "survey" else found[key]
    assert set(column) == set(names)
    np.testing.assert_array_equal(
        found["variables.v"], np.where(column == names[0], plain[0], plain[1])
    )


def test_what_all_samples_share_may_depend_on_the_class_and_its_variables():
    ends = {"dot": [1, 2], "box": [3, 4]}
    sizes = {
        name: each | {"variables": {"size": {"uniform": ends[name]}}}
        for name, each in CLASSES.items()
    }
    made = recipe(
        classes=sizes,
        psf={"gaussian": {"sigma": "= size / 2"}},
        noise=[{"gaussian": {"sigma": {"by": "class", "dot": 0.5, "otherwise": "= 0.1 * size"}}}],
    )
    found = labels(made, "t")
    dot = found["class"] == "dot"
    np.testing.assert_array_equal(found["psf.sigma"], found["variables.size"] / 2)
    np.testing.assert_array_equal(
        found["noise.gaussian.sigma"], np.where(dot, 0.5, 0.1 * found["variables.size"])
    )
    part, rows = render(made, "t", 7, 20), found.iloc[7:20]
    again = render(made, "t", labels=rows)
    np.testing.assert_array_equal(part.image, again.image)
    np.testing.assert_array_equal(render(made, "t", 9, 10).image[0], part.image[2])


def test_weights_of_classes_by_split():
    weights = {"dot": {"by": "split", "train": 9, "otherwise": 0}, "box": 1}
    classes = {name: each | {"weight": weights[name]} for name, each in CLASSES.items()}
    found = labels(recipe(classes=classes), "t")
    share = (found["class"] == "dot").groupby(found["split"], observed=True).mean()
    assert share["test"] == 0
    assert stats.binomtest(round(share["train"] * 1000), 1000, 0.9).pvalue > 1e-4
    plain = labels(recipe(), "t")["split"]
    assert (found["split"] == plain).all()
    same = {
        name: each | {"weight": {"by": "split", "otherwise": 2, "train": 2}}
        for name, each in CLASSES.items()
    }
    assert (labels(recipe(classes=same), "t")["class"] == labels(recipe(), "t")["class"]).all()


@pytest.mark.parametrize(
    ("weight", "says"),
    [
        ({"by": "split", "train": 2}, "has no weight for split test: add it"),
        ({"by": "split", "train": "= a", "test": 1}, "train: must be a number, or an expression"),
        ({"by": "split", "train": 1, "exam": 2}, "unknown split 'exam'"),
        ({"by": "split", "train": -1, "test": 1}, "the weights of the splits must be numbers"),
    ],
)
def test_bad_weights_by_split_are_refused(weight, says):
    classes = CLASSES | {"dot": {"objects": [DOT], "weight": weight}}
    assert says in refusal(classes=classes)


def test_weights_and_noise_by_split_may_be_expressions_of_numbers():
    by = {"by": "split", "train": "= 1 / 4", "otherwise": 0}
    made = recipe(
        classes=CLASSES | {"dot": {"objects": [DOT], "weight": by}}, label_noise={"class": by}
    )
    assert made.table("t").plan.weights_in("train")["dot"] == 0.25
    assert made.tables["t"].label_noise["class"].constant_for("train") == 0.25


def test_a_mixture_is_drawn_by_one_number_and_says_its_component():
    parts = [
        {"weight": 1, "value": {"normal": [0, 1]}},
        {"weight": 3, "value": {"uniform": [5, 7]}},
    ]
    found = variables(4000, m={"mixture": parts}, c="= m.component * 2")
    component, value = found["variables.m.component"], found["variables.m"]
    assert stats.binomtest(int((component == 1).sum()), 4000, 0.75).pvalue > 1e-4
    assert (found["variables.c"] == 2 * component).all()
    assert stats.kstest(value[component == 0], stats.norm.cdf).pvalue > 1e-4
    assert stats.kstest(value[component == 1], stats.uniform(5, 2).cdf).pvalue > 1e-4
    u = variables(4000, m=UNIFORM)["variables.m"]
    np.testing.assert_allclose(value[u > 0.25], 5 + 2 * (u[u > 0.25] - 0.25) / 0.75, rtol=1e-12)
    branch = {"by": "class", "dot": {"mixture": parts}, "box": 1}
    one = variables(m=branch)
    assert one["variables.m.component"].isna().equals(one["class"] == "box")


COMPOUND = [
    ({"uniform": ["= a", "= a + b"]}, lambda a, b: stats.uniform(a, b)),
    ({"log_uniform": ["= 1 + a", "= 9 + b"]}, lambda a, b: stats.loguniform(1 + a, 9 + b)),
    ({"normal": {"mean": "= a", "sigma": "= b"}}, lambda a, b: stats.norm(a, b)),
    ({"log_normal": ["= b", 0.3]}, lambda a, b: stats.lognorm(0.3, 0, b)),
    ({"integers": [0, "= floor(9 * b)"]}, lambda a, b: stats.randint(0, np.floor(9 * b) + 1)),
    (
        {"truncated_normal": ["= a", 1, "= -b", 2]},
        lambda a, b: stats.truncnorm(-b - a, 2 - a, a, 1),
    ),
    (
        {"truncated_normal": ["= 3 * a", 1, 1]},
        lambda a, b: stats.truncnorm(1 - 3 * a, np.inf, 3 * a, 1),
    ),
]


@pytest.mark.parametrize(("written", "law"), COMPOUND, ids=[str(each) for each, _ in COMPOUND])
def test_compound_distributions_have_the_law_of_their_parameters(written, law):
    found = variables(a=UNIFORM, b={"uniform": [1, 2]}, v=written)
    a, b, value = (found[f"variables.{name}"] for name in "abv")
    u = variables(v=UNIFORM)["variables.v"]
    np.testing.assert_allclose(value, law(a, b).ppf(u), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("slope", ["= 0.5 + a", "= 1 + 1e-5 * (a - 0.5)", "= 3 * a"])
def test_a_power_law_of_drawn_slope_is_that_of_each_slope(slope):
    found = variables(40, a=UNIFORM, v={"power_law": [slope, 1, "= 20 + a"]})
    for row in found.itertuples(index=False):
        a = row[found.columns.get_loc("variables.a")]
        number = eval(slope[1:], {"a": a})
        alone = variables(40, v={"power_law": [number, 1, 20 + a]}).loc[row[0], "variables.v"]
        assert row[found.columns.get_loc("variables.v")] == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize(
    ("low", "says"),
    [
        ("= 2 * a", "low = 1.*, high = 1 .low must be below high"),
        ("= a - 5", "gives values from|= -"),
    ],
)
def test_a_wrong_parameter_of_a_compound_names_its_sample(low, says):
    made = recipe(variables={"a": UNIFORM}, psf={"gaussian": {"sigma": {"uniform": [low, 1]}}})
    with pytest.raises(LabelError, match=rf"sample \d+: psf.sigma = .*({says})"):
        labels(made, "t")


def test_integers_have_drawn_ends_that_are_whole():
    with pytest.raises(LabelError, match=r"variables.v = nan .*high must be a whole number"):
        variables(v={"integers": [0, "= a"]}, a=UNIFORM)
    assert "must be a whole number" in refusal(
        variables={"a": {"integers": [1, 2]}, "v": {"integers": [0.5, "= a"]}}
    )
    found = variables(v={"integers": [0, "= floor(3 * a)"]}, a=UNIFORM)
    assert set(found["variables.v"]) == {0, 1, 2}
    assert (found["variables.v"] <= 3 * found["variables.a"]).all()


def test_the_density_of_a_sobol_sequence_is_that_of_its_columns():
    columns = {"x": {"uniform": [0, 4]}, "n": {"choice": [1, 2]}}
    one = {"box": {"objects": [BOX]}}
    made = recipe(variables={"s": {"sobol": {"columns": columns}}}, log_prior=True, classes=one)
    assert labels(made, "t", 0, 50)["log_prior"].to_numpy() == pytest.approx(math.log(1 / 8))


def test_values_of_groups_are_one_draw_for_a_group():
    made = recipe(
        group_size=4,
        variables={
            "g": {"per": "group", "normal": [10, 2]},
            "twice": "= 2 * g",
            "spread": {"per": "group", "normal": ["= g", 1]},
            "v": {"normal": ["= g", 1]},
        },
    )
    found = labels(made, "t")
    by_group = found.groupby("group")
    for name in ("g", "twice", "spread"):
        assert (by_group[f"variables.{name}"].nunique() == 1).all()
    assert (by_group["variables.v"].nunique() == 4).all()
    g = by_group["variables.g"].first()
    assert stats.kstest(g, stats.norm(10, 2).cdf).pvalue > 1e-4
    alone = labels(recipe(variables={"g": {"normal": [10, 2]}}), "t", 0, 500)["variables.g"]
    assert (g.to_numpy() == alone.to_numpy()).all()
    assert labels(made, "t", 6, 9).equals(found.iloc[6:9].reset_index(drop=True))


def test_a_value_of_groups_may_be_one_by_split():
    value = {"per": "group", "by": "split", "train": UNIFORM, "test": {"uniform": [2, 3]}}
    made = recipe(variables={"v": value}, group_size=4)
    assert made.tables["t"].model_dump(mode="json")["variables"]["v"]["per"] == "group"
    found = labels(made, "t", 0, 80)
    assert (found.groupby("group")["variables.v"].nunique() == 1).all()
    assert ((found["variables.v"] > 1) == (found["split"] == "test")).all()


def test_copies_have_variables_and_a_drawn_number():
    entry = {
        "circle": {"x": "= 1 + 3 * u", "y": 4, "radius": "= side.a"},
        "repeat": "= n + 1",
        "variables": {
            "u": UNIFORM,
            "side": {
                "multivariate_normal": {"columns": ["a"], "mean": [3], "covariance": [[0.01]]}
            },
        },
    }
    crowd = {"objects": [entry], "variables": {"n": {"integers": [0, 2]}}}
    made = recipe(classes={"crowd": crowd})
    found, copies = labels(made, "t", 0, 200), objects(made, "t", 0, 200)
    assert (found["circle.repeat"] == found["variables.n"] + 1).all()
    assert made.table("t").plan.most_copies == 3
    np.testing.assert_array_equal(copies["x"], 1 + 3 * copies["variables.u"])
    np.testing.assert_array_equal(copies["radius"], copies["variables.side.a"])
    assert copies["variables.u"].nunique() == len(copies)
    again = render(made, "t", labels=found, objects=copies)
    np.testing.assert_array_equal(again.image, render(made, "t", 0, 200).image)


def test_tables_share_the_variables_of_the_recipe():
    text = json.loads(
        json.dumps({"kind": "image", "samples": 9, "size": [8, 8], "classes": CLASSES})
    )
    data = {"name": "a", "version": "1.0.0", "title": "A", "seed": 3, "variables": {"g": UNIFORM}}
    made = parse_recipe(json.dumps({**data, "tables": {"one": text, "two": text}}))
    one, two = labels(made, "one"), labels(made, "two")
    assert (one["variables.g"] == two["variables.g"]).all()
    assert not (one["class"] == two["class"]).all()
    without = parse_recipe(
        json.dumps({**data, "variables": {}, "tables": {"one": text, "two": text}})
    )
    assert (labels(without, "one")["class"] == one["class"]).all()
    assert made.table("one").hash != without.table("one").hash


SIGMA = [
    ({"by": "class", "dto": 1, "otherwise": 1}, "unknown class 'dto'; did you mean 'dot'?"),
    ({"by": "class", "dot": 1}, "has no value for class box: add it, or `otherwise`"),
    ({"by": "split", "train": 1, "exam": 2}, "unknown split 'exam'"),
    ({"by": "clas", "dot": 1}, "has numbers as branches, not 'dot'; did you mean `by: class`?"),
    ({"by": "n", "uniform": {"low": 0, "high": 1}, "0": 1}, "as branches, not 'uniform'"),
    ({"by": "clas", "1": 1}, "no value is called 'clas' here"),
    ({"by": "a", "1": 1, "otherwise": 2}, "cannot choose by 'a', whose values are not listed"),
    ({"by": "n", "0": 1}, "has no value for n 1: add it"),
    ({"by": "n", "7": 1, "otherwise": 1}, "'n' is never 7; it can be 0, 1"),
    ({"by": "split"}, "needs a value for some split"),
    ({"by": "n", "0": 1, "1": 2, "1.0": 3}, "has two values for n 1, one of them as '1.0'"),
    ({"per": "group", "by": "class", "dot": 1, "box": 2}, "it can use values per group only"),
    ({"per": "group", "by": "split", "train": 1}, "has no value for split test"),
    ({"by": "class", "dot": {"uniform": [-1, 1]}, "box": 1}, "must be a number at least 0"),
    ({"mixture": [{"value": 1}]}, "a list of two or more"),
    ({"mixture": [{"value": 1}, {"weigth": 2, "value": 1}]}, "did you mean 'weight'?"),
    ({"mixture": [{"value": 1}, {"value": 1, "weight": -1}]}, "weight must be at least 0, not -1"),
    ({"mixture": [{"value": 1}, {"value": -1}]}, "must be a number at least 0"),
    ({"per": "table", "uniform": [0, 1]}, "`per` can be group, not 'table'"),
    ({"per": "group", "uniform": [0, "= a"]}, "per group, so it can use values per group only"),
    ({"choice": ["= a", 2]}, "takes numbers, no expressions"),
    ({"normal": ["= a"]}, "'sigma' is missing"),
    ({"normal": ["= a", -1]}, "must be a number above 0"),
    ({"uniform": {"low": "= a", "hihg": 1}}, "did you mean 'high'?"),
    ("= class + 1", "'class' is no number: compare it with a name"),
    ("= where(class == dto, 1, 2)", "unknown class 'dto'; did you mean 'dot'?"),
    ("= where(a < 1 < 2, 1, 2)", "comparisons do not form a chain"),
    ("= circle.radius", "'circle.radius' is a value of some classes, 'psf' of all"),
]


@pytest.mark.parametrize(("sigma", "says"), SIGMA, ids=lambda each: str(each)[:50])
def test_bad_values_are_refused_by_name(sigma, says):
    message = refusal(
        group_size=2,
        variables={"a": UNIFORM, "n": {"integers": [0, 1]}},
        psf={"gaussian": {"sigma": sigma}},
    )
    assert says in message
    assert message.count("\n") == 0


def test_values_of_groups_need_groups():
    message = refusal(variables={"g": {"per": "group", "uniform": [0, 1]}})
    assert "`per: group` needs groups of several samples: give the table a `group_size`" in message


@pytest.mark.parametrize(
    ("repeat", "says"),
    [
        ("= a", "no largest value"),
        ("= 1e6 * n", "at most 100,000"),
        ("= circle.x", "called 'circle.x'|circle"),
    ],
)
def test_a_number_of_copies_has_a_largest_value(repeat, says):
    entry = DOT | {"repeat": repeat, "name": "dots"}
    message = refusal(
        classes={"a": {"objects": [entry]}},
        variables={"a": {"normal": [0, 1]}, "n": {"integers": [0, 2]}},
    )
    assert any(each in message for each in says.split("|"))


def test_a_circle_through_class_and_split_is_refused():
    weights = {"by": "split", "train": 1, "otherwise": 2}
    classes = {name: each | {"weight": weights} for name, each in CLASSES.items()}
    rule = {"train": 1.0, "dots": {"where": "class == dot"}}
    assert "in a circle: split → class → split" in refusal(classes=classes, splits=rule)
    value = {"by": "split", "dots": 1, "otherwise": 2}
    rule = {"train": 1.0, "dots": {"where": "a > 1"}}
    assert "in a circle" in refusal(variables={"a": value}, splits=rule)


def test_bounds_follow_from_what_an_expression_uses():
    made = recipe(
        classes={"a": {"objects": [DOT | {"repeat": "= min(2 * n + m, 7) * (b > 0)"}]}},
        variables={
            "n": {"integers": [0, 2]},
            "m": {"by": "split", "train": 1, "test": 2},
            "b": {"normal": [0, 1]},
        },
    )
    assert made.table("t").plan.most_copies == 6
    assert math.isclose(labels(made, "t")["circle.repeat"].max(), 6)
