"""The admin's page of a study, and the table of its participants."""

import html
import io
import re
import zipfile
from pathlib import Path

import pytest

from nimakit.web.db.tables import Invitation
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
    assert "0 of 5 places finished, 0 in progress, 0 timed out." in page


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
