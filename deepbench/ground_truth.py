"""Ground truth for studies of disentanglement: factors with levels, and the observation of any combination of them.

The interface is that of ``GroundTruthData`` in disentanglement_lib (Locatello et al. 2019, ICML): its metrics take it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepbench.counterfactuals import changed, numbers_of, table_of
from deepbench.errors import LabelError
from deepbench.labelling.changes import check_changes, derive_of, drawn_values
from deepbench.labelling.draw import check
from deepbench.labelling.scopes import VARIABLES
from deepbench.language.distribution import Distribution
from deepbench.samples import draw_labels, render_arrays
from deepbench.selection import draw_samples

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from deepbench.labelling.plan import LabelPlan
    from deepbench.recipe import Recipe
    from deepbench.release import Release
    from deepbench.tables import Table

TRIED = 4096
"""Number of first samples among which one is looked for that has all factors."""

LEVELS = 16
"""Levels of a continuous factor, unless another number is asked for."""


def factors(
    source: Recipe | Release,
    table: str,
    names: Sequence[str] | Mapping[str, ArrayLike] | None = None,
    *,
    levels: int = LEVELS,
    sample: int | None = None,
    noise: Literal["drawn", "fixed"] = "drawn",
    variable: str | None = None,
) -> GroundTruth:
    """Return observations of one sample whose labels ``names`` have a grid of levels, all else being equal.

    Parameters
    ----------
    source : Recipe or Release
    table : str
        Name of one of its tables.
    names : sequence of str, or mapping of str to array, optional
        Labels that are factors, the ``factors`` of the table when absent. Their levels are given, or follow from what
        the recipe draws: all classes, all values of discrete labels, else quantiles at the middles of equal shares, so
        that levels are as frequent as in the table. What the recipe derives from them follows.
    levels : int
        Number of levels of factors that are not discrete.
    sample : int, optional
        Sample that all other labels are taken from; the first one whose class has all factors when absent.
    noise : {"drawn", "fixed"}
        Whether each observation has noise of its own, by ``random_state``, or all have that of the sample.
    variable : str, optional
        Data variable that is observed; the first one when absent.

    Raises
    ------
    CatalogError
        There is no such table.
    LabelError
        A label does not exist or cannot be a factor, or no sample has all of them.

    Examples
    --------
    >>> import deepbench
    >>> recipe = deepbench.load_recipe("workflows/shapes.yaml")
    >>> truth = factors(recipe, "images", ["circle.x", "circle.radius"], levels=8)
    >>> latents, images = truth.sample(16, np.random.RandomState(0))
    >>> truth.factors_num_values, latents.shape, images.shape
    ([8, 8], (16, 2), (16, 64, 64, 1))
    """
    view = table_of(source, table)
    if names is None:
        names = _of_design(view.plan)
    check_changes(view.plan, list(names), "again")
    given = names if isinstance(names, Mapping) else dict.fromkeys(names)
    values = {}
    for name, listed in given.items():
        found = _levels(view.plan, name, levels) if listed is None else np.asarray(listed)
        if found.ndim != 1 or len(found) < 2 or found.dtype.kind not in "iuf":
            raise LabelError(
                f"the levels of '{name}' must be at least two numbers, not {listed!r:.80}"
            )
        values[name] = found.astype(np.float64)
    variables = {each.name: each for each in view.variables}
    chosen = next(iter(variables)) if variable is None else variable
    if chosen not in variables:
        raise LabelError(f"'{table}' has no data variable '{chosen}': use {', '.join(variables)}")
    if noise not in ("drawn", "fixed"):
        raise LabelError(f"noise must be drawn or fixed, not {noise!r}")
    if sample is None:
        sample = _first_with(view, list(values))
    first = int(numbers_of(source, view, [sample])[0])
    return GroundTruth(view, values, first, chosen, drawn_noise=noise == "drawn")


class GroundTruth:
    """Observations by the levels of their factors; made by ``factors``.

    Attributes
    ----------
    names : tuple of str
        Labels that are factors.
    levels : tuple of float64[k]
        Values of each factor, by its level.
    base : int
        Number of the sample that all other labels are taken from.
    """

    def __init__(
        self,
        table: Table[Any],
        values: Mapping[str, NDArray[np.float64]],
        base: int,
        variable: str,
        *,
        drawn_noise: bool,
    ) -> None:
        self.names, self.levels, self.base = tuple(values), tuple(values.values()), base
        self._table, self._drawn_noise = table, drawn_noise
        self._variable = next(each for each in table.variables if each.name == variable)
        self._labels = draw_samples(table, np.array([base]))
        self._derive = derive_of(table.plan, self.names)

    def __repr__(self) -> str:
        sizes = " × ".join(
            f"{name} {len(each)}" for name, each in zip(self.names, self.levels, strict=True)
        )
        return f"<GroundTruth of '{self._table.name}': {sizes}>"

    def __len__(self) -> int:
        """Return the number of combinations of levels."""
        return prod(self.factors_num_values)

    @property
    def num_factors(self) -> int:
        """Number of factors."""
        return len(self.names)

    @property
    def factors_num_values(self) -> list[int]:
        """Number of levels of each factor."""
        return [len(each) for each in self.levels]

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one observation; images are (y, x, band), with one band where the table has no instrument."""
        shape = tuple(self._variable.shape)
        if self._variable.dimensions[-2:] != ("y", "x"):
            return shape
        return (*shape[-2:], shape[0] if len(shape) == 3 else 1)

    def sample_factors(self, num: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """Return levels of ``num`` observations, drawn uniformly; int64[num, factors]."""
        columns = [random_state.randint(count, size=num) for count in self.factors_num_values]
        return np.stack(columns, axis=1).astype(np.int64)

    def sample_observations_from_factors(
        self, factors: ArrayLike, random_state: np.random.RandomState
    ) -> NDArray:
        """Render observations.

        Parameters
        ----------
        factors : int, shape (n, factors)
            Levels.
        random_state : RandomState
            Draws whose noise each observation has, unless noise is fixed.

        Returns
        -------
        ndarray, shape (n, *observation_shape)

        Raises
        ------
        LabelError
            A level does not exist, or a combination of values cannot be rendered.
        """
        chosen = np.asarray(factors)
        if chosen.ndim != 2 or chosen.shape[1] != self.num_factors or chosen.dtype.kind not in "iu":
            raise LabelError(
                f"factors must be whole numbers, shape (n, {self.num_factors}), not {chosen.shape}"
            )
        for name, count, column in zip(self.names, self.factors_num_values, chosen.T, strict=True):
            if column.size and not 0 <= column.min() <= column.max() < count:
                raise LabelError(
                    f"'{name}' has the levels 0 … {count - 1}, not {column.min()} … {column.max()}"
                )
        numbers = np.full(len(chosen), self.base)
        if self._drawn_noise:
            numbers = random_state.randint(2**31, size=len(chosen)).astype(np.int64)
        return self._oriented(self._render(chosen, numbers))

    def sample(
        self, num: int, random_state: np.random.RandomState
    ) -> tuple[NDArray[np.int64], NDArray]:
        """Return the levels of ``num`` observations, drawn uniformly, and the observations."""
        drawn = self.sample_factors(num, random_state)
        return drawn, self.sample_observations_from_factors(drawn, random_state)

    def sample_observations(self, num: int, random_state: np.random.RandomState) -> NDArray:
        """Return ``num`` observations of factors that are drawn uniformly."""
        return self.sample(num, random_state)[1]

    def labels_of(self, factors: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Return the values of levels, float64[n] by the label."""
        columns = np.asarray(factors).T
        return {
            name: values[column]
            for name, values, column in zip(self.names, self.levels, columns, strict=True)
        }

    def _render(self, factors: NDArray, numbers: NDArray[np.int64]) -> NDArray:
        """Return the observed variable for levels, with the noise of samples by their numbers."""
        base = self._labels.take(np.zeros(len(factors), np.intp))
        labels = changed(self._table, base, self.labels_of(factors), self._derive)
        objects = labels.objects and labels.objects | {"sample": numbers[labels.owners]}
        labels = replace(labels, columns=labels.columns | {"id": numbers}, objects=objects)
        check(self._table.plan, labels)
        return render_arrays(self._table, labels)[0][self._variable.name]

    def _oriented(self, values: NDArray) -> NDArray:
        """Return images with their bands last."""
        if self._variable.dimensions[-2:] != ("y", "x"):
            return values
        return np.moveaxis(values, 1, -1) if values.ndim == 4 else values[..., None]


def _of_design(plan: LabelPlan) -> list[str]:
    """Return the labels that are factors by the design of a table.

    Raises
    ------
    LabelError
        It has none.
    """
    if plan.design is None:
        raise LabelError(
            f"'{plan.table}' has no `factors` of its own: name the labels that are factors here"
        )
    return [name if name == "class" else f"{VARIABLES}.{name}" for name in plan.design.levels]


def _levels(plan: LabelPlan, name: str, count: int) -> NDArray[np.float64]:
    """Return the levels of a label by what the recipe draws.

    Raises
    ------
    LabelError
        The recipe draws no numbers that need no others.
    """
    if name == "class":
        return np.arange(len(plan.classes), dtype=np.float64)
    value = drawn_values(plan)[name][0]
    if not isinstance(value, Distribution):
        raise LabelError(
            f"the recipe does not say what '{name}' may be alone; give its levels: {{'{name}': [...]}}"
        )
    listed = value.values_listed()
    if listed is not None:
        return np.array(listed)
    return value.quantile((np.arange(count) + 0.5) / count)


def _first_with(table: Table[Any], names: list[str]) -> int:
    """Return the first sample that has values of all labels.

    Raises
    ------
    LabelError
        There is none among the first ones.
    """
    labels = draw_labels(table, 0, TRIED)
    has = np.all([~np.isnan(labels.columns[name]) for name in names], axis=0)
    if not has.any():
        raise LabelError(
            f"none of the first {TRIED} samples of '{table.name}' has all of {', '.join(names)}"
        )
    return int(np.argmax(has))
