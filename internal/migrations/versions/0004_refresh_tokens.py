import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import binary_string, create_table, utc_datetime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    create_table(
        "refresh_tokens",
        sa.Column("token_hash", binary_string(64), nullable=False),
        sa.Column("session_id", sa.BigInteger, nullable=False),
        sa.Column("spent_at", utc_datetime()),
        sa.UniqueConstraint("token_hash", name="uq_refresh_tokens_token_hash"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["login_sessions.id"],
            name="fk_refresh_tokens_session_id_login_sessions",
        ),
    )


def downgrade() -> None:
    op.drop_table("refresh_tokens")
