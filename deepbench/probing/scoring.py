"""One scoring of checked predictions: every metric that they allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepbench.errors import PredictionError
from deepbench.language.plain import unknown
from deepbench.probing import classification, posterior, regression, searches
from deepbench.probing.by_label import (
    BINS,
    CELLS,
    Bins,
    equal_count_bins,
    error_by_bin,
    smooth_curve,
)
from deepbench.probing.intervals import (
    Estimate,
    Groups,
    Resampler,
    design_effect,
    mean,
    means_of_bins,
    proportion,
)
from deepbench.probing.predictions import Predictions
from deepbench.probing.results import Loss, Metric, Score, records
from deepbench.probing.slices import Slices, find_slices
from deepbench.probing.truth import Truth

FEW_LEVELS = 8
"""Largest number of values of a label whose groups enter the worst-group accuracy."""

PIT_BINS = 20
"""Number of bins of the histogram of the probability integral transform."""

FEWEST_OF_GROUP = 10
"""Smallest number of samples of a group that can be the worst."""

MAP_BINS = 6
"""Largest number of bins of a label in a map of completeness."""

MAP_LABELS = 6
"""Largest number of labels of which all pairs are mapped."""


class Scoring:
    """One scoring: what all its parts share, and what they have found."""

    def __init__(
        self,
        truth: Truth,
        given: Predictions,
        splits: tuple[str, ...],
        by: Sequence[str] | None,
        positive: str | None,
        noise: Mapping[str, str | pd.Series],
        seed: int,
    ) -> None:
        self.truth, self.given, self.splits = truth, given, splits
        self.positive, self.noise, self.seed = positive, noise, seed
        self.groups = Groups(truth.groups)
        self.labels = truth.varying() if by is None else {name: truth.labels[name] for name in by}
        self.metrics: list[Metric] = []
        self.losses: list[Loss] = []
        self.worst: dict[str, NDArray] = {}
        self.details: dict[str, dict[str, Any]] = {}
        self.bins = {
            label: bins
            for label, values in self.labels.items()
            if (bins := equal_count_bins(label, values, BINS)) is not None
        }

    def score(self, names: tuple[str, str]) -> Score:
        """Return the score."""
        confusion = self._classes() if self.given.classes is not None else None
        for label in self.given.labels:
            self._label(label)
        self._joint()
        self._search()
        self._novelty()
        for label in self.noise:
            if label not in self.given.sigmas:
                raise PredictionError(unknown("label with a predicted σ", label, self.given.sigmas))
        return Score(
            *names,
            self.splits,
            len(self.truth),
            self.groups.count,
            tuple(self.metrics),
            confusion,
            pd.DataFrame(self._rows_of_bins(), columns=list(_BIN_COLUMNS)),
            _together(self._curves()),
            self._slices(),
            self.details,
            self.truth,
            self.given,
            self.worst,
        )

    def _add(self, target: str, name: str, estimate: Estimate, note: str = "") -> None:
        self.metrics.append(Metric(target, name, estimate, note))

    # classes

    def _classes(self) -> pd.DataFrame:
        truth, codes = self.truth, self.truth.codes
        predicted = self.given.classes
        assert predicted is not None
        classes = len(truth.classes)
        hits = (predicted == codes).astype(float)
        draws = Resampler(self.groups, self.seed)
        self._add("class", "accuracy", proportion(hits, self.groups))
        self._add(
            "class",
            "balanced_accuracy",
            classification.balanced_accuracy(codes, hits, classes, draws),
        )
        worst, note = self._worst_group(hits)
        self._add("class", "worst_group_accuracy", worst, note)
        self.losses.append(Loss("class", "error", 1 - hits, hits=True))
        self.worst["class"] = 1 - hits
        if self.given.probabilities is not None:
            self._probabilities(self.given.probabilities, hits, draws)
        counts = classification.confusion_matrix(codes, predicted, classes)
        names = list(truth.classes)
        return pd.DataFrame(counts, index=names, columns=names)

    def _worst_group(self, hits: NDArray) -> tuple[Estimate, str]:
        """Return the lowest accuracy of a class, alone and with each value of labels of few values, and of which it is.

        The interval is of the lowest of all groups: from the lowest lower end of any to the lowest upper end.
        """
        codes, names = self.truth.codes.astype(np.intp), self.truth.classes
        cuts: list[tuple[NDArray, list[str]]] = [(codes, list(names))]
        for bins in self.bins.values():
            if bins.exact and bins.count <= FEW_LEVELS:
                cell = np.where(bins.codes < 0, -1, codes * bins.count + bins.codes)
                words = [
                    f"{name}, {bins.label} == {value:g}" for name in names for value in bins.lows
                ]
                cuts.append((cell, words))
        found: list[tuple[str, Estimate]] = []
        for cell, words in cuts:
            here = cell >= 0
            means = means_of_bins(
                hits[here], cell[here], len(words), self.groups.take(here), hits=True
            )
            rows = zip(*(each.tolist() for each in means.values()), strict=True)
            found += zip(words, (Estimate(*each) for each in rows), strict=True)
        found = [each for each in found if each[1].n >= FEWEST_OF_GROUP]
        if not found:
            none = f"no class or group has {FEWEST_OF_GROUP} samples"
            return Estimate(np.nan, np.nan, np.nan, 0, 0), none
        note, lowest = min(found, key=lambda each: each[1].value)
        low, high = (
            min((end for end in ends if end == end), default=np.nan)
            for ends in zip(*((each.low, each.high) for _, each in found), strict=True)
        )
        return Estimate(lowest.value, low, high, lowest.n, lowest.groups), note

    def _probabilities(self, given: NDArray, hits: NDArray, draws: Resampler) -> None:
        codes = self.truth.codes
        losses = classification.log_losses(codes, given)
        self._add("class", "log_loss", mean(losses, self.groups))
        self._add("class", "brier", mean(classification.brier_scores(codes, given), self.groups))
        predicted = self.given.classes
        assert predicted is not None
        confidence = np.take_along_axis(given, predicted[:, None].astype(np.intp), axis=1)[:, 0]
        confidence = confidence.astype(float)
        plain_error = classification.calibration_error(confidence, hits)
        n, count = len(hits), self.groups.count
        self._add("class", "calibration_error", Estimate(plain_error, np.nan, np.nan, n, count))
        pairs = [(confidence, hits)]
        error = classification.debiased_error(pairs, draws)
        self._add("class", "calibration_error_debiased", error)
        each = [
            (given[:, k].astype(float), (codes == k).astype(float))
            for k in range(len(self.truth.classes))
        ]
        error = classification.debiased_error(each, draws)
        self._add("class", "classwise_calibration_error_debiased", error)
        self.losses.append(Loss("class", "log_loss", losses))
        self.worst["class"] = losses
        table = pd.DataFrame(classification.calibration_table(confidence, hits))
        self.details["class"] = {"calibration": records(table)}

    # values

    def _label(self, label: str) -> None:
        given, known = self.given, self.truth.labels[label]
        here = np.isfinite(known)
        if not here.any():
            raise PredictionError(f"no sample of {self.truth.name} that is scored has '{label}'")
        truth, value = known[here], given.values[label][here]
        groups = self.groups.take(here)
        draws = Resampler(groups, self.seed)
        error = value - truth
        ones = np.ones(len(truth))
        self._add(label, "mae", mean(np.abs(error), groups))
        squares = draws.sums([error**2, ones])
        self._add(label, "rmse", draws.estimate(regression.root_mean, squares))
        self._add(label, "bias", mean(error, groups))
        centred = truth - truth.mean()
        parts = draws.sums([error**2, centred**2, centred, ones])
        self._add(label, "r2", draws.estimate(regression.r2, parts))
        self._lose(label, "absolute_error", here, np.abs(error))
        self._lose(label, "error", here, error)
        self.worst[label] = self.losses[-2].values
        pits = {}
        rng = np.random.default_rng(self.seed)
        if label in given.sigmas:
            sigma = given.sigmas[label][here]
            pits["sigma"] = regression.gaussian_pit(truth, value, sigma)
            self._sigma(label, here, truth, value, sigma, groups, draws)
        if label in given.quantiles:
            levels, table = given.quantiles[label][0], given.quantiles[label][1][here]
            self._add(
                label,
                "crps.quantiles",
                mean(regression.quantile_crps(truth, levels, table), groups),
            )
            pits["quantiles"] = regression.quantile_pit(truth, levels, table, rng)
        if label in given.draws:
            table = given.draws[label][here]
            self._add(label, "crps.draws", mean(regression.ensemble_crps(truth, table), groups))
            pits["draws"] = regression.ensemble_pit(truth, table, rng)
            found = posterior.ranks(truth, table, rng)
            ranks = posterior.rank_histogram(found, table.shape[1], groups)
            self.details.setdefault(label, {})["ranks"] = ranks.to_dict()
        for source, pit in pits.items():
            self._pit(label, source, here, pit, groups)

    def _lose(
        self, target: str, name: str, here: NDArray, values: NDArray, hits: bool = False
    ) -> None:
        """Keep a loss of the samples that have a target."""
        every = np.full(len(here), np.nan)
        every[here] = values
        self.losses.append(Loss(target, name, every, hits))

    def _sigma(
        self,
        label: str,
        here: NDArray,
        truth: NDArray,
        value: NDArray,
        sigma: NDArray,
        groups: Groups,
        draws: Resampler,
    ) -> None:
        """Score a predicted σ: against the truth, and where the true one is known, against that."""
        pull = (value - truth) / sigma
        ones = np.ones(len(truth))
        self._add(label, "nll", mean(regression.gaussian_log_loss(truth, value, sigma), groups))
        self._add(label, "crps", mean(regression.gaussian_crps(truth, value, sigma), groups))
        self._add(label, "pull_mean", mean(pull, groups))
        self._add(
            label,
            "pull_spread",
            draws.estimate(regression.spread, draws.sums([pull**2, pull, ones])),
        )
        self._add(label, "sharpness", mean(sigma, groups))
        if label not in self.noise:
            return
        given = self.noise[label]
        if isinstance(given, pd.Series):
            name, known = "the given σ", given.reindex(self.truth.ids[here]).to_numpy(dtype=float)
        elif given in self.truth.labels:
            name, known = given, self.truth.labels[given][here]
        else:
            raise PredictionError(unknown(f"label of {self.truth.name}", given, self.truth.labels))
        if not (known > 0).all():
            row = int(np.argmin(known > 0))
            raise PredictionError(
                f"'{name}' is {known[row]:g} for sample {self.truth.ids[here][row]}; a true σ is above 0 for every "
                f"sample that has '{label}'"
            )
        log_ratio = np.log(sigma / known)
        found = mean(log_ratio, groups)
        ratio, low, high = (float(np.exp(each)) for each in (found.value, found.low, found.high))
        self._add(
            label, "sigma_ratio", Estimate(ratio, low, high, found.n, found.groups), f"to {name}"
        )
        columns = draws.sums([log_ratio**2, ones])
        self._add(
            label, "sigma_log_rms", draws.estimate(regression.root_mean, columns), f"to {name}"
        )
        self._lose(label, "sigma_log_ratio", here, log_ratio)

    def _pit(self, label: str, source: str, here: NDArray, pit: NDArray, groups: Groups) -> None:
        """Keep coverage and the histogram of the probability integral transform, and the latter by labels."""
        rows = []
        for level in regression.LEVELS:
            found = proportion(regression.covered(pit, level), groups)
            rows.append({"level": float(level)} | found.to_dict())
        middle = proportion(regression.covered(pit, 0.5), groups)
        self._add(label, f"coverage_50.{source}", middle)
        self._add(label, f"coverage_90.{source}", proportion(regression.covered(pit, 0.9), groups))
        codes = np.minimum((pit * PIT_BINS).astype(int), PIT_BINS - 1)
        counts = np.bincount(codes, minlength=PIT_BINS).tolist()
        self.details.setdefault(label, {}).setdefault("pit", {})[source] = counts
        self.details[label].setdefault("coverage", {})[source] = rows
        self._lose(label, f"pit.{source}", here, pit)
        covered = regression.covered(pit, 0.9).astype(float)
        self._lose(label, f"covered_90.{source}", here, covered, hits=True)

    def _joint(self) -> None:
        """Test the draws of all labels together that have equally many."""
        labels = list(self.given.draws)
        if not labels:
            return
        counts = {self.given.draws[label].shape[1] for label in labels}
        here = np.logical_and.reduce([np.isfinite(self.truth.labels[label]) for label in labels])
        if len(counts) > 1 or not here.any():
            return
        truth = np.stack([self.truth.labels[label][here] for label in labels], axis=1)
        draws = np.stack([self.given.draws[label][here] for label in labels], axis=2)
        rng = np.random.default_rng(self.seed)
        found = posterior.tarp(truth, draws, rng)
        groups = self.groups.take(here)
        rows = posterior.coverage(found, groups)
        self.details["draws"] = {"tarp": rows, "labels": labels}
        self._add("draws", "tarp_coverage_50", proportion(found <= 0.5, groups), ", ".join(labels))

    # searches and novelty

    def _search(self) -> None:
        """Score the search for the positive class, by its score or its probability."""
        if self.positive is None:
            if self.given.score is not None:
                raise PredictionError(
                    "`score` is larger for what a search looks for: name that class with --positive"
                )
            return
        code = self.truth.classes.index(self.positive)
        scores = self.given.score
        if scores is None and self.given.probabilities is not None:
            scores = self.given.probabilities[:, code]
        if scores is None:
            raise PredictionError("a search needs `score` or probabilities beside `id`")
        positive = self.truth.codes == code
        if positive.all() or not positive.any():
            raise PredictionError(
                f"the search for '{self.positive}' needs samples of it and of another class"
            )
        self._add("score", "auroc", classification.auroc(scores, positive, self.groups))
        for name, alarms in (("tpr0", 0), ("tpr10", 9)):
            rate = searches.true_positive_rate(scores, positive, self.groups, alarms)
            self._add("score", name, rate)
        found = scores > searches.threshold(scores, positive, 9)
        self._lose("score", "completeness", positive, found[positive].astype(float), hits=True)
        self._completeness(found, positive)

    def _completeness(self, found: NDArray, positive: NDArray) -> None:
        """Keep the completeness in cells of each pair of the labels that positives have."""
        groups, maps = self.groups.take(positive), []
        cut = [
            bins
            for label, values in self.labels.items()
            if (bins := equal_count_bins(label, values[positive], MAP_BINS)) is not None
        ]
        for i, x in enumerate(cut[:MAP_LABELS]):
            for y in cut[i + 1 : MAP_LABELS]:
                maps.extend(records(searches.completeness(found[positive], groups, x, y)))
        self.details["score"] = {"completeness": maps}

    def _novelty(self) -> None:
        """Score how well novelty tells the first split from each other."""
        novelty, note = self.given.novelty, "novelty"
        if novelty is None and self.given.probabilities is not None:
            novelty, note = 1 - self.given.probabilities.max(axis=1), "1 - largest probability"
        if novelty is None or len(self.splits) < 2:
            return
        known = self.truth.split_codes == self.truth.splits.index(self.splits[0])
        for split in self.splits[1:]:
            other = self.truth.split_codes == self.truth.splits.index(split)
            here = known | other
            found = classification.auroc(novelty[here], other[here], self.groups.take(here))
            self._add("novelty", f"auroc.{split}", found, f"{note}, against {self.splits[0]}")

    # as functions of labels

    def _rows_of_bins(self) -> Iterator[dict[str, Any]]:
        """Yield the mean of each loss in each bin of each label, class and split."""
        for loss in self.losses:
            here = np.isfinite(loss.values)
            groups = self.groups.take(here)
            for label, codes, names in (
                ("class", self.truth.codes, self.truth.classes),
                ("split", self.truth.split_codes, self.truth.splits),
            ):
                found = means_of_bins(
                    loss.values[here], codes[here], len(names), groups, hits=loss.hits
                )
                for k, name in enumerate(names):
                    if found["n"][k]:
                        own = {key: each[k] for key, each in found.items()}
                        yield {
                            "target": loss.target,
                            "metric": loss.name,
                            "label": label,
                            "category": name,
                        } | own
            for label, bins in self.bins.items():
                chosen = _of_samples(bins, here)
                if chosen is None:
                    continue
                values = self.labels[label][here]
                found = error_by_bin(chosen, values, loss.values[here], groups, hits=loss.hits)
                for k in range(chosen.count):
                    own = {key: each[k] for key, each in found.items()}
                    yield {
                        "target": loss.target,
                        "metric": loss.name,
                        "label": label,
                        "category": "",
                    } | own

    def _curves(self) -> Iterator[pd.DataFrame]:
        """Yield the smooth curve of each loss along each label that has more values than bins."""
        cells = {
            label: equal_count_bins(label, self.labels[label], CELLS)
            for label, bins in self.bins.items()
            if not bins.exact
        }
        for loss in self.losses:
            finite = np.isfinite(loss.values)
            effect = design_effect(loss.values[finite], self.groups.take(finite))
            for label, fine in cells.items():
                assert fine is not None
                here = finite & (fine.codes >= 0)
                used = np.unique(fine.codes[here])
                if len(used) < BINS:
                    continue
                count = self.groups.take(here).count
                found = smooth_curve(fine, self.labels[label], loss.values, effect, count)
                if loss.hits:
                    found |= {key: np.clip(found[key], 0, 1) for key in ("value", "low", "high")}
                yield pd.DataFrame(
                    {"target": loss.target, "metric": loss.name, "label": label} | found
                )

    def _slices(self) -> dict[str, Slices]:
        """Return the slices of each target: of wrong classes, and of absolute errors."""
        found = {}
        for loss in self.losses:
            if loss.name not in ("error", "absolute_error") or loss.target in found:
                continue
            here = np.isfinite(loss.values)
            found[loss.target] = find_slices(
                loss.values[here],
                {label: values[here] for label, values in self.labels.items()},
                self.truth.codes[here],
                self.truth.classes,
                self.groups.take(here),
                target=loss.target,
                hits=loss.hits,
                seed=self.seed,
            )
        return found


_BIN_COLUMNS = (
    *("target", "metric", "label", "category", "from", "to", "mean"),
    *("value", "low", "high", "n", "groups"),
)
_CURVE_COLUMNS = ("target", "metric", "label", "at", "value", "low", "high")


def _together(curves: Iterator[pd.DataFrame]) -> pd.DataFrame:
    """Return curves as one data frame."""
    found = list(curves)
    return (
        pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(_CURVE_COLUMNS))
    )


def _of_samples(bins: Bins, here: NDArray) -> Bins | None:
    """Return the bins of some of the samples; None where these are all in one."""
    codes = bins.codes[here]
    used = np.unique(codes[codes >= 0])
    if len(used) < 2:
        return None
    number = np.full(bins.count, -1, dtype=codes.dtype)
    number[used] = np.arange(len(used))
    codes = np.where(codes >= 0, number[codes], -1).astype(codes.dtype)
    return Bins(bins.label, codes, bins.lows[used], bins.highs[used], bins.exact)
