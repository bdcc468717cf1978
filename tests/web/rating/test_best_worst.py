"""The Best-worst experiment: judgements, their ranking, corrections, exports and imports."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.errors import UsageError
from nimakit.io.tables import BadRows
from nimakit.labels.comparisons import read_comparisons
from nimakit.stats.bradley_terry import fit
from nimakit.web.collections.setup import change_collection
from nimakit.web.db.tables import Choice, Collection
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


@pytest.fixture
def fives(make_study: MakeStudy) -> Study:
    """A collection of which the best and the worst of five are chosen."""
    return make_study(experiment="best-worst", choices="5")


def upcoming(visitor: Visitor, **query: Any) -> Any:
    """The next sets."""
    return visitor.get_json(visitor.address("best-worst/next", **query))


def judge(visitor: Visitor, best: int, worst: int, **rest: Any) -> Any:
    """Choose the best and the worst of the next set, by their places; the set."""
    [item] = upcoming(visitor, amount=1)["items"]
    shown = item["ids"]
    event = {"kind": "choice", "image": shown[best], "worst": shown[worst], "trial": item["trial"]}
    answer = visitor.send({**event, "shown": shown, "round": item["round"], **rest})
    assert answer.json
    assert answer.json["refused"] == []
    return item


def choices(study: Study) -> list[Choice]:
    """All choices."""
    with study.database.read() as session:
        return session.query(Choice).order_by(Choice.occurred_at).all()


@on_both
def test_the_best_wins_the_worst_loses_and_the_others_are_between(fives: Study) -> None:
    """They lose to the best and win over the worst. Undo finds the places."""
    visitor = fives.visitor()
    shown = judge(visitor, 1, 3)["ids"]
    totals = {image.id: image.total for image in fives.images if image.count}
    assert [totals[image] for image in shown] == [0.5, 1, 0.5, 0, 0.5]
    deck = upcoming(visitor)
    assert deck["history"][0]["value"] == {"best": 1, "worst": 3}
    assert deck["done"] == 1


def test_a_set_is_served_once_at_a_time(fives: Study) -> None:
    """Of six pictures five are in the first set, and the next one waits for its answer."""
    visitor = fives.visitor()
    [item] = upcoming(visitor)["items"]
    assert upcoming(visitor, held=",".join(map(str, item["ids"])))["items"] == []


def test_what_other_raters_hold_comes_later(make_study: MakeStudy) -> None:
    """Four of six pictures are with another rater; the other two are in the next set."""
    study = make_study(experiment="best-worst", choices="4")
    held = upcoming(study.rater(), amount=1)["items"][0]["ids"]
    shown = upcoming(study.visitor(), amount=1)["items"][0]["ids"]
    assert {image.id for image in study.images} - {*held} <= {*shown}


@pytest.mark.parametrize("change", [
    {"worst": None}, {"worst": "same"}, {"worst": 10**6}, {"worst": [1]}, {"worst": True}, {"image": None},
    {"kind": "tie", "image": None, "worst": None}, {"kind": "skip", "image": None}, {"shown": [1, 2, 3, 4]},
])  # fmt: skip
def test_refuses_a_malformed_judgement(fives: Study, change: dict[str, Any]) -> None:
    """Nothing is counted."""
    visitor = fives.visitor()
    [item] = upcoming(visitor)["items"]
    shown = item["ids"]
    if change.get("worst") == "same":
        change = {"worst": shown[0]}
    event = {"kind": "choice", "image": shown[0], "worst": shown[4], "trial": "t", "shown": shown, **change}
    answer = visitor.send(event).json
    assert answer
    assert answer["accepted"] == []
    assert fives.events == []


def test_a_preference_takes_no_worst_picture(make_study: MakeStudy) -> None:
    """It is ignored, as is everything that events of an experiment do not have."""
    study = make_study(experiment="preference")
    shown = [image.id for image in study.images[:2]]
    visitor = study.visitor()
    visitor.send({"kind": "choice", "image": shown[0], "worst": shown[1], "trial": "t", "shown": shown})
    assert [choice.worst for choice in choices(study)] == [None]


@on_both
def test_the_ranking_is_that_of_the_exported_pairs(fives: Study, tmp_path: Path) -> None:
    """`nimakit data pairs` computes the dashboard's scores, because the file has the weights of pairs."""
    for number in range(4):
        judge(fives.rater(f"Rater {number}"), number, 4)
    visitor = fives.visitor()
    page = visitor.get(visitor.address("dashboard")).text
    assert "decide 7 pairs, which count as 4" in page
    assert "reliability of the scores" in page
    assert "Alike" not in page
    path = tmp_path / "pairs.csv"
    path.write_text(visitor.get(visitor.address("transfer/pairs.csv")).text)
    found = read_comparisons(path, rows=BadRows(skip=False))
    assert len(found) == 4 * 7
    assert found.weight is not None
    assert found.weight.sum() == pytest.approx(4 * 4)
    ranking = visitor.get(visitor.address("dashboard/ranking.csv")).text
    table = np.genfromtxt(io.StringIO(ranking), delimiter=",", names=True, dtype=None, encoding="utf-8")
    scores = fit(found)
    names = [found.image_ids[image] for image in scores.images]
    expected = dict(zip(names, scores.score.tolist(), strict=True))
    assert dict(zip(table["image_id"], table["score"], strict=True)) == pytest.approx(expected, abs=1e-4)


@on_both
def test_exported_pairs_can_be_imported(fives: Study) -> None:
    """Into another collection with sets of the same size: each is one comparison again, and counts once."""
    for number in range(3):
        judge(fives.rater(f"Rater {number}"), number, number + 1)
    text = fives.visitor().get(fives.visitor().address("transfer/pairs.csv")).text

    def empty(session: Any) -> None:
        first = session.get(Collection, fives.collection.id)
        same = {name: getattr(first, name) for name in ("folder", "low", "high", "experiment", "choices")}
        session.add(Collection(name="again", slug="again", **same))

    fives.change(empty)
    visitor = fives.visitor()
    for _ in range(2):
        data = {"what": "pairs", "file": (io.BytesIO(text.encode()), "pairs.csv")}
        answer = visitor.post("/c/again/transfer", data, content_type="multipart/form-data")
        assert answer.status_code in (200, 302)
    names = {image.id: image.image_id for image in fives.images}
    judged: dict[int, list[tuple[str, ...]]] = {}
    for choice in choices(fives):
        places = [names[image] for image in choice.shown]
        assert choice.chosen is not None
        assert choice.worst is not None
        said = (names[choice.chosen], names[choice.worst], *sorted(places))
        judged.setdefault(choice.collection_id, []).append(said)
    before, after = judged.values()
    assert before == after


def test_incomplete_sets_are_refused(fives: Study) -> None:
    """With the rule and the line."""
    judge(fives.visitor(), 0, 1)
    visitor = fives.visitor()
    lines = visitor.get(visitor.address("transfer/pairs.csv")).text.splitlines()
    text = "\n".join([lines[0], *(line.replace(line.split(",")[6], "other") for line in lines[2:])])
    data = {"what": "pairs", "file": (io.BytesIO(text.encode()), "pairs.csv")}
    answer = visitor.post(visitor.address("transfer"), data, content_type="multipart/form-data")
    assert "all pairs that choosing the best and the worst of 5 pictures decides" in answer.text
    assert len(choices(fives)) == 1


@on_both
def test_a_judgement_is_corrected_and_taken_back(fives: Study) -> None:
    """On the page of the comparison, whose history keeps what was said before."""
    visitor = fives.visitor()
    item = judge(visitor, 0, 1)
    address = visitor.address(f"comparisons/{visitor.rater.id}/{item['trial']}")
    shown = item["ids"]
    assert "best: the first, worst: the second" in visitor.get(address).text
    visitor.post(address, {"said": "choice", "best": shown[2], "worst": shown[0]})
    [choice] = choices(fives)
    assert (choice.chosen, choice.worst) == (shown[2], shown[0])
    assert "best: the third, worst: the first" in visitor.get(visitor.address("comparisons")).text
    for wrong in ({"best": shown[1], "worst": shown[1]}, {"best": shown[1]}, {"best": "0", "worst": "x"}):
        assert visitor.post(address, {"said": "choice", **wrong}).status_code == 400
    assert visitor.post(address, {"said": "tie"}).status_code == 400
    visitor.post(address, {"said": "skip"})
    [choice] = choices(fives)
    assert (choice.kind, choice.chosen, choice.worst) == ("skip", None, None)
    assert {image.count for image in fives.images} == {0}
    assert "All 3 changes" in visitor.get(address).text


def test_what_was_changed_changes_the_next_sets(fives: Study) -> None:
    """What is known follows corrections, also those that are committed late, and counts nothing twice."""
    visitor = fives.visitor()
    item = judge(visitor, 0, 1)
    services = fives.services

    def best() -> list[int]:
        services.candidates.invalidate(fives.collection.id)
        with fives.database.read() as session:
            candidates = services.candidates.get(session, fives.collection)
            compared = services.compared.get(session, fives.collection, candidates)
        return [int(place) for place in compared.best]

    assert best() == [0]
    address = visitor.address(f"comparisons/{visitor.rater.id}/{item['trial']}")
    visitor.post(address, {"said": "choice", "best": item["ids"][2], "worst": item["ids"][0]})
    assert best() == [2]
    services.compared._logs[fives.collection.id].last += 100  # as if later events had been read first
    visitor.post(address, {"said": "skip"})
    assert best() == []


@pytest.mark.parametrize(("experiment", "choices", "expected"), [
    ("best-worst", None, 4), ("best-worst", 6, 6), ("preference", None, 2), ("best-worst", 2, None),
    ("preference", 5, None), ("preference", 3, None),
])  # fmt: skip
def test_each_experiment_has_its_numbers_of_pictures(
    study: Study, experiment: str, choices: int | None, expected: int | None
) -> None:
    """Its lowest by default; any other is refused with the numbers there are."""
    values = {"experiment": experiment} | ({} if choices is None else {"choices": choices})

    def change(session: Any) -> int:
        collection = session.get(Collection, study.collection.id)
        change_collection(session, collection, **values)
        return int(collection.choices)

    if expected is None:
        with pytest.raises(UsageError, match="4"):
            study.change(change)
    else:
        assert study.change(change) == expected
