"""Whether there is anything left to do: for a rater, or for raters who come new."""

import numpy as np
from sqlalchemy.orm import Session

from nimakit.web.db.tables import Collection, Rater, Study
from nimakit.web.rating.ordering import next_pictures
from nimakit.web.rating.pairing import next_comparisons
from nimakit.web.services import services


def has_more(session: Session, collection: Collection, rater: Rater, study: Study | None) -> bool:
    """Whether there is a picture, a comparison or a check for a rater, now or once the app is ready.

    Args:
        session: From `Database.read`.
        collection: The collection.
        rater: The rater.
        study: The study that limits the rater; None for no limits.
    """
    if collection.scanned_at is None:
        return True
    candidates = services().candidates.get(session, collection)
    unreserved = 0 * candidates.count
    if collection.compares:
        compared = services().compared.get(session, collection, candidates)
        comparing = next_comparisons(
            session, collection, rater, compared, 1, buffered=set(), reserved=unreserved, study=study
        )
        return bool(comparing.comparisons)
    found = next_pictures(
        session, collection, rater, candidates, 1, buffered=set(), reserved=unreserved, study=study
    )
    is_waiting = found.left > 0 and not candidates.usable(collection).all()
    return bool(found.picks) or is_waiting


def needs_raters(session: Session, collection: Collection) -> bool:
    """Whether any picture needs answers, apart from gold pictures, which every rater is shown."""
    if collection.scanned_at is None:
        return True
    candidates = services().candidates.get(session, collection)
    needs = candidates.count < (np.inf if collection.wanted is None else collection.wanted)
    if collection.compares:
        return bool(needs.any()) and len(needs) >= collection.choices
    is_gold = np.isin(candidates.images, np.fromiter(candidates.checks.gold, np.uint64))
    return bool((needs & (~is_gold | is_gold.all())).any())
