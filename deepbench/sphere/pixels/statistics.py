"""Statistics of the training split, with which readers normalise all splits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepbench.errors import CatalogError
from deepbench.language.plain import absent

if TYPE_CHECKING:
    import xarray as xr


class Statistics(NamedTuple):
    """Mean and standard deviation of pixels."""

    mean: float
    sigma: float


def training_statistics(
    table: xr.Dataset, variable: str = "map", *, split: str = "train", block: int = 64
) -> Statistics:
    """Return mean and standard deviation of all pixels of one split, and of no other; NaN is left out.

    Parameters
    ----------
    table : Dataset
        A table of a release, opened lazily; blocks of samples are read one after another.
    variable : str
    split : str
        Which split.
    block : int
        Samples that are read together.

    Raises
    ------
    CatalogError
        There is no such variable or split, or the split has no sample.

    Examples
    --------
    >>> sky = deepbench.open("cosmology_maps", version="1.0.0")["maps"].to_dataset()    # doctest: +SKIP
    >>> training_statistics(sky).sigma                                                  # doctest: +SKIP
    0.0071
    """
    if variable not in table:
        raise CatalogError(
            f"the table has no variable '{variable}'; it has {', '.join(map(str, table))}"
        )
    names = table["split"].attrs["flag_meanings"].split()
    if split not in names:
        raise CatalogError(absent("split", split, names, "the table"))
    rows = np.flatnonzero(table["split"].values == names.index(split))
    count, mean, squares = 0, 0.0, 0.0
    for first in range(0, len(rows), block):
        values = table[variable].isel(sample=rows[first : first + block]).values.astype(np.float64)
        values = values[np.isfinite(values)]
        if values.size:
            here, total = float(values.mean()), count + values.size
            shift = here - mean
            squares += float(((values - here) ** 2).sum()) + shift**2 * count * values.size / total
            mean, count = mean + shift * values.size / total, total
    if count == 0:
        raise CatalogError(f"the split '{split}' has no sample with a value")
    return Statistics(mean, math.sqrt(squares / count))
