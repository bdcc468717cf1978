"""nimakit.scoring.feature_rows: `nimakit features` with manifests, stores and Parquet."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.models.encoders import load_encoder
from samples import write_photo
from small_encoders import WIDTH, write_encoder
from terminal import Command

pytestmark = pytest.mark.usefixtures("empty_cache")

parquet = pytest.importorskip("pyarrow.parquet")
fsspec = pytest.importorskip("fsspec")

STORED = "memory://features-test"
LABEL = "tiny encoder@16x16"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, four photographs and a file that is none."""
    folder = tmp_path_factory.mktemp("rows")
    for level in range(4):
        write_photo(folder / f"{level}.png", 50 * level)
    (folder / "text.jpg").write_text("no image", encoding="utf-8")
    write_encoder(folder / "e.onnx")
    return folder


@pytest.fixture
def stored(folder: Path) -> Iterator[str]:
    """A store with a manifest that has rows of the store and of this machine."""
    store = fsspec.filesystem("memory")
    for level in range(2):
        store.pipe_file(f"/features-test/{level}.png", (folder / f"{level}.png").read_bytes())
    places = ["0.png", "1.png", *(str(folder / name) for name in ("2.png", "text.jpg", "3.png"))]
    rows = [f"{name},{place}" for name, place in zip("abcde", places, strict=True)]
    store.pipe_file("/features-test/list.csv", "\n".join(["id,image", *rows]).encode())
    yield f"{STORED}/list.csv"
    store.rm("/features-test", recursive=True)


def _rows(place: str) -> list[dict[str, Any]]:
    store, path = fsspec.core.url_to_fs(place)
    parts = sorted(store.glob(f"{path.rstrip('/')}/*.parquet"))
    rows = []
    for part in parts:
        with store.open(part) as stream:
            rows += parquet.read_table(stream).to_pylist()
    return rows


def test_rows_of_a_manifest_in_a_store(nimakit: Command, folder: Path, stored: str) -> None:
    """A list for each encoder and view, equal to what the encoder gives; errors are rows; any place works."""
    encoder = load_encoder(folder / "e.onnx")
    output = f"{STORED}/out/"
    arguments = ["--encoder", folder / "e.onnx", "--encoder", f"{folder / 'e.onnx'}@24x32", "--mirrored"]
    done = nimakit("features", "--image-source", stored, "--id-column", "id", *arguments, "--output", output)
    summary = json.loads(done.out)
    assert (done.code, summary["images"], summary["failed"]) == (2, 4, 1)
    rows = _rows(output)
    assert [row["id"] for row in rows] == list("abcde")
    labels = [LABEL, "tiny encoder@24x32"]
    assert list(rows[0]) == [
        "id",
        *(f"{name}{view}" for name in labels for view in ("", " mirrored")),
        "error",
    ]
    assert rows[3][LABEL] is None
    assert "must be an image" in str(rows[3]["error"])
    for row, level in ((rows[1], 1), (rows[4], 3)):
        grey = np.full((1, 24, 32, 3), 50 * level, np.uint8)
        np.testing.assert_allclose(
            [row["tiny encoder@24x32 mirrored"]], encoder.at((24, 32)).encode(grey), atol=1e-5
        )
        assert len(row[LABEL]) == WIDTH


def test_resumes_with_the_same_encoders_only(nimakit: Command, folder: Path, tmp_path: Path) -> None:
    """Rows that are there are left out; another encoder is refused, and so is an output that exists."""
    listing, output = tmp_path / "list.txt", f"{tmp_path}/parts/"
    listing.write_text(f"{folder}/0.png\n{folder}/1.png\n", encoding="utf-8")
    arguments = ["features", "--image-source", listing, "--output", output]
    assert nimakit(*arguments, "--encoder", folder / "e.onnx").code == 0
    listing.write_text(f"{folder}/0.png\n{folder}/1.png\n{folder}/2.png\n", encoding="utf-8")
    assert "Add --resume" in nimakit(*arguments, "--encoder", folder / "e.onnx").err
    other = nimakit(*arguments, "--resume", "--encoder", f"{folder / 'e.onnx'}@32x32")
    assert (other.code, len(_rows(output))) == (1, 2)
    assert "must be resumed with the model and the settings" in other.err
    done = nimakit(*arguments, "--resume", "--encoder", folder / "e.onnx")
    assert json.loads(done.out)["finished_before"] == 2
    assert [row["id"] for row in _rows(output)] == [f"{folder}/{level}.png" for level in range(3)]
    about = json.loads(parquet.read_schema(next(Path(output).iterdir())).metadata[b"nimakit"])
    assert about["encoders"][LABEL] == json.loads(load_encoder(folder / "e.onnx").identity)
    assert about["views"] == ["original"]


def test_a_folder_becomes_one_file(nimakit: Command, folder: Path, tmp_path: Path) -> None:
    """With the ids of its files; features of files of this machine are kept."""
    config = tmp_path / "head.json"
    config.write_text(
        json.dumps({"head_only": True, "encoders": [{"name": str(folder / "e.onnx")}]}), "utf-8"
    )
    arguments = ["features", "--image-source", folder, "--config-file", config]
    assert nimakit(*arguments, "--output", tmp_path / "f.parquet").code == 2
    table = parquet.read_table(tmp_path / "f.parquet")
    assert table.column_names == ["id", LABEL, f"{LABEL} mirrored", "error"]
    assert table.column("id").to_pylist() == ["0", "1", "2", "3", "text"]
    assert json.loads(nimakit(*arguments).out)["computed"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "0/2"], "need an --output"),
        (["--shard", "0/2", "--output", "f.npz"], "must end in .parquet"),
        (["--resume", "--output", "f.parquet"], "a folder of Parquet parts"),
        (["--output", "f.parquet", "--samples-file", "labels.json"], "--samples-file needs all"),
        (
            ["--output", "f.parquet", "--encoder", "e.onnx", "--config-file", "head.json"],
            "the config of a head",
        ),
    ],
)
def test_refuses_before_the_work(
    nimakit: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """With what to do; nothing is written."""
    monkeypatch.chdir(folder)
    Path("head.json").write_text('{"head_only": true, "encoders": [{"name": "e.onnx"}]}', "utf-8")
    done = nimakit("features", "--image-source", folder, *arguments)
    assert done.code == 1
    assert message in done.err
    assert not list(folder.glob("f.*"))
