"""Adds checks of raters: gold pictures, answers to attention checks, and rules for excluding raters."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_EVENT_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Upgrade to this version."""
    op.create_table(
        "checks",
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("gold_every", sa.Integer(), nullable=False),
        sa.Column("attention_every", sa.Integer(), nullable=True),
        sa.Column("excludes", sa.Boolean(), nullable=False),
        sa.Column("gold_misses", sa.Integer(), nullable=True),
        sa.Column("attention_misses", sa.Integer(), nullable=True),
        sa.Column("same_share", sa.Double(), nullable=True),
        sa.Column("fast_ms", sa.Integer(), nullable=True),
        sa.Column("repeat_points", sa.Double(), nullable=True),
        sa.Column("by_agreement", sa.Boolean(), nullable=False),
        _key("checks", "collection"),
        sa.PrimaryKeyConstraint("collection_id", name=op.f("pk_checks")),
    )
    op.create_table(
        "gold",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("worse_id", sa.Integer(), nullable=True),
        sa.Column("source", sa.String(length=10), nullable=False),
        *(_key("gold", name) for name in ("image", "collection")),
        _key("gold", "image", column="worse_id"),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_gold")),
    )
    op.create_index("ix_gold_collection_id", "gold", ["collection_id"])
    op.create_table(
        "attention",
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("given", sa.Double(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("event_id", _EVENT_KEY, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        *(_key("attention", name) for name in ("rater", "collection", "event")),
        sa.PrimaryKeyConstraint("rater_id", "collection_id", "number", name=op.f("pk_attention")),
    )
    op.create_table(
        "exclusion",
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("overruled", sa.Boolean(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        *(_key("exclusion", name) for name in ("rater", "collection")),
        sa.PrimaryKeyConstraint("rater_id", "collection_id", name=op.f("pk_exclusion")),
    )


def _key(table: str, other: str, *, column: str = "") -> sa.ForeignKeyConstraint:
    """A foreign key to another table, whose rows take this table's with them."""
    column = column or f"{other}_id"
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete="CASCADE")
