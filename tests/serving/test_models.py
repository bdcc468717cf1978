"""nimakit.serving.models: loading and finding served models."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nimakit.errors import ModelError, UnknownModelError
from nimakit.models import loading, session
from nimakit.models.engine import Model
from nimakit.models.names import ModelSource
from nimakit.serving.models import Models, load_models
from nimakit.serving.settings import Settings
from samples import metadata, write_endless_model, write_model


def _load(*sources: tuple[str, Path | str], said: list[str] | None = None) -> Models:
    models = tuple(ModelSource(name=name, model=str(model)) for name, model in sources)
    heard: list[str] = [] if said is None else said
    return load_models(Settings(models=models), notify=heard.append)


def _names(models: Sequence[dict[str, object]]) -> list[object]:
    return [model["name"] for model in models]


def test_the_first_is_the_default(tiny_file: Path, score_file: Path) -> None:
    """Models keep their order."""
    models = _load(("one", score_file), ("two", tiny_file))
    assert models.default == "one"
    assert _names([model.summary() for model in models]) == ["one", "two"]


def test_an_ensemble_is_a_model(tiny_file: Path, tmp_path: Path) -> None:
    """Its details name its members and their weights."""
    members = [{"model": str(tiny_file), "weight": 3}, {"model": str(tiny_file)}]
    path = tmp_path / "both.json"
    path.write_text(json.dumps({"name": "both of them", "members": members}), "utf-8")
    details = _load(("both", path)).find("both").details()
    assert (details["name"], details["ready"]) == ("both", True)
    assert [member["weight"] for member in details["members"]] == [3, 1]


def test_details_are_the_metadata_of_the_file(tiny_file: Path) -> None:
    """Bins, preprocessing, reference quantiles, and what it was trained on."""
    details = _load(("tiny", tiny_file)).find("tiny").details()
    assert details["bins"] == list(range(1, 11))
    assert details["reference_quantiles"] == [4.0, 5.5, 7.0]
    assert details["reference"] == "scores of a test"
    [member] = details["members"]
    assert (member["input_size"], member["resize_filter"], member["fit"]) == ([8, 8], "nearest", "squash")
    assert member["decode"] == "full"
    assert member["head"] == "histogram"
    json.dumps(details)


def test_an_unknown_name_is_refused_with_the_known_ones(tiny_file: Path) -> None:
    """A long name is not repeated whole."""
    models = _load(("tiny", tiny_file))
    with pytest.raises(UnknownModelError, match=r"one of tiny\. Received: 'other'"):
        models.find("other")
    with pytest.raises(UnknownModelError) as raised:
        models.find(5000 * "x")
    assert len(str(raised.value)) < 300


def _damage(path: Path, old: bytes, new: bytes) -> Path:
    """Overwrite the last of some bytes of a file; its length stays."""
    content = path.read_bytes()
    at = content.rindex(old)
    path.write_bytes(content[:at] + new + content[at + len(new) :])
    return path


def _broken(folder: Path) -> dict[str, Path]:
    """Model files that cannot be served, each in its own way."""
    (folder / "text.onnx").write_text("no model", "utf-8")
    (folder / "ensemble.json").write_text(json.dumps({"members": [{"model": "gone.onnx"}]}), "utf-8")
    (folder / "syntax.json").write_text("{", "utf-8")
    (folder / "folder.onnx").mkdir()
    return {
        "missing": folder / "missing.onnx",
        "text": folder / "text.onnx",
        "folder": folder / "folder.onnx",
        "bare": write_model(folder / "bare.onnx", written=None),
        "columns": write_model(folder / "columns.onnx", columns=7),
        "damaged": _damage(write_model(folder / "damaged.onnx"), b"features", b"Features"),
        "binary": _damage(write_model(folder / "binary.onnx"), b'"format_version', b"\xff\xff"),
        "deep": write_model(folder / "deep.onnx", written=100_000 * "["),
        "digits": write_model(folder / "digits.onnx", written=f'{{"format_version": {5000 * "1"}}}'),
        "huge": write_model(folder / "huge.onnx", metadata(bins=(-1e308, 1e308))),
        "endless": write_endless_model(folder / "endless.onnx"),
        "nan": write_model(folder / "nan.onnx", metadata(name="nan"), gain=float("nan")),
        "ensemble": folder / "ensemble.json",
        "syntax": folder / "syntax.json",
    }


@pytest.mark.parametrize(
    "name",
    [
        "missing",
        "text",
        "folder",
        "bare",
        "columns",
        "damaged",
        "binary",
        "deep",
        "digits",
        "huge",
        "endless",
        "nan",
        "ensemble",
        "syntax",
    ],
)
def test_a_broken_model_keeps_its_name_and_says_why_without_a_path(
    tiny_file: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are served; whoever asks is told what is wrong, not where the file lies."""
    monkeypatch.setattr(session, "_SECONDS_PER_IMAGE", 1.0)
    said: list[str] = []
    models = _load(("broken", _broken(tmp_path)[name]), ("tiny", tiny_file), said=said)
    broken = models.find("broken")
    assert not broken.is_ready
    assert models.find("tiny").is_ready
    assert len(broken.problem) > 20
    assert str(tmp_path) not in broken.problem
    assert "/" not in broken.problem.replace("docs/models.md", "")
    assert broken.details() == {"name": "broken", "ready": False, "problem": broken.problem}
    assert said == [f"model broken is not served: {broken.problem}"]


def test_a_model_that_fails_in_a_way_nobody_foresaw_stops_no_other(
    tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries meet crafted files with whatever comes."""
    load = loading.load_model

    def fail(name: str, **options: Any) -> Model:
        if name == "odd.onnx":
            raise RecursionError("in /some/folder/of.ours")
        return load(name, **options)

    monkeypatch.setattr(loading, "load_model", fail)
    models = _load(("odd", "odd.onnx"), ("tiny", tiny_file))
    assert models.find("odd").problem == "It cannot be used: in of.ours"
    assert models.find("tiny").is_ready


def test_paths_are_left_out_however_they_were_written(
    tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths and links too."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "text.onnx").write_text("no model", "utf-8")
    (tmp_path / "link").symlink_to("deep")
    monkeypatch.chdir(tmp_path)
    for path in ("deep/text.onnx", "link/text.onnx", "./deep/../deep/text.onnx"):
        problem = _load(("broken", path), ("tiny", tiny_file)).find("broken").problem
        assert "text.onnx" in problem
        assert "deep" not in problem


def test_refuses_to_start_without_any_model_that_works(tmp_path: Path) -> None:
    """Every one says why."""
    with pytest.raises(ModelError, match=r"at least one model that works.*a: .*; b: "):
        _load(("a", tmp_path / "a.onnx"), ("b", tmp_path / "b.onnx"))
