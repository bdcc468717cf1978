"""A study whose pictures people have rated by their redness."""

from pathlib import Path

import numpy as np
from PIL import Image as Picture
from sqlalchemy.orm import Session

from nimakit.web.accounts.raters import raters_with_codes
from nimakit.web.db.tables import RATING, now
from nimakit.web.rating.store import NewEvent, store_events
from web.study import Study

PICTURES = 20


def redness(path: Path) -> float:
    """How red a picture is, 0 to 1."""
    with Picture.open(path) as opened:
        return float(np.asarray(opened.convert("RGB"))[0, 0, 0]) / 255


def rate(study: Study, people: range, pictures: slice = slice(None)) -> None:
    """Let people rate some of the pictures."""
    images = study.images[pictures]
    red = [redness(study.folder / image.path) for image in images]
    random = np.random.default_rng(people.start)
    collection = study.collection

    def act(session: Session) -> None:
        ids = raters_with_codes(session, [f"u{number}" for number in people], collection.id)
        said = now()
        store_events(
            session,
            [
                NewEvent(
                    client_id=f"{rater}-{image.id}",
                    collection_id=collection.id,
                    rater_id=rater,
                    kind=RATING,
                    image_id=image.id,
                    value=round(float(np.clip(1 + 9 * share + random.normal(0, 1), 1, 10))),
                    occurred_at=said,
                    received_at=said,
                    source="app",
                )
                for rater in ids.values()
                for image, share in zip(images, red, strict=True)
            ],
        )

    study.change(act)
