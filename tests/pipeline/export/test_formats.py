"""Exports of every kind of table, opened by the libraries of those who use them, and compared with the release."""

import json
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import healpy
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr
import yaml
from astropy.io import fits
from astropy.table import Table
from astropy.timeseries import TimeSeries

import deepbench
from deepbench import format as fmt
from deepbench.catalog import find, releases
from deepbench.errors import CatalogError, ExportError, MissingDataError, install
from deepbench.reading import TableReader
from deepbench.recipe import parse_recipe
from deepbench.torch.sources import ReleasedTable
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions
from pipeline.export import (
    EXPORTS,
    export_table,
    fits_files,
    hugging_face,
    paths_by_split,
)
from pipeline.export.selection import Selection
from pipeline.export.view import View
from pipeline.verify import verify

RELEASES = Path(__file__).parents[2] / "releases"
TABLES = ("curves", "phase", "films", "patches", "sky", "galaxies")

GRID = """\
name: grid
version: 1.0.0
title: Every combination of shape, place and size
seed: 4
tables:
  images:
    kind: image
    size: [8, 8]
    factors: {class: all, place: {grid: {low: 2, high: 5, count: 4}}, radius: {choice: [1, 2, 2.5]}}
    classes:
      disk: {objects: [{circle: {x: "= place", y: 4, radius: "= radius"}}]}
      box: {objects: [{rectangle: {x: "= place", y: 4, width: "= radius", height: 2}}]}
"""


@pytest.fixture(scope="module")
def kinds():
    """A small release that has tables of every kind."""
    return find("kinds", "2.0.0", RELEASES)


@pytest.fixture(scope="module")
def stored(kinds):
    """What is in it, read by xarray."""
    tree = kinds.open()
    return {name: tree[name].to_dataset().load() for name in TABLES}


@pytest.fixture(scope="module")
def grid(tmp_path_factory, cluster, compile_kernels):
    """A release with each combination of three factors."""
    compile_kernels(GRID)
    catalog = tmp_path_factory.mktemp("grid") / "releases"
    options = ClusterOptions(scheduler=cluster.scheduler_address)
    build(parse_recipe(GRID), str(catalog), cluster=options)
    return find("grid", catalog=catalog)


def same(one, other):
    """Whether two arrays have the same type, shape and bits, NaNs all one, whatever the order of bytes."""
    one, other = np.asarray(one), np.asarray(other)
    native = one.dtype.newbyteorder("="), other.dtype.newbyteorder("=")
    return native[0] == native[1] and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def words(codes):
    """Return the names of codes."""
    return np.array(codes.attrs["flag_meanings"].split())[codes.values]


# --- arrays --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hdf5(kinds, tmp_path_factory):
    path = tmp_path_factory.mktemp("hdf5") / "all.h5"
    assert export_table(kinds, None, str(path)) == {"samples": 78}
    return path


def test_hdf5_has_all_tables(kinds, stored, hdf5):
    with h5py.File(hdf5) as file:
        assert file.attrs["recipe_hash"] == kinds.manifest.recipe_hash
        assert set(file) == set(TABLES)
        for table, data in stored.items():
            group, summary = file[table], kinds.manifest.tables[table]
            assert group.attrs["kind"] == summary.kind
            for name, values in data.variables.items():
                assert same(group[name][()], values.values), (table, name)
                assert group[name].chunks is None
                assert group[name].attrs.get("units") == values.attrs.get("units")
                meanings = values.attrs.get("flag_meanings")
                assert group[name].attrs.get("flag_meanings") == meanings
            for name, described in summary.variables.items():
                scales = group[name].dims
                assert [scale[0].name.rpartition("/")[2] for scale in scales] == described["dims"]


@pytest.mark.parametrize("table", TABLES)
def test_hdf5_is_netcdf(stored, hdf5, table):
    with xr.open_dataset(hdf5, group=table, engine="h5netcdf", decode_cf=False) as data:
        assert data.sizes == stored[table].sizes
        for name in stored[table].variables:
            assert data[name].dims == stored[table][name].dims


def test_hdf5_is_compressed_when_asked_for(kinds, stored, tmp_path):
    export_table(kinds, "galaxies", str(tmp_path / "a.hdf5"), compress=True)
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert list(file) == ["galaxies"]
        assert file["galaxies/image"].compression == "gzip"
        assert same(file["galaxies/image"][()], stored["galaxies"]["image"].values)


@pytest.mark.parametrize("ending", ["nc", "zarr"])
@pytest.mark.parametrize("table", [name for name in TABLES if name != "curves"])
def test_any_kind_in_netcdf_and_zarr(kinds, stored, tmp_path, table, ending):
    path = tmp_path / f"out.{ending}"
    export_table(kinds, table, str(path))
    engine = "zarr" if ending == "zarr" else "h5netcdf"
    with xr.open_dataset(path, engine=engine, decode_cf=False) as data:
        assert data.sizes == stored[table].sizes
        for name, values in stored[table].variables.items():
            assert same(data[name].values, values.values), name
            assert data[name].dims == values.dims
            assert data[name].attrs.get("units") == values.attrs.get("units")


def test_netcdf_is_read_by_its_own_library(kinds, stored, hdf5):
    library = pytest.importorskip("netCDF4")
    with library.Dataset(hdf5) as file:
        file.set_auto_mask(False)
        assert same(file["galaxies"]["image"][:], stored["galaxies"]["image"].values)
        assert file["galaxies"]["image"].dimensions == ("sample", "y", "x")


# --- Hugging Face --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def load_dataset(tmp_path_factory):
    """The function of ``datasets``, with a cache of its own and no network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
        datasets = pytest.importorskip("datasets")
        datasets.disable_progress_bars()
        cache = str(tmp_path_factory.mktemp("datasets"))
        yield lambda folder, *name, **options: datasets.load_dataset(
            str(folder), *name, cache_dir=cache, **options
        )


@pytest.fixture(scope="module")
def folder(kinds, tmp_path_factory):
    path = tmp_path_factory.mktemp("folder") / "kinds"
    assert export_table(kinds, None, f"{path}/") == {"samples": 78}
    return path


@pytest.mark.parametrize("table", TABLES)
def test_datasets_loads_every_table(kinds, stored, folder, load_dataset, table):
    summary = kinds.manifest.tables[table]
    found = load_dataset(folder, table)
    assert {split: len(rows) for split, rows in found.items()} == {
        split: count for split, count in summary.splits.items() if count
    }
    for split, rows in found.items():
        chosen = words(stored[table]["split"]) == split
        features = rows.features
        columns = rows.with_format("arrow")[:]
        for name in summary.columns:
            codes = stored[table][name]
            assert same(columns[name].to_numpy().astype(codes.dtype), codes.values[chosen]), name
            if "flag_meanings" in codes.attrs:
                assert features[name].names == codes.attrs["flag_meanings"].split()
            else:
                assert features[name].dtype == str(codes.dtype)
        for name, described in summary.variables.items():
            values = columns[name].combine_chunks()
            while hasattr(values, "storage") or pa.types.is_nested(values.type):
                values = getattr(values, "storage", values).flatten()
            expected = stored[table][name].values[chosen]
            assert same(values.to_numpy(zero_copy_only=False).reshape(expected.shape), expected)
            feature = features[name]
            shape = getattr(feature, "shape", None) or (feature.length,)
            assert list(shape) == described["shape"][1:]


def test_the_card_says_what_the_files_hold(kinds, folder, load_dataset):
    text = (folder / "README.md").read_text()
    header = yaml.safe_load(text.split("---")[1])
    assert header["license"] == "cc0-1.0"
    assert header["size_categories"] == ["n<1K"]
    assert [each["config_name"] for each in header["configs"]] == list(TABLES)
    assert "deepbench" in header["tags"]
    assert f"`{kinds}`" in text
    datasets = pytest.importorskip("datasets")
    for described in header["dataset_info"]:
        told = datasets.Features._from_yaml_list(described["features"])
        assert told == load_dataset(folder, described["config_name"])["train"].features
    axes = json.loads((folder / "coordinates.json").read_text())
    assert axes["sky"]["cell_ids"]["length"] == 3072
    assert axes["sky"]["cell_ids"]["attributes"]["indexing_scheme"] == "nested"
    assert len(axes["films"]["frame"]["values"]) == 7


def test_a_licence_that_the_hub_does_not_know(kinds, monkeypatch):
    from pipeline.export.hugging_face_card import card

    view = View(kinds, "galaxies")
    monkeypatch.setitem(vars(kinds), "recipe", kinds.recipe.replace({"license": "Ours-1.0"}))
    header = yaml.safe_load(card({view: ({}, {})}).split("---")[1])
    assert (header["license"], header["license_name"]) == ("other", "ours-1.0")


def test_row_groups_and_files_have_bounded_sizes(kinds, stored, tmp_path, monkeypatch):
    row_bytes = 2 * 16 * 4 + 8 * 17
    monkeypatch.setattr(hugging_face, "GROUP_BYTES", 10 * row_bytes)
    monkeypatch.setattr(hugging_face, "FILE_BYTES", 20 * row_bytes)
    export_table(kinds, "patches", f"{tmp_path}/out/")
    files = sorted((tmp_path / "out/patches").iterdir())
    assert [each.name for each in files] == [f"train-0000{n}-of-00003.parquet" for n in range(3)]
    groups = [pq.ParquetFile(each).metadata for each in files]
    rows = [each.row_group(n).num_rows for each in groups for n in range(each.num_row_groups)]
    assert rows == [10, 10, 10, 10, 8]
    found = np.concatenate([pq.read_table(each)["id"].to_numpy() for each in files])
    assert same(found, stored["patches"]["id"].values)


def test_pictures_for_the_viewer(kinds, stored, tmp_path, load_dataset):
    export_table(kinds, "galaxies", f"{tmp_path}/out/", preview=True)
    rows = load_dataset(tmp_path / "out", split="train")
    picture, sample = np.asarray(rows[0]["preview"]), rows[0]["id"]
    image = stored["galaxies"]["image"].values[sample]
    assert (picture.dtype, picture.shape) == (np.uint8, image.shape)
    inside = (picture > 0) & (picture < 255)
    assert inside.sum() > 100
    assert np.corrcoef(picture[inside], image[::-1][inside])[0, 1] > 0.999
    with pytest.raises(ExportError, match="has nothing to picture"):
        export_table(kinds, "sky", f"{tmp_path}/other/", preview=True)


def test_too_many_dimensions_for_datasets(kinds, tmp_path, monkeypatch):
    monkeypatch.setattr(hugging_face, "MOST_DIMENSIONS", 2)
    with pytest.raises(ExportError, match=r"'position' in table 'films' .* has 3 dimensions"):
        export_table(kinds, "films", f"{tmp_path}/out/")
    assert list(tmp_path.iterdir()) == []


# --- FITS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_fits(kinds, tmp_path_factory):
    """Return the file of a table, made once."""
    folder = tmp_path_factory.mktemp("fits")

    def path(table):
        if not (folder / f"{table}.fits").exists():
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                export_table(kinds, table, str(folder / f"{table}.fits"))
        return folder / f"{table}.fits"

    return path


@pytest.mark.parametrize("table", TABLES)
def test_fits_has_labels_of_every_kind(kinds, stored, in_fits, table):
    with fits.open(in_fits(table)) as file:
        file.verify("exception")
        assert file[0].header["NAME"] == "kinds"
        assert file[0].header["RECIPE"] == kinds.manifest.recipe_hash
        labels, units = file["LABELS"].data, file["LABELS"].columns
        assert units.names == list(kinds.manifest.tables[table].columns)
        for name in units.names:
            expected = stored[table][name]
            if "flag_meanings" in expected.attrs:
                assert labels[name].tolist() == words(expected).tolist()
            else:
                assert same(labels[name], expected.values), name


@pytest.mark.parametrize("table", ["galaxies", "films", "phase"])
def test_cubes(kinds, stored, in_fits, table):
    with fits.open(in_fits(table)) as file:
        for name, described in kinds.manifest.tables[table].variables.items():
            assert same(file[name.upper()].data, stored[table][name].values)
            axes = [
                file[name.upper()].header[f"CNAME{n + 1}"] for n in range(len(described["dims"]))
            ]
            assert axes[::-1] == described["dims"]
        for name, axis in stored[table].coords.items():
            found = file[name.upper()].data[name]
            named = "flag_meanings" in axis.attrs
            assert found.tolist() == words(axis).tolist() if named else same(found, axis.values)


def test_healpy_reads_whole_maps(stored, in_fits):
    maps = stored["sky"]["map"].values
    for sample in range(2):
        path = in_fits("sky")
        found, header = healpy.read_map(path, hdu=2 + sample, nest=True, dtype=None, h=True)
        assert same(found, maps[sample])
        assert dict(header)["ORDERING"] == "NESTED"
        ring = healpy.read_map(path, hdu=2 + sample, nest=False, dtype=None)
        assert same(ring, healpy.reorder(maps[sample], n2r=True))
        assert fits.getheader(path, f"MAP{sample}")["NSIDE"] == 16


def test_healpy_reads_patches(stored, in_fits):
    patches = stored["patches"]
    for sample in (0, 17, 47):
        for field, name in enumerate(("map", "map_true")):
            found = healpy.read_map(
                in_fits("patches"), field, hdu=2 + sample, nest=True, partial=True, dtype=None
            )
            first = int(patches["map.first_cell"].values[sample])
            inside = np.arange(first, first + 16)
            assert same(found[inside], patches[name].values[sample])
            assert (np.delete(found, inside) == healpy.UNSEEN).all()


def test_astropy_reads_light_curves(stored, in_fits):
    curves, path = stored["curves"], in_fits("curves")
    options = {"format": "fits", "hdu": "OBSERVATIONS", "astropy_native": True}
    series = TimeSeries.read(path, time_column="time", time_format="mjd", **options)
    there = curves["mask"].values & 1 == 0
    samples, times = np.nonzero(there)
    assert same(series["id"], samples)
    for name in ("flux", "flux_err", "flux_true", "flux_error_true", "mask"):
        own = {"flux_err": "flux_error"}.get(name, name)
        assert same(series[name], curves[own].values[there]), name
    assert series.time.scale == "tdb"
    expected = 2457000 + curves["time"].values[times]
    assert np.abs(series.time.jd - expected).max() < 1e-9
    with fits.open(path) as file:  # exactly, without an epoch that is added
        assert same(file["OBSERVATIONS"].data["time"], curves["time"].values[times])
    rows = Table.read(path, **options)
    assert len(rows) == there.sum()


def test_lightkurve_reads_light_curves(stored, in_fits):
    lightkurve = pytest.importorskip("lightkurve")
    rows = Table.read(in_fits("curves"), hdu="OBSERVATIONS", astropy_native=True)
    curve = lightkurve.LightCurve(rows[rows["id"] == 3])
    there = stored["curves"]["mask"].values[3] & 1 == 0
    assert same(curve.flux.value, stored["curves"]["flux"].values[3][there])
    assert same(curve.flux_err.value, stored["curves"]["flux_error"].values[3][there])
    assert len(curve.remove_nans().flatten(window_length=11)) == there.sum()


def test_what_fits_cannot_hold(kinds, tmp_path, monkeypatch):
    path = str(tmp_path / "out.fits")
    with monkeypatch.context() as patch:
        patch.setattr(fits_files, "MOST_COLUMNS", 10)
        with pytest.raises(ExportError, match="has 44 labels, and a table of FITS has at most 10"):
            export_table(kinds, "curves", path)
        patch.setattr(fits_files, "MOST_COLUMNS", 999)
        patch.setattr(fits_files, "LONGEST_NAME", 20)
        with pytest.raises(ExportError, match="is longer than the 20 letters that FITS allows"):
            export_table(kinds, "curves", path)
        patch.setattr(fits_files, "LONGEST_NAME", 68)
        patch.setattr(fits_files, "MOST_MAPS", 47)
        with pytest.raises(ExportError, match="has 48 maps or patches, each an extension"):
            export_table(kinds, "patches", path)
        patch.delitem(fits_files.BITS, "f4")
        with pytest.raises(ExportError, match="'image' .* is float32, which FITS cannot hold"):
            export_table(kinds, "galaxies", path)
        patch.setitem(__import__("sys").modules, "astropy.io", None)
        with pytest.raises(ExportError, match="install it with") as caught:
            export_table(kinds, "curves", path)
        assert install("fits") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# --- NumPy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_numpy_reads_every_kind(kinds, stored, tmp_path, table):
    export_table(kinds, table, str(tmp_path / "out.npz"))
    with np.load(tmp_path / "out.npz") as data:
        for name, values in stored[table].variables.items():
            assert same(data[name], values.values), name
        assert data["class.names"][data["class"]].tolist() == words(stored[table]["class"]).tolist()
        facts = json.loads(str(data["metadata"]))
        assert facts["recipe_hash"] == kinds.manifest.recipe_hash
        assert facts["attributes"]["class"]["flag_meanings"].split() == data["class.names"].tolist()


def test_a_grid_of_factors_is_as_dsprites(grid, tmp_path):
    export_table(grid, "images", str(tmp_path / "out.npz"))
    export_table(grid, "images", str(tmp_path / "small.npz"), compress=True)
    data = grid.open()["images"].to_dataset().load()
    with np.load(tmp_path / "out.npz") as found, np.load(tmp_path / "small.npz") as small:
        assert all(same(found[name], small[name]) for name in found.files if name != "metadata")
        assert same(found["imgs"], data["image"].values)
        assert found["latents_names"].tolist() == ["class", "place", "radius"]
        sizes = found["latents_sizes"]
        assert sizes.tolist() == [2, 4, 3]
        bases = np.concatenate([sizes[::-1].cumprod()[::-1][1:], [1]])  # as dSprites' users do
        assert same(found["latents_classes"] @ bases, np.arange(24))
        values = found["latents_values"]
        assert same(values[:, 0], data["class"].values.astype(float))
        for place, name in ((1, "variables.place"), (2, "variables.radius")):
            assert same(values[:, place], data[name].values)
        assert len(np.unique(values, axis=0)) == 24
        possible = json.loads(str(found["metadata"]))["latents_possible_values"]
        assert possible["radius"] == [1, 2, 2.5]
    assert (tmp_path / "small.npz").stat().st_size < (tmp_path / "out.npz").stat().st_size
    some = Selection(where="`variables.radius` > 1")
    export_table(grid, "images", str(tmp_path / "some.npz"), selection=some)
    with np.load(tmp_path / "some.npz") as found:  # no whole grid any more
        assert "imgs" not in found
        assert found["image"].shape == (16, 8, 8)


def test_names_of_bands(tmp_path):
    """And every plane of an instrument, in types of all kinds."""
    release = find("format-1", "2.0.0", RELEASES)
    sky = release.open()["sky"].to_dataset().load()
    export_table(release, "sky", str(tmp_path / "out.npz"))
    export_table(release, "sky", str(tmp_path / "out.fits"))
    with np.load(tmp_path / "out.npz") as data, fits.open(tmp_path / "out.fits") as file:
        assert data["band.names"].tolist() == file["BAND"].data["band"].tolist() == ["g", "r"]
        for name in ("image", "image_true", "variance", "mask", "segmentation"):
            assert same(data[name], sky[name].values)
            assert same(file[name.upper()].data, sky[name].values)


# --- long form -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_light_curves_in_long_form(kinds, stored, tmp_path, ending):
    path, curves = str(tmp_path / f"out.{ending}"), stored["curves"]
    chosen = Selection("test", labels=("class", "source.magnitude"))
    made = export_table(kinds, "curves", path, selection=chosen)
    there = (curves["mask"].values & 1 == 0) & (words(curves["split"]) == "test")[:, None]
    samples, times = np.nonzero(there)
    assert made == {"light curves": 6, "observations": len(samples)}
    read = pd.read_csv if ending == "csv" else pd.read_parquet
    rows = read(path)
    assert rows.columns.tolist() == [
        *("id", "class", "source.magnitude", "time"),
        *("flux", "flux_error", "flux_true", "flux_error_true", "mask"),
    ]
    assert same(rows["id"], samples)
    assert rows["class"].tolist() == words(curves["class"])[samples].tolist()
    assert same(rows["source.magnitude"], curves["source.magnitude"].values[samples])
    assert same(rows["time"], curves["time"].values[times])
    for name in ("flux", "flux_error", "flux_true", "flux_error_true", "mask"):
        expected = curves[name].values[there]
        assert same(rows[name].to_numpy().astype(expected.dtype), expected), name
    if ending == "parquet":
        notes = pq.read_schema(path).field("time").metadata
        assert notes[b"reference_julian_date"] == b"2457000.0"


def test_without_names_of_labels_long_form_has_none(kinds, tmp_path):
    export_table(kinds, "curves", str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text().startswith('"id","time","flux",')


# --- an archive ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed(kinds, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "kinds-2.0.0.zip"
    made = export_table(kinds, None, str(path))
    assert made == {"files": len(kinds.manifest.objects) + 1}
    return path


def test_an_archive_is_read_in_place(kinds, stored, packed):
    found = deepbench.open(str(packed))
    for name in TABLES:
        assert found[name].to_dataset().load().identical(stored[name])
    release = find("kinds", catalog=packed)
    assert release == find(str(packed))
    assert [str(each) for each in releases(packed)] == ["kinds@2.0.0"]
    assert release.label("sky", 1)["class"] == kinds.label("sky", 1)["class"]
    assert release.objects("sky").equals(kinds.objects("sky"))
    reader = TableReader(release, "films")
    assert same(reader.take("frames", [4, 0, 4]), stored["films"]["frames"].values[[4, 0, 4]])


def test_plain_xarray_reads_an_archive(stored, packed):
    address = f"zip://kinds/2.0.0/data.zarr::{packed}"
    with xr.open_datatree(address, engine="zarr") as tree:
        assert same(tree["sky"]["map"].values, stored["sky"]["map"].values)


def test_an_archive_is_whole_and_always_the_same(kinds, packed, tmp_path):
    assert verify(find(str(packed))).findings == []
    export_table(kinds, None, str(tmp_path / "again.zip"))
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "releases")
    assert verify(find("kinds", catalog=tmp_path / "releases")).findings == []


def test_a_file_that_an_archive_lacks_is_an_error(packed, tmp_path):
    lost = "kinds/2.0.0/data.zarr/galaxies/image/c/0/0/0"
    path = tmp_path / "less.zip"
    with zipfile.ZipFile(packed) as archive, zipfile.ZipFile(path, "w") as less:
        for name in archive.namelist():
            if name != lost:
                less.writestr(name, archive.read(name))
    release = find(str(path))
    for read in (
        lambda: release.open()["galaxies"]["image"].values,
        lambda: TableReader(release, "galaxies").read("image", 0, 1),
    ):
        with pytest.raises(MissingDataError, match="is missing from the release"):
            read()


def test_archives_that_cannot_be_read(packed, tmp_path, run):
    path = tmp_path / "bad.zip"
    path.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(CatalogError, match="is no zip archive, or not a whole one"):
        releases(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("kinds/2.0.0/manifest.json", "{}")
    with pytest.raises(CatalogError, match="compressed files, such as kinds/2.0.0/manifest.json"):
        releases(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("elsewhere/a", "")
    with pytest.raises(CatalogError, match="holds 0 releases, not one"):
        find(str(path))
    code, out, err = run("remove", "kinds@2.0.0", "--catalog", packed, "--yes")
    assert (code, out) == (2, "")
    assert "is a zip archive, which is only read; unpack it" in err


def test_an_archive_holds_a_whole_release(kinds, tmp_path):
    for table, chosen in (("sky", None), (None, Selection("train"))):
        with pytest.raises(ExportError, match="holds a whole release, no choice"):
            export_table(kinds, table, str(tmp_path / "out.zip"), selection=chosen)


# --- a choice ------------------------------------------------------------------------------------


def test_a_choice_of_samples_and_labels(kinds, stored, tmp_path):
    galaxies = stored["galaxies"]
    names = ("class", "psf.fwhm", "bulge_disk.flux")
    chosen = Selection("train", "`class` == 'ringermacher_mead' and `id` > 1", names)
    made = export_table(kinds, "galaxies", str(tmp_path / "out.h5"), selection=chosen)
    rows = (words(galaxies["split"]) == "train") & (words(galaxies["class"]) == "ringermacher_mead")
    rows &= galaxies["id"].values > 1
    assert 0 < rows.sum() < len(rows)
    assert made == {"samples": rows.sum()}
    with h5py.File(tmp_path / "out.h5") as file:
        group = file["galaxies"]
        assert {"id", "image", *names, "x", "y", "sample"} == set(group)
        for name in ("id", "image", *names):
            assert same(group[name][()], galaxies[name].values[rows])
        assert group.attrs["selected_split"] == "train"
        assert group.attrs["selected_where"] == chosen.where


def test_a_condition_sees_the_whole_table(kinds, stored):
    """Means and the like are of all samples."""
    rows = Selection(where="`psf.fwhm` > `psf.fwhm`.mean()").rows(kinds, "galaxies")
    values = stored["galaxies"]["psf.fwhm"].values
    assert same(rows, np.flatnonzero(values > values.mean()))


@pytest.mark.parametrize(
    ("table", "where", "expected"),
    [
        ("galaxies", "`bulge_disk.flux` > 300", lambda row: row["bulge_disk.flux"] > 300),
        (
            "galaxies",
            "`bulge_disk.flux` != `bulge_disk.flux`",
            lambda row: row["class"] != "bulge_disk",
        ),
        (
            "galaxies",
            "not `bulge_disk.flux` <= 300",
            lambda row: not row["bulge_disk.flux"] <= 300,
        ),
        (
            "galaxies",
            "`bulge_disk.flux` == `bulge_disk.flux`",
            lambda row: row["class"] == "bulge_disk",
        ),
        (
            "galaxies",
            "`class` in ['bulge_disk', 'none'] or split == 'test'",
            lambda row: row["class"] == "bulge_disk" or row["split"] == "test",
        ),
        (
            "galaxies",
            "`class`.str.startswith('ring') and True",
            lambda row: row["class"].startswith("ring"),
        ),
        (
            "curves",
            "1 < `transit.transit_time` < 2",
            lambda row: 1 < row["transit.transit_time"] < 2,
        ),
        ("galaxies", "index % 2 == 1 and id > 1", lambda row: row["id"] in (3, 5)),
    ],
)
def test_exports_and_loaders_agree_on_conditions(kinds, table, where, expected):
    """Missing values, words, truth and dates: both choose the rows that Python chooses one by one."""
    rows = [row for _, row in kinds.labels(table).iterrows()]
    chosen = [row["id"] for row in rows if expected(row)]
    assert 0 < len(chosen) < len(rows)
    assert Selection(where=where).rows(kinds, table).tolist() == chosen
    assert ReleasedTable(kinds, table).chosen(None, where).tolist() == chosen


def test_views_cross_groups_of_rows(built):
    """Labels and digests of samples anywhere, whatever the groups of rows."""
    data = built.release.open()["images"].to_dataset().load()
    view = View(built.release, "images", Selection(where="`id` % 7 == 3"))
    view._ends = [0, 100, 250, 300]
    rows = pq.read_table(Path(built.path, "metadata/images.parquet"))
    view._group = lambda number, _: rows.slice(
        view._ends[number], view._ends[number + 1] - view._ends[number]
    )
    assert same(
        view.read_labels(2, 40)["circle.radius"], data["circle.radius"].values[view.rows[2:40]]
    )
    assert view.digests("image", 2, 40).tobytes() == b"".join(
        rows["digest.image"].to_pylist()[each] for each in view.rows[2:40]
    )
    assert sum(stop - start for start, stop in view.label_blocks()) == view.samples == 43
    assert sum(stop - start for start, stop in view.blocks()) == 43


def test_one_block_is_read_ahead(kinds, stored, monkeypatch):
    monkeypatch.setattr(View, "blocks", lambda self: [(each, each + 1) for each in range(6)])
    view, begun = View(kinds, "films"), []
    read = view.read
    view.read = lambda *block: begun.append(block) or read(*block)
    blocks = view.read_blocks(["frames"])
    start, stop, first = next(blocks)
    blocks.close()  # waits for the thread
    assert begun == [("frames", 0, 1), ("frames", 1, 2)]
    assert (start, stop, list(first)) == (0, 1, ["frames"])
    found = np.concatenate([block["frames"] for _, _, block in view.read_blocks()])
    assert same(found, stored["films"]["frames"].values)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (Selection("trian"), "there is no split 'trian' in .*; did you mean 'train'"),
        (Selection(labels=("clas",)), "there is no label 'clas' in .*; did you mean 'class'"),
        (Selection(where="`psf.fwhm` > 1e9"), "no sample of 'galaxies' .* meets"),
        (Selection("test", "id > 99"), "no sample .* is in split 'test' and meets 'id > 99'"),
        (Selection(where="psf.fwhm > 1"), "cannot be evaluated: .*names with dots in backticks"),
        (Selection(where="class == 'spiral'"), "cannot be evaluated: .*`class` and names"),
        (Selection(where="`psf.fwhm` + 1"), "it is not true or false of each sample"),
        (Selection(where="@secret > 1"), r"it names a variable of Python \(@\)"),
        (Selection(where="`psf.fwhm` >"), "the condition .* cannot be evaluated"),
    ],
)
def test_choices_that_are_none(kinds, tmp_path, chosen, message):
    with pytest.raises(ExportError, match=message):
        export_table(kinds, "galaxies", str(tmp_path / "out.h5"), selection=chosen)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_file_for_each_split(kinds, run, tmp_path):
    words = ("--catalog", kinds.catalog.root, "--table", "galaxies", "--labels", "class,psf.fwhm")
    code, out, err = run("export", "kinds", "g-{split}.h5", *words)
    assert (code, out, err) == (0, "g-train.h5: 5 samples\ng-test.h5: 1 samples\n", "")
    with h5py.File(tmp_path / "g-test.h5") as file:
        assert file["galaxies/image"].shape == (1, 24, 24)
        assert "bulge_disk.flux" not in file["galaxies"]
    (tmp_path / "g-train.h5").unlink()
    code, out, err = run("export", "kinds", "g-{split}.h5", *words)
    assert (code, out) == (2, "")
    assert "'g-test.h5' exists already" in err
    assert not (tmp_path / "g-train.h5").exists()
    code, out, err = run("export", "kinds", "h-{split}.npz", *words, "--split", "train", "--json")
    assert (code, json.loads(out), err) == (0, {"h-train.npz": {"samples": 5}}, "")
    code, out, err = run("export", "kinds", "one.npz", "--catalog", kinds.catalog.root)
    first, *others = kinds.manifest.tables
    assert f"table '{first}' alone; --table chooses another one: {', '.join(others)}" in out
    chosen = Selection(where="`class` == 'bulge_disk'")
    assert paths_by_split(kinds, "galaxies", str(tmp_path / "{split}.h5"), chosen) == {
        "train": str(tmp_path / "train.h5")
    }


def test_a_file_for_each_split_needs_each_table_in_it(kinds, run, tmp_path):
    code, out, err = run("export", "kinds", "all-{split}.h5", "--catalog", kinds.catalog.root)
    assert (code, out) == (2, "")
    assert (
        "none of the chosen samples of 'patches' of kinds@2.0.0 is in split 'test', of which" in err
    )
    assert list(tmp_path.iterdir()) == []


# --- what is wrong is found ----------------------------------------------------------------------

WRITTEN = {
    "h5": "films", "nc": "galaxies", "zarr": "galaxies", "npz": "films", "fits": "galaxies", "": "films",
}  # fmt: skip
OF_CURVES = {"nc": "curves", "csv": "curves", "parquet": "curves", "fits": "curves"}
EVERY = [*WRITTEN.items(), *OF_CURVES.items(), ("fits", "patches")]


def out(folder, ending):
    return f"{folder}/out.{ending}" if ending else f"{folder}/out/"


def chosen_format(monkeypatch, kinds, table, path, **changes):
    """Replace functions of the format of an export."""
    kind = kinds.manifest.tables[table].kind
    name = next(
        name
        for name, each in EXPORTS.items()
        if (not each.kinds or kind in each.kinds) and path.endswith(each.endings)
    )
    changed = {key: change(getattr(EXPORTS[name], key)) for key, change in changes.items()}
    monkeypatch.setitem(EXPORTS, name, replace(EXPORTS[name], **changed))


@pytest.mark.parametrize("what", ["value", "label"])
@pytest.mark.parametrize(("ending", "table"), EVERY)
def test_what_was_written_wrong_is_found(kinds, tmp_path, monkeypatch, ending, table, what):
    """Each format reads back what it wrote: one value that differs in the file is seen."""
    read, read_labels = View.read, View.read_labels

    def altered(self, name, start, stop):
        values = read(self, name, start, stop).copy()
        if values.dtype.kind == "f":
            values.reshape(-1)[-1] += 1
        return values

    def relabelled(self, start, stop, names=None):
        labels = read_labels(self, start, stop, names)
        return {name: each + (name == "id") for name, each in labels.items()}

    def wrongly(write):
        def function(request):
            with monkeypatch.context() as patch:
                if what == "value":
                    patch.setattr(View, "read", altered)
                else:
                    patch.setattr(View, "read_labels", relabelled)
                return write(request)

        return function

    path = out(tmp_path, ending)
    chosen_format(monkeypatch, kinds, table, path, write=wrongly)
    with pytest.raises(ExportError, match="was read back, and"):
        export_table(kinds, table, path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("ending", "table"), [*EVERY, ("zip", None)])
def test_what_is_interrupted_leaves_nothing(kinds, tmp_path, monkeypatch, ending, table):
    def interrupted(function):
        def stop(request):
            assert request.path.exists()
            raise KeyboardInterrupt

        return stop

    path = out(tmp_path, ending)
    with monkeypatch.context() as patch:
        chosen_format(patch, kinds, table or "curves", path, read=interrupted)
        with pytest.raises(KeyboardInterrupt):
            export_table(kinds, table, path)
    assert list(tmp_path.iterdir()) == []
    export_table(kinds, table, path)
    assert [each.name for each in tmp_path.iterdir()] == [Path(path).name]
    with pytest.raises(ExportError, match="exists already; remove it, or name another file"):
        export_table(kinds, table, path)


def test_an_archive_with_a_damaged_file_is_not_made(built, tmp_path):
    import shutil

    shutil.copytree(built.catalog, tmp_path / "releases")
    release = find("small", catalog=tmp_path / "releases")
    path = Path(release.path, "data.zarr/images/image/c/3/0/0")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[::-1])
    (tmp_path / "out").mkdir()
    with pytest.raises(deepbench.DeepBenchError, match="is not what the manifest lists"):
        export_table(release, None, str(tmp_path / "out/small.zip"))
    assert list((tmp_path / "out").iterdir()) == []


def test_labels_are_read_in_bounded_pieces(built, tmp_path, monkeypatch):
    read, most = View.read_labels, []

    def spy(self, start, stop, names=None):
        most.append(stop - start)
        return read(self, start, stop, names)

    monkeypatch.setattr(View, "read_labels", spy)
    for ending in ("h5", "nc", "npz", "fits", ""):
        export_table(built.release, "images", out(tmp_path, ending), check=False)
    assert max(most) <= max(fmt.ROW_GROUP, 300)
