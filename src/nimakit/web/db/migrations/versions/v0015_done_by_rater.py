"""Adds indices by which the answers of all raters are counted."""

from alembic import op

revision = "0015"
down_revision = "0014"

_COLUMNS = ("collection_id", "round", "rater_id")


def upgrade() -> None:
    """Upgrade to this version."""
    for table in ("rating", "choice"):
        op.create_index(f"ix_{table}_{'_'.join(_COLUMNS)}", table, list(_COLUMNS))
