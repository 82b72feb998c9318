"""What all tests share: examples of hypothesis have no deadline, and temporary files end with the tests."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def _temporary_files(tmp_path_factory):
    """Put temporary files where pytest removes them: processes that tests kill leave theirs."""
    folder = str(tmp_path_factory.mktemp("tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
