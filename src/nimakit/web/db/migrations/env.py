"""Runs the migrations on the connection given by nimakit.web.db.database."""

from alembic import context

from nimakit.web.db.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
