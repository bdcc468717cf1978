"""What ratings and comparisons come to: the figures of the data commands."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from nimakit.io.tables import BadRows
from nimakit.labels import comparisons, summary
from nimakit.labels.ratings import read_ratings
from nimakit.labels.summary import unlike_the_rest
from nimakit.stats import bradley_terry
from nimakit.stats.ranking import forecast
from nimakit.web.dashboard import statistics
from nimakit.web.dashboard.statistics import (
    ComparisonStatistics,
    RatingStatistics,
    comparison_statistics,
    rating_statistics,
)
from nimakit.web.db.tables import Rater
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


def of_ratings(study: Study) -> RatingStatistics:
    """The figures; there are some."""
    with study.database.read() as session:
        found = rating_statistics(session, study.collection)
    assert found is not None
    return found


def of_choices(study: Study) -> ComparisonStatistics:
    """Likewise."""
    with study.database.read() as session:
        found = comparison_statistics(session, study.collection)
    assert found is not None
    return found


def take_in(visitor: Visitor, what: str, text: str) -> None:
    """Import a .csv."""
    form: dict[str, Any] = {"what": what, "file": (io.BytesIO(text.encode()), "import.csv")}
    answer = visitor.post(visitor.address("transfer"), form, content_type="multipart/form-data")
    assert answer.status_code == 200, answer.text


@pytest.fixture
def rated(study: Study, visitor: Visitor) -> Study:
    """Eight people rate all pictures, one of them always 3, one against the rest."""
    random = np.random.default_rng(5)
    rows = ["image_id,user_id,rating,time"]
    for person in range(8):
        for place in range(6):
            value = round(float(np.clip(2 + place + random.normal(0, 0.8), 1, 10)))
            value = {0: 3, 1: 11 - value}.get(person, value)
            rows.append(f"photo {place},user {person},{value},2026-05-0{1 + person}T10:0{place}:00Z")
    take_in(visitor, "ratings", "\n".join(rows))
    return study


@on_both
def test_figures_are_those_of_the_data_commands(rated: Study, visitor: Visitor, tmp_path: Path) -> None:
    """What `nimakit data report` says of the exported ratings, agreement and outliers to the last digit."""
    table = tmp_path / "ratings.csv"
    table.write_text(visitor.get(visitor.address("transfer/ratings.csv")).text)
    given = read_ratings(table, time_column="time", rows=BadRows())
    expected = summary.of_ratings(given, rated.collection.scale.bins)
    found = of_ratings(rated).summary
    assert found.agreement == expected.agreement
    assert found.agreement
    assert found.agreement.alpha_interval
    assert found.needs == expected.needs
    assert found.people
    assert expected.people
    with rated.database.read() as session:
        codes = {str(rater.id): rater.code for rater in session.scalars(select(Rater))}
    unlike = [{**one, "user_id": codes[one["user_id"]]} for one in unlike_the_rest(found.people)]
    assert unlike == unlike_the_rest(expected.people)
    assert {one["user_id"] for one in unlike} == {"user 0", "user 1"}


@on_both
def test_who_is_left_out_is_in_no_figure(rated: Study, visitor: Visitor) -> None:
    """Neither are skips."""
    before = of_ratings(rated).summary
    with rated.database.read() as session:
        contrary = session.scalars(select(Rater).where(Rater.code == "user 1")).one()
    visitor.post(visitor.address(f"people/{contrary.id}"), {"excluded": "1"})
    visitor.send({"kind": "skip", "image": rated.images[0].id})
    after = of_ratings(rated).summary
    assert before.people
    assert after.people
    assert set(before.people.user_ids) - set(after.people.user_ids) == {str(contrary.id)}
    assert before.agreement
    assert after.agreement
    assert (after.agreement.alpha_interval or 0) > (before.agreement.alpha_interval or 0) + 0.1


def test_what_was_shown_again_tells_consistency_alone(study: Study, visitor: Visitor) -> None:
    """Means are of the first ratings, as in label files; each person's repeats are told."""
    first, second = study.images[:2]
    visitor.rate(first.id, 4)
    visitor.rate(second.id, 6)
    visitor.rate(first.id, 7, round=1)
    visitor.rate(second.id, 6, round=1)
    study.rater().rate(first.id, 5)
    found = of_ratings(study)
    assert dict(zip(found.summary.pictures.image_ids, found.summary.pictures.means, strict=True)) == {
        str(first.id): 4.5,
        str(second.id): 6,
    }
    assert found.summary.repeats
    assert (found.summary.repeats.ratings, found.summary.repeats.difference) == (2, 1.5)
    assert found.repeats == {str(visitor.rater.id): found.summary.repeats}


def test_a_first_rating_that_was_taken_back_leaves_nothing(study: Study, visitor: Visitor) -> None:
    """What was said when the picture was shown again is no rating by itself."""
    image = study.images[0].id
    visitor.rate(image, 4)
    visitor.rate(image, 5, round=1)
    visitor.post(visitor.address(f"ratings/{image}"), {"value": ""})
    with study.database.read() as session:
        assert rating_statistics(session, study.collection) is None
    assert visitor.get(visitor.address("dashboard")).status_code == 200


@on_both
def test_an_import_without_times_is_in_no_hour(study: Study, visitor: Visitor) -> None:
    """When it was imported says nothing of when people rated; what is rated here, and times of a file, do."""
    take_in(visitor, "ratings", "image_id,user_id,rating\nphoto 0,a,5\nphoto 1,a,6\n")
    take_in(visitor, "ratings", "image_id,user_id,rating,time\nphoto 2,a,5,2026-05-01T10:00:00Z\n")
    visitor.rate(study.images[0].id, 5)
    times = of_ratings(study).times
    assert (sum(times.counts), times.timeless) == (2, 2)
    assert times.label(0).startswith("2026-0")


def test_nothing_comes_of_nothing(study: Study, make_study: MakeStudy) -> None:
    """No ratings, no figures."""
    with study.database.read() as session:
        assert rating_statistics(session, study.collection) is None
        assert comparison_statistics(session, study.collection) is None


PAIRS = "session,left,right,chosen\n" + "".join(
    f"s{number % 3},photo {left},photo {right},{chosen}\n"
    for number, (left, right, chosen) in enumerate(
        [
            (0, 1, "right"),
            (1, 2, "right"),
            (2, 0, "left"),
            (0, 2, "tie"),
            (3, 1, "left"),
            (1, 3, "left"),
            (2, 3, "-1"),
            (0, 1, "photo 0"),
            (4, 0, "left"),
            (2, 1, "left"),
            (3, 0, "tie"),
        ]
    )
)
"""Made-up comparisons with ties; photo 4 won the only one it was in, photo 5 was in none."""


@pytest.fixture
def compared(make_study: MakeStudy) -> Study:
    """These, imported."""
    study = make_study(experiment="preference")
    take_in(study.visitor(), "pairs", PAIRS)
    return study


@on_both
def test_scores_are_those_of_the_data_commands(compared: Study, tmp_path: Path) -> None:
    """The same to the last digit, in the same order; what won its only comparison has a score, too."""
    table = tmp_path / "pairs.csv"
    table.write_text(PAIRS)
    given = comparisons.read_comparisons(table, rows=BadRows())
    expected, found = bradley_terry.fit(given), of_choices(compared)
    names = {str(image.id): image.image_id for image in compared.images}
    assert [names[key] for key in found.comparisons.image_ids] == list(given.image_ids)
    assert found.scores
    assert found.scores.score.tolist() == expected.score.tolist()
    assert found.scores.standard_error.tolist() == expected.standard_error.tolist()
    assert found.scores.rank_high.tolist() == expected.rank_high.tolist()
    assert len(found.scores.images) == 5
    assert found.group_sizes == [5]


def test_votes_are_counted_by_person(compared: Study) -> None:
    """Comparisons decided, ties among them, skips beside them; the busiest first."""
    visitor = compared.visitor()
    visitor.send({"kind": "skip", "trial": "t1", "shown": [image.id for image in compared.images[:2]]})
    found = of_choices(compared)
    assert (found.votes.made, found.votes.ties, found.votes.skipped) == (11, 3, 1)
    assert [one.made for one in found.people.values()] == [4, 4, 3, 0]


def test_a_choice_of_four_is_three_pairs(make_study: MakeStudy) -> None:
    """The one chosen beats each of the others, which say nothing of each other; a tie says all are alike."""
    study = make_study(experiment="preference", choices="4")
    visitor, shown = study.visitor(), [image.id for image in study.images[:4]]
    visitor.send({"kind": "choice", "trial": "t1", "shown": shown, "image": shown[2]})
    assert sorted(of_choices(study).comparisons.share.tolist()) == [0, 0, 1]
    visitor.send({"kind": "tie", "trial": "t2", "shown": shown})
    assert sorted(of_choices(study).comparisons.share.tolist()) == [0, 0, *6 * [0.5], 1]


def test_wins_are_those_the_score_counts(make_study: MakeStudy) -> None:
    """Three pairs of a choice of four, a tie of four ties each with three; all of them count half."""
    study = make_study(experiment="preference", choices="4")
    visitor, (a, b, c, d, e) = study.visitor(), [image.id for image in study.images[:5]]
    for trial, shown, chosen in (
        ("t1", [a, b, c, d], a),
        ("t2", [a, b, c, d], b),
        ("t3", [a, b, c, d], c),
        ("t4", [a, b, c, e], a),
    ):
        visitor.send({"kind": "choice", "trial": trial, "shown": shown, "image": chosen})
    visitor.send({"kind": "tie", "trial": "t5", "shown": [a, b, c, d]})
    found = of_choices(study)
    assert found.scores
    ids = [int(found.comparisons.image_ids[place]) for place in found.scores.images]
    rows = zip(
        ids,
        *(column.tolist() for column in (found.scores.won, found.scores.lost, found.scores.tied)),
        strict=True,
    )
    assert {key: counts for key, *counts in rows} == {
        a: [(3 + 3) / 2, (1 + 1) / 2, 3 / 2],
        b: [3 / 2, (1 + 1 + 1) / 2, 3 / 2],
        c: [3 / 2, (1 + 1 + 1) / 2, 3 / 2],
        d: [0, (1 + 1 + 1) / 2, 3 / 2],
        e: [0, 1 / 2, 0],
    }


def test_the_forecast_is_about_all_pictures(make_study: MakeStudy) -> None:
    """Pictures that were not compared yet are unknown; a choice of four tells 1.5 differences."""
    study = make_study(experiment="preference", choices="4")
    visitor, shown = study.visitor(), [image.id for image in study.images[:4]]
    visitor.send({"kind": "choice", "trial": "t1", "shown": shown, "image": shown[0]})
    found = of_choices(study)
    assert found.forecast
    assert found.scores
    alone = forecast(found.scores.score, found.scores.variance, differences=1.5)
    assert found.forecast.certainty < alone.certainty
    assert found.forecast.more > alone.more > 0


@on_both
def test_comparisons_that_are_shown_again_tell_consistency(compared: Study) -> None:
    """Decided the same way, whichever stands left; and not. The ranking counts the first of them."""
    visitor, images = compared.visitor(), [image.id for image in compared.images]
    before = len(of_choices(compared).comparisons)
    for trial, shown, image, turn in (
        ("t1", images[:2], images[0], 0),
        ("t2", images[1:3], images[1], 0),
        ("t3", images[1::-1], images[0], 1),
        ("t4", images[1:3], images[2], 1),
    ):
        visitor.send({"kind": "choice", "trial": trial, "shown": shown, "image": image, "round": turn})
    found = of_choices(compared)
    assert (found.repeated, found.same) == (2, 1)
    assert len(found.comparisons) == before + 2


def test_comparisons_that_nothing_connects_are_told(make_study: MakeStudy) -> None:
    """The groups they fall into; all have scores."""
    study = make_study(experiment="preference")
    rows = ["0,1,left", "1,0,left", "1,2,left", "2,1,left", "3,4,left", "4,3,left"]
    text = "".join(f"photo {row[0]},photo {row[2]},{row[4:]}\n" for row in rows)
    take_in(study.visitor(), "pairs", f"left,right,chosen\n{text}")
    found = of_choices(study)
    assert found.group_sizes == [3, 2]
    assert found.scores
    assert len(found.scores.images) == 5


def test_what_cannot_be_ranked_says_why(make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips make no comparison, and too many pictures take too long; one choice is enough."""
    study = make_study(experiment="preference")
    visitor, shown = study.visitor(), [image.id for image in study.images[:2]]
    visitor.send({"kind": "skip", "trial": "t0", "shown": shown})
    assert "no comparisons yet" in of_choices(study).problem
    visitor.send({"kind": "choice", "trial": "t1", "shown": shown, "image": shown[0]})
    found = of_choices(study)
    assert found.scores
    assert (found.problem, len(found.scores.images)) == ("", 2)
    monkeypatch.setattr(statistics, "MAX_RANKED", 1)
    assert "2 were compared" in of_choices(study).problem


def test_a_comparison_that_was_taken_back_is_no_skip(compared: Study) -> None:
    """Whoever takes it back did decide."""
    visitor = compared.visitor()
    shown = [image.id for image in compared.images[:2]]
    visitor.send({"kind": "choice", "trial": "t1", "shown": shown, "image": shown[0]})
    visitor.post(visitor.address(f"comparisons/{visitor.rater.id}/t1"), {"said": "skip"})
    found = of_choices(compared)
    assert (found.votes.made, found.votes.skipped) == (11, 0)
