"""What goes out and what comes in: label files, ratings, pairs, lists of pictures."""

import csv
import errno
import html
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from nimakit.labels.label_file import read_labels
from nimakit.web.collections.setup import add_collection
from nimakit.web.db.tables import OK, Choice, Image, Membership, Rater
from nimakit.web.pictures.inventory import synchronise
from samples import write_photo
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


def download(visitor: Visitor, name: str) -> str:
    """A file of the page."""
    answer = visitor.get(visitor.address(f"transfer/{name}"))
    assert answer.status_code == 200, answer.text
    assert f"filename={visitor.study.collection.slug}-{name}" in answer.headers["Content-Disposition"]
    return answer.text


def upload(visitor: Visitor, what: str, content: str, name: str = "import.csv", **form: str) -> Any:
    """Send a file; the answer."""
    file = (io.BytesIO(content.encode()), name)
    data = {"what": what, "file": file, **form}
    return visitor.post(visitor.address("transfer"), data, content_type="multipart/form-data")


def rows(text: str) -> list[dict[str, str]]:
    """The rows of a .csv."""
    return list(csv.DictReader(io.StringIO(text)))


@on_both
def test_labels_are_histograms_of_what_people_said(study: Study, visitor: Visitor, tmp_path: Path) -> None:
    """Each person counts once, skips not at all, and training takes the file as it is."""
    first, second = study.images[1], study.images[2]
    visitor.rate(first.id, 3)
    visitor.rate(first.id, 7)
    study.rater().rate(first.id, 10)
    visitor.rate(first.id, 1, round=1)
    visitor.send({"kind": "skip", "image": second.id})
    path = tmp_path / "labels.json"
    path.write_text(download(visitor, "labels.json"))
    labels = read_labels(path)
    assert labels.image_ids == ("photo 0",)
    assert labels.counts is not None
    assert labels.counts.tolist() == [[0, 0, 0, 0, 0, 0, 1, 0, 0, 1]]


def test_ratings_between_two_bins_are_shared_by_both(make_study: MakeStudy) -> None:
    """A rating of 5.3 keeps its value."""
    study = make_study(experiment="rate")
    visitor = study.visitor()
    visitor.rate(study.images[1].id, 5.3)
    [entry] = json.loads(download(visitor, "labels.json"))
    assert entry["label"] == [0, 0, 0, 0, 0.7, 0.3, 0, 0, 0, 0]


@on_both
def test_ratings_name_people_by_pseudonyms_and_files_by_their_names(study: Study, visitor: Visitor) -> None:
    """And have the times; skips are none."""
    study.rater("Ann Example").rate(study.images[0].id, 4, elapsed_ms=900)
    visitor.send({"kind": "skip", "image": study.images[1].id})
    text = download(visitor, "ratings.csv")
    [row] = rows(text)
    assert (row["image_id"], row["image"], row["rating"]) == ("photo 5", "more/photo 5.png", "4")
    assert (row["elapsed_ms"], row["repeat"]) == ("900", "0")
    assert row["time"].endswith("+00:00")
    assert "Ann" not in text
    [line] = download(visitor, "ratings.jsonl").splitlines()
    assert json.loads(line)["rating"] == 4


@on_both
def test_a_rater_who_is_left_out_is_in_no_file(study: Study, visitor: Visitor) -> None:
    """Their ratings stay in the database."""
    ann = study.rater()
    ann.rate(study.images[1].id, 1)
    visitor.rate(study.images[1].id, 9)
    key = ann.rater.id

    def exclude(session: Any) -> None:
        session.get_one(Membership, (key, 1)).excluded = True

    study.change(exclude)
    assert [row["rating"] for row in rows(download(visitor, "ratings.csv"))] == ["9"]
    [entry] = json.loads(download(visitor, "labels.json"))
    assert sum(entry["label"]) == 1


def test_of_four_pictures_the_chosen_one_beats_three(make_study: MakeStudy) -> None:
    """A comparison of four is three pairs, a tie of four is six."""
    study = make_study(experiment="preference", choices="4")
    visitor = study.visitor()
    shown = [image.id for image in study.images[1:5]]
    visitor.send({"kind": "choice", "image": shown[0], "trial": "one", "shown": shown})
    visitor.send({"kind": "tie", "trial": "two", "shown": shown})
    visitor.send({"kind": "skip", "trial": "three", "shown": shown})
    found = rows(download(visitor, "pairs.csv"))
    assert [row["chosen"] for row in found] == ["photo 0"] * 3 + ["-1"] * 6
    assert {row["comparison"] for row in found} == {"one", "two"}


@pytest.mark.parametrize("name", ["labels.json", "pairs.csv"])
def test_two_files_of_one_image_id_are_refused(study: Study, visitor: Visitor, name: str) -> None:
    """Nobody could tell their labels apart; the ratings name the files."""
    write_photo(study.folder / "more" / "photo 0.jpg")
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    for image in study.images:
        if image.image_id == "photo 0":
            visitor.rate(image.id, 5)
    answer = visitor.get(visitor.address(f"transfer/{name}"))
    assert answer.status_code == 400
    assert "more/photo 0.jpg" in answer.text
    assert {row["image"] for row in rows(download(visitor, "ratings.csv"))} == {
        "photo 0.jpg",
        "more/photo 0.jpg",
    }


def test_nothing_rated_is_no_label_file(visitor: Visitor) -> None:
    """It says so."""
    answer = visitor.get(visitor.address("transfer/labels.json"))
    assert (answer.status_code, "no ratings yet" in answer.text) == (400, True)
    assert visitor.get(visitor.address("transfer/secret.key")).status_code == 404


@on_both
def test_ratings_are_imported_once(study: Study, visitor: Visitor) -> None:
    """By name with or without suffix and folder; people are known by their pseudonyms."""
    table = "image,user_id,rating\nphoto 0.jpg,u1,7\nmore/photo 5.png,u1,3\nphoto 1,u2,4\n"
    for known in (0, 3):
        answer = upload(visitor, "ratings", table)
        assert f"3 ratings imported; already known: {known}." in answer.text
    assert sorted(rating.value for rating in study.ratings if rating.value) == [3, 4, 7]
    assert len(study.events) == 3
    assert study.images[0].count == 1
    assert "u1" in visitor.get(visitor.address("people")).text


@on_both
def test_an_export_comes_back_as_it_was(study: Study, visitor: Visitor) -> None:
    """Times, repeats and predictions too; importing one's own export changes nothing."""
    visitor.rate(study.images[1].id, 7)
    visitor.rate(study.images[1].id, 8, round=1)
    text = download(visitor, "ratings.csv")
    upload(visitor, "ratings", text)
    assert download(visitor, "ratings.csv").replace(",,", ",").split() == text.replace(",,", ",").split()
    assert study.images[1].count == 1


def test_repeats_are_taken_as_pandas_writes_them(study: Study, visitor: Visitor) -> None:
    """1.0 is a repeat, and takes the place of no first rating; 0.0 is none."""
    answer = upload(visitor, "ratings", "image_id,user_id,rating,repeat\nphoto 0,u,5,0.0\nphoto 0,u,7,1.0\n")
    assert "2 ratings imported" in answer.text
    assert [(rating.value, rating.round) for rating in study.ratings] == [(5, 0), (7, 1)]


def test_ratings_of_nobody_in_particular_are_somebody_elses_in_another_file(
    study: Study, visitor: Visitor
) -> None:
    """A second file of the same name takes the place of nothing; the same file counts once."""
    tables = ["image,rating\nphoto 0.jpg,7\nphoto 1,2\n", "image,rating\nphoto 0.jpg,3\nphoto 1,2\n"]
    for table, known in ((tables[0], 0), (tables[1], 0), (tables[0], 2)):
        answer = upload(visitor, "ratings", table)
        assert f"2 ratings imported; already known: {known}." in answer.text
    assert sorted(rating.value for rating in study.ratings if rating.value) == [2, 2, 3, 7]
    assert study.images[1].count == 2


@on_both
@pytest.mark.parametrize(
    ("experiment", "what", "table"),
    [
        ("score", "ratings", "image,user_id,rating\nphoto 0.jpg,u1,7\n"),
        ("preference", "pairs", "session,left,right,chosen\ns1,photo 0,photo 1,left\n"),
    ],
)
def test_a_file_is_imported_into_each_collection(
    make_study: MakeStudy, experiment: str, what: str, table: str
) -> None:
    """A second study of the same pictures takes the same ratings in, and each takes them in once."""
    study = make_study(experiment=experiment)
    visitor = study.visitor()
    again = study.change(lambda session: add_collection(session, study.folder, experiment=experiment))
    study.services.background.once()
    for slug in (study.collection.slug, again.slug):
        for known in (0, 1):
            file = (io.BytesIO(table.encode()), "import.csv")
            answer = visitor.post(
                f"/c/{slug}/transfer", {"what": what, "file": file}, content_type="multipart/form-data"
            )
            noun = "rating" if what == "ratings" else "comparison"
            assert f"1 {noun} imported; already known: {known}." in answer.text
    assert len(study.events) == 2


@pytest.mark.parametrize("name", ["Anne\u00a0Marie", "李\u3000雷", "👩\u200d🎨"])
def test_a_name_may_have_any_space_and_joiner(study: Study, visitor: Visitor, name: str) -> None:
    """It comes back as it was."""
    answer = upload(visitor, "ratings", f"image_id,user_id,rating\nphoto 0,{name},7\n")
    assert "1 rating" in answer.text
    assert name in download(visitor, "ratings.csv")


def test_an_import_finds_its_columns_as_spreadsheets_save_them(study: Study, visitor: Visitor) -> None:
    """Behind sep=;, among semicolons and line breaks, with decimal commas."""
    upload(visitor, "ratings", 'sep=;\n"image";"user";"score";"a\nb"\nphoto 0;u;7,5;\n')
    assert [rating.value for rating in study.ratings] == [7.5]


def test_of_two_ratings_in_a_file_the_later_holds(study: Study, visitor: Visitor) -> None:
    """A basic date of ISO 8601 is no number of seconds."""
    rows = "photo 0,u,7,20230501\nphoto 0,u,3,2023-04-01\n"
    upload(visitor, "ratings", f"image_id,user_id,rating,time\n{rows}")
    assert [rating.value for rating in study.ratings] == [7]


def test_what_came_later_holds_against_an_import(study: Study, visitor: Visitor) -> None:
    """By the times of the file."""
    visitor.rate(study.images[1].id, 9)
    code = visitor.code
    upload(visitor, "ratings", f"image_id,user_id,rating,time\nphoto 0,{code},2,2001-01-01\n")
    assert [rating.value for rating in study.ratings] == [9]


def test_an_import_from_the_future_can_be_corrected(study: Study, visitor: Visitor) -> None:
    """Somebody's clock was wrong: what is said from now on holds."""
    upload(visitor, "ratings", f"image_id,user_id,rating,time\nphoto 0,{visitor.code},2,2099-01-01\n")
    visitor.rate(study.images[0].id, 9)
    visitor.rate(study.images[1].id, 9)
    assert [rating.value for rating in study.ratings] == [9, 9]
    assert all(event.occurred_at <= event.received_at for event in study.events)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("image_id,user_id,rating\nphoto 0,u,11\n", "line 2: rating must be a number from 1 to 10; received"),
        ("image_id,user_id,score\nphoto 0,u,good\n", "line 2: score must be a number"),
        ("image_id,user_id,rating,predicted\nphoto 0,u,5,0\n", "line 2: predicted must be a number"),
        ("image_id,user_id,rating,repeat\nphoto 0,u,5,yes\n", "line 2: repeat must be 0 or 1"),
        ("image_id,user_id,rating\nphoto 0,,5\n", "line 2: user_id must not be empty"),
        (f"image_id,rater,rating\nphoto 0,{'u' * 65},5\n", "rater must have at most 64 characters"),
        ("image_id,user,rating\nphoto 0,u\x07u,5\n", "user must not contain U+0007 (a control character)"),
        ("image_id,user,rating\nphoto 0,u\u2028u,5\n", "must not contain U+2028 (LINE SEPARATOR)"),
        ("image_id,user_id,rating,time\nphoto 0,u,5,2023\n", "time must be ISO 8601"),
        ("image_id,user_id,rating,time\nphoto 0,u,5,yesterday\n", "time must be"),
        (
            "name,user_id,rating\nphoto 0,u,5\n",
            "one column 'image_id' or 'image' or 'path'. Received: import.csv,",
        ),
        ("image,user_id,stars\nphoto 0,u,5\n", "one column 'rating' or 'score' or 'value'"),
        ("path,path,rating\nphoto 0,photo 0,5\n", "with 'path', 'path', 'rating'. Rename one."),
        ("", "no header"),
        ("image_id,user_id,rating\n", "at least one good row"),
        ("\0\0\0", "import.csv"),
    ],
)
def test_refuses_a_bad_table(study: Study, visitor: Visitor, table: str, reason: str) -> None:
    """With the line and what is wrong; nothing of it is taken in, and no path of the machine is told."""
    answer = upload(visitor, "ratings", table)
    assert answer.status_code == 400
    assert reason in html.unescape(answer.text)
    assert str(study.folder.anchor + "tmp") not in answer.text
    assert study.events == []


def test_a_refused_table_says_what_the_page_can_do(study: Study, visitor: Visitor) -> None:
    """The page names its own box, and no option of the command line."""
    page = visitor.get(visitor.address("transfer")).text
    text = html.unescape(upload(visitor, "ratings", "image_id,user_id,rating\nphoto 0,u,11\n").text)
    assert "Tick \u201cSkip bad rows\u201d to import the rest." in text
    assert "Skip bad rows" in page
    assert "--skip-bad" not in text
    study.set(experiment="preference")
    text = html.unescape(upload(visitor, "pairs", "left,right,picked\na,b,a\n").text)
    assert "The table needs one column 'chosen'." in text
    assert "say which column" not in text


def test_bad_rows_are_left_out_when_asked(study: Study, visitor: Visitor) -> None:
    """And listed."""
    table = "image_id,user_id,rating\nphoto 0,u,11\nphoto 1,u,5\n"
    answer = upload(visitor, "ratings", table, skip_bad="1")
    assert "1 rating imported" in answer.text
    assert "line 2" in answer.text
    assert [rating.value for rating in study.ratings] == [5]


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("1.0", "2.0"), ["1.jpg", "2.jpg"]), (("1.0", "2.jpg"), ["1.0", "2.jpg"]), (("1.0",), ["1.jpg"])],
)
def test_whole_numbers_that_a_spreadsheet_saved_as_floats_match(
    study: Study, visitor: Visitor, names: tuple[str, ...], expected: list[str]
) -> None:
    """In a column of whole numbers 1.0 is 1.jpg; next to another name it is a name of its own."""
    for number in (1, 2):
        shutil.copy(study.folder / "photo 1.jpg", study.folder / f"{number}.jpg")
    synchronise(study.database, study.collection)
    rows = "".join(f"{name},5\n" for name in names)
    assert upload(visitor, "ratings", f"image_id,rating\n{rows}").status_code == 200
    paths = {image.id: image.path for image in study.images}
    assert sorted(paths[rating.image_id] for rating in study.ratings) == expected


@on_both
def test_an_umlaut_has_one_spelling_in_imports_and_searches(study: Study, visitor: Visitor) -> None:
    """A Mac spells it otherwise than other systems, in names of files as in tables and in what is typed."""
    mac = "Zu\u0308rich"
    shutil.copy(study.folder / "photo 1.jpg", study.folder / f"{mac}.jpg")
    synchronise(study.database, study.collection)
    [image] = [image for image in study.images if image.path == f"{mac}.jpg"]
    rows = "".join(
        f"{name},{user},5\n"
        for user, name in enumerate((mac, f"{mac}.jpg", "Z\u00fcrich", "Z\u00fcrich.jpg"))
    )
    upload(visitor, "ratings", f"image_id,user_id,rating\n{rows}")
    assert [rating.image_id for rating in study.ratings] == 4 * [image.id]
    upload(visitor, "list", json.dumps(["Z\u00fcrich"]), "images.json")
    assert [one.path for one in study.images if one.state == OK] == [f"{mac}.jpg"]
    with study.database.read() as session:
        found = [
            session.scalars(select(Image).where(Image.is_named(text))).all()
            for text in ("Z\u00fcr", "zu\u0308r")
        ]
    assert [[one.id for one in images] for images in found] == 2 * [[image.id]]


@on_both
def test_a_picture_that_is_not_here_is_kept_and_found_later(study: Study, visitor: Visitor) -> None:
    """Its ratings are not lost, and belong to the file once it comes."""
    answer = upload(visitor, "ratings", "image_id,user_id,rating\nlater,u,5\n")
    assert "Not in the folder, and listed as missing: 1 picture." in answer.text
    write_photo(study.folder / "later.jpg")
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    [image] = [image for image in study.images if image.image_id == "later"]
    assert (image.path, image.state, image.count) == ("later.jpg", "ok", 1)


@on_both
def test_pairs_are_imported_once(make_study: MakeStudy) -> None:
    """Sessions are raters; ties are ties."""
    study = make_study(experiment="preference")
    visitor = study.visitor()
    table = (
        "session,left,right,chosen\n"
        "s1,photo 0,photo 1,photo 1\ns1,photo 1,photo 2,-1\ns2,photo 0,photo 1,left\n"
    )
    for known in (0, 3):
        assert f"3 comparisons imported; already known: {known}." in upload(visitor, "pairs", table).text
    with study.database.read() as session:
        kinds = session.scalars(select(Choice.kind).order_by(Choice.event_id)).all()
        codes = session.scalars(select(Rater.code).where(Rater.role == "rater").order_by(Rater.code)).all()
    assert kinds == ["choice", "tie", "choice"]
    assert codes == ["s1", "s2"]
    assert [(image.count, image.total) for image in study.images[1:4]] == [(2, 1), (3, 1.5), (1, 0.5)]
    text = download(visitor, "pairs.csv")
    upload(visitor, "pairs", text)
    assert download(visitor, "pairs.csv") == text


@pytest.mark.parametrize(
    ("row", "reason"),
    [("a,a,a", "with itself"), ("a,b,c", "or a tie"), (",b,b", "must not be empty")],
)
def test_refuses_bad_pairs(make_study: MakeStudy, row: str, reason: str) -> None:
    """With the line and what is wrong."""
    visitor = make_study(experiment="preference").visitor()
    answer = upload(visitor, "pairs", f"left,right,chosen\n{row}\n")
    assert (answer.status_code, reason in answer.text) == (400, True)


def test_ratings_and_pairs_each_have_their_collections(make_study: MakeStudy) -> None:
    """A file that does not fit is refused with what to do."""
    visitor = make_study().visitor()
    assert upload(visitor, "pairs", "left,right,chosen\na,b,a\n").status_code == 400
    visitor.study.set(experiment="preference")
    assert upload(visitor, "ratings", "image_id,user_id,rating\na,u,5\n").status_code == 400


@on_both
def test_a_list_says_what_is_rated(study: Study, visitor: Visitor) -> None:
    """By path or image_id; the others are left out until another list comes."""
    listed = [{"path": "more/photo 5.png"}, {"image_id": "photo 1"}, "photo 2", {"path": "gone.jpg"}]
    refused = upload(visitor, "list", json.dumps(listed), "images.json")
    assert (refused.status_code, "gone.jpg" in refused.text) == (400, True)
    answer = upload(visitor, "list", json.dumps(listed), "images.json", skip_bad="1")
    assert "To be rated: 3 pictures;" in answer.text
    assert "gone.jpg" in answer.text
    assert visitor.deck()["total"] == 3
    upload(visitor, "list", json.dumps(["photo 3"]), "images.json")
    assert [item["id"] for item in visitor.deck()["items"]] == [study.images[4].id]


@on_both
def test_what_is_on_no_list_stays_left_out_when_it_comes_back(study: Study, visitor: Visitor) -> None:
    """A picture that was missing while the list was imported; one on the list is rated again."""
    gone = {place: study.folder / study.images[place].path for place in (1, 2)}
    for path in gone.values():
        path.rename(path.with_suffix(".away"))
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    assert [study.images[place].state for place in gone] == ["missing", "missing"]
    upload(visitor, "list", json.dumps([study.images[2].path, study.images[3].path]), "images.json")
    for path in gone.values():
        path.with_suffix(".away").rename(path)
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    assert [image.state for image in study.images[1:5]] == ["left out", "ok", "ok", "left out"]


@pytest.mark.parametrize("content", ["", "{}", "[]", "[5]", '["nothing"]', "[" * 10_000])
def test_refuses_a_bad_list(study: Study, visitor: Visitor, content: str) -> None:
    """All stay as they are."""
    assert upload(visitor, "list", content, "images.json").status_code == 400
    assert {image.state for image in study.images} == {"ok"}


@pytest.mark.parametrize("form", [{"what": "secrets"}, {"what": ""}])
def test_refuses_other_imports(visitor: Visitor, form: dict[str, str]) -> None:
    """There are three kinds."""
    assert upload(visitor, form["what"], "x").status_code == 400
    assert visitor.post(visitor.address("transfer"), {"what": "ratings"}).status_code == 400


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
def test_a_full_disk_is_not_the_files_fault(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Where temporary files find no room, imports and exports answer 503, without a path."""

    def fail(*_: Any, **__: Any) -> str:
        raise OSError(number, os.strerror(number), "/tmp/somewhere")  # noqa: S108 - only a name

    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    answer = upload(visitor, "ratings", "image_id,rating\nphoto 0,7\n")
    assert (answer.status_code, "/tmp" in answer.text) == (503, False)  # noqa: S108
    answer = visitor.get(visitor.address("transfer/ratings.csv"))
    assert (answer.status_code, "/tmp" in answer.text) == (503, False)  # noqa: S108


def test_a_file_of_any_name_is_taken(visitor: Visitor) -> None:
    """A name that no file can have is still only a name."""
    for name in ("a.\0csv", "a." + "x" * 300):
        answer = upload(visitor, "ratings", "image_id,rating\nphoto 0,7\n", name)
        assert answer.status_code == 400
        assert "csv" in answer.text


@on_both
def test_pictures_have_a_row_each(study: Study, visitor: Visitor) -> None:
    """With the figures of first ratings; a picture without ratings has blank ones."""
    image = study.images[1]
    for value in (2, 4, 9):
        study.rater().rate(image.id, value)
    visitor.send({"kind": "skip", "image": image.id})
    study.change(lambda session: setattr(session.get_one(Image, image.id), "position", 0.5))
    found = {row["image"]: row for row in rows(download(visitor, "pictures.csv"))}
    assert len(found) == len(study.images)
    row = found[image.path]
    assert (row["n"], row["mean"], row["predicted"]) == ("3", "5", "5.5")
    assert float(row["sd"]) == pytest.approx(13**0.5, abs=1e-6)
    assert [float(row[name]) for name in ("p10", "p25", "p50", "p75", "p90")] == [2.4, 3, 4, 6.5, 8]
    assert found["photo 1.jpg"]["n"] == "0"
    assert found["photo 1.jpg"]["mean"] == ""


def test_compared_pictures_have_their_place_in_the_ranking(make_study: MakeStudy) -> None:
    """With an interval of the rank; pictures that nobody compared have none."""
    study = make_study(experiment="preference")
    visitor = study.visitor()
    a, b = study.images[1], study.images[2]
    for trial in ("one", "two"):
        visitor.send({"kind": "choice", "image": b.id, "trial": trial, "shown": [a.id, b.id]})
    found = {row["image"]: row for row in rows(download(visitor, "pictures.csv"))}
    best, other = found[b.path], found[a.path]
    assert (best["n"], best["rank"], best["won"], best["lost"]) == ("2", "1", "2", "0")
    assert (other["rank"], other["rank_low"], other["rank_high"]) == ("2", "1", "2")
    assert float(best["score"]) == -float(other["score"]) > 0
    assert found["more/photo 5.png"]["rank"] == ""
