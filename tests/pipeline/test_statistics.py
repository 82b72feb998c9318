"""The statistics that builds write: the same bits however they are built, found when changed, made again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from deepbench import format as fmt
from deepbench.catalog import find
from deepbench.errors import MissingDataError, ReleaseError
from deepbench.statistics import statistics_of
from pipeline.repair import repair
from pipeline.verify import verify

FILE = fmt.statistics_file("images")


@pytest.fixture
def copy(copied):
    """The folder of a release that a test may damage."""
    return Path(copied, "small", "1.0.0")


def overwrite(path, content):
    path.chmod(0o644)
    path.write_bytes(content)


def test_they_are_what_is_computed_from_the_release(built):
    for name, table in built.recipe.tables.items():
        written = built.release.statistics(name)
        opened = built.release.open()[name].to_dataset()
        assert written == statistics_of(built.recipe.table(name), opened)
        assert written.samples == built.release.manifest.tables[name].splits["train"]
        assert set(written.labels["class"].classes) == set(table.classes)


def test_bits_do_not_depend_on_blocks_and_storage(built, make, make_recipe, tmp_path):
    """Nineteen blocks, and one; chunks of other sizes; another order of blocks."""
    storage = {"chunk_bytes": 1024, "shard_bytes": 2**20}
    result = make(make_recipe(storage=storage), tmp_path)
    assert result.new_blocks == 2
    assert result.seconds["cpu.statistics"] > 0
    one, other = built.path, Path(tmp_path, "small", "1.0.0")
    for name in built.recipe.tables:
        file = fmt.statistics_file(name)
        assert (one / file).read_bytes() == (other / file).read_bytes()


def test_a_change_that_is_signed_is_found(copy, copied):
    data = json.loads((copy / FILE).read_bytes())
    data["variables"]["image"]["mean"] += 1e-9
    content = json.dumps(data).encode()
    overwrite(copy / FILE, content)
    signed(copy, content)
    (finding,) = verify(find("small", catalog=copied)).findings
    assert (finding.check, finding.file, finding.table) == ("statistics", FILE, "images")
    assert finding.message.startswith("mean of 'image' is 0.")


def test_other_white_space_is_found(copy, copied):
    content = (copy / FILE).read_bytes() + b" "
    overwrite(copy / FILE, content)
    signed(copy, content)
    (finding,) = verify(find("small", catalog=copied)).findings
    assert finding.message == "is not written as statistics are"


def signed(folder, content):
    """Let the manifest list statistics as they are."""
    data = json.loads((folder / fmt.MANIFEST).read_bytes())
    for each in data["objects"]:
        if each["path"] == FILE:
            each |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    del data["checksum"]
    overwrite(folder / fmt.MANIFEST, fmt.signed(data).encode())


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_damaged_ones_are_refused_and_made_again(copy, copied, damage):
    path = copy / FILE
    before = path.read_bytes()
    path.chmod(0o644)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(before.replace(b"0", b"1", 1))
    release = find("small", catalog=copied)
    with pytest.raises(MissingDataError if damage == "gone" else ReleaseError, match="repair"):
        release.statistics("images")
    assert release.statistics("squares").samples > 0
    assert repair(release, str(copied)).repaired == [FILE]
    assert path.read_bytes() == before
