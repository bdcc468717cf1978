"""nimakit.culling.changes: marks and picks of a shoot, with one undo file."""

from pathlib import Path

import pytest

from nimakit.culling import changes
from nimakit.culling.changes import Wanted
from nimakit.culling.groups import Grouping
from nimakit.culling.selection import select
from nimakit.culling.shoot import Culled, Rules
from nimakit.errors import UsageError
from plain_frames import frame, group, ranked
from samples import write_photo

STARS = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
)
STARS += '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="2"/>'
STARS += "</rdf:RDF></x:xmpmeta>"


@pytest.fixture
def culled(tmp_path: Path) -> Culled:
    """Two photographs that are kept; the first has two stars that a person gave."""
    folder = tmp_path / "shoot"
    folder.mkdir()
    frames = []
    for name in ("a", "b"):
        made = frame(str(folder / name))
        write_photo(made.path)
        frames.append(made)
    (folder / "a.jpg.xmp").write_text(STARS, encoding="utf-8")
    groups, rankings = (group(0), group(1)), (ranked(0), ranked(1))
    return Culled(
        folder=folder,
        frames=tuple(frames),
        failures={},
        grouping=Grouping(groups=groups, scenes=((0, 1),), basis="likeness only"),
        rankings=rankings,
        selection=select(frames, groups, rankings),
        rules=Rules(),
    )


def test_a_preview_counts_what_apply_does(culled: Culled, tmp_path: Path) -> None:
    """A person's stars are kept; the copy has the sidecar that was written before it."""
    wanted = Wanted(style="darktable", folder=tmp_path / "picks")
    planned = changes.preview(culled, wanted)
    assert (planned.marked, len(planned.kept), planned.placed) == (1, 1, 2)
    assert not (tmp_path / "picks").exists()
    done = changes.apply(culled, wanted, tmp_path / "picks" / "undo.json")
    assert (done.marked, len(done.kept), done.placed, done.failures) == (1, 1, 2, ())
    assert {path.name for path in (tmp_path / "picks").iterdir()} == {
        *("a.jpg", "a.jpg.xmp", "b.jpg", "b.jpg.xmp"),
        "undo.json",
    }
    assert (culled.folder / "a.jpg.xmp").read_text("utf-8") == STARS
    undone = changes.undo(tmp_path / "picks" / "undo.json")
    assert (len(undone.restored), undone.failures) == (5, ())
    assert {path.name for path in culled.folder.iterdir()} == {"a.jpg", "a.jpg.xmp", "b.jpg"}


def test_marks_are_not_written_if_the_picks_have_no_room(
    culled: Culled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for is done, or refused, as a whole."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
    with pytest.raises(UsageError, match="make room, keep fewer, or use --link-to"):
        changes.apply(culled, Wanted(style="darktable", folder=tmp_path / "picks"), tmp_path / "undo.json")
    assert not (culled.folder / "b.jpg.xmp").exists()
    assert not (tmp_path / "undo.json").exists()


def test_nothing_to_change_leaves_no_undo_file(culled: Culled, tmp_path: Path) -> None:
    """The same marks again change nothing."""
    changes.apply(culled, Wanted(style="darktable"), tmp_path / "first.json")
    again = changes.apply(culled, Wanted(style="darktable"), tmp_path / "second.json")
    assert again.marked == 0
    assert not (tmp_path / "second.json").exists()
