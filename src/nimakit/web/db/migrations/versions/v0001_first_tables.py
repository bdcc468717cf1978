"""The first version. The tables of new databases are created by `Database.migrate` instead."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing."""
