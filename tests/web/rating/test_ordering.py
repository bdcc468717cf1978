"""The order of pictures: orders, repeats, and progress."""

import numpy as np
import pytest

from nimakit.web.db.scale import Scale
from nimakit.web.db.tables import Image, Rater
from nimakit.web.rating import ordering
from nimakit.web.rating.ordering import REPEAT_AFTER, shuffle_keys, uncertainty
from samples import write_photo
from web.study import Study, Visitor, on_both

UNKNOWN = np.array([np.nan])


def order(visitor: Visitor) -> list[int]:
    """Ids of all next pictures."""
    return [item["id"] for item in visitor.deck(amount=30)["items"]]


def unsure(values: list[float], position: float = np.nan, spread: float = np.nan) -> float:
    """The uncertainty of a picture with these ratings, on a scale from 1 to 10."""
    given = np.array(values, float)
    found = uncertainty(
        np.array([float(len(given))]),
        np.array([given.sum()]),
        np.array([(given**2).sum()]),
        position=np.array([position]),
        spread=np.array([spread]),
        scale=Scale(1, 10),
    )
    return float(found[0])


def test_each_rater_has_an_order_of_their_own(study: Study) -> None:
    """It is the same on every visit, differs between raters, and has every picture once."""
    visitors = [study.visitor(), *(study.rater() for _ in range(3))]
    orders = [order(visitor) for visitor in visitors]
    assert orders[0] == order(visitors[0])
    assert len({tuple(one) for one in orders}) > 1
    assert all(sorted(one) == sorted(image.id for image in study.images) for one in orders)


def test_shuffles_are_even() -> None:
    """Over many raters, each picture comes first about equally often."""
    images = np.arange(1, 11, dtype=np.uint64)
    firsts = [int(np.argmin(shuffle_keys(images, Rater(code=f"r{number}")))) for number in range(2000)]
    counts = np.bincount(firsts, minlength=10)
    assert counts.min() > 140
    assert counts.max() < 260


@on_both
def test_rated_and_skipped_pictures_do_not_return(study: Study, visitor: Visitor) -> None:
    """Nor do pictures that the browser already has."""
    first, second, third, *rest = order(visitor)
    visitor.rate(first, 5)
    visitor.send({"kind": "skip", "image": second})
    deck = visitor.deck(held=third)
    assert [item["id"] for item in deck["items"]] == rest
    assert (deck["done"], deck["skipped"], deck["total"]) == (2, 1, 6)


def test_skipped_pictures_come_again_when_asked_for(study: Study, visitor: Visitor) -> None:
    """At the end the rater may rate them after all."""
    first, second, *_ = order(visitor)
    visitor.send({"kind": "skip", "image": first})
    visitor.rate(second, 5)
    deck = visitor.deck(skipped="")
    assert [item["id"] for item in deck["items"]] == [first]
    until = deck["skipped_until"]
    assert visitor.deck(skipped=until)["items"] == deck["items"]
    visitor.send({"kind": "skip", "image": first})
    assert visitor.deck(skipped=until)["items"] == []
    assert [item["id"] for item in visitor.deck(skipped="")["items"]] == [first]
    assert visitor.deck()["skipped_until"] is None


@on_both
def test_fewest_ratings_come_first(study: Study) -> None:
    """Unrated pictures come before those others rated."""
    study.set(ordering="fewest")
    other = study.rater()
    rated = [study.images[0].id, study.images[3].id]
    for image in rated:
        other.rate(image, 5)
    study.services.candidates.invalidate(study.collection.id)
    assert set(order(study.visitor())[-2:]) == set(rated)


@on_both
def test_most_uncertain_pictures_come_first(study: Study) -> None:
    """Pictures on which raters and model disagree come first."""
    study.set(ordering="active")
    agreed, disputed, contradicted = (study.images[place].id for place in (0, 1, 2))
    for value, others in ((5, (2, 9)), (5, (9, 2)), (5, (2, 9))):
        rater = study.rater()
        rater.rate(agreed, value)
        rater.rate(disputed, others[0])
        rater.rate(contradicted, 5)

    def predict(session: object) -> None:
        for image, position in ((agreed, 4 / 9), (contradicted, 1.0)):
            found = session.get_one(Image, image)  # type: ignore[attr-defined]
            found.position, found.spread = position, 0.15

    study.change(predict)
    study.services.candidates.invalidate(study.collection.id)
    found = order(study.visitor())
    assert found[-1] == agreed
    assert found.index(contradicted) < found.index(agreed)
    assert found.index(disputed) < found.index(agreed)


def test_uncertainty_falls_with_ratings_and_rises_with_disagreement() -> None:
    """More ratings reduce it, and disagreement raises it."""
    assert unsure([5]) < unsure([])
    assert unsure([5] * 10) < unsure([5] * 2)
    assert unsure([1, 10, 1, 10]) > unsure([5, 6, 5, 6])
    assert unsure([5], position=1.0, spread=0.1) > unsure([5], position=4 / 9, spread=0.1)
    assert unsure([], position=0.5, spread=0.3) > unsure([], position=0.5, spread=0.1)


@on_both
def test_pictures_with_enough_ratings_are_done(study: Study) -> None:
    """They are done for all raters."""
    study.set(wanted=1)
    study.rater().rate(study.images[0].id, 5)
    study.services.candidates.invalidate(study.collection.id)
    deck = study.visitor().deck()
    assert study.images[0].id not in [item["id"] for item in deck["items"]]
    assert deck["total"] == 5


@pytest.mark.parametrize("ordering", ["random", "fewest", "active"])
def test_reserved_pictures_are_not_served_to_others(study: Study, ordering: str) -> None:
    """A reserved picture is only served if no other picture needs ratings."""
    study.set(wanted=1, ordering=ordering)
    ann, ben = study.rater("Ann"), study.rater("Ben")
    hers = {item["id"] for item in ann.deck(amount=4)["items"]}
    his = {item["id"] for item in ben.deck(amount=2)["items"]}
    assert not hers & his
    assert ben.deck(amount=2)["total"] == 6
    assert len(study.visitor().deck(amount=6)["items"]) == 6


def test_raters_spread_over_the_most_uncertain_pictures(study: Study) -> None:
    """The second rater starts with another picture."""
    study.set(ordering="active")
    first, second = ([item["id"] for item in study.rater().deck(amount=3)["items"]] for _ in range(2))
    assert not set(first) & set(second)


def test_repeats_come_after_a_while_and_count_apart(
    study: Study, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some pictures are repeated; both ratings are stored, and only the first is counted.

    At the end as well, others come in between; a picture for which there are none is not repeated.
    """
    monkeypatch.setattr(ordering, "REPEAT_AFTER", 3)
    study.set(repeats=0.5)
    study.change(lambda session: setattr(session.get_one(Rater, visitor.rater.id), "code", "r0000000"))
    rounds: list[tuple[int, int]] = []
    for _ in range(20):
        items = visitor.deck(amount=1)["items"]
        if not items:
            break
        [item] = items
        rounds.append((item["id"], item["round"]))
        visitor.rate(item["id"], 5 + item["round"], round=item["round"])
    firsts = [image for image, turn in rounds if turn == 0]
    again = [image for image, turn in rounds if turn == 1]
    assert len(firsts) == 6
    assert 0 < len(again) < 6
    images = [image for image, _ in rounds]
    assert all(images[::-1].index(key) + images.index(key) < len(images) - 4 for key in again)
    assert len(set(again)) == len(again)
    assert all(image.total == 5 for image in study.images)
    assert len(study.ratings) == 6 + len(again)


def test_a_repeat_waits_until_the_first_answer_is_forgotten(study: Study, visitor: Visitor) -> None:
    """While there are new pictures, at least `REPEAT_AFTER` come in between."""
    for number in range(60):
        write_photo(study.folder / f"extra {number}.jpg", number)
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    study.set(repeats=0.5)
    seen: list[int] = []
    for _ in range(REPEAT_AFTER + 15):
        [item] = visitor.deck(amount=1)["items"]
        if item["round"]:
            assert len(seen) - seen.index(item["id"]) > REPEAT_AFTER
        seen.append(item["id"])
        visitor.rate(item["id"], 5, round=item["round"])
    assert len(set(seen)) < len(seen)


@on_both
def test_predicted_scores_come_before_the_picture(study: Study) -> None:
    """In Rate, pictures without a prediction wait, and the answer says that more will come."""
    study.set(experiment="rate")
    visitor = study.visitor()
    assert visitor.deck()["items"] == []
    assert visitor.deck()["pending"] is True

    def predict(session: object) -> None:
        session.get_one(Image, study.images[0].id).position = 0.5  # type: ignore[attr-defined]

    study.change(predict)
    [item] = visitor.deck()["items"]
    assert (item["id"], item["predicted"]) == (study.images[0].id, 5.5)


@pytest.mark.parametrize(
    "query",
    [
        *("amount=-1", "amount=99", "held=x", "held=1;2", "held=" + ",".join("1" * 501)),
        *("skipped=x", "skipped=-1", "skipped=1.5", "skipped=" + "9" * 19),
    ],
)
def test_refuses_a_malformed_query(visitor: Visitor, query: str) -> None:
    """The amount is limited, and ids must be numbers."""
    answer = visitor.get(visitor.address("deck") + "?" + query, headers={"Accept": "application/json"})
    assert answer.status_code == 400
    assert answer.json


def test_names_are_sent_only_if_raters_are_not_blind(study: Study, visitor: Visitor) -> None:
    """Blind raters get no file names."""
    assert {item["name"] for item in visitor.deck()["items"]} == {None}
    study.set(blind=False)
    assert {item["name"] for item in visitor.deck()["items"]} == {image.path for image in study.images}


@on_both
def test_going_back_works_on_another_device(study: Study, visitor: Visitor) -> None:
    """The latest pictures are sent with their ratings."""
    first, second, *_ = order(visitor)
    visitor.rate(first, 3)
    visitor.send({"kind": "skip", "image": second})
    history = visitor.deck(amount=0)["history"]
    assert [(item["id"], item["value"]) for item in history] == [(first, 3), (second, None)]
