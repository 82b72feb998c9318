"""What all tests share: no example of hypothesis fails for taking long beside other work, and nothing is left behind."""

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
