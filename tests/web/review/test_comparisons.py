"""The list of comparisons: sorted, filtered, page by page; who said what; corrections."""

import re
from itertools import product
from typing import Any

import pytest

from nimakit.web.db.tables import BROKEN, Choice, Image
from nimakit.web.review.comparison_query import PAGE, SORTS
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    """The app over the photographs, to be compared."""
    return make_study(experiment="preference")


def shown(visitor: Visitor, **query: Any) -> list[str]:
    """The comparisons of the page, in order."""
    answer = visitor.get(visitor.address("comparisons", **query))
    assert answer.status_code == 200
    return re.findall(r'href="/c/[\w-]+/comparisons/\d+/([\w-]+)"', answer.text)


@pytest.fixture
def compared(study: Study, visitor: Visitor) -> Visitor:
    """Four comparisons by the local rater, one after the other, and one by Ann."""
    images = study.images
    for number, place in enumerate((0, 1, "tie", None)):
        pair = images[number : number + 2]
        send(visitor, f"mine{number}", pair, place, age_ms=10_000 - 1000 * number, elapsed_ms=100 * number)
    ann = study.rater("Ann")
    send(ann, "hers", images[:2], 1, elapsed_ms=9000)
    return ann


def send(visitor: Visitor, trial: str, images: list[Image], place: int | str | None, **rest: Any) -> None:
    """Choose one of some pictures, "tie", or None to skip."""
    shown_ = [image.id for image in images]
    event = {"trial": trial, "shown": shown_, **rest}
    if isinstance(place, int):
        event |= {"kind": "choice", "image": shown_[place]}
    else:
        event |= {"kind": place or "skip"}
    answer = visitor.send(event)
    assert answer.json is not None
    assert answer.json["refused"] == []


def holds(study: Study, trial: str) -> Choice:
    """What holds of a comparison."""
    with study.database.read() as session:
        return session.query(Choice).where(Choice.trial == trial).one()


@on_both
def test_comparisons_are_sorted_and_filtered(visitor: Visitor, compared: Visitor) -> None:
    """By time, outcome, how long one looked, and the name of any of the pictures."""
    assert shown(visitor) == ["hers", "mine3", "mine2", "mine1", "mine0"]
    assert shown(visitor, up=1) == ["mine0", "mine1", "mine2", "mine3", "hers"]
    assert shown(visitor, show="choice") == ["hers", "mine1", "mine0"]
    assert shown(visitor, show="tie") == ["mine2"]
    assert shown(visitor, show="skip") == ["mine3"]
    assert shown(visitor, show="again") == []
    assert shown(visitor, sort="looked") == ["hers", "mine3", "mine2", "mine1", "mine0"]
    assert shown(visitor, text="MORE/") == ["hers", "mine0"]
    assert shown(visitor, text="photo 2") == ["mine3", "mine2"]
    assert shown(visitor, text="%25") == []


def test_the_admin_sees_who_said_what(visitor: Visitor, compared: Visitor) -> None:
    """With names, of everybody or of one of them."""
    assert shown(visitor, whose=compared.code) == ["hers"]
    assert shown(visitor, sort="rater") in (
        ["hers", "mine3", "mine2", "mine1", "mine0"],
        ["mine3", "mine2", "mine1", "mine0", "hers"],
    )
    text = visitor.get(visitor.address("comparisons")).text
    assert "<span>Ann</span>" in text
    assert "<b>chose the second</b>" in text
    assert "photo 0.jpg, chosen" in text


@pytest.mark.parametrize("blind", [True, False])
def test_raters_see_their_own_alone(study: Study, visitor: Visitor, compared: Visitor, blind: bool) -> None:
    """Not by an address either; names where the study is not blind."""
    study.set(blind=blind)
    assert shown(compared) == ["hers"]
    assert shown(compared, whose=visitor.code) == ["hers"]
    assert shown(compared, text="nothing of this name") == (["hers"] if blind else [])
    text = compared.get(compared.address("comparisons")).text
    own = compared.get(compared.address(f"comparisons/{compared.rater.id}/hers")).text
    for page in (text, own):
        assert (".jpg" in page) is not blind
    others = compared.address(f"comparisons/{visitor.rater.id}/mine0")
    assert compared.get(others).status_code == compared.post(others, {"said": "skip"}).status_code == 404


def test_ratings_lead_raters_to_their_comparisons(compared: Visitor) -> None:
    """Pictures have no ratings of their own in a preference."""
    answer = compared.get(compared.address("ratings"))
    assert answer.status_code == 302
    assert answer.location == compared.address("comparisons")
    assert 'aria-current="page">Ratings' in compared.get(answer.location).text


@on_both
@pytest.mark.slow
def test_pages_hold_every_comparison_once(study: Study, visitor: Visitor) -> None:
    """Following the link to the next page leads through all, whatever they are sorted by."""
    images, ann = study.images, study.rater("Ann")
    for number in range(PAGE + 5):
        whose = ann if number % 3 else visitor
        more = {} if number % 4 else {"elapsed_ms": number}
        send(whose, f"t{number}", images[number % 5 : number % 5 + 2], number % 2, age_ms=number // 2, **more)
    for sort, up in product(SORTS, (0, 1)):
        first = visitor.get(visitor.address("comparisons", sort=sort, up=up)).text
        [link] = re.findall(r'rel="next" href="([^"]+)"', first)
        second = visitor.get(link.replace("&amp;", "&")).text
        found = re.findall(r'href="/c/[\w-]+/comparisons/\d+/([\w-]+)"', first + second)
        assert sorted(found) == sorted(f"t{number}" for number in range(PAGE + 5))
        assert 'rel="next"' not in second


def test_a_query_that_makes_no_sense_is_left_out(visitor: Visitor) -> None:
    """The page is shown all the same."""
    for query in (
        "sort=x",
        "last=x",
        "last=x~1",
        "last=1~x",
        "show=x",
        "whose=x",
        "sort=looked&last=x~9",
        "last=~9",
    ):
        assert visitor.get(visitor.address("comparisons") + f"?{query}").status_code == 200


@on_both
def test_a_comparison_is_corrected(study: Study, compared: Visitor) -> None:
    """Another picture, then alike; what was said before is kept, the pictures' sums follow."""
    first, second = study.images[:2]
    page = compared.address(f"comparisons/{compared.rater.id}/hers")
    before = [(image.count, image.total) for image in study.images[:2]]
    answer = compared.post(page, {"said": str(first.id)})
    assert answer.status_code == 302
    assert "Your choice was changed." in compared.get(page).text
    assert (holds(study, "hers").kind, holds(study, "hers").chosen) == ("choice", first.id)
    sums = [(image.count, image.total) for image in study.images[:2]]
    assert sums == [(before[0][0], before[0][1] + 1), (before[1][0], before[1][1] - 1)]
    compared.post(page, {"said": "tie"})
    assert (holds(study, "hers").kind, holds(study, "hers").chosen) == ("tie", None)
    said = [(one.kind, one.image_id, one.source) for one in study.events if one.trial == "hers"]
    assert said == [
        ("choice", second.id, "app"),
        ("choice", first.id, "correction"),
        ("tie", None, "correction"),
    ]
    assert "All 3 changes" in compared.get(page).text


def test_a_comparison_is_taken_back(study: Study, visitor: Visitor, compared: Visitor) -> None:
    """One's own, and chosen again; the admin takes back anybody's, and chooses for nobody."""
    own = compared.address(f"comparisons/{compared.rater.id}/hers")
    compared.post(own, {"said": "skip"})
    assert holds(study, "hers").kind == "skip"
    compared.post(own, {"said": "tie"})
    assert holds(study, "hers").kind == "tie"
    assert visitor.post(own, {"said": "tie"}).status_code == 403
    assert visitor.post(own, {"said": str(study.images[0].id)}).status_code == 403
    assert "Choose<" not in visitor.get(own).text
    assert visitor.post(own, {"said": "skip"}).status_code == 302
    assert holds(study, "hers").kind == "skip"
    assert study.events[-1].source == "admin"


def test_a_comparison_that_was_taken_back_is_not_called_skipped(visitor: Visitor, compared: Visitor) -> None:
    """On its page, in what was said of it, and in the list; a skip is."""
    page = visitor.address(f"comparisons/{visitor.rater.id}/mine0")
    visitor.post(page, {"said": "skip"})
    text = visitor.get(page).text.split("<main")[1]
    assert "You: taken back" in text
    assert "<td>taken back</td>" in text
    listed = visitor.get(visitor.address("comparisons")).text
    assert (listed.count("<b>taken back</b>"), listed.count("<b>skipped</b>")) == (1, 1)


def test_a_closed_collection_keeps_what_was_said(study: Study, visitor: Visitor, compared: Visitor) -> None:
    """Raters change nothing any more, and are offered nothing; the admin can."""
    own = compared.address(f"comparisons/{compared.rater.id}/hers")
    assert 'name="said"' in compared.get(own).text
    study.set(is_open=False)
    page = compared.get(own).text
    assert "<form" not in page
    assert "does not accept ratings" in page
    assert "<b>Chosen</b>" in page
    assert compared.post(own, {"said": "tie"}).status_code == 409
    assert holds(study, "hers").kind == "choice"
    assert visitor.post(own, {"said": "skip"}).status_code == 302


def test_a_comparison_that_was_shown_again_stays_one(study: Study, visitor: Visitor) -> None:
    """What is corrected there counts in no figure, as before."""
    pair = study.images[:2]
    send(visitor, "again", pair, 0, round=1)
    visitor.post(visitor.address(f"comparisons/{visitor.rater.id}/again"), {"said": str(pair[1].id)})
    assert (holds(study, "again").round, holds(study, "again").chosen) == (1, pair[1].id)
    assert [image.count for image in study.images] == [0] * 6
    assert shown(visitor, show="again") == ["again"]


def test_refuses_what_is_no_choice(study: Study, compared: Visitor) -> None:
    """The rule is said, and nothing changes."""
    for said in ("", "x", "choice", "0", "999999"):
        answer = compared.post(compared.address(f"comparisons/{compared.rater.id}/hers"), {"said": said})
        assert answer.status_code == 400
        assert "Choose one of the pictures that were shown" in answer.text
    assert len([one for one in study.events if one.trial == "hers"]) == 1


def test_refuses_a_forged_correction_and_unknown_comparisons(compared: Visitor) -> None:
    """A form without a token comes from elsewhere; what is not there cannot be corrected."""
    address = compared.address(f"comparisons/{compared.rater.id}/hers")
    assert compared.client.post(address, data={"said": "tie"}).status_code == 400
    missing = compared.address(f"comparisons/{compared.rater.id}/none")
    assert compared.get(missing).status_code == compared.post(missing, {"said": "tie"}).status_code == 404


def test_pictures_that_are_gone_are_told(study: Study, visitor: Visitor, compared: Visitor) -> None:
    """A comparison with one of them can be corrected all the same."""

    def lose(session: Any) -> None:
        session.get_one(Image, study.images[0].id).state = BROKEN

    study.change(lose)
    page = visitor.address(f"comparisons/{visitor.rater.id}/mine0")
    assert "broken" in visitor.get(page).text
    assert "broken" in visitor.get(visitor.address("comparisons")).text
    visitor.post(page, {"said": str(study.images[1].id)})
    assert holds(study, "mine0").chosen == study.images[1].id


def test_four_pictures_are_numbered(study: Study, visitor: Visitor) -> None:
    """As they stood."""
    study.set(choices=4)
    send(visitor, "four", study.images[:4], 2)
    assert "<b>chose the third</b>" in visitor.get(visitor.address("comparisons")).text
    assert "All alike" in visitor.get(visitor.address(f"comparisons/{visitor.rater.id}/four")).text


def test_a_picture_shows_its_comparisons(study: Study, visitor: Visitor, compared: Visitor) -> None:
    """Everybody's for the admin, one's own for raters; each leads to where it is corrected."""
    second = study.images[1]
    text = visitor.get(visitor.address(f"ratings/{second.id}")).text
    assert re.findall(r"comparisons/\d+/(\w+)\"", text) == ["hers", "mine1", "mine0"]
    own = compared.get(compared.address(f"ratings/{second.id}")).text
    assert re.findall(r"comparisons/\d+/(\w+)\"", own) == ["hers"]
    assert ".jpg" not in own
