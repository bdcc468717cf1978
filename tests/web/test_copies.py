"""Two processes of the app that share a PostgreSQL database and a folder of photographs."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nimakit.web.pictures import inventory
from samples import write_model, write_photo
from web.conftest import MakeStudy
from web.study import POSTGRESQL, Study

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("engine", [POSTGRESQL], indirect=True)]


@pytest.fixture
def copies(study: Study, make_study: MakeStudy) -> list[Study]:
    """Two processes of the app."""
    return [study, make_study()]


def test_ratings_at_both_are_stored_once(copies: list[Study]) -> None:
    """Two raters use both processes, and events arrive twice; the sums are right."""
    study, other = copies
    here, there = study.rater("Ann"), other.rater("Bo")
    images = [image.id for image in study.images]

    def rate(visitor: Any, value: int) -> None:
        for image in images:
            event = {"id": f"event-{image}", "kind": "rating", "image": image, "value": value}
            answer = visitor.send(event)
            assert answer.json["accepted"] == [event["id"]], answer.json

    visitors = []
    for visitor in (here, there):
        for copy in copies:
            again = copy.visitor()
            link = copy.services.links.personal(visitor.rater)
            again.post(f"/go-on/{link}", {})
            assert again.code == visitor.code
            visitors.append((again, 3 if visitor is here else 8))
    with ThreadPoolExecutor(len(visitors)) as pool:
        for done in [pool.submit(rate, visitor, value) for visitor, value in visitors]:
            done.result()
    assert [(image.count, image.total) for image in other.images] == [(2, 11)] * len(images)
    assert len(study.ratings) == len(study.events) == 2 * len(images)
    assert [copy.visitor().deck()["total"] for copy in copies] == [6, 6]


def test_both_scan_the_folder_at_once(copies: list[Study], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find the same new pictures before either wrote them; each is stored once."""
    for number in range(5):
        write_photo(copies[0].folder / f"new {number}.jpg", 50 + number)
    known, meet = inventory._known, threading.Barrier(len(copies), timeout=30)

    def read_together(*arguments: Any) -> Any:
        found = known(*arguments)
        meet.wait()
        return found

    monkeypatch.setattr(inventory, "_known", read_together)
    for copy in copies:
        copy.services.background.wake(copy.collection.id)
    with ThreadPoolExecutor(len(copies)) as pool:
        for done in [pool.submit(copy.services.background.once) for copy in copies]:
            done.result()
    paths = [image.path for image in copies[0].images]
    assert len(paths) == len(set(paths)) == 6 + 5
    assert all(len(copy.rater("Ann").deck(amount=20)["items"]) == len(paths) for copy in copies)


def test_both_notice_a_repaired_model(study: Study, make_study: MakeStudy, tmp_path: Path) -> None:
    """Although only one of them looks again, neither reports it as missing any more."""
    model = tmp_path / "later.onnx"
    study.set(model=str(model))
    copies = [study, make_study()]
    for copy in copies:
        copy.services.background.once()
    assert "later.onnx" in study.collection.model_note
    write_model(model)
    visitor = copies[0].visitor()
    visitor.post(visitor.address("scan"), {})
    for copy in copies:
        copy.services.background.once()
    assert [copy.services.background.model(copy.collection) is not None for copy in copies] == [True, True]
    assert study.collection.model_note == ""
    assert None not in {image.position for image in study.images}
