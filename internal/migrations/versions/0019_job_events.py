import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import binary_string, utc_datetime

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("status", binary_string(16), nullable=False),
        sa.Column("attempt", sa.BigInteger, nullable=False),
        sa.Column("at", utc_datetime(), nullable=False),
        sa.Column("message", sa.Text),
        sa.PrimaryKeyConstraint("job_id", "sequence", name="pk_job_events"),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )


def downgrade() -> None:
    op.drop_table("job_events")
