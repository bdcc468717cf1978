"""Adds what archiving and deleting collections and erasing a rater need."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"

_INDEXES = {"rating": ("event_id",), "choice": ("event_id", "chosen"), "flag": ("event_id",)}


def upgrade() -> None:
    """Upgrade to this version."""
    for name in ("archived_at", "deleted_at", "removed_at"):
        op.add_column("collection", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    # Empty for existing invitations, whose links have none; Python gives new ones theirs.
    op.add_column("invitation", sa.Column("nonce", sa.String(length=16), nullable=False, server_default=""))
    op.create_table(
        "erasure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collection.id"], name=op.f("fk_erasure_collection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
    )
    op.create_index(op.f("ix_erasure_collection_id"), "erasure", ["collection_id"])
    for table, columns in _INDEXES.items():
        for column in columns:
            op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
