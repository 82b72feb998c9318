"""The commands that probe releases: score, audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Catalog, Json, ReleaseName, Table, find_release
from pipeline.cli.output import progress_bar, say, say_json, say_table
from pipeline.units import number_text

if TYPE_CHECKING:
    from deepbench.probing.audit import Audit
    from deepbench.probing.ceiling import Ceiling
    from deepbench.probing.results import Score

MOST_CLASSES = 12
"""Largest number of classes whose confusion is printed."""


def score(
    release: ReleaseName,
    predictions: Annotated[
        str, typer.Argument(metavar="PREDICTIONS", help="A .csv, .parquet, .npy or .npz, by `id`.")
    ],
    catalog: Catalog = "releases",
    table: Table = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Split that is predicted, test when absent; again for more."),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="Label to look at, all when absent; again for more."),
    ] = None,
    positive: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Class that a search looks for.")
    ] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=LABEL",
            help="Predicted label, and the label with its true noise σ; again for more.",
        ),
    ] = None,
    allow_train: Annotated[
        bool, typer.Option("--allow-train", help="Allow samples of training splits.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Write a page (index.html), JSON and CSV there.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a model's predictions. It tells how good they are, by which label, and where they fail most."""
    from deepbench.probing.score import score as score_predictions
    from pipeline.report.results import check_folder, write_results
    from pipeline.report.score_page import score_page

    found = find_release(release, catalog)
    name = found.check_table(table)
    if output is not None:
        check_folder(output)
    result = score_predictions(
        found,
        predictions,
        name,
        split=split or "test",
        by=by,
        allow_train=allow_train,
        positive=positive,
        noise=dict(_pair(each) for each in noise or ()),
    )
    written = []
    if output is not None:
        import pandas as pd

        slices = [each.to_frame() for each in result.slices.values()]
        results: dict[str, Any] = {
            "report.json": result.to_dict(),
            "bins.csv": result.bins,
            "slices.csv": pd.concat(slices, ignore_index=True) if slices else pd.DataFrame(),
            "index.html": score_page(result, found),
        }
        written = write_results(output, results)
    if as_json:
        say_json(result.to_dict())
        return
    _say_score(result)
    for path in written:
        say(path)


def audit(
    release: ReleaseName,
    catalog: Catalog = "releases",
    table: Annotated[str | None, typer.Option(help="Which table; all when absent.")] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Samples that are read and compared, at most; 50,000 when absent, fewer compared where slow.",
        ),
    ] = None,
    ceiling_samples: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Samples of each class that are rendered for the ceiling; 64 or fewer when absent, 0 for none.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder of the report; reports/NAME-VERSION."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what the data give away: labels and statistics that tell the class, shifts, duplicates; and the ceiling."""
    import pandas as pd

    from deepbench.probing.audit import audit as audit_table
    from pipeline.report.audit_page import audit_page
    from pipeline.report.results import check_folder, write_results

    found = find_release(release, catalog)
    folder = output or f"reports/{found.name}-{found.version}"
    check_folder(folder)
    names = [found.check_table(table)] if table else list(found.manifest.tables)
    with progress_bar() as report:
        audits = [
            audit_table(found, name, most=samples, ceiling_samples=ceiling_samples, progress=report)
            for name in names
        ]
    told = {"release": str(found), "tables": [each.to_dict() for each in audits]}
    written = write_results(
        folder,
        {
            "audit.json": told,
            "telling.csv": pd.concat([each.telling_frame() for each in audits]),
            "shifts.csv": pd.concat([each.shift_frame() for each in audits]),
            "index.html": audit_page(audits, found),
        },
    )
    if as_json:
        say_json(told)
        return
    for each in audits:
        _say_audit(each)
    for path in written:
        say(path)


TOLD = 8
"""Number of the labels and statistics that are printed."""


def _say_audit(found: Audit) -> None:
    """Print an audit: findings, then what tells the class best."""
    read = "" if found.read == found.samples else f", the data of {found.read:,}"
    say(f"{found.release}, {found.table}: {found.samples:,} samples{read}, against '{found.first}'")
    for each in found.findings:
        say(f"  {each.kind}: {each.message}")
    if not found.findings:
        say("  nothing is given away")
    if found.tellings:
        splits = list(dict.fromkeys(split for each in found.tellings for split in each.accuracy))
        say("\nbalanced accuracy of the class from one number")
        say_table(
            ("number", "kind", *splits, "chance"),
            [
                (
                    each.name,
                    each.kind,
                    *(
                        f"{each.accuracy[s].value:.3f}" if s in each.accuracy else "-"
                        for s in splits
                    ),
                    f"{each.chance:.3f}",
                )
                for each in found.tellings[:TOLD]
            ],
        )
    _say_ceiling(found.ceiling)
    say(f"\n{found.searched}")


def _say_ceiling(found: Ceiling) -> None:
    """Print the ceiling, and why where it is not known."""
    say("\nthe ceiling of every model")
    for pair in found.separations:
        reached = "" if pair.known else " at most"
        say(
            f"  {' and '.join(pair.classes)} are told apart with accuracy {pair.accuracy.value:.4f}{reached} "
            f"({pair.accuracy.n:,} samples)"
        )
    if found.bounds:
        say_table(
            ("label", "class", "Fisher bound", "spread", "samples resolved"),
            [
                (
                    each.label,
                    each.category,
                    f"{each.rmse:.3g}" if each.resolved else "-",
                    f"{each.spread:.3g}",
                    f"{each.resolved} of {each.n}",
                )
                for each in found.bounds
            ],
        )
    for reason in found.reasons:
        say(f"  {reason}")


def _pair(text: str) -> tuple[str, str]:
    label, equals, other = text.partition("=")
    if not equals or not label or not other:
        raise typer.BadParameter(
            f"'{text}' must be LABEL=LABEL, such as labels.y=variables.sigma", param_hint="--noise"
        )
    return label, other


def _say_score(result: Score) -> None:
    """Print a score as tables."""
    apart = "" if result.groups == result.samples else f" in {result.groups:,} groups"
    say(
        f"{result.release}, {result.table}, {', '.join(result.splits)}: {result.samples:,} samples{apart}"
    )
    rows = [
        (
            each.target,
            each.name,
            number_text(each.estimate.value),
            number_text(each.estimate.low, each.estimate.high),
            f"{each.estimate.n:,}",
            each.note,
        )
        for each in result.metrics
    ]
    say_table(("target", "metric", "value", "95 % interval", "samples", ""), rows)
    if result.confusion is not None and len(result.confusion) <= MOST_CLASSES:
        say("\ntrue class (rows), called (columns)")
        classes: list[tuple[Any, ...]] = [
            (name, *map(int, counts))
            for name, counts in zip(
                result.confusion.index, result.confusion.to_numpy(), strict=True
            )
        ]
        say_table(("", *result.confusion.columns), classes)
    for target, slices in result.slices.items():
        what = "error" if target == "class" else "absolute error"
        if not len(slices):
            reach = (
                "too few samples to look for any"
                if slices.detectable != slices.detectable
                else (
                    f"an excess of {slices.detectable:.2g} in {slices.smallest} samples would mostly be found"
                )
            )
            say(f"\n{target}: no slice where the {what} is larger ({reach})")
            continue
        say(f"\n{target}: where the {what} is larger")
        say_table(
            ("slice", what, "95 % interval", "elsewhere", "samples"),
            [
                (
                    str(each),
                    number_text(each.error.value),
                    number_text(each.error.low, each.error.high),
                    f"{each.elsewhere:.4g}",
                    f"{each.samples:,}",
                )
                for each in slices
            ],
        )
