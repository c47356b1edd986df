import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import binary_string, utc_datetime

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "outbox_entries",
        sa.Column("due_at", utc_datetime(), nullable=False),
        sa.Column("job_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("queue", binary_string(32), nullable=False),
        sa.PrimaryKeyConstraint("due_at", "job_id", name="pk_outbox_entries"),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )


def downgrade() -> None:
    op.drop_table("outbox_entries")
