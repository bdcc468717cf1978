"""nimakit.commands.models: `nimakit models`."""

from pathlib import Path

import pytest

from samples import metadata, write_model
from terminal import Command


def test_prints_a_table(nimakit: Command, tmp_path: Path) -> None:
    """A table with a line per model, and problems below it."""
    write_model(tmp_path / "good.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"")
    result = nimakit("models", tmp_path)
    assert (result.code, result.err) == (0, "")
    head, *public, bad, good, problem = result.out.splitlines()
    assert head.startswith("MODEL ")
    assert [line.split()[0] for line in public] == ["aesthetic", "technical"]
    assert bad.split()[:2] == [str(tmp_path / "bad.onnx"), "damaged"]
    assert good.index("file") == bad.index("damaged") == head.index("STATUS")
    assert problem.startswith(f"{tmp_path / 'bad.onnx'}: The file must be a valid ONNX model.")


def test_metadata_does_not_steer_the_terminal(nimakit: Command, tmp_path: Path) -> None:
    """Control characters in file names and metadata are escaped."""
    write_model(tmp_path / "m\x1b[2J.onnx", metadata(name="\x1b]0;a\x07", reference="\x9b2J"))
    result = nimakit("models", tmp_path)
    assert not set(result.out) & {"\x1b", "\x07", "\x9b"}
    assert r"m\x1b[2J.onnx" in result.out


def test_prints_json(nimakit: Command, tmp_path: Path) -> None:
    """--json prints everything."""
    write_model(tmp_path / "m.onnx")
    *_, entry = nimakit("models", "--json", tmp_path).records
    assert entry["model"] == str(tmp_path / "m.onnx")
    assert (entry["bins"][0], entry["input_size"], entry["metrics"]) == (1, [8, 8], {})


def test_looks_where_models_usually_are(
    nimakit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default models and train_jobs are searched if they exist."""
    monkeypatch.chdir(tmp_path)
    public = len(nimakit("models", "--json").records)
    for folder in ("models", "train_jobs"):
        (tmp_path / folder).mkdir()
        write_model(tmp_path / folder / "m.onnx")
    found = nimakit("models", "--json").records
    assert [Path(entry["model"]).as_posix() for entry in found[public:]] == [
        "models/m.onnx",
        "train_jobs/m.onnx",
    ]


def test_ends_with_1_on_a_missing_folder(nimakit: Command) -> None:
    """Stdout is empty."""
    result = nimakit("models", "nowhere")
    assert (result.code, result.out) == (1, "")
    assert "Received: nowhere" in result.err
