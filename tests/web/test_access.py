"""Who may see what, and what it costs to find out."""

import pytest
from sqlalchemy import delete, event

from nimakit.web.db.tables import Membership
from web.study import Study, Visitor

PLACES = ("deck", "pictures/1/480", "score", "ratings")


def send_everybody_away(study: Study) -> None:
    """Nobody but the admin may rate any more."""
    study.change(lambda session: session.execute(delete(Membership)))


@pytest.mark.parametrize("place", PLACES)
def test_what_one_may_not_rate_is_not_there(study: Study, place: str) -> None:
    """Who was sent away sees as much as of a collection that there is none of."""
    rater = study.rater()
    assert rater.get(rater.address(place)).status_code == 200
    send_everybody_away(study)
    assert rater.get(rater.address(place)).status_code == 404
    assert rater.get(f"/c/elsewhere/{place}").status_code == 404


def test_ratings_of_what_one_may_not_rate_are_refused(study: Study) -> None:
    """Nothing is kept of them."""
    rater = study.rater()
    send_everybody_away(study)
    body = {"id": "a", "kind": "rating", "image": study.images[0].id, "value": 5}
    assert rater.send(body).status_code == 404
    assert study.events == []


@pytest.mark.parametrize("place", PLACES)
def test_the_admin_may_rate_everything(study: Study, place: str) -> None:
    """Without an invitation."""
    admin = study.visitor()
    assert admin.get(admin.address(place)).status_code == 200


def test_a_picture_takes_two_statements(study: Study, visitor: Visitor) -> None:
    """One for who asks about what, one for the picture: each is waited for before the next is seen."""
    address = visitor.address(f"pictures/{study.images[0].id}/480")
    visitor.get(address)
    statements: list[str] = []
    event.listen(study.database.engine, "after_cursor_execute", lambda *said: statements.append(said[2]))
    assert visitor.get(address).status_code == 200
    assert len([one for one in statements if one.startswith("SELECT")]) == 2
