"""The Cull experiment: groups, decisions, and who may do what."""

from typing import Any

import pytest

from nimakit.errors import UsageError
from nimakit.web.collections.setup import change_collection
from nimakit.web.db.tables import Collection
from web.study import Study, Visitor, on_both


def groups(visitor: Visitor) -> Any:
    """The groups."""
    return visitor.get_json(visitor.address("cull/groups"))


def names(group: dict[str, Any]) -> list[str]:
    """The names of a group's frames, best first."""
    return [frame["name"] for frame in group["frames"]]


def flag(visitor: Visitor, kind: str, image: int, **rest: Any) -> Any:
    """Pick, reject or unflag a picture."""
    return visitor.send({"kind": kind, "image": image, **rest}).json


def ids(study: Study) -> dict[str, int]:
    """Name -> id of each picture."""
    return {image.path: image.id for image in study.images}


def test_groups_have_the_best_frame_first_with_the_reason(cull: Study) -> None:
    """The clean frame is suggested, the single picture is a group of its own, and all is grouped."""
    answer = groups(cull.visitor())
    assert (answer["pending"], answer["note"]) == (False, "")
    assert "likeness" in answer["basis"]
    kinds = [(group["kind"], len(group["frames"])) for group in answer["groups"]]
    assert kinds == [("burst", 3)] * 3 + [("single", 1)]
    assert names(answer["groups"][0])[0] == "burst 0 2.jpg"
    assert any("other" in reason for reason in answer["groups"][0]["frames"][0]["reasons"])


@on_both
def test_flags_and_stars_are_kept_and_taken_back(cull: Study) -> None:
    """Each is replaced by the next; taking back leaves no decision and every event."""
    visitor, image = cull.visitor(), ids(cull)["single.png"]
    flag(visitor, "pick", image)
    visitor.rate(image, 4)
    assert decision(visitor, image) == ("pick", 4)
    flag(visitor, "reject", image)
    assert decision(visitor, image) == ("reject", 4)
    flag(visitor, "unflag", image)
    visitor.send({"kind": "skip", "image": image})
    assert decision(visitor, image) == (None, None)
    assert [event.kind for event in cull.events] == ["pick", "rating", "reject", "unflag", "skip"]


def decision(visitor: Visitor, image: int) -> tuple[str | None, int | None]:
    """Flag and stars of a picture as a browser gets them."""
    frames = [frame for group in groups(visitor)["groups"] for frame in group["frames"]]
    return next((frame["flag"], frame["stars"]) for frame in frames if frame["id"] == image)


@on_both
def test_a_decision_sent_twice_or_late_changes_nothing(cull: Study) -> None:
    """The same event counts once, and an older one from another browser does not replace a newer one."""
    visitor, image = cull.visitor(), ids(cull)["single.png"]
    for _ in range(2):
        flag(visitor, "pick", image, id="same")
    flag(visitor, "reject", image, age_ms=60_000)
    assert decision(visitor, image) == ("pick", None)
    flag(visitor, "unflag", image, age_ms=90_000, replaces="same")
    assert decision(visitor, image) == (None, None)
    assert len(cull.events) == 3


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"kind": "pick"}, "rate or skip"),
        ({"kind": "pick", "image": 10**6}, "not part of"),
        ({"kind": "choice", "image": 1, "trial": "t"}, "rate or skip"),
        ({"kind": "rating", "image": 1, "value": 6}, "from 1 to 5"),
        ({"kind": "rating", "image": 1, "value": 2.5}, "whole number"),
        ({"kind": ["pick"], "image": 1}, "rate or skip"),
    ],
)
def test_what_is_no_decision_is_refused(cull: Study, event: dict[str, Any], reason: str) -> None:
    """With the rule; nothing of it is stored."""
    refused = cull.visitor().send(event).json
    assert refused is not None
    assert reason in refused["refused"][0]["reason"]
    assert cull.events == []


def test_flags_belong_to_culls_only(study: Study, visitor: Visitor) -> None:
    """Elsewhere a flag is refused, and the pages of a cull are not there."""
    assert flag(visitor, "pick", study.images[0].id)["refused"]
    assert visitor.get(visitor.address("cull/groups")).status_code == 404
    assert visitor.get(visitor.address("cull")).status_code == 302


def test_a_cull_has_five_stars_a_model_and_a_taste_to_learn(cull: Study) -> None:
    """Whatever scale is asked for; once there are flags it stays a cull."""
    collection = cull.collection
    assert (str(collection.scale), collection.personal, collection.model is not None) == ("1-5", True, True)
    flag(cull.visitor(), "pick", cull.images[0].id)

    def turn(session: Any) -> None:
        change_collection(session, session.get_one(Collection, collection.id), experiment="score")

    with pytest.raises(UsageError, match="cannot change"):
        cull.change(turn)


def test_picks_rank_the_other_groups(cull: Study) -> None:
    """Picks of the clipped frames of two bursts raise the clipped frame of the other one."""
    visitor, known = cull.visitor(), ids(cull)
    before = groups(visitor)
    assert (before["comparisons"], names(before["groups"][1])[0]) == (0, "burst 1 2.jpg")
    for seed in (0, 2):
        flag(visitor, "pick", known[f"burst {seed} 1.jpg"])
        for number in (0, 2):
            flag(visitor, "reject", known[f"burst {seed} {number}.jpg"])
    after = groups(visitor)
    assert after["comparisons"] == 4
    places = [names(one["groups"][1]).index("burst 1 1.jpg") for one in (before, after)]
    assert places[1] < places[0]


def test_new_pictures_are_grouped_and_move_no_decision(cull: Study) -> None:
    """A fourth frame joins its burst, and the pick stays."""
    visitor, known = cull.visitor(), ids(cull)
    flag(visitor, "pick", known["burst 0 2.jpg"])
    (cull.folder / "burst 0 3.jpg").write_bytes((cull.folder / "burst 0 2.jpg").read_bytes())
    cull.services.background.wake(cull.collection.id)
    cull.services.background.once()
    answer = groups(visitor)
    assert [len(group["frames"]) for group in answer["groups"]] == [4, 3, 3, 1]
    assert decision(visitor, known["burst 0 2.jpg"]) == ("pick", None)
