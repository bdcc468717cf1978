"""Names in one spelling: an umlaut of two characters, as from a Mac, becomes one (NFC)."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_FIRST = 0
_IMAGE = sa.table(
    "image", *map(sa.column, ("id", "collection_id", "path", "image_id", "count", "total", "squares"))
)
_EVENT = sa.table("event", sa.column("id"), sa.column("image_id"), sa.column("shown", sa.JSON))
_RATING = sa.table(
    "rating", *map(sa.column, ("image_id", "rater_id", "round", "value", "event_id", "occurred_at"))
)
_CHOICE = sa.table(
    "choice",
    *map(sa.column, ("rater_id", "trial", "round", "kind", "chosen")),
    sa.column("shown", sa.JSON),
)


def upgrade() -> None:
    """To this version; paths stay as the disk spells them, except of pictures that no file came for yet.

    A picture that waits for its file is merged with the one that has its name in the other spelling.
    """
    connection = op.get_bind()
    pictures = defaultdict(list)
    columns = (_IMAGE.c.id, _IMAGE.c.collection_id, _IMAGE.c.path, _IMAGE.c.image_id)
    for key, collection, path, name in connection.execute(sa.select(*columns).order_by(_IMAGE.c.id)).all():
        pictures[collection, unicodedata.normalize("NFC", name)].append((key, path, name))
    moves: dict[int, int] = {}
    kept: list[tuple[int, str, str]] = []
    for (_, composed), same in pictures.items():
        if all(name == composed for _, _, name in same):
            continue
        waiting = [key for key, path, name in same if path == name]
        found = [key for key, path, name in same if path != name]
        into = found if len(found) == 1 else waiting[:1]
        moves.update({key: into[0] for key in waiting if key not in into})
        kept.extend((key, composed if path == name else path, composed) for key, path, name in same)
    if moves:
        _move(connection, moves)
        _add_up(connection, set(moves.values()))
    for key, path, name in kept:
        if key not in moves:
            values = {"path": path, "image_id": name}
            connection.execute(sa.update(_IMAGE).where(_IMAGE.c.id == key).values(values))


def _move(connection: sa.Connection, moves: Mapping[int, int]) -> None:
    """Have what was said of pictures said of others: key -> key; the former are deleted."""
    for old, new in moves.items():
        _move_ratings(connection, old, new)
        connection.execute(sa.update(_EVENT).where(_EVENT.c.image_id == old).values(image_id=new))
        connection.execute(sa.update(_CHOICE).where(_CHOICE.c.chosen == old).values(chosen=new))
    for table, names in ((_EVENT, ("id",)), (_CHOICE, ("rater_id", "trial"))):
        columns = [table.c[name] for name in names]
        for *row, shown in connection.execute(sa.select(*columns, table.c.shown)).all():
            if shown and not moves.keys().isdisjoint(shown):
                same = [column == value for column, value in zip(columns, row, strict=True)]
                values = {"shown": [moves.get(key, key) for key in shown]}
                connection.execute(sa.update(table).where(*same).values(values))
    for old in moves:
        connection.execute(sa.delete(_IMAGE).where(_IMAGE.c.id == old))


def _move_ratings(connection: sa.Connection, old: int, new: int) -> None:
    """Of two ratings by one person the later holds; the other goes with its picture."""
    of, latest = _RATING.c.image_id, (_RATING.c.occurred_at, _RATING.c.event_id)
    wanted = sa.select(_RATING.c.rater_id, _RATING.c.round, *latest)
    held = {tuple(row[:2]): tuple(row[2:]) for row in connection.execute(wanted.where(of == new))}
    for rater, turn, *said in connection.execute(wanted.where(of == old)).all():
        own = (_RATING.c.rater_id == rater, _RATING.c.round == turn)
        if (rater, turn) in held:
            if held[rater, turn] > tuple(said):
                continue
            connection.execute(sa.delete(_RATING).where(of == new, *own))
        connection.execute(sa.update(_RATING).where(of == old, *own).values(image_id=new))


def _add_up(connection: sa.Connection, pictures: set[int]) -> None:
    """Bring the sums of pictures up to what holds of them."""
    values: dict[int, list[float]] = {key: [] for key in pictures}
    ratings = sa.select(_RATING.c.image_id, _RATING.c.value).where(
        _RATING.c.round == _FIRST, _RATING.c.value.is_not(None)
    )
    for key, value in connection.execute(ratings):
        if key in values:
            values[key].append(value)
    choices = sa.select(_CHOICE.c.kind, _CHOICE.c.shown, _CHOICE.c.chosen).where(
        _CHOICE.c.round == _FIRST, _CHOICE.c.kind != "skip"
    )
    for kind, shown, chosen in connection.execute(choices):
        for key in pictures.intersection(shown):
            values[key].append(1 / len(shown) if kind == "tie" else float(key == chosen))
    for key, said in values.items():
        sums = {"count": len(said), "total": sum(said), "squares": sum(value**2 for value in said)}
        connection.execute(sa.update(_IMAGE).where(_IMAGE.c.id == key).values(sums))
