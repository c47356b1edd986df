"""The empty schema that every later revision adds one statement to."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing to create: from here on, the database knows its revision."""


def downgrade() -> None:
    """Nothing to drop."""
