"""The Similarity pages: pairs, neighbours, uploads, and what is said when there is nothing to compare."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import delete
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from faults import INSTALLED, failing
from nimakit.io.child_process import ChildProcess
from nimakit.web.collections.setup import add_collection
from nimakit.web.db.tables import Features, Image
from nimakit.web.settings import Settings
from nimakit.web.similarity import index
from nimakit.web.similarity import routes as similarity_routes
from samples import png_header
from web.colours import COLOURS, paint
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


@pytest.fixture
def coloured(make_study: MakeStudy, photos: Path, tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A collection with a model that sees colours."""
    monkeypatch.setattr(index, "_MIN_SECONDS_BETWEEN_READS", -1.0)
    paint(photos, (60, 40))
    return make_study(model=str(tiny_file))


@pytest.fixture
def visitor(coloured: Study) -> Visitor:
    """The local rater."""
    return coloured.visitor()


def picture(colour: tuple[int, int, int] = (200, 30, 30)) -> io.BytesIO:
    """A file to bring along."""
    stream = io.BytesIO()
    Picture.new("RGB", (30, 20), colour).save(stream, "PNG")
    stream.seek(0)
    return stream


def bring(visitor: Visitor, content: io.BytesIO, name: str = "mine.png") -> tuple[int, str]:
    """Send a picture; status and page."""
    answer = visitor.post(visitor.address("similarity/upload"), {"picture": (content, name)})
    return answer.status_code, answer.text


def found(page: str) -> list[int]:
    """The pictures of a grid, in order."""
    grid = page.partition('class="tiles matches"')[2]
    return [int(key) for key in re.findall(r"/pictures/(\d+)/480", grid)]


@on_both
def test_a_random_pair_is_shown_with_its_similarity(coloured: Study, visitor: Visitor) -> None:
    """Two different pictures, at an address one can go back to; the number is the cosine of the features."""
    answer = visitor.get(visitor.address("similarity"))
    assert answer.status_code == 302
    left, right = map(int, re.findall(r"(?:left|right)=(\d+)", answer.location))
    assert left != right
    colours = dict(zip([image.id for image in coloured.images], np.array(COLOURS), strict=True))
    one, other = colours[left], colours[right]
    expected = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    page = visitor.get(answer.location).text
    [shown] = re.findall(r'verdict-number">([\d.]+)<', page)
    assert float(shown) == pytest.approx(expected, abs=0.011)
    assert re.search(r"More similar than \d+ % of the pairs", page)


def test_pairs_differ(visitor: Visitor) -> None:
    """Not the same two all the time."""
    places = {visitor.get(visitor.address("similarity")).location for _ in range(30)}
    assert len(places) > 5


def test_one_side_is_kept(coloured: Study, visitor: Visitor) -> None:
    """The other one is drawn anew, and is never the same picture."""
    key = coloured.images[2].id
    for _ in range(10):
        place = visitor.get(visitor.address("similarity", right=key)).location
        left, right = re.findall(r"(?:left|right)=(\d+)", place)
        assert int(right) == key != int(left)


def test_a_picture_and_itself_are_alike(coloured: Study, visitor: Visitor) -> None:
    """Which is 1, and no more."""
    key = coloured.images[0].id
    assert 'verdict-number">1.00<' in visitor.get(visitor.address("similarity", left=key, right=key)).text


@on_both
def test_the_most_similar_come_first(coloured: Study, visitor: Visitor) -> None:
    """Without the picture itself; each leads to the pair, on, and to its page in Ratings."""
    for first, second in ((0, 1), (3, 2), (4, 5)):
        asked, alike = coloured.images[first].id, coloured.images[second].id
        page = visitor.get(visitor.address(f"similarity/like/{asked}")).text
        assert len(found(page)) == len(COLOURS) - 1
        assert found(page)[0] == alike
        assert asked not in found(page)
        assert f"left={asked}&amp;right={alike}" in page
        assert f"/similarity/like/{alike}" in page
        assert f"/ratings/{alike}" in page


def test_a_picture_is_brought_along(coloured: Study, visitor: Visitor, tmp_path: Path) -> None:
    """Its like is found; the file itself is nowhere afterwards."""
    before = {path for path in tmp_path.rglob("*") if "ratings.db" not in path.name}
    status, page = bring(visitor, picture((10, 210, 10)))
    assert status == 200
    assert set(found(page)[:2]) == {coloured.images[2].id, coloured.images[3].id}
    assert "mine.png" in page
    assert {path for path in tmp_path.rglob("*") if "ratings.db" not in path.name} == before
    assert len(coloured.images) == len(COLOURS)


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"no picture", 422, "mine.png"),
        (b"", 422, "mine.png"),
        (png_header(20_000, 20_000), 413, "pixels"),
        (picture().getvalue()[:-30], 422, "mine.png"),
    ],
)
def test_what_is_no_picture_is_refused(visitor: Visitor, content: bytes, status: int, said: str) -> None:
    """With the reason, on the page where another one can be chosen."""
    answer, page = bring(visitor, io.BytesIO(content))
    assert answer == status
    assert said in page
    assert 'role="alert"' in page
    assert 'name="picture"' in page


def test_a_large_webp_is_decoded_by_a_child_process(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raters do not wait for a decoder that blocks all threads."""
    calls: list[str] = []

    def run(_child: ChildProcess, call: Callable[..., Any], *args: Any) -> Any:
        calls.append(call.__name__)
        return call(*args)

    monkeypatch.setattr(ChildProcess, "run", run)
    stream = io.BytesIO()
    Picture.new("RGB", (2000, 1500)).save(stream, "WEBP", method=0)
    stream.seek(0)
    status, page = bring(visitor, stream, "mine.webp")
    assert (status, calls) == (200, ["make"])
    assert found(page)


def test_a_form_without_a_picture_is_refused(visitor: Visitor) -> None:
    """It says what to do."""
    answer = visitor.post(visitor.address("similarity/upload"), {})
    assert (answer.status_code, "Choose a picture first" in answer.text) == (400, True)


def test_a_file_name_cannot_write_into_the_page(visitor: Visitor) -> None:
    """It is shown as text."""
    _, page = bring(visitor, picture(), "<script>x</script>.png")
    assert "<script>x" not in page


def test_a_body_that_is_too_large_is_refused(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Larger than a form may be, it is taken; larger than a picture may be, the page says so."""
    pixels = np.random.default_rng(0).integers(0, 255, (700, 700, 3), np.uint8)
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, "BMP")
    assert len(stream.getvalue()) > 1 << 20
    form = {"csrf_token": visitor.token(), "picture": FileStorage(io.BytesIO(stream.getvalue()), "large.bmp")}
    boundary, body = encode_multipart(form)  # the client would leave its own temporary file to the collector

    def send() -> tuple[int, str]:
        place, kind = visitor.address("similarity/upload"), f"multipart/form-data; boundary={boundary}"
        answer = visitor.client.post(place, data=body, content_type=kind, buffered=True)
        return answer.status_code, answer.text

    assert send()[0] == 200
    monkeypatch.setattr(similarity_routes, "LARGEST_UPLOAD", 1 << 20)
    status, page = send()
    assert (status, "limit is 1 MB" in page) == (413, True)


def test_a_form_without_its_token_is_refused(coloured: Study, visitor: Visitor) -> None:
    """As all forms are."""
    answer = visitor.client.post(visitor.address("similarity/upload"), data={"picture": (picture(), "a.png")})
    assert answer.status_code == 400
    assert 'class="match"' not in answer.text


PLACES = (
    "similarity",
    "similarity/like/1",
    "similarity/choose?side=left",
    "similarity/upload",
    "similarity/status",
)


@pytest.mark.parametrize("place", PLACES)
def test_raters_of_another_study_see_nothing(coloured: Study, place: str) -> None:
    """Not even that there is such a study."""

    def add(session: Session) -> None:
        add_collection(session, coloured.folder, name="Other", model=coloured.collection.model)

    coloured.change(add)
    rater = coloured.rater()
    assert rater.get(rater.address(place)).status_code in (200, 302)
    assert rater.get(f"/c/other/{place}").status_code == 404
    answer = rater.post("/c/other/similarity/upload", {"picture": (picture(), "a.png")})
    assert answer.status_code == 404


@pytest.mark.parametrize("place", PLACES)
def test_strangers_see_nothing(
    make_study: MakeStudy, settings: Settings, tiny_file: Path, place: str
) -> None:
    """Where others can reach the app, those without a session are told to sign in."""
    shared = replace(settings, host="192.0.2.1", password="correct horse battery")  # noqa: S106
    visitor = make_study(shared, model=str(tiny_file)).visitor()
    assert visitor.get(visitor.address(place)).status_code == 401
    upload = visitor.address("similarity/upload")
    assert visitor.post(upload, {"picture": (picture(), "a.png")}).status_code == 401
    body = b"x" * ((1 << 20) + 1)
    assert (
        visitor.client.post(upload, data=body, content_type="multipart/form-data; boundary=x").status_code
        == 401
    )


@on_both
def test_pictures_of_other_collections_are_not_compared(coloured: Study, visitor: Visitor) -> None:
    """By whatever number one asks for them."""
    for query in ({"left": 10**6}, {"right": -1}, {"left": 10**30}):
        assert visitor.get(visitor.address("similarity", **query)).status_code == 404
    assert visitor.get(visitor.address("similarity/like/99999")).status_code == 404


def test_a_number_that_is_none_is_left_out(visitor: Visitor) -> None:
    """The pair is drawn, as without it."""
    assert visitor.get(visitor.address("similarity", left="x")).status_code == 302


@on_both
def test_a_side_is_chosen_for(coloured: Study, visitor: Visitor) -> None:
    """Pictures lead to the pair with the other side kept; by name where names are seen."""
    other = coloured.images[5].id
    page = visitor.get(visitor.address("similarity/choose", side="left", other=other)).text
    for image in coloured.images:
        assert f"right={other}&amp;left={image.id}" in page or f"left={image.id}&amp;right={other}" in page
    page = visitor.get(visitor.address("similarity/choose", side="right", text="colour 3")).text
    assert re.findall(r"right=(\d+)", page) == [str(coloured.images[3].id)]
    assert "No picture has" in visitor.get(visitor.address("similarity/choose", side="left", text="%25")).text
    assert visitor.get(visitor.address("similarity/choose", side="up")).status_code == 400


def test_choices_go_on_page_by_page(
    coloured: Study, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each picture once, with an end."""
    monkeypatch.setattr(similarity_routes, "PAGE", 4)
    page = visitor.get(visitor.address("similarity/choose", side="left")).text
    keys = re.findall(r"\?left=(\d+)", page)
    [following] = re.findall(r'rel="next" href="([^"]+)"', page)
    page = visitor.get(following.replace("&amp;", "&")).text
    keys += re.findall(r"\?left=(\d+)", page)
    assert [int(key) for key in keys] == sorted(image.id for image in coloured.images)
    assert 'rel="next"' not in page


def test_raters_of_a_blind_study_see_no_names(coloured: Study) -> None:
    """Nor predicted scores, nor the way to Ratings of what they have not rated."""
    rater = coloured.rater()
    rated, other = coloured.images[0].id, coloured.images[1].id
    rater.rate(rated, 5)
    pages = [
        rater.get(rater.address("similarity", left=rated, right=other)).text,
        rater.get(rater.address(f"similarity/like/{other}")).text,
        rater.get(rater.address("similarity/choose", side="left", text="colour 1")).text,
        bring(rater, picture())[1],
    ]
    # Links to other languages repeat what was searched for.
    assert not any("colour" in page.replace("text=colour+1", "") for page in pages)
    assert not any("redicted" in page for page in pages)
    assert f"/ratings/{rated}" in pages[1]
    assert f"/ratings/{other}" not in "".join(pages)
    assert len(re.findall(r"\?left=\d+", pages[2])) == len(COLOURS)
    coloured.set(blind=False)
    assert "colour 1" in rater.get(rater.address("similarity", left=rated, right=other)).text


@on_both
def test_raters_of_comparisons_open_what_they_compared(coloured: Study) -> None:
    """The pictures of their own comparisons, and no others."""
    coloured.set(experiment="preference")
    rater = coloured.rater()
    item = rater.get_json(rater.address("preference/next", amount=1))["items"][0]
    event = {"kind": "choice", "trial": item["trial"], "shown": item["ids"], "image": item["ids"][0]}
    assert rater.send(event).status_code == 200
    asked = next(image.id for image in coloured.images if image.id not in item["ids"])
    page = rater.get(rater.address(f"similarity/like/{asked}")).text
    assert {int(key) for key in re.findall(r"/ratings/(\d+)", page)} == set(item["ids"])


def test_without_a_model_the_page_says_so(make_study: MakeStudy) -> None:
    """The admin is led to the settings; a rater is not led to the page at all."""
    study = make_study()
    admin, rater = study.visitor(), study.rater()
    page = admin.get(admin.address("similarity")).text
    assert "this collection has none" in page
    assert "/settings" in page
    assert "/similarity" in admin.get(admin.address("ratings")).text
    assert "/similarity" not in rater.get(rater.address("ratings")).text
    assert "The admin can choose one" in rater.get(rater.address("similarity")).text
    assert admin.get_json(admin.address("similarity/status"))["ready"] is False


def test_a_model_that_cannot_be_used_is_said(make_study: MakeStudy, tmp_path: Path) -> None:
    """The reason to the admin alone."""
    study = make_study(model=str(tmp_path / "nothing.onnx"))
    admin, rater = study.visitor(), study.rater()
    assert "nothing.onnx" in admin.get(admin.address("similarity")).text
    page = rater.get(rater.address("similarity")).text
    assert "cannot be compared" in page
    assert "nothing.onnx" not in page
    assert bring(admin, picture())[0] == 503


@on_both
def test_features_on_their_way_are_waited_for(coloured: Study, visitor: Visitor) -> None:
    """The page says how far they are, and the picture that has none yet leads to no error."""
    coloured.change(lambda session: session.execute(delete(Features)))
    page = visitor.get(visitor.address("similarity")).text
    assert 'id="waiting"' in page
    first, second, *_ = (image.id for image in coloured.images)
    assert "not processed both" in visitor.get(visitor.address("similarity", left=first, right=second)).text
    assert 'id="waiting"' in visitor.get(visitor.address(f"similarity/like/{first}")).text
    state = visitor.get_json(visitor.address("similarity/status"))
    assert state == {"done": 0, "total": len(COLOURS), "ready": False}
    coloured.services.background.wake(coloured.collection.id)
    coloured.services.background.once()
    state = visitor.get_json(visitor.address("similarity/status"))
    assert state == {"done": len(COLOURS), "total": len(COLOURS), "ready": True}


def test_a_part_of_the_features_is_enough(coloured: Study, visitor: Visitor) -> None:
    """Those that are there are compared; the page says that there will be more."""
    keys = [image.id for image in coloured.images[:3]]
    coloured.change(lambda session: session.execute(delete(Features).where(Features.image_id.in_(keys))))
    page = visitor.get(visitor.address("similarity"), follow_redirects=True).text
    assert "processed 3 of 6 pictures" in page
    assert "verdict-number" in page


@pytest.mark.parametrize("state", ["missing", "broken", "left out"])
def test_a_picture_that_is_gone_is_said(coloured: Study, visitor: Visitor, state: str) -> None:
    """It is not compared, nor found, and the page leads on."""
    gone, other = coloured.images[0].id, coloured.images[1].id
    coloured.change(lambda session: setattr(session.get_one(Image, gone), "state", state))
    page = visitor.get(visitor.address("similarity", left=gone, right=other)).text
    assert f"is {state} and cannot be compared" in page
    assert "verdict-number" not in page
    assert (
        f"is {state} and cannot be compared" in visitor.get(visitor.address(f"similarity/like/{gone}")).text
    )
    assert gone not in found(visitor.get(visitor.address(f"similarity/like/{other}")).text)


def test_a_single_picture_has_no_pair(coloured: Study, visitor: Visitor) -> None:
    """Which is said, rather than waited for."""
    for image in coloured.images[1:]:
        (coloured.folder / image.path).unlink()
    coloured.services.background.wake(coloured.collection.id)
    coloured.services.background.once()
    assert "Comparing needs two pictures" in visitor.get(visitor.address("similarity")).text
    key = coloured.images[0].id
    assert "no other picture" in visitor.get(visitor.address(f"similarity/like/{key}")).text


def test_a_picture_in_ratings_leads_to_similar_ones(coloured: Study, visitor: Visitor) -> None:
    """Where there is a model to find them by."""
    key = coloured.images[0].id
    visitor.rate(key, 4)
    place = visitor.address(f"similarity/like/{key}")
    assert place in visitor.get(visitor.address(f"ratings/{key}")).text
    coloured.set(model=None)
    assert place not in visitor.get(visitor.address(f"ratings/{key}")).text


def test_many_pictures_at_once_are_refused_in_time(coloured: Study, visitor: Visitor) -> None:
    """One is decoded at a time; the others do not wait in threads that raters need, but come again."""
    with coloured.services.comparing.admit(1):
        status, page = bring(visitor, picture())
    assert (status, "Try again" in page) == (503, True)
    assert bring(visitor, picture())[0] == 200


def test_a_picture_to_compare_has_half_the_pixels_of_others(coloured: Study, visitor: Visitor) -> None:
    """A stranger's is refused by its header, before anything is decoded."""
    limit = coloured.services.settings.max_compared_pixels
    assert limit == coloured.services.settings.max_pixels // 2
    status, page = bring(visitor, io.BytesIO(png_header(10_000, limit // 10_000 + 1)))
    assert (status, "has too many pixels" in page) == (413, True)


def test_a_fault_of_the_machine_is_not_the_pictures(coloured: Study, visitor: Visitor) -> None:
    """503 with the reason, without a path; the next try is free."""
    with failing("files"):
        status, page = bring(visitor, picture())
    assert (status, INSTALLED in page) == (503, False)
    assert "Too many open files" in page
    assert bring(visitor, picture())[0] == 200
