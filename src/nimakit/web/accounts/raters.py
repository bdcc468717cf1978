"""Raters and the admin: their accounts, invitations, passwords, and signed links."""

import secrets
from collections.abc import Collection as Names
from dataclasses import dataclass
from typing import NamedTuple

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import bindparam, exists, insert, select
from sqlalchemy.orm import Session
from werkzeug.security import check_password_hash, generate_password_hash

from nimakit.errors import UsageError
from nimakit.web.db.queries import is_listed
from nimakit.web.db.tables import (
    ADMIN,
    LOCAL,
    Collection,
    EndedSession,
    Invitation,
    Membership,
    Participation,
    Rater,
    Study,
    now,
)
from nimakit.web.languages import gettext

_VISITORS = (
    select(Rater, Collection, Membership.rater_id, Study, Participation)
    .select_from(Rater)
    .outerjoin(Collection, (Collection.slug == bindparam("slug")) & Collection.deleted_at.is_(None))
    .outerjoin(Membership, (Membership.rater_id == Rater.id) & (Membership.collection_id == Collection.id))
    .outerjoin(Study, (Study.collection_id == Collection.id) & Study.is_on)
    .outerjoin(
        Participation,
        (Participation.rater_id == Rater.id) & (Participation.collection_id == Study.collection_id),
    )
)
_VISITOR = _VISITORS.where(
    Rater.id == bindparam("key"), ~exists().where(EndedSession.name == bindparam("name"))
)
_LOCAL_VISITOR = _VISITORS.where(Rater.role == LOCAL)


def local_rater(session: Session) -> Rater:
    """The rater on the app's own machine, who is also the admin; created if missing."""
    return _of_role(session, LOCAL) or _add(session, Rater(code=_pseudonym(), name="You", role=LOCAL))


class Visitor(NamedTuple):
    """The rater of a request.

    Attributes:
        rater: The rater.
        collection: The collection in the request's address, if they may rate it.
        study: Its study, if it is rated as one.
        participation: How far they are in the study; None before they agreed to take part.
    """

    rater: Rater
    collection: Collection | None
    study: Study | None
    participation: Participation | None


def find_visitor(session: Session, key: int | None, slug: str | None, name: str = "") -> Visitor | None:
    """Find the rater and the collection of a request, in one statement because every request needs it.

    Args:
        session: From `Database.read_autocommit`.
        key: The rater's id; None for the local rater.
        slug: The collection in the request's address, if any.
        name: `User.get_id` of their session.

    Returns:
        Their visit, with the collection if they may see it: not a deleted one, and raters only one that they
        joined and that is not archived. None if there is no such rater or the session has ended.
    """
    values = {"slug": slug} if key is None else {"slug": slug, "key": key, "name": name}
    row = session.execute(_LOCAL_VISITOR if key is None else _VISITOR, values).one_or_none()
    if row is None:
        return None
    rater, collection, member, study, participation = row
    if (
        collection is not None
        and not rater.is_admin
        and (member is None or collection.archived_at is not None)
    ):
        return Visitor(rater, None, None, None)
    return Visitor(rater, collection, study, participation)


def end_session(session: Session, rater: Rater, name: str) -> None:
    """End a session, so that copies of its cookie no longer work.

    Args:
        session: From `Database.write`.
        rater: The rater who signs out.
        name: `User.get_id` of their session.
    """
    session.get(Rater, rater.id, with_for_update=True)  # against two sign-outs at the same time
    session.merge(EndedSession(name=name))


def set_password(session: Session, password: str) -> None:
    """Set the admin's password. A new password ends all earlier sessions."""
    admin = _of_role(session, ADMIN) or _add(session, Rater(code=_pseudonym(), name="Admin", role=ADMIN))
    if not (admin.password_hash and check_password_hash(admin.password_hash, password)):
        admin.password_hash = generate_password_hash(password)
        admin.link_version += 1


def admin_of(session: Session, password: str) -> Rater | None:
    """The admin, if this is their password."""
    admin = _of_role(session, ADMIN)
    if admin is None or not check_password_hash(admin.password_hash or "", password):
        return None
    return admin


def has_password(session: Session) -> bool:
    """Whether there is an admin who can sign in."""
    admin = _of_role(session, ADMIN)
    return admin is not None and admin.password_hash is not None


def new_rater(session: Session, name: str = "") -> Rater:
    """Create a rater with a unique pseudonym."""
    return _add(session, Rater(code=_pseudonym(), name=name.strip()[:80]))


def raters_with_codes(session: Session, codes: Names[str], collection_id: int) -> dict[str, int]:
    """Ids of raters by pseudonym, for imports. Missing raters are created, and all join the collection.

    Tables are read whole, because a file may name more raters than a statement can have parameters.
    """
    known = _codes(session)
    missing = [{"code": code} for code in codes if code not in known]
    if missing:
        session.execute(insert(Rater), missing)
        known = _codes(session)
    found = {code: known[code] for code in codes}
    joined = select(Membership.rater_id).where(Membership.collection_id == collection_id)
    members = set(session.scalars(joined))
    joining = [
        {"rater_id": key, "collection_id": collection_id} for key in found.values() if key not in members
    ]
    if joining:
        session.execute(insert(Membership), joining)
    return found


def accept_invitation(session: Session, invitation: Invitation, rater: Rater) -> None:
    """Let a rater join by an invitation; those who have joined before do not count again.

    Raises:
        UsageError: The invitation is used up, withdrawn or expired.
    """
    if may_rate(session, rater, invitation.collection_id):
        return
    # Locks the row, so that the last place is given only once.
    invitation = session.get_one(Invitation, invitation.id, with_for_update=True, populate_existing=True)
    problem = invitation_problem(invitation)
    if problem:
        raise UsageError(problem)
    invitation.uses += 1
    join(session, rater, invitation.collection_id, invitation.id)


def invitation_problem(invitation: Invitation) -> str:
    """Why an invitation no longer works; empty if it does."""
    if invitation.revoked:
        return gettext("This invitation was withdrawn.")
    if invitation.expires_at is not None and invitation.expires_at < now():
        return gettext("This invitation has expired.")
    if invitation.max_uses is not None and invitation.uses >= invitation.max_uses:
        return gettext("This invitation has been used by the maximum number of people.")
    return ""


def join(session: Session, rater: Rater, collection_id: int, invitation_id: int | None = None) -> None:
    """Give a rater access to a collection."""
    if session.get(Membership, (rater.id, collection_id)) is None:
        session.add(Membership(rater_id=rater.id, collection_id=collection_id, invitation_id=invitation_id))
        session.flush()


def may_rate(session: Session, rater: Rater, collection_id: int) -> bool:
    """Whether a rater may rate a collection."""
    return rater.is_admin or session.get(Membership, (rater.id, collection_id)) is not None


def collections_of(session: Session, rater: Rater) -> list[Collection]:
    """The collections a rater may rate, sorted by name, without archived ones."""
    wanted = select(Collection).where(is_listed()).order_by(Collection.name, Collection.id)
    if not rater.is_admin:
        wanted = wanted.join(Membership).where(Membership.rater_id == rater.id)
    return list(session.scalars(wanted))


@dataclass(frozen=True, slots=True)
class Links:
    """Signs invitation and personal links, which therefore cannot be forged and need not be stored.

    Args:
        secret: The app's secret.
    """

    secret: str

    def invitation(self, invitation: Invitation) -> str:
        """The token of an invitation link."""
        named = [invitation.id, invitation.nonce] if invitation.nonce else invitation.id
        return self._signer("invitation").dumps(named)

    def personal(self, rater: Rater) -> str:
        """The token of the link by which a rater continues on another device."""
        return self._signer("personal").dumps([rater.id, rater.link_version])

    def find_invitation(self, session: Session, token: str) -> Invitation | None:
        """The invitation of a token; None if the token is invalid."""
        match self._read("invitation", token):
            case int(key):
                nonce = ""
            case [int(key), str(nonce)]:
                pass
            case _:
                return None
        invitation = session.get(Invitation, key)
        return invitation if invitation is not None and invitation.nonce == nonce else None

    def find_rater(self, session: Session, token: str) -> Rater | None:
        """The rater of a personal token; None if it is invalid or was renewed since."""
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
