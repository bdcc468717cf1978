"""nimakit.enhance.editing: edited files, and their scores."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nimakit.enhance import editing
from nimakit.enhance.adjustments import Adjustments, read_sidecar
from nimakit.enhance.editing import Result, ScoringModel
from nimakit.enhance.framing import reframe
from nimakit.errors import ImageError, OutputError
from nimakit.images.photo import Photo
from nimakit.models.engine import Model
from samples import write_photo

EDIT = Adjustments(exposure=0.3, crop=(0.0, 0.0, 0.5, 1.0))


def brighter(photo: Photo, colours: Photo | None) -> tuple[Image.Image, Adjustments]:
    """An edit that adds 40 levels, with other adjustments than it makes."""
    return (colours or photo).pixels.point(lambda level: level + 40), EDIT


def half(photo: Photo, colours: Photo | None) -> tuple[Image.Image, Adjustments]:
    """An edit that crops."""
    return reframe(colours or photo, EDIT.straighten, EDIT.crop).pixels, EDIT


def brightness(photo: Photo) -> float:
    """The score of a simple model."""
    return float(np.asarray(photo.pixels).mean())


LIKES_LIGHT = ScoringModel(name="light", took_part=True, score=brightness)
LIKES_DARK = ScoringModel(name="dark", took_part=False, score=lambda photo: -brightness(photo))


def test_writes_the_edit_and_scores_it(tmp_path: Path, tiny: Model) -> None:
    """Each model scores the original, and the file as it was written."""
    source = write_photo(tmp_path / "a.png", 100)
    judge = editing.independent_model(tiny)
    result = editing.enhance_file(source, tmp_path / "b.png", brighter, [LIKES_LIGHT, LIKES_DARK, judge])
    assert Image.open(tmp_path / "b.png").getpixel((0, 0)) == (140, 140, 140)
    light, dark, tiny_scores = result.scores
    assert (light.before, light.after) == (100, 140)
    assert (dark.before, dark.after) == (-100, -140)
    assert tiny_scores.before < tiny_scores.after
    assert editing.improvements([result, result]) == {"dark": (0, 2), "tiny": (2, 2)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_a_judge_sees_a_photo_and_its_mirror_image(tiny: Model, tmp_path: Path) -> None:
    """A model that likes the right half best scores both ways round the same."""
    ramp = np.tile(np.linspace(0, 255, 60, dtype=np.uint8)[None, :, None], (40, 1, 3))
    judge = editing.independent_model(tiny)
    one, other = (Photo(Image.fromarray(np.ascontiguousarray(p))) for p in (ramp, ramp[:, ::-1]))
    assert judge.score(one) == pytest.approx(judge.score(other), abs=1e-6)
    assert not judge.took_part


def test_writes_a_sidecar(tmp_path: Path) -> None:
    """A sidecar for other photographs to be edited by, with the scores."""
    source = write_photo(tmp_path / "a.b.png", 100)
    about = {"networks": ["light"]}
    editing.enhance_file(source, tmp_path / "c.d.jpg", brighter, [LIKES_LIGHT], about=about)
    sidecar = tmp_path / "c.d.edit.json"
    assert read_sidecar(sidecar) == EDIT
    assert '"took_part": true' in sidecar.read_text("utf-8")


def test_leaves_nothing_behind_where_the_original_is_broken(tmp_path: Path) -> None:
    """No file is written, not even a partial one."""
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError):
        editing.enhance_file(tmp_path / "a.jpg", tmp_path / "b.jpg", brighter, [])
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_an_original_stays_whole_where_it_cannot_be_replaced(tmp_path: Path) -> None:
    """A target that cannot be written leaves the source as it was."""
    source = write_photo(tmp_path / "a.png", 100)
    content = source.read_bytes()
    with pytest.raises(OutputError):
        editing.enhance_file(source, tmp_path / "none" / "b.png", brighter, [])
    assert source.read_bytes() == content


def test_keeps_what_is_transparent(tmp_path: Path) -> None:
    """Transparency is cropped with the photo; a format without it is refused, and nothing is written."""
    alpha = Image.linear_gradient("L").rotate(90)  # from left to right
    picture = Image.new("RGBA", alpha.size, (60, 80, 100, 0))
    picture.putalpha(alpha)
    picture.save(tmp_path / "a.png")
    editing.enhance_file(tmp_path / "a.png", tmp_path / "b.png", half, [LIKES_LIGHT])
    with Image.open(tmp_path / "b.png") as written:
        assert (written.mode, written.size) == ("RGBA", (128, 256))
        assert written.getpixel((100, 7)) == (60, 80, 100, 100)
    with pytest.raises(ImageError, match=r"\.png, \.webp or \.tif"):
        editing.enhance_file(tmp_path / "a.png", tmp_path / "b.jpg", half, [])
    assert not (tmp_path / "b.jpg").exists()


def test_draws_a_sheet(tmp_path: Path) -> None:
    """Both pictures, every score and every value; names are escaped."""
    source = write_photo(tmp_path / "<b>.png", 100)
    result = editing.enhance_file(source, tmp_path / "b.png", brighter, [LIKES_LIGHT, LIKES_DARK], sheet=True)
    page = editing.render_sheet([result], "Edited to please light.")
    assert page.count("data:image/jpeg;base64,") == 2
    for text in ("&lt;b&gt;.png", "+40.00", "-40.00", "judge", "+0.30 EV", "50 % kept", "to please light"):
        assert text in page
    assert "<b>.png" not in page


def test_a_sheet_without_scores_or_values(tmp_path: Path) -> None:
    """No models, and an edit without values."""
    result = Result(
        source=tmp_path / "a.png",
        target=tmp_path / "b.png",
        adjustments=None,
        scores=(),
        pictures=("x", "y"),
    )
    assert "a.png" in editing.render_sheet([result], "")
    assert result.to_record() == {
        "image_id": "a",
        "file": str(tmp_path / "b.png"),
        "adjustments": None,
        "scores": [],
    }


def test_a_record_is_text() -> None:
    """Names that are not UTF-8 are escaped."""
    source, target = Path("caf\udce9.jpg"), Path("out/caf\udce9.jpg")
    record = Result(source=source, target=target, adjustments=None, scores=(), pictures=()).to_record()
    assert (record["image_id"], record["file"]) == ("caf%E9", "out/caf%E9.jpg")


def test_describes_only_changes() -> None:
    """Only changed values are described, with units."""
    assert editing.describe(Adjustments(straighten=-1.5, tint=0.04)) == {
        "tint": "+0.04",
        "straighten": "-1.50°",
    }
    assert editing.describe(Adjustments()) == {}
