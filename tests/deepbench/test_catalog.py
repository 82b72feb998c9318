"""The catalog: which releases there are, and what is read from them."""

import io
import json
import pickle
import shutil
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import deepbench
from deepbench import format as fmt
from deepbench.catalog import find, releases
from deepbench.errors import CatalogError, MissingDataError, ReleaseError
from deepbench.recipe import load_recipe
from deepbench.release import Release
from deepbench.samples import labels, objects, render
from deepbench.storage import row_groups
from deepbench.storage.zarr_stores import FolderStore
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions

TEXT = """\
name: things
version: 1.9.0
title: Two tables
seed: 7
splits: {train: 0.75, test: 0.25}
storage: {chunk_bytes: 1024, shard_bytes: 4096}
tables:
  images:
    kind: image
    samples: 21
    size: [12, 16]
    variables: {star: {catalog: {file: stars.csv}}}
    classes:
      dot: {objects: [{circle: {x: {uniform: [2, 14]}, y: 5, radius: "= star.size"}}]}
      many: {objects: [{circle: {x: {uniform: [2, 14]}, y: 5, radius: 2}, repeat: {integers: [1, 3]}}]}
    noise: [{gaussian: {sigma: 0.1}}]
  large:
    kind: image
    samples: 3
    size: [40, 60]
    classes: {dot: {objects: [{circle: {x: {uniform: [5, 50]}, y: 20, radius: 9}}]}}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "stars.csv").write_text("size\n1.5\n2.5\n3.5\n")
    (folder / "things.yaml").write_text(TEXT)
    return load_recipe(folder / "things.yaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory, recipe):
    """A catalog with one release. Not to be changed."""
    catalog = tmp_path_factory.mktemp("catalog")
    build(recipe, str(catalog), cluster=ClusterOptions(workers=1))
    return catalog


@pytest.fixture
def catalog(tmp_path, built):
    """A copy of it, to be changed."""
    shutil.copytree(built, tmp_path / "releases")
    return tmp_path / "releases"


def again(catalog, name, version):
    """Put the release into the catalog under another name and version, too."""
    place = catalog / name / version
    shutil.copytree(catalog / "things" / "1.9.0", place)
    manifest = json.loads((place / fmt.MANIFEST).read_text()) | {"name": name, "version": version}
    del manifest["checksum"]
    (place / fmt.MANIFEST).unlink()
    (place / fmt.MANIFEST).write_text(fmt.signed(manifest))
    return place


def plain(column):
    """Return classes and splits as words, and numbers as they are."""
    return column.astype(str) if isinstance(column.dtype, pd.CategoricalDtype) else column


# --- which releases there are --------------------------------------------------------------------


def test_the_newest_version_is_the_one_of_the_largest_numbers(catalog):
    for version in ("1.10.0", "1.2.0", "0.99.0"):
        again(catalog, "things", version)
    again(catalog, "others", "3.0.0")
    found = [f"{each.name}@{each.version}" for each in releases(catalog)]
    assert found == [
        "others@3.0.0",
        "things@0.99.0",
        "things@1.2.0",
        "things@1.9.0",
        "things@1.10.0",
    ]
    assert str(find("things", catalog=catalog).version) == "1.10.0"
    assert find("things", catalog=catalog).manifest.version == "1.10.0"
    assert str(find("things", "1.2.0", catalog).version) == "1.2.0"
    assert find("others", catalog=str(catalog)).path == str(catalog / "others" / "3.0.0")


def test_what_is_no_release_is_not_listed(catalog):
    building = catalog / ".building" / "things-2.0.0-abc" / "release"
    shutil.copytree(catalog / "things" / "1.9.0", building)
    shutil.copytree(catalog / "things" / "1.9.0", catalog / ".building" / "2.0.0")
    unfinished = again(catalog, "things", "2.0.0")
    (unfinished / fmt.MANIFEST).unlink()
    for version in ("3.0", "v3.0.0", "latest", ".3.0.0", "03.0.0"):
        again(catalog, "things", version)
    for name in ("Things", ".things", "a b"):
        again(catalog, name, "3.0.0")
    (catalog / "notes").write_text("a file that could be a name")
    (catalog / "things" / "4.0.0").write_text("a file that could be a version")
    (catalog / "things" / "README.md").write_text("")
    (catalog / "empty").mkdir()
    assert [str(each.version) for each in releases(catalog)] == ["1.9.0"]
    assert str(find("things", catalog=catalog).version) == "1.9.0"
    with pytest.raises(
        CatalogError, match=r"'things' has no version 2\.0\.0 in .*; versions: 1\.9"
    ):
        find("things", "2.0.0", catalog)


def test_an_empty_catalog_has_no_releases(tmp_path):
    assert releases(tmp_path) == []
    with pytest.raises(
        CatalogError, match=r"there is no release 'things' in .*; there is: nothing"
    ):
        find("things", catalog=tmp_path)


def test_a_catalog_must_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(
            CatalogError,
            match=r"there is no catalog '.*' in /.*; name another folder \(--catalog; in Python",
        ):
            releases(place)
        with pytest.raises(CatalogError, match="there is no catalog"):
            deepbench.open("things", catalog=place)


def test_a_missing_name_is_refused_with_the_nearest(catalog):
    again(catalog, "others", "1.0.0")
    with pytest.raises(
        CatalogError,
        match=r"there is no release 'thigns' in '.*'; did you mean 'things'\? there is: others, th",
    ):
        find("thigns", catalog=catalog)
    with pytest.raises(CatalogError, match=r"'zzz' in '.*'; there is: others, things$"):
        find("zzz", catalog=catalog)
    with pytest.raises(LookupError, match="there is no release"):
        deepbench.open("thigns", catalog=catalog)


def test_a_missing_version_is_refused_with_those_there_are(catalog):
    again(catalog, "things", "1.10.0")
    with pytest.raises(
        CatalogError, match=r"'things' has no version 1\.9\.1 in '.*'; versions: 1\.9\.0, 1\.10\.0$"
    ):
        find("things", "1.9.1", catalog)


@pytest.mark.parametrize(
    "name", ["../x", "..", ".building", "things/1.9.0", "/etc", "", "things\n"]
)
def test_names_that_could_leave_the_catalog_are_refused(built, name):
    for function in (find, deepbench.open):
        with pytest.raises(CatalogError, match="is not a release's name"):
            function(name, catalog=built)


@pytest.mark.parametrize("version", ["../1.9.0", "1.9", "latest", "", "1.9.0/"])
def test_versions_that_are_none_are_refused(built, version):
    with pytest.raises(CatalogError, match="is not a version: use"):
        find("things", version, built)


@pytest.mark.parametrize("version", [1, 1.9, (1, 9, 0)])
def test_a_version_is_a_text(built, version):
    for function in (find, deepbench.open):
        with pytest.raises(
            CatalogError, match=r"a version is a text such as '1.0.0', not .*: put it in q"
        ):
            function("things", version, built)
    with pytest.raises(CatalogError, match="5 is not a release's name"):
        deepbench.open(5, catalog=built)


@pytest.mark.parametrize("chunks", ["shard", 64, "auto"])
def test_chunks_that_are_none_are_refused(built, chunks):
    with pytest.raises(
        CatalogError, match="chunks must be 'shards' or sizes such as {'sample': 64}"
    ):
        deepbench.open("things", catalog=built, chunks=chunks)


@pytest.mark.parametrize("chunks", [None, "shards"])
def test_a_variable_is_in_its_table(built, chunks):
    tree = deepbench.open("things", catalog=built, chunks=chunks)
    for key, hint in (
        ("image", r"write \['images'\]\['image'\]; tables: images, large"),
        ("imagse", "a release has tables, no 'imagse'; tables: images, large"),
    ):
        with pytest.raises(KeyError, match=hint):
            tree[key]
    with pytest.raises(KeyError, match="imgae"):
        tree["images"]["imgae"]
    assert tree["images/image"].identical(tree["images"]["image"])
    again = pickle.loads(pickle.dumps(tree))
    assert again["large"]["image"].shape == (3, 40, 60)


def test_the_package_finds_releases_too(built):
    assert deepbench.find("things", catalog=built) == find("things", catalog=built)
    assert deepbench.releases(built) == releases(built)
    assert isinstance(find("things", catalog=built), Release)


def test_the_catalog_is_the_folder_releases_of_where_one_is(built, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("releases").symlink_to(built)
    assert str(find("things").version) == "1.9.0"
    assert deepbench.open("things")["images"].sizes["sample"] == 21


# --- what is read from them ----------------------------------------------------------------------


def test_the_data_are_those_of_the_recipe(built, recipe):
    tree = deepbench.open("things", catalog=built)
    assert isinstance(tree, xr.DataTree)
    assert set(tree.children) == {"images", "large"}
    for name in tree.children:
        expected = render(recipe, name)
        dataset = tree[name].to_dataset()
        assert set(dataset.variables) == set(expected.variables)
        for variable in expected.variables:
            np.testing.assert_array_equal(dataset[variable], expected[variable])
            for key, value in expected[variable].attrs.items():
                np.testing.assert_array_equal(dataset[variable].attrs[key], value)
    assert tree["images"]["image"].dims == ("sample", "y", "x")


def test_data_are_read_when_they_are_indexed(built):
    image = deepbench.open("things", catalog=built)["images"]["image"]
    assert not image._in_memory
    assert image.chunks is None
    assert image[3].values.shape == (12, 16)


SAVED = {
    "zarr 3": lambda data, path: data.to_zarr(path, zarr_format=3),
    "zarr 2": lambda data, path: data.to_zarr(path, zarr_format=2),
    "netCDF": lambda data, path: data.to_netcdf(path, engine="h5netcdf"),
}
SELECTED = {
    "split": lambda data: data.isel(sample=np.flatnonzero(data["split"] == 0)),
    "range": lambda data: data.isel(sample=slice(3, 20, 2)),
    "sample": lambda data: data.isel(sample=7),
}


@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("selected", SELECTED)
@pytest.mark.parametrize("chunks", [None, "shards", {"sample": 5}])
def test_what_is_selected_can_be_saved(built, tmp_path, chunks, selected, saved):
    opened = deepbench.open("things", catalog=built, chunks=chunks)["images"].to_dataset()
    data = SELECTED[selected](opened)
    even = (
        data.chunk(sample=5) if chunks and "sample" in data.dims else data
    )  # as the page of formats says
    SAVED[saved](even, tmp_path / "saved")
    engine = "h5netcdf" if saved == "netCDF" else "zarr"
    with xr.open_dataset(tmp_path / "saved", engine=engine) as again:
        xr.testing.assert_equal(again.load(), data)
        assert again["image"].dtype == data["image"].dtype


def test_plain_xarray_reads_names_of_classes_and_saves_without_encoding(built, tmp_path):
    path = find("things", catalog=built).location.folder / fmt.DATA
    images = xr.open_datatree(path, engine="zarr")["images"].to_dataset().drop_encoding()
    codes = images["class"]
    names = np.array(codes.flag_meanings.split())[codes]
    frame = find("things", catalog=built).labels("images")
    np.testing.assert_array_equal(names, frame["class"].astype(str))
    code = images["split"].flag_meanings.split().index("test")
    test = images.isel(sample=np.flatnonzero(images["split"] == code))
    test.to_netcdf(tmp_path / "test.nc", engine="h5netcdf")
    assert test.sizes["sample"] == (frame["split"] == "test").sum() > 0


def test_arrays_of_whole_shards(built, recipe):
    tree = deepbench.open("things", catalog=built, chunks="shards")
    plain = deepbench.open("things", catalog=built)
    lengths = {name: find("things", catalog=built).manifest.tables[name] for name in tree.children}
    assert {name: each.shard_length for name, each in lengths.items()} == {"images": 4, "large": 1}
    assert tree["images"]["image"].chunks[0] == (4, 4, 4, 4, 4, 1)
    assert tree["large"]["image"].chunks[0] == (1, 1, 1)
    for name in tree.children:
        xr.testing.assert_identical(
            tree[name].to_dataset().compute(), plain[name].to_dataset().load()
        )
    assert tree.attrs == plain.attrs
    assert tree.attrs["name"] == "things"


def test_arrays_of_given_sizes(built):
    tree = deepbench.open("things", catalog=built, chunks={"sample": 8, "y": 6})
    assert tree["images"]["image"].chunks == ((8, 8, 5), (6, 6), (16,))
    assert tree["large"]["image"].chunks[1] == (6,) * 6 + (4,)


def test_labels_are_those_of_the_recipe(built, recipe):
    release = find("things", catalog=built)
    for name in ("images", "large"):
        frame = release.labels(name)
        expected = labels(recipe, name)
        assert list(frame.columns) == list(expected.columns)
        for column in expected.columns:
            np.testing.assert_array_equal(plain(frame[column]), plain(expected[column]))
    # and render their samples again
    again = render(
        recipe, "images", labels=release.labels("images"), objects=release.objects("images")
    )
    np.testing.assert_array_equal(again.image, render(recipe, "images").image)


def test_the_csv_file_renders_the_samples_too(built, recipe):
    table = pd.read_csv(find("things", catalog=built).location.folder / fmt.METADATA / "large.csv")
    np.testing.assert_array_equal(
        render(recipe, "large", labels=table).image, render(recipe, "large").image
    )


def test_the_label_of_one_sample(built):
    release = find("things", catalog=built)
    frame = release.labels("images")
    for index in (0, 4, 20):
        row = release.label("images", index)
        assert row["id"] == index
        assert list(row.index) == list(frame.columns)
        pd.testing.assert_series_equal(row, frame.iloc[index], check_names=False)
    for index in (-1, 21, 10**12):
        message = rf"'images' of things@1\.9\.0 has no sample {index}: allowed are 0 to 20"
        with pytest.raises(CatalogError, match=message):
            release.label("images", index)


def test_a_sample_is_read_from_what_is_open_already(built, monkeypatch):
    release = find("things", catalog=built)
    first, expected = release.sample("images", 3), release.open()["images"].to_dataset()
    expected = expected[["image"]].isel(sample=3).load()
    assert first.identical(expected)
    monkeypatch.setattr(Release, "_nodes", None)
    assert release.sample("images", 20)["image"].shape == expected["image"].shape
    first["image"][:] = 0
    first["x"].attrs["units"] = first["image"].attrs["units"] = "changed"
    again = release.sample("images", 3)
    assert again.identical(expected)


def test_a_release_that_was_read_is_pickled_without_its_data(built):
    release = find("things", catalog=built)
    release.sample("large", 0)
    release.label("images", 0)
    again = pickle.loads(pickle.dumps(release))
    assert {"_one", "_rows", "_stored"} & vars(release).keys()
    assert not {"_one", "_rows", "_stored"} & vars(again).keys()
    assert again == release
    assert again.label("images", 1)["id"] == 1


def test_rows_of_several_groups_are_kept_up_to_a_size(tmp_path, monkeypatch):
    frame = pd.DataFrame({"id": np.arange(23), "other": np.arange(23) / 2})
    frame.to_parquet(tmp_path / "labels.parquet", row_group_size=5)
    read = []

    def opened():
        read.append(1)
        return (tmp_path / "labels.parquet").open("rb")

    monkeypatch.setattr(row_groups, "KEPT", 2 * 5 * 8)
    rows = row_groups.RowGroups(opened, ["id"])
    for index in (0, 4, 5, 22, 9, 0, 1):  # the groups 0, 1, 4, 1, 0; two of them fit
        assert rows.row(index).to_pydict() == {"id": [index]}
    assert len(read) == 1 + 4
    assert rows.row(23) is None


class Observed(io.BufferedReader):
    """A file that knows which threads have read it."""

    def __init__(self, path):
        super().__init__(io.FileIO(path))
        self.threads = set()

    def read(self, *size):
        self.threads.add(threading.get_ident())
        return super().read(*size)

    def readinto(self, buffer):
        self.threads.add(threading.get_ident())
        return super().readinto(buffer)


@pytest.mark.parametrize("statistics", [True, False])
def test_labels_are_read_by_the_thread_that_asks(tmp_path, statistics):
    """A thread of Arrow that still holds the file when the interpreter ends would abort the process."""
    frame = pd.DataFrame({"sample": np.arange(23) // 2, "a": np.arange(23), "a.b": np.ones(23)})
    path = tmp_path / "labels.parquet"
    frame.to_parquet(path, row_group_size=5, write_statistics=statistics)
    with Observed(path) as file:
        found = row_groups.read_columns(file, ["a", "sample"]).to_pandas()
        pd.testing.assert_frame_equal(found, frame[["a", "sample"]])
        found = row_groups.read_between(file, "sample", 2, 5).to_pandas()
        pd.testing.assert_frame_equal(found, frame[4:10].reset_index(drop=True))
        assert not len(row_groups.read_between(file, "sample", 99, 100))
        assert row_groups.RowGroups(lambda: nullcontext(file), ["a"]).row(7).to_pydict() == {
            "a": [7]
        }
        assert file.threads == {threading.get_ident()}


def test_labels_that_end_too_early_are_a_damage(catalog):
    release = find("things", catalog=catalog)
    path = release.location.folder / fmt.METADATA / "images.parquet"
    pd.read_parquet(path).iloc[:5].to_parquet(path)
    assert release.label("images", 4)["id"] == 4
    with pytest.raises(
        ReleaseError, match=r"the labels of 'images' of things.* end before sample 5"
    ):
        release.label("images", 5)


def test_the_objects_are_those_of_the_recipe(built, recipe):
    release = find("things", catalog=built)
    frame, expected = release.objects("images"), objects(recipe, "images")
    assert list(frame.columns) == list(expected.columns)
    assert len(frame) == release.manifest.tables["images"].objects > 0
    for column in expected.columns:
        np.testing.assert_array_equal(plain(frame[column]), plain(expected[column]))
    with pytest.raises(CatalogError, match=r"table 'large' of things@1\.9\.0 repeats no objects"):
        release.objects("large")


@pytest.mark.parametrize("function", ["labels", "objects", "label", "check_table"])
def test_unknown_tables_are_refused_with_the_nearest(built, function):
    release = find("things", catalog=built)
    arguments = ("imgaes", 0) if function == "label" else ("imgaes",)
    message = (
        r"there is no table 'imgaes' in things@1\.9\.0; did you mean 'images'\? "
        "there is: images, large"
    )
    with pytest.raises(CatalogError, match=message):
        getattr(release, function)(*arguments)


def test_the_recipe_of_a_release_is_the_one_it_was_made_from(built, recipe):
    release = find("things", catalog=built)
    assert release.recipe.hash == recipe.hash == release.manifest.recipe_hash
    for name in recipe.tables:
        assert release.recipe.table(name).hash == release.manifest.tables[name].table_hash
    # it finds the files that it draws from in the release
    pd.testing.assert_frame_equal(labels(release.recipe, "images"), labels(recipe, "images"))


def test_a_release_is_a_value(built):
    release = find("things", catalog=built)
    assert release == find("things", "1.9.0", built)
    with pytest.raises(AttributeError, match="cannot assign"):
        release.name = "other"


def test_a_damaged_manifest_is_named(catalog):
    path = catalog / "things" / "1.9.0" / fmt.MANIFEST
    path.write_text(path.read_text()[:100])
    assert len(releases(catalog)) == 1
    with pytest.raises(ReleaseError, match=r"things/1\.9\.0/manifest\.json is not a manifest of a"):
        deepbench.open("things", catalog=catalog)


# --- what is missing -----------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [None, "shards"])
def test_a_lost_shard_is_an_error_and_not_a_picture(catalog, chunks):
    tree = deepbench.open("things", catalog=catalog, chunks=chunks)
    path = catalog / "things" / "1.9.0" / fmt.DATA / "images" / "image" / "c" / "2" / "0" / "0"
    path.unlink()
    image = tree["images"]["image"]
    for sample in (8, 11):  # shard 2 holds the samples 8 … 11
        with pytest.raises(MissingDataError, match="c/2/0/0 is missing from the release") as caught:
            image[sample].values  # noqa: B018
        assert isinstance(caught.value, FileNotFoundError)
        assert Path(caught.value.path) == path
    assert np.isfinite(image[7].values).all()
    assert np.isfinite(image[12].values).all()


def test_a_lost_label_is_an_error(catalog):
    place = catalog / "things" / "1.9.0" / fmt.DATA / "images" / "circle.x" / "c" / "0"
    place.unlink()
    tree = deepbench.open("things", catalog=catalog)
    with pytest.raises(MissingDataError, match=r"circle\.x/c/0 is missing from the release"):
        tree["images"]["circle.x"].values  # noqa: B018


def test_lost_metadata_of_the_data_are_an_error(catalog):
    (catalog / "things" / "1.9.0" / fmt.DATA / "zarr.json").unlink()
    with pytest.raises(MissingDataError, match=r"zarr\.json is missing from the release"):
        deepbench.open("things", catalog=catalog)


def test_releases_are_opened_for_reading_only(built):
    release = find("things", catalog=built)
    store = FolderStore(release.location.folder / fmt.DATA, frozenset())
    assert store.read_only
    assert store.with_read_only(False) is store
    tree = release.open()
    before = sorted(path.stat().st_mtime_ns for path in built.rglob("*"))
    with pytest.raises(ValueError, match="read-only"):
        tree["images"].to_dataset().to_zarr(store, mode="a")
    assert sorted(path.stat().st_mtime_ns for path in built.rglob("*")) == before


def test_plain_xarray_reads_a_release(built, recipe):
    path = find("things", catalog=built).location.folder / fmt.DATA
    with xr.open_datatree(path, engine="zarr") as tree:
        np.testing.assert_array_equal(tree["images/image"], render(recipe, "images").image)
        assert tree["images/circle.radius"].attrs["units"] == "pixel"


def test_links_are_not_followed(catalog, tmp_path):
    """A link would be plausible data from elsewhere."""
    folder = catalog / "things/1.9.0"
    shard = folder / fmt.DATA / "images/image/c/0/0/0"
    elsewhere = shard.replace(tmp_path / "shard")
    shard.symlink_to(elsewhere)
    tree = find("things", catalog=catalog).open()
    with pytest.raises(ReleaseError, match="image/c/0/0/0 is a link; a release holds no links"):
        tree["images"]["image"][0].load()
    manifest = folder / fmt.MANIFEST
    manifest.rename(tmp_path / "manifest")
    manifest.symlink_to(tmp_path / "manifest")
    assert "1.9.0" not in [str(release.version) for release in releases(catalog)]
