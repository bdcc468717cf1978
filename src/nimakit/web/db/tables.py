"""The tables: collections and their pictures, raters, everything they did, and what holds now."""

import unicodedata
from datetime import UTC, datetime
from typing import Any

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
    Text,
    TypeDecorator,
    UniqueConstraint,
    or_,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nimakit.web.db.scale import Scale

EXPERIMENTS = ("score", "rate", "preference")
ORDERS = ("random", "fewest", "active")

LARGEST_KEY = 2**31 - 1
"""Of all rows but events, which are too many for that."""

OK, MISSING, BROKEN, LEFT_OUT = "ok", "missing", "broken", "left out"
"""States of a picture; a picture that is left out is in the folder, but not in the list that was imported."""

RATING, SKIP, CHOICE, TIE = "rating", "skip", "choice", "tie"
"""Kinds of event."""

CORRECTION, BY_ADMIN = "correction", "admin"
"""Sources of events that change what was said before: its rater, or the admin."""

ADMIN, LOCAL = "admin", "local"
"""Roles of raters who may do everything."""

FIRST, REPEAT = 0, 1
"""Rounds: a repeat shows a rater the same picture again, to see how consistent they are."""


def now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A time with its zone; SQLite, which knows none, keeps it in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Towards the database."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """From the database."""
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


_BigKey = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER


class Base(DeclarativeBase):
    """What the tables share."""

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
        list[int]: JSON,
        list[float]: JSON,
    }


class Collection(Base):
    """A folder tree of photographs, and how they are rated.

    Attributes:
        slug: Its name in addresses.
        folder: Absolute path; pictures are read there and never copied.
        experiment: One of `EXPERIMENTS`.
        choices: Pictures a preference is among: 2 or 4.
        low: Lowest rating.
        high: Highest rating.
        wanted: Ratings (in a preference: comparisons) a picture needs; None for everyone's.
        ordering: One of `ORDERS`.
        blind: Whether raters see the picture alone: neither its name nor, after rating, a model's score.
        show_others: Whether raters see others' mean once they have rated.
        repeats: Share of the pictures each rater is shown twice, 0 to 0.5.
        sign_up: Whether people may join without an invitation.
        is_open: Whether ratings are taken.
        personal: Whether each rater's taste is learned from their ratings, and bends what they see predicted.
        model: What predicts scores: a public model, an .onnx file or an ensemble; None for none.
        model_probe: What the model that predicted them is known by: `nimakit.models.engine.Model.probe`, and
            the number of features; None before it did.
        question: What raters are asked.
        low_label: What the lowest rating means.
        high_label: What the highest rating means.
        scanned_at: When the folder was last looked through.
        note: What is wrong with the folder; empty where nothing is.
        model_note: What is wrong with the model, likewise.
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
    question: Mapped[str] = mapped_column(default="")
    low_label: Mapped[str] = mapped_column(String(40), default="")
    high_label: Mapped[str] = mapped_column(String(40), default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    scanned_at: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(default="")
    model_note: Mapped[str] = mapped_column(default="")

    @property
    def scale(self) -> Scale:
        """The scale its ratings are on."""
        return Scale(self.low, self.high)


class Image(Base):
    """A picture of a collection.

    Attributes:
        path: Below the collection's folder, with forward slashes.
        image_id: File name without its last suffix.
        state: `OK`, `MISSING`, `BROKEN` or `LEFT_OUT`.
        problem: Why it cannot be shown.
        size: Bytes.
        mtime_ns: Last change of the file.
        count: People whose rating of it holds; in a preference, comparisons it was in.
        total: Sum of those ratings; in a preference, of what it won: 1, or its share of a tie.
        squares: Sum of the squares of those.
        position: Mean score by the collection's model, 0 (lowest bin) to 1 (highest).
        spread: Standard deviation by that model, on the same scale.
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
        """Whether the path has a text in it, whatever the case, and however either spells its umlauts."""
        spellings = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
        return or_(*(cls.path.icontains(spelt, autoescape=True) for spelt in sorted(spellings)))


class Features(Base):
    """What the collection's model sees in a picture, kept with the picture's `position`.

    Attributes:
        vector: (D,) float16, little-endian: half the room of the model's own float32, at a two-thousandth.
    """

    __tablename__ = "features"

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class Rater(Base):
    """Somebody who rates, or runs a study.

    Attributes:
        code: Pseudonym, the only thing exports say of a rater.
        name: What they call themselves; may be empty.
        link_version: Part of their personal link; raising it ends older links and sessions.
        role: "rater"; "admin", who signs in by a password; "local", who uses the app on its own machine.
        password_hash: Of the admin alone.
    """

    __tablename__ = "rater"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(80), default="")
    role: Mapped[str] = mapped_column(String(8), default="rater")
    password_hash: Mapped[str | None]
    link_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def is_admin(self) -> bool:
        """Whether they run the study."""
        return self.role in (ADMIN, LOCAL)


class EndedSession(Base):
    """A session somebody signed out of: cookies know no end of their own, so what is here lets nobody in.

    Attributes:
        name: The rater's id, their link_version when they came in, and what tells their sessions apart.
    """

    __tablename__ = "ended_session"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(default=now)


class Taste(Base):
    """What a rater's ratings of a collection taught: how the predicted scores shift with the features.

    Attributes:
        method: "head" or "factors", of `nimakit.models.taste.METHODS`.
        ratings: How many it was learned from.
        event_id: The latest event about them.
        weights: (D,) float32, little-endian: what a feature adds to a picture's `position`.
        slope: What a point of the position adds.
        constant: What is added to every position.
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


class Invitation(Base):
    """A link that lets people rate one collection."""

    __tablename__ = "invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    label: Mapped[str] = mapped_column(String(80), default="")
    uses: Mapped[int] = mapped_column(default=0)
    max_uses: Mapped[int | None]
    expires_at: Mapped[datetime | None]
    revoked: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Membership(Base):
    """That a rater may rate a collection.

    Attributes:
        excluded: Whether exports and figures leave this rater's ratings out.
    """

    __tablename__ = "membership"

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    )
    invitation_id: Mapped[int | None] = mapped_column(ForeignKey("invitation.id", ondelete="SET NULL"))
    joined_at: Mapped[datetime] = mapped_column(default=now)
    excluded: Mapped[bool] = mapped_column(default=False)


class Event(Base):
    """Something a rater did. Rows are only ever added: what holds now is in `Rating` and `Choice`.

    Attributes:
        client_id: Made by the browser, so that an event sent twice counts once.
        kind: `RATING`, `SKIP`, `CHOICE` or `TIE`.
        image_id: What was rated, skipped or chosen.
        value: The rating.
        predicted: The predicted score the rater was shown.
        round: `FIRST` or `REPEAT`.
        trial: Names one comparison, so that choosing again takes the place of the first choice.
        shown: The pictures of a comparison, as they stood.
        occurred_at: When it happened, by the server's clock; an event that waited for a network says for how
            long it did.
        elapsed_ms: How long the rater looked, in milliseconds.
        source: "app", "correction", "admin" (who took back what another said) or "import".
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
        """Whether this took back what was said before, rather than skipped what was shown."""
        return self.kind == SKIP and self.source in (CORRECTION, BY_ADMIN)


class Rating(Base):
    """What a rater says of a picture now: the latest of their events about it.

    Attributes:
        value: The rating; None where the picture was skipped.
    """

    __tablename__ = "rating"
    __table_args__ = (Index(None, "collection_id", "rater_id", "occurred_at"),)

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    value: Mapped[float | None]
    predicted: Mapped[float | None]
    event_id: Mapped[int] = mapped_column(ForeignKey("event.id", ondelete="CASCADE"))
    occurred_at: Mapped[datetime]


class Choice(Base):
    """What a rater says of a comparison now: the latest of their events about it.

    Attributes:
        kind: `CHOICE`, `TIE` or `SKIP`.
        chosen: The picture they like best; None for a tie and a skip.
    """

    __tablename__ = "choice"
    __table_args__ = (
        Index(None, "collection_id", "rater_id", "occurred_at"),
        Index(None, "collection_id", "occurred_at"),
    )

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id", ondelete="CASCADE"), primary_key=True)
    trial: Mapped[str] = mapped_column(String(36), primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))
    round: Mapped[int]
    kind: Mapped[str] = mapped_column(String(8))
    shown: Mapped[list[int]]
    chosen: Mapped[int | None] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"))
    event_id: Mapped[int] = mapped_column(ForeignKey("event.id", ondelete="CASCADE"))
    occurred_at: Mapped[datetime]
