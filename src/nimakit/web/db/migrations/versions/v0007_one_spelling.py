"""Unifies the spelling of names: decomposed umlauts, as from a Mac, become composed (NFC)."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

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
    """Upgrade to this version. Paths stay as they are on disk, except those of pictures still without a file.

    A picture without a file is merged with the picture that has its name in the other spelling.
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
    """Move ratings and comparisons between pictures (old id -> new id), and delete the old pictures."""
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
    """Move the ratings of a picture. Of two ratings by one rater, keep the later."""
    of, latest = _RATING.c.image_id, (_RATING.c.occurred_at, _RATING.c.event_id)
    wanted = sa.select(_RATING.c.rater_id, _RATING.c.round, *latest)
    kept = {tuple(row[:2]): tuple(row[2:]) for row in connection.execute(wanted.where(of == new))}
    for rater, turn, *latest_of_old in connection.execute(wanted.where(of == old)).all():
        own = (_RATING.c.rater_id == rater, _RATING.c.round == turn)
        if (rater, turn) in kept:
            if kept[rater, turn] > tuple(latest_of_old):
                continue
            connection.execute(sa.delete(_RATING).where(of == new, *own))
        connection.execute(sa.update(_RATING).where(of == old, *own).values(image_id=new))


def _add_up(connection: sa.Connection, pictures: set[int]) -> None:
    """Recompute the sums of pictures from their ratings and choices."""
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
    for key, own in values.items():
        sums = {"count": len(own), "total": sum(own), "squares": sum(value**2 for value in own)}
        connection.execute(sa.update(_IMAGE).where(_IMAGE.c.id == key).values(sums))
