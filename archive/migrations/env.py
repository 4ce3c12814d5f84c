"""Runs the migrations on the connection that ``Catalog.migrate`` hands over."""

from __future__ import annotations

from alembic import context

from archive.models import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
with context.begin_transaction():
    context.run_migrations()
