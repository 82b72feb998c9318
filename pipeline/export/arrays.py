"""Tables of any kind as they are in a release, in HDF5, netCDF or Zarr: variables, labels, coordinates by name.

HDF5 files are netCDF files, too: dimensions are dimension scales, names of classes the attribute ``flag_meanings``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench import format as fmt
from deepbench.errors import ExportError
from pipeline.export import outputs
from pipeline.export.checks import compare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.export.outputs import Output
    from pipeline.export.request import Request
    from pipeline.export.view import View

CONVENTIONS = {"Conventions": "CF-1.11"}


def write_groups(request: Request) -> None:
    """Write each table as a group of an HDF5 file, in one piece each array unless it is to be compressed."""
    first = request.views[0].attributes()
    shared = {name: first[name] for name in first if name != "table" and "selected" not in name}
    with outputs.writing(
        request.ending, request.path, CONVENTIONS | shared, request.compress
    ) as output:
        for view in request.views:
            words = view.attributes()
            own = {name: words[name] for name in words if name not in shared}
            output.group(view.name, {"kind": view.kind, **own})
            _write(view, output, f"{view.name}/", request)


def read_groups(request: Request) -> None:
    """Compare a file of ``write_groups`` with the release."""
    for view in request.views:
        _read_back(view, f"{view.name}/", request)


def write_table(request: Request) -> None:
    """Write a table of any kind into a netCDF file or a Zarr store, compressed."""
    words = CONVENTIONS | {"kind": request.view.kind} | request.view.attributes()
    with outputs.writing(request.ending, request.path, words) as output:
        _write(request.view, output, "", request)


def read_table(request: Request) -> None:
    """Compare a file of ``write_table`` with the release."""
    _read_back(request.view, "", request)


def _write(view: View, output: Output, prefix: str, request: Request) -> None:
    """Write coordinates, labels and variables of a table."""
    for axis in view.coordinates:
        shape, words = axis.values.shape, fmt.axis_attributes(axis)
        output.create(prefix + axis.name, axis.dimensions, shape, axis.values.dtype, words)
        output.append(prefix + axis.name, axis.values)
    write_labels(view, output, prefix)
    for variable in view.variables:
        output.create(
            prefix + variable.name,
            ("sample", *variable.dimensions),
            (view.samples, *variable.shape),
            np.dtype(variable.dtype),
            fmt.variable_attributes(variable),
        )
    for _, stop, block in view.read_blocks():
        for name, values in block.items():
            output.append(prefix + name, values)
        request.report("writing", stop, view.samples)


def write_labels(view: View, output: Output, prefix: str = "", **attributes: Any) -> None:
    """Write labels; ``attributes`` are those that ``id`` has besides its own."""
    for column in view.labels:
        words = fmt.label_attributes(column) | (attributes if column.name == "id" else {})
        output.create(prefix + column.name, ("sample",), (view.samples,), column.dtype, words)
    for start, stop in view.label_blocks():
        for name, values in view.read_labels(start, stop).items():
            output.append(prefix + name, values)


def _read_back(view: View, prefix: str, request: Request) -> None:
    """Compare a table with the release."""
    with outputs.FORMATS[request.ending].reading(request.path) as file:
        for axis in view.coordinates:
            if not np.array_equal(file[prefix + axis.name][:], axis.values):
                raise ExportError(f"the export has other values of the coordinate '{axis.name}'")
        compare(view, _pieces(view, file, prefix), request.report)


def _pieces(view: View, file: Any, prefix: str) -> Iterator[tuple[str, NDArray]]:
    """Yield what is in a file, block by block."""
    for start, stop in view.label_blocks():
        for column in view.labels:
            yield column.name, file[prefix + column.name][start:stop]
    for start, stop in view.blocks():
        for variable in view.variables:
            yield variable.name, file[prefix + variable.name][start:stop]
