"""Versioned benchmark datasets from recipes: simple, physical, fully labelled data for machine learning.

``load_recipe`` reads a recipe; ``labels``, ``objects`` and ``render`` give any range of its samples in memory;
``vary`` and ``twin`` render samples again with some labels changed; ``releases`` and ``open`` read what the
``deepbench`` command has built; ``score`` says where a model fails on it,
``audit`` what it gives away.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepbench.catalog import find, open, releases  # noqa: A004
    from deepbench.counterfactuals import twin, vary
    from deepbench.errors import DeepBenchError
    from deepbench.ground_truth import factors
    from deepbench.probing.audit import Audit, audit
    from deepbench.probing.results import Score
    from deepbench.probing.score import score
    from deepbench.recipe import Recipe, load_recipe, parse_recipe
    from deepbench.samples import labels, objects, render

__version__ = "0.3.0"

__all__ = [
    "Audit",
    "DeepBenchError",
    "Recipe",
    "Score",
    "audit",
    "factors",
    "find",
    "labels",
    "load_recipe",
    "objects",
    "open",
    "parse_recipe",
    "releases",
    "render",
    "score",
    "twin",
    "vary",
]

_HOMES = {
    "Audit": "deepbench.probing.audit",
    "DeepBenchError": "deepbench.errors",
    "Recipe": "deepbench.recipe",
    "Score": "deepbench.probing.results",
    "audit": "deepbench.probing.audit",
    "factors": "deepbench.ground_truth",
    "find": "deepbench.catalog",
    "labels": "deepbench.samples",
    "load_recipe": "deepbench.recipe",
    "objects": "deepbench.samples",
    "open": "deepbench.catalog",
    "parse_recipe": "deepbench.recipe",
    "releases": "deepbench.catalog",
    "render": "deepbench.samples",
    "score": "deepbench.probing.score",
    "twin": "deepbench.counterfactuals",
    "vary": "deepbench.counterfactuals",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepbench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted((*__all__, "__version__"))
