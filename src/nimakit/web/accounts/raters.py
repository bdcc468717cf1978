"""Raters and the admin: who they are, what they may rate, and the links that let them in."""

import secrets
from collections.abc import Collection as Names
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import bindparam, exists, insert, select
from sqlalchemy.orm import Session
from werkzeug.security import check_password_hash, generate_password_hash

from nimakit.errors import UsageError
from nimakit.web.db.tables import ADMIN, LOCAL, Collection, EndedSession, Invitation, Membership, Rater, now

_VISITORS = (
    select(Rater, Collection, Membership.rater_id)
    .select_from(Rater)
    .outerjoin(Collection, Collection.slug == bindparam("slug"))
    .outerjoin(Membership, (Membership.rater_id == Rater.id) & (Membership.collection_id == Collection.id))
)
_VISITOR = _VISITORS.where(
    Rater.id == bindparam("key"), ~exists().where(EndedSession.name == bindparam("name"))
)
_LOCAL_VISITOR = _VISITORS.where(Rater.role == LOCAL)


def local_rater(session: Session) -> Rater:
    """The one person on this machine, who is also the admin."""
    return _of_role(session, LOCAL) or _add(session, Rater(code=_pseudonym(), name="You", role=LOCAL))


def find_visitor(
    session: Session, key: int | None, slug: str | None, name: str = ""
) -> tuple[Rater, Collection | None] | None:
    """Who asks, and what about, in one statement: every request waits for it.

    Args:
        session: To read with.
        key: The rater's id; None for the one person on this machine.
        slug: Of the collection they ask about, if it is about one.
        name: Of their session, as `User.get_id` has it.

    Returns:
        The rater, if there is one and the session has not ended; and the collection, if there is one that
        they may rate.
    """
    if key is None:
        row = session.execute(_LOCAL_VISITOR, {"slug": slug}).one_or_none()
    else:
        row = session.execute(_VISITOR, {"slug": slug, "key": key, "name": name}).one_or_none()
    if row is None:
        return None
    rater, collection, member = row
    return rater, collection if rater.is_admin or member is not None else None


def end_session(session: Session, rater: Rater, name: str) -> None:
    """End a session for good.

    Args:
        session: To write with.
        rater: Whose it is.
        name: As `User.get_id` has it.
    """
    session.get(Rater, rater.id, with_for_update=True)  # who signs out twice at once ends it once
    session.merge(EndedSession(name=name))


def set_password(session: Session, password: str) -> None:
    """Set the admin's password, and end the sessions that began with another."""
    admin = _of_role(session, ADMIN) or _add(session, Rater(code=_pseudonym(), name="Admin", role=ADMIN))
    if not (admin.password_hash and check_password_hash(admin.password_hash, password)):
        admin.password_hash = generate_password_hash(password)
        admin.link_version += 1


def admin_of(session: Session, password: str) -> Rater | None:
    """The admin, where that is their password."""
    admin = _of_role(session, ADMIN)
    if admin is None or admin.password_hash is None:
        return None
    return admin if check_password_hash(admin.password_hash, password) else None


def has_password(session: Session) -> bool:
    """Whether somebody can sign in as admin."""
    admin = _of_role(session, ADMIN)
    return admin is not None and admin.password_hash is not None


def new_rater(session: Session, name: str = "") -> Rater:
    """A rater with a pseudonym nobody else has."""
    return _add(session, Rater(code=_pseudonym(), name=name.strip()[:80]))


def raters_with_codes(session: Session, codes: Names[str], collection_id: int) -> dict[str, int]:
    """The ids of raters by their pseudonyms, for ratings that are imported.

    Those there are none of are made, and all may rate the collection. Tables are read whole: a file may name
    more people than a statement takes values.
    """
    known = _codes(session)
    missing = [{"code": code} for code in codes if code not in known]
    if missing:
        session.execute(insert(Rater), missing)
        known = _codes(session)
    found = {code: known[code] for code in codes}
    members = set(
        session.scalars(select(Membership.rater_id).where(Membership.collection_id == collection_id))
    )
    joining = [
        {"rater_id": key, "collection_id": collection_id} for key in found.values() if key not in members
    ]
    if joining:
        session.execute(insert(Membership), joining)
    return found


def accept(session: Session, invitation: Invitation, rater: Rater) -> None:
    """Let a rater in by an invitation; coming again uses nothing up.

    Raises:
        UsageError: The invitation is used up, revoked or past its date.
    """
    if may_rate(session, rater, invitation.collection_id):
        return
    # The row is locked, so that the last place is given once.
    invitation = session.get_one(Invitation, invitation.id, with_for_update=True, populate_existing=True)
    problem = refusal(invitation)
    if problem:
        raise UsageError(problem)
    invitation.uses += 1
    join(session, rater, invitation.collection_id, invitation.id)


def refusal(invitation: Invitation) -> str:
    """Why an invitation lets nobody in any more; empty where it does."""
    if invitation.revoked:
        return "This invitation was withdrawn."
    if invitation.expires_at is not None and invitation.expires_at < now():
        return "This invitation has run out."
    if invitation.max_uses is not None and invitation.uses >= invitation.max_uses:
        return "This invitation was used by as many people as it was made for."
    return ""


def join(session: Session, rater: Rater, collection_id: int, invitation_id: int | None = None) -> None:
    """Let a rater rate a collection."""
    if session.get(Membership, (rater.id, collection_id)) is None:
        session.add(Membership(rater_id=rater.id, collection_id=collection_id, invitation_id=invitation_id))
        session.flush()


def may_rate(session: Session, rater: Rater, collection_id: int) -> bool:
    """Whether a rater may rate a collection."""
    return rater.is_admin or session.get(Membership, (rater.id, collection_id)) is not None


def collections_of(session: Session, rater: Rater) -> list[Collection]:
    """What a rater may rate, by name."""
    wanted = select(Collection).order_by(Collection.name, Collection.id)
    if not rater.is_admin:
        wanted = wanted.join(Membership).where(Membership.rater_id == rater.id)
    return list(session.scalars(wanted))


@dataclass(frozen=True, slots=True)
class Links:
    """Signs the links that let people in: nobody can make one up, and no table of them can leak.

    Args:
        secret: The app's.
    """

    secret: str

    def invitation(self, invitation: Invitation) -> str:
        """What stands in the link of an invitation."""
        return self._signer("invitation").dumps(invitation.id)

    def personal(self, rater: Rater) -> str:
        """What stands in the link by which a rater goes on elsewhere."""
        return self._signer("personal").dumps([rater.id, rater.link_version])

    def find_invitation(self, session: Session, token: str) -> Invitation | None:
        """The invitation of a link."""
        found = self._read("invitation", token)
        return session.get(Invitation, found) if isinstance(found, int) else None

    def find_rater(self, session: Session, token: str) -> Rater | None:
        """The rater of a personal link, unless it was renewed since."""
        match self._read("personal", token):
            case [int(key), int(version)]:
                rater = session.get(Rater, key)
                return rater if rater is not None and rater.link_version == version else None
        return None

    def _signer(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(self.secret, salt=f"nimakit-rate-{purpose}")

    def _read(self, purpose: str, token: str) -> object:
        try:
            return self._signer(purpose).loads(token)
        except BadData:
            return None


def _of_role(session: Session, role: str) -> Rater | None:
    return session.scalars(select(Rater).where(Rater.role == role)).one_or_none()


def _codes(session: Session) -> dict[str, int]:
    return dict(session.execute(select(Rater.code, Rater.id)).all())


def _pseudonym() -> str:
    return "r" + secrets.token_hex(4)


def _add(session: Session, rater: Rater) -> Rater:
    session.add(rater)
    session.flush()
    return rater
