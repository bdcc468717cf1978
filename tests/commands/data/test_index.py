"""nimakit.commands.data.index: `nimakit data index`."""

import json
from pathlib import Path

from PIL import Image

from samples import write_photo
from terminal import Command


def _folder(folder: Path) -> Path:
    (folder / "sub" / "two").mkdir(parents=True)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    write_photo(folder / "a.jpg", exif=exif)
    write_photo(folder / "sub" / "two" / "b.png")
    return folder


def test_lists_the_whole_tree(nimakit: Command, tmp_path: Path) -> None:
    """As a JSON array or a line each, with the same entries."""
    folder = _folder(tmp_path / "photos")
    for suffix in (".json", ".jsonl"):
        output = tmp_path / f"images{suffix}"
        result = nimakit("data", "index", folder, "--output", output)
        assert result.code == 0, result.err
        text = output.read_text("utf-8")
        entries = json.loads(text) if suffix == ".json" else [json.loads(line) for line in text.splitlines()]
        assert [entry["path"] for entry in entries] == ["a.jpg", "sub/two/b.png"]
        summary = json.loads(result.out)
        assert (summary["images"], summary["unreadable"], summary["with_time"]) == (2, 0, 1)
        assert summary["bytes"] == sum(path.stat().st_size for path in folder.rglob("*.*g"))


def test_an_index_serves_to_split_by_time(nimakit: Command, tmp_path: Path) -> None:
    """The .jsonl is a table as split takes it."""
    folder = _folder(tmp_path / "photos")
    nimakit("data", "index", folder, "--output", tmp_path / "images.jsonl")
    labels = tmp_path / "labels.json"
    labels.write_text('[{"image_id": "a"}]', encoding="utf-8")
    result = nimakit("data", "split", labels, "--table", tmp_path / "images.jsonl", "--time-column", "taken")
    assert "line 2: taken must not be empty" in result.err
    result = nimakit(
        "data", "split", labels, "--table", tmp_path / "images.jsonl", "--time-column", "taken", "--skip-bad"
    )
    assert "none for 'test', of 1 images" in result.err


def test_an_unreadable_image_is_listed_with_its_error(nimakit: Command, tmp_path: Path) -> None:
    """The exit code is 2, and all others are described."""
    folder = _folder(tmp_path / "photos")
    (folder / "x.jpg").write_text("no image")
    result = nimakit("data", "index", folder, "--output", tmp_path / "images.json")
    assert (result.code, json.loads(result.out)["unreadable"]) == (2, 1)
    assert "its content is none of these" in result.err
    entries = json.loads((tmp_path / "images.json").read_text("utf-8"))
    assert ["error" in entry for entry in entries] == [False, True, False]


def test_refuses_what_is_no_folder_and_an_output_of_another_kind(nimakit: Command, tmp_path: Path) -> None:
    """And an empty folder."""
    folder = _folder(tmp_path / "photos")
    (tmp_path / "empty").mkdir()
    for given, output, message in (
        (folder / "a.jpg", "images.json", "is a file"),
        (folder, "images.csv", "end in .json, .jsonl"),
        (tmp_path / "empty", "images.json", "must contain an image file"),
    ):
        result = nimakit("data", "index", given, "--output", tmp_path / output)
        assert (result.code, (tmp_path / output).exists()) == (1, False)
        assert message in result.err
