"""nimakit.commands.data.check: `nimakit data check`."""

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from made_photos import COPIES, made_photo, save
from nimakit.labels.label_file import read_labels, write_labels
from terminal import Command

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures a to f in photos; train.json of a to d, test.json of e and f, with sound labels."""
    for number, name in enumerate("abcdef"):
        save(made_photo(number), tmp_path / "photos" / f"{name}.bmp")
    _write(tmp_path, "train", "abcd")
    _write(tmp_path, "test", "ef")
    return tmp_path


def _write(folder: Path, name: str, images: Sequence[str]) -> None:
    counts = np.random.default_rng(0).integers(2, 9, (len(images), 5))
    write_labels(folder / f"{name}.json", list(images), counts)


def _given(folder: Path) -> tuple[object, ...]:
    return ("data", "check", folder / "train.json", folder / "test.json", "--image-dir", folder / "photos")


def test_clean_data_exit_with_0(nimakit: Command, folder: Path) -> None:
    """Figures on stdout, one sentence on stderr."""
    result = nimakit(*_given(folder))
    assert (result.code, result.err) == (0, "nimakit: problems found: none\n")
    found = json.loads(result.out)
    train, test = (str(folder / name) for name in ("train.json", "test.json"))
    assert (found["problems"], found["files"]) == (0, {train: 4, test: 2})
    assert found["drop"] == {train: [], test: []}
    assert found["labels"][train]["kind"] == "counts"


def test_leaks_are_said_first_and_can_be_filtered_out(nimakit: Command, folder: Path) -> None:
    """With every other problem; what filter leaves is clean."""
    for number, (name, copy) in enumerate(zip("xyz", ("resized", "re-encoded", "mirrored"), strict=True)):
        save(COPIES[copy](made_photo(number)), folder / "photos" / f"{name}.bmp")
    save(Image.new("RGB", (50, 40)), folder / "photos" / "k.png")
    (folder / "photos" / "u.jpg").write_text("no image")
    _write(folder, "train", "abcdkum")
    _write(folder, "test", "efxyz")
    result = nimakit(*_given(folder))
    assert result.code == 2
    found = json.loads(result.out)
    assert sorted(_pairs(found)) == ["ax", "by", "cz"]
    assert found["problems"] == 6
    lines = result.err.splitlines()
    assert lines[0] == "nimakit: the same picture in several files (3):"
    assert "nimakit: missing images (1):" in lines
    assert "nimakit: images that cannot be read (1):" in lines
    assert "nimakit: blank images (1):" in lines
    assert lines[-1] == "nimakit: problems found: 6"
    (folder / "check.json").write_text(result.out, encoding="utf-8")
    output = folder / "clean.json"
    assert (
        nimakit(
            "data", "filter", folder / "train.json", "--drop", folder / "check.json", "--output", output
        ).code
        == 0
    )
    assert read_labels(output).image_ids == ("d",)
    assert nimakit("data", "check", output, folder / "test.json", "--image-dir", folder / "photos").code == 0


def _pairs(found: dict[str, Any]) -> list[str]:
    """The images of each leak in one word."""
    return ["".join(sorted(image["image_id"] for image in leak["images"])) for leak in found["leaks"]]


def test_labels_are_checked_without_images(nimakit: Command, folder: Path) -> None:
    """What is odd is said with the file's name; a problem exits with 2."""
    write_labels(folder / "train.json", ["a", "b"], [[2, 2, 2, 2, 2], [1, 2, 0, 0, 0]])
    given = ("data", "check", folder / "train.json")
    result = nimakit(*given)
    assert result.code == 2
    assert f"{folder / 'train.json'}: images with fewer than 5 ratings" in result.err
    (finding,) = json.loads(result.out)["findings"]
    assert (finding["rule"], finding["problem"], finding["image_ids"]) == ("few_raters", True, ["b"])
    assert nimakit(*given, "--min-raters", 1).code == 0


def test_folders_are_checked_without_labels(nimakit: Command, folder: Path) -> None:
    """Each folder is a set; sub-folders where asked for."""
    save(made_photo(0), folder / "more" / "sub" / "a.bmp")
    save(made_photo(9), folder / "more" / "n.png")
    given = ("data", "check", "--image-dir", folder / "photos", "--image-dir", folder / "more")
    assert nimakit(*given).code == 0
    result = nimakit(*given, "--recursive")
    assert result.code == 2
    (leak,) = json.loads(result.out)["leaks"]
    assert leak["kind"] == "identical"
    assert [image["image_id"] for image in leak["images"]] == ["a.bmp", "sub/a.bmp"]


def test_each_label_file_may_have_a_folder_of_its_own(nimakit: Command, folder: Path) -> None:
    """In their order."""
    save(made_photo(7), folder / "more" / "e.png")
    save(COPIES["grey"](made_photo(1)), folder / "more" / "f.png")
    result = nimakit(*_given(folder), "--image-dir", folder / "more")
    assert result.code == 2
    assert _pairs(json.loads(result.out)) == ["bf"]


def test_the_rows_of_a_manifest_are_checked(nimakit: Command, folder: Path) -> None:
    """By the id column, or else by the file's name; a doubled id and a row without a photo are problems."""
    listing = folder / "list.csv"
    rows = [("a", "a"), ("b", "b"), ("b", "c"), ("other", "d"), ("gone", "gone")]
    listing.write_text("id,image\n" + "".join(f"{key},photos/{name}.bmp\n" for key, name in rows))
    _write(folder, "train", ["a", "b", "d", "gone", "nowhere"])
    arguments = ("data", "check", folder / "train.json", "--image-source", listing)
    result = nimakit(*arguments, "--id-column", "id")
    assert result.code == 2
    found = json.loads(result.out)
    assert [entry["image_id"] for entry in found["missing"]] == ["nowhere"]
    assert [entry["image_id"] for entry in found["unreadable"]] == ["gone"]
    assert [(entry["image_id"], len(entry["paths"])) for entry in found["ambiguous"]] == [("b", 2)]
    assert found["drop"] == {str(folder / "train.json"): ["gone", "nowhere"]}
    by_name = json.loads(nimakit(*arguments).out)
    assert ([entry["image_id"] for entry in by_name["missing"]], by_name["ambiguous"]) == (["nowhere"], [])
    assert "photo" in nimakit(*arguments, "--image-column", "photo").err


def test_tars_and_stores_are_checked(nimakit: Command, folder: Path) -> None:
    """The same picture in a store, in a tar and in a folder is found; what breaks off is listed."""
    store = pytest.importorskip("fsspec").filesystem("memory")
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name in ("a.bmp", "b.bmp"):
            tar.add(folder / "photos" / name, name)
    (folder / "cut.tar").write_bytes((folder / "a.tar").read_bytes()[:-30_000])
    save(COPIES["mirrored"](made_photo(1)), folder / "x.bmp")
    for name in ("photos/a.bmp", "x.bmp"):
        store.pipe_file(f"/check/{Path(name).name}", (folder / name).read_bytes())
    try:
        sources = ("photos", "cut.tar", "memory://check")
        arguments = [str(folder / source) if ":" not in source else source for source in sources]
        result = nimakit("data", "check", *(part for name in arguments for part in ("--images", name)))
        labelled = nimakit("data", "check", folder / "train.json", "--images", folder / "cut.tar")
    finally:
        store.rm("/check", recursive=True)
    assert (result.code, labelled.code) == (2, 2)
    found = json.loads(result.out)
    same = {tuple(image["image_id"] for image in leak["images"]): leak["kind"] for leak in found["leaks"]}
    assert same == {("a.bmp", f"{folder}/cut.tar/a.bmp", "a"): "identical", ("b.bmp", "x"): "near"}
    assert [entry["image_id"] for entry in found["unreadable"]] == [f"{folder}/cut.tar"]
    assert "breaks off after 1 image" in labelled.err
    assert [entry["image_id"] for entry in json.loads(labelled.out)["missing"]] == ["b", "c", "d"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "A check needs LABELS"),
        (("train.json", "./train.json"), "LABELS must be different files"),
        (("train.json", "test.json", "train.json"), "LABELS must be different files"),
        (("train.json", "--image-dir", "photos", "--image-dir", "photos"), "2 sources for 1 label files"),
        (("train.json", "--image-dir", "train.json"), "is a file"),
        (("--image-dir", "gone"), "does not exist"),
        (("gone.json",), "must be a readable file"),
        (("train.json", "--similarity", "0"), "--similarity"),
    ],
)
def test_refuses_what_cannot_be_checked(
    nimakit: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    """A sentence, and exit code 1."""
    monkeypatch.chdir(folder)
    result = nimakit("data", "check", *arguments)
    assert (result.code, result.out) == (1, "")
    assert message in result.err
