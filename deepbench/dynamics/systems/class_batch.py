"""Samples of one class that are rendered together: their true values, and the arrays into which motions are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepbench.dynamics.systems.system import ERROR, OF_BODIES
from deepbench.errors import LabelError
from deepbench.language.specification import out_of_range, parameter_of

if TYPE_CHECKING:
    from deepbench.dynamics.model import DynamicsTable
    from deepbench.dynamics.systems.systems import SystemEntry
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table

Floats = NDArray[np.float64]


class ClassBatch:
    """Some samples of one class.

    Parameters
    ----------
    table : Table
    labels : Labels
        Of the n samples that are rendered.
    rows : int64[k]
        Which of them belong to the class.
    entry : SystemEntry
        Their system.
    arrays : dict of str to ndarray
        The variables that are wanted, of all n samples: ``position`` and ``velocity``, float64[n, t, bodies, axes];
        ``q``, ``p``, ``dq_dt`` and ``dp_dt``, float64[n, t, degrees].
    """

    def __init__(
        self,
        table: Table[DynamicsTable],
        labels: Labels,
        rows: NDArray[np.int64],
        entry: SystemEntry,
        arrays: dict[str, Floats],
    ) -> None:
        self.table, self.labels, self.rows, self.arrays = table, labels, rows, arrays
        self.system, self.name = entry.chosen, entry.label
        self.times: Floats = table.specification.times.numbers

    def __len__(self) -> int:
        return len(self.rows)

    def of_body(self, body: str, field: str) -> Floats:
        """Return a value of one of the bodies that have labels of their own, float64[k]."""
        return self.labels.columns[f"{body}.{field}"][self.rows]

    def true(self, field: str) -> Floats:
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

    @property
    def wants_canonical(self) -> bool:
        """Whether angles or momenta are wanted."""
        return bool(self.arrays.keys() - set(OF_BODIES))

    def of_bodies(self) -> tuple[Floats, Floats]:
        """Return the arrays of positions and velocities of all n samples; without room where not wanted."""
        axes = self.table.specification.setting.axes
        nothing = np.empty((len(self.labels), len(self.times), 0, axes))
        return self.arrays.get("position", nothing), self.arrays.get("velocity", nothing)

    def write(self, **variables: Floats) -> None:
        """Write variables that are wanted; each is float64[k, t, bodies, axes] or float64[k, t, degrees]."""
        for name in self.arrays.keys() & variables.keys():
            values = variables[name]
            self.arrays[name][self.rows, :, : values.shape[2]] = values

    def refusal(self, number: int, message: str, **values: Any) -> LabelError:
        """Return the error about one of the samples; further values become its attributes."""
        sample = self.labels.samples[self.rows[number]]
        return LabelError.of_sample(self.table.name, sample, message, **values)
