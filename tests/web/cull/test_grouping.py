"""Culls are grouped in the background, and a failure is said and tried again."""

import pytest

from nimakit.errors import ModelError
from nimakit.web.cull import grouping
from nimakit.web.cull.grouping import Grouper
from web.cull.test_routes import groups
from web.study import Study


def grouper(study: Study) -> Grouper:
    """A new one, as in a new process."""
    return Grouper(study.database, study.services.background.model, 10**8)


def test_what_is_grouped_is_not_grouped_again(cull: Study) -> None:
    """Neither by the same process nor by another; other experiments have no groups."""
    assert not grouper(cull).advance(cull.collection)
    cull.set(experiment="score")
    (cull.folder / "single.png").touch()
    cull.services.background.wake(cull.collection.id)
    cull.services.background.once()
    assert not grouper(cull).advance(cull.collection)


def test_a_missing_encoder_is_said_and_tried_again(cull: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The earlier groups stay, the page says why there are no new ones, and later they are there."""
    with monkeypatch.context() as patch:

        def fails(*_: object, **__: object) -> None:
            raise ModelError("no such encoder")

        patch.setattr(grouping, "load_encoder", fails)
        patch.setattr(grouping, "stamp_of", lambda *_: [1, 2, 3])
        work = grouper(cull)
        assert not work.advance(cull.collection)
    answer = groups(cull.visitor())
    assert (answer["note"], answer["pending"]) == ("Pictures cannot be grouped: no such encoder", False)
    assert len(answer["groups"]) == 4
    assert groups(cull.rater())["note"] == ""
    assert not work.advance(cull.collection)
    monkeypatch.setattr(grouping, "_RETRY_SECONDS", 0.0)
    work = grouper(cull)
    while work.advance(cull.collection):
        pass
    assert groups(cull.visitor())["note"] == ""
