"""The admin's page of a study, and the table of its participants."""

import html
import io
import re
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest

from nimakit.web.db.tables import Invitation, now
from terminal import Command
from web.conftest import MakeStudy
from web.studies.conftest import PROLIFIC, TEXTS, Way


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"quota": "many"}, "Pictures per rater must be a whole number from 1 to 100,000, or blank"),
        ({"minutes": "0"}, "Minutes per rater must be a whole number from 1"),
        ({"practice": "photo 1"}, "Line 1 must be a picture, its right rating"),
        ({"practice": "photo 1 | 0-3"}, "The ratings in line 1 must be from 1 to 10"),
        ({"practice": "photo 1 | 3\nphoto 1.jpg | 4"}, "Received twice: photo 1.jpg"),
        ({"practice": "photo 1 | 3", "practice_needed": "2"}, "at most the number of practice tasks, 1"),
        ({"examples": "lake.jpg | good"}, "Received: lake.jpg"),
        ({"link": "javascript:alert(1)"}, "Return address must begin with https://"),
        ({"redirects": "y"}, "Set the return address"),
        ({"quota": "6", "examples": "photo 0 | dark"}, "pictures that are rated, 5, or blank for all"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_at_once(way: Way, values: dict[str, str], reason: str) -> None:
    """With the rule and what was received; what was typed stays in the form, and nothing is saved."""
    answer = way.save(consent="typed", **values)
    assert answer.status_code == 400
    page = html.unescape(answer.text)
    assert reason in page
    assert "typed" in page
    assert "Link for raters" not in way.admin.get(way.admin.address("study/settings")).text


def test_the_page_shows_what_was_saved(way: Way) -> None:
    """Texts, lines and settings, the link with the platform's placeholders, and each version."""
    way.save(**TEXTS, platform="prolific", places="5", code="C0DE")
    page = html.unescape(way.admin.get(way.admin.address("study/settings")).text)
    assert "PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID" in page
    for line in (
        "photo 0.jpg | dark: about 2",
        "photo 1.jpg | 1-3 | It is dark.",
        "more/photo 5.png | 8",
        "C0DE",
    ):
        assert line in page
    assert "qr-code" not in page, "a platform adds ids to the link"
    [trial] = set(re.findall(r"\?(PROLIFIC_PID=(trial-\w+)&STUDY_ID=\2&SESSION_ID=\2)", page))
    assert way.join(f"?{trial[0]}")[1].status_code == 302
    assert [one.participant for one in way.platform_ids()] == [trial[1]]
    assert "0 finished, 0 in progress, 0 timed out, 0 excluded: 0 of 5 places are taken." in page


def test_each_rater_is_counted_once(way: Way) -> None:
    """Excluded ones apart from the others, because their places are free."""
    way.save(quota="1", places="3", minutes="30")
    way.join()
    way.change(started_at=now() - timedelta(minutes=31))
    done, out, _ = [way.join()[0] for _ in range(3)]
    for visitor in (done, out):
        way.rated(visitor)
        visitor.get(visitor.address("study/done"))
    way.admin.post(way.admin.address(f"people/{out.rater.id}"), {"excluded": "1"})
    page = way.admin.get(way.admin.address("study/settings")).text
    assert "1 finished, 1 in progress, 1 timed out, 1 excluded: 2 of 3 places are taken." in page


def test_gold_pictures_are_none_of_the_texts(way: Way) -> None:
    """Neither can a picture of the texts become a gold picture, nor the other way round."""
    gold, shown = way.study.images[1], way.study.images[2]
    assert (gold.path, shown.path) == ("photo 0.jpg", "photo 1.jpg")
    way.save(**TEXTS)
    answer = way.admin.post(way.admin.address(f"checks/gold/{gold.id}"), {"low": "1", "high": "3"})
    assert (answer.status_code, "<h1>Checks</h1>" in answer.text) == (400, True)
    assert "practice are not rated. Received: photo 0.jpg" in html.unescape(answer.text)
    way.save(**dict.fromkeys(TEXTS, ""))
    answer = way.admin.post(way.admin.address(f"checks/gold/{gold.id}"), {"low": "1", "high": "3"})
    assert answer.status_code == 302, answer.text
    assert way.save(**TEXTS).status_code == 400
    assert "Received: photo 0.jpg" in way.problems[0]


@pytest.mark.parametrize("experiment", ["preference", "best-worst"])
def test_a_study_of_comparisons_has_its_own_words(make_study: MakeStudy, experiment: str) -> None:
    """Raters are asked for comparisons, of which there may be more than pictures."""
    way = Way(make_study(experiment=experiment, choices="4"))
    page = way.save().text
    assert "Comparisons per rater" in page
    assert "Each shows 4 pictures." in page
    assert "Pictures per rater" not in page
    way.save(quota="x")
    assert "Comparisons per rater must be" in way.problems[-1]
    assert way.save(quota="20").status_code == 302


def test_a_withdrawn_link_is_replaced_when_saved(way: Way) -> None:
    """The page says that it no longer works; a link that works has a QR code."""
    way.save()
    assert 'class="qr-code"' in way.admin.get(way.admin.address("study/settings")).text
    first = way.link

    def withdraw(session: object) -> None:
        for invitation in session.query(Invitation):  # type: ignore[attr-defined]
            invitation.revoked = True

    way.study.change(withdraw)
    assert "no longer works" in way.admin.get(way.admin.address("study/settings")).text
    assert "withdrawn" in way.study.visitor().get(first).text
    way.save()
    assert way.link != first


@pytest.mark.parametrize("experiment", ["score", "preference"])
def test_exports_name_no_platform_id_unless_asked(
    make_study: MakeStudy, experiment: str, nimakit: Command, tmp_path: Path
) -> None:
    """No file, in the package neither, no export of the command line and no page; the table with ids does."""
    way = Way(make_study(experiment=experiment))
    way.save(platform="prolific", quota="1", code="C0DE")
    rater, _ = way.join(PROLIFIC.format("secret"))
    if experiment == "score":
        way.rated(rater)
    else:
        two = [image.id for image in way.study.images[:2]]
        rater.send({"kind": "choice", "image": two[0], "trial": "one", "shown": two})
    rater.get(rater.address("study/done"))
    offered = re.findall(r'/(transfer/[\w.-]+)"', way.admin.get(way.admin.address("transfer")).text)
    exports = {name: way.admin.get(way.admin.address(name)).data for name in offered}
    answers = "pairs" if experiment == "preference" else "ratings"
    assert f"transfer/all-{answers}.csv" in exports
    written = {"--methods": "a.md", "--package": "a.zip", "--pictures": "a.jsonl", f"--{answers}": "a.csv"}
    options = [part for option, name in written.items() for part in (option, str(tmp_path / name))]
    done = nimakit("rate", "export", "--database", way.study.services.settings.database, *options)
    assert done.code == 0, done.err
    exports |= {name: (tmp_path / name).read_bytes() for name in written.values()}
    for name in ("transfer/package.zip", "a.zip"):
        package = zipfile.ZipFile(io.BytesIO(exports[name]))
        exports |= {f"{name}/{one}": package.read(one) for one in package.namelist()}
    for name in ("study/participants.csv", "people", "dashboard", "ratings", "study/settings", "transfer"):
        exports[name] = way.admin.get(way.admin.address(name), follow_redirects=True).data
    assert [name for name, content in exports.items() if b"secret" in content] == []
    for page in ("study", "study/done", "ratings"):
        assert "secret" not in rater.get(rater.address(page), follow_redirects=True).text
    asked = way.admin.get(way.admin.address("study/participants.csv", ids=1)).text.splitlines()[1]
    assert asked.endswith("prolific,5f0asecret,61b2,77csecret,C0DE")
    for address in (rater.address("study/participants.csv", ids=1), rater.address("study/settings")):
        assert rater.get(address).status_code == 403
