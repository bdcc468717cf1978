"""Names in one spelling: an umlaut of two characters, as from a Mac, becomes one (NFC)."""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version; paths stay as the disk spells them, except of pictures that no file came for yet."""
    connection = op.get_bind()
    image = sa.table("image", *map(sa.column, ("id", "collection_id", "path", "image_id")))
    rows = connection.execute(
        sa.select(image.c.id, image.c.collection_id, image.c.path, image.c.image_id)
    ).all()
    paths = {(collection, path) for _, collection, path, _ in rows}
    for key, collection, path, name in rows:
        composed = unicodedata.normalize("NFC", name)
        if composed == name:
            continue
        is_waiting = path == name and (collection, composed) not in paths
        values = {"image_id": composed, "path": composed if is_waiting else path}
        connection.execute(sa.update(image).where(image.c.id == key).values(values))
