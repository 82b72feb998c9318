"""Tables of labels read from CSV with every bit of their numbers."""

from typing import Any

import pandas as pd

EXACT: dict[str, Any] = (
    {}
    if tuple(int(part) for part in pd.__version__.split(".")[:2]) >= (3, 1)
    else {"float_precision": "round_trip"}
)
"""Options of ``pandas.read_csv`` that read numbers exactly; from 3.1 on pandas does so without being asked."""


def read_csv(source: Any) -> pd.DataFrame:
    """Return the table in a CSV file."""
    return pd.read_csv(source, **EXACT)
