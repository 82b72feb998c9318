"""The command that asks a model about samples with one label changed: probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Catalog, Json, ReleaseName, Table, choose_table, find_release
from pipeline.cli.output import say, say_json, say_table

if TYPE_CHECKING:
    from deepbench.probing.reliance import Reliance
    from deepbench.probing.sweeps import Sweep


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
        str, typer.Option(help="Split that says which class a value of a label favours.")
    ] = "train",
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
    name = choose_table(table, found.manifest.tables)
    sweeps = [_sweep(each) for each in vary or ()]
    if output is not None:
        check_folder(output)
    asked = load_model(model)
    swept = [
        sweep(found, name, asked, label, values, split=split, samples=samples)
        for label, values in sweeps
    ]
    results: dict[str, Any] = {}
    if swept:
        data: dict[str, Any] = {"sweeps": [each.to_dict() for each in swept]}
        results |= {f"{each.column}.csv": each.accuracy() for each in swept}
        results |= {f"{each.column}.thresholds.csv": each.thresholds() for each in swept}
    else:
        relied = reliance(found, name, asked, split=split, train=train, samples=samples)
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


def _sweep(text: str) -> tuple[str, Any]:
    """Return the label and the values of ``LABEL=LOW:HIGH:STEPS``; None for values that are not given."""
    import numpy as np

    label, equals, values = text.partition("=")
    if not equals:
        return label, None
    try:
        low, high, steps = values.split(":")
        found = np.linspace(float(low), float(high), int(steps))
    except ValueError:
        found = np.array([])
    if len(found) < 2 or not np.isfinite(found).all():
        raise typer.BadParameter(
            f"'{text}' must be LABEL=LOW:HIGH:STEPS, such as psf.sigma=0.5:4:8", param_hint="--vary"
        )
    return label, found


def _say_sweep(found: Sweep) -> None:
    """Print the accuracy along a sweep, and where samples break."""
    say(f"\naccuracy along {found.column}")
    say_table(
        (found.column, "accuracy", "95 % interval", "samples"),
        [
            (f"{value:.4g}", f"{accuracy:.4g}", f"{low:.4g} … {high:.4g}", n)
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
                f"{each.two_sided:.3f}",
                f"{each.estimate.value:.3f}",
                f"{each.estimate.low:.3f} … {each.estimate.high:.3f}",
                each.estimate.n,
                ", ".join(f"{name} {value:.3f}" for name, value in each.by_class.items()),
                ", ".join(each.through),
            )
            for each in found
        ],
    )
