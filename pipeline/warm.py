"""Kernels compiled before they are needed, as when the image of a cluster's workers is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.samples import draw_labels, render_arrays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepbench.labelling.scopes import Labels
    from deepbench.recipe import Recipe
    from deepbench.tables import Table

CHECKED = 1000
"""Number of samples among which those of each class are looked for."""

EACH = 4
"""Number of samples of each class that are rendered."""


def warm(recipe: Recipe) -> None:
    """Compile every kernel that a recipe needs and this machine lacks, by rendering a few samples of each class.

    Examples
    --------
    >>> warm(load_recipe("workflows/shapes.yaml"))      # doctest: +SKIP
    """
    for name in recipe.tables:
        table = recipe.table(name)
        for labels in few_of_each_class(table):
            render_arrays(table, labels)


def few_of_each_class(table: Table[Any]) -> Iterator[Labels]:
    """Yield the labels of the first samples of each class that the first samples of a table have."""
    labels = draw_labels(table, 0, min(table.samples, CHECKED))
    for code in np.unique(labels.columns["class"]):
        yield labels.take(labels.members(int(code))[:EACH])
