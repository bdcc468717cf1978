"""How far a collection is, and how long the rest takes."""

from datetime import timedelta

import pytest

from nimakit.web.dashboard.progress import Progress, progress_of
from nimakit.web.db.tables import now
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


def found(study: Study, *, hours_later: float = 0) -> Progress:
    """How far it is, so long from now."""
    with study.database.read() as session:
        return progress_of(session, study.collection, now() + timedelta(hours=hours_later))


def test_pictures_are_counted_by_their_ratings(study: Study, visitor: Visitor) -> None:
    """Of three ratings each, two pictures have one and one has two: 4 of 18."""
    study.set(wanted=3)
    first, second, third, *_ = study.images
    for image in (first, second, third):
        visitor.rate(image.id, 5)
    study.rater().rate(first.id, 7)
    progress = found(study)
    assert progress.by_count == {0: 3, 1: 2, 2: 1}
    assert progress.share == pytest.approx(4 / 18)
    assert progress.left == 14


def test_more_ratings_than_wanted_do_not_make_up_for_others(study: Study, visitor: Visitor) -> None:
    """A picture with two of one wanted leaves five to do."""
    study.set(wanted=1)
    visitor.rate(study.images[0].id, 5)
    study.rater().rate(study.images[0].id, 5)
    progress = found(study)
    assert progress.left == 5
    assert progress.share == pytest.approx(1 / 6)


def test_where_everybody_may_rate_everything_each_picture_is_to_be_rated_once(
    study: Study, visitor: Visitor
) -> None:
    """Pictures that are missing are not waited for."""
    visitor.rate(study.images[0].id, 5)
    (study.folder / study.images[5].path).unlink()
    visitor.get(visitor.address(f"pictures/{study.images[5].id}/480"))
    progress = found(study)
    assert (progress.pictures, progress.left) == (5, 4)
    assert progress.share == pytest.approx(1 / 5)


def test_a_comparison_counts_for_all_its_pictures(make_study: MakeStudy) -> None:
    """Six pictures that want two each need three comparisons of four."""
    study = make_study(experiment="preference", choices="4")
    study.set(wanted=2)
    assert found(study).left == 3


@on_both
def test_the_pace_is_that_of_the_last_day(study: Study, visitor: Visitor) -> None:
    """From the first rating of it, breaks included; skips and corrections make no pace."""
    assert found(study).pace is None
    for image in study.images[:4]:
        visitor.rate(image.id, 5)
    visitor.send({"kind": "skip", "image": study.images[4].id})
    visitor.post(visitor.address(f"ratings/{study.images[0].id}"), {"value": "7"})
    at_once, later, next_day = (found(study, hours_later=hours).pace for hours in (0, 8, 30))
    assert at_once
    assert later
    assert next_day
    assert at_once.per_hour == pytest.approx(4, rel=0.01)
    assert later.per_hour == pytest.approx(0.5, rel=0.01)
    assert next_day.per_hour == pytest.approx(4 / 30, rel=0.01)
    assert next_day.days == 7
    assert found(study, hours_later=8).hours_left == pytest.approx(2 / 0.5, rel=0.01)
    assert found(study, hours_later=200).pace is None
