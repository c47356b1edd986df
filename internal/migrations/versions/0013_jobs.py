import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import binary_string, create_table, utc_datetime

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    create_table(
        "jobs",
        sa.Column("kind", binary_string(64), nullable=False),
        sa.Column("queue", binary_string(32), nullable=False),
        sa.Column("owner_id", sa.BigInteger),
        sa.Column("trace_id", binary_string(32), nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("status", binary_string(16), nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.BigInteger, nullable=False),
        sa.Column("max_attempts", sa.BigInteger, nullable=False),
        sa.Column("next_run_at", utc_datetime(), nullable=False),
        sa.Column("dispatched_at", utc_datetime()),
        sa.Column("claimed_by", binary_string(64)),
        sa.Column("claim_expires_at", utc_datetime()),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("finished_at", utc_datetime()),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.Text),
    )


def downgrade() -> None:
    op.drop_table("jobs")
