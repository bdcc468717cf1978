"""A study's way for a rater: link, consent, practice, places, and the completion code."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.web.collections.setup import change_collection
from nimakit.web.dashboard.progress import progress_of
from nimakit.web.db.scale import Scale
from nimakit.web.db.tables import Checks, Collection, Gold, Image, Rater, now
from nimakit.web.rating import ordering, pairing
from nimakit.web.rating.checks import DEFAULTS
from nimakit.web.rating.limits import Limits
from web.conftest import MakeStudy
from web.studies.conftest import PROLIFIC, TEXTS, Way
from web.study import Study, Visitor, on_both


@on_both
def test_a_rater_walks_from_a_link_to_a_code(way: Way) -> None:
    """Consent, instructions, practice, the pictures apart from those explained, and a code."""
    assert way.save(**TEXTS, platform="prolific", quota="2", code="C0DE").status_code == 302
    rater = way.study.visitor()
    link = way.link + PROLIFIC.format("aa")
    assert "<h2>Who we are</h2>" in rater.get(link).text
    rater, answer = way.join(PROLIFIC.format("aa"), rater)
    assert rater.get(answer.location).location.endswith("/study/instructions")
    assert rater.get(rater.address("score")).location.endswith("/study")
    assert rater.get(rater.address("deck")).status_code == 403
    assert "dark: about 2" in rater.get(rater.address("study/instructions")).text
    assert rater.post(rater.address("study/instructions"), {}).location.endswith("/study")
    practise(rater, [2, 2])
    assert "1 of 2 as expected" in rater.get(rater.address("study/practice/result")).text
    rater.post(rater.address("study/practice/result"), {"next": "rate"})
    deck = rater.deck()
    assert (deck["total"], len(deck["items"])) == (2, 2)
    assert rater.get(rater.address("study/done")).location.endswith("/study")
    rated = way.rated(rater)
    paths = {image.path for image in way.study.images if image.id in rated}
    assert len(rated) == 2
    assert paths.isdisjoint({"photo 0.jpg", "photo 1.jpg", "more/photo 5.png"})
    assert "3 to be rated, 3 shown in the study" in way.admin.get(way.admin.address("settings")).text
    assert "3 pictures" in way.admin.get("/collections").text
    with way.study.database.read() as session:
        progress = progress_of(session, way.study.collection, now())
    assert (progress.pictures, progress.left) == (3, 1)
    assert "C0DE" in rater.get(rater.address("study/done")).text
    assert rater.get(rater.address("score")).location.endswith("/study")
    [identity] = way.platform_ids()
    assert (identity.participant, identity.study, identity.session) == ("5f0aaa", "61b2", "77caa")


def feedback(rater: Visitor, body: dict[str, Any]) -> dict[str, Any]:
    """What is said of an answer to a practice task."""
    answer: dict[str, Any] = rater.post_json(rater.address("study/practice/tasks"), body).get_json()
    return answer


def practise(rater: Visitor, values: list[int]) -> list[bool]:
    """Answer the tasks of a round; whether each was right."""
    right = []
    for value in values:
        item = rater.get_json(rater.address("study/practice/tasks"))["items"][0]
        body = {"task": item["task"], "image": item["id"], "kind": "rating", "value": value}
        right.append(feedback(rater, body)["right"])
    return right


def test_practice_is_repeated_until_enough_is_right(way: Way) -> None:
    """Its answers are no ratings; without enough right ones there is no way on."""
    way.save(practice=TEXTS["practice"], practice_needed="2")
    rater, _ = way.join()
    result = rater.address("study/practice/result")
    assert practise(rater, [3, 7]) == [True, False]
    image = next(image.id for image in way.study.images if image.path == "more/photo 5.png")
    again = {"task": 1, "image": image, "kind": "rating", "value": 8}
    assert feedback(rater, again)["right"] is True
    assert rater.post_json(rater.address("study/practice/tasks"), {**again, "task": True}).status_code == 400
    assert way.participations()[0].practised == {"0": True, "1": False}  # the first answer counts
    assert "at least 2" in rater.get(result).text
    rater.post(result, {"next": "rate"})
    assert rater.get(rater.address("deck")).status_code == 403
    assert practise(rater, [1, 8]) == [True, True]
    rater.post(result, {"next": "rate"})
    assert rater.deck()["total"] == 4
    [one] = way.participations()
    assert (one.practice_rounds, way.study.events) == (2, [])


def test_comparisons_are_practised_and_counted(make_study: MakeStudy) -> None:
    """The best picture of a task is the right choice, and the quota ends the comparisons."""
    way = Way(make_study(experiment="preference"))
    assert "no end" in way.save().text
    assert way.save(quota="2", practice="photo 5 | photo 1 | sharper").status_code == 302, way.problems
    rater, _ = way.join()
    tasks = rater.address("study/practice/tasks")
    [item] = rater.get_json(tasks)["items"]
    best = next(image.id for image in way.study.images if image.path == "more/photo 5.png")
    body = {"task": 0, "kind": "choice", "shown": item["ids"]}
    other = next(key for key in item["ids"] if key != best)
    assert feedback(rater, {**body, "image": other})["right"] is False
    assert feedback(rater, {**body, "image": best}) == {
        "right": True, "expected": f"Photograph {item['ids'].index(best) + 1} looks best here.",
        "text": "sharper", "done": 1,
    }  # fmt: skip
    rater.post(rater.address("study/practice/result"), {"next": "rate"})
    deck = rater.get_json(rater.address("preference/next"))
    assert (deck["total"], len(deck["items"])) == (2, 2)
    for one in deck["items"]:
        rater.send({"kind": "tie", "trial": one["trial"], "shown": one["ids"]})
    assert rater.get_json(rater.address("preference/next"))["items"] == []
    taken_back = way.admin.address(f"comparisons/{rater.rater.id}/{deck['items'][0]['trial']}")
    assert way.admin.post(taken_back, {"said": "skip"}).status_code == 302
    assert rater.get(rater.address("study/done")).status_code == 302
    deck = rater.get_json(rater.address("preference/next"))
    assert (deck["done"], deck["total"], len(deck["items"])) == (1, 2, 1)
    [one] = deck["items"]
    rater.send({"kind": "tie", "trial": one["trial"], "shown": one["ids"]})
    assert "completion code" in rater.get(rater.address("study/done")).text


def more_pictures(study: Study, count: int) -> list[Image]:
    """Rows of further pictures, without files."""
    about = {"collection_id": study.collection.id, "size": 1, "mtime_ns": 1}
    return [Image(path=f"p{number}.jpg", image_id=f"p{number}", **about) for number in range(count)]


def test_the_best_and_the_worst_are_practised_after_consent(make_study: MakeStudy) -> None:
    """Sets are for those who follow the steps; a task is right if both choices are."""
    way = Way(make_study(experiment="best-worst", choices="4"))
    assert "no end" in way.save().text
    line = "photo 5 | photo 1 | photo 2 | photo 3 | the last is blurred"
    way.study.change(lambda session: session.add_all(more_pictures(way.study, 2)))
    assert way.save(quota="1", practice=line).status_code == 302, way.problems
    rater, _ = way.join()
    assert rater.client.get(rater.address("best-worst/next")).status_code == 403
    assert rater.get(rater.address("best-worst")).status_code == 302
    [item] = rater.get_json(rater.address("study/practice/tasks"))["items"]
    names = {image.id: image.image_id for image in way.study.images}
    best, worst = (next(key for key in item["ids"] if names[key] == f"photo {n}") for n in (5, 3))
    body = {"task": 0, "kind": "choice", "shown": item["ids"], "image": best}
    assert feedback(rater, {**body, "worst": next(key for key in item["ids"] if key not in (best, worst))})[
        "right"
    ] is False  # fmt: skip
    found = feedback(rater, {**body, "worst": worst})
    assert found["right"] is True
    assert found["expected"].endswith(f"and photograph {item['ids'].index(worst) + 1} worst.")
    rater.post(rater.address("study/practice/result"), {"next": "rate"})
    assert rater.get_json(rater.address("best-worst/next"))["total"] == 1


def test_predictions_are_awaited_before_a_study_ends(make_study: MakeStudy) -> None:
    """In Rate, pictures without a predicted score are still to come; practice shows predicted scores."""
    way = Way(make_study(experiment="rate"))
    way.save(practice="photo 1 | 3")

    def predict(session: Session, *names: str) -> None:
        session.execute(update(Image).where(Image.image_id.in_(names)).values(position=0.5, spread=0.1))

    way.study.change(lambda session: session.execute(update(Image).values(position=None, spread=None)))
    way.study.change(lambda session: predict(session, "photo 1", "photo 2"))
    rater, _ = way.join()
    [item] = rater.get_json(rater.address("study/practice/tasks"))["items"]
    assert item["predicted"] == 5.5
    practise(rater, [3])
    rater.post(rater.address("study/practice/result"), {"next": "rate"})
    assert len(way.rated(rater)) == 1
    assert rater.get(rater.address("study/done")).status_code == 302
    way.study.change(lambda session: predict(session, *(f"photo {number}" for number in range(6))))
    way.study.services.candidates.invalidate(way.study.collection.id)
    assert len(way.rated(rater)) == 4
    assert "completion code" in rater.get(rater.address("study/done")).text


def test_members_who_joined_without_the_link_agree_first(make_study: MakeStudy) -> None:
    """From the welcome page; where a platform is required, they are sent there."""
    way = Way(make_study(sign_up=True))
    way.save(consent="Yes?")
    rater = way.study.visitor()
    answer = rater.post(f"/sign-up/{way.study.collection.slug}", {"name": ""})
    assert rater.get(rater.get(answer.location).location).location.endswith("/study")
    assert "Yes?" in rater.get(rater.address("study")).text
    rater.post(rater.address("study"), {"version": "1"})
    assert rater.deck()["total"] == 6
    way.save(consent="Yes?", platform="prolific")
    other = way.study.visitor()
    other.post(f"/sign-up/{way.study.collection.slug}", {"name": ""})
    assert "from Prolific" in other.post(other.address("study"), {"version": "1"}).text


def test_the_admin_rates_only_as_one_who_takes_part(way: Way) -> None:
    """The tab Rate leads to the consent, which says so; until then no answer is accepted."""
    way.save(consent="Yes?")
    admin, first = way.admin, way.study.images[0].id
    assert admin.get(admin.address("score")).location.endswith("/study")
    page = admin.get(admin.address("study")).text
    assert "You are the admin" in page
    assert admin.address("dashboard") in page
    assert "You are the admin" not in admin.get(way.link).text
    assert admin.send({"kind": "rating", "image": first, "value": 7}).status_code == 403
    admin.post(admin.address("study"), {"version": "1"})
    assert admin.get(admin.address("score")).status_code == 200
    admin.rate(first, 7)
    way.change(started_at=now() - timedelta(minutes=31))
    way.save(consent="Yes?", minutes="30")
    assert admin.get(admin.address("score")).status_code == 200
    assert len(way.study.ratings) == len(way.participations()) == 1


@pytest.mark.parametrize("experiment", ["score", "preference"])
def test_repeats_come_on_top_of_the_quota(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch, experiment: str
) -> None:
    """The last ones follow once the quota is reached, and only then is a study finished."""
    for module in (ordering, pairing):
        monkeypatch.setattr(module, "REPEAT_AFTER", 1)
    way = Way(make_study(experiment=experiment, repeats=0.5))
    way.save(quota="4")
    rater, _ = way.join()
    way.study.change(lambda session: setattr(session.get_one(Rater, rater.rater.id), "code", "r0000000"))
    path = "deck?amount=1" if experiment == "score" else "preference/next?amount=1"
    rounds = []
    while items := rater.get_json(rater.address(path))["items"]:
        [item] = items
        rounds.append(item["round"])
        about = {"round": item["round"]}
        if experiment == "score":
            rater.rate(item["id"], 5, **about)
        else:
            trial = f"{item['trial'][:30]}-{len(rounds)}"
            rater.send({"kind": "tie", "trial": trial, "shown": item["ids"], **about})
        assert len(rounds) < 20
    assert rounds.count(0) == 4
    assert 1 in rounds
    assert "completion code" in rater.get(rater.address("study/done")).text


@pytest.mark.parametrize("experiment", ["score", "preference"])
def test_repeats_follow_first_answers(make_study: MakeStudy, experiment: str) -> None:
    """At most one about the same pictures, which can be changed."""
    way = Way(make_study(experiment=experiment, repeats=0.5))
    way.save(quota="1")
    rater, _ = way.join()
    one, other, third = (image.id for image in way.study.images[:3])

    def event(turn: int, images: list[int], **rest: Any) -> dict[str, Any]:
        if experiment == "score":
            return {"kind": "rating", "image": images[0], "value": 5, "round": turn, **rest}
        trial = f"{turn}{''.join(map(str, images))}"
        return {"kind": "tie", "trial": trial, "shown": images, "round": turn, **rest}

    def refused(*events: dict[str, Any]) -> int:
        return len(rater.send(*events).get_json()["refused"])

    assert refused(event(1, [one, other])) == 1
    assert refused(event(0, [one, other]), event(1, [other, third])) == 1
    again = event(1, [one, other] if experiment == "score" else [other, one])
    assert refused(again) == refused(again) == refused(again, again) == 0
    if experiment == "preference":
        assert refused({**again, "trial": "another"}) == 1


def test_nobody_takes_part_twice(way: Way) -> None:
    """The same session continues on any device; another one of the same person is refused."""
    way.save(consent="Yes?", platform="prolific")
    first, _ = way.join(PROLIFIC.format("aa"))
    elsewhere = way.study.visitor()
    assert elsewhere.get(way.link + PROLIFIC.format("aa")).location.endswith("/study")
    assert elsewhere.code == first.code
    again = way.study.visitor().get(way.link + "?PROLIFIC_PID=5f0aaa&SESSION_ID=other")
    assert again.status_code == 403
    assert "once" in again.text
    assert "return the study on Prolific" in again.text
    assert "5f0aaa" not in again.text.replace("PROLIFIC_PID=5f0aaa", "")
    _, answer = way.join(PROLIFIC.format("aa"))
    assert answer.status_code == 302
    assert first.get(way.link).location.endswith("/study")
    assert first.get(way.link + "?PROLIFIC_PID=").status_code == 403
    other, _ = way.join(PROLIFIC.format("bb"), first)  # a second person at the same browser
    assert len(way.participations()) == len({one.rater_id for one in way.platform_ids()}) == 2
    assert other.code != elsewhere.code


@pytest.mark.parametrize("query", ["", "?PROLIFIC_PID=", "?PROLIFIC_PID={{%PROLIFIC_PID%}}", "?workerId=A1"])
def test_a_link_without_the_platforms_id_is_refused(way: Way, query: str) -> None:
    """No rater is created."""
    way.save(platform="prolific")
    answer = way.study.visitor().get(way.link + query)
    assert (answer.status_code, "from Prolific" in answer.text) == (403, True)


def test_a_preview_on_mechanical_turk_takes_no_place(way: Way) -> None:
    """The assignment id is not available before the worker accepts the task."""
    way.save(platform="mturk")
    answer = way.study.visitor().get(way.link + "?workerId=A1&assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE")
    assert "preview" in answer.text
    way.join("?workerId=A1&assignmentId=B2&hitId=C3")
    [one] = way.platform_ids()
    assert (one.platform, one.participant, one.session, one.study) == ("mturk", "A1", "B2", "C3")


@on_both
def test_an_unfinished_place_goes_to_the_next_rater(way: Way) -> None:
    """Once its time is over; who comes back later is told, unless a place is left. Answers are kept.

    Those who answer the last picture after that get no code.
    """
    way.save(places="1", minutes="30", quota="2")
    late, _ = way.join()
    late.rate(way.study.images[0].id, 4)
    full = way.study.visitor().get(way.link)
    assert (full.status_code, "All places" in full.text) == (403, True)
    assert "return the study on" not in full.text
    way.change(started_at=now() - timedelta(minutes=31))
    assert late.get(late.address("deck")).status_code == 200  # nobody else wanted the place
    way.change(started_at=now() - timedelta(minutes=31))
    way.join()
    assert late.get(late.address("deck")).status_code == 403
    assert "time for this study is over" in late.get(late.address("study")).text
    late.rate(way.study.images[1].id, 5)  # given before, and arrives late
    assert len(way.study.ratings) == 2
    ended = late.get(late.address("study/done"))
    assert (ended.status_code, "time for this study is over" in ended.text) == (403, True)
    assert [one.finished_at for one in way.participations()] == [None, None]


def test_the_version_that_a_rater_agreed_to_is_kept(way: Way) -> None:
    """A change of a text makes a new version; other settings do not, and an outdated form is refused."""
    way.save(consent="one")
    rater, _ = way.join()
    way.save(consent="one", quota="3")
    assert way.version == 1
    way.save(consent="two", instructions="more", quota="3")
    assert way.version == 2
    answer = way.study.visitor().post(way.link, {"version": "1"})
    assert "has changed" in answer.text
    way.join()
    way.save(consent="two", instructions="more", examples="photo 0 | dark", quota="")
    assert rater.deck()["total"] == 5
    way.join()
    way.save(consent="two", instructions="more", examples="photo 1 | dark", quota="")
    assert rater.deck()["total"] == 4  # both pictures were explained to some
    way.save(consent="two", instructions="more", quota="3")
    table = way.admin.get(way.admin.address("study/participants.csv")).text.splitlines()
    assert [line.split(",")[1] for line in table[1:]] == ["1", "2", "3"]
    assert rater.deck()["total"] == 3


def test_codes_are_each_raters_own_and_lead_back(way: Way) -> None:
    """Without a common code; the return address contains it, escaped, and may be opened at once."""
    way.save(quota="1", link="https://app.example.org/complete?cc={code}", redirects="y")
    codes = set()
    for _ in range(2):
        rater, _ = way.join()
        way.rated(rater)
        address = rater.get(rater.address("study/done")).location
        assert re.fullmatch(r"https://app\.example\.org/complete\?cc=[A-Z2-9]{8}", address)
        codes.add(address)
    assert len(codes) == 2
    way.save(quota="1", code="A&B#c d", link="https://x.org/?cc={code}", redirects="y")
    rater, _ = way.join()
    way.rated(rater)
    assert rater.get(rater.address("study/done")).location == "https://x.org/?cc=A%26B%23c%20d"


def test_skipping_is_refused_unless_the_study_allows_it(way: Way) -> None:
    """Skipped pictures come again and give no code, and count where raters may skip."""
    way.save(quota="1")
    rater, _ = way.join()
    first = rater.deck()["items"][0]["id"]
    rater.send({"kind": "skip", "image": first})
    deck = rater.deck()
    assert ([item["id"] for item in deck["items"]], deck["done"]) == ([first], 0)
    assert rater.get(rater.address("study/done")).status_code == 302
    way.save(quota="1", may_skip="y")
    assert "completion code" in rater.get(rater.address("study/done")).text


def test_pictures_of_the_consent_are_shown_before_joining(way: Way) -> None:
    """Only those of the texts, and only with the link; other sites' pictures are refused."""
    assert "other sites" in way.save(consent="![x](https://example.org/x.png)").text
    assert way.save(consent="![A lake](photo%200.jpg)", instructions="Hi").status_code == 302
    stranger = way.study.visitor()
    source = re.search(r'<img src="([^"]+)" alt="A lake"', stranger.get(way.link).text)
    assert source
    assert stranger.get(source[1]).mimetype == "image/jpeg"
    other = next(image.id for image in way.study.images if image.path == "photo 1.jpg")
    assert stranger.get(f"{way.link}/pictures/{other}").status_code == 404


def test_an_invitation_leads_to_the_study_with_its_query(way: Way) -> None:
    """Also a query that names parameters of the app's own; back to the invitation where the study is off."""
    way.save(consent="Yes?")
    invitation = way.link.replace("/study/", "/join/")
    query = "?PROLIFIC_PID=5f0a&endpoint=x&_scheme=y"
    assert way.study.visitor().get(invitation + query).location == way.link + query
    link = way.link
    way.save(is_on="")
    assert way.study.visitor().get(link + query).location == invitation + query


def test_collections_without_a_study_are_as_before(study: Study) -> None:
    """A rater who joins rates at once."""
    rater = study.rater()
    assert rater.get(rater.address("score")).status_code == 200
    assert rater.get(rater.address("study")).status_code == 404
    assert rater.deck()["total"] == 6


def test_a_complete_study_takes_no_new_raters(way: Way) -> None:
    """Gold pictures, which all raters are shown, are no reason to; those who had begun get their codes."""
    gold = way.study.images[0].id
    about = {"collection_id": way.study.collection.id, "low": 1, "high": 10, "source": "owner"}
    way.study.change(lambda session: session.add(Gold(image_id=gold, **about)))
    way.save()
    way.study.set(wanted=1)
    first, second = way.join()[0], way.join()[0]
    way.rated(first)
    way.study.services.candidates.invalidate(way.study.collection.id)
    for answer in (way.study.visitor().get(way.link), way.join()[1]):
        assert (answer.status_code, "all the answers it needs" in answer.text) == (403, True)
    assert len(way.participations()) == 2
    second.rate(gold, 5)
    assert second.deck()["total"] == 1
    assert "completion code" in second.get(second.address("study/done")).text


@on_both
def test_limits_hold_for_what_browsers_send(way: Way) -> None:
    """Neither pictures that were explained, nor more than the quota, nor anything new after the end.

    Answers that were given in time, were stored before or change an earlier one are accepted.
    """
    way.save(quota="2", examples="photo 0 | dark")
    rater, _ = way.join()
    rater.post(rater.address("study/instructions"), {})
    keys = {image.path: image.id for image in way.study.images}
    explained, *images = [keys.pop("photo 0.jpg"), *keys.values()]

    def refused(image: int, **rest: Any) -> list[str]:
        return [one["reason"] for one in rater.rate(image, 3, **rest)["refused"]]

    assert refused(explained) == ["This picture is not part of the collection."]
    rater.send(*({"kind": "rating", "image": image, "value": 3, "id": f"e{image}"} for image in images))
    assert [one.image_id for one in way.study.ratings] == images[:2]
    assert refused(images[0], id=f"e{images[0]}") == refused(images[1]) == []
    assert "all the answers" in refused(images[2])[0]
    rater.get("/collections?lang=de")
    assert "alle Antworten" in refused(images[2])[0]
    rater.get("/collections?lang=en")
    assert rater.get(rater.address("study/done")).status_code == 200
    way.save(examples="photo 0 | dark")
    assert refused(images[2]) == ["You have finished this study."]
    assert refused(images[0]) == refused(images[3], age_ms=60_000) == []
    assert len(way.study.ratings) == 3


def test_answers_are_changed_in_the_batch_that_gave_them(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the quota, and after the end where the first answer was given before; stored ones are read once."""
    reads, read = list[bool](), Limits._read

    def counted(self: Limits) -> Any:
        reads.append(self.is_read)
        return read(self)

    monkeypatch.setattr(Limits, "_read", counted)
    way.save(quota="2")
    rater, _ = way.join()
    images = [image.id for image in way.study.images]

    def sent(*values: tuple[int, int], **rest: Any) -> int:
        events = [{"kind": "rating", "image": image, "value": value, **rest} for image, value in values]
        return len(rater.send(*events).get_json()["refused"])

    assert sent((images[0], 3), (images[1], 3), (images[1], 4), (images[0], 5), (images[2], 3)) == 1
    assert [one.value for one in way.study.ratings] == [4, 5]
    assert reads.count(False) == 1
    assert len(reads) > 2
    assert rater.get(rater.address("study/done")).status_code == 200
    way.save()
    in_time = {"kind": "rating", "image": images[3], "value": 3, "age_ms": 60_000}
    later = {"kind": "rating", "image": images[3], "value": 8}
    assert rater.send(in_time, later).get_json()["refused"] == []
    assert way.study.ratings[-1].value == 8


def test_attention_checks_are_part_of_a_study(way: Way) -> None:
    """Whatever the browser says of them: those that were due come before the end."""
    asking = Checks(collection_id=way.study.collection.id, **{**DEFAULTS, "attention_every": 2})
    way.study.change(lambda session: session.add(asking))
    way.save(quota="5")
    rater, _ = way.join()
    while items := [one for one in rater.deck(checks="1,2")["items"] if not one.get("check")]:
        rater.rate(items[0]["id"], 7)
    assert rater.get(rater.address("study/done")).status_code == 302
    assert [one["check"] for one in rater.deck()["items"]] == [1, 2]
    rater.send({"kind": "check", "check": 1, "value": 1}, {"kind": "check", "check": 2, "value": None})
    assert "completion code" in rater.get(rater.address("study/done")).text


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"experiment": "cull"}, "A cull cannot be rated as a study"),
        ({"experiment": "preference"}, "Comparisons have no end"),
        ({"scale": Scale(1, 5)}, "practice tasks"),
    ],
)
def test_settings_leave_a_study_what_it_needs(way: Way, values: dict[str, Any], reason: str) -> None:
    """While it is on, its raters could otherwise not go on; other changes are allowed."""
    way.save(practice="photo 1 | 8")

    def change(session: Session, **changed: Any) -> None:
        change_collection(session, session.scalars(select(Collection)).one(), **changed)

    with pytest.raises(UsageError, match=reason):
        way.study.change(lambda session: change(session, **values))
    way.study.change(lambda session: change(session, experiment="rate", scale=Scale(1, 8)))
    way.save(is_on="", practice="photo 1 | 8")
    way.study.change(lambda session: change(session, **values))


def test_the_admin_does_not_become_a_rater(way: Way) -> None:
    """Their session would be lost; the link explains what to do."""
    way.save()
    admin = way.study.admin()
    for answer in (admin.get(way.link), way.join("", admin)[1]):
        assert (answer.status_code, "private window" in answer.text) == (403, True)
    assert admin.rater.is_admin
    assert way.study.change(lambda session: session.scalar(select(func.count()).select_from(Rater))) == 2


def test_raters_see_only_the_pages_of_a_study(way: Way) -> None:
    """Neither pictures again nor their answers; their card says when they are done."""
    way.save(quota="1")
    rater, _ = way.join()
    for page in ("ratings", f"ratings/{way.study.images[0].id}", "comparisons", "similarity"):
        assert rater.get(rater.address(page)).status_code == 403, page
    assert "0 of 1 done" in rater.get("/collections").text
    way.rated(rater)
    rater.get(rater.address("study/done"))
    overview = rater.get("/collections").text
    assert "You have finished this study" in overview
    assert "Completion code" in overview
    assert way.admin.get(way.admin.address("ratings")).status_code == 200
