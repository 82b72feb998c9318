from __future__ import annotations

import logging

import pytest

from pipeline.cli.output import log_file
from pipeline.secrets import redact


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "FwoGZXIvYXdzEBY")
    monkeypatch.setenv("DB_PASSWORD", "abc")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no secrets at s3://bucket/prefix", "no secrets at s3://bucket/prefix"),
        ("denied for wJalrXUtnFEMI/K7MDENG!", "denied for …!"),
        ("token=FwoGZXIvYXdzEBY", "token=…"),
        ("https://h/a/b?X-Amz-Signature=12&x=y failed", "https://h/a/b?… failed"),
        ("'s3://key:secret@bucket/a'", "'s3://…@bucket/a'"),
        ("abc is too short to be a secret", "abc is too short to be a secret"),
        ("is it? yes", "is it? yes"),
    ],
)
def test_redact(text, shown):
    assert redact(text) == shown


def test_logs_hold_no_secrets(tmp_path):
    with log_file(tmp_path / "log"):
        try:
            raise OSError("GET http://h/x?sig=1 with wJalrXUtnFEMI/K7MDENG")
        except OSError:
            logging.getLogger("pipeline").exception("key %s", "FwoGZXIvYXdzEBY")
    text = (tmp_path / "log").read_text()
    assert "key …" in text
    assert "GET http://h/x?… with …" in text
    assert "wJalr" not in text
