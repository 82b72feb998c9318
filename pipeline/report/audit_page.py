"""The page of an audit: what the data give away, the verdict first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from pipeline.report.page import Pictures, page, strip, table

if TYPE_CHECKING:
    from deepbench.probing.audit import Audit
    from deepbench.probing.ceiling import Bound, Ceiling
    from deepbench.probing.overlap import Shared
    from deepbench.probing.telling import Telling
    from deepbench.release import Release

SHOWN = 16
"""Largest number of rows of a table; the CSV files have all."""

VERDICTS = {
    "label": "A label that should not tell the class does",
    "statistic": "A trivial number tells the class",
    "overlap": "Splits share samples, or samples that noise does not tell apart",
    "shift": "Splits differ",
}
"""Meaning of the findings of each kind, as headings of the verdict."""


def audit_page(audits: Sequence[Audit], release: Release) -> str:
    """Return the page.

    Parameters
    ----------
    audits : sequence of Audit
        One for each table.
    release : Release
        The release that was audited; samples that splits share are rendered for the pictures.
    """
    sections: dict[str, str] = {}
    for each in audits:
        of = f" in {each.table}" if len(audits) > 1 else ""
        pictures = Pictures(release, each.table)
        statistics = [one for one in each.tellings if one.kind == "statistic"]
        labels = [one for one in each.tellings if one.kind != "statistic"]
        sections |= {
            f"Verdict{of}": _verdict(each),
            f"What tells the class{of}": _tellings(statistics, "Statistics of the data"),
            f"Single labels{of}": _tellings(labels, "Labels"),
            f"Shifts between splits{of}": _shifts(each),
            f"What splits share{of}": _overlaps(each, pictures),
            f"Ceiling{of}": _ceiling(each.ceiling),
        }
    words = (
        f"{release.manifest.title}. What can be told of the samples before any network is trained. Intervals hold the "
        "true value with a probability of 95 %."
    )
    return page(f"Audit of {release}", words, sections)


def _verdict(found: Audit) -> str:
    read = "" if found.read == found.samples else f", the data of the first {found.read:,}"
    counted = f"{found.samples:,} samples{read}; other splits are compared with {found.first}."
    if not found.findings:
        return f'<p class="verdict">Nothing is given away.</p><p class="soft">{escape(counted)}</p>'
    parts = []
    for kind, words in VERDICTS.items():
        own = [each.message for each in found.findings if each.kind == kind]
        if own:
            parts.append(f'<p class="verdict">{words}.</p>{_list(own[:SHOWN])}')
    note = " A finding need not be a fault: a bias that is meant is found, too."
    return f'{"".join(parts)}<p class="soft">{escape(counted + note)}</p>'


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in items)}</ul>"


def _tellings(found: Sequence[Telling], what: str) -> str:
    """Return a table of balanced accuracies with bars that begin at chance."""
    if not found:
        return ""
    splits = list(dict.fromkeys(split for each in found for split in each.accuracy))
    head = "".join(f'<th scope="col" class="number">{escape(name)}</th>' for name in splits)
    rows = [
        f'<tr><th scope="col">number</th><th scope="col">above chance</th>{head}<th scope="col" class="number">'
        'chance</th><th scope="col" class="number">η²</th></tr>'
    ]
    for each in found[:SHOWN]:
        cells = "".join(_accuracy(each, split) for split in splits)
        eta = "–" if each.eta_squared != each.eta_squared else f"{each.eta_squared:.3f}"
        rows.append(
            f'<tr><th scope="row">{escape(each.name)}</th><td>{_bar(each)}</td>{cells}'
            f'<td class="number">{each.chance:.3f}</td><td class="number">{eta}</td></tr>'
        )
    words = (
        "How often the class is right that is called from one number alone: balanced accuracy, learned in "
        f"{splits[0]}. A bar reaches from chance (left) to certainty (right). η² is the share of the number's variance "
        "that is between classes: its correlation with the class."
    )
    left = len(found) - SHOWN
    note = f'<p class="soft">{left} more are in telling.csv.</p>' if left > 0 else ""
    return (
        f'<p class="soft">{escape(words)}</p><div class="scroll" tabindex="0" role="region" aria-label="{what}">'
        f"<table><caption>{what}</caption>{''.join(rows)}</table></div>{note}"
    )


def _accuracy(each: Telling, split: str) -> str:
    if split not in each.accuracy:
        return '<td class="number">–</td>'
    found = each.accuracy[split]
    ends = f"<small>{found.low:.3f} – {found.high:.3f}</small>" if found.low == found.low else ""
    return f'<td class="number">{found.value:.3f}{ends}</td>'


def _bar(each: Telling) -> str:
    """Return a bar of the skill in the first split; its numbers stand beside it."""
    width = max(0.0, min(1.0, each.skill))
    return f'<span class="meter" aria-hidden="true"><span style="width: {width:.1%}"></span></span>'


def _shifts(found: Audit) -> str:
    rows = [
        (
            each.name,
            each.category or "all",
            each.split,
            f"{each.distance:.3f}",
            f"{each.p_value:.2g}",
        )
        for each in found.shifts[:SHOWN]
    ]
    if not rows:
        return "<p>There is no other split to compare with.</p>"
    head = ("label", "class", "split", "distance", "p")
    words = (
        f"Largest difference of the distribution functions of a label in {found.first} and in another split; of "
        "classes, half the sum of differences of their shares. p is the probability of such a difference by chance."
    )
    left = len(found.shifts) - SHOWN
    note = f'<p class="soft">{left} more are in shifts.csv.</p>' if left > 0 else ""
    shown = table(head, rows, "Shifts, the largest first", (3, 4))
    return f'<p class="soft">{escape(words)}</p>{shown}{note}'


def _overlaps(found: Audit, pictures: Pictures) -> str:
    """Return what splits share, with a pair of pictures of each."""
    searched = f'<p class="soft">{escape(found.searched)}</p>'
    if not found.overlaps:
        return f"<p>No sample, parameters, identifier or group is in two splits.</p>{searched}"
    return "".join(_pair(each, found.first, pictures) for each in found.overlaps) + searched


def _pair(each: Shared, first: str, pictures: Pictures) -> str:
    ids = (each.first, each.twin)
    words = (f"{each.first} of {each.split}", f"{each.twin} of {first}")
    shown = zip(pictures.of(ids), (f"sample {each}" for each in words), words, strict=True)
    return strip(str(each), shown)


def _ceiling(found: Ceiling) -> str:
    parts = []
    if found.separations:
        rows = [
            (
                " and ".join(each.classes),
                f"{each.accuracy.value:.4f}",
                "reached by a matched filter"
                if each.known
                else "not reached: both signals are told",
                f"{each.accuracy.n:,}",
            )
            for each in found.separations
        ]
        head = ("classes", "best accuracy", "", "samples")
        words = (
            "Accuracy of the likelihood ratio of two signals in known noise, the classes being equally frequent: no "
            "model is better on average."
        )
        parts.append(
            f'<p class="soft">{words}</p>{table(head, rows, "Classes told apart", (1, 3))}'
        )
    if found.bounds:
        columns = ("label", "class", "Fisher bound", "spread", "share", "samples resolved")
        words = (
            "Fisher bound: the smallest root-mean-square error of an unbiased estimate of each label, all being "
            "unknown, over the samples where it is below the spread of the label, which is the error of a guess. Who "
            "knows the prior can have a smaller error."
        )
        bounds = table(columns, map(_bound, found.bounds), "Labels measured", (2, 3, 4, 5))
        parts.append(f'<p class="soft">{words}</p>{bounds}')
    return "".join(parts) + (_list(found.reasons) if found.reasons else "")


def _bound(each: Bound) -> tuple[str, ...]:
    unit = "" if each.unit in ("", "1") else f" {each.unit}"
    known = each.resolved > 0
    return (
        each.label,
        each.category,
        f"{each.rmse:.3g}{unit}" if known else "–",
        f"{each.spread:.3g}{unit}",
        f"{each.rmse / each.spread:.1%}" if known else "–",
        f"{each.resolved} of {each.n}",
    )
