"""nimakit.commands.data.xmp: `nimakit data xmp`."""

import json
from pathlib import Path

import pytest

from nimakit.io.tables import BadRows
from nimakit.labels.comparisons import read_comparisons
from nimakit.labels.ratings import read_ratings
from samples import write_photo
from terminal import Command
from xmp_texts import sidecar


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Four pictures: rated, picked, rejected, unmarked."""
    folder = tmp_path / "library"
    (folder / "sub").mkdir(parents=True)
    for name, attributes in (
        ("a", "xmp:Rating='4'"),
        ("b", "digiKam:PickLabel='3' xmp:Label='Green'"),
        ("c", "xmp:Rating='-1'"),
    ):
        write_photo(folder / f"{name}.jpg", xmp=sidecar(attributes))
    write_photo(folder / "sub" / "d.png")
    return folder


def test_ratings_and_pairs_serve_the_other_commands(nimakit: Command, library: Path, tmp_path: Path) -> None:
    """The tables are those that `data ratings`, `data pairs` and `personalise` read; nothing else changes."""
    before = {path: path.read_bytes() for path in library.rglob("*.*g")}
    ratings, pairs = tmp_path / "ratings.csv", tmp_path / "pairs.csv"
    options = ("--stars-for", "reject=1", "--stars-for", "green=3.5", "--user-id", "ann")
    result = nimakit("data", "xmp", library, "--output", ratings, "--pairs", pairs, *options)
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    assert summary == {
        **{"pictures": 4, "stars": {"-1": 1, "4": 1}, "labels": {"Green": 1}, "picks": 1, "rejects": 1},
        **{"unmarked": 1, "marked_by_nimakit": 0, "conflicts": 0, "unreadable": 0, "without_picture": 0},
        **{"same_name": 0, "files": {str(ratings): 3, str(pairs): 1}},
    }
    read = read_ratings(ratings, rows=BadRows(skip=False))
    assert (read.user_ids, dict(zip(read.image_ids, read.rating, strict=True))) == (
        ("ann",),
        {"a": 4, "b": 3.5, "c": 1},
    )
    compared = read_comparisons(pairs, rows=BadRows(skip=False))
    assert (compared.image_ids, compared.share.tolist()) == (("b", "c"), [1.0])
    assert {path: path.read_bytes() for path in library.rglob("*.*g")} == before


def test_lists_what_it_leaves_out(nimakit: Command, library: Path, tmp_path: Path) -> None:
    """A broken sidecar, a conflict, an orphan, a name that two pictures share: none ends the run."""
    (library / "a.xmp").write_bytes(sidecar("xmp:Rating='2'"))
    (library / "b.jpg.xmp").write_bytes(b"<xmp")
    (library / "e.xmp").write_bytes(sidecar())
    write_photo(library / "sub" / "c.jpg")
    result = nimakit("data", "xmp", library, "--output", tmp_path / "ratings.csv")
    assert result.code == 2
    summary = json.loads(result.out)
    counts = ("conflicts", "unreadable", "without_picture", "same_name")
    assert [summary[name] for name in counts] == [1, 1, 1, 1]
    assert (tmp_path / "ratings.csv").read_text("utf-8").splitlines()[1:] == ["a,me,2"]
    for part in ("rating in a.xmp and in a.jpg", "b.jpg.xmp: XMP must be XML", "e.xmp", "c.jpg"):
        assert part in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--output, --pairs"),
        (("--output", "r.csv", "--stars-for", "reject"), "reject=1"),
        (("--output", "r.csv", "--stars-for", "reject=6"), "from 0 to 5"),
        (("--output", "r.json"), "must end in .csv"),
    ],
)
def test_refuses_arguments(
    nimakit: Command, library: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    """Before anything is read."""
    monkeypatch.chdir(library.parent)
    result = nimakit("data", "xmp", library, *arguments)
    assert result.code == 1
    assert message in result.err
