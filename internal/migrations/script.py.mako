"""${message}

One DDL statement: MySQL commits each, so a revision that stops half-way must have no half.
The code before this revision keeps working after it: expand first, contract in a later release.
"""

from alembic import op

revision = "${up_revision}"
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "op.execute()"}


def downgrade() -> None:
    ${downgrades if downgrades else "op.execute()"}
