"""The latest comparisons of a collection, whoever made them, without sorting all."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_index("ix_choice_collection_id_occurred_at", "choice", ["collection_id", "occurred_at"])
