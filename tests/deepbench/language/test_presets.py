"""Presets: names that stand for numbers."""

import pytest
from pydantic_core import PydanticCustomError

from deepbench.language.presets import check_bands, named_preset, read_presets

PRESETS = {"camera": {"bands": {"g": {}, "r": {}}}, "survey": {"bands": {"i": {}}}}


def test_a_preset_is_found_by_its_name():
    assert named_preset({"preset": "survey"}, PRESETS) is PRESETS["survey"]
    for data in ({}, {"preset": None}, [], None, 3):
        assert named_preset(data, PRESETS) is None


@pytest.mark.parametrize("name", ["camara", 3, ["camera"]])
def test_an_unknown_preset_is_refused(name):
    with pytest.raises(PydanticCustomError, match="camera"):
        named_preset({"preset": name}, PRESETS)


def test_bands_that_a_preset_does_not_have_are_refused():
    check_bands(["r", "g"], "camera", PRESETS["camera"])
    with pytest.raises(PydanticCustomError, match="band of 'camera' 'u'"):
        check_bands(["r", "u"], "camera", PRESETS["camera"])


def test_presets_are_read_from_a_file(tmp_path):
    file = tmp_path / "presets.yaml"
    file.write_text("camera:\n  bands: {g: {zero_point: 25}}\n")
    assert read_presets(file) == {"camera": {"bands": {"g": {"zero_point": 25}}}}
