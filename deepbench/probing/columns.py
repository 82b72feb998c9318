"""Columns of predictions, read from a file or from memory.

They are ``id`` and

- ``class``: the name of a class, or its number in the order of the recipe; ``class.<name>``: its probability, for every
  class (``class.probabilities``, shape (n, K), in an ``.npz`` or a dict);
- ``<label>``: a value; ``<label>.sigma``: its standard deviation; ``<label>.q05``, ``<label>.q50``, ``<label>.q97.5``:
  quantiles, by percent; ``<label>.sample.0``, … : draws (``<label>.samples``, shape (n, k), in an ``.npz`` or a dict);
- ``score``: larger for what a search looks for; ``novelty``: larger for what is unlike the training data;
- ``release``, ``recipe_hash``, ``digest.<variable>``: what the predictions are of, which is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepbench.errors import PredictionError
from deepbench.language.plain import some

ENDINGS = (".csv", ".parquet", ".npy", ".npz")
"""Endings of files of predictions."""

Source = str | Path | pd.DataFrame | Mapping[str, Any]
"""Where predictions come from: a file, a data frame, or arrays by the names of columns."""


def read_columns(source: Source) -> dict[str, NDArray]:
    """Return the columns of predictions as arrays along the samples.

    Raises
    ------
    PredictionError
        The file cannot be read, or has no ids.
    """
    if isinstance(source, pd.DataFrame):
        found = _columns(source)
    elif isinstance(source, Mapping):
        found = {str(name): np.asarray(values) for name, values in source.items()}
    else:
        found = _read(Path(source))
    if "id" not in found:
        raise PredictionError(
            f"predictions need the column `id`, the number of each sample; there is: {', '.join(found) or 'nothing'}"
        )
    rows = found["id"].size
    for name, values in found.items():
        if values.ndim == 0:  # of all predictions, such as the name of the release
            found[name] = np.full(rows, values[()])
        elif len(values) != rows:
            raise PredictionError(
                f"`{name}` has {len(values):,} rows and `id` has {rows:,}: give one of each for every sample"
            )
    return found


def _columns(frame: pd.DataFrame) -> dict[str, NDArray]:
    """Return the columns of a data frame; an index that is named ``id`` is one, too."""
    if frame.index.name == "id" and "id" not in frame.columns:
        frame = frame.reset_index()
    doubled = frame.columns[frame.columns.duplicated()]
    if len(doubled):
        raise PredictionError(f"the column `{doubled[0]}` is there twice; give it once")
    found = {str(name): _array(frame[name]) for name in frame.columns}
    for name in ("release", "recipe_hash"):
        if name in frame.attrs:
            found.setdefault(name, np.full(len(frame), str(frame.attrs[name]), dtype=object))
    return found


def _array(column: pd.Series) -> NDArray:
    if isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype):
        return column.astype(object).to_numpy()
    if pd.api.types.is_float_dtype(column.dtype) and column.hasnans:
        return column.to_numpy(dtype=float, na_value=np.nan)
    return column.to_numpy()


def _read(path: Path) -> dict[str, NDArray]:
    """Return the columns of a file."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise PredictionError(
            f"'{path}' must end with {some(list(ENDINGS))}, by which its format is known"
        )
    if not path.is_file():
        raise PredictionError(f"there is no file '{path}' with predictions")
    try:
        if ending == ".csv":
            kept = {"class": str, "release": str, "recipe_hash": str}
            with path.open("rb") as file:
                return _columns(pd.read_csv(file, dtype=kept))
        if ending == ".parquet":
            with path.open("rb") as file:
                return _columns(pd.read_parquet(file))
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            with loaded:
                return {name: loaded[name] for name in loaded.files}
    except (PredictionError, PermissionError):
        raise
    except Exception as error:  # each decoder has errors of its own
        reason = str(error).partition("\n")[0]
        raise PredictionError(f"'{path}' cannot be read as {ending[1:]}: {reason}") from error
    if loaded.dtype.names is None:
        raise PredictionError(
            f"'{path}' has an array without names, so nothing says of which sample a row is: save arrays by "
            "name, np.savez(file, id=ids, …), or one with a structured type"
        )
    return {name: loaded[name] for name in loaded.dtype.names}
