"""The page of a score: complete, well formed, readable without seeing it, and nothing of it lies elsewhere."""

import re

import numpy as np
import pandas as pd
import pytest

import deepbench
from deepbench.catalog import find
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions
from pipeline.report.charts import Axis, label_chart
from pipeline.report.page import Pictures
from pipeline.report.score_page import _change, score_page


@pytest.fixture(scope="module")
def release(tmp_path_factory, make_recipe, cluster):
    catalog = tmp_path_factory.mktemp("scored") / "releases"
    changes = {"tables__images__samples": 3000, "title": "Shapes <of> two & more sorts"}
    options = ClusterOptions(scheduler=cluster.scheduler_address)
    build(make_recipe(**changes), str(catalog), cluster=options)
    return find("small", "1.0.0", catalog)


@pytest.fixture(scope="module")
def page(release):
    """The page of a model that calls most small circles rare, and measures the blur."""
    labels = release.labels("images")
    random = np.random.default_rng(3)
    wrong = (labels["circle.radius"] < 3) & (random.random(len(labels)) < 0.8)
    called = np.where(wrong, "rare", labels["class"].astype(str))
    blur = labels["psf.sigma"] + random.normal(0, 0.1, len(labels))
    frame = pd.DataFrame({"id": labels["id"], "class": called, "psf.sigma": blur})
    splits = [name for name in release.manifest.tables["images"].splits if name != "train"]
    score = deepbench.score(
        release,
        frame[labels["split"] != "train"],
        "images",
        split=splits,
        by=["circle.radius", "psf.sigma"],
    )
    assert [str(each) for each in score.slices["class"]]
    return score, score_page(score, release)


def test_a_page_is_whole_and_needs_nothing_from_elsewhere(page, parse_page):
    _, text = page
    parsed = parse_page(text)
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", text)
    assert headings == [
        "Summary",
        "Confusion",
        "Error by label",
        "Where it fails most",
        "One label changed",
        "Worst samples",
    ]
    assert "Shapes &lt;of&gt; two &amp; more sorts" in text
    assert "<of>" not in text
    assert "http" not in text
    assert not parsed.all("script")
    assert all(each["src"].startswith("data:image/png;base64,") for each in parsed.all("img"))
    targets = {each["href"].removeprefix("#") for each in parsed.all("a")}
    assert targets <= {each.get("id") for _, each in parsed.found}


def test_a_page_can_be_read_without_seeing_it(page, parse_page):
    score, text = page
    parsed = parse_page(text)
    assert parsed.all("html")[0]["lang"] == "en"
    assert all(each["alt"] for each in parsed.all("img"))
    charts = parsed.all("svg")
    assert len(charts) == 4  # two losses along two labels
    assert all(each["role"] == "img" and each["aria-label"] for each in charts)
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    scrolled = [each for _, each in parsed.found if each.get("class") in ("scroll", "strip")]
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in scrolled)
    for metric in score.metrics:
        assert f"{metric.estimate.value:.4g}" in text


def test_the_pictures_are_of_the_samples_that_are_named(page):
    score, text = page
    worst = score.worst(24, "psf.sigma")["id"]
    assert all(f'alt="sample {sample}"' in text for sample in worst)
    part = score.slices["class"][0]
    inside = score.worst_of(part, 8)
    assert (inside["class"] == "circle").all()
    for each in part.conditions:
        if not each.category:
            assert f"along {each.label}" in text


def test_charts_of_few_samples_come_after_others():
    chance = _change(np.array([0.0, 1, 0, 1, 0]), np.array([1, 1, 1, 1, 1]))
    trend = _change(np.array([0.1, 0.2, 0.3]), np.array([40, 40, 40]))
    even = _change(np.array([0.2, 0.2, 0.2]), np.array([40, 40, 40]))
    assert trend > even > chance


def test_ticks_of_dates_are_told_apart():
    bins = pd.DataFrame(
        {"from": [1324.9, 1325.8], "to": [1325.8, 1326.6], "value": [0.1, 0.2], "low": np.nan}
    )
    bins = bins.assign(mean=[1325.0, 1326.5], high=np.nan, n=30)
    curve = pd.DataFrame({"at": [], "value": [], "low": [], "high": []})
    svg = label_chart(bins, curve, "peak_time", "d", "error")
    assert ">1325.5<" in svg
    assert ">1326<" in svg


def test_round_ticks():
    assert np.allclose(Axis(0, 1, 0, 100).ticks(), [0, 0.2, 0.4, 0.6, 0.8, 1])
    assert np.allclose(Axis(-3.2, 14, 0, 100).ticks(), [0, 5, 10])
    assert np.allclose(Axis(0.5, 2000, 0, 1, logarithmic=True).ticks(), [1, 10, 100, 1000])
    assert np.allclose(Axis(2, 9, 0, 1, logarithmic=True).ticks(), [2, 4, 6, 8])
    flat = Axis(3, 3, 0, 100)
    assert flat(3) == pytest.approx(50)


def test_a_label_that_cannot_be_changed_has_no_pictures_along_it(release):
    """Slices are of all labels, of those that are measured or derived, too."""
    pictures, values = Pictures(release, "images"), np.array([1.0, 2.0])
    assert pictures.along(0, "group", values) is None
    assert len(pictures.along(0, "psf.sigma", values)) == 2


def test_a_curve_is_not_cut_at_the_top_of_its_chart():
    bins = pd.DataFrame(
        {"mean": [1.0, 2], "value": [0.1, 0.2], "low": [0.05, 0.1], "high": [0.2, 0.3]}
    )
    curve = pd.DataFrame(
        {"at": [1.0, 2], "value": [0.1, 0.9], "low": [0.0, 0.8], "high": [0.2, 1.0]}
    )
    svg = label_chart(bins, curve, "x", "", "error")
    heights = [
        float(each.split(",")[1])
        for each in re.search('class="curve" points="([^"]*)', svg)[1].split()
    ]
    assert heights[0] - heights[1] == pytest.approx(0.8 / (1.0 * 1.05) * 146, abs=0.2)
