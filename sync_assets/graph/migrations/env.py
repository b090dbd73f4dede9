"""Alembic's entry point: migrates over the connection that `graph.store.migrate` hands it."""

from alembic import context

from sync_assets.graph.tables import VERSIONS, metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, version_table=VERSIONS)
with context.begin_transaction():
    context.run_migrations()
