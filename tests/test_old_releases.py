"""Releases of every format version stay readable; those of the present rendering are rendered again, bit by bit."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from deepbench import format as fmt
from deepbench import render
from deepbench.catalog import releases
from deepbench.kinds import KINDS
from pipeline.verify import verify

KEPT = releases(Path(__file__).parent / "releases")


@pytest.fixture(params=KEPT, ids=str)
def release(request):
    return request.param


def test_there_is_one_of_each_format_and_of_each_rendering():
    formats = {release.manifest.format_version for release in KEPT}
    renderings = {release.manifest.render_version for release in KEPT}
    assert formats == set(range(1, fmt.FORMAT_VERSION + 1))
    assert renderings == set(range(1, fmt.RENDER_VERSION + 1))
    tables = (
        each
        for release in KEPT
        for each in release.recipe.tables.values()
        if release.manifest.render_version == fmt.RENDER_VERSION
    )
    assert {each.kind for each in tables} == set(KINDS)


def test_it_is_whole(release):
    report = verify(release, rerender=1.0)
    assert [str(finding) for finding in report.findings] == []
    if release.manifest.render_version == fmt.RENDER_VERSION:
        assert report.rerendered == report.samples
        tolerance = [each.samples for each in release.manifest.tables.values() if each.tolerance]
        assert report.by_tolerance <= sum(tolerance)
    else:
        made_by = release.manifest.software["deepbench"]
        assert any(f"made by DeepBench {made_by} with render" in note for note in report.notes)


def test_it_is_not_rendered_again_by_another_rendering(release, monkeypatch):
    monkeypatch.setattr(fmt, "RENDER_VERSION", 1000)
    report = verify(release, rerender=1.0)
    assert report.ok
    assert report.rerendered == 0
    version = release.manifest.render_version
    made_by = release.manifest.software["deepbench"]
    words = f"made by DeepBench {made_by} with render version {version}, and this one has 1000"
    assert words in report.notes[0]


def test_it_opens(release):
    tree = release.open()
    plain = xr.open_datatree(f"{release.path}/{fmt.DATA}", engine="zarr")
    for name, summary in release.manifest.tables.items():
        assert tree[name].sizes["sample"] == summary.samples
        assert tree[name].to_dataset().identical(plain[name].to_dataset())
        labels = release.labels(name)
        assert list(labels.columns) == list(summary.columns)
        assert labels["class"].value_counts().to_dict() == {
            key: count for key, count in summary.classes.items() if count
        }
        if release.manifest.render_version == fmt.RENDER_VERSION and not summary.tolerance:
            objects = release.objects(name) if summary.objects else None
            again = render(release.recipe, name, labels=release.labels(name), objects=objects)
            for variable in release.recipe.tables[name].data_variables():
                np.testing.assert_array_equal(again[variable.name], tree[name][variable.name])
