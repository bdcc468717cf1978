"""What raters did is taken in once, kept for good, and makes what holds now."""

from typing import Any

import pytest

from nimakit.web.access import limiter
from nimakit.web.rating import events
from nimakit.web.rating.validation import MOST_EVENTS
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


@on_both
def test_a_rating_is_kept_and_counted(study: Study, visitor: Visitor) -> None:
    """An accepted rating is in the database, in the picture's sums, and in the rater's progress."""
    image = study.images[0]
    answer = visitor.rate(image.id, 7, elapsed_ms=1500)
    assert (answer["done"], answer["refused"]) == (1, [])
    [rating], [event], picture = study.ratings, study.events, study.images[0]
    assert (rating.value, rating.event_id, event.elapsed_ms) == (7, event.id, 1500)
    assert (picture.count, picture.total, picture.squares) == (1, 7, 49)


@on_both
def test_an_event_sent_twice_counts_once(study: Study, visitor: Visitor) -> None:
    """A browser that saw no answer sends again; both times the event is acknowledged."""
    event = {"id": "same", "kind": "rating", "image": study.images[0].id, "value": 7}
    answers = [visitor.send(event).json, visitor.send(event, event).json]
    assert [answer["accepted"] for answer in answers if answer] == [["same"], ["same", "same"]]
    assert len(study.events) == 1
    assert study.images[0].count == 1


@on_both
def test_rating_again_supersedes_and_erases_nothing(study: Study, visitor: Visitor) -> None:
    """The last rating holds; the first stays among the events."""
    image = study.images[0].id
    visitor.rate(image, 3)
    visitor.rate(image, 9)
    assert [event.value for event in study.events] == [3, 9]
    assert [rating.value for rating in study.ratings] == [9]
    assert (study.images[0].count, study.images[0].total) == (1, 9)


@on_both
def test_a_skip_takes_a_rating_back(study: Study, visitor: Visitor) -> None:
    """Going back and skipping leaves no rating, and the picture is not shown again at once."""
    image = study.images[0].id
    visitor.rate(image, 3)
    visitor.send({"kind": "skip", "image": image})
    assert [rating.value for rating in study.ratings] == [None]
    assert (study.images[0].count, study.images[0].total, study.images[0].squares) == (0, 0, 0)


@on_both
def test_an_old_event_that_arrives_late_changes_nothing(study: Study, visitor: Visitor) -> None:
    """What was said offline an hour ago does not undo what was said since on another device."""
    image = study.images[0].id
    visitor.rate(image, 9)
    visitor.rate(image, 2, age_ms=3_600_000)
    assert [rating.value for rating in study.ratings] == [9]
    assert len(study.events) == 2


@on_both
@pytest.mark.parametrize("is_one_batch", [True, False])
def test_a_correction_holds_however_long_the_first_was_on_its_way(
    study: Study, visitor: Visitor, *, is_one_batch: bool
) -> None:
    """It names what it replaces, and the next names it; what names another is judged by its time."""
    image = study.images[0].id
    events: list[dict[str, Any]] = [
        {"id": "first", "value": 5},
        {"id": "second", "value": 7, "age_ms": 2000, "replaces": "first"},
        {"id": "third", "value": 8, "age_ms": 3000, "replaces": "second"},
        {"id": "old", "value": 2, "age_ms": 9000, "replaces": "first"},
    ]
    events = [{"kind": "rating", "image": image, **event} for event in events]
    for batch in [events] if is_one_batch else [[event] for event in events]:
        visitor.send(*batch)
    assert [rating.value for rating in study.ratings] == [8]
    assert (study.images[0].count, study.images[0].total) == (1, 8)
    visitor.rate(image, 9)
    assert [rating.value for rating in study.ratings] == [9]


@on_both
def test_a_clock_that_is_wrong_does_no_harm(study: Study, visitor: Visitor) -> None:
    """Ages beyond all reason are cut to a month, and no event is from the future."""
    visitor.rate(study.images[0].id, 5, age_ms=1e15)
    [event] = study.events
    assert 29 < (event.received_at - event.occurred_at).days <= 30
    refused = visitor.send({"kind": "rating", "image": study.images[1].id, "value": 5, "age_ms": -1}).json
    assert refused
    assert "0 or more" in refused["refused"][0]["reason"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"kind": "rating", "value": 11}, "from 1 to 10"),
        ({"kind": "rating", "value": 0}, "from 1 to 10"),
        ({"kind": "rating", "value": "7"}, "from 1 to 10"),
        ({"kind": "rating", "value": True}, "from 1 to 10"),
        ({"kind": "rating"}, "from 1 to 10"),
        ({"kind": "rating", "value": 5, "image": 10**6}, "not part of"),
        ({"kind": "rating", "value": 5, "image": [1]}, "not part of"),
        ({"kind": "rating", "value": 5, "image": 10**30}, "not part of"),
        ({"kind": "rating", "value": 5, "image": None}, "rate or skip"),
        ({"kind": "rating", "value": 5, "round": 2}, "round"),
        ({"kind": "rating", "value": 5, "round": True}, "round"),
        ({"kind": "rating", "value": 5, "predicted": 99}, "predicted"),
        ({"kind": "choice", "trial": "t"}, "rate or skip"),
        ({"kind": ["rating"], "value": 5}, "rate or skip"),
        ({"kind": "skip", "elapsed_ms": "long"}, "milliseconds"),
        ({"kind": "skip", "replaces": 5}, "id of an event"),
        ({"id": ""}, "id"),
        ({"id": "x" * 37}, "id"),
        ({"id": "nul\0"}, "id"),
        ({"id": 5}, "id"),
    ],
)
def test_refuses_a_malformed_event_and_takes_the_others(
    study: Study, visitor: Visitor, event: dict[str, Any], reason: str
) -> None:
    """A broken event is named with its reason; a good one beside it counts."""
    good = {"kind": "rating", "image": study.images[1].id, "value": 5}
    answer = visitor.send({"image": study.images[0].id, **event}, good).json
    assert answer
    assert len(answer["accepted"]) == 1
    assert reason in answer["refused"][0]["reason"]
    assert [rating.image_id for rating in study.ratings] == [study.images[1].id]


@pytest.mark.parametrize("body", [[], "x", {"events": 5}, {"events": [{}] * (MOST_EVENTS + 1)}])
def test_refuses_a_body_that_is_no_batch(visitor: Visitor, body: Any) -> None:
    """What holds no list of events, or too many, is refused whole."""
    answer = visitor.post_json(visitor.address("events"), body)
    assert answer.status_code == 400
    assert answer.json


def test_events_that_are_no_objects_are_refused(study: Study, visitor: Visitor) -> None:
    """Anything may stand in the list; only events count."""
    answer = visitor.post_json(visitor.address("events"), {"rater": visitor.code, "events": [5, None, ["x"]]})
    assert answer.json
    assert len(answer.json["refused"]) == 3
    assert study.events == []


def test_refuses_an_oversized_body(visitor: Visitor) -> None:
    """A body of megabytes is not even read."""
    answer = visitor.send({"kind": "skip", "text": "x" * (2 << 20)})
    assert answer.status_code == 413


def test_refuses_a_request_without_a_token(study: Study, visitor: Visitor) -> None:
    """A page elsewhere cannot rate in a rater's name; our own learns that its token is old."""
    for headers in ({}, {"X-CSRFToken": "made-up"}):
        answer = visitor.client.post(
            visitor.address("events"), json={}, headers={"Accept": "application/json", **headers}
        )
        assert answer.status_code == 400
        assert answer.json
        assert answer.json["csrf"] is True
    assert study.events == []


def test_refuses_events_of_somebody_else(study: Study, visitor: Visitor) -> None:
    """What one rater left in a browser is not taken for the next one's."""
    answer = visitor.send({"kind": "skip", "image": study.images[0].id}, rater="r0000000")
    assert answer.status_code == 409
    assert study.events == []


def test_refuses_ratings_of_a_closed_collection(study: Study, visitor: Visitor) -> None:
    """Nothing is taken, and nothing is thrown away: the browser keeps it."""
    study.set(is_open=False)
    assert visitor.send({"kind": "skip", "image": study.images[0].id}).status_code == 409


@on_both
def test_two_people_rate_the_same_picture(study: Study, visitor: Visitor) -> None:
    """Each has one rating of it, and the picture's sums have both."""
    image = study.images[0].id
    visitor.rate(image, 4)
    study.rater().rate(image, 8)
    assert [rating.value for rating in study.ratings] == [4, 8]
    assert (study.images[0].count, study.images[0].total) == (2, 12)


@on_both
def test_two_devices_of_one_rater_share_what_they_did(study: Study) -> None:
    """A personal link goes on elsewhere: the same progress, the same pictures done."""
    laptop, phone = study.rater("Ann"), study.visitor()
    laptop.rate(study.images[0].id, 4)
    link = phone_link(study, laptop)
    phone.post(link, {})
    assert phone.code == laptop.code
    assert phone.deck()["done"] == 1
    phone.rate(study.images[0].id, 6)
    assert [rating.value for rating in study.ratings] == [6]


def phone_link(study: Study, visitor: Visitor) -> str:
    """The address one opens on another device."""
    return f"/go-on/{study.services.links.personal(visitor.rater)}"


def test_ratings_between_whole_numbers_where_predictions_are_corrected(make_study: MakeStudy) -> None:
    """In the Rate experiment a rating has decimals, and the score that was shown is kept with it."""
    study = make_study(experiment="rate")
    visitor = study.visitor()
    visitor.rate(study.images[0].id, 5.3, predicted=5.2)
    [rating] = study.ratings
    assert (rating.value, rating.predicted) == (5.3, 5.2)


def test_what_was_said_while_predictions_were_corrected_is_taken_once_they_are_not(
    make_study: MakeStudy,
) -> None:
    """A page that was open or offline while Rate became Score loses nothing, and changes nothing."""
    study = make_study(experiment="rate")
    visitor = study.visitor()
    study.set(experiment="score")
    assert visitor.rate(study.images[0].id, 5.3, predicted=5.2)["refused"] == []
    assert [rating.value for rating in study.ratings] == [5.3]


def test_a_rater_sends_so_many_batches_a_minute(study: Study) -> None:
    """Past that 429; another rater goes on, and nothing that was acknowledged is lost."""
    first, second = study.rater("Ann"), study.rater("Bea")
    limiter.reset()
    event = {"id": "one", "kind": "rating", "image": study.images[0].id, "value": 7}
    limit = f"{events._BATCHES.split()[0]}"
    token = first.token()
    answers = [first.post_json(first.address("events"), {}, token).status_code for _ in range(int(limit))]
    assert set(answers) == {400}
    assert first.send(event).status_code == 429
    assert second.send(event | {"id": "two"}).status_code == 200
    limiter.reset()
    assert first.send(event).status_code == 200
    assert len(study.ratings) == 2
