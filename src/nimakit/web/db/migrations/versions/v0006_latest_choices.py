"""Adds an index for the latest comparisons of a collection."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Upgrade to this version."""
    op.create_index("ix_choice_collection_id_occurred_at", "choice", ["collection_id", "occurred_at"])
