"""nimakit.commands.explain: `nimakit explain`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from samples import random_pixels
from terminal import Command

KINDS = ("heat", "overlay", "side_by_side")

pytestmark = pytest.mark.filterwarnings(
    # Keras and TensorFlow are behind NumPy 2 in two places.
    "ignore:In the future `np.object`:FutureWarning",
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
)


@pytest.fixture(scope="module")
def keras_job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A job folder with Keras weights."""
    import small_backbone
    from small_models import write_job

    with small_backbone.registered():
        yield write_job(tmp_path_factory.mktemp("jobs") / "2026_01_02_03_04_05")


@pytest.fixture
def job(tiny_file: Path) -> Path:
    """A model file."""
    return tiny_file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a photo, and another one in a sub-folder."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for name in ("a.png", "below/b.png"):
        Image.fromarray(random_pixels(40, 60)).save(folder / name)
    return folder


def test_draws_a_photo(nimakit: Command, job: Path, photos: Path, tmp_path: Path) -> None:
    """Three pictures, the first two of the photo's own size; score and method are on stdout."""
    given = ("--model", job, "--output-dir", tmp_path / "new" / "out")
    result = nimakit("explain", "--image-source", photos / "a.png", *given)
    assert result.code == 0, result.err
    [record] = result.records
    assert (record["image_id"], len(record["files"])) == ("a", 3)
    assert 1 < record["mean_score_prediction"] < 10
    assert record["method"] == "patches"
    for kind, file in zip(KINDS, record["files"], strict=True):
        assert Path(file) == tmp_path / "new" / "out" / f"a_{kind}.png"
        with Image.open(file) as drawn:
            assert drawn.size == (60, 40) or kind == "side_by_side"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gradcam", "smoothgrad", "gradient"])
def test_draws_gradients(
    nimakit: Command, keras_job: Path, photos: Path, tmp_path: Path, method: str
) -> None:
    """Of a model with Keras weights."""
    given = ("--model", keras_job / "model.onnx", "--output-dir", tmp_path / "out", "--method", method)
    result = nimakit("explain", "--image-source", photos / "a.png", *given)
    assert result.code == 0, result.err
    assert result.records[0]["method"] == method
    assert (tmp_path / "out" / "a_overlay.png").is_file()


def test_limits_the_size_of_pictures(nimakit: Command, job: Path, photos: Path, tmp_path: Path) -> None:
    """Pictures are shrunk in proportion; a smaller photo keeps its size."""
    for side, size in ((30, (30, 20)), (100, (60, 40))):
        given = ("--model", job, "--output-dir", tmp_path / str(side), "--max-side", str(side))
        assert nimakit("explain", "--image-source", photos / "a.png", *given).code == 0
        with Image.open(tmp_path / str(side) / "a_overlay.png") as drawn:
            assert drawn.size == size


def test_draws_a_folder_and_those_below(nimakit: Command, job: Path, photos: Path, tmp_path: Path) -> None:
    """Sub-folders are kept; the record has the explained probability."""
    given = ("--model", job, "--output-dir", tmp_path / "out", "--at-least", 4)
    result = nimakit("explain", "--image-source", photos, "--recursive", *given)
    assert [record["image_id"] for record in result.records] == ["a", "b"]
    assert all(0 < record["probability"] < 1 for record in result.records)
    assert (tmp_path / "out" / "below" / "b_overlay.png").exists()


def test_goes_past_a_broken_photo(nimakit: Command, job: Path, photos: Path, tmp_path: Path) -> None:
    """All others are drawn, and the exit code is 2; names that are not UTF-8 are escaped."""
    (photos / "caf\udce9.jpg").write_bytes(b"no picture")
    result = nimakit("explain", "--image-source", photos, "--model", job, "--output-dir", tmp_path / "out")
    assert result.code == 2
    assert ["error" in record for record in result.records] == [False, True]
    assert result.records[1]["image_id"] == "caf%E9"
    assert "explained 1 of 2 images" in result.err


def test_goes_past_a_photo_whose_pictures_cannot_be_written(
    nimakit: Command, job: Path, photos: Path, tmp_path: Path
) -> None:
    """If one of a photo's pictures cannot be written, none is."""
    long = "a" * 244
    Image.new("RGB", (8, 8)).save(photos / f"{long}.png")
    for name in ("b.png", "c.png"):
        Image.new("RGB", (8, 8)).save(photos / name)
    (tmp_path / "out" / "b_overlay.png").mkdir(parents=True)
    result = nimakit("explain", "--image-source", photos, "--model", job, "--output-dir", tmp_path / "out")
    assert result.code == 2
    assert [record["image_id"] for record in result.records if "error" in record] == [long, "b"]
    assert "explained 2 of 4 images" in result.err
    drawn = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file())
    assert drawn == sorted(f"{name}_{kind}.png" for name in "ac" for kind in KINDS)


def test_refuses_names_that_would_meet(nimakit: Command, job: Path, photos: Path, tmp_path: Path) -> None:
    """Two photos with the same name are refused."""
    Image.new("RGB", (8, 8)).save(photos / "a.jpg")
    result = nimakit("explain", "--image-source", photos, "--model", job, "--output-dir", tmp_path / "out")
    assert result.code == 1
    assert "need different names" in result.err
    assert not (tmp_path / "out").exists()


def test_refuses_a_rating_off_the_scale(nimakit: Command, job: Path, photos: Path, tmp_path: Path) -> None:
    """The error is one sentence, and nothing is written."""
    given = ("--model", job, "--output-dir", tmp_path / "out", "--at-least", 11)
    result = nimakit("explain", "--image-source", photos, *given)
    assert (result.code, result.out) == (1, "")
    assert "Received: 11" in result.err


@pytest.mark.slow
def test_gradients_need_keras_weights(nimakit: Command, photos: Path, job: Path, tmp_path: Path) -> None:
    """Which a model file has not."""
    given = ("--image-source", photos, "--model", job, "--output-dir", tmp_path / "out")
    result = nimakit("explain", *given, "--method", "gradcam")
    assert result.code == 1
    assert "Gradients need the Keras weights" in result.err


def test_hides_parts_of_a_photo(nimakit: Command, photos: Path, job: Path, tmp_path: Path) -> None:
    """Occlusion works with any model, where patches are possible too."""
    given = ("--image-source", photos, "--model", job, "--output-dir", tmp_path / "out")
    assert nimakit("explain", *given, "--method", "occlusion").records[0]["method"] == "occlusion"


def test_says_where_it_could_not_write(nimakit: Command, job: Path, photos: Path, tmp_path: Path) -> None:
    """An output folder that is a file, or in a file, is refused before a model is loaded."""
    (tmp_path / "out").write_text("")
    for folder in (tmp_path / "out", tmp_path / "out" / "below"):
        result = nimakit("explain", "--image-source", photos, "--model", "none", "--output-dir", folder)
        assert result.code == 1
        assert f"must be writable or possible to create. Received: {folder}" in result.err


def test_a_taste_has_no_probabilities(nimakit: Command, job: Path, photos: Path, tmp_path: Path) -> None:
    """--at-least is refused with --user."""
    given = ("--model", job, "--user", tmp_path / "ann.taste", "--at-least", 3)
    result = nimakit("explain", "--image-source", photos / "a.png", *given, "--output-dir", tmp_path / "out")
    assert (result.code, result.out) == (1, "")
    assert "no probabilities of ratings" in result.err
    assert "--at-least 3; leave one of them out" in result.err
    assert not (tmp_path / "out").exists()
