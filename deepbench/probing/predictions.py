"""Predictions of a model by sample, checked against the truth; ``columns`` says how they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepbench.errors import PredictionError
from deepbench.format import DIGEST
from deepbench.language.plain import nearest, show, some
from deepbench.probing.truth import Truth
from deepbench.statistics import is_trained_on

TOLERANCE = 1e-3
"""Largest distance of the sum of probabilities from 1."""

PROBABILITIES = "class.probabilities"
_PART = re.compile(
    r"(?P<label>.+)\.(?P<what>sigma|samples|q(?P<percent>\d+(\.\d+)?)|sample\.(?P<draw>\d+))"
)


@dataclass
class Predictions:
    """Checked predictions, in the order of the ids of the truth.

    Attributes
    ----------
    classes : ndarray of int16, shape (n,), or None
    probabilities : ndarray, shape (n, K), or None
    values, sigmas : dict of str to ndarray, shape (n,)
        By label.
    quantiles : dict of str to (levels of shape (q,), ndarray of shape (n, q))
    draws : dict of str to ndarray, shape (n, k)
    score, novelty : ndarray, shape (n,), or None
    """

    classes: NDArray | None = None
    probabilities: NDArray | None = None
    values: dict[str, NDArray] = field(default_factory=dict)
    sigmas: dict[str, NDArray] = field(default_factory=dict)
    quantiles: dict[str, tuple[NDArray, NDArray]] = field(default_factory=dict)
    draws: dict[str, NDArray] = field(default_factory=dict)
    score: NDArray | None = None
    novelty: NDArray | None = None

    @property
    def labels(self) -> list[str]:
        """Labels that are predicted, in the order of their columns."""
        return list(dict.fromkeys([*self.values, *self.quantiles, *self.draws]))


def check_predictions(
    columns: Mapping[str, NDArray],
    truth: Truth,
    splits: Sequence[str],
    *,
    allow_train: bool = False,
) -> tuple[Predictions, NDArray]:
    """Return checked predictions, and the rows of the truth that they are of: all samples of some splits.

    Raises
    ------
    PredictionError
        The predictions are not of these samples, or not what they say; the message names the first that is wrong.
    """
    ids = _ids(columns["id"])
    _check_identity(columns, truth, ids)
    rows = _rows(ids, truth, splits, allow_train)
    order = np.argsort(ids, kind="stable")
    rows = rows[order]
    given = {
        name: values[order]
        for name, values in columns.items()
        if name not in ("id", "release", "recipe_hash") and not name.startswith(DIGEST)
    }
    return _understood(given, truth.take(rows)), rows


def _ids(column: NDArray) -> NDArray:
    """Return ids as whole numbers, each of them once."""
    try:
        if column.ndim != 1:
            raise ValueError
        numbers = column.astype(float)
        whole = np.isfinite(numbers) & (numbers == np.floor(numbers))
    except (ValueError, TypeError):
        raise PredictionError(
            f"`id` must be a column of whole numbers, and has {show(column.reshape(-1).tolist()[0])}"
        ) from None
    if not whole.all():
        row = int(np.argmin(whole))
        raise PredictionError(
            f"row {row} has the id {column[row]}; an id is the whole number of a sample"
        )
    ids = column.astype(np.int64)
    if not len(ids):
        raise PredictionError("there are no predictions: `id` has no rows")
    ordered = np.sort(ids)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise PredictionError(
            f"sample {twice[0]} is there more than once ({len(twice):,} rows too many); give one prediction for each"
        )
    return ids


def _check_identity(columns: Mapping[str, NDArray], truth: Truth, ids: NDArray) -> None:
    """Refuse predictions of another release: by its name, the hash of its recipe, or digests of its samples."""
    for name, known in truth.identities.items():
        if name not in columns:
            continue
        other = [each for each in pd.unique(pd.Series(columns[name]).astype(str)) if each != known]
        if other:
            raise PredictionError(
                f"the predictions are of the {name.replace('_', ' of the ') if name != 'release' else name} "
                f"{other[0]}, and {truth.name} has {known}: score them against the release that they were made with"
            )
    for name in columns:
        if not name.startswith(DIGEST) or truth.digests is None:
            continue
        inside = np.flatnonzero(np.isin(ids, truth.ids))
        stored = truth.digests(name.removeprefix(DIGEST))
        for row in inside:
            said = columns[name][row]
            said = said if isinstance(said, bytes) else _bytes(said)
            if said != stored[int(ids[row])]:
                raise PredictionError(
                    f"the {name} of sample {ids[row]} is not that of {truth.name}: the predictions are of other data"
                )


def _bytes(text: Any) -> bytes:
    try:
        return bytes.fromhex(str(text))
    except ValueError:
        return b""


def _rows(ids: NDArray, truth: Truth, splits: Sequence[str], allow_train: bool) -> NDArray:
    """Return the row of each id in the truth; all samples of the splits must be there and no others."""
    place = np.searchsorted(truth.ids, ids)
    known = place < len(truth)
    known[known] = truth.ids[place[known]] == ids[known]
    if not known.all():
        raise PredictionError(
            f"{truth.name} has no sample {ids[np.argmin(known)]} ({np.sum(~known):,} such ids); it has {len(truth):,} "
            f"samples, {truth.ids[0]} … {truth.ids[-1]}: are these predictions of another release?"
        )
    wanted = np.isin(truth.split_codes, [truth.splits.index(each) for each in splits])
    own = truth.split_codes[place]
    training = [k for k, name in enumerate(truth.splits) if is_trained_on(name)]
    trained = np.isin(own, training)
    if trained.any() and not allow_train:
        first = int(np.argmax(trained))
        raise PredictionError(
            f"sample {ids[first]} is of the split '{truth.splits[own[first]]}' ({np.sum(trained):,} such ids): how "
            "well a model knows what it was trained on says nothing of other data. Leave them out, or allow them with "
            "--allow-train (allow_train=True) and name the split"
        )
    inside = wanted[place]
    if not inside.all():
        first = int(np.argmin(inside))
        raise PredictionError(
            f"sample {ids[first]} is of the split '{truth.splits[own[first]]}', and {some(list(splits))} is scored "
            f"({np.sum(~inside):,} ids outside): leave them out, or name their split with --split"
        )
    count = int(np.sum(wanted))
    if len(ids) < count:
        present = np.zeros(len(truth), dtype=bool)
        present[place] = True
        missing = truth.ids[wanted & ~present]
        rest = f", and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise PredictionError(
            f"sample {missing[0]} of {some(list(splits))} is missing{rest}: predict all {count:,} of {truth.name}, so "
            "that none is left out that is hard"
        )
    return place


def _understood(columns: dict[str, NDArray], truth: Truth) -> Predictions:
    """Return predictions from columns in the order of the truth."""
    found = Predictions()
    for name in ("score", "novelty"):
        if name in columns:
            setattr(found, name, _numbers(columns.pop(name), name, truth))
    if "class" in columns:
        found.classes = _class_codes(columns.pop("class"), truth)
    found.probabilities = _probabilities(columns, truth)
    if found.classes is None and found.probabilities is not None:
        found.classes = np.argmax(found.probabilities, axis=1).astype(np.int16)
    levels: dict[str, dict[float, NDArray]] = {}
    draws: dict[str, dict[int, NDArray]] = {}
    for name, values in columns.items():
        if name in truth.labels:
            found.values[name] = _numbers(values, name, truth, name)
            continue
        part = _PART.fullmatch(name)
        if part is None or part["label"] not in truth.labels:
            _refuse_column(name, truth)
        assert part is not None
        label = part["label"]
        if part["what"] == "sigma":
            found.sigmas[label] = _sigmas(values, name, label, truth)
        elif part["what"] == "samples":
            found.draws[label] = _table(values, name, label, truth)
        elif part["draw"] is not None:
            draws.setdefault(label, {})[int(part["draw"])] = _numbers(values, name, truth, label)
        else:
            level = float(part["percent"]) / 100
            if not 0 < level < 1:
                raise PredictionError(
                    f"`{name}` must be a quantile between 0 and 100 percent, such as {label}.q05"
                )
            levels.setdefault(label, {})[level] = _numbers(values, name, truth, label)
    for label, each in draws.items():
        found.draws[label] = np.stack([each[k] for k in sorted(each)], axis=1)
    for label, table in found.draws.items():
        if table.shape[1] < 2:
            raise PredictionError(f"'{label}' has one draw a sample; give two at least")
    for label, by_level in levels.items():
        found.quantiles[label] = _quantiles(label, by_level, truth)
    for label in found.sigmas:
        if label not in found.values:
            raise PredictionError(
                f"`{label}.sigma` has no value beside it; give the column `{label}`, too"
            )
    if found.classes is None and not found.labels and found.score is None and found.novelty is None:
        raise PredictionError(
            "nothing is predicted: give `class`, `class.<name>`, a label, or `score` beside `id`"
        )
    _fill_values(found)
    return found


def _fill_values(found: Predictions) -> None:
    """Take the median of quantiles, or the mean of draws, as the value where none is given."""
    for label, (levels, table) in found.quantiles.items():
        if label not in found.values:
            found.values[label] = np.array(
                _interpolated(levels, table, 0.5) if len(levels) > 1 else table[:, 0]
            )
    for label, table in found.draws.items():
        if label not in found.values:
            found.values[label] = table.mean(axis=1)


def _interpolated(levels: NDArray, table: NDArray, level: float) -> NDArray:
    """Return the quantiles of a level, linear between its neighbours."""
    right = int(np.clip(np.searchsorted(levels, level), 1, len(levels) - 1))
    share = np.clip((level - levels[right - 1]) / (levels[right] - levels[right - 1]), 0, 1)
    return (1 - share) * table[:, right - 1] + share * table[:, right]


def _refuse_column(name: str, truth: Truth) -> None:
    allowed = ["class", *(f"class.{each}" for each in truth.classes), "score", "novelty"]
    allowed += [*truth.labels, *(f"{each}.sigma" for each in truth.labels)]
    near = nearest(name, allowed)
    hint = f"did you mean `{near}`? " if near else ""
    raise PredictionError(
        f"`{name}` is no column of predictions; {hint}Allowed are id, class, class.<name>, score, novelty, and labels "
        f"of {truth.name} with .sigma, .q05 … or .sample.0 …; leave others out"
    )


def _first(wrong: NDArray, truth: Truth) -> str:
    """Return the words about the first sample of which something is wrong."""
    more = int(np.sum(wrong))
    return f"sample {truth.ids[np.argmax(wrong)]}" + (
        f" ({more:,} such samples)" if more > 1 else ""
    )


def _floats(values: NDArray, name: str) -> NDArray:
    """Return a column as numbers; float32 stays."""
    if values.dtype in (np.float32, np.float64):
        return values
    try:
        return values.astype(float)
    except (ValueError, TypeError) as error:
        raise PredictionError(f"`{name}` must hold numbers: {error}") from None


def _needed(label: str | None, truth: Truth) -> NDArray:
    """Return which samples have a label, and so need a prediction of it."""
    return np.ones(len(truth), dtype=bool) if label is None else np.isfinite(truth.labels[label])


def _numbers(values: NDArray, name: str, truth: Truth, label: str | None = None) -> NDArray:
    """Return a column of finite numbers; where the sample has no such label, they do not matter."""
    if values.ndim != 1:
        raise PredictionError(
            f"`{name}` must have one number a sample, not the shape {values.shape}"
        )
    numbers = _floats(values, name).astype(float)
    _check_finite(numbers, name, truth, label)
    return numbers


def _check_finite(numbers: NDArray, name: str, truth: Truth, label: str | None) -> None:
    finite = np.isfinite(numbers) if numbers.ndim == 1 else np.isfinite(numbers).all(axis=1)
    wrong = ~finite & _needed(label, truth)
    if wrong.any():
        raise PredictionError(
            f"`{name}` is not a finite number (NaN or infinite) for {_first(wrong, truth)}: predict every sample, a "
            "bad guess where the model has none"
        )


def _table(values: NDArray, name: str, label: str, truth: Truth) -> NDArray:
    if values.ndim != 2:
        raise PredictionError(f"`{name}` must have the shape (samples, draws), not {values.shape}")
    numbers = _floats(values, name)
    _check_finite(numbers, name, truth, label)
    return numbers


def _sigmas(values: NDArray, name: str, label: str, truth: Truth) -> NDArray:
    sigma = _numbers(values, name, truth, label)
    wrong = ~(sigma > 0) & _needed(label, truth)
    if wrong.any():
        raise PredictionError(
            f"`{name}` is {sigma[np.argmax(wrong)]:g} for {_first(wrong, truth)}; a standard deviation is above 0"
        )
    return sigma


def _quantiles(label: str, by_level: dict[float, NDArray], truth: Truth) -> tuple[NDArray, NDArray]:
    levels = np.array(sorted(by_level))
    table = np.stack([by_level[each] for each in levels], axis=1)
    crossed = (np.diff(table, axis=1) < 0).any(axis=1) & _needed(label, truth)
    if crossed.any():
        row = int(np.argmax(crossed))
        place = int(np.argmax(np.diff(table[row]) < 0))
        raise PredictionError(
            f"the quantiles of '{label}' cross for {_first(crossed, truth)}: {100 * levels[place]:g} % is "
            f"{table[row, place]:g} and {100 * levels[place + 1]:g} % is {table[row, place + 1]:g}; sort them"
        )
    return levels, table


def _class_codes(values: NDArray, truth: Truth) -> NDArray:
    """Return codes of predicted classes, which are names, or numbers in the order of the recipe."""
    if values.ndim != 1:
        raise PredictionError(f"`class` must have one class a sample, not the shape {values.shape}")
    if values.dtype.kind in "iu":
        wrong = (values < 0) | (values >= len(truth.classes))
        if wrong.any():
            raise PredictionError(
                f"`class` is {values[np.argmax(wrong)]} for {_first(wrong, truth)}; numbers of classes are 0 … "
                f"{len(truth.classes) - 1}: {', '.join(truth.classes)}"
            )
        return values.astype(np.int16)
    numbers, names = pd.factorize(pd.Series(values, dtype=object), use_na_sentinel=True)
    table = np.array(
        [truth.classes.index(str(n)) if str(n) in truth.classes else -1 for n in names] + [-1],
        dtype=np.int16,
    )
    codes: NDArray = table[numbers]
    wrong = codes < 0
    if wrong.any():
        word = values.tolist()[int(np.argmax(wrong))]
        near = nearest(str(word), truth.classes)
        hint = f"did you mean '{near}'? " if near else ""
        raise PredictionError(
            f"`class` is {show(word)} for {_first(wrong, truth)}; {hint}classes: {', '.join(truth.classes)}"
        )
    return codes


def _probabilities(columns: dict[str, NDArray], truth: Truth) -> NDArray | None:
    """Take the probabilities out of the columns; each row adds up to 1."""
    named = {name: f"class.{name}" for name in truth.classes}
    given = [name for name in columns if name.startswith("class.")]
    if not given:
        return None
    if PROBABILITIES in columns:
        found = _floats(columns.pop(PROBABILITIES), PROBABILITIES)
        if found.shape != (len(truth), len(truth.classes)):
            raise PredictionError(
                f"`{PROBABILITIES}` must have the shape (samples, classes), {(len(truth), len(truth.classes))}, not "
                f"{found.shape}"
            )
    else:
        for name in given:
            if name.removeprefix("class.") not in named:
                _refuse_column(name, truth)
        missing = [column for column in named.values() if column not in columns]
        if missing:
            raise PredictionError(
                f"`{missing[0]}` is missing: give the probability of every class, {some(list(truth.classes))}"
            )
        found = np.stack([_floats(columns.pop(each), each) for each in named.values()], axis=1)
    _check_finite(found, "class.<name>", truth, None)
    outside = np.any((found < 0) | (found > 1), axis=1)
    if outside.any():
        raise PredictionError(
            f"a probability lies outside 0 … 1 for {_first(outside, truth)}; give probabilities, not logits"
        )
    sums = found.sum(axis=1, dtype=float)
    wrong = np.asarray(np.abs(sums - 1) > TOLERANCE)
    if wrong.any():
        raise PredictionError(
            f"the probabilities of {_first(wrong, truth)} add up to {sums[np.argmax(wrong)]:.6g}, not to 1"
        )
    return found
