"""The parts that the pages of one rating app share, such as its database and its background work."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app

if TYPE_CHECKING:
    # The packages of these parts import this module.
    from nimakit.io.child_process import ChildProcess
    from nimakit.serving.admission import Admission
    from nimakit.web.accounts.raters import Links
    from nimakit.web.collections.model_choices import ModelChoices
    from nimakit.web.collections.uploads import Uploads
    from nimakit.web.dashboard.cache import StatisticsCache
    from nimakit.web.db.database import Database
    from nimakit.web.pictures.renditions import Renditions
    from nimakit.web.predictions.background import Background
    from nimakit.web.rating.compared import ComparedCache
    from nimakit.web.rating.ordering import CandidateCache
    from nimakit.web.rating.reservations import Reservations
    from nimakit.web.rating.write_queue import WriteQueue
    from nimakit.web.review.explanation_jobs import Explainer
    from nimakit.web.settings import Settings
    from nimakit.web.similarity.index import Indexes
    from nimakit.web.study.evidence import EvidenceCache


EXTENSION = "nimakit-rate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The parts of one app.

    Attributes:
        settings: How the app runs.
        database: Stores the ratings.
        write_queue: Writes events from raters to the database.
        comparing: Admits uploaded pictures to be decoded, one at a time.
        child: Decodes the uploaded pictures that would block other threads.
        renditions: Serves pictures at the sizes browsers ask for.
        candidates: The pictures of each collection that can be shown.
        compared: What has been compared in each collection.
        reservations: Pictures served to raters and not yet rated.
        indexes: Similarity indexes of the collections.
        links: Signs invitation links and personal links.
        statistics: Cached dashboard figures.
        evidence: What is known about the raters of each collection, cached.
        background: Scans folders, predicts scores and learns tastes.
        explainer: Computes the heatmaps of what models look at.
        uploads: Receives pictures that the admin uploads into collections.
        models: Lists the models that settings offer.
    """

    settings: "Settings"
    database: "Database"
    write_queue: "WriteQueue"
    comparing: "Admission"
    child: "ChildProcess"
    renditions: "Renditions"
    candidates: "CandidateCache"
    compared: "ComparedCache"
    reservations: "Reservations"
    indexes: "Indexes"
    links: "Links"
    statistics: "StatisticsCache"
    evidence: "EvidenceCache"
    background: "Background"
    explainer: "Explainer"
    uploads: "Uploads"
    models: "ModelChoices"


def services() -> Services:
    """The parts of the app that handles the current request."""
    return cast("Services", current_app.extensions[EXTENSION])
