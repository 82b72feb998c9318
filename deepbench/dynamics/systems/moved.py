"""Samples that move together: their true values, which are what is labelled plus its error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.dynamics.systems.systems import ERROR
from deepbench.errors import LabelError
from deepbench.language.specification import out_of_range, parameter_of

if TYPE_CHECKING:
    from deepbench.dynamics.systems.systems import SystemEntry
    from deepbench.labelling.scopes import Labels


class Moved:
    """Some samples of one class.

    Parameters
    ----------
    table : str
        Name of the table.
    labels : Labels
        Of all samples that are rendered.
    rows : int64[k]
        Which of them.
    entry : SystemEntry
        Their system.
    """

    def __init__(
        self, table: str, labels: Labels, rows: NDArray[np.int64], entry: SystemEntry
    ) -> None:
        self.table, self.labels, self.rows = table, labels, rows
        self.system, self.kind, self.name = entry.chosen, entry.kind, entry.label

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, field: str) -> bool:
        return getattr(self.system, field) is not None

    def of_body(self, body: str, field: str) -> NDArray[np.float64]:
        """Return a value of one of a few bodies, float64[k]."""
        return self.labels.columns[f"{body}.{field}"][self.rows]

    def true(self, field: str) -> NDArray[np.float64]:
        """Return a value of the system with its error, float64[k].

        Raises
        ------
        LabelError
            A sum leaves the range of the field.
        """
        column = f"{self.name}.{field}"
        values = self.labels.columns[column][self.rows]
        if getattr(self.system, f"{field}{ERROR}", None) is None:
            return values
        errors = self.labels.columns[f"{column}{ERROR}"][self.rows]
        meaning, total = parameter_of(type(self.system), field), values + errors
        bad = out_of_range(meaning, total)
        if bad is not None:
            raise self.refusal(
                bad,
                f"{column} = {float(values[bad])!r} and its error {float(errors[bad])!r} make "
                f"{float(total[bad])!r}, but it must be {meaning.range_text()}; narrow the prior of the error",
            )
        return total

    def refusal(self, number: int, message: str, **values: str) -> LabelError:
        """Return the error about one of the samples; further values become its attributes."""
        sample = int(self.labels.samples[self.rows[number]])
        return LabelError(
            f"table '{self.table}', sample {sample}: {message}",
            table=self.table,
            sample=sample,
            **values,
        )
