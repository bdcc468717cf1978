"""Adds studies: their settings and texts, and how far raters are in them."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Upgrade to this version."""
    op.create_table(
        "study",
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("invitation_id", sa.Integer(), nullable=True),
        sa.Column("quota", sa.Integer(), nullable=True),
        sa.Column("places", sa.Integer(), nullable=True),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("may_skip", sa.Boolean(), nullable=False),
        sa.Column("practice_needed", sa.Integer(), nullable=False),
        sa.Column("thanks", sa.Text(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("redirects", sa.Boolean(), nullable=False),
        _key("study", "collection"),
        _key("study", "invitation", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("collection_id", name=op.f("pk_study")),
    )
    op.create_table(
        "study_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("instructions", sa.Text(), nullable=False),
        sa.Column("examples", sa.JSON(), nullable=False),
        sa.Column("practice", sa.JSON(), nullable=False),
        sa.Column("pictures", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _key("study_version", "collection"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_version")),
        sa.UniqueConstraint("collection_id", "number", name=op.f("uq_study_version_collection_id_number")),
    )
    op.create_table(
        "participation",
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("practice_rounds", sa.Integer(), nullable=False),
        sa.Column("practised", sa.JSON(), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=False),
        _key("participation", "rater"),
        _key("participation", "collection"),
        _key("participation", "version", table_of="study_version"),
        sa.PrimaryKeyConstraint("rater_id", "collection_id", name=op.f("pk_participation")),
    )
    op.create_index(
        "ix_participation_collection_id_started_at", "participation", ["collection_id", "started_at"]
    )
    op.create_table(
        "platform_id",
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("participant", sa.String(length=100), nullable=False),
        sa.Column("study", sa.String(length=100), nullable=False),
        sa.Column("session", sa.String(length=100), nullable=False),
        _key("platform_id", "rater"),
        _key("platform_id", "collection"),
        sa.PrimaryKeyConstraint("rater_id", "collection_id", name=op.f("pk_platform_id")),
        sa.UniqueConstraint(
            "collection_id",
            "platform",
            "participant",
            name=op.f("uq_platform_id_collection_id_platform_participant"),
        ),
    )


def _key(
    table: str, other: str, *, table_of: str | None = None, ondelete: str = "CASCADE"
) -> sa.ForeignKeyConstraint:
    """A foreign key to another table."""
    column = f"{other}_id"
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{table_of or other}.id"], name=name, ondelete=ondelete)
