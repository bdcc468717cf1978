"""The Preference experiment: comparisons, ties, repeats, and the pairing of pictures."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select

from nimakit.web.db.tables import Choice, Rater
from nimakit.web.rating import pairing
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


@pytest.fixture
def pairs(make_study: MakeStudy) -> Study:
    """A collection with comparisons of two."""
    return make_study(experiment="preference")


def upcoming(visitor: Visitor, **query: Any) -> Any:
    """The next comparisons."""
    return visitor.get_json(visitor.address("preference/next", **query))


def choose(visitor: Visitor, item: dict[str, Any], place: int | None, **rest: Any) -> Any:
    """Choose a picture of a comparison, or None for a tie."""
    shown = item["ids"]
    event = {"kind": "tie"} if place is None else {"kind": "choice", "image": shown[place]}
    answer = visitor.send({**event, "trial": item["trial"], "shown": shown, "round": item["round"], **rest})
    assert answer.status_code == 200
    return answer.json


@on_both
def test_a_choice_is_kept_and_counted(pairs: Study) -> None:
    """The chosen picture wins, and the other one counts the comparison."""
    visitor = pairs.visitor()
    item = upcoming(visitor)["items"][0]
    assert choose(visitor, item, 1)["done"] == 1
    won = {image.id: (image.count, image.total) for image in pairs.images if image.count}
    assert won == {item["ids"][0]: (1, 0), item["ids"][1]: (1, 1)}
    assert upcoming(visitor)["history"][0]["value"] == 1


@on_both
def test_a_tie_is_shared_and_a_skip_counts_for_nothing(pairs: Study) -> None:
    """Both count as done."""
    visitor = pairs.visitor()
    first, second, *_ = upcoming(visitor)["items"]
    choose(visitor, first, None)
    visitor.send({"kind": "skip", "trial": second["trial"], "shown": second["ids"]})
    assert [(image.count, image.total) for image in pairs.images if image.count] == [(1, 0.5), (1, 0.5)]
    assert [item["value"] for item in upcoming(visitor)["history"]] == ["tie", None]


@on_both
def test_choosing_again_replaces_the_first_choice(pairs: Study) -> None:
    """Going back changes the choice; both events remain."""
    visitor = pairs.visitor()
    item = upcoming(visitor)["items"][0]
    choose(visitor, item, 0)
    choose(visitor, item, 1)
    assert {image.id: image.total for image in pairs.images if image.count} == {
        item["ids"][0]: 0,
        item["ids"][1]: 1,
    }
    assert len(pairs.events) == 2


@pytest.mark.parametrize(("choices", "question"), [("2", "looks better?"), ("4", "looks best?")])
def test_the_question_fits_the_number_of_pictures(make_study: MakeStudy, choices: str, question: str) -> None:
    """It asks for the better of two or the best of four, unless the collection has its own."""
    study = make_study(experiment="preference", choices=choices)
    page = study.visitor().get(f"/c/{study.collection.slug}/", follow_redirects=True).text
    assert f"Which photograph {question}" in page
    study.set(question="Which is calmer?")
    page = study.visitor().get(f"/c/{study.collection.slug}/", follow_redirects=True).text
    assert "Which is calmer?" in page
    assert question not in page


def test_of_four_one_is_chosen(make_study: MakeStudy) -> None:
    """Each comparison has four different pictures."""
    study = make_study(experiment="preference", choices="4")
    visitor = study.visitor()
    [item] = upcoming(visitor)["items"]
    assert len(set(item["ids"])) == 4
    choose(visitor, item, 2)
    assert sorted(image.total for image in study.images if image.count) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image": 10**6}, "not part of"),
        ({"shown": [1]}, "2 different"),
        ({"shown": [1, 1]}, "2 different"),
        ({"shown": "12"}, "2 different"),
        ({"shown": [[1], [2]]}, "2 different"),
        ({"trial": ""}, "trial"),
        ({"trial": 5}, "trial"),
        ({"kind": "rating", "value": 5}, "choose"),
        ({"image": None}, "one of those shown"),
        ({"kind": "tie"}, "one of those shown"),
    ],
)
def test_refuses_a_malformed_choice(pairs: Study, change: dict[str, Any], reason: str) -> None:
    """The reason is given, and nothing is counted."""
    visitor = pairs.visitor()
    item = upcoming(visitor)["items"][0]
    event = {"kind": "choice", "image": item["ids"][0], "trial": item["trial"], "shown": item["ids"]}
    answer = visitor.send({**event, **change}).json
    assert answer
    assert reason in answer["refused"][0]["reason"]
    assert pairs.events == []


def test_no_pair_comes_twice_and_all_come_once(pairs: Study) -> None:
    """Six pictures have fifteen pairs; then the rater is done."""
    visitor = pairs.visitor()
    seen: Counter[frozenset[int]] = Counter()
    for _ in range(30):
        items = upcoming(visitor, amount=1)["items"]
        if not items:
            break
        seen[frozenset(items[0]["ids"])] += 1
        choose(visitor, items[0], 0)
    assert len(seen) == 15
    assert set(seen.values()) == {1}


def test_buffered_pictures_are_not_served_again(pairs: Study) -> None:
    """Three pairs use all six pictures; until they are answered there are no more."""
    visitor = pairs.visitor()
    items = upcoming(visitor)["items"]
    held = [image for item in items for image in item["ids"]]
    assert sorted(held) == sorted(image.id for image in pairs.images)
    assert upcoming(visitor, held=",".join(map(str, held)))["items"] == []


def test_pictures_compared_least_come_first(pairs: Study) -> None:
    """Pictures that were compared before come later."""
    pairs.set(ordering="fewest")
    visitor = pairs.rater()
    item = upcoming(visitor, amount=1)["items"][0]
    choose(visitor, item, 0)
    pairs.services.candidates.invalidate(pairs.collection.id)
    later = upcoming(pairs.visitor(), amount=2)["items"]
    assert not set(item["ids"]) & {image for one in later for image in one["ids"]}


def test_active_order_pairs_pictures_of_similar_win_rates(pairs: Study) -> None:
    """In the active order, opponents have a similar win rate."""
    pairs.set(ordering="active")
    visitor = pairs.visitor()
    for _ in range(10):
        items = upcoming(visitor, amount=1)["items"]
        choose(visitor, items[0], 0)
    assert len(pairs.events) == 10


def test_a_collection_wants_so_many_comparisons(pairs: Study) -> None:
    """Progress counts towards that number, and then there are no more."""
    pairs.set(wanted=1)
    visitor = pairs.visitor()
    assert upcoming(visitor)["total"] == 3
    for _ in range(3):
        choose(visitor, upcoming(visitor, amount=1)["items"][0], 0)
        pairs.services.candidates.invalidate(pairs.collection.id)
    deck = upcoming(visitor)
    assert (deck["items"], deck["done"], deck["total"]) == ([], 3, 3)


def test_two_tabs_do_not_double_a_comparison(pairs: Study) -> None:
    """It has the same id in both, so that the second answer replaces the first."""
    visitor = pairs.visitor()
    for item in [*upcoming(visitor)["items"], *(again := upcoming(visitor)["items"])]:
        choose(visitor, item, 0)
    with pairs.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Choice)) == len(again)
    assert sum(image.count for image in pairs.images) == 2 * len(again)


def test_what_a_browser_holds_counts_as_comparisons(pairs: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as pictures: every third comparison is a repeat, however many wait in the browser."""
    monkeypatch.setattr(pairing, "REPEAT_AFTER", 0)
    pairs.set(repeats=0.5)
    visitor = pairs.visitor()
    pairs.change(lambda session: setattr(session.get_one(Rater, visitor.rater.id), "code", "r0000000"))
    for _ in range(2):
        for item in upcoming(visitor, amount=3)["items"]:
            choose(visitor, item, 0)
    held = [image.id for image in pairs.images][:2]
    rounds = [item["round"] for item in upcoming(visitor, held=",".join(map(str, held)))["items"]]
    assert rounds[:3] == [0, 0, 1]


def test_a_repeat_shows_the_pair_the_other_way_round(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted separately, and reveals raters who always choose the left."""
    monkeypatch.setattr(pairing, "REPEAT_AFTER", 5)
    study = make_study(experiment="preference")
    study.set(repeats=0.9)
    visitor = study.visitor()
    rounds: list[tuple[tuple[int, ...], int]] = []
    for _ in range(60):
        items = upcoming(visitor, amount=4)["items"]
        if not items:
            break
        repeats = [item for item in items if item["round"]]
        item = repeats[0] if repeats else items[0]
        rounds.append((tuple(item["ids"]), item["round"]))
        choose(visitor, item, 0)
    again = [ids for ids, turn in rounds if turn == 1]
    shown = [ids for ids, _ in rounds]
    assert again
    assert all(shown.index(ids) - shown.index(tuple(reversed(ids))) > 5 for ids in again)
    assert sum(image.count for image in study.images) == 2 * len([1 for _, turn in rounds if turn == 0])


def test_another_experiments_page_leads_to_the_right_one(pairs: Study) -> None:
    """An old bookmark still works."""
    visitor = pairs.visitor()
    answer = visitor.get(visitor.address("score"), follow_redirects=True)
    assert answer.request.path.endswith("/preference")
