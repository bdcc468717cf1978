"""Checks of raters: what they are shown, who is excluded, and what the pages and files say of it."""

import io
import itertools
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db import queries
from nimakit.web.db.tables import (
    FIRST,
    MISSING,
    Attention,
    Checks,
    Collection,
    Event,
    Exclusion,
    Gold,
    Image,
    Membership,
    Rater,
)
from nimakit.web.rating.checks import DEFAULTS, spread, wanted_answer, with_attention
from nimakit.web.study import evidence, gold
from nimakit.web.study.exclusion import Applied, apply_rule, lock_exclusions, reasons
from nimakit.web.study.gold import agreed_pairs
from nimakit.web.study.judging import Evidence, judge_ratings
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


def check(study: Study, **values: Any) -> None:
    """Set the checks of the collection."""
    study.change(
        lambda session: session.merge(
            Checks(collection_id=study.collection.id, **{**DEFAULTS, "gold_every": 2, **values})
        )
    )
    study.services.candidates.invalidate(study.collection.id)


def form(**values: Any) -> dict[str, Any]:
    """The page's form: exclude by two gold pictures missed only."""
    return {"gold_every": 2, "gold_misses": 2, "excludes": "y", **values}


def test_gold_items_are_spread() -> None:
    """They come at even steps, nearer to each other in less room, and all before the end."""
    assert spread([1, 2, 3, 4, 5, 6], ["a", "b"], every=3, room=8, start=0) == [1, 2, "a", 3, 4, "b", 5, 6]
    assert spread([1, 2, 3, 4, 5, 6], ["a", "b"], every=10, room=4, start=0) == [1, "a", 2, "b"]
    assert spread([1], ["a", "b"], every=10, room=3, start=7) == ["a", "b", 1]
    assert spread([], ["a"], every=10, room=1, start=0) == ["a"]


def test_attention_checks_come_after_so_many_pictures() -> None:
    """Those answered, or waiting in the browser, do not come again; one that is late comes at once.

    Numbers that are not due change nothing, and at the end all come that are still due.
    """

    def spread_among(items: str, every: int | None, start: int, asked: set[int], is_end: bool = False) -> str:
        return "".join(with_attention(items, every=every, start=start, asked=asked, is_end=is_end, check=str))

    assert spread_among("abcde", 2, 0, set()) == "ab1cd2e"
    assert spread_among("ab", 2, 4, {1}) == "2ab"
    assert spread_among("ab", 2, 4, {2, 9999}) == "1ab"
    assert spread_among("ab", 2, 8, set()) == "1a2b"
    assert spread_among("ab", 2, 4, set(), is_end=True) == "1a2b"
    assert spread_among("", 2, 7, {1}, is_end=True) == "23"
    assert spread_among("", 2, 6, {1, 2}, is_end=True) == ""  # none follows the last item
    assert spread_among("ab", None, 5, set(), is_end=True) == "ab"


def test_every_rater_is_shown_gold_pictures(study: Study, visitor: Visitor) -> None:
    """Also those with as many ratings as wanted."""
    gold = study.images[3]
    page = visitor.address(f"checks/gold/{gold.id}")
    assert visitor.post(page, {"low": "8", "high": "10"}).status_code == 302
    check(study)
    study.set(wanted=1)
    for image in study.images:
        study.rater().rate(image.id, 5) if image.id == gold.id else None
    deck = study.rater().deck(amount=6)
    assert [item["id"] for item in deck["items"]].index(gold.id) == 1
    assert "Right answer" in visitor.get(visitor.address("checks")).text
    assert visitor.post(page, {"low": "0", "high": "10"}).status_code == 400
    assert study.rater().post(page, {"low": "8", "high": "10"}).status_code == 403
    assert visitor.post(page, {"remove": "1"}).status_code == 302
    assert study.change(lambda session: session.get(Gold, gold.id)) is None


def test_attention_checks_ask_for_every_answer_in_turn() -> None:
    """A rater who always gives the same one misses nine of ten checks; another rater has another order."""
    collection = Collection(id=1, experiment="score", low=1, high=10, choices=2)
    asked = {
        code: [wanted_answer(collection, Rater(code=code), number) for number in range(1, 21)]
        for code in ("r1", "r2")
    }
    for answers in asked.values():
        assert sorted(answers[:10]) == list(range(1, 11))
        assert answers[10:] == answers[:10]
    assert asked["r1"] != asked["r2"]


@pytest.mark.parametrize(("experiment", "left"), [("score", 0), ("preference", 1), ("preference", 0)])
def test_attention_checks_need_pictures(make_study: MakeStudy, experiment: str, left: int) -> None:
    """A rater is done where those left are too few for a check that is due."""
    study = make_study(experiment=experiment)
    check(study, attention_every=1)
    ann, images = study.rater(), [image.id for image in study.images]
    for one, other in itertools.pairwise(images):
        if experiment == "score":
            ann.rate(one, 5)
        else:
            ann.send({"kind": "tie", "trial": f"t{one}", "shown": [one, other]})

    def go_missing(session: Session) -> None:
        for image in session.scalars(select(Image).where(Image.id.in_(images[left:]))):
            image.state = MISSING

    def items() -> list[Any]:
        path = "deck" if experiment == "score" else "preference/next"
        found: list[Any] = ann.get_json(ann.address(path))["items"]
        return found

    assert [item for item in items() if item.get("check")]
    study.change(go_missing)
    study.services.candidates.invalidate(study.collection.id)
    assert items() == []


@on_both
def test_answers_to_attention_checks_rate_nothing(study: Study) -> None:
    """The instruction takes the question's place; the answer is kept apart, and can be changed.

    The picture is none of those before and after it.
    """
    check(study, attention_every=2)
    ann = study.rater()
    items = ann.deck(amount=4)["items"]
    assert [item.get("check") for item in items] == [None, None, 1, None, None]
    asked = items[2]
    assert asked["id"] not in {item["id"] for item in items if not item.get("check")}
    wanted = wanted_answer(study.collection, ann.rater, 1)
    assert f"choose {wanted}" in asked["question"]
    assert ann.send({"kind": "check", "check": 1, "image": asked["id"], "value": None}).status_code == 200
    assert [item.get("check") for item in ann.deck(amount=4)["items"]].count(1) == 0
    held = ",".join(str(item["id"]) for item in items[:2])
    assert [item.get("check") for item in ann.deck(held=held, checks="9999")["items"]][2] == 2
    assert 2 not in [item.get("check") for item in ann.deck(held=held, checks="2")["items"]]
    ann.send({"kind": "check", "check": 1, "image": asked["id"], "value": wanted, "elapsed_ms": 900})
    kept = study.change(lambda session: session.query(Attention).one())
    assert (kept.number, kept.wanted, kept.given, kept.passed) == (1, wanted, wanted, True)
    assert study.ratings == []
    assert [event.kind for event in study.events] == ["check", "check"]
    admin = study.admin()
    assert "<td>attention check</td>" in admin.get(admin.address(f"ratings/{asked['id']}")).text
    refused = ann.send({"kind": "check", "check": 0, "value": 1}, {"kind": "check", "check": 1, "value": 99})
    assert len(refused.get_json()["refused"]) == 2


@on_both
@pytest.mark.parametrize("is_one_batch", [True, False])
def test_a_correction_of_a_check_holds(study: Study, *, is_one_batch: bool) -> None:
    """However long the first answer was on its way; other answers are ordered by their times."""
    check(study, attention_every=2)
    ann = study.rater()
    events: list[dict[str, Any]] = [
        {"id": "first", "value": 1},
        {"id": "second", "value": 2, "age_ms": 2000, "replaces": "first"},
        {"id": "third", "value": 3, "age_ms": 3000, "replaces": "second"},
        {"id": "old", "value": 4, "age_ms": 9000, "replaces": "first"},
    ]
    events = [{"kind": "check", "check": 1, **event} for event in events]
    for batch in [events] if is_one_batch else [[event] for event in events]:
        assert ann.send(*batch).get_json()["refused"] == []
    kept = study.change(lambda session: session.query(Attention).one())
    wanted = wanted_answer(study.collection, ann.rater, 1)
    assert (kept.given, kept.wanted, kept.passed) == (3, wanted, wanted == 3)


def test_a_rule_marks_raters_and_deletes_nothing(study: Study, visitor: Visitor) -> None:
    """Figures and files leave them out and say why; the admin's word counts more than the rule."""
    first, second = study.images[1], study.images[2]
    table = io.BytesIO(b"image,low,high\nphoto 0,7,7\nphoto 0,8,10\nphoto 1.jpg,1,2\n")
    answer = visitor.post(visitor.address("checks/gold"), {"file": (table, "gold.csv")})
    assert answer.status_code == 302, answer.text
    assert "2 gold pictures set." in visitor.get(answer.location).text
    careful, careless = study.rater("Careful"), study.rater("Careless")
    for image in study.images:
        careful.rate(image.id, 9 if image == first or image.path == first.path else 2, elapsed_ms=3000)
        careless.rate(image.id, 5, elapsed_ms=200)
    assert second.path == "photo 1.jpg"
    assert visitor.post(visitor.address("checks"), form()).status_code == 302
    page = visitor.get(visitor.address("checks")).text
    assert "Saved. 1 rater newly excluded, 0 included again." in page
    assert "missed 2 of 2 gold pictures" in page
    known = {row["user_id"]: row for row in visitor.table("raters.csv")}
    assert known[careless.code]["reason"] == "missed 2 of 2 gold pictures"
    assert (known[careful.code]["excluded"], known[careful.code]["gold_right"]) == ("0", "2")
    assert known[careless.code]["median_seconds"] == "0.2"
    assert {row["user_id"] for row in visitor.table("ratings.csv")} == {careful.code}
    everyone = visitor.table("all-ratings.csv")
    assert len(everyone) == 12
    assert {row["excluded"] for row in everyone if row["user_id"] == careful.code} == {""}
    assert {row["excluded"] for row in everyone if row["user_id"] == careless.code} != {""}
    dashboard = visitor.get(visitor.address("dashboard")).text
    assert "Excluded raters" in dashboard
    assert "Figures with and without them" in dashboard
    visitor.post(visitor.address(f"people/{careless.rater.id}"), {"excluded": "0"})
    visitor.post(visitor.address("checks"), form())
    assert len(visitor.table("ratings.csv")) == 12
    assert "Excluded raters" not in visitor.get(visitor.address("dashboard")).text
    assert len(study.events) == 12


def test_those_who_break_no_rule_any_more_count_again(study: Study, visitor: Visitor) -> None:
    """A rule that is taken back takes its marks back; what the admin decided before it ran stays."""
    study.change(
        lambda s: s.add(
            Gold(
                image_id=study.images[0].id, collection_id=study.collection.id, low=9, high=10, source="owner"
            )
        )
    )
    people = [study.rater(), study.rater(), study.rater()]
    for person in people:
        person.rate(study.images[0].id, 1)
    visitor.post(visitor.address(f"people/{people[1].rater.id}"), {"excluded": "1"})
    visitor.post(visitor.address(f"people/{people[2].rater.id}"), {"excluded": "0"})
    check(study, excludes=True, gold_misses=1)
    study.services.background.once()
    keys = [(person.rater.id, study.collection.id) for person in people]

    def are_excluded() -> list[bool]:
        with study.database.read() as session:
            return [session.get_one(Membership, key).excluded for key in keys]

    assert are_excluded() == [True, True, False]
    marks = study.change(lambda s: {one.rater_id: one.reasons for one in s.query(Exclusion)})
    assert marks == {keys[0][0]: ["missed 1 of 1 gold pictures"], keys[1][0]: [], keys[2][0]: []}
    visitor.post(visitor.address("checks"), form(excludes=""))
    assert are_excluded() == [False, True, False]


def test_the_rule_that_is_applied_is_the_latest(study: Study) -> None:
    """Also if it changes while the raters are judged."""
    check(study, excludes=True, attention_misses=1)

    def judged(*_: Any) -> Any:
        check(study, excludes=False)
        return SimpleNamespace(raters={study.rater().rater.id: Evidence(attention=[False])})

    known = cast("Any", SimpleNamespace(of=judged))
    assert apply_rule(study.database, known, study.collection) == Applied(0, 0)


@on_both
def test_the_rule_and_the_admin_wait_for_each_other(study: Study) -> None:
    """On PostgreSQL, too, where two transactions would add the same mark."""
    ann, admin, collection = study.rater(), study.admin(), study.collection
    admin.token()
    address = admin.address(f"people/{ann.rater.id}")
    actions = (
        lambda: apply_rule(study.database, study.services.evidence, collection),
        lambda: admin.post(address, {"excluded": "1"}),
    )
    for action in actions:
        thread = threading.Thread(target=action)
        with study.database.write() as session:
            lock_exclusions(session, collection)
            thread.start()
            thread.join(0.5)
            assert thread.is_alive()
        thread.join(20)
        assert not thread.is_alive()
    with study.database.read() as session:
        assert session.get_one(Exclusion, (ann.rater.id, collection.id)).overruled


def test_a_form_without_a_field_keeps_its_value(study: Study, visitor: Visitor) -> None:
    """The share of equal answers too, which the form has in per cent; a blank field clears it."""
    for share in (0.9, 0.75):
        check(study, same_share=share)
        assert visitor.post(visitor.address("checks"), form()).status_code == 302
        assert study.change(lambda session: session.query(Checks).one().same_share) == share
    visitor.post(visitor.address("checks"), form(same_share="60"))
    assert study.change(lambda session: session.query(Checks).one().same_share) == 0.6
    visitor.post(visitor.address("checks"), form(same_share=""))
    assert study.change(lambda session: session.query(Checks).one().same_share) is None


def test_rules() -> None:
    """Each is named with its figures, and needs enough answers."""
    rules = Checks(**{**DEFAULTS, "repeat_points": 2.0})
    alike = Evidence(answers=[5.0] * 20, times=[300] * 20, differences=[3.0] * 5, gold=[True])
    alike.agreement, alike.judged = -3, 20
    assert len(reasons(alike, rules)) == 4
    assert reasons(Evidence(answers=[5.0] * 19, times=[300] * 19, agreement=-3, judged=19), rules) == []
    by_chance = ["agrees with the others no better than chance"]
    assert reasons(Evidence(agreement=-0.3, judged=40), rules) == by_chance
    assert reasons(Evidence(agreement=-1.4, judged=20, gold=[True]), rules) == []
    assert reasons(Evidence(agreement=-1.5, judged=20), rules) == by_chance
    inattentive = Evidence(attention=[False, False, True], gold=[False, True])
    assert reasons(inattentive, rules) == ["missed 2 of 3 attention checks"]
    assert reasons(Evidence(attention=[False, False, True, True, True]), rules) == []
    assert reasons(Evidence(), rules) == []


def test_gold_that_many_miss_does_not_count() -> None:
    """Its range is too narrow; one that few miss speaks against those who do."""
    rows = [
        (rater, image, FIRST, 5.0 + (rater == 9 or (image == 1 and rater < 3)), None)
        for rater in range(20)
        for image in (0, 1)
    ]
    judged = judge_ratings(rows, {0: (5, 5), 1: (5, 5)}, range(1, 11), {})
    assert [(one.missed, one.counts) for one in judged.gold.values()] == [(1, True), (4, False)]
    assert judged.raters[9].gold == [False]
    assert judged.raters[9].agreement < 0 < judged.raters[8].agreement


def test_careless_raters_do_not_switch_gold_pictures_off() -> None:
    """Though every fourth rater misses them: those who disagree with the others say nothing about them."""
    rows = [
        (rater, image, FIRST, float(11 - image if rater % 4 == 0 else image), None)
        for rater in range(40)
        for image in range(1, 11)
    ]
    judged = judge_ratings(rows, {1: (1, 3), 10: (8, 10)}, range(1, 11), {})
    assert [(one.answered, one.missed, one.counts) for one in judged.gold.values()] == [(30, 0, True)] * 2
    assert judged.raters[0].gold == [False, False]


def test_gold_pairs_of_the_best_of_four() -> None:
    """A picture that is chosen two times of three is better than one that never is."""
    rows = [("choice", [1, 2, 3, 4], 4 if turn % 3 else 3, None) for turn in range(6)]
    assert agreed_pairs(rows, {1, 2, 3, 4}, 4) == {4: 1}
    assert agreed_pairs(rows, {1, 2, 3}, 4) == {}


def test_gold_pairs_leave_out_excluded_raters(make_study: MakeStudy) -> None:
    """Five choices by a rater make a gold pair, but not once the rater is excluded."""
    study = make_study(experiment="preference", choices=2)
    better, worse = study.images[0].id, study.images[1].id
    ann, admin = study.rater(), study.visitor()
    choice = {"kind": "choice", "image": better, "shown": [better, worse]}
    for turn in range(5):
        assert ann.send(choice | {"trial": f"t{turn}"}).get_json()["refused"] == []
    suggest = {"suggest": "1", "amount": "5"}
    admin.post(admin.address(f"people/{ann.rater.id}"), {"excluded": "1"})
    admin.post(admin.address("checks/gold"), suggest)
    assert study.change(lambda session: session.query(Gold).count()) == 0
    admin.post(admin.address(f"people/{ann.rater.id}"), {"excluded": "0"})
    admin.post(admin.address("checks/gold"), suggest)
    assert study.change(lambda session: [(one.image_id, one.worse_id) for one in session.query(Gold)]) == [
        (better, worse)
    ]


def test_evidence_is_computed_once(study: Study, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until there are other answers: saving, the page after it and the background share it."""
    study.rater().rate(study.images[0].id, 9)
    computed: list[int] = []
    original = evidence.evidence_of

    def counted(*given: Any) -> Any:
        computed.append(1)
        return original(*given)

    monkeypatch.setattr(evidence, "evidence_of", counted)
    visitor.post(visitor.address("checks"), form())
    visitor.get(visitor.address("checks"))
    study.services.background.once()
    assert len(computed) == 1
    study.rater().rate(study.images[1].id, 9)
    visitor.get(visitor.address("checks"))
    assert len(computed) == 2


@on_both
def test_the_order_of_rows_changes_no_evidence(study: Study) -> None:
    """PostgreSQL returns those last that were added again."""
    keys, rest = [one.id for one in study.images], {"low": 9, "high": 10, "source": "owner"}

    def state() -> Any:
        with study.database.read() as session:
            return evidence.state_of(session, study.collection)

    def add(images: list[int]) -> None:
        new = [Gold(image_id=one, collection_id=study.collection.id, **rest) for one in images]
        study.change(lambda session: session.add_all(new))

    add(keys)
    before = state()
    study.change(lambda session: session.delete(session.get_one(Gold, keys[0])))
    add(keys[:1])
    assert state() == before


def test_a_refused_gold_picture_holds_no_lock(
    study: Study, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page that says why may judge all raters, while others store ratings."""
    judged: list[bool] = []
    original = evidence.evidence_of

    def watched(*given: Any) -> Any:
        judged.append(study.database._write_lock.locked())  # type: ignore[union-attr]
        return original(*given)

    monkeypatch.setattr(evidence, "evidence_of", watched)
    page = visitor.address(f"checks/gold/{study.images[0].id}")
    assert visitor.post(page, {"low": "0", "high": "10"}).status_code == 400
    assert judged == [False]


def test_gold_from_agreement(study: Study, visitor: Visitor) -> None:
    """Pictures on which people agree become gold pictures; those they dispute do not."""
    for person in range(6):
        rater = study.rater()
        rater.rate(study.images[0].id, 9)
        rater.rate(study.images[1].id, 2)
        rater.rate(study.images[2].id, 1 if person % 2 else 10)
    visitor.post(visitor.address("checks/gold"), {"suggest": "1", "amount": "5"})
    found = study.change(lambda s: {one.image_id: (one.low, one.high, one.source) for one in s.query(Gold)})
    assert found == {
        study.images[0].id: (7, 10, "agreement"),
        study.images[1].id: (1, 4, "agreement"),
    }


def test_a_table_of_gold_pictures_reads_the_texts_once(
    study: Study, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each row."""
    read: list[int] = []
    original = queries.explained_pictures

    def counted(*given: Any) -> Any:
        read.append(1)
        return original(*given)

    monkeypatch.setattr(gold, "explained_pictures", counted)
    table = io.BytesIO(b"image,low,high\nphoto 0,8,10\nphoto 1,1,3\nphoto 2,1,3\n")
    assert visitor.post(visitor.address("checks/gold"), {"file": (table, "gold.csv")}).status_code == 302
    assert len(read) == 1


def test_a_bad_table_of_gold_pictures_changes_nothing(study: Study, visitor: Visitor) -> None:
    """The message names the line."""
    table = io.BytesIO(b"image,low,high\nphoto 0,8,10\nnowhere,1,2\n")
    answer = visitor.post(visitor.address("checks/gold"), {"file": (table, "gold.csv")})
    assert answer.status_code == 400
    assert "<h1>Checks</h1>" in answer.text
    assert "No gold picture was changed. 1 bad row:\n" in answer.text
    assert "nowhere" in answer.text
    assert study.change(lambda session: session.query(Gold).count()) == 0
    table = io.BytesIO(b"image,low,top\n")
    answer = visitor.post(visitor.address("checks/gold"), {"file": (table, "gold.csv")})
    assert "Rename one.</p>" in answer.text


@pytest.mark.parametrize(("experiment", "choices"), [("preference", 2), ("best-worst", 4)])
def test_comparisons_have_checks(make_study: MakeStudy, experiment: str, choices: int) -> None:
    """A gold picture must win against another one, and an attention check asks for a place."""
    study = make_study(experiment=experiment, choices=choices)
    better, worse = study.images[0], study.images[1]
    admin, ann = study.visitor(), study.rater()
    gold = {"worse": worse.path}
    assert admin.post(admin.address(f"checks/gold/{better.id}"), gold).status_code == 302
    check(study, attention_every=1, gold_every=1)
    following = ann.address(f"{experiment}/next", amount=3)
    items = ann.get_json(following)["items"]
    first = next(item for item in items if not item.get("check"))
    assert {better.id, worse.id} <= {*first["ids"]}
    shown = {"kind": "choice", "image": worse.id, "trial": first["trial"], "shown": first["ids"]}
    if experiment == "best-worst":  # neither is the best, but the gold picture is the worst
        others = [image for image in first["ids"] if image not in (better.id, worse.id)]
        shown |= {"image": others[0], "worst": better.id}
    assert ann.send(shown).get_json()["refused"] == []
    asked = next(item for item in ann.get_json(following)["items"] if item.get("check"))
    wanted = wanted_answer(study.collection, ann.rater, 1)
    assert f"photograph {wanted}" in asked["question"]
    assert len(asked["pictures"]) == choices
    ann.send({"kind": "check", "check": 1, "value": wanted})
    row = admin.table("raters.csv")[0]
    assert (row["gold_missed"], row["attention_passed"], row["answers"]) == ("1", "1", "1")
    pairs = admin.table("pairs.csv")
    admin.post(admin.address(f"people/{ann.rater.id}"), {"excluded": "1"})
    assert admin.table("pairs.csv") == []
    everyone = admin.table("all-pairs.csv")
    assert {row.pop("excluded") for row in everyone} == {"excluded by the admin"}
    assert everyone == pairs != []
    assert study.change(lambda session: session.query(Event).count()) == 2
