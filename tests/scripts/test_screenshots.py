"""The pictures of the rating app in the docs, and the study they show."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from nimakit.web.app import services_of
from nimakit.web.db.tables import Choice, Rater, Rating

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script by its name."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module


def test_every_page_is_pictured_and_shown(script: Any) -> None:
    """On a desktop and on a phone, in a small file, by the page on rating."""
    names = {f"{name}{suffix}.webp" for name in script("screenshots").SHOTS for suffix in ("", "-phone")}
    files = {path.name: path.stat().st_size for path in (ROOT / "docs" / "rate").iterdir()}
    assert files.keys() == names
    assert max(files.values()) <= 60_000
    page = (ROOT / "docs" / "rate.md").read_text("utf-8")
    assert [name for name in names if f"](rate/{name})" not in page] == []


@pytest.mark.slow
def test_the_example_study_is_the_same_at_every_run(script: Any, tmp_path: Path, tiny_file: Path) -> None:
    """Raters, ratings and times are the same, and so is the order of pictures."""
    make = script("example_study").make
    found = [_said(make(tmp_path / name, tmp_path / f"photos {name}", model=str(tiny_file))) for name in "ab"]
    assert found[0] == found[1]
    ratings, choices = found[0]
    assert len({code for code, *_ in ratings}) > 5
    assert {turn for *_, turn in ratings} == {0, 1}
    assert {kind for _, kind, _ in choices} == {"choice", "tie"}


def _said(app: Any) -> tuple[list[Any], list[Any]]:
    database = services_of(app).database
    with database.read() as session:
        ratings = session.execute(
            select(Rater.code, Rating.image_id, Rating.value, Rating.occurred_at, Rating.round)
            .join(Rater, Rater.id == Rating.rater_id)
            .order_by(Rating.image_id, Rater.code, Rating.round)
        )
        choices = session.execute(select(Choice.trial, Choice.kind, Choice.shown).order_by(Choice.trial))
        found = [tuple(row) for row in ratings], [tuple(row) for row in choices]
    database.close()
    return found
