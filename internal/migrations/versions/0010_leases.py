import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import binary_string, utc_datetime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", binary_string(64), nullable=False),
        sa.Column("holder", binary_string(64), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("expires_at", utc_datetime(), nullable=False),
        sa.Column("ceiling_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )


def downgrade() -> None:
    op.drop_table("leases")
