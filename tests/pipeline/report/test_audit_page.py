"""The page of an audit: the verdict first, and all that it says can be read without seeing it."""

import re

import pytest

import deepbench
from deepbench.catalog import find
from pipeline.build import build
from pipeline.report.audit_page import audit_page

RECIPE = """\
name: leaking
version: 1.0.0
title: Disks & squares on skies <of their own>
seed: 4
splits: {train: 0.6, test: 0.4}
tables:
  images:
    kind: image
    samples: 240
    size: [12, 12]
    variables: {side: {uniform: [4, 4.001]}}
    classes:
      disk: {objects: [{circle: {x: 6, y: 6, radius: "= side / sqrt(pi)"}}]}
      square: {objects: [{rectangle: {x: 6, y: 6, width: "= side", height: "= side"}}]}
    noise: [{background: {level: "= where(class == disk, 0.3, 0.6)"}}, {gaussian: {sigma: 0.1}}]
"""


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    catalog = tmp_path_factory.mktemp("audited") / "releases"
    build(deepbench.parse_recipe(RECIPE), str(catalog))
    release = find("leaking", "1.0.0", catalog)
    found = deepbench.audit(release)
    return found, audit_page([found], release)


def test_the_verdict_comes_first_and_nothing_is_needed_from_elsewhere(audited, parse_page):
    found, text = audited
    parsed = parse_page(text)
    assert re.findall(r"<h2[^>]*>([^<]*)</h2>", text) == [
        "Verdict",
        "What tells the class",
        "Single labels",
        "Shifts between splits",
        "What splits share",
        "Ceiling",
    ]
    assert "Disks &amp; squares on skies &lt;of their own&gt;" in text
    assert "http" not in text
    assert not parsed.all("script")
    messages = [each.message.replace("'", "&#x27;") for each in found.findings]
    places = [text.index(each) for each in messages]
    assert places == sorted(places)
    assert places[-1] < text.index("What tells the class</h2>")
    assert "noise.background.level" in messages[0]


def test_an_audit_can_be_read_without_seeing_it(audited, parse_page):
    found, text = audited
    parsed = parse_page(text)
    assert len(parsed.all("caption")) == len(parsed.all("table")) == 5
    scrolled = [each for _, each in parsed.found if each.get("class") in ("scroll", "strip")]
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in scrolled)
    assert all(
        each["aria-hidden"] == "true" for _, each in parsed.found if each.get("class") == "meter"
    )
    for each in found.tellings:
        assert f"{each.accuracy['test'].value:.3f}" in text
    assert found.searched.replace("'", "&#x27;") in text


def test_pairs_that_splits_share_are_shown(audited, parse_page):
    """All of one class are one image but for the noise."""
    found, text = audited
    near = next(each for each in found.overlaps if each.what == "unresolved")
    assert near.samples == near.of
    shown = {each["alt"] for each in parse_page(text).all("img")}
    assert {f"sample {near.first} of test", f"sample {near.twin} of train"} <= shown


def test_the_ceiling_is_told_with_its_samples(audited):
    found, text = audited
    (pair,) = found.ceiling.separations
    assert f"{pair.accuracy.value:.4f}" in text
    assert ">128<" in text
    assert [each.label for each in found.ceiling.bounds] == ["variables.side"] * 2
    assert "0 of 64" in text  # no noise shows a thousandth of a pixel
