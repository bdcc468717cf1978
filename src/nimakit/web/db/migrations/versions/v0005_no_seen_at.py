"""Drops the time a rater was last seen, which nothing wrote."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Upgrade to this version."""
    op.drop_column("rater", "seen_at")
