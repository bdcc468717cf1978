"""Whether there is anything left for a rater to do."""

from sqlalchemy.orm import Session

from nimakit.web.db.tables import Collection, Rater
from nimakit.web.rating.ordering import next_pictures
from nimakit.web.rating.pairing import next_comparisons
from nimakit.web.services import services


def has_more(session: Session, collection: Collection, rater: Rater, quota: int | None) -> bool:
    """Whether there is a picture, or a comparison, to show a rater, now or once scores are predicted.

    Args:
        session: From `Database.read`.
        collection: The collection.
        rater: The rater.
        quota: Most pictures or comparisons they answer; None for no limit.
    """
    candidates = services().candidates.get(session, collection)
    unreserved = 0 * candidates.count
    if collection.compares:
        compared = services().compared.get(session, collection, candidates)
        comparing = next_comparisons(
            session, collection, rater, compared, 1, buffered=set(), reserved=unreserved, quota=quota
        )
        return bool(comparing.comparisons)
    found = next_pictures(
        session, collection, rater, candidates, 1, buffered=set(), reserved=unreserved, quota=quota
    )
    is_waiting = found.left > 0 and not candidates.usable(collection).all()
    return bool(found.picks) or is_waiting
