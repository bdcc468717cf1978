"""The command lines of this field's READMEs, with the configs in models/ and the label files of data/AVA."""

import json
import shutil
from pathlib import Path

import pytest

from mobilenet_weights import stand_in_for_technical
from nimakit.jobs import Job
from samples import write_photo
from terminal import Command

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "models").glob("*/config_*_[cg]pu.json"))
TECHNICAL = ROOT / "models" / "MobileNet" / "config_technical_cpu.json"

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture
def ava(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two photos, and the label file of AVA for them."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "data" / "AVA").mkdir(parents=True)
    for name, level in (("953619", 80), ("953958", 200)):
        write_photo(tmp_path / "photos" / f"{name}.jpg", level, (64, 48))
    labels = [
        {"image_id": name, "label": [0, 1, 5, 17, 38, 36, 15, 6, 5, 1]} for name in ("953619", "953958")
    ]
    (tmp_path / "data" / "AVA" / "ava_labels_train.json").write_text(json.dumps(labels), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _arguments(folder: Path, config: Path, images: str) -> list[object]:
    labels = folder / "data" / "AVA" / "ava_labels_train.json"
    return ["--config-file", config, "--samples-file", labels, images, folder / "photos"]


def test_a_technical_config_scores_with_the_technical_model(
    nimakit: Command, ava: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The public model that the config names is used, here from a file put into the cache by hand."""
    stand_in_for_technical(empty_cache, monkeypatch)
    result = nimakit("predict", *_arguments(ava, TECHNICAL, "--image-source"))
    assert result.code == 0, result.err
    assert "with technical on the" in result.err
    assert "2 labelled images" in result.err
    assert [len(record["predictions"]) for record in result.records] == [10, 10]
    assert all("percentile" not in record for record in result.records)
    assert [path.name.partition("-")[0] for path in empty_cache.glob("*.onnx")] == ["technical"]


def test_a_technical_config_never_scores_with_another_model(
    nimakit: Command, ava: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the technical weights there is an error; the aesthetic model is not taken instead."""
    stand_in_for_technical(empty_cache, monkeypatch).unlink()
    result = nimakit("predict", *_arguments(ava, TECHNICAL, "--image-source"))
    assert (result.code, result.out) == (1, "")
    assert "The public weights technical could not be downloaded" in result.err


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_config_prepares_a_job(nimakit: Command, ava: Path, config: Path) -> None:
    """The option --prepare-only takes each of those for large sets, with labels of ten bins."""
    result = nimakit("train", *_arguments(ava, config, "--image-dir"), "--prepare-only")
    assert result.code == 0, result.err
    assert Job(Path(result.out.strip())).run()["status"] == "prepared"


def test_a_missing_label_file_of_ava_is_answered_with_the_command_that_makes_it(
    nimakit: Command, ava: Path
) -> None:
    """By train, once, and by predict."""
    shutil.rmtree(ava / "data")
    for command, images in (("train", "--image-dir"), ("predict", "--image-source")):
        result = nimakit(command, *_arguments(ava, TECHNICAL, images))
        assert (result.code, result.err.count("nimakit data ava AVA.txt --tags-file")) == (1, 1)


def test_the_ensemble_template_names_jobs(nimakit: Command, ava: Path) -> None:
    """The template has two jobs to be filled in, and says so as long as they are not."""
    template = ROOT / "models" / "ensemble_aesthetic.json"
    members = json.loads(template.read_text("utf-8"))["members"]
    assert [Path(member["model"]).parts[:2] for member in members] == 2 * [("..", "train_jobs")]
    result = nimakit("predict", "--image-source", ava / "photos", "--model", template)
    assert result.code == 1
    assert "JOB_OF_MOBILENET_ON_ALL" in result.err


@pytest.mark.slow
def test_a_technical_config_trains(nimakit: Command, ava: Path) -> None:
    """The job, from random weights because those of ImageNet need a network, gives a model that scores."""
    values = json.loads(TECHNICAL.read_text("utf-8"))
    changes = {
        "existing_weights": "random",
        "epochs_train_all": 0,
        "input_size": [32, 32],
        "validation_split": 0,
    }
    config = ava / "config.json"
    config.write_text(json.dumps({**values, **changes}), "utf-8")
    result = nimakit("train", *_arguments(ava, config, "--image-dir"))
    assert result.code == 0, result.err
    model = Job(Path(result.out.strip())).model_file
    scored = nimakit("predict", "--image-source", ava / "photos", "--model", model)
    assert [len(record["predictions"]) for record in scored.records] == [10, 10]
