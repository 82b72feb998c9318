from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import TypeAdapter, ValidationError

from deepbench.errors import LabelError
from deepbench.language.joints import catalog as catalogs
from deepbench.language.joints.gaussian import triangle
from deepbench.language.values import Joint, Variable
from tests.given_uniforms import GivenUniforms

VARIABLE = TypeAdapter(Variable)
COVARIANCE = [[4.0, 1.2, -0.6], [1.2, 1.0, 0.1], [-0.6, 0.1, 0.5]]


def normal(**changes):
    data = {"columns": ["a", "b", "c"], "mean": [1, 2, 3], "covariance": COVARIANCE} | changes
    return VARIABLE.validate_python({"multivariate_normal": data})


@pytest.fixture
def catalog(tmp_path):
    """Return a function that reads a catalog entry of a recipe in ``tmp_path``."""
    (tmp_path / "cat.csv").write_text("radius,name,flux\n1,a,10.5\n2,b,20.5\n3,c,30.5\n4,d,40.5\n")

    def read(**data):
        written = {"catalog": {"file": "cat.csv"} | data}
        return VARIABLE.validate_python(written, context={"folder": tmp_path})

    return read


# --- multivariate normal -------------------------------------------------------------------------


def test_thetriangle_is_that_of_numpy():
    np.testing.assert_allclose(
        [row + [0.0] * (3 - len(row)) for row in map(list, triangle(normal().covariance)[0])],
        np.linalg.cholesky(np.array(COVARIANCE)),
        rtol=1e-14,
    )


def test_moments_of_correlated_draws():
    u = np.random.default_rng(3).uniform(size=(200_000, 3))
    drawn = normal().draw(u)
    values = np.array([drawn[name] for name in ("a", "b", "c")])
    sigmas = np.sqrt(np.diag(COVARIANCE))
    # five standard errors
    np.testing.assert_array_less(np.abs(values.mean(1) - [1, 2, 3]), 5 * sigmas / np.sqrt(len(u)))
    limit = 5 * np.sqrt(2 * np.outer(sigmas, sigmas) ** 2 / len(u))
    np.testing.assert_array_less(np.abs(np.cov(values) - COVARIANCE), limit)


def test_one_row_drawn_alone_equals_the_row_of_many():
    u = np.random.default_rng(3).uniform(size=(10, 3))
    together = normal().draw(u)
    for row in range(10):
        alone = normal().draw(u[row : row + 1])
        assert all(alone[name][0] == together[name][row] for name in alone)


def test_the_ends_of_the_unit_interval_give_finite_draws():
    drawn = normal().draw(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    assert all(np.isfinite(values).all() for values in drawn.values())


def test_what_a_joint_draw_is():
    value = normal()
    assert isinstance(value, Joint)
    assert value.columns == ("a", "b", "c")
    assert value.dimension == 3
    assert not value.tolerance
    assert pickle.loads(pickle.dumps(value)) == value
    assert len(pickle.dumps(value)) < 1000
    assert VARIABLE.validate_python(VARIABLE.dump_python(value, mode="json")) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": []}, "must have at least 1 item"),
        ({"columns": ["a", "b", "C"]}, r"must match pattern '\^\[a-z\].*, not 'C'"),
        ({"columns": ["a", "b", "a"]}, "the column 'a' is named twice"),
        ({"mean": [0]}, "one mean for each of the 3 columns, not 1"),
        ({"covariance": [[1, 0], [0, 1]]}, "of 3 columns must be 3 lists of 3 numbers"),
        ({"covariance": [[1, 0, 0], [0, 1], [0, 0, 1]]}, "must be 3 lists of 3 numbers"),
        (
            {"covariance": [[1, 0, 0], [0, 1, 2], [0, 3, 9]]},
            "not symmetric: row 1, column 2 is 2, row 2, column 1 is 3",
        ),
        (
            {"covariance": [[1, 2, 0], [2, 1, 0], [0, 0, 1]]},
            "not positive definite: the variance of 'b' must be larger",
        ),
        ({"covariance": [[0, 0, 0], [0, 1, 0], [0, 0, 1]]}, "the variance of 'a' must be larger"),
        ({"covariance": [[1, 1, 0], [1, 1, 0], [0, 0, 1]]}, "the variance of 'b' must be larger"),
        ({"covariance": [[1, 0, "x"], [0, 1, 0], [0, 0, 1]]}, "must be a number, not 'x'"),
        ({"mean": [0, None, 0]}, "must be a number, not None"),
        ({"means": 1}, "unknown key 'means'; did you mean 'mean'"),
    ],
)
def test_multivariate_normal_refuses(changes, message):
    with pytest.raises(ValidationError, match=message) as caught:
        normal(**changes)
    assert caught.value.error_count() == 1


# --- catalog -------------------------------------------------------------------------------------


def test_a_catalog_draws_whole_rows(catalog):
    value = catalog()
    assert value.columns == ("radius", "flux")
    assert value.dimension == 1
    drawn = value.draw(np.array([[0.0], [0.3], [0.5], [0.99], [1.0]]))
    np.testing.assert_array_equal(drawn["radius"], [1, 2, 3, 4, 4])
    np.testing.assert_array_equal(drawn["flux"], [10.5, 20.5, 30.5, 40.5, 40.5])
    assert drawn["radius"].dtype == np.float64


def test_the_columns_keep_the_order_of_the_recipe(catalog):
    assert list(catalog(columns=["flux", "radius"]).draw(np.array([[0.5]]))) == ["flux", "radius"]


def test_the_sha256_is_filled_in_and_checked(catalog, tmp_path):
    found = hashlib.sha256((tmp_path / "cat.csv").read_bytes()).hexdigest()
    value = catalog()
    assert VARIABLE.dump_python(value, mode="json", exclude_none=True) == {
        "catalog": {"file": "cat.csv", "columns": ["radius", "flux"], "sha256": found}
    }
    assert catalog(sha256=found) == value
    assert hash(catalog(sha256=None)) == hash(value)
    with pytest.raises(
        ValidationError, match=f"another file than meant: its sha256 is {found}, not '00"
    ):
        catalog(sha256="0" * 64)


def test_a_catalog_is_a_small_specification_without_its_rows(catalog):
    value = catalog()
    again = pickle.loads(pickle.dumps(value))
    assert len(pickle.dumps(value)) < 1000
    assert again == value
    catalogs._columns.cache_clear()
    np.testing.assert_array_equal(again.draw(np.array([[0.5]]))["radius"], [3])


def test_the_rows_cannot_be_changed(catalog):
    value = catalog()
    rows = value.rows().numbers
    with pytest.raises(ValueError, match="read-only"):
        rows["radius"][0] = 5
    value.draw(np.array([[0.1]]))["radius"][0] = 5
    assert rows["radius"][0] == 1


def test_a_file_that_changes_after_reading_is_an_error(catalog, tmp_path):
    value = catalog()
    (tmp_path / "cat.csv").write_text("radius,flux\n9,9\n")
    catalogs._columns.cache_clear()
    with pytest.raises(LabelError, match=r"cat\.csv has changed: its sha256 is no longer"):
        value.draw(np.array([[0.5]]))
    (tmp_path / "cat.csv").unlink()
    with pytest.raises(LabelError, match=r"cat\.csv cannot be read: No such file"):
        value.draw(np.array([[0.5]]))


def test_parquet(catalog, tmp_path):
    table = pa.table({"a": pa.array([1, 2], pa.int16()), "b": pa.array([0.5, 1.5], pa.float32())})
    parquet.write_table(table, tmp_path / "cat.parquet")
    drawn = catalog(file="cat.parquet").draw(np.array([[0.6]]))
    assert {name: float(values[0]) for name, values in drawn.items()} == {"a": 2.0, "b": 1.5}


def test_catalogs_without_a_folder_are_found_from_the_current_one(catalog, tmp_path, monkeypatch):
    value = catalog()
    monkeypatch.chdir(tmp_path)
    written = VARIABLE.dump_python(value, mode="json")
    assert VARIABLE.validate_python(written).sha256 == value.sha256


def test_columns_under_other_names(catalog, tmp_path):
    """What is written reads back equal, the hash follows the names, and the file's case does not matter."""
    value = catalog(columns={"size": "Radius", "flux": "flux"})
    drawn = value.draw(np.array([[0.0], [0.99]]))
    assert {name: column.tolist() for name, column in drawn.items()} == {
        "size": [1, 4], "flux": [10.5, 40.5]
    }  # fmt: skip
    written = VARIABLE.dump_python(value, mode="json", exclude_none=True)
    assert written["catalog"]["columns"] == {"size": "Radius", "flux": "flux"}
    again = VARIABLE.validate_python(written, context={"folder": tmp_path})
    assert again == value
    assert hash(again) == hash(value)
    assert pickle.loads(pickle.dumps(value)) == value
    assert catalog(columns={"size": "radius"}) != catalog(columns={"size": "flux"})


def test_columns_of_an_archive(catalog, tmp_path):
    text = "# This file was produced by an archive\n#\npl_orbper,pl_ratror\n3.5,0.1\n2.2,0.05\n"
    (tmp_path / "planets.csv").write_text(text)
    assert catalog(file="planets.csv").columns == ("pl_orbper", "pl_ratror")
    (tmp_path / "mags.csv").write_text("TS_MAG_R,TS_REDSHIFT\n23.5457,0.553036\n")
    assert catalog(file="mags.csv").columns == ("ts_mag_r", "ts_redshift")
    assert catalog(file="mags.csv", columns={"mag": "TS_MAG_R"}).draw(np.array([[0.5]])) == {
        "mag": 23.5457
    }


FILES = {
    "text.csv": (
        "a,b\n1,x\n2,3\n",
        ["b"],
        "column 'b' of text.csv must hold finite numbers, but row 1 is 'x'",
    ),
    "empty.csv": (
        "a,b\n1,2\n,3\n",
        [],
        "column 'a' of empty.csv must hold finite .* row 2 is ''",
    ),
    "inf.csv": ("a\n1\n2\ninf\n", [], "column 'a' of inf.csv must hold finite .* row 3 is 'inf'"),
    "dates.csv": ("a\n2020-01-01\n", ["a"], "must hold finite numbers, but row 1 is '2020-01-01'"),
    "bool.csv": (
        "a\ntrue\n",
        ["a"],
        "column 'a' of bool.csv must hold finite numbers, but row 1 is 'true'",
    ),
    "words.csv": ("a,b\nx,y\n", [], "words.csv has no column of numbers; its columns: 'a', 'b'"),
    "header.csv": ("a,b\n", [], "header.csv has no rows"),
    "nothing.csv": ("", [], "nothing.csv is empty: a table begins with the names of its columns"),
    "ragged.csv": ("a,b\n1\n", [], "ragged.csv is no CSV file: .*Expected 2 columns, got 1"),
    "sign.csv": (
        "R-mag,dec\n1,2\n",
        [],
        "'r-mag' cannot be a name in a recipe, .* such as {r_mag: 'r-mag'}",
    ),
    "fine.csv": (
        "radius\n1\n",
        ["radus"],
        "fine.csv has no column 'radus'; did you mean 'radius'\\? Its columns: 'radius'",
    ),
    "twice.csv": ("a,b\n1,2\n", ["a", "a"], "the column 'a' is named twice"),
    "bad.parquet": ("a\n1\n", [], "bad.parquet is no Parquet file: "),
    "table.xls": ("a\n1\n", [], "table.xls must be a .csv, .ecsv, .txt, .dat, .parquet or .fits"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_refused(name, catalog, tmp_path):
    content, columns, message = FILES[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(ValidationError, match=message) as caught:
        catalog(file=name, columns=columns)
    assert caught.value.error_count() == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "none.csv"}, "the catalog .*none.csv cannot be read: No such file"),
        ({"file": "."}, "cannot be read: it is not a regular file"),
        ({"file": 3}, "must be a valid string, not 3"),
        ({"columns": 3}, "must be a list, not 3"),
        ({"columns": {"R": "radius"}}, "'R' cannot be a name in a recipe, .*such as {r: 'R'}"),
        ({"columns": {"r": 3}}, "must be a valid string, not 3"),
        ({"columns": {"r": "x"}}, r"no column 'x'. Its columns: .*`columns: {r: NAME}` says"),
        ({"columns": [f"c{i}" for i in range(65)]}, "must have at most 64 items, not 65"),
        ({"identifiers": 3}, "must be a list, not 3"),
        ({"identifiers": ["flux"], "columns": ["radius"]}, "identifiers, whole .* row 1 is '10.5'"),
        ({"sha256": "abc"}, "another file than meant"),
        ({"column": ["a"]}, "unknown key 'column'; did you mean 'columns'"),
    ],
)
def test_catalog_refuses(changes, message, catalog):
    with pytest.raises(ValidationError, match=message):
        catalog(**changes)


def test_a_catalog_that_is_too_large_is_refused(catalog, monkeypatch):
    monkeypatch.setattr(catalogs.Catalog, "most", 10)
    with pytest.raises(ValidationError, match=r"cat\.csv has 53 bytes, a catalog at most 10"):
        catalog()


# --- rows one after another ----------------------------------------------------------------------


def in_turn(numbers):
    """Return random numbers of samples, of which only those of the table may be used."""
    return GivenUniforms(numbers, None, np.random.default_rng(4).random)


def test_rows_in_the_order_of_the_file(catalog):
    drawn = catalog(order="sequential").fill(in_turn(np.arange(6)))
    np.testing.assert_array_equal(drawn["radius"], [1, 2, 3, 4, 1, 2])


def test_shuffled_rows_come_once_before_any_comes_twice(catalog):
    value = catalog(order="shuffled")
    drawn = value.fill(in_turn(np.arange(8)))["radius"]
    assert sorted(drawn[:4]) == [1, 2, 3, 4]
    np.testing.assert_array_equal(drawn[4:], drawn[:4])
    alone = [value.fill(GivenUniforms([n], None, lambda k: KEY[:k])) for n in range(4)]
    assert sorted(each["flux"][0] for each in alone) == [10.5, 20.5, 30.5, 40.5]


KEY = np.array([0.2, 0.7])


def test_the_order_of_a_catalog(catalog):
    assert [catalog(order=order).indexed for order in (None, "sequential", "shuffled")] == [0, 1, 1]
    assert catalog(order=None) == catalog()
    assert "order" not in VARIABLE.dump_python(catalog(), mode="json", exclude_none=True)["catalog"]
    with pytest.raises(ValidationError, match="must be 'sequential' or 'shuffled', not 'random'"):
        catalog(order="random")
