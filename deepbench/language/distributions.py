"""All distributions by the names that recipes use."""

from __future__ import annotations

from deepbench.language.continuous import (
    Histogram,
    LogNormal,
    LogUniform,
    Normal,
    PowerLaw,
    TruncatedNormal,
    Uniform,
)
from deepbench.language.discrete import Choice, Grid, Integers
from deepbench.language.distribution import Distribution
from deepbench.language.scipy_stats import Scipy

DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "power_law": PowerLaw,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
    "log_normal": LogNormal,
    "integers": Integers,
    "choice": Choice,
    "grid": Grid,
    "histogram": Histogram,
    "scipy": Scipy,
}
"""The distributions by the names that recipes use. A new one is a class in ``continuous`` or
``discrete``, and a line here."""
