"""The Ratings page: sorted, filtered, page by page; who said what; corrections."""

import re
from itertools import product
from typing import Any

import pytest
from PIL import Image as PilImage
from PIL.ExifTags import IFD, Base

from nimakit.web.db.tables import Image
from nimakit.web.review.picture_query import PAGE, SORTS
from samples import write_photo
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


def shown(visitor: Visitor, **query: Any) -> list[int]:
    """The pictures of the page, in order."""
    answer = visitor.get(visitor.address("ratings", **query))
    assert answer.status_code == 200
    return [int(key) for key in re.findall(r'<a href="/c/[\w-]+/ratings/(\d+)\?', answer.text)]


@pytest.fixture
def rated(study: Study, visitor: Visitor) -> list[int]:
    """Four pictures with ratings by two people, in the order of the local rater's: 9, 7, 3, skipped."""
    images = [study.images[place].id for place in (4, 1, 3, 2)]
    other = study.rater("Ann")
    for image, mine, theirs in zip(images, (9, 7, 3, None), (9, 1, 5, 6), strict=True):
        if mine is None:
            visitor.send({"kind": "skip", "image": image})
        else:
            visitor.rate(image, mine)
        other.rate(image, theirs)
    return images


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"sort": "mine", "show": "mine"}, (0, 1, 2)),
        ({"sort": "mine", "show": "mine", "up": 1}, (2, 1, 0)),
        ({"sort": "mean", "show": "rated"}, (0, 3, 1, 2)),
        ({"sort": "spread", "show": "mine"}, (1, 2, 0)),
        ({"sort": "recent", "show": "mine"}, (2, 1, 0)),
        ({"show": "skipped"}, (3,)),
        ({"sort": "mean", "show": "rated", "low": 4, "high": 8}, (3, 1, 2)),
    ],
)
def test_pictures_are_sorted_and_filtered(
    visitor: Visitor, rated: list[int], query: dict[str, Any], places: tuple[int, ...]
) -> None:
    """By any of what is said of them, up and down."""
    assert shown(visitor, **query) == [rated[place] for place in places]


@on_both
def test_names_are_searched_and_sorted(study: Study, visitor: Visitor) -> None:
    """Part of a name is enough; signs that mean something in a search mean themselves."""
    assert shown(visitor, sort="name") == [image.id for image in study.images]
    assert shown(visitor, text="MORE/") == [study.images[0].id]
    assert shown(visitor, text="%25") == []
    assert shown(visitor, text="_") == []


@on_both
def test_unrated_pictures_and_problems_are_found(study: Study, visitor: Visitor, rated: list[int]) -> None:
    """What is left to do, and what needs care."""
    unrated = {image.id for image in study.images} - set(rated)
    assert set(shown(visitor, show="unrated")) == unrated
    (study.folder / study.images[5].path).unlink()
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    assert shown(visitor, show="problems") == [study.images[5].id]


def test_pages_list_every_picture_once(study: Study, visitor: Visitor) -> None:
    """Following the link to the next page leads through all pictures, for every order."""
    for number in range(PAGE + 10):
        write_photo(study.folder / f"extra {number}.png", 5, (2, 2))
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    visitor.send(
        *(
            {"kind": "rating", "image": image.id, "value": 1 + place % 4}
            for place, image in enumerate(study.images[:20])
        )
    )

    def predict(session: Any) -> None:
        for image in study.images[10:40]:
            session.get_one(Image, image.id).position = (image.id % 7) / 7

    study.change(predict)
    everything = sorted(image.id for image in study.images)
    for sort, up in product(SORTS, (0, 1)):
        first = visitor.get(visitor.address("ratings", sort=sort, up=up)).text
        [link] = re.findall(r'rel="next" href="([^"]+)"', first)
        second = visitor.get(link.replace("&amp;", "&")).text
        found = re.findall(r'<a href="/c/[\w-]+/ratings/(\d+)\?', first + second)
        assert sorted(map(int, found)) == everything, (sort, up)
        assert 'rel="next"' not in second, (sort, up)


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "nonsense"},
        {"low": "x"},
        {"last": "x"},
        {"last": "1~x"},
        {"show": "?"},
        {"low": "nan"},
        {"last": "~9"},
    ],
)
def test_a_query_that_makes_no_sense_is_left_out(visitor: Visitor, query: dict[str, str]) -> None:
    """The page is shown all the same."""
    assert visitor.get(visitor.address("ratings", **query)).status_code == 200


def test_raters_see_what_they_rated_alone(study: Study, rated: list[int]) -> None:
    """Neither other pictures nor others' ratings nor names, unless the study shows them."""
    rater = study.rater("Ben")
    rater.rate(rated[1], 4)
    page = rater.get(rater.address("ratings")).text
    assert shown(rater) == [rated[1]]
    assert shown(rater, show="all") == [rated[1]]
    assert "photo 0" not in page
    assert rater.get(rater.address(f"ratings/{rated[0]}")).status_code == 404
    own = rater.get(rater.address(f"ratings/{rated[1]}")).text
    assert "Ann" not in own
    assert "4.00" not in own
    study.set(show_others=True)
    assert "4.00" in rater.get(rater.address(f"ratings/{rated[1]}")).text
    assert "Ann" not in rater.get(rater.address(f"ratings/{rated[1]}")).text


@on_both
def test_a_skip_is_no_way_to_others_ratings(study: Study, rated: list[int]) -> None:
    """What people say is there once one has rated: not on the page, nor by how it is sorted and filtered."""
    study.set(show_others=True)
    rater = study.rater("Ben")
    rater.send({"kind": "skip", "image": rated[0]}, {"kind": "skip", "image": rated[2]})
    page = rater.address("ratings", show="skipped")
    assert 'data-key="mean"' not in rater.get(page).text
    mean = re.compile(r"(?<![\d.])9\.00(?!\d)")  # and no fraction of a second
    assert not mean.search(rater.get(rater.address(f"ratings/{rated[0]}")).text)
    assert shown(rater, show="skipped", low=6, high=10) == []
    by_mean = shown(rater, show="skipped", sort="mean")
    assert by_mean == shown(rater, show="skipped", sort="mean", up=1) == sorted(by_mean)
    rater.rate(rated[0], 9)
    assert mean.search(rater.get(rater.address(f"ratings/{rated[0]}")).text)
    assert "<b>9.00</b>" in rater.get(rater.address("ratings")).text


@on_both
def test_raters_who_are_left_out_are_in_no_figure(study: Study, visitor: Visitor, rated: list[int]) -> None:
    """Neither in what is shown nor in its order, until they are taken in again."""
    ann = next(one.rater_id for one in study.ratings if one.rater_id != visitor.rater.id)
    people = visitor.address(f"people/{ann}")
    visitor.post(people, {"excluded": "1"})
    text = visitor.get(visitor.address("ratings", show="rated")).text
    assert "<b>7.00</b>" in text
    assert "<b>6.00</b>" not in text
    assert shown(visitor, sort="mean", show="rated") == [rated[0], rated[1], rated[2], rated[3]]
    assert shown(visitor, low=6.5, high=7.5) == [rated[1]]
    assert "7.00 <small>from 1 rating<" in visitor.get(visitor.address(f"ratings/{rated[1]}")).text
    visitor.post(people, {"excluded": "0"})
    assert "4.00 <small>from 2 ratings<" in visitor.get(visitor.address(f"ratings/{rated[1]}")).text
    assert shown(visitor, sort="mean", show="rated") == [rated[0], rated[3], rated[1], rated[2]]


@on_both
@pytest.mark.parametrize(
    "query", [{"sort": "mean", "show": "rated"}, {"sort": "name"}, {"sort": "recent", "up": 1}]
)
def test_a_picture_leads_to_its_neighbours_in_the_list(
    visitor: Visitor, rated: list[int], query: dict[str, Any]
) -> None:
    """In the order and filter of the list, from its first picture to its last, equal keys included."""
    wanted = shown(visitor, **query)
    links = {"prev": "", "next": ""}
    for place, key in enumerate(wanted):
        page = visitor.get(visitor.address(f"ratings/{key}", **query)).text
        links = dict(re.findall(r'rel="(prev|next)" href="([^"]+)"', page))
        leads_to = {rel: int(re.findall(r"/ratings/(\d+)", link)[0]) for rel, link in links.items()}
        around = {"prev": wanted[place - 1 : place], "next": wanted[place + 1 : place + 2]}
        assert leads_to == {rel: keys[0] for rel, keys in around.items() if keys}
        assert all(f"sort={query['sort']}" in link for link in links.values())
    assert "next" not in links


def test_a_correction_keeps_the_place_in_the_list(visitor: Visitor, rated: list[int]) -> None:
    """Previous and next are still those of the list one came from."""
    page = visitor.address(f"ratings/{rated[0]}", sort="mine", show="mine")
    assert "show=mine" in visitor.post(page, {"value": "8"}).headers["Location"]


def test_figures_of_the_list_have_names_and_the_sort_key_is_first(visitor: Visitor, rated: list[int]) -> None:
    """No number stands without what it is."""
    text = visitor.get(visitor.address("ratings", sort="spread", show="mine")).text
    tile = text.split('class="tile-text"')[1]
    assert re.findall(r'data-key="(\w+)"', tile) == ["spread", "mine", "mean"]
    assert re.findall(r'class="tile-label">([^<]+)</span> <b>([^<]+)', tile) == [
        ("spread of ratings", "± 3.00"), ("my rating", "7"), ("mean", "4.00"),
    ]  # fmt: skip


def test_says_how_a_picture_was_taken_where_names_are_shown(study: Study, rated: list[int]) -> None:
    """Camera and exposure from EXIF; a rater of a blind collection sees none of it."""
    exif = PilImage.Exif()
    exif[Base.Make], exif[Base.Model] = "Canon", "Canon EOS R5"
    shot = {Base.ExposureTime: 0.004, Base.FNumber: 2.8, Base.ISOSpeedRatings: 100}
    exif.get_ifd(IFD.Exif).update(shot | {Base.DateTimeOriginal: "2024:05:09 21:30:00"})
    image = next(image for image in study.images if image.id == rated[0])
    PilImage.new("RGB", (60, 40)).save(study.folder / image.path, exif=exif)
    rater = study.rater("Ben")
    rater.rate(rated[0], 5)
    study.set(blind=False)
    text = rater.get(rater.address(f"ratings/{rated[0]}")).text
    assert "<dd>Canon EOS R5</dd>" in text
    assert "<dd>1/250 s, f/2.8, ISO 100</dd>" in text
    german = rater.get(rater.address(f"ratings/{rated[0]}", lang="de")).text
    assert "<dd>09.05.2024, 21:30:00</dd>" in german
    assert "<dd>1/250 s, f/2,8, ISO 100</dd>" in german
    study.set(blind=True)
    assert "Canon" not in rater.get(rater.address(f"ratings/{rated[0]}")).text


def test_the_admin_sees_who_said_what(visitor: Visitor, rated: list[int]) -> None:
    """With names, times, and everything that was ever said."""
    visitor.rate(rated[0], 8)
    text = visitor.get(visitor.address(f"ratings/{rated[0]}")).text
    assert "Ann" in text
    assert "8.50" in text
    assert "All 3 changes" in text


@on_both
def test_a_rating_is_corrected(study: Study, visitor: Visitor, rated: list[int]) -> None:
    """The new one holds, the old one is kept, and it is known that it was a correction."""
    answer = visitor.post(visitor.address(f"ratings/{rated[0]}"), {"value": "2"})
    assert answer.status_code == 302
    [mine] = [
        one.value for one in study.ratings if one.rater_id == visitor.rater.id and one.image_id == rated[0]
    ]
    assert mine == 2
    assert [event.source for event in study.events if event.image_id == rated[0]] == [
        "app",
        "app",
        "correction",
    ]


def test_a_rating_is_taken_back(study: Study, visitor: Visitor, rated: list[int]) -> None:
    """One's own; the admin may take back anybody's, and change nobody's."""
    ann = next(one.rater_id for one in study.ratings if one.rater_id != visitor.rater.id)
    page = visitor.address(f"ratings/{rated[0]}")
    visitor.post(page, {"value": ""})
    assert visitor.post(page, {"value": "5", "rater": str(ann)}).status_code == 403
    visitor.post(page, {"value": "", "rater": str(ann)})
    picture = next(image for image in study.images if image.id == rated[0])
    assert (picture.count, picture.total) == (0, 0)
    assert [event.source for event in study.events if event.value is None][-2:] == ["correction", "admin"]


def test_a_rating_that_was_taken_back_is_not_called_skipped(visitor: Visitor, rated: list[int]) -> None:
    """On the picture's page, in the list, and in what was said; a skip is."""
    taken_back, skipped = rated[0], rated[3]
    visitor.post(visitor.address(f"ratings/{taken_back}"), {"value": ""})
    page = visitor.get(visitor.address(f"ratings/{taken_back}")).text.split("<main")[1]
    assert page.count(">taken back<") == 2
    assert "skip" not in page
    assert ">skipped<" in visitor.get(visitor.address(f"ratings/{skipped}")).text
    tiles = visitor.get(visitor.address("ratings", show="skipped")).text
    assert (tiles.count(">taken back<"), tiles.count(">skipped<")) == (1, 1)


def test_a_closed_collection_keeps_its_ratings(study: Study, visitor: Visitor, rated: list[int]) -> None:
    """Raters change nothing any more, and are offered nothing; the admin can."""
    rater = study.rater("Ben")
    rater.rate(rated[0], 4)
    assert ">Correct<" in rater.get(rater.address(f"ratings/{rated[0]}")).text
    study.set(is_open=False)
    page = rater.get(rater.address(f"ratings/{rated[0]}")).text
    assert ">Correct<" not in page
    assert "You rate it 4" in page
    assert "does not accept ratings" in page
    assert rater.post(rater.address(f"ratings/{rated[0]}"), {"value": "5"}).status_code == 409
    assert sorted(one.value or 0 for one in study.ratings if one.image_id == rated[0])[0] == 4
    assert visitor.post(visitor.address(f"ratings/{rated[0]}"), {"value": "5"}).status_code == 302


def test_a_rater_corrects_nobody_elses_rating(study: Study, visitor: Visitor, rated: list[int]) -> None:
    """Not by another number in the form either."""
    rater = study.rater("Ben")
    rater.rate(rated[0], 4)
    page = rater.address(f"ratings/{rated[0]}")
    assert rater.post(page, {"value": "", "rater": str(visitor.rater.id)}).status_code == 403
    assert rater.post(page, {"value": "", "rater": "9" * 30}).status_code == 403
    assert visitor.post(page, {"value": "", "rater": "9" * 30}).status_code == 404
    assert rater.post(page, {"value": "5"}).status_code == 302
    assert rater.post(rater.address(f"ratings/{rated[1]}"), {"value": "5"}).status_code == 404


@pytest.mark.parametrize("value", ["0", "11", "5.5", "x", "nan", "1e999"])
def test_refuses_a_rating_that_is_none(study: Study, visitor: Visitor, rated: list[int], value: str) -> None:
    """The rule is said."""
    answer = visitor.post(visitor.address(f"ratings/{rated[0]}"), {"value": value})
    assert answer.status_code == 400
    assert "a whole number from 1 to 10" in answer.text


def test_a_rating_between_two_whole_numbers_is_corrected_to_another(study: Study, visitor: Visitor) -> None:
    """It was imported, or given in Rate: the form takes what it shows."""
    tenth, finer = study.images[:2]
    visitor.rate(tenth.id, 7.3)
    visitor.rate(finer.id, 7.25)
    assert 'step="0.1" value="7.3"' in visitor.get(visitor.address(f"ratings/{tenth.id}")).text
    assert 'step="any" value="7.25"' in visitor.get(visitor.address(f"ratings/{finer.id}")).text
    visitor.post(visitor.address(f"ratings/{tenth.id}"), {"value": "7.4"})
    visitor.post(visitor.address(f"ratings/{finer.id}"), {"value": "7"})
    assert [rating.value for rating in study.ratings] == [7.4, 7]
    assert 'step="1" value="7"' in visitor.get(visitor.address(f"ratings/{finer.id}")).text


def test_refuses_a_forged_correction(visitor: Visitor, rated: list[int]) -> None:
    """A form without a token comes from elsewhere."""
    answer = visitor.client.post(visitor.address(f"ratings/{rated[0]}"), data={"value": "1"})
    assert answer.status_code == 400


def test_comparisons_are_shown_with_a_picture(make_study: MakeStudy) -> None:
    """Whom it met, and who won."""
    study = make_study(experiment="preference")
    visitor = study.visitor()
    item = visitor.get_json(visitor.address("preference/next"))["items"][0]
    shown_, chosen = item["ids"], item["ids"][1]
    visitor.send({"kind": "choice", "image": chosen, "trial": "t1", "shown": shown_})
    text = visitor.get(visitor.address(f"ratings/{chosen}")).text
    assert "Won 100 % of 1 comparison" in text
    assert "chose the second" in text
    assert shown(visitor, sort="mean", show="rated") == [chosen, shown_[0]]
    other = study.rater("Ben")
    assert other.get(other.address(f"ratings/{chosen}")).status_code == 404
