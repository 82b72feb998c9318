"""Light curves as CF contiguous ragged arrays: all observations of all samples one after another, and how many of each.

CF Conventions 1.11, chapter 9 and appendix H.2.4, ``featureType = "timeSeries"``. The table is read twice, in blocks of
whole shards: once for the sizes, once for the observations.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench import format as fmt
from deepbench.catalog import reading
from deepbench.errors import ExportError
from deepbench.light_curves.model import MASK
from pipeline.export import outputs

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from deepbench.catalog import Release
    from pipeline.export.outputs import Output
    from pipeline.progress import Progress

MISSING = 1 << MASK.index("missing")
"""Bit of the mask of an observation that is not there."""

COORDINATES = "time id"
"""Coordinates that each variable of observations names."""

UNIX = 2440587.5
"""Julian date of 1970-01-01."""

GREGORIAN = 2299160.5
"""Julian date of 1582-10-15, from which on the calendar ``standard`` is the Gregorian one."""

TOO_LATE = 5373484.5
"""Julian date of the year 10,000."""


def export_light_curves(
    release: Release, table: str, path: str, progress: Progress
) -> dict[str, int]:
    """Write a table of light curves into a new file; return the numbers of light curves and observations.

    Parameters
    ----------
    release : Release
    table : str
    path : str
        A local file that ends with ``.zarr`` or ``.nc``.
    progress : callable

    Raises
    ------
    ExportError
        Its images are apart, its times have no date in the calendar, or the file cannot be written.
    ReleaseError
        A file of the release is missing or damaged.
    """
    curves = _LightCurves(release, table)
    with outputs.writing(path, curves.attributes()) as output:
        observations = curves.count(output, progress)
        curves.write_labels(output, progress)
        curves.write_observations(output, observations, progress)
    return {"light curves": curves.samples, "observations": observations}


class _LightCurves:
    """A table of light curves of a release."""

    def __init__(self, release: Release, table: str) -> None:
        self._release, self._table = release, table
        self._summary = release.manifest.tables[table]
        tree = release.open()
        self._root, self._data = tree.attrs, tree[table].to_dataset()
        if "image" in self._data["flux"].dims:
            raise ExportError(
                f"the images in '{table}' are apart, and a ragged array has one light curve for each sample; "
                "leave out `images_apart`, or read the release itself"
            )
        self._units = time_units(self._data["time"].attrs["reference_julian_date"])

    @property
    def samples(self) -> int:
        """Number of light curves."""
        return self._summary.samples

    def attributes(self) -> dict[str, str]:
        """Return the attributes of the whole file."""
        manifest = self._release.manifest
        software = f"DeepBench {manifest.software['deepbench']}"
        kept = ("title", "license", "name", "version", "recipe_hash")
        return {
            "Conventions": "CF-1.11",
            "featureType": "timeSeries",
            **{name: self._root[name] for name in kept},
            "table": self._table,
            "source": f"simulated by {software}",
            "history": f"{manifest.created} {self._release} built by {software}",
            "comment": "observations that were not made, or were lost, are left out",
        }

    def count(self, output: Output, report: Progress) -> int:
        """Write how many observations each light curve has; return how many all have."""
        words = {
            "long_name": "number of observations",
            "units": "1",
            "sample_dimension": "obs",
        }
        output.create("row_size", "sample", self.samples, np.dtype(np.int32), words)
        total = 0
        for start, stop in self._blocks():
            sizes = _is_there(self._read("mask", start, stop)).sum(axis=1, dtype=np.int32)
            output.append("row_size", sizes)
            total += int(sizes.sum(dtype=np.int64))
            report("counting", stop, self.samples)
        return total

    def write_labels(self, output: Output, report: Progress) -> None:
        """Write the labels."""
        for done, name in enumerate(self._summary.columns, start=1):
            words = dict(self._data[name].attrs)
            if name == "id":
                words["cf_role"] = "timeseries_id"
            output.create(name, "sample", self.samples, self._data[name].dtype, words)
            for start in range(0, self.samples, fmt.LABEL_CHUNK):
                output.append(name, self._read(name, start, start + fmt.LABEL_CHUNK))
            report("labels", done, len(self._summary.columns))

    def write_observations(self, output: Output, total: int, report: Progress) -> None:
        """Write what was observed, in the order of the samples and, in each, of the release."""
        names = ["time", *(name for name in self._summary.variables if name != "time")]
        for name in names:
            output.create(name, "obs", total, self._data[name].dtype, self._observed(name))
        for start, stop in self._blocks():
            mask = self._read("mask", start, stop)
            there = _is_there(mask)
            for name in names:
                values = mask if name == "mask" else self._read(name, start, stop)
                output.append(name, np.broadcast_to(values, there.shape)[there])
            report("observations", stop, self.samples)

    def _observed(self, name: str) -> dict[str, Any]:
        """Return the attributes of a variable of observations."""
        words = dict(self._data[name].attrs)
        if name == "time":
            dates = {"calendar": "standard", "units_metadata": "leap_seconds: none"}
            return {"standard_name": "time", **words, "units": self._units, **dates}
        if name == "flux":
            words["ancillary_variables"] = "flux_error mask"
        return {**words, "coordinates": COORDINATES}

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Yield the samples of each shard."""
        for start in range(0, self.samples, self._summary.shard_length):
            yield start, min(start + self._summary.shard_length, self.samples)

    def _read(self, name: str, start: int, stop: int) -> NDArray:
        """Return samples of a variable; all of one that is the same for every sample."""
        array: xr.DataArray = self._data[name]
        with reading(self._release.location, f"{fmt.DATA}/{self._table}/{name}"):
            if "sample" not in array.dims:
                return array.values
            return array.isel(sample=slice(start, stop)).values


def _is_there(mask: NDArray) -> NDArray[np.bool_]:
    """Return which observations are there."""
    return mask & MISSING == 0


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
