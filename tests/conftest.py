"""What all tests share: no example of hypothesis fails for taking long beside other work."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
