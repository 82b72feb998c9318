"""Tables in FITS: cubes of images and of what moves, HEALPix maps, light curves in long form; and labels.

Headers are astropy's; data are written block by block.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from deepbench import format as fmt
from deepbench.errors import ExportError, install
from pipeline.export.checks import Digests, compare, compare_labels
from pipeline.export.ragged import RaggedCurves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.arrays import DataVariable
    from pipeline.export.request import Request
    from pipeline.export.view import View

BLOCK = 2880
"""Bytes of a block of FITS."""

LABELS = "LABELS"
OBSERVATIONS = "OBSERVATIONS"
"""Names of the extensions with labels, and with the observations of light curves."""

MOST_COLUMNS = 999
"""Largest number of columns of a table of FITS."""

LONGEST_NAME = 68
"""Letters of the longest name of a column."""

ROWS = 2**20
"""Number of rows that are read back at a time."""

MOST_MAPS = 1000
"""Largest number of maps in a file, each of which is an extension: readers go through all of them."""

CODES = {"u1": "B", "i1": "I", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}
"""Letters of the types of columns; numbers of 8 bits with a sign are stored with 16."""

BITS = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}
"""BITPIX of the types of images."""

KEYWORDS = {"title": "TITLE", "license": "LICENSE", "name": "NAME", "version": "VERSION", "recipe_hash": "RECIPE",
            "table": "TABLE", "source": "SOURCE", "selected_split": "SPLIT", "selected_where": "WHERE"}  # fmt: skip
"""Keywords of the first header, by the names of attributes."""

MJD = 2400000.5
"""Julian date of the modified Julian date 0."""

NAMES = {"flux_error": "flux_err"}
"""Names of columns of observations where lightkurve knows them by others."""

LEFT_OUT = {
    "light_curve": ("time", "observation"),
    "sphere": ("cell_ids", "pixel", "channel"),
    "image": (),
    "dynamics": (),
}
"""Coordinates that are in other places, by the kind of the table."""


def write_fits(request: Request) -> dict[str, int] | None:
    """Write a table; return the numbers of light curves and observations, where it has these.

    Raises
    ------
    ExportError
        astropy is not installed, or FITS cannot hold something.
    """
    view = request.view
    _check(view)
    with request.path.open("wb") as file:
        header, words = _fits().PrimaryHDU().header, view.attributes()
        for name, keyword in KEYWORDS.items():
            if name in words:
                header[keyword] = _ascii(words[name])
        header.add_history(_ascii(words["history"]))
        _write_header(file, header)
        _write_table(file, LABELS, *_labels_as_rows(view))
        for axis in view.coordinates:
            if axis.name not in LEFT_OUT[view.kind]:
                named, words = axis.meanings, fmt.axis_attributes(axis)
                values = np.array(named, "S")[axis.values] if named else axis.values
                kind, rows = values.dtype, values.astype([(axis.name, values.dtype)])
                _write_table(file, axis.name.upper(), [(axis.name, kind, words)], axis.size, [rows])
        if view.kind == "light_curve":
            return _write_curves(file, request)
        if view.kind == "sphere":
            _write_maps(file, request)
        else:
            for variable in view.variables:
                _write_cube(file, request, variable)
    return None


def read_fits(request: Request) -> None:
    """Compare a file of ``write_fits`` with the release."""
    view = request.view
    with _fits().open(request.path, memmap=True) as file:
        labels = _pieces_of_labels(view, file[LABELS].data)
        if view.kind == "light_curve":
            curves = RaggedCurves(view)
            curves.compare(_digests_of_curves(curves, file[OBSERVATIONS].data), request.report)
            compare_labels(view, labels)
        elif view.kind == "sphere":
            compare(view, chain(labels, _pieces_of_maps(view, file)), request.report)
        else:
            compare(view, chain(labels, _pieces_of_cubes(view, file)), request.report)


def _fits() -> Any:
    """Return astropy's module of FITS."""
    try:
        from astropy.io import fits
    except ImportError:
        raise ExportError(
            "files that end with .fits need one more package; install it with: " + install("fits")
        ) from None
    return fits


def _check(view: View) -> None:
    """Refuse what FITS cannot hold."""
    elsewhere = "export HDF5 (.h5)"
    if len(view.labels) > MOST_COLUMNS:
        raise ExportError(
            f"{view} has {len(view.labels)} labels, and a table of FITS has at most {MOST_COLUMNS} columns; choose "
            f"with `labels`, or {elsewhere}"
        )
    for column in view.labels:
        if len(column.name) > LONGEST_NAME:
            raise ExportError(
                f"the label '{column.name}' of {view} is longer than the {LONGEST_NAME} letters that FITS allows; "
                f"choose with `labels`, or {elsewhere}"
            )
    known = CODES if view.kind in ("light_curve", "sphere") else BITS
    for variable in view.variables:
        if np.dtype(variable.dtype).str[1:] not in known:
            raise ExportError(
                f"'{variable.name}' in {view} is {variable.dtype}, which FITS cannot hold; {elsewhere}"
            )
    if view.kind == "sphere" and view.samples > MOST_MAPS:
        raise ExportError(
            f"{view} has {view.samples:,} maps or patches, each an extension of its own, and readers go through all of "
            f"them: at most {MOST_MAPS:,} are written; choose with `split` or `where`, or {elsewhere}"
        )


# headers and data


def _ascii(words: str) -> str:
    """Return words in the letters that FITS has."""
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return " ".join(plain.split())


def _write_header(file: IO[bytes], header: Any) -> None:
    file.write(header.tostring().encode("ascii"))


def _fill(file: IO[bytes]) -> None:
    """Fill the last block of data."""
    file.write(bytes(-file.tell() % BLOCK))


def _write_table(
    file: IO[bytes],
    name: str,
    columns: list[tuple[str, np.dtype, dict[str, Any]]],
    count: int,
    blocks: Iterable[NDArray],
    **keywords: Any,
) -> int:
    """Write a table: columns with type and attributes, and their rows; return how many rows were written.

    The number of rows in its header is mended where it was not known.
    """
    kind = _stored([(each, dtype) for each, dtype, _ in columns])
    header = _fits().Header()
    for key, value in {
        "XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": kind.itemsize, "NAXIS2": count, "PCOUNT": 0,
        "GCOUNT": 1, "TFIELDS": len(columns),
    }.items():  # fmt: skip
        header[key] = value
    for number, (own, _, words) in enumerate(columns, start=1):
        stored = kind[own]
        letters = f"{stored.itemsize}A" if stored.kind == "S" else CODES[stored.str[1:]]
        unit, known = _unit(words)
        comment = f"{'' if known else f'[{unit}] '}{_ascii(words.get('long_name', ''))}"
        room = 80 - len("TTYPE999=  / ") - max(20, len(own) + 2)
        header[f"TTYPE{number}"] = (own, comment[: max(0, room)])
        header[f"TFORM{number}"] = letters
        if unit and known:
            header[f"TUNIT{number}"] = unit
    header["EXTNAME"] = name
    for key, value in keywords.items():
        header[key] = value
    at = file.tell()
    _write_header(file, header)
    written = 0
    for rows in blocks:
        stored_rows = np.empty(len(rows), kind)
        for own in kind.names or ():
            stored_rows[own] = rows[own]
        file.write(stored_rows.data)
        written += len(rows)
    _fill(file)
    if written != count:
        end = file.tell()
        header["NAXIS2"] = written
        file.seek(at)
        _write_header(file, header)
        file.seek(end)
    return written


def _stored(columns: list[tuple[str, np.dtype]]) -> np.dtype:
    """Return the type of rows as they are stored, with the most significant byte first."""
    wide = {np.dtype("i1"): np.dtype("i2")}
    return np.dtype([(name, wide.get(dtype, dtype).newbyteorder(">")) for name, dtype in columns])


def _unit(words: dict[str, Any]) -> tuple[str, bool]:
    """Return a unit, empty for pure numbers, and whether FITS knows it: readers cannot calculate with others."""
    from astropy.units import Unit, UnrecognizedUnit

    text = _ascii(words.get("units", "")).removeprefix("1")
    return text, not isinstance(Unit(text, format="fits", parse_strict="silent"), UnrecognizedUnit)


# labels


def _labels_as_rows(
    view: View,
) -> tuple[list[tuple[str, np.dtype, dict[str, Any]]], int, Iterator[NDArray]]:
    """Return columns, number and rows of the labels; words as texts."""
    columns = [
        (
            each.name,
            _words(each.meanings) if each.meanings else each.dtype,
            fmt.label_attributes(each),
        )
        for each in view.labels
    ]
    kind = np.dtype([(name, dtype) for name, dtype, _ in columns])

    def blocks() -> Iterator[NDArray]:
        for start, stop in view.label_blocks():
            rows = np.empty(stop - start, kind)
            labels = view.read_labels(start, stop)
            for each in view.labels:
                values = labels[each.name]
                rows[each.name] = np.array(each.meanings, "S")[values] if each.meanings else values
            yield rows

    return columns, view.samples, blocks()


def _words(meanings: tuple[str, ...]) -> np.dtype:
    return np.array(meanings, "S").dtype


def _codes(words: Any, meanings: tuple[str, ...], dtype: np.dtype) -> NDArray:
    """Return codes of words; −1 where one is no meaning."""
    found = np.full(len(words), -1, dtype)
    for code, meaning in enumerate(meanings):
        found[np.asarray(words) == meaning] = code
    return found


def _pieces_of_labels(view: View, data: Any) -> Iterator[tuple[str, NDArray]]:
    for start, stop in view.label_blocks():
        for each in view.labels:
            values = data[each.name][start:stop]
            yield (
                each.name,
                (
                    _codes(values, each.meanings, each.dtype)
                    if each.meanings
                    else np.asarray(values)
                ),
            )


# light curves


def _write_curves(file: IO[bytes], request: Request) -> dict[str, int]:
    """Write the observations that are there: rows of ``id``, time, and what was observed, bands by their names."""
    curves = RaggedCurves(request.view)
    time = curves.attributes("time")
    columns: list[tuple[str, np.dtype, dict[str, Any]]] = [("id", np.dtype("i8"), {})]
    names: dict[str, tuple[str, ...]] = {}
    for name in curves.names:
        words = curves.attributes(name)
        names |= {name: tuple(words["flag_meanings"].split())} if "flag_values" in words else {}
        dtype = _words(names[name]) if name in names else curves.dtype(name)
        columns.append((NAMES.get(name, name), dtype, words))
    kind = np.dtype([(name, dtype) for name, dtype, _ in columns])

    def blocks() -> Iterator[NDArray]:
        for start, stop, owners, found in curves.blocks(request.report):
            rows = np.empty(len(owners), kind)
            rows["id"] = request.view.read_labels(start, stop, ("id",))["id"][owners - start]
            for name, values in found.items():
                texts = np.array(names[name], "S")[values] if name in names else values
                rows[NAMES.get(name, name)] = texts
            yield rows

    place = "BARYCENTER" if time["time_scale"] == "TDB" else "TOPOCENTER"
    written = _write_table(
        file,
        OBSERVATIONS,
        columns,
        0,
        blocks(),
        TIMESYS=time["time_scale"],
        MJDREF=time["reference_julian_date"] - MJD,
        TIMEUNIT="d",
        TREFPOS=place,
        TCTYP2=time["time_scale"],
        TCUNI2="d",
    )
    return {"light curves": request.view.samples, "observations": written}


def _digests_of_curves(curves: RaggedCurves, data: Any) -> Digests:
    """Return the digests of the observations in a file."""
    found = Digests()
    for start in range(0, len(data), ROWS):
        rows = data[start : start + ROWS]
        for name in curves.names:
            words, dtype = curves.attributes(name), curves.dtype(name)
            values = rows[NAMES.get(name, name)]
            if "flag_values" in words:
                found.update(name, _codes(values, tuple(words["flag_meanings"].split()), dtype))
            else:
                found.update(name, np.asarray(values).astype(dtype, copy=False))
    return found


# maps


def _write_maps(file: IO[bytes], request: Request) -> None:
    """Write each map or patch as a table of its own, by HEALPix's keywords, in NEST order."""
    view = request.view
    patches = view.table.specification.patches is not None
    columns = _map_columns(view)
    kind = np.dtype([(name, dtype) for name, dtype, _ in columns])
    nside, names = view.table.specification.nside, ("id", "map.first_cell")
    keywords = {"PIXTYPE": "HEALPIX", "ORDERING": "NESTED", "NSIDE": nside}
    for start, stop, values in view.read_blocks():
        labels = view.read_labels(start, stop, names)
        for place, sample in enumerate(labels["id"].tolist()):
            rows = np.empty(view.variables[0].shape[-1], kind)
            inside = {
                "INDXSCHM": "IMPLICIT",
                "OBJECT": "FULLSKY",
                "FIRSTPIX": 0,
                "LASTPIX": 12 * nside**2 - 1,
            }
            if patches:
                first = int(labels["map.first_cell"][place])
                rows["PIXEL"] = np.arange(first, first + len(rows))
                inside = {"INDXSCHM": "EXPLICIT", "OBJECT": "PARTIAL", "OBS_NPIX": len(rows)}
            fields = [name for name in kind.names or () if name != "PIXEL"]
            planes = [plane for each in values.values() for plane in np.atleast_2d(each[place])]
            for name, plane in zip(fields, planes, strict=True):
                rows[name] = plane
            _write_table(file, f"MAP{sample}", columns, len(rows), [rows], **keywords, **inside)
        request.report("writing", stop, view.samples)


def _map_columns(view: View) -> list[tuple[str, np.dtype, dict[str, Any]]]:
    """Return the columns of a map: pixels of patches, then each variable, or each of its channels."""
    channels = [each.meanings for each in view.coordinates if each.name == "channel"]
    columns: list[tuple[str, np.dtype, dict[str, Any]]] = []
    if view.table.specification.patches is not None:
        columns.append(("PIXEL", np.dtype("i8"), {}))
    for each in view.variables:
        names = [f"{each.name}_{channel}" for channel in channels[0]] if channels else [each.name]
        words = fmt.variable_attributes(each)
        columns += [(name, np.dtype(each.dtype), words) for name in names]
    return columns


def _pieces_of_maps(view: View, file: Any) -> Iterator[tuple[str, NDArray]]:
    names = [name for name, _, _ in _map_columns(view) if name != "PIXEL"]
    for number in range(len(file) - view.samples, len(file)):
        planes = iter([np.asarray(file[number].data[name]) for name in names])
        for each in view.variables:
            own = [next(planes) for _ in range(len(names) // len(view.variables))]
            yield each.name, np.stack(own).reshape(1, *each.shape)


# cubes


def _write_cube(file: IO[bytes], request: Request, variable: DataVariable) -> None:
    """Write a variable as an image with an axis of samples, the last one of FITS."""
    view, dtype = request.view, np.dtype(variable.dtype)
    shape = (view.samples, *variable.shape)
    header = _fits().Header()
    for key, value in {
        "XTENSION": "IMAGE",
        "BITPIX": BITS[dtype.str[1:]],
        "NAXIS": len(shape),
    }.items():
        header[key] = value
    for number, size in enumerate(reversed(shape), start=1):
        header[f"NAXIS{number}"] = size
    header["PCOUNT"], header["GCOUNT"], header["EXTNAME"] = 0, 1, variable.name.upper()
    unit, known = _unit(fmt.variable_attributes(variable))
    if unit:
        header["BUNIT" if known else "COMMENT"] = unit if known else f"in units of {unit}"
    for number, name in enumerate(reversed(("sample", *variable.dimensions)), start=1):
        header[f"CNAME{number}"] = name
    _write_header(file, header)
    for _, stop, block in view.read_blocks([variable.name]):
        file.write(np.ascontiguousarray(block[variable.name], dtype.newbyteorder(">")).data)
        request.report(f"writing {variable.name}", stop, view.samples)
    _fill(file)


def _pieces_of_cubes(view: View, file: Any) -> Iterator[tuple[str, NDArray]]:
    for each in view.variables:
        data = file[each.name.upper()].data
        for start, stop in view.blocks():
            yield each.name, data[start:stop]
