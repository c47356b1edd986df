"""Alembic's entry: runs the revisions on the connection that `runner` holds the lock with."""

from alembic import context

import internal.models  # noqa: F401 - knows every table
from internal.models.base import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    compare_type=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
