import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import create_table, utc_datetime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_table(
        "login_sessions",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("expires_at", utc_datetime(), nullable=False),
        sa.Column("ended_at", utc_datetime()),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_login_sessions_user_id_users"),
    )


def downgrade() -> None:
    op.drop_table("login_sessions")
