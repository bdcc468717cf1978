"""nimakit.commands.personalise: `nimakit personalise` and `nimakit learn-factors`."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from nimakit.errors import ImageError
from nimakit.features import extract
from nimakit.features.scores import score_files
from nimakit.heads.joining import join
from nimakit.models.encoders import load_encoder
from nimakit.models.loading import load_model
from nimakit.models.taste import read_taste
from nimakit.stats.head import fit_gaussian, log_histograms
from nimakit.web.collections.setup import open_collections
from nimakit.web.db.database import Database
from nimakit.web.db.tables import Collection
from nimakit.web.pictures.inventory import synchronise
from nimakit.web.settings import read_settings
from small_encoders import WIDTH, encoder_metadata, write_encoder
from terminal import Command, Result

COUNT = 30
USERS = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of random colours, and ratings by people half of whom like red and half blue."""
    folder = tmp_path_factory.mktemp("rated")
    (folder / "photos").mkdir()
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (COUNT, 3))
    for index, colour in enumerate(colours):
        Image.new("RGB", (12, 9), tuple(colour.tolist())).save(folder / "photos" / f"p{index:02d}.png")
    with (folder / "ratings.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image_id", "user_id", "rating"])
        for user in range(USERS):
            liked = 0 if user % 2 else 2
            for index, colour in enumerate(colours):
                rating = 1 + 9 * colour[liked] / 255 + random.normal(0, 0.5)
                writer.writerow([f"p{index:02d}", f"u{user}", round(float(np.clip(rating, 1, 10)), 2)])
    return folder


def _given(data: Path, model: Path) -> list[Any]:
    return ["--model", model, "--ratings", data / "ratings.csv", "--image-dir", data / "photos"]


def _means(nimakit: Command, data: Path, model: Path, *more: Any) -> np.ndarray:
    records = nimakit("predict", "--image-source", data / "photos", "--model", model, *more).records
    return np.array([record["mean_score_prediction"] for record in records])


def _own_ratings(data: Path, user: str) -> np.ndarray:
    with (data / "ratings.csv").open() as stream:
        return np.array([float(row["rating"]) for row in csv.DictReader(stream) if row["user_id"] == user])


def test_a_head_bends_the_scores_to_a_taste(
    nimakit: Command, data: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """With the taste file, pictures are ranked as the person ranks them."""
    output = tmp_path / "u1.taste"
    result = nimakit("personalise", *_given(data, tiny_file), "--user-id", "u1", "--output", output)
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    assert (summary["user_id"], summary["method"], summary["ratings"]) == ("u1", "head", COUNT)
    assert summary["bytes"] == output.stat().st_size
    own = _own_ratings(data, "u1")
    generic = np.corrcoef(_means(nimakit, data, tiny_file), own)[0, 1]
    personal = np.corrcoef(_means(nimakit, data, tiny_file, "--user", output), own)[0, 1]
    assert personal > max(0.9, generic + 0.2)


@pytest.fixture
def app_data(nimakit: Command, data: Path, tmp_path: Path) -> Path:
    """A rating app's data folder with these ratings, on a scale from 0 to 10."""
    folder = tmp_path / "ratings"
    settings = read_settings(folders=(data / "photos",), data_dir=folder, environment={})
    open_collections(settings, {"scale": "0-10", "experiment": "rate"})
    database = Database(settings.database)
    with database.read() as session:
        [collection] = session.scalars(select(Collection))
    synchronise(database, collection)
    database.close()
    result = nimakit("rate", "import", "--ratings", data / "ratings.csv", "--data-dir", folder)
    assert result.code == 0, result.err
    return folder


def test_ratings_are_taken_from_the_rating_app(
    nimakit: Command, data: Path, app_data: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """Ratings from the app give the same taste as a table on its scale."""
    output, population = tmp_path / "u1.taste", tmp_path / "crowd.npz"
    given = ["--model", tiny_file, "--data-dir", app_data]
    result = nimakit("personalise", *given, "--user-id", "u1", "--output", output)
    assert result.code == 0, result.err
    table = tmp_path / "table.taste"
    nimakit(
        *("personalise", *_given(data, tiny_file), "--user-id", "u1", "--scale", 0, 10, "--output", table)
    )
    found, expected = (read_taste(path) for path in (output, table))
    assert found.ratings == COUNT
    assert found.arrays["weights"] == pytest.approx(expected.arrays["weights"], abs=1e-5)
    learned = nimakit("learn-factors", *given, "--output", population)
    assert learned.code == 0, learned.err
    assert json.loads(learned.out)["raters"] == USERS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Received: neither"),
        (["--ratings", "x.csv", "--data-dir", "."], "Received: both"),
        (["--ratings", "x.csv"], "needs the folder of its images: --image-source"),
        (["--ratings", "x.csv", "--collection", "a"], "--collection needs"),
        (["--data-dir", ".", "--scale", 0, 10], "need --ratings"),
        (["--data-dir", "."], "--data-dir must be a data folder of ./rate"),
    ],
    ids=str,
)
def test_refuses_sources_that_are_none(
    nimakit: Command, tiny_file: Path, tmp_path: Path, options: list[Any], message: str
) -> None:
    """Ratings come from one source, each with its own options."""
    given = ["--model", tiny_file, "--output", tmp_path / "a.taste"]
    result = nimakit("personalise", *given, *options)
    assert (result.code, result.out) == (1, "")
    assert message in result.err


def test_factors_place_somebody_among_others(
    nimakit: Command, data: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """The population comes from learn-factors."""
    population, output = tmp_path / "crowd.npz", tmp_path / "u1.taste"
    learned = nimakit("learn-factors", *_given(data, tiny_file), "--output", population)
    assert learned.code == 0, learned.err
    assert json.loads(learned.out)["raters"] == USERS
    result = nimakit(
        *("personalise", *_given(data, tiny_file), "--user-id", "u1", "--output", output),
        *("--method", "factors", "--population", population),
    )
    assert result.code == 0, result.err
    assert read_taste(output).method == "factors"
    own = _own_ratings(data, "u1")
    assert np.corrcoef(_means(nimakit, data, tiny_file, "--user", output), own)[0, 1] > 0.9


def test_other_scales_are_stretched(nimakit: Command, data: Path, tiny_file: Path, tmp_path: Path) -> None:
    """Ratings from 0 to 100 are rescaled for a model from 1 to 10."""
    table = tmp_path / "percent.csv"
    rows = [f"p{index:02d},{10 + 3 * index}" for index in range(COUNT)]
    table.write_text("\n".join(["image_id,rating", *rows]), "utf-8")
    given = ["--model", tiny_file, "--ratings", table, "--image-dir", data / "photos"]
    output = tmp_path / "a.taste"
    refused = nimakit("personalise", *given, "--output", output)
    assert refused.code == 1
    assert "ratings from 10 to 97, for a model that scores from 1 to 10" in refused.err
    assert "such as --scale 0 100" in refused.err
    result = nimakit("personalise", *given, "--output", output, "--scale", 0, 100)
    assert result.code == 0, result.err
    assert 1 < _means(nimakit, data, tiny_file, "--user", output).mean() < 10


def test_asks_for_the_scale_where_ratings_do_not_reach_its_end(
    nimakit: Command, data: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """Ratings from 2 to 7 need --scale; those from 2 to 10 are on the model's scale."""
    table = tmp_path / "some.csv"
    given = ["--model", tiny_file, "--ratings", table, "--image-dir", data / "photos"]
    table.write_text("image_id,rating\np00,2\np01,7\np02,6\n", "utf-8")
    result = nimakit("personalise", *given, "--output", tmp_path / "a.taste")
    assert result.code == 1
    assert "ratings from 2 to 7, for a model that scores from 1 to 10" in result.err
    assert "such as --scale 1 7" in result.err
    table.write_text("image_id,rating\np00,2\np01,10\np02,6\n", "utf-8")
    assert nimakit("personalise", *given, "--output", tmp_path / "a.taste").code == 0


def _colours(data: Path) -> Any:
    """(COUNT, 3) int."""
    return np.array([np.asarray(Image.open(p))[0, 0] for p in sorted((data / "photos").iterdir())], int)


@pytest.fixture(scope="module")
def judged(data: Path) -> Path:
    """Comparisons and picks by two people, who like red and blue, in the rating app's form."""
    colours = _colours(data)
    random = np.random.default_rng(1)
    with (data / "pairs.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["left", "right", "chosen", "user_id", "time", "repeat", "comparison"])
        for person, liked in (("red", 0), ("blue", 2)):
            for trial in range(80):
                left, right = random.choice(COUNT, 2, replace=False).tolist()
                better = left if colours[left][liked] > colours[right][liked] else right
                chosen = -1 if trial == 0 else f"p{better:02d}"
                table.writerow([f"p{left:02d}", f"p{right:02d}", chosen, person, "2026-01-01", 0, trial])
    with (data / "picks.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["image_id", "pick", "group"])
        for group in range(COUNT // 3):
            names = sorted(range(3 * group, 3 * group + 3), key=lambda n: -colours[n][0])
            table.writerows([f"p{n:02d}", mark, group] for n, mark in zip(names, (1, 0, -1), strict=True))
    return data


def test_comparisons_and_picks_teach_a_taste(
    nimakit: Command, judged: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """By themselves, and with ratings; other people's comparisons do not count."""
    output = tmp_path / "red.taste"
    given = ["--model", tiny_file, "--image-dir", judged / "photos", "--output", output]
    pairs, picks = ["--comparisons", judged / "pairs.csv"], ["--picks", judged / "picks.csv"]
    red = _colours(judged)[:, 0]

    def learned(*options: Any) -> tuple[dict[str, Any], float]:
        result = nimakit("personalise", *given, *options)
        assert result.code == 0, result.err
        means = _means(nimakit, judged, tiny_file, "--user", output)
        return json.loads(result.out), float(np.corrcoef(means, red)[0, 1])

    generic = float(np.corrcoef(_means(nimakit, judged, tiny_file), red)[0, 1])
    summary, by_pairs = learned(*pairs, "--user-id", "red")
    assert (summary["ratings"], summary["comparisons"]) == (0, 80)
    assert read_taste(output).comparisons == 80
    assert by_pairs > max(0.85, generic + 0.2)
    summary, by_picks = learned(*picks)
    assert (summary["ratings"], summary["comparisons"]) == (0, COUNT // 3)
    assert by_picks > generic + 0.1
    ratings = tmp_path / "some.csv"
    ratings.write_text("image_id,rating\np00,1\np01,10\n", "utf-8")
    summary, by_all = learned(*pairs, *picks, "--ratings", ratings, "--user-id", "red")
    assert (summary["ratings"], summary["comparisons"]) == (0, 80 + COUNT // 3)
    assert by_all > 0.85


@pytest.fixture(scope="module")
def head_file(judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three blocks: one encoder at two sizes and another one, with a head on what they give."""
    folder = tmp_path_factory.mktemp("head")
    first, second = (load_encoder(write_encoder(folder / f"{seed}.onnx", seed=seed)) for seed in range(2))
    blocks = [
        encoder.at(size, source_size=(32, 32)) for encoder, size in ((first, (16, 16)), (second, (32, 32)))
    ]
    blocks.append(first.at((32, 32), source_size=(32, 32)))
    table = extract(blocks, sorted((judged / "photos").iterdir()))
    targets = log_histograms(np.random.default_rng(0).dirichlet(np.ones(10), COUNT))
    about = encoder_metadata("three blocks")
    size = replace(about.preprocessing, height=32, width=32)
    about = replace(about, bins=tuple(range(1, 11)), preprocessing=size)
    graph = join([block.graph() for block in blocks], fit_gaussian(table.blocks, targets).head, about)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    return folder / "model.onnx"


@pytest.mark.parametrize("method", ["head", "factors"])
def test_a_taste_on_several_blocks_scores_the_same_everywhere(
    nimakit: Command, judged: Path, head_file: Path, tmp_path: Path, method: str
) -> None:
    """In predict with the kept features and without a store, and in Python; it follows the person."""
    output, crowd = tmp_path / "u1.taste", tmp_path / "crowd.npz"
    more: list[Any] = ["--user-id", "u1", "--output", output]
    if method == "factors":
        assert nimakit("learn-factors", *_given(judged, head_file), "--output", crowd).code == 0
        more += ["--method", "factors", "--population", crowd]
    result = nimakit("personalise", *_given(judged, head_file), *more)
    assert result.code == 0, result.err
    taste, own = read_taste(output), _own_ratings(judged, "u1")
    assert taste.arrays["weights"].shape == (3 * WIDTH,)
    scored = _means(nimakit, judged, head_file, "--user", output)
    assert np.corrcoef(scored, own)[0, 1] > np.corrcoef(_means(nimakit, judged, head_file), own)[0, 1] + 0.2
    model = load_model(head_file).for_user(taste)
    paths = sorted((judged / "photos").iterdir())
    np.testing.assert_allclose(model.predict(paths) @ model.bins, scored, atol=1e-4)
    kept = [score.mean for score in score_files(model, paths) if not isinstance(score, ImageError)]
    np.testing.assert_allclose(kept, scored, atol=1e-4)


def test_comparisons_of_images_that_are_gone_are_counted(
    nimakit: Command, judged: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """They are left out, and so are bad rows; without any that is left, the command fails."""
    table = tmp_path / "pairs.csv"
    given = ["--model", tiny_file, "--image-dir", judged / "photos", "--output", tmp_path / "a.taste"]
    table.write_text("left,right,chosen\np00,p01,p00\np00,gone,gone\np00,p02,p05\n", "utf-8")
    result = nimakit("personalise", *given, "--comparisons", table)
    assert result.code == 1
    assert "line 4: chosen must be 'p00', 'p02' or a tie; received 'p05'" in result.err
    result = nimakit("personalise", *given, "--comparisons", table, "--skip-bad")
    assert result.code == 0, result.err
    assert json.loads(result.out)["comparisons"] == 1
    for said in ("1 bad row left out", "1 rated images are left out: gone", "1 comparisons are left out"):
        assert said in result.err
    table.write_text("left,right,chosen\np00,gone,gone\n", "utf-8")
    result = nimakit("personalise", *given, "--comparisons", table)
    assert (result.code, result.out) == (1, "")
    assert "or both of a comparison" in result.err


def test_refuses_comparisons_that_it_cannot_learn_from(
    nimakit: Command, judged: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """Of several people, with options for other tables, or by a method that takes ratings only."""
    given = ["--model", tiny_file, "--image-dir", judged / "photos", "--output", tmp_path / "a.taste"]
    for options, message in (
        ([], "The judgements come from 2 people (red, blue). Choose one with --user-id."),
        (["--user-id", "eve"], "Received: 'eve', and ratings by 2 people (red, blue)"),
        (["--user-id", "red", "--scale", 1, 10], "--scale is for the table --ratings"),
        (["--user-id", "red", "--method", "full"], "are for the methods head and factors. Received: full"),
        (["--data-dir", "."], "Received: both"),
    ):
        result = nimakit("personalise", *given, "--comparisons", judged / "pairs.csv", *options)
        assert (result.code, result.out) == (1, "")
        assert message in result.err


def test_comparisons_are_taken_from_the_rating_app(
    nimakit: Command, judged: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """Those of a preference give the same taste as the table that was imported."""
    folder, outputs = tmp_path / "ratings", [tmp_path / "app.taste", tmp_path / "table.taste"]
    settings = read_settings(folders=(judged / "photos",), data_dir=folder, environment={})
    open_collections(settings, {"experiment": "preference"})
    database = Database(settings.database)
    with database.read() as session:
        [collection] = session.scalars(select(Collection))
    synchronise(database, collection)
    database.close()
    result = nimakit("rate", "import", "--pairs", judged / "pairs.csv", "--data-dir", folder)
    assert result.code == 0, result.err
    own = ["--model", tiny_file, "--user-id", "red"]
    result = nimakit("personalise", *own, "--data-dir", folder, "--output", outputs[0])
    assert result.code == 0, result.err
    table = ["--comparisons", judged / "pairs.csv", "--image-dir", judged / "photos"]
    assert nimakit("personalise", *own, *table, "--output", outputs[1]).code == 0
    found, expected = (read_taste(path) for path in outputs)
    assert (found.ratings, found.comparisons) == (0, 80)
    np.testing.assert_allclose(found.arrays["weights"], expected.arrays["weights"], atol=1e-4)
    refused = nimakit(
        "learn-factors", "--model", tiny_file, "--data-dir", folder, "--output", tmp_path / "p.npz"
    )
    assert refused.code == 1
    assert "learned from ratings. Received: a collection of comparisons" in refused.err


def test_images_that_are_gone_are_left_out(
    nimakit: Command, data: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """Ratings of missing images are left out and reported."""
    table = tmp_path / "some.csv"
    table.write_text("image_id,rating\np00,4\ngone,7\np01,6\n", "utf-8")
    given = ["--model", tiny_file, "--ratings", table, "--image-dir", data / "photos", "--scale", 1, 10]
    result = nimakit("personalise", *given, "--output", tmp_path / "a.taste")
    assert result.code == 0
    assert json.loads(result.out)["ratings"] == 2
    assert "1 rated images are left out: gone" in result.err


@pytest.fixture
def refused(nimakit: Command, data: Path, tiny_file: Path) -> Callable[..., Result]:
    """Runs personalise with options that it should refuse."""
    return partial(nimakit, "personalise", *_given(data, tiny_file))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "The ratings come from 24 people (u0, u1, u2, u3, u4, ...). Choose one with --user-id."),
        (["--user-id", "nobody"], "Received: 'nobody', and ratings by 24 people (u0, u1, "),
        (["--user-id", "u1", "--method", "factors"], "create one from many raters"),
        (["--user-id", "u1", "--population", "x.npz"], "--population is for the method factors"),
        (["--user-id", "u1", "--batch-norm"], "--batch-norm are for the method adapters. Received: head"),
        (["--user-id", "u1", "--placement", "series", "--method", "full"], "adapters. Received: full"),
        (["--user-id", "u1", "--scale", 5, 1], "--scale must be the lowest and the highest rating"),
        (["--user-id", "u1", "--image-dir", "none"], "must be in a folder"),
    ],
    ids=str,
)
def test_refuses_what_cannot_be_learned(
    refused: Callable[..., Result], tmp_path: Path, options: list[Any], message: str
) -> None:
    """The error is one line that says what to do, and no file is written."""
    result = refused("--output", tmp_path / "a.taste", *options)
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert not list(tmp_path.iterdir())


def test_ratings_without_names_are_one_persons_and_with_some_several(
    nimakit: Command, data: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """Without user ids, the last rating of an image counts; with others, they are another person's."""
    table, output = tmp_path / "mine.jsonl", tmp_path / "me.taste"
    rows = [{"image_id": f"p{index:02d}", "rating": 2 + index % 9} for index in range(12)]
    rows.append({"image_id": "p00", "rating": 10})
    arguments = ["--model", tiny_file, "--ratings", table, "--image-dir", data / "photos", "--output", output]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert nimakit("personalise", *arguments).code == 0
    assert read_taste(output).ratings == 12
    output.unlink()
    rows[0]["user_id"] = rows[1]["user_id"] = "ann"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = nimakit("personalise", *arguments)
    assert "The ratings come from 12 people (ann, " in result.err
    assert not output.exists()


def test_a_file_is_called_taste(refused: Callable[..., Result], tmp_path: Path) -> None:
    """A server with a folder of users relies on the suffix."""
    result = refused("--output", tmp_path / "a.json", "--user-id", "u1")
    assert "The output file must end in .taste" in result.err


def test_scoring_refuses_the_file_of_another_model(
    nimakit: Command, data: Path, tiny_file: Path, score_file: Path, tmp_path: Path
) -> None:
    """A population of another model is refused before scoring."""
    output = tmp_path / "u1.taste"
    nimakit("personalise", *_given(data, tiny_file), "--user-id", "u1", "--output", output)
    result = nimakit("predict", "--image-source", data / "photos", "--model", score_file, "--user", output)
    assert (result.code, result.out) == (1, "")
    assert "the model it was learned with" in result.err


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a job with Keras weights, of a backbone that takes adapters."""
    import small_backbone
    from nimakit.nn.networks import adapters
    from small_models import write_job

    monkeypatch.setattr(adapters, "MAX_SHARE", 1.0)  # of a backbone this small
    with small_backbone.registered():
        yield write_job(tmp_path / "job")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_adapters_come_with_the_model_file_that_takes_them(
    nimakit: Command, data: Path, job: Path, tmp_path: Path
) -> None:
    """The summary names the file; if the job's model changes, it is written again."""
    from small_models import write_job

    output = tmp_path / "u1.taste"
    given = [*_given(data, job), "--scale", 1, 10, "--user-id", "u1", "--output", output]
    kind = ["--method", "adapters", "--placement", "series", "--batch-norm"]
    result = nimakit("personalise", *given, *kind)
    assert result.code == 0, result.err
    file = Path(json.loads(result.out)["model"])
    assert file == job / "adaptable_series_batch_norm.onnx"
    personal = _means(nimakit, data, file, "--user", output)
    generic = _means(nimakit, data, job / "model.onnx")
    own = _own_ratings(data, "u1")
    assert np.corrcoef(personal, own)[0, 1] > np.corrcoef(generic, own)[0, 1] + 0.1
    assert "writing" not in nimakit("personalise", *given, *kind).err
    other = write_job(tmp_path / "other", head="regression")
    for part in ("config.json", "model.onnx"):
        (other / part).replace(job / part)
    [weights], [before] = ([*(folder / "weights").iterdir()] for folder in (other, job))
    weights.replace(before)
    assert "writing" in nimakit("personalise", *given, *kind).err
    assert _means(nimakit, data, file, "--user", output).shape == (COUNT,)
