"""`nimakit group`: JSON, a table and a summary."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from made_frames import blurred, picture
from photo_formats import dng
from terminal import Command


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """Two frames of one picture, of which one has a RAW file, another picture, and a broken file."""
    folder = tmp_path / "shoot"
    folder.mkdir()
    picture(1).save(folder / "b.jpg", quality=95)
    (folder / "b.DNG").write_bytes(dng())
    blurred(picture(1)).save(folder / "a.jpg", quality=95)
    Image.new("RGB", (96, 96), "red").save(folder / "c.png")
    (folder / "d.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_groups_are_printed_written_and_summed_up(nimakit: Command, shoot: Path, tiny_file: Path) -> None:
    """The sharp frame first, with its RAW file and the reason; the broken file is listed, code 2."""
    table = shoot.parent / "groups.csv"
    options = ("--model", tiny_file, "--encoder", tiny_file, "--output", table)
    result = nimakit("group", "--images", shoot, *options)
    assert result.code == 2
    found = json.loads(result.out)
    assert [group["kind"] for group in found["groups"]][-1] == "single"
    first = found["groups"][0]["frames"][0]
    assert (first["image"], first["raw"], first["rank"]) == ("b.jpg", "b.DNG", 1)
    assert "sharper than 1 other" in first["reasons"]
    assert list(found["failures"]) == ["d.jpg"]
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["image"] for row in rows] == ["b.jpg", "a.jpg", "c.png"]
    assert rows[0]["group"] == rows[1]["group"] != rows[2]["group"]
    assert "3 photos in 2 groups" in result.err
    assert "likeness only: no photograph has a time" in result.err


@pytest.mark.parametrize("command", [("group",), ("cull", "--keep", "9", "--list", "picks.txt")])
def test_comparisons_replace_the_default_weights(
    nimakit: Command,
    shoot: Path,
    tiny_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    """Of pictures in another folder: who chose the soft frame there gets it here."""
    monkeypatch.chdir(shoot.parent)
    library = shoot.parent / "library" / "2025"
    library.mkdir(parents=True)
    picture(2).save(library / "sharp.jpg", quality=95)
    blurred(picture(2)).save(library / "soft.jpg", quality=95)
    table = Path("pairs.csv")
    table.write_text("left,right,chosen,weight\nsharp,soft,soft,100\nsharp,gone,sharp,1\n", encoding="utf-8")
    options = ("--model", tiny_file, "--encoder", tiny_file, "--comparisons", table)
    result = nimakit(*command, "--images", shoot, *options, "--compared-images", library.parent)
    assert "weights learned from 1 of 2 compared pairs, which are frames of one group" in result.err
    if command == ("group",):
        first = json.loads(result.out)["groups"][0]["frames"][0]["image"]
    else:
        (first,) = {"a.jpg", "b.jpg"} & {*Path("picks.txt").read_text("utf-8").split()}
    assert first == "a.jpg"
    result = nimakit(*command, "--images", shoot, *options)
    assert result.code == 1
    assert "At least one comparison must be of two photographs of one burst" in result.err


def test_a_folder_of_one_picture_is_one_group(nimakit: Command, shoot: Path, tiny_file: Path) -> None:
    """Nothing to rank."""
    result = nimakit("group", "--images", shoot / "c.png", "--model", tiny_file, "--encoder", tiny_file)
    [group] = json.loads(result.out)["groups"]
    assert (result.code, group["kind"], len(group["frames"])) == (0, "single", 1)
