"""nimakit.commands.enhance: `nimakit enhance`."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from nimakit.enhance.adjustments import Adjustments, read_sidecar, write_sidecar
from nimakit.io.atomic import atomic_bytes, output_errors
from samples import random_pixels
from terminal import Command, Result

pytestmark = [
    pytest.mark.slow,  # the command imports TensorFlow
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def _small_backbone() -> Iterator[None]:
    import small_backbone

    with small_backbone.registered():
        yield


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job folder."""
    from small_models import write_job

    return write_job(tmp_path_factory.mktemp("jobs") / "2026_01_02_03_04_05")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo in a folder of its own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    forms = Image.fromarray(random_pixels(5, 7)).resize((140, 100), Image.Resampling.BICUBIC)
    forms.save(folder / "a.jpg")
    return folder / "a.jpg"


@pytest.fixture
def enhance(nimakit: Command, job: Path, photo: Path) -> Command:
    """Runs `nimakit enhance` on the photo."""

    def run(target: Path, *arguments: Any, source: Path = photo) -> Result:
        given = ("--image-source", source, "--output", target)
        network = () if "--apply" in arguments else ("--network", job)
        return nimakit("enhance", *given, *network, *arguments)

    return run


@pytest.fixture
def edit(tmp_path: Path) -> Path:
    """The sidecar of an earlier edit."""
    path = tmp_path / "earlier.edit.json"
    write_sidecar(path, Adjustments(exposure=0.5, crop=(0.0, 0.0, 0.5, 1.0)), {})
    return path


def test_edits_a_photo(enhance: Command, job: Path, tmp_path: Path, tiny_file: Path) -> None:
    """The network scores it higher; values and the judge's scores are on stdout and next to the result."""
    result = enhance(tmp_path / "out.png", "--judge", tiny_file, "--report", tmp_path / "sheet.html")
    assert result.code == 0, result.err
    [record] = result.records
    own, judge = record["scores"]
    assert (own["model"], own["took_part"], judge["model"], judge["took_part"]) == (
        job.name,
        True,
        "tiny",
        False,
    )
    assert own["after"] > own["before"]
    assert read_sidecar(tmp_path / "out.edit.json").to_dict() == record["adjustments"]
    assert (tmp_path / "sheet.html").read_text("utf-8").count("data:image") == 2
    assert "tiny, which took no part, scores" in result.err
    assert f"report: {tmp_path / 'sheet.html'}" in result.err


def test_gradient_leaves_no_sidecar(enhance: Command, tmp_path: Path) -> None:
    """Local edits have no values to apply to another photo."""
    [record] = enhance(tmp_path / "out.jpg", "--method", "gradient", "--epsilon", 0.2).records
    assert record["adjustments"] is None
    assert record["scores"][0]["after"] > record["scores"][0]["before"]
    assert not (tmp_path / "out.edit.json").exists()


def test_makes_an_edit_again(enhance: Command, tmp_path: Path, edit: Path, photo: Path) -> None:
    """No network is needed, and the values are those of the sidecar."""
    [record] = enhance(tmp_path / "out.png", "--apply", edit).records
    assert record["adjustments"]["exposure"] == 0.5
    assert record["scores"] == []
    with Image.open(tmp_path / "out.png") as edited, Image.open(photo) as original:
        assert edited.size == (70, 100)
        before = original.crop((0, 0, 70, 100))
        assert ImageStat.Stat(edited).mean[1] > ImageStat.Stat(before).mean[1] + 5


def test_edits_a_folder(enhance: Command, tmp_path: Path, edit: Path, photo: Path) -> None:
    """Names and sub-folders are kept; other formats become PNG; broken photos are skipped."""
    (photo.parent / "below").mkdir()
    Image.new("RGB", (20, 20)).save(photo.parent / "below" / "b.gif")
    (photo.parent / "c.jpg").write_bytes(b"no picture")
    given = ("--apply", edit, "--recursive")
    result = enhance(tmp_path / "out", *given, source=photo.parent)
    assert result.code == 2
    assert {record["image_id"]: "error" in record for record in result.records} == {
        "a": False,
        "b": False,
        "c": True,
    }
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["a.jpg", "below/b.png"]
    assert "enhanced 2 of 3 images" in result.err


def test_goes_past_a_photo_whose_target_cannot_be_written(
    enhance: Command, tmp_path: Path, edit: Path, photo: Path
) -> None:
    """If a folder has the name of the result, only this photo fails, and the exit code is 2."""
    for name in ("b.png", "c.png"):
        Image.new("RGB", (20, 20)).save(photo.parent / name)
    (tmp_path / "out" / "b.png").mkdir(parents=True)
    result = enhance(tmp_path / "out", "--apply", edit, "--overwrite", source=photo.parent)
    assert result.code == 2
    assert {record["image_id"]: "error" in record for record in result.records} == {
        "a": False,
        "b": True,
        "c": False,
    }
    assert "b.png could not be written: Is a directory" in result.err
    assert "enhanced 2 of 3 images" in result.err


def test_a_name_too_long_for_a_sidecar_leaves_no_photo_without_one(
    enhance: Command, tmp_path: Path, photo: Path
) -> None:
    """The photo is listed as failed, and nothing of it is written."""
    (tmp_path / "out").mkdir()
    long = "a" * 250
    photo.rename(photo.with_name(f"{long}.jpg"))
    result = enhance(tmp_path / "out", source=photo.parent)
    assert result.code == 2
    assert [record["image_id"] for record in result.records if "error" in record] == [long]
    assert list((tmp_path / "out").iterdir()) == []


def test_reports_finished_photos_when_the_disk_is_full(
    enhance: Command, tmp_path: Path, edit: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk ends the run, because it refuses all photos; those before it are edited and on stdout."""
    Image.new("RGB", (20, 20)).save(photo.parent / "b.png")

    def full(content: bytes, path: Path) -> None:
        with output_errors(path.name):
            if path.name == "b.png":
                raise OSError(errno.ENOSPC, "No space left on device")
        atomic_bytes(content, path)

    monkeypatch.setattr("nimakit.enhance.editing.atomic_bytes", full)
    result = enhance(tmp_path / "out", "--apply", edit, source=photo.parent)
    assert result.code == 1
    assert [record["image_id"] for record in result.records] == ["a"]
    assert "b.png could not be written: No space left" in result.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.jpg"]


def test_keeps_the_size_of_a_photo(enhance: Command, tmp_path: Path, photo: Path) -> None:
    """A dark border is only cut off with --frame."""
    edged = Image.new("RGB", (200, 150), (230, 230, 230))
    edged.paste((0, 0, 0), (0, 0, 40, 150))
    edged.save(photo.with_name("edged.png"))
    [record] = enhance(tmp_path / "out.png", source=photo.with_name("edged.png")).records
    assert (record["adjustments"]["crop"], record["adjustments"]["straighten"]) == ([0.0, 0.0, 1.0, 1.0], 0.0)
    with Image.open(tmp_path / "out.png") as edited:
        assert edited.size == (200, 150)


def test_keeps_transparency(enhance: Command, tmp_path: Path, edit: Path, photo: Path) -> None:
    """Transparency is cropped like the photo; if the format has none, the photo fails with the reason."""
    picture = Image.open(photo).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(photo.parent / "cut.png")
    [record] = enhance(tmp_path / "out.png", "--apply", edit, source=photo.parent / "cut.png").records
    assert record["adjustments"]["crop"] == [0.0, 0.0, 0.5, 1.0]
    with Image.open(tmp_path / "out.png") as written:
        assert written.getchannel("A").tobytes() == picture.crop((0, 0, 70, 100)).getchannel("A").tobytes()
    refused = enhance(tmp_path / "out.jpg", "--apply", edit, source=photo.parent / "cut.png")
    assert refused.code == 2
    assert "A picture with transparent parts" in refused.err
    assert not (tmp_path / "out.jpg").exists()


def test_replaces_no_file_unless_asked(enhance: Command, tmp_path: Path, edit: Path, photo: Path) -> None:
    """Originals and earlier results are only replaced with --overwrite."""
    original = photo.read_bytes()
    for source, target in ((photo, photo), (photo.parent, photo.parent)):
        result = enhance(target, "--apply", edit, source=source)
        assert (result.code, result.out) == (1, "")
        assert "add --overwrite" in result.err
    assert photo.read_bytes() == original
    assert enhance(photo, "--apply", edit, "--overwrite").code == 0
    assert photo.read_bytes() != original


def test_a_sidecar_is_not_replaced_either(enhance: Command, tmp_path: Path) -> None:
    """An existing sidecar is not replaced without --overwrite."""
    (tmp_path / "out.edit.json").write_text("mine")
    result = enhance(tmp_path / "out.jpg")
    assert result.code == 1
    assert "out.edit.json" in result.err
    assert (tmp_path / "out.edit.json").read_text() == "mine"


@pytest.mark.parametrize("how", ["gradient", "apply"])
def test_a_sidecar_of_another_edit_does_not_stay(
    enhance: Command, tmp_path: Path, edit: Path, how: str
) -> None:
    """A sidecar of another edit is removed with --overwrite; otherwise the run is refused."""
    write_sidecar(tmp_path / "out.edit.json", Adjustments(exposure=-1.0), {})
    given = ("--apply", edit) if how == "apply" else ("--method", "gradient")
    refused = enhance(tmp_path / "out.jpg", *given)
    assert (refused.code, refused.out) == (1, "")
    assert "out.edit.json, which exists" in refused.err
    assert (tmp_path / "out.edit.json").exists()
    assert not (tmp_path / "out.jpg").exists()
    result = enhance(tmp_path / "out.jpg", *given, "--overwrite")
    assert result.code == 0, result.err
    assert (tmp_path / "out.jpg").exists()
    assert not (tmp_path / "out.edit.json").exists()
    assert edit.exists()


def test_the_sidecar_that_is_applied_stays(enhance: Command, tmp_path: Path, edit: Path) -> None:
    """An applied sidecar that belongs to the target is kept, whatever path it was given by."""
    target = tmp_path / "earlier.jpg"
    (tmp_path / "mounted.edit.json").hardlink_to(edit)
    for given in ((), ("--overwrite",)):
        result = enhance(target, "--apply", tmp_path / "mounted.edit.json", *given)
        assert result.code == 0, result.err
        assert target.exists()
        assert read_sidecar(edit).exposure == 0.5


def test_a_sheet_is_not_replaced_either(enhance: Command, tmp_path: Path, edit: Path) -> None:
    """Reports are only replaced with --overwrite."""
    sheet = tmp_path / "sheet.html"
    sheet.write_text("mine")
    result = enhance(tmp_path / "out.jpg", "--apply", edit, "--report", sheet)
    assert (result.code, result.out) == (1, "")
    assert "sheet.html, which exists" in result.err
    assert sheet.read_text() == "mine"
    assert enhance(tmp_path / "out.jpg", "--apply", edit, "--report", sheet, "--overwrite").code == 0
    assert sheet.read_text("utf-8").count("data:image") == 2


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("out.gif", (), "end in .jpg"),
        ("none/out.jpg", (), "must exist"),
        ("out.jpg", ("--epsilon", 0), "0<x<=1"),
        ("out.jpg", ("--epsilon", "nan"), "not a number"),
        ("out.jpg", ("--apply", "none.json"), "must be a readable file"),
        ("out.jpg", ("--network", "beauty"), "Received: beauty"),
        ("out.jpg", ("--judge", "beauty"), "Received: beauty"),
        ("out.jpg", ("--report", "sheet.txt"), ".html"),
    ],
)
def test_refuses_what_cannot_be_done(
    enhance: Command, tmp_path: Path, target: str, arguments: tuple[Any, ...], message: str
) -> None:
    """The error is one sentence, and no file is written."""
    before = sorted(tmp_path.rglob("*"))
    result = enhance(tmp_path / target, *arguments)
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "given",
    [
        ("--network", "aesthetic"),
        ("--user", "ann.taste"),
        ("--method", "adjust"),
        ("--epsilon", 0.2),
        ("--frame",),
    ],
)
def test_finding_an_edit_and_applying_one_exclude_each_other(
    enhance: Command, edit: Path, tmp_path: Path, given: tuple[Any, ...]
) -> None:
    """Options that would be ignored are refused."""
    result = enhance(tmp_path / "o.jpg", "--apply", edit, *given)
    assert (result.code, result.out) == (1, "")
    assert given[0] in result.err
    assert "and --apply" in result.err
    assert not (tmp_path / "o.jpg").exists()


def test_a_folder_goes_to_a_folder(enhance: Command, tmp_path: Path, edit: Path, photo: Path) -> None:
    """A file is refused, and so are two photos with the same result."""
    (tmp_path / "out").write_text("")
    for target in ("out", "new.jpg"):
        refused = enhance(tmp_path / target, "--apply", edit, source=photo.parent)
        assert (refused.code, refused.out) == (1, "")
        assert "--output must be a folder if --image-source is one" in refused.err
    assert not (tmp_path / "new.jpg").exists()
    for name in ("b.gif", "b.bmp"):
        Image.new("RGB", (8, 8)).save(photo.parent / name)
    assert "different names" in enhance(tmp_path / "new", "--apply", edit, source=photo.parent).err


def test_two_photos_never_share_a_sidecar(enhance: Command, tmp_path: Path, edit: Path, photo: Path) -> None:
    """a.jpg and a.png would share a sidecar: they are refused if one is written."""
    Image.new("RGB", (8, 8)).save(photo.parent / "a.png")
    refused = enhance(tmp_path / "new", source=photo.parent)
    assert (refused.code, refused.out) == (1, "")
    assert "different names" in refused.err
    assert "a.edit.json" in refused.err
    assert not (tmp_path / "new").exists()
    assert enhance(tmp_path / "new", "--apply", edit, source=photo.parent).code == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.jpg", "a.png"]


def test_the_record_is_json(enhance: Command, tmp_path: Path, edit: Path) -> None:
    """Stdout is a JSON array and nothing else."""
    assert isinstance(json.loads(enhance(tmp_path / "o.jpg", "--apply", edit).out), list)
