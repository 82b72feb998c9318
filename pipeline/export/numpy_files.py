"""Tables of any kind as NumPy's ``.npz``: arrays by the names of variables, labels and coordinates.

Where a table holds each combination of its factors once, in order, the arrays of dSprites are there as well (Matthey et
al. 2017): ``imgs``, ``latents_values``, ``latents_classes``, ``latents_names``, ``latents_sizes``. Nothing is pickled:
``metadata`` is JSON.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

import numpy as np

from deepbench import format as fmt
from deepbench.errors import ExportError
from deepbench.labelling.scopes import VARIABLES
from pipeline.export.checks import compare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.labelling.design import Design
    from pipeline.export.request import Request
    from pipeline.export.view import View

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of all files in an archive: the same arrays are the same bytes."""

IMAGES = "imgs"
"""Name of the first variable of a table in dSprites' layout."""


def write_numpy(request: Request) -> None:
    """Write a table into an archive of arrays."""
    view = request.view
    names = _names(view)
    method = zipfile.ZIP_DEFLATED if request.compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(request.path, "w", method) as archive:
        for name, values in _extras(view).items():
            _write(archive, name, values.dtype, values.shape, [values])
        for column in view.labels:
            labels = (
                view.read_labels(start, stop, (column.name,))[column.name]
                for start, stop in view.label_blocks()
            )
            _write(archive, column.name, column.dtype, (view.samples,), labels)
        for variable in view.variables:
            shape = (view.samples, *variable.shape)
            blocks = _reported(view, variable.name, request)
            _write(archive, names[variable.name], np.dtype(variable.dtype), shape, blocks)


def read_numpy(request: Request) -> None:
    """Compare an archive of ``write_numpy`` with the release."""
    view = request.view
    with zipfile.ZipFile(request.path) as archive:
        for name, expected in _extras(view).items():
            [values] = _read(archive, name, [(0, len(expected))] if expected.ndim else None)
            if not np.array_equal(values, expected, equal_nan=expected.dtype.kind == "f"):
                raise ExportError(f"the export was read back, and has other values of '{name}'")
        compare(view, _pieces(view, archive), request.report)


def _pieces(view: View, archive: zipfile.ZipFile) -> Iterator[tuple[str, NDArray]]:
    """Yield labels and variables in an archive."""
    for column in view.labels:
        for values in _read(archive, column.name, view.label_blocks()):
            yield column.name, values
    for name, own in _names(view).items():
        for values in _read(archive, own, view.blocks()):
            yield name, values


def _reported(view: View, name: str, request: Request) -> Iterator[NDArray]:
    """Yield a variable block by block, and tell so."""
    for _, stop, block in view.read_blocks([name]):
        yield block[name]
        request.report(f"writing {name}", stop, view.samples)


def _names(view: View) -> dict[str, str]:
    """Return the names of the arrays of variables."""
    names = {each.name: each.name for each in view.variables}
    if _grid(view) is not None:
        names[view.variables[0].name] = IMAGES
    return names


def _grid(view: View) -> Design | None:
    """Return the design of an image table that holds each combination once, in order; None of others."""
    table = view.table
    design = table.specification.design
    whole = design is not None and not design.shuffled and table.samples == design.count
    return design if whole and view.rows is None and view.kind == "image" else None


def _extras(view: View) -> dict[str, NDArray]:
    """Return coordinates, meanings of codes, metadata, and factors where the table is a grid of them."""
    found: dict[str, NDArray] = {each.name: each.values for each in view.coordinates}
    meanings = {each.name: each.meanings for each in view.labels}
    meanings |= {each.name: each.meanings for each in view.coordinates}
    found |= {f"{name}.names": np.array(words) for name, words in meanings.items() if words}
    facts: dict[str, object] = {
        **view.attributes(),
        "attributes": {each.name: fmt.label_attributes(each) for each in view.labels}
        | {each.name: fmt.axis_attributes(each) for each in view.coordinates}
        | {each.name: fmt.variable_attributes(each) for each in view.variables},
    }
    design = _grid(view)
    if design is not None:
        numbers, levels = np.arange(view.samples), design.levels
        columns = {each: each if each == "class" else f"{VARIABLES}.{each}" for each in levels}
        labels = view.read_labels(0, view.samples, tuple(columns.values()))
        values = np.stack([labels[name].astype(float) for name in columns.values()], axis=1)
        classes = np.stack([design.level(each, numbers) for each in levels], axis=1)
        found |= {
            "latents_values": values,
            "latents_classes": classes,
            "latents_names": np.array([*levels]),
            "latents_sizes": np.array([*levels.values()]),
        }
        possible = {name: np.unique(values[:, place]).tolist() for place, name in enumerate(levels)}
        facts |= {"latents_names": [*levels], "latents_possible_values": possible}
    return {**found, "metadata": np.array(json.dumps(facts))}


def _write(
    archive: zipfile.ZipFile,
    name: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
    blocks: Iterable[NDArray],
) -> None:
    """Add an array to an archive, block by block."""
    entry = zipfile.ZipInfo(f"{name}.npy", EPOCH)
    entry.compress_type = archive.compression
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    with archive.open(entry, "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for values in blocks:
            file.write(np.ascontiguousarray(values, dtype).data)


def _read(
    archive: zipfile.ZipFile, name: str, blocks: Iterable[tuple[int, int]] | None
) -> Iterator[NDArray]:
    """Yield an array in an archive block by block; all of it where there are none."""
    with archive.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=10**6)
        if blocks is None:
            yield _values(file, dtype, shape)
        for start, stop in blocks or ():
            yield _values(file, dtype, (stop - start, *shape[1:]))
        if file.read(1):
            raise ExportError(f"the export was read back, and '{name}' is too long")


def _values(file: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> NDArray:
    content = file.read(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape)
