"""Access of raters to collections, and the number of statements it takes."""

import pytest
from sqlalchemy import delete, event

from nimakit.web.db.tables import Membership
from web.study import Study, Visitor

PLACES = ("deck", "pictures/1/480", "score", "ratings")


def remove_all_members(study: Study) -> None:
    """Remove all memberships, so that only the admin may rate."""
    study.change(lambda session: session.execute(delete(Membership)))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.slow
def test_collections_without_access_are_not_found(study: Study, place: str) -> None:
    """A removed rater gets the same answers as for a collection that does not exist."""
    rater = study.rater()
    assert rater.get(rater.address(place)).status_code == 200
    remove_all_members(study)
    assert rater.get(rater.address(place)).status_code == 404
    assert rater.get(f"/c/elsewhere/{place}").status_code == 404


def test_ratings_without_access_are_refused(study: Study) -> None:
    """Nothing of them is stored."""
    rater = study.rater()
    remove_all_members(study)
    body = {"id": "a", "kind": "rating", "image": study.images[0].id, "value": 5}
    assert rater.send(body).status_code == 404
    assert study.events == []


@pytest.mark.parametrize("place", PLACES)
def test_the_admin_may_rate_everything(study: Study, place: str) -> None:
    """The admin needs no invitation."""
    admin = study.visitor()
    assert admin.get(admin.address(place)).status_code == 200


def test_a_picture_takes_two_statements(study: Study, visitor: Visitor) -> None:
    """There is one for the rater and the collection, and one for the picture."""
    address = visitor.address(f"pictures/{study.images[0].id}/480")
    visitor.get(address)
    statements: list[str] = []
    event.listen(study.database.engine, "after_cursor_execute", lambda *said: statements.append(said[2]))
    assert visitor.get(address).status_code == 200
    assert len([one for one in statements if one.startswith("SELECT")]) == 2
