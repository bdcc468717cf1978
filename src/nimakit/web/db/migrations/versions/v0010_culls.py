"""Adds culls: the flags of pictures, and the groups that pictures belong to."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Upgrade to this version."""
    op.create_table(
        "flag",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        *(_key("flag", name) for name in ("image", "rater", "collection", "event")),
        sa.PrimaryKeyConstraint("image_id", "rater_id", name=op.f("pk_flag")),
    )
    op.create_index("ix_flag_collection_id_rater_id", "flag", ["collection_id", "rater_id"])
    op.create_table(
        "grouping",
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("stamp", sa.JSON(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("grouped_at", sa.DateTime(timezone=True), nullable=False),
        _key("grouping", "collection"),
        sa.PrimaryKeyConstraint("collection_id", name=op.f("pk_grouping")),
    )
    op.create_table(
        "grouped_image",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("scene", sa.Integer(), nullable=False),
        sa.Column("measures", sa.JSON(), nullable=False),
        *(_key("grouped_image", name) for name in ("image", "collection")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_grouped_image")),
    )
    op.create_index("ix_grouped_image_collection_id_number", "grouped_image", ["collection_id", "number"])


def _key(table: str, other: str) -> sa.ForeignKeyConstraint:
    """A foreign key to another table, whose rows take this table's with them."""
    column = f"{other}_id"
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete="CASCADE")
