"""What a collection's model is known by, so that another one in its place is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.add_column("collection", sa.Column("model_probe", sa.JSON(), nullable=True))
