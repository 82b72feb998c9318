"""Light curves as CF contiguous ragged arrays: all observations of all samples one after another, and how many of each.

CF Conventions 1.11, chapter 9 and appendix H.2.4, ``featureType = "timeSeries"``. The table is read twice, in blocks of
whole shards: once for the sizes, once for the observations.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import ExportError
from pipeline.export import outputs
from pipeline.export.arrays import write_labels
from pipeline.export.checks import Digests, compare_labels
from pipeline.export.ragged import RaggedCurves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.export.request import Request

COORDINATES = "time id"
"""Coordinates that each variable of observations names."""

UNIX = 2440587.5
"""Julian date of 1970-01-01."""

GREGORIAN = 2299160.5
"""Julian date of 1582-10-15, from which on the calendar ``standard`` is the Gregorian one."""

TOO_LATE = 5373484.5
"""Julian date of the year 10,000."""


def write_ragged(request: Request) -> dict[str, int]:
    """Write a table of light curves; return the numbers of light curves and observations.

    Raises
    ------
    ExportError
        Its images are apart, or its times have no date in the calendar.
    """
    view, curves = request.view, RaggedCurves(request.view)
    clock = _clock(curves)
    words = {
        "Conventions": "CF-1.11",
        "featureType": "timeSeries",
        **view.attributes(),
        "comment": "observations that were not made, or were lost, are left out",
    }
    with outputs.writing(request.ending, request.path, words) as output:
        sizes = curves.sizes(request.report)
        counts = {"long_name": "number of observations", "units": "1", "sample_dimension": "obs"}
        output.create("row_size", ("sample",), sizes.shape, sizes.dtype, counts)
        output.append("row_size", sizes)
        write_labels(view, output, cf_role="timeseries_id")
        total = int(sizes.sum(dtype=np.int64))
        for name in curves.names:
            described = clock if name == "time" else _observed(curves, name)
            output.create(name, ("obs",), (total,), curves.dtype(name), described)
        for _, _, _, columns in curves.blocks(request.report):
            for name, values in columns.items():
                output.append(name, values)
    return {"light curves": view.samples, "observations": total}


def read_ragged(request: Request) -> None:
    """Compare a file of ``write_ragged`` with the release."""
    view, curves = request.view, RaggedCurves(request.view)
    with outputs.FORMATS[request.ending].reading(request.path) as file:
        found = Digests()
        for name in curves.names:
            for start in range(0, file[name].shape[0], outputs.PIECE):
                found.update(name, file[name][start : start + outputs.PIECE])
        curves.compare(found, request.report)
        compare_labels(view, _labels(request, file))
        sizes = file["row_size"][:]
    if not np.array_equal(sizes, curves.sizes(request.report)):
        raise ExportError(
            "the export was read back, and 'row_size' in it is not that of the release"
        )


def _labels(request: Request, file: Any) -> Iterator[tuple[str, NDArray]]:
    """Yield the labels in a file, some samples at a time."""
    for start, stop in request.view.label_blocks():
        for column in request.view.labels:
            yield column.name, file[column.name][start:stop]


def _clock(curves: RaggedCurves) -> dict[str, Any]:
    """Return the attributes of the times."""
    words = curves.attributes("time")
    units = time_units(words["reference_julian_date"])
    dates = {"calendar": "standard", "units_metadata": "leap_seconds: none"}
    return {"standard_name": "time", **words, "units": units, **dates}


def _observed(curves: RaggedCurves, name: str) -> dict[str, Any]:
    """Return the attributes of a variable of observations."""
    words = curves.attributes(name)
    if name == "flux":
        words["ancillary_variables"] = "flux_error mask"
    return {**words, "coordinates": COORDINATES}


def time_units(julian_date: float) -> str:
    """Return the CF units of times that are days since a Julian date.

    Raises
    ------
    ExportError
        The date is not between 1582-10-15, when the calendar changes, and the year 9999.

    Examples
    --------
    >>> time_units(2400000.5)
    'days since 1858-11-17 00:00:00'
    """
    if not GREGORIAN <= julian_date < TOO_LATE:
        raise ExportError(
            f"the times are days since the Julian date {julian_date:.17g}; it must be from {GREGORIAN} (1582-10-15, "
            f"when the calendar changes) to {TOO_LATE} (the year 10,000): give the survey another `epoch`"
        )
    date = datetime(1970, 1, 1) + timedelta(days=julian_date - UNIX)
    return f"days since {date.isoformat(sep=' ')}"
