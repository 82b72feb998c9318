"""Light curves as CF contiguous ragged arrays, from a release to a file and back."""

import re
import shutil
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from deepbench.catalog import find
from deepbench.errors import CatalogError, ExportError, ReleaseError, install
from deepbench.kinds import KINDS
from deepbench.recipe import parse_recipe
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions
from pipeline.export import EXPORTS, Export, export_table, outputs
from pipeline.export.light_curves import time_units
from pipeline.export.ragged import RaggedCurves
from pipeline.export.view import View
from pipeline.target import FolderTarget

RECIPE = """\
name: curves
version: 1.0.0
title: Light curves of several surveys
license: CC-BY-4.0
seed: 11
tables:
  visits:
    kind: light_curve
    samples: 70
    survey: {preset: lsst_2019, cadence: {nights: {duration: 120, cap: 150}}}
    planes: [flux_true, flux_error_true]
    classes:
      star: {objects: [{source: {magnitude: {uniform: [18, 25]}}}]}
      flaring:
        objects:
          - source: {magnitude: {uniform: [18, 25]}}
          - flare: {peak_time: {uniform: [60980, 61100]}, fwhm: 2, relative_amplitude: 1}
            repeat: {integers: [0, 2]}
  steady:
    kind: light_curve
    samples: 20
    survey:
      time_scale: TAI
      epoch: 2400000.5
      unit: nJy
      cadence: {regular: {interval: 1800, duration: 2, start: 51544, gaps: [[0.5, 0.75]], missing: nan}}
      bands: {r: {zero_point: 31.4, exposure: 30, noise: {constant: {sigma: 2}}}}
    classes:
      star: {objects: [{source: {magnitude: 20}}]}
  images:
    kind: image
    samples: 4
    size: [8, 8]
    classes: {dot: {objects: [{circle: {x: 4, y: 4, radius: 2}}]}}
storage: {chunk_bytes: 1024, shard_bytes: 16384}
"""
"""Eight samples to a shard of the first table."""

PER_OBSERVATION = {
    "visits": {
        *("time", "band", "flux", "flux_error", "mask"),
        *("flux_true", "flux_error_true"),
    },
    "steady": {"time", "flux", "flux_error", "mask"},
}

OF_ANY_KIND = ".zarr, .nc, .h5, .hdf5, /, .zip, .fits or .npz"
OF_CURVES = ".zarr, .nc, .h5, .hdf5, /, .zip, .fits, .npz, .csv or .parquet"

ENDINGS = ("zarr", "nc")
both = pytest.mark.parametrize("ending", ENDINGS)
tables = pytest.mark.parametrize("table", ["visits", "steady"])


@pytest.fixture(scope="session")
def curves(tmp_path_factory, cluster, compile_kernels):
    """A release with light curves at times of their own, at the same times, and images."""
    compile_kernels(RECIPE)
    catalog = tmp_path_factory.mktemp("curves") / "releases"
    options = ClusterOptions(scheduler=cluster.scheduler_address)
    build(parse_recipe(RECIPE), str(catalog), cluster=options)
    return find("curves", catalog=catalog)


@pytest.fixture
def raw():
    """Read a file as it is written, undecoded."""

    def read(path):
        engine = "zarr" if path.suffix == ".zarr" else "h5netcdf"
        with xr.open_dataset(path, engine=engine, decode_cf=False) as data:
            return data.load()

    return read


@pytest.fixture
def decoded():
    def read(path):
        engine = "zarr" if path.suffix == ".zarr" else "h5netcdf"
        with xr.open_dataset(path, engine=engine) as data:
            return data.load()

    return read


def same(one, other):
    """Whether two arrays have the same type and the same bits."""
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


# --- what is written -----------------------------------------------------------------------------


@pytest.mark.slow
@both
@tables
def test_every_observation_is_there_in_order(curves, tmp_path, raw, table, ending):
    path = tmp_path / f"out.{ending}"
    made = export_table(curves, table, str(path))
    data, release = raw(path), curves.open()[table].to_dataset().load()
    there = release["mask"].values & 1 == 0
    assert 0 < there.sum() < there.size
    assert made == {"light curves": release.sizes["sample"], "observations": there.sum()}
    assert data.sizes == {"sample": made["light curves"], "obs": made["observations"]}
    assert (data["row_size"] == there.sum(axis=1)).all()
    assert data["row_size"].dtype == np.int32
    ends = np.cumsum(data["row_size"].values)
    for name in PER_OBSERVATION[table]:
        assert data[name].dims == ("obs",)
        for sample, row in enumerate(np.split(data[name].values, ends[:-1])):
            whole = release[name].values
            expected = whole if whole.ndim == 1 else whole[sample]
            assert same(row, expected[there[sample]]), (name, sample)
    for name in curves.manifest.tables[table].columns:
        assert data[name].dims == ("sample",)
        assert same(data[name].values, release[name].values), name
    expected = {"row_size", *PER_OBSERVATION[table], *curves.manifest.tables[table].columns}
    assert set(data.variables) == expected


@pytest.mark.slow
@both
@tables
def test_it_follows_the_conventions(curves, tmp_path, raw, table, ending):
    path = tmp_path / f"out.{ending}"
    export_table(curves, table, str(path))
    data, release = raw(path), curves.open()[table].to_dataset()
    software = curves.manifest.software["deepbench"]
    assert data.attrs == {
        "Conventions": "CF-1.11",
        "featureType": "timeSeries",
        "title": "Light curves of several surveys",
        "license": "CC-BY-4.0",
        "name": "curves",
        "version": "1.0.0",
        "recipe_hash": curves.manifest.recipe_hash,
        "table": table,
        "source": f"simulated by DeepBench {software}",
        "history": f"{curves.manifest.created} curves@1.0.0 built by DeepBench {software}",
        "comment": "observations that were not made, or were lost, are left out",
    }
    assert data["row_size"].attrs["sample_dimension"] == "obs"
    assert data["row_size"].sum() == data.sizes["obs"]
    roles = [name for name in data.variables if "cf_role" in data[name].attrs]
    assert roles == ["id"]
    assert data["id"].attrs["cf_role"] == "timeseries_id"
    assert len(np.unique(data["id"])) == data.sizes["sample"]
    time = data["time"].attrs
    assert (time["standard_name"], time["calendar"]) == ("time", "standard")
    assert time["units_metadata"] == "leap_seconds: none"
    for name in ("time_scale", "reference_julian_date"):
        assert time[name] == release["time"].attrs[name]
    assert data["flux"].attrs["ancillary_variables"] == "flux_error mask"
    for name in data.variables:
        words = data[name].attrs
        assert words["long_name"]
        assert ("units" in words) != ("flag_meanings" in words) or name in ("mask", "band")
        if "flag_meanings" in words:
            codes = np.asarray(words["flag_masks" if name == "mask" else "flag_values"])
            assert len(words["flag_meanings"].split()) == codes.size
            if ending == "nc":
                assert codes.dtype == data[name].dtype
        if name in PER_OBSERVATION[table] - {"time"}:
            assert words["coordinates"] == "time id"
        if name in release and name != "time":
            for key, value in release[name].attrs.items():
                assert np.array_equal(np.atleast_1d(words[key]), np.atleast_1d(value)), (name, key)


def test_chunks_and_codecs(curves, tmp_path):
    path = str(tmp_path / "out.zarr")
    export_table(curves, "visits", path)
    root = zarr.open_group(path, mode="r", use_consolidated=True)
    assert root.metadata.zarr_format == 3
    assert [type(each).__name__ for each in root["flux"].compressors] == [
        "BloscCodec",
        "Crc32cCodec",
    ]
    assert root["flux"].chunks == root["flux"].shape


def test_netcdf_is_compressed(curves, tmp_path):
    path = str(tmp_path / "out.nc")
    export_table(curves, "visits", path)
    with h5py.File(path) as file:
        flux = file["flux"]
        assert (flux.compression, flux.compression_opts, flux.shuffle) == ("gzip", 4, True)
        assert flux.chunks == flux.shape


# --- dates ---------------------------------------------------------------------------------------


@both
def test_times_have_the_right_dates(curves, tmp_path, decoded, ending):
    """MJD 51544 is 2000-01-01."""
    path = tmp_path / f"out.{ending}"
    export_table(curves, "steady", str(path))
    data = decoded(path)
    assert data["time"].encoding["units"] == "days since 1858-11-17 00:00:00"
    assert {"time", "id"} <= set(data["flux"].coords) | set(data.coords)
    first = data["time"].values[0].astype("datetime64[us]")
    assert first == np.datetime64("2000-01-01T00:00:00")
    second = data["time"].values[1].astype("datetime64[ns]")
    assert abs(second - np.datetime64("2000-01-01T00:30:00")) < np.timedelta64(1, "us")
    assert data["mask"].dtype == np.uint8


@pytest.mark.parametrize(
    ("julian_date", "date"),
    [
        (2400000.5, "1858-11-17 00:00:00"),
        (2457000, "2014-12-08 12:00:00"),
        (2454833, "2009-01-01 12:00:00"),
        (2451545, "2000-01-01 12:00:00"),
        (2299160.5, "1582-10-15 00:00:00"),
        (5373483.5, "9999-12-31 00:00:00"),
        (2451544.75, "2000-01-01 06:00:00"),
    ],
)
def test_dates_of_julian_dates(julian_date, date):
    """The first four: the epochs of MJD, TESS and Kepler as their missions give them, and J2000."""
    assert time_units(julian_date) == f"days since {date}"


@pytest.mark.parametrize("julian_date", [0, 2299160.25, 5373484.5, -1e300, float("nan")])
def test_dates_outside_of_the_calendar(julian_date):
    with pytest.raises(
        ExportError, match=r"the Julian date .*; it must be from 2299160.5 \(1582-10-15"
    ):
        time_units(julian_date)


# --- memory --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wholes(curves, tmp_path_factory):
    """Return exports in few pieces, by their ending."""
    folder = tmp_path_factory.mktemp("whole")
    paths = {ending: folder / f"whole.{ending}" for ending in ENDINGS}
    for path in paths.values():
        export_table(curves, "visits", str(path))
    return paths


@pytest.mark.slow
@both
@pytest.mark.parametrize(("chunk", "piece"), [(4, 64), (64, 64), (100, 1000)])
def test_pieces_change_nothing(curves, wholes, tmp_path, raw, monkeypatch, ending, chunk, piece):
    monkeypatch.setattr(outputs, "CHUNK", chunk)
    monkeypatch.setattr(outputs, "PIECE", piece)
    kind, sizes = outputs.FORMATS[f".{ending}"], []
    write = kind._write

    def spy(self, name, start, values):
        assert start % piece == 0
        sizes.append(len(values))
        write(self, name, start, values)

    monkeypatch.setattr(kind, "_write", spy)
    made = export_table(curves, "visits", str(tmp_path / f"pieces.{ending}"))
    assert made["observations"] > 2 * piece
    assert max(sizes) == piece
    one, other = raw(wholes[ending]), raw(tmp_path / f"pieces.{ending}")
    assert one.identical(other)


def test_no_more_than_a_shard_is_read_at_a_time(curves, tmp_path, monkeypatch):
    read, sizes = View.read, {}

    def spy(self, name, start, stop):
        values = read(self, name, start, stop)
        sizes.setdefault(name, []).append(len(values))
        return values

    monkeypatch.setattr(View, "read", spy)
    export_table(curves, "visits", str(tmp_path / "out.zarr"), check=False)
    assert curves.manifest.tables["visits"].shard_length == 8
    assert sizes.pop("mask") == ([8] * 8 + [6]) * 2
    assert all(each == [8] * 8 + [6] for each in sizes.values())
    assert sizes.keys() == PER_OBSERVATION["visits"] - {"mask"}


@pytest.fixture(scope="module")
def steady(tmp_path_factory, cluster):
    """1,024 light curves of 19,200 times, 170 MiB of flux, error and mask, and 150 MiB of times that are written."""
    recipe = parse_recipe(RECIPE).replace(
        {
            "tables.steady.samples": 1024,
            "tables.steady.survey.cadence.regular.interval": 60,
            "tables.steady.survey.cadence.regular.duration": 16,
            "storage": {"chunk_bytes": 2**18, "shard_bytes": 2**22},
        }
    )
    catalog = tmp_path_factory.mktemp("steady")
    build(recipe, str(catalog), cluster=ClusterOptions(scheduler=cluster.scheduler_address))
    return find("curves", catalog=catalog)


@pytest.mark.slow
@both
def test_memory_does_not_grow_with_the_table(steady, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(outputs, "PIECE", 2**17)
    path = tmp_path / f"out.{ending}"
    export_table(steady, "visits", str(tmp_path / f"first.{ending}"))  # imports
    tracemalloc.start()
    made = export_table(steady, "steady", str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made["observations"] > 1.5e7
    assert peak < 50 * 2**20


# --- whole or not at all -------------------------------------------------------------------------


@both
def test_what_fails_leaves_nothing_and_can_be_done_again(curves, tmp_path, monkeypatch, ending):
    kind, path = outputs.FORMATS[f".{ending}"], tmp_path / f"out.{ending}"
    write = kind._write

    def fail(self, name, start, values):
        write(self, name, start, values)
        if name == "flux":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kind, "_write", fail)
        with pytest.raises(KeyboardInterrupt):
            export_table(curves, "visits", str(path))
    assert list(tmp_path.iterdir()) == []
    export_table(curves, "visits", str(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@both
def test_an_export_that_is_killed_can_be_done_again(curves, tmp_path, command, raw, ending):
    kill = f"""
from pipeline.export import outputs
kind = outputs.FORMATS[".{ending}"]
write = kind._write
def killed(self, name, start, values):
    write(self, name, start, values)
    if name == "flux":
        import os
        os.kill(os.getpid(), 9)
kind._write = killed
"""
    words = ("export", "curves", f"out.{ending}", "--catalog", curves.catalog.root)
    assert command(*words, before=kill).end()[0] == -9
    path = tmp_path / f"out.{ending}"
    assert not path.exists()
    assert {each.name for each in tmp_path.iterdir()} == {
        f".out.{ending}.partial",
        f".out.{ending}.lock",
    }
    code, out, err = command(*words).end()
    assert (code, err) == (0, "")
    assert out.startswith(f"out.{ending}: 70 light curves, ")
    assert list(tmp_path.iterdir()) == [path]
    assert raw(path).sizes["sample"] == 70


@both
def test_a_file_that_appears_meanwhile_is_kept(curves, tmp_path, monkeypatch, ending):
    kind, path = outputs.FORMATS[f".{ending}"], tmp_path / f"out.{ending}"
    close = kind.close

    def disturb(self):
        close(self)
        path.write_text("of somebody")

    monkeypatch.setattr(kind, "close", disturb)
    with pytest.raises(ExportError, match="exists already"):
        export_table(curves, "visits", str(path))
    assert path.read_text() == "of somebody"
    assert list(tmp_path.iterdir()) == [path]


def test_two_exports_into_one_file(curves, tmp_path):
    path = tmp_path / "out.zarr"
    with (
        FolderTarget(str(tmp_path)).lock(".out.zarr.lock"),
        pytest.raises(ExportError, match=f"another process writes '{path}'; wait for it"),
    ):
        export_table(curves, "visits", str(path))


@both
def test_light_curves_without_observations(curves, tmp_path, monkeypatch, raw, ending):
    read = View.read

    def lost(self, name, start, stop):
        values = read(self, name, start, stop)
        return np.full_like(values, 1) if name == "mask" else values

    monkeypatch.setattr(View, "read", lost)
    path = tmp_path / f"out.{ending}"
    made = export_table(curves, "visits", str(path), check=False)
    assert made == {"light curves": 70, "observations": 0}
    data = raw(path)
    assert data.sizes == {"sample": 70, "obs": 0}
    assert (data["row_size"] == 0).all()


def test_progress(curves, tmp_path):
    told = []
    export_table(curves, "steady", str(tmp_path / "a.zarr"), lambda *each: told.append(each))
    assert dict.fromkeys(step for step, _, _ in told).keys() == {
        "counting",
        "observations",
        "reading back",
    }
    assert ("observations", 20, 20) in told
    assert ("reading back", 20, 20) in told
    assert all(0 < done <= total for _, done, total in told)


# --- the registry of formats ---------------------------------------------------------------------


def test_a_format_is_chosen_by_kind_and_ending(curves, tmp_path, monkeypatch):
    told = []

    def write(request):
        told.append(("write", str(request.view), request.path.name, request.ending))
        request.path.write_text("")
        return {"images": 4}

    def read(request):
        told.append(("read", str(request.view), request.path.name, request.ending))

    monkeypatch.setitem(EXPORTS, "dots", Export(("image", "light_curve"), (".dots",), write, read))
    assert export_table(curves, "images", str(tmp_path / "a.dots")) == {"images": 4}
    export_table(curves, "visits", str(tmp_path / "b.dots"), check=False)
    assert told == [
        ("write", "table 'images' of curves@1.0.0", ".a.dots.partial", ".dots"),
        ("read", "table 'images' of curves@1.0.0", ".a.dots.partial", ".dots"),
        ("write", "table 'visits' of curves@1.0.0", ".b.dots.partial", ".dots"),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"a.dots", "b.dots"}


def test_images_that_are_apart_are_refused():
    """A ragged array has one light curve for each sample."""
    flux = SimpleNamespace(name="flux", dimensions=("image", "observation"))
    view = SimpleNamespace(name="curves", variables=[flux], coordinates=[])
    with pytest.raises(ExportError, match="the images in 'curves' are apart"):
        RaggedCurves(view)


def test_formats_take_kinds_that_there_are():
    for each in EXPORTS.values():
        assert set(each.kinds) <= set(KINDS)
        assert set(each.options) <= {"compress", "preview"}
        assert each.endings


# --- mistakes ------------------------------------------------------------------------------------


def test_the_command(curves, run, tmp_path, decoded):
    words = ("--table", "steady", "--catalog", curves.catalog.root)
    code, out, err = run("export", "curves@1.0.0", "out.nc", *words)
    assert (code, out, err) == (0, "out.nc: 20 light curves, 1,680 observations\n", "")
    assert decoded(tmp_path / "out.nc").sizes == {"sample": 20, "obs": 1680}
    code, out, err = run("export", "curves@1.0.0", "out.nc", *words)
    assert (code, out) == (2, "")
    assert err == "error: 'out.nc' exists already; remove it, or name another file\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("a.zarr", "--table", "other"),
            "there is no table 'other' in curves@1.0.0; there is: visits, steady, images",
        ),
        (
            ("a.csv", "--table", "images"),
            "table 'images' of curves@1.0.0 is of kind image; 'a.csv' would hold light curves, and tables of light "
            f"curves are: visits, steady. A table of kind image goes into files that end with {OF_ANY_KIND}",
        ),
        (("a.root",), f"'a.root' must end with {OF_CURVES}"),
        (("a",), f"'a' must end with {OF_CURVES}"),
        ((".nc",), f"'.nc' must end with {OF_CURVES}"),
        (
            ("a.csv", "--compress"),
            "'a.csv' takes no `compress`; files that do end with .h5, .hdf5 or .npz",
        ),
        (("a.h5", "--preview"), "'a.h5' takes no `preview`; files that do end with /"),
        (("/",), "'/' exists already; remove it, or name another file"),
        (
            ("a.zarr/",),
            "'a.zarr/' would be a folder for Hugging Face, because of the slash at its end, with the name of another "
            "format: leave out the slash, or choose another name",
        ),
        (
            (f"{'a' * 250}.nc",),
            f"cannot write '{'a' * 250}.nc': File name too long; choose a shorter name",
        ),
        (
            ("a.nc", "--labels", ","),
            "`--labels` names no label; `--labels id` leaves out all others",
        ),
        (("absent/a.nc",), "cannot write 'absent/a.nc': there is no folder 'absent'; make it"),
        (("s3://bucket/a.zarr",), "'s3://bucket/a.zarr' must be a local file; copy it from there"),
    ],
)
def test_mistakes(curves, run, tmp_path, words, message):
    code, out, err = run("export", "curves", *words, "--catalog", curves.catalog.root)
    assert (code, out, err) == (2, "", f"error: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_nothing_is_not_overwritten(curves, tmp_path):
    (tmp_path / "out.nc").symlink_to(tmp_path / "absent")
    with pytest.raises(ExportError, match="exists already"):
        export_table(curves, "visits", str(tmp_path / "out.nc"))


def test_a_table_without_light_curves_beside_it(built, tmp_path):
    with pytest.raises(ExportError, match="tables of light curves are: none"):
        export_table(built.release, "images", str(tmp_path / "out.csv"))
    with pytest.raises(CatalogError, match="there is no table 'other'"):
        export_table(built.release, "other", str(tmp_path / "out.nc"))


@pytest.mark.parametrize("package", ["h5netcdf", "h5py"])
def test_netcdf_needs_packages(package, curves, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExportError, match=re.escape(install("netcdf"))):
        export_table(curves, "visits", str(tmp_path / "out.nc"))
    export_table(curves, "visits", str(tmp_path / "out.zarr"))


@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_a_damaged_release(curves, tmp_path, damage):
    shutil.copytree(curves.catalog.root, tmp_path / "releases")
    release = find("curves", catalog=tmp_path / "releases")
    shard = Path(release.path, "data.zarr/visits/flux/c/3/0")
    content = bytearray(shard.read_bytes())
    shard.unlink()
    if damage == "changed":
        content[5] ^= 255
        shard.write_bytes(content)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(
        ReleaseError, match="missing" if damage == "lost" else "flux/c/3/0 is damaged"
    ):
        export_table(release, "visits", str(folder / "out.nc"))
    assert list(folder.iterdir()) == []


def test_files_have_no_longest_length_where_the_system_has_no_limits(monkeypatch):
    """As on Windows, whose Python has no module ``resource``."""
    assert outputs._longest_file() > 0
    monkeypatch.setitem(sys.modules, "resource", None)
    assert outputs._longest_file() == float("inf")
