"""Adds the tastes learned from raters, and the setting that turns learning on."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column(
        "collection", sa.Column("personal", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "taste",
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(length=8), nullable=False),
        sa.Column("ratings", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=False),
        sa.Column("slope", sa.Double(), nullable=False),
        sa.Column("constant", sa.Double(), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collection.id"], name=op.f("fk_taste_collection_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["rater_id"], ["rater.id"], name=op.f("fk_taste_rater_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("rater_id", "collection_id", name=op.f("pk_taste")),
    )
