"""The commands that probe releases."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import deepbench


@pytest.fixture
def release(built):
    return built.release


@pytest.fixture
def predictions(release, tmp_path):
    """Predictions of the test of the release, of which every third is wrong; return the frame and a file."""
    labels = release.labels("images")
    test = labels[labels["split"] == "test"]
    called = test["class"].astype(str).to_numpy().copy()
    called[::3] = "rare"
    frame = pd.DataFrame({"id": test["id"], "class": called, "release": str(release)})
    path = tmp_path / "predictions.csv"
    frame.to_csv(path, index=False)
    return frame, path


def catalog(release):
    return ("--catalog", release.catalog.root)


def test_a_score_is_printed_and_written(release, predictions, run, tmp_path):
    frame, path = predictions
    folder = tmp_path / "new" / "report"
    code, out, err = run(
        "score", str(release), str(path), *catalog(release), "--by", "psf.sigma", "-o", str(folder)
    )
    assert (code, err) == (0, "")
    assert f"{len(frame)} samples" in out
    assert re.search(r"class +accuracy +0\.\d+ +0\.\d+ … 0\.\d+", out)
    assert "true class (rows)" in out
    data = json.loads((folder / "report.json").read_text())
    expected = deepbench.score(release, frame, "images", by=["psf.sigma"])
    assert data == json.loads(json.dumps(expected.to_dict()))
    bins = pd.read_csv(folder / "bins.csv")
    assert set(bins["label"]) == {"class", "split", "psf.sigma"}
    assert (folder / "slices.csv").read_text().startswith("target,where,error")
    assert f"Score on {release}, images" in (folder / "index.html").read_text()
    written = {"index.html", "report.json", "bins.csv", "slices.csv"}
    assert {each.name for each in folder.iterdir()} == written


def test_a_score_is_printed_as_json(release, predictions, run):
    code, out, _ = run("score", str(release), str(predictions[1]), *catalog(release), "--json")
    assert code == 0
    assert json.loads(out)["samples"] == len(predictions[0])


def test_predictions_by_digest_are_of_this_release(release, predictions, run, tmp_path):
    """Digests as the metadata of the release have them are believed, and one that is changed is named."""
    frame, _ = predictions
    stored = pd.read_parquet(f"{release.path}/metadata/images.parquet")["digest.image"]
    given = frame.assign(**{"digest.image": stored.iloc[frame["id"]].to_numpy()})
    given.to_parquet(tmp_path / "good.parquet")
    assert run("score", str(release), str(tmp_path / "good.parquet"), *catalog(release))[0] == 0
    given.loc[given.index[1], "digest.image"] = b"0" * 16
    given.to_parquet(tmp_path / "bad.parquet")
    code, _, err = run("score", str(release), str(tmp_path / "bad.parquet"), *catalog(release))
    assert code == 2
    assert f"digest.image of sample {frame['id'].iloc[1]} is not that of" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "tset"), "did you mean 'test'"),
        (("--split", "train"), "allow it with --allow-train"),
        (("--by", "psf.sigam"), "did you mean 'psf.sigma'"),
        (("--table", "pictures"), "there is no table 'pictures'"),
        (("--noise", "psf.sigma"), "must be LABEL=LABEL"),
        (("--positive", "star"), "unknown class"),
    ],
)
def test_mistakes_have_one_message(arguments, message, release, predictions, run):
    code, out, err = run("score", str(release), str(predictions[1]), *catalog(release), *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_nothing_is_written_into_a_release(release, predictions, run):
    inside = f"{release.path}/report"
    code, _, err = run("score", str(release), str(predictions[1]), *catalog(release), "-o", inside)
    assert code == 2
    assert "which never changes; name another folder" in err


def test_labels_of_a_release_are_read_as_they_are(release):
    """Copies of a class that repeats no object are absent, not 0."""
    from deepbench.probing.truth import Truth

    truth = Truth.of(release, "images")
    frame = release.labels("images")
    assert truth.classes == ("rare", "circle", "crowd")
    counts = truth.labels["rectangle.repeat"]
    crowd = (frame["class"] == "crowd").to_numpy()
    np.testing.assert_array_equal(counts[crowd], frame["rectangle.repeat"][crowd])
    assert np.isnan(counts[~crowd]).all()
    assert truth.units["psf.sigma"] == "pixel"
    assert not {"id", "group", "class", "split"} & set(truth.labels)


MODEL = """\
import numpy as np
def predict(data):
    assert list(data.data_vars) == ["image"]
    return (data["image"].values.mean(axis=(1, 2)) > 0.1).astype(int)
def talks(data):
    print("a model that talks")
    return predict(data)
def fails(data):
    raise RuntimeError("no memory")
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    return f"{tmp_path}/model.py"


def test_a_model_is_probed_along_a_label(release, run, model, tmp_path):
    arguments = ("probe", str(release), *catalog(release), "--model", f"{model}:predict")
    code, out, err = run(*arguments, "--vary", "psf.sigma=0.5:2:4", "-o", str(tmp_path / "out"))
    assert (code, err) == (0, "")
    assert "accuracy along psf.sigma" in out
    accuracy = pd.read_csv(tmp_path / "out" / "psf.sigma.csv")
    assert accuracy["psf.sigma"].tolist() == [0.5, 1, 1.5, 2]
    limits = pd.read_csv(tmp_path / "out" / "psf.sigma.thresholds.csv")
    assert len(limits) == accuracy["n"].iloc[0]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Accuracy along psf.sigma" in page
    assert page.count("<li>") % 4 == 0  # a picture of each step of some samples
    data = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert data["sweeps"][0]["accuracy"][1]["accuracy"] == accuracy["accuracy"][1]
    code, out, _ = run(*arguments, "--vary", "psf.sigma", "--json")
    assert len(json.loads(out)["sweeps"][0]["accuracy"]) == 16


def test_what_a_model_prints_is_no_result(release, run, model):
    arguments = ("probe", str(release), *catalog(release), "--model", f"{model}:talks")
    code, out, err = run(*arguments, "--vary", "psf.sigma=0.5:2:2", "--samples", "4", "--json")
    assert code == 0
    assert json.loads(out)["sweeps"]
    assert "a model that talks" in err


def test_a_folder_that_cannot_be_written_is_refused_before_the_model_is_asked(
    release, run, model, monkeypatch, tmp_path
):
    monkeypatch.setattr("os.access", lambda *_: False)
    options = ("--model", f"{model}:fails", "-o", str(tmp_path / "report"))
    code, _, err = run("probe", str(release), *catalog(release), *options)
    assert code == 2
    assert f"'{tmp_path}' cannot be written to; name another folder" in err


def test_labels_that_a_model_relies_on(release, run, model):
    arguments = ("probe", str(release), *catalog(release), "--model", f"{model}:predict")
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert re.search(r"psf.sigma +-?\d\.\d{3}", out)
    code, out, _ = run(*arguments, "--json")
    assert json.loads(out)["reliance"][0]["label"] == "psf.sigma"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fails", (), "the model fails: RuntimeError: no memory"),
        ("nothing", (), "has no function 'nothing'"),
        ("predict", ("--vary", "psf.sigma=1:2"), "LABEL=LOW:HIGH:STEPS"),
        ("predict", ("--vary", "psf.sigma=2:1:1"), "two different ends and 2 to 10000 steps"),
        ("predict", ("--vary", "psf.sigma", "--vary", "psf.sigma=1:2:2"), "is given twice"),
        ("predict", ("--vary", "psf.sigam"), "did you mean 'psf.sigma'"),
        ("fails", ("--output", "/dev/null/report"), "'/dev/null' is no folder; name another"),
        ("predict", ("--split", "trial"), "no split 'trial'"),
    ],
)
def test_probes_that_are_refused(release, run, model, name, options, message):
    code, out, err = run(
        "probe", str(release), *catalog(release), "--model", f"{model}:{name}", *options
    )
    assert (code, out) == (2, "")
    assert message in err


def test_an_audit_is_printed_and_written_beside_the_release(release, run, tmp_path, monkeypatch):
    """Of all tables; the release stays as it is. Its classes differ in their light: the statistics say so."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run("audit", str(release), *catalog(release))
    assert (code, err) == (0, "")
    assert "small@1.0.0, images: 300 samples, against 'train'" in out
    assert "small@1.0.0, squares: 40 samples" in out
    folder = tmp_path / "reports" / "small-1.0.0"
    report = json.loads((folder / "audit.json").read_text())
    assert [each["table"] for each in report["tables"]] == ["images", "squares"]
    expected = deepbench.audit(release, "images")
    assert report["tables"][0] == json.loads(json.dumps(expected.to_dict()))
    assert {each.kind for each in expected.tellings} == {"drawn", "statistic"}
    assert f"Audit of {release}" in (folder / "index.html").read_text()
    assert re.search(r"circle\.radius +circle +\d", out.partition("the ceiling of every model")[2])
    assert "samples of other splits was compared with all" in out
    telling = pd.read_csv(folder / "telling.csv")
    assert set(telling["table"]) == {"images"}  # the other has one class
    assert {"psf.sigma", "image.mean", "all statistics together"} <= set(telling["name"])
    assert (pd.read_csv(folder / "shifts.csv")["split"] != "train").all()
    assert json.loads(run("audit", str(release), *catalog(release), "--json")[1]) == report


def test_an_audit_reads_as_many_samples_as_it_should(release, run, tmp_path):
    options = (
        "--table",
        "images",
        "--samples",
        "100",
        "--ceiling-samples",
        "0",
        "-o",
        str(tmp_path / "here"),
    )
    code, out, _ = run("audit", str(release), *catalog(release), *options)
    assert code == 0
    assert "the data of 100" in out
    assert "but the 200 samples after these were not searched" in out
    assert "It was not asked for." in out
    code, _, err = run("audit", str(release), *catalog(release), "-o", release.path)
    assert code == 2
    assert "which never changes" in err
