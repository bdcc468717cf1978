"""Adds the probe of a collection's model, by which a replaced model is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Upgrade to this version."""
    op.add_column("collection", sa.Column("model_probe", sa.JSON(), nullable=True))
