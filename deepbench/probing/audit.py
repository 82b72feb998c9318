"""Audit of a release: labels and trivial statistics that tell the class before any network is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from deepbench.errors import LabelError
from deepbench.probing.ceiling import Ceiling, ceiling
from deepbench.probing.intervals import Groups, plain
from deepbench.probing.near import unresolved
from deepbench.probing.overlap import Shared, parameter_keys, shared_keys
from deepbench.probing.slices import discoveries
from deepbench.probing.telling import Samples, Telling, tell_class, tell_class_together
from deepbench.probing.trivial import is_seen, trivial_statistics
from deepbench.probing.truth import Truth
from deepbench.progress import Progress, silent
from deepbench.statistics import training_split

if TYPE_CHECKING:
    from deepbench.release import Release

MOST = 50_000
"""Largest number of samples whose data are read where no number is asked for: the first ones, as random as all."""

LEAST_SKILL = 0.05
"""Smallest skill of a drawn label that is a finding: its place between chance and certainty."""

LEAST_STATISTIC = 0.5
"""Smallest skill of a statistic of the data, or of a measured label, that is: what is to be learned has some, too."""

LEAST_SHIFT = 0.1
"""Smallest distance of two distributions (Kolmogorov and Smirnov) that is a finding."""

REPEATABLE = ("image", "dynamics")
"""Kinds of tables whose samples without noise are functions of their labels; others have random fields and walks."""

TOGETHER = "all statistics together"
"""Name of what all statistics say together: a baseline for networks, and no finding."""

SHORT = ("log_prior",)
"""Labels that are functions of everything that is drawn, and say nothing of their own."""


@dataclass(frozen=True)
class Shift:
    """Difference of a label between the split that is trained on and another.

    Attributes
    ----------
    name : str
        A label, or ``class``.
    category : str
        Class of the samples; empty for ``class``.
    split : str
    distance : float
        Largest difference of the two distribution functions; of classes, half the sum of differences of shares.
    p_value : float
        That it is so large by chance, over groups.
    """

    name: str
    category: str
    split: str
    distance: float
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {key: plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Finding:
    """Something that the data give away, in words.

    Attributes
    ----------
    kind : str
        ``label``, ``statistic``, ``overlap`` or ``shift``.
    name : str
        Of the label, statistic or split.
    strength : float
        Between 0 and 1.
    message : str
    """

    kind: str
    name: str
    strength: float
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True, repr=False)
class Audit:
    """Audit of a table.

    Attributes
    ----------
    release, table : str
    first : str
        The split that is trained on, with which others are compared.
    samples, read : int
        Samples of the table, and those whose data were read.
    tellings : tuple of Telling
        How well each label and statistic tells the class, the best first.
    shifts : tuple of Shift
        The largest first.
    overlaps : tuple of Shared
    searched : str
        How near-duplicates were looked for.
    ceiling : Ceiling
        What no model can do better.
    findings : tuple of Finding
        The worst first; empty where nothing is given away.

    Examples
    --------
    >>> deepbench.audit("biased_shapes@1.0.0").findings                                     # doctest: +SKIP
    """

    release: str
    table: str
    first: str
    samples: int
    read: int
    tellings: tuple[Telling, ...]
    shifts: tuple[Shift, ...]
    overlaps: tuple[Shared, ...]
    findings: tuple[Finding, ...]
    searched: str
    ceiling: Ceiling

    def __repr__(self) -> str:
        return f"<Audit of '{self.table}' of {self.release}: {len(self.findings)} findings>"

    def telling_frame(self) -> pd.DataFrame:
        """Return how well each label and statistic tells the class, one row for each of them and each split."""
        rows = [
            {"table": self.table, "name": each.name, "kind": each.kind, "split": split}
            | {"chance": each.chance, "eta_squared": each.eta_squared}
            | asdict(estimate)
            for each in self.tellings
            for split, estimate in each.accuracy.items()
        ]
        return pd.DataFrame(rows)

    def shift_frame(self) -> pd.DataFrame:
        """Return the shift of each label, one row for each class and split."""
        return pd.DataFrame([{"table": self.table} | asdict(each) for each in self.shifts])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "release": self.release,
            "table": self.table,
            "first": self.first,
            "samples": self.samples,
            "read": self.read,
            "searched": self.searched,
            "ceiling": self.ceiling.to_dict(),
            **{
                name: [each.to_dict() for each in getattr(self, name)]
                for name in ("findings", "tellings", "shifts", "overlaps")
            },
        }


def audit(
    release: Release | str,
    table: str | None = None,
    *,
    most: int | None = None,
    ceiling_samples: int | None = None,
    catalog: str = "releases",
    seed: int = 0,
    progress: Progress = silent,
) -> Audit:
    """Audit a table of a release.

    Parameters
    ----------
    release : Release or str
        A release, or ``name`` or ``name@version``.
    table : str, optional
        The first table when absent.
    most : int, optional
        Largest number of samples whose data are read, and which are rendered and compared with each other. When absent
        50,000, but no more are compared than are rendered in about half a minute.
    ceiling_samples : int, optional
        Number of samples of each class that are rendered for the ceiling; 0 leaves it out. When absent 64, and
        fewer where there are many labels, or samples are large or slow.
    catalog : str
        Where ``release`` is looked for by its name.
    seed : int
        Of halves.
    progress : callable
        Is told of each step: its name, how much is done, and how much there is (0 where none knows).

    Raises
    ------
    LabelError
        ``most`` is no whole number of at least 1, or ``ceiling_samples`` none of at least 0.
    CatalogError
        There is no such release or table.
    ReleaseError
        A file is missing or damaged.

    Examples
    --------
    >>> for finding in audit("biased_shapes@1.0.0", "images").findings:                     # doctest: +SKIP
    ...     print(finding)
    """
    for name, value, least in (("most", most, 1), ("ceiling_samples", ceiling_samples, 0)):
        if value is not None and not (isinstance(value, int | np.integer) and value >= least):
            raise LabelError(
                f"`{name}` must be a whole number of at least {least}, or absent, not {value!r}"
            )
    if isinstance(release, str):
        from deepbench.catalog import find_named

        release = find_named(release, catalog)
    table = release.check_table(table)
    truth = Truth.of(release, table)
    columns = release.recipe.table(table).plan.columns
    follows = {each.name for each in columns if each.measured or each.derived}
    drawn = [name for name in truth.labels if name not in follows and name not in SHORT]
    first = first_split(truth)
    read = min(most or MOST, len(truth))
    statistics = _read_statistics(release, table, read, progress)
    overlaps = list(_overlaps(release, table, truth, drawn, first))
    near = unresolved(release.recipe, table, truth, first, most, progress)
    found = audit_truth(truth, statistics, drawn, [*overlaps, *near.found], seed=seed)
    highest = ceiling(release.recipe, table, truth, ceiling_samples, progress)
    return Audit(
        str(release),
        table,
        truth.splits[first],
        len(truth),
        read,
        *found,
        searched=near.searched,
        ceiling=highest,
    )


def first_split(truth: Truth) -> int:
    """Return the code of the split that is trained on: the training split of those that have samples."""
    used = [truth.splits[code] for code in np.unique(truth.split_codes)]
    return truth.splits.index(training_split(tuple(used)))


def audit_truth(
    truth: Truth,
    statistics: dict[str, NDArray],
    drawn: list[str],
    overlaps: list[Shared],
    *,
    seed: int = 0,
) -> tuple[tuple[Telling, ...], tuple[Shift, ...], tuple[Shared, ...], tuple[Finding, ...]]:
    """Return tellings, shifts, overlaps and findings.

    Parameters
    ----------
    truth : Truth
    statistics : dict of str to ndarray, shape (read,)
        Of the first samples.
    drawn : list of str
        Labels that are drawn; others are measured, or follow.
    overlaps : list of Shared
    seed : int
    """
    first = first_split(truth)
    samples = _samples(truth, first, seed)
    tellings: list[Telling | None] = [
        tell_class(name, "drawn" if name in drawn else "measured", values, samples)
        for name, values in truth.varying().items()
        if name not in SHORT
    ]
    if statistics:
        read = len(next(iter(statistics.values())))
        seen = _samples(truth.take(np.arange(read)), first, seed)
        tellings += [tell_class(*each, seen) for each in _kinds(statistics)]
        tellings.append(tell_class_together(TOGETHER, list(statistics.values()), seen))
    known = [each for each in tellings if each is not None]
    known.sort(key=lambda each: -each.skill)
    shifts = sorted(_shifts(truth, first), key=lambda each: -each.distance)
    findings = [*_leaks(known), *_lapses(overlaps), *_moves(shifts, truth.splits[first])]
    return tuple(known), tuple(shifts), tuple(overlaps), tuple(findings)


def _kinds(statistics: dict[str, NDArray]) -> Iterator[tuple[str, str, NDArray]]:
    for name, values in statistics.items():
        present = values[np.isfinite(values)]
        if len(present) and present.min() < present.max():
            yield name, "statistic", values


def _samples(truth: Truth, first: int, seed: int) -> Samples:
    return Samples(
        truth.codes.astype(np.intp),
        truth.split_codes,
        truth.groups,
        truth.classes,
        truth.splits,
        first,
        seed,
    )


def _read_statistics(
    release: Release, table: str, read: int, progress: Progress
) -> dict[str, NDArray]:
    """Return trivial statistics of the first samples, of every variable that a model may see; shard by shard."""
    summary = release.manifest.tables[table]
    data = release.open()[table]
    parts: dict[str, list[NDArray]] = {}
    for start in range(0, read, summary.shard_length):
        progress(f"reading '{table}'", start, read)
        rows = slice(start, min(start + summary.shard_length, read))
        for variable, each in summary.variables.items():
            if is_seen(variable):
                values = data[variable].isel(sample=rows).to_numpy()
                for name, found in trivial_statistics(variable, values, each["dims"][1:]).items():
                    parts.setdefault(name, []).append(found)
    whole = {name: np.concatenate(found) for name, found in parts.items()}
    return {name: values for name, values in whole.items() if len(values) == read}


def _overlaps(
    release: Release, table: str, truth: Truth, drawn: list[str], first: int
) -> Iterator[Shared]:
    """Yield what other splits share with the one that is trained on."""
    yield from shared_keys("group", "", truth.groups, truth, first)
    assert truth.digests is not None
    digests = [truth.digests(name) for name in release.manifest.tables[table].variables]
    keys = np.array([b"".join(each).hex() for each in zip(*digests, strict=True)])
    yield from shared_keys("data", "", keys, truth, first)
    plan = release.recipe.table(table).plan
    frame = release.labels(table)
    for column in plan.columns:
        if column.identifier:
            values = frame[column.name].to_numpy()
            values = np.where(values < 0, -1 - np.arange(len(values)), values)
            yield from shared_keys("identifier", column.name, values, truth, first)
    if plan.object_columns or release.manifest.tables[table].kind not in REPEATABLE:
        return
    yield from shared_keys("parameters", "", parameter_keys(truth, drawn), truth, first)


def _shifts(truth: Truth, first: int) -> Iterator[Shift]:
    """Yield the difference of each label, in each class, between the first split and each other."""
    varying = truth.varying()
    trained = truth.split_codes == first
    for split, name in enumerate(truth.splits):
        other = truth.split_codes == split
        if split == first or not other.any():
            continue
        yield _shift_of_classes(truth, trained, other, name)
        for label, values in varying.items():
            present = np.isfinite(values)
            for code, category in enumerate(truth.classes):
                here = present & (truth.codes == code)
                one, two = here & trained, here & other
                if min(one.sum(), two.sum()) < 2:
                    continue
                distance = _distance(values[one], values[two])
                sizes = [len(np.unique(truth.groups[each])) for each in (one, two)]
                effective = np.sqrt(sizes[0] * sizes[1] / sum(sizes))
                p = float(special.kolmogorov(effective * distance))
                yield Shift(label, category, name, distance, p)


def _distance(one: NDArray, two: NDArray) -> float:
    """Return the largest difference of the distribution functions of two sets of values."""
    one, two = np.sort(one), np.sort(two)
    every = np.concatenate([one, two])
    gap = np.searchsorted(one, every, side="right") / len(one)
    return float(np.max(np.abs(gap - np.searchsorted(two, every, side="right") / len(two))))


def _shift_of_classes(truth: Truth, trained: NDArray, other: NDArray, split: str) -> Shift:
    """Return the difference of the shares of classes: a χ² test with as many samples as there are groups."""
    count = len(truth.classes)
    tables = []
    for rows in (trained, other):
        groups = Groups(truth.groups[rows])
        share = np.bincount(truth.codes[rows], minlength=count) / rows.sum()
        tables.append(share * groups.count)
    table = np.stack(tables)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    used = expected[0] > 0
    chi2 = float(np.sum((table - expected)[:, used] ** 2 / expected[:, used]))
    shares = table / table.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    p = float(special.chdtrc(used.sum() - 1, chi2)) if used.sum() > 1 else 1.0
    return Shift("class", "", split, distance, p)


# what of it is told


def _leaks(tellings: list[Telling]) -> Iterator[Finding]:
    """Yield labels that tell the class, then single statistics that do: the best first, those of chance left out."""
    clear = discoveries([each.p_value for each in tellings])
    for kinds, least, words in (
        (("drawn",), LEAST_SKILL, "alone"),
        (("measured", "statistic"), LEAST_STATISTIC, "without a network"),
    ):
        for each, known in zip(tellings, clear, strict=True):
            single = each.name != TOGETHER
            if single and each.kind in kinds and known and each.skill >= least:
                kind = "label" if each.kind == "drawn" else "statistic"
                shares = ", ".join(
                    f"{found.value:.2f} in {split}" for split, found in each.accuracy.items()
                )
                message = (
                    f"{', '.join(each.classes)} are told apart by {each.name} {words}: balanced accuracy {shares}; "
                    f"chance {each.chance:.2f}"
                )
                yield Finding(kind, each.name, each.skill, message)


def _lapses(overlaps: list[Shared]) -> Iterator[Finding]:
    for each in sorted(overlaps, key=lambda each: -each.samples / each.of):
        yield Finding("overlap", each.split, each.samples / each.of, str(each))


def _moves(shifts: list[Shift], first: str) -> Iterator[Finding]:
    """Yield each label that is another in another split: the class in which it differs most."""
    clear = discoveries([each.p_value for each in shifts])
    told = set()
    for each, known in zip(shifts, clear, strict=True):
        if known and each.distance >= LEAST_SHIFT and (each.name, each.split) not in told:
            told.add((each.name, each.split))
            of = f" of class {each.category}" if each.category else ""
            message = (
                f"{each.name}{of} is distributed otherwise in '{each.split}' than in '{first}': "
                f"distance {each.distance:.2f}"
            )
            yield Finding("shift", each.name, each.distance, message)
