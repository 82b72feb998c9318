"""Verify a release: files, data, labels, schema; each claim checked."""

from pipeline.verify.findings import Finding
from pipeline.verify.run import Report, verify

__all__ = ["Finding", "Report", "verify"]
