"""The models and encoders that settings offer."""

import json
from pathlib import Path

import pytest

from nimakit.models import catalogue
from nimakit.web.collections import model_choices
from nimakit.web.collections.model_choices import ModelChoices
from web.study import Study


@pytest.fixture
def folder(tmp_path: Path, tiny_file: Path) -> Path:
    """A folder with a trained model, whose metrics are known, and a damaged one."""
    (tmp_path / "jobs" / "first").mkdir(parents=True)
    (tmp_path / "jobs" / "first" / "model.onnx").write_bytes(tiny_file.read_bytes())
    metrics = '{"test": {"images": 100, "emd": 0.1, "srcc_mean": 0.714}}'
    (tmp_path / "jobs" / "first" / "metrics.json").write_text(metrics)
    (tmp_path / "jobs" / "damaged.onnx").write_bytes(b"no model")
    return tmp_path / "jobs"


def test_public_models_and_files_are_offered(folder: Path) -> None:
    """Files with how well they predict, and why one cannot be chosen."""
    found = ModelChoices([folder, folder / "nowhere"]).find()
    damaged, good = found["model"][-2:]
    assert [choice["value"] for choice in found["model"][:-2]] == ["aesthetic", "technical"]
    assert good == {
        "value": str(folder / "first" / "model.onnx"),
        "label": "jobs/first/model.onnx, SRCC 0.71 (test)",
        "problem": "",
    }
    assert damaged["label"] == "jobs/damaged.onnx"
    assert damaged["problem"]
    assert "efficientnet-lite0, public" in [choice["label"] for choice in found["encoder"]]


def test_a_file_is_read_again_only_when_it_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model to check it takes a while."""
    read: list[Path] = []

    def count(path: Path) -> catalogue.CatalogueEntry:
        read.append(path)
        return catalogue.read_file(path)

    monkeypatch.setattr(model_choices, "read_file", count)
    choices = ModelChoices([folder])
    assert choices.find() == choices.find()
    assert len(read) == 2
    (folder / "damaged.onnx").write_bytes(b"still no model")
    choices.find()
    assert len(read) == 3


def test_ensembles_are_offered(folder: Path) -> None:
    """With their members, and the reason if one of these cannot be used; other .json files are left out."""
    for name, members in {"good": ["aesthetic", "first"], "bad": ["damaged.onnx", "nowhere"]}.items():
        (folder / f"{name}.json").write_text(json.dumps({"members": [{"model": one} for one in members]}))
    (folder / "broken.json").write_text('{"members": []}')
    (folder / "labels.json").write_text("[]")
    bad, broken, good = ModelChoices([folder]).find()["model"][-3:]
    assert good == {
        "value": str(folder / "good.json"),
        "label": "jobs/good.json, ensemble of aesthetic + first",
        "problem": "",
    }
    assert "one or more members" in broken["problem"]
    assert "valid ONNX" in bad["problem"]
    assert "Received: nowhere." in bad["problem"]


def test_only_the_admin_sees_them(study: Study) -> None:
    """They name files of the machine."""
    assert study.rater().get("/collections/models").status_code == 403
    assert [*study.visitor().get_json("/collections/models")] == ["encoder", "model"]
