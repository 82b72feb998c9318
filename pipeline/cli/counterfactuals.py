"""The command that asks a model about samples with one label changed: probe."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Catalog, Json, ReleaseName, Table, find_release
from pipeline.cli.output import say, say_json, say_table
from pipeline.units import number_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepbench.probing.reliance import Reliance
    from deepbench.probing.sweeps import Sweep

MOST_STEPS = 10_000
"""Largest number of steps of a sweep."""


def probe(
    release: ReleaseName,
    model: Annotated[
        str,
        typer.Option(
            metavar="FILE.py:FUNCTION",
            help="Takes the data variables of samples as a dataset, and returns n classes or (n, classes) scores.",
        ),
    ],
    catalog: Catalog = "releases",
    table: Table = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL[=LOW:HIGH:STEPS]",
            help="Label that is swept, over its range when none is given; again for more.",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the samples.")] = "test",
    train: Annotated[
        str | None,
        typer.Option(
            help="Split that says which class a value of a label favours; the training split when absent."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Largest number of samples.")] = 256,
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
    """Ask a model about samples with changed labels. It tells on which labels the model relies, and where it breaks.

    Without --vary each label's value is swapped for one that favours another class; with it the label is swept.
    """
    from deepbench.probing.models import load_model
    from deepbench.probing.reliance import reliance
    from deepbench.probing.sweeps import sweep
    from pipeline.report.probe_page import reliance_page, sweeps_page
    from pipeline.report.results import check_folder, write_results

    found = find_release(release, catalog)
    name = found.check_table(table)
    sweeps = _sweeps(vary or ())
    if output is not None:
        check_folder(output)
    with contextlib.redirect_stdout(sys.stderr):  # what the model prints is no result
        asked = load_model(model)
        swept = [
            sweep(found, name, asked, label, values, split=split, samples=samples)
            for label, values in sweeps.items()
        ]
        relied = (
            [] if swept else reliance(found, name, asked, split=split, train=train, samples=samples)
        )
    results: dict[str, Any] = {}
    if swept:
        data: dict[str, Any] = {"sweeps": [each.to_dict() for each in swept]}
        results |= {f"{each.column}.csv": each.accuracy() for each in swept}
        results |= {f"{each.column}.thresholds.csv": each.thresholds() for each in swept}
    else:
        data = {"reliance": [each.to_dict() for each in relied]}
    written = []
    if output is not None:
        shown = (
            sweeps_page(swept, found, name, model)
            if swept
            else reliance_page(relied, found, name, model)
        )
        written = write_results(output, {"probe.json": data, "index.html": shown, **results})
    if as_json:
        say_json(data)
        return
    say(f"{found}, {name}, {split}: {model}")
    for each in swept:
        _say_sweep(each)
    if not swept:
        _say_reliance(relied)
    for path in written:
        say(path)


def _sweeps(texts: Sequence[str]) -> dict[str, Any]:
    """Return labels and values of several ``LABEL=LOW:HIGH:STEPS``; None for values that are not given."""
    found: dict[str, Any] = {}
    for text in texts:
        label, equals, values = text.partition("=")
        if label in found:
            raise typer.BadParameter(f"'{label}' is given twice", param_hint="--vary")
        found[label] = _steps(text, values) if equals else None
    return found


def _steps(text: str, values: str) -> NDArray[np.float64]:
    """Return the values of ``LOW:HIGH:STEPS``, which stand in a text."""
    import numpy as np

    try:
        low, high, count = values.split(":")
        ends, steps = (float(low), float(high)), int(count)
    except ValueError:
        ends, steps = (math.nan, math.nan), 0
    if not np.isfinite(ends).all():
        raise typer.BadParameter(
            f"'{text}' must be LABEL=LOW:HIGH:STEPS, such as psf.sigma=0.5:4:8", param_hint="--vary"
        )
    if ends[0] == ends[1] or not 2 <= steps <= MOST_STEPS:
        raise typer.BadParameter(
            f"'{text}' needs two different ends and 2 to {MOST_STEPS} steps", param_hint="--vary"
        )
    return np.linspace(*ends, steps)


def _say_sweep(found: Sweep) -> None:
    """Print the accuracy along a sweep, and where samples break."""
    say(f"\naccuracy along {found.column}")
    say_table(
        (found.column, "accuracy", "95 % interval", "samples"),
        [
            (number_text(value), number_text(accuracy), number_text(low, high), n)
            for value, accuracy, low, high, n, _ in found.accuracy().itertuples(index=False)
        ],
    )
    limits = found.thresholds()
    right = limits[limits["right"]]
    for side in ("below", "above"):
        broken = right[side].dropna()
        middle = f", half of them by {broken.median():.4g}" if len(broken) else ""
        say(f"{len(broken)} of {len(right)} samples break {side} their own value{middle}")


def _say_reliance(found: list[Reliance]) -> None:
    """Print how far a model relies on labels."""
    if not found:
        say("no label that can be changed tells classes apart")
        return
    say(
        "\nchange of the answer towards the class that a swapped label favours, less the change away from it"
    )
    say_table(
        ("label", "both ways", "reliance", "95 % interval", "samples", "by class", "through"),
        [
            (
                each.column,
                number_text(each.two_sided, form=".3f"),
                number_text(each.estimate.value, form=".3f"),
                number_text(each.estimate.low, each.estimate.high, form=".3f"),
                each.estimate.n,
                ", ".join(f"{name} {value:.3f}" for name, value in each.by_class.items()),
                ", ".join(each.through),
            )
            for each in found
        ],
    )
