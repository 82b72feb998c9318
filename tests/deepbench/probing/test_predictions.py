"""Predictions are read from every kind of file, and every bad one has its own message."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from deepbench.errors import PredictionError
from deepbench.probing.columns import read_columns
from deepbench.probing.predictions import check_predictions
from deepbench.probing.score import score_truth

SPLITS = [0, 1, 1, 1, 2, 0]


@pytest.fixture
def truth(make_truth):
    """Six samples, of which 1 … 3 are the test; a label that class b lacks, and one of all."""
    labels = {"disk.radius": [1.0, 2, np.nan, 3, 4, np.nan], "psf.sigma": np.arange(6.0)}
    return make_truth([0, 0, 1, 0, 0, 1], labels, splits=SPLITS, name="'images' of shapes@1.0.0")


@pytest.fixture
def good():
    return {
        "id": np.array([3, 1, 2]),
        "class": np.array(["a", "b", "b"]),
        "disk.radius": np.array([3.5, 2.5, np.nan]),
        "disk.radius.sigma": np.array([0.5, 0.25, np.nan]),
        "psf.sigma.q05": np.array([0.0, 1, 2]),
        "psf.sigma.q50": np.array([1.0, 2, 3]),
        "psf.sigma.q97.5": np.array([2.0, 3, 4]),
    }


def check(columns, truth, split="test", **more):
    return check_predictions(read_columns(columns), truth, [split], **more)


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz", "npy", "frame", "index"])
def test_every_kind_of_file_reads_alike(kind, good, truth, tmp_path):
    frame = pd.DataFrame(good)
    path = tmp_path / f"predictions.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "npz":
        np.savez(path, **good)
    elif kind == "npy":
        np.save(
            path,
            frame.astype({"class": "U1"})
            .to_records(index=False)
            .astype(
                [(name, "U1" if name == "class" else values.dtype) for name, values in good.items()]
            ),
        )
    source = {"frame": frame, "index": frame.set_index("id")}.get(kind, path)
    found, rows = check(source, truth)
    assert rows.tolist() == [1, 2, 3]
    assert found.classes.tolist() == [1, 1, 0]
    np.testing.assert_array_equal(found.values["disk.radius"], [2.5, np.nan, 3.5])
    np.testing.assert_array_equal(found.sigmas["disk.radius"], [0.25, np.nan, 0.5])
    levels, table = found.quantiles["psf.sigma"]
    np.testing.assert_allclose(levels, [0.05, 0.5, 0.975])
    assert table.tolist() == [[1, 2, 3], [2, 3, 4], [0, 1, 2]]
    assert found.values["psf.sigma"].tolist() == [2, 3, 1]


def test_probabilities_and_draws_are_columns_or_arrays(truth):
    ids = np.array([2, 1, 3])
    given = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]], dtype=np.float32)
    columns = {"id": ids, "class.a": given[:, 0], "class.b": given[:, 1]}
    columns |= {f"psf.sigma.sample.{k}": np.arange(3.0) + k for k in range(12)}
    apart, _ = check(columns, truth)
    draws = np.arange(3.0)[:, None] + np.arange(12)
    together, _ = check(
        {"id": ids, "class.probabilities": given, "psf.sigma.samples": draws}, truth
    )
    for found in (apart, together):
        assert found.probabilities.dtype == np.float32
        assert found.probabilities.tolist() == [[1, 0], [0.25, 0.75], [0.5, 0.5]]
        assert found.classes.tolist() == [0, 1, 0]
        assert found.draws["psf.sigma"][:, 11].tolist() == [12, 11, 13]
        assert found.values["psf.sigma"].tolist() == [6.5, 5.5, 7.5]


def test_numbers_of_classes_are_in_the_order_of_the_recipe(truth):
    found, _ = check({"id": [1, 2, 3], "class": [0, 1, 1]}, truth)
    assert found.classes.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": None}, "predictions need the column `id`"),
        ({"id": np.array([1, 2, 2])}, r"sample 2 is there more than once \(1 rows too many\)"),
        ({"id": np.array([1, 2, 77])}, r"has no sample 77 \(1 such ids\); it has 6 samples, 0 … 5"),
        ({"id": np.array([1, 2, 4])}, "sample 4 is of the split 'other', and test is scored"),
        ({"id": np.array([1, 2, 0])}, "sample 0 is of the split 'train'.*--allow-train"),
        ({"id": np.array([1.0, 2.5, 3])}, r"row 1 has the id 2\.5"),
        ({"id": np.array([1.0, np.nan, 3])}, "row 1 has the id nan"),
        ({"id": np.array(["x", "y", "z"])}, "`id` must be a column of whole numbers, and has 'x'"),
        ({"class": np.array(["a", "disc", "b"])}, "`class` is 'disc' for sample 1; classes: a, b"),
        ({"class": np.array(["a", None, "b"], dtype=object)}, "`class` is None for sample 1"),
        ({"class": np.array([0, 2, 1])}, r"`class` is 2 for sample 1; numbers of classes are 0 … 1"),
        ({"class": np.zeros((3, 2))}, "must have one class a sample"),
        ({"psf.sigma.q50": np.array([1, np.nan, 3])}, r"`psf.sigma.q50` is not a finite number .* sample 1"),
        ({"disk.radius": np.array([3, np.nan, 1])}, "`disk.radius` is not a finite number"),
        ({"disk.radius.sigma": np.array([0, 1, 1.0])}, "`disk.radius.sigma` is 0 for sample 3; a standard"),
        ({"disk.radius.sigma": np.array([1, -1, 1.0])}, "`disk.radius.sigma` is -1 for sample 1"),
        ({"disk.radius": None}, "`disk.radius.sigma` has no value beside it"),
        ({"psf.sigma.q50": np.array([5, 2, 3])}, "cross for sample 3: 50 % is 5 and 97.5 % is 2"),
        ({"psf.sigma.q100": np.zeros(3)}, "`psf.sigma.q100` must be a quantile between 0 and 100 percent"),
        ({"disk.radios": np.zeros(3)}, "`disk.radios` is no column of predictions; did you mean `disk.radius`"),
        ({"psf.sigma": np.zeros((3, 2))}, "`psf.sigma` must have one number a sample"),
        ({"psf.sigma": np.array(["a", "b", "c"])}, "`psf.sigma` must hold numbers"),
        ({"psf.sigma": np.zeros(4)}, "`psf.sigma` has 4 rows and `id` has 3"),
        ({"psf.sigma.samples": np.zeros(3)}, "must have the shape"),
        ({"psf.sigma.samples": np.zeros((3, 1))}, "has one draw a sample"),
        ({"class.a": np.array([0.5, 1, 0])}, "`class.b` is missing: give the probability of every class"),
        ({"class.c": np.zeros(3), "class.a": np.zeros(3)}, "`class.c` is no column of predictions"),
        ({"class.a": np.array([0, 1, 0]), "class.b": np.array([1, 0.2, 1])}, "probabilities of sample 1 add up to 1.2"),
        ({"class.a": np.array([2, 1, 0]), "class.b": np.array([-1, 0, 1])}, "outside 0 … 1 for sample 3; give prob"),
        ({"class.a": np.array([np.nan, 1, 0]), "class.b": np.ones(3)}, "`class.<name>` is not a finite number"),
        ({"class.probabilities": np.zeros((3, 5))}, "must have the shape .samples, classes."),
    ],
)  # fmt: skip
def test_bad_predictions_have_messages_of_their_own(changes, message, good, truth):
    given = {name: values for name, values in (good | changes).items() if values is not None}
    with pytest.raises(PredictionError, match=message):
        check(given, truth)


def test_samples_that_are_missing_are_named(good, truth):
    with pytest.raises(PredictionError, match="sample 2 of test is missing: predict all 3"):
        check({name: values[:2] for name, values in good.items()}, truth)
    with pytest.raises(PredictionError, match="there are no predictions"):
        check({"id": np.zeros(0, dtype=int), "class": np.zeros(0, dtype=int)}, truth)
    with pytest.raises(PredictionError, match="nothing is predicted"):
        check({"id": [1, 2, 3]}, truth)


def test_training_samples_are_scored_when_that_is_wanted(truth):
    given = {"id": [0, 5], "class": ["a", "a"]}
    with pytest.raises(PredictionError, match="split 'train' is one to train on"):
        score_truth(truth, given, split="train")
    found = score_truth(truth, given, split="train", allow_train=True)
    assert found["accuracy"].value == 0.5


@pytest.mark.parametrize("mark", ["column", "scalar", "attribute"])
def test_predictions_of_another_release_are_refused(mark, good, make_truth):
    known = make_truth([0, 0, 1, 0, 0, 1], {"psf.sigma": np.arange(6.0)}, splits=SPLITS)
    known = replace(known, identities={"release": "shapes@1.0.0", "recipe_hash": "abc"})
    given = {"id": good["id"], "class": good["class"]}
    for name, value in (("release", "shapes@2.0.0"), ("recipe_hash", "def")):
        for said in (value, known.identities[name]):
            source = given | {name: np.full(3, said)}
            if mark == "scalar":
                source = given | {name: np.array(said)}
            elif mark == "attribute":
                source = pd.DataFrame(given)
                source.attrs[name] = said
            if said == value:
                with pytest.raises(PredictionError, match=f"{value}.*has {known.identities[name]}"):
                    check(source, known)
            else:
                check(source, known)


def test_digests_of_other_samples_are_refused(make_truth):
    known = replace(make_truth([0, 1]), digests=lambda variable: [b"0" * 16, b"1" * 16])
    given = {"id": [1, 0], "class": ["a", "b"]}
    right = np.array([b"1" * 16, b"0" * 16], dtype=object)
    check(given | {"digest.image": right}, known)
    check(given | {"digest.image": np.array([each.hex() for each in right])}, known)
    with pytest.raises(PredictionError, match="the digest.image of sample 1 is not that of"):
        check(given | {"digest.image": right[::-1]}, known)
    with pytest.raises(PredictionError, match="digest.image of sample 1"):
        check(given | {"digest.image": np.array(["no", "hex"])}, known)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "there is no file"),
        ("a.txt", b"id\n", "must end with .csv, .parquet, .npy, .npz"),
        ("a.parquet", b"no parquet", "cannot be read as parquet"),
        ("a.npz", b"no zip", "cannot be read as npz"),
        ("a.csv", b"", "cannot be read as csv"),
        ("a.csv", b"class\na\n", "need the column `id`"),
    ],
)
def test_files_that_are_none_are_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PredictionError, match=message):
        read_columns(tmp_path / name)


def test_arrays_without_names_and_double_columns_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 2)))
    with pytest.raises(PredictionError, match="array without names"):
        read_columns(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", id=np.array([object()]))
    with pytest.raises(PredictionError, match="cannot be read as npz"):
        read_columns(tmp_path / "a.npz")
    with pytest.raises(PredictionError, match="`id` is there twice"):
        read_columns(pd.DataFrame([[1, 2]], columns=["id", "id"]))
