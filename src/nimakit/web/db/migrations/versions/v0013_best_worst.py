"""Adds the worst picture of a comparison."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column("event", sa.Column("worst_id", sa.Integer(), nullable=True))
    op.add_column("choice", sa.Column("worst", sa.Integer(), nullable=True))
