"""What all tests share: examples of hypothesis have no deadline, and temporary files end with the tests."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def _temporary_files():
    """Put temporary files into a folder that is removed: processes that tests kill leave theirs.

    Its name is short, as that of a socket in it can have about 100 characters.
    """
    with (
        tempfile.TemporaryDirectory(prefix="db-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
