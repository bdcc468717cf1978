"""The dashboard: what its page says, its downloads, and who may see it."""

import csv
import io
import re
import secrets
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from nimakit.web.dashboard import cache, progress
from nimakit.web.dashboard.progress import Pace, Progress
from nimakit.web.dashboard.statistics import rating_statistics
from nimakit.web.settings import Settings
from terminal import Command
from web.accessibility import problems
from web.conftest import MakeStudy, Serve
from web.dashboard.test_statistics import PAIRS, take_in
from web.study import Study, Visitor

CALISTA = Path(__file__).parents[4] / "shared" / "data" / "calista" / "pairs.csv"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is slow, so the page waits longer for statistics."""
    monkeypatch.setattr(cache, "_MAX_WAIT", 30.0)


def words(visitor: Visitor) -> str:
    """What the page says, without its tags."""
    answer = visitor.get(visitor.address("dashboard"))
    assert answer.status_code == 200, answer.text
    text = re.sub(r"<(script|style|title).*?</\1>", " ", answer.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


@pytest.fixture
def rated(study: Study, visitor: Visitor) -> Study:
    """Six people rate most pictures, the first always the same."""
    rows = [
        f"photo {place},user {person},{3 if person == 0 else 1 + (place * 2 + person) % 9}"
        for person in range(6)
        for place in range(6)
        if person == 0 or (person + place) % 5
    ]
    take_in(visitor, "ratings", "\n".join(["image_id,user_id,rating", *rows]))
    return study


def test_an_empty_collection_says_what_there_will_be(study: Study, visitor: Visitor) -> None:
    """No figures, no charts of them, and no error."""
    page = words(visitor)
    assert "Nobody has rated anything yet" in page
    assert "6 ratings to go until every picture has been rated once" in page
    assert "Agreement" not in page


def test_progress_and_pace(study: Study, visitor: Visitor) -> None:
    """What is done, what is left and how long it takes."""
    study.set(wanted=2)
    for image in study.images[:3]:
        visitor.rate(image.id, 5)
    page = words(visitor)
    assert "25 % of 2 ratings per picture" in page
    assert "9 ratings to go: about 3 hours at the current pace." in page
    for image in study.images[3:]:
        visitor.rate(image.id, 6)
    other = study.rater()
    for image in study.images:
        other.rate(image.id, 4)
    assert "Every picture has the wanted number of ratings" in words(visitor)


def test_progress_is_not_rounded_up(study: Study, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """One rating that is left is told as one, and as less than 100 %; a fast pace in whole ratings."""
    almost = Progress(1000, {0: 1, 1: 999}, 1, 0.999, 1, Pace(1234.5, 1))
    monkeypatch.setattr(progress, "progress_of", lambda *_given: almost)
    study.set(wanted=1)
    page = words(visitor)
    assert "99 % of 1 rating per picture" in page
    assert "1 rating to go: under an hour at the current pace." in page
    assert "1,234 ratings per hour" in page


def test_agreement_raters_and_pictures(rated: Study, visitor: Visitor) -> None:
    """The figures, who is unlike the rest, and pictures from the lowest mean to the highest."""
    page = words(visitor)
    assert "Krippendorff's alpha, ordinal" in page.replace("&#39;", "'")
    assert "Ratings needed" in page
    assert re.search(r"user 0 always the same rating", page)
    assert len(re.findall("always the same rating", page)) == 1
    sheet = page[page.index("Across the scale") :]
    means = [float(value) for value in re.findall(r"(\d+\.\d\d) ±", sheet)]
    assert means == sorted(means)
    assert len(means) == 6
    assert "more/photo 5.png" in sheet


def test_a_picture_that_is_missing_is_not_on_the_sheet(rated: Study, visitor: Visitor) -> None:
    """Its ratings still count."""
    before = re.findall(r"(\d+) ratings (\d+) people", words(visitor))
    assert before
    gone = rated.images[-1]
    (rated.folder / gone.path).unlink()
    visitor.get(visitor.address(f"pictures/{gone.id}/480"))
    page = words(visitor)
    assert gone.path not in page[page.index("Across the scale") :]
    assert re.findall(r"(\d+) ratings (\d+) people", page) == before


def ranking(visitor: Visitor) -> list[dict[str, str]]:
    """The file of the button."""
    answer = visitor.get(visitor.address("dashboard/ranking.csv"))
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


def by_command(nimakit: Command, table: Path) -> list[dict[str, str]]:
    """What `nimakit data pairs` makes of a table."""
    scores = table.with_name("scores.csv")
    output = table.with_name("labels.json")
    done = nimakit("data", "pairs", str(table), "--output", str(output), "--scores-file", str(scores))
    assert done.code == 0, done.err
    return list(csv.DictReader(scores.read_text().splitlines()))


def order_on_page(visitor: Visitor) -> list[str]:
    """The pictures of the table of the ranking, from the first on."""
    page = visitor.get(visitor.address("dashboard")).text
    start = page.index('aria-label="Table of the ranking"')
    return re.findall(r'<a href="[^"]+">([^<]+)</a>', page[start : page.index("</table>", start)])


def test_the_ranking_is_that_of_the_data_commands(
    make_study: MakeStudy, nimakit: Command, tmp_path: Path
) -> None:
    """Of made-up pairs with ties: the same scores, errors and chances, in the same order, on the page too."""
    visitor = make_study(experiment="preference").visitor()
    take_in(visitor, "pairs", PAIRS)
    table = tmp_path / "pairs.csv"
    table.write_text(PAIRS)
    expected = by_command(nimakit, table)
    assert ranking(visitor) == expected
    assert [row["image_id"] for row in expected if not row["left_out"]] == [
        Path(name).stem for name in order_on_page(visitor)
    ]
    page = words(visitor)
    assert "1 picture not compared yet." in page
    assert "5 pictures are ranked" in page
    assert re.search(r" 1 1.[2-5] photo 4.jpg", page)
    exported = tmp_path / "exported.csv"
    exported.write_text(visitor.get(visitor.address("transfer/pairs.csv")).text)
    assert by_command(nimakit, exported) == expected


@pytest.mark.slow
@pytest.mark.skipif(not CALISTA.is_file(), reason="../shared/data/calista is not here")
def test_the_ranking_of_real_votes_is_that_of_the_data_commands(
    settings: Settings, make_study: MakeStudy, nimakit: Command, tmp_path: Path
) -> None:
    """8,267 votes between 100 pages which the folder lacks, imported by the command line."""
    study = make_study(experiment="preference")
    done = nimakit("rate", "import", "--data-dir", str(settings.data_dir), "--pairs", str(CALISTA))
    assert done.code == 0, done.err
    visitor = study.visitor()
    table = tmp_path / "pairs.csv"
    table.write_bytes(CALISTA.read_bytes())
    expected = by_command(nimakit, table)
    assert len(expected) == 100
    assert ranking(visitor) == expected
    assert order_on_page(visitor) == [row["image_id"] for row in expected[:50]]
    assert "8,267 comparisons 219 of them alike" in words(visitor)


def test_comparisons_that_nothing_connects_are_reported(make_study: MakeStudy) -> None:
    """With the sizes of the groups; all are ranked, with intervals that say how little is known."""
    visitor = make_study(experiment="preference").visitor()
    take_in(visitor, "pairs", "left,right,chosen\nphoto 0,photo 1,left\nphoto 2,photo 3,left\n")
    page = words(visitor)
    assert "form 2 groups that no comparisons link, of 2, 2 pictures" in page
    rows = ranking(visitor)
    assert [row["won"] for row in rows] == ["1", "1", "0", "0"]
    assert [(row["rank_low"], row["rank_high"]) for row in rows] == 4 * [("1", "4")]


def test_progress_of_a_preference_is_that_of_its_ranking(make_study: MakeStudy) -> None:
    """Its reliability first, then what the order of neighbours takes; one of each picture is not the aim."""
    study = make_study(experiment="preference")
    visitor = study.visitor()
    take_in(visitor, "pairs", "left,right,chosen\nphoto 0,photo 1,left\nphoto 2,photo 3,left\n")
    page = words(visitor)
    order = ("0.00 reliability", r"\d\d % certain", r"about \d+ comparisons to go until two neighbours")
    assert re.search(".*".join(order), page, re.DOTALL), page
    assert "of the pictures compared" not in page
    study.set(wanted=2)
    assert "33 % of 2 comparisons per picture" in words(visitor)


def test_there_is_no_ranking_of_ratings(rated: Study, visitor: Visitor) -> None:
    """And none before the first comparison."""
    assert visitor.get(visitor.address("dashboard/ranking.csv")).status_code == 404


@pytest.mark.parametrize("address", ["dashboard", "dashboard/ranking.csv"])
def test_only_the_admin_sees_it(make_study: MakeStudy, settings: Settings, address: str) -> None:
    """Raters do not, nor do strangers; a collection that is none is not found."""
    study = make_study(replace(settings, host="192.0.2.1", password=secrets.token_hex(8)))
    stranger, rater = study.visitor(), study.rater()
    assert stranger.get(stranger.address(address)).status_code == 401
    assert rater.get(rater.address(address)).status_code == 403
    assert "Dashboard" not in rater.get(rater.address("ratings")).text
    admin = study.admin()
    assert admin.get(f"/c/none/{address}").status_code == 404
    assert admin.get(admin.address("dashboard")).status_code == 200
    assert "Dashboard" in admin.get(admin.address("ratings")).text


def test_slow_figures_are_waited_for_by_the_page(
    page: Page, rated: Study, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows the progress at once, and looks again until the figures are there."""
    go, real = threading.Event(), rating_statistics

    def slow(*given: Any) -> Any:
        go.wait(30)
        return real(*given)

    monkeypatch.setattr(cache, "rating_statistics", slow)
    monkeypatch.setattr(cache, "_MAX_WAIT", 0.05)
    page.goto(f"{serve(rated)}c/{rated.collection.slug}/dashboard")
    expect(page.get_by_role("status")).to_contain_text("being computed")
    expect(page.get_by_role("heading", name="Pictures by number of ratings")).to_be_visible()
    go.set()
    expect(page.get_by_role("heading", name="Agreement")).to_be_visible()
    expect(page.get_by_role("status")).to_have_count(0)


@pytest.mark.parametrize("experiment", ["score", "preference"])
def test_the_dashboard_is_accessible(
    page: Page, make_study: MakeStudy, serve: Serve, experiment: str
) -> None:
    """Axe finds nothing in light and dark; on a phone nothing sticks out; figures are also in tables."""
    study = make_study(experiment=experiment)
    visitor = study.visitor()
    for image in study.images[:3]:
        if experiment == "score":
            visitor.rate(image.id, 5)
            study.rater(f"Rater {image.id}").rate(image.id, image.id)
    if experiment == "preference":
        take_in(visitor, "pairs", PAIRS)
    page.goto(f"{serve(study)}c/{study.collection.slug}/dashboard")
    assert problems(page, (1200, 360)) == []
    page.get_by_text("As a table").first.click()
    expect(page.get_by_role("row", name="0 3" if experiment == "score" else "0 1").first).to_be_visible()
    buttons = page.get_by_role("group", name="Download").get_by_role("link")
    for button in buttons.all():
        with page.expect_download() as download:
            button.click()
        assert button.inner_text().strip().lower() in download.value.suggested_filename
    assert buttons.count() == 2


@pytest.mark.parametrize("hours", [2, 5, 12, 30])
def test_no_label_of_a_chart_covers_another(page: Page, study: Study, serve: Serve, hours: int) -> None:
    """On a desktop and on a phone, however many bars there are."""
    rows = [
        f"photo {hour % 6},user {hour},{1 + hour % 10},2026-05-{1 + hour // 24:02}T{hour % 24:02}:00:00Z"
        for hour in range(hours)
    ]
    take_in(study.visitor(), "ratings", "\n".join(["image_id,user_id,rating,time", *rows]))
    page.goto(f"{serve(study)}c/{study.collection.slug}/dashboard")
    for width in (1200, 800, 360):
        page.set_viewport_size({"width": width, "height": 800})
        for chart in page.locator(".chart-marks").all():
            boxes = chart.locator("span").evaluate_all(
                """all => all.map(one => {
                  const text = document.createRange();
                  text.selectNodeContents(one);
                  const box = text.getBoundingClientRect();
                  return [box.left, box.right];
                })"""
            )
            assert all(one[1] < other[0] for one, other in pairwise(boxes)), (width, boxes)


@pytest.mark.slow
def test_it_needs_nothing_the_serving_image_lacks() -> None:
    """Neither SciPy nor Matplotlib, of which the image with the rating app has none."""
    code = (
        "import sys; sys.modules.update(scipy=None, matplotlib=None);"
        "import numpy as np; from nimakit.stats.histogram import across_scale;"
        "import nimakit.web.dashboard.routes; from nimakit.stats.bradley_terry import *;"
        "given = Comparisons(('a', 'b'), np.array([0, 1]), np.array([1, 0]), np.array([1.0, 1.0]));"
        "print(fit(given).chance, across_scale(np.arange(3.0), 2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[0.5", "0.5]", "[0", "2]"]
