"""The tables: collections and their pictures, raters, their events, and their current answers."""

import secrets
import unicodedata
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    or_,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nimakit.web.db.scale import Scale

CULL, BEST_WORST = "cull", "best-worst"
EXPERIMENTS = ("score", "rate", "preference", BEST_WORST, CULL)
CHOICES: dict[str, tuple[int, ...]] = {"preference": (2, 4), BEST_WORST: (4, 5, 6)}
"""Experiments in which pictures are compared -> how many at a time."""

ORDERS = ("random", "fewest", "active")

LARGEST_KEY = 2**31 - 1
"""Largest id of all tables except events, which may have more rows."""

OK, MISSING, BROKEN, LEFT_OUT = "ok", "missing", "broken", "left out"
"""States of a picture. One that is left out is in the folder, but not in the imported list."""

RATING, SKIP, CHOICE, TIE = "rating", "skip", "choice", "tie"
"""Kinds of event."""

PICK, REJECT, UNFLAG = FLAGS = ("pick", "reject", "unflag")
"""Kinds of event in a cull, whose stars are ratings."""

CHECK = "check"
"""Kind of event: the answer to an attention check, which rates nothing."""

BY_OWNER, BY_AGREEMENT = "owner", "agreement"
"""Where the expected answer to a gold picture comes from."""

CORRECTION, BY_ADMIN = "correction", "admin"
"""Sources of events that change an earlier rating: its rater, or the admin."""

COPIED = "copied"
"""Key in a table's `info` if its rows are settings, which a duplicate of a collection gets copies of."""

ADMIN, LOCAL = "admin", "local"
"""Roles of raters with the rights of the admin."""

FIRST, REPEAT = 0, 1
"""Rounds: a repeat shows a rater the same picture again, to measure their consistency."""


def now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A time with its zone. SQLite has no zones, so it stores UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Convert to the database."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Convert from the database."""
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


_BigKey = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER


class Base(DeclarativeBase):
    """Names of constraints, and types of columns, for all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own way
        datetime: UtcDateTime,
        str: Text,
        dict[str, Any]: JSON,
        dict[str, bool]: JSON,
        list[dict[str, Any]]: JSON,
        list[str]: JSON,
        list[int]: JSON,
        list[float]: JSON,
    }


def table_of(mapped: type[Base]) -> Table:
    """The table of a class, for statements whose rows need not become objects."""
    return cast("Table", mapped.__table__)


class Collection(Base):
    """A folder tree of photographs, and the settings for rating them.

    Attributes:
        slug: Its name in addresses.
        folder: Absolute path. Pictures are read from it and not copied.
        experiment: One of `EXPERIMENTS`.
        choices: Number of pictures in a comparison, one of `CHOICES`.
        low: Lowest rating.
        high: Highest rating.
        wanted: Number of ratings, or comparisons, a picture needs; None for no limit.
        ordering: One of `ORDERS`.
        blind: Whether file names, and predicted scores after rating, are hidden from raters.
        show_others: Whether raters see the mean rating of others after rating.
        repeats: Share of the pictures each rater is shown twice, 0 to 0.5.
        sign_up: Whether people may join without an invitation.
        is_open: Whether new ratings are accepted.
        personal: Whether each rater's taste is learned, and their predicted scores follow it.
        model: The model that predicts scores (a public model, an .onnx file or an ensemble), or None.
        model_probe: Identifies the model of the current scores: `nimakit.models.engine.Model.probe`, and the
            number of features. None before any were predicted.
        encoder: The encoder whose features its own model is learned from (a public one or an .onnx file);
            None for the features of the model that predicts scores, which are stored.
        question: The question raters are asked; empty for the default.
        low_label: Meaning of the lowest rating.
        high_label: Meaning of the highest rating.
        scanned_at: When the folder was last scanned.
        note: Problem of the folder; empty without one.
        model_note: Problem of the model; empty without one.
        archived_at: Since when it is hidden from raters; None if it is not.
        deleted_at: When it was deleted; None if it was not, or was brought back.
        removed_at: When its contents began to be removed, after which it cannot be brought back. The row
            stays, because SQLite would give its id, by which parts of the app know a collection, to another.
    """

    __tablename__ = "collection"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    folder: Mapped[str]
    experiment: Mapped[str] = mapped_column(String(16), default="score")
    choices: Mapped[int] = mapped_column(default=2)
    low: Mapped[int] = mapped_column(default=1)
    high: Mapped[int] = mapped_column(default=10)
    wanted: Mapped[int | None]
    ordering: Mapped[str] = mapped_column(String(16), default="random")
    blind: Mapped[bool] = mapped_column(default=True)
    show_others: Mapped[bool] = mapped_column(default=False)
    repeats: Mapped[float] = mapped_column(default=0.0)
    sign_up: Mapped[bool] = mapped_column(default=False)
    is_open: Mapped[bool] = mapped_column(default=True)
    personal: Mapped[bool] = mapped_column(default=False)
    model: Mapped[str | None]
    model_probe: Mapped[list[float] | None]
    encoder: Mapped[str | None]
    question: Mapped[str] = mapped_column(default="")
    low_label: Mapped[str] = mapped_column(String(40), default="")
    high_label: Mapped[str] = mapped_column(String(40), default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    scanned_at: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(default="")
    model_note: Mapped[str] = mapped_column(default="")
    archived_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]

    @property
    def scale(self) -> Scale:
        """The scale of its ratings."""
        return Scale(self.low, self.high)

    @property
    def may_have_checks(self) -> bool:
        """Whether its raters can be shown gold pictures and attention checks."""
        return self.experiment != CULL

    @property
    def response_table(self) -> type["Rating | Choice"]:
        """The table of its raters' answers: choices where pictures are compared, else ratings."""
        return Choice if self.compares else Rating

    @property
    def compares(self) -> bool:
        """Whether its pictures are compared rather than rated."""
        return self.experiment in CHOICES


class Image(Base):
    """A picture of a collection.

    Attributes:
        path: Below the collection's folder, with forward slashes.
        image_id: File name without its last suffix.
        state: `OK`, `MISSING`, `BROKEN` or `LEFT_OUT`.
        problem: Why it cannot be shown; empty if it can.
        size: Bytes.
        mtime_ns: Modification time of the file.
        count: Number of raters who rated it; where pictures are compared, of its comparisons.
        total: Sum of their ratings, or of the shares it won (`nimakit.web.db.outcomes.shares`).
        squares: Sum of the squares of these ratings or shares.
        position: Mean score predicted by the collection's model, from 0 (lowest rating) to 1 (highest).
        spread: Predicted standard deviation, on the same scale.
    """

    __tablename__ = "image"
    __table_args__ = (UniqueConstraint("collection_id", "path"), Index(None, "collection_id", "image_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    path: Mapped[str]
    image_id: Mapped[str]
    state: Mapped[str] = mapped_column(String(8), default=OK)
    problem: Mapped[str] = mapped_column(default="")
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    count: Mapped[int] = mapped_column(default=0)
    total: Mapped[float] = mapped_column(default=0.0)
    squares: Mapped[float] = mapped_column(default=0.0)
    position: Mapped[float | None]
    spread: Mapped[float | None]

    @classmethod
    def is_named(cls, text: str) -> ColumnElement[bool]:
        """Whether the path contains a text, ignoring case and Unicode normalisation."""
        forms = sorted({unicodedata.normalize(form, text) for form in ("NFC", "NFD")})
        return or_(*(cls.path.icontains(form, autoescape=True) for form in forms))


class Features(Base):
    """The collection's model's features of a picture, stored with its `position`.

    Attributes:
        vector: (D,) float16, little-endian. This halves the size for a relative error of 1/2000.
    """

    __tablename__ = "features"

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class Rater(Base):
    """A person who rates, or runs a study.

    Attributes:
        code: Pseudonym, by which exports name a rater.
        name: Name they chose; may be empty.
        link_version: Part of their personal link. Raising it ends earlier links and sessions. It begins at a
            random number: SQLite may give the id of an erased rater to a new one, whom the earlier link must
            not sign in as.
        role: "rater"; "admin", who signs in with a password; "local", who uses the app on its own machine.
        password_hash: Hash of the admin's password; None for others.
    """

    __tablename__ = "rater"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(80), default="")
    role: Mapped[str] = mapped_column(String(8), default="rater")
    password_hash: Mapped[str | None]
    link_version: Mapped[int] = mapped_column(default=lambda: secrets.randbelow(LARGEST_KEY // 2) + 1)
    created_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def is_admin(self) -> bool:
        """Whether they have the rights of the admin."""
        return self.role in (ADMIN, LOCAL)


class EndedSession(Base):
    """A session that was signed out of, so that copies of its cookie no longer work.

    Attributes:
        name: See `User.get_id`: the rater's id, their link_version at sign-in, and a random id.
    """

    __tablename__ = "ended_session"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(default=now)


class Taste(Base):
    """A rater's learned taste in a collection: a linear shift of the predicted scores by the features.

    Attributes:
        method: "head" or "factors", of `nimakit.models.taste.METHODS`.
        ratings: Number of ratings it was learned from.
        event_id: Id of the latest event among them.
        weights: (D,) float32, little-endian: the shift of a picture's `position` per unit of each feature.
        slope: Shift per unit of the position itself.
        constant: Shift of every position.
    """

    __tablename__ = "taste"

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    method: Mapped[str] = mapped_column(String(8))
    ratings: Mapped[int]
    event_id: Mapped[int] = mapped_column(BigInteger)
    weights: Mapped[bytes] = mapped_column(LargeBinary)
    slope: Mapped[float]
    constant: Mapped[float]
    learned_at: Mapped[datetime] = mapped_column(default=now)


class Learned(Base):
    """What a collection's own model is learned from, and how good it is.

    Attributes:
        basis: Identifies the features: probe of the model, or identity of the encoder.
        state: Identifies the ratings that the latest figures are from; empty before any.
        figures: The latest figures, as `nimakit.web.model.figures.Figures` stores them; empty without any.
        problem: Why there is no newer model; empty if there is.
        claimed_at: When a copy of the app began to learn; None if none does.
        former: The model that predicted scores before a learned one did; None for no model.
    """

    __tablename__ = "learned"

    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    basis: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(default="")
    figures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    problem: Mapped[str] = mapped_column(default="")
    claimed_at: Mapped[datetime | None]
    former: Mapped[str | None]


class LearningPoint(Base):
    """A point of a collection's learning curve; deleted when its features change.

    Attributes:
        ratings: Number of ratings that were learned from.
        srcc: Cross-validated SRCC with people's mean ratings.
        low: Lower end of its interval.
        high: Upper end.
        ceiling: What a perfect model would reach with these ratings; None if unknown.
    """

    __tablename__ = "learning_point"

    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"), index=True)
    ratings: Mapped[int]
    srcc: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    ceiling: Mapped[float | None]
    measured_at: Mapped[datetime] = mapped_column(default=now)


class Invitation(Base):
    """An invitation link to one collection.

    Attributes:
        nonce: Part of the link, so that the link of a deleted collection does not fit a later invitation with
            the same id; empty for links of earlier versions.
    """

    __tablename__ = "invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    label: Mapped[str] = mapped_column(String(80), default="")
    uses: Mapped[int] = mapped_column(default=0)
    max_uses: Mapped[int | None]
    expires_at: Mapped[datetime | None]
    revoked: Mapped[bool] = mapped_column(Boolean, default=False)
    nonce: Mapped[str] = mapped_column(String(16), default=lambda: secrets.token_hex(8))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Erasure(Base):
    """A note that a rater's data in a collection was erased for good. It does not say whose.

    Attributes:
        answers: Number of their ratings, choices and flags.
    """

    __tablename__ = "erasure"

    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"), index=True)
    answers: Mapped[int]
    erased_at: Mapped[datetime] = mapped_column(default=now)


class Membership(Base):
    """A rater's access to a collection.

    Attributes:
        excluded: Whether this rater is left out of exports and figures.
    """

    __tablename__ = "membership"

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    invitation_id: Mapped[int | None] = mapped_column(ForeignKey("invitation.id", ondelete="SET NULL"))
    joined_at: Mapped[datetime] = mapped_column(default=now)
    excluded: Mapped[bool] = mapped_column(default=False)


class Study(Base):
    """Settings of a collection that is rated as a study: what its raters agree to, see and get.

    Attributes:
        is_on: Whether the collection is rated as a study.
        platform: Key of `nimakit.web.study.platforms.PLATFORMS` that raters must come from; empty for any.
        invitation_id: The invitation whose link starts the study.
        quota: Pictures (in a preference: comparisons) for each rater; None for all.
        places: Number of raters; None for no limit.
        minutes: Minutes after which an unfinished place is given to another rater; None for never.
        may_skip: Whether raters may skip pictures.
        practice_needed: Right answers in a practice round that a rater needs to go on.
        thanks: Markdown for the last page.
        code: Completion code for all raters; empty for a random code for each.
        link: Address that raters return to, `{code}` in it stands for the code; empty for none.
        redirects: Whether raters are redirected to `link` without seeing the last page.
    """

    __tablename__ = "study"
    __table_args__ = {"info": {COPIED: True}}  # noqa: RUF012 - SQLAlchemy's own way

    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    is_on: Mapped[bool] = mapped_column(default=False)
    platform: Mapped[str] = mapped_column(String(16), default="")
    invitation_id: Mapped[int | None] = mapped_column(ForeignKey("invitation.id", ondelete="SET NULL"))
    quota: Mapped[int | None]
    places: Mapped[int | None]
    minutes: Mapped[int | None]
    may_skip: Mapped[bool] = mapped_column(default=False)
    practice_needed: Mapped[int] = mapped_column(default=0)
    thanks: Mapped[str] = mapped_column(default="")
    code: Mapped[str] = mapped_column(String(64), default="")
    link: Mapped[str] = mapped_column(default="")
    redirects: Mapped[bool] = mapped_column(default=False)


class StudyVersion(Base):
    """The texts of a study as raters saw them; a change of any of them makes a new version.

    Attributes:
        number: 1 for the first version of a collection.
        consent: Markdown that raters agree to.
        instructions: Markdown.
        examples: Objects with ``picture`` (its path) and ``text`` (its meaning).
        practice: Objects with ``pictures`` (paths; in a preference the best first), ``low`` and ``high`` (the
            right ratings; None in a preference) and ``text`` (an explanation).
        pictures: Paths of the pictures in all of these, which are not rated.
    """

    __tablename__ = "study_version"
    __table_args__ = (UniqueConstraint("collection_id", "number"), {"info": {COPIED: True}})

    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    number: Mapped[int]
    consent: Mapped[str]
    instructions: Mapped[str]
    examples: Mapped[list[dict[str, Any]]]
    practice: Mapped[list[dict[str, Any]]]
    pictures: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Participation(Base):
    """How far a rater is in a study.

    Attributes:
        version_id: The version they agreed to.
        agreed_at: When they agreed.
        started_at: Since when they have had their place; after `agreed_at` if they lost it and got another.
        read_at: When they had read the instructions.
        practice_rounds: Number of practice rounds they began.
        practised: Index of a practice task -> whether they answered it right, in the current round.
        ready_at: When they could begin to rate.
        finished_at: When they finished.
        code: Their completion code; empty before they finished.
    """

    __tablename__ = "participation"
    __table_args__ = (Index(None, "collection_id", "started_at"),)

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    version_id: Mapped[int] = mapped_column(ForeignKey("study_version.id", ondelete="CASCADE"))
    agreed_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime] = mapped_column(default=now)
    read_at: Mapped[datetime | None]
    practice_rounds: Mapped[int] = mapped_column(default=1)
    practised: Mapped[dict[str, bool]] = mapped_column(default=dict)
    ready_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    code: Mapped[str] = mapped_column(String(64), default="")


class PlatformId(Base):
    """Who a rater is on the platform that they came from: only for the admin, who must ask for it.

    Attributes:
        platform: Key of `nimakit.web.study.platforms.PLATFORMS`.
        participant: PROLIFIC_PID or workerId.
        study: STUDY_ID or hitId; may be empty.
        session: SESSION_ID or assignmentId; may be empty.
    """

    __tablename__ = "platform_id"
    __table_args__ = (UniqueConstraint("collection_id", "platform", "participant"),)

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    platform: Mapped[str] = mapped_column(String(16))
    participant: Mapped[str] = mapped_column(String(100))
    study: Mapped[str] = mapped_column(String(100))
    session: Mapped[str] = mapped_column(String(100))


class Checks(Base):
    """How a collection checks its raters, and which of them are excluded.

    A collection without a row has the values of `nimakit.web.rating.checks.DEFAULTS`.

    Attributes:
        gold_every: Pictures from one gold picture to the next.
        attention_every: Pictures from one attention check to the next; None for no checks.
        excludes: Whether raters who break one of the following rules are excluded.
        gold_misses: Gold pictures missed that exclude a rater; None if they do not.
        attention_misses: Attention checks missed that exclude a rater.
        same_share: Share of answers that are all the same, from which a rater is excluded.
        fast_ms: An answer after fewer milliseconds is too fast; half of them exclude a rater.
        repeat_points: Mean difference between first and second ratings from which a rater is excluded.
        by_agreement: Whether raters are excluded who agree with the others no better than chance.
    """

    __tablename__ = "checks"
    __table_args__ = {"info": {COPIED: True}}  # noqa: RUF012 - SQLAlchemy's own way

    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    gold_every: Mapped[int]
    attention_every: Mapped[int | None]
    excludes: Mapped[bool]
    gold_misses: Mapped[int | None]
    attention_misses: Mapped[int | None]
    same_share: Mapped[float | None]
    fast_ms: Mapped[int | None]
    repeat_points: Mapped[float | None]
    by_agreement: Mapped[bool]


class Gold(Base):
    """A picture whose right answer is known. Every rater is shown it, and their answers count as any others.

    Attributes:
        low: Lowest right rating; None where pictures are compared.
        high: Highest right rating; None where pictures are compared.
        worse_id: The picture over which it must win, where pictures are compared.
        source: `BY_OWNER` or `BY_AGREEMENT`.
    """

    __tablename__ = "gold"

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"), index=True)
    low: Mapped[float | None]
    high: Mapped[float | None]
    worse_id: Mapped[int | None] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"))
    source: Mapped[str] = mapped_column(String(10), default=BY_OWNER)


class Attention(Base):
    """A rater's current answer to an attention check, from their latest event.

    Attributes:
        number: 1 for a rater's first check.
        wanted: The answer that the check asks for: a rating, or the place of a picture from 1.
        given: The rater's answer; None if they skipped it.
        passed: Whether it is the wanted one.
    """

    __tablename__ = "attention"

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    wanted: Mapped[int]
    given: Mapped[float | None]
    passed: Mapped[bool]
    event_id: Mapped[int] = mapped_column(ForeignKey("event.id", ondelete="CASCADE"))
    occurred_at: Mapped[datetime]


class Exclusion(Base):
    """Why the rule of `Checks` excludes a rater; `Membership.excluded` says whether they are excluded.

    Attributes:
        reasons: A phrase for each rule that the rater broke; empty if the admin decided before the rule did.
        overruled: Whether the admin decided about the rater, so that the rule leaves them alone.
    """

    __tablename__ = "exclusion"

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    reasons: Mapped[list[str]]
    overruled: Mapped[bool] = mapped_column(default=False)
    decided_at: Mapped[datetime] = mapped_column(default=now)


class Event(Base):
    """An action of a rater. Rows are only added; `Rating`, `Choice` and `Flag` have the current state.

    They are deleted with a collection, or when a rater's data is erased.

    Attributes:
        client_id: Chosen by the browser, so that an event sent twice counts once.
        kind: `RATING`, `SKIP`, `CHOICE`, `TIE`, `CHECK` or one of `FLAGS`.
        image_id: The picture that was rated, skipped, chosen or flagged, or shown with an attention check.
        worst_id: The picture that was chosen as the worst of `shown`; None where nobody is asked for it.
        value: The rating.
        predicted: The predicted score the rater was shown.
        round: `FIRST` or `REPEAT`.
        trial: Id of the comparison or the check, so that answering again replaces the first answer.
        shown: Ids of the pictures of a comparison, in the order shown.
        occurred_at: When it happened, by the server's clock less the age that the browser reports.
        elapsed_ms: How long the rater looked, in milliseconds: since the picture was drawn and while the page
            was in view, in all visits of this page to the picture.
        source: "app", "correction", "admin" (who changed another rater's rating) or "import".
    """

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("rater_id", "client_id"),
        Index(None, "collection_id", "received_at"),
        Index(None, "image_id"),
    )

    id: Mapped[int] = mapped_column(_BigKey, primary_key=True)
    client_id: Mapped[str] = mapped_column(String(36))
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(8))
    image_id: Mapped[int | None] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"))
    worst_id: Mapped[int | None]
    value: Mapped[float | None]
    predicted: Mapped[float | None]
    round: Mapped[int] = mapped_column(default=FIRST)
    trial: Mapped[str | None] = mapped_column(String(36))
    shown: Mapped[list[int] | None]
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(default=now)
    elapsed_ms: Mapped[int | None]
    source: Mapped[str] = mapped_column(String(10), default="app")

    @property
    def is_taken_back(self) -> bool:
        """Whether this withdrew an earlier rating, rather than skipped a picture."""
        return self.kind == SKIP and self.source in (CORRECTION, BY_ADMIN)


class Rating(Base):
    """A rater's current rating of a picture, from their latest event.

    Attributes:
        value: The rating; None if the picture was skipped.
    """

    __tablename__ = "rating"
    __table_args__ = (
        Index(None, "collection_id", "rater_id", "occurred_at"),
        Index(None, "collection_id", "round", "rater_id"),
        Index(None, "event_id"),  # else each deleted event would read the whole table
    )

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    value: Mapped[float | None]
    predicted: Mapped[float | None]
    event_id: Mapped[int] = mapped_column(ForeignKey("event.id", ondelete="CASCADE"))
    occurred_at: Mapped[datetime]


class Choice(Base):
    """A rater's current choice in a comparison, from their latest event.

    Attributes:
        kind: `CHOICE`, `TIE` or `SKIP`.
        chosen: The chosen picture; None for a tie or a skip.
        worst: The picture chosen as the worst, if the experiment asks for it.
    """

    __tablename__ = "choice"
    __table_args__ = (
        Index(None, "collection_id", "rater_id", "occurred_at"),
        Index(None, "collection_id", "occurred_at"),
        Index(None, "collection_id", "round", "rater_id"),
        Index(None, "event_id"),
        Index(None, "chosen"),
    )

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    trial: Mapped[str] = mapped_column(String(36), primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    round: Mapped[int]
    kind: Mapped[str] = mapped_column(String(8))
    shown: Mapped[list[int]]
    chosen: Mapped[int | None] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"))
    worst: Mapped[int | None]
    event_id: Mapped[int] = mapped_column(ForeignKey("event.id", ondelete="CASCADE"))
    occurred_at: Mapped[datetime]


class Flag(Base):
    """A rater's current flag of a picture in a cull, from their latest event.

    Attributes:
        kind: One of `FLAGS`.
    """

    __tablename__ = "flag"
    __table_args__ = (Index(None, "collection_id", "rater_id"), Index(None, "event_id"))

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(8))
    event_id: Mapped[int] = mapped_column(ForeignKey("event.id", ondelete="CASCADE"))
    occurred_at: Mapped[datetime]


class Grouping(Base):
    """How the pictures of a cull were grouped last.

    Attributes:
        stamp: Identifies the pictures that were grouped; others need new groups.
        basis: What the groups rest on, in a sentence.
        note: Why some pictures, or all, are not grouped; empty if all are.
    """

    __tablename__ = "grouping"

    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    stamp: Mapped[list[int]]
    basis: Mapped[str] = mapped_column(default="")
    note: Mapped[str] = mapped_column(default="")
    grouped_at: Mapped[datetime] = mapped_column(default=now)


class GroupedImage(Base):
    """A picture's place in the groups of a cull.

    Attributes:
        number: Of its group, in the order of the groups.
        place: Its place in the group, in the order in which the frames were taken.
        kind: Kind of the group, one of `nimakit.culling.groups.KINDS`.
        scene: Number of the scene.
        measures: The technical measures of `nimakit.images.measures.Measures`, by name.
    """

    __tablename__ = "grouped_image"
    __table_args__ = (Index(None, "collection_id", "number"),)

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    number: Mapped[int]
    place: Mapped[int]
    kind: Mapped[str] = mapped_column(String(12))
    scene: Mapped[int]
    measures: Mapped[dict[str, Any]]
