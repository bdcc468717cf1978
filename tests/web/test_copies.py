"""Several copies of the app that share one PostgreSQL database and one folder of photographs."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from web.conftest import MakeStudy
from web.study import POSTGRESQL, Study

pytestmark = pytest.mark.parametrize("engine", [POSTGRESQL], indirect=True)


@pytest.fixture
def copies(study: Study, make_study: MakeStudy) -> list[Study]:
    """Two of them."""
    return [study, make_study()]


def test_what_is_said_at_both_is_kept_once(copies: list[Study]) -> None:
    """Two people rate the same pictures, each at both copies, where events arrive twice: sums are right."""
    study, other = copies
    here, there = study.rater("Ann"), other.rater("Bo")
    images = [image.id for image in study.images]

    def rate(visitor: Any, value: int) -> None:
        for image in images:
            event = {"id": f"event-{image}", "kind": "rating", "image": image, "value": value}
            answer = visitor.send(event)
            assert answer.json["accepted"] == [event["id"]], answer.json

    visitors = []
    for visitor in (here, there):
        for copy in copies:
            again = copy.visitor()
            link = copy.services.links.personal(visitor.rater)
            again.post(f"/go-on/{link}", {})
            assert again.code == visitor.code
            visitors.append((again, 3 if visitor is here else 8))
    with ThreadPoolExecutor(len(visitors)) as pool:
        for done in [pool.submit(rate, visitor, value) for visitor, value in visitors]:
            done.result()
    assert [(image.count, image.total) for image in other.images] == [(2, 11)] * len(images)
    assert len(study.ratings) == len(study.events) == 2 * len(images)
    assert [copy.visitor().deck()["total"] for copy in copies] == [6, 6]
