"""When a rater was last seen goes: nothing wrote it, and the last rating says it."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.drop_column("rater", "seen_at")
