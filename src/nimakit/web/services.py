"""What the pages of one app share: database, pictures, links, and the work in the background."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app

if TYPE_CHECKING:
    # The packages of these parts import this module.
    from nimakit.serving.admission import Admission
    from nimakit.web.accounts.raters import Links
    from nimakit.web.dashboard.cache import StatisticsCache
    from nimakit.web.db.database import Database
    from nimakit.web.pictures.renditions import Renditions
    from nimakit.web.predictions.background import Background
    from nimakit.web.rating.ordering import Stocks
    from nimakit.web.rating.reservations import Handed
    from nimakit.web.rating.write_queue import Intake
    from nimakit.web.review.explanation_jobs import Explainer
    from nimakit.web.settings import Settings
    from nimakit.web.similarity.index import Indexes


EXTENSION = "nimakit-rate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The parts of one app.

    Attributes:
        settings: How it runs.
        database: Where ratings are kept.
        intake: Writes them.
        comparing: Admits pictures that raters bring along to be decoded, one at a time.
        renditions: Pictures as browsers are given them.
        stocks: Which pictures there are to show.
        handed: Which of them raters hold.
        indexes: Which pictures look alike.
        links: Links that let people in.
        statistics: Figures on collections.
        background: Looks for new pictures, predicts scores and learns tastes.
        explainer: Pictures of what models look at.
    """

    settings: "Settings"
    database: "Database"
    intake: "Intake"
    comparing: "Admission"
    renditions: "Renditions"
    stocks: "Stocks"
    handed: "Handed"
    indexes: "Indexes"
    links: "Links"
    statistics: "StatisticsCache"
    background: "Background"
    explainer: "Explainer"


def services() -> Services:
    """Those of the app that answers the current request."""
    return cast("Services", current_app.extensions[EXTENSION])
