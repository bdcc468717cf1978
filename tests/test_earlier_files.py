"""Files that an earlier version made (data/earlier): each is opened and gives what it gave then.

These tests use only commands, public names, HTTP and files, so they stay valid when modules move.
"""

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import nimakit as package
from rater import Rater
from terminal import Command

EARLIER = Path(__file__).parent / "data" / "earlier"
EXPECTED: dict[str, Any] = json.loads((EARLIER / "expected.json").read_text("utf-8"))
MADE_AT = "/earlier"
"""The folder these files were made in, as job folders, the database and the cache name it."""

CHANGED_NS = 1_700_000_000 * 10**9
"""When every picture was changed last, in nanoseconds: the database and the cache know them by it."""

# Keras and TensorFlow are behind NumPy 2 in two places.
behind_numpy = pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
without_copy = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files, which is the working folder; paths in them are those of the copy."""
    folder = tmp_path / "earlier"
    shutil.copytree(EARLIER, folder)
    for path in folder.rglob("*.[jp][pn]g"):
        os.utime(path, ns=(CHANGED_NS, CHANGED_NS))
    for run in folder.glob("train_jobs/*/run.json"):
        run.write_text(run.read_text("utf-8").replace(f"{MADE_AT}/", f"{folder}/"), "utf-8")
    with closing(sqlite3.connect(folder / "ratings" / "ratings.db")) as database, database:
        moved = "UPDATE collection SET folder = replace(folder, ?, ?), model = replace(model, ?, ?)"
        database.execute(moved, (MADE_AT, str(folder)) * 2)
    monkeypatch.chdir(folder)
    return folder


def _assert_as_then(name: str, found: Any) -> None:
    """What is found is what was recorded; numbers to a ten-thousandth."""
    assert found == _approximately(EXPECTED[name])


def _approximately(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _approximately(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_approximately(inner) for inner in value]
    return pytest.approx(value, abs=1e-4) if isinstance(value, float) else value


def _means(records: list[dict[str, Any]]) -> dict[str, float]:
    return {record["image_id"]: record["mean_score_prediction"] for record in records}


@pytest.mark.parametrize(
    "model", ["models/tiny.onnx", "models/score.onnx", "models/both.json", "train_jobs/done/model.onnx"]
)
def test_a_model_file_scores_as_it_did(nimakit: Command, earlier: Path, model: str) -> None:
    """One with bins, one with a regression head, an ensemble and a job's; by command and by function."""
    records = nimakit("predict", "--image-source", "photos", "--model", model).records
    _assert_as_then(f"records of {model}", records[:3])
    _assert_as_then(f"means of {model}", _means(records))
    assert package.load_model(model).name == EXPECTED[f"name of {model}"]
    [record] = package.predict("photos/p00.png", augmented=True, model=model)
    assert record["mean_score_prediction"] == pytest.approx(records[0]["mean_score_prediction"])


@pytest.mark.parametrize(
    ("model", "taste"),
    [
        ("models/tiny.onnx", "tastes/head.taste"),
        ("models/tiny.onnx", "tastes/factors.taste"),
        ("train_jobs/done/adaptable.onnx", "tastes/adapters.taste"),
        ("train_jobs/done/model.onnx", "tastes/full.taste"),
        ("models/tiny.onnx", "ratings/users/photos/r31af7e57.taste"),
    ],
)
def test_a_taste_file_gives_the_scores_of_its_person(
    nimakit: Command, earlier: Path, model: str, taste: str
) -> None:
    """Each kind there is, and the one the rating app keeps for a rater."""
    result = nimakit("predict", "--image-source", "photos", "--model", model, "--user", taste)
    assert result.code == 0, result.err
    _assert_as_then(f"means by {taste}", _means(result.records))


def test_a_population_file_places_a_person(nimakit: Command, earlier: Path) -> None:
    """The taste that is learned with it gives the scores it gave."""
    learned = nimakit(
        *("personalise", "--model", "models/tiny.onnx", "--ratings", "ratings.csv", "--image-dir", "photos"),
        *("--user-id", "u1", "--method", "factors", "--population", "tastes/population.npz"),
        *("--output", "again.taste"),
    )
    assert learned.code == 0, learned.err
    result = nimakit(
        "predict", "--image-source", "photos", "--model", "models/tiny.onnx", "--user", "again.taste"
    )
    _assert_as_then("means by tastes/factors.taste", _means(result.records))


def test_a_finished_job_is_known(nimakit: Command, earlier: Path) -> None:
    """It is listed with its figures, evaluated without new weights, and nothing is left to do in it."""
    listed = json.loads(nimakit("models", "--json", "models", "train_jobs").out)
    _assert_as_then("models", [one for one in listed if one["status"] != "public"])
    result = nimakit("train", "--resume", "train_jobs/done")
    assert result.code == 0, result.err
    assert "the job is complete" in result.err
    evaluated = nimakit(
        *("evaluate", "--model", "train_jobs/done/model.onnx", "--samples-file", "test_labels.json"),
        *("--image-dir", "photographs", "--output-dir", "out"),
    )
    assert evaluated.code == 0, evaluated.err
    _assert_as_then("metrics of the job", json.loads(Path("out/metrics.json").read_text("utf-8")))


@pytest.fixture
def small() -> Iterator[None]:
    """Configs may name the small backbone."""
    import small_backbone  # loads TensorFlow

    with small_backbone.registered():
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("small", "earlier")
@behind_numpy
@without_copy
def test_weights_of_a_finished_job_are_read(nimakit: Command) -> None:
    """What they see in a picture can be explained."""
    result = nimakit(
        *("explain", "--model", "train_jobs/done", "--image-source", "photographs/p00.jpg"),
        *("--output-dir", "maps"),
    )
    assert result.code == 0, result.err


@pytest.mark.slow
@pytest.mark.usefixtures("small", "earlier")
@behind_numpy
@without_copy
def test_a_killed_job_resumes(nimakit: Command) -> None:
    """Its history becomes that of the same job which was never killed."""
    result = nimakit("train", "--resume", "train_jobs/killed")
    assert result.code == 0, result.err
    found, expected = (_history(Path("train_jobs", name)) for name in ("killed", "done"))
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    for row, then in zip(found, expected, strict=True):
        assert row[2:] == pytest.approx(then[2:], rel=1e-3)


def _history(job: Path) -> list[tuple[Any, ...]]:
    """Phase, epoch, loss and validation loss of each epoch."""
    with (job / "history.csv").open(encoding="utf-8") as stream:
        return [
            (row["phase"], row["epoch"], float(row["loss"]), float(row["val_loss"]))
            for row in csv.DictReader(stream)
        ]


@pytest.mark.parametrize(
    ("collection", "what", "file"),
    [
        ("photos", "--labels", "app_labels.json"),
        ("photos", "--ratings", "app_ratings.csv"),
        ("photos", "--ratings", "app_ratings.jsonl"),
        ("pairs", "--pairs", "app_pairs.csv"),
        ("pairs", "--pairs", "app_pairs.jsonl"),
    ],
)
def test_a_ratings_database_is_exported_as_it_was(
    nimakit: Command, earlier: Path, collection: str, what: str, file: str
) -> None:
    """To the byte, in each format."""
    given = ("--data-dir", "ratings", "--collection", collection)
    result = nimakit("rate", "export", *given, what, file)
    assert result.code == 0, result.err
    assert Path(file).read_bytes() == Path("labels", file).read_bytes()


@pytest.fixture
def app(earlier: Path) -> Iterator[Rater]:
    """The local rater, in an app that was started on the ratings of then."""
    command = [
        sys.executable,
        "-m",
        "nimakit",
        "rate",
        "--data-dir",
        "ratings",
        "--port",
        "0",
        "--no-browser",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"http://\S+", line)
            assert found, line
            with Rater(found[0]) as rater:
                yield rater
        finally:
            process.terminate()


@pytest.mark.slow
def test_the_rating_app_opens_its_database(app: Rater, nimakit: Command) -> None:
    """The rater is the same, has the same last ratings and own predictions, and rates on."""
    assert app.code == EXPECTED["rater"]
    app.images()
    deck = app.client.get("/c/photos/deck?amount=30").json()
    _assert_as_then("deck", _told(deck))
    comparisons = app.client.get("/c/pairs/preference/next?amount=0").json()
    _assert_as_then("comparisons", [[one["ids"], one["value"]] for one in comparisons["history"]])
    for slug, name in (("photos", "ratings.csv"), ("pairs", "pairs.csv")):
        assert app.client.get(f"/c/{slug}/transfer/{name}").text == Path("labels", f"app_{name}").read_text()
    [first, *_] = app.images()
    assert app.rate(first, 9)
    assert app.history()[first] == 9
    listed = nimakit(
        "rate", "import", "--data-dir", "ratings", "--collection", "photos", "--list", "labels/index.json"
    )
    assert (listed.code, json.loads(listed.out)["taken"]) == (0, 30)


def _told(deck: Any) -> dict[str, Any]:
    """What a deck says, in whatever order the pictures come."""
    return {
        "predicted": {str(item["id"]): item["predicted"] for item in deck["items"]},
        "history": [[item["id"], item["value"]] for item in deck["history"]],
        "figures": [deck[key] for key in ("done", "skipped", "total")],
    }


def test_label_files_and_tables_are_read_as_they_were(nimakit: Command, earlier: Path) -> None:
    """Ratings give the label file they gave, comparisons the scores; a label file is split as it was."""
    nimakit("data", "ratings", "ratings.csv", "--output", "labels.json")
    assert json.loads(Path("labels.json").read_text()) == json.loads(Path("labels/labels.json").read_text())
    files = ("--output", "ranked.json", "--scores-file", "scores.csv")
    ranked = nimakit("data", "pairs", "labels/app_pairs.csv", *files, "--prior-sd", "0")
    assert ranked.code == 0, ranked.err
    with Path("scores.csv").open(encoding="utf-8") as stream:
        rows = [
            {key: _number(row[key]) for key in EXPECTED["scores of comparisons"][0]}
            for row in csv.DictReader(stream)
        ]
    _assert_as_then("scores of comparisons", rows)
    nimakit(
        *("data", "split", "labels/labels.json", "--part", "train=rest", "--part", "test=0.2"),
        *("--output-dir", "parts"),
    )
    parts = {path.name: json.loads(path.read_text()) for path in sorted(Path("parts").iterdir())}
    _assert_as_then("parts", {name: [one["image_id"] for one in part] for name, part in parts.items()})


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def test_fingerprints_that_were_kept_are_used(nimakit: Command, earlier: Path, empty_cache: Path) -> None:
    """Where the cache says that two pictures are the same, they are, though they look nothing alike."""
    shutil.copytree("cache", empty_cache)
    with closing(sqlite3.connect(empty_cache / "fingerprints-v1.sqlite")) as database, database:
        rows = database.execute("SELECT path, stamp, fingerprint FROM fingerprints ORDER BY path").fetchall()
        for path, stamp, kept in rows:
            moved = path.replace(MADE_AT.encode(), os.fsencode(earlier))
            database.execute(
                "INSERT INTO fingerprints VALUES (?, ?, ?)",
                (moved, stamp, rows[1][2] if path == rows[0][0] else kept),
            )
    result = nimakit("data", "check", "labels/scene_labels.json", "--image-dir", "scene")
    _assert_as_then("scene", {"code": result.code, "drop": json.loads(result.out)["drop"]})
    shutil.rmtree(empty_cache)
    afresh = nimakit("data", "check", "labels/scene_labels.json", "--image-dir", "scene")
    _assert_as_then("scene afresh", {"code": afresh.code, "drop": json.loads(afresh.out)["drop"]})


def test_a_public_model_that_was_converted_is_found(
    nimakit: Command, earlier: Path, empty_cache: Path
) -> None:
    """Its file in the cache has the name it had, so that nothing is downloaded or converted once more."""
    empty_cache.mkdir()
    shutil.copy("models/tiny.onnx", empty_cache / EXPECTED["public model"])
    records = nimakit("predict", "--image-source", "photos", "--model", "aesthetic").records
    assert _means(records) == _approximately(EXPECTED["means of models/tiny.onnx"])
