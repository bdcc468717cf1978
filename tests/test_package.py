"""The functions of `nimakit` itself, and how little importing it loads."""

import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nimakit
from nimakit.errors import ModelError, UsageError
from nimakit.models import loading

ROOT = Path(__file__).parent.parent
AVA = ROOT.parent / "shared" / "data" / "ava" / "images"
SAMPLES = sorted(p for p in (ROOT / "data" / "samples").iterdir() if p.suffix != ".md")
REFERENCE = [("42039", 5.15448, 1.40392), ("42041", 5.45040, 1.43002)]

with_ava = pytest.mark.skipif(not AVA.is_dir(), reason="../shared/data/ava/images is not here")


def _python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_importing_takes_under_a_fifth_of_a_second() -> None:
    """The median of several fresh imports, the interpreter's own start left out."""
    code = "import time; t = time.perf_counter(); import nimakit; print(time.perf_counter() - t)"
    assert statistics.median(float(_python(code)) for _ in range(5)) < 0.2


@pytest.mark.parametrize("module", ["nimakit", "nimakit.cli"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    """Neither the package nor its command line loads NumPy, Pillow, ONNX Runtime or TensorFlow."""
    heavy = {"numpy", "PIL", "onnxruntime", "tensorflow", "keras", "scipy", "jinja2"}
    loaded = _python(f"import sys, {module}; print(*sys.modules)").split()
    assert heavy & set(loaded) == set()


def test_exports_its_public_names() -> None:
    """Every name of __all__ is there; a misspelt one is an AttributeError."""
    from nimakit.models import engine

    assert all(callable(getattr(nimakit, name)) for name in nimakit.__all__)
    assert (nimakit.Scorer, nimakit.load_weights) == (engine.Scorer, loading.load_weights)
    with pytest.raises(AttributeError, match="has no attribute 'Scorers'"):
        nimakit.Scorers  # type: ignore[attr-defined]  # noqa: B018


def test_scoring_loads_no_tensorflow(tiny_file: Path) -> None:
    """A model file is scored without TensorFlow, Keras or SciPy."""
    code = (
        "import sys, nimakit, numpy;"
        f"nimakit.predict(numpy.zeros((4, 4, 3), 'uint8'), model={str(tiny_file)!r});"
        "print(*sys.modules)"
    )
    assert {"tensorflow", "keras", "onnx", "scipy"} & set(_python(code).split()) == set()


def test_scoring_tells_nobody(tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime's telemetry is off: it makes no device id and stores no events."""
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    _python(
        f"import nimakit, numpy; nimakit.predict(numpy.zeros((4, 4, 3), 'uint8'), model={str(tiny_file)!r})"
    )
    assert list(tmp_path.iterdir()) == []


def test_loads_a_model_once_a_process(tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call with the same model loads nothing."""
    monkeypatch.setattr(nimakit, "_loaded", {})
    photo = np.full((4, 4, 3), 99, np.uint8)
    [first] = nimakit.predict(photo, model=tiny_file)
    monkeypatch.setattr(loading, "load_model", None)
    [second] = nimakit.predict(photo, model=str(tiny_file))
    np.testing.assert_array_equal(first, second)


def test_rejects_a_model_nobody_has() -> None:
    """The message names the public ones."""
    with pytest.raises(ModelError, match=r"a public one \(aesthetic, technical\).*Received: anaesthetic"):
        nimakit.load_model("anaesthetic")


@with_ava
@pytest.mark.parametrize(("name", "mean", "sd"), REFERENCE)
def test_gives_the_reference_scores(public_model: Path, name: str, mean: float, sd: float) -> None:
    """The public weights score the published examples as published."""
    [record] = nimakit.predict(AVA / f"{name}.jpg", augmented=True)
    assert record["mean_score_prediction"] == pytest.approx(mean, abs=1e-3)
    assert record["sd_score_prediction"] == pytest.approx(sd, abs=1e-3)


@with_ava
def test_gives_the_reference_scores_for_pictures_in_memory(public_model: Path) -> None:
    """An array, bytes and a Pillow image score as the file does."""
    path = AVA / "42039.jpg"
    with Image.open(path) as picture:
        rows = nimakit.predict([np.asarray(picture), path.read_bytes(), picture.copy()])
    means = [float(row @ np.arange(1, 11)) for row in rows]
    assert means == pytest.approx([5.15448] * 3, abs=1e-3)


def test_scores_every_sample(public_model: Path) -> None:
    """Each sample gets a distribution, a mean on the scale and a percentile."""
    records = nimakit.predict(SAMPLES, augmented=True)
    assert len(records) == len(SAMPLES) > 10
    for record in records:
        assert "error" not in record
        assert 1 < record["mean_score_prediction"] < 10
        assert 0 < record["percentile"] < 100
        assert sum(record["predictions"]) == pytest.approx(1, abs=1e-5)


def test_likes_a_sample_better_than_its_spoilt_copy(public_model: Path) -> None:
    """Blur and underexposure cost points."""
    means = {
        path.stem: record["mean_score_prediction"]
        for path, record in zip(SAMPLES, nimakit.predict(SAMPLES, augmented=True), strict=True)
    }
    assert means["otter"] > means["otter_blurred"]
    assert means["landscape"] > means["landscape_underexposed"]


def test_gives_a_sample_its_score(public_model: Path) -> None:
    """A committed photograph has the score it had when the published ones were checked."""
    [record] = nimakit.predict(ROOT / "data" / "samples" / "portrait.jpg", augmented=True)
    assert record["mean_score_prediction"] == pytest.approx(5.192052, abs=1e-3)
    assert record["percentile"] == pytest.approx(39.21, abs=0.1)


def test_loads_a_file_anew_where_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_file: Path, public_model: Path
) -> None:
    """The same relative path in another folder is another model."""
    names = []
    for folder, model in (("one", tiny_file), ("two", public_model)):
        (tmp_path / folder).mkdir()
        shutil.copy(model, tmp_path / folder / "m.onnx")
        monkeypatch.chdir(tmp_path / folder)
        [row] = nimakit.predict(ROOT / "data" / "samples" / "coffee.jpg", model="m.onnx")
        names.append(row.tolist())
    assert names[0] != names[1]


def test_expands_folders_in_lists(tmp_path: Path, tiny_file: Path) -> None:
    """A folder means the images in it, on its own and in a list."""
    shutil.copy(ROOT / "data" / "samples" / "coffee.jpg", tmp_path / "a.jpg")
    alone = nimakit.predict(tmp_path, model=tiny_file)
    listed = nimakit.predict([tmp_path, bytearray((tmp_path / "a.jpg").read_bytes())], model=tiny_file)
    assert [row.tolist() for row in listed] == [alone[0].tolist()] * 2


def test_rejects_an_unknown_augmentation(tiny_file: Path) -> None:
    """A typo is not taken for another augmentation."""
    with pytest.raises(UsageError, match="none, flips, crops"):
        nimakit.predict("x.jpg", model=tiny_file, tta="crop")  # type: ignore[arg-type]
