"""`nimakit compare`: models and configs of heads side by side."""

import json
import shutil
from pathlib import Path

import pytest

from small_encoders import write_encoder
from small_jobs import COUNT, write_labels, write_photographs
from terminal import Command

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, labels, the config of a head, and groups of pairs."""
    folder = tmp_path_factory.mktemp("compare")
    names = write_photographs(folder / "photographs")
    write_labels(folder / "labels.json", names)
    encoder = write_encoder(folder / "encoder.onnx")
    config = {"head_only": True, "encoders": [{"name": str(encoder)}]}
    (folder / "config_head.json").write_text(json.dumps(config), encoding="utf-8")
    rows = [f"{name},{number // 2}" for number, name in enumerate(names)]
    (folder / "groups.csv").write_text("\n".join(["image_id,group", *rows]), encoding="utf-8")
    return folder


def _options(folder: Path) -> list[object]:
    return ["--samples-file", folder / "labels.json", "--image-source", folder / "photographs"]


def test_compares_a_config_and_a_model(
    nimakit: Command, folder: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """A row for each, with intervals; the JSON file has all figures and differences."""
    output = tmp_path / "comparison.json"
    result = nimakit(
        *("compare", *_options(folder), "--config-file", folder / "config_head.json", "--model", tiny_file),
        *("--folds", 4, "--groups", folder / "groups.csv", "--tta", "--average"),
        *("--output", output, "--report", tmp_path / "report.html"),
    )
    assert result.code == 0, result.err
    table = result.out.splitlines()
    assert table[0].split()[:3] == ["CANDIDATE", "SRCC", "PLCC"]
    assert table[0].split()[-3:] == ["FOLDS", "MS", "HEAD"]
    assert table[1].startswith(f"{folder.name}/config_head")
    assert f"{COUNT} images" in table[4]
    values = json.loads(output.read_text("utf-8"))
    head, model, average = values["rows"]
    best = next(row for row in values["rows"] if row["name"] == values["best"])
    others = [row for row in values["rows"] if row is not best]
    assert all(row["figures"]["srcc"]["value"] <= best["figures"]["srcc"]["value"] for row in others)
    assert all(row["differences"]["srcc"]["value"] <= 0 for row in others)
    assert best["differences"]["srcc"]["value"] == 0
    assert head["figures"]["srcc"]["value"] > 0.9
    assert head["figures"]["srcc"]["low"] <= head["figures"]["srcc"]["value"]
    assert len(head["folds"]) == len(model["folds"]) == 4
    assert head["cost"]["head"] > 0
    assert (model["cost"]["head"], average["cost"]) == (None, None)
    assert (values["tta"], values["groups"]) == ("flips", COUNT // 2)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert f"{values['best']} is the best" in page.replace("<wbr>", "")


def test_a_model_that_was_trained_on_the_images_is_noted(
    nimakit: Command, folder: Path, tiny_file: Path, tmp_path: Path
) -> None:
    """Its figures say little about other images."""
    job, output = tmp_path / "job", tmp_path / "comparison.json"
    job.mkdir()
    shutil.copy(tiny_file, job / "model.onnx")
    names = [sample["image_id"] for sample in json.loads((folder / "labels.json").read_text("utf-8"))]
    (job / "split.json").write_text(json.dumps({"training": names[:3], "validation": []}), "utf-8")
    result = nimakit("compare", *_options(folder), "--model", job, "--model", tiny_file, "--output", output)
    assert result.code == 0, result.err
    note = f"{job} was trained on 3 of the {COUNT} images: expect lower figures on other images."
    assert result.out.splitlines()[-1] == note
    assert json.loads(output.read_text("utf-8"))["notes"] == [note]


def test_an_image_that_cannot_be_read_is_left_out_of_all(
    nimakit: Command, folder: Path, tmp_path: Path, tiny_file: Path
) -> None:
    """It is reported once, and the exit code says so."""
    names = write_photographs(tmp_path / "photographs")
    write_labels(tmp_path / "labels.json", [*names, "missing"])
    (tmp_path / "photographs" / "p05.jpg").write_bytes(b"broken")
    result = nimakit("compare", *_options(tmp_path), "--config-file", folder / "config_head.json")
    assert result.code == 2
    assert f"{COUNT - 1} images" in result.out
    assert "2 images are left out" in result.err
    assert "p05" in result.err


def test_compares_only_on_chosen_folds(nimakit: Command, folder: Path, tmp_path: Path) -> None:
    """Each image is still predicted by a head that learned from all other folds."""
    output = tmp_path / "comparison.json"
    options = [*_options(folder), "--config-file", folder / "config_head.json", "--output", output]
    result = nimakit("compare", *options, "--folds", 4, "--only-fold", 2, "--only-fold", 4)
    assert result.code == 0, result.err
    values = json.loads(output.read_text("utf-8"))
    assert values["images"] == COUNT // 2
    assert [value is None for value in values["rows"][0]["folds"]] == [True, False, True, False]
    result = nimakit("compare", *options, "--only-fold", 6)
    assert (result.code, "from 1 to 5" in result.err) == (1, True)


def test_refuses_what_cannot_be_compared(nimakit: Command, folder: Path) -> None:
    """Nothing; or heads on crops, whose features are not kept."""
    assert nimakit("compare", *_options(folder)).code == 1
    head = ("--config-file", folder / "config_head.json")
    result = nimakit("compare", *_options(folder), *head, "--tta", "crops")
    assert (result.code, "--tta flips or none" in result.err) == (1, True)
