"""Secrets stay where they are: messages and logs show neither credentials nor queries of addresses."""

from __future__ import annotations

import logging
import os
import re

_SECRET = re.compile(r"ACCESS_KEY|SECRET|TOKEN|PASSWORD")
_USER = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?#'\"]*)\?[^\s'\"]*")

SHORTEST = 6
"""Length of the shortest secret: shorter values of the environment are words."""


def redact(text: str) -> str:
    """Return a text without secrets: values of variables such as ``AWS_SECRET_ACCESS_KEY``, passwords, queries.

    Examples
    --------
    >>> redact("GET https://host/file?X-Amz-Signature=0123 failed")
    'GET https://host/file?… failed'
    """
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and _SECRET.search(name):
            text = text.replace(value, "…")
    return _QUERY.sub(r"\1?…", _USER.sub("…@", text))


class RedactingFormatter(logging.Formatter):
    """Writes records of logs without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text."""
        return redact(super().format(record))
