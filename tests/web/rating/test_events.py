"""Events are stored once and for good, and update the current ratings."""

from typing import Any

import pytest

from nimakit.web.access import limiter
from nimakit.web.rating import events
from nimakit.web.rating.validation import MOST_EVENTS
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


@on_both
def test_a_rating_is_kept_and_counted(study: Study, visitor: Visitor) -> None:
    """An accepted rating is stored, summed, and part of the rater's progress."""
    image = study.images[0]
    answer = visitor.rate(image.id, 7, elapsed_ms=1500)
    assert (answer["done"], answer["refused"]) == (1, [])
    [rating], [event], picture = study.ratings, study.events, study.images[0]
    assert (rating.value, rating.event_id, event.elapsed_ms) == (7, event.id, 1500)
    assert (picture.count, picture.total, picture.squares) == (1, 7, 49)


@on_both
def test_an_event_sent_twice_counts_once(study: Study, visitor: Visitor) -> None:
    """A browser without an answer sends again; both requests are acknowledged."""
    event = {"id": "same", "kind": "rating", "image": study.images[0].id, "value": 7}
    answers = [visitor.send(event).json, visitor.send(event, event).json]
    assert [answer["accepted"] for answer in answers if answer] == [["same"], ["same", "same"]]
    assert len(study.events) == 1
    assert study.images[0].count == 1


@on_both
def test_rating_again_supersedes_and_erases_nothing(study: Study, visitor: Visitor) -> None:
    """The latest rating counts; the first one remains as an event."""
    image = study.images[0].id
    visitor.rate(image, 3)
    visitor.rate(image, 9)
    assert [event.value for event in study.events] == [3, 9]
    assert [rating.value for rating in study.ratings] == [9]
    assert (study.images[0].count, study.images[0].total) == (1, 9)


@on_both
def test_a_skip_takes_a_rating_back(study: Study, visitor: Visitor) -> None:
    """Going back and skipping removes the rating, and the picture is not shown again at once."""
    image = study.images[0].id
    visitor.rate(image, 3)
    visitor.send({"kind": "skip", "image": image})
    assert [rating.value for rating in study.ratings] == [None]
    assert (study.images[0].count, study.images[0].total, study.images[0].squares) == (0, 0, 0)


@on_both
def test_an_old_event_that_arrives_late_changes_nothing(study: Study, visitor: Visitor) -> None:
    """An offline rating from an hour ago does not replace a newer one from another device."""
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
    """Events that replace the previous one count; others are ordered by their times."""
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
    """Ages are limited to a month, and no event is in the future."""
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
    """A malformed event is refused with its reason; a valid one in the same batch counts."""
    good = {"kind": "rating", "image": study.images[1].id, "value": 5}
    answer = visitor.send({"image": study.images[0].id, **event}, good).json
    assert answer
    assert len(answer["accepted"]) == 1
    assert reason in answer["refused"][0]["reason"]
    assert [rating.image_id for rating in study.ratings] == [study.images[1].id]


@pytest.mark.parametrize("body", [[], "x", {"events": 5}, {"events": [{}] * (MOST_EVENTS + 1)}])
def test_refuses_a_body_that_is_no_batch(visitor: Visitor, body: Any) -> None:
    """A body without a list of events, or with too many, is refused as a whole."""
    answer = visitor.post_json(visitor.address("events"), body)
    assert answer.status_code == 400
    assert answer.json


def test_events_that_are_no_objects_are_refused(study: Study, visitor: Visitor) -> None:
    """List items that are not objects are refused one by one."""
    answer = visitor.post_json(visitor.address("events"), {"rater": visitor.code, "events": [5, None, ["x"]]})
    assert answer.json
    assert len(answer.json["refused"]) == 3
    assert study.events == []


def test_refuses_an_oversized_body(visitor: Visitor) -> None:
    """A body of megabytes is not read."""
    answer = visitor.send({"kind": "skip", "text": "x" * (2 << 20)})
    assert answer.status_code == 413


def test_refuses_a_request_without_a_token(study: Study, visitor: Visitor) -> None:
    """Other sites cannot rate for a rater; the app's own page learns that its token expired."""
    for headers in ({}, {"X-CSRFToken": "made-up"}):
        answer = visitor.client.post(
            visitor.address("events"), json={}, headers={"Accept": "application/json", **headers}
        )
        assert answer.status_code == 400
        assert answer.json
        assert answer.json["csrf"] is True
    assert study.events == []


def test_refuses_events_of_another_rater(study: Study, visitor: Visitor) -> None:
    """Unsent events of one rater are not stored for the next rater of the browser."""
    answer = visitor.send({"kind": "skip", "image": study.images[0].id}, rater="r0000000")
    assert answer.status_code == 409
    assert study.events == []


def test_refuses_ratings_of_a_closed_collection(study: Study, visitor: Visitor) -> None:
    """Events are not stored, and the browser keeps them."""
    study.set(is_open=False)
    assert visitor.send({"kind": "skip", "image": study.images[0].id}).status_code == 409


@on_both
def test_two_people_rate_the_same_picture(study: Study, visitor: Visitor) -> None:
    """Each has a rating, and the sums include both."""
    image = study.images[0].id
    visitor.rate(image, 4)
    study.rater().rate(image, 8)
    assert [rating.value for rating in study.ratings] == [4, 8]
    assert (study.images[0].count, study.images[0].total) == (2, 12)


@on_both
def test_two_devices_of_one_rater_share_what_they_did(study: Study) -> None:
    """Through the personal link, another device has the same progress."""
    laptop, phone = study.rater("Ann"), study.visitor()
    laptop.rate(study.images[0].id, 4)
    link = phone_link(study, laptop)
    phone.post(link, {})
    assert phone.code == laptop.code
    assert phone.deck()["done"] == 1
    phone.rate(study.images[0].id, 6)
    assert [rating.value for rating in study.ratings] == [6]


def phone_link(study: Study, visitor: Visitor) -> str:
    """The personal link for another device."""
    return f"/go-on/{study.services.links.personal(visitor.rater)}"


def test_ratings_between_whole_numbers_where_predictions_are_corrected(make_study: MakeStudy) -> None:
    """In the Rate experiment ratings have decimals, and the shown prediction is stored."""
    study = make_study(experiment="rate")
    visitor = study.visitor()
    visitor.rate(study.images[0].id, 5.3, predicted=5.2)
    [rating] = study.ratings
    assert (rating.value, rating.predicted) == (5.3, 5.2)


def test_ratings_from_before_a_change_of_experiment_are_accepted(
    make_study: MakeStudy,
) -> None:
    """A page that was open while Rate changed to Score loses no rating."""
    study = make_study(experiment="rate")
    visitor = study.visitor()
    study.set(experiment="score")
    assert visitor.rate(study.images[0].id, 5.3, predicted=5.2)["refused"] == []
    assert [rating.value for rating in study.ratings] == [5.3]


def test_batches_per_minute_are_limited(study: Study) -> None:
    """More are answered with 429; other raters are not affected, and nothing acknowledged is lost."""
    first, second = study.rater("Ann"), study.rater("Bea")
    limiter.reset()
    event = {"id": "one", "kind": "rating", "image": study.images[0].id, "value": 7}
    assert first.post_json(first.address("events"), {}).status_code == 400
    [counter] = limiter.storage._counters  # type: ignore[attr-defined]
    limiter.storage.incr(counter, 60, amount=int(events._BATCHES.split()[0]) - 2)
    assert first.post_json(first.address("events"), {}).status_code == 400
    assert first.send(event).status_code == 429
    assert second.send(event | {"id": "two"}).status_code == 200
    limiter.reset()
    assert first.send(event).status_code == 200
    assert len(study.ratings) == 2
