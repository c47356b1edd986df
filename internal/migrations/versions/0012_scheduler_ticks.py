import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import binary_string, utc_datetime

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "scheduler_ticks",
        sa.Column("scheduled_at", utc_datetime(), nullable=False),
        sa.Column("job", binary_string(64), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("ran_at", utc_datetime(), nullable=False),
        sa.PrimaryKeyConstraint("scheduled_at", "job", name="pk_scheduler_ticks"),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )


def downgrade() -> None:
    op.drop_table("scheduler_ticks")
