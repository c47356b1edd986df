import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import binary_string, create_table

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    create_table(
        "audit_events",
        sa.Column("actor_kind", binary_string(16), nullable=False),
        sa.Column("actor_id", sa.BigInteger),
        sa.Column("action", binary_string(64), nullable=False),
        sa.Column("object_type", binary_string(32), nullable=False),
        sa.Column("object_id", binary_string(64), nullable=False),
        sa.Column("address", binary_string(64), nullable=False),
        sa.Column("trace_id", binary_string(32), nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("audit_events")
