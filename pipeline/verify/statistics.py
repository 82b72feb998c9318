"""Check of the statistics of a table: computed again from its data and labels, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepbench import format as fmt
from deepbench.errors import DeepBenchError
from deepbench.statistics import Statistics, Tally, counted, training_rows
from pipeline.parquet import batches, numbers
from pipeline.verify.findings import DAMAGE, Finding, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.plan import Block

SHOWN = 3
"""Number of differences that are told at most."""


def check_statistics(subject: Subject, block: Block, tally: Tally) -> list[Finding]:
    """Compare the statistics of a table with what its data and labels say.

    Parameters
    ----------
    subject : Subject
    block : Block
        All samples of the table.
    tally : Tally
        The sums over its data; those over its labels are added.
    """
    table = subject.table(block.table)
    file = fmt.statistics_file(block.table)
    columns = {each.name: each for each in table.plan.columns}
    names = ["split", *(each.name for each in counted(table.plan.columns))]
    try:
        for rows in batches(subject.location, table.name, names):
            labels = {name: numbers(rows.column(name), columns[name]) for name in names}
            chosen = training_rows(table.plan.splits, labels["split"])
            tally.add_labels(table.plan.columns, labels, chosen)
        computed = tally.statistics(table)
        content = subject.location.read(file)
        if content == computed.to_json().encode():
            return []
        wrong = list(_differences(Statistics.from_json(content, file), computed))
    except (*DAMAGE, DeepBenchError) as error:
        return [Finding("statistics", f"cannot be compared: {error}", file, block.table)]
    message = "; ".join(wrong[:SHOWN]) or "is not written as statistics are"
    if len(wrong) > SHOWN:
        message += f"; and {len(wrong) - SHOWN} more differences"
    return [Finding("statistics", message, file, block.table)]


def _differences(stated: Statistics, computed: Statistics) -> Iterator[str]:
    """Yield what is stated otherwise than it is computed, in words."""
    for name in ("table", "split", "samples"):
        one, other = getattr(stated, name), getattr(computed, name)
        if one != other:
            yield f"{name} is {one!r:.40}, not {other!r}"
    for what in ("variables", "labels"):
        there, here = getattr(stated, what), getattr(computed, what)
        if list(there) != list(here):
            yield f"its {what} are {', '.join(there)}, not {', '.join(here)}"
            continue
        for name, entry in here.items():
            for key, value in vars(entry).items():
                one = vars(there[name])[key]
                if one != value:
                    yield f"{key} of '{name}' is {one!r:.80}, not {value!r:.80}"
