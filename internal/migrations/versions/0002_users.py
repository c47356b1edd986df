import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import binary_string, create_table, utc_datetime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_table(
        "users",
        sa.Column("username", binary_string(128), nullable=False),
        sa.Column("display_name", sa.String(128), nullable=False),
        sa.Column("password_hash", binary_string(60), nullable=False),
        sa.Column("role", binary_string(16), nullable=False),
        sa.Column("token_version", sa.BigInteger, nullable=False),
        sa.Column("disabled_at", utc_datetime()),
        sa.UniqueConstraint("username", name="uq_users_username"),
    )


def downgrade() -> None:
    op.drop_table("users")
