"""Models that are probed: a function that predicts classes from data, and what it may return."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import PredictionError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

Model = Callable[["xr.Dataset"], "ArrayLike"]
"""Predicts the classes of samples: takes their data variables along ``sample``, without any label.

It returns, for n samples, n names or codes of classes, or an array (n, classes) of probabilities or scores.
"""


def load_model(text: str) -> Model:
    """Import the function that ``path.py:function`` names.

    The folder of the file comes first in the search for modules, then and when the function runs, as that of a script.

    Raises
    ------
    PredictionError
        The text has another form, or there is no such file or function.

    Examples
    --------
    >>> _ = Path("model.py").write_text("def predict(data): return ['circle'] * data.sizes['sample']")
    >>> load_model("model.py:predict").__name__
    'predict'
    """
    path, colon, name = text.rpartition(":")
    file = Path(path)
    if not colon or file.suffix != ".py" or not name.isidentifier():
        raise PredictionError(
            f"a model is written as FILE.py:FUNCTION, such as model.py:predict, not '{text}'"
        )
    if not file.is_file():
        raise PredictionError(f"there is no file '{file}'")
    spec = importlib.util.spec_from_file_location(f"deepbench_model_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module
    folder = str(file.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise PredictionError(
            f"'{file}' cannot be imported: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        raise PredictionError(f"'{file}' has no function '{name}'")
    return found


def predict(
    model: Model, data: xr.Dataset, variables: Sequence[str], classes: Sequence[str]
) -> NDArray[np.int64]:
    """Return the codes of the classes that a model predicts.

    Parameters
    ----------
    model : callable
    data : Dataset
        Samples, with their labels, which the model does not see.
    variables : sequence of str
        Data variables that it sees.
    classes : sequence of str

    Raises
    ------
    PredictionError
        The model fails, or returns something else than it should; the message says what.
    """
    count = data.sizes["sample"]
    seen = data[list(variables)].drop_attrs(deep=False)
    try:
        returned = np.asarray(model(seen))
    except (Exception, SystemExit) as error:
        raise PredictionError(f"the model fails: {type(error).__name__}: {error}") from error
    return _codes(returned, count, classes)


def _codes(returned: NDArray[Any], count: int, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the classes that are meant by what a model returned, as codes."""
    expected = f"{count} classes, or probabilities ({count}, {len(classes)})"
    if returned.shape == (count, len(classes)) and returned.dtype.kind in "biuf":
        if not np.isfinite(returned).all():
            row = int(np.argmax(~np.isfinite(returned).all(axis=1)))
            raise PredictionError(
                f"the model returns a value that is not finite for sample {row} of {count}"
            )
        return np.argmax(returned, axis=1)
    if returned.shape != (count,):
        of = "" if returned.dtype.kind in "biuf" else f" of {returned.dtype}"
        raise PredictionError(
            f"the model returns the shape {returned.shape}{of}; expected: {expected}"
        )
    if returned.dtype.kind == "f":
        raise PredictionError(
            f"the model returns the number {returned[0]}; expected: {expected}; codes of classes are whole numbers"
        )
    if returned.dtype.kind in "iu":
        wrong = returned[(returned < 0) | (returned >= len(classes))]
        if wrong.size:
            raise PredictionError(
                f"the model returns the class {wrong[0]}; codes are 0 … {len(classes) - 1}"
            )
        return returned.astype(np.int64)
    codes = {name: code for code, name in enumerate(classes)}
    names = [str(each) for each in returned]
    unknown = next((each for each in names if each not in codes), None)
    if unknown is not None:
        raise PredictionError(f"the model returns '{unknown}'; classes are {', '.join(classes)}")
    return np.array([codes[each] for each in names], dtype=np.int64)
