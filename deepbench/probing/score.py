"""Scores of a model's predictions: how good they are, as a function of which label, and where they fail most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from deepbench.errors import PredictionError
from deepbench.language.plain import absent, unknown
from deepbench.probing.columns import Source, read_columns
from deepbench.probing.predictions import check_predictions
from deepbench.probing.results import Score
from deepbench.probing.scoring import Scoring
from deepbench.probing.truth import Truth
from deepbench.statistics import is_trained_on

if TYPE_CHECKING:
    from deepbench.release import Release


def score(
    release: Release | str,
    predictions: Source,
    table: str | None = None,
    *,
    split: str | Sequence[str] = "test",
    by: Sequence[str] | None = None,
    allow_train: bool = False,
    positive: str | None = None,
    noise: Mapping[str, str | pd.Series] | None = None,
    catalog: str = "releases",
    seed: int = 0,
) -> Score:
    """Score predictions of the samples of a release.

    Parameters
    ----------
    release : Release or str
        A release, or ``name`` or ``name@version``.
    predictions : path, DataFrame or mapping of str to array
        Columns are described in ``deepbench.probing.columns``.
    table : str, optional
        The first table when absent.
    split : str or sequence of str
        The splits of which all samples are predicted. Where there are several, how well novelty tells the first one
        from each other is scored, too.
    by : sequence of str, optional
        Labels as functions of which losses are told, and in which slices are searched; all when absent.
    allow_train : bool
        Whether samples of a training split may be scored.
    positive : str, optional
        The class that a search looks for.
    noise : mapping of str to str or Series, optional
        Labels whose predicted σ is scored, and the labels that hold the true σ of the noise in them; or a σ by sample
        number, such as the bounds that ``deepbench.probing.bounds.fisher_bounds`` returns.
    catalog : str
        Where ``release`` is looked for by its name.
    seed : int
        Of intervals, halves and random ties.

    Returns
    -------
    Score

    Raises
    ------
    PredictionError
        The predictions cannot be read, or are not of these samples; a label, class or split is unknown.
    CatalogError
        There is no such release or table.

    Examples
    --------
    >>> found = deepbench.score("shapes@1.0.0", "predictions.parquet")     # doctest: +SKIP
    >>> found.by("circle.radius")                                           # doctest: +SKIP
    """
    if isinstance(release, str):
        from deepbench.catalog import find_named

        release = find_named(release, catalog)
    table = release.check_table(table)
    return score_truth(
        Truth.of(release, table),
        predictions,
        split=split,
        by=by,
        allow_train=allow_train,
        positive=positive,
        noise=noise,
        seed=seed,
        names=(str(release), table),
    )


def score_truth(
    truth: Truth,
    predictions: Source,
    *,
    split: str | Sequence[str] = "test",
    by: Sequence[str] | None = None,
    allow_train: bool = False,
    positive: str | None = None,
    noise: Mapping[str, str | pd.Series] | None = None,
    seed: int = 0,
    names: tuple[str, str] = ("", ""),
) -> Score:
    """Score predictions against a truth; takes and raises what ``score`` does. ``names`` are of release and table."""
    splits = (split,) if isinstance(split, str) else tuple(split)
    for each in splits:
        if each not in truth.splits:
            raise PredictionError(absent("split", each, truth.splits, truth.name))
        if is_trained_on(each) and not allow_train:
            raise PredictionError(
                f"the split '{each}' is one to train on; allow it with --allow-train (allow_train=True)"
            )
    for each in by or ():
        if each not in truth.labels:
            raise PredictionError(unknown(f"label of {truth.name}", each, truth.labels))
    if positive is not None and positive not in truth.classes:
        raise PredictionError(unknown(f"class of {truth.name}", positive, truth.classes))
    given, rows = check_predictions(
        read_columns(predictions), truth, splits, allow_train=allow_train
    )
    known = truth.take(rows)
    return Scoring(known, given, splits, by, positive, noise or {}, seed).score(names)
