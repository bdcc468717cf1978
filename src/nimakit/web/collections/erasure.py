"""Erase one rater's data for good, and say before what that changes."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, aliased

from nimakit.errors import UsageError
from nimakit.models.taste import SUFFIX, USER_ID
from nimakit.web.db.database import Database
from nimakit.web.db.outcomes import shares
from nimakit.web.db.queries import lock_raters
from nimakit.web.db.tables import (
    FIRST,
    Base,
    Choice,
    Collection,
    EndedSession,
    Erasure,
    Event,
    Flag,
    Image,
    Membership,
    PlatformId,
    Rater,
    Rating,
)
from nimakit.web.rating.store import Sums
from nimakit.web.settings import Settings

BACKUPS = ("*.db", "*.db-*", "*.sqlite*", "*.bak", "*.sql", "*.sql.gz", "*.dump")
"""Names of files in the data folder that may be copies of the database."""

_ANSWERS: tuple[type[Rating | Choice | Flag], ...] = (Rating, Choice, Flag)
_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """What a collection loses with a rater's data.

    Attributes:
        collection_id: Its id.
        name: Its name.
        answers: Number of the rater's current ratings, choices, skips and flags.
        below: Number of pictures that then have fewer ratings than wanted, and had enough before.
        models: Files learned from the collection's ratings, which may have learned from this rater's too.
    """

    collection_id: int
    name: str
    answers: int
    below: int
    models: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """What erasing a rater's data changes.

    Attributes:
        rater: Their pseudonym.
        name: Their name; may be empty.
        is_account_kept: Whether the account stays, because it is the admin's.
        losses: Of each collection that they joined or rated.
        events: Number of all their actions, changed and withdrawn ones included.
        tastes: Their taste files.
        backups: Files in the data folder that may be copies of the database, and still contain the data.
        same_person: Pseudonyms of other raters with the same id on a platform, whose data stay.
    """

    rater: str
    name: str
    is_account_kept: bool
    losses: tuple[Loss, ...]
    events: int
    tastes: tuple[str, ...]
    backups: tuple[str, ...]
    same_person: tuple[str, ...]

    @property
    def answers(self) -> int:
        """Number of current answers in all collections."""
        return sum(loss.answers for loss in self.losses)

    @property
    def below(self) -> int:
        """Number of pictures that fall below the wanted number of ratings."""
        return sum(loss.below for loss in self.losses)

    @property
    def models(self) -> tuple[str, ...]:
        """Model files that may have learned from the rater."""
        return tuple(model for loss in self.losses for model in loss.models)


def find_rater(session: Session, code: str) -> Rater:
    """The rater of a pseudonym.

    Raises:
        UsageError: There is none.
    """
    rater = session.scalars(select(Rater).where(Rater.code == code)).one_or_none()
    if rater is None:
        raise UsageError(
            f"A rater is named by the pseudonym on the page People, such as r1a2b3c4. Received: {code}"
        )
    return rater


def effect_of(session: Session, rater: Rater, settings: Settings) -> Effect:
    """What erasing a rater's data would change.

    Args:
        session: From `Database.read`.
        rater: The rater.
        settings: Of the app.
    """
    answers, files = _answers(session, rater), _files(rater, settings)
    gone = Counter(image for image, _ in _counted(session, rater))
    falling = _falling(session, gone)
    losses = [
        Loss(
            collection_id=collection.id,
            name=collection.name,
            answers=answers[collection.id],
            below=falling[collection.id],
            models=tuple(map(str, sorted((settings.models_dir / collection.slug).glob("*.onnx"))))
            if answers[collection.id]
            else (),
        )
        for collection in _collections(session, rater)
    ]
    events = session.scalar(select(func.count()).select_from(Event).where(Event.rater_id == rater.id))
    return Effect(
        rater=rater.code,
        name=rater.name,
        is_account_kept=rater.is_admin,
        losses=tuple(losses),
        events=events or 0,
        tastes=tuple(map(str, files)),
        backups=tuple(map(str, _backups(settings))),
        same_person=tuple(one.code for one in same_person(session, rater)),
    )


def same_person(session: Session, rater: Rater) -> list[Rater]:
    """The other raters, of any collection, who came from a platform with the same id as this one."""
    own, other = aliased(PlatformId), aliased(PlatformId)
    same = (other.platform == own.platform) & (other.participant == own.participant)
    keys = select(other.rater_id).join(own, same).where(own.rater_id == rater.id, other.rater_id != rater.id)
    return list(session.scalars(select(Rater).where(Rater.id.in_(keys)).order_by(Rater.id)))


def erase(database: Database, settings: Settings, code: str) -> Effect:
    """Erase all data of a rater: their answers and all earlier ones, taste, sessions, links and account.

    The admin's account stays. The sums of the pictures are corrected in the same transaction.

    Args:
        database: The database.
        settings: Of the app.
        code: The rater's pseudonym.

    Returns:
        What has changed.

    Raises:
        UsageError: There is no such rater.
        StorageError: The database cannot be written; nothing is erased.
        OSError: A taste file cannot be deleted; nothing is erased.
    """
    with database.erase() as session:
        rater = find_rater(session, code)
        lock_raters(session, [rater.id])
        effect = effect_of(session, rater, settings)
        for file in effect.tastes:
            Path(file).unlink(missing_ok=True)
        sums = Sums()
        for image, value in _counted(session, rater):
            sums.replace(image, value, None)
        sums.write(session)
        answers = _answers(session, rater)
        session.add_all(Erasure(collection_id=key, answers=count) for key, count in answers.items() if count)
        for table in reversed(Base.metadata.sorted_tables):
            if "rater_id" in table.columns and (not rater.is_admin or table is not Membership.__table__):
                session.execute(delete(table).where(table.c.rater_id == rater.id))
        ended = EndedSession.name.startswith(f"{rater.id}.", autoescape=True)
        session.execute(delete(EndedSession).where(ended))
        if rater.is_admin:
            again = update(Rater).where(Rater.id == rater.id)
            session.execute(again.values(link_version=rater.link_version + 1))
        else:
            session.execute(delete(Rater).where(Rater.id == rater.id))
    return effect


def _answers(session: Session, rater: Rater) -> Counter[int]:
    """Collection id -> number of the rater's current answers."""
    counts: Counter[int] = Counter()
    for table in _ANSWERS:
        wanted = select(table.collection_id, func.count()).where(table.rater_id == rater.id)
        rows = session.execute(wanted.group_by(table.collection_id))
        for key, count in rows:
            counts[key] += count
    return counts


def _collections(session: Session, rater: Rater) -> list[Collection]:
    """The collections that a rater joined or rated, by name, deleted ones that are still there included."""
    joined = select(Membership.collection_id).where(Membership.rater_id == rater.id)
    acted = select(Event.collection_id).where(Event.rater_id == rater.id)
    wanted = select(Collection).where(Collection.id.in_(joined) | Collection.id.in_(acted))
    return list(session.scalars(wanted.order_by(Collection.name, Collection.id)))


def _counted(session: Session, rater: Rater) -> Iterator[tuple[int, float | None]]:
    """Picture and value of each of the rater's answers that counts towards the sums of pictures."""
    ratings = select(Rating.image_id, Rating.value).where(Rating.value.is_not(None))
    own = ratings.where(Rating.rater_id == rater.id, Rating.round == FIRST)
    yield from ((image, value) for image, value in session.execute(own.order_by(Rating.image_id)))
    choices = select(Choice.kind, Choice.shown, Choice.chosen, Choice.worst)
    for row in session.execute(choices.where(Choice.rater_id == rater.id, Choice.round == FIRST)):
        yield from shares(*row).items()


def _falling(session: Session, gone: Counter[int]) -> dict[int, int]:
    """Collection id -> number of pictures that have enough ratings, but not without those that go."""
    found: dict[int, int] = defaultdict(int)
    keys = sorted(gone)
    for start in range(0, len(keys), _AT_ONCE):
        wanted = (
            select(Image.id, Image.collection_id, Image.count, Collection.wanted)
            .join(Collection, Collection.id == Image.collection_id)
            .where(Image.id.in_(keys[start : start + _AT_ONCE]), Image.count >= Collection.wanted)
        )
        for key, collection_id, count, enough in session.execute(wanted):
            found[collection_id] += enough is not None and count - gone[key] < enough
    return found


def _files(rater: Rater, settings: Settings) -> list[Path]:
    """The rater's taste files, in all collections."""
    if not USER_ID.fullmatch(rater.code):
        return []
    return sorted(settings.users_dir.glob(f"*/{rater.code}{SUFFIX}"))


def _backups(settings: Settings) -> list[Path]:
    """Files in the data folder that may be copies of the database."""
    own = {f"ratings.db{suffix}" for suffix in ("", "-wal", "-shm")}
    found = {path for pattern in BACKUPS for path in settings.data_dir.glob(pattern) if path.is_file()}
    return sorted(path for path in found if path.name not in own)
